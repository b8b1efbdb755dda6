"""Queries of the log, by position, stream or instant. Every statement that reads `ledger.stored_events` is here.

Positions are dense and in commit order, so a reader that has seen position p has seen everything up to p. Nothing here
writes or decodes; states are returned as stored.

`LogQueries` leaves running the statements to its subclasses: the recorder (`ledger/store/recorder.py`) uses the
connections of its pool, `LogReader` one connection, with that connection's snapshot or lock.
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
ENTRY_BYTES_MAX = 65_535
"""The greatest length of an entry of the transparency log (replay/proof/entries.py): its length is two bytes there."""
ENTRY_HEAD_BYTES = 33
"""What an entry holds besides topic and state."""
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


class EarlyEvent(NamedTuple):
    """A recorded scan that had been refused before, because `occurred_at` lay `seconds_ahead` in the future."""

    position: int
    occurred_at: int
    seconds_ahead: int


class Stored(NamedTuple):
    """An event in its stored form."""

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
# The subquery forces one index lookup at the end of each stream; results in the given order need no ids.
_VERSIONS = """
SELECT (SELECT max(originator_version) FROM ledger.stored_events WHERE originator_id = given.id)
FROM unnest(%s::uuid[]) WITH ORDINALITY AS given (id, place) ORDER BY place
"""
_VERSIONS_AT = """
SELECT (SELECT count(*) FROM ledger.stored_events WHERE originator_id = given.id AND notification_id <= %s)
FROM unnest(%s::uuid[]) WITH ORDINALITY AS given (id, place) ORDER BY place
"""
# LATERAL with its own ORDER BY forces one index scan for each range, whatever the planner estimates for BETWEEN.
_RANGES = """
SELECT range.low, found.originator_id, found.topic, found.state
FROM unnest(%s::uuid[], %s::uuid[]) AS range (low, high), LATERAL (
    SELECT originator_id, topic, state FROM ledger.stored_events
    WHERE originator_id BETWEEN range.low AND range.high ORDER BY originator_id, originator_version LIMIT %s
) AS found
"""
_ANSWERED = """
SELECT commands.name, commands.content, commands.position, topic, state
FROM ledger.commands JOIN ledger.stored_events ON notification_id = commands.position
WHERE commands.name = ANY(%s::uuid[])
"""
# The conditions must be those of the partial indexes in schema_2.sql, schema_4.sql and schema_9.sql, or unused.
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
_CERTIFICATES_OF = f"""
{_COLUMNS} WHERE topic = 'certificate-issued.v1' AND notification_id > %s
AND substring(encode(state, 'escape') FROM '"volunteer":"([^"]*)"') = ANY(%s) ORDER BY notification_id LIMIT %s
"""
_MERGED_INTO = """
SELECT DISTINCT substring(encode(state, 'escape') FROM '"volunteer":"([^"]*)"') FROM ledger.stored_events
WHERE topic = 'volunteer-merged.v1' AND substring(encode(state, 'escape') FROM '"into":"([^"]*)"') = %s LIMIT %s
"""
_OF_STREAM = f"{_COLUMNS} WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s"
# The topics must be literals, or the planner cannot know that the index covers them.
_OF_TOPICS = (
    f"{_COLUMNS} WHERE topic IN ({{topics}}) AND notification_id > %s AND notification_id <= %s "
    "ORDER BY notification_id"
)
# There are many members, and PostgreSQL extracts the fields several times as fast as events can be decoded.
_MEMBERSHIPS = """
SELECT fields ->> 'volunteer', topic, fields ->> 'organisation',
       coalesce(fields ->> 'registered_on', fields ->> 'withdrawn_on', fields ->> 'joined_on', fields ->> 'left_on')
FROM (SELECT notification_id, topic, convert_from(state, 'UTF8')::json AS fields FROM ledger.stored_events
      WHERE topic IN ({topics}) AND notification_id <= %s) AS events
