"""A server that is killed in the middle of a batch loses nothing it acknowledged and enters nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from api.access import Role
from api.cloud_events import BATCH, event_type
from api.service import open_ledger
from replay.published import published_rules
from replay.rebuild import rebuild
from tests.serving import FOUNDING, STATION, give

BATCHES, SHIFTS, CLIENTS = 60, 40, 6
HOURS = [sys.executable, "-c", "from api.cli import main; main()"]
MORNING = 1543885200  # 2018-12-04T09:00+08:00


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory with an embedded PostgreSQL of its own, which does not outlive the test."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    data = tmp_path / "data"
    yield data
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(postmaster(data), signal.SIGQUIT)


def postmaster(data: Path) -> int:
    """Return the process id of the PostgreSQL in a data directory."""
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


@contextmanager
def serving(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `hours serve`; yield the process and its address."""
    command = [*HOURS, "--data", str(data), "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1].strip() != "}":
            lines.append(process.stdout.readline())
            assert lines[-1], "the server ended before it served"
        try:
            yield process, json.loads("".join(lines))["address"]
        finally:
            process.terminate()
            process.wait(60)


def batch(number: int, volunteers: list[str]) -> list[dict[str, Any]]:
    """Return a batch of whole shifts; each event has a name and each shift an id, as a tablet gives them."""
    events = []
    for place in range(SHIFTS):
        shift = UUID(int=(7 << 76) | (2 << 62) | number * SHIFTS + place)
        for kind, hour in (("check-in", 0), ("check-out", 2)):
            data = {
                "volunteer": volunteers[(number * SHIFTS + place) % len(volunteers)],
                "station": STATION,
                "shift": str(shift),
                "occurred_at": MORNING + number * 86_400 + (place * 7 + hour * 60) * 60,
            }
            events.append(
                {
                    "specversion": "1.0",
                    "id": f"{kind}-{number}-{place}",
                    "source": f"/stations/{STATION}",
                    "type": event_type(kind),
                    "data": data,
                }
            )
    return events


class Clients:
    """Several tablets that upload batches until the server goes away."""

    def __init__(self, address: str, token: str) -> None:
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": BATCH}
        self.address = address
        self.acknowledged: dict[int, list[dict[str, Any]]] = {}
        self.unanswered: set[int] = set()

    def send(self, number: int, events: list[dict[str, Any]]) -> None:
        try:
            answer = httpx2.post(f"{self.address}/v1/events", json=events, headers=self.headers, timeout=30)
        except httpx2.TransportError:
            self.unanswered.add(number)
            return
        assert answer.status_code == 200, answer.text
        self.acknowledged[number] = answer.json()["answers"]


def kill(process: subprocess.Popen[str], data: Path, *, database_too: bool) -> None:
    """End the server, and perhaps its PostgreSQL, as a power cut would."""
    database = postmaster(data)
    os.kill(process.pid, signal.SIGKILL)
    if database_too:
        os.kill(database, signal.SIGKILL)
    process.wait(30)


@pytest.mark.parametrize("database_too", [False, True])
def test_what_was_acknowledged_stands_once_and_the_rest_can_be_sent_again(
    data: Path,
    database_too: bool,  # noqa: FBT001 - a case of the table above
) -> None:
    with open_ledger(data) as ledger:
        for command_type, body in FOUNDING:
            give(ledger, command_type, **body)
        volunteers = [f"V{number:07d}" for number in range(1, 101)]
        for volunteer in volunteers:
            give(ledger, "register-volunteer", volunteer=volunteer, registered_on="2016-03-05")
        ledger.make_ready()
        before = ledger.log.head()
        token = ledger.keys.make(Role.STATION, STATION)[1]
    batches = [batch(number, volunteers) for number in range(BATCHES)]

    with serving(data) as (process, address):
        first = Clients(address, token)
        with ThreadPoolExecutor(CLIENTS) as pool:
            sent = [pool.submit(first.send, number, events) for number, events in enumerate(batches)]
            sent[BATCHES // 4].result()
            kill(process, data, database_too=database_too)
            for one in sent:
                one.result()
    assert first.acknowledged, "the server was killed before it answered anything"
    assert first.unanswered, "the server was killed when all was answered"
    assert len(first.acknowledged) + len(first.unanswered) == BATCHES

    with serving(data) as (_, address):
        second = Clients(address, token)
        for number, events in enumerate(batches):
            second.send(number, events)
        reached = httpx2.get(f"{address}/v1/status", headers={"Authorization": f"Bearer {token}"}, timeout=30).json()
    assert len(second.acknowledged) == BATCHES
    answers = [answer for number in range(BATCHES) for answer in second.acknowledged[number]]
    assert {answer["outcome"] for answer in answers} == {"accepted"}
    positions = {answer["position"] for answer in answers}
    assert positions == set(range(before + 1, before + 1 + BATCHES * SHIFTS * 2))  # each once, nothing else between
    assert reached["head"] == max(positions)
    for number, told in first.acknowledged.items():
        again = second.acknowledged[number]
        assert [one["position"] for one in again] == [one["position"] for one in told]
        assert all(one["duplicate"] for one in again)

    with open_ledger(data) as ledger:
        ledger.catch_up()
        live = ledger.current_generation()
        anew = rebuild(ledger.database, ledger.archive, published_rules(ledger.log), facts_anew=True).generation
    assert live.position == anew.position == max(positions)
    assert live.checksum == anew.checksum
    assert live.checksum != 0
