"""What the computing process runs: the server's application, on the same ledger, for requests handed over to it."""

from __future__ import annotations

import asyncio
import socket
from multiprocessing.connection import Connection

import uvloop
from fastapi import FastAPI

from api.http.app import create_computing_app
from api.http.computing.process import ComputingSettings, end_overrun, watch
from api.http.computing.responder import Responder
from api.operations.service import STATEMENT_SECONDS_MAX, OpenLedger, Service
from ledger.store.database import Database


def compute(settings: ComputingSettings, listening: socket.socket, control: Connection) -> None:
    """Answer the requests of the socket until the server ends the process."""
    with Database.open(settings.url, statement_seconds_max=STATEMENT_SECONDS_MAX) as database:
        service = Service(OpenLedger(database, settings.data), on_overrun=end_overrun)
        service.signed_within = settings.signed_within
        service.keys.start()
        service.rules_watch.start()
        watch(control, service.jobs.stop_all)
        uvloop.run(_answer(create_computing_app(service), service, listening))


async def _answer(app: FastAPI, service: Service, listening: socket.socket) -> None:
    responder = Responder(app, lambda: [job.state for job in service.jobs.list()])
    async with app.router.lifespan_context(app):
        server = await asyncio.start_unix_server(responder, sock=listening)
        async with server:
            await server.serve_forever()