ORDER BY notification_id
"""
_EARLY_SCANS = """
SELECT commands.position, occurred_at, seconds_ahead
FROM ledger.early_scans JOIN ledger.commands ON commands.name = early_scans.name
WHERE commands.position <= %s ORDER BY commands.position, occurred_at
"""
# Names hold neither commas nor quotation marks (ledger/names.py).
_ACTORS = r"""
SELECT string_agg(CASE WHEN body.text LIKE '%%"imported":true%%' THEN ''
                       ELSE substring(body.text FROM '"by":"([^"]*)"') END, ',' ORDER BY notification_id),
       string_agg(coalesce(substring(body.text FROM '"approved_by":"([^"]*)"'), ''), ',' ORDER BY notification_id)
FROM ledger.stored_events, LATERAL (SELECT convert_from(state, 'UTF8') AS text) AS body
WHERE notification_id = ANY(%s::bigint[])
"""
# States as unconverted bytes are twice as fast as text with positions and topics (measured).
_JOINED = r"""
SELECT string_agg(state, '\x0a'::bytea ORDER BY notification_id),
       string_agg(topic, ',' ORDER BY notification_id),
       count(*)
FROM ledger.stored_events
WHERE notification_id > %s AND notification_id <= %s
"""


# The digest that the archive has of a part (`LogRange.digest`), computed where the events are.
_DIGEST = r"""
SELECT encode(sha256(string_agg(state, '\x0a'::bytea ORDER BY notification_id) || '\x0a0a'::bytea
              || convert_to(string_agg(topic, ',' ORDER BY notification_id), 'UTF8')), 'hex')
FROM ledger.stored_events
WHERE notification_id > %s AND notification_id <= %s
"""
_FIRST_MISSING = """
SELECT min(place.position) FROM generate_series(%s::bigint + 1, %s::bigint) AS place (position)
WHERE NOT EXISTS (SELECT FROM ledger.stored_events WHERE notification_id = place.position)
"""


# The entries of the transparency log (replay/proof/entries.py), each with its length before it in two bytes. Made by
# the server, they cost the reader neither a protocol message nor a tuple for each event.
_ENTRIES = r"""
SELECT string_agg(substring(int4send(octet_length(entry)) FROM 3) || entry, ''::bytea ORDER BY notification_id),
       count(*), max(octet_length(entry))
FROM (SELECT notification_id, int8send(notification_id) || uuid_send(originator_id) || int8send(originator_version)
             || substring(int4send(octet_length(topic)) FROM 4) || convert_to(topic, 'UTF8') || state AS entry
      FROM ledger.stored_events WHERE notification_id > %s AND notification_id <= %s) AS events
