"""One batch of orders in one transaction: what is read, how each is decided, and what is written.

    lock -> read what the orders touch and no earlier batch learned -> decide each in memory -> COPY events and commands

A plain scan (`ledger/scans.py`) becomes a line of the log as it stands; every other order goes up the ladder of its
command. `ledger/intake.py` begins and ends the transaction.

Errors: psycopg's; `UniqueViolation` when what was remembered of the log is no longer true, and so nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from psycopg import Cursor
from psycopg.rows import TupleRow

from ledger.answers import Accepted, Answer, Answered
from ledger.codec import decode, encode
from ledger.decide import decide
from ledger.decide.case import CLOCK_SKEW_SECONDS_MAX, Case, Decision
from ledger.events import Event, ShiftEvent
from ledger.memory import Memory
from ledger.names import Position
from ledger.persons import Text, keep_texts
from ledger.prepare import Prepared, Ready
from ledger.rejections import Refused, Rejection, refuse
from ledger.scans import PreparedScan, Scan
from ledger.streams import BatchStreams
from ledger.writing import CHUNK_ROWS, copy_events, copy_line, take_lock

_LAST_EVENT = "SELECT notification_id, topic, state FROM ledger.stored_events ORDER BY notification_id DESC LIMIT 1"
_ANSWERED = """
SELECT commands.name, commands.content, commands.position, topic, state
FROM ledger.commands JOIN ledger.stored_events ON notification_id = commands.position
WHERE commands.name = ANY(%s::uuid[])
"""
_COPY_COMMANDS = "COPY ledger.commands (name, content, position) FROM STDIN"

Clock = Callable[[], int]


class Batch:
    """One transaction's work."""

    def __init__(
        self,
        cursor: Cursor[TupleRow],
        orders: Sequence[Ready],
        clock: Clock,
        memory: Memory[Answered],
        *,
        careful: bool,
    ) -> None:
        take_lock(cursor)
        self._cursor = cursor
        self._orders = orders
        self._memory = memory
        self._head, last_recorded_at = _head(cursor)
        self._clock = clock()
        self._now = max(self._clock, last_recorded_at)  # recorded_at never goes back, even when the clock does
        self._answered = self._recall(careful=careful)
        self._new: dict[str, Answered] = {}
        self._streams = BatchStreams(cursor, memory.known, memory.versions)
        self._answers: list[Answer] = []
        self._commands: list[str] = []
        self._texts: list[Text] = []
        self.repeats = careful and bool(self._answered)
        """Whether there were old orders, which nobody remembered."""
        self.recorded = True
        """Whether the transaction is to be committed."""
        self._read(careful=careful)

    def execute(self) -> list[Answer]:
        """Decide the orders one after the other, and write what they come to."""
        lines: Iterator[str] = self._decide_all()
        if self._mixed:
            lines = iter(list(lines))  # a decision may have to read, which it cannot do in the middle of a COPY
        copy_events(self._cursor, iter(lambda: "".join(islice(lines, CHUNK_ROWS)), ""))
        with self._cursor.copy(_COPY_COMMANDS) as copy:
            copy.write("".join(self._commands))
        keep_texts(self._cursor, self._texts)
        return self._answers

    def remember(self) -> None:
        """Remember what this transaction learned, once it has been committed."""
        shifts = {one.stream for one in self._orders if type(one) is PreparedScan}
        versions = {key: version for key, version in self._streams.versions.items() if key in shifts}
        self._memory.keep(self._streams.learned, versions, self._new)

    def _recall(self, *, careful: bool) -> dict[str, Answered]:
        """Return what names of the batch were answered before: as far as is remembered, or, being careful, all."""
        if careful:
            return _known(self._cursor, [one.name for one in self._orders])
        remembered = self._memory.answers.get
        return {one.name: found for one in self._orders if (found := remembered(one.name)) is not None}

    def _read(self, *, careful: bool) -> None:
        """Read what deciding will ask, as far as it is not remembered."""
        scans = [one for one in self._orders if type(one) is PreparedScan]
        others = [one for one in self._orders if isinstance(one, Prepared)]
        self._mixed = bool(others)
        pairs = {("volunteer", one.scan.volunteer) for one in scans} | {("station", one.scan.station) for one in scans}
        pairs |= {("project", one.scan.project) for one in scans if one.scan.project is not None}
        unknown = pairs - self._memory.known
        if unknown:
            self._streams.read_known(unknown)
        self._unknown = unknown - self._streams.learned
        # A check-in begins its stream, as a rule; a check-out goes on with one that nobody here may have seen.
        began = set() if careful else {one.stream for one in scans if one.scan.begins}
        asked = {one.stream for one in scans if careful or not one.scan.begins} - began
        if not careful:
            asked = {key for key in asked if self._memory.versions.get(key) is None}
        self._streams.read_versions(asked)
        self._streams.read_for(others)

    def _decide_all(self) -> Iterator[str]:
        """Yield the lines of the log that the orders come to."""
        position, now, is_plain = int(self._head), self._now, self._is_plain
        versions, remembered = self._streams.versions, self._memory.versions.get
        answered, mixed = self._answered, self._mixed
        for prepared in self._orders:
            name = prepared.name
            if known := answered.get(name):
                self._answers.append(_answer_again(prepared, *known))
                continue
            if type(prepared) is PreparedScan and is_plain(prepared.scan):
                _, _, content, stream, topic, before, behind, number = prepared
                shift: int | None = number
                version = versions.get(stream)
                if version is None:
                    version = remembered(stream) or 0
                versions[stream] = version = version + 1
                position += 1
                yield f"{stream}\t{version}\t{topic}\t{before}{now}{behind}\t{position}\n"
                if mixed:
                    self._streams.keep(stream, prepared.scan.volunteer, topic, f"{before}{now}{behind}".encode())
            else:
                decision = self._decide(prepared)
                if isinstance(decision, Refused):
                    self._answers.append(decision)
                    continue
                for event in decision:
                    topic, state = encode(event)
                    stream, version = self._streams.append(event, topic, state)
                    position += 1
                    yield copy_line(stream, version, topic, state, position)
                content, shift = prepared.content, _shift_number(decision[-1])
            answer = Accepted(Position(position), False, shift)  # noqa: FBT003 - by position: it is made for every order
            answered[name] = self._new[name] = content, answer
            self._answers.append(answer)
            self._commands.append(f"{name}\t{content}\t{position}\n")

    def not_alone(self) -> list[Answer]:
        """Answer orders of which some were refused and so none is recorded; what was there before is still there."""
        self.recorded = False
        return [
            refuse(Rejection.NOT_ALONE, "command", prepared.order.name) if self._is_new(answer) else answer
            for prepared, answer in zip(self._orders, self._answers, strict=True)
        ]

    def as_if(self) -> list[Answer]:
        """Answer orders that were decided and are not recorded: they have no positions."""
        self.recorded = False
        return [
            answer._replace(position=None) if isinstance(answer, Accepted) and self._is_new(answer) else answer
            for answer in self._answers
        ]

    def _is_new(self, answer: Answer) -> bool:
        return isinstance(answer, Accepted) and answer.position is not None and answer.position > self._head

    def _is_plain(self, scan: Scan) -> bool:
        """Whether all rungs of a scan's ladder are passed at once."""
        if scan.occurred_at > self._clock + CLOCK_SKEW_SECONDS_MAX:
            return False
        unknown = self._unknown
        return not unknown or not (
            ("volunteer", scan.volunteer) in unknown
            or ("station", scan.station) in unknown
            or ("project", scan.project) in unknown
        )

    def _decide(self, prepared: Ready) -> Decision:
        if isinstance(prepared, PreparedScan) or not prepared.text:
            return decide(Case(prepared.order, self._streams, self._now, None, self._clock))
        decision = decide(Case(prepared.order, self._streams, self._now, prepared.text.digest, self._clock))
        if not isinstance(decision, Refused):
            self._texts.append(prepared.text)
        return decision


def _answer_again(prepared: Ready, content: str, answer: Accepted) -> Answer:
    """Answer a name that was answered before."""
    if content != prepared.content:
        return refuse(Rejection.NAME_TAKEN, "id", prepared.order.name)
    return answer._replace(duplicate=True)


def _shift_number(event: Event) -> int | None:
    return event.shift.int if isinstance(event, ShiftEvent) else None


def _head(cursor: Cursor[TupleRow]) -> tuple[Position, int]:
    """Return the last event's position and instant of recording, zeros for an empty log."""
    row = cursor.execute(_LAST_EVENT).fetchone()
    return (Position(row[0]), decode(row[1], row[2]).recorded_at) if row else (Position(0), 0)


def _known(cursor: Cursor[TupleRow], names: list[str]) -> dict[str, tuple[str, Accepted]]:
    """Return the content and the answer of those names that were answered before."""
    return {
        name.hex: (content.hex, Accepted(position, duplicate=True, shift_number=_shift_number(decode(topic, state))))
        for name, content, position, topic, state in cursor.execute(_ANSWERED, ("{" + ",".join(names) + "}",))
    }
