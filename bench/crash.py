"""Crash: clients post through a bad network while the server, PostgreSQL or both are killed with -9, again and again.

Between clients and server stands a proxy that cuts connections before and after the answer, delays, and sends requests
twice. In each round one of the three is killed at a random moment, the server is started again, and all is looked at:
every acknowledged event is in the log exactly once, at the position it was answered with; nothing that was refused is
there; the log begins as it did in the round before, to the byte; read models that followed equal a fresh rebuild.

    python -m bench.crash --rounds 50 --json

`losses` counts whatever of that did not hold; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from api.access import Role
from api.cloud_events import BATCH, event_type
from api.service import OpenLedger, open_ledger
from bench.common import BENCH_DATA, say
from ledger.commands import OpenStation, Order, RegisterVolunteer
from ledger.names import Position
from replay.published import published_rules
from replay.rebuild import rebuild

CLIENTS = 6
VOLUNTEERS = [f"V{number:07d}" for number in range(1, 201)]
STATION = "C01"
SERVED_SECONDS = (0.2, 2.0)
"""How long a round serves before something is killed."""

VICTIMS = ("server", "database", "both")
EVENTS_MAX = 60


@dataclass
class Seen:
    """What clients were told, over all rounds."""

    accepted: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    repeated: int = 0
    unanswered: int = 0
    contradictions: int = 0

    def take(self, answers: list[dict[str, Any]]) -> None:
        """Note the answers to a batch; an event must be answered the same each time."""
        for answer in answers:
            name = f"{answer['source']}#{answer['id']}"
            if answer["outcome"] == "refused":
                self.refused.add(name)
                continue
            before = self.accepted.setdefault(name, answer["position"])
            self.contradictions += before != answer["position"]
            self.repeated += answer["duplicate"]


class Proxy:
    """A network as stations have it, between a port of its own and the server's."""

    def __init__(self, address: str) -> None:
        self._upstream = urlsplit(address)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """Carry one request and its answer, more or less."""
        with suppress(OSError), client:
            client.settimeout(20)
            request = _whole(client)
            chance = random.random()
            if chance < 0.1:
                self._ask(request[: random.randrange(len(request))], wait=False)  # cut before it was whole
                return
            if chance < 0.2:
                self._ask(request, wait=True)  # sent twice, the first answer lost
            time.sleep(random.random() * 0.03)
            answer = self._ask(request, wait=True)
            if chance < 0.3:
                answer = answer[: random.randrange(len(answer) + 1)]  # cut before the answer was whole
            client.sendall(answer)

    def _ask(self, request: bytes, *, wait: bool) -> bytes:
        with socket.create_connection((self._upstream.hostname, self._upstream.port or 80), timeout=20) as upstream:
            upstream.sendall(request)
            return _whole(upstream) if wait else b""


def _whole(connection: socket.socket) -> bytes:
    """Read a request or an answer of HTTP/1.1 to its end."""
    held = b""
    while b"\r\n\r\n" not in held:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        held += part
    head, _, body = held.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        body += part
    return head + b"\r\n\r\n" + body


