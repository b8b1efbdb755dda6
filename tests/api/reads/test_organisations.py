"""Organisations over HTTP: the tree and its changes, what is done in each; whoever moves keeps the past, live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from api.access.roles import Role
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from ledger.aggregates import COMMANDS
from ledger.intake.answers import Accepted
from tests.support.api.serving import Served, give
from tests.support.ledger.orders import order_of

pytest_plugins = ["tests.support.api.fixtures"]

SUMS = ("shifts", "raw_minutes", "counted_minutes", "credited_minutes", "scanned_minutes", "attested_minutes")
FOUNDED = (
    ("north", "subdistrict", "luohu"),
    ("south", "subdistrict", "luohu"),
    ("street", "community", "north"),
    ("choir", "group-member", "luohu"),
)


@pytest.fixture
def town(fresh: OpenLedger) -> Iterator[Served]:
    """A served ledger of its own: a district with two subdistricts, a community, a group member, and a station each."""
    for name, kind, parent in FOUNDED:
        give(fresh, "found-organisation", organisation=name, kind=kind, parent=parent)
    give(fresh, "open-station", station="S-street", kind="community", organisation="street")
    give(fresh, "open-station", station="S-south", kind="community", organisation="south")
    give(fresh, "open-station", station="S-none", kind="city")
    give(fresh, "launch-project", project="singing", content="music", organisation="choir")
    for number in ("V1", "V2"):
        give(fresh, "register-volunteer", volunteer=number, registered_on="2017-01-01", organisation="north")
    tokens = {role: fresh.keys.make(role, role.value)[1] for role in (Role.STAFF, Role.READER)}
    with running(fresh) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Served(service, client, tokens)


def serve(town: Served, volunteer: str, day: str, station: str, hours: int = 3, project: str | None = None) -> None:
    """Let a volunteer serve some hours from nine o'clock."""
    scan: dict[str, Any] = {"volunteer": volunteer, "station": station, "shift": str(uuid4())}
    arrived = town.command("check-in", occurred_at=f"{day}T09:00:00+08:00", project=project, **scan)
    left = town.command("check-out", occurred_at=f"{day}T{9 + hours:02d}:00:00+08:00", **scan)
    assert (arrived.status_code, left.status_code) == (201, 201), (arrived.text, left.text)


