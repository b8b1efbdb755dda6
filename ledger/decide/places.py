"""Stations, projects, and the people served there."""

from __future__ import annotations

from ledger.commands import CloseStation, CountPeopleServed, EndProject, LaunchProject, OpenStation
from ledger.decide.case import Case, Decision, last_of
from ledger.decide.organisations import has_ended
from ledger.events import PeopleServedCounted, ProjectEnded, ProjectLaunched, StationClosed, StationOpened
from ledger.names import stream
from ledger.rejections import Rejection, refuse


def _is_open(case: Case, station: str) -> bool:
    events = case.streams.events(stream("station", station))
    return isinstance(last_of(events, StationOpened, StationClosed), StationOpened)


def open_station(command: OpenStation, case: Case) -> Decision:
    if command.organisation is not None and not case.knows("organisation", command.organisation):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "organisation", command.organisation)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if command.organisation is not None and has_ended(case, command.organisation, case.day_of(command.occurred_at)):
        return refuse(Rejection.ORGANISATION_ENDED, "organisation", command.organisation)
    if _is_open(case, command.station):
        return refuse(Rejection.ALREADY_OPEN, "station", command.station)
    return [
        StationOpened(
            **case.said(command.occurred_at),
            station=command.station,
            kind=command.kind,
            theme=command.theme,
            organisation=command.organisation,
        )
    ]


def close_station(command: CloseStation, case: Case) -> Decision:
    if not case.knows("station", command.station):
        return refuse(Rejection.UNKNOWN_STATION, "station", command.station)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if not _is_open(case, command.station):
        return refuse(Rejection.ALREADY_CLOSED, "station", command.station)
    return [StationClosed(**case.said(command.occurred_at), station=command.station, reason=command.reason)]


def _is_running(case: Case, project: str) -> bool:
    events = case.streams.events(stream("project", project))
    return isinstance(last_of(events, ProjectLaunched, ProjectEnded), ProjectLaunched)


def launch_project(command: LaunchProject, case: Case) -> Decision:
    if command.in_charge is not None and not case.knows("volunteer", command.in_charge):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "in_charge", command.in_charge)
    if command.organisation is not None and not case.knows("organisation", command.organisation):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "organisation", command.organisation)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if command.organisation is not None and has_ended(case, command.organisation, case.day_of(command.occurred_at)):
        return refuse(Rejection.ORGANISATION_ENDED, "organisation", command.organisation)
    if _is_running(case, command.project):
        return refuse(Rejection.ALREADY_LAUNCHED, "project", command.project)
    return [
        ProjectLaunched(
            **case.said(command.occurred_at),
            project=command.project,
            content=command.content,
            in_charge=command.in_charge,
            organisation=command.organisation,
        )
    ]


def end_project(command: EndProject, case: Case) -> Decision:
    if not case.knows("project", command.project):
        return refuse(Rejection.UNKNOWN_PROJECT, "project", command.project)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if not _is_running(case, command.project):
        return refuse(Rejection.ALREADY_ENDED, "project", command.project)
    return [ProjectEnded(**case.said(command.occurred_at), project=command.project, reason=command.reason)]


def count_people_served(command: CountPeopleServed, case: Case) -> Decision:
    if not case.knows("station", command.station):
        return refuse(Rejection.UNKNOWN_STATION, "station", command.station)
    if command.project is not None and not case.knows("project", command.project):
        return refuse(Rejection.UNKNOWN_PROJECT, "project", command.project)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.day):
        return refuse(Rejection.FUTURE, "day", command.day)
    if command.reason is None and not _counts_for_itself(command, case) and _was_counted(command, case):
        return refuse(Rejection.NO_REASON, "reason", "left out")
    return [
        PeopleServedCounted(
            **case.said(command.occurred_at),
            station=command.station,
            project=command.project,
            day=command.day,
            people=command.people,
            reason=command.reason,
        )
    ]


def _counts_for_itself(command: CountPeopleServed, case: Case) -> bool:
    """A station counts as the day goes on, and old records may hold several counts of a day."""
    return case.order.imported or case.order.by == f"station:{command.station}"


def _was_counted(command: CountPeopleServed, case: Case) -> bool:
    same = stream("people-served", command.station, command.project or "", command.day.isoformat())
    return case.streams.version(same) > 0
