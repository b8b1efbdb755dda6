"""One batch of orders in one transaction: what is read, how each is decided, and what is written.

    read what the orders touch and no earlier batch learned -> decide each in memory -> COPY events and commands

The server stores the first events while the next orders are decided; what a decision has to read meanwhile, it reads
over a second connection: the lock is held, so that one sees the same log. `ledger/intake/intake.py` begins and ends the
transaction.

Errors: psycopg's; `UniqueViolation` when what was remembered of the log is no longer true, and `ForgottenError` when a
refused order bears a name that was answered before. Nothing is written then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from ledger.aggregates import Case, Event, decide
from ledger.aggregates.shift import ShiftEvent
from ledger.intake.answers import Accepted, Answer
from ledger.intake.memory import Answered, Memory
from ledger.intake.prepare import Prepared
from ledger.intake.streams import BatchStreams
from ledger.names import Position
from ledger.rejections import Refused, Rejection, refuse
from ledger.store.append import Append
from ledger.store.copy_format import command_row, event_row
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode, encode
from ledger.store.persons import Text

CHUNK_ORDERS = 250
"""So many orders are decided before their events are sent: enough that sending costs little, few enough that the
server has something to do while the next are decided."""

Clock = Callable[[], int]


class ForgottenError(Exception):
    """An order was refused whose name the log has an answer for, which nobody here remembers."""


class Batch:
    """One transaction's work."""

    def __init__(
        self,
        append: Append,
        log: LogQueries,
        items: Sequence[Prepared],
        clock: Clock,
        memory: Memory,
        *,
        careful: bool,
    ) -> None:
        self._append = append
        self._log = log
        self._items = items
        self._memory = memory
        self._careful = careful
        self._head, last_recorded_at = read_head(append.log)
        self._position = int(self._head)
        self._clock = clock()
        self._now = max(self._clock, last_recorded_at)  # recorded_at never goes back, even when the clock does
        self._streams = BatchStreams(append.log, memory, careful=careful)
        self._answered: dict[bytes, Answered] = {}
        """Names that were answered before this batch, where nobody remembered them, or are answered in it."""
        self._new_names: dict[bytes, Answered] = {}
        self._texts: list[Text] = []
        self._refused: list[bytes] = []
        self.repeats = False
        """Whether there were old orders, which nobody remembered."""
        self.recorded = True
        """Whether the transaction is to be committed."""

    def execute(self) -> list[Answer]:
        """Decide the orders one after the other, and write what they come to."""
        answers: list[Answer] = []
        self._read()
        with self._append.events() as write:
            self._streams.log = self._log
            for start in range(0, len(self._items), CHUNK_ORDERS):
                rows: list[bytes] = []
                chunk = self._items[start : start + CHUNK_ORDERS]
                answers += [self._answer_again(one) or self._decide(one, rows) for one in chunk]
                write(b"".join(rows))
        if self._refused and not self._careful and self._append.log.answered(self._refused):
            raise ForgottenError  # no unique index would object: nothing is written under these names
        if self._new_names:
            # In the order of the names their index is gone through from one end to the other.
            rows = [command_row(name, one.content, one.position) for name, one in sorted(self._new_names.items())]
            self._append.commands(b"".join(rows))
            self._append.texts(self._texts)
            self._append.notify(Position(self._position))
        return answers

    def remember(self) -> None:
        """Remember what this transaction learned, once it has been committed."""
        self._memory.learn(self._streams.newly_known)
        self._memory.names.update(self._new_names)
        self._memory.versions.update(self._streams.new_versions)

    def _read(self) -> None:
        """Read what deciding will ask, as far as it is not remembered."""
        if self._careful:
            self._answered = answered_before(self._append.log, [one.name for one in self._items])
            self.repeats = bool(self._answered)
        self._streams.read_for([one for one in self._items if one.name not in self._answered])

    def _answer_again(self, one: Prepared) -> Answer | None:
        """Answer an order whose name was answered before."""
        before = self._answered.get(one.name)
        if before is None and not self._careful:
            before = self._memory.names.get(one.name)
        return None if before is None else answer_again(one, before)

    def _decide(self, one: Prepared, rows: list[bytes]) -> Answer:
        """Decide an order, and add the rows of its events."""
        order, text = one.order, one.text
        note = text.digest if text else None
        decision = decide(Case(order, self._streams, self._now, note, self._clock, self._head))
        if isinstance(decision, Refused):
            self._refused.append(one.name)
            return decision
        if text:  # it is erased with whom it is about, whom a decision about a request has found out
            about = (getattr(event, "volunteer", None) for event in decision)
            self._texts.append(text._replace(volunteer=text.volunteer or next(filter(None, about), None)))
        position = self._position
        for event in decision:
            topic, state = encode(event)
            stream, version = self._streams.append(event, topic, state, one.shift)
            position += 1
            rows.append(event_row(stream, version, topic, state, position))
        self._position = position
        shift = _shift_of(decision[-1])
        self._answered[one.name] = self._new_names[one.name] = Answered(one.content, position, shift)
        return Accepted(Position(position), False, shift)  # noqa: FBT003 - by position

    def not_alone(self, answers: Sequence[Answer]) -> list[Answer]:
        """Answer orders of which some were refused and so none is recorded; what was there is there."""
        self.recorded = False
        return [
            refuse(Rejection.NOT_ALONE, "command", one.order.name) if self._is_new(answer) else answer
            for one, answer in zip(self._items, answers, strict=True)
        ]

    def as_if(self, answers: Sequence[Answer]) -> list[Answer]:
        """Answer orders that were decided and are not recorded: they have no positions."""
        self.recorded = False
        return [
            answer._replace(position=None) if isinstance(answer, Accepted) and self._is_new(answer) else answer
            for answer in answers
        ]

    def _is_new(self, answer: Answer) -> bool:
        return isinstance(answer, Accepted) and answer.position is not None and answer.position > self._head


def answered_before(log: LogQueries, names: Collection[bytes]) -> dict[bytes, Answered]:
    """Return what the log says of those names that were answered before."""
    return {
        name.bytes: Answered(content.bytes, position, _shift_of(decode(topic, state)))
        for name, content, position, topic, state in log.answered(names)
    }


def answer_again(one: Prepared, before: Answered) -> Answer:
    """Answer a name that was answered before; position 0 is that of an order which is not recorded."""
    if before.content != one.content:
        return refuse(Rejection.NAME_TAKEN, "id", one.order.name)
    return Accepted(Position(before.position) if before.position else None, duplicate=True, shift=before.shift)


def _shift_of(event: Event) -> UUID | None:
    return event.shift if isinstance(event, ShiftEvent) else None


def read_head(log: LogQueries) -> tuple[Position, int]:
    """Return the last event's position and instant of recording, zeros for an empty log."""
    last = log.last_event()
    return (last.position, decode(last.topic, last.state).recorded_at) if last else (Position(0), 0)
