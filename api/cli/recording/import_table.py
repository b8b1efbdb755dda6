"""`hours import`: a table of old records, by a mapping file; or, with --dry-run, what would become of each line."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from api.cli.output import err, out, print_json, print_table, stages
from api.files.credits import atomic_file
from api.importing.columns import Columns
from api.importing.kinds import IMPORTED_COMMANDS
from api.importing.lines import Line, LineReader
from api.importing.mapping import FileForm, Mapping, MappingError, parse_mapping
from api.importing.reports import reports
from api.importing.running import Execute, Outcome, Tally, outcomes, recording, rehearsing
from api.importing.tables import BrokenTableError, MistakenTableError, Table, is_excel, open_table
from api.messages.cloud_events import event_type
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.aggregates import Order
from ledger.intake.answers import Accepted, Answer
from ledger.names import Actor
from replay.generations.store import NoGenerationError
from replay.live.follower import Follower
from replay.progress import Progress

COLLECT_OBJECTS = 50_000
REFUSALS_SHOWN_MAX = 1000
"""All refusals are counted; so many are told one by one. A report tells all."""

_actor: TypeAdapter[str] = TypeAdapter(Actor)


@dataclass(frozen=True)
class ImportOptions:
    """What the person at the command line asked for."""

    file: Path
    mapping: Path | None
    by: str
    sheet: str | None = None
    dry_run: bool = False
    report: Path | None = None
    refused: Path | None = None
    stop_after: int | None = None
    events: Path | None = None


@dataclass
class _Told:
    """What is told in the end."""

    tally: Tally = field(default_factory=Tally)
    refusals: list[dict[str, object]] = field(default_factory=list)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    """A detail for each rule that was broken, and field."""
    stopped: bool = False
    """Whether it was too many refusals that ended it."""

    def add(self, slice_: Sequence[Outcome], reader: LineReader) -> None:
        for outcome in slice_:
            self.tally.add(outcome)
            if (fault := outcome.fault) is None:
                continue
            example = f"line {outcome.line.number}: {fault.detail}"
            self.examples.setdefault((fault.rejection, fault.field or ""), example)
            if len(self.refusals) < REFUSALS_SHOWN_MAX:
                self.refusals.append(
                    {
                        "line": outcome.line.number,
                        "outcome": outcome.word,
                        "rejection": fault.rejection,
                        "field": fault.field,
                        "columns": reader.columns_of(fault.field),
                        "detail": fault.detail,
                        "remedy": fault.remedy,
                        "retry": fault.retry,
                    }
                )


def import_table(data: Path, asked: ImportOptions, *, as_json: bool) -> int:
    """Import a table; return the exit code: 1 when lines were refused."""
    _check(asked)
    told = _Told()
    began = time.monotonic()
    try:
        mapping = _mapping(asked)
        with open_table(asked.file, mapping.file, asked.sheet) as table:
            reader = LineReader(mapping, Columns(table.columns), asked.by)
            _run(data, asked, mapping, table, reader, told)
    except MappingError as error:
        raise UsageError(f"{asked.mapping} does not fit {asked.file}: {error}") from None
    except MistakenTableError as error:
        raise UsageError(str(error)) from None
    except BrokenTableError as error:
        raise UsageError(
            f"{asked.file}: {error}; mend it and import the file again, nothing is entered twice "
            f"(before it: {told.tally})"
        ) from None
    except KeyboardInterrupt:
        if told.tally.lines:
            again = "the same command goes on from there" if not asked.dry_run else "nothing was recorded"
            err().print(f"Stopped after line {told.tally.last_line}: {told.tally}; {again}", soft_wrap=True)
        raise
    _tell(asked, told, time.monotonic() - began, as_json=as_json)
    return 1 if told.tally.refused else 0


def _check(asked: ImportOptions) -> None:
    """Refuse what would end badly, before anything is opened."""
    try:
        _actor.validate_python(asked.by)
    except ValidationError:
        raise UsageError(f"--by {asked.by} is nobody; write person:NAME, station:ID or system:NAME") from None
    if asked.sheet and not is_excel(asked.file):
        raise UsageError(f"--sheet {asked.sheet} is for Excel files, and {asked.file} is none; leave it out")
    if asked.events and asked.dry_run:
        raise UsageError("--to-events records nothing as it is; leave out --dry-run")
    written = {"--report": asked.report, "--refused": asked.refused, "--to-events": asked.events}
    taken = {asked.file.resolve(): "the file that is imported"}
    if asked.mapping:
        taken[asked.mapping.resolve()] = "the mapping"
    for option, path in written.items():
        if path is None:
            continue
        if (other := taken.get(path.resolve())) is not None:
            raise UsageError(f"{option} {path} is {other}; name another file")
        taken[path.resolve()] = f"named by {option}, too"
        if not path.parent.is_dir():
            raise UsageError(f"{option} {path} lies in no directory that is there; make it first")
    if asked.refused and asked.refused.exists():
        raise UsageError(f"--refused {asked.refused} exists and may hold corrected lines; name another file")
    if asked.refused and is_excel(asked.refused) != is_excel(asked.file):
        kind = ".xlsx" if is_excel(asked.file) else ".csv"
        raise UsageError(f"--refused {asked.refused} is imported as {asked.file} is, so it must end in {kind}")


def _mapping(asked: ImportOptions) -> Mapping:
    if asked.mapping is None:
        with open_table(asked.file, FileForm(), asked.sheet) as table:
            columns = ", ".join(Columns(table.columns).names)
        raise UsageError(
            f"--mapping is missing; {asked.file} has the columns {columns}. A mapping says which command each line "
            f"becomes ({', '.join(IMPORTED_COMMANDS)}), and of which columns: begin with one of docs/import/"
        )
    try:
        return parse_mapping(asked.mapping.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"--mapping {asked.mapping} is no file that is there; check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"--mapping {asked.mapping} is not UTF-8; save it as UTF-8") from None
    except MappingError as error:
        raise UsageError(f"{asked.mapping} cannot be used: {error}") from None


def _run(data: Path, asked: ImportOptions, mapping: Mapping, table: Table, reader: LineReader, told: _Told) -> None:
    title = f"{'Checking' if asked.dry_run else 'Importing'} {asked.file.name}"
    lines = (reader.read(row) for row in table.rows)
    with ExitStack() as stack:
        tell = stack.enter_context(stages(title))
        if asked.events:
            temporary = stack.enter_context(atomic_file(asked.events))
            file = stack.enter_context(temporary.open("w", encoding="utf-8"))
            _take_all(asked, mapping, table, reader, outcomes(lines, _writing(file)), told, tell)
            return
        ledger = stack.enter_context(open_ledger(data))
        execute = rehearsing(ledger) if asked.dry_run else recording(ledger)
        _take_all(asked, mapping, table, reader, outcomes(lines, execute), told, tell)
        if not asked.dry_run:
            _catch_up(ledger, tell)


def _take_all(
    asked: ImportOptions,
    mapping: Mapping,
    table: Table,
    reader: LineReader,
    slices: Iterator[list[Outcome]],
    told: _Told,
    tell: Progress,
) -> None:
    """Take slice after slice, and write down what became of them."""
    sheet = asked.sheet or mapping.file.sheet
    with (
        reports(table, reader, mapping.file, asked.report, asked.refused, sheet, dry_run=asked.dry_run) as opened,
        _seldom_collecting(),
    ):
        for slice_ in slices:
            told.add(slice_, reader)
            for report in opened:
                report.write(slice_)
            if asked.stop_after is not None and told.tally.refused >= asked.stop_after:
                told.stopped = True
                break
            tell("", told.tally.lines, _total_lines(table, told.tally.lines))


def _total_lines(table: Table, lines: int) -> int:
    """Return about how many lines a table has, as far as that can be told; 0 if not at all."""
    done = table.done()
    return round(lines * max(table.size, done) / done) if done and table.size else 0


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Let Python's garbage collector look seldom: thousands of cells come and go, and hardly a cycle with them."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_OBJECTS, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _catch_up(ledger: OpenLedger, tell: Progress) -> None:
    """Bring the read models to the head of the log, where no server does it."""
    follower = Follower(ledger.database)
    try:
        began = ledger.current_generation().position
    except NoGenerationError:
        return
    head, done = int(ledger.log.head()), began
    while taken := follower.take_batch():
        done += taken
        tell("read models", min(done, head) - began, head - began)


def _writing(file: IO[str]) -> Execute:
    """Return what writes lines as CloudEvents, to be posted to a ledger elsewhere."""

    def execute(lines: Sequence[Line]) -> list[Answer]:
        orders = [line.order for line in lines if isinstance(line.order, Order)]
        file.writelines(json.dumps(_event(order), ensure_ascii=False) + "\n" for order in orders)
        return [Accepted(None, duplicate=False, shift=None) for _ in orders]

    return execute


def _event(order: Order) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": order.id,
        "source": order.source,
        "type": event_type(order.command.TYPE),
        "imported": True,
        "data": order.command.model_dump(mode="json", exclude_defaults=True),
    }


def _tell(asked: ImportOptions, told: _Told, seconds: float, *, as_json: bool) -> None:
    tally = told.tally
    written = {
        "report": asked.report,
        "refused_lines": asked.refused if tally.refused else None,
        "events": asked.events,
    }
    if as_json:
        print_json(
            {
                "dry_run": asked.dry_run,
                "lines": tally.lines,
                "last_line": tally.last_line,
                "accepted": tally.accepted,
                "duplicates": tally.duplicates,
                "refused": tally.refused,
                "refused_by_rule": [
                    {"rejection": rule, "field": name or None, "lines": count, "example": told.examples[rule, name]}
                    for (rule, name), count in tally.by_rule.most_common()
                ],
                "refusals": told.refusals,
                "position": tally.position,
                "stopped": told.stopped,
                "seconds": round(seconds, 3),
                **{name: str(path) if path else None for name, path in written.items()},
            }
        )
        return
    said = str(tally)
    if asked.dry_run or asked.events:
        said = said.replace("accepted", "would be accepted" if asked.dry_run else "written")
    ending = f"; the last position is {tally.position}" if tally.position else ""
    if asked.dry_run or asked.events:
        ending = "; nothing was recorded"
    if told.stopped:
        ending += f"; stopped after line {tally.last_line}"
    out().print(f"{asked.file}: {said}{ending}", markup=False)
    if tally.refused:
        rows = [(*rule, count, told.examples[rule]) for rule, count in tally.by_rule.most_common()]
        print_table("Refused", ("rule", "field", "lines", "for example"), rows)
    for name, path in written.items():
        if path:
            out().print(f"{name.replace('_', ' ').capitalize()}: {path}", markup=False)
