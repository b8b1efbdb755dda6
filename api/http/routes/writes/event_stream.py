"""A stream of events, one per line, answered by one line per event as they are committed.

The length of a stream is not limited: it is read in chunks, and no further while a chunk is being committed, so the
sender is slowed to the speed of the ledger. An interrupted stream can be continued: the answers show how far it got,
and events that are sent twice are recorded once. Only the length of a line is limited.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import psycopg
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.requests.submission import IntakeOptions, Reader, submit, valid_orders, wait_projected, with_shifts
from api.messages.answers import as_json, element_answers, last_position
from api.messages.database_faults import fault_of_database
from api.messages.json_bodies import BYTE_ORDER_MARK
from api.messages.problems import Fault, Problem, details_of, fault
from api.operations.service import Service
from ledger.intake.answers import Answer
from ledger.intake.prepare import Prepared

NDJSON = "application/x-ndjson"
CHUNK_LINES = 500
LINE_BYTES_MAX = 1 << 20
FULL_WAIT_SECONDS = 0.2
"""The pause before a chunk is submitted again while the ledger's queue is full."""


class Lines(Response):
    """A response whose lines are sent while the request's body is still being read.

    The framework's own streaming response listens for a disconnect, and would thereby consume the body.
    """

    media_type = NDJSON

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the response."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for lines in self._lines:
            await send({"type": "http.response.body", "body": lines, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def answer_lines(
    request: Request, service: Service, options: IntakeOptions, reader: Reader
) -> AsyncIterator[bytes]:
    """Yield answers to the lines of a body, chunk by chunk; a problem that ends the stream is its last line."""
    try:
        async for lines in chunks_of(request.stream()):
            await reader.wait(service.limits)
            reader.charge(service.limits, len(lines))
            yield await _answer_chunk(lines, request, service, options, reader)
    except Problem as problem:
        yield _line(problem.fault)
    except psycopg.OperationalError as error:
        yield _line(fault_of_database(error, reachable=service.keys.is_listening))
    except ClientDisconnect:
        return  # the client is gone; the chunks before are recorded


async def _answer_chunk(
    lines: list[bytes], request: Request, service: Service, options: IntakeOptions, reader: Reader
) -> bytes:
    parsed = await run_in_threadpool(lambda: [_read_line(line, reader) for line in lines])
    orders = valid_orders(parsed, service)
    answers = await _submit_when_free(request, orders, options)
    projected = await wait_projected(service, options, last_position(answers))
    if projected:
        answers = await with_shifts(service, orders, answers)
    results = element_answers(lines, parsed, answers, projected=projected)
    return b"".join(as_json(result) + b"\n" for result in results)


def _read_line(line: bytes, reader: Reader) -> Prepared | Fault:
    """Parse a line; if it holds several objects, say how the line feeds between them are lost."""
    read = reader.read(line)
    if not isinstance(read, Fault) or read.rejection != "malformed":
        return read
    try:
        text = line.removeprefix(BYTE_ORDER_MARK).decode().lstrip()
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return read
    if not text[end:].lstrip(" \t\r,").startswith("{"):
        return read
    remedy = "end each event with a line feed; curl keeps them with --data-binary, and removes them with -d"
    return fault(
        "malformed", f"the line holds several JSON objects, and a stream has one in each line; {remedy}", remedy=remedy
    )


async def _submit_when_free(request: Request, orders: list[Prepared], options: IntakeOptions) -> list[Answer]:
    """Submit orders; while the queue is full, wait and retry, which slows the sender."""
    while True:
        try:
            return await submit(request, orders, options)
        except Problem as problem:
            if problem.fault.rejection != "busy":
                raise
        await asyncio.sleep(FULL_WAIT_SECONDS)


async def chunks_of(body: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body as they arrive, at most CHUNK_LINES at a time; empty lines are skipped."""
    rest = bytearray()  # the line that is not complete; each byte is looked at once, however small the parts are
    async for part in body:
        head, newline, tail = part.rpartition(b"\n")
        if newline:
            lines = [line for line in (bytes(rest) + head).split(b"\n") if _is_written(line)]
            rest = bytearray(tail)
        else:
            lines = []
            rest += part
        if len(rest) > LINE_BYTES_MAX:
            raise Problem(fault("too-large", f"a line is longer than {LINE_BYTES_MAX >> 20} MiB; send shorter ones"))
        for start in range(0, len(lines), CHUNK_LINES):
            yield lines[start : start + CHUNK_LINES]
    if _is_written(bytes(rest)):
        yield [bytes(rest)]


def _is_written(line: bytes) -> bool:
    """Return whether a line holds more than white space, or a byte order mark at the beginning of a file."""
    return bool(line.removeprefix(BYTE_ORDER_MARK).strip())


def _line(fault: Fault) -> bytes:
    return details_of(fault).model_dump_json().encode() + b"\n"
