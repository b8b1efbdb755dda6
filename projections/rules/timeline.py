"""Rule timelines: the rules of credit and honours, by service date.

A timeline is a TOML text, parsed into the models below. Every value that no source fixes ([config]) is a field here and
a line in `rules/luohu.toml`; kernels contain no such numbers. Minutes are whole, days are days of the timeline's time
zone.

Errors: `RulesError` (projections/rules/errors.py) names the line, the key and a remedy. `projections.rules.checking`
finds what is valid but probably not intended. This module reads text, never files.
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
    """Convert a time of day such as "08:30" to minutes; "24:00" is the end of the day."""
    if isinstance(value, str):
        hour, colon, minute = value.partition(":")
        if not (colon and hour.isdigit() and minute.isdigit() and len(minute) == 2 and int(minute) < 60):
            raise ValueError('is not a time of day; write "08:30"')
        return int(hour) * 60 + int(minute)
    return value


MinuteOfDay = Annotated[int, BeforeValidator(_minute_of_day), Field(strict=True, ge=0, le=1440)]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Factor(_Rules):
    """A window in which a counted minute earns `percent` of itself. All given conditions must hold.

    `first_day` and `last_day` are included; `minute_from` is included, `minute_until` is not. A window whose end is not
    after its start runs through midnight; the date conditions apply to each minute's own date. `weekdays`: 1 is Monday,
    7 is Sunday.
    """

    name: str
    """The name in explanations and comparisons; each window of a set has its own."""
    percent: Annotated[int, Field(strict=True, ge=0, le=1000)]
    """What a minute in the window earns; 100 is what every other minute earns."""
    first_day: date | None = None
    """The first day; by default the first of the set."""
    last_day: date | None = None
    """The last day, included; by default the last of the set."""
    weekdays: tuple[Annotated[int, Field(strict=True, ge=1, le=7)], ...] = ()
    """1 is Monday, 7 is Sunday; by default all."""
    minute_from: MinuteOfDay = 0
    """The first minute of the day."""
    minute_until: MinuteOfDay = 1440
    """The first minute after the window. If it is not after minute_from, the window runs through midnight."""
    station_kinds: tuple[StationKind, ...] = ()
    """Only service at such stations; by default all."""
    projects: tuple[ProjectId, ...] = ()
    """Only service for these projects; by default all."""

    @model_validator(mode="after")
    def _days_in_order(self) -> Factor:
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise error_at("last_day is before first_day; swap them", "last_day")
        return self


class Threshold(_Rules):
    """An honour reached on the first date on which all of its conditions hold (docs/glossary.md, "Stars").

    A year is active once it has `active_year_minutes_min` credited minutes of the required grade. The
    `active_years_min` active years need not be consecutive. An opening balance belongs to no year.
    """

    id: HonorId
    """The id, by which awards name the honour."""
    title: str
    """The title, as people read it."""
    credited_minutes_min: Annotated[int, Field(strict=True, ge=0, le=100_000_000)]
    """The credited minutes that are required."""
    grade: Literal["any", "scanned"] = "any"
    """Which minutes count: all, or only those of scanned shifts."""
    tenure_months_min: Annotated[int, Field(strict=True, ge=0, le=600)] = 0
    """The time since the registration."""
    training_tier_min: TrainingTier | None = None
    """The lowest tier of training; by default none is required."""
    active_years_min: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    """The number of active years; needs active_year_minutes_min."""
    active_year_minutes_min: Annotated[int, Field(strict=True, ge=0, le=527_040)] = 0
    """The credited minutes that make a year active; needs active_years_min."""

    @model_validator(mode="after")
    def _years_have_minutes(self) -> Threshold:
        if self.active_years_min and not self.active_year_minutes_min:
            raise error_at(
                "active_years_min needs the minutes that make a year active; add active_year_minutes_min",
                "active_years_min",
            )
        if self.active_year_minutes_min and not self.active_years_min:
            raise error_at(
                "active_year_minutes_min needs the number of active years; add active_years_min",
                "active_year_minutes_min",
            )
        return self

    @property
    def minutes_min(self) -> int:
        """The fewest credited minutes with which this honour can be reached."""
        return max(self.credited_minutes_min, self.active_years_min * self.active_year_minutes_min)


class PublicNotice(_Rules):
    """公示: how long an honour is announced before it may be awarded (docs/glossary.md, "Stars"). The day of the
    announcement does not count.
    """

    working_days: Annotated[int, Field(strict=True, ge=1, le=60)] = 5
    """The working days of the notice; the day of the announcement does not count."""


class RuleSet(_Rules):
    """The rules in force from service date `holds_from` until that of the next set.

    `double_tap_seconds`, `open_hours_max`, `undirected_punches` and `pair_across_stations` say which scans belong
    together (`projections/kernels/pairing.py`).

    With `honors_go_on`, the honours and rankings of the set before are inherited; those of this set are added, or
    replace the ones with the same id. `honors` and `rankings` then include the inherited ones.
    """

    holds_from: date
    """The first day of service for which the set holds, until the next set; 2000-01-01 or earlier in the first set."""
    day_minutes_max: Annotated[int, Field(strict=True, ge=0, le=1440)]
    """The cap of the day: the most minutes of a person that count on a local day, without an approved raise."""
    shift_minutes_min: Annotated[int, Field(strict=True, ge=0, le=1440)]
    """A shorter shift earns nothing."""
    shift_minutes_max: Annotated[int, Field(strict=True, ge=0, le=10_080)]
    """Later minutes of a shift earn nothing; not less than shift_minutes_min."""
    missing_check_out_minutes: Annotated[int, Field(strict=True, ge=0, le=1440)] = 0
    """How long a shift without a check-out is taken to have lasted."""
    credit_unit_minutes: Annotated[int, Field(strict=True, ge=1, le=1440)] = 1
    """A shift is credited in whole units, rounded down."""
    double_tap_seconds: Annotated[int, Field(strict=True, ge=0, le=3600)] = 0
    """The same direction again within so many seconds is the same scan."""
    open_hours_max: Annotated[int, Field(strict=True, ge=1, le=48)] = 24
    """A scan without a shift id ends a check-in of at most so many hours before; an older one lacks its check-out."""
    undirected_punches: Literal["alternate", "first-and-last"] = "alternate"
    """How punches without direction are paired: in, out, in, out; or the first and the last of a local day."""
    pair_across_stations: Annotated[bool, Field(strict=True)] = True
    """Whether a scan without a shift id at another station ends the shift."""
    late_entry_working_days: Annotated[int, Field(strict=True, ge=1, le=365)] | None = None
    """A shift recorded more working days after its service is marked as late; it is credited all the same."""
    late_entry_days: Annotated[int, Field(strict=True, ge=0, le=3650)] = 14
    """The same in calendar days; used without late_entry_working_days."""
    honors_go_on: bool = False
    """Whether the honours and rankings of the set before go on. Those of this set are added, or replace the ones with
    the same id.
    """
    factors: tuple[Factor, ...] = ()
    """The factor windows of the set, which do not go on from the set before. The first that matches a minute wins."""
    honors: tuple[Threshold, ...] = ()
    """The thresholds of the set."""
    rankings: tuple[Ranking, ...] = ()
    """The rankings of the set."""

    @model_validator(mode="after")
    def _consistent(self) -> RuleSet:
        if self.shift_minutes_max < self.shift_minutes_min:
            raise error_at(
                "shift_minutes_max is less than shift_minutes_min, so no shift could earn anything; raise it",
                "shift_minutes_max",
            )
        for kind, ids in (
            ("honors", [honor.id for honor in self.honors]),
            ("rankings", [ranking.id for ranking in self.rankings]),
        ):
            for number, name in enumerate(ids):
                if name in ids[:number]:
                    raise error_at(f"two {kind} have the same id; give each its own", kind, number, "id")
        return self


class RuleTimeline(_Rules):
    """Rule sets in the order of their service dates; the first applies from the beginning.

    `approvals` and `disputes` are about acts, not service: no kernel reads them, and they apply from their publication
    on (`ledger/deciding/policies.py`).
    """

    name: str
    """The name of the timeline, shown in answers."""
    time_zone: str
    """The time zone of days, such as Asia/Shanghai."""
    public_notice: PublicNotice = PublicNotice()
    """The notice before an award."""
    approvals: Approvals = Approvals()
    """Which acts another person must approve."""
    disputes: Disputes | None = None
    """The deadlines of disputes; without it there are none."""
    rule_sets: Annotated[tuple[RuleSet, ...], Field(min_length=1)]
    """The rule sets, in the order of holds_from; at least one."""
    anomalies: AnomalyRules = AnomalyRules()
    """What auditors are shown as odd."""

    @field_validator("rule_sets")
    @classmethod
    def _inherit_honors(cls, value: tuple[RuleSet, ...]) -> tuple[RuleSet, ...]:
        if value[0].honors_go_on:
            raise error_at("the first rule set has no honours to inherit; remove it", 0, "honors_go_on")
        complete = [value[0]]
        for own in value[1:]:
            complete.append(_with_inherited(complete[-1], own) if own.honors_go_on else own)
        return tuple(complete)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, or a long name
            raise ValueError("is not a time zone; use a name such as Asia/Shanghai") from None
        if date_goes_back(value):
            raise ValueError("has had a date twice (its clocks went back over midnight); use a neighbouring zone")
        return value

    @model_validator(mode="after")
    def _ascending(self) -> RuleTimeline:
        days = [rule_set.holds_from for rule_set in self.rule_sets]
        for number, (day, following) in enumerate(pairwise(days), 1):
            if following <= day:
                raise error_at(
                    "rule_sets must be in the order of holds_from, with different dates; move or correct it",
                    "rule_sets",
                    number,
                    "holds_from",
                )
        if days[0] > date(2000, 1, 1):
            raise error_at(
                "the first rule set must hold from 2000-01-01 or earlier, or early shifts have no rules; correct it",
                "rule_sets",
                0,
                "holds_from",
            )
        check_ids(
            (honor.id for rule_set in self.rule_sets for honor in rule_set.honors),
            (ranking for rule_set in self.rule_sets for ranking in rule_set.rankings),
        )
        return self


def _with_inherited(before: RuleSet, own: RuleSet) -> RuleSet:
    honors = {honor.id: honor for honor in (*before.honors, *own.honors)}
    rankings = {ranking.id: ranking for ranking in (*before.rankings, *own.rankings)}
    return own.model_copy(update={"honors": tuple(honors.values()), "rankings": tuple(rankings.values())})


def parse_timeline(text: str) -> RuleTimeline:
    """Read a rule timeline from TOML text that is published, or was found to be within the limits for new rules.

    Raises:
        RulesError: the text is not TOML, or a key is unknown, missing or out of range; each with its line and remedy.
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