def ask(town: Served, address: str, **parameters: Any) -> dict[str, Any]:
    """Ask for what includes all that was said so far."""
    answer = town.get(address, at_least=town.ledger.log.head(), **parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def move(town: Served, organisation: str, parent: str) -> None:
    """Move an organisation on 1 April 2018."""
    said: dict[str, Any] = {"parent": parent, "moved_on": "2018-04-01", "reason": "reform"}
    assert town.command("move-organisation", organisation=organisation, **said).status_code == 201


def minutes(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the credited minutes of rows by year, or month."""
    return {
        f"{row['year']}-{row['month']}" if row["month"] else str(row["year"]): row["credited_minutes"] for row in rows
    }


def test_what_is_done_rolls_up_and_what_is_moved_keeps_its_past(town: Served) -> None:
    serve(town, "V1", "2018-03-01", "S-street")
    serve(town, "V2", "2018-03-02", "S-south", 2)
    serve(town, "V2", "2018-03-03", "S-none", 1, "singing")
    serve(town, "V1", "2018-03-04", "S-none", 4)
    north = ask(town, "/v1/organisations/north/activity")
    assert (minutes(north["rows"]), minutes(north["own"])) == ({"2018": 180}, {})
    assert [(part["organisation"], minutes(part["rows"])) for part in north["parts"]] == [("street", {"2018": 180})]
    whole = ask(town, "/v1/district/activity")
    assert (minutes(whole["rows"]), minutes(whole["no_organisation"])) == ({"2018": 600}, {"2018": 240})
    (luohu,) = whole["parts"]
    assert (luohu["organisation"], minutes(luohu["rows"])) == ("luohu", {"2018": 360})
    assert (luohu["rows"][0]["shifts"], luohu["rows"][0]["volunteers"]) == (3, 2)  # V2 served twice and is one person

    sung = ask(town, "/v1/organisations/choir/activity", of="projects")
    assert (minutes(sung["rows"]), minutes(sung["own"]), sung["of"]) == ({"2018": 60}, {"2018": 60}, "projects")
    led = ask(town, "/v1/district/activity", of="projects")
    assert (minutes(led["rows"]), minutes(led["no_organisation"])) == ({"2018": 600}, {"2018": 540})

    before = town.ledger.log.head()
    moved = town.command(
        "move-organisation", organisation="street", parent="south", moved_on="2018-04-01", reason="reform"
    )
    assert moved.status_code == 201
    serve(town, "V1", "2018-05-01", "S-street", 5)
    rows = {name: ask(town, f"/v1/organisations/{name}/activity", by="month") for name in ("north", "south", "street")}
    assert minutes(rows["north"]["rows"]) == {"2018-3": 180}
    assert minutes(rows["south"]["rows"]) == {"2018-3": 120, "2018-5": 300}
    assert minutes(rows["street"]["rows"]) == {"2018-3": 180, "2018-5": 300}
    then = ask(town, "/v1/organisations/south/activity", known_at=before)
    assert (minutes(then["rows"]), then["parts"], then["known_at"]) == ({"2018": 120}, [], before)
    cut = ask(town, "/v1/organisations/luohu/activity", valid_at="2018-03-02", year=2018)
    assert minutes(cut["rows"]) == {"2018": 300}
    for name in ("luohu", "north", "south"):
        found = ask(town, f"/v1/organisations/{name}/activity", by="month", year=2018)
        for place, row in enumerate(found["rows"]):
            of = [*found["own"], *(one for part in found["parts"] for one in part["rows"])]
            same = [one for one in of if one["month"] == row["month"]]
            assert {key: sum(one[key] for one in same) for key in SUMS} == {key: row[key] for key in SUMS}, (
                name,
                place,
            )
    link = ask(town, "/v1/organisations/luohu/activity")["rows"][0]["links"]["months"]
    assert minutes(town.get(link).json()["rows"]) == {"2018-3": 360, "2018-5": 300}


def test_a_station_that_changes_hands_keeps_its_past_where_it_was(town: Served) -> None:
    serve(town, "V1", "2018-03-01", "S-south")
    town.command("close-station", station="S-south", reason="handed-over", occurred_at="2018-03-31T23:00:00+08:00")
    town.command(
        "open-station",
        station="S-south",
        kind="community",
        organisation="choir",
        occurred_at="2018-04-01T00:00:00+08:00",
    )
    serve(town, "V1", "2018-04-01", "S-south", 1)
    assert minutes(ask(town, "/v1/organisations/south/activity", by="month")["rows"]) == {"2018-3": 180}
    assert minutes(ask(town, "/v1/organisations/choir/activity", by="month")["rows"]) == {"2018-4": 60}


def test_members_who_move_in_the_middle_of_a_year_keep_the_past_where_it_was(town: Served) -> None:
    serve(town, "V1", "2018-03-01", "S-none")
    town.command("leave-organisation", volunteer="V1", organisation="north", left_on="2018-06-01")
    town.command("join-organisation", volunteer="V1", organisation="south", joined_on="2018-06-01")
    town.command("join-organisation", volunteer="V1", organisation="choir", joined_on="2018-07-01")
    serve(town, "V1", "2018-06-01", "S-none", 2)
    serve(town, "V1", "2018-08-01", "S-none", 1)
    found = {name: ask(town, f"/v1/organisations/{name}/members") for name in ("luohu", "north", "south", "choir")}
    sums = {name: minutes(one["rows"]) for name, one in found.items()}
    assert sums == {"luohu": {"2018": 360}, "north": {"2018": 180}, "south": {"2018": 180}, "choir": {"2018": 60}}
    listed = [(one["volunteer"], one["organisation"], one["credited_minutes"]) for one in found["luohu"]["members"]]
    assert listed == [("V1", "north", 180), ("V1", "south", 180), ("V1", "choir", 60), ("V2", "north", 0)]
    assert found["luohu"]["rows"][0]["volunteers"] == 1
    assert (found["north"]["members"][0]["until"], found["south"]["members"][0]["until"]) == ("2018-06-01", None)
    page = ask(town, "/v1/organisations/luohu/members", limit=1)
    assert (len(page["members"]), page["next_after"]) == (3, "V1")
    rest = ask(town, "/v1/organisations/luohu/members", limit=1, after="V1")
    assert ([one["volunteer"] for one in rest["members"]], rest["next_after"]) == (["V2"], None)
    (shifts,) = town.get(found["south"]["members"][0]["links"]["shifts"], limit=1).json()["shifts"]
    assert shifts["trace"]["credited"] == 60


def test_a_membership_is_the_person_s_whatever_number_served(town: Served) -> None:
    assert town.command("register-volunteer", volunteer="V3", registered_on="2017-06-01").status_code == 201
    serve(town, "V2", "2018-02-01", "S-none", 2)
    serve(town, "V3", "2018-03-01", "S-none", 3)
    before = town.ledger.log.head()
    for number in ("V1", "V2"):
        said: dict[str, Any] = {"volunteer": number, "into": "V3", "reason": "two-cards"}
        give(town.ledger, "merge-volunteer", **said)
    north = ask(town, "/v1/organisations/north/members")
    (row,) = north["rows"]
    assert (row["credited_minutes"], row["shifts"], row["volunteers"]) == (300, 2, 1)
    (member,) = north["members"]
    assert (member["volunteer"], member["since"], member["credited_minutes"]) == ("V3", "2017-01-01", 300)
    assert ask(town, "/v1/organisations/north")["members"] == 1
    assert minutes(ask(town, "/v1/organisations/luohu/members")["rows"]) == {"2018": 300}
    then = ask(town, "/v1/organisations/north/members", known_at=before)
    assert [(one["volunteer"], one["credited_minutes"]) for one in then["members"]] == [("V1", 0), ("V2", 120)]
    assert (then["rows"][0]["volunteers"], minutes(then["rows"])) == (1, {"2018": 120})
    assert ask(town, "/v1/organisations/north", known_at=before)["members"] == 2


def test_the_tree_is_told_as_it_stood_on_a_day(town: Served) -> None:
    move(town, "street", "south")
    ended = town.command("end-organisation", organisation="choir", ended_on="2018-09-01", reason="dissolved")
    parents = {
        day: {
            one["organisation"]: one["parent"] for one in ask(town, "/v1/organisations", valid_at=day)["organisations"]
        }
        for day in ("2018-03-31", "2018-04-01")
    }
    assert [parents[day]["street"] for day in parents] == ["north", "south"]
    street = ask(town, "/v1/organisations/street")
    assert (street["path"], [one["name"] for one in street["stations"]]) == (["luohu", "south", "street"], ["S-street"])
    assert [(one["what"], one["day"], one["parent"]) for one in street["history"]] == [
        ("founded", None, "north"),
        ("moved", "2018-04-01", "south"),
    ]
    choir = ask(town, "/v1/organisations/choir")
    assert (choir["organisation"]["ended_on"], choir["history"][-1]["reason"]) == ("2018-09-01", "dissolved")
    assert choir["history"][-1]["links"] == {"event": f"/v1/log/{ended.json()['position']}"}
    north = ask(town, "/v1/organisations/north", valid_at="2018-12-31")
    assert (north["members"], ask(town, "/v1/organisations/luohu")["members_with_below"]) == (2, 2)
    refused = town.command(
        "move-organisation", organisation="luohu", parent="street", moved_on="2018-10-01", reason="x"
    )
    assert (refused.status_code, refused.json()["rejection"], refused.json()["field"]) == (
        409,
        "below-itself",
        "parent",
    )
    for address in ("", "/activity", "/members"):
        unknown = town.get(f"/v1/organisations/nobody{address}")
        assert (unknown.status_code, unknown.json()["rejection"]) == (404, "unknown-organisation")


# --- people served --------------------------------------------------------------------------------------------------


def test_people_served_are_people_helped_as_the_article_tells_them(town: Served) -> None:
    """docs/glossary.md: people helped stand beside the volunteers who helped and their hours, and are neither."""
    more = {"city": range(2, 11), "special": range(11), "community": range(80)}  # C01, S-none; C02, S-street, S-south
    opened = [
        {"station": f"{kind}-{number}", "kind": kind, "organisation": "luohu"}
        for kind, numbers in more.items()
        for number in numbers
    ]
    shifts = [
        {
            "volunteer": f"V{number % 2 + 1}",
            "station": "community-1",
            "project": "singing",
            "check_in": f"{date(2018, 1, 1) + timedelta(days=number)}T14:00:00+08:00",
            "check_out": f"{date(2018, 1, 1) + timedelta(days=number)}T17:00:00+08:00",
            "evidence": "class-register",
        }
        for number in range(239)
    ]
    counts = [
        {"station": "special-3", "day": "2017-04-30", "people": 3_100_000},  # the border station since April 2017
        {"station": "city-2", "day": "2018-02-16", "people": 1_999_000},  # holiday transport: two million in a year
        {"station": "city-2", "day": "2018-04-05", "people": 1_000},
        {"station": "special-4", "day": "2018-02-16", "people": 200_000},  # 仙湖植物园 at the Spring Festival
        {"station": "community-1", "day": "2018-05-04", "people": 1_741, "project": "singing"},  # mental health
    ]
    for command_type, bodies in (("open-station", opened), ("attest-shift", shifts), ("count-people-served", counts)):
        give_all(town, command_type, bodies)
    kinds = Counter(station["kind"] for station in ask(town, "/v1/stations")["stations"])
    assert kinds == {"city": 11, "special": 11, "community": 83}  # "22 stations" leaves the last ones out
    year = {"from": "2018-01-01", "to": "2018-12-31"}
    hub = ask(town, "/v1/people-served", station="city-2", **year)
    assert (hub["people"], [one["day"] for one in hub["days"]]) == (2_000_000, ["2018-02-16", "2018-04-05"])
    day = ask(town, "/v1/stations/city-2/activity", **{"from": "2018-02-16", "to": "2018-02-16"})
    assert (day["people_served"], day["person_times"], day["shifts"]) == (1_999_000, 0, 0)
    assert ask(town, "/v1/people-served", station="special-3", **year)["people"] == 0
    border = ask(town, "/v1/people-served", station="special-3", **{"from": "2017-04-01", "to": "2018-12-04"})
    assert border["people"] == 3_100_000
    schools = ask(town, "/v1/people-served", project="singing", **year)
    assert (schools["people"], [one["name"] for one in schools["stations"]]) == (1_741, ["community-1"])
    (sung,) = ask(town, "/v1/organisations/choir/activity", of="projects", year=2018)["rows"]
    assert (sung["counted_minutes"], sung["people_served"], sung["volunteers"]) == (717 * 60, 1_741, 2)
    assert ask(town, "/v1/people-served", organisation="luohu", **year)["people"] == 2_201_741
    (whole,) = ask(town, "/v1/organisations/luohu/activity", year=2018)["rows"]
    assert (whole["people_served"], whole["volunteers"]) == (2_201_741, 2)


def give_all(town: Served, command_type: str, bodies: list[dict[str, Any]]) -> None:
    """Give many commands in one transaction, as old records."""
    orders = [
        order_of(command=one, source="/test", id=str(uuid4()), by="person:test", imported=True)
        for one in map(COMMANDS[command_type].model_validate, bodies)
    ]
    answers = town.ledger.intake.execute(orders)
    assert all(isinstance(answer, Accepted) for answer in answers), answers


def test_a_count_is_corrected_and_both_are_shown_with_the_reason(town: Served) -> None:
    said: dict[str, Any] = {"station": "C01", "day": "2018-12-01"}
    first = town.command("count-people-served", people=1200, **said).json()["position"]
    second = town.command("count-people-served", people=120, reason="typing-error", **said).json()["position"]
    span = {"from": "2018-12-01", "to": "2018-12-01"}
    (day,) = ask(town, "/v1/people-served", **span)["days"]
    assert (day["people"], day["project"]) == (120, None)
    shown = [(one["people"], one["reason"], one["position"], one["by"]) for one in day["counts"]]
    assert shown == [(1200, None, first, "person:staff"), (120, "typing-error", second, "person:staff")]
    assert day["counts"][1]["links"] == {"event": f"/v1/log/{second}"}
    (then,) = ask(town, "/v1/people-served", known_at=first, **span)["days"]
    assert (then["people"], len(then["counts"])) == (1200, 1)
    assert ask(town, "/v1/people-served", valid_at="2018-11-30", **span)["days"] == []
    unknown = town.get("/v1/people-served", station="C77")
    assert (unknown.status_code, unknown.json()["rejection"]) == (404, "unknown-station")
    mark = town.get("/v1/people-served", after="elsewhere")
    assert (mark.status_code, mark.json()["field"]) == (422, "after")


def test_days_of_people_served_come_page_by_page(town: Served) -> None:
    for station in ("C01", "C02"):
        for day in ("2018-12-01", "2018-12-02"):
            town.command("count-people-served", station=station, day=day, people=5)
    span = {"from": "2018-12-01", "to": "2018-12-02", "limit": 3}
    first = ask(town, "/v1/people-served", **span)
    rest = ask(town, "/v1/people-served", after=first["next_after"], **span)
    assert [(one["day"], one["station"]) for one in [*first["days"], *rest["days"]]] == [
        ("2018-12-01", "C01"),
        ("2018-12-01", "C02"),
        ("2018-12-02", "C01"),
        ("2018-12-02", "C02"),
    ]
    assert (first["people"], rest["people"], rest["next_after"]) == (20, 20, None)
