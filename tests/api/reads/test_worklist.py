"""The worklist over HTTP: what waits, who may act on it and until when; each key sees what it may see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from api.access.roles import COMMANDS_OF_ROLE, Role
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from tests.support.api.serving import Served, give

pytest_plugins = ["tests.support.api.fixtures"]

ROLES = (Role.STAFF, Role.READER, Role.CORRECTOR, Role.APPROVER, Role.ANALYST)
OPEN, OTHER, ENDED, DOUBTED, PUNCHED = (UUID(int=number) for number in range(1, 6))


def scan(served: Served, way: str, volunteer: str, station: str, instant: str, shift: UUID | None) -> None:
    body: dict[str, Any] = {"volunteer": volunteer, "station": station, "occurred_at": f"{instant}:00+08:00"}
    if shift is not None:
        body["shift"] = str(shift)
    told = served.command(way, **body)
    assert told.status_code == 201, told.text


@pytest.fixture
def town(fresh: OpenLedger) -> Iterator[Served]:
    """A ledger in which something of each kind waits at the station of a community, and a shift is open elsewhere."""
    for name, kind, parent in (("north", "subdistrict", "luohu"), ("street", "community", "north")):
        give(fresh, "found-organisation", organisation=name, kind=kind, parent=parent)
    give(fresh, "found-organisation", organisation="south", kind="subdistrict", parent="luohu")
    give(fresh, "open-station", station="S-street", kind="community", organisation="street")
    give(fresh, "open-station", station="S-south", kind="community", organisation="south")
    for number, organisation in (("V1", "street"), ("V2", "south"), ("V3", "street")):
        give(fresh, "register-volunteer", volunteer=number, registered_on="2017-01-01", organisation=organisation)
    tokens = {role: fresh.keys.make(role, role.value)[1] for role in ROLES}
    with running(fresh) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
        served = Served(service, client, tokens)
        scan(served, "check-in", "V1", "S-street", "2018-12-04T09:00", OPEN)
        scan(served, "check-in", "V2", "S-south", "2018-12-06T09:00", OTHER)
        scan(served, "check-in", "V1", "S-street", "2018-12-05T09:00", ENDED)
        scan(served, "check-out", "V1", "S-street", "2018-12-05T12:00", ENDED)
        scan(served, "check-in", "V3", "S-street", "2018-12-05T09:00", PUNCHED)
        scan(served, "check-out", "V3", "S-street", "2018-12-05T13:00", None)  # ended by a punch, by the rules
        scan(served, "check-in", "V3", "S-street", "2018-12-06T09:00", DOUBTED)
        scan(served, "check-out", "V3", "S-street", "2018-12-06T12:00", DOUBTED)
        about: dict[str, Any] = {"volunteer": "V3", "shift": str(DOUBTED), "reason": "checked"}
        at = "2018-12-06T18:00:00+08:00"
        assert served.command("dispute-shift", **about, occurred_at=at).status_code == 201
        void = {**about, "shift": str(PUNCHED)}
        asked = served.command("request-act", Role.CORRECTOR, request="r-void", act="void-shift", fields=void)
        assert asked.status_code == 201, asked.text
        attest = {"volunteer": "V2", "station": "S-street", "check_in": "2018-12-03T09:00:00+08:00"} | {
            "check_out": "2018-12-03T11:00:00+08:00", "evidence": "paper-list", "shift": str(UUID(int=9)),
        }  # fmt: skip
        asked = served.command("request-act", Role.STAFF, request="r-late", act="attest-shift", fields=attest)
        assert asked.status_code == 201, asked.text
        yield served


def ask(town: Served, role: Role = Role.READER, headers: dict[str, str] | None = None, **query: Any) -> dict[str, Any]:
    parameters = {"at_least": town.ledger.log.head(), **query}
    answer = town.client.get("/v1/worklist", params=parameters, headers=headers or town.headers(role))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(found: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(one["kind"], one["volunteer"], one["due"]) for one in found["items"]]


EVERYTHING = [
    ("request", "V2", "2018-12-17"),
    ("open-shift", "V1", "2018-12-18"),
    ("open-shift", "V2", "2018-12-20"),
    ("request", "V3", None),
]


def test_what_waits_is_listed_by_its_deadline(town: Served) -> None:
    found = ask(town)
    (dispute,) = [one for one in found["items"] if one["kind"] == "dispute"]
    assert [row for row in rows(found) if row[0] != "dispute"] == EVERYTHING
    due = [one["due"] or "none" for one in found["items"]]
    assert due == sorted(due)
    assert found["counts"] == {"open-shift": 2, "request": 2, "dispute": 1, "undercut-award": 0}
    assert (found["count"], found["next_after"]) == (5, None)
    (listed,) = town.get("/v1/disputes").json()["disputes"]
    assert (dispute["due"], dispute["shift"]) == (listed["answer_due"], str(DOUBTED))
    assert (dispute["what"], dispute["not_by"]) == ("a dispute to be answered", "person:staff")
    shift = next(one for one in found["items"] if one.get("shift") == str(OPEN))
    assert (shift["station"], shift["since"]) == ("S-street", "2018-12-04T09:00:00+08:00")
    assert town.get(shift["links"]["events"]).json()["events"][0]["topic"] == "checked-in.v1"
    assert town.get(shift["links"]["history"]).status_code == 200


def test_each_entry_says_who_may_act_and_who_may_not(town: Served) -> None:
    for one in ask(town)["items"]:
        assert one["roles"] == [role for role in Role if {*one["commands"]} & COMMANDS_OF_ROLE[role]]
        assert "reader" not in one["roles"]
    requests = {one["request"]: one for one in ask(town, kind="request")["items"]}
    assert (requests["r-void"]["not_by"], requests["r-late"]["not_by"]) == ("person:corrector", "person:staff")
    assert (requests["r-void"]["station"], requests["r-late"]["station"]) == ("S-street", "S-street")
    assert requests["r-void"]["commands"] == ["approve-act", "decline-act"]
    assert "station" in ask(town, kind="open-shift")["items"][0]["roles"]


def test_what_is_done_waits_no_more(town: Served) -> None:
    scan(town, "check-out", "V1", "S-street", "2018-12-04T11:00", OPEN)
    assert town.command("approve-act", Role.APPROVER, request="r-void").status_code == 201
    about: dict[str, Any] = {"volunteer": "V3", "shift": str(DOUBTED), "reason": "checked"}
    answered = town.command("answer-dispute", Role.APPROVER, **about, occurred_at="2018-12-06T19:00:00+08:00")
    assert answered.status_code == 201, answered.text
    found = ask(town)
    assert found["counts"] == {"open-shift": 1, "request": 1, "dispute": 1, "undercut-award": 0}
    (dispute,) = [one for one in found["items"] if one["kind"] == "dispute"]
    (listed,) = town.get("/v1/disputes").json()["disputes"]
    assert (dispute["what"], dispute["commands"]) == ("a dispute to be settled", ["settle-dispute"])
    assert dispute["due"] == listed["settle_due"]
    before = town.ledger.log.head() - 4  # the check-out, the approval with its act, and the answer
    assert ask(town, known_at=before)["counts"]["open-shift"] == 2


def test_shifts_wait_once_no_scan_can_end_them_and_are_overdue_after_the_deadline(town: Served) -> None:
    def shifts(day: str, **query: Any) -> list[tuple[str, bool]]:
        found = ask(town, kind="open-shift", valid_at=day, **query)
        assert found["today"] == day
        return [(one["volunteer"], one["overdue"]) for one in found["items"]]

    assert shifts("2018-12-04") == []  # open_hours_max is 24
    assert shifts("2018-12-05") == [("V1", False)]
    assert shifts("2018-12-18") == [("V1", False), ("V2", False)]
    assert shifts("2018-12-19") == [("V1", True), ("V2", False)]
    assert shifts("2018-12-19", overdue=True) == [("V1", True)]
    assert shifts("2018-12-19", overdue=False) == [("V2", False)]
    assert ask(town, kind="open-shift", valid_at="2018-12-19")["overdue"] == 1


def test_deadlines_are_judged_by_the_moment_that_is_known(town: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    now = town.ledger.clock()
    day = datetime.fromtimestamp(now, ZoneInfo("Asia/Shanghai")).date()
    disputed = town.command("dispute-shift", volunteer="V1", shift=str(ENDED), reason="checked")
    assert disputed.status_code == 201, disputed.text
    head = town.ledger.log.head()

    def overdue(known_at: str | int | None = None) -> list[tuple[str, bool]]:
        more: dict[str, Any] = {} if known_at is None else {"known_at": known_at}
        items = ask(town, kind="dispute", **more)["items"]
        (waiting,) = [one for one in items if one["shift"] == str(ENDED)]
        answer = town.client.get("/v1/disputes", params=more, headers=town.headers(Role.READER)).json()
        assert ask(town, kind="dispute", **more)["today"] == answer["today"]
        (listed,) = [one for one in answer["disputes"] if one["shift"] == str(ENDED)]
        return [(answer["today"], waiting["overdue"]), (answer["today"], bool(listed["overdue"]))]

    assert overdue() == [(str(day), False)] * 2
    later = day + timedelta(days=90)
    monkeypatch.setattr(town.ledger, "clock", lambda: now + 90 * 86_400)
    assert overdue() == overdue(head) == [(str(later), True)] * 2  # nothing was recorded since
    assert overdue(str(day)) == [(str(day), False)] * 2
    assert overdue(datetime.fromtimestamp(now, UTC).isoformat()) == [(str(day), False)] * 2
    assert overdue(str(later + timedelta(days=9))) == [(str(later), True)] * 2
    monkeypatch.undo()
    scan(town, "check-in", "V2", "S-south", "2018-12-08T09:00", UUID(int=77))
    monkeypatch.setattr(town.ledger, "clock", lambda: now + 90 * 86_400)
    assert overdue(head) == [(str(day), False)] * 2  # until the next event was recorded


def test_stations_organisations_and_volunteers_choose(town: Served) -> None:
    assert rows(ask(town, station="S-south")) == [("open-shift", "V2", "2018-12-20")]
    assert {one["station"] for one in ask(town, station="S-street")["items"]} == {"S-street"}
    assert ask(town, organisation="north")["count"] == ask(town, organisation="street")["count"] == 4
    assert rows(ask(town, organisation="south")) == [("open-shift", "V2", "2018-12-20")]
    assert ask(town, organisation="luohu")["count"] == 5
    assert {one["volunteer"] for one in ask(town, volunteer="V2")["items"]} == {"V2"}
    for name, value in (("station", "nowhere"), ("organisation", "nobody"), ("volunteer", "V99")):
        named: dict[str, Any] = {name: value}
        answer = town.get("/v1/worklist", **named)
        assert (answer.status_code, answer.json()["field"]) == (404, name)


def test_a_station_s_key_sees_its_own_and_a_volunteer_s_key_nothing(town: Served) -> None:
    headers = town.station_headers("S-south")
    assert rows(ask(town, headers=headers)) == [("open-shift", "V2", "2018-12-20")]
    assert ask(town, headers=headers)["counts"]["request"] == 0
    other = town.client.get("/v1/worklist", params={"station": "S-street"}, headers=headers)
    assert (other.status_code, other.json()["field"]) == (403, "station")
    own = town.client.get("/v1/worklist", params={"station": "S-south"}, headers=headers)
    assert own.status_code == 200
    token = town.ledger.keys.make(Role.VOLUNTEER, "V1")[1]
    for parameters in ({}, {"volunteer": "V1"}, {"volunteer": "V2"}):
        answer = town.client.get("/v1/worklist", params=parameters, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["rejection"]) == (403, "forbidden")


def test_pages_hold_each_entry_once(town: Served) -> None:
    whole = ask(town)["items"]
    for limit in (1, 2, 4):
        seen: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            page = ask(town, limit=limit, **after)
            assert page["count"] == 5
            seen += page["items"]
            if page["next_after"] is None:
                break
            after = {"after": page["next_after"]}
        assert seen == whole
    for mark in ("überall", ""):
        refused = town.get("/v1/worklist", after=mark)
        assert (refused.status_code, refused.json()["field"]) == (422, "after")


def test_other_rules_pair_otherwise(town: Served) -> None:
    text = town.ledger.current_generation().rules_text
    apart = text.replace("open_hours_max = 24", "open_hours_max = 2")
    headers = town.headers(Role.ANALYST) | {"Content-Type": "application/toml"}
    digest = town.client.post("/v1/rules/candidates", content=apart.encode(), headers=headers).json()["digest"]
    found = ask(town, Role.ANALYST, kind="open-shift", rules=digest)
    assert {one["shift"] for one in found["items"]} == {str(OPEN), str(OTHER), str(PUNCHED)}
