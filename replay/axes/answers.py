"""Answers: the models that queries return, each with the axes it is based on.

Field names use the glossary; minutes are whole minutes, instants ISO 8601 with a zone, days local days. In every trace

    raw = counted + superseded + too short + clipped + overlapped + capped
    credited = counted + factor change - rounding
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ledger.names import PlaceKind
from replay.published import Rules


class Answer(BaseModel):
    """The base of all answers, which are immutable."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)


class Linked(Answer):
    """A part of an answer with related resources. Over HTTP, `links` holds their addresses by name."""

    links: Annotated[dict[str, str] | None, Field(exclude_if=lambda links: links is None)] = None


def omit_none() -> Any:
    """Return a field that is omitted if it is None, as it is for persons with a single number, which nearly all are."""
    return Field(default=None, exclude_if=lambda value: value is None)


class NameOf(NamedTuple):
    """Marks a field for the name of the place whose id stands beside it (`replay/axes/place_names.py`).

    `kind`: None for the kind that the list, or the ranking, is of. `field`: the field that holds the id, or a list of
    ids, whose names are then a dictionary; by default the kind's.
    """

    kind: PlaceKind | None
    field: str = ""


class NamesIn(NamedTuple):
    """Marks a field for the names of all places in other fields, which hold the fields of events or commands: by the
    name of the field that holds the id, and by the id.
    """

    fields: tuple[str, ...]


PlaceNamesIn = dict[str, dict[str, str]]
StationName = Annotated[str | None, NameOf("station")]
ProjectName = Annotated[str | None, NameOf("project")]
OrganisationName = Annotated[str | None, NameOf("organisation")]
NameOfEntry = Annotated[str | None, NameOf(None, "name")]
"""The name of the station, project or organisation whose id is in `name`."""


class RulesUsed(Answer):
    """The rule timeline an answer was computed with; version 0 is a candidate that is not published."""

    name: str
    version: int
    digest: str

    @classmethod
    def of(cls, rules: Rules) -> Self:
        """Return what names rules."""
        return cls(name=rules.timeline().name, version=rules.version, digest=rules.digest)


class Basis(Answer):
    """The three axes of an answer, and the log position it is based on."""

    valid_at: date | None
    known_at: int
    rules: RulesUsed
    position: int


class Merged(Linked):
    """A merge in force: `volunteer` was merged into `into` by the event at `position`."""

    volunteer: str
    into: str
    position: int


class OfPerson(Basis):
    """An answer about a volunteer, which is always about the whole person.

    `goes_on_as`: the number into which the requested one was merged, if it was. `numbers` and `merges`: all numbers of
    the person and the events that merged them, if there are several.
    """

    volunteer: str
    goes_on_as: str | None = omit_none()
    numbers: list[str] | None = omit_none()
    merges: list[Merged] | None = omit_none()


class HoursRow(Linked):
    """Service hours of a year, or of all years including the opening balance.

    Credited minutes are scanned or attested. The late ones among them were recorded too late (Order 67, Art. 11), which
    does not reduce them.
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
    """Attested minutes of the paper era. `volunteer`: the number that has it, if the person has several. `version`: of
    the record of that number's balances.
    """

    as_of: date
    minutes: int
    version: int | None = omit_none()
    volunteer: str | None = omit_none()


class TrainingRecord(Linked):
    """A training record (Order 67, Art. 8). `voided`: the reason for which it was voided as an error, or null."""

    tier: str
    content: str
    learning_minutes: int
    provider: str
    provider_name: Annotated[str | None, NameOf("organisation", "provider")] = omit_none()
    completed_on: date
    by: str
    position: int
    voided: str | None


class HonorReached(Linked):
    """An honour and the date on which its conditions are met, which is in the future if only time is missing."""

    honor: str
    title: str
    reached_on: date


class VolunteerHours(OfPerson):
    """A volunteer's hours per year and in total, and the honours reached.

    `version`: of the record of the requested number: its registration, trainings, memberships and merges.
    `registered_on`: the earliest date of all numbers. `opening_balance`: the latest of all numbers;
    `more_opening_balances`: the other ones, if any.
    """

    version: int
    registered_on: date | None
    opening_balance: OpeningBalance | None
    more_opening_balances: list[OpeningBalance] | None = omit_none()
    total: HoursRow
    years: list[HoursRow]
    honors: list[HonorReached]
    trainings: list[TrainingRecord]


class Trace(Answer):
    """The trace of the minutes of a piece, or of all pieces of a shift."""

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
    """A shift after all known events, and its trace. `flags` name its irregularities.

    `positions`: its events, in log order. `version`: their number. `volunteer`: the number under which it was recorded,
    if the person has several.
    """

    shift: UUID
    volunteer: str | None = omit_none()
    station: str | None
    station_name: StationName = omit_none()
    project: str | None
    project_name: ProjectName = omit_none()
    check_in: datetime | None
    check_out: datetime | None
    first_recorded_at: datetime
    grade: Grade
    flags: list[str]
    positions: list[int]
    version: int
    trace: Trace
    pieces: list[PieceTrace]


class VolunteerShifts(OfPerson):
    """A volunteer's shifts, latest first; `next_after` continues the list."""

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


class StationSums(Answer):
    """The sums of a station over a period. A day with shifts is a day open."""

    days_open: int
    shifts: int
    credited_minutes: int
    people_served: int


class StationActivity(Basis):
    """A station over a period. `person_times` sums the volunteers of each day."""

    station: str
    station_name: StationName = omit_none()
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
    """A shift's part in a station's `day`. `begins`: whether the shift and its volunteer are counted on this day.

    `volunteer`: the number under which the shift was recorded. `goes_on_as`: the number into which that was merged, if
    it was. `late`: the shift was recorded too late (Order 67, Art. 11), which does not reduce it. `version`: the number
    of its events, at `positions`.
    """

    volunteer: str
    goes_on_as: str | None = omit_none()
    shift: UUID
    day: date
    project: str | None
    project_name: ProjectName = omit_none()
    check_in: datetime
    check_out: datetime | None
    grade: Grade
    late: bool
    begins: bool
    trace: Trace
    positions: list[int]
    version: int


class StationDayShifts(Basis):
    """The shifts of a station's day, or of so many `days` up to it, by person and time. Over all pages their parts sum
    to the rows of the days.

    `next_after` continues the list: the last person of this page, by the number they were merged into, if any. No
    person is split between two pages; `left_out` counts the shifts that are not listed, of a person with more than a
    thousand.
    """

    station: str
    station_name: StationName = omit_none()
    day: date
    days: int
    shifts: list[StationShift]
    left_out: int
    next_after: str | None


class Standing(Linked):
    """A volunteer who reached an honour."""

    volunteer: str
    reached_on: date


class Standings(Basis):
    """The volunteers who reached an honour up to a day, by date; `next_after` continues the list."""

    honor: str
    title: str
    reached_up_to: date
    count: int
    standings: list[Standing]
    next_after: str | None


class LoggedEvent(Answer):
    """An event as stored in the log."""

    position: int
    stream: UUID
    version: int
    topic: str
    event: dict[str, object]
