"""One batch of orders in one transaction: what is read, how each order is decided, and what is written.

    read what the orders need and the cache lacks -> decide each in memory -> COPY events and commands

The server stores the first events while the next orders are decided. What a decision reads meanwhile, it reads over a
second connection, which sees the same log because the writers' lock is held. `ledger/intake/intake.py` begins and ends
the transaction.

Errors: psycopg's; `UniqueViolation` if the cache was out of date, and `ForgottenError` if a refused order has a name
that was answered before. In both cases nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from ledger.aggregates import Case, Event, decide
from ledger.aggregates.scans import Scan
from ledger.aggregates.shift import Punched, ShiftEvent
from ledger.deciding.base import Noted, Personal
from ledger.intake.answers import Accepted, Answer
from ledger.intake.memory import Answered, Memory
from ledger.intake.prepare import Prepared, Proof
from ledger.intake.streams import BatchStreams, refused_as_too_large
from ledger.names import Position
from ledger.rejections import Refused, Rejection, refuse
from ledger.store.append import Append, EarlyScan
from ledger.store.copy_format import command_row, event_row
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode, encode
from ledger.store.persons import Text

CHUNK_ORDERS = 250
"""The number of orders that are decided before their events are sent: large enough to make sending cheap, small enough
to keep the server busy while the next orders are decided."""

FORGET_EARLY_EVERY = 1000
"""After so many new early scans those beyond the latest are dropped."""

Clock = Callable[[], int]


class ForgottenError(Exception):
    """The log has an answer to the name of a refused order, and the cache did not."""


class Batch:
    """The work of one transaction. `careful`: the cache is not trusted, and names are looked up in the log."""

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
        self._now = max(self._clock, last_recorded_at)  # recorded_at never goes back, even if the clock does
        self._streams = BatchStreams(append.log, memory, careful=careful)
        self._answered: dict[bytes, Answered] = {}
        """Names answered before this batch, as found in the log, and names answered in it."""
        self._new_names: dict[bytes, Answered] = {}
        self._texts: list[Text] = []
        self._about: dict[bytes, tuple[str, ...]] = {}
        """The volunteers whom the texts of new orders are about, by the digest of the order's name."""
        self._refused: list[bytes] = []
        self._early: dict[bytes, EarlyScan] = {}
        """Scans of stations that lie in the future, by name, that are not known to be stored."""
        self.repeats = False
        """Whether there were repeated orders that were not cached."""
        self.recorded = True
        """Whether to commit the transaction."""

    def execute(self) -> list[Answer]:
        """Decide the orders in sequence, and write their events."""
        answers: list[Answer] = []
        self._read()
        with self._append.events() as write:
            self._streams.log = self._log
            for start in range(0, len(self._items), CHUNK_ORDERS):
                rows: list[bytes] = []
                chunk = self._items[start : start + CHUNK_ORDERS]
                answers += [self._repeat_answer(item) or self._decide(item, rows) for item in chunk]
                write(b"".join(rows))
        if self._refused and not self._careful and self._append.log.answered(self._refused):
            raise ForgottenError  # no unique index would detect it, because a refused order writes no rows
        if self._new_names:
            # Sorted, so that the index of names is traversed from one end to the other.
            rows = [command_row(name, new.content, new.position) for name, new in sorted(self._new_names.items())]
            self._append.commands(b"".join(rows))
            self._append.texts(self._texts)
            self._append.notify(Position(self._position))
        self._store_proofs(answers)
        if self._early:
            self._append.early_scans(list(self._early.values()))
            if self._memory.early_stored + len(self._early) >= FORGET_EARLY_EVERY:
                self._append.forget_early_scans()
        return answers

    def _store_proofs(self, answers: Sequence[Answer]) -> None:
        """Store what proves who sent the recorded orders, also those recorded before."""
        recorded: dict[int, tuple[Proof, list[bytes]]] = {}
        for item, answer in zip(self._items, answers, strict=True):
            if item.proof is not None and isinstance(answer, Accepted):
                recorded.setdefault(id(item.proof), (item.proof, []))[1].append(item.name)
        if recorded:
            found = [
                proof.values(names, sorted({who for name in names for who in self._about.get(name, ())}))
                for proof, names in recorded.values()
            ]
            self._append.proofs(next(iter(recorded.values()))[0].STATEMENT, found)

    def update_memory(self) -> None:
        """Cache what this transaction read and wrote, once it has been committed."""
        self._memory.add_known(self._streams.newly_known)
        self._memory.names.update(self._new_names)
        self._memory.versions.update(self._streams.new_versions)
        if self._early:
            self._memory.early.update({name: early.occurred_at for name, early in self._early.items()})
            stored = self._memory.early_stored + len(self._early)
            self._memory.early_stored = 0 if stored >= FORGET_EARLY_EVERY else stored

    def _read(self) -> None:
        """Read what the decisions need and the cache lacks."""
        if self._careful:
            self._answered = answered_before(self._append.log, [item.name for item in self._items])
            self.repeats = bool(self._answered)
        self._answered |= answered_formerly(self._append.log, self._items)
        self._streams.read_for([item for item in self._items if item.name not in self._answered])

    def _repeat_answer(self, item: Prepared) -> Answer | None:
        """Return the answer to an order whose name was answered before."""
        answered = self._answered.get(item.name)
        if answered is None and not self._careful:
            answered = self._memory.names.get(item.name)
        return None if answered is None else repeat_answer(item, answered)

    def _decide(self, item: Prepared, rows: list[bytes]) -> Answer:
        """Decide an order, and append the rows of its events to `rows`."""
        order, text = item.order, item.text
        note = text.digest if text else None
        case = Case(order, self._streams, self._now, note, self._clock, self._head, None, item.digests)
        decision = decide(case)
        if isinstance(decision, Refused):
            self._refused.append(item.name)
            if decision.rejection is Rejection.FUTURE:
                self._note_early(item)
            return decision
        if full := self._streams.full(decision, item.shift):
            self._refused.append(item.name)
            return full
        stored = [encode(event) for event in decision]
        if too_large := refused_as_too_large(order.command, stored):
            self._refused.append(item.name)
            return too_large
        if (text or item.personal) and isinstance(order.command, Noted | Personal):
            texts = [*([text] if text else []), *(text for _, text in item.personal)]
            about = tuple(dict.fromkeys(order.command.about(case)))
            self._texts += [text._replace(about=about) for text in texts]
            self._about[item.name] = about
        position = self._position
        for event, (topic, state) in zip(decision, stored, strict=True):
            stream, version = self._streams.append(event, topic, state, item.shift)
            position += 1
            rows.append(event_row(stream, version, topic, state, position))
        self._position = position
        shift, punch = _ids_of(decision[-1])
        self._answered[item.name] = self._new_names[item.name] = Answered(item.content, position, shift, punch)
        return Accepted(Position(position), False, shift, punch)  # noqa: FBT003 - by position

    def _note_early(self, item: Prepared) -> None:
        """Note a scan of a station whose clock is fast: accepted later, it would look as if the clock were right."""
        command = item.order.command
        if isinstance(command, Scan) and item.order.by.startswith("station:"):
            early = EarlyScan(item.name, command.occurred_at, command.occurred_at - self._clock)
            if self._memory.early.get(item.name) != early.occurred_at:
                self._early[item.name] = early

    def refuse_new(self, answers: Sequence[Answer]) -> list[Answer]:
        """Return the answers of an atomic submission with refusals: new orders are refused, duplicates accepted."""
        self.recorded = False
        return [
            refuse(Rejection.NOT_ALONE, "command", item.order.name) if self._is_new(answer) else answer
            for item, answer in zip(self._items, answers, strict=True)
        ]

    def without_positions(self, answers: Sequence[Answer]) -> list[Answer]:
        """Return the answers of a dry run: nothing is recorded, so new orders have no positions."""
        self.recorded = False
        return [
            answer._replace(position=None) if isinstance(answer, Accepted) and self._is_new(answer) else answer
            for answer in answers
        ]

    def _is_new(self, answer: Answer) -> bool:
        return isinstance(answer, Accepted) and answer.position is not None and answer.position > self._head


