"""Answers about awards, each with the axes it rests on (replay/axes/answers.py)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from replay.axes.answers import Answer, Basis, Linked, LoggedEvent, NameOfEntry, ProjectName, VolunteerHours, omit_none
from replay.rankings.answers import Place, Ranked
from replay.records.awards import State


class EvidenceNamed(Answer):
    """The evidence of an announcement or an award: the version of the rules, the log position, and the result by them.

    `reached_on`: the day on which a threshold was reached. `rank`: the rank in the year of a ranking.
    """

    rules_version: int
    position: int
    credited_minutes: int
    reached_on: date | None
    rank: int | None


class ObjectionAnswer(Answer):
    """An objection and its outcome, null while it is open. `number` counts from 1 within the award."""

    number: int
    by: str
    objected_at: datetime
    reason: str
    outcome: Literal["upheld", "rejected"] | None
    settled_by: str | None


class AwardAnswer(Linked):
    """An honour that was announced for a volunteer or a project, and its state. `year`: that of a ranking.

    `volunteer`: the number that the announcement names. `goes_on_as`: the person's number, if it is another. `version`:
    of the award's record.
    """

    award: str
    version: int
    honor: str
    volunteer: str | None
    goes_on_as: str | None = omit_none()
    project: str | None
    project_name: ProjectName = omit_none()
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
    """An award and all its events."""

    award: AwardAnswer
    events: list[LoggedEvent]


class Notice(AwardAnswer):
    """An announced honour. `running`: whether its notice still runs. `awardable`: whether it can be awarded now."""

    running: bool
    awardable: bool


class PublicNotices(Basis):
    """Announced honours that are neither awarded nor ended, by the day on which the notice ends, as of the day `on`."""

    on: date
    count: int
    open_objections: int
    notices: list[Notice]
    next_after: str | None


class Eligible(Linked):
    """A volunteer or project that has reached an honour and does not hold it.

    `award` and `state`: those of its announcement, null if there is none.
    """

    name: str
    project_name: NameOfEntry = omit_none()
    reached_on: date | None
    rank: int | None
    credited_minutes: int
    award: str | None
    state: State | None


class EligibleForHonor(Basis):
    """The eligible recipients of an honour who do not hold it, by the day on which they reached it, or by rank."""

    honor: str
    title: str
    of: Literal["volunteers", "projects"]
    year: int | None
    reached_up_to: date
    count: int
    eligible: list[Eligible]
    next_after: str | None


class ShiftChange(Linked):
    """A shift whose credited minutes differ from those of the evidence, with its later events.

    `volunteer`: the number under which it was recorded, if the person has or had several.
    """

    shift: str
    volunteer: str | None = omit_none()
    day: date
    minutes_then: int
    minutes_now: int
    positions: list[int]


class Causes(Answer):
    """Why the minutes differ from those of the evidence; `by_events` and `by_rules` sum to the difference.

    `by_events`: the change by events recorded after the evidence, under the rules of the evidence. `by_rules`: the
    further change by other rules. `shifts`: the recipient's shifts that differ. `positions`: later events about the
    volunteer other than those of shifts. `rules_differ`: whether the rules are not those of the evidence.
    `overtaken_by`: who is within the places of the ranking without holding its honour.
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
    """An award that is no longer supported by its evidence.

    `kind`: `lost` (the honour is not reached at all), `later` (it is reached, but only after the award), or `behind`
    (the rank is behind the last place). `difference`: the minutes now, minus those that the evidence names.
    """

    kind: Literal["lost", "later", "behind"]
    reached_on_now: date | None
    rank_now: int | None
    credited_minutes_now: int
    difference: int
    causes: Causes


class UndercutAwards(Basis):
    """Awards undercut by later events or other rules, in the order of their announcement.

    `awards_in_all`: how many awards were compared. `count`: how many of them are undercut.
    """

    awards_in_all: int
    count: int
    undercut: list[Undercut]
    next_after: str | None


class AsGiven(Basis):
    """An honour as it was when announced or awarded: the axes of this answer are those of its evidence.

    `agrees`: whether `found`, the result under these axes, equals `evidence`; null for old records without evidence.
    `hours`: the hours and honours of a volunteer. `place`: the place in a ranking.
    """

    award: AwardAnswer
    evidence: EvidenceNamed | None
    found: EvidenceNamed | None
    agrees: bool | None
    hours: VolunteerHours | None
    place: Place | None
