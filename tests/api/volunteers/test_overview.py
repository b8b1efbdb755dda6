"""A volunteer's own view: hours, the way to the next honours, what is pending, memberships; and training records."""

from __future__ import annotations

from typing import Any

import pytest

from api.access.roles import Role
from api.messages.examples import EXAMPLES
from api.operations.service import OpenLedger
from replay.generations.rebuild import rebuild
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import OTHER_STATION, PROJECT, STATION, Served, give
from tests.support.replay.replaying import SMALL_RULES

pytest_plugins = ["tests.support.api.fixtures"]

GUIDE = f"""{SMALL_RULES}
[[rule_sets.honors]]
id = "guide"
title = "Guide"
credited_minutes_min = 240
grade = "scanned"
tenure_months_min = 36
training_tier_min = "professional"
active_years_min = 2
active_year_minutes_min = 120

[[rule_sets.honors]]
id = "star"
title = "Star"
credited_minutes_min = 120
"""
TRAINED: dict[str, Any] = {**EXAMPLES["record-training"], "tier": "professional"}
V1 = {"volunteer": "V1"}
VOID: dict[str, Any] = {**EXAMPLES["void-training"], "tier": "professional"}


@pytest.fixture
def guide(served: Served) -> str:
    """The digest of rules with two honours, kept as a candidate."""
    headers = served.headers(Role.STAFF) | {"Content-Type": "application/toml"}
    kept = served.client.post("/v1/rules/candidates", content=GUIDE.encode(), headers=headers)
    assert kept.status_code in {200, 201}, kept.text
    digest: str = kept.json()["digest"]
    return digest


