"""Answers: what readers get, each with the axes it rests on.

Field names use the glossary; minutes are whole minutes, instants ISO 8601 with a zone, days local days. In every trace

    raw = counted + superseded + too short + clipped + overlapped + capped
    credited = counted + factor change - rounding
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """What all answers have in common: nothing changes them once they are given."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)


class Linked(Answer):
    """A part of an answer behind which there is more: asked over HTTP, `links` holds addresses by what they lead to."""

    links: Annotated[dict[str, str] | None, Field(exclude_if=lambda links: links is None)] = None


def omit_none() -> Any:
    """Return a field that is left out where it is None, as it is for nearly all: of persons with a single number."""
    return Field(default=None, exclude_if=lambda value: value is None)


class RulesUsed(Answer):
    """The rule timeline an answer was computed with; version 0 is a candidate that is not published."""

    name: str
    version: int
    digest: str


class Basis(Answer):
    """The three axes of an answer, and the log position it rests on."""

    valid_at: date | None
    known_at: int
    rules: RulesUsed
    position: int


class Merged(Linked):
    """A merge that stands: this number goes on as `into`, because the event at the position says so."""

    volunteer: str
    into: str
    position: int


class OfPerson(Basis):
    """An answer about a volunteer, which is always about the whole person.

    `goes_on_as`: the number that goes on, where the one asked for was merged into another. `numbers`: all numbers of
    the person, and `merges`: the events that make them one, where there are several.
    """

    volunteer: str
    goes_on_as: str | None = omit_none()
    numbers: list[str] | None = omit_none()
    merges: list[Merged] | None = omit_none()


class HoursRow(Linked):
    """Service hours of a year, or of all years with the opening balance.

    Credited minutes are scanned or attested; of these, the late ones were recorded too late (Order 67, Art. 11), which
    takes nothing away.
    """

    year: int | None
    shifts: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    scanned_minutes: int
    attested_minutes: int
    late_scanned_minutes: int
    late_attested_minutes: int


class OpeningBalance(Answer):
    """Attested minutes of the paper era. `volunteer`: whose number's, where the person has several."""

    as_of: date
    minutes: int
    volunteer: str | None = omit_none()


class TrainingRecord(Linked):
    """A training record (Order 67, Art. 8). `voided`: why it was taken back as an error, null while it stands."""

    tier: str
    content: str
    learning_minutes: int
    provider: str
    completed_on: date
    by: str
    position: int
    voided: str | None


class HonorReached(Linked):
    """An honour and the date its conditions are met, which may lie ahead where only time is missing."""

    honor: str
    title: str
    reached_on: date


class VolunteerHours(OfPerson):
    """A volunteer's hours per year and in all, and the honours reached.

    `registered_on`: the earliest, `opening_balance`: the latest of all numbers; their other ones, if there are any,
    stand in `more_opening_balances`.
    """

    registered_on: date | None
    opening_balance: OpeningBalance | None
    more_opening_balances: list[OpeningBalance] | None = omit_none()
    total: HoursRow
    years: list[HoursRow]
    honors: list[HonorReached]
    trainings: list[TrainingRecord]


class Trace(Answer):
    """Where minutes went: of a piece, or summed over the pieces of a shift."""

    raw: int
    superseded: int
    too_short: int
    clipped: int
    overlapped: int
    capped: int
    counted: int
    factor_change: int
    rounding: int
    credited: int


class PieceTrace(Trace):
    """A shift's part on one local day."""

    day: date


Grade = Literal["scanned", "attested"]


class ShiftTrace(Linked):
    """A shift as all events known leave it, and what it is worth. `flags` name what is odd about it.

    `positions`: the events behind it, in the order of the log. `volunteer`: the number under which it was recorded,
    where the person has several.
    """

    shift: UUID
    volunteer: str | None = omit_none()
    station: str | None
    project: str | None
    check_in: datetime | None
    check_out: datetime | None
    first_recorded_at: datetime
    grade: Grade
    flags: list[str]
    positions: list[int]
    trace: Trace
    pieces: list[PieceTrace]


class VolunteerShifts(OfPerson):
    """A volunteer's shifts, the latest first; `next_after` continues the list."""

    shifts: list[ShiftTrace]
    next_after: str | None


class StationDay(Linked):
    """A station on one local day. Shifts and volunteers are those that began there that day."""

    day: date
    shifts: int
    volunteers: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    people_served: int


class StationActivity(Basis):
    """A station over a period. `person_times` sums the volunteers of each day."""

    station: str
    first_day: date
    last_day: date
    days_open: int
    shifts: int
    person_times: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    people_served: int
    days: list[StationDay]


class StationShift(Linked):
    """A shift's part in a station's day: `begins` says whether the shift, and its volunteer, count on this day.

    `volunteer`: the number under which it was recorded. `goes_on_as`: the person's, where that is another.
    `late`: it was recorded too late (Order 67, Art. 11), which takes nothing away.
    """

    volunteer: str
    goes_on_as: str | None = omit_none()
    shift: UUID
    project: str | None
    check_in: datetime
    check_out: datetime | None
    grade: Grade
    late: bool
    begins: bool
    trace: Trace
    positions: list[int]


class StationDayShifts(Basis):
    """The shifts behind a station's day, by person and time. Over all pages their parts sum to the day's row.

    `next_after` continues the list: the last person of this page, by the number that goes on.
    """

    station: str
    day: date
    shifts: list[StationShift]
    next_after: str | None


class Standing(Linked):
    """A volunteer who reached an honour."""

    volunteer: str
    reached_on: date


class Standings(Basis):
    """Who has reached an honour up to a day, by date; `next_after` continues the list."""

    honor: str
    title: str
    reached_up_to: date
    count: int
    standings: list[Standing]
    next_after: str | None


class LoggedEvent(Answer):
    """An event as the log holds it."""

    position: int
    stream: UUID
    version: int
    topic: str
    event: dict[str, object]
