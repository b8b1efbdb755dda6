"""Statements: a volunteer's service in a period, for the volunteer, an office or a school, under any axes.

The kernels' pieces are listed as they are, so the totals are those of every other answer. Nothing here writes.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from itertools import chain
from zoneinfo import ZoneInfo

from ledger.store.database import Database
from projections.kernels.organisations import OrganisationHistory, organisation_on
from projections.local_time import day_number, day_of_number
from projections.rules.late_entries import late
from projections.schema import DAY, DOUBLE_TAP, FIRST, IN_DISPUTE, PAIRED, PUNCH, ROW, VOID, Ints
from replay.axes.answers import OpeningBalance, PieceTrace
from replay.axes.as_known import Axes, Known, read_volunteer
from replay.cohorts.cohort import Shift
from replay.explain.check_outs_alone import ScannedOut, ScansAlone, as_scanned, scans_alone
from replay.explain.traces import is_scanned, piece_trace, shift_day
from replay.queries.statement_answers import Statement, StatementLine, StatementTotal, Uncredited, Why
from replay.queries.volunteers import Period, chosen_shifts
from replay.records.belonging import read_places

LINES_MAX = 4000
"""More lines than a volunteer with a shift every day has in ten years."""

_COLUMNS: dict[Why, str] = {
    "superseded": "superseded",
    "too-short": "too_short",
    "clipped": "clipped",
    "overlapped": "overlapped",
    "capped": "capped",
    "rounding": "rounding",
}
_Leaders = tuple[dict[str, OrganisationHistory], dict[str, OrganisationHistory]]


def statement(
    database: Database, volunteer: str, period: tuple[date | None, date | None], today: date, axes: Axes
) -> Statement:
    """Return a volunteer's service between two local days, both inclusive; None leaves an end open.

    Raises:
        replay.axes.as_known.UnknownNameError: no volunteer with this number was registered then.
        store.NoGenerationError
    """
    known = read_volunteer(database, volunteer, axes)
    with database.pool.connection() as connection:
        leaders = read_places(connection, known.position).leaders(known.timeline)
    first, last = period
    until = min(axes.valid_at or date.max, last or date.max)
    pieces = known.tables.pieces(known.volunteer)
    served = {*known.tables.table.shift[pieces[:, ROW]].tolist()} if len(pieces) else set()
    if until < date.max:
        pieces = pieces[pieces[:, DAY] <= day_number(until)]
    if first is not None:
        pieces = pieces[pieces[:, DAY] >= day_number(first)]
    alone = scans_alone(database.log, known)
    idle = _without_minutes(known, served, Period(first, until), leaders, alone)
    lines = sorted(
        chain(_with_minutes(known, pieces, leaders), idle),
        key=lambda line: (line.day, line.check_in or line.check_out or datetime.max.replace(tzinfo=UTC), line.shift),
    )
    balances = [
        OpeningBalance(as_of=as_of, minutes=person.opening_minutes, volunteer=known.recorded_under(name))
        for name, person in known.balances
        if (first or date.min) <= (as_of := day_of_number(person.opening_day)) <= until
    ]
    return Statement(
        **known.person_fields(),
        first_day=first,
        last_day=last,
        time_zone=known.timeline.time_zone,
        today=today,
        opening_balances=balances,
        total=_total(lines, balances, int(pieces[:, FIRST].sum())),
        lines=lines[:LINES_MAX],
        left_out=max(len(lines) - LINES_MAX, 0),
    )


def _with_minutes(known: Known, pieces: Ints, leaders: _Leaders) -> list[StatementLine]:
    numbers = known.tables.table.shift[pieces[:, ROW]].tolist() if len(pieces) else []
    are_late = late(known.tables.columns.columns, known.timeline)
    return [
        _line(known, number, piece_trace(piece), leaders, late=bool(are_late[number]))
        for number, piece in zip(numbers, pieces.tolist(), strict=True)
    ]


def _without_minutes(
    known: Known, served: set[int], period: Period, leaders: _Leaders, alone: ScansAlone
) -> list[StatementLine]:
    """Return the shifts that begin in a period and hold no minutes."""
    numbers, _ = chosen_shifts(known, period, alone)
    are_late = late(known.tables.columns.columns, known.timeline)
    return [
        _line(known, number, None, leaders, late=bool(are_late[number]), alone=alone.get(number))
        for number in numbers.tolist()
        if number not in served
    ]


def _line(
    known: Known,
    number: int,
    trace: PieceTrace | None,
    leaders: _Leaders,
    *,
    late: bool,
    alone: ScannedOut | None = None,
) -> StatementLine:
    shift, zone = as_scanned(known.tables.columns.shift(number), alone), ZoneInfo(known.timeline.time_zone)
    began = shift_day(shift, known.timeline)
    return StatementLine(
        day=began if trace is None else trace.day,
        shift=shift.shift,
        volunteer=known.recorded_under(shift.volunteer),
        station=shift.station,
        project=shift.project,
        organisation=_organisation(shift, began, leaders),
        check_in=_local(shift.check_in, zone),
        check_out=_local(shift.check_out, zone),
        grade="scanned" if is_scanned(shift) else "attested",
        late=late,
        in_dispute=bool(shift.flags & IN_DISPUTE),
        raw_minutes=trace.raw if trace else 0,
        counted_minutes=trace.counted if trace else 0,
        credited_minutes=trace.credited if trace else 0,
        uncredited=_uncredited(trace) if trace else [],
        without_minutes=None if trace and trace.raw else _why_without(shift),
    )


def _organisation(shift: Shift, day: date, leaders: _Leaders) -> str | None:
    """Return the organisation under which a shift was served."""
    stations, projects = leaders
    led = organisation_on(stations[shift.station], day) if shift.station in stations else None
    return led or (organisation_on(projects[shift.project], day) if shift.project in projects else None)


def _local(instant: int | None, zone: ZoneInfo) -> datetime | None:
    return None if instant is None else datetime.fromtimestamp(instant, UTC).astimezone(zone)


def _uncredited(trace: PieceTrace) -> list[Uncredited]:
    minutes: dict[Why, int] = {why: getattr(trace, column) for why, column in _COLUMNS.items()}
    minutes["factor"] = -trace.factor_change
    return [Uncredited(why=why, minutes=each) for why, each in minutes.items() if each]


def _why_without(shift: Shift) -> str:
    if shift.flags & VOID:
        return "it is void"
    if shift.flags & DOUBLE_TAP:
        return "it is a punch between others" if shift.flags & PAIRED else "it is the same scan as another one"
    if shift.check_in is None or shift.flags & PUNCH:
        return "it has no check-in"
    return "it has no check-out" if shift.check_out is None else "it holds no minutes"


def _total(lines: list[StatementLine], balances: list[OpeningBalance], shifts: int) -> StatementTotal:
    opening = sum(balance.minutes for balance in balances)
    by_grade = Counter[str]()
    by_why = Counter[Why]()
    for line in lines:
        by_grade[line.grade] += line.credited_minutes
        for part in line.uncredited:
            by_why[part.why] += part.minutes
    return StatementTotal(
        shifts=shifts,
        raw_minutes=sum(line.raw_minutes for line in lines),
        counted_minutes=sum(line.counted_minutes for line in lines),
        opening_minutes=opening,
        credited_minutes=by_grade.total() + opening,
        scanned_minutes=by_grade["scanned"],
        attested_minutes=by_grade["attested"] + opening,
        uncredited=[Uncredited(why=why, minutes=minutes) for why, minutes in by_why.items() if minutes],
    )
