"""Running an import: submit the lines of a table to the ledger, a slice at a time.

A slice is one transaction, so that a station waits for a thousand records at most, and an interrupted import leaves
only complete slices. As every record has a name, the same import can be repeated after an interruption: records that
exist already are duplicates.

Personal data are stored in the directory of persons before the slice that registers them, and only for volunteers whom
the ledger does not know yet: importing an old file again does not restore erased data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from api.importing.cells import shortened
from api.importing.lines import Line
from api.messages.cloud_events import event_type
from api.messages.problems import Fault, fault, fault_of_refusal
from api.operations.service import OpenLedger
from ledger.aggregates import Order
from ledger.intake.answers import Accepted, Answer
from ledger.intake.rehearsal import Rehearsal
from ledger.names import stream
from ledger.rejections import Rejection
from ledger.store.persons import Person, Persons

SLICE_LINES = 1000


class Outcome(NamedTuple):
    """The outcome of a line: the ledger's acceptance, or the fault for which it is not in the ledger."""

    line: Line
    answer: Accepted | None
    fault: Fault | None

    @property
    def word(self) -> str:
        """The outcome in one word, for reports."""
        if self.answer is None:
            return "malformed" if isinstance(self.line.order, Fault) else "refused"
        return "duplicate" if self.answer.duplicate else "accepted"


@dataclass
class Tally:
    """The counts of outcomes so far."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    last_line: int = 0
    position: int | None = None
    by_rule: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Refused lines by rejection and field."""

    def add(self, outcome: Outcome) -> None:
        """Count a line."""
        self.lines += 1
        self.last_line = outcome.line.number
        if outcome.fault:
            self.refused += 1
            self.by_rule[outcome.fault.rejection, outcome.fault.field or ""] += 1
        elif outcome.answer:
            self.duplicates += outcome.answer.duplicate
            self.accepted += not outcome.answer.duplicate
            self.position = max(outcome.answer.position or 0, self.position or 0) or None

    def __str__(self) -> str:
        """Return the counts."""
        return f"{self.accepted:,} accepted, {self.duplicates:,} duplicates, {self.refused:,} refused"


Execute = Callable[[Sequence[Line]], list[Answer]]
"""Submit the valid lines of a slice; return their answers in order."""


def outcomes(lines: Iterator[Line], execute: Execute) -> Iterator[list[Outcome]]:
    """Yield the outcomes of lines, a slice at a time. An error of `lines` is raised after the lines before it."""
    while True:
        slice_, error = _next_slice(lines)
        if slice_:
            answers = iter(execute([line for line in slice_ if isinstance(line.order, Order)]))
            yield [_outcome(line, next(answers) if isinstance(line.order, Order) else line.order) for line in slice_]
        if error:
            raise error
        if len(slice_) < SLICE_LINES:
            return


def _next_slice(lines: Iterator[Line]) -> tuple[list[Line], Exception | None]:
    slice_: list[Line] = []
    try:
        for line in lines:
            slice_.append(line)
            if len(slice_) == SLICE_LINES:
                break
    except Exception as error:  # noqa: BLE001 - raised again after the lines before it
        return slice_, error
    return slice_, None


def _outcome(line: Line, answer: Answer | Fault) -> Outcome:
    if isinstance(answer, Accepted):
        return Outcome(line, answer, None)
    if isinstance(answer, Fault):
        return Outcome(line, None, answer)
    if answer.rejection is Rejection.NAME_TAKEN and isinstance(line.order, Order):
        detail = (
            f"the record {shortened(line.order.id)} was imported before, from this file or another, with other content"
        )
        remedy = "correct the record in the ledger, or give this line another key"
        return Outcome(line, None, fault("name-taken", f"{detail}; {remedy}", field="key", remedy=remedy))
    return Outcome(line, None, fault_of_refusal(answer))


def recording(ledger: OpenLedger) -> Execute:
    """Return a function that records lines."""
    persons = Persons(ledger.database.pool)

    def execute(lines: Sequence[Line]) -> list[Answer]:
        new = _new_persons(ledger, lines)
        if new:
            persons.save_all(new.values())
        answers = ledger.intake.execute(_orders(lines))
        registered = {
            line.person.volunteer
            for line, answer in zip(lines, answers, strict=True)
            if line.person and isinstance(answer, Accepted)
        }
        if refused := new.keys() - registered:
            persons.remove(refused)
        return answers

    return execute


def rehearsing(ledger: OpenLedger) -> Execute:
    """Return a function that decides lines without recording them."""
    rehearsal = Rehearsal(ledger.database, ledger.clock)
    return lambda lines: rehearsal.execute(_orders(lines))


def writing(file: IO[str]) -> Execute:
    """Return a function that writes lines to a file as CloudEvents, to be posted to another ledger."""

    def execute(lines: Sequence[Line]) -> list[Answer]:
        orders = _orders(lines)
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


def _orders(lines: Sequence[Line]) -> list[Order]:
    return [line.order for line in lines if isinstance(line.order, Order)]


def _new_persons(ledger: OpenLedger, lines: Sequence[Line]) -> dict[str, Person]:
    """Return the persons whose number the ledger does not know yet, by number; the first line of a number counts."""
    found: dict[str, Person] = {}
    for line in lines:
        if line.person:
            found.setdefault(line.person.volunteer, line.person)
    if not found:
        return found
    streams = {stream("volunteer", number): number for number in found}
    for known in ledger.log.read_streams(streams):
        del found[streams[known]]
    return found
