"""Points that the rules of credit settle, where a user sees them: shifts, explanations, station days, refusals."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.access.roles import Role
from tests.support.api.serving import OTHER_STATION, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

MORNING, TEN, NOON, ONE = (f"2018-12-04T{hour}:00:00+08:00" for hour in ("09", "10", "12", "13"))
DAY = "2018-12-04"


def sent(served: Served, command_type: str, **body: Any) -> int:
    answer = served.approved(command_type, **body) if command_type in APPROVED else served.command(command_type, **body)
    assert answer.status_code == 201, answer.text
    position: int = answer.json()["position"]
    return position


APPROVED = {"correct-shift", "void-shift", "raise-day-cap", "reinstate-shift", "move-shift"}


def shift_of(served: Served, volunteer: str, position: int) -> dict[str, Any]:
    (found,) = served.get(f"/v1/volunteers/{volunteer}/shifts", at_least=position).json()["shifts"]
    return dict(found)


def explained(served: Served, volunteer: str, position: int, day: str = DAY) -> dict[str, Any]:
    found = served.get(f"/v1/volunteers/{volunteer}/explanation", day=day, at_least=position)
    assert found.status_code == 200, found.text
    return dict(found.json())


def test_a_shift_whose_check_in_only_a_correction_tells_earns_at_the_station_of_its_check_out(served: Served) -> None:
    volunteer, shift, other = served.volunteer(), str(uuid4()), str(uuid4())
    whose = {"volunteer": volunteer, "shift": shift}
    sent(served, "check-out", **whose, station=OTHER_STATION, occurred_at=ONE)
    sent(served, "check-out", **whose, station=STATION, occurred_at=TEN)
    before: dict[str, Any] = {"from": DAY, "to": DAY}
    known = served.get(f"/v1/stations/{OTHER_STATION}/activity", **before).json()["credited_minutes"]
    position = sent(served, "correct-shift", **whose, changes=["check_in"], check_in=NOON, reason="forgotten")
    found = shift_of(served, volunteer, position)
    assert (found["station"], found["grade"], found["trace"]["credited"]) == (OTHER_STATION, "attested", 60)
    assert "no-station" not in found["flags"]
    (one,) = explained(served, volunteer, position)["shifts"]
    assert (one["station"], one["station_kind"], one["trace"]["credited"]) == (OTHER_STATION, "community", 60)
    day = served.get(f"/v1/stations/{OTHER_STATION}/activity", **before, at_least=position).json()
    assert day["credited_minutes"] == known + 60
    # As known before the correction it earned nothing; and it can be moved like any other shift.
    earlier = served.get(f"/v1/volunteers/{volunteer}", known_at=position - 1).json()
    assert earlier["total"]["credited_minutes"] == 0
    moved_to = served.volunteer()
    position = sent(served, "move-shift", **whose, to_volunteer=moved_to, reason="wrong-card")
    assert shift_of(served, moved_to, position)["station"] == OTHER_STATION
    assert other != shift


def test_a_kind_holds_from_the_day_a_station_was_opened_as_such(served: Served) -> None:
    volunteer, station = served.volunteer(), f"S{uuid4().hex[:8]}"
    kinds = (("city", "2017-01-01"), ("special", "2018-12-05"), ("community", "2018-12-05"))
    for kind, day in kinds:
        if kind != "city":
            sent(served, "close-station", station=station, reason="rebuilding")
        sent(served, "open-station", station=station, kind=kind, occurred_at=f"{day}T23:30:00+08:00")
    position = 0
    expected = {"2016-12-04": "city", "2017-12-04": "city", "2018-12-04": "city", "2018-12-05": "community"}
    for day in expected:
        _, position = served.served_shift(volunteer, f"{day}T09:00:00+08:00", f"{day}T10:00:00+08:00", station)
    for day, kind in expected.items():
        (one,) = explained(served, volunteer, position, day)["shifts"]
        assert one["station_kind"] == kind
    drawn = {"seed": "kinds", "size": 10, "station": station, "strata": "station-kind", "at_least": position}
    sample = served.get("/v1/spot-check", role=Role.AUDITOR, **drawn).json()
    assert {shift["check_in"][:10]: shift["station_kind"] for shift in sample["shifts"]} == expected


@pytest.mark.parametrize(("minutes", "refused"), [(479, True), (480, False), (481, False)])
def test_a_raise_below_the_cap_is_refused(served: Served, minutes: int, refused: bool) -> None:  # noqa: FBT001 - of the table
    volunteer = served.volunteer()
    raised = {"volunteer": volunteer, "day": DAY, "raise_id": f"r{minutes}", "minutes": minutes, "reason": "typhoon"}
    asked = served.command("request-act", request=f"r{uuid4().hex[:8]}", act="raise-day-cap", fields=raised)
    if not refused:
        assert asked.status_code == 201
        return
    told = asked.json()
    assert (asked.status_code, told["rejection"], told["retry"]) == (409, "raise-too-low", False)
    assert told["field"].endswith("minutes")


def test_a_shift_that_was_moved_and_reinstated_is_attested(served: Served) -> None:
    volunteer, other = served.volunteer(), served.volunteer()
    shift, position = served.served_shift(volunteer, MORNING, NOON)
    assert shift_of(served, volunteer, position)["grade"] == "scanned"
    whose = {"volunteer": volunteer, "shift": str(shift)}
    sent(served, "move-shift", **whose, to_volunteer=other, reason="wrong-card")
    sent(served, "void-shift", volunteer=other, shift=str(shift), reason="right-card-after-all")
    position = sent(served, "reinstate-shift", **whose, reason="right-card-after-all")
    found = shift_of(served, volunteer, position)
    assert (found["grade"], found["trace"]["credited"], "moved" in found["flags"]) == ("attested", 180, True)
    (one,) = explained(served, volunteer, position)["shifts"]
    assert one["grade"] == "attested"


def test_an_instant_of_the_local_year_2000_is_accepted_and_counts_in_it(served: Served) -> None:
    volunteer = served.volunteer()
    _, position = served.served_shift(volunteer, "1999-12-31T16:30:00Z", "1999-12-31T17:30:00Z")
    hours = served.get(f"/v1/volunteers/{volunteer}", at_least=position).json()
    assert [(year["year"], year["credited_minutes"]) for year in hours["years"]] == [(2000, 60)]
    refused = served.command("check-in", volunteer=volunteer, station=STATION, occurred_at="1999-12-31T09:59:59Z")
    assert (refused.status_code, refused.json()["field"]) == (422, "occurred_at")


def test_no_honour_is_reached_before_registration(served: Served) -> None:
    number = f"V{uuid4().int % 10**9:09d}"
    registered = date(2018, 12, 31)
    sent(served, "register-volunteer", volunteer=number, registered_on=registered.isoformat())
    position = 0
    for day in range(14):
        on = (registered - timedelta(days=30 - day)).isoformat()
        _, position = served.served_shift(number, f"{on}T08:00:00+08:00", f"{on}T16:00:00+08:00")
    hours = served.get(f"/v1/volunteers/{number}", at_least=position).json()
    assert hours["total"]["credited_minutes"] == 14 * 480 >= 6_000
    assert {honor["honor"]: honor["reached_on"] for honor in hours["honors"]}["star-1"] == "2018-12-31"
