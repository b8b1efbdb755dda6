"""A small ledger that is served, for tests of the API: stations, volunteers, and a key of each role."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import uvicorn
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.roles import Role
from api.http.app import create_app
from api.http.connection_limits import ConnectionLimits
from api.http.server import config_of
from api.messages.cloud_events import BATCH, EVENT, event_type
from api.operations.service import OpenLedger, Service
from ledger.aggregates import COMMANDS
from ledger.aggregates.scans import SCANS
from ledger.intake.answers import Accepted, Answer
from ledger.rejections import Refused, Rejection
from tests.support.ledger.orders import order_of
from tests.support.patience import PATIENCE_SECONDS

STATION, OTHER_STATION = "C01", "C02"
KEY_NAMES = {Role.STATION: STATION, Role.VOLUNTEER: "V0000001"}
"""Whose keys are, where a role's belong to somebody the ledger knows."""
PROJECT = "star-school"
FOUNDED_AT = "2010-01-01T09:00:00+08:00"
FOUNDING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("found-organisation", {"organisation": "luohu", "kind": "district"}),
    ("found-organisation", {"organisation": "fed-01", "kind": "subdistrict", "parent": "luohu"}),
    ("open-station", {"station": STATION, "kind": "city", "organisation": "fed-01", "occurred_at": FOUNDED_AT}),
    ("open-station", {"station": OTHER_STATION, "kind": "community", "occurred_at": FOUNDED_AT}),
    ("launch-project", {"project": PROJECT, "content": "teaching"}),
)


@dataclass
class Served:
    """A served ledger, and short ways to talk to it."""

    service: Service
    client: TestClient
    tokens: dict[Role, str]
    _names: Iterator[int] = field(default_factory=lambda: count(100))  # past the numbers of histories
    _stations: dict[str, str] = field(default_factory=dict)

    @property
    def ledger(self) -> OpenLedger:
        return self.service.ledger

    def headers(self, role: Role | None) -> dict[str, str]:
        return {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}

    def get(self, address: str, *, role: Role | None = Role.READER, **parameters: Any) -> Response:
        return self.client.get(address, params=parameters or None, headers=self.headers(role))

    def station_headers(self, station: str) -> dict[str, str]:
        """Return the headers of a station's own key, which is made if there is none yet."""
        if station == STATION and Role.STATION in self.tokens:
            return self.headers(Role.STATION)
        if station not in self._stations:
            self._stations[station] = self.ledger.keys.make(Role.STATION, station)[1]
        return {"Authorization": f"Bearer {self._stations[station]}"}

    def command(
        self, command_type: str, role: Role | Literal["usual"] | None = "usual", key: str | None = None, **body: Any
    ) -> Response:
        """Post a command; usually staff does, and a station its own scans."""
        if role != "usual":
            headers = self.headers(role)
        elif command_type in SCANS:
            headers = self.station_headers(body.get("station", STATION))
        else:
            headers = self.headers(Role.STAFF)
        headers |= {"Idempotency-Key": key} if key else {}
        return self.client.post(f"/v1/commands/{command_type}", json=body, headers=headers)

    def approved(self, command_type: str, role: Role | Literal["usual"] = "usual", **body: Any) -> Response:
        """Have a command asked for by one and approved by another; return the answer to the approval."""
        request = f"r{next(self._names)}"
        text = body.pop("text", None)  # it goes with the request
        asked = self.command("request-act", role, request=request, act=command_type, fields=body, text=text)
        assert asked.status_code == 201, asked.text
        return self.command("approve-act", role=Role.APPROVER, request=request)

    def send(self, element: Any, role: Role | None = Role.STATION) -> Response:
        """Post one event, or a list of them as a batch."""
        media_type = BATCH if isinstance(element, list) else EVENT
        return self.client.post("/v1/events", json=element, headers=self.headers(role) | {"Content-Type": media_type})

    def event(self, command_type: str, source: str = f"/stations/{STATION}", **data: Any) -> dict[str, Any]:
        """Return an event with a name that was not used before."""
        return {
            "specversion": "1.0",
            "id": f"event-{next(self._names)}",
            "source": source,
            "type": event_type(command_type),
            "data": data,
        }

    def volunteer(self) -> str:
        """Register a new volunteer; return the number."""
        number = f"V{next(self._names):07d}"
        assert self.command("register-volunteer", volunteer=number, registered_on="2016-03-05").status_code == 201
        return number

    def served_shift(self, volunteer: str, check_in: str, check_out: str, station: str = STATION) -> tuple[UUID, int]:
        """Scan a check-in and a check-out; return the shift and the last position."""
        shift = uuid4()
        position = 0
        for command_type, instant in (("check-in", check_in), ("check-out", check_out)):
            answer = self.command(
                command_type, volunteer=volunteer, station=station, occurred_at=instant, shift=str(shift)
            )
            assert answer.status_code == 201, answer.text
            position = answer.json()["position"]
        return shift, position