def view(served: Served, volunteer: str, **axes: Any) -> dict[str, Any]:
    """Return the own view as of all that was said so far."""
    answer = served.get(
        f"/v1/volunteers/{volunteer}/overview", role=Role.ANALYST, at_least=served.ledger.log.head(), **axes
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_hours_are_told_by_year_station_and_project_and_sum_to_the_whole(served: Served) -> None:
    volunteer = served.volunteer()
    served.served_shift(volunteer, "2017-05-01T09:00:00+08:00", "2017-05-01T12:00:00+08:00")
    served.served_shift(volunteer, "2018-12-01T09:00:00+08:00", "2018-12-01T11:00:00+08:00", OTHER_STATION)
    attested = {**EXAMPLES["attest-shift"], "volunteer": volunteer, "station": STATION, "project": PROJECT}
    assert (
        served.approved(
            "attest-shift",
            **attested | {"check_in": "2018-12-02T09:00:00+08:00", "check_out": "2018-12-02T10:00:00+08:00"},
        ).status_code
        == 201
    )
    found = view(served, volunteer)
    assert [(one["name"], one["credited_minutes"], one["shifts"]) for one in found["stations"]] == [
        (STATION, 240, 2),
        (OTHER_STATION, 120, 1),
    ]
    assert [(one["name"], one["credited_minutes"]) for one in found["projects"]] == [(None, 300), (PROJECT, 60)]
    for parts in (found["stations"], found["projects"], found["years"]):
        for column in ("shifts", "raw_minutes", "counted_minutes", "credited_minutes", "scanned_minutes"):
            assert sum(one[column] for one in parts) == found["total"][column], column
    assert (found["total"]["scanned_minutes"], found["total"]["attested_minutes"]) == (300, 60)
    cut = view(served, volunteer, valid_at="2018-12-01")
    assert (cut["total"]["credited_minutes"], cut["day"]) == (300, "2018-12-01")
    assert [one["name"] for one in cut["projects"]] == [None]
    year = next(one for one in found["years"] if one["year"] == 2018)
    shifts = served.get(year["links"]["shifts"]).json()["shifts"]
    assert sum(shift["trace"]["credited"] for shift in shifts) == year["credited_minutes"] == 180
    assert served.get(shifts[0]["links"]["explanation"]).status_code == 200


def test_the_way_to_an_honour_names_all_that_is_missing(served: Served, guide: str) -> None:
    volunteer = served.volunteer()  # registered on 2016-03-05
    served.served_shift(volunteer, "2018-11-01T09:00:00+08:00", "2018-11-01T12:00:00+08:00")
    early = view(served, volunteer, rules=guide, valid_at="2018-12-31")
    assert [(one["honor"], one["reached_on"]) for one in early["honors"]] == [("star", "2018-11-01")]
    (way,) = early["progress"]
    assert (way["honor"], way["grade"], way["minutes"], way["minutes_missing"]) == ("guide", "scanned", 180, 60)
    assert (way["tenure_on"], way["tenure_missing"], way["training_missing"]) == ("2019-03-05", True, True)
    assert way["active_years_missing"] == 1
    served.served_shift(volunteer, "2017-11-01T09:00:00+08:00", "2017-11-01T11:00:00+08:00")
    served.command("record-training", **TRAINED | {"volunteer": volunteer})
    served.served_shift(volunteer, "2018-11-02T09:00:00+08:00", "2018-11-02T12:00:00+08:00")
    (way,) = view(served, volunteer, rules=guide, valid_at="2018-12-31")["progress"]
    assert (way["minutes_missing"], way["tenure_missing"], way["training_missing"]) == (0, True, False)
    assert way["active_years_missing"] == 0
    later = view(served, volunteer, rules=guide, valid_at="2019-03-05")
    assert (later["progress"], later["honors"][0]["reached_on"]) == ([], "2019-03-05")


def test_what_is_pending_is_an_open_shift_and_an_open_dispute(served: Served) -> None:
    volunteer = served.volunteer()
    arrived: dict[str, Any] = {"volunteer": volunteer, "station": STATION, "occurred_at": "2018-12-03T09:00:00+08:00"}
    open_shift = served.command("check-in", **arrived).json()["shift"]
    doubted, _ = served.served_shift(volunteer, "2018-12-01T09:00:00+08:00", "2018-12-01T12:00:00+08:00")
    about: dict[str, Any] = {"volunteer": volunteer, "shift": str(doubted), "reason": "too-few-minutes"}
    before = served.command("dispute-shift", **about).json()["position"]
    pending = view(served, volunteer)["pending"]
    assert [one["shift"] for one in pending["open_shifts"]] == [open_shift]
    assert [one["shift"] for one in pending["disputes"]] == [str(doubted)]
    dispute = pending["disputes"][0]
    assert (dispute["reason"], dispute["answered_at"], dispute["additions"]) == (about["reason"], None, 0)
    assert dispute["answer_due"] < dispute["settle_due"]
    events = served.get(dispute["links"]["events"]).json()["events"]
    assert events[-1]["topic"] == "shift-disputed.v1"
    served.command("settle-dispute", Role.APPROVER, **about | {"outcome": "rejected"})
    served.command("check-out", **arrived | {"occurred_at": "2018-12-03T10:00:00+08:00"})
    settled = view(served, volunteer)["pending"]
    assert (settled["open_shifts"], settled["disputes"]) == ([], [])
    then = view(served, volunteer, known_at=before)["pending"]
    assert (len(then["open_shifts"]), len(then["disputes"])) == (1, 1)


def test_memberships_are_shown_with_their_days(served: Served) -> None:
    volunteer = served.volunteer()
    about: dict[str, Any] = {"volunteer": volunteer, "organisation": "fed-01"}
    served.command("join-organisation", **about, joined_on="2018-01-01")
    served.command("leave-organisation", **about, left_on="2018-06-01")
    served.command("join-organisation", volunteer=volunteer, organisation="luohu", joined_on="2018-03-01")
    shown = [(one["organisation"], one["since"], one["until"]) for one in view(served, volunteer)["memberships"]]
    assert shown == [("fed-01", "2018-01-01", "2018-06-01"), ("luohu", "2018-03-01", None)]


def test_a_training_entered_in_error_is_voided_and_both_are_shown(served: Served) -> None:
    volunteer = served.volunteer()
    recorded = served.command("record-training", **TRAINED | {"volunteer": volunteer}).json()["position"]
    voided = served.command("void-training", **VOID | {"volunteer": volunteer}).json()["position"]
    served.command("record-training", **TRAINED | {"volunteer": volunteer, "completed_on": "2018-11-11"})
    answer = served.get(f"/v1/volunteers/{volunteer}", at_least=served.ledger.log.head()).json()
    assert [(one["completed_on"], one["voided"]) for one in answer["trainings"]] == [
        ("2018-11-10", "another-volunteer"),
        ("2018-11-11", None),
    ]
    first = answer["trainings"][0]
    assert (first["content"], first["learning_minutes"], first["provider"]) == ("first-aid", 180, "fed-01")
    assert first["links"] == {"event": f"/v1/log/{recorded}"}
    then = served.get(f"/v1/volunteers/{volunteer}", known_at=voided - 1).json()["trainings"]
    assert [one["voided"] for one in then] == [None]
    again = served.command("void-training", **VOID | {"volunteer": volunteer})
    assert (again.status_code, again.json()["rejection"]) == (404, "unknown-training")


def test_an_honour_that_asks_for_training_comes_and_goes_with_the_record_live(fresh: OpenLedger) -> None:
    give(fresh, "register-volunteer", volunteer="V1", registered_on="2015-01-01")
    for day in ("2017-11-03", "2018-11-01", "2018-11-02"):
        scan = {"volunteer": "V1", "station": STATION, "shift": f"01677760-3d00-7000-8000-0000000000{day[-2:]}"}
        give(fresh, "check-in", occurred_at=f"{day}T09:00:00+08:00", **scan)
        give(fresh, "check-out", occurred_at=f"{day}T12:00:00+08:00", **scan)
    fresh.catch_up()
    rules = fresh.publish(GUIDE)
    rebuild(fresh.database, fresh.archive, rules)

    def guides() -> list[tuple[str, str]]:
        fresh.catch_up()
        generation = fresh.current_generation()
        with fresh.database.pool.connection() as connection:
            place = f"{generation.schema}.honor_standings"
            rows = connection.execute(f"SELECT honor, reached_on::text FROM {place} WHERE honor = 'guide'").fetchall()  # noqa: S608 - the test's own names
        assert rebuild(fresh.database, fresh.archive, rules).generation.checksum == generation.checksum
        return rows

    assert guides() == []
    give(fresh, "record-training", **TRAINED | V1)
    assert guides() == [("guide", "2018-11-10")]
    give(fresh, "record-training", **TRAINED | V1 | {"completed_on": "2018-11-20"})
    give(fresh, "void-training", **VOID | V1)
    assert guides() == [("guide", "2018-11-20")]
    give(fresh, "void-training", **VOID | V1 | {"completed_on": "2018-11-20"})
    assert guides() == []


def test_the_command_line_shows_the_own_view_and_people_served(reads: CommandLine) -> None:
    shown = reads("overview", "V0000001").out
    for said in ("Volunteer V0000001", "star-school", "一星级义工", "95:00 more hours"):
        assert said in shown
    assert "40" in reads("served", "--station", "C01", "--from", "2018-12-01", "--to", "2018-12-31").out
    assert (
        reads("served", "--organisation", "luohu", "--from", "2018-12-01", "--to", "2018-12-31", "--json").answer[
            "people"
        ]
        == 40
    )
    assert "is not known to the ledger" in reads("overview", "V7").sentence
    assert "is after" in reads("served", "--from", "2018-12-02", "--to", "2018-12-01").sentence


def test_the_command_line_shows_organisations(reads: CommandLine) -> None:
    assert "  fed-01" in reads("organisation", "list").out
    assert "luohu > fed-01" in reads("organisation", "show", "fed-01").out
    district = reads("organisation", "activity", "--json").answer
    assert [row["credited_minutes"] for row in district["rows"]] == [480]
    assert [part["organisation"] for part in district["parts"]] == ["luohu"]
    months = reads("organisation", "activity", "luohu", "--year", "2018").out
    assert "2018-12" in months
    assert "fed-01" in months
    assert reads("organisation", "members", "luohu", "--json").answer["members"] == []
    assert "is not known to the ledger" in reads("organisation", "show", "nobody").sentence


# --- links ----------------------------------------------------------------------------------------------------------


def links_in(answer: Any) -> set[str]:
    """Return the addresses of all links in an answer."""
    if isinstance(answer, list):
        return {link for part in answer for link in links_in(part)}
    if not isinstance(answer, dict):
        return set()
    found = {link for name, part in answer.items() if name != "links" for link in links_in(part)}
    return found | set((answer.get("links") or {}).values())


@pytest.fixture
def told_all(served: Served) -> str:
    """A volunteer of whom every part of the own view has something to say."""
    volunteer = served.volunteer()
    served.command("launch-project", project=f"of-{volunteer}", content="x")
    served.command("record-training", **TRAINED | {"volunteer": volunteer})
    served.command("join-organisation", volunteer=volunteer, organisation="fed-01", since="2016-04-01")
    shift, _ = served.served_shift(volunteer, "2018-03-05T09:00:00+08:00", "2018-03-05T12:00:00+08:00")
    served.command("check-in", volunteer=volunteer, station=STATION, occurred_at="2018-03-06T09:00:00+08:00")
    about: dict[str, Any] = {"volunteer": volunteer, "shift": str(shift)}
    served.command("request-act", request=f"r-{volunteer}", act="void-shift", fields=about | {"reason": "twice"})
    served.command("dispute-shift", **about, reason="too-short")
    return volunteer


@pytest.mark.parametrize("role", Role)
def test_no_answer_links_to_what_its_reader_may_not_open(served: Served, told_all: str, role: Role) -> None:
    """Whoever reads an answer can follow each of its links with the same key."""
    key = served.ledger.keys.make(role, told_all)[1] if role is Role.VOLUNTEER else None
    headers = {"Authorization": f"Bearer {key}"} if key else served.headers(role)
    own, last = f"/v1/volunteers/{told_all}", served.ledger.log.head()
    parts = ("", "/overview", "/shifts", "/history", "/statement", "/explanation", "/explanation?day=2018-03-05")
    others = ("/v1/disputes", "/v1/requests", "/v1/worklist", f"/v1/stations/{STATION}/activity", "/v1/anomalies")
    found: set[str] = set()
    for address in [*(own + part for part in parts), *others]:
        served.get(own, at_least=last)
        answer = served.client.get(address, headers=headers)
        if answer.status_code == 403:
            assert address in others
            continue
        assert answer.status_code == 200, answer.text
        found |= links_in(answer.json())
    assert len(found) > 5
    refused = {link: served.client.get(link, headers=headers).status_code for link in sorted(found)}
    assert {link: status for link, status in refused.items() if status in {401, 403}} == {}
    assert bool(found & {f"/v1/stations/{STATION}/activity"}) == (role is not Role.VOLUNTEER)
