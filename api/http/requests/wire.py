"""Frames between a server and its computing process: MessagePack, one request for each connection of a local socket.

    server → computing process    a `Request` with its body, or an empty frame that asks for the states of jobs
    computing process → server    an empty frame as soon as it is connected; then a `Begin`, any number of pieces of the
                                  body, and an empty piece as the end

A connection that is closed by the server means that its client is gone; one that is closed without an end means that
the computing process ended.
"""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter

import msgspec

HANDED_OVER = "hours.handed-over"
"""The key in a request's scope that says that the server has checked its rate and counts it."""
FRAME_BYTES_MAX = 64 << 20
"""A frame is a request with its body of at most a mebibyte, or one message of an answer."""


class Request(msgspec.Struct, array_like=True):
    """A request as the server received it, with its whole body."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    root_path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    id: str | None


class Begin(msgspec.Struct, array_like=True):
    """The beginning of an answer. `rejection`: the name of the problem that it is, for the metrics."""

    status: int
    headers: list[tuple[bytes, bytes]]
    rejection: str | None


async def read_frame(reader: StreamReader) -> bytes:
    """Return the next frame.

    Raises:
        asyncio.IncompleteReadError: the other side closed the connection.
    """
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes is larger than {FRAME_BYTES_MAX}")
    return await reader.readexactly(length)


async def write_frame(writer: StreamWriter, frame: bytes) -> None:
    """Send a frame, and wait until the other side reads."""
    writer.write(len(frame).to_bytes(4, "big") + frame)
    await writer.drain()
