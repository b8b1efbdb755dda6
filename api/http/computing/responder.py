"""The computing process's side of its socket: requests that a server handed over, answered by an ASGI application."""

from __future__ import annotations

import asyncio
import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.requests.wire import HANDED_OVER, Begin, Request, read_frame, write_frame
from api.messages.problems import REJECTION
from api.operations.logs import request_id

logger = logging.getLogger(__name__)


class Responder:
    """Answers the requests of a socket with an ASGI application."""

    def __init__(self, app: ASGIApp, job_states: Callable[[], list[str]]) -> None:
        self._app = app
        self._job_states = job_states

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer the request of one connection."""
        try:
            await write_frame(writer, b"")  # the server learns that somebody answers
            frame = await read_frame(reader)
            if not frame:
                writer.write(msgspec.msgpack.encode(self._job_states()))
                return
            request = msgspec.msgpack.decode(frame, type=Request)
            request_id.set(request.id)
            scope = _scope_of(request)
            await self._app(scope, _receiving(request.body, reader), _sending(scope, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the server closed the connection: its client is gone
        except Exception:
            logger.exception("a request failed in the computing process")
        finally:
            writer.close()


def _scope_of(request: Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "client": None,
        "server": None,
        "method": request.method,
        "path": request.path,
        "raw_path": request.raw_path,
        "query_string": request.query,
        "root_path": request.root_path,
        "headers": request.headers,
        HANDED_OVER: True,
    }


def _receiving(body: bytes, reader: StreamReader) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await reader.read(1)  # the server sends nothing more: it closes the connection
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _sending(scope: Scope, writer: StreamWriter) -> Send:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            begin = Begin(message["status"], list(message["headers"]), scope.get(REJECTION))
            await write_frame(writer, msgspec.msgpack.encode(begin))
            return
        if body := message.get("body", b""):
            await write_frame(writer, body)
        if not message.get("more_body", False):
            await write_frame(writer, b"")

    return send
