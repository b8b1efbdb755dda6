"""Reading the log: by position, by stream, as of an instant. Every statement that reads `ledger.stored_events` is here.

Positions are dense and in commit order, so a reader that has seen position p has seen everything up to p. Nothing here
writes or decodes: bytes are what replays and proofs start from.

`LogQueries` needs somebody to run its statements: the recorder does it on connections of its pool
(`ledger/store/recorder.py`), `LogReader` on one connection, whose snapshot or lock is then the reader's.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import BaseRowFactory, RowMaker, tuple_row

from ledger.names import Position

END = Position(2**63 - 1)
LOG_TABLE = "ledger.stored_events"

Range = tuple[UUID, UUID]
"""The first and the last id of a range of streams."""


class RecordedEvent(NamedTuple):
    """One row of the log."""

    position: Position
    stream_id: UUID
    version: int
    topic: str
    state: bytes


class Stored(NamedTuple):
    """An event as it is stored."""

    topic: str
    state: bytes


_COLUMNS = "SELECT notification_id, originator_id, originator_version, topic, state FROM ledger.stored_events"
_HEAD = "SELECT coalesce(max(notification_id), 0) FROM ledger.stored_events"
_LAST = f"{_COLUMNS} ORDER BY notification_id DESC LIMIT 1"
_READ = f"{_COLUMNS} WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s"
_COUNT = "SELECT count(*) FROM ledger.stored_events WHERE notification_id > %s AND notification_id <= %s"
_POSITIONS = (
    "SELECT originator_id, notification_id FROM ledger.stored_events "
    "WHERE originator_id = ANY(%s::uuid[]) AND notification_id <= %s ORDER BY notification_id"
)
_FIRST_BEYOND = (
    "SELECT originator_id, min(originator_version) FROM ledger.stored_events "
    "WHERE originator_id = ANY(%s::uuid[]) AND notification_id > %s GROUP BY originator_id"
)
_READ_STREAMS = (
    f"{_COLUMNS} WHERE originator_id = ANY(%s::uuid[]) AND notification_id <= %s "
    "ORDER BY originator_id, originator_version"
)
# One look at the end of each stream, in the order asked: the plan cannot be anything else, and no id has to come back.
_VERSIONS = """
SELECT (SELECT max(originator_version) FROM ledger.stored_events WHERE originator_id = asked.id)
FROM unnest(%s::uuid[]) WITH ORDINALITY AS asked (id, place) ORDER BY place
"""
# LATERAL with an order of its own: one walk of the index for each range, whatever the planner thinks of BETWEEN.
_RANGES = """
SELECT range.low, found.originator_id, found.topic, found.state
FROM unnest(%s::uuid[], %s::uuid[]) AS range (low, high), LATERAL (
    SELECT originator_id, topic, state FROM ledger.stored_events
    WHERE originator_id BETWEEN range.low AND range.high ORDER BY originator_id, originator_version
) AS found
"""
_ANSWERED = """
SELECT commands.name, commands.content, commands.position, topic, state
FROM ledger.commands JOIN ledger.stored_events ON notification_id = commands.position
WHERE commands.name = ANY(%s::uuid[])
"""
# What the indexes of schema_2.sql hold: the conditions stand here as there, or they would not be used.
_READ_HONORS = (
    f"{_COLUMNS} WHERE topic LIKE 'honor-%%' AND notification_id > %s AND notification_id <= %s "
    "ORDER BY notification_id"
)
_OPENINGS = f"""
{_COLUMNS} AS opened WHERE topic IN ('shift-disputed.v1', 'act-requested.v1') AND topic = %(opens)s
AND notification_id > %(after)s AND notification_id <= %(until)s AND (%(ends)s::text[] IS NULL OR NOT EXISTS (
    SELECT FROM ledger.stored_events AS later
    WHERE later.originator_id = opened.originator_id AND later.originator_version > opened.originator_version
    AND later.notification_id <= %(until)s AND later.topic = ANY(%(ends)s::text[])
)) ORDER BY notification_id LIMIT %(limit)s
"""
_ABOUT = """
SELECT DISTINCT originator_id FROM ledger.stored_events
WHERE topic IN ('act-requested.v1', 'day-cap-raised.v1', 'honor-announced.v1')
AND substring(encode(state, 'escape') FROM '"volunteer":"([^"]*)"') = %s
"""
# The topics stand in the statement itself, or the planner does not see that the index holds them all.
_OF_TOPICS = f"{_COLUMNS} WHERE topic IN ({{topics}}) AND notification_id <= %s ORDER BY notification_id"
# Members are many: PostgreSQL takes their events apart several times as fast as models are made of them.
_MEMBERSHIPS = """
SELECT said ->> 'volunteer', topic, said ->> 'organisation',
       coalesce(said ->> 'registered_on', said ->> 'withdrawn_on', said ->> 'joined_on', said ->> 'left_on')
