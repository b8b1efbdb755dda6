"""A volunteer's statement as an answer: what was served in a period, where, under whom, what counted, and why not all.

In every line and in the totals

    raw = counted + superseded + too short + clipped + overlapped + capped
    credited = counted + factor change - rounding
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from ledger.store.persons import Person
from replay.axes.answers import (
    Answer,
    Grade,
    Linked,
    OfPerson,
    OpeningBalance,
    OrganisationName,
    ProjectName,
    StationName,
    omit_none,
)

Why = Literal["superseded", "too-short", "clipped", "overlapped", "capped", "factor", "rounding"]


class Uncredited(Answer):
    """Why minutes were not credited; `minutes` is negative for a factor above 100 %, which adds some."""

    why: Why
    minutes: int


class StatementLine(Linked):
    """A shift's part on one local day. Instants are local; those of the whole shift, as recorded.

    `organisation`: that of the station on the day the shift began or, if the station has none, of the project.
    `uncredited` sums to raw minus credited minutes. `without_minutes`: why a shift holds no minutes at all, else null.
    `volunteer`: the number under which it was recorded, if the person has several.
    """

    day: date
    shift: UUID
    volunteer: str | None = omit_none()
    station: str | None
    station_name: StationName = omit_none()
    project: str | None
    project_name: ProjectName = omit_none()
    organisation: str | None
    organisation_name: OrganisationName = omit_none()
    check_in: datetime | None
    check_out: datetime | None
    grade: Grade
    late: bool
    in_dispute: bool
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    uncredited: list[Uncredited]
    without_minutes: str | None


class StatementTotal(Answer):
    """The sums of all lines. `credited_minutes` include `opening_minutes`, those of the opening balances of the period,
    which are attested.
    """

    shifts: int
    raw_minutes: int
    counted_minutes: int
    opening_minutes: int
    credited_minutes: int
    scanned_minutes: int
    attested_minutes: int
    uncredited: list[Uncredited]


class Statement(OfPerson):
    """A volunteer's service in a period, in order of time. `first_day` and `last_day`: null for an open end.

    `lines`: a few thousand at most; `left_out` counts the later ones, which the totals include. `person_name`: the name
    in the directory, if it was asked for.
    """

    first_day: date | None
    last_day: date | None
    time_zone: str
    today: date
    opening_balances: list[OpeningBalance]
    total: StatementTotal
    lines: list[StatementLine]
    left_out: int
    person_name: str | None = omit_none()


def named_person(found: Statement, person: Person) -> Statement:
    """Return a statement with the person's name, as the directory has it."""
    return found.model_copy(update={"person_name": person.name})
