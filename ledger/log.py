"""Reading the log: by position, by stream, as of an instant.

Positions are dense and in commit order, so a reader that has seen position p has seen everything up to p. This module
never writes and never decodes: bytes are what replays and proofs start from.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import RowMaker, TupleRow, scalar_row
from psycopg_pool import ConnectionPool

from ledger.names import Position

Pool = ConnectionPool[Connection[TupleRow]]

END = Position(2**63 - 1)


class RecordedEvent(NamedTuple):
    """One row of the log."""

    position: Position
    stream_id: UUID
    version: int
    topic: str
    state: bytes


_COLUMNS = "SELECT notification_id, originator_id, originator_version, topic, state FROM ledger.stored_events"
_READ = f"{_COLUMNS} WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s"
_POSITIONS = (
    "SELECT originator_id, notification_id FROM ledger.stored_events "
    "WHERE originator_id = ANY(%s::uuid[]) AND notification_id <= %s ORDER BY notification_id"
)
_FIRST_BEYOND = (
    "SELECT originator_id, min(originator_version) FROM ledger.stored_events "
    "WHERE originator_id = ANY(%s::uuid[]) AND notification_id > %s GROUP BY originator_id"
)
# The condition on the topic is that of the index (ledger/schema_2.sql), to the letter.
_READ_HONORS = (
    f"{_COLUMNS} WHERE topic LIKE 'honor-%%' AND notification_id > %s AND notification_id <= %s "
    "ORDER BY notification_id"
)
_READ_STREAMS = (
    f"{_COLUMNS} WHERE originator_id = ANY(%s::uuid[]) AND notification_id <= %s "
    "ORDER BY originator_id, originator_version"
)
# What the indexes of ledger/schema_2.sql hold: the conditions stand here as there, or they would not be used.
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


class Log:
    """The log of one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def head(self) -> Position:
        """Return the position of the last event, 0 for an empty log."""
        return Position(self._scalar("SELECT coalesce(max(notification_id), 0) FROM ledger.stored_events"))

    def read(self, after: Position, limit: int, until: Position | None = None) -> list[RecordedEvent]:
        """Return at most `limit` events behind `after`, up to and including `until`, in order."""
        return self._events(_READ, (after, END if until is None else until, limit))

    def read_streams(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[RecordedEvent]]:
        """Return the events of these streams, each stream in order; a stream without events has no key."""
        streams: dict[UUID, list[RecordedEvent]] = {}
        for event in self._events(_READ_STREAMS, (_array(ids), END if until is None else until)):
            streams.setdefault(event.stream_id, []).append(event)
        return streams

    def read_honors(self, after: Position, until: Position) -> list[RecordedEvent]:
        """Return the events of all awards behind `after`, up to and including `until`, in order."""
        return self._events(_READ_HONORS, (after, until))

    def positions(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[Position]]:
        """Return the positions of the events of these streams; a stream without events has no key."""
        streams: dict[UUID, list[Position]] = {}
        for stream_id, position in self._rows(_POSITIONS, (_array(ids), END if until is None else until)):
            streams.setdefault(stream_id, []).append(position)
        return streams

    def first_versions_beyond(self, ids: Collection[UUID], position: Position) -> dict[UUID, int]:
        """Return the version of the first event behind a position, of those streams that have any there.

        Version 1 says that the whole stream lies behind it.
        """
        return dict(self._rows(_FIRST_BEYOND, (_array(ids), position)))

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
        return [stream for (stream,) in self._rows(_ABOUT, (volunteer,))]

    def position_at(self, instant: int) -> Position:
        """Return the last position recorded at or before the instant (epoch seconds); 0 when there was none.

        Positions are dense and `recorded_at` never goes back, so this is a binary search.
        """
        before, beyond = 0, self.head() + 1
        while beyond - before > 1:
            middle = (before + beyond) // 2
            state = self._scalar("SELECT state FROM ledger.stored_events WHERE notification_id = %s", middle)
            if json.loads(state)["recorded_at"] <= instant:
                before = middle
            else:
                beyond = middle
        return Position(before)

    def identity(self) -> UUID:
        """Return the id this ledger was given when its tables were made; an archive belongs to one ledger."""
        identity: UUID = self._scalar("SELECT id FROM ledger.identity")
        return identity

    def _events(self, query: str, values: tuple[object, ...] | dict[str, object]) -> list[RecordedEvent]:
        with (
            self._pool.connection() as connection,
            connection.cursor(binary=True, row_factory=_recorded_event) as cursor,
        ):
            return cursor.execute(query, values).fetchall()

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
            return cursor.execute(query, values).fetchall()

    def _scalar(self, query: str, *values: object) -> Any:
        with self._pool.connection() as connection, connection.cursor(binary=True, row_factory=scalar_row) as cursor:
            return cursor.execute(query, values).fetchone()


def _array(ids: Iterable[UUID]) -> str:
    """Return ids as a parameter for `%s::uuid[]`; the driver takes several times as long over a list of them."""
    return "{" + ",".join([f"{one.int:032x}" for one in ids]) + "}"


def _recorded_event(_cursor: Cursor[Any]) -> RowMaker[RecordedEvent]:
    return RecordedEvent._make
