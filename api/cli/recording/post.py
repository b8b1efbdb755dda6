"""`hours post`: post a file of CloudEvents, one a line, through the intake of this process.

Each chunk of lines is one transaction, so recorded events stay recorded if a later line fails. Every event has a name;
when the same file is posted again, recorded events are counted as duplicates.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from api.cli.options import OPERATOR, Json, data_of
from api.cli.output import Advance, out, print_json, print_table, progress
from api.http.requests.submission import refused_for_content
from api.messages.answers import notes_on
from api.messages.cloud_events import read_event
from api.messages.json_bodies import BYTE_ORDER_MARK
from api.messages.problems import Fault, fault, fault_of_refusal
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.aggregates import Order, Sender
from ledger.aggregates.scans import SCANS
from ledger.intake.answers import Accepted
from ledger.names import CallingActor

CHUNK_LINES = 2000
REFUSALS_SHOWN_MAX = 1000
"""The number of refusals that are listed; all are counted."""

_actor: TypeAdapter[str] = TypeAdapter(CallingActor)


@dataclass
class Posted:
    """The outcomes of the lines posted so far."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    position: int | None = None
    by_rule: Counter[str] = field(default_factory=Counter)
    refusals: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was read otherwise than it was written."""

    def __str__(self) -> str:
        """Return the counts."""
        return f"{self.accepted} accepted, {self.duplicates} duplicates, {self.refused} refused"


class _BrokenLineError(Exception):
    """A line that is not JSON; the lines before it are valid."""


def post(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="CloudEvents, one JSON object per line; - reads standard input.")],
    *,
    by: Annotated[str, typer.Option(help="The sender: person:NAME, station:ID or system:NAME.")] = OPERATOR,
    imported: Annotated[bool, typer.Option("--imported", help="These are old records, which are not late.")] = False,
    as_json: Json = False,
) -> int:
    """Post a file of events. Events recorded before are not recorded again, so a file may be posted twice."""
    try:
        _actor.validate_python(by)
    except ValidationError:
        raise UsageError(f"--by {by} is not an actor; write person:NAME, station:ID or system:NAME") from None
    posted = Posted()
    with (
        _opened(file) as (stream, size),
        open_ledger(data_of(context)) as ledger,
        progress(f"Posting {file}") as advance,
    ):
        try:
            for chunk in _chunks(stream, Sender.of_operator(by), size, advance, posted.notes):
                _record(ledger, [(number, _allowed(order, imported=imported)) for number, order in chunk], posted)
        except _BrokenLineError as error:
            raise UsageError(
                f"{file} {error}; fix it and post the file again, nothing is recorded twice (before it: {posted})"
            ) from None
        ledger.catch_up()
    _print_posted(posted, file, as_json=as_json)
    return 1 if posted.refused else 0


@contextmanager
def _opened(file: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """Open the file; yield it with its size, None for standard input."""
    if file == "-":
        yield sys.stdin.buffer, None
        return
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{file} is not a file; check the path")
    with path.open("rb") as stream:
        yield stream, os.fstat(stream.fileno()).st_size


def _chunks(
    stream: IO[bytes], sender: Sender, size: int | None, advance: Advance, notes: list[str]
) -> Iterator[list[tuple[int, Order | Fault]]]:
    """Yield chunks of numbered orders; the lines before a broken line are yielded before the error is raised."""
    chunk: list[tuple[int, Order | Fault]] = []
    done = 0
    for number, line in enumerate(stream, 1):
        done += len(line)
        if not line.removeprefix(BYTE_ORDER_MARK).strip():
            continue
        order = read_event(line, sender)
        if isinstance(order, Fault) and order.rejection == "malformed":
            yield chunk
            if not line.endswith(b"\n"):
                raise _BrokenLineError(f"is cut off in line {number}")
            reason = order.detail.partition(" is not JSON: ")[2].partition(";")[0]
            raise _BrokenLineError(f"line {number} is not JSON: {reason}")
        if (found := notes_on(line)) and len(notes) < REFUSALS_SHOWN_MAX:
            notes.extend(f"line {number}: {note}" for note in found)
        chunk.append((number, order))
        if len(chunk) == CHUNK_LINES:
            yield chunk
            chunk = []
            if size:
                advance(done, size)
    yield chunk


def _allowed(order: Order | Fault, *, imported: bool) -> Order | Fault:
    if isinstance(order, Fault):
        return order
    # The operator uploads what stations scanned, or old records, which stay marked; any other person enters shifts.
    person = order.by.startswith("person:") and order.by != OPERATOR
    if order.command.TYPE in SCANS and person and not (order.imported or imported):
        remedy = "enter the shift with attest-shift, or post a station's own events with --by station:ID"
        return fault("forbidden", f"{order.by} is a person, who scans nothing; {remedy}", field="by", remedy=remedy)
    return refused_for_content(order.command) or order._replace(imported=order.imported or imported)


def _record(ledger: OpenLedger, read: list[tuple[int, Order | Fault]], posted: Posted) -> None:
    """Record a chunk and count its answers."""
    answers = iter(ledger.intake.execute([order for _, order in read if isinstance(order, Order)]))
    for line, order in read:
        answer = next(answers) if isinstance(order, Order) else order
        if isinstance(answer, Accepted):
            posted.duplicates += answer.duplicate
            posted.accepted += not answer.duplicate
            posted.position = max(answer.position or 0, posted.position or 0)
            continue
        fault = answer if isinstance(answer, Fault) else fault_of_refusal(answer)
        posted.refused += 1
        posted.by_rule[fault.rejection] += 1
        if len(posted.refusals) < REFUSALS_SHOWN_MAX:
            posted.refusals.append(
                {
                    "line": line,
                    "rejection": fault.rejection,
                    "field": fault.field,
                    "detail": fault.detail,
                    "retry": fault.retry,
                    "candidates": [str(shift) for shift in fault.candidates],
                    **_versions(fault),
                }
            )


def _versions(fault: Fault) -> dict[str, int]:
    """Return the versions of a record that has changed since an event was based on it; nothing for other faults."""
    versions = {"expected_version": fault.expected_version, "actual_version": fault.actual_version}
    return {name: version for name, version in versions.items() if version is not None}


def _print_posted(posted: Posted, file: str, *, as_json: bool) -> None:
    if as_json:
        counts = {name: value for name, value in vars(posted).items() if name != "by_rule"}
        print_json({**counts, "refused_by_rule": dict(posted.by_rule)})
        return
    out().print(f"{file}: {posted}" + (f"; the last position is {posted.position}" if posted.position else ""))
    for note in posted.notes[:20]:
        out().print(note)
    if posted.refusals:
        rows = [(refusal["line"], refusal["rejection"], refusal["detail"]) for refusal in posted.refusals[:20]]
        more = f"and {posted.refused - 20} more: --json lists them" if posted.refused > 20 else ""
        print_table("Refused", ("line", "rule", "why"), rows, more)
