"""Two pairs of eyes: nobody acts on their own hours, and one asks for what another has to approve."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from ledger.aggregates import Command, Event
from ledger.aggregates.day_cap import RaiseDayCap
from ledger.aggregates.honor import AnnounceHonor, RevokeHonor
from ledger.aggregates.project import LaunchProject
from ledger.aggregates.request import ActRequested, ApproveAct, RequestAct
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.scans import CheckIn
from ledger.aggregates.shift import CheckedIn, ShiftVoided
from ledger.aggregates.shift_acts import AttestShift, VoidShift
from ledger.aggregates.station import OpenStation
from ledger.aggregates.volunteer import MergeVolunteer, RegisterVolunteer
from ledger.deciding.policies import Policies, policies_of
from ledger.names import shift_id_for, stream
from ledger.rejections import Refused, Rejection
from tests.support.ledger.helpers import NOW, Given, Memory, by

HOUR = 3600
SHIFT = shift_id_for(NOW - 3 * HOUR, "test#shift")
STATION = OpenStation(station="S1", kind="city")


def registered(*numbers: str) -> list[Given]:
    return [RegisterVolunteer(volunteer=number, registered_on=date(2018, 1, 1)) for number in numbers]


CHECK_IN = CheckIn(volunteer="V1", station="S1", occurred_at=NOW - 3 * HOUR, shift=SHIFT)
VOID = VoidShift(volunteer="V1", shift=SHIFT, reason="test-scan")
ATTEST = AttestShift(volunteer="V1", station="S1", check_in=NOW - 5 * HOUR, check_out=NOW - HOUR, evidence="paper-list")
RULES = PublishRules(text='approvals = { kinds = ["attest-shift", "void-shift", "raise-day-cap"] }')
WORLD: list[Given] = [*registered("V1", "V2"), STATION, CHECK_IN]


def request(command: Command, number: str = "R1") -> RequestAct:
    fields = command.model_dump(mode="json", exclude_defaults=True)
    return RequestAct.model_validate({"request": number, "act": command.TYPE, "fields": fields})


def events(ledger: Memory, given: Given, note: str | None = None) -> list[Event]:
    decision = ledger.decide(given, note=note)
    assert not isinstance(decision, Refused), decision.detail
    return decision


def refused(ledger: Memory, given: Given) -> Rejection:
    decision = ledger.decide(given)
    assert isinstance(decision, Refused), decision
    return decision.rejection


# --- own hours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [{"by": "person:V1"}, {"by": "person:li", "by_volunteer": "V1"}], ids=str)
@pytest.mark.parametrize("command", [VOID, ATTEST, CHECK_IN, request(VOID)], ids=lambda command: command.TYPE)
def test_nobody_acts_on_their_own_hours(who: dict[str, Any], command: Command) -> None:
    ledger = Memory().given(*WORLD)
    assert refused(ledger, who | {"command": command}) is Rejection.OWN_HOURS


def test_nobody_approves_an_act_on_their_own_hours() -> None:
    ledger = Memory().given(*WORLD, by("li", request(VOID)))
    assert refused(ledger, by("V1", ApproveAct(request="R1"))) is Rejection.OWN_HOURS
    assert refused(ledger, by("anna", ApproveAct(request="R1"), by_volunteer="V1")) is Rejection.OWN_HOURS


def test_nobody_approves_what_becomes_of_their_own_honour() -> None:
    announced = by("li", AnnounceHonor(award="A1", honor="star-1", volunteer="V1"), imported=True)
    ledger = Memory().given(*WORLD, announced, by("li", request(RevokeHonor(award="A1", reason="in-error"))))
    assert refused(ledger, by("V1", ApproveAct(request="R1"))) is Rejection.OWN_HOURS
    ledger.given(by("anna", ApproveAct(request="R1")))


def test_who_is_in_charge_of_a_project_does_not_approve_what_becomes_of_its_honour() -> None:
    project = LaunchProject(project="P1", content="reading", in_charge="V1")
    announced = by("li", AnnounceHonor(award="A1", honor="ten-best", project="P1", year=2018, rank=1), imported=True)
    revoke = request(RevokeHonor(award="A1", reason="in-error"))
    ledger = Memory().given(*WORLD, project, announced, by("li", revoke))
    assert refused(ledger, by("V1", ApproveAct(request="R1"))) is Rejection.OWN_HOURS
    ledger.given(by("anna", ApproveAct(request="R1")))


@pytest.mark.parametrize(("mine", "theirs"), [("V1", "V2"), ("V2", "V1"), ("V1", "V3"), ("V3", "V2")])
def test_two_numbers_of_one_person_are_one(mine: str, theirs: str) -> None:
    """V1 and V3 go on as V2."""
    merges = [MergeVolunteer(volunteer=one, into="V2", reason="two-cards") for one in ("V1", "V3")]
    shift = {"volunteer": theirs, "shift": SHIFT}
    ledger = Memory().given(*registered("V1", "V2", "V3"), STATION, CHECK_IN.model_copy(update=shift))
    own = by("li", VOID.model_copy(update=shift), by_volunteer=mine)
    before = ledger.decide(own | {"command": own["command"].model_copy(update={"shift": shift_id_for(NOW, "x")})})
    assert isinstance(before, Refused)
    assert before.rejection is Rejection.UNKNOWN_SHIFT
    ledger.given(*merges)
    assert refused(ledger, own) is Rejection.OWN_HOURS


def test_a_station_or_a_person_who_happens_to_be_called_so_is_no_volunteer() -> None:
    ledger = Memory().given(*WORLD)
    assert len(events(ledger, {"by": "station:V1", "command": VOID})) == 1


def test_a_volunteer_s_own_scan_at_a_station_is_a_fact_and_says_nothing_of_whose_key_it_was() -> None:
    (event,) = events(Memory().given(*WORLD), {"by": "station:S1", "command": CHECK_IN, "by_volunteer": "V1"})
    assert isinstance(event, CheckedIn)
    assert event.by_volunteer is None


# --- approval -------------------------------------------------------------------------------------------------------


def test_an_approved_act_says_who_asked_and_who_approved_and_keeps_the_text_of_the_request() -> None:
    ledger = Memory().given(*WORLD, RULES)
    asked = by("li", request(VOID), key=7, by_volunteer="V2")
    (requested,) = events(ledger, asked, note="0f" * 32)
    assert isinstance(requested, ActRequested)
    assert (requested.volunteer, requested.act, requested.fields["reason"]) == ("V1", "void-shift", "test-scan")
    approved, voided = events(ledger, by("anna", ApproveAct(request="R1"), key=8), note="0e" * 32)
    assert (approved.by, approved.key, approved.approved_by) == ("person:anna", 8, None)
    assert isinstance(voided, ShiftVoided)
    assert (voided.by, voided.key, voided.by_volunteer) == ("person:li", 7, "V2")
    assert (voided.approved_by, voided.note, voided.command) == ("person:anna", "0f" * 32, approved.command)


def test_who_asked_may_not_approve_under_another_name() -> None:
    ledger = Memory().given(*WORLD, by("li", request(VOID), by_volunteer="V2"))
    assert refused(ledger, by("anna", ApproveAct(request="R1"), by_volunteer="V2")) is Rejection.OWN_REQUEST
    assert refused(ledger, by("V2", ApproveAct(request="R1"))) is Rejection.OWN_REQUEST
    ledger.given(*registered("V3"), MergeVolunteer(volunteer="V2", into="V3", reason="two-cards"))
    assert refused(ledger, by("anna", ApproveAct(request="R1"), by_volunteer="V3")) is Rejection.OWN_REQUEST
    ledger.given(by("anna", ApproveAct(request="R1"), by_volunteer="V1" * 2))


def test_what_cannot_be_is_not_asked_for() -> None:
    ledger = Memory().given(*WORLD, VOID)
    assert refused(ledger, request(VOID)) is Rejection.ALREADY_VOID
    assert ledger.events(stream("request", "R1")) == []


def test_an_act_that_cannot_be_any_more_refuses_its_approval_and_the_request_stays_open() -> None:
    ledger = Memory().given(*WORLD, by("li", request(VOID)), by("li", request(VOID, "R2")))
    ledger.given(ApproveAct(request="R1"))
    assert refused(ledger, ApproveAct(request="R2")) is Rejection.ALREADY_VOID
    assert len(ledger.events(stream("request", "R2"))) == 1


def test_an_entry_that_is_asked_for_without_a_shift_id_gets_one_then() -> None:
    ledger = Memory().given(*WORLD, RULES)
    (requested,) = events(ledger, by("li", request(ATTEST)))
    assert isinstance(requested, ActRequested)
    _, checked_in, checked_out = events(ledger, ApproveAct(request="R1"))
    assert str(checked_in.shift) == str(checked_out.shift) == requested.fields["shift"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("command", "imported", "allowed"),
    [(ATTEST, True, True), (ATTEST, False, False), (VOID, True, False), (VOID, False, False)],
)
def test_old_records_need_no_approval_and_nothing_else_passes_for_one(
    command: Command,
    imported: bool,  # noqa: FBT001 - a column of the table
    allowed: bool,  # noqa: FBT001
) -> None:
    ledger = Memory().given(*WORLD, RULES)
    decision = ledger.decide(by("li", command, imported=imported))
    assert isinstance(decision, Refused) != allowed


def test_the_rules_may_want_old_records_approved_too() -> None:
    text = 'approvals = { kinds = ["attest-shift"], imported = true }'
    ledger = Memory().given(*WORLD, PublishRules(text=text))
    assert refused(ledger, by("li", ATTEST, imported=True)) is Rejection.NEEDS_APPROVAL


def test_the_rules_that_were_published_last_decide() -> None:
    ledger = Memory().given(*WORLD, RULES, PublishRules(text="name = 'none need approval'"))
    ledger.given(VOID)


def test_a_raise_beyond_what_may_be_approved_is_not_even_asked_for() -> None:
    rules = PublishRules(text='approvals = { kinds = ["raise-day-cap"], raised_day_minutes_max = 720 }')
    ledger = Memory().given(*WORLD, rules)
    raised = RaiseDayCap(volunteer="V1", day=date(2018, 12, 1), raise_id="typhoon", minutes=720, reason="typhoon")
    too_high = raised.model_copy(update={"minutes": 721, "raise_id": "more"})
    assert refused(ledger, raised) is Rejection.NEEDS_APPROVAL
    assert refused(ledger, request(too_high)) is Rejection.RAISE_TOO_HIGH
    ledger.given(by("li", request(raised)), ApproveAct(request="R1"))


# --- what is asked for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "fields", "said"),
    [
        ("void-shift", {"volunteer": "V1", "shift": str(SHIFT)}, "void-shift: reason: is missing; add it"),
        ("void-shift", {"text": "his mother is ill"}, "make it the text of the request"),
        ("attest-shift", {"check_in": "noon"}, "attest-shift: "),
        ("check-in", {}, "Input should be 'attest-shift'"),
    ],
)
def test_a_request_says_what_is_wrong_with_its_act(act: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RequestAct.model_validate({"request": "R1", "act": act, "fields": fields})


# --- policies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no toml [",
        "approvals = 3",
        'approvals = { kinds = ["check-in"] }',
        "disputes = { answer_working_days = 0 }",
    ],
)
def test_a_text_that_could_not_be_published_says_nothing_about_acts(text: str) -> None:
    assert policies_of(text) == Policies()
