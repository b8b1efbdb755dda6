"""Running: the lines of a table through the ledger, a slice at a time.

A slice is one transaction, so that a counter waits for a thousand records at most, and whatever stops an import leaves
whole slices. As every record has a name, the same import goes on where it stopped: what is there is a duplicate.

Personal data go into the directory of persons before the slice that registers them, and only of volunteers whom the
ledger does not know yet: nobody who was erased comes back because an old file is imported again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from api.importing.lines import Line
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
    """What became of a line. `fault`: why it is not in the ledger; `read`: whether it made sense so far."""

    line: Line
    answer: Accepted | None
    fault: Fault | None

    @property
    def word(self) -> str:
        """It as a word, of a line that was to be recorded."""
        if self.answer is None:
            return "malformed" if isinstance(self.line.order, Fault) else "refused"
        return "duplicate" if self.answer.duplicate else "accepted"


@dataclass
class Tally:
    """What became of the lines so far."""

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
"""What is done with the lines of a slice that make sense."""


def outcomes(lines: Iterator[Line], execute: Execute) -> Iterator[list[Outcome]]:
    """Yield what became of the lines, a slice at a time; the lines before a broken one are taken first."""
    while True:
        slice_, trouble = _take(lines)
        if slice_:
            answers = iter(execute([line for line in slice_ if isinstance(line.order, Order)]))
            yield [_outcome(line, next(answers) if isinstance(line.order, Order) else line.order) for line in slice_]
        if trouble:
            raise trouble
        if len(slice_) < SLICE_LINES:
            return


def _take(lines: Iterator[Line]) -> tuple[list[Line], Exception | None]:
    taken: list[Line] = []
    try:
        for line in lines:
            taken.append(line)
            if len(taken) == SLICE_LINES:
                break
    except Exception as error:  # noqa: BLE001 - raised again, once what came before it has been taken
        return taken, error
    return taken, None


def _outcome(line: Line, answer: Answer | Fault) -> Outcome:
    if isinstance(answer, Accepted):
        return Outcome(line, answer, None)
    if isinstance(answer, Fault):
        return Outcome(line, None, answer)
    if answer.rejection is Rejection.NAME_TAKEN and isinstance(line.order, Order):
        detail = f"the record {line.order.id} was imported before, from this file or another, and said something else"
        remedy = "correct the record in the ledger, or give this line a key of its own"
        return Outcome(line, None, fault("name-taken", f"{detail}; {remedy}", field="key", remedy=remedy))
    return Outcome(line, None, fault_of_refusal(answer))


def recording(ledger: OpenLedger) -> Execute:
    """Return what records lines."""
    persons = Persons(ledger.database.pool)

    def execute(lines: Sequence[Line]) -> list[Answer]:
        new = _new_persons(ledger, lines)
        if new:
            persons.remember_all(new.values())
        answers = ledger.intake.execute(_orders(lines))
        registered = {
            line.person.volunteer
            for line, answer in zip(lines, answers, strict=True)
            if line.person and isinstance(answer, Accepted)
        }
        if unwanted := new.keys() - registered:
            persons.forget(unwanted)
        return answers

    return execute


def rehearsing(ledger: OpenLedger) -> Execute:
    """Return what finds out how lines would be answered."""
    rehearsal = Rehearsal(ledger.database, ledger.clock)
    return lambda lines: rehearsal.execute(_orders(lines))


def _orders(lines: Sequence[Line]) -> list[Order]:
    return [line.order for line in lines if isinstance(line.order, Order)]


def _new_persons(ledger: OpenLedger, lines: Sequence[Line]) -> dict[str, Person]:
    """Return the persons of whom the ledger knows nothing yet, each as the first line has it."""
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
