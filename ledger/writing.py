"""Writing the log: one writer at a time, one COPY, dense positions.

A follower reads the log in order of positions. It would miss an event for ever if a later position could be seen
before an earlier one, so every writer holds one advisory lock from before it learns the head until its transaction has
ended: positions are given out in the order of commits, and without gaps.

Nothing here decides what may be written. Errors are psycopg's: `UniqueViolation` when a stream already has that
version, `LockHeldError` (a `LockNotAvailable`) when another writer would not let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from struct import Struct
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor, IsolationLevel
from psycopg.errors import LockNotAvailable
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from ledger.names import Position

WRITERS_LOCK = 0x6C6564676572  # "ledger"; an advisory lock is its database's own
LOCK_TIMEOUT_SECONDS = 10
"""A writer that waits longer gives up: a batch takes milliseconds, a chunk of history seconds."""

CHANNEL = "ledger"
"""Every commit notifies this channel; the payload is the new head."""

CHUNK_ROWS = 100
"""So many rows are made at a time."""

PIECE_BYTES = 1 << 15
"""From this size on a piece is sent, and stored while the next is made; each costs the driver a turn of its own."""

Row = tuple[UUID, int, str, str | bytes]
"""Stream id, version, topic, state. A state is JSON, as text or UTF-8 bytes; other bytes are stored faithfully too."""

Copied = tuple[bytes, int, str, bytes]
"""A row as `copied_rows` gives it back: its stream as 16 bytes."""

_COPY_LINES = "COPY ledger.stored_events (originator_id, originator_version, topic, state, notification_id) FROM STDIN"
_COPY_EVENTS = f"{_COPY_LINES} (FORMAT binary)"
_COPY_COMMANDS = "COPY ledger.commands (name, content, position) FROM STDIN (FORMAT binary)"
_LOCK = "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)"


class LockHeldError(LockNotAvailable):
    """Another session would not let go of a lock; the message says of which, and how long it was waited for."""


def take_lock(cursor: Cursor[TupleRow], timeout_seconds: int | None = None) -> None:
    """Become the one writer until the transaction ends.

    What is read afterwards is what the last writer left: each statement of a READ COMMITTED transaction has a snapshot
    of its own, so the head must be read by a later statement than this one. (A REPEATABLE READ transaction would go on
    seeing the log as it was before the wait: hence `configure`.)

    Raises:
        LockHeldError: another session has held it for so long (`LOCK_TIMEOUT_SECONDS`, if nothing is said).
    """
    seconds = LOCK_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
    try:
        cursor.execute(_LOCK, (f"{seconds}s", WRITERS_LOCK))
    except LockNotAvailable:
        raise LockHeldError(f"another session has held the writers' lock for {seconds} s") from None


def configure(connection: Connection[Any]) -> None:
    """Prepare a connection for writers, whatever the server's default isolation is."""
    connection.isolation_level = IsolationLevel.READ_COMMITTED


def head_position(cursor: Cursor[TupleRow]) -> Position:
    """Return the position of the last event, 0 for an empty log."""
    rows = cursor.execute("SELECT coalesce(max(notification_id), 0) FROM ledger.stored_events").fetchall()
    return Position(rows[0][0])


def write_events(cursor: Cursor[TupleRow], rows: Iterable[Row], first_position: int) -> None:
    """Append rows at consecutive positions; followers are notified on commit. The lock must be held.

    Rows may come from a generator: the server stores the first ones while the next are being made.
    """
    source = iter(rows)
    chunks = iter(lambda: list(islice(source, CHUNK_ROWS)), [])
    copy_events(cursor, (copy_rows(chunk, first_position + i * CHUNK_ROWS) for i, chunk in enumerate(chunks)))
    notify(cursor, head_position(cursor))


def copy_events(cursor: Cursor[TupleRow], chunks: Iterable[bytes]) -> None:
    """Append rows of `copy_rows`, positions and all. The lock must be held."""
    _copy(cursor, _COPY_EVENTS, chunks)


def copy_commands(cursor: Cursor[TupleRow], rows: bytes) -> None:
    """Note answered commands: rows of name, content and position in COPY's binary format."""
    _copy(cursor, _COPY_COMMANDS, [rows])


