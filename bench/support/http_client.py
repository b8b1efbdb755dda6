"""A cheap HTTP client: requests are bytes made before the clock starts, answers are read by Content-Length.

The load generator shares the machine with the measured server, so it parses as little as possible.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """An answer, and the seconds until it came."""

    status: int
    body: bytes
    seconds: float


def request(address: str, path: str, token: str, media_type: str, body: bytes) -> bytes:
    """Return the bytes of a POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def as_json(value: Any) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def send_all(address: str, requests: Sequence[bytes], connections: int) -> tuple[list[Answer], float]:
    """Send requests over several connections, each after the previous answer; return answers and seconds."""
    return asyncio.run(_send_all(address, requests, connections))


async def _send_all(address: str, requests: Sequence[bytes], connections: int) -> tuple[list[Answer], float]:
    parts = urlsplit(address)
    opened = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(connections)]
    waiting = iter(requests)
    answers: list[Answer] = []

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for message in waiting:
            begun = perf_counter()
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            answers.append(Answer(int(head[9:12]), body, perf_counter() - begun))

    begun = perf_counter()
    await asyncio.gather(*(work(*connection) for connection in opened))
    seconds = perf_counter() - begun
    for _, writer in opened:
        writer.close()
    return answers, seconds
