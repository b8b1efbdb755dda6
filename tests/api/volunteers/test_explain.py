"""Numbers lead back to events: from a year's hours, a station's day or an honour to shifts, to minutes, to the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from api.access.roles import Role
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import PROJECT, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

NIGHT = ("2018-12-04T20:00:00+08:00", "2018-12-05T00:30:00+08:00")
AXES = {"valid_at", "known_at", "rules"}


def night_shift(served: Served) -> tuple[str, str, int]:
    """Return a volunteer who served across midnight, the shift, and the position of the check-out."""
    volunteer = served.volunteer()
    shift, position = served.served_shift(volunteer, *NIGHT)
    served.get("/v1/stations", at_least=position)
    return volunteer, str(shift), position


def follow(served: Served, part: dict[str, Any], link: str) -> dict[str, Any]:
    answer = served.get(part["links"][link], role=Role.STAFF)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_day_is_explained_to_the_minute_with_rules_and_events(served: Served) -> None:
    volunteer, shift, position = night_shift(served)
    answer = served.get(f"/v1/volunteers/{volunteer}/explanation", day="2018-12-04").json()
    assert (answer["from"], answer["until"]) == ("2018-12-04T00:00:00+08:00", "2018-12-05T00:00:00+08:00")
    (told,) = answer["shifts"]
    assert (told["shift"], told["end"], told["trace"]["raw"]) == (shift, "2018-12-05T00:30:00+08:00", 240)
    assert [(part["from"][11:16], part["until"][11:16], part["percent"]) for part in told["stretches"]] == [
        ("20:00", "22:00", 100),
        ("22:00", "00:00", 120),
    ]
    night = told["stretches"][1]["rule"]
    assert (night["key"], night["name"], night["value"], night["holds_from"], night["version"]) == (
        "factors.percent",
        "night",
        120,
        "2017-01-01",
        1,
    )
    assert (told["rounding"]["percentages"], told["rounding"]["credited"]) == (26_400, 264)
    assert [event["position"] for event in told["events"]] == [position - 1, position]
    assert answer["rules_published"]["topic"] == "rules-published.v1"
    event = follow(served, told["events"][1], "event")["event"]
    assert (event["topic"], event["event"]["shift"]) == ("checked-out.v1", shift)
    morning = served.get(f"/v1/volunteers/{volunteer}/explanation", day="2018-12-05").json()
    assert morning["shifts"][0]["rounding"]["shares_before"] == 264
    assert (morning["trace"]["raw"], morning["trace"]["credited"]) == (30, 36)


def test_without_a_day_the_days_are_told_in_brief_and_lead_on(served: Served) -> None:
    volunteer, _, _ = night_shift(served)
    address = f"/v1/volunteers/{volunteer}/explanation"
    answer = served.get(address).json()
    assert [(day["day"], day["shifts"], day["credited"]) for day in answer["days"]] == [
        ("2018-12-05", 1, 36),
        ("2018-12-04", 1, 264),
    ]
    assert follow(served, answer["days"][1], "explanation")["trace"]["credited"] == 264
    page = served.get(address, limit=1).json()
    assert (len(page["days"]), page["next_before"]) == (1, "2018-12-05")
    rest = served.get(address, limit=1, before=page["next_before"]).json()
    assert ([day["day"] for day in rest["days"]], rest["next_before"]) == (["2018-12-04"], None)


def test_hours_of_a_year_lead_to_its_shifts_and_these_to_their_events(served: Served) -> None:
    volunteer, shift, position = night_shift(served)
    earlier, _ = served.served_shift(volunteer, "2017-05-01T09:00:00+08:00", "2017-05-01T11:00:00+08:00")
    served.get("/v1/stations", at_least=position + 2)
    hours = served.get(f"/v1/volunteers/{volunteer}").json()
    by_year = {year["year"]: follow(served, year, "shifts")["shifts"] for year in hours["years"]}
    assert {year: [one["shift"] for one in shifts] for year, shifts in by_year.items()} == {
        2017: [str(earlier)],
        2018: [shift],
    }
    assert len(follow(served, hours["total"], "shifts")["shifts"]) == 2
    (one,) = by_year[2018]
    assert one["positions"] == [position - 1, position]
    assert [event["position"] for event in follow(served, one, "events")["events"]] == one["positions"]
    assert follow(served, one, "explanation")["day"] == "2018-12-04"


def test_links_keep_the_axes_of_the_request(served: Served) -> None:
    volunteer, _, position = night_shift(served)
    text = Path("rules/luohu.toml").read_text("utf-8").replace("percent = 120", "percent = 200")
    candidate = served.client.post(
        "/v1/rules/candidates", json={"text": text}, headers=served.headers(Role.STAFF)
    ).json()["digest"]
    axes = {"known_at": position, "rules": candidate, "valid_at": "2018-12-04"}
    hours = served.get(f"/v1/volunteers/{volunteer}", role=Role.STAFF, **axes).json()
    assert hours["total"]["credited_minutes"] == 120 + 240
    served.approved(
        "void-shift",
        volunteer=volunteer,
        shift=follow(served, hours["total"], "shifts")["shifts"][0]["shift"],
        reason="test",
    )
    days = follow(served, hours["total"], "explanation")
    assert [(day["day"], day["credited"]) for day in days["days"]] == [("2018-12-04", 360)]
    explained = follow(served, days["days"][0], "explanation")
    for answer in (days, explained):
        assert (answer["known_at"], answer["rules"]["digest"], answer["valid_at"]) == (
            position,
            candidate,
            "2018-12-04",
        )
    assert (explained["shifts"][0]["stretches"][1]["rule"]["value"], explained["rules_published"]) == (200, None)


def test_a_station_s_day_leads_to_its_shifts_and_these_to_their_volunteers_days(served: Served) -> None:
    station = f"S{uuid4().hex[:8]}"
    served.command("open-station", station=station, kind="city")
    volunteers = [served.volunteer(), served.volunteer()]
    for hour, volunteer in enumerate(volunteers):
        _, position = served.served_shift(
            volunteer, f"2018-12-04T0{hour + 7}:00:00+08:00", f"2018-12-04T1{hour}:00:00+08:00", station
        )
    address = f"/v1/stations/{station}/activity?from=2018-12-04&to=2018-12-04&at_least={position}"
    (day,) = served.get(address).json()["days"]
    found = follow(served, day, "shifts")
    assert [(one["volunteer"], one["begins"], one["trace"]["credited"]) for one in found["shifts"]] == [
        (volunteer, True, 180) for volunteer in volunteers
    ]
    assert sum(one["trace"]["credited"] for one in found["shifts"]) == day["credited_minutes"]
    assert follow(served, found["shifts"][0], "explanation")["trace"]["credited"] == 180
    address = f"/v1/stations/{station}/shifts"
    page = served.get(address, day="2018-12-04", limit=1).json()
    rest = served.get(address, day="2018-12-04", limit=1, after=page["next_after"]).json()
    assert [page["next_after"], rest["next_after"], rest["shifts"][0]["volunteer"]] == [
        volunteers[0],
        None,
        volunteers[1],
    ]
    before = served.get(address, day="2018-12-04", known_at=position - 2).json()
    assert [one["volunteer"] for one in before["shifts"]] == volunteers[:1]
    assert served.get(address, day="2018-12-04", valid_at="2018-12-03").json()["shifts"] == []


def test_the_list_of_stations_has_the_sums_of_a_period(served: Served) -> None:
    station = f"S{uuid4().hex[:8]}"
    served.command("open-station", station=station, kind="city")
    volunteer = served.volunteer()
    served.served_shift(volunteer, "2018-12-02T22:00:00+08:00", "2018-12-03T01:00:00+08:00", station)
    served.command("count-people-served", station=station, day="2018-12-03", people=9, reason="counted")
    _, position = served.served_shift(volunteer, "2018-12-05T09:00:00+08:00", "2018-12-05T10:00:00+08:00", station)

    def sums(**parameters: Any) -> dict[str, int] | None:
        found = served.get("/v1/stations", at_least=position, **parameters).json()["stations"]
        (one,) = [each for each in found if each["station"] == station]
        return one.get("sums")  # type: ignore[no-any-return]

    whole = {"days_open": 2, "shifts": 2, "credited_minutes": 276, "people_served": 9}  # at night 120 %
    assert sums() is None
    assert sums(**{"from": "2018-12-01", "to": "2018-12-31"}) == whole
    assert sums(**{"from": "2018-12-01", "to": "2018-12-31", "known_at": position}) == whole
    part = {"days_open": 0, "shifts": 0, "credited_minutes": 72, "people_served": 9}
    assert sums(**{"from": "2018-12-03", "to": "2018-12-04"}) == part
    assert sums(**{"from": "2018-12-03", "to": "2018-12-05", "valid_at": "2018-12-04"}) == part
    assert sums(to="2018-12-01") == dict.fromkeys(whole, 0)
    assert served.get("/v1/stations?from=2018-12-03&to=2018-12-01").status_code == 422


def test_the_shifts_of_a_station_s_days_are_those_of_each_day(served: Served) -> None:
    station = f"S{uuid4().hex[:8]}"
    served.command("open-station", station=station, kind="city")
    volunteer, other = served.volunteer(), served.volunteer()
    served.served_shift(volunteer, "2018-12-02T22:00:00+08:00", "2018-12-03T01:00:00+08:00", station)
    served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T10:00:00+08:00", station)
    _, position = served.served_shift(other, "2018-12-01T09:00:00+08:00", "2018-12-01T11:00:00+08:00", station)
    address = f"/v1/stations/{station}/shifts"

    def parts(**parameters: Any) -> set[tuple[str, str, int, bool]]:
        found = served.get(address, at_least=position, **parameters).json()["shifts"]
        return {(one["volunteer"], one["day"], one["trace"]["raw"], one["begins"]) for one in found}

    days = [f"2018-12-0{number}" for number in range(1, 5)]
    assert parts(day="2018-12-04", days=4) == set[tuple[str, str, int, bool]]().union(*(parts(day=day) for day in days))
    assert parts(day="2018-12-03", days=2) == {(volunteer, days[1], 120, True), (volunteer, days[2], 60, False)}
    assert parts(day="2018-12-04", days=4, valid_at="2018-12-01") == {(other, "2018-12-01", 120, True)}
    assert parts(day="2018-12-04", days=3, known_at=position) == parts(day="2018-12-04", days=3)
    assert parts(day="2000-01-01", days=31) == set()
    assert served.get(address, day="2018-12-04", days=32).status_code == 422


def test_a_standing_leads_to_the_day_it_was_reached_on(served: Served) -> None:
    volunteer = served.volunteer()
    served.approved(
        "record-opening-balance", volunteer=volunteer, minutes=5_990, as_of="2016-12-31", evidence="paper-list"
    )
    _, position = served.served_shift(volunteer, "2018-03-05T09:00:00+08:00", "2018-03-05T10:00:00+08:00")
    address = f"/v1/honors/star-1/standings?valid_at=2018-03-05&at_least={position}&limit=1000"
    (standing,) = [one for one in served.get(address).json()["standings"] if one["volunteer"] == volunteer]
    assert follow(served, standing, "explanation")["trace"]["credited"] == 60
    assert follow(served, standing, "hours")["total"]["credited_minutes"] == 6_050


def test_shifts_come_in_pages(served: Served) -> None:
    volunteer = served.volunteer()
    for hour in (7, 8, 9, 9):
        _, position = served.served_shift(volunteer, f"2018-12-04T0{hour}:00:00+08:00", "2018-12-04T12:00:00+08:00")
    address = f"/v1/volunteers/{volunteer}/shifts"
    whole = served.get(address, at_least=position).json()
    assert (len(whole["shifts"]), whole["next_after"]) == (4, None)
    pages: list[dict[str, Any]] = []
    after: dict[str, Any] = {}
    while True:
        page = served.get(address, limit=1, **after).json()
        pages += page["shifts"]
        if page["next_after"] is None:
            break
        after = {"after": page["next_after"]}
    assert [one["shift"] for one in pages] == [one["shift"] for one in whole["shifts"]]
    refused = served.get(address, after="yesterday")
    assert (refused.status_code, refused.json()["field"]) == (422, "after")


def test_an_event_is_found_by_its_position_up_to_known_at(served: Served) -> None:
    head = served.get("/v1/status").json()["head"]
    assert served.get(f"/v1/log/{head}").json()["event"]["position"] == head
    for address in (f"/v1/log/{head + 1000}", f"/v1/log/{head}?known_at={head - 1}"):
        refused = served.client.get(address, headers=served.headers(Role.READER))
        assert (refused.status_code, refused.json()["rejection"]) == (404, "unknown-event")


def test_every_reader_takes_all_three_axes(served: Served) -> None:
    paths = served.get("/openapi.json").json()["paths"]
    readers = {path: said["get"] for path, said in paths.items() if "readers" in said.get("get", {}).get("tags", ())}
    assert {"/v1/volunteers/{number}/explanation", "/v1/stations/{station}/shifts", "/v1/log"} <= set(readers)
    for path, said in readers.items():
        assert {parameter["name"] for parameter in said["parameters"]} >= AXES, path


def test_an_unknown_volunteer_or_day_is_told(served: Served) -> None:
    refused = served.get("/v1/volunteers/V9999999/explanation", day="2018-12-04")
    assert (refused.status_code, refused.json()["rejection"]) == (404, "unknown-volunteer")
    refused = served.get(f"/v1/volunteers/{served.volunteer()}/explanation", day="tomorrow")
    assert (refused.status_code, refused.json()["field"]) == (422, "day")
    assert served.get("/v1/stations/X99/shifts", day="2018-12-04").status_code == 404
    assert served.get(f"/v1/stations/{STATION}/shifts").status_code == 422


# --- on the command line --------------------------------------------------------------------------------------------


def test_a_day_is_explained_on_the_command_line(reads: CommandLine) -> None:
    told = reads("explain", "V0000001", "--day", "2018-12-02")
    words = " ".join(told.out.split())
    assert (told.code, "counted in full" in words, f"project {PROJECT}" in words) == (0, True, True)
    assert "credited 120 min (2:00) = counted 120" in words
    assert "shift-corrected.v1" in words
    assert "decides nothing" in words  # the check-out that was corrected
    assert "day_minutes_max = 480 (from 2017-01-01)" in words
    answer = reads("explain", "V0000001", "--day", "2018-12-02", "--json").answer
    assert answer["shifts"][0]["stretches"][0]["minutes"] == 120
    assert "links" not in answer["shifts"][0]
    before = answer["shifts"][0]["events"][-1]["position"] - 1
    then = reads("explain", "V0000001", "--day", "2018-12-02", "--known-at", before, "--json").answer
    assert then["trace"]["credited"] == 180


def test_days_in_brief_are_shown_the_latest_first(reads: CommandLine) -> None:
    told = reads("explain", "V0000001")
    assert told.out.index("2018-12-02") < told.out.index("2018-12-01")
    assert reads("explain", "V0000001", "--limit", "1", "--json").answer["next_before"] == "2018-12-02"
    assert "No service is known of this day" in reads("explain", "V0000001", "--day", "2018-01-01").out
    assert "--day 2018-02-30 is not a day" in reads("explain", "V0000001", "--day", "2018-02-30").sentence
    assert "V9 is not known" in reads("explain", "V9").sentence


def test_the_log_is_cut_by_known_at(reads: CommandLine) -> None:
    assert len(reads("log", "--known-at", "3", "--json").out.splitlines()) == 3
