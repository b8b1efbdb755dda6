"""Abuse: honest scans beside eight attackers, against `hours serve` on 127.0.0.1.

200 single check-ins and check-outs a second are sent at fixed instants over 64 connections, first alone, then beside
the attackers of `bench/support/attackers.py`: huge headers, slow requests, half requests, deep rule candidates,
what-ifs, a volunteer's disputes of one shift, trickling streams, and big bodies without a key. A scan's latency counts
from the instant at which it was to be sent, so a server that stalls is not asked less. Quoted are the 99th percentile
quiet and under attack, the scans without an answer or refused, the acknowledged scans that are not in the log, and the
memory of the server's processes before, at most and after. `--peer PATH` does the same against the server of another
checkout, in the same run. Attackers and senders share the machine with the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from threading import Event, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
import psycopg

from api.messages.cloud_events import BATCH, EVENT, event_type
from bench.support.attackers import ATTACKS
from bench.support.common import ROOT, Options, Result, machine, parse, peak_mib, print_status, publish
from bench.support.fresh import new_database, temporary_server
from bench.support.http_client import as_json, request
from bench.support.loaded_server import address_of, as_events
from bench.support.scans import Scans
from ledger.names import command_name

SCANS_PER_SECOND = 200
CONNECTIONS = 64
SCAN_SECONDS_MAX = 30.0
WARMING_SECONDS_MAX = 2
"""Scans before those that are counted, and the attack before it is measured."""

BEGINS = 1_750_000_000

_SETUP = """
import json, sys
from pathlib import Path
from api.access.roles import Role
from api.operations.service import OpenLedger
from bench.support.fresh import BenchIntake
import ledger.aggregates
from ledger.names import shift_id_for
from ledger.store.database import Database
CheckIn, CheckOut = (ledger.aggregates.COMMANDS[name] for name in ("check-in", "check-out"))
url, data, volunteers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with Database.open(url) as database:
    bench = BenchIntake(database, volunteers)
    opened = OpenLedger(database, data)
    number, station = bench.volunteers[0], bench.stations[0]
    begins = bench.now - 86_400
    shift = shift_id_for(begins, "disputed")
    about = {"volunteer": number, "station": station, "shift": shift}
    scans = [CheckIn(**about, occurred_at=begins), CheckOut(**about, occurred_at=begins + 7200)]
    names = {"source": f"/stations/{station}/bench", "by": f"station:{station}"}
    if hasattr(ledger.aggregates, "Sender"):
        make = ledger.aggregates.Sender.of_operator(names.pop("by")).order
        names["imported"] = False
    else:  # an older checkout, as a peer
        make = ledger.aggregates.Order
    bench.intake.execute([make(command=each, id=each.TYPE, **names) for each in scans])
    opened.make_ready()
    holders = {"staff": "bench", "reader": "bench", "analyst": "bench", "station": station, "volunteer": number}
    keys = {role: opened.keys.make(Role(role), name, per_second=100_000)[1] for role, name in holders.items()}
    print(json.dumps(keys | {"number": number, "shift": str(shift), "of": station}))