def _copy(cursor: Cursor[TupleRow], statement: str, chunks: Iterable[bytes]) -> None:
    """Send rows in COPY's binary format, large chunks as they come, so that the server stores while more are made."""
    waiting = _BEGIN
    with cursor.copy(statement) as copy:
        for rows in chunks:
            waiting += rows
            if len(waiting) >= PIECE_BYTES:
                copy.write(waiting)
                waiting = b""
        copy.write(waiting + _END)


def notify(cursor: Cursor[TupleRow], head: int) -> None:
    """Tell followers the new head, on commit."""
    cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(head)))


def append_history(pool: ConnectionPool[Connection[TupleRow]], chunks: Iterable[bytes]) -> Position:
    """Append trusted, encoded history and return the new head. A chunk: lines of `copy_lines`, one transaction.

    Nothing is decided or decoded; only the positions are checked, which must go on from the head without a gap. When a
    chunk is refused the ones before it stay.
    """
    head = Position(0)
    for chunk in chunks:
        with pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            take_lock(cursor)
            before = head_position(cursor)
            with cursor.copy(_COPY_LINES) as copy:
                copy.write(chunk)
            head = head_position(cursor)
            notify(cursor, head)
            # Positions are unique and those up to `before` are taken: this equation leaves no room for a gap.
            if head != before + chunk.count(b"\n"):
                raise ValueError(
                    f"history must go on at position {before + 1}, without a gap; nothing of this chunk is kept"
                )
    return head


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return ids as a parameter for `%s::uuid[]`; the driver takes longer over a list of UUID."""
    return "{" + ",".join([one.hex for one in ids]) + "}"


# --- rows in COPY's binary format -----------------------------------------------------------------------------------

# Quicker for the server than text: each id would be 16 numbers to be read, each state be gone through three times.
# A row is the number of its fields and each field behind its length; all numbers are big-endian.

_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_STREAM_AND_VERSION = Struct(">hi16siqi")
_LENGTH = Struct(">i")
_POSITION = Struct(">iq")


def copy_rows(rows: Iterable[Row], first_position: int) -> bytes:
    """Return rows for `copy_events`, at consecutive positions."""
    return b"".join(
        [
            copy_row(stream.bytes, version, topic, state.encode() if isinstance(state, str) else state, position)
            for position, (stream, version, topic, state) in enumerate(rows, first_position)
        ]
    )


def copy_row(stream: bytes, version: int, topic: str, state: bytes, position: int) -> bytes:
    """Return a row for `copy_events`: five fields."""
    name = topic.encode()
    begin = _STREAM_AND_VERSION.pack(5, 16, stream, 8, version, len(name))
    return b"".join((begin, name, _LENGTH.pack(len(state)), state, _POSITION.pack(8, position)))


def copied_rows(rows: bytes) -> Iterator[Copied]:
    """Yield what `copy_row` was given, but positions."""
    at = 0
    while at < len(rows):
        _, _, stream, _, version, length = _STREAM_AND_VERSION.unpack_from(rows, at)
        at += _STREAM_AND_VERSION.size
        topic = rows[at : at + length].decode()
        (length,) = _LENGTH.unpack_from(rows, at := at + length)
        at += _LENGTH.size
        yield stream, version, topic, rows[at : at + length]
        at += length + _POSITION.size


# --- lines in COPY's text format, for histories ---------------------------------------------------------------------


def copy_lines(rows: Iterable[Row], first_position: int) -> str:
    """Return rows as lines of PostgreSQL's COPY text format, all ASCII: stream, version, topic, state, position."""
    return "".join(
        [
            f"{stream.hex}\t{version}\t{_escaped(topic)}\t{bytea_text(state)}\t{position}\n"
            for position, (stream, version, topic, state) in enumerate(rows, first_position)
        ]
    )


def bytea_text(state: str | bytes) -> str:
    r"""Return a state as COPY text for a bytea column.

    Printable ASCII, which nearly all states are, goes through as it is (bytea's escape form); its backslashes are
    doubled twice, for bytea and for COPY. Anything else is written in hexadecimal, which no encoding can hurt.
    """
    text = state if isinstance(state, str) else state.decode("latin-1")
    if text.isascii() and text.isprintable():
        return text.replace("\\", "\\\\\\\\")
    return "\\\\x" + (state.encode() if isinstance(state, str) else state).hex()


@lru_cache(maxsize=256)
def _escaped(topic: str) -> str:
    """Return a topic as COPY text."""
    return topic.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
