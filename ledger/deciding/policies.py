"""Policies: what the published rules say about acts, not about hours: which need approval, and the terms of disputes.

They are tables of the rule timeline (`rules/luohu.toml`), of which the ledger reads these alone;
`projections/rules/timeline.py` checks the same models when rules are written. They hold from the moment the rules are
published, whatever day an act is about. Where no rules were published nothing needs approval, no raise is too high and
nothing is due.

This module reads text that it is given, never the log, a clock or a file.
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
    "count-people-served",
    "record-opening-balance",
    "void-opening-balance",
    "raise-day-cap",
    "withdraw-day-cap-raise",
    "award-honor",
    "revoke-honor",
]
"""Types of commands that another may have to approve. Scans are facts, and never are among them."""

WorkingDays = Annotated[int, Field(strict=True, ge=1, le=250)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Approvals(_Table):
    """`[approvals]`: which types of commands another has to approve, and how far a day's cap can be raised at all.

    Old records that are brought in need no approval unless `imported` says so, as a table of them has been looked at as
    a whole; nothing but entries can be an old record.
    """

    kinds: tuple[ApprovableAct, ...] = ()
    imported: Annotated[bool, Field(strict=True)] = False
    raised_day_minutes_max: Annotated[int, Field(strict=True, ge=0, le=1440)] = 1440


class Disputes(_Table):
    """`[disputes]`: by when a dispute is to be answered and settled, in working days after the day it was opened."""

    answer_working_days: WorkingDays
    settle_working_days: WorkingDays

    @model_validator(mode="after")
    def _answered_before_settled(self) -> Self:
        if self.settle_working_days < self.answer_working_days:
            raise ValueError(
                "settle_working_days lies before answer_working_days: a dispute is answered first; raise it"
            )
        return self


class Policies(NamedTuple):
    """What the rules in force say about acts. `zone`: in which a dispute's day is told; None is UTC."""

    approvals: Approvals = Approvals()
    disputes: Disputes | None = None
    zone: str | None = None

    def due(self, opened_at: int) -> tuple[date, date] | None:
        """Return by which days a dispute opened at an instant is to be answered and settled, if the rules say."""
        if self.disputes is None:
            return None
        opened, terms = local_day(opened_at, self.zone), self.disputes
        return (
            working_days_after(opened, terms.answer_working_days),
            working_days_after(opened, terms.settle_working_days),
        )


NO_POLICIES = Policies()


@lru_cache(maxsize=8)
def policies_of(text: str) -> Policies:
    """Read the policies of a rule timeline.

    Whoever publishes rules checks them; of a text that could not be published by this version a table that cannot be
    read says nothing.
    """
    content = content_of(text)
    return Policies(
        _table(Approvals, content.get("approvals", {})) or Approvals(),
        _table(Disputes, content.get("disputes", {})),
        zone_of(content),
    )


def content_of(text: str) -> dict[str, Any]:
    """Return what a rule timeline's text says; nothing of one that is no TOML, which nobody could have replayed."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def zone_of(content: Mapping[str, Any]) -> str | None:
    """Return the time zone that a rule timeline names, if there is such a zone."""
    name = content.get("time_zone")
    try:
        return ZoneInfo(name).key if isinstance(name, str) else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def local_day(instant: int, zone: str | None) -> date:
    """Return the day of an instant, in epoch seconds, in a time zone; without one, in UTC."""
    return datetime.fromtimestamp(instant, ZoneInfo(zone or "UTC")).date()


T = TypeVar("T", bound=_Table)


def _table(model: type[T], content: Any) -> T | None:
    try:
        return model.model_validate(content)
    except ValidationError:
        return None