"""
"""Fills a ledger, as its own checkout does it; prints the keys."""


class Scan(NamedTuple):
    """The outcome of a scan: its status (0 without an answer), the seconds since its instant, and its name."""

    status: int
    seconds: float
    name: str


@contextmanager
def served(checkout: Path, url: str, data: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run `hours serve` of a checkout; yield its address and process."""
    command = [sys.executable, "-c", "from api.cli.main import main; main()", "--data", str(data)]
    command += ["serve", "--port", "0", "--json", "--log-level", "error"]
    environment = _environment(checkout) | {"DATABASE_URL": url}
    with subprocess.Popen(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield address_of(process), psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                print_status("the server did not end within 60 seconds of SIGTERM")
                process.kill()


def _environment(checkout: Path) -> dict[str, str]:
    return dict(psutil.Process().environ()) | {"PYTHONPATH": str(checkout)}


# --- honest scans ---------------------------------------------------------------------------------------------------


def send_scans(address: str, events: Sequence[dict[str, Any]], token: str) -> list[Scan]:
    """Send scans at fixed instants; return their outcomes."""
    return asyncio.run(_send_scans(address, events, token))


async def _send_scans(address: str, events: Sequence[dict[str, Any]], token: str) -> list[Scan]:
    parts, begun = urlsplit(address), time.perf_counter() + 0.2
    end = begun + len(events) / SCANS_PER_SECOND + SCAN_SECONDS_MAX
    waiting = iter(enumerate(events))
    outcomes: list[Scan] = []

    async def work() -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number, event in waiting:
            due = begun + number / SCANS_PER_SECOND
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            status, name = 0, command_name(str(event["source"]), str(event["id"]))
            if time.perf_counter() > end:  # the server stands still: what is left has no answer
                outcomes.append(Scan(0, time.perf_counter() - due, name))
                continue
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                if connection is None:
                    connection = await asyncio.wait_for(asyncio.open_connection(parts.hostname, parts.port), 10)
                message = request(address, "/v1/events", token, EVENT, as_json(event))
                status = await asyncio.wait_for(_answered(*connection, message), SCAN_SECONDS_MAX)
            if not status and connection is not None:
                connection[1].close()
                connection = None
            outcomes.append(Scan(status, time.perf_counter() - due, name))
        if connection is not None:
            connection[1].close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return outcomes


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> int:
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return int(head[9:12])


def figures(outcomes: Sequence[Scan]) -> dict[str, float]:
    """Return latencies in milliseconds; a scan without an answer counts with the time it was waited for."""
    milliseconds = sorted(1000 * scan.seconds for scan in outcomes)
    return {
        "scans": len(outcomes),
        "p50_ms": round(median(milliseconds), 2),
        "p99_ms": round(quantiles(milliseconds, n=100)[98], 2),
        "max_ms": round(milliseconds[-1], 2),
        "without_answer": sum(scan.status == 0 for scan in outcomes),
        "refused": sum(scan.status not in {0, 201} for scan in outcomes),
    }


def lost(url: str, outcomes: Sequence[Scan]) -> int:
    """Return how many acknowledged scans are not in the log."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT convert_from(state, 'UTF8')::json ->> 'command' FROM ledger.stored_events "
            "WHERE topic LIKE 'checked-%'"
        )
        stored = {name for (name,) in rows}
    return sum(scan.status == 201 and scan.name not in stored for scan in outcomes)


# --- the attack -----------------------------------------------------------------------------------------------------


class Memory:
    """The memory of a process and its children, sampled ten times a second."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._end = Event()
        self.most = self.now()
        self._thread = Thread(target=self._sample, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Return the memory in MiB."""
        total = 0
        with suppress(psutil.NoSuchProcess):  # it ended: see `server_ended` in the result
            for process in (self._process, *self._process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
        return round(total / (1 << 20), 1)

    def _sample(self) -> None:
        while not self._end.wait(0.1):
            self.most = max(self.most, self.now())

    def close(self) -> None:
        """Stop sampling."""
        self._end.set()
        self._thread.join()


@contextmanager
def attacked(target: dict[str, Any], counted: dict[str, Any]) -> Iterator[None]:
    """Attack until the end of the block; fill `counted` with the statuses of each attacker."""
    command = [sys.executable, "-m", "bench.support.attackers"]
    with subprocess.Popen(
        command, cwd=ROOT, env=_environment(ROOT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(target) + "\n")
        process.stdin.flush()
        yield
        process.stdin.close()
        counted.update(json.loads(process.stdout.readline() or "{}"))


def measure(checkout: Path, url: str, options: Options) -> dict[str, Any]:
    """Send scans to the server of a checkout, quiet and under attack."""
    volunteers = max(500, int(options.scale * 120_000))
    seconds, warming = options.own.seconds, min(options.own.seconds, WARMING_SECONDS_MAX)
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-c", _SETUP, url, data, str(volunteers)]
        printed = subprocess.run(
            command, cwd=checkout, env=_environment(checkout), check=True, capture_output=True, text=True
        )
        keys = json.loads(printed.stdout.splitlines()[-1])
        names = [f"V{number:07d}" for number in range(1, volunteers)]
        plan = Scans(names, [keys["of"]], BEGINS, 2 * seconds * SCANS_PER_SECOND, id_share=10).orders()
        events = as_events([next(plan) for _ in range((2 * seconds + warming) * SCANS_PER_SECOND)])
        events = [event | {"source": f"/stations/{keys['of']}/bench"} for event in events]
        with served(checkout, url, Path(data)) as (address, process):
            print_status(f"{checkout}: quiet")
            send_scans(address, events[: warming * SCANS_PER_SECOND], keys["station"])
            memory = Memory(process)
            before = memory.now()
            half = (warming + seconds) * SCANS_PER_SECOND
            quiet = send_scans(address, events[warming * SCANS_PER_SECOND : half], keys["station"])
            print_status(f"{checkout}: under attack")
            target = keys | {
                "address": address,
                "batch": BATCH,
                "dispute": event_type("dispute-shift"),
                "attacks": options.own.attacks,
            }
            counted: dict[str, Any] = {}
            with attacked(target, counted):
                time.sleep(warming)
                attack = send_scans(address, events[half:], keys["station"])
            time.sleep(5)
            after = memory.now()
            memory.close()
            ended = not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        answer = {"quiet": figures(quiet), "attacked": figures(attack), "attackers": counted}
        ratio = round(answer["attacked"]["p99_ms"] / answer["quiet"]["p99_ms"], 2)
        return answer | {
            "p99_ratio": ratio,
            "server_ended": ended,
            "lost": lost(url, [*quiet, *attack]),
            "memory_mib": {"before": before, "most": memory.most, "after": after},
        }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peer", type=Path, help="another checkout, whose server is attacked in the same run")
    parser.add_argument("--seconds", type=int, default=20, help="time quiet, and time under attack (default: 20)")
    parser.add_argument(
        "--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS), help="only these attackers"
    )


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__, add_own=_options)
    with temporary_server(options) as url:
        ours = measure(ROOT, new_database(url, "abuse"), options)
        more: dict[str, object] = dict(ours)
        if options.own.peer:
            more["peer"] = measure(options.own.peer.resolve(), new_database(url, "abuse_peer"), options)
        scans = int(ours["attacked"]["scans"])
        runs = [scans / SCANS_PER_SECOND]
        publish(Result("abuse", scans, runs, peak_mib(), {}, more), options, machine(url))


if __name__ == "__main__":
    main()
