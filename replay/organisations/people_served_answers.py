"""Answers about people served (服务人次): people helped at a station on a day, never volunteers."""

from __future__ import annotations

from datetime import date, datetime

from replay.axes.answers import Basis, Linked, NameOfEntry, OrganisationName, ProjectName, StationName, omit_none


class Count(Linked):
    """A count as it was entered. `reason`: why it corrects the count before."""

    people: int
    reason: str | None
    by: str
    recorded_at: datetime
    position: int


class ServedDay(Linked):
    """People served at a station (for a project) on a day, with all counts; the last count is in force."""

    station: str
    station_name: StationName = omit_none()
    project: str | None
    project_name: ProjectName = omit_none()
    day: date
    people: int
    counts: list[Count]


class ServedSum(Linked):
    """The people served at a station, or for a project (`name` null: for no project), in the period."""

    name: str | None
    place_name: NameOfEntry = omit_none()
    people: int


class PeopleServed(Basis):
    """People served in a period: in total, by station, by project, and by day; `next_after` continues the days."""

    station: str | None
    station_name: StationName = omit_none()
    project: str | None
    project_name: ProjectName = omit_none()
    organisation: str | None
    organisation_name: OrganisationName = omit_none()
    first_day: date
    last_day: date
    people: int
    stations: list[ServedSum]
    projects: list[ServedSum]
    days: list[ServedDay]
    next_after: str | None
