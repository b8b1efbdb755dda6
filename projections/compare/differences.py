"""Differences: two replays compared volunteer by volunteer, returning only what differs.

A side is a rule timeline, or what was known at a position, or both. Each volunteer is credited under both sides by the
same kernel as everywhere (`projections.kernels.credit`), while the shifts are still in the processor's cache, and is
returned if the trace, a year's hours or an honour differs. The columns of the trace explain a change: they sum to the
whole on each side, so their differences sum to the change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from projections.compare.sides import (
    AFTER,
    BEFORE,
    BOTH,
    Side,
    least_minutes,
    same_credit,
    same_facts,
    same_honors,
    widened,
)
from projections.compare.tallies import (
    OPENING_SUM,
    SCANNED_SUM,
    VOLUNTEERS_SUM,
    Rows,
    Sums,
    allocate_rows,
    allocate_sums,
    used_rows,
)
from projections.compare.volunteers import Shared, compare
from projections.compare.window_effects import Windows, ranks_of, windows_of
from projections.kernels.credit import Workspace, workspace
from projections.kernels.honors import HonorWorkspace, honor_workspace
from projections.kernels.order import balanced
from projections.kernels.projects import combine_totals, first_year
from projections.kernels.read_models import day_range
from projections.schema import (
    COUNTED,
    CREDITED,
    FIRST,
    NO_DAY,
    NONE,
    SERVED_DAY,
    SERVED_PEOPLE,
    SERVED_STATION,
    SHARE,
    Ints,
    Longs,
)

_CHUNKS_PER_THREAD = 8


class Differences(NamedTuple):
    """The differences between two replays. In pairs, index 0 is before and index 1 is after.

    volunteers: int32[n], ascending: those whose trace, years or honours differ. traces: int64[n, 2, TRACE_COLUMNS].
    windows: int64[n, names]: how many hundredths of minutes the windows of a name add more after than before.
    years: int64[m, 2 + 2 * HOURS_COLUMNS]: volunteer, year, hours before, hours after, for all volunteers who served.
    honors: int32[k, 4]: volunteer, honour (numbered for both sides), days reached before and after; `NO_DAY` is never.
    stations: int64[stations, 2, STATION_CHANGE_COLUMNS], for all stations. totals: int64[2, TRACE_COLUMNS].
    projects: `ReadModels.projects` of each side, years from `first_year` on.
    """

    volunteers: Ints
    traces: Longs
    windows: Longs
    years: Longs
    honors: Ints
    stations: Longs
    totals: Longs
    projects: tuple[Longs, Longs]
    first_year: int


def differences(
    before: Side,
    after: Side,
    served: tuple[Ints, Ints],
    projects: int,
    *,
    threads: int = 1,
    valid_until: int = NO_DAY,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Differences:
    """Compare two replays.

    Args:
        served: for each side int32[n, 4]: station, project, day, people served.
        projects: the number of projects of both sides.
        threads: the number of ranges of volunteers that run in parallel.
        valid_until: the last local day whose results count, on both sides.
        advance: called with the number of volunteers done and their total; an exception from it ends the comparison.
    """
    before, after = widened(before, after), widened(after, before)
    names = 1 + max(int(side.window_names.max(initial=NONE)) for side in (before, after))
    served = _counts_until(served[0], valid_until), _counts_until(served[1], valid_until)
    spans = [day_range(side.table, counts) for side, counts in zip((before, after), served, strict=True)]
    first_day, last_day = min(low for low, _ in spans), max(high for _, high in spans)
    credit = same_facts(before, after) and same_credit(before.rules, after.rules)
    shifts = before.table.first + after.table.first
    ranges = balanced(shifts, threads * _CHUNKS_PER_THREAD)
    shared = Shared(
        credit=credit,
        honors=same_facts(before, after) and same_honors(before, after),
        first_day=first_day,
        first_year=first_year(first_day),
        valid_until=valid_until,
        minutes_min=(least_minutes(before), least_minutes(after)),
    )
    longest = max(int(np.diff(side.table.first).max(initial=0)) for side in (before, after))
    rank = ranks_of([(side.rules, side.window_names) for side in (before, after)])
    free: SimpleQueue[_Memory | None] = SimpleQueue()
    for _ in range(threads):
        free.put(None)
    all_sums: list[Sums] = []

    def allocate() -> _Memory:
        """Allocate a thread's memory, in that thread: memory that two threads write to must not be adjacent."""
        sums = allocate_sums(before, after, projects, first_day, last_day)
        all_sums.append(sums)
        windows = (
            windows_of(before.rules, before.window_names, rank),
            windows_of(after.rules, after.window_names, rank),
        )
        return _Memory(sums, windows, workspace(longest), honor_workspace())

    def work(low: int, high: int) -> Rows:
        memory = free.get()
        try:
            memory = memory or allocate()
            rows = allocate_rows(high - low, names, len(before.honors), memory.sums.by_year.shape[1])
            compare(low, high, before, after, shared, *memory, rows)
        finally:
            free.put(memory)
        return used_rows(rows)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, *edges) for edges in ranges]
        parts = []
        try:
            for (_, high), part in zip(ranges, futures, strict=True):
                parts.append(part.result())
                advance(high, len(shifts) - 1)
        finally:
            pool.shutdown(cancel_futures=True)
    return _combined(parts, all_sums, served, first_day)


