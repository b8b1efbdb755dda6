"""The explanation of one day, put together from the kernel's pieces.

The kernel's pieces are authoritative. `replay/explain/stretches.py` determines which minutes they are, and
`replay/explain/sources.py` which events decide a shift. Both are verified against the kernel each time, so an
explanation never differs from the number it explains.
"""

from __future__ import annotations

from datetime import date
from itertools import groupby

import numpy as np

from ledger.store.log_queries import LogQueries
from projections.kernels.station_kinds import opening_before
from projections.local_time import day_number, day_of_number
from projections.schema import (
    CAPPED,
    CLIPPED,
    COUNTED,
    CREDITED,
    DAY,
    DOUBLE_TAP,
    NO_DAY,
    NO_INSTANT,
    NONE,
    OVERLAPPED,
    RAW,
    ROW,
    SHARE,
    STATION_KINDS,
    SUPERSEDED,
    TOO_SHORT,
    VOID,
    Array,
    ShiftTable,
)
from replay.axes.as_known import Axes, Known
from replay.cohorts.cohort import PairedTables, Shift
from replay.explain import stretches
from replay.explain.check_outs_alone import ScansAlone, as_scanned, scans_alone
from replay.explain.evidence import read_evidence
from replay.explain.explanations import DayExplanation, DayInBrief, VolunteerDays
from replay.explain.sentences import DayWriter
from replay.explain.stretches import Day, Part, ShiftKey, Stay
from replay.explain.traces import began_at, is_scanned, piece_trace, shift_day, trace_sum

DAY_SHIFTS_MAX = 200
"""Nobody serves in so many shifts a day; a station can send them."""
_KIND_NAMES = {number: name for name, number in STATION_KINDS.items()}


def explain_day(log: LogQueries, known: Known, day: date, axes: Axes) -> DayExplanation:
    """Explain one local day of a volunteer.

    Raises:
        replay.explain.stretches.ExplanationError: the explanation would differ from the numbers; nothing is explained.
        replay.explain.stretches.TooManyShiftsError: the day has more shifts than are explained.
    """
    frame, table, shifts = _frame(known, day), known.tables.table, known.tables.columns
    shown = axes.valid_at is None or day <= axes.valid_at
    near: list[Shift] = []
    walked, parts, without_time = [], {}, []
    if shown:
        numbers = table.shift[_near(table, frame)].tolist()
        if len(numbers) > DAY_SHIFTS_MAX:
            raise stretches.TooManyShiftsError(day, len(numbers), DAY_SHIFTS_MAX)
        near = [shifts.shift(number) for number in numbers]
        walked = stretches.walk([_stay(shift) for shift in near], table.start.tolist(), frame)
        parts = _parts(known, day)
        stretches.check(walked, parts, day)
        without_time = [
            shift
            for shift, as_shown in _without_time(known.tables, scans_alone(log, known))
            if shift_day(as_shown, known.timeline) == day
        ]
    by_key = {part.stay.key: part for part in walked}
    listed = without_time[:DAY_SHIFTS_MAX]
    shown_shifts = [shift for shift in near if (shift.volunteer, shift.shift) in by_key] + listed
    evidence = read_evidence(log, known, day, shown_shifts)
    return DayWriter(known, frame, by_key, parts, evidence).explanation(listed, len(without_time))


def _near(table: ShiftTable, frame: Day) -> Array:
    """Return a mask of the rows that may have minutes on a day; a missing check-out may credit up to a day."""
    ends = np.where(table.end == NONE, table.start + 1440, np.maximum(table.end, table.start))
    return (table.start < frame.until) & (ends >= frame.start)


def _without_time(tables: PairedTables, alone: ScansAlone) -> list[tuple[Shift, Shift]]:
    """Return the shifts and punches that hold no time, in chronological order: as resolved, and as they are shown."""
    shifts, columns = tables.columns, tables.columns.columns
    timeless = (columns.check_in == NO_INSTANT) | (columns.flags & (VOID | DOUBLE_TAP) > 0)
    rows = np.flatnonzero(timeless & tables.are_shifts).tolist()
    found = [(shift, as_scanned(shift, alone.get(row))) for row in rows for shift in (shifts.shift(row),)]
    return sorted(found, key=lambda pair: (began_at(pair[1]), pair[1].shift, pair[1].volunteer))


def volunteer_days(
    known: Known, axes: Axes, limit: int, before: date | None = None, first: date | None = None
) -> VolunteerDays:
    """Return a summary of each day of service of a volunteer, the latest first.

    Args:
        before: only days before this one.
        first: only days from this one on.
    """
    pieces = known.tables.pieces(known.volunteer)
    upto = min(axes.valid_until, NO_DAY if before is None else day_number(before) - 1)
    pieces = pieces[(pieces[:, DAY] <= upto) & (pieces[:, DAY] >= (day_number(first) if first else -NO_DAY))]
    days = sorted({*pieces[:, DAY].tolist()}, reverse=True)
    shown = days[:limit]
    if shown:
        pieces = pieces[pieces[:, DAY] >= shown[-1]]
    rows = sorted(pieces.tolist(), key=lambda piece: -piece[DAY])
    found = []
    for number, parts in groupby(rows, key=lambda piece: int(piece[DAY])):
        traces = [piece_trace(part) for part in parts]
        found.append(DayInBrief(day=day_of_number(number), shifts=len(traces), **dict(trace_sum(traces))))
    return VolunteerDays(
        **known.person_fields(),
        days=found,
        next_before=found[-1].day if len(days) > limit else None,
    )


# --- conversion of kernel data --------------------------------------------------------------------------------------


def _stay(shift: Shift) -> Stay:
    return Stay(
        shift.volunteer,
        shift.shift,
        shift.station,
        shift.project,
        shift.check_in or 0,
        shift.check_out,
        is_scanned(shift),
    )


def _frame(known: Known, day: date) -> Day:
    """Return the rules, the cap and the facts of a day."""
    timeline = known.timeline
    cap = max(known.raised.get(day_number(day), 0), stretches.rules_on(day, timeline).day_minutes_max)
    opening_days = {name: day_of_number(person.opening_day) for name, person in known.balances}
    until = stretches.end_instant(day, timeline.time_zone)
    kinds = {name: opening_before(openings, until) for name, openings in known.cohort.kinds.items() if openings}
    return Day(day, timeline, opening_days, cap, {name: _KIND_NAMES[kind] for name, kind in kinds.items()})


def _parts(known: Known, day: date) -> dict[ShiftKey, Part]:
    """Return the parts of shifts on a day, as computed by the kernel."""
    table, shifts, number = known.tables.table, known.tables.columns, day_number(day)
    pieces = known.tables.pieces(known.volunteer)
    rows = pieces[pieces[:, DAY] == number]
    parts = {}
    for row in rows.tolist():
        before = pieces[(pieces[:, ROW] == row[ROW]) & (pieces[:, DAY] < number)]
        shift = shifts.shift(int(table.shift[row[ROW]]))
        parts[shift.volunteer, shift.shift] = Part(
            raw=row[RAW],
            superseded=row[SUPERSEDED],
            too_short=row[TOO_SHORT],
            clipped=row[CLIPPED],
            overlapped=row[OVERLAPPED],
            capped=row[CAPPED],
            counted=row[COUNTED],
            share=row[SHARE],
            credited=row[CREDITED],
            shares_before=int(before[:, SHARE].sum()),
            credited_before=int(before[:, CREDITED].sum()),
        )
    return parts
