"""A shift without a station earns like any other, and every answer about it can be read.

No command clears a station: only the events of older ledgers do.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from api.access.roles import Role
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from ledger.aggregates.shift import ShiftCorrected
from ledger.store.mapper import encode
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, Served, give
from tests.support.ledger.helpers import append_rows

pytest_plugins = ["tests.support.api.fixtures"]

DAY, NUMBER = "2018-12-04", "V0000001"


@pytest.fixture
def nowhere(fresh: OpenLedger) -> UUID:
    """A shift whose check-in only a correction tells, which also cleared the station; and one at a station."""
    give(fresh, "register-volunteer", volunteer=NUMBER, registered_on="2016-03-05")
    shift = uuid4()
    give(fresh, "check-out", volunteer=NUMBER, station=STATION, shift=shift, occurred_at=f"{DAY}T12:00:00+08:00")
    beside = {"volunteer": NUMBER, "station": STATION, "shift": uuid4()}
    give(fresh, "check-in", **beside, occurred_at=f"{DAY}T11:00:00+08:00")
    give(fresh, "check-out", **beside, occurred_at=f"{DAY}T13:00:00+08:00")
    at = 1_543_971_600
    cleared = ShiftCorrected(
        occurred_at=at,
        recorded_at=at,
        by="person:anna",
        command="then#1",
        volunteer=NUMBER,
        shift=shift,
        changes=("check_in", "station"),
        check_in=at - 97_200,  # 2018-12-04 06:00 in Shanghai
        reason="old-form",
    )
    append_rows(fresh.database, [(cleared.stream_id, 2, *encode(cleared))])
    return shift


@pytest.fixture
def served(fresh: OpenLedger, nowhere: UUID) -> Iterator[Served]:
    """The served ledger, with whom this is about."""
    assert nowhere
    tokens = {role: fresh.keys.make(role, role.value)[1] for role in (Role.READER, Role.AUDITOR)}
    with running(fresh) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Served(service, client, tokens)


def ask(served: Served, address: str, role: Role = Role.READER, **parameters: Any) -> dict[str, Any]:
    answer = served.get(address, role=role, at_least=served.ledger.log.head(), **parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_told_over_http_without_a_station(served: Served, nowhere: UUID) -> None:
    _, shift = ask(served, f"/v1/volunteers/{NUMBER}/shifts")["shifts"]
    assert (shift["shift"], shift["station"], shift["grade"]) == (str(nowhere), None, "attested")
    assert "no-station" in shift["flags"]
    assert (shift["trace"]["raw"], shift["trace"]["overlapped"], shift["trace"]["credited"]) == (360, 60, 300)
    first, second = ask(served, f"/v1/volunteers/{NUMBER}/explanation", day=DAY)["shifts"]
    assert (first["station"], first["station_kind"], "station_day" in first["links"]) == (None, None, False)
    assert (second["station"], "station_day" in second["links"]) == (STATION, True)
    total = ask(served, f"/v1/volunteers/{NUMBER}")["total"]["credited_minutes"]
    assert total == 300 + 120
    day: dict[str, Any] = {"from": DAY, "to": DAY}
    activity = ask(served, f"/v1/stations/{STATION}/activity", **day)
    assert (activity["shifts"], activity["credited_minutes"]) == (1, 120)
    (listed,) = ask(served, f"/v1/stations/{STATION}/shifts", day=DAY)["shifts"]
    assert listed["trace"]["credited"] == 120
    places = ask(served, f"/v1/volunteers/{NUMBER}/overview")["stations"]
    assert {place["name"]: place["credited_minutes"] for place in places} == {None: 300, STATION: 120}
    sums = ask(served, "/v1/district/activity")  # the station is led by an organisation
    assert [row["credited_minutes"] for row in sums["rows"]] == [total]
    assert [row["credited_minutes"] for row in sums["no_organisation"]] == [300]
    sampled = ask(served, "/v1/spot-check", Role.AUDITOR, seed="7", size=2, strata="station-kind")["shifts"]
    assert {(one["station"], one["station_kind"], one["stratum"]) for one in sampled} == {
        (None, None, "unknown"),
        (STATION, "city", "city"),
    }
    found = ask(served, "/v1/anomalies", Role.AUDITOR)["anomalies"]
    assert "two-stations" not in {one["kind"] for one in found}
    assert all("None" not in one["reason"] for one in found)


def test_it_is_told_on_the_command_line(nowhere: UUID, hours: CommandLine, tmp_path: Path) -> None:
    assert nowhere
    assert hours("rebuild").code == 0
    told = hours("explain", NUMBER, "--day", DAY)
    assert (told.code, "no station" in told.out, "at None" in told.out) == (0, True, False)
    assert "already held by the shift from 11:00 at C01" in " ".join(told.out.split())
    assert hours("volunteer", NUMBER, "--shifts", "--json").answer["shifts"][1]["station"] is None
    assert "no-station" in hours("volunteer", NUMBER, "--shifts").out
    target = tmp_path / "credits.csv"
    assert hours("export", "credits", "--output", target).code == 0
    rows = list(csv.DictReader(target.read_text("utf-8").splitlines()))
    assert {(row["station"], row["credited_minutes"]) for row in rows} == {("", "300"), (STATION, "120")}
