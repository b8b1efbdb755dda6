"""Decisions: what is granted, what is refused and under which name, in which order of precedence."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise
from textwrap import dedent

import pytest

from ledger.aggregates import COMMANDS, Command, honor
from ledger.aggregates.day_cap import RaiseDayCap, WithdrawDayCapRaise
from ledger.aggregates.dispute import STATEMENTS_MAX, AnswerDispute, DisputeShift, SettleDispute
from ledger.aggregates.opening_balance import RecordOpeningBalance, VoidOpeningBalance
from ledger.aggregates.organisation import (
    ANCESTORS_MAX,
    EndOrganisation,
    FoundOrganisation,
    MoveOrganisation,
    RenameOrganisation,
)
from ledger.aggregates.people_served import CountPeopleServed
from ledger.aggregates.project import EndProject, LaunchProject, RenameProject
from ledger.aggregates.request import ApproveAct, DeclineAct, RequestAct, RequestDecision, WithdrawRequest
from ledger.aggregates.rules import PublishRules, PutRulesInForce, RulesPublished
from ledger.aggregates.scans import CheckIn, CheckOut, Punch, Scan
from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched, ShiftVoided
from ledger.aggregates.shift_acts import AttestShift, CorrectShift, MoveShift, ReinstateShift, ShiftAct, VoidShift
from ledger.aggregates.station import CloseStation, OpenStation, RenameStation
from ledger.aggregates.volunteer import (
    MERGES_MAX,
    JoinOrganisation,
    LeaveOrganisation,
    MergeVolunteer,
    RecordTraining,
    RegisterVolunteer,
    UndoMerge,
    VoidTraining,
    WithdrawVolunteer,
)
from ledger.names import shift_id_for
from ledger.rejections import Refused, Rejection
from ledger.store.mapper import encode
from tests.ledger.decisions.test_certificates import CERTIFICATE_COMMANDS, OF_CERTIFICATES
from tests.ledger.decisions.test_honors import HONOR_COMMANDS, OF_HONORS
from tests.support.ledger.helpers import NOW, Given, Memory, by

HOUR = 3600
DAY = date(2018, 12, 1)
FUTURE_DAY = date(2018, 12, 6)
SHIFT = shift_id_for(NOW - 3 * HOUR, "test#shift")
OTHER_SHIFT = shift_id_for(NOW - 4 * HOUR, "test#other")

V1 = RegisterVolunteer(volunteer="V1", registered_on=DAY)
V2 = RegisterVolunteer(volunteer="V2", registered_on=DAY)
ORGANISATION = FoundOrganisation(organisation="O1", kind="ngo")
STATION = OpenStation(station="S1", kind="city")
PROJECT = LaunchProject(project="P1", content="reading")
WORLD: tuple[Given, ...] = (V1, V2, ORGANISATION, STATION, PROJECT)

CHECK_IN = CheckIn(volunteer="V1", station="S1", occurred_at=NOW - 3 * HOUR, shift=SHIFT)
CHECK_OUT = CheckOut(volunteer="V1", station="S1", occurred_at=NOW - HOUR, shift=SHIFT)
SECOND_CHECK_IN = CheckIn(volunteer="V1", station="S1", occurred_at=NOW - 4 * HOUR, shift=OTHER_SHIFT)
CHECK_OUT_WITHOUT_SHIFT = CheckOut(volunteer="V1", station="S1", occurred_at=NOW - HOUR)
ATTEST = AttestShift(
    volunteer="V1", station="S1", check_in=NOW - 5 * HOUR, check_out=NOW - HOUR, evidence="paper-list", shift=SHIFT
)
CORRECT = CorrectShift(volunteer="V1", shift=SHIFT, changes=("check_out",), check_out=NOW - 2 * HOUR, reason="forgot")
WEEK = 7 * 24 * HOUR
EARLY_CHECK_IN = CHECK_IN.model_copy(update={"occurred_at": NOW - 2 * HOUR - WEEK})


def corrected(**fields: object) -> CorrectShift:
    return CorrectShift.model_validate(
        {"volunteer": "V1", "shift": SHIFT, "changes": tuple(fields), "reason": "forgot", **fields}
    )


def requested(act: CorrectShift) -> RequestAct:
    fields = act.model_dump(mode="json", exclude_none=True)
    return RequestAct.model_validate({"request": "q1", "act": act.TYPE, "fields": fields})


CLEAR_CHECK_IN = CorrectShift(volunteer="V1", shift=SHIFT, changes=("check_in",), reason="wrong-card")
VOID = VoidShift(volunteer="V1", shift=SHIFT, reason="test-scan")
REINSTATE = ReinstateShift(volunteer="V1", shift=SHIFT, reason="was-real")
MOVE = MoveShift(volunteer="V1", shift=SHIFT, to_volunteer="V2", reason="wrong-card")
DISPUTE = DisputeShift(volunteer="V1", shift=SHIFT, reason="too-short")
ANSWER = AnswerDispute(volunteer="V1", shift=SHIFT, reason="scans-seen")
SETTLE = SettleDispute(volunteer="V1", shift=SHIFT, outcome="upheld", reason="seen")
WITHDRAW = WithdrawVolunteer(volunteer="V1", withdrawn_on=DAY, reason="moved-away")
V3 = RegisterVolunteer(volunteer="V3", registered_on=DAY)
MERGE = MergeVolunteer(volunteer="V1", into="V2", reason="two-cards")
UNDO = UndoMerge(volunteer="V1", into="V2", reason="two-persons")
FURTHER = MergeVolunteer(volunteer="V2", into="V3", reason="two-cards")
TRAINING = RecordTraining(
    volunteer="V1", tier="basic", content="first-aid", learning_minutes=90, provider="red-cross", completed_on=DAY
)
VOID_TRAINING = VoidTraining(
    volunteer="V1", tier="basic", content="first-aid", provider="red-cross", completed_on=DAY, reason="wrong-card"
)
CHILD = FoundOrganisation(organisation="O2", kind="community", parent="O1")
MOVE_UP = MoveOrganisation(organisation="O2", moved_on=DAY, reason="reform")
MOVE_BACK = MOVE_UP.model_copy(update={"parent": "O1"})
MOVE_BELOW = MoveOrganisation(organisation="O1", parent="O2", moved_on=DAY, reason="reform")
EARLIER = date(2018, 11, 1)
IN_O1, BELOW_O2 = {"organisation": "O1"}, {"parent": "O2", "founded_on": DAY}
LED_STATION, LED_PROJECT = STATION.model_copy(update=IN_O1), PROJECT.model_copy(update=IN_O1)
END_ORGANISATION = EndOrganisation(organisation="O1", ended_on=DAY, reason="dissolved")
JOIN = JoinOrganisation(volunteer="V1", organisation="O1", joined_on=DAY)
LEAVE = LeaveOrganisation(volunteer="V1", organisation="O1", left_on=DAY)
BALANCE = RecordOpeningBalance(volunteer="V1", minutes=600, as_of=DAY, evidence="paper-book")
VOID_BALANCE = VoidOpeningBalance(volunteer="V1", reason="counted-twice")
RAISE = RaiseDayCap(volunteer="V1", day=DAY, raise_id="R1", minutes=720, reason="typhoon")
WITHDRAW_RAISE = WithdrawDayCapRaise(volunteer="V1", day=DAY, raise_id="R1", reason="not-approved")
CLOSE = CloseStation(station="S1", reason="rebuilt")
END = EndProject(project="P1", reason="done")
NAMED = {"name": "罗湖图书馆"}
NAME_STATION = RenameStation(station="S1", name="罗湖图书馆")
NAME_PROJECT = RenameProject(project="P1", name="罗湖图书馆")
NAME_ORGANISATION = RenameOrganisation(organisation="O1", name="罗湖图书馆")
COUNT = CountPeopleServed(station="S1", day=DAY, people=300)
PUBLISH = PublishRules(text="[[rules]]\nname = '义工'\n")
PUBLISH_LATER = PublishRules(text="name = 'later'", in_force=False)
IN_BERLIN, IN_SHANGHAI = (PublishRules(text=f"time_zone = '{zone}'") for zone in ("Europe/Berlin", "Asia/Shanghai"))
PUT_FIRST = PutRulesInForce(rules_version=1, reason="as-it-was")
PUT_IN_FORCE = PutRulesInForce(rules_version=2, reason="approved")
RULES = """
[approvals]
kinds = ["void-shift"]
raised_day_minutes_max = 700

