"""`hours import`: import a table of old records by a mapping file, or with --dry-run show each line's outcome."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from api.access.roles import IMPORTED_COMMANDS
from api.cli.options import OPERATOR, Force, Json, data_of, refuse_idle
from api.cli.output import check_output, err, stages
from api.cli.recording.import_summary import ImportOptions, Summary, print_summary
from api.importing.cells import CellError, quoted
from api.importing.columns import Columns
from api.importing.identifiers import identifier_of, label_of
from api.importing.lines import LineReader
from api.importing.mapping import FileForm, Mapping, MappingError, parse_mapping, with_values
from api.importing.reading import read_lines
from api.importing.reports import reports
from api.importing.running import Outcome, outcomes, recording, rehearsing, writing
from api.importing.tables import (
    BrokenTableError,
    Table,
    UnreadableTableError,
    ending_of,
    is_excel,
    open_table,
)
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.names import CallingActor
from replay.durable import atomic_file
from replay.generations.store import NoGenerationError
from replay.live.follower import Follower
from replay.progress import Progress

COLLECT_OBJECTS = 50_000

_actor: TypeAdapter[str] = TypeAdapter(CallingActor)


def import_table(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Old records: .csv, .xlsx or .json.")],
    *,
    mapping: Annotated[Path | None, typer.Option(help="The mapping, a TOML file; see docs/import.md.")] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of an Excel file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Record nothing; show what would happen.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the outcome of each line, as CSV.")] = None,
    refused: Annotated[Path | None, typer.Option(help="Write the refused lines, to correct and import again.")] = None,
    stop_after: Annotated[int | None, typer.Option(min=1, help="Stop after this many refused lines.")] = None,
    by: Annotated[str, typer.Option(help="The importer: person:NAME or system:NAME.")] = OPERATOR,
    to_events: Annotated[
        Path | None, typer.Option("--to-events", help="Record nothing; write CloudEvents to post over HTTP.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """Import a table of old records by a mapping. It can be stopped and run again; nothing is recorded twice."""
    if to_events is not None:
        refuse_idle(context, "with --to-events: events are recorded by the key that posts them", "by")
    if (report, refused, to_events) == (None, None, None):
        refuse_idle(context, "without --report, --refused or --to-events", "force")
    options = ImportOptions(file, mapping, by, sheet, dry_run, report, refused, stop_after, to_events)
    _check(options, force=force)
    summary = Summary()
    began = time.monotonic()
    try:
        parsed = _mapping(options)
        with open_table(options.file, parsed.file, options.sheet) as table:
            reader = LineReader.of_table(parsed, table, options.by)
            _run(data_of(context), options, parsed, table, reader, summary)
    except MappingError as error:
        raise UsageError(f"{options.mapping} does not fit {options.file}: {error}") from None
    except UnreadableTableError as error:
        raise UsageError(str(error)) from None
    except BrokenTableError as error:
        raise UsageError(
            f"{options.file}: {error}; fix it and import the file again, nothing is recorded twice "
            f"(before it: {summary.tally})"
        ) from None
    except KeyboardInterrupt:
        if summary.tally.lines:
            again = "nothing was recorded" if options.dry_run else "the same command continues from there"
            err().print(f"Stopped after line {summary.tally.last_line}: {summary.tally}; {again}", soft_wrap=True)
        raise
    print_summary(options, summary, time.monotonic() - began, as_json=as_json)
    return 1 if summary.tally.refused else 0


def _check(options: ImportOptions, *, force: bool) -> None:
    """Check the options before anything is opened."""
    try:
        _actor.validate_python(options.by)
    except ValidationError:
        raise UsageError(f"--by {options.by} is not an actor; write person:NAME, station:ID or system:NAME") from None
    if options.sheet and not is_excel(options.file):
        raise UsageError(f"--sheet {options.sheet} is for Excel files, and {options.file} is not one; leave it out")
    if options.events and options.dry_run:
        raise UsageError("--to-events never records anything; leave out --dry-run")
    written = {"--report": options.report, "--refused": options.refused, "--to-events": options.events}
    used = {options.file.resolve(): "the file that is imported"}
    if options.mapping:
        used[options.mapping.resolve()] = "the mapping"
    for option, path in written.items():
        if path is None:
            continue
        if (other := used.get(path.resolve())) is not None:
            raise UsageError(f"{option} {path} is {other}; name another file")
        used[path.resolve()] = f"also named by {option}"
        if path == options.refused and path.exists() and not force:
            raise UsageError(
                f"{option} {path} exists and may hold corrected lines; name another file, or replace it with --force"
            )
        check_output(path, option, force=force)
    kind = ending_of(options.file)
    if options.refused and ending_of(options.refused) != kind:
        raise UsageError(f"--refused {options.refused} is imported like {options.file}, so it must end in {kind}")


def _mapping(options: ImportOptions) -> Mapping:
    if options.mapping is None:
        with open_table(options.file, FileForm(), options.sheet) as table:
            columns = Columns(table.columns).listed()
        raise UsageError(
            f"--mapping is missing; {options.file} has the columns {columns}. A mapping says which command each line "
            f"becomes ({', '.join(IMPORTED_COMMANDS)}), and from which columns: start from a file in docs/import/"
        )
    try:
        return _with_value_files(parse_mapping(options.mapping.read_text("utf-8-sig")), options.mapping.parent)
    except FileNotFoundError:
        raise UsageError(f"--mapping {options.mapping} does not exist; check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"--mapping {options.mapping} is not UTF-8; save it as UTF-8") from None
    except MappingError as error:
        raise UsageError(f"{options.mapping} cannot be used: {error}") from None


def _with_value_files(mapping: Mapping, folder: Path) -> Mapping:
    """Read the tables of values that a mapping names, such as those of cards and volunteers: two columns each."""
    for name, source in mapping.fields.items():
        if source.values_file is None:
            continue
        path = folder / source.values_file
        values: dict[str, str] = {}
        with open_table(path, FileForm(header_line=0, delimiter="\t" if path.suffix == ".tsv" else ",")) as table:
            for row in table.rows:
                try:
                    cells = [label_of(row.cells[0]), *map(identifier_of, row.cells[1:])]
                except CellError as error:
                    raise UsageError(f"{path} line {row.line}: {error}") from None
                if len(cells) != 2 or not all(cells):
                    raise UsageError(
                        f"{path} line {row.line}: write two columns, the cell and the {name} it stands for"
                    )
                if values.setdefault(cells[0], cells[1]) != cells[1]:
                    raise UsageError(f"{path} line {row.line}: {quoted(cells[0])} stands for two; remove one")
        mapping = with_values(mapping, name, values)
    return mapping


def _run(
    data: Path, options: ImportOptions, mapping: Mapping, table: Table, reader: LineReader, summary: Summary
) -> None:
    title = f"{'Checking' if options.dry_run else 'Importing'} {options.file.name}"
    with ExitStack() as stack:
        report_progress = stack.enter_context(stages(title))
        if options.events:
            temporary = stack.enter_context(atomic_file(options.events, export=True))
            file = stack.enter_context(temporary.open("w", encoding="utf-8"))
            lines = read_lines(options.file, table, reader, mapping, options.sheet, None)
            _report_all(options, mapping, table, reader, outcomes(lines, writing(file)), summary, report_progress)
            return
        ledger = stack.enter_context(open_ledger(data))
        lines = read_lines(options.file, table, reader, mapping, options.sheet, ledger.log)
        execute = rehearsing(ledger) if options.dry_run else recording(ledger)
        slices = outcomes(lines, execute, ledger)
        _report_all(options, mapping, table, reader, slices, summary, report_progress)
        if options.dry_run and summary.punches:
            report_progress("pairing punches", 0, 0)
            summary.pairing = summary.punches.paired(ledger)
        if not options.dry_run:
            _catch_up(ledger, report_progress)


def _report_all(
    options: ImportOptions,
    mapping: Mapping,
    table: Table,
    reader: LineReader,
    slices: Iterator[list[Outcome]],
    summary: Summary,
    report_progress: Progress,
) -> None:
    """Process all slices, writing their outcomes to the reports."""
    sheet = options.sheet or mapping.file.sheet
    with (
        reports(table, reader, mapping.file, options.report, options.refused, sheet, dry_run=options.dry_run) as opened,
        _infrequent_gc(),
    ):
        for slice_ in slices:
            summary.add(slice_, reader)
            if options.dry_run:
                summary.punches.add(slice_)
            for report in opened:
                report.write(slice_)
            if options.stop_after is not None and summary.tally.refused >= options.stop_after:
                summary.stopped = True
                break
            report_progress("", summary.tally.lines, _total_lines(table, summary.tally.lines))


def _total_lines(table: Table, lines: int) -> int:
    """Return an estimate of the lines of a table; 0 if it has no known size."""
    done = table.done()
    return round(lines * max(table.size, done) / done) if done and table.size else 0


@contextmanager
def _infrequent_gc() -> Iterator[None]:
    """Run Python's garbage collector less often: cells are many, and reference cycles are rare."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_OBJECTS, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _catch_up(ledger: OpenLedger, report_progress: Progress) -> None:
    """Bring the read models to the head of the log, if no server does."""
    follower = Follower(ledger.database)
    try:
        start = ledger.current_generation().position
    except NoGenerationError:
        return
    head, done = int(ledger.log.head()), start
    while taken := follower.process_batch():
        done += taken
        report_progress("read models", min(done, head) - start, head - start)
