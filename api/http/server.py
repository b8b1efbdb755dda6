"""Serving: the HTTP server around the application, from a bound socket to the last answer.

On SIGINT or SIGTERM the server takes no more requests, answers those under way, and returns; whoever called it then
closes what it opened. A second signal stops the waiting for requests under way; what they had recorded stays recorded.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from api.http.app import create_app
from api.operations.interrupts import stop_if_interrupted
from api.operations.service import Service
from api.operations.usage_errors import UsageError

DRAIN_SECONDS_MAX = 10
"""How long requests under way may take to end, where nothing else is said."""

BACKLOG = 1024
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the others waiting: the follower computes beside whoever answers, and at Python's usual
5 ms an event took 6.5 ms to be answered."""

COLLECT_OBJECTS = 50_000
"""So many objects are made before the collector looks for cycles: a batch of a thousand makes ten thousand objects and
no cycle, and at Python's usual 700 the collector took a tenth of the server's time."""


logger = logging.getLogger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens, before anything else is begun.

    Raises:
        UsageError: the address is taken or is not this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(f"--host {host} --port {port} cannot be used: {error.strerror}; choose another") from None


def address_of(listening: socket.socket) -> str:
    """Return the address under which the service is found."""
    host, port = listening.getsockname()[:2]
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - it is compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


class _Server(uvicorn.Server):
    """A server that says when it is there, and when it is about to finish what was begun."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started
        self._stop = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; at the second signal, of either kind, wait for nobody."""
        self.force_exit = self.should_exit
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("stopping", extra={"fields": {"open_connections": len(self.server_state.connections)}})
        self._stop()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves it out, and its end would look like a failure
            await self.lifespan.shutdown()


def _tell_cut_off(record: logging.LogRecord) -> bool:
    """Let a request that is cut off when the server ends look like that, and not like a failure of the program."""
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        record.msg, record.args, record.exc_info = "a request was cut off as the server ends", None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def serve_until_stopped(
    service: Service,
    listening: socket.socket,
    started: Callable[[], None],
    drain_seconds: int = DRAIN_SECONDS_MAX,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was begun, within so many seconds."""
    stop_if_interrupted()
    sys.setswitchinterval(SWITCH_SECONDS)
    app = create_app(service)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        proxy_headers=False,
        ws="none",
        lifespan="on",
        log_config=None,  # api/operations/logs.py says where lines go
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    logging.getLogger("uvicorn.error").addFilter(_tell_cut_off)
    gc.collect()
    gc.freeze()  # a collection looks at what requests made, and never again at all that was imported
    gc.set_threshold(COLLECT_OBJECTS, 10, 10)
    # Having drained, uvicorn raises the signal again: it has done its work by then.
    with suppress(KeyboardInterrupt):
        # Long work is stopped first: whoever listens to its progress would hold the server up.
        _Server(config, started, service.jobs.stop_all).run(sockets=[listening])
    for impatient in (signal.SIGINT, signal.SIGTERM):  # what is closed now must not be closed half
        signal.signal(impatient, signal.SIG_IGN)
