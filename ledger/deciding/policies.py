"""Policies: the published rules about acts rather than hours. They say which acts need approval, and by when a dispute
must be answered and settled.

They are the tables `[approvals]` and `[disputes]` of the rule timeline (`rules/luohu.toml`); what the ledger reads
about honours is in `ledger/deciding/honor_policies.py`. `projections/rules/timeline.py` validates rule files with the
same models. They apply from the moment of publication, whatever day an act is about. If no rules were published, no act
needs approval, raises have no limit and disputes have no deadlines. The day cap, which a raise must reach, is read as
well: it is that of the day the raise is about.

This module reads the text it is given, never the log, a clock or a file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ledger.deciding.working_days import working_days_after

ApprovableAct = Literal[
    "attest-shift",
    "correct-shift",
    "void-shift",
    "reinstate-shift",
    "move-shift",
    "settle-dispute",
    "merge-volunteer",
    "undo-merge",
    "record-training",
    "void-training",
    "count-people-served",
    "record-opening-balance",
    "void-opening-balance",
    "raise-day-cap",
    "withdraw-day-cap-raise",
    "award-honor",
    "revoke-honor",
    "put-rules-in-force",
]
"""Types of commands that can require another person's approval. Scans never do; `typed_scans` refuses typed ones."""

WorkingDays = Annotated[int, Field(strict=True, ge=1, le=250)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Approvals(_Table):
    """`[approvals]`: which acts need another person's approval, by their type or by their effect
    (`ledger/aggregates/four_eyes/effects.py`), and the maximum of a raised day cap.

    Imported old records need no approval unless `imported` is set, because the imported table was reviewed as a whole.
    """

    kinds: tuple[ApprovableAct, ...] = ()
    """Types of commands that need approval whatever they change."""
    shift_minutes_more: Annotated[int, Field(strict=True, ge=0, le=10_080)] | None = None
    """By how many raw minutes a person may raise a shift alone; by default without a limit."""
    person_day_minutes_more: Annotated[int, Field(strict=True, ge=0, le=1440)] | None = None
    """By how many raw minutes a person may raise another person's day alone; by default without a limit."""
    approved_records: Annotated[bool, Field(strict=True)] = False
    """Whether an act that changes what was approved needs approval."""
    between_persons: Annotated[bool, Field(strict=True)] = False
    """Whether an act that moves hours between persons needs approval."""
    typed_scans: Annotated[bool, Field(strict=True)] = False
    """Whether a scan that a person types is refused, so that its hours are requested with another act."""
    imported: Annotated[bool, Field(strict=True)] = False
    """Whether imported records need approval as well."""
    raised_day_minutes_max: Annotated[int, Field(strict=True, ge=0, le=1440)] = 1440
    """The maximum to which the cap of a person's day may be raised."""

    @property
    def names_effects(self) -> bool:
        """Whether any effect needs approval."""
        limits = self.shift_minutes_more, self.person_day_minutes_more
        return self.approved_records or self.between_persons or limits != (None, None)


class Disputes(_Table):
    """`[disputes]`: the deadlines for answering and settling a dispute, in working days after the day it was opened."""

    answer_working_days: WorkingDays
    """By when a dispute is answered, after the day it was opened."""
    settle_working_days: WorkingDays
    """By when it is settled; not less than answer_working_days."""

    @model_validator(mode="after")
    def _answered_before_settled(self) -> Self:
        if self.settle_working_days < self.answer_working_days:
            raise ValueError(
                "settle_working_days is less than answer_working_days, but a dispute is answered first; raise it"
            )
        return self


class DayCapRule(_Table):
    """The day cap of a rule set, and the service date from which it holds; the other keys are not read here."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    holds_from: date
    day_minutes_max: Annotated[int, Field(strict=True, ge=0, le=1440)]


class Policies(NamedTuple):
    """The policies of the rules in force. `zone`: the time zone in which a dispute's day is determined; None is UTC."""

    approvals: Approvals = Approvals()
    disputes: Disputes | None = None
    zone: str | None = None
    day_caps: tuple[tuple[date, int], ...] = ()
    """The day cap of each rule set, in minutes, with the service date from which it holds; ascending."""

    def day_minutes_max(self, day: date) -> int:
        """Return the day cap of a day; the first rule set reaches back to the beginning. Without rules it is 0."""
        minutes = 0
        for number, (holds_from, of_set) in enumerate(self.day_caps):
            if number == 0 or holds_from <= day:
                minutes = of_set
        return minutes

    def due(self, opened_at: int) -> tuple[date, date] | None:
        """Return the last days for answering and settling a dispute opened at an instant, if the rules have any."""
        if self.disputes is None:
            return None
        opened = local_day(opened_at, self.zone)
        return (
            working_days_after(opened, self.disputes.answer_working_days),
            working_days_after(opened, self.disputes.settle_working_days),
        )


NO_POLICIES = Policies()


@lru_cache(maxsize=8)
def policies_of(text: str) -> Policies:
    """Read the policies of a rule timeline.

    An older version may have published a table that is invalid today; it counts as absent.
    """
    content = content_of(text)
    return Policies(
        _table(Approvals, content.get("approvals", {})) or Approvals(),
        _table(Disputes, content.get("disputes", {})),
        zone_of(content),
        tuple(
            (rules.holds_from, rules.day_minutes_max)
            for rule_set in content.get("rule_sets", ())
            if (rules := _table(DayCapRule, rule_set))
        ),
    )


def content_of(text: str) -> dict[str, Any]:
    """Return the content of a rule timeline's text. It is empty if the text is not TOML; such a text was never in
    force."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def zone_of(content: Mapping[str, Any]) -> str | None:
    """Return the time zone of a rule timeline, if it names an existing one."""
    name = content.get("time_zone")
    try:
        return ZoneInfo(name).key if isinstance(name, str) else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local_day(instant: int, zone: str | None) -> date:
    """Return the local day of an instant (epoch seconds) in a time zone, or in UTC without one."""
    return datetime.fromtimestamp(instant, ZoneInfo(zone or "UTC")).date()


def local_text(instant: int, zone: str | None) -> str:
    """Return an instant as people read it, such as `2018-12-05 13:00:00 +08:00`, in UTC without a time zone."""
    local = datetime.fromtimestamp(instant, ZoneInfo(zone or "UTC")).isoformat(sep=" ")
    return f"{local[:19]} {local[19:]}"


T = TypeVar("T", bound=_Table)


def _table(model: type[T], content: Any) -> T | None:
    try:
        return model.model_validate(content)
    except ValidationError:
        return None
