"""The life of an award, as the ledger decides it: every rule that can refuse a step, in its order of precedence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest

from ledger.aggregates import Command
from ledger.aggregates.honor import (
    AnnounceHonor,
    AwardHonor,
    HonorAnnounced,
    HonorAwarded,
    ObjectToHonor,
    RevokeHonor,
    SettleHonorObjection,
)
from ledger.aggregates.project import LaunchProject
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.volunteer import MergeVolunteer, RegisterVolunteer
from ledger.deciding.honor_policies import honor_policies
from ledger.rejections import Refused, Rejection
from tests.support.ledger.helpers import HEAD, NOW, Memory

R = Rejection
DAY = 24 * 3_600
EVENING = NOW + 7 * DAY + 10 * 3_600
LATER = NOW + 8 * DAY  # 2018-12-12, when the notice has ended


class Act(NamedTuple):
    """A command, by whom and when."""

    command: Command
    by: str = "person:p1"
    now: int = NOW
    imported: bool = False

    def but(self, by: str | None = None, now: int | None = None, **changes: Any) -> Act:
        """Return the same but for this."""
        command = type(self.command).model_validate(self.command.model_dump(exclude_none=True) | changes)
        return Act(command, by or self.by, now or self.now, self.imported)


RULES = """
name = "test"
time_zone = "Asia/Shanghai"
public_notice.working_days = 5
[[rule_sets]]
holds_from = 2000-01-01
honors = [{ id = "star-1", title = "star", credited_minutes_min = 6000 }]
[[rule_sets.rankings]]
id = "top"
of = "volunteers"
places = 3
credited_minutes_min = 60
[[rule_sets.rankings]]
id = "best"
of = "projects"
places = 3
credited_minutes_min = 60
"""
PUBLISH = Act(PublishRules(text=RULES))
V1 = Act(RegisterVolunteer(volunteer="V1", registered_on=date(2018, 1, 1)))
V2 = Act(RegisterVolunteer(volunteer="V2", registered_on=date(2018, 1, 1)))
PROJECT = Act(LaunchProject(project="P1", content="reading", in_charge="V1"))
WORLD = (PUBLISH, V1, PROJECT)

ANNOUNCE = Act(
    AnnounceHonor(
        award="A1", honor="star-1", volunteer="V1", rules_version=1, evidence_position=HEAD, credited_minutes=6_000
    )
)
OF_YEAR = ANNOUNCE.but(honor="top", year=2018, rank=3)
OF_PROJECT = Act(OF_YEAR.command.model_copy(update={"honor": "best", "volunteer": None, "project": "P1"}))
OBJECT = Act(ObjectToHonor(award="A1", reason="hours-doubtful"), "person:p2")
SETTLE = Act(SettleHonorObjection(award="A1", objection=1, outcome="rejected", reason="seen"), "person:p3")
AWARD = Act(
    AwardHonor(
        award="A1", awarded_on=date(2018, 12, 12), rules_version=1, evidence_position=HEAD, credited_minutes=6_000
    ),
    now=LATER,
)
REVOKE = Act(RevokeHonor(award="A1", reason="in-error"))
ANNOUNCED = (*WORLD, ANNOUNCE)
MERGED = (*WORLD, V2, Act(MergeVolunteer(volunteer="V1", into="V2", reason="two-cards")))
OBJECTED = (*ANNOUNCED, OBJECT)
BY_V1 = "person:V1"
BARE = Act(AnnounceHonor(award="A1", honor="star-1", volunteer="V1"))

REFUSED: list[tuple[Rejection, str, Sequence[Act], Act]] = [
    (R.UNKNOWN_VOLUNTEER, "volunteer", [PUBLISH], ANNOUNCE),
    (R.UNKNOWN_PROJECT, "project", [PUBLISH], OF_PROJECT),
    (R.FUTURE, "occurred_at", WORLD, ANNOUNCE.but(occurred_at=NOW + 301)),
    (R.FUTURE, "occurred_at", ANNOUNCED, OBJECT.but(occurred_at=NOW + 301)),
    (R.FUTURE, "occurred_at", OBJECTED, SETTLE.but(occurred_at=NOW + 301)),
    (R.FUTURE, "occurred_at", ANNOUNCED, AWARD.but(occurred_at=LATER + 301)),
    (R.FUTURE, "awarded_on", ANNOUNCED, AWARD.but(awarded_on=date(2018, 12, 14))),
    (R.FUTURE, "occurred_at", ANNOUNCED, REVOKE.but(occurred_at=NOW + 301)),
    (R.ALREADY_MERGED, "volunteer", MERGED, ANNOUNCE),
    (R.UNKNOWN_RULES, "rules_version", WORLD, ANNOUNCE.but(rules_version=2)),
    (R.UNKNOWN_RULES, "rules_version", ANNOUNCED, AWARD.but(rules_version=2)),
    (R.AWARD_EXISTS, "award", ANNOUNCED, ANNOUNCE),
    (R.UNKNOWN_AWARD, "award", WORLD, OBJECT),
    (R.UNKNOWN_AWARD, "award", WORLD, SETTLE),
    (R.UNKNOWN_AWARD, "award", WORLD, AWARD),
    (R.UNKNOWN_AWARD, "award", WORLD, REVOKE),
    (R.ALREADY_AWARDED, "award", [*ANNOUNCED, AWARD], AWARD),
    (R.ALREADY_AWARDED, "award", [*ANNOUNCED, AWARD], OBJECT),
    (R.ALREADY_REVOKED, "award", [*ANNOUNCED, REVOKE], REVOKE),
    (R.ALREADY_REVOKED, "award", [*ANNOUNCED, REVOKE], AWARD),
    (R.ALREADY_REVOKED, "award", [*ANNOUNCED, REVOKE], OBJECT),
    (R.ALREADY_REVOKED, "award", [*OBJECTED, REVOKE], SETTLE),
    (R.UNKNOWN_OBJECTION, "objection", ANNOUNCED, SETTLE),
    (R.UNKNOWN_OBJECTION, "objection", OBJECTED, SETTLE.but(objection=2)),
    (R.OWN_HONOR, "award", WORLD, ANNOUNCE.but(by=BY_V1)),
    (R.OWN_HONOR, "award", WORLD, OF_PROJECT.but(by=BY_V1)),  # who is in charge of it
    (R.OWN_HONOR, "award", OBJECTED, SETTLE.but(by=BY_V1)),
    (R.OWN_HONOR, "award", ANNOUNCED, AWARD.but(by=BY_V1)),
    (R.SAME_HANDS, "objection", OBJECTED, SETTLE.but(by=ANNOUNCE.by)),
    (R.SAME_HANDS, "objection", OBJECTED, SETTLE.but(by=OBJECT.by)),
    (R.OBJECTION_SETTLED, "objection", [*OBJECTED, SETTLE], SETTLE),
    (R.NO_EVIDENCE, "rules_version", WORLD, BARE),
    (R.NO_EVIDENCE, "credited_minutes", WORLD, BARE.but(rules_version=1, evidence_position=HEAD)),
    (R.UNKNOWN_HONOR, "honor", WORLD, ANNOUNCE.but(honor="star-9")),
    (R.UNKNOWN_HONOR, "honor", [V1], ANNOUNCE.but(rules_version=0)),  # nobody published anything
    (R.WRONG_RECIPIENT, "project", WORLD, Act(OF_PROJECT.command.model_copy(update={"honor": "top"}))),
    (R.WRONG_RECIPIENT, "volunteer", WORLD, OF_YEAR.but(honor="best")),
    (R.WRONG_YEAR, "year", WORLD, ANNOUNCE.but(honor="top")),
    (R.WRONG_YEAR, "year", WORLD, OF_YEAR.but(honor="star-1")),
    (R.EVIDENCE_AHEAD, "evidence_position", WORLD, ANNOUNCE.but(evidence_position=HEAD + 1)),
    (R.EVIDENCE_AHEAD, "evidence_position", ANNOUNCED, AWARD.but(evidence_position=HEAD + 1)),
    (R.BELOW_MINIMUM, "credited_minutes", WORLD, ANNOUNCE.but(credited_minutes=5_999)),
    (R.BELOW_MINIMUM, "credited_minutes", ANNOUNCED, AWARD.but(credited_minutes=5_999)),
    (R.BEHIND_LAST_PLACE, "rank", WORLD, OF_YEAR.but(rank=4)),
    (R.BEHIND_LAST_PLACE, "rank", [*WORLD, OF_YEAR], AWARD.but(rank=4)),
    (R.NOTICE_RUNS, "award", ANNOUNCED, AWARD.but(now=NOW + 7 * DAY, awarded_on=date(2018, 12, 11))),
    (R.NOTICE_RUNS, "award", ANNOUNCED, AWARD.but(awarded_on=date(2018, 12, 11))),
    (R.NOTICE_RUNS, "award", ANNOUNCED, AWARD.but(now=EVENING)),  # somewhere it is the next day
    (R.OBJECTION_OPEN, "award", OBJECTED, AWARD),
    (R.OBJECTION_OPEN, "award", [*OBJECTED, OBJECT, SETTLE], AWARD),
    (R.OBJECTION_UPHELD, "award", [*OBJECTED, SETTLE.but(outcome="upheld")], AWARD),
]

GRANTED: list[tuple[Sequence[Act], Act, list[str]]] = [
    (WORLD, ANNOUNCE, ["honor-announced.v1"]),
    (WORLD, OF_YEAR, ["honor-announced.v1"]),
    (WORLD, OF_PROJECT, ["honor-announced.v1"]),
    (ANNOUNCED, OBJECT, ["honor-objected.v1"]),
    (OBJECTED, OBJECT, ["honor-objected.v1"]),
    (ANNOUNCED, OBJECT.but(by=BY_V1), ["honor-objected.v1"]),  # against one's own honour
    (OBJECTED, SETTLE, ["honor-objection-settled.v1"]),
    ([*OBJECTED, OBJECT, SETTLE], SETTLE.but(objection=2), ["honor-objection-settled.v1"]),
    (ANNOUNCED, AWARD, ["honor-awarded.v1"]),
    ([*OBJECTED, SETTLE], AWARD, ["honor-awarded.v1"]),
    (ANNOUNCED, REVOKE, ["honor-revoked.v1"]),
    ([*ANNOUNCED, AWARD], REVOKE, ["honor-revoked.v1"]),
]
HONOR_COMMANDS = {act.command.TYPE for _, act, _ in GRANTED}
_ALL = list(Rejection)
OF_HONORS = set(_ALL[_ALL.index(R.UNKNOWN_RULES) : _ALL.index(R.OBJECTION_UPHELD) + 1])
"""Rejections that only steps in the life of an award meet; their table is this one."""


def given(acts: Sequence[Act]) -> Memory:
    """Return a ledger that has granted these."""
    ledger = Memory()
    for act in acts:
        answer = ledger.decide(act.command, act.now, by=act.by, imported=act.imported)
        assert not isinstance(answer, Refused), f"{act} was refused: {answer.detail}"
    return ledger


@pytest.mark.parametrize(("rejection", "field", "before", "act"), REFUSED, ids=lambda value: getattr(value, "code", ""))
def test_a_step_is_refused_under_the_name_of_the_rule(
    rejection: Rejection, field: str, before: Sequence[Act], act: Act
) -> None:
    answer = given(before).decide(act.command, act.now, by=act.by)
    assert isinstance(answer, Refused), answer
    assert (answer.rejection, answer.field) == (rejection, field), answer
    assert answer.detail.startswith(f"{field} ")


def test_the_table_is_in_the_order_of_precedence() -> None:
    named = list(dict.fromkeys(rejection for rejection, *_ in REFUSED))
    assert named == sorted(named, key=_ALL.index)
    assert set(named) >= OF_HONORS


@pytest.mark.parametrize(("before", "act", "topics"), GRANTED, ids=lambda value: getattr(value, "by", ""))
def test_a_step_is_granted(before: Sequence[Act], act: Act, topics: list[str]) -> None:
    answer = given(before).decide(act.command, act.now, by=act.by)
    assert not isinstance(answer, Refused), answer
    assert [event.TOPIC for event in answer] == topics


def test_of_several_rules_the_first_in_the_order_of_precedence_is_the_answer() -> None:
    """All that can be wrong with an award at once, mended one after the other."""
    steps: list[tuple[Rejection | None, Sequence[Act], Act]] = [
        (R.OWN_HONOR, [*OBJECTED], AWARD.but(by=BY_V1, now=NOW, awarded_on=date(2018, 12, 4), credited_minutes=1)),
        (R.BELOW_MINIMUM, [*OBJECTED], AWARD.but(now=NOW, awarded_on=date(2018, 12, 4), credited_minutes=1)),
        (R.NOTICE_RUNS, [*OBJECTED], AWARD.but(now=NOW, awarded_on=date(2018, 12, 4))),
        (R.OBJECTION_OPEN, [*OBJECTED, OBJECT, SETTLE.but(outcome="upheld")], AWARD),
        (R.OBJECTION_UPHELD, [*OBJECTED, SETTLE.but(outcome="upheld")], AWARD),
        (None, [*OBJECTED, SETTLE], AWARD),
    ]
    for rejection, before, act in steps:
        answer = given(before).decide(act.command, act.now, by=act.by)
        assert (answer.rejection if isinstance(answer, Refused) else None) is rejection


def test_the_notice_ends_so_many_working_days_of_the_rules_after_it_was_recorded_whatever_it_says_itself() -> None:
    long_ago = ANNOUNCE.but(occurred_at=NOW - 60 * DAY)  # else a notice could be over before anybody saw it
    for act in (ANNOUNCE, long_ago):
        (event,) = announced(WORLD, act)
        assert event.notice_until == date(2018, 12, 11)
    before_the_holiday = ANNOUNCE.but(now=NOW - 67 * DAY)  # Friday 2018-09-28; the National Day's week is off
    (event,) = announced([Act(PUBLISH.command, now=NOW - 90 * DAY), V1, PROJECT], before_the_holiday)
    assert event.notice_until == date(2018, 10, 10)  # Saturday and Sunday before it were worked
    (event,) = announced([Act(PublishRules(text=RULES.replace("days = 5", "days = 7"))), V1, PROJECT], ANNOUNCE)
    assert event.notice_until == date(2018, 12, 13)


def announced(before: Sequence[Act], act: Act) -> list[HonorAnnounced]:
    answer = given(before).decide(act.command, act.now, by=act.by, imported=act.imported)
    assert not isinstance(answer, Refused), answer
    return [event for event in answer if isinstance(event, HonorAnnounced)]


def test_the_notice_ends_with_the_local_day() -> None:
    midnight = NOW + 14 * 3_600  # 2018-12-05T00:00+08:00
    for now, until in ((midnight - 1, date(2018, 12, 11)), (midnight, date(2018, 12, 12))):
        (event,) = announced(WORLD, ANNOUNCE.but(now=now))
        assert event.notice_until == until
    first = NOW + 7 * DAY + 14 * 3_600  # 2018-12-12T00:00+08:00
    for now, granted in ((first - 1, False), (first, True)):
        answer = given(ANNOUNCED).decide(AWARD.command, now)
        assert isinstance(answer, Refused) != granted


def test_an_old_record_needs_no_evidence_and_its_notice_ran_when_it_says() -> None:
    old = Act(BARE.command.model_copy(update={"occurred_at": NOW - 100 * DAY}), imported=True)
    (event,) = announced([V1], old)
    assert event.notice_until is not None
    assert event.notice_until < date(2018, 9, 10)
    conferred = Act(
        AwardHonor(award="A1", awarded_on=date(2018, 9, 20), rules_version=0, evidence_position=0, credited_minutes=1),
        imported=True,
    )
    answer = given([V1, old]).decide(conferred.command, NOW, imported=True)
    assert not isinstance(answer, Refused), answer


def test_an_award_goes_to_whom_it_was_announced_for_and_repeats_the_year_and_the_rank() -> None:
    answer = given([*WORLD, OF_YEAR]).decide(AWARD.but(rank=2).command, LATER)
    assert not isinstance(answer, Refused), answer
    (event,) = answer
    assert isinstance(event, HonorAwarded)
    assert (event.honor, event.volunteer, event.year, event.rank) == ("top", "V1", 2018, 2)


def test_policies_are_the_loosest_over_all_rule_sets_and_a_text_without_them_has_the_usual_ones() -> None:
    later = RULES + "[[rule_sets]]\nhonors = [{ id = 'star-1', credited_minutes_min = 5000 }]\n"
    found = honor_policies(later)
    assert (found.notice_working_days, found.honors["star-1"].minutes_min) == (5, 5_000)
    assert (found.honors["best"].of, found.honors["best"].places) == ("projects", 3)
    nothing = honor_policies("not TOML")
    assert (nothing.zone, nothing.notice_working_days, nothing.honors) == (None, 5, {})
    assert nothing.notice_until(0) == date(1970, 1, 1) + timedelta(days=7)
