"""Odd facts are accepted and flagged: what a scan is worth is for the rules, that it was made is not."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest

from api.access.roles import Role
from api.messages.cloud_events import EVENT
from tests.support.api.serving import OTHER_STATION, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

MORNING, TEN, NOON = (f"2018-12-04T{hour}:00:00+08:00" for hour in ("09", "10", "12"))


def scan(served: Served, kind: str, volunteer: str, shift: str, at: str, station: str = STATION) -> dict[str, Any]:
    return served.event(
        kind, source=f"/stations/{station}", volunteer=volunteer, station=station, occurred_at=at, shift=shift
    )


def sent(served: Served, *events: dict[str, Any]) -> int:
    """Send events one by one; return the last position."""
    position = 0
    for event in events:
        answer = served.command(event["type"].split(".")[2], **event["data"])
        assert answer.status_code == 201, answer.text
        position = answer.json()["position"]
    return position


def shifts(served: Served, volunteer: str, position: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.get(f"/v1/volunteers/{volunteer}/shifts", at_least=position).json()["shifts"]
    return found


def test_the_order_of_uploading_changes_nothing(served: Served) -> None:
    told = []
    for order in permutations(range(3)):
        volunteer, shift = served.volunteer(), str(uuid4())
        events = [
            scan(served, "check-in", volunteer, shift, MORNING),
            scan(served, "check-out", volunteer, shift, NOON),
            scan(served, "check-out", volunteer, shift, "2018-12-04T12:01:00+08:00"),
        ]
        (found,) = shifts(served, volunteer, sent(served, *(events[number] for number in order)))
        told.append((found["trace"]["credited"], found["grade"], found["check_out"], sorted(found["flags"])))
    assert set(map(str, told)) == {str((180, "scanned", "2018-12-04T04:00:00Z", ["late", "two-check-outs"]))}


def test_a_check_out_alone_earns_nothing_until_its_check_in_arrives(served: Served) -> None:
    volunteer, shift = served.volunteer(), str(uuid4())
    (found,) = shifts(served, volunteer, sent(served, scan(served, "check-out", volunteer, shift, NOON)))
    assert (found["trace"]["credited"], found["check_in"]) == (0, None)
    assert "check-out-without-check-in" in found["flags"]
    (found,) = shifts(served, volunteer, sent(served, scan(served, "check-in", volunteer, shift, MORNING)))
    assert (found["trace"]["credited"], found["grade"]) == (180, "scanned")
    assert "check-out-without-check-in" not in found["flags"]


def test_a_check_out_before_its_check_in_earns_nothing_and_is_flagged(served: Served) -> None:
    volunteer, shift = served.volunteer(), str(uuid4())
    backwards = (
        scan(served, "check-in", volunteer, shift, NOON),
        scan(served, "check-out", volunteer, shift, MORNING),
    )
    (found,) = shifts(served, volunteer, sent(served, *backwards))
    assert found["trace"]["credited"] == 0
    assert {"check-out-before-check-in", "no-check-out"} <= set(found["flags"])


def test_a_check_out_at_the_instant_of_its_check_in_ends_a_shift_of_no_time(served: Served) -> None:
    volunteer, shift = served.volunteer(), str(uuid4())
    at_once = (
        scan(served, "check-in", volunteer, shift, NOON),
        scan(served, "check-out", volunteer, shift, NOON),
    )
    (found,) = shifts(served, volunteer, sent(served, *at_once))
    assert (found["trace"]["credited"], found["grade"]) == (0, "scanned")
    assert not {"check-out-before-check-in", "no-check-out"} & set(found["flags"])


def test_a_second_check_in_is_flagged_and_the_earliest_counts(served: Served) -> None:
    volunteer, shift = served.volunteer(), str(uuid4())
    twice = (
        scan(served, "check-in", volunteer, shift, TEN),
        scan(served, "check-in", volunteer, shift, MORNING),
        scan(served, "check-out", volunteer, shift, NOON),
    )
    (found,) = shifts(served, volunteer, sent(served, *twice))
    assert (found["check_in"], found["trace"]["credited"]) == ("2018-12-04T01:00:00Z", 180)
    assert "two-check-ins" in found["flags"]


def test_two_stations_at_once_hold_each_minute_once(served: Served) -> None:
    volunteer = served.volunteer()
    here, there = str(uuid4()), str(uuid4())
    both = (
        scan(served, "check-in", volunteer, here, MORNING),
        scan(served, "check-out", volunteer, here, NOON),
        scan(served, "check-in", volunteer, there, TEN, OTHER_STATION),
        scan(served, "check-out", volunteer, there, "2018-12-04T13:00:00+08:00", OTHER_STATION),
    )
    second, first = shifts(served, volunteer, sent(served, *both))
    assert (first["trace"]["credited"], second["trace"]["credited"]) == (180, 60)
    assert (second["trace"]["overlapped"], second["flags"]) == (120, ["overlapped", "late"])


def test_a_shift_months_late_is_accepted_and_marked_and_one_of_today_is_not(served: Served) -> None:
    volunteer = served.volunteer()
    now = datetime.fromtimestamp(time.time(), UTC)
    (late, today) = (now - timedelta(days=days, hours=3) for days in (120, 0))
    position = 0
    for begun in (late, today):
        _, position = served.served_shift(volunteer, begun.isoformat(), (begun + timedelta(hours=2)).isoformat())
    new, old = shifts(served, volunteer, position)
    assert "late" in old["flags"]
    assert "late" not in new["flags"]
    assert old["trace"]["counted"] == new["trace"]["counted"] == 120


def test_a_forgotten_check_out_is_flagged_and_attested(served: Served) -> None:
    volunteer = served.volunteer()
    (found,) = shifts(served, volunteer, sent(served, scan(served, "check-in", volunteer, str(uuid4()), MORNING)))
    assert (found["trace"]["raw"], found["grade"]) == (0, "attested")
    assert "no-check-out" in found["flags"]


def test_a_closed_station_and_a_volunteer_who_left_may_still_be_scanned(served: Served) -> None:
    volunteer, station = served.volunteer(), f"S{uuid4().hex[:8]}"
    sent_first = [
        served.command("open-station", station=station, kind="special"),
        served.command("close-station", station=station, reason="rebuilding"),
        served.command("withdraw-volunteer", volunteer=volunteer, withdrawn_on="2018-12-01", reason="moved-away"),
    ]
    assert [answer.status_code for answer in sent_first] == [201] * 3
    _, position = served.served_shift(volunteer, MORNING, NOON, station)
    (found,) = shifts(served, volunteer, position)
    assert found["trace"]["credited"] == 180


def test_a_free_text_is_kept_apart_and_the_event_holds_its_digest(served: Served) -> None:
    volunteer = served.volunteer()
    shift, _ = served.served_shift(volunteer, MORNING, NOON)
    secret = f"My neighbour saw me leave {uuid4()}."
    position = served.command(
        "dispute-shift", volunteer=volunteer, shift=str(shift), reason="too-few-minutes", text=secret
    ).json()["position"]
    address = f"/v1/volunteers/{volunteer}/shifts/{shift}/events"
    answer = served.get(address, at_least=position)
    assert secret not in answer.text
    assert len(answer.json()["events"][-1]["event"]["note"]) == 64
    assert "in-dispute" in shifts(served, volunteer, position)[0]["flags"]


@pytest.mark.parametrize(
    ("text", "refused"), [("a\x00b", (422, "invalid", "data.text")), ("\ud800", (400, "malformed", None))]
)
def test_a_text_that_no_database_can_keep_is_refused_not_failed(
    served: Served, text: str, refused: tuple[int, str, str | None]
) -> None:
    volunteer = served.volunteer()
    shift, _ = served.served_shift(volunteer, MORNING, NOON)
    event = served.event("dispute-shift", volunteer=volunteer, shift=str(shift), reason="doubt", text=text)
    headers = served.headers(Role.STAFF) | {"Content-Type": EVENT}
    answer = served.client.post("/v1/events", content=json.dumps(event), headers=headers)
    told = answer.json()
    assert (answer.status_code, told["rejection"], told["field"]) == refused, answer.text
