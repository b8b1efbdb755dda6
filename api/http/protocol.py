"""The limits of a connection, which hold before there is a request that the application could refuse.

uvicorn's protocol on httptools bounds neither the head of a request, nor the time it takes to arrive, nor the number of
connections (`docs/decisions/0019-limits-before-a-request.md`). This subclass adds that through the callbacks of the
parser and of the transport:

    414, 431   the request line, the headers and their number
    408        a head that is not complete in time; an idle connection is closed without an answer
    503        more connections than allowed, or too many pipelined requests
    400        anything that is not HTTP/1.1, or whose framing two programs could read differently

A refused connection is closed: what follows on it cannot be trusted to begin a request. Bodies are limited by the
application (`api/http/requests/limits.py`), which knows what each of them may be.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.http.connection_limits import ConnectionLimits
from api.http.heads import ambiguity, answer_of
from api.http.pacing import Pace, PacedReading
from api.http.requests.in_progress import share_of_scope
from api.http.requests.request_log import CALLER
from api.messages.problems import Fault, fault

_Received: TypeAlias = "bytes | bytearray | memoryview[int] | array[int]"


class Connections:
    """The connections of one server, and their limits.

    `waiting` holds those without a request in progress, and those whose client does not read, the oldest first: if the
    server has as many connections as allowed, a new one takes the place of the oldest of these, or else of the oldest
    request without a key. So neither connections that wait for their clients nor strangers keep anybody out.
    """

    def __init__(self, limits: ConnectionLimits, observe: Callable[[Fault], None] = lambda _fault: None) -> None:
        self.limits = limits
        self.observe = observe
        self.waiting: dict[BoundedProtocol, None] = {}
        self.paced = PacedReading()

    def protocol(self, *arguments: Any, **named: Any) -> BoundedProtocol:
        """Return the protocol of a new connection; uvicorn passes its own arguments."""
        return BoundedProtocol(self, *arguments, **named)


class _Parser(httptools.HttpRequestParser):
    """A parser that ignores `Upgrade`, as RFC 9110 allows.

    httptools stops behind the head of such a request and takes its body for the next request. Some clients ask for
    `h2c` with each first request, so it is not refused: the head is parsed again without that header.
    """

    def __init__(self, protocol: BoundedProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: _Received) -> None:
        """Parse more bytes of the connection."""
        while True:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._protocol.head_without_upgrade() + bytes(data)[upgrade.args[0] :]
            else:
                return


class _RefusedError(Exception):
    """Ends the parsing of a request that is refused; httptools passes it on as an error of its own."""


class BoundedProtocol(HttpToolsProtocol):
    """An HTTP connection whose every part before and between bodies is bounded."""

    def __init__(self, connections: Connections, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.parser = _Parser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._shared = connections
        self._limits = connections.limits
        self._part = ""  # of the message that is being received: "", "head" or "body"
        self._advanced = False  # whether the last bytes completed a head, a piece of a body, or a message
        self._stalled_bytes = 0  # received since then
        self._head_bytes = self._head_lines = 0
        self._unanswered: deque[RequestResponseCycle] = deque()
        """The requests that were received and not answered; the application has begun the first."""
        self.began = 0.0
        """When the last request was received."""
        self._unread_bytes = 0
        self._fault: Fault | None = None  # why the message is refused, found while parsing
        self._refused: Fault | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed = ""  # what the timer limits: "", "head" or "unread"
        self._write_timer: asyncio.TimerHandle | None = None
        self._pace = Pace(connections.paced, self.loop, self._read_again)

    # --- the transport ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; make room if there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            oldest = next(iter(self._shared.waiting), None) or self._oldest_stranger()
            if oldest is None:
                self._close_with(fault("too-many-connections"))
                return
            oldest.make_room()
        self._shared.waiting[self] = None
        self._watch()

    def _oldest_stranger(self) -> BoundedProtocol | None:
        """Return the connection on which a request without a key is in progress, the oldest of them."""
        strangers = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.is_stranger]
        return min(strangers, key=lambda one: one.began, default=None)

    @property
    def is_stranger(self) -> bool:
        """Whether the request in progress has no key, as far as is known."""
        return bool(self._unanswered) and CALLER not in self._unanswered[0].scope and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._shared.waiting.pop(self, None)
        self._stop_timer()
        self._pace.end()
        self._end_cycles()  # uvicorn ends the last one only, which may wait behind others
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and read small pieces of a message at intervals."""
        self._parse(data)
        if (
            (self._part or self._refused or self._stalled_bytes)
            and self._pace.received(len(data))
            and not self.transport.is_closing()
        ):
            self.transport.pause_reading()
            self._pace.pause(share_of_scope(self._unanswered[0].scope) if self._unanswered else None)

    def _read_again(self) -> None:
        if not (self.transport.is_closing() or self.flow.read_paused):
            self.transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        """Parse bytes, unless the connection is refused already."""
        if self._refused is not None:
            self._drop(len(data))
            return
        self._advanced = False
        super().data_received(data)
        if self._refused is not None or self.transport.is_closing():
            return
        self._stalled_bytes = 0 if self._advanced else self._stalled_bytes + len(data)
        if self._stalled_bytes > self._limits.head_bytes:
            self.refuse(fault("headers-too-large"))
        else:
            self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Go on writing."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self._unanswered:
            self._shared.waiting.pop(self, None)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        if not self.transport.is_closing():
            self._close()

    # --- the parser ---------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._part, self._head_bytes, self._head_lines = "head", 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        super().on_url(url)
        if len(self.url) > self._limits.url_bytes:
            self._fail("url-too-long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers, which follow a body, are counted and dropped."""
        self._head_lines += 1
        self._head_bytes += len(name) + len(value)
        if self._head_lines > self._limits.headers or self._head_bytes > self._limits.head_bytes:
            self._fail("headers-too-large")
        if self._part == "head":
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is ambiguous."""
        self._advanced = True
        if self.parser.get_method() == b"CONNECT":
            self._fail("not-http", "CONNECT is not supported; send requests to the service itself")
        if self.parser.should_upgrade():
            return  # comes again, without the header
        if detail := ambiguity(self.parser.get_http_version(), self.headers):
            self._fail("not-http", detail)
        if len(self._unanswered) >= self._limits.pipelined:
            self._fail("busy", f"more than {self._limits.pipelined} requests were sent without waiting for an answer")
        super().on_headers_complete()
        self._part = "body"
        self._unanswered.append(self.cycle)
        self.began = self.loop.time()
        self._unread_bytes = 0
        if self._write_timer is None:
            self._shared.waiting.pop(self, None)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body; drop it if the request is answered already."""
        self._advanced = True
        if self.cycle.response_complete:
            self._drop(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._part == "head":
            return  # of a request with `Upgrade`, which comes again
        self._part, self._advanced = "", True
        self._pace.message_complete()
        super().on_message_complete()

    def head_without_upgrade(self) -> bytes:
        """Return the head of the last request as it would be without the header `Upgrade`."""
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([line, *lines, b"", b""])

    # --- answers ------------------------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """End an answer; go on with the next request, or with refusing what followed."""
        self._unanswered.popleft()
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait_for_reader()
            return
        if self._unanswered:
            return
        if self._refused is not None:
            self._answer(self._refused)
            return
        self._shared.waiting[self] = None
        if self._part == "body":
            if self.expect_100_continue:  # the client may send the body or not, so nobody knows what comes next
                self._close()
            self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn calls this, with a sentence of its own
        """Refuse what could not be parsed."""
        self.refuse(self._fault or fault("not-http"))

    def refuse(self, reason: Fault) -> None:
        """Answer with a problem and close; first finish the answers to earlier requests."""
        if self._refused is not None or self.transport.is_closing():
            return
        self._refused = reason
        self._shared.waiting.pop(self, None)
        if self._part == "body":  # of the last request, which will never be complete
            if not self.cycle.response_complete:
                self._unanswered.pop()
            if self.pipeline:
                self.pipeline.popleft()  # it has not started
            elif self.cycle.response_started:
                self._close()
                return
            else:
                self.cycle.disconnected = True  # ends the application's wait for the body
                self.cycle.message_event.set()
        if not self._unanswered:
            self._answer(reason)

    def make_room(self) -> None:
        """Close, because another connection needs the place; answer if the client reads and awaits an answer."""
        self._shared.waiting.pop(self, None)
        if self.transport.get_write_buffer_size():  # closing would wait until the client has read it
            self._abort()
            return
        is_answered = bool(self._unanswered) and self._unanswered[0].response_started
        awaits = self._part == "head" or self._stalled_bytes or self._unanswered
        self._end_cycles()
        if self._refused is None and awaits and not is_answered:
            self._close_with(fault("too-many-connections"))
        else:
            self.transport.close()

    def _close_with(self, reason: Fault) -> None:
        self._refused = reason
        self._shared.observe(reason)
        self.transport.write(answer_of(reason))
        self._close()

    def _close(self) -> None:
        """Close once the client has read what was written, or after the time it has for that."""
        self.transport.close()
        self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        """Give the client a time to read in, and the place of the connection to a new one that needs it."""
        self._shared.waiting.setdefault(self)
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.write_seconds, self._abort)

    def _abort(self) -> None:
        """Close at once, whatever is being sent."""
        self._end_cycles()
        self.transport.abort()

    def _end_cycles(self) -> None:
        """Have the application go on as after a disconnect: it must not write to a transport that is closed."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()

    def _answer(self, reason: Fault) -> None:
        self._shared.observe(reason)
        self.transport.write(answer_of(reason))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._shared.waiting[self] = None
        self._watch()

    def _fail(self, rejection: str, detail: str | None = None) -> None:
        self._fault = fault(rejection, detail)
        raise _RefusedError

    def _drop(self, size: int) -> None:
        self._unread_bytes += size
        if self._unread_bytes > self._limits.unread_bytes and not self._unanswered:
            self._close()

    # --- time ---------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Start or stop the timer, by what the connection waits for. A usual request comes whole, and needs none."""
        if self._refused is not None or (self._part == "body" and self.cycle.response_complete):
            wanted = "unread"
        elif self._part == "head" or not (self._part or self._unanswered):
            wanted = "head"
        else:
            wanted = ""
        if wanted == self._timed:
            return
        self._stop_timer()
        if wanted:
            seconds = self._limits.head_seconds if wanted == "head" else self._limits.unread_seconds
            self._timed, self._timer = wanted, self.loop.call_later(seconds, self._on_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timed, self._timer = "", None

    def _on_timer(self) -> None:
        timed = self._timed
        self._stop_timer()
        if self.flow.read_paused:  # by this server: the client could not send
            self._watch()
        elif timed == "unread" or not (self._part or self._stalled_bytes):
            self._close()
        else:
            self.refuse(fault("too-slow", f"the headers were not complete within {self._limits.head_seconds:g} s"))