[disputes]
answer_working_days = 5
settle_working_days = 15
"""
POLICIES = PublishRules(text=RULES)
CAPS = """
[[rule_sets]]
holds_from = 2000-01-01
day_minutes_max = 480

[[rule_sets]]
holds_from = 2018-12-01
day_minutes_max = 721

[[rule_sets]]
holds_from = 2019-01-01
day_minutes_max = 1440
"""
CAPPED = PublishRules(text=CAPS)
P1 = V1.model_copy(update={"volunteer": "p1"})  # who gives the commands here is a volunteer as well
REQUEST = RequestAct(request="R1", act="void-shift", fields=VOID.model_dump(mode="json", exclude_none=True))
APPROVE = ApproveAct(request="R1")
DECLINE = DeclineAct(request="R1", reason="was-real")
WITHDRAW_REQUEST = WithdrawRequest(request="R1", reason="mistaken")
DISPUTED: list[Given] = [*WORLD, CHECK_IN, by("p2", DISPUTE)]
REQUESTED: list[Given] = [*WORLD, CHECK_IN, POLICIES, by("p2", REQUEST)]

R = Rejection
OPEN_CHECK_IN = CheckIn(volunteer="V1", station="S1", occurred_at=NOW - 3 * HOUR)
CHAIN = ["p1", *(f"C{number}" for number in range(MERGES_MAX + 1))]
MERGED_OFTEN: list[Given] = [
    *(RegisterVolunteer(volunteer=number, registered_on=DAY) for number in CHAIN),
    *(by("registrar", MergeVolunteer(volunteer=one, into=other, reason="two-cards")) for one, other in pairwise(CHAIN)),
]
"""The number of the caller was merged into another, that into a third, and so on."""
TREE = [f"t{number}" for number in range(ANCESTORS_MAX + 1)]
TALL_TREE: list[Given] = [
    FoundOrganisation(organisation=one, kind="ngo", parent=above)
    for one, above in zip(TREE, [None, *TREE], strict=False)
]
UNDER_A_TALL_TREE = {"organisation": ORGANISATION.organisation, "parent": TREE[-1], "moved_on": DAY, "reason": "reform"}

REFUSED: list[tuple[Rejection, str, Sequence[Given], Command]] = [
    (R.OWN_HOURS, "volunteer", [P1], VOID.model_copy(update={"volunteer": "p1"})),
    (R.OWN_HOURS, "volunteer", [*WORLD, P1, CHECK_IN], MOVE.model_copy(update={"to_volunteer": "p1"})),
    (R.NEEDS_APPROVAL, "command", [*WORLD, CHECK_IN, POLICIES], VOID),
    (R.UNKNOWN_VOLUNTEER, "volunteer", [STATION], CHECK_IN),
    (R.UNKNOWN_VOLUNTEER, "volunteer", [STATION], CHECK_OUT),
    (R.UNKNOWN_VOLUNTEER, "volunteer", [STATION], ATTEST),
    (R.UNKNOWN_VOLUNTEER, "volunteer", [], CORRECT),
    (R.UNKNOWN_VOLUNTEER, "volunteer", [], VOID),
    (R.UNKNOWN_VOLUNTEER, "to_volunteer", [V1, STATION, CHECK_IN], MOVE),
    (R.UNKNOWN_VOLUNTEER, "into", [V1], MERGE),
    (R.UNKNOWN_VOLUNTEER, "volunteer", [], UNDO),
    (R.UNKNOWN_VOLUNTEER, "into", [V1], UNDO),
    (R.UNKNOWN_VOLUNTEER, "in_charge", [], LaunchProject(project="P1", content="reading", in_charge="V1")),
    (R.UNKNOWN_VOLUNTEER, "volunteer", [], VOID_TRAINING),
    (R.UNKNOWN_STATION, "station", [V1], CHECK_IN),
    (R.UNKNOWN_STATION, "station", [V1], CHECK_OUT),
    (R.UNKNOWN_STATION, "station", [V1], ATTEST),
    (R.UNKNOWN_STATION, "station", [], CLOSE),
    (R.UNKNOWN_STATION, "station", [], COUNT),
    (R.UNKNOWN_PROJECT, "project", [V1, STATION], CHECK_IN.model_copy(update={"project": "P1"})),
    (R.UNKNOWN_PROJECT, "project", [V1, STATION], ATTEST.model_copy(update={"project": "P1"})),
    (R.UNKNOWN_PROJECT, "project", [], END),
    (R.UNKNOWN_ORGANISATION, "organisation", [V1], JOIN),
    (R.UNKNOWN_ORGANISATION, "organisation", [], V1.model_copy(update={"organisation": "O1"})),
    (R.UNKNOWN_ORGANISATION, "organisation", [], STATION.model_copy(update={"organisation": "O1"})),
    (R.UNKNOWN_ORGANISATION, "parent", [], FoundOrganisation(organisation="O1", kind="ngo", parent="O1")),
    (R.UNKNOWN_ORGANISATION, "organisation", [], MOVE_UP),
    (R.UNKNOWN_ORGANISATION, "parent", [ORGANISATION], MOVE_BELOW),
    (R.UNKNOWN_ORGANISATION, "organisation", [], END_ORGANISATION),
    (R.SAME_VOLUNTEER, "to_volunteer", [*WORLD, CHECK_IN], MOVE.model_copy(update={"to_volunteer": "V1"})),
    (R.SAME_VOLUNTEER, "into", WORLD, MERGE.model_copy(update={"into": "V1"})),
    (R.FUTURE, "occurred_at", WORLD, CHECK_IN.model_copy(update={"occurred_at": NOW + 301})),
    (R.FUTURE, "occurred_at", WORLD, CHECK_OUT.model_copy(update={"occurred_at": NOW + 301})),
    (R.FUTURE, "check_out", WORLD, ATTEST.model_copy(update={"check_out": NOW + 301})),
    (R.FUTURE, "check_out", [*WORLD, CHECK_IN], CORRECT.model_copy(update={"check_out": NOW + 301})),
    (R.FUTURE, "occurred_at", WORLD, VOID.model_copy(update={"occurred_at": NOW + 301})),
    (R.FUTURE, "registered_on", [], V1.model_copy(update={"registered_on": FUTURE_DAY})),
    (R.FUTURE, "withdrawn_on", WORLD, WITHDRAW.model_copy(update={"withdrawn_on": FUTURE_DAY})),
    (R.FUTURE, "occurred_at", [*WORLD, MERGE], UNDO.model_copy(update={"occurred_at": NOW + 301})),
    (R.FUTURE, "completed_on", WORLD, TRAINING.model_copy(update={"completed_on": FUTURE_DAY})),
    (R.FUTURE, "joined_on", WORLD, JOIN.model_copy(update={"joined_on": FUTURE_DAY})),
    (R.FUTURE, "left_on", WORLD, LEAVE.model_copy(update={"left_on": FUTURE_DAY})),
    (R.FUTURE, "as_of", WORLD, BALANCE.model_copy(update={"as_of": FUTURE_DAY})),
    (R.FUTURE, "day", WORLD, COUNT.model_copy(update={"day": FUTURE_DAY})),
    (R.FUTURE, "founded_on", [], ORGANISATION.model_copy(update={"founded_on": FUTURE_DAY})),
    (R.FUTURE, "moved_on", [ORGANISATION, CHILD], MOVE_UP.model_copy(update={"moved_on": FUTURE_DAY})),
    (R.FUTURE, "ended_on", [ORGANISATION], END_ORGANISATION.model_copy(update={"ended_on": FUTURE_DAY})),
    (R.ENDS_BEFORE_IT_BEGINS, "check_out", WORLD, ATTEST.model_copy(update={"check_out": NOW - 5 * HOUR})),
    (R.ENDS_BEFORE_IT_BEGINS, "check_out", [*WORLD, CHECK_IN], corrected(check_out=NOW - 3 * HOUR - 1)),
    (R.ENDS_BEFORE_IT_BEGINS, "check_out", [*WORLD, CHECK_IN], corrected(check_out=NOW - 3 * HOUR)),
    (R.ENDS_BEFORE_IT_BEGINS, "check_in", [*WORLD, CHECK_IN, CHECK_OUT], corrected(check_in=NOW - HOUR)),
    (R.ENDS_BEFORE_IT_BEGINS, "check_in", [*WORLD, CHECK_IN, CHECK_OUT], corrected(check_in=NOW - 1)),
    (R.ENDS_BEFORE_IT_BEGINS, "check_in", [*WORLD, CHECK_IN, CORRECT], corrected(check_in=NOW - HOUR)),
    (R.ENDS_BEFORE_IT_BEGINS, "check_in", [*WORLD, CHECK_IN, CHECK_OUT, VOID], corrected(check_in=NOW - 1)),
    (R.ENDS_BEFORE_IT_BEGINS, "check_out", [*WORLD, CHECK_IN], corrected(check_in=NOW - 1, check_out=NOW - 2)),
    (R.ENDS_BEFORE_IT_BEGINS, "check_in", [*WORLD, CHECK_IN, CHECK_OUT], requested(corrected(check_in=NOW - 1))),
    (R.LASTS_TOO_LONG, "check_out", WORLD, ATTEST.model_copy(update={"check_in": NOW - HOUR - WEEK - 1})),
    (R.LASTS_TOO_LONG, "check_in", [*WORLD, CHECK_IN, CHECK_OUT], corrected(check_in=NOW - HOUR - WEEK - 1)),
    (R.LASTS_TOO_LONG, "check_out", [*WORLD, EARLY_CHECK_IN], corrected(check_out=NOW - HOUR)),
    (R.UNKNOWN_SHIFT, "shift", WORLD, CORRECT),
    (R.UNKNOWN_SHIFT, "shift", WORLD, VOID),
    (R.UNKNOWN_SHIFT, "shift", WORLD, REINSTATE),
    (R.UNKNOWN_SHIFT, "shift", WORLD, MOVE),
    (R.UNKNOWN_SHIFT, "shift", WORLD, DISPUTE),
    (R.UNKNOWN_SHIFT, "shift", WORLD, SETTLE),
    (R.SHIFT_EXISTS, "shift", [*WORLD, CHECK_IN], ATTEST),
    (R.SHIFT_EXISTS, "to_volunteer", [*WORLD, CHECK_IN, CHECK_IN.model_copy(update={"volunteer": "V2"})], MOVE),
    (R.ALREADY_VOID, "shift", [*WORLD, CHECK_IN, VOID], VOID),
    (R.ALREADY_VOID, "shift", [*WORLD, CHECK_IN, VOID], MOVE),
    (R.NOT_VOID, "shift", [*WORLD, CHECK_IN], REINSTATE),
    (R.NOT_VOID, "shift", [*WORLD, CHECK_IN, VOID, REINSTATE], REINSTATE),
    (R.REPLACEMENT_STANDS, "volunteer", [*WORLD, CHECK_IN, MOVE], REINSTATE),
    (R.NO_CHECK_IN, "shift", [*WORLD, CHECK_OUT], MOVE),
    (R.NO_CHECK_IN, "shift", [*WORLD, CHECK_IN, CLEAR_CHECK_IN], MOVE),
    (R.NO_OPEN_DISPUTE, "shift", [*WORLD, CHECK_IN], SETTLE),
    (R.NO_OPEN_DISPUTE, "shift", [*DISPUTED, SETTLE], SETTLE),
    (R.NO_OPEN_DISPUTE, "shift", [*DISPUTED, SETTLE], ANSWER),
    (R.DISPUTE_FULL, "shift", [*WORLD, CHECK_IN, *[DISPUTE] * STATEMENTS_MAX], DISPUTE),
    (R.OWN_DISPUTE, "shift", [*WORLD, CHECK_IN, DISPUTE], SETTLE),
    (R.OWN_ENTRY, "shift", [*WORLD, ATTEST, by("p2", DISPUTE)], SETTLE),
    (R.OWN_ENTRY, "shift", [*WORLD, CHECK_IN, CORRECT, by("p2", DISPUTE)], SETTLE),
    (R.ALREADY_REGISTERED, "volunteer", [V1], V1),
    (R.ALREADY_WITHDRAWN, "volunteer", [V1, WITHDRAW], WITHDRAW),
    (R.ALREADY_MERGED, "volunteer", [*WORLD, MERGE], MERGE),
    (R.ALREADY_MERGED, "into", [*WORLD, MERGE], MergeVolunteer(volunteer="V2", into="V1", reason="two-cards")),
    (
        R.ALREADY_MERGED,
        "into",
        [*WORLD, V3, MERGE, FURTHER],
        FURTHER.model_copy(update={"volunteer": "V3", "into": "V1"}),
    ),
    (R.NOT_MERGED, "volunteer", WORLD, UNDO),
    (R.NOT_MERGED, "volunteer", [*WORLD, MERGE, UNDO], UNDO),
    (R.NOT_MERGED, "volunteer", [*WORLD, MERGE], UndoMerge(volunteer="V2", into="V1", reason="other-way")),
    (R.NOT_MERGED, "into", [*WORLD, V3, MERGE, FURTHER], UNDO.model_copy(update={"into": "V3"})),
    (R.ALREADY_MEMBER, "organisation", [*WORLD, JOIN], JOIN),
    (R.ALREADY_MEMBER, "organisation", [ORGANISATION, V1.model_copy(update={"organisation": "O1"})], JOIN),
    (R.NOT_A_MEMBER, "organisation", WORLD, LEAVE),
    (R.NOT_A_MEMBER, "organisation", [*WORLD, JOIN, LEAVE], LEAVE),
    (R.ALREADY_FOUNDED, "organisation", [ORGANISATION], ORGANISATION),
    (R.ORGANISATION_ENDED, "organisation", [*WORLD, END_ORGANISATION], JOIN),
    (R.ORGANISATION_ENDED, "parent", [ORGANISATION, END_ORGANISATION], CHILD),
    (R.ORGANISATION_ENDED, "parent", [ORGANISATION, CHILD, MOVE_UP, END_ORGANISATION], MOVE_BACK),
    (R.ORGANISATION_ENDED, "organisation", [ORGANISATION, CHILD, END_ORGANISATION], MOVE_BELOW),
    (R.ORGANISATION_ENDED, "organisation", [ORGANISATION, END_ORGANISATION], LED_STATION),
    (R.ORGANISATION_ENDED, "organisation", [ORGANISATION, END_ORGANISATION], LED_PROJECT),
    (R.ORGANISATION_ENDED, "organisation", [ORGANISATION, END_ORGANISATION], V1.model_copy(update=IN_O1)),
    (R.ENDED_ALREADY, "organisation", [ORGANISATION, END_ORGANISATION], END_ORGANISATION),
    (R.STANDS_THERE, "parent", [ORGANISATION, CHILD], MOVE_BACK),
    (R.BELOW_ITSELF, "parent", [ORGANISATION, CHILD], MOVE_BELOW),
    (R.BELOW_ITSELF, "parent", [ORGANISATION], MOVE_BELOW.model_copy(update={"parent": "O1"})),
    (R.BELOW_ITSELF, "parent", [ORGANISATION, CHILD, MOVE_UP], MOVE_BELOW.model_copy(update={"moved_on": EARLIER})),
    (R.BELOW_ITSELF, "parent", [ORGANISATION, CHILD, END_ORGANISATION], ORGANISATION.model_copy(update=BELOW_O2)),
    (R.UNKNOWN_TRAINING, "content", [V1], VOID_TRAINING),
    (R.UNKNOWN_TRAINING, "content", [V1, TRAINING, VOID_TRAINING], VOID_TRAINING),
    (R.UNKNOWN_TRAINING, "content", [V1, TRAINING], VOID_TRAINING.model_copy(update={"tier": "leader"})),
    (R.ALREADY_NAMED, "name", [STATION, NAME_STATION], NAME_STATION),
    (R.ALREADY_NAMED, "name", [STATION.model_copy(update=NAMED), CLOSE, STATION], NAME_STATION),
    (R.ALREADY_NAMED, "name", [PROJECT, NAME_PROJECT], NAME_PROJECT),
    (R.ALREADY_NAMED, "name", [PROJECT.model_copy(update=NAMED), END, PROJECT], NAME_PROJECT),
    (R.ALREADY_NAMED, "name", [ORGANISATION, NAME_ORGANISATION], NAME_ORGANISATION),
    (
        R.ALREADY_NAMED,
        "name",
        [ORGANISATION.model_copy(update=NAMED), END_ORGANISATION, ORGANISATION],
        NAME_ORGANISATION,
    ),
    (R.ALREADY_OPEN, "station", [STATION], STATION),
    (R.ALREADY_CLOSED, "station", [STATION, CLOSE], CLOSE),
    (R.ALREADY_LAUNCHED, "project", [PROJECT], PROJECT),
    (R.ALREADY_ENDED, "project", [PROJECT, END], END),
    (R.NO_REASON, "reason", [STATION, COUNT], COUNT),
    (R.BALANCE_STANDS, "volunteer", [V1, BALANCE], BALANCE),
    (R.NO_BALANCE, "volunteer", [V1], VOID_BALANCE),
    (R.NO_BALANCE, "volunteer", [V1, BALANCE, VOID_BALANCE], VOID_BALANCE),
    (R.RAISE_TOO_HIGH, "minutes", [V1, POLICIES], RAISE),
    (R.RAISE_TOO_LOW, "minutes", [V1, CAPPED], RAISE),
    (R.RAISE_TOO_LOW, "minutes", [V1, CAPPED], RAISE.model_copy(update={"day": EARLIER, "minutes": 479})),
    (R.RAISE_TOO_LOW, "minutes", [V1, CAPPED], RAISE.model_copy(update={"day": FUTURE_DAY})),
    (R.RAISE_TOO_LOW, "minutes", [V1, CAPPED, RAISE.model_copy(update={"minutes": 721})], RAISE),
    (R.RAISE_EXISTS, "raise_id", [V1, RAISE], RAISE),
    (R.RAISE_EXISTS, "raise_id", [V1, RAISE, WITHDRAW_RAISE], RAISE),
    (R.UNKNOWN_RAISE, "raise_id", [V1], WITHDRAW_RAISE),
    (R.UNKNOWN_RAISE, "raise_id", [V1, RAISE, WITHDRAW_RAISE], WITHDRAW_RAISE),
    (R.REQUEST_EXISTS, "request", REQUESTED, REQUEST),
    (R.UNKNOWN_REQUEST, "request", WORLD, APPROVE),
    (R.UNKNOWN_REQUEST, "request", WORLD, DECLINE),
    (R.UNKNOWN_REQUEST, "request", WORLD, WITHDRAW_REQUEST),
    (R.REQUEST_ENDED, "request", [*REQUESTED, APPROVE], APPROVE),
    (R.REQUEST_ENDED, "request", [*REQUESTED, DECLINE], APPROVE),
    (R.REQUEST_ENDED, "request", [*REQUESTED, by("p2", WITHDRAW_REQUEST)], APPROVE),
    (R.OWN_REQUEST, "request", [*WORLD, CHECK_IN, REQUEST], APPROVE),
    (R.OWN_REQUEST, "request", [*WORLD, CHECK_IN, REQUEST], DECLINE),
    (R.ANOTHERS_REQUEST, "request", REQUESTED, WITHDRAW_REQUEST),
    (R.ALREADY_PUBLISHED, "text", [PUBLISH], PUBLISH),
    (R.ALREADY_PUBLISHED, "text", [PUBLISH, PUBLISH_LATER], PUBLISH_LATER),
    (R.ALREADY_IN_FORCE, "rules_version", [PUBLISH, PUBLISH_LATER, PUT_IN_FORCE], PUT_IN_FORCE),
    *(
        (R.CHANGES_TIME_ZONE, "change_time_zone", given, command)
        for given, command in (
            ([IN_BERLIN], IN_SHANGHAI),
            ([IN_BERLIN], IN_SHANGHAI.model_copy(update={"in_force": False})),
            ([IN_SHANGHAI, IN_BERLIN.model_copy(update={"change_time_zone": True})], PUT_FIRST),
        )
    ),
    (R.MERGED_TOO_OFTEN, "volunteer", [*WORLD, CHECK_IN, *MERGED_OFTEN], VOID),
    (R.TREE_TOO_LARGE, "parent", [*WORLD, *TALL_TREE], MoveOrganisation(**UNDER_A_TALL_TREE)),
    (R.CHANGED_SINCE, "shift", [*WORLD, CHECK_IN, CHECK_OUT], VOID.model_copy(update={"expected_version": 1})),
]
BY_INTAKE = {R.NOT_ALONE, R.NAME_TAKEN, R.FAILED, R.RECORD_FULL, R.EVENT_TOO_LARGE}
"""Rejections that no decision makes: tests/ledger/intake/test_intake.py has them."""

GRANTED: list[tuple[Sequence[Given], Command, list[str]]] = [
    (WORLD, CHECK_IN, ["checked-in.v1"]),
    ([*WORLD, CHECK_IN], CHECK_IN, ["checked-in.v1"]),  # a second check-in is a fact
    (WORLD, Punch(volunteer="V1", station="S1", occurred_at=NOW), ["punched.v1"]),
    (WORLD, CHECK_OUT_WITHOUT_SHIFT, ["punched.v1"]),
    (WORLD, CHECK_OUT, ["checked-out.v1"]),  # and so is a check-out that comes before its check-in
    ([*WORLD, CHECK_IN, CHECK_OUT], CHECK_OUT, ["checked-out.v1"]),
    ([*WORLD, WITHDRAW], CHECK_IN, ["checked-in.v1"]),
    ([*WORLD, CLOSE], CHECK_IN, ["checked-in.v1"]),
    ([*WORLD, END], CHECK_IN.model_copy(update={"project": "P1"}), ["checked-in.v1"]),
    ([*WORLD, MERGE], CHECK_IN, ["checked-in.v1"]),
    ([*WORLD, CHECK_IN, VOID], CHECK_OUT, ["checked-out.v1"]),
    (WORLD, CHECK_IN.model_copy(update={"occurred_at": NOW + 300}), ["checked-in.v1"]),  # within the clock's skew
    (WORLD, CHECK_IN.model_copy(update={"occurred_at": NOW - 8 * 366 * 24 * HOUR}), ["checked-in.v1"]),  # very late
    ([*WORLD, CHECK_IN], CHECK_OUT_WITHOUT_SHIFT, ["punched.v1"]),
    (WORLD, ATTEST, ["checked-in.v1", "checked-out.v1"]),
    ([*WORLD, CHECK_IN], CORRECT, ["shift-corrected.v1"]),
    ([*WORLD, CHECK_IN, CHECK_OUT], corrected(check_in=NOW - HOUR - WEEK), ["shift-corrected.v1"]),
    ([*WORLD, CHECK_IN, CHECK_OUT], corrected(check_in=NOW - HOUR, check_out=NOW), ["shift-corrected.v1"]),
    ([*WORLD, CHECK_IN, CHECK_OUT], corrected(check_in=NOW - 1, check_out=None), ["shift-corrected.v1"]),
    ([*WORLD, CHECK_IN, CHECK_OUT], corrected(check_in=None), ["shift-corrected.v1"]),
    ([*WORLD, CHECK_IN], corrected(check_in=NOW - 1), ["shift-corrected.v1"]),
    ([*WORLD, CHECK_OUT, EARLY_CHECK_IN], corrected(project="P1"), ["shift-corrected.v1"]),  # scans are facts
    ([*WORLD, CHECK_IN], VOID, ["shift-voided.v1"]),
    ([*WORLD, CHECK_IN, VOID], REINSTATE, ["shift-reinstated.v1"]),
    ([*WORLD, CHECK_IN, CHECK_OUT], MOVE, ["shift-voided.v1", "checked-in.v1", "checked-out.v1"]),
    ([*WORLD, CHECK_IN], MOVE, ["shift-voided.v1", "checked-in.v1"]),
    ([*WORLD, CHECK_IN, DISPUTE], DISPUTE, ["shift-disputed.v1"]),
    (DISPUTED, ANSWER, ["dispute-answered.v1"]),
    (DISPUTED, SETTLE, ["dispute-settled.v1"]),
    ([], V1, ["volunteer-registered.v1"]),
    ([V1, WITHDRAW], V1, ["volunteer-registered.v1"]),  # somebody comes back
    ([V1], WITHDRAW, ["volunteer-withdrawn.v1"]),
    (WORLD, MERGE, ["volunteer-merged.v1"]),
    ([*WORLD, V3, MERGE], FURTHER, ["volunteer-merged.v1"]),  # a number that goes on may go on as another
    ([*WORLD, V3, MERGE, FURTHER], UNDO, ["volunteer-merge-undone.v1"]),
    ([*WORLD, MERGE, UNDO], MERGE, ["volunteer-merged.v1"]),
    ([*WORLD, MERGE, UNDO], MERGE.model_copy(update={"volunteer": "V2", "into": "V1"}), ["volunteer-merged.v1"]),
    (WORLD, TRAINING, ["training-completed.v1"]),
    (WORLD, JOIN, ["organisation-joined.v1"]),
    ([*WORLD, JOIN], LEAVE, ["organisation-left.v1"]),
    ([], ORGANISATION, ["organisation-founded.v1"]),
    ([ORGANISATION], CHILD, ["organisation-founded.v1"]),
    ([ORGANISATION, CHILD], MOVE_UP, ["organisation-moved.v1"]),
    ([ORGANISATION, CHILD, MOVE_UP], MOVE_BACK, ["organisation-moved.v1"]),
    ([ORGANISATION, CHILD, MOVE_UP], MOVE_BELOW, ["organisation-moved.v1"]),
    ([ORGANISATION], END_ORGANISATION, ["organisation-ended.v1"]),
    ([ORGANISATION, END_ORGANISATION], ORGANISATION, ["organisation-founded.v1"]),
    ([*WORLD, END_ORGANISATION], JOIN.model_copy(update={"joined_on": EARLIER}), ["organisation-joined.v1"]),
    ([V1, TRAINING], VOID_TRAINING, ["training-voided.v1"]),
    ([V1, TRAINING, TRAINING, VOID_TRAINING], VOID_TRAINING, ["training-voided.v1"]),
    ([], STATION, ["station-opened.v1"]),
    ([STATION, CLOSE], STATION, ["station-opened.v1"]),
    ([STATION], NAME_STATION, ["station-renamed.v1"]),
    ([STATION.model_copy(update={"name": "East gate"}), CLOSE], NAME_STATION, ["station-renamed.v1"]),
    ([PROJECT], NAME_PROJECT, ["project-renamed.v1"]),
    ([ORGANISATION, END_ORGANISATION], NAME_ORGANISATION, ["organisation-renamed.v1"]),
    ([STATION], CLOSE, ["station-closed.v1"]),
    ([], PROJECT, ["project-launched.v1"]),
    ([PROJECT], END, ["project-ended.v1"]),
    ([STATION], COUNT, ["people-served-counted.v1"]),
    ([STATION, COUNT], COUNT.model_copy(update={"reason": "miscounted"}), ["people-served-counted.v1"]),
    ([V1], BALANCE, ["opening-balance-recorded.v1"]),
    ([V1, BALANCE, VOID_BALANCE], BALANCE, ["opening-balance-recorded.v1"]),
    ([V1, BALANCE], VOID_BALANCE, ["opening-balance-voided.v1"]),
    ([V1], RAISE.model_copy(update={"day": FUTURE_DAY}), ["day-cap-raised.v1"]),  # approved beforehand
    ([V1, CAPPED], RAISE.model_copy(update={"minutes": 721}), ["day-cap-raised.v1"]),  # the cap itself
    ([V1, CAPPED], RAISE.model_copy(update={"day": EARLIER, "minutes": 480}), ["day-cap-raised.v1"]),
    ([V1], RAISE.model_copy(update={"minutes": 1}), ["day-cap-raised.v1"]),  # without rules there is no cap
    ([V1, RAISE], WITHDRAW_RAISE, ["day-cap-raise-withdrawn.v1"]),
    ([*WORLD, CHECK_IN], REQUEST, ["act-requested.v1"]),
    (REQUESTED, APPROVE, ["act-approved.v1", "shift-voided.v1"]),
    (REQUESTED, DECLINE, ["act-declined.v1"]),
    ([*WORLD, CHECK_IN, REQUEST], WITHDRAW_REQUEST, ["act-withdrawn.v1"]),
    ([], PUBLISH, ["rules-published.v1"]),
    ([PUBLISH, PUBLISH_LATER], PUT_IN_FORCE, ["rules-put-in-force.v1"]),
]


@pytest.mark.parametrize(
    ("rejection", "field", "given", "command"), REFUSED, ids=lambda value: getattr(value, "code", "")
)
def test_a_command_is_refused_under_the_name_of_the_rule(
    rejection: Rejection, field: str, given: Sequence[Given], command: Command
) -> None:
    answer = Memory().given(*given).decide(command)
    assert isinstance(answer, Refused), answer
    assert (answer.rejection, answer.field) == (rejection, field)
    assert answer.detail.startswith(f"{field} ")
    assert answer.retry == rejection.retry


def test_the_table_has_every_rejection_in_the_order_of_precedence() -> None:
    named = list(dict.fromkeys(rejection for rejection, *_ in REFUSED))
    assert named == [rejection for rejection in Rejection if rejection not in BY_INTAKE | OF_HONORS | OF_CERTIFICATES]


@pytest.mark.parametrize(("given", "command", "topics"), GRANTED, ids=lambda value: getattr(value, "TYPE", ""))
def test_a_command_is_granted(given: Sequence[Given], command: Command, topics: list[str]) -> None:
    decision = Memory().given(*given).decide(command)
    assert not isinstance(decision, Refused), decision
    assert [event.TOPIC for event in decision] == topics
    assert {event.recorded_at for event in decision} == {NOW}
    actor = "station:S1" if isinstance(command, Scan) else "person:p1"
    assert all(actor in {event.by, event.approved_by} for event in decision)


def test_every_command_has_a_decision_and_a_row_that_grants_it() -> None:
    assert {name for name, kind in COMMANDS.items() if "decide" in vars(kind)} == set(COMMANDS)
    assert set(COMMANDS) == {command.TYPE for _, command, _ in GRANTED} | HONOR_COMMANDS | CERTIFICATE_COMMANDS


SHARED: dict[str, Callable[..., object]] = {
    "not_recorded": ShiftAct.not_recorded,
    "open_request": RequestDecision.open_request,
    "refused": Scan.refused,
    "open_request_of_another": RequestDecision.open_request_of_another,
    "_unsound_evidence": honor._unsound_evidence,
}
"""What ladders have in common, by the name it is called by."""


def _rungs(decision: Callable[..., object]) -> list[str]:
    """Return the rejections that a function names, top to bottom, with those of the rungs that several share."""
    tree = ast.parse(dedent(inspect.getsource(decision)))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Call)]
    rungs: list[str] = []
    for node in sorted(nodes, key=lambda one: (one.lineno, one.col_offset)):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "Rejection":
                rungs.append(node.attr)
            continue
        match getattr(node.func, "attr", getattr(node.func, "id", None)):
            case "unknown":  # of the case: the fields, and what each names
                rungs += [f"UNKNOWN_{ast.literal_eval(one.value).upper()}" for one in node.keywords]
            case "future":
                rungs.append("FUTURE")
            case name if name in SHARED:
                rungs += _rungs(SHARED[name])
    return rungs


@pytest.mark.parametrize("name", COMMANDS)
def test_every_ladder_descends_in_the_order_of_precedence(name: str) -> None:
    precedence = [rejection.name for rejection in Rejection]
    rungs = _rungs(COMMANDS[name].decide)
    assert rungs
    assert rungs == sorted(rungs, key=precedence.index)


def test_the_first_rule_in_the_order_of_precedence_is_the_answer() -> None:
    hopeless = CHECK_IN.model_copy(update={"project": "P1", "occurred_at": NOW + HOUR})
    ledger = Memory()
    answers = []
    for repair in (V1, STATION, PROJECT, None):
        answer = ledger.decide(hopeless)
        assert isinstance(answer, Refused)
        answers.append(answer.rejection)
        if repair:
            ledger.given(repair)
    assert answers == [R.UNKNOWN_VOLUNTEER, R.UNKNOWN_STATION, R.UNKNOWN_PROJECT, R.FUTURE]


# --- scans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "direction"),
    [
        (CheckIn(volunteer="V1", station="S1", occurred_at=NOW - HOUR), "in"),
        (CHECK_OUT_WITHOUT_SHIFT, "out"),
        (Punch(volunteer="V1", station="S1", occurred_at=NOW - HOUR), None),
        (Punch(volunteer="V1", station="S1", occurred_at=NOW - HOUR, direction="in"), "in"),
        (Punch(volunteer="V1", station="S1", occurred_at=NOW - HOUR, direction="out"), "out"),
    ],
    ids=lambda value: getattr(value, "TYPE", ""),
)
@pytest.mark.parametrize(
    "given",
    [WORLD, [*WORLD, CHECK_IN], [*WORLD, CHECK_IN, SECOND_CHECK_IN], [*WORLD, CHECK_IN, CHECK_OUT]],
    ids=["no shift", "one open", "several open", "none open"],
)
def test_a_scan_without_a_shift_id_is_a_punch_whatever_is_open(
    given: Sequence[Given], command: Scan, direction: str | None
) -> None:
    decision = Memory().given(*given).decide(command)
    assert not isinstance(decision, Refused)
    (event,) = decision
    assert isinstance(event, Punched)
    assert (event.direction, event.station, event.occurred_at) == (direction, "S1", NOW - HOUR)
    assert event.shift == shift_id_for(NOW - HOUR, event.command)


@pytest.mark.parametrize("command", [CHECK_IN, CHECK_OUT, CHECK_OUT_WITHOUT_SHIFT], ids=["in", "out", "punch"])
@pytest.mark.parametrize(("actor", "evidence"), [("station:S1", None), ("person:p1", "typed")])
def test_what_a_person_types_is_attested_whatever_the_command(
    command: Command, actor: str, evidence: str | None
) -> None:
    decision = Memory().given(*WORLD).decide(command, by=actor)
    assert not isinstance(decision, Refused)
    (event,) = decision
    assert event.evidence == evidence  # type: ignore[attr-defined] # every scan has it


@pytest.mark.parametrize("command", [CHECK_IN, CHECK_OUT, CHECK_OUT_WITHOUT_SHIFT], ids=["in", "out", "punch"])
@pytest.mark.parametrize(
    ("settings", "actor", "imported", "is_refused"),
    [
        ("typed_scans = true", "person:p1", False, True),
        ("typed_scans = true", "station:S1", False, False),
        ("typed_scans = true", "person:p1", True, False),
        ("typed_scans = true, imported = true", "person:p1", True, True),
        ('kinds = ["attest-shift"]', "person:p1", False, False),
    ],
)
def test_rules_may_refuse_what_a_person_types(
    command: Command, settings: str, actor: str, *, imported: bool, is_refused: bool
) -> None:
    rules = PublishRules(text=f'time_zone = "Asia/Shanghai"\napprovals = {{ {settings} }}')
    decision = Memory().given(*WORLD, rules).decide(command, by=actor, imported=imported)
    if is_refused:
        assert isinstance(decision, Refused)
        assert (decision.rejection, decision.field) == (Rejection.NEEDS_APPROVAL, "command")
        assert "request attest-shift or correct-shift instead" in str(decision.detail)
    else:
        assert not isinstance(decision, Refused)


def test_a_shift_whose_id_was_made_by_a_fast_clock_on_the_next_day_is_still_found() -> None:
    midnight = NOW // 86400 * 86400
    id_of_tomorrow = shift_id_for(midnight + 100, "fast-clock#1")
    check_in = CheckIn(volunteer="V1", station="S1", occurred_at=midnight - 120, shift=id_of_tomorrow)
    Memory().given(V1, STATION, check_in, CheckOut(volunteer="V1", station="S1", occurred_at=midnight - 60))


# --- moved shifts ---------------------------------------------------------------------------------------------------


def test_a_moved_shift_keeps_its_id_and_the_instants_in_force() -> None:
    corrected = CORRECT.model_copy(update={"changes": ("check_out", "project"), "project": "P1"})
    ledger = Memory().given(*WORLD, CHECK_IN, CHECK_OUT, corrected, MOVE)
    check_in, check_out = ledger.shift_events("V2")
    assert isinstance(check_in, CheckedIn)
    assert isinstance(check_out, CheckedOut)
    assert (check_in.shift, check_in.occurred_at, check_in.project) == (SHIFT, NOW - 3 * HOUR, "P1")
    assert (check_in.replaces, check_in.evidence) == ("V1", "wrong-card")
    assert (check_out.occurred_at, check_out.evidence) == (NOW - 2 * HOUR, "wrong-card")
    void = ledger.shift_events("V1")[-1]
    assert isinstance(void, ShiftVoided)
    assert void.replaced_by == "V2"


def test_a_shift_that_moved_twice_is_reinstated_only_when_nobody_holds_it() -> None:
    v3 = V1.model_copy(update={"volunteer": "V3"})
    move_on = MOVE.model_copy(update={"volunteer": "V2", "to_volunteer": "V3"})
    ledger = Memory().given(*WORLD, v3, CHECK_IN, MOVE, move_on)
    answer = ledger.decide(REINSTATE)
    assert isinstance(answer, Refused)
    assert answer.detail.startswith("volunteer V3:")
    ledger.given(VOID.model_copy(update={"volunteer": "V3"}), REINSTATE)


# --- rules and honours ----------------------------------------------------------------------------------------------


def test_each_published_timeline_has_the_next_version() -> None:
    ledger = Memory().given(PUBLISH, PUBLISH.model_copy(update={"text": "second"}), PUBLISH)
    versions = [
        event.version for (events) in ledger.streams.values() for event in events if isinstance(event, RulesPublished)
    ]
    assert versions == [1, 2, 3]


def test_the_digest_of_a_free_text_is_in_the_event_and_the_text_is_not() -> None:
    ledger = Memory().given(*WORLD, CHECK_IN)
    decision = ledger.decide(VOID.model_copy(update={"text": "his mother is ill"}), note="0f" * 32)
    assert not isinstance(decision, Refused)
    _, state = encode(decision[0])
    assert b"mother" not in state
    assert b"0f" * 32 in state
