"""Station shifts: the shifts behind some days of a station, each with its part of the minutes of a day.

The credit of a shift depends on all shifts of its person. So all shifts of the persons who served there are read, one
page of persons at a time, and the kernel's pieces of that station and those days are selected. The persons are found by
a scan of `replay.shifts` (half a second at six million shifts; the query is rare, and an index of stations and times
would slow every check-in), or under another `known_at` from the archive. Nothing here writes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from psycopg import Connection

from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.facts import Facts
from projections.local_time import day_number, day_of_number
from projections.rules.late_entries import late
from projections.rules.timeline import RuleTimeline
from projections.schema import DAY, FIRST, NO_INSTANT, NONE, ROW, Array
from replay.axes import answers
from replay.axes.as_known import Axes, basis_of, cohort_known_at, position_known, rules_used, snapshot
from replay.cohorts.cohort import Cohort, Shift, read_cohort
from replay.cohorts.merges import final_numbers, read_merges
from replay.explain.evidence import BehindShift, positions_of
from replay.explain.stretches import first_instant
from replay.explain.traces import is_scanned, piece_trace, trace_sum
from replay.on_demand.replays import Replays
from replay.queries.district import check_station

LONGEST_SECONDS = 86_460
"""A shift shorter than a day, or without a check-out, that has a part in a day began at most this long before it."""
SHIFTS_MAX = 1000
"""The number of shifts that a page lists at most, however many persons it was to have."""
CACHED_DAYS = 64
"""For this many days the persons who served are cached for the next page: finding them reads all shifts once."""
_GET_VOLUNTEERS = """
SELECT DISTINCT volunteer FROM replay.shifts
WHERE station = %(station)s
  AND (check_in >= %(begin)s AND check_in < %(until)s
       OR check_out - check_in >= 86400 AND check_in < %(until)s AND check_out >= %(start)s)
ORDER BY volunteer
"""


_PartOf = tuple[str, Shift, list[int], bool]
"""A person, a shift, the kernel's piece of it, and whether it was recorded too late."""


class StationShifts:
    """Queries about the shifts of a station's days, of one ledger."""

    def __init__(self, database: Database, replays: Replays) -> None:
        self._database = database
        self._replays = replays
        self._names: OrderedDict[tuple[Position, str, int, int], list[str]] = OrderedDict()

    def of_days(
        self, station: str, first: date, last: date, axes: Axes, limit: int, after: str | None
    ) -> answers.StationDayShifts:
        """Return the shifts that have a part in a station's days, of the next `limit` persons after `after`.

        Raises:
            replay.axes.as_known.UnknownNameError: the ledger does not know the station.
        """
        log = self._database.log
        with snapshot(self._database) as (connection, generation):
            check_station(connection, station)
            rules, known_at = rules_used(log, axes, generation), position_known(axes, generation)
            basis, timeline = basis_of(axes, rules, generation), rules.timeline()
            start, until = (first_instant(each, timeline.time_zone) for each in (first, last + timedelta(days=1)))
            is_past, key = known_at < generation.position, (known_at, station, start, until)
            names = self._names.get(key)
            if names is None and not is_past:
                names = _persons_at(connection, station, start, until)
            page = _page(names or [], limit, after)
            cohort = read_cohort(connection, page)
        if names is None:  # a replay takes seconds; no snapshot is held open for it
            names = _archived_persons_at(self._replays.facts(known_at), station, start, until)
            page = _page(names, limit, after)
            with snapshot(self._database) as (connection, _):
                cohort = read_cohort(connection, page)
        if is_past:
            cohort = cohort_known_at(log, cohort, known_at, timeline)
        self._cache(key, names)
        days = (day_number(first), day_number(min(last, axes.valid_at or last)))
        tables = cohort.tables.paired(timeline)
        are_late = late(tables.columns.columns, timeline)
        parts = [
            (person, *part) for person in page for part in _parts(cohort, person, timeline, station, days, are_late)
        ]
        page, parts, left_out = _bounded(page, parts)
        positions = positions_of(log, tables, [shift for _, shift, *_ in parts], known_at)
        return answers.StationDayShifts(
            **dict(basis),
            station=station,
            day=last,
            days=(last - first).days + 1,
            shifts=[
                _answer(person, shift, piece, found, late=is_late)
                for (person, shift, piece, is_late), found in zip(parts, positions, strict=True)
            ],
            left_out=left_out,
            next_after=page[-1] if page and page[-1] != names[-1] else None,
        )

    def _cache(self, key: tuple[Position, str, int, int], names: list[str]) -> None:
        self._names[key] = names
        while len(self._names) > CACHED_DAYS:
            self._names.popitem(last=False)


