"""A peer of the post bench: a simple check-in service, which decides nothing, does not detect repeated commands, and
writes one event per transaction. `python -m bench.peers.naive_app URL` serves it and prints its address.
"""

from __future__ import annotations

import json
import socket
import sys
from datetime import datetime
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

TABLE = """
CREATE TABLE check_ins (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    volunteer text NOT NULL, station text NOT NULL, shift uuid NOT NULL, occurred_at timestamptz NOT NULL
)
"""
INSERT = "INSERT INTO check_ins (volunteer, station, shift, occurred_at) VALUES (%s, %s, %s, %s) RETURNING position"


class CheckIn(BaseModel):
    """The body of a request."""

    volunteer: str
    station: str
    shift: UUID
    occurred_at: datetime


def create_app(pool: ConnectionPool) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.post("/check-ins", status_code=201)
    def check_in(scan: CheckIn) -> dict[str, int]:
        with pool.connection() as connection:
            row = connection.execute(INSERT, (scan.volunteer, scan.station, scan.shift, scan.occurred_at)).fetchone()
        assert row is not None
        return {"position": row[0]}

    return app


def main() -> None:
    """Serve until stopped."""
    with (
        ConnectionPool(sys.argv[1], min_size=10, max_size=10, open=True) as pool,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        with pool.connection() as connection:
            connection.execute(TABLE)
        print(json.dumps({"address": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        config = uvicorn.Config(create_app(pool), loop="uvloop", http="httptools", ws="none", log_level="warning")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
