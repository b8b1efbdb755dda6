"""Anomalies of duration: implausibly long shifts, and volunteers over the day cap on several days in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from projections.anomalies.findings import Finding, Stays
from projections.local_days import local_minutes
from projections.rules.anomalies import AnomalyRules
from projections.rules.timeline import RuleTimeline
from projections.schema import CAPPED, DAY, NONE, ROW, Array, Ints, ShiftTable

_CLOCK_CHANGE_MINUTES = 60
"""The minutes by which a day with a clock change may differ from what local minutes show."""


def long_shifts(stays: Stays, rules: AnomalyRules) -> list[Finding]:
    """Find shifts that are longer than the threshold."""
    minutes = stays.end - stays.start
    rows = np.flatnonzero((stays.end != NONE) & (minutes > rules.long_shift_minutes))
    columns = (stays.day, minutes, stays.shift, stays.volunteer, stays.station)
    return [
        Finding("long-shift", day, (length,), (shift,), (), volunteer, station)
        for day, length, shift, volunteer, station in zip(*(column[rows].tolist() for column in columns), strict=True)
    ]


def over_cap(
    stays: Stays,
    table: ShiftTable,
    timeline: RuleTimeline,
    pieces_of: Callable[[int], Ints],
    valid_until: int,
) -> list[Finding]:
    """Find volunteers who lost minutes to the day cap on many days in a row.

    Crediting everybody is slow, so only volunteers who may have exceeded the cap often enough are credited.

    Args:
        pieces_of: returns a volunteer's pieces under the timeline, as projections.kernels.read_models.pieces_of.
    """
    days_in_row = timeline.anomalies.cap_days_in_row
    cap_min = min(rules.day_minutes_max for rules in timeline.rule_sets) - _CLOCK_CHANGE_MINUTES
    missing = max(rules.missing_check_out_minutes for rules in timeline.rule_sets)
    stays = stays._replace(end=np.where(stays.end == NONE, stays.start + missing, stays.end))
    found = []
    for volunteer in sorted({*_full_days_in_row(stays, timeline.time_zone, cap_min, days_in_row)}):
        pieces = pieces_of(volunteer)
        pieces = pieces[(pieces[:, CAPPED] > 0) & (pieces[:, DAY] <= valid_until)]
        pieces = pieces[np.argsort(pieces[:, DAY], kind="stable")]
        for run in runs(np.unique(pieces[:, DAY]).tolist(), days_in_row):
            of_run = pieces[(pieces[:, DAY] >= run[0]) & (pieces[:, DAY] <= run[-1])]
            shifts = dict.fromkeys(table.shift[of_run[:, ROW]].tolist())
            figures = len(run), int(of_run[:, CAPPED].sum(dtype=np.int64))
            found.append(Finding("over-cap", run[-1], figures, tuple(shifts), (), volunteer))
    return found


def runs(days: Sequence[int], length_min: int) -> Iterator[list[int]]:
    """Yield the runs of consecutive days with at least `length_min` days; `days` ascend."""
    run: list[int] = []
    for day in days:
        if run and day != run[-1] + 1:
            if len(run) >= length_min:
                yield run
            run = []
        run.append(day)
    if len(run) >= length_min:
        yield run


def _full_days_in_row(stays: Stays, zone: str, minutes: int, days_in_row: int) -> list[int]:
    """Return the volunteers with more than `minutes` raw minutes on each of `days_in_row` consecutive days."""
    ended = Stays._make(column[stays.end > stays.start] for column in stays)
    begin, end = (local_minutes(column.astype(np.int64) * 60, zone) for column in (ended.start, ended.end))
    parts = [(ended.volunteer, begin // 1440, np.minimum(end, (begin // 1440 + 1) * 1440) - begin)]
    beyond = np.flatnonzero(end > (begin // 1440 + 1) * 1440)
    while len(beyond):  # a shift over several days has a part on each
        begin[beyond] = (begin[beyond] // 1440 + 1) * 1440
        ends = np.minimum(end[beyond], begin[beyond] + 1440)
        parts.append((ended.volunteer[beyond], begin[beyond] // 1440, ends - begin[beyond]))
        beyond = beyond[end[beyond] > begin[beyond] + 1440]
    volunteer, day, length = (np.concatenate(column) for column in zip(*parts, strict=True))
    keys, place = np.unique(volunteer.astype(np.int64) << 20 | day, return_inverse=True)
    full = keys[np.bincount(place, weights=length, minlength=len(keys)) > minutes]
    return _in_row(full, days_in_row)


def _in_row(keys: Array, count: int) -> list[int]:
    """Return the volunteers with `count` consecutive days among the keys (volunteer, day), which ascend."""
    last = keys[count - 1 :]
    first = keys[: len(last)]
    volunteers: list[int] = np.unique(last[last - first == count - 1] >> 20).tolist()
    return volunteers
