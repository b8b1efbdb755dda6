"""A volunteer's own view as one answer: service, progress towards honours, and what is pending."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from replay.axes.answers import (
    Grade,
    HonorReached,
    HoursRow,
    Linked,
    NameOfEntry,
    OfPerson,
    OpeningBalance,
    OrganisationName,
    StationName,
    TrainingRecord,
    omit_none,
)


class PlaceHours(Linked):
    """The service at a station or for a project (`name` null: for no project)."""

    name: str | None
    place_name: NameOfEntry = omit_none()
    shifts: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    scanned_minutes: int
    attested_minutes: int


class Progress(Linked):
    """An honour that is not reached: its conditions in force on the day, and what is missing for each.

    `minutes`: those that count for it; only scanned ones if it requires them. An active year is one with the minutes
    that the honour requires of a year. `tenure_on`: the day on which the tenure is served, null if none is required.
    `reached_on`: the day on which it will be reached, if only time is missing.
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
    """A shift without a check-out.

    `volunteer`: the number under which it was recorded, if the person has several.
    """

    shift: UUID
    volunteer: str | None = omit_none()
    station: str | None
    station_name: StationName = omit_none()
    check_in: datetime | None
    check_out: datetime | None
    grade: Grade


class PendingDispute(PendingShift):
    """An open dispute about a shift: when and why it was opened, the working days on which its answer and its
    settlement are due, and when it was answered. `overdue`: the step not made by its due date. `additions`: how many
    were added.
    """

    opened_at: datetime
    reason: str | None
    answer_due: date | None
    settle_due: date | None
    answered_at: datetime | None
    overdue: Literal["answer", "settlement"] | None
    additions: int


class PendingRequest(Linked):
    """A requested act on the person's record that awaits approval. `volunteer`: the number that the request names."""

    request: str
    volunteer: str
    act: str
    asked_at: datetime
    position: int


class PendingHonor(Linked):
    """An announced honour that is neither awarded nor ended. `volunteer`: the number that the announcement names.

    `running`: whether its notice runs on the day. `open_objections`: how many objections are not settled.
    """

    award: str
    honor: str
    volunteer: str
    year: int | None
    notice_until: date | None
    running: bool
    open_objections: int


class Pending(Linked):
    """Open shifts, disputes, requests and announced honours: a hundred of each at most, and how many there are."""

    open_shifts: list[PendingShift]
    open_shift_count: int
    disputes: list[PendingDispute]
    dispute_count: int
    requests: list[PendingRequest]
    request_count: int
    honors: list[PendingHonor]
    honor_count: int


class MembershipShown(Linked):
    """A membership. `until`: the first day after it, null while it lasts."""

    organisation: str
    organisation_name: OrganisationName = omit_none()
    since: date
    until: date | None


class Overview(OfPerson):
    """A volunteer's own view on a day. A hundred stations and projects at most are listed."""

    day: date
    registered_on: date | None
    opening_balance: OpeningBalance | None
    more_opening_balances: list[OpeningBalance] | None = omit_none()
    total: HoursRow
    years: list[HoursRow]
    stations: list[PlaceHours]
    station_count: int
    projects: list[PlaceHours]
    project_count: int
    honors: list[HonorReached]
    progress: list[Progress]
    pending: Pending
    memberships: list[MembershipShown]
    trainings: list[TrainingRecord]
