"""Emmett, an event store for Node.js, on the same PostgreSQL server: a peer of the intake.

Emmett appends to one stream per call, and each call is a transaction. It is measured in two ways, each over eight
connections of one process: one shift per call, which writes check-in and check-out together, the best case because real
scans are hours apart; and 1,000 events per call as one stream, the most that its interface allows, although no stream
of the ledger is like that. The states are those of the ledger's events, stored as jsonb.

Commits are durable as for the ledger, by the same server settings. Emmett checks only that the stream is at the version
that the caller expects: here 0, a new stream. Global positions come from a sequence, so they can have gaps and are not
in commit order; readers order events by transaction id and wait for running transactions.

npm installs the packages into the data folder of the benches, at the versions in bench/peers/emmett/package.json.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.support.common import BENCH_DATA, print_status
from bench.support.fresh import BATCH, new_database
from ledger.store.log_queries import RecordedEvent

CONNECTIONS = 8
INSTALL_SECONDS_MAX = 120
INSTALL = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
SOURCES = Path(__file__).parent / "emmett"
VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}


def append_events(url: str, events: Sequence[RecordedEvent], seconds: float) -> dict[str, float]:
    """Append events in both ways; return events per second of each, or nothing if Emmett cannot be installed."""
    folder = _installed()
    if folder is None:
        return {}
    shifts: defaultdict[UUID, list[RecordedEvent]] = defaultdict(list)
    for event in events:
        shifts[event.stream_id].append(event)
    ways = {
        "a shift to a call": (_call(f"shift-{stream_id}", both) for stream_id, both in shifts.items()),
        "1,000 events to a call and stream": (
            _call(f"batch-{start}", events[start : start + BATCH]) for start in range(0, len(events), BATCH)
        ),
    }
    return {
        f"Emmett, {way}, {CONNECTIONS} connections": _run(folder, new_database(url, f"emmett_{number}"), calls, seconds)
        for number, (way, calls) in enumerate(ways.items())
    }


def _installed() -> Path | None:
    """Install the program and its packages; return the folder, or None after printing the reason."""
    if not (shutil.which("node") and shutil.which("npm")):
        print_status("Emmett is left out: node and npm are not installed")
        return None
    folder = BENCH_DATA / "emmett"
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    try:
        subprocess.run(INSTALL, cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)
    except subprocess.SubprocessError as error:
        print_status(f"Emmett is left out: npm could not install it ({type(error).__name__})")
        return None
    return folder


def _call(stream: str, events: Iterable[RecordedEvent]) -> str:
    messages = [{"type": event.topic, "data": json.loads(event.state)} for event in events]
    return json.dumps({"stream": stream, "events": messages})


def _run(folder: Path, peer: str, calls: Iterable[str], seconds: float) -> float:
    """Run the program with the calls; return events per second. Its count is checked against the table."""
    environment = {VARIABLES[name]: str(value) for name, value in conninfo_to_dict(peer).items() if name in VARIABLES}
    program = subprocess.run(
        ["node", "append.mjs", str(CONNECTIONS), str(seconds)],
        cwd=folder,
        env=os.environ | environment,
        input="\n".join(calls),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = json.loads(program.stdout)
    with psycopg.connect(peer) as connection:
        assert connection.execute("SELECT count(*) FROM emt_messages").fetchone() == (result["events"],)
    return float(result["events"] / result["seconds"])