def answered_before(log: LogQueries, names: Collection[bytes]) -> dict[bytes, Answered]:
    """Return what the log holds of those names that were answered before."""
    return {
        name.bytes: Answered(content.bytes, position, *_ids_of(decode(topic, state)))
        for name, content, position, topic, state in log.answered(names)
    }


def answered_formerly(log: LogQueries, items: Collection[Prepared]) -> dict[bytes, Answered]:
    """Return what the log holds of those names that their actors used before names had realms."""
    former: dict[bytes, dict[str, bytes]] = {}
    for item in items:
        if item.former_name is not None:
            former.setdefault(item.former_name, {})[item.order.by] = item.name
    found: dict[bytes, Answered] = {}
    for name, content, position, topic, state in log.answered(former.keys()):
        event = decode(topic, state)
        if realm_name := former[name.bytes].get(event.approved_by or event.by):
            found[realm_name] = Answered(content.bytes, position, *_ids_of(event))
    return found


def repeat_answer(item: Prepared, answered: Answered) -> Answer:
    """Return the answer to an order whose name was answered before; position 0 marks an order that is not recorded."""
    if answered.content != item.content:
        return refuse(Rejection.NAME_TAKEN, "id", item.order.name)
    position = Position(answered.position) if answered.position else None
    return Accepted(position, duplicate=True, shift=answered.shift, punch=answered.punch)


def _ids_of(event: Event) -> tuple[UUID | None, UUID | None]:
    """Return the shift that an event is about, as far as it is known without rules, and the id of a punch. A punch in
    usually begins a shift of its own id.
    """
    if isinstance(event, Punched):
        return event.shift if event.direction == "in" else None, event.shift
    return event.shift if isinstance(event, ShiftEvent) else None, None


def read_head(log: LogQueries) -> tuple[Position, int]:
    """Return the position and the `recorded_at` of the last event, zeros for an empty log."""
    last = log.last_event()
    return (last.position, decode(last.topic, last.state).recorded_at) if last else (Position(0), 0)