class Listening(NamedTuple):
    """A server and its port."""

    port: int
    server: uvicorn.Server

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)


class _Server(uvicorn.Server):
    """A server that says when it is there."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.there = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.there.set()


@contextmanager
def listening(served: Served, limits: ConnectionLimits = ConnectionLimits()) -> Iterator[Listening]:  # noqa: B008 - frozen
    """Serve a ledger on a port of its own, with what `hours serve` serves it with, until the block ends."""
    config = config_of(create_app(served.service), limits)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = _Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert server.there.wait(PATIENCE_SECONDS)
            yield Listening(listener.getsockname()[1], server)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)


def give(ledger: OpenLedger, command_type: str, **body: Any) -> int:
    """Give a command past HTTP, with another's approval where the rules want it; return its position."""
    answer = take(ledger, command_type, body)
    assert isinstance(answer, Accepted), answer
    return answer.position or 0


def take(
    ledger: OpenLedger, command_type: str, body: dict[str, Any], by: str = "person:test", *, imported: bool = False
) -> Answer:
    """Give a command past HTTP; where the rules want another's approval, ask for it and have somebody approve it."""
    answer = _order(ledger, command_type, body, by, imported=imported)
    if isinstance(answer, Refused) and answer.rejection is Rejection.NEEDS_APPROVAL:
        request = uuid4().hex
        asked = {"request": request, "act": command_type, "fields": {key: _as_json(body[key]) for key in body}}
        _order(ledger, "request-act", asked, by)
        answer = _order(ledger, "approve-act", {"request": request}, f"person:{request}")
    return answer


def _order(ledger: OpenLedger, command_type: str, body: dict[str, Any], by: str, *, imported: bool = False) -> Answer:
    command = COMMANDS[command_type].model_validate(body)
    if command_type in SCANS and by == "person:test":  # a station's own scan
        by = f"station:{body['station']}"
    order = order_of(command=command, source="/test", id=str(uuid4()), by=by, imported=imported)
    (answer,) = ledger.intake.execute([order])
    return answer


def _as_json(value: Any) -> Any:
    return value if isinstance(value, str | int | list | dict | None) else str(value)


def found(ledger: OpenLedger) -> None:
    """Enter organisations, stations and a project."""
    for command_type, body in FOUNDING:
        give(ledger, command_type, **body)


def stock(ledger: OpenLedger) -> None:
    """Enter a little history: two volunteers, three shifts, a correction, people served, an opening balance."""
    found(ledger)
    ledger.make_ready()
    for number in ("V0000001", "V0000002"):
        give(ledger, "register-volunteer", volunteer=number, registered_on="2016-03-05")
    balance = {"volunteer": "V0000002", "minutes": 6000, "as_of": "2016-06-01", "evidence": "paper-list"}
    assert isinstance(take(ledger, "record-opening-balance", balance, imported=True), Accepted)
    for place, (volunteer, day, project) in enumerate(
        (("V0000001", "2018-12-01", None), ("V0000001", "2018-12-02", PROJECT), ("V0000002", "2018-12-02", None)), 1
    ):
        scan = {"volunteer": volunteer, "station": STATION, "shift": str(UUID(int=place))}
        give(ledger, "check-in", occurred_at=f"{day}T09:00:00+08:00", project=project, **scan)
        give(ledger, "check-out", occurred_at=f"{day}T12:00:00+08:00", **scan)
    give(ledger, "count-people-served", station=STATION, day="2018-12-02", people=40)
    give(
        ledger,
        "correct-shift",
        volunteer="V0000001",
        shift=str(UUID(int=2)),
        changes=["check_out"],
        check_out="2018-12-02T11:00:00+08:00",
        reason="left-early",
    )
