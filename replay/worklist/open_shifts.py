"""Shifts without a check-out by the rules of pairing, as columns in the order of the worklist.

They wait once no scan can end them by `open_hours_max`, and should be corrected as soon as a shift of their day would
have to be recorded. A district has hundreds of thousands of them, so they are columns, and only those on a page become
objects. A replay finds them once; afterwards they follow the log: the persons of newer events are read again, and their
rows replaced. Both ways give the same columns (`tests/replay/live/test_live.py`). Nothing here writes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from ledger.aggregates.volunteer import VolunteerMerged, VolunteerMergeUndone
from ledger.names import Position
from ledger.store.log_queries import LogReader
from ledger.store.mapper import decode
from projections.kernels.facts import Facts
from projections.local_days import local_days
from projections.local_time import day_of_number
from projections.rules.late_entries import entry_deadlines, rule_set_numbers
from projections.rules.timeline import RuleTimeline
from projections.schema import NONE, Array, Ints, Longs, ResolvedShifts, ShiftTable, Words
from projections.surrogates import Names
from replay.cohorts.cohort import person_of, read_cohort
from replay.published import Rules
from replay.worklist.waiting import Waiting

EVENTS_MAX: Final = 5_000
"""More new events than this are not read: a replay is faster then."""
_KEPT: Final = 4
_KIND: Final = "open-shift"


class _Columns(NamedTuple):
    """`marks`: bytes[n], those of `Waiting`. Surrogates of names, int32[n]; instants, int64[n]; days, int32[n]."""

    marks: npt.NDArray[np.bytes_]
    volunteer: Ints
    station: Ints
    since: Longs
    waits_from: Longs
    due: Ints

    def rows(self, chosen: Array) -> _Columns:
        return _Columns._make(column[chosen] for column in self)


@dataclass(frozen=True)
class OpenShifts:
    """The shifts without a check-out as known at a position, by `marks`. `names`: of volunteers and of stations."""

    position: Position
    volunteers: Names
    stations: Names
    columns: _Columns

    def waiting(self, row: int) -> Waiting:
        """Return a row as an entry of the worklist."""
        columns = self.columns
        name = columns.marks[row].decode().partition(f"/{_KIND}/")[2]
        volunteer, _, shift = name.rpartition("/")
        station = int(columns.station[row])
        return Waiting(
            _KIND,
            name,
            volunteer,
            None if station == NONE else self.stations.texts()[station],
            "a shift without a check-out",
            since=int(columns.since[row]),
            waits_from=int(columns.waits_from[row]),
            due=day_of_number(int(columns.due[row])),
            commands=("check-out", "correct-shift", "void-shift"),
            shift=UUID(shift),
        )

    def after(self, mark: str) -> int:
        """Return the first row after a mark."""
        return int(np.searchsorted(self.columns.marks, np.bytes_(mark.encode()), side="right"))


def find(position: Position, facts: Facts, timeline: RuleTimeline) -> OpenShifts:
    """Find the shifts without a check-out among all facts as known at a position."""
    paired = facts.paired(facts.rules(timeline))
    volunteers, stations = Names(facts.volunteers.texts()), Names(facts.stations.texts())
    columns = _columns(paired.table, paired.shifts, facts.shift_keys, volunteers.texts(), timeline)
    return OpenShifts(position, volunteers, stations, columns)


def follow(
    known: OpenShifts, connection: Connection[Any], position: Position, timeline: RuleTimeline
) -> OpenShifts | None:
    """Return the shifts without a check-out at the position of a snapshot; None if too much has happened since.

    Args:
        known: as known at an earlier position, under the same rules.
        connection: a snapshot in which the read models are at `position`.
    """
    events = LogReader(connection).read(known.position, EVENTS_MAX + 1, position)
    if len(events) > EVENTS_MAX:
        return None
    changed: dict[str, None] = {}
    for recorded in events:
        event = decode(recorded.topic, recorded.state)
        if (volunteer := person_of(event)) is not None:
            changed[volunteer] = None
        if isinstance(event, VolunteerMerged | VolunteerMergeUndone):
            changed[event.into] = None
    if not changed:
        return OpenShifts(position, known.volunteers, known.stations, known.columns)
    cohort = read_cohort(connection, changed)
    tables = cohort.tables
    paired, own = tables.paired(timeline), tables.columns
    names = own.names
    found = _columns(
        paired.table,
        paired.columns.columns,
        lambda rows: (own.high[rows], own.low[rows]),
        names.volunteers.texts(),
        timeline,
    )
    found = found._replace(
        volunteer=_renumbered(found.volunteer, names.volunteers, known.volunteers),
        station=_renumbered(found.station, names.stations, known.stations),
    )
    again = np.array([known.volunteers.add(volunteer) for volunteer in cohort.persons], np.int32)
    kept = known.columns.rows(~np.isin(known.columns.volunteer, again))
    places = np.searchsorted(kept.marks, found.marks)
    width = max(kept.marks.dtype.itemsize, found.marks.dtype.itemsize)
    columns: tuple[Array, ...] = kept._replace(marks=kept.marks.astype(f"S{width}", copy=False))
    added: tuple[Array, ...] = found
    merged = (np.insert(column, places, more) for column, more in zip(columns, added, strict=True))
    return OpenShifts(position, known.volunteers, known.stations, _Columns._make(merged))


def _columns(
    table: ShiftTable,
    shifts: ResolvedShifts,
    keys: Callable[[Ints], tuple[Words, Words]],
    volunteers: list[str],
    timeline: RuleTimeline,
) -> _Columns:
    chosen = table.shift[np.flatnonzero(table.end == NONE)]
    since = shifts.check_in[chosen].astype(np.int64)
    days = local_days(since, timeline.time_zone)
    hours = np.array([rule_set.open_hours_max for rule_set in timeline.rule_sets])[rule_set_numbers(days, timeline)]
    due = entry_deadlines(days, timeline)
    volunteer = shifts.volunteer[chosen]
    high, low = keys(chosen) if len(chosen) else (np.empty(0, np.uint64), np.empty(0, np.uint64))
    dates = np.datetime_as_string(due.astype("datetime64[D]")).tolist()
    marks = [
        f"{date}/{_KIND}/{volunteers[owner]}/{UUID(int=upper << 64 | lower)}".encode()
        for date, owner, upper, lower in zip(dates, volunteer.tolist(), high.tolist(), low.tolist(), strict=True)
    ]
    columns = _Columns(
        np.array(marks, np.bytes_),
        volunteer.astype(np.int32),
        shifts.station[chosen].astype(np.int32),
        since,
        since + 3600 * hours,
        due,
    )
    return columns.rows(np.argsort(columns.marks))


def _renumbered(numbers: Ints, own: Names, known: Names) -> Ints:
    """Return surrogates of other names: of the same names, added where they are new."""
    translated = {number: known.add(own.texts()[number]) for number in set(numbers.tolist()) if number != NONE}
    return np.array([translated.get(number, NONE) for number in numbers.tolist()], np.int32)


class OpenShiftsReader:
    """The shifts without a check-out, of the latest positions and rules asked for. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, Position], OpenShifts] = OrderedDict()

    def at_snapshot(self, connection: Connection[Any], position: Position, rules: Rules) -> OpenShifts | None:
        """Return those in a snapshot of the read models at `position`, if they are known or easily followed."""
        with self._lock:
            earlier = [at for digest, at in self._known if digest == rules.digest and at <= position]
            if not earlier:
                return None
            known = self._known[rules.digest, max(earlier)]
            if known.position == position:
                return known
            found = follow(known, connection, position, rules.timeline())
            return None if found is None else self._keep(rules, found)

    def find(self, position: Position, rules: Rules, facts: Facts) -> OpenShifts:
        """Return those among all facts as known at a position."""
        found = find(position, facts, rules.timeline())
        with self._lock:
            return self._keep(rules, found)

    def _keep(self, rules: Rules, found: OpenShifts) -> OpenShifts:
        self._known[rules.digest, found.position] = found
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found
