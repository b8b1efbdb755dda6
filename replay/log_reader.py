"""Reading the log for the archive: ranges of positions as columns, the next range while the last is parsed.

PostgreSQL joins a range of events into one text of JSON lines: a message of the protocol per event would cost more than
everything else. Nothing is skipped: a range with a hole is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from ledger.database import Database
from projections.surrogates import Names
from replay.log_columns import Dictionaries, LogColumns, columns_of_lines
from replay.segments import NAME_KINDS, NewNames

_READ_LINES = """
SELECT string_agg(
  '{"position":' || notification_id || ',"topic":"' || topic || '",' || substr(convert_from(state, 'UTF8'), 2),
  E'\\n' ORDER BY notification_id)
FROM ledger.stored_events
WHERE notification_id > %(after)s AND notification_id <= %(until)s
"""
"""The events of a range of positions as one text, a JSON object per line, each with its position and topic."""


class HoleError(Exception):
    """Positions are missing in the log, which its writers never leave: somebody deleted events."""

    def __init__(self, after: int, until: int, found: int) -> None:
        super().__init__(
            f"the log holds {found} events between positions {after + 1} and {until}: it has a hole; check the database"
        )


def read_lines(database: Database, after: int, until: int) -> bytes:
    """Return the events of a range of positions as bytes, a line each; what the archive's digests are taken of."""
    with database.pool.connection() as connection, connection.cursor(binary=True) as cursor:
        row = cursor.execute(_READ_LINES, {"after": after, "until": until}).fetchone()
    return row[0].encode() if row and row[0] else b""


def read_ahead(
    database: Database, ranges: list[tuple[int, int]], names: Dictionaries
) -> Iterator[tuple[LogColumns, NewNames]]:
    """Read ranges of positions, each with the names it adds to the dictionaries.

    Raises:
        HoleError: positions are missing.
    """
    with ThreadPoolExecutor(1) as pool:
        following: Future[bytes] | None = None
        for number, (low, high) in enumerate(ranges):
            lines = following.result() if following else read_lines(database, low, high)
            if number + 1 < len(ranges):
                following = pool.submit(read_lines, database, *ranges[number + 1])
            before = {kind: len(known) for kind, known in names_by_kind(names).items()}
            shifts = names.shifts.count
            columns = columns_of_lines(lines, names)
            rows = len(columns.shift_events.code) + len(columns.other_events.code)
            if rows != high - low:
                raise HoleError(low, high, rows)
            added = {kind: known.texts()[before[kind] :] for kind, known in names_by_kind(names).items()}
            yield columns, NewNames(*names.shifts.since(shifts), added)


def names_by_kind(names: Dictionaries) -> dict[str, Names]:
    """Return the dictionaries by the kinds of names a segment knows."""
    return dict(zip(NAME_KINDS, (names.volunteers, names.stations, names.projects, names.keys), strict=True))
