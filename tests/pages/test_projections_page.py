"""docs/projections.md, run: a stock projection of the library follows a ledger that is being posted to over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from api.access.roles import Role
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from ledger.store.database import Database
from tests.support.api.serving import KEY_NAMES, OTHER_STATION, STATION, Served, found
from tests.support.patience import PATIENCE_SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "projections.md"
DAY = "2018-12-05"


@pytest.fixture(scope="module")
def live(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served ledger of its own: whatever other tests do with theirs, no rule may make a difference here."""
    with Database.open(new_database_url()) as database:
        ledger = OpenLedger(database, tmp_path_factory.mktemp("data"))
        found(ledger)
        ledger.make_ready()
        tokens = {
            role: ledger.keys.make(role, KEY_NAMES.get(role, role.value))[1] for role in (Role.STAFF, Role.READER)
        }
        with running(ledger) as service, TestClient(create_app(service)) as client:
            yield Served(service, client, tokens)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page's blocks of code define."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(block, names)  # noqa: S102 - the page is ours
    return names


def serve(served: Served, station: str, hours: int) -> int:
    """Post a shift of so many hours, batch by batch; return the position of its check-out."""
    volunteer, shift, position = served.volunteer(), str(uuid4()), 0
    for kind, instant in (("check-in", "08:00:59"), ("check-out", f"{8 + hours:02}:30:00")):
        said = {"volunteer": volunteer, "station": station, "shift": shift, "occurred_at": f"{DAY}T{instant}+08:00"}
        event = served.event(kind, source=f"/stations/{station}", **said)
        answer = served.client.post(
            "/v1/events",
            json=[event, event],
            headers={**served.station_headers(station), "Content-Type": "application/cloudevents-batch+json"},
        ).json()
        assert (answer["accepted"], answer["duplicates"]) == (1, 1), answer
        position = answer["position"]
    return position


def test_a_stock_projection_follows_stops_goes_on_and_equals_the_read_model(live: Served, page: dict[str, Any]) -> None:
    served = live
    url = served.ledger.database.url
    before = {station: _credited_from(served, station) for station in (STATION, OTHER_STATION)}
    with page["follow"](url) as runner:
        first = serve(served, STATION, 2)
        runner.wait(first, timeout=PATIENCE_SECONDS)
        begun = _minutes(url)
        assert begun[STATION] - before[STATION] == 150
    serve(served, STATION, 1)  # nobody follows
    serve(served, OTHER_STATION, 3)
    assert _minutes(url) == begun
    with page["follow"](url) as runner:
        last = serve(served, OTHER_STATION, 1)
        runner.wait(last, timeout=PATIENCE_SECONDS)
        told = _minutes(url)
    assert served.get("/v1/stations", at_least=last).status_code == 200
    for station in (STATION, OTHER_STATION):
        assert told[station] == _credited_from(served, station), station
    assert told[OTHER_STATION] - before[OTHER_STATION] == 210 + 90


def test_the_application_gives_back_what_a_stream_comes_to(live: Served, page: dict[str, Any]) -> None:
    served = live
    volunteer = served.volunteer()
    shift, _ = served.served_shift(volunteer, f"{DAY}T09:00:00+08:00", f"{DAY}T10:00:00+08:00")
    seen, person = page["look"](served.ledger.database.url, volunteer, shift)
    assert (seen.check_out - seen.check_in, seen.station, seen.version) == (3600, STATION, 2)
    assert person.registered.volunteer == volunteer


def _minutes(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT station, minutes FROM minutes.by_station").fetchall())


def _credited_from(served: Served, station: str) -> int:
    """Return the raw minutes that the read model has of a station, all days together."""
    days: dict[str, Any] = {"from": "2018-01-01", "to": "2018-12-31"}
    answer = served.get(f"/v1/stations/{station}/activity", at_least=served.ledger.log.head(), **days)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["raw_minutes"])
