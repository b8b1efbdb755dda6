"""Answers about awards: what readers get, each with the axes it rests on (replay/axes/answers.py)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from replay.axes.answers import Answer, Basis, Linked, LoggedEvent, VolunteerHours, omit_none
from replay.rankings.answers import Place, Ranked
from replay.records.awards import State


class EvidenceNamed(Answer):
    """What an announcement or an award rests on: the rules' version and the log position, and what was found by them.

    `reached_on`: the day on which a threshold was reached; `rank`: that in a ranking's year.
    """

    rules_version: int
    position: int
    credited_minutes: int
    reached_on: date | None
    rank: int | None


class ObjectionAnswer(Answer):
    """An objection and what became of it; `number` counts from 1 within the award."""

    number: int
    by: str
    objected_at: datetime
    reason: str
    outcome: Literal["upheld", "rejected"] | None
    settled_by: str | None


class AwardAnswer(Linked):
    """An honour that was announced for a volunteer or a project, and how far it is. `year`: of a ranking.

    `volunteer`: the number that the announcement names. `goes_on_as`: the person's, where that is another.
    """

    award: str
    honor: str
    volunteer: str | None
    goes_on_as: str | None = omit_none()
    project: str | None
    year: int | None
    state: State
    announced_at: datetime
    announced_by: str
    notice_until: date | None
    announced: EvidenceNamed | None
    objections: list[ObjectionAnswer]
    awarded_on: date | None
    awarded_by: str | None
    awarded: EvidenceNamed | None
    revoked_for: str | None


class Awards(Basis):
    """Awards in the order in which they were announced; `next_after` continues the list."""

    count: int
    awards: list[AwardAnswer]
    next_after: str | None


class AwardLife(Basis):
    """One award and every event of its life."""

    award: AwardAnswer
    events: list[LoggedEvent]


class Notice(AwardAnswer):
    """An announced honour. `running`: whether its notice still runs; `awardable`: whether nothing is in its way."""

    running: bool
    awardable: bool


class PublicNotices(Basis):
    """What is announced and neither awarded nor ended, by the day on which its notice ends, as seen on the day `on`."""

    on: date
    count: int
    open_objections: int
    notices: list[Notice]
    next_after: str | None


class Eligible(Linked):
    """Who has reached an honour and does not hold it. `award` and `state`: what was announced for it, if anything."""

    name: str
    reached_on: date | None
    rank: int | None
    credited_minutes: int
    award: str | None
    state: State | None


class EligibleForHonor(Basis):
    """Who is eligible for an honour and was not awarded it: by the day it was reached, or by rank."""

    honor: str
    title: str
    of: Literal["volunteers", "projects"]
    year: int | None
    reached_up_to: date
    count: int
    eligible: list[Eligible]
    next_after: str | None


class ShiftChange(Linked):
    """A shift whose credited minutes differ from those of the evidence, and the later events behind it.

    `volunteer`: the number under which it was recorded, of a person who has or had several.
    """

    shift: str
    volunteer: str | None = omit_none()
    day: date
    minutes_then: int
    minutes_now: int
    positions: list[int]


class Causes(Answer):
    """Why minutes differ from those of the evidence; the two parts sum to the whole.

    `by_events`: what events recorded after the evidence changed, under the rules of the evidence; `by_rules`: what
    other rules change of that. `shifts` are those of one's own that differ, `positions` later events about the
    volunteer beside shifts. `rules_differ`: the rules are not those of the evidence. `overtaken_by`: who stands within
    the places of the ranking without holding its honour.
    """

    minutes_then: int
    by_events: int
    by_rules: int
    minutes_now: int
    shifts: list[ShiftChange]
    positions: list[int]
    rules_differ: bool
    overtaken_by: list[Ranked]


class Undercut(AwardAnswer):
    """An award that no longer has what it rests on.

    `kind`: lost (the honour is not reached at all), later (it is reached, but only after it was awarded), or behind
    (the rank lies behind the last place). `difference`: minutes that hold now, less those the evidence named.
    """

    kind: Literal["lost", "later", "behind"]
    reached_on_now: date | None
    rank_now: int | None
    credited_minutes_now: int
    difference: int
    causes: Causes


class UndercutAwards(Basis):
    """Awards that later corrections or rules have undercut, in the order of their announcement."""

    awards_in_all: int
    count: int
    undercut: list[Undercut]
    next_after: str | None


class AsGiven(Basis):
    """What an honour looked like when it was announced or given: the axes of this answer are those of its evidence.

    `agrees`: whether what is found by them is what the evidence named; null for old records, which named none. A
    volunteer's hours and honours stand in `hours`, the place in a ranking in `place`.
    """

    award: AwardAnswer
    evidence: EvidenceNamed | None
    found: EvidenceNamed | None
    agrees: bool | None
    hours: VolunteerHours | None
    place: Place | None
