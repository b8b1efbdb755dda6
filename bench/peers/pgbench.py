"""A peer of the post bench: pgbench, inserting rows like those of the log, one per transaction."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from bench.support.fresh import new_database

CREATE_TABLE = """
CREATE TABLE posted (id uuid NOT NULL, version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL,
                     position bigint GENERATED ALWAYS AS IDENTITY UNIQUE, PRIMARY KEY (id, version))
"""
SCRIPT = """
INSERT INTO posted (id, version, topic, state) VALUES (gen_random_uuid(), 1, 'checked-in.v1', repeat('x', 260)::bytea);
"""


def pgbench(url: str, connections: int, seconds: float) -> float:
    """Return transactions per second of single inserts over a number of connections."""
    peer = new_database(url, "pgbench_peer")
    with psycopg.connect(peer, autocommit=True) as connection:
        connection.execute(CREATE_TABLE)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SCRIPT)
        script.flush()
        program = [_pgbench(url), "-n", "-c", str(connections), "-j", "2", "-M", "prepared", "-f", script.name]
        for longer in (1, 10, 100):  # on a busy machine the connections alone may take longer
            command = [*program, "-T", str(longer * max(1, int(seconds))), make_conninfo(peer)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            if found := re.search(r"tps = ([\d.]+)", output):
                return float(found[1])
    raise RuntimeError(f"pgbench wrote nothing: {output}")


def _pgbench(url: str) -> str:
    """Return the path of the program that belongs to the server."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT setting FROM pg_config() WHERE name = 'BINDIR'").fetchall()
    return str(Path(rows[0][0]) / "pgbench")
