"""Disputes: due in working days, settled by somebody else, and what follows is recorded with the settlement."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from ledger.aggregates.dispute import AnswerDispute, DisputeShift, SettleDispute
from ledger.aggregates.request import ApproveAct, RequestAct
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.scans import CheckIn
from ledger.aggregates.shift import DisputeSettled, Shift, ShiftCorrected, ShiftDisputed
from ledger.aggregates.shift_acts import AttestShift, CorrectShift, VoidShift
from ledger.aggregates.station import OpenStation
from ledger.aggregates.volunteer import RegisterVolunteer
from ledger.names import shift_id_for, shift_stream
from ledger.rejections import Refused, Rejection
from tests.support.ledger.helpers import NOW, Given, Memory, by

HOUR = 3600
SHIFT = shift_id_for(NOW - 3 * HOUR, "test#shift")
WORLD: list[Given] = [
    RegisterVolunteer(volunteer="V1", registered_on=date(2018, 1, 1)),
    RegisterVolunteer(volunteer="V2", registered_on=date(2018, 1, 1)),
    OpenStation(station="S1", kind="city"),
    CheckIn(volunteer="V1", station="S1", occurred_at=NOW - 3 * HOUR, shift=SHIFT),
]
RULES = PublishRules(
    text='time_zone = "Asia/Shanghai"\ndisputes = { answer_working_days = 5, settle_working_days = 15 }'
)
DISPUTE = DisputeShift(volunteer="V1", shift=SHIFT, reason="too-short")
ANSWER = AnswerDispute(volunteer="V1", shift=SHIFT, reason="scans-seen")


def settle(outcome: str = "upheld", **more: Any) -> SettleDispute:
    said = {"volunteer": "V1", "shift": SHIFT, "reason": "seen", "outcome": outcome}
    return SettleDispute.model_validate(said | more)


CORRECTION: dict[str, Any] = {
    "act": "correct-shift",
    "fields": {"changes": ["check_out"], "check_out": NOW - HOUR},
}


def disputed(ledger: Memory, command: DisputeShift) -> ShiftDisputed:
    decision = ledger.decide(by("V1", command))
    assert not isinstance(decision, Refused), decision.detail
    (event,) = decision
    assert isinstance(event, ShiftDisputed)
    return event


def refused(ledger: Memory, given: Given) -> Rejection:
    decision = ledger.decide(given)
    assert isinstance(decision, Refused), decision
    return decision.rejection


# --- due dates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened", "answer_due", "settle_due"),
    [
        # Over the Spring Festival, with a Saturday that is worked.
        ("2018-02-14T10:00:00+08:00", date(2018, 2, 27), date(2018, 3, 13)),
        # Half an hour before and after the local midnight.
        ("2018-02-22T15:30:00+00:00", date(2018, 2, 28), date(2018, 3, 14)),
        ("2018-02-22T16:30:00+00:00", date(2018, 3, 1), date(2018, 3, 15)),
        ("2017-09-29T10:00:00+08:00", date(2017, 10, 12), date(2017, 10, 26)),
    ],
)
def test_due_dates_are_working_days_after_the_local_day_it_was_opened(
    opened: str, answer_due: date, settle_due: date
) -> None:
    command = DISPUTE.model_copy(update={"occurred_at": int(datetime.fromisoformat(opened).timestamp())})
    event = disputed(Memory().given(*WORLD, RULES), command)
    assert (event.answer_due, event.settle_due) == (answer_due, settle_due)


def test_without_rules_nothing_is_due() -> None:
    event = disputed(Memory().given(*WORLD), DISPUTE)
    assert (event.answer_due, event.settle_due) == (None, None)


def test_going_on_with_an_open_dispute_moves_no_due_date_and_a_new_one_has_its_own() -> None:
    ledger = Memory().given(*WORLD, RULES)
    first = disputed(ledger, DISPUTE.model_copy(update={"occurred_at": NOW - 86_400 * 30}))
    again = disputed(ledger, DISPUTE)
    assert (again.answer_due, again.settle_due) == (first.answer_due, first.settle_due)
    assert Shift.of(ledger.events(shift_stream("V1", SHIFT))).disputed == first
    ledger.given(settle("rejected"))
    new = disputed(ledger, DISPUTE)
    assert new.answer_due is not None
    assert first.answer_due is not None
    assert new.answer_due > first.answer_due


# --- who ------------------------------------------------------------------------------------------------------------


def test_the_volunteer_disputes_and_may_neither_answer_nor_settle() -> None:
    ledger = Memory().given(*WORLD, by("V1", DISPUTE))
    assert refused(ledger, by("V1", ANSWER)) is Rejection.OWN_HOURS
    assert refused(ledger, by("li", settle(), by_volunteer="V1")) is Rejection.OWN_HOURS
    ledger.given(ANSWER, settle())


def test_who_opened_it_for_the_volunteer_may_answer_and_not_settle() -> None:
    ledger = Memory().given(*WORLD, by("li", DISPUTE), by("anna", DISPUTE), by("li", ANSWER))
    assert refused(ledger, by("li", settle())) is Rejection.OWN_DISPUTE
    ledger.given(by("anna", settle()))


def test_whoever_made_the_disputed_entry_or_approved_it_may_not_settle() -> None:
    attest = AttestShift(
        volunteer="V1", station="S1", check_in=NOW - 9 * HOUR, check_out=NOW - 8 * HOUR, evidence="paper-list"
    )
    fields = attest.model_dump(mode="json", exclude_defaults=True) | {"shift": str(shift_id_for(NOW, "entry"))}
    request = RequestAct.model_validate({"request": "R1", "act": "attest-shift", "fields": fields})
    of_entry = {"shift": shift_id_for(NOW, "entry")}
    ledger = Memory().given(*WORLD, by("li", request), by("anna", ApproveAct(request="R1")))
    ledger.given(by("V1", DISPUTE.model_copy(update=of_entry)))
    for who in ("li", "anna"):
        assert refused(ledger, by(who, settle().model_copy(update=of_entry))) is Rejection.OWN_ENTRY
    ledger.given(by("chen", settle().model_copy(update=of_entry)))


def test_what_was_done_about_a_dispute_is_no_disputed_entry() -> None:
    correction = CorrectShift(volunteer="V1", shift=SHIFT, changes=("project",), reason="seen")
    Memory().given(*WORLD, by("V1", DISPUTE), correction, settle())


# --- what follows ---------------------------------------------------------------------------------------------------


def test_an_upheld_dispute_is_settled_with_its_correction() -> None:
    decision = Memory().given(*WORLD, by("V1", DISPUTE)).decide(settle(**CORRECTION))
    assert not isinstance(decision, Refused)
    settled, corrected = decision
    assert isinstance(settled, DisputeSettled)
    assert isinstance(corrected, ShiftCorrected)
    assert (corrected.check_out, corrected.reason, corrected.command) == (NOW - HOUR, "seen", settled.command)


def test_a_correction_that_cannot_be_leaves_the_dispute_open() -> None:
    ledger = Memory().given(*WORLD, by("V1", DISPUTE))
    assert refused(ledger, settle(act="reinstate-shift")) is Rejection.NOT_VOID
    assert Shift.of(ledger.events(shift_stream("V1", SHIFT))).disputed


def test_a_correction_that_needs_approval_is_approved_with_the_settlement() -> None:
    rules = PublishRules(text='approvals = { kinds = ["correct-shift"] }')
    ledger = Memory().given(*WORLD, rules, by("V1", DISPUTE))
    assert refused(ledger, settle(**CORRECTION)) is Rejection.NEEDS_APPROVAL
    fields = settle(**CORRECTION).model_dump(mode="json", exclude_defaults=True)
    request = RequestAct.model_validate({"request": "R1", "act": "settle-dispute", "fields": fields})
    ledger.given(by("li", request))
    assert refused(ledger, by("V1", ApproveAct(request="R1"))) is Rejection.OWN_HOURS
    decision = ledger.decide(by("anna", ApproveAct(request="R1")))
    assert not isinstance(decision, Refused)
    assert [event.TOPIC for event in decision] == ["act-approved.v1", "dispute-settled.v1", "shift-corrected.v1"]


def test_who_opened_a_dispute_may_not_approve_its_settlement_either() -> None:
    fields = settle().model_dump(mode="json", exclude_defaults=True)
    request = RequestAct.model_validate({"request": "R1", "act": "settle-dispute", "fields": fields})
    ledger = Memory().given(*WORLD, by("chen", DISPUTE), by("li", request))
    assert refused(ledger, by("chen", ApproveAct(request="R1"))) is Rejection.OWN_DISPUTE


def test_a_shift_can_follow_to_its_volunteer_or_be_voided() -> None:
    for more in ({"act": "move-shift", "fields": {"to_volunteer": "V2"}}, {"act": "void-shift"}):
        ledger = Memory().given(*WORLD, by("V1", DISPUTE), settle(**more))
        assert Shift.of(ledger.events(shift_stream("V1", SHIFT))).void
        assert refused(ledger, VoidShift(volunteer="V1", shift=SHIFT, reason="seen")) is Rejection.ALREADY_VOID


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"fields": {"changes": ["check_out"]}}, "name the act"),
        ({"act": "void-shift", "outcome": "rejected"}, "upheld"),
        ({"act": "void-shift", "fields": {"volunteer": "V2"}}, "fields.volunteer is taken from the settlement"),
        ({"act": "correct-shift", "fields": {"changes": []}}, "changes: "),
        ({"act": "attest-shift"}, "Input should be"),
    ],
)
def test_a_settlement_says_what_is_wrong_with_what_follows(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settle(**more)