FROM (SELECT notification_id, topic, convert_from(state, 'UTF8')::json AS said FROM ledger.stored_events
      WHERE topic IN ({topics}) AND notification_id <= %s) AS events
ORDER BY notification_id
"""
# Names hold neither commas nor quotation marks (ledger/names.py).
_ACTORS = r"""
SELECT string_agg(CASE WHEN said.text LIKE '%%"imported":true%%' THEN ''
                       ELSE substring(said.text FROM '"by":"([^"]*)"') END, ',' ORDER BY notification_id),
       string_agg(coalesce(substring(said.text FROM '"approved_by":"([^"]*)"'), ''), ',' ORDER BY notification_id)
FROM ledger.stored_events, LATERAL (SELECT convert_from(state, 'UTF8') AS text) AS said
WHERE notification_id = ANY(%s::bigint[])
"""
# States as bytes, unconverted: measured, twice as fast as text with positions and topics in it.
_JOINED = r"""
SELECT string_agg(state, '\x0a'::bytea ORDER BY notification_id),
       string_agg(topic, ',' ORDER BY notification_id),
       count(*)
FROM ledger.stored_events
WHERE notification_id > %s AND notification_id <= %s
"""


class Joined(NamedTuple):
    """Events of a range of positions: states joined by line feeds, topics by commas, and how many they are."""

    states: bytes
    topics: str
    events: int


class LogQueries:
    """What can be asked of the log."""

    @abstractmethod
    def rows(
        self, query: str, values: Sequence[object] | dict[str, object], row_factory: BaseRowFactory[Any] = tuple_row
    ) -> list[Any]:
        """Run a statement that reads, and return its rows."""

    def head(self) -> Position:
        """Return the position of the last event, 0 for an empty log."""
        return Position(self._value(_HEAD))

    def last_event(self) -> RecordedEvent | None:
        """Return the last event."""
        found = self._events(_LAST, ())
        return found[0] if found else None

    def count(self, after: int, until: int) -> int:
        """Return how many events there are behind a position, up to and including another."""
        return int(self._value(_COUNT, after, until))

    def read(self, after: Position, limit: int, until: Position | None = None) -> list[RecordedEvent]:
        """Return at most `limit` events behind `after`, up to and including `until`, in order."""
        return self._events(_READ, (after, END if until is None else until, limit))

    def read_streams(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[RecordedEvent]]:
        """Return the events of these streams, each stream in order; a stream without events has no key."""
        streams: dict[UUID, list[RecordedEvent]] = {}
        for event in self._events(_READ_STREAMS, (uuid_array(ids), END if until is None else until)):
            streams.setdefault(event.stream_id, []).append(event)
        return streams

    def versions(self, keys: Collection[bytes]) -> dict[bytes, int]:
        """Return how many events these streams have, by their ids as bytes; 0 for one that does not exist."""
        if not keys:
            return {}
        return dict(zip(keys, [version or 0 for (version,) in self.rows(_VERSIONS, (key_array(keys),))], strict=True))

    def ranges(self, ranges: Collection[Range]) -> list[tuple[UUID, UUID, str, bytes]]:
        """Return the events of all streams in these ranges: the range's first id, the stream, topic and state."""
        lows, highs = zip(*ranges, strict=True)
        return self.rows(_RANGES, (uuid_array(lows), uuid_array(highs)))

    def answered(self, names: Collection[bytes]) -> list[tuple[UUID, UUID, int, str, bytes]]:
        """Return which of these commands were answered, by the digests of their names: name, content, and the
        position, topic and state of its last event.
        """
        return self.rows(_ANSWERED, (key_array(names),)) if names else []

    def read_honors(self, after: Position, until: Position) -> list[RecordedEvent]:
        """Return the events of all awards behind `after`, up to and including `until`, in order."""
        return self._events(_READ_HONORS, (after, until))

    def positions(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[Position]]:
        """Return the positions of the events of these streams; a stream without events has no key."""
        streams: dict[UUID, list[Position]] = {}
        for stream_id, position in self.rows(_POSITIONS, (uuid_array(ids), END if until is None else until)):
            streams.setdefault(stream_id, []).append(position)
        return streams

    def first_versions_beyond(self, ids: Collection[UUID], position: Position) -> dict[UUID, int]:
        """Return the version of the first event behind a position, of those streams that have any there.

        Version 1 says that the whole stream lies behind it.
        """
        return dict(self.rows(_FIRST_BEYOND, (uuid_array(ids), position)))

    def openings(
        self, opens: str, after: Position, until: Position, limit: int, ends: Collection[str] | None = None
    ) -> list[RecordedEvent]:
        """Return disputes or requests by the events that open them, in order of position; with `ends`, only those that
        no event of these topics has followed.
        """
        values = {"opens": opens, "after": after, "until": until, "limit": limit, "ends": ends and list(ends)}
        return self._events(_OPENINGS, values)

    def streams_about(self, volunteer: str) -> list[UUID]:
        """Return the streams of requests, raised caps and honours that are about a volunteer."""
        return [stream for (stream,) in self.rows(_ABOUT, (volunteer,))]

    def of_topics(self, topics: Iterable[str], until: Position) -> list[RecordedEvent]:
        """Return the events of some topics that `belonging` indexes, up to and including a position, in order."""
        return self._events(_OF_TOPICS.format(topics=_literals(topics)), (until,))

    def memberships(self, topics: Iterable[str], until: Position) -> list[tuple[str, str, str | None, str]]:
        """Return volunteer, topic, organisation and day of the events of some topics, in log order."""
        return self.rows(_MEMBERSHIPS.format(topics=_literals(topics)), (until,))

    def actors(self, positions: Sequence[int]) -> list[list[str]]:
        """Return who is behind each of these events, whose positions ascend: `by`, empty for what was imported, and
        `approved_by`, empty where nobody had to. Positions that hold no event are left out.
        """
        (found,) = self.rows(_ACTORS, ("{" + ",".join(map(str, positions)) + "}",))
        return [column.split(",") if column is not None else [] for column in found]

    def joined(self, after: int, until: int) -> Joined:
        """Return the events behind a position up to another, joined by the server: a message of the protocol for each
        event would cost more than everything else.
        """
        ((states, topics, events),) = self.rows(_JOINED, (after, until))
        return Joined(states or b"", topics or "", events)

    def position_at(self, instant: int) -> Position:
        """Return the last position recorded at or before the instant (epoch seconds); 0 when there was none.

        Positions are dense and `recorded_at` never goes back, so this is a binary search.
        """
        before, beyond = 0, self.head() + 1
        while beyond - before > 1:
            middle = (before + beyond) // 2
            state = self._value("SELECT state FROM ledger.stored_events WHERE notification_id = %s", middle)
            if json.loads(state)["recorded_at"] <= instant:
                before = middle
            else:
                beyond = middle
        return Position(before)

    def identity(self) -> UUID:
        """Return the id this ledger was given when its tables were made; an archive belongs to one ledger."""
        identity: UUID = self._value("SELECT id FROM ledger.identity")
        return identity

    def _events(self, query: str, values: Sequence[object] | dict[str, object]) -> list[RecordedEvent]:
        return self.rows(query, values, _recorded_event)

    def _value(self, query: str, *values: object) -> Any:
        rows = self.rows(query, values)
        return rows[0][0] if rows else None


class LogReader(LogQueries):
    """Asks the log over one connection."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def rows(
        self, query: str, values: Sequence[object] | dict[str, object], row_factory: BaseRowFactory[Any] = tuple_row
    ) -> list[Any]:
        """Run a statement that reads, and return its rows."""
        with self._connection.cursor(binary=True, row_factory=row_factory) as cursor:
            return cursor.execute(query, values).fetchall()


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return ids as a parameter for `%s::uuid[]`; the driver takes several times as long over a list of them."""
    return "{" + ",".join([f"{one.int:032x}" for one in ids]) + "}"


def key_array(keys: Iterable[bytes]) -> str:
    """Return ids that are bytes as a parameter for `%s::uuid[]`."""
    return "{" + ",".join([one.hex() for one in keys]) + "}"


def _literals(topics: Iterable[str]) -> str:
    quoted = [f"'{topic}'" for topic in topics]
    if any(topic.count("'") > 2 for topic in quoted):
        raise ValueError("a topic holds no quotation mark")
    return ", ".join(quoted)


def _recorded_event(_cursor: Any) -> RowMaker[RecordedEvent]:
    return RecordedEvent._make
