"""Rule timelines: what a minute of service is worth, from which service date on.

A timeline is TOML text read into the models below. Everything that no source fixes ([config]) is a field here and a
line in `rules/luohu.toml`; no kernel holds a number of its own. Minutes are whole, days are days of the timeline's
time zone.

Errors: `RulesError` (projections/rules/errors.py) names line, key and the way out. What could be used but is hardly
meant, `projections.rules.checking` finds. This module reads text, never files.
"""

from __future__ import annotations

import tomllib
from datetime import date
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from ledger.aggregates.station import StationKind
from ledger.aggregates.volunteer import TrainingTier
from ledger.deciding.policies import Approvals, Disputes
from ledger.names import HonorId, ProjectId
from projections.local_time import date_goes_back
from projections.rules.anomalies import AnomalyRules
from projections.rules.errors import RulesError, error_at, findings_of, not_toml
from projections.rules.rankings import Ranking, check_ids
from projections.rules.toml_places import places

__all__ = ["Factor", "RuleSet", "RuleTimeline", "RulesError", "Threshold", "parse_timeline", "rules_digest"]


def _minute_of_day(value: object) -> object:
    """Turn "08:30" into 510; "24:00" is the day's end."""
    if isinstance(value, str):
        hour, colon, minute = value.partition(":")
        if not (colon and hour.isdigit() and minute.isdigit() and len(minute) == 2 and int(minute) < 60):
            raise ValueError('is not a time of day; write "08:30"')
        return int(hour) * 60 + int(minute)
    return value


MinuteOfDay = Annotated[int, BeforeValidator(_minute_of_day), Field(strict=True, ge=0, le=1440)]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Factor(_Rules):
    """A window in which a counted minute earns `percent` of itself. Every condition that is given must hold.

    `first_day` and `last_day` are both inside; `minute_from` is inside, `minute_until` is not; a window whose end is
    not after its start runs through midnight and looks at each minute's own date. `weekdays`: 1 is Monday, 7 is
    Sunday.
    """

    name: str
    percent: Annotated[int, Field(strict=True, ge=0, le=1000)]
    first_day: date | None = None
    last_day: date | None = None
    weekdays: tuple[Annotated[int, Field(strict=True, ge=1, le=7)], ...] = ()
    minute_from: MinuteOfDay = 0
    minute_until: MinuteOfDay = 1440
    station_kinds: tuple[StationKind, ...] = ()
    projects: tuple[ProjectId, ...] = ()

    @model_validator(mode="after")
    def _days_in_order(self) -> Factor:
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise error_at("last_day lies before first_day; swap them", "last_day")
        return self


class Threshold(_Rules):
    """An honour reached on the first date on which all of its conditions hold (docs/glossary.md, "Stars").

    A year is active once it has `active_year_minutes_min` credited minutes, of the grade asked for; `active_years_min`
    such years need not follow one another. An opening balance belongs to no year, and makes none active.
    """

    id: HonorId
    title: str
    credited_minutes_min: Annotated[int, Field(strict=True, ge=0, le=100_000_000)]
    grade: Literal["any", "scanned"] = "any"
    tenure_months_min: Annotated[int, Field(strict=True, ge=0, le=600)] = 0
    training_tier_min: TrainingTier | None = None
    active_years_min: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    active_year_minutes_min: Annotated[int, Field(strict=True, ge=0, le=527_040)] = 0

    @model_validator(mode="after")
    def _years_have_minutes(self) -> Threshold:
        if self.active_years_min and not self.active_year_minutes_min:
            raise error_at(
                "active_years_min asks for active years; add active_year_minutes_min, which says when a year is one",
                "active_years_min",
            )
        if self.active_year_minutes_min and not self.active_years_min:
            raise error_at(
                "active_year_minutes_min says when a year is active; add active_years_min, which says how many",
                "active_year_minutes_min",
            )
        return self

    @property
    def minutes_min(self) -> int:
        """The credited minutes that nobody who holds this honour can be without."""
        return max(self.credited_minutes_min, self.active_years_min * self.active_year_minutes_min)


class PublicNotice(_Rules):
    """公示: how long an honour is announced before it may be awarded (docs/glossary.md, "Stars"). The day of the
    announcement is not one of them.
    """

    working_days: Annotated[int, Field(strict=True, ge=1, le=60)] = 5


