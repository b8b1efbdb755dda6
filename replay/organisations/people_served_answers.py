"""Answers about people served (服务人次): people helped at a station on a day, never volunteers."""

from __future__ import annotations

from datetime import date, datetime

from replay.axes.answers import Basis, Linked


class Count(Linked):
    """One count as it was entered. `reason`: why it corrects the one before."""

    people: int
    reason: str | None
    by: str
    recorded_at: datetime
    position: int


class ServedDay(Linked):
    """People served at a station (for a project) on a day, with every count of them; the last one stands."""

    station: str
    project: str | None
    day: date
    people: int
    counts: list[Count]


class ServedSum(Linked):
    """The people served at a station, or for a project (null: for none), in the period."""

    name: str | None
    people: int


class PeopleServed(Basis):
    """People served in a period: in all, by station, by project, and a page of the days; `next_after` continues it."""

    station: str | None
    project: str | None
    organisation: str | None
    first_day: date
    last_day: date
    people: int
    stations: list[ServedSum]
    projects: list[ServedSum]
    days: list[ServedDay]
    next_after: str | None
