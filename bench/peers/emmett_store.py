"""Emmett, an event store for Node.js, on the same PostgreSQL server: a peer of the intake.

Emmett appends to one stream a call, and each call is a transaction. Two ways, each over eight connections of one
process: a shift to a call, which writes its check-in and its check-out together and so is the best case of scans that
come hours apart; and 1,000 events to a call as one stream, the most that its interface allows, though no ledger's
stream looks like that. The states are those of the ledger's events, kept as jsonb.

A commit is on disk as the server's settings say, the same as for the ledger. Emmett decides only that the stream is at
the version that the caller expects: here 0, a new stream. Global positions come from a sequence, so they can have gaps
and are not in commit order; readers order events by transaction id and wait for transactions that still run.

npm installs the packages into the folder of the benches, at the versions of bench/peers/emmett/package.json.
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

from bench.support.common import BENCH_DATA, say
from bench.support.fresh import BATCH, new_database
from ledger.store.log_queries import RecordedEvent

CONNECTIONS = 8
INSTALL_SECONDS_MAX = 120
INSTALL = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
SOURCES = Path(__file__).parent / "emmett"
VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}


def append_events(url: str, events: Sequence[RecordedEvent], seconds: float) -> dict[str, float]:
    """Append events in both ways; return events per second of each, nothing where Emmett cannot be had."""
    folder = _installed()
    if folder is None:
        return {}
    shifts: defaultdict[UUID, list[RecordedEvent]] = defaultdict(list)
    for said in events:
        shifts[said.stream_id].append(said)
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
    """Return the folder of the program and its packages, or say why there is none."""
    if not (shutil.which("node") and shutil.which("npm")):
        say("Emmett is left out: node and npm are not installed")
        return None
    folder = BENCH_DATA / "emmett"
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    try:
        subprocess.run(INSTALL, cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)
    except subprocess.SubprocessError as error:
        say(f"Emmett is left out: npm could not install it ({type(error).__name__})")
        return None
    return folder


def _call(stream: str, events: Iterable[RecordedEvent]) -> str:
    said = [{"type": said.topic, "data": json.loads(said.state)} for said in events]
    return json.dumps({"stream": stream, "events": said})


def _run(folder: Path, peer: str, calls: Iterable[str], seconds: float) -> float:
    """Hand the calls to the program; return events per second. What it told is held to the table."""
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
    told = json.loads(program.stdout)
    with psycopg.connect(peer) as connection:
        assert connection.execute("SELECT count(*) FROM emt_messages").fetchone() == (told["events"],)
    return float(told["events"] / told["seconds"])