class RuleSet(_Rules):
    """The rules that hold from service date `holds_from` until the next set's.

    With `honors_go_on`, the honours and rankings of the set before hold here as well: what this set names itself is
    added to them, or takes the place of what has the same id. `honors` and `rankings` are then those that hold.
    """

    holds_from: date
    day_minutes_max: Annotated[int, Field(strict=True, ge=0, le=1440)]
    shift_minutes_min: Annotated[int, Field(strict=True, ge=0, le=1440)]
    shift_minutes_max: Annotated[int, Field(strict=True, ge=0, le=10_080)]
    missing_check_out_minutes: Annotated[int, Field(strict=True, ge=0, le=1440)] = 0
    credit_unit_minutes: Annotated[int, Field(strict=True, ge=1, le=1440)] = 1
    late_entry_working_days: Annotated[int, Field(strict=True, ge=1, le=365)] | None = None
    late_entry_days: Annotated[int, Field(strict=True, ge=0, le=3650)] = 14  # counts where no working days are given
    honors_go_on: bool = False
    factors: tuple[Factor, ...] = ()
    honors: tuple[Threshold, ...] = ()
    rankings: tuple[Ranking, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> RuleSet:
        if self.shift_minutes_max < self.shift_minutes_min:
            raise error_at(
                "shift_minutes_max lies below shift_minutes_min: no shift could earn anything; raise it",
                "shift_minutes_max",
            )
        for kind, ids in (
            ("honors", [honor.id for honor in self.honors]),
            ("rankings", [one.id for one in self.rankings]),
        ):
            for number, name in enumerate(ids):
                if name in ids[:number]:
                    raise error_at(f"two {kind} have the same id; give each its own", kind, number, "id")
        return self


class RuleTimeline(_Rules):
    """Rule sets in the order of the service dates they hold from; the first reaches back to the beginning.

    `approvals` and `disputes` are about acts: no kernel reads them, they hold from when they are published
    (`ledger/deciding/policies.py`).
    """

    name: str
    time_zone: str
    public_notice: PublicNotice = PublicNotice()
    approvals: Approvals = Approvals()
    disputes: Disputes | None = None
    rule_sets: Annotated[tuple[RuleSet, ...], Field(min_length=1)]
    anomalies: AnomalyRules = AnomalyRules()

    @field_validator("rule_sets")
    @classmethod
    def _honors_that_go_on(cls, value: tuple[RuleSet, ...]) -> tuple[RuleSet, ...]:
        if value[0].honors_go_on:
            raise error_at(
                "the first rule set has none before it whose honours could go on; remove it", 0, "honors_go_on"
            )
        whole = [value[0]]
        for own in value[1:]:
            whole.append(_with_those_before(whole[-1], own) if own.honors_go_on else own)
        return tuple(whole)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not a time zone; write a name such as Asia/Shanghai") from None
        if date_goes_back(value):
            raise ValueError("has had a date twice (its clocks went back over midnight); use a neighbouring zone")
        return value

    @model_validator(mode="after")
    def _ascending(self) -> RuleTimeline:
        days = [rule_set.holds_from for rule_set in self.rule_sets]
        for number, (day, following) in enumerate(pairwise(days), 1):
            if following <= day:
                raise error_at(
                    "rule_sets must stand in the order of holds_from, each with a date of its own; move or correct it",
                    "rule_sets",
                    number,
                    "holds_from",
                )
        if days[0] > date(2000, 1, 1):
            raise error_at(
                "the first rule set must hold from 2000-01-01 or earlier, or early shifts have no rules; set it back",
                "rule_sets",
                0,
                "holds_from",
            )
        check_ids(
            (honor.id for rule_set in self.rule_sets for honor in rule_set.honors),
            (ranking for rule_set in self.rule_sets for ranking in rule_set.rankings),
        )
        return self


def _with_those_before(before: RuleSet, own: RuleSet) -> RuleSet:
    honors = {honor.id: honor for honor in (*before.honors, *own.honors)}
    rankings = {ranking.id: ranking for ranking in (*before.rankings, *own.rankings)}
    return own.model_copy(update={"honors": tuple(honors.values()), "rankings": tuple(rankings.values())})


def parse_timeline(text: str) -> RuleTimeline:
    """Read a rule timeline from TOML text.

    Raises:
        RulesError: the text is no TOML, or a key is unknown, missing or out of range; each with its line and remedy.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError([not_toml(text, str(error))]) from None
    except RecursionError:
        raise RulesError([not_toml(text, "its brackets are nested too deeply")]) from None
    try:
        return RuleTimeline.model_validate(content)
    except ValidationError as error:
        raise RulesError(findings_of(error, places(text))) from None


def rules_digest(text: str) -> str:
    """Return the digest under which a timeline's text is published: SHA-256, 64 hex digits."""
    return sha256(text.encode()).hexdigest()