def _page(names: list[str], limit: int, after: str | None) -> list[str]:
    begin = bisect_right(names, after) if after is not None else 0
    return names[begin : begin + limit]


def _bounded(page: list[str], parts: list[_PartOf]) -> tuple[list[str], list[_PartOf], int]:
    """End a page before it has too many shifts; of a single person with too many, leave the rest out and count it."""
    if len(parts) <= SHIFTS_MAX:
        return page, parts, 0
    last = parts[SHIFTS_MAX][0]  # the person whose shifts do not fit
    page = page[: max(page.index(last), 1)]
    fitting = [part for part in parts if part[0] in {*page}]
    return page, fitting[:SHIFTS_MAX], max(len(fitting) - SHIFTS_MAX, 0)


def _persons_at(connection: Connection[Any], station: str, start: int, until: int) -> list[str]:
    """Return the persons who may have served at a station between two instants, by person's number."""
    values = {"station": station, "start": start, "begin": start - LONGEST_SECONDS, "until": until}
    numbers = [row[0] for row in connection.execute(_GET_VOLUNTEERS, values)]
    return sorted({*final_numbers(numbers, read_merges(connection, numbers))})


def _archived_persons_at(facts: Facts, station: str, start: int, until: int) -> list[str]:
    """Do the same as `_persons_at` with facts from the archive."""
    resolved, number = facts.resolved(), facts.stations.number.get(station, NONE)
    check_in, check_out = resolved.check_in.astype(np.int64), resolved.check_out.astype(np.int64)
    recent = (check_in >= start - LONGEST_SECONDS) | (check_out >= start)
    chosen = (resolved.station == number) & (check_in != NO_INSTANT) & (check_in < until) & recent
    names, person_of = facts.volunteers.texts(), facts.person_of()
    numbers = resolved.volunteer[chosen]
    return sorted(names[person] for person in np.unique(numbers if person_of is None else person_of[numbers]).tolist())


def _parts(
    cohort: Cohort, person: str, timeline: RuleTimeline, station: str, days: tuple[int, int], are_late: Array
) -> Iterator[tuple[Shift, list[int], bool]]:
    """Yield a person's shifts at a station that have a part in a day from the first to the last of `days`: for each
    part the kernel's piece, and whether the shift was recorded too late.
    """
    tables, names = cohort.tables.paired(timeline), cohort.tables.station_names
    pieces = tables.pieces(person)
    pieces = pieces[(pieces[:, DAY] >= days[0]) & (pieces[:, DAY] <= days[1])]
    for piece in pieces[tables.table.station[pieces[:, ROW]] == names.number.get(station, NONE)].tolist():
        number = int(tables.table.shift[piece[ROW]])
        yield tables.columns.shift(number), piece, bool(are_late[number])


def _answer(person: str, shift: Shift, piece: list[int], behind: BehindShift, *, late: bool) -> answers.StationShift:
    return answers.StationShift(
        volunteer=shift.volunteer,
        goes_on_as=None if person == shift.volunteer else person,
        shift=shift.shift,
        day=day_of_number(piece[DAY]),
        project=shift.project,
        check_in=datetime.fromtimestamp(shift.check_in or 0, UTC),
        check_out=None if shift.check_out is None else datetime.fromtimestamp(shift.check_out, UTC),
        grade="scanned" if is_scanned(shift) else "attested",
        late=late,
        begins=bool(piece[FIRST]),
        trace=trace_sum([piece_trace(piece)]),
        positions=list(behind.positions),
        version=behind.version,
    )
