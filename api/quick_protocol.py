"""The short way for a single scan: from the socket to the ledger and back, past the framework.

The framework takes four fifths of the time of a single event: tasks, scopes, middlewares and models of what is not
there. A post to `/v1/events` that asks for nothing unusual, with a key that this process remembers, whose body is a
plain scan, is read by compiled loops where it arrives, submitted, and answered in one write. Whatever is unusual is
replayed to the framework as if it had just come, which answers it; so this module answers no request differently, and
tests hold both ways to the same answers.

It goes on from uvicorn's protocol for httptools, whose version is pinned.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress

import psycopg
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.access import Caller
from api.cloud_events import BATCH, EVENT
from api.database_faults import fault_of_database
from api.problems import Problem, fault, fault_of_refusal, response
from api.request_log import HEADER, RequestLog, id_of
from api.scan_answers import answers_text, batch_text
from api.scan_reader import ARRAY, ONE, read_scans
from api.service import Service
from api.taking import turned_away
from ledger.batch import Told
from ledger.plain.block import RECORDED, Block

logger = logging.getLogger(__name__)

PATH = b"/v1/events"
BODY_BYTES_MAX = 16_384
"""A larger body is read by a thread of its own, which the framework's way does, so that nobody waits for it."""

_SHAPES = {EVENT.encode(): ONE, BATCH.encode(): ARRAY}
_UNUSUAL = (b"ce-specversion", b"expect", b"transfer-encoding", b"content-encoding")


class Answered:
    """Hands what the ledger has answered to the event loop, all of a batch in one turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[tuple[Cycle, Future[list[Told]]]] = deque()

    def tell(self, cycle: Cycle, future: Future[list[Told]]) -> None:
        """Note, in the thread that writes, that a request is answered."""
        self._done.append((cycle, future))
        if len(self._done) == 1:  # else a turn is under way, or will be
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        while self._done:
            cycle, future = self._done[0]
            try:
                cycle.answer(future)
            except Exception:
                logger.exception("a request could not be answered")
                cycle.give_up()
            self._done.popleft()


class Cycle:
    """One request on the short way: what uvicorn's protocol asks of the request under way, and how it is answered."""

    def __init__(self, protocol: QuickProtocol, caller: Caller, shape: int, own_id: bytes, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self.caller = caller
        self.own_id = own_id
        self.shape = shape
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.began = time.perf_counter()
        self.block: Block | None = None
        self.response_complete = False
        self.disconnected = False
        self.message_event = self

    def set(self) -> None:
        """Nobody waits for parts of the request."""

    def answer(self, future: Future[list[Told]]) -> None:
        """Answer with what became of the scans."""
        error, fields = future.exception(), {"request_id": self.own_id.decode()}
        if error is None:
            self._say_told()
        elif isinstance(error, psycopg.OperationalError):
            logger.error("the database failed a request: %s", error, extra={"fields": fields})
            self.refuse(Problem(fault_of_database(error, reachable=self._protocol.service.keys.hears)))
        else:
            logger.error("a request failed", exc_info=error, extra={"fields": fields})
            self.refuse(Problem(fault("failed")))

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem."""
        told = response(problem.fault, problem.headers)
        self._say(told.status_code, _lines(told.raw_headers), bytes(told.body), problem.fault.rejection)

    def give_up(self) -> None:
        """Leave the request without an answer."""
        self.response_complete = True
        self._protocol.transport.close()

    def _say_told(self) -> None:
        block = self.block
        assert block is not None  # noqa: S101 - it was submitted
        if self.shape == ARRAY:
            status, body = 200, batch_text(block, projected=None)
        elif block.answers:
            self.refuse(Problem(fault_of_refusal(block.answers[0])))
            return
        else:
            status = 201 if block.rows["outcome"][0] == RECORDED else 200
            body = answers_text(block, "", projected=None)
        self._say(status, b"content-length: %d\r\ncontent-type: application/json\r\n" % len(body), body)

    def _say(self, status: int, headers: bytes, body: bytes, rejection: str | None = None) -> None:
        self.response_complete = True
        protocol = self._protocol
        seconds = time.perf_counter() - self.began
        protocol.requests.note("POST", "/v1/events", status, seconds, self.caller, rejection, self.own_id)
        if self.disconnected or protocol.transport.is_closing():
            return
        close = b"" if self.keep_alive else b"connection: close\r\n"
        own_id = HEADER + b": " + self.own_id + b"\r\n"
        date = _lines(protocol.server_state.default_headers)
        protocol.transport.write(b"".join((STATUS_LINE[status], date, headers, own_id, close, b"\r\n", body)))
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


class QuickProtocol(HttpToolsProtocol):
    """A connection some of whose requests go the short way."""

    service: Service
    requests: RequestLog
    answered: Answered | None = None
    _quick: Cycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; all connections share what hands them their answers."""
        super().connection_made(transport)
        if self.answered is None:
            type(self).answered = Answered(self.loop)

    def on_headers_complete(self) -> None:
        """Decide which way a request goes, as far as its headers tell."""
        self._quick = self._cycle_for_quick()
        if self._quick is None:
            super().on_headers_complete()
        else:
            self.cycle = self._quick  # type: ignore[assignment]

    def _cycle_for_quick(self) -> Cycle | None:
        if self.url != PATH or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return None
        if self.cycle is not None and not self.cycle.response_complete:  # the one before is not answered yet
            return None
        headers = dict(self.headers)
        shape = _SHAPES.get(headers.get(b"content-type", b""))
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        length = headers.get(b"content-length", b"")
        if shape is None or scheme != b"Bearer" or len(headers) != len(self.headers):
            return None
        if not length.isdigit() or int(length) > BODY_BYTES_MAX or any(name in headers for name in _UNUSUAL):
            return None
        caller = self.service.keys.remembered(token.decode("latin-1"))
        if caller is None:
            return None
        return Cycle(self, caller, shape, id_of(headers.get(HEADER)), keep_alive=self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        """Keep a part of a body."""
        if self._quick is None:
            super().on_body(body)
        else:
            self._quick.body += body

    def on_message_complete(self) -> None:
        """Take a request that is whole."""
        cycle = self._quick
        if cycle is None:
            super().on_message_complete()
            return
        self._quick = None
        body, caller = bytes(cycle.body), cycle.caller
        limits = self.service.limits
        block = read_scans(body, cycle.shape, caller)
        if block is None or limits.wait_seconds(caller.key or 0, caller.per_second):
            self.cycle = None  # type: ignore[assignment]
            super().on_headers_complete()
            super().on_body(body)
            super().on_message_complete()
            return
        cycle.block = block
        try:
            with turned_away():
                future = self.service.commits.submit_block(block)
        except Problem as problem:
            cycle.refuse(problem)
            return
        answered = self.answered
        assert answered is not None  # noqa: S101 - a connection was made
        future.add_done_callback(lambda done: answered.tell(cycle, done))


def quick_protocol(service: Service, requests: RequestLog) -> type[QuickProtocol]:
    """Return the protocol for a service."""
    return type("ServiceProtocol", (QuickProtocol,), {"service": service, "requests": requests})
