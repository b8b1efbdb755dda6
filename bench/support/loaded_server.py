"""A server under load: `hours serve` in a separate process, prepared requests, and verification of answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

from api.access.roles import Role
from api.messages.cloud_events import BATCH, EVENT, event_type
from api.operations.service import OpenLedger
from bench.support.common import ROOT
from bench.support.fresh import BenchIntake
from bench.support.http_client import as_json, request, send_all
from bench.support.scans import in_batches
from ledger.aggregates import Order
from ledger.names import Position, command_name
from ledger.store.database import Database
from replay.generations import store

BATCH_EVENTS = 1_000
BATCH_CONNECTIONS = 8


def as_events(orders: Sequence[Order]) -> list[dict[str, object]]:
    """Return orders as CloudEvents."""
    return [
        {
            "specversion": "1.0",
            "id": order.id,
            "source": order.source,
            "type": event_type(order.command.TYPE),
            "data": order.command.model_dump(mode="json", exclude_none=True),
        }
        for order in orders
    ]


class Served:
    """A running server, and the source of its requests."""

    def __init__(self, address: str, token: str, bench: BenchIntake) -> None:
        self.address = address
        self._token = token
        self._bench = bench

    @property
    def database(self) -> Database:
        return self._bench.database

    @property
    def head(self) -> int:
        """The log's last position."""
        return int(self.database.log.head())

    def scans(self, events: int) -> list[dict[str, Any]]:
        """Return the data of scans, without their envelopes."""
        return [order.command.model_dump(mode="json", exclude_none=True) for order in self._orders(events)]

    def settle(self) -> None:
        """Wait until the read models have followed."""
        with self._bench.database.pool.connection() as connection:
            while True:
                generation = store.current_generation(connection)
                if generation is not None and generation.position == self._bench.database.log.head():
                    return
                sleep(0.05)

    def batches(self, events: int, size: int = BATCH_EVENTS) -> tuple[list[bytes], int]:
        """Return requests of `size` events each, and the total of their events."""
        made = [as_events(batch) for batch in in_batches(self._orders(events), size)]
        bodies = [request(self.address, "/v1/events", self._token, BATCH, as_json(batch)) for batch in made]
        return bodies, sum(map(len, made))

    def singles(self, events: int) -> list[bytes]:
        """Return requests with one check-in or check-out each."""
        made = as_events(list(self._orders(events)))
        return [request(self.address, "/v1/events", self._token, EVENT, as_json(event)) for event in made]

    def _orders(self, events: int) -> Iterator[Order]:
        # All of one station: its key sends no scans of others.
        plan = self._bench.plan(events // 2, id_share=10)
        return plan._replace(stations=self._bench.stations[:1]).orders()


@contextmanager
def serving(bench: BenchIntake, url: str, data: Path) -> Iterator[Served]:
    """Run `hours serve` on the ledger at a URL."""
    ledger = OpenLedger(bench.database, data)
    ledger.make_ready()
    _, token = ledger.keys.make(Role.STATION, bench.stations[0], per_second=100_000)
    environment = {"DATABASE_URL": url}
    command = [sys.executable, "-c", "from api.cli.main import main; main()", "--data", str(data)]
    command += ["serve", "--port", "0", "--json"]
    with program(command, environment) as address:
        yield Served(address, token, bench)


@contextmanager
def program(command: Sequence[str], environment: dict[str, str]) -> Iterator[str]:
    """Run a server that prints its address as JSON; yield the address."""
    with subprocess.Popen(
        command, env=os.environ | environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield address_of(process)
        finally:
            process.terminate()
            process.wait(60)


def address_of(process: subprocess.Popen[str]) -> str:
    """Wait until a server has printed its address as JSON; return the address."""
    assert process.stdout is not None
    output = ""
    while not output.endswith("}\n"):
        line = process.stdout.readline()
        assert line, "the server did not start"
        output += line
    return str(json.loads(output)["address"])


def verify_in_log(database: Database, answers: Sequence[dict[str, Any]], after: int) -> None:
    """Verify that every answer is an acceptance whose event is in the log after `after`, and no other events are."""
    stored: dict[str, int] = {}
    while events := database.log.read(Position(after), 10_000):
        stored |= {json.loads(event.state)["command"]: event.position for event in events}
        after = events[-1].position
    for answer in answers:
        assert (answer["outcome"], answer["duplicate"]) == ("accepted", False), answer
        assert stored.pop(command_name(answer["source"], answer["id"]), None) == answer["position"], answer
    assert not stored, f"{len(stored)} events in the log were not answered"


def in_whole_batches(served: Served, events: int) -> tuple[float, int]:
    """Send batches; return the seconds and the number of events."""
    requests, count = served.batches(events)
    before = served.head
    answers, seconds = send_all(served.address, requests, BATCH_CONNECTIONS)
    assert {answer.status for answer in answers} == {200}, answers[-1]
    event_answers = [each for answer in answers for each in json.loads(answer.body)["answers"]]
    assert len(event_answers) == count, (len(event_answers), count)
    verify_in_log(served.database, event_answers, before)
    return seconds, count
