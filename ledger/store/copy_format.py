"""Rows of the log in PostgreSQL's COPY formats: binary for recorded events, text for loaded histories.

Binary is faster for the server: in text, it would parse 32 digits for each id and scan each state three times. A binary
row is the number of its fields, then each field preceded by its length; all numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from uuid import UUID

Row = tuple[UUID, int, str, str | bytes]
"""Stream id, version, topic, state. A state is JSON, as text or UTF-8 bytes; other bytes are stored unchanged too."""

BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
_STREAM_AND_VERSION = Struct(">hi16siq")
_LENGTH = Struct(">i")
_POSITION = Struct(">iq")
_COMMAND = Struct(">hi16si16siq")


def event_row(stream: bytes, version: int, topic: str, state: bytes, position: int) -> bytes:
    """Return a binary row of the log: five fields."""
    return b"".join(
        (
            _STREAM_AND_VERSION.pack(5, 16, stream, 8, version),
            _topic(topic),
            _LENGTH.pack(len(state)),
            state,
            _POSITION.pack(8, position),
        )
    )


@lru_cache(maxsize=256)
def _topic(topic: str) -> bytes:
    name = topic.encode()
    return _LENGTH.pack(len(name)) + name


def command_row(name: bytes, content: bytes, position: int) -> bytes:
    """Return a binary row of the table of commands: two 16-byte digests and a position."""
    return _COMMAND.pack(3, 16, name, 16, content, 8, position)


def text_rows(rows: Iterable[Row], first_position: int) -> str:
    """Return rows as lines of COPY's text format, all ASCII: stream, version, topic, state, position."""
    return "".join(
        [
            f"{stream.hex}\t{version}\t{_escaped(topic)}\t{bytea_text(state)}\t{position}\n"
            for position, (stream, version, topic, state) in enumerate(rows, first_position)
        ]
    )


def bytea_text(state: str | bytes) -> str:
    r"""Return a state as COPY text for a bytea column.

    Printable ASCII, as nearly all states are, is written in bytea's escape format; its backslashes are doubled twice,
    for bytea and for COPY. Everything else is written in hexadecimal, which is independent of encodings.
    """
    text = state if isinstance(state, str) else state.decode("latin-1")
    if text.isascii() and text.isprintable():
        return text.replace("\\", "\\\\\\\\")
    return "\\\\x" + (state.encode() if isinstance(state, str) else state).hex()


@lru_cache(maxsize=256)
def _escaped(topic: str) -> str:
    """Return a topic as COPY text."""
    return topic.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
