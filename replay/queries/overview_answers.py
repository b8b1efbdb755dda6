"""A volunteer's own view in one answer: what was done, where it leads, and what is pending."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from replay.axes.answers import (
    Grade,
    HonorReached,
    HoursRow,
    Linked,
    OfPerson,
    OpeningBalance,
    TrainingRecord,
    omit_none,
)


class PlaceHours(Linked):
    """What was done at a station or for a project (null: for none)."""

    name: str | None
    shifts: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    scanned_minutes: int
    attested_minutes: int


class Progress(Linked):
    """The way to an honour that is not reached: its conditions as they hold on the day, and what is missing of each.

    `minutes`: what counts towards it, scanned minutes alone where it asks for them; an active year is one with the
    minutes that the honour asks of a year. `tenure_on`: the day on which the
    tenure is served, null where none is asked. `reached_on`: the day on which it will be reached, where time alone is
    missing.
    """

    honor: str
    title: str
    grade: str
    credited_minutes_min: int
    minutes: int
    minutes_missing: int
    tenure_on: date | None
    tenure_missing: bool
    training_tier_min: str | None
    training_missing: bool
    active_years_missing: int
    reached_on: date | None


class PendingShift(Linked):
    """A shift that waits for something: its check-out, or the settling of a dispute.

    `volunteer`: the number under which it was recorded, of a person who has several.
    """

    shift: UUID
    volunteer: str | None = omit_none()
    station: str | None
    check_in: datetime | None
    check_out: datetime | None
    grade: Grade


class PendingRequest(Linked):
    """An act about the person that waits for another's approval; `volunteer`: the number that it names."""

    request: str
    volunteer: str
    act: str
    asked_at: datetime
    position: int


class PendingHonor(Linked):
    """An honour that was announced, and is neither awarded nor ended; `volunteer`: the number that it names.

    `running`: whether its notice runs on the day. `open_objections`: how many are in its way.
    """

    award: str
    honor: str
    volunteer: str
    year: int | None
    notice_until: date | None
    running: bool
    open_objections: int


class Pending(Linked):
    """What is not settled yet."""

    open_shifts: list[PendingShift]
    disputes: list[PendingShift]
    requests: list[PendingRequest]
    honors: list[PendingHonor]


class MembershipShown(Linked):
    """A membership. `until`: the first day on which it is no longer one."""

    organisation: str
    since: date
    until: date | None


class Overview(OfPerson):
    """A volunteer's own view, on a day."""

    day: date
    registered_on: date | None
    opening_balance: OpeningBalance | None
    more_opening_balances: list[OpeningBalance] | None = omit_none()
    total: HoursRow
    years: list[HoursRow]
    stations: list[PlaceHours]
    projects: list[PlaceHours]
    honors: list[HonorReached]
    progress: list[Progress]
    pending: Pending
    memberships: list[MembershipShown]
    trainings: list[TrainingRecord]
