"""Approval binds hours: what an act changes decides whether another person has to approve it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import get_args
from uuid import UUID

import pytest

from ledger.aggregates import Command
from ledger.aggregates.day_cap import RaiseDayCap, WithdrawDayCapRaise
from ledger.aggregates.dispute import AnswerDispute, DisputeShift, SettleDispute
from ledger.aggregates.four_eyes import effects
from ledger.aggregates.honor import AnnounceHonor, AwardHonor, RevokeHonor
from ledger.aggregates.opening_balance import RecordOpeningBalance, VoidOpeningBalance
from ledger.aggregates.people_served import CountPeopleServed
from ledger.aggregates.request import ApproveAct, RequestAct
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.scans import CheckIn, CheckOut
from ledger.aggregates.shift_acts import AttestShift, CorrectShift, MoveShift, ReinstateShift, VoidShift
from ledger.aggregates.station import OpenStation
from ledger.aggregates.volunteer import (
    MergeVolunteer,
    RecordTraining,
    RegisterVolunteer,
    UndoMerge,
    VoidTraining,
    WithdrawVolunteer,
)
from ledger.deciding.policies import ApprovableAct
from ledger.names import shift_id_for
from ledger.rejections import Refused, Rejection
from tests.ledger.decisions.test_decide import GRANTED
from tests.support.ledger.helpers import NOW, Given, Memory, by

MINUTE, HOUR = 60, 3600
MIDNIGHT = NOW - 34 * HOUR  # of the local day in Shanghai
DAY = date(2018, 12, 3)
NUMBERS = ("V1", "V2", "V3")
WORLD: list[Given] = [
    *(RegisterVolunteer(volunteer=number, registered_on=date(2018, 1, 1)) for number in NUMBERS),
    OpenStation(station="S1", kind="city"),
]


def rules(settings: str) -> PublishRules:
    return PublishRules(text=f'time_zone = "Asia/Shanghai"\napprovals = {{ {settings} }}')


def at(clock: str, day: int = 0) -> int:
    hours, minutes = clock.split(":")
    return MIDNIGHT + day * 24 * HOUR + int(hours) * HOUR + int(minutes) * MINUTE


def shift_id(begins: str, day: int = 0, name: str = "") -> UUID:
    return shift_id_for(at(begins, day), f"test#{begins}{name}")


def scanned(begins: str, ends: str | None, day: int = 0, volunteer: str = "V1") -> list[Given]:
    scan = {"volunteer": volunteer, "station": "S1", "shift": shift_id(begins, day)}
    check_in: Given = {"by": "station:S1", "command": CheckIn(**scan, occurred_at=at(begins, day))}
    check_out: Given = {"by": "station:S1", "command": CheckOut(**scan, occurred_at=at(ends or "0:00", day))}
    return [check_in, check_out] if ends else [check_in]


def attest(begins: str, ends: str, day: int = 0, volunteer: str = "V1", name: str = "") -> AttestShift:
    instants = {"check_in": at(begins, day), "check_out": at(ends, day)}
    shift = shift_id(begins, day, name)
    return AttestShift(volunteer=volunteer, station="S1", evidence="paper-list", shift=shift, **instants)


def correct(shift: str, volunteer: str = "V1", day: int = 0, *, id_day: int = 0, **instants: str) -> CorrectShift:
    named = {field: at(clock, day) for field, clock in instants.items()}
    about = {"volunteer": volunteer, "shift": shift_id(shift, id_day), "reason": "forgot"}
    return CorrectShift.model_validate({**about, "changes": tuple(named), **named})


def void(shift: str, volunteer: str = "V1") -> VoidShift:
    return VoidShift(volunteer=volunteer, shift=shift_id(shift), reason="test-scan")


def reinstate(shift: str) -> ReinstateShift:
    return ReinstateShift(volunteer="V1", shift=shift_id(shift), reason="was-real")


def move(shift: str, to: str = "V2") -> MoveShift:
    return MoveShift(volunteer="V1", shift=shift_id(shift), to_volunteer=to, reason="wrong-card")


def approved(command: Command, request: str = "R1", *, imported: bool = False) -> list[Given]:
    fields = command.model_dump(mode="json", exclude_defaults=True)
    asked = RequestAct.model_validate({"request": request, "act": command.TYPE, "fields": fields})
    return [by(f"li{request}", asked, imported=imported), by(f"anna{request}", ApproveAct(request=request))]


def merge(volunteer: str = "V1", into: str = "V2") -> MergeVolunteer:
    return MergeVolunteer(volunteer=volunteer, into=into, reason="two-cards")


UNDO = UndoMerge(volunteer="V1", into="V2", reason="two-persons")
BALANCE = RecordOpeningBalance(volunteer="V1", minutes=600, as_of=date(2010, 1, 1), evidence="paper-book")
VOID_BALANCE = VoidOpeningBalance(volunteer="V1", reason="counted-twice")
RAISE = RaiseDayCap(volunteer="V1", day=DAY, raise_id="R1", minutes=720, reason="typhoon")
TRAINING = RecordTraining(
    volunteer="V1", tier="basic", content="first-aid", learning_minutes=90, provider="red-cross", completed_on=DAY
)
VOID_TRAINING = VoidTraining(
    volunteer="V1", tier="basic", content="first-aid", provider="red-cross", completed_on=DAY, reason="wrong-card"
)
DISPUTE = DisputeShift(volunteer="V1", shift=shift_id("9:00"), reason="too-few")
SETTLE_WITHOUT_ACT = SettleDispute(volunteer="V1", shift=shift_id("9:00"), outcome="upheld", reason="seen")
SETTLE = SETTLE_WITHOUT_ACT.model_copy(
    update={"act": "correct-shift", "fields": {"changes": ["check_out"], "check_out": at("17:00")}}
)
COUNT = CountPeopleServed(station="S1", day=DAY, people=300, reason="counted")
ANNOUNCED = by(
    "li", AnnounceHonor(award="A1", honor="star-1", volunteer="V1", occurred_at=NOW - 30 * 24 * HOUR), imported=True
)
AWARD = AwardHonor(award="A1", awarded_on=DAY, rules_version=0, evidence_position=0, credited_minutes=0)
REVOKE = RevokeHonor(award="A1", reason="in-error")
HALF_HOUR = attest("9:00", "9:30")
SHIFT, PERSON_DAY = "shift_minutes_more = 30", "person_day_minutes_more = 30"
APPROVED, BETWEEN = "approved_records = true", "between_persons = true"

ROWS: list[tuple[str, str, Sequence[Given], Given, bool]] = [
    # --- the raw minutes of a shift
    (SHIFT, "as much as one may", scanned("9:00", "11:30"), correct("9:00", check_out="12:00"), False),
    (SHIFT, "a minute more", scanned("9:00", "11:30"), correct("9:00", check_out="12:01"), True),
    (SHIFT, "at both ends", scanned("9:00", "11:30"), correct("9:00", check_in="8:44", check_out="11:45"), True),
    (
        SHIFT,
        "in small steps",
        [*scanned("9:00", "11:30"), correct("9:00", check_out="12:00")],
        correct("9:00", check_out="12:01"),
        True,
    ),
    (
        SHIFT,
        "back to what was scanned",
        [*scanned("9:00", "11:30"), correct("9:00", check_out="11:10")],
        correct("9:00", check_out="11:30"),
        False,
    ),
    (
        SHIFT,
        "back to what was scanned, by more",
        [*scanned("9:00", "11:30"), correct("9:00", check_out="9:30")],
        correct("9:00", check_out="11:30"),
        True,
    ),
    (SHIFT, "less", scanned("9:00", "11:30"), correct("9:00", check_out="9:10"), False),
    (SHIFT, "a void", scanned("9:00", "11:30"), void("9:00"), False),
    (SHIFT, "a void undone", [*scanned("9:00", "11:30"), void("9:00")], reinstate("9:00"), True),
    (SHIFT, "a short void undone", [*scanned("9:00", "9:30"), void("9:00")], reinstate("9:00"), False),
    (SHIFT, "a missing check-out", scanned("9:00", None), correct("9:00", check_out="17:00"), True),
    (SHIFT, "a late entry", [], HALF_HOUR, False),
    (SHIFT, "a long late entry", [], attest("9:00", "9:31"), True),
    (SHIFT, "half an hour to eight", [HALF_HOUR], correct("9:00", check_out="17:00"), True),
    (SHIFT, "approved", approved(attest("9:00", "11:30")), correct("9:00", check_out="12:00"), False),
    (
        SHIFT,
        "imported",
        [by("li", attest("9:00", "11:30"), imported=True)],
        correct("9:00", check_out="12:00"),
        False,
    ),
    (SHIFT, "an imported late entry", [], by("li", attest("9:00", "17:00"), imported=True), False),
    (
        SHIFT,
        "a correction that calls itself imported",
        [HALF_HOUR],
        by("li", correct("9:00", check_out="17:00"), imported=True),
        True,
    ),
    (
        SHIFT,
        "places",
        scanned("9:00", "17:00"),
        CorrectShift(volunteer="V1", shift=shift_id("9:00"), changes=("project",), reason="x"),
        False,
    ),
    (SHIFT, "a settlement", [*scanned("9:00", "11:30"), by("p2", DISPUTE)], SETTLE, True),
    (SHIFT, "a settlement without an act", [*scanned("9:00", "11:30"), by("p2", DISPUTE)], SETTLE_WITHOUT_ACT, False),
    (SHIFT, "a move", scanned("9:00", "17:00"), move("9:00"), False),
    (SHIFT, "a scan", [*scanned("9:00", "9:30")], scanned("9:00", "17:00")[1], False),
    (SHIFT, "a second's difference", scanned("9:00", "11:30"), correct("9:00", check_out="12:00"), False),
    # --- the raw minutes of a person's day
    (PERSON_DAY, "as much as one may", scanned("9:00", "11:30"), correct("9:00", check_out="12:00"), False),
    (PERSON_DAY, "a minute more", scanned("9:00", "11:30"), correct("9:00", check_out="12:01"), True),
    (PERSON_DAY, "another shift", [HALF_HOUR], attest("13:00", "13:01"), True),
    (PERSON_DAY, "another shift of another day", [HALF_HOUR], attest("13:00", "13:30", day=-1), False),
    (PERSON_DAY, "another person's", [HALF_HOUR], attest("13:00", "13:30", volunteer="V2"), False),
    (PERSON_DAY, "beside a scan", scanned("8:00", "9:00"), HALF_HOUR, False),
    (PERSON_DAY, "beside an approved one", approved(attest("12:00", "14:00")), HALF_HOUR, False),
    (PERSON_DAY, "beside an imported one", [by("li", attest("12:00", "14:00"), imported=True)], HALF_HOUR, False),
    (PERSON_DAY, "at both ends of the local day", [attest("0:05", "0:20")], attest("23:40", "23:56"), True),
    (PERSON_DAY, "the local day before", [attest("23:40", "23:59", day=-1)], attest("0:05", "0:35"), False),
    (
        PERSON_DAY,
        "to another day",
        scanned("9:00", "9:31", day=-1),
        correct("9:00", id_day=-1, check_in="9:00", check_out="9:31"),
        True,
    ),
    (
        PERSON_DAY,
        "to a day to which the id does not lead",
        scanned("9:00", "9:05", day=-9),
        correct("9:00", id_day=-9, check_in="9:00", check_out="9:05"),
        True,
    ),
    (PERSON_DAY, "a move", scanned("9:00", "17:00"), move("9:00"), True),
    (PERSON_DAY, "a move within a person", [*scanned("9:00", "17:00"), *approved(merge())], move("9:00"), False),
    (PERSON_DAY, "a merge", [], merge(), True),
    (PERSON_DAY, "a merge undone", approved(merge()), UNDO, False),
    (
        PERSON_DAY,
        "the number merged into",
        [*approved(merge()), HALF_HOUR],
        attest("13:00", "13:01", volunteer="V2"),
        True,
    ),
    (
        PERSON_DAY,
        "the merged number",
        [*approved(merge()), attest("9:00", "9:30", volunteer="V2")],
        attest("13:00", "13:01"),
        True,
    ),
    (
        PERSON_DAY,
        "two merged numbers",
        [*approved(merge()), *approved(merge("V3"), "R2"), HALF_HOUR],
        attest("13:00", "13:01", volunteer="V3"),
        True,
    ),
    (
        PERSON_DAY,
        "numbers that are two persons' again",
        [*approved(merge()), HALF_HOUR, UNDO],
        attest("13:00", "13:30", volunteer="V2"),
        False,
    ),
    # --- what was approved
    (APPROVED, "half an hour to eight", approved(HALF_HOUR), correct("9:00", check_out="17:00"), True),
    (APPROVED, "less", approved(HALF_HOUR), correct("9:00", check_out="9:10"), True),
    (APPROVED, "a void", approved(HALF_HOUR), void("9:00"), True),
    (APPROVED, "a move", approved(HALF_HOUR), move("9:00"), True),
    (
        APPROVED,
        "a move approved, at its end",
        [*scanned("9:00", "9:30"), *approved(move("9:00"))],
        void("9:00", "V2"),
        True,
    ),
    (
        APPROVED,
        "a void that was approved",
        [*scanned("9:00", "9:30"), *approved(void("9:00"))],
        reinstate("9:00"),
        True,
    ),
    (APPROVED, "what nobody approved", [HALF_HOUR], correct("9:00", check_out="17:00"), False),
    (APPROVED, "a dispute", approved(HALF_HOUR), by("p2", DISPUTE), False),
    (
        APPROVED,
        "an answer",
        [*approved(HALF_HOUR), by("p2", DISPUTE)],
        AnswerDispute(volunteer="V1", shift=shift_id("9:00"), reason="seen"),
        False,
    ),
    (APPROVED, "a settlement", [*approved(HALF_HOUR), by("p2", DISPUTE)], by("p3", SETTLE), True),
    (
        APPROVED,
        "a settlement without an act",
        [*approved(HALF_HOUR), by("p2", DISPUTE)],
        by("p3", SETTLE_WITHOUT_ACT),
        False,
    ),
    (APPROVED, "a scan", approved(HALF_HOUR), scanned("9:00", "17:00")[1], False),
    (APPROVED, "a merge", approved(merge()), UNDO, True),
    (APPROVED, "a merge that nobody approved", [merge()], UNDO, False),
    (APPROVED, "a training", approved(TRAINING), VOID_TRAINING, True),
    (
        APPROVED,
        "another training",
        [*approved(TRAINING), TRAINING.model_copy(update={"tier": "leader"})],
        VOID_TRAINING.model_copy(update={"tier": "leader"}),
        False,
    ),
    (APPROVED, "a training of somebody merged", [TRAINING, *approved(merge())], VOID_TRAINING, False),
    (
        APPROVED,
        "a withdrawal after a merge",
        approved(merge()),
        WithdrawVolunteer(volunteer="V1", withdrawn_on=DAY, reason="moved"),
        False,
    ),
    (APPROVED, "a balance", approved(BALANCE), VOID_BALANCE, True),
    (APPROVED, "a balance anew", [*approved(BALANCE), *approved(VOID_BALANCE, "R2")], BALANCE, True),
    (
        APPROVED,
        "a raise",
        approved(RAISE),
        WithdrawDayCapRaise(volunteer="V1", day=DAY, raise_id="R1", reason="x"),
        True,
    ),
    (APPROVED, "a higher raise", approved(RAISE), RAISE.model_copy(update={"raise_id": "R2", "minutes": 800}), True),
    (APPROVED, "a raise of another day", approved(RAISE), RAISE.model_copy(update={"day": date(2018, 12, 2)}), False),
    (APPROVED, "people served", approved(COUNT), COUNT, True),
    (APPROVED, "people served, by the station", approved(COUNT), {"by": "station:S1", "command": COUNT}, False),
    (APPROVED, "an award", [ANNOUNCED, *approved(AWARD, imported=True)], REVOKE, True),
    (APPROVED, "an award that nobody approved", [ANNOUNCED, by("li", AWARD, imported=True)], REVOKE, False),
    # --- between persons
    (BETWEEN, "a move", scanned("9:00", "9:30"), move("9:00"), True),
    (BETWEEN, "a move within a person", [*scanned("9:00", "9:30"), *approved(merge())], move("9:00"), False),
    (
        BETWEEN,
        "a move taken back",
        [*scanned("9:00", "9:30"), *approved(move("9:00")), void("9:00", "V2")],
        reinstate("9:00"),
        True,
    ),
    (BETWEEN, "a void taken back", [*scanned("9:00", "9:30"), void("9:00")], reinstate("9:00"), False),
    (
        BETWEEN,
        "a settlement",
        [*scanned("9:00", "9:30"), by("p2", DISPUTE)],
        SETTLE.model_copy(update={"act": "move-shift", "fields": {"to_volunteer": "V2"}}),
        True,
    ),
    (BETWEEN, "a merge", [], merge(), True),
    (BETWEEN, "a merge undone", approved(merge()), UNDO, True),
    (BETWEEN, "a balance", [], BALANCE, True),
    (BETWEEN, "an imported balance", [], by("li", BALANCE, imported=True), False),
    (BETWEEN, "a balance voided", [by("li", BALANCE, imported=True)], VOID_BALANCE, True),
    (BETWEEN, "a correction", [HALF_HOUR], correct("9:00", check_out="17:00"), False),
]


@pytest.mark.parametrize(
    ("settings", "given", "command", "needs_approval"),
    [pytest.param(settings, *row, id=f"{settings.split()[0]}: {name}") for settings, name, *row in ROWS],
)
def test_an_effect_needs_approval(
    settings: str,
    given: Sequence[Given],
    command: Given,
    needs_approval: bool,  # noqa: FBT001 - a column of the table
) -> None:
    ledger = Memory().given(*WORLD, *given, rules(settings))
    answer = ledger.decide(command)
    if not needs_approval:
        assert not isinstance(answer, Refused), answer.detail
        return
    assert isinstance(answer, Refused), answer
    assert (answer.rejection, answer.field, answer.retry) == (Rejection.NEEDS_APPROVAL, "command", False)
    ledger.given(*approved(command["command"] if isinstance(command, dict) else command, "LAST"))


@pytest.mark.parametrize(("given", "command", "topics"), GRANTED, ids=lambda value: getattr(value, "TYPE", ""))
def test_what_cannot_be_requested_has_no_effect(given: Sequence[Given], command: Command, topics: list[str]) -> None:
    """Otherwise it would be refused, and nobody could have it approved."""
    settings = rules(
        "shift_minutes_more = 0, person_day_minutes_more = 0, approved_records = true, between_persons = true"
    )
    ledger = Memory().given(*given)
    if command.TYPE != "publish-rules":
        ledger.given(settings)
    answer = ledger.decide(command)
    if isinstance(answer, Refused):
        assert answer.rejection is Rejection.NEEDS_APPROVAL
        assert command.TYPE in get_args(ApprovableAct)
    else:
        assert [event.TOPIC for event in answer] == topics


def test_the_refusal_says_what_the_act_would_change() -> None:
    ledger = Memory().given(*WORLD, HALF_HOUR, rules(SHIFT))
    answer = ledger.decide(correct("9:00", check_out="17:00"))
    assert isinstance(answer, Refused)
    assert answer.detail == (
        "command correct-shift (it raises a shift by 480 minutes, more than 30): the rules require another person's "
        "approval for this; request it with request-act"
    )


def test_an_approval_is_of_one_act_and_not_of_the_next() -> None:
    ledger = Memory().given(*WORLD, HALF_HOUR, rules(f"{SHIFT}, {APPROVED}"))
    ledger.given(*approved(correct("9:00", check_out="17:00")))
    again = correct("9:00", check_out="17:30")
    assert isinstance(ledger.decide(again), Refused)


def test_what_cannot_be_is_refused_for_that() -> None:
    ledger = Memory().given(*WORLD, *approved(HALF_HOUR), rules(APPROVED))
    answer = ledger.decide(reinstate("9:00"))
    assert isinstance(answer, Refused)
    assert answer.rejection is Rejection.NOT_VOID


def test_old_records_are_measured_if_the_rules_say_so() -> None:
    ledger = Memory().given(*WORLD, rules(f"{SHIFT}, imported = true"))
    answer = ledger.decide(by("li", attest("9:00", "17:00"), imported=True))
    assert isinstance(answer, Refused)
    assert answer.rejection is Rejection.NEEDS_APPROVAL


def test_a_person_with_more_numbers_than_are_read_needs_approval_for_a_minute() -> None:
    numbers = [f"N{number}" for number in range(effects.NUMBERS_MAX + 1)]
    registered = [RegisterVolunteer(volunteer=number, registered_on=date(2018, 1, 1)) for number in numbers]
    first, *others = numbers
    ledger = Memory().given(*WORLD, *registered, *(merge(number, first) for number in others[:-1]))
    ledger.given(rules("person_day_minutes_more = 30"), attest("9:00", "9:01", volunteer=first))
    ledger.given(*approved(merge(others[-1], first)))
    answer = ledger.decide(attest("10:00", "10:01", volunteer=first))
    assert isinstance(answer, Refused)
    assert answer.rejection is Rejection.NEEDS_APPROVAL


def test_nobody_alone_gains_more_than_the_rules_allow_however_often_they_act() -> None:
    ledger = Memory().given(*WORLD, *scanned("9:00", "10:00"), rules(f"{SHIFT}, {PERSON_DAY}"))
    shift_ends, others = at("10:00"), 0
    for step in range(120):
        ends = shift_ends + (step % 7) * MINUTE
        decided = ledger.decide(
            CorrectShift(volunteer="V1", shift=shift_id("9:00"), changes=("check_out",), check_out=ends, reason="x")
        )
        shift_ends = shift_ends if isinstance(decided, Refused) else ends
        others += not isinstance(ledger.decide(attest("12:00", "12:02", name=str(step))), Refused)
    assert (shift_ends - at("10:00")) // MINUTE + 2 * others <= 30
    assert others
    assert shift_ends > at("10:00")