class _Memory(NamedTuple):
    """The working memory of a thread."""

    sums: Sums
    windows: tuple[Windows, Windows]
    shifts: Workspace
    honors: HonorWorkspace


def _combined(
    parts: Sequence[Rows], all_sums: Sequence[Sums], served: tuple[Ints, Ints], first_day: int
) -> Differences:
    """Concatenate the rows of the ranges, and add up the threads' sums and the people served."""
    stations, totals = (np.sum([getattr(sums, name) for sums in all_sums], axis=0) for name in ("stations", "totals"))
    by_side = (stations[:BOTH] + stations[BOTH]).transpose(1, 0, 2)
    people = np.zeros((len(by_side), 2), np.int64)
    for side, counts in enumerate(served):
        np.add.at(people[:, side], counts[:, SERVED_STATION], counts[:, SERVED_PEOPLE])
    no_opening = np.zeros_like(people)
    first, second = ([sums.projects[side] for sums in all_sums] for side in (BEFORE, AFTER))
    for number, sums in enumerate(all_sums):
        for totals_of_side in (first, second):
            totals_of_side[number].sums[:] += sums.projects[BOTH].sums
    rows = Rows._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Differences(
        volunteers=rows.volunteers,
        traces=_trace_columns(rows.traces, rows.traces[..., OPENING_SUM]),
        windows=rows.windows,
        years=rows.years,
        honors=rows.honors,
        stations=np.concatenate(
            [_trace_columns(by_side, no_opening)[..., :-1], by_side[..., VOLUNTEERS_SUM, None], people[..., None]],
            axis=2,
        ),
        totals=_trace_columns(totals[:BOTH] + totals[BOTH], (totals[:BOTH] + totals[BOTH])[..., OPENING_SUM]),
        projects=(combine_totals(first, served[BEFORE], first_day), combine_totals(second, served[AFTER], first_day)),
        first_year=first_year(first_day),
    )


def _trace_columns(sums: Longs, opening: Longs) -> Longs:
    """Convert sums of pieces, int64[..., SUMS], to int64[..., TRACE_COLUMNS]."""
    counted, share, credited = (sums[..., column - FIRST] for column in (COUNTED, SHARE, CREDITED))
    scanned = sums[..., SCANNED_SUM]
    columns = [sums[..., column] for column in range(COUNTED - FIRST + 1)]
    columns += [share - counted, share - credited, credited + opening, scanned, credited - scanned + opening, opening]
    return np.stack(columns, axis=-1)


def _counts_until(served: Ints, valid_until: int) -> Ints:
    return served[(served[:, SERVED_DAY] <= valid_until) & (served[:, SERVED_PEOPLE] > 0)]