class Client(Thread):
    """A tablet: scans, uploads, and uploads again what was not answered, out of order."""

    def __init__(self, port: int, token: str, seen: Seen, stop: Event) -> None:
        super().__init__(daemon=True)
        self._port, self._seen, self._halt = port, seen, stop
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": BATCH, "Connection": "close"}
        self._waiting: list[dict[str, Any]] = []

    def run(self) -> None:
        """Upload until told to stop."""
        while not self._halt.is_set():
            self._waiting += _shifts(random.randrange(1, EVENTS_MAX // 2))
            random.shuffle(self._waiting)
            batch = self._waiting[:EVENTS_MAX]
            answers = self._post(batch)
            if answers is None:
                self._seen.unanswered += 1
                continue
            self._seen.take(answers)
            keep = batch if random.random() < 0.1 else []  # forgets that it was answered
            self._waiting = keep + self._waiting[EVENTS_MAX:]

    def _post(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("POST", "/v1/events", json.dumps(batch), self._headers)
            response = connection.getresponse()
            told = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return list(told["answers"]) if response.status == 200 else None


def _shifts(number: int) -> list[dict[str, Any]]:
    """Return the events of new shifts; one in twenty is of a volunteer whom nobody knows."""
    events = []
    for _ in range(number):
        volunteer = random.choice(VOLUNTEERS) if random.random() > 0.05 else "V9999999"
        begins = 1_543_885_200 + random.randrange(300) * 86_400 + random.randrange(8 * 3600)
        shift = str(uuid4())
        for kind, instant in (("check-in", begins), ("check-out", begins + random.randrange(1800, 14_400))):
            data = {"volunteer": volunteer, "station": STATION, "shift": shift, "occurred_at": instant}
            events.append(
                {
                    "specversion": "1.0",
                    "id": str(uuid4()),
                    "source": f"/stations/{STATION}",
                    "type": event_type(kind),
                    "data": data,
                }
            )
    return events


class Drill:
    """One ledger that is killed again and again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.seen = Seen()
        self.kills: Counter[str] = Counter()
        self.losses = 0
        self.events = 0
        self._prefix = hashlib.sha256()
        self._checked = Position(0)
        with open_ledger(data) as ledger:
            self._found(ledger)
            self._token = ledger.keys.make(Role.STATION, STATION)[1]

    def _found(self, ledger: OpenLedger) -> None:
        members = (RegisterVolunteer(volunteer=name, registered_on=date(2016, 3, 5)) for name in VOLUNTEERS)
        commands = [OpenStation(station=STATION, kind="city"), *members]
        ledger.intake.execute(
            [Order(command=one, source="/drill", id=str(n), by="system:drill") for n, one in enumerate(commands)]
        )
        ledger.make_ready()

    def round(self) -> None:
        """Serve, kill, and look at what is left."""
        victim = random.choice(VICTIMS)
        process, address = self._serve()
        stop, proxy = Event(), Proxy(address)
        clients = [Client(proxy.port, self._token, self.seen, stop) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(random.uniform(*SERVED_SECONDS))
        self._kill(process, victim)
        stop.set()
        for client in clients:
            client.join(60)
        process.kill()
        process.wait(30)
        proxy.close()
        self.kills[victim] += 1
        self._look()

    def _serve(self) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", "from api.cli import main; main()", "--data", str(self.data)]
        process = subprocess.Popen(  # a process that is killed is no context
            [*command, "serve", "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline() if process.stdout else ""
            assert line, "the server did not start"
            said += line
        return process, json.loads(said)["address"]

    def _kill(self, process: subprocess.Popen[str], victim: str) -> None:
        postmaster = int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])
        if victim != "database":
            os.kill(process.pid, signal.SIGKILL)
        if victim != "server":
            os.kill(postmaster, signal.SIGKILL)
            time.sleep(0.3)  # the server goes on for a moment, and must not acknowledge what it cannot write

    def _look(self) -> None:
        with open_ledger(self.data) as ledger:
            names: Counter[str] = Counter()
            position_of: dict[str, int] = {}
            whole = hashlib.sha256()
            position = Position(0)
            while events := ledger.log.read(position, 10_000):
                for event in events:
                    self._lose(event.position != position + 1, "a position is missing")
                    position = event.position
                    whole.update(repr(event).encode())
                    if position == self._checked:
                        self._lose(whole.hexdigest() != self._prefix.hexdigest(), "the log's beginning changed")
                    name = json.loads(event.state)["command"]
                    names[name] += 1
                    position_of[name] = position
            self._lose(position < self._checked, "the log is shorter than it was")
            self._prefix, self._checked = whole, position
            self.events = int(position)
            for name, answered in self.seen.accepted.items():
                self._lose(position_of.get(name) != answered, f"{name} was answered with {answered}")
            self._lose(any(count > 1 for count in names.values()), "an event is there twice")
            self._lose(bool(self.seen.refused & names.keys()), "a refused event is there")
            self._lose(self.seen.contradictions > 0, "an event was answered in two ways")
            ledger.catch_up()
            followed = ledger.current_generation()
            anew = rebuild(ledger.database, ledger.archive, published_rules(ledger.log), facts_anew=True).generation
            same = (followed.position, followed.checksum) == (anew.position, anew.checksum)
            self._lose(not same, "read models that followed differ from a rebuild")

    def _lose(self, lost: bool, what: str) -> None:  # noqa: FBT001 - a finding, and what it is
        if lost:
            self.losses += 1
            say(f"LOSS: {what}")


def main() -> None:
    """Run the rounds and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of what the clients and the network do")
    parser.add_argument("--data", type=Path, help="where the temporary ledger is made")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    asked = parser.parse_args()
    os.environ.pop("DATABASE_URL", None)
    random.seed(asked.seed)
    parent = asked.data or BENCH_DATA
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="crash-", dir=parent))
    try:
        drill = Drill(folder / "data")
        for number in range(asked.rounds):
            drill.round()
            if not asked.json:
                say(f"round {number + 1}: {drill.events} events, {drill.losses} losses")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seen = drill.seen
    line = {
        "name": "crash",
        "rounds": asked.rounds,
        "kills": dict(drill.kills),
        "events": drill.events,
        "acknowledged": len(seen.accepted),
        "refused": len(seen.refused),
        "repeated": seen.repeated,
        "unanswered_requests": seen.unanswered,
        "losses": drill.losses,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(1 if drill.losses else 0)


if __name__ == "__main__":
    main()
