"""The HTTP server that runs the application, from a bound socket to the last answer.

On SIGINT, SIGTERM or SIGHUP the server accepts no more requests, answers the current ones, and returns; the caller then
closes what it opened. After a second signal the server does not wait for current requests; what they recorded stays
recorded.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.http.app import create_app
from api.http.connection_limits import ConnectionLimits
from api.http.protocol import Connections
from api.http.requests.in_progress import held_max_of
from api.operations.interrupts import stop_if_interrupted
from api.operations.service import Service
from api.operations.usage_errors import UsageError

DRAIN_SECONDS_MAX = 10
"""How long current requests may take when the server is stopped, by default."""

BACKLOG = 1024
DESCRIPTORS_RESERVED = 256
"""File descriptors that connections leave to the database, the archive and the log."""
SWITCH_SECONDS = 0.0005
"""The interval at which threads are switched: the follower computes beside the event loop, and at Python's default of
5 ms it took 6.5 ms to answer an event."""

COLLECT_OBJECTS = 50_000
"""The threshold of the garbage collector: a batch of a thousand events creates ten thousand objects and no cycle, and
at Python's default of 700 objects the collector took a tenth of the server's time."""


logger = logging.getLogger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; call this first, so that a wrong address is reported before any other work.

    Raises:
        UsageError: the address is in use or is not one of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(f"--host {host} --port {port} cannot be used: {error.strerror}; choose another") from None


def address_of(listening: socket.socket) -> str:
    """Return the URL of the service on a socket."""
    host, port = listening.getsockname()[:2]
    reachable = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


class _Server(uvicorn.Server):
    """A server that calls back when it has started, and when it begins to stop."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; at the second signal, of either kind, do not wait for requests."""
        self.force_exit = self.should_exit
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("stopping", extra={"fields": {"open_connections": len(self.server_state.connections)}})
        self._stopping()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn then skips this, and the exit would look like a failure
            await self.lifespan.shutdown()


def _filter_record(record: logging.LogRecord) -> bool:
    """Log a request that was cancelled by the server's stop as a warning, not as a failure of the program.

    What is not HTTP is counted in the metrics instead: anybody can send it, as often as they like.
    """
    if record.msg == "Invalid HTTP request received.":
        return False
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        record.msg, record.args, record.exc_info = "a request was cancelled because the server is stopping", None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def limits_of_process(limits: ConnectionLimits) -> ConnectionLimits:
    """Raise the process's limit of file descriptors as far as connections need; allow no more than it permits."""
    wanted = limits.connections + DESCRIPTORS_RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        connections = max(1, soft - DESCRIPTORS_RESERVED)
        if connections < limits.connections:
            message = "only %d connections are accepted, because the process may open only %d files"
            logger.warning(message, connections, soft)
            return replace(limits, connections=connections)
    return limits


def config_of(app: FastAPI, limits: ConnectionLimits, drain_seconds: int = DRAIN_SECONDS_MAX) -> uvicorn.Config:
    """Return the settings with which the application is served."""
    service: Service = app.state.service
    connections = Connections(limits, lambda fault: service.metrics.refused_connection(fault.rejection))
    protocol: Any = connections.protocol  # uvicorn calls it as it calls a class
    app.state.in_progress.held_max = held_max_of(limits.connections)
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        log_config=None,  # see api/operations/logs.py
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
    )


def tune_interpreter() -> None:
    """Set how often this process switches threads and collects garbage, once everything is imported."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # collections then examine only what requests create, not everything that was imported
    gc.set_threshold(COLLECT_OBJECTS, 10, 10)


def serve_until_stopped(
    service: Service,
    listening: socket.socket,
    started: Callable[[], None],
    drain_seconds: int = DRAIN_SECONDS_MAX,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - it is frozen
    stopping: Callable[[], None] = lambda: None,
    computing: Path | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then finish the current requests, for at most `drain_seconds`.

    Args:
        started: called when the server accepts requests.
        limits: the limits of connections.
        stopping: called when the server begins to stop.
        computing: the socket of the process that computes; None to compute in threads of this one.
    """
    stop_if_interrupted()
    config = config_of(create_app(service, computing), limits_of_process(limits), drain_seconds)
    logging.getLogger("uvicorn.error").addFilter(_filter_record)
    tune_interpreter()

    def begin_to_stop() -> None:
        stopping()
        service.stopping.set()
        service.stop_jobs()

    # After draining, uvicorn raises the signal again; by then everything is done.
    with suppress(KeyboardInterrupt):
        # Jobs are stopped first: requests that follow a job's progress would otherwise delay the stop.
        server = _Server(config, started, begin_to_stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # uvicorn does not handle it
            signal.signal(signal.SIGHUP, lambda _, frame: server.handle_exit(signal.SIGTERM, frame))
        server.run(sockets=[listening])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the caller's closing must not be interrupted
        signal.signal(number, signal.SIG_IGN)
