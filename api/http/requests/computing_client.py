"""The server's side of the computing process: hands requests that compute over to it, and passes its answers on."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Hashable
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.requests.lanes import Lane, share_of
from api.http.requests.request_log import CALLER
from api.http.requests.wire import Begin, Request, read_frame, write_frame
from api.messages.problems import REJECTION, Problem, fault
from api.messages.problems import response as problem_response
from api.operations.logs import request_id

AT_ONCE = 128
"""Requests that are handed over at once: each takes a file descriptor."""
OF_KEY_AT_ONCE = 32
WAIT_SECONDS_MAX = 5.0
START_SECONDS_MAX = 10.0
"""How long a computing process may take to accept a connection; one that starts takes a second or two."""


class HandedOver(Exception):  # noqa: N818 - not an error: it ends the work on a request that is answered elsewhere
    """Ends a request's handling in the server. `answer` is the computing process's."""

    def __init__(self, answer: HandedOverResponse) -> None:
        super().__init__()
        self.answer = answer


class ComputingClient:
    """Hands requests over to the computing process that listens on a socket. It belongs to one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lane = Lane(AT_ONCE, WAIT_SECONDS_MAX, OF_KEY_AT_ONCE)

    async def answers(self, seconds_max: float) -> bool:
        """Return whether the computing process answers within some seconds; it does not compute for that."""
        try:
            async with asyncio.timeout(seconds_max):
                reader, writer = await _connect(self._path)
                with closing(writer):
                    await write_frame(writer, b"")
                    msgspec.msgpack.decode(await reader.read(), type=list[str])
        except (OSError, TimeoutError, asyncio.IncompleteReadError, msgspec.DecodeError):
            return False
        return True

    async def hand_over(self, request: HttpRequest) -> HandedOver:
        """Return the exception that ends this request's handling, with the answer of the computing process."""
        scope = request.scope
        handed = Request(
            method=scope["method"],
            path=scope["path"],
            raw_path=scope.get("raw_path") or scope["path"].encode(),
            query=scope["query_string"],
            root_path=scope.get("root_path", ""),
            headers=scope["headers"],
            body=await request.body(),
            id=request_id.get(),
        )
        return HandedOver(HandedOverResponse(self._path, handed, self._lane, share_of(scope[CALLER])))


class HandedOverResponse(Response):
    """The answer of the computing process, passed on as it arrives."""

    def __init__(self, path: Path, request: Request, lane: Lane, share: Hashable) -> None:
        super().__init__()
        self._path = path
        self._request = request
        self._lane = lane
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request over and pass the answer on; a client that hangs up ends both.

        Too many requests of this key, or of all keys, are answered with `busy`.
        """
        try:
            permit = await self._lane.acquire(self._share)
        except Problem as error:
            await problem_response(error.fault)(scope, receive, send)
            return
        try:
            await self._exchange(scope, receive, send)
        finally:
            permit.release()

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reader, writer = await _connect(self._path)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            await self._unanswered(scope, receive, send)
            return
        watch = asyncio.create_task(_close_when_gone(receive, writer))
        try:
            await self._pass_on(reader, writer, scope, receive, send)
        except (OSError, asyncio.IncompleteReadError):
            if not watch.done():
                raise  # the answer is incomplete, so the connection ends
        finally:
            watch.cancel()
            writer.close()

    async def _pass_on(
        self, reader: StreamReader, writer: StreamWriter, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            await write_frame(writer, msgspec.msgpack.encode(self._request))
            begin = msgspec.msgpack.decode(await read_frame(reader), type=Begin)
        except (OSError, asyncio.IncompleteReadError):
            await self._unanswered(scope, receive, send)
            return
        if begin.rejection is not None:
            scope[REJECTION] = begin.rejection
        await send({"type": "http.response.start", "status": begin.status, "headers": begin.headers})
        while piece := await read_frame(reader):  # one that never comes ends the connection, and so the answer
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _unanswered(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = "the process that computes has ended and is started again; send the request again"
        await problem_response(fault("busy", detail))(scope, receive, send)


async def _connect(path: Path) -> tuple[StreamReader, StreamWriter]:
    """Connect, and wait until the computing process accepts the connection."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        await asyncio.wait_for(read_frame(reader), START_SECONDS_MAX)
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def _close_when_gone(receive: Receive, writer: StreamWriter) -> None:
    """Close the connection to the computing process when the client has hung up, so that it stops computing."""
    while (await receive())["type"] != "http.disconnect":
        pass
    writer.close()


def job_states(path: Path, seconds_max: float = 1.0) -> list[str] | None:
    """Return the states of the computing process's jobs, None if it does not answer. Blocks for a moment."""
    with suppress(OSError, msgspec.DecodeError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds_max)
        connection.connect(str(path))
        connection.sendall((0).to_bytes(4, "big"))
        with connection.makefile("rb") as answer:
            answer.read(4)
            return msgspec.msgpack.decode(answer.read(), type=list[str])
    return None
