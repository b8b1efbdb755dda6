"""Every list in an answer is bounded, whatever callers record: the table says by what. Long records are read.

A list that is added to an answer needs a row here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.http.requests import links
from api.http.requests.paging import page_of
from api.http.routes.reads.log import events_of
from api.http.routes.reads.volunteers import SHIFTS_MAX
from api.operations.service import OpenLedger
from ledger.aggregates import COMMANDS
from ledger.intake.answers import Accepted
from ledger.names import Position
from replay.explain.day import DAY_SHIFTS_MAX
from replay.queries import station_shifts
from replay.queries.overview import LISTED_MAX
from tests.support.api.serving import OTHER_STATION, STATION, Served
from tests.support.ledger.orders import order_of

pytest_plugins = ["tests.support.api.fixtures"]

PAGE = "a page of the list, by `limit`"
LISTED = "the first ones; a field counts all"
RECORD = "the greatest version of an event in its stream (`EVENTS_MAX`)"
MERGED = "fifty numbers are followed"
RULES = "the limits of rules"
CALENDAR = "the years 2000 to 2099, their months, or the ten years of a period"
DAY = f"the {DAY_SHIFTS_MAX} shifts of a day that are explained"
BATCH = "the elements or recipients of one request"
PLACES = "the organisations, stations and projects, which staff enter one by one"
PROGRAM = "what the program itself has a few of"
ROTATIONS = "the keys that an operator made, one pair at each rotation"

BOUNDS: dict[str, tuple[str, ...]] = {
    PAGE: (
        *(
            "ActRequests.requests",
            "Anomalies.anomalies",
            "Awards.awards",
            "Certificates.certificates",
            "Disputes.disputes",
        ),
        *("EligibleForHonor.eligible", "LogPage.events", "OrganisationMembers.members", "Organisations.organisations"),
        *("PeopleServed.days", "Place.after", "Place.before", "Projects.projects", "PublicNotices.notices"),
        *("RankingOfYear.entries", "SpotCheck.shifts", "Standings.standings", "StationDayShifts.shifts"),
        *("PersonsFound.persons", "Lookups.lookups", "LookupShown.volunteers"),
        *("Stations.stations", "UndercutAwards.undercut", "VolunteerDays.days", "VolunteerHistory.acts"),
        *("VolunteerShifts.shifts", "WhatIf.honor_changes", "WhatIf.rank_changes", "WhatIf.volunteers"),
        "Worklist.items",
    ),
    LISTED: (
        "Anomaly.others",
        *("Anomaly.events", "Anomaly.shifts", "Causes.positions", "Causes.shifts", "DayExplanation.without_minutes"),
        *("Overview.projects", "Overview.stations", "Pending.disputes", "Pending.honors", "Pending.open_shifts"),
        *("Pending.requests", "ShiftTrace.positions", "StationShift.positions", "CandidateChecked.findings"),
        "Statement.lines",
    ),
    RECORD: (
        *("AwardAnswer.objections", "AwardLife.events", "ExplainedShift.events", "ExplainedStretch.positions"),
        *("Notice.objections", "OrganisationAnswer.history", "Overview.memberships", "Overview.trainings"),
        *(
            "RulesHistory.acts",
            "RulesKnown.published",
            "SampledShift.positions",
            "ServedDay.counts",
            "ShiftChange.positions",
        ),
        "Dispute.additions",
        *("ShiftEvents.events", "ShiftWithoutMinutes.events", "Undercut.objections", "VolunteerHours.trainings"),
    ),
    MERGED: (
        *("DayExplanation.merges", "DayExplanation.more_opening_balances", "DayExplanation.numbers"),
        *("Overview.merges", "Overview.more_opening_balances", "Overview.numbers"),
        *("VolunteerDays.merges", "VolunteerDays.numbers", "VolunteerHours.merges"),
        *("VolunteerHours.more_opening_balances", "VolunteerHours.numbers"),
        *("VolunteerShifts.merges", "VolunteerShifts.numbers"),
        *("Statement.merges", "Statement.numbers", "Statement.opening_balances"),
    ),
    RULES: (
        *("Causes.overtaken_by", "Honor.conditions", "Honors.honors", "Overview.honors", "Overview.progress"),
        *("Place.order", "Places.ranks", "PublishedRules.holds_from", "Ranking.terms", "RankingOfYear.order"),
        *("Rankings.rankings", "Terms.order", "VolunteerChange.honors_gained", "VolunteerChange.honors_lost"),
        *("CandidateChecked.header_changes", "WhatIf.header_changes"),
        *("VolunteerChange.honors_moved", "VolunteerChange.reasons", "VolunteerHours.honors", "WhatIf.honors"),
        *("CandidateChecked.past_days", "WhatIf.not_tried", "WhatIf.past_days"),
    ),
    CALENDAR: (
        *("ActivityPart.rows", "DistrictActivity.no_organisation", "DistrictActivity.rows", "MembersPart.rows"),
        *("OrganisationActivity.own", "OrganisationActivity.rows", "OrganisationMembers.own"),
        *("OrganisationMembers.rows", "Overview.years", "ProjectActivity.months", "ProjectActivity.years"),
        *("StationActivity.days", "VolunteerChange.years", "VolunteerHours.years", "ShiftTrace.pieces"),
    ),
    DAY: ("DayExplanation.shifts", "ExplainedShift.stretches"),
    BATCH: ("BatchAnswer.answers", "Conferred.outcomes", "Conferred.passed_by", "TableRead.lines"),
    PLACES: (
        *("DistrictActivity.parts", "Organisation.children", "OrganisationActivity.parts", "OrganisationAnswer.path"),
        *("OrganisationAnswer.projects", "OrganisationAnswer.stations", "OrganisationMembers.parts"),
        *("PeopleServed.projects", "PeopleServed.stations", "WhatIf.stations"),
    ),
    PROGRAM: (
        *("WorkItem.commands", "WorkItem.roles", "WhatIf.distribution"),
        *("CommandAccepted.notes", "EventAccepted.notes"),
        *("EventRefused.candidates", "GenerationList.generations", "JobList.jobs", "ProblemDetails.candidates"),
        *("Readiness.checks", "RulesKnown.candidates", "ShiftTrace.flags", "SpotCheck.parts", "Status.problems"),
        *("StatementLine.uncredited", "StatementTotal.uncredited"),
        "replay__explain__explanations__EventBehind.decides",
    ),
    ROTATIONS: ("KeysOfGeneration.keys", "PublishedKeysAnswer.generations", "TreeHealth.keys"),
}


def lists_of(schemas: dict[str, Any], schema: dict[str, Any], place: str, seen: frozenset[str]) -> Iterator[str]:
    """Yield model and field of each list in a schema."""
    if reference := schema.get("$ref"):
        name = str(reference).rsplit("/", 1)[1]
        if name not in seen:
            yield from lists_of(schemas, schemas[name], name, seen | {name})
        return
    if schema.get("type") == "array":
        yield place
        yield from lists_of(schemas, schema.get("items", {}), place, seen)
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from lists_of(schemas, choice, place, seen)
    for name, of_field in schema.get("properties", {}).items():
        yield from lists_of(schemas, of_field, f"{place}.{name}", seen)


def test_every_list_in_an_answer_has_a_bound(served: Served) -> None:
    description = served.client.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    found = {
        place
        for methods in description["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for content in answer.get("content", {}).values()
        for place in lists_of(schemas, content.get("schema", {}), "", frozenset())
    }
    rows = [place for places in BOUNDS.values() for place in places]
    assert len(rows) == len({*rows})
    assert found == {*rows}


# --- the longest records ---------------------------------------------------------------------------------------------


def recorded(ledger: OpenLedger, volunteer: str, shifts: int, *, ended: bool) -> None:
    """Have a station record many shifts of one volunteer on one day, whose check-ins are no double taps."""
    orders = []
    begin, end = (datetime.fromisoformat(f"2018-12-04T{hour}:00:00+08:00") for hour in ("09", "17"))
    for number in range(shifts):
        shift = UUID(int=int(volunteer[1:]) << 64 | number + 1)
        scan = {"volunteer": volunteer, "station": STATION, "shift": shift}
        scans = [("check-in", begin + number * timedelta(minutes=2))] + [("check-out", end)] * ended
        for name, at in scans:
            command = COMMANDS[name].model_validate(scan | {"occurred_at": at.isoformat()})
            orders.append(order_of(command, f"/stations/{STATION}", f"{shift}-{name}", f"station:{STATION}"))
    assert all(isinstance(answer, Accepted) for answer in ledger.intake.execute(orders))


@pytest.fixture(scope="module")
def long_record(served: Served) -> str:
    """A volunteer with more shifts on a day than are listed or explained."""
    served.ledger.make_ready()
    volunteer = served.volunteer()
    recorded(served.ledger, volunteer, DAY_SHIFTS_MAX + 1, ended=False)
    assert served.get("/v1/honors", at_least=served.ledger.log.head()).status_code == 200
    return volunteer


def test_an_overview_lists_a_hundred_of_each_and_counts_all(served: Served, long_record: str) -> None:
    pending = served.get(f"/v1/volunteers/{long_record}/overview").json()["pending"]
    assert (len(pending["open_shifts"]), pending["open_shift_count"]) == (LISTED_MAX, DAY_SHIFTS_MAX + 1)
    assert (pending["disputes"], pending["dispute_count"]) == ([], 0)


def test_a_day_with_too_many_shifts_is_not_explained(served: Served, long_record: str) -> None:
    address = f"/v1/volunteers/{long_record}"
    refused = served.get(f"{address}/explanation", day="2018-12-04")
    assert (refused.status_code, refused.json()["rejection"]) == (422, "not-explained")
    assert str(DAY_SHIFTS_MAX) in refused.json()["detail"]
    assert served.get(f"{address}/explanation", day="2018-12-10").status_code == 200
    shifts = served.get(f"{address}/shifts?from=2018-12-04&to=2018-12-04").json()["shifts"]
    assert len(shifts) == DAY_SHIFTS_MAX + 1


def test_shifts_come_in_pages_without_being_asked_for(served: Served, long_record: str) -> None:
    assert served.get(f"/v1/volunteers/{long_record}/shifts", limit=SHIFTS_MAX + 1).status_code == 422
    parameters = served.client.get("/openapi.json").json()["paths"]["/v1/volunteers/{number}/shifts"]["get"][
        "parameters"
    ]
    (limit,) = (one["schema"] for one in parameters if one["name"] == "limit")
    assert (limit["default"], limit["maximum"]) == (SHIFTS_MAX, SHIFTS_MAX)


def test_a_station_s_day_lists_a_bounded_number_of_shifts(
    served: Served, long_record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = served.volunteer()
    recorded(served.ledger, other, 3, ended=True)
    assert served.get("/v1/honors", at_least=served.ledger.log.head()).status_code == 200
    monkeypatch.setattr(station_shifts, "SHIFTS_MAX", 10)
    pages: dict[str, tuple[int, int]] = {}
    after = None
    while True:
        page = served.get(
            f"/v1/stations/{STATION}/shifts", day="2018-12-04", **({"after": after} if after else {})
        ).json()
        assert len(page["shifts"]) <= 10
        for volunteer in {shift["volunteer"] for shift in page["shifts"]}:
            assert volunteer not in pages  # nobody is split between pages
            listed = sum(shift["volunteer"] == volunteer for shift in page["shifts"])
            pages[volunteer] = listed, page["left_out"]
        if (after := page["next_after"]) is None:
            break
    assert pages[long_record] == (10, DAY_SHIFTS_MAX + 1 - 10)
    assert pages[other][0] == 3


def test_the_positions_of_a_shift_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    volunteer = served.volunteer()
    shift, position = served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T10:00:00+08:00")
    monkeypatch.setattr(links, "POSITIONS_MAX", 1)
    (found,) = served.get(f"/v1/volunteers/{volunteer}/shifts", at_least=position).json()["shifts"]
    assert len(found["positions"]) == 1
    assert len(served.get(found["links"]["events"]).json()["events"]) == 2
    day = served.get(f"/v1/stations/{STATION}/shifts", day="2018-12-04", limit=1000).json()["shifts"]
    assert {len(one["positions"]) for one in day} == {1}
    assert str(shift) in {one["shift"] for one in day} | {found["shift"]}


@pytest.mark.parametrize("path", ["stations", "projects", "organisations"])
def test_places_come_in_pages(served: Served, path: str) -> None:
    whole = served.get(f"/v1/{path}").json()
    assert whole["next_after"] is None
    found: list[Any] = []
    page: dict[str, Any] = {"next_after": None}
    while page["next_after"] is not None or not found:
        after = {"after": page["next_after"]} if found else {}
        page = served.get(f"/v1/{path}", limit=1, **after).json()
        assert len(page[path]) <= 1
        found += page[path]
        if not page[path]:
            break
    assert found == whole[path]
    assert path == "projects" or len(found) >= 2
    assert OTHER_STATION in str(whole) or path != "stations"


def test_a_page_of_names_ends_where_the_next_begins() -> None:
    names = ["a", "b", "c"]
    assert page_of(names, 2, None) == (["a", "b"], "b")
    assert page_of(names, 2, "b") == (["c"], None)
    assert page_of(names, 3, None) == (names, None)
    assert page_of([], 3, None) == ([], None)


def test_a_log_from_which_events_were_removed_is_read_to_its_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.ledger.log, "read", lambda *_: [])
    assert list(events_of(served.ledger, 0, Position(10), None)) == []