"""


class Entries(NamedTuple):
    """Entries of the transparency log: a bundle, their number, and the length of the longest in bytes."""

    bundle: bytes
    events: int
    longest: int


class Joined(NamedTuple):
    """The events of a range of positions: states joined by line feeds, topics joined by commas, and their number."""

    states: bytes
    topics: str
    events: int


class LogQueries:
    """The queries of the log."""

    @abstractmethod
    def rows(
        self, query: str, values: Sequence[object] | dict[str, object], row_factory: BaseRowFactory[Any] = tuple_row
    ) -> list[Any]:
        """Run a reading statement, and return its rows."""

    def head(self) -> Position:
        """Return the position of the last event, 0 for an empty log."""
        return Position(self._value(_HEAD))

    def last_event(self) -> RecordedEvent | None:
        """Return the last event, None for an empty log."""
        events = self._events(_LAST, ())
        return events[0] if events else None

    def count(self, after: int, until: int) -> int:
        """Return the number of events after a position, up to and including another."""
        return int(self._value(_COUNT, after, until))

    def read(self, after: Position, limit: int, until: Position | None = None) -> list[RecordedEvent]:
        """Return at most `limit` events after `after`, up to and including `until`, in order."""
        return self._events(_READ, (after, END if until is None else until, limit))

    def read_streams(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[RecordedEvent]]:
        """Return the events of these streams, each stream in order; a stream without events has no key."""
        streams: dict[UUID, list[RecordedEvent]] = {}
        for event in self._events(_READ_STREAMS, (uuid_array(ids), END if until is None else until)):
            streams.setdefault(event.stream_id, []).append(event)
        return streams

    def versions(self, keys: Collection[bytes], until: Position | None = None) -> dict[bytes, int]:
        """Return the number of events in each of these streams, by their ids as bytes; 0 if it does not exist."""
        if not keys:
            return {}
        ids = key_array(keys)
        rows = self.rows(_VERSIONS, (ids,)) if until is None else self.rows(_VERSIONS_AT, (until, ids))
        return dict(zip(keys, [version or 0 for (version,) in rows], strict=True))

    def ranges(self, ranges: Collection[Range], limit: int) -> list[tuple[UUID, UUID, str, bytes]]:
        """Return the events of all streams in these ranges, at most `limit` of each: first id of the range, stream,
        topic and state.
        """
        lows, highs = zip(*ranges, strict=True)
        return self.rows(_RANGES, (uuid_array(lows), uuid_array(highs), limit))

    def answered(self, names: Collection[bytes]) -> list[tuple[UUID, UUID, int, str, bytes]]:
        """Return those of these commands that were answered: the digests of name and content, and the position, topic
        and state of the last event. `names`: digests.
        """
        return self.rows(_ANSWERED, (key_array(names),)) if names else []

    def read_honors(self, after: Position, until: Position) -> list[RecordedEvent]:
        """Return the events of all awards after `after`, up to and including `until`, in order."""
        return self._events(_READ_HONORS, (after, until))

    def positions(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[Position]]:
        """Return the positions of the events of these streams; a stream without events has no key."""
        streams: dict[UUID, list[Position]] = {}
        for stream_id, position in self.rows(_POSITIONS, (uuid_array(ids), END if until is None else until)):
            streams.setdefault(stream_id, []).append(position)
        return streams

    def first_versions_beyond(self, ids: Collection[UUID], position: Position) -> dict[UUID, int]:
        """Return the version of each stream's first event after a position, for streams that have one.

        Version 1 means that the whole stream comes after the position.
        """
        return dict(self.rows(_FIRST_BEYOND, (uuid_array(ids), position)))

    def openings(
        self, opens: str, after: Position, until: Position, limit: int, ends: Collection[str] | None = None
    ) -> list[RecordedEvent]:
        """Return the events that open disputes or requests, in order of position; with `ends`, only those that are not
        followed by an event of these topics in their stream.
        """
        values = {"opens": opens, "after": after, "until": until, "limit": limit, "ends": ends and list(ends)}
        return self._events(_OPENINGS, values)

    def streams_about(self, volunteer: str) -> list[UUID]:
        """Return the streams of requests, raised caps and honours that are about a volunteer."""
        return [stream for (stream,) in self.rows(_ABOUT, (volunteer,))]

    def merged_into(self, volunteer: str, limit: int) -> list[str]:
        """Return the numbers that were ever merged into a number, at most `limit`."""
        return [number for (number,) in self.rows(_MERGED_INTO, (volunteer, limit))]

    def of_stream(self, stream_id: UUID, after: int, limit: int) -> list[RecordedEvent]:
        """Return at most `limit` events of a stream after a version, in order."""
        return self._events(_OF_STREAM, (stream_id, after, limit))

    def certificates_of(self, volunteers: Collection[str], after: int, limit: int) -> list[RecordedEvent]:
        """Return at most `limit` certificates of these volunteer numbers after a position, in order."""
        return self._events(_CERTIFICATES_OF, (after, list(volunteers), limit))

    def of_topics(self, topics: Iterable[str], until: Position, *, after: int = 0) -> list[RecordedEvent]:
        """Return the events of topics in the index `belonging` after a position, up to and including another."""
        return self._events(_OF_TOPICS.format(topics=_literals(topics)), (after, until))

    def memberships(self, topics: Iterable[str], until: Position) -> list[tuple[str, str, str | None, str]]:
        """Return the volunteer, topic, organisation and day of the events of some topics, in log order."""
        return self.rows(_MEMBERSHIPS.format(topics=_literals(topics)), (until,))

    def early_scans(self, until: Position) -> list[EarlyEvent]:
        """Return the scans up to a position that had been refused before, because they lay in the future."""
        return [EarlyEvent(*row) for row in self.rows(_EARLY_SCANS, (until,))]

    def actors(self, positions: Sequence[int]) -> list[list[str]]:
        """Return the actors of these events, whose positions ascend, as two lists: `by`, empty for imported events, and
        `approved_by`, empty without approval. Positions without an event are skipped.
        """
        (columns,) = self.rows(_ACTORS, ("{" + ",".join(map(str, positions)) + "}",))
        return [column.split(",") if column is not None else [] for column in columns]

    def joined(self, after: int, until: int) -> Joined:
        """Return the events after a position, up to and including another, joined by the server: one protocol message
        for each event would cost more than everything else.
        """
        ((states, topics, events),) = self.rows(_JOINED, (after, until))
        return Joined(states or b"", topics or "", events)

    def entries(self, after: int, until: int) -> Entries:
        """Return the entries of the events after a position, up to and including another, in order."""
        ((bundle, events, longest),) = self.rows(_ENTRIES, (after, until))
        return Entries(bundle or b"", events, longest or 0)

    def digest(self, after: int, until: int) -> str:
        """Return the SHA-256, 64 hex digits, of the states and topics after a position, up to and including another;
        empty if there are none.
        """
        return self._value(_DIGEST, after, until) or ""

    def first_missing(self, after: int, until: int) -> int | None:
        """Return the first position after one, up to and including another, that holds no event; None if all do."""
        missing: int | None = self._value(_FIRST_MISSING, after, until)
        return missing

    def position_at(self, instant: int) -> Position:
        """Return the last position recorded at or before an instant (epoch seconds), 0 if there is none.

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
        """Return the id that this ledger got when its tables were created; an archive belongs to one ledger."""
        identity: UUID = self._value("SELECT id FROM ledger.identity")
        return identity

    def _events(self, query: str, values: Sequence[object] | dict[str, object]) -> list[RecordedEvent]:
        return self.rows(query, values, _recorded_event)

    def _value(self, query: str, *values: object) -> Any:
        rows = self.rows(query, values)
        return rows[0][0] if rows else None


class LogReader(LogQueries):
    """Runs the queries on one connection."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def rows(
        self, query: str, values: Sequence[object] | dict[str, object], row_factory: BaseRowFactory[Any] = tuple_row
    ) -> list[Any]:
        """Run a reading statement, and return its rows."""
        with self._connection.cursor(binary=True, row_factory=row_factory) as cursor:
            return cursor.execute(query, values).fetchall()


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return ids as a parameter for `%s::uuid[]`; the driver takes several times as long to adapt a list."""
    return "{" + ",".join([f"{stream_id.int:032x}" for stream_id in ids]) + "}"


def key_array(keys: Iterable[bytes]) -> str:
    """Return ids given as bytes as a parameter for `%s::uuid[]`."""
    return "{" + ",".join([key.hex() for key in keys]) + "}"


def _literals(topics: Iterable[str]) -> str:
    quoted = [f"'{topic}'" for topic in topics]
    if any(topic.count("'") > 2 for topic in quoted):
        raise ValueError("a topic must not contain a quotation mark")
    return ", ".join(quoted)


def _recorded_event(_cursor: Any) -> RowMaker[RecordedEvent]:
    return RecordedEvent._make
