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
from dataclasses import dataclass, field, replace
from typing import IO, NamedTuple

from api.importing.cells import quoted
from api.importing.lines import Line, of_totals
from api.messages.cloud_events import event_type
from api.messages.problems import Fault, fault, fault_of_refusal
from api.operations.service import OpenLedger
from ledger.aggregates import Order
from ledger.aggregates.shift import ShiftEvent
from ledger.intake.answers import Accepted, Answer
from ledger.intake.prepare import content_digest, name_digest, name_digests
from ledger.intake.rehearsal import Rehearsal
from ledger.names import stream
from ledger.rejections import Refused, Rejection, refuse
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from ledger.store.persons import Person, Persons, differing_fields

SLICE_LINES = 1000


class Outcome(NamedTuple):
    """The outcome of a line: the ledger's acceptance, or the fault for which it is not in the ledger.

    `differs`: the personal data of a registered volunteer that the directory has otherwise, or not at all.
    """

    line: Line
    answer: Accepted | None
    fault: Fault | None
    differs: tuple[str, ...] = ()

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
    differing: int = 0
    last_line: int = 0
    position: int | None = None
    by_rule: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Refused lines by rejection and field."""

    def add(self, outcome: Outcome) -> None:
        """Count a line."""
        self.lines += 1
        self.last_line = outcome.line.number
        self.differing += bool(outcome.differs)
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


def outcomes(lines: Iterator[Line], execute: Execute, ledger: OpenLedger | None = None) -> Iterator[list[Outcome]]:
    """Yield the outcomes of lines, a slice at a time. An error of `lines` is raised after the lines before it.

    Args:
        ledger: the one that the lines are submitted to, if any; a refusal can then say what its log has, and a line of
            a registered volunteer is compared with the directory of persons.
    """
    log = None if ledger is None else ledger.log
    start = 0 if log is None else int(log.head())
    for slice_, error in _slices(lines):
        if slice_:
            orders = _orders(slice_)
            answers = execute([line for line in slice_ if isinstance(line.order, Order)])
            places = _places_of_taken(orders, answers, log, start)
            faults = iter(
                answer if isinstance(answer, Accepted) else _fault_of(order, answer, places)
                for order, answer in zip(orders, answers, strict=True)
            )
            found = [_outcome(line, line.order if isinstance(line.order, Fault) else next(faults)) for line in slice_]
            yield found if ledger is None else _compared(found, ledger)
        if error:
            raise error


def as_recorded(lines: Iterator[Line], log: LogQueries) -> Iterator[Line]:
    """Yield lines; a record that the ledger has under the id that earlier versions gave it keeps that id."""
    for slice_, error in _slices(lines):
        former = {
            name_digests(order)[0]: order
            for line in slice_
            if line.former_id and isinstance(line.order, Order) and (order := line.order._replace(id=line.former_id))
        }
        recorded = {former[name.bytes].id for name, *_ in log.answered(former)} if former else set()
        for line in slice_:
            current, former_id = line.order, line.former_id
            if isinstance(current, Order) and former_id is not None and former_id in recorded:
                yield line._replace(order=current._replace(id=former_id))
            else:
                yield line
        if error:
            raise error


def _slices(lines: Iterator[Line]) -> Iterator[tuple[list[Line], Exception | None]]:
    """Yield lines in slices; the last one with the error that ended them, if one did."""
    while True:
        slice_, error = _next_slice(lines)
        yield slice_, error
        if error or len(slice_) < SLICE_LINES:
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


def _outcome(line: Line, answer: Accepted | Fault) -> Outcome:
    if isinstance(answer, Accepted):
        return Outcome(line, answer, None)
    return Outcome(line, None, answer if isinstance(line.order, Fault) else of_totals(answer, line.cells))


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

    written: dict[bytes, bytes] = {}

    def submit(order: Order) -> Answer:
        name, content = name_digest(order.name), content_digest(order.command)
        if (before := written.get(name)) is not None:
            same = before == content
            return (
                Accepted(None, duplicate=True, shift=None) if same else refuse(Rejection.NAME_TAKEN, "id", order.name)
            )
        written[name] = content
        file.write(json.dumps(event_of(order), ensure_ascii=False) + "\n")
        return Accepted(None, duplicate=False, shift=None)

    return lambda lines: [submit(order) for order in _orders(lines)]


def event_of(order: Order) -> dict[str, object]:
    """Return an order as a CloudEvent of an old record."""
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


def _compared(found: Sequence[Outcome], ledger: OpenLedger) -> list[Outcome]:
    """Return outcomes with what the directory has otherwise of those who were registered before."""
    old = {each.line.person.volunteer for each in found if each.line.person and each.word != "accepted"}
    streams = {stream("volunteer", number): number for number in old}
    known = {streams[each] for each in ledger.log.read_streams(streams)} if old else set()
    if not known:
        return list(found)
    directory = Persons(ledger.database.pool).find_all(known)

    def differs(outcome: Outcome) -> tuple[str, ...]:
        person = outcome.line.person
        if person is None or outcome.word == "accepted" or person.volunteer not in known:
            return ()
        return differing_fields(person, directory.get(person.volunteer))

    return [outcome._replace(differs=differs(outcome)) for outcome in found]


# --- refusals, as they concern a line of a table --------------------------------------------------------------------

_CHANGED = {
    "attest-shift": "correct the shift with correct-shift",
    "punch": "correct the shift with correct-shift",
    "record-opening-balance": "void the balance with void-opening-balance",
    "record-training": "void the training with void-training",
    "raise-day-cap": "withdraw the raise with withdraw-day-cap-raise",
    "count-people-served": "count again with count-people-served",
}
"""How a record is changed that the ledger has, by the command that made it. An import changes none."""


def _places_of_taken(
    orders: Sequence[Order], answers: Sequence[Answer], log: LogQueries | None, start: int
) -> dict[str, str]:
    """Return where the ledger had the records whose names are taken, by name, before the import began: for messages."""
    taken = {
        digest: order.name
        for order, answer in zip(orders, answers, strict=True)
        if isinstance(answer, Refused) and answer.rejection is Rejection.NAME_TAKEN
        for digest in name_digests(order)
        if digest is not None
    }
    if log is None or not taken:
        return {}
    places: dict[str, str] = {}
    for name, _, position, topic, state in log.answered(taken):
        if position > start:
            continue
        event = decode(topic, state)
        shift = f" (shift {event.shift} of {event.volunteer})" if isinstance(event, ShiftEvent) else ""
        places[taken[name.bytes]] = f"at position {position}{shift}"
    return places


def _fault_of(order: Order, refused: Refused, places: dict[str, str]) -> Fault:
    """Return a refusal as the fault of a line, with a remedy that can be followed in an import."""
    about = refused.detail.removesuffix(f": {refused.rejection.sentence}")
    match refused.rejection:
        case Rejection.NAME_TAKEN:
            place = places.get(order.name)
            where = f"the ledger has other content {place}" if place else "an earlier line has other content"
            changed = _CHANGED.get(order.command.TYPE, "enter the change in the ledger as a record of its own")
            remedy = f"write another key if this is another record; if the record has changed, {changed}"
            sentence = f"under the key {quoted(order.id)} {where}"
            return fault("name-taken", f"{sentence}; {remedy}", field="key", remedy=remedy)
        case Rejection.FUTURE:
            remedy = "correct the day"
            return fault("future", f"{about} is in the future; {remedy}", field=refused.field, remedy=remedy)
        case Rejection.UNKNOWN_VOLUNTEER if str(getattr(order.command, refused.field, "")).isdigit():
            found = fault_of_refusal(refused)
            remedy = f"{found.remedy}; if the number has lost its first zeros, set digits for {refused.field}"
            return replace(found, detail=f"{about}: no volunteer has this number; {remedy}", remedy=remedy)
        case _:
            return fault_of_refusal(refused)
