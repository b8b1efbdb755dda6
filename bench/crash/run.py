"""Crash: clients post over an unreliable network while server, PostgreSQL or both are killed with -9, repeatedly.

A proxy between clients and servers cuts connections before and after the answer, delays requests, and sends some twice.
Each round kills one victim: at a named step (`bench/crash/steps.py`: before the lock, after the COPY and so on, in the
follower, in a segment, in a rebuild, in a switch), or at a random moment. In every third round two servers share the
ledger. A server whose PostgreSQL or second server was killed must recover by itself. Then everything is checked
(`bench/crash/checks.py`): every acknowledged event is in the log exactly once, at its answered position, as it was
sent; no refused event is in the log; the earlier part of the log is unchanged, byte for byte; two independent followers
saw the same events in the same order; one complete generation answers; the archive agrees with the log; the followed
read models equal a rebuild.

    python -m bench.crash --rounds 50 --json

`losses` counts failed checks. `steps_missed` are planned steps that were not reached, which is also a failure;
`steps_untried` are steps for which there were too few rounds. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from itertools import count
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from api.access.roles import Role
from api.operations.service import DEFAULT_RULES, OpenLedger, create_ledger, open_ledger
from bench.crash.checks import Checks
from bench.crash.network import STATION, VOLUNTEERS, Client, Proxy, Seen
from bench.crash.reader import LISTENING, POLLING
from bench.crash.server import ServerOrder
from bench.crash.steps import BOTH, DATABASE, REBUILD, SABOTAGES, SERVER, STEPS, SWITCH, kill
from bench.support.common import BENCH_DATA, print_status
from ledger.aggregates import Sender
from ledger.aggregates.station import OpenStation
from ledger.aggregates.volunteer import RegisterVolunteer
from ledger.store.embedded import serving
from replay.generations.rebuild import rebuild

CLIENTS = 6
SERVED_SECONDS = (0.2, 1.5)
"""The range of times before a kill at a random moment."""

REACHED_SECONDS_MAX = 60.0
RECOVERED_SECONDS_MAX = 30.0
RANDOM = "at a random moment"


class Round(NamedTuple):
    """The step and the victim of the kill, and the number of servers."""

    step: str
    victim: str
    servers: int


def plan(rounds: int, steps: list[str]) -> list[Round]:
    """Return the rounds in random order: each step with either victim, then random moments."""
    first = [(step, (SERVER, DATABASE)[number % 2]) for number, step in enumerate(steps)]
    second = [(step, (DATABASE, SERVER)[number % 2]) for number, step in enumerate(steps)]
    chosen = (first + second)[:rounds]
    chosen += [(RANDOM, (SERVER, DATABASE, BOTH)[number % 3]) for number in range(rounds - len(chosen))]
    random.shuffle(chosen)
    return [Round(step, victim, 2 if number % 3 == 2 else 1) for number, (step, victim) in enumerate(chosen)]


def set_up(ledger: OpenLedger) -> None:
    """Record the station and the volunteers, and build read models."""
    members = (RegisterVolunteer(volunteer=name, registered_on=date(2016, 3, 5)) for name in VOLUNTEERS)
    commands = [OpenStation(station=STATION, kind="city"), *members]
    sender = Sender.of_operator("system:drill")
    ledger.intake.execute(
        [
            sender.order(command, source="/drill", id=str(number), imported=False)
            for number, command in enumerate(commands)
        ]
    )
    ledger.make_ready()


class Served(NamedTuple):
    """A running server: its process id and address."""

    process: int
    address: str


class Drill:
    """One ledger through all rounds."""

    def __init__(self, folder: Path, sabotage: str | None = None) -> None:
        self.data = folder / "data"
        self.kills: Counter[tuple[str, str]] = Counter()
        self.missed: list[str] = []
        self.work: Counter[str] = Counter()
        self.recovered: list[float] = []
        self.seen = Seen()
        self._folder = folder
        self._sabotage = sabotage
        self._numbers = count(1)
        self._readers = [folder / LISTENING, folder / POLLING]
        self.checks = Checks(self.seen, self._readers)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Create the ledger; run the independent followers, and the process from which servers are forked."""
        with serving(self.data) as url, create_ledger(self.data) as ledger:
            set_up(ledger)
            rebuild(
                ledger.database, ledger.archive, ledger.current_generation().rules
            )  # a second generation, so that switching back is possible
            self._token = ledger.keys.make(Role.STATION, STATION)[1]
            self._admin = ledger.keys.make(Role.ADMIN, "admin")[1]
        with serving(self.data):  # also between rounds, so that the followers can read on
            readers = [
                subprocess.Popen([sys.executable, "-m", "bench.crash.reader", url, str(path), path.name])
                for path in self._readers
            ]
            log = (self._folder / "servers.log").open("w")
            self._forks = subprocess.Popen(
                [sys.executable, "-m", "bench.crash.server", str(self.data)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            try:
                yield
                self._wait_for_readers()
            finally:
                self._forks.kill()
                self._forks.wait()
                for reader in readers:
                    reader.kill()
                    reader.wait()
                log.close()

    def _wait_for_readers(self) -> None:
        """Wait until the independent followers have reached the end of the log."""
        deadline = time.monotonic() + RECOVERED_SECONDS_MAX
        while self.checks.unread() and time.monotonic() < deadline:
            time.sleep(0.1)
            self.checks.check_readers()
        self.checks.report(self.checks.unread(), "an independent follower did not reach the end of the log")

    def round(self, planned: Round) -> None:
        """Serve, kill, wait for the remaining servers to recover, and run all checks."""
        order = self._order(planned)
        servers = [self._serve(order)] + [self._serve(self._order(None)) for _ in range(planned.servers - 1)]
        stop, proxy = Event(), Proxy([server.address for server in servers])
        clients: list[Thread] = [Client(proxy.port, self._token, self.seen, stop) for _ in range(CLIENTS)]
        work = STEPS[planned.step].work if planned.step in STEPS else ""
        if work in {REBUILD, SWITCH}:
            clients.append(Thread(target=self._change_generations, args=(work, servers[0].address, stop), daemon=True))
        for client in clients:
            client.start()
        self._await_kill(planned, order, servers[0])
        killed_at = time.monotonic()
        remaining = [server for server in servers if planned.victim == DATABASE or server is not servers[0]]
        if remaining and planned.victim != BOTH:
            self._await_recovery(remaining, killed_at)
        stop.set()
        for client in clients:
            client.join(60)
        for server in servers:
            kill(SERVER, server.process, self.data)
        proxy.close()
        with open_ledger(self.data) as ledger:
            self.checks.run(ledger)

    def _order(self, planned: Round | None) -> ServerOrder:
        name = str(self._folder / f"server-{next(self._numbers)}")
        step = planned.step if planned and planned.step in STEPS else None
        call = random.randint(1, STEPS[step].calls_max) if step else 1
        victim = planned.victim if planned else ""
        return ServerOrder(name + ".output", name + ".reached", step, call, victim, self._sabotage)

    def _serve(self, order: ServerOrder) -> Served:
        assert self._forks.stdin
        assert self._forks.stdout
        self._forks.stdin.write(json.dumps(order._asdict()) + "\n")
        self._forks.stdin.flush()
        process = int(self._forks.stdout.readline())
        deadline = time.monotonic() + RECOVERED_SECONDS_MAX
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError, ValueError):
                return Served(process, json.loads(Path(order.output).read_text())["address"])
            time.sleep(0.02)
        raise RuntimeError(f"the server did not start: see {self._folder / 'servers.log'}")

    def _await_kill(self, planned: Round, order: ServerOrder, server: Served) -> None:
        """Wait for the server's own kill at its step, or kill at a random moment."""
        if order.step:
            deadline = time.monotonic() + REACHED_SECONDS_MAX
            while not Path(order.reached).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            if Path(order.reached).exists():
                self.kills[planned.step, planned.victim] += 1
                return
            self.missed.append(f"{planned.step} ({planned.victim})")
            print_status(f"MISSED: {planned.step}, at call {order.call}")
        else:
            time.sleep(random.uniform(*SERVED_SECONDS))
        kill(planned.victim, server.process, self.data)
        self.kills[RANDOM, planned.victim] += 1

    def _await_recovery(self, remaining: list[Served], killed_at: float) -> None:
        """Wait until an event sent after the kill is accepted, and all remaining servers are ready."""
        deadline = killed_at + RECOVERED_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.seen.new_at > killed_at and all(self._is_ready(server.address) for server in remaining):
                self.recovered.append(time.monotonic() - killed_at)
                return
            time.sleep(0.05)
        self.checks.report(True, "the service did not recover by itself")  # noqa: FBT003 - a loss in any case

    # --- generations, under load --------------------------------------------------------------------------------------

    def _change_generations(self, work: str, address: str, stop: Event) -> None:
        """Build generations under newly published rules, or switch back to older ones, until stopped."""
        while not stop.is_set():
            with suppress(OSError, http.client.HTTPException, ValueError, KeyError, StopIteration):
                if work == REBUILD:
                    text = f"{DEFAULT_RULES.read_text('utf-8')}\n# edition {random.random()}\n"
                    self._request(address, "POST", "/v1/commands/publish-rules", {"text": text})
                    job = self._request(address, "POST", "/v1/generations", {})
                else:
                    known = self._request(address, "GET", "/v1/generations")["generations"]
                    before = next(generation["id"] for generation in known if generation["kept"] == "answered before")
                    job = self._request(address, "POST", f"/v1/generations/{before}/switch")
                while not stop.is_set() and job["state"] in {"waiting", "running"}:
                    stop.wait(0.05)
                    job = self._request(address, "GET", f"/v1/jobs/{job['id']}")
                self.work[f"{work}: {job['state']}"] += 1
            stop.wait(0.05)

    def _is_ready(self, address: str) -> bool:
        """Return whether all readiness checks of a server pass, also those it can serve without."""
        try:
            return all(check["ok"] for check in self._request(address, "GET", "/readyz")["checks"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False

    def _request(self, address: str, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {self._admin}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def report(drill: Drill, rounds: list[Round], seconds: float) -> dict[str, Any]:
    """Return the result as a JSON object."""
    by_step: dict[str, dict[str, int]] = {}
    for (step, victim), number in sorted(drill.kills.items()):
        by_step.setdefault(step, {})[victim] = number
    by_victim: Counter[str] = Counter()
    for (_, victim), number in drill.kills.items():
        by_victim[victim] += number
    planned = {round_.step for round_ in rounds}
    return {
        "name": "crash",
        "rounds": len(rounds),
        "kills": drill.kills.total(),
        "kills_by_victim": dict(by_victim),
        "kills_by_step": by_step,
        "steps_missed": drill.missed,
        "steps_untried": [step for step in STEPS if step not in planned],
        "rounds_with_two_servers": sum(round_.servers > 1 for round_ in rounds),
        "events": len(drill.checks.digests),
        "acknowledged": len(drill.seen.accepted),
        "refused": len(drill.seen.refused),
        "repeated": drill.seen.repeated,
        "unanswered_requests": drill.seen.unanswered,
        "generations": dict(drill.work),
        "seconds_to_go_on_median": round(median(drill.recovered), 1) if drill.recovered else None,
        "seconds_to_go_on_max": round(max(drill.recovered), 1) if drill.recovered else None,
        "seconds": round(seconds, 1),
        "losses": len(drill.checks.losses),
    }


def main() -> None:
    """Run all rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="seed of clients, network and rounds")
    parser.add_argument("--steps", nargs="*", choices=STEPS, help="only these steps")
    parser.add_argument("--sabotage", choices=SABOTAGES, help="break the servers on purpose; losses must be found")
    parser.add_argument("--data", type=Path, help="directory for the temporary ledger")
    parser.add_argument("--keep", action="store_true", help="do not delete the ledger")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    arguments = parser.parse_args()
    os.environ.pop("DATABASE_URL", None)
    random.seed(arguments.seed)
    parent = arguments.data or BENCH_DATA
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="crash-", dir=parent))
    rounds = plan(arguments.rounds, arguments.steps or list(STEPS))
    drill = Drill(folder, arguments.sabotage)
    began = time.monotonic()
    try:
        with drill.prepared():
            for number, planned in enumerate(rounds, 1):
                drill.round(planned)
                if not arguments.json:
                    print_status(
                        f"{number:2} {time.monotonic() - began:5.0f} s: {planned.victim} {planned.step}, "
                        f"{len(drill.checks.digests)} events, {len(drill.checks.losses)} losses"
                    )
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    line = report(drill, rounds, time.monotonic() - began)
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(1 if line["losses"] or line["steps_missed"] else 0)
