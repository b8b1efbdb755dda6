"""What readers get: their own writing within a moment, the three axes on every answer, and refusals that say why."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from api.access.roles import Role
from api.http.requests import readings
from api.messages.problems import MEDIA_TYPE
from replay.generations import store
from replay.live.follower import Follower
from tests.support.api.serving import OTHER_STATION, PROJECT, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

MORNING, NOON = "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00"
BASIS = {"valid_at", "known_at", "rules", "position"}


def test_a_shift_is_seen_at_its_position_and_a_correction_changes_it(served: Served) -> None:
    volunteer = served.volunteer()
    shift, position = served.served_shift(volunteer, MORNING, NOON)
    hours = served.get(f"/v1/volunteers/{volunteer}", at_least=position).json()
    assert hours["position"] >= position
    assert hours["registered_on"] == "2016-03-05"
    assert (hours["total"]["credited_minutes"], hours["total"]["scanned_minutes"]) == (180, 180)
    assert [(year["year"], year["credited_minutes"]) for year in hours["years"]] == [(2018, 180)]
    corrected = served.approved(
        "correct-shift",
        volunteer=volunteer,
        shift=str(shift),
        changes=["check_out"],
        check_out="2018-12-04T11:00:00+08:00",
        reason="left-early",
    ).json()
    hours = served.get(f"/v1/volunteers/{volunteer}", at_least=corrected["position"]).json()
    assert (hours["total"]["credited_minutes"], hours["total"]["attested_minutes"]) == (120, 120)
    before = served.get(f"/v1/volunteers/{volunteer}", known_at=position).json()
    assert (before["total"]["credited_minutes"], before["known_at"]) == (180, position)


def test_shifts_are_traced_the_latest_first_and_cut_by_days(served: Served) -> None:
    volunteer = served.volunteer()
    first, _ = served.served_shift(volunteer, "2018-12-01T09:00:00+08:00", "2018-12-01T09:05:00+08:00")
    second, position = served.served_shift(volunteer, "2018-12-02T08:00:00+08:00", "2018-12-02T22:00:00+08:00")
    address = f"/v1/volunteers/{volunteer}/shifts"
    shifts = served.get(address, at_least=position).json()["shifts"]
    assert [shift["shift"] for shift in shifts] == [str(second), str(first)]
    long, short = (shift["trace"] for shift in shifts)
    assert (short["raw"], short["too_short"], short["credited"]) == (5, 5, 0)
    assert (long["raw"], long["clipped"], long["capped"], long["credited"]) == (840, 120, 240, 480)
    parts = ("counted", "superseded", "too_short", "clipped", "overlapped", "capped")
    assert all(trace["raw"] == sum(trace[part] for part in parts) for trace in (long, short))
    cut = served.get(f"{address}?from=2018-12-02").json()["shifts"]
    assert [shift["shift"] for shift in cut] == [str(second)]
    cut = served.get(address, to="2018-12-01").json()["shifts"]
    assert [shift["shift"] for shift in cut] == [str(first)]
    assert served.get(address, valid_at="2018-11-30").json()["shifts"] == []


def test_the_events_behind_a_shift_say_who_and_when(served: Served) -> None:
    volunteer = served.volunteer()
    shift, position = served.served_shift(volunteer, MORNING, NOON)
    address = f"/v1/volunteers/{volunteer}/shifts/{shift}/events"
    answer = served.get(address, at_least=position).json()
    assert [event["topic"] for event in answer["events"]] == ["checked-in.v1", "checked-out.v1"]
    assert {event["event"]["by"] for event in answer["events"]} == {f"station:{STATION}"}
    assert len(served.get(address, known_at=position - 1).json()["events"]) == 1
    for elsewhere in (f"/v1/volunteers/{volunteer}/shifts/{uuid4()}/events", f"{address}?known_at={position - 2}"):
        refused = served.client.get(elsewhere, headers=served.headers(Role.READER))
        assert (refused.status_code, refused.json()["rejection"]) == (404, "unknown-shift"), elsewhere


def test_a_station_day_adds_up_what_was_served_there(served: Served) -> None:
    volunteer, other = served.volunteer(), served.volunteer()
    served.served_shift(volunteer, "2017-06-01T09:00:00+08:00", "2017-06-01T11:00:00+08:00", OTHER_STATION)
    served.served_shift(other, "2017-06-03T09:00:00+08:00", "2017-06-03T10:00:00+08:00", OTHER_STATION)
    position = served.command("count-people-served", station=OTHER_STATION, day="2017-06-03", people=40).json()[
        "position"
    ]
    address = f"/v1/stations/{OTHER_STATION}/activity"
    period: dict[str, Any] = {"from": "2017-06-01", "to": "2017-06-30"}
    found = served.get(address, at_least=position, **period).json()
    assert [(day["day"], day["volunteers"], day["credited_minutes"]) for day in found["days"]] == [
        ("2017-06-01", 1, 120),
        ("2017-06-03", 1, 60),
    ]
    assert (found["days_open"], found["credited_minutes"], found["people_served"]) == (2, 180, 40)
    cut = served.get(address, valid_at="2017-06-02", **period).json()
    assert (cut["days_open"], cut["credited_minutes"], cut["valid_at"]) == (1, 120, "2017-06-02")
    replayed = served.get(address, known_at=position - 1, **period).json()
    assert (replayed["days_open"], replayed["people_served"]) == (2, 0)
    recent = served.get(address).json()
    assert recent["days"] == []
    last = datetime.fromisoformat(recent["last_day"]).date()
    assert abs((last - datetime.now(UTC).date()).days) <= 1


def test_stations_are_as_they_were_known(served: Served) -> None:
    new = f"S{uuid4().hex[:8]}"
    opened = served.command("open-station", station=new, kind="special", theme="water", organisation="fed-01").json()
    closed = served.command("close-station", station=new, reason="rebuilding").json()

    def shown(**axes: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = served.get("/v1/stations", **axes).json()["stations"]
        return [station for station in found if station["station"] == new]

    expected = {"station": new, "kind": "special", "theme": "water", "organisation": "fed-01", "name": None}
    assert shown(at_least=closed["position"]) == [{**expected, "open": False, "version": 2}]
    assert shown(known_at=opened["position"]) == [{**expected, "open": True, "version": 1}]
    assert shown(known_at=opened["position"] - 1) == []


def test_honours_tell_their_conditions_and_who_reached_them(served: Served) -> None:
    honors = served.get("/v1/honors").json()["honors"]
    assert [honor["honor"] for honor in honors][:2] == ["star-1", "star-2"]
    assert honors[0]["title"] == "一星级义工"
    assert honors[0]["conditions"][0]["credited_minutes_min"] == 6000
    three = [served.volunteer() for _ in range(3)]
    for volunteer in three:
        position = served.approved(
            "record-opening-balance", volunteer=volunteer, minutes=240_000, as_of="2016-06-01", evidence="paper"
        ).json()["position"]
    address = "/v1/honors/gold/standings"  # which no other test reaches
    everyone = served.get(address, at_least=position).json()
    assert [one["volunteer"] for one in everyone["standings"]] == three
    assert {one["reached_on"] for one in everyone["standings"]} == {"2017-01-01"}
    page = served.get(address, limit=2).json()
    assert ([one["volunteer"] for one in page["standings"]], page["count"]) == (three[:2], 3)
    rest = served.get(address, limit=2, after=page["next_after"]).json()
    assert ([one["volunteer"] for one in rest["standings"]], rest["next_after"]) == (three[2:], None)
    assert served.get(address, valid_at="2016-12-31").json()["count"] == 0
    replayed = served.get(address, known_at=position - 1).json()
    assert [one["volunteer"] for one in replayed["standings"]] == three[:2]


def test_every_answer_tells_its_axes(served: Served) -> None:
    volunteer = served.volunteer()
    shift, position = served.served_shift(volunteer, MORNING, NOON)
    for path in (
        f"/v1/volunteers/{volunteer}",
        f"/v1/volunteers/{volunteer}/shifts",
        f"/v1/volunteers/{volunteer}/shifts/{shift}/events",
        "/v1/stations",
        f"/v1/stations/{STATION}/activity",
        "/v1/honors",
        "/v1/honors/star-1/standings",
        "/v1/log",
    ):
        plain = served.get(path, at_least=position)
        assert plain.status_code == 200, (path, plain.text)
        assert plain.json().keys() >= BASIS, path
        assert plain.json()["position"] >= position, path
        told = served.get(path, valid_at="2018-12-05", known_at=position, rules=1).json()
        assert (told["valid_at"], told["known_at"], told["rules"]["version"]) == ("2018-12-05", position, 1), path


# --- axes -----------------------------------------------------------------------------------------------------------


def test_an_instant_is_turned_into_a_position_even_if_its_plus_sign_was_lost(served: Served) -> None:
    volunteer = served.volunteer()
    position = served.ledger.log.head()
    later = datetime.fromtimestamp(time.time() + 3600, UTC).isoformat(timespec="seconds")
    for instant in (later, later.replace("+", " "), later.replace("+00:00", "Z")):
        answer = served.get(f"/v1/volunteers/{volunteer}", known_at=instant)
        assert answer.status_code == 200, answer.text
        assert answer.json()["known_at"] == position


def test_before_any_rules_were_known_an_answer_needs_a_version(served: Served) -> None:
    refused = served.get("/v1/honors", known_at="2001-01-01T00:00:00Z")
    assert (refused.status_code, refused.json()["field"]) == (422, "rules")
    assert served.get("/v1/honors", known_at="2001-01-01T00:00:00Z", rules=1).json()["known_at"] == 0


@pytest.mark.parametrize(
    ("axes", "field"),
    [
        ({"valid_at": "2018-02-30"}, "valid_at"),
        ({"valid_at": "soon"}, "valid_at"),
        ({"known_at": "soon"}, "known_at"),
        ({"known_at": "2018-12-04T09:00:00"}, "known_at"),
        ({"known_at": "99999999"}, "known_at"),
        ({"known_at": "-1"}, "known_at"),
        ({"rules": "latest"}, "rules"),
        ({"rules": 0}, "rules"),
        ({"rules": 99}, "rules"),
        ({"at_least": -1}, "at_least"),
        ({"at_least": "x"}, "at_least"),
    ],
)
def test_an_axis_that_points_at_nothing_is_refused_by_name(served: Served, axes: dict[str, Any], field: str) -> None:
    answer = served.get("/v1/honors", **axes)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert answer.json()["detail"].startswith(field) or field == "rules"


def test_a_position_beyond_the_log_is_not_waited_for(served: Served) -> None:
    answer = served.get("/v1/honors", at_least=10_000_000)
    assert (answer.status_code, answer.json()["field"]) == (422, "at_least")
    assert "is beyond the log's last position" in answer.json()["detail"]


def test_a_position_the_read_models_do_not_reach_is_waited_for_and_then_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "AT_LEAST_SECONDS_MAX", 0.1)
    monkeypatch.setattr(served.ledger.log, "head", lambda: 10_000_001)
    answer = served.get("/v1/honors", at_least=10_000_000)
    assert (answer.status_code, answer.json()["rejection"]) == (503, "behind")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["retry"] is True


@pytest.mark.parametrize(
    ("path", "parameters", "status", "field"),
    [
        ("/v1/volunteers/V9999999", {}, 404, "volunteer"),
        ("/v1/volunteers/V9999999/shifts", {}, 404, "volunteer"),
        ("/v1/volunteers/V9999999", {"rules": 1}, 404, "volunteer"),
        ("/v1/volunteers/V1/shifts/17/events", {}, 422, "shift"),
        ("/v1/stations/X99/activity", {}, 404, "station"),
        ("/v1/stations/C01/activity", {"from": "2018-12-02", "to": "2018-12-01"}, 422, "from"),
        ("/v1/stations/C01/activity", {"from": "1990-01-01"}, 422, "to"),
        ("/v1/stations/C01/activity", {"from": "x"}, 422, "from"),
        ("/v1/honors/star-9/standings", {}, 404, "honor"),
        ("/v1/honors/star-1/standings", {"limit": 0}, 422, "limit"),
        ("/v1/honors/star-1/standings", {"limit": 1001}, 422, "limit"),
        ("/v1/honors/star-1/standings", {"after": "x"}, 422, "after"),
        ("/v1/honors/star-1/standings", {"after": "2018-02-30/V1"}, 422, "after"),
        ("/v1/log", {"after": -1}, 422, "after"),
        ("/v1/log", {"limit": 0}, 422, "limit"),
    ],
)
def test_what_readers_cannot_have_is_refused_with_the_field(
    served: Served, path: str, parameters: dict[str, Any], status: int, field: str
) -> None:
    answer = served.get(path, **parameters)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["remedy"]


def test_unknown_addresses_and_methods_are_problems_too(served: Served) -> None:
    nowhere = served.get("/v2/nothing")
    assert (nowhere.status_code, nowhere.json()["rejection"]) == (404, "no-such-address")
    assert "/v2/nothing" in nowhere.json()["detail"]
    wrong = served.client.delete("/v1/log", headers=served.headers(Role.ADMIN))
    assert (wrong.status_code, wrong.json()["rejection"]) == (405, "wrong-method")
    assert "GET" in wrong.headers["allow"]
    assert served.client.get("/problems/none").status_code == 404
    for answer in (nowhere, wrong):
        assert answer.headers["content-type"] == MEDIA_TYPE


# --- the log --------------------------------------------------------------------------------------------------------


def test_the_log_is_read_page_by_page(served: Served) -> None:
    served.volunteer()
    head = served.ledger.log.head()
    assert head > 6
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = served.get("/v1/log", after=after, limit=5, known_at=head).json()
        seen += [event["position"] for event in page["events"]]
        after = page["next_after"]
    assert seen == list(range(1, head + 1))


def test_the_log_is_streamed_as_lines(served: Served) -> None:
    served.volunteer()
    head = served.ledger.log.head()
    headers = served.headers(Role.READER) | {"Accept": "application/x-ndjson"}
    with served.client.stream("GET", "/v1/log?after=2", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        events = [json.loads(line) for line in answer.iter_lines()]
    assert [event["position"] for event in events] == list(range(3, head + 1))
    assert events[0]["topic"] == "station-opened.v1"
    two = served.client.get("/v1/log?limit=2&known_at=5&rules=1", headers=headers).text.splitlines()
    assert [json.loads(line)["position"] for line in two] == [1, 2]


# --- status ---------------------------------------------------------------------------------------------------------


def test_the_status_tells_head_lag_generation_rules_and_alert(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    position = served.served_shift(served.volunteer(), MORNING, NOON)[1]
    assert served.get("/v1/honors", at_least=position).status_code == 200
    status = served.get("/v1/status").json()
    assert (status["head"], status["position"], status["lag"]) == (position, position, 0)
    assert status["generation"] == served.ledger.current_generation().id
    assert int(status["checksum"], 16) == served.ledger.current_generation().checksum
    assert status["rules"]["name"] == "luohu"
    assert status["alert"] is None
    monkeypatch.setattr(served.service.follower, "alert", "the follower stopped: a test")
    assert served.get("/v1/status").json()["alert"] == "the follower stopped: a test"


def test_without_read_models_readers_are_told_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "current_generation", lambda _connection: None)
    monkeypatch.setattr(Follower, "process_batch", lambda _self: 0)
    answer = served.get("/v1/honors")
    assert (answer.status_code, answer.json()["rejection"]) == (503, "no-read-models")
    assert "hours rebuild" in answer.json()["remedy"]


def test_a_project_is_told_with_its_shift(served: Served) -> None:
    volunteer = served.volunteer()
    scan = {"volunteer": volunteer, "station": STATION, "occurred_at": MORNING, "project": PROJECT}
    position = served.send(served.event("check-in", **scan)).json()["position"]
    (shift,) = served.get(f"/v1/volunteers/{volunteer}/shifts", at_least=position).json()["shifts"]
    assert (shift["project"], shift["station"]) == (PROJECT, STATION)
