"""A stream of events, a line each, answered by a line each as they are committed.

A stream has no length to limit: it is read a chunk at a time, and no further while a chunk is being committed, so a
sender is slowed to what the ledger takes. Whoever breaks off sends the rest again later: the answers say how far it
came, and what was sent twice is recorded once. Only the length of a line is limited.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.requests.submission import IntakeOptions, Reader, orders_among, projected, take
from api.messages.answers import as_json, element_answers, last_position
from api.messages.database_faults import fault_of_database
from api.messages.problems import Fault, Problem, details_of, fault
from api.operations.service import Service
from ledger.intake.answers import Answer
from ledger.intake.prepare import Prepared

NDJSON = "application/x-ndjson"
CHUNK_LINES = 500
LINE_BYTES_MAX = 1 << 20
FULL_WAIT_SECONDS = 0.2


class Lines(Response):
    """A response of lines that come while the request's body is still being read.

    The framework's own streaming response listens for the caller's going away, and would swallow the body.
    """

    media_type = NDJSON

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as the protocol has it
        """Send the lines."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for lines in self._lines:
            await send({"type": "http.response.body", "body": lines, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def answer_lines(
    body: AsyncIterator[bytes], service: Service, asked: IntakeOptions, reader: Reader
) -> AsyncIterator[bytes]:
    """Yield an answer for each line of a body, chunk by chunk; a problem that ends the stream is its last line."""
    try:
        async for lines in _chunks(body):
            yield await _answered(lines, service, asked, reader)
    except Problem as problem:
        yield _line(problem.fault)
    except psycopg.OperationalError as error:
        yield _line(fault_of_database(error, reachable=service.keys.hears))
    except ClientDisconnect:
        return  # nobody is there to be answered; what came before is recorded


async def _answered(lines: list[bytes], service: Service, asked: IntakeOptions, reader: Reader) -> bytes:
    orders_read = await run_in_threadpool(lambda: list(map(reader.read, lines)))
    answers = await _patiently(service, orders_among(orders_read, service), asked)
    known = await projected(service, asked, last_position(answers))
    told = element_answers(lines, orders_read, answers, projected=known)
    return b"".join(as_json(one) + b"\n" for one in told)


async def _patiently(service: Service, orders: list[Prepared], asked: IntakeOptions) -> list[Answer]:
    """Take orders; while the queue is full, wait: it is the sender who is to be slowed."""
    while True:
        try:
            return await take(service, orders, asked)
        except Problem as problem:
            if problem.fault.rejection != "busy":
                raise
        await asyncio.sleep(FULL_WAIT_SECONDS)


async def _chunks(body: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body that have come, some hundred at a time; empty lines are left out."""
    rest = b""
    async for part in body:
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise Problem(fault("too-large", f"a line is longer than {LINE_BYTES_MAX >> 20} MiB; send shorter ones"))
        lines = [line for line in lines if line.strip()]
        for start in range(0, len(lines), CHUNK_LINES):
            yield lines[start : start + CHUNK_LINES]
    if rest.strip():
        yield [rest]


def _line(found: Fault) -> bytes:
    return details_of(found).model_dump_json().encode() + b"\n"
