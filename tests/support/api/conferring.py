"""A served ledger whose clock can be moved, with volunteers who have reached something: for tests of awards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi.testclient import TestClient

from api.access.roles import Role
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from ledger.store.database import Database
from tests.support.api.serving import PROJECT, STATION, Served, found, give

ANNOUNCED = date(2018, 12, 4)
NOTICE_UNTIL = date(2018, 12, 11)
GIVEN = date(2018, 12, 12)
NEAR, FAR, BUSY, IDLE = "V0000001", "V0000002", "V0000003", "V0000004"
"""Just above a hundred hours; far above; sixty hours in 2018 at a project; nothing."""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, day: date) -> None:
        self.now = 0
        self.move_to(day)

    def move_to(self, day: date, hour: int = 10) -> None:
        self.now = int(datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp())

    def __call__(self) -> int:
        return self.now


def shift_id(number: int) -> str:
    return str(UUID(int=number))


def stock(ledger: OpenLedger) -> None:
    """Enter opening balances and shifts."""
    found(ledger)
    ledger.make_ready()
    for number in (NEAR, FAR, BUSY, IDLE):
        give(ledger, "register-volunteer", volunteer=number, registered_on="2010-03-05")
    for number, minutes in ((NEAR, 5_900), (FAR, 20_000)):
        said = {"volunteer": number, "minutes": minutes, "as_of": "2012-12-31", "evidence": "paper-list"}
        give(ledger, "record-opening-balance", **said)
    shifts: list[tuple[str, str, str, str | None]] = [(NEAR, "2018-11-20", "12", None), (FAR, "2018-11-20", "12", None)]
    shifts += [(BUSY, f"2018-11-{day:02d}", "17", PROJECT) for day in range(1, 14)]
    for place, (volunteer, day, until, project) in enumerate(shifts, 1):
        scan = {"volunteer": volunteer, "station": STATION, "shift": shift_id(place)}
        give(ledger, "check-in", occurred_at=f"{day}T09:00:00+08:00", project=project, **scan)
        give(ledger, "check-out", occurred_at=f"{day}T{until}:00:00+08:00", **scan)


@contextmanager
def conferring(url: str, data: Path) -> Iterator[tuple[Served, Clock]]:
    """Serve such a ledger on the day on which honours are to be announced."""
    clock = Clock(ANNOUNCED)
    with Database.open(url) as database:
        ledger = OpenLedger(database, data, clock)
        stock(ledger)
        tokens = {role: ledger.keys.make(role, STATION if role is Role.STATION else role.value)[1] for role in Role}
        with running(ledger) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
            yield Served(service, client, tokens), clock


def post(served: Served, address: str, role: Role = Role.HONORS_OFFICER, **body: Any) -> Any:
    """Post to an address of honours; return the answer."""
    answer = served.client.post(address, json=body, headers=served.headers(role))
    return answer.json() | {"status_code": answer.status_code}


def get(served: Served, address: str, **parameters: Any) -> Any:
    """Return what is answered once the read models hold everything."""
    answer = served.get(address, at_least=served.ledger.log.head(), **parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def caught_up(served: Served) -> None:
    """Wait until the read models hold everything."""
    assert served.get("/v1/honors", at_least=served.ledger.log.head()).status_code == 200


NewDatabase = Callable[[], str]
