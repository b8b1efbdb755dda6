"""Anomalies of recording: scans uploaded far too late, records that are late by the law, and wrong clocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from projections.anomalies.findings import Finding, Recorded
from projections.local_days import local_days
from projections.rules.anomalies import AnomalyRules
from projections.rules.late_entries import late, service_ended
from projections.rules.timeline import RuleTimeline
from projections.schema import (
    ATTESTED,
    CHECK_OUT_BEFORE_CHECK_IN,
    DAYS,
    IMPORTED,
    MOVED,
    NO_INSTANT,
    REPLACES,
    SCAN_CODES,
    SCANNED_IN,
    SCANNED_OUT,
    VOID,
    Array,
    Ints,
    Longs,
    ResolvedShifts,
)

PROMPT_SECONDS: Final = 900
"""A scan recorded within this time after its instant, or before it, was sent at once: the difference is the clock's."""


def are_scans(events: Recorded) -> Array:
    """Return bool[n]: whether each event is a scan, neither attested nor imported."""
    scans: Array = np.isin(events.code, SCAN_CODES) & (events.marks & (ATTESTED | REPLACES | IMPORTED) == 0)
    return scans


def delays(events: Recorded) -> Longs:
    """Return the seconds from each instant to its recording; negative if the instant was in the future."""
    seconds: Longs = events.recorded_at.astype(np.int64) - events.occurred_at
    return seconds


def late_uploads(events: Recorded, shifts: ResolvedShifts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find shifts with a scan that arrived far too late; each is reported once, with its greatest delay."""
    delay = delays(events)
    rows = np.flatnonzero(are_scans(events) & (delay > rules.upload_hours_max * 3_600))
    rows = rows[shifts.flags[events.shift[rows]] & VOID == 0]
    found = []
    for shift, of_shift in _groups(events.shift[rows], rows):
        found.append(
            Finding(
                "late-upload",
                int(local_days(events.occurred_at[of_shift], zone).max()),
                (int(delay[of_shift].max()),),
                (shift,),
                tuple(events.position[of_shift].tolist()),
                int(shifts.volunteer[shift]),
                int(events.station[of_shift[0]]),
            )
        )
    return found


def late_entries(shifts: ResolvedShifts, timeline: RuleTimeline, until: Array) -> list[Finding]:
    """Find shifts that were recorded too late (Order 67, Art. 11), among those in the mask `until`."""
    rows = np.flatnonzero(late(shifts, timeline) & until & (shifts.flags & VOID == 0))
    check_in, check_out = shifts.check_in[rows].astype(np.int64), shifts.check_out[rows].astype(np.int64)
    completed = (check_in != NO_INSTANT) & (check_out > check_in)
    ended_on = local_days(service_ended(shifts)[rows], timeline.time_zone)
    columns = (
        ended_on,
        np.where(completed, check_out // 60 - check_in // 60, 0),
        local_days(shifts.recorded_at[rows], timeline.time_zone) - ended_on,
        scanned(shifts)[rows].astype(np.int64),
        rows,
        shifts.volunteer[rows],
        shifts.station[rows],
    )
    return [
        Finding("late-entry", day, (minutes, days, grade), (shift,), (), volunteer, station)
        for day, minutes, days, grade, shift, volunteer, station in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def scanned(shifts: ResolvedShifts) -> Array:
    """Return bool[n]: whether both instants in force are scans, and the shift was not moved."""
    both = SCANNED_IN | SCANNED_OUT
    is_scanned: Array = (shifts.flags & both == both) & (shifts.flags & MOVED == 0)
    return is_scanned


# --- clocks ---------------------------------------------------------------------------------------------------------


def count_scans(events: Recorded, zone: str, counts: Ints) -> None:
    """Add the number of scans that arrived at once to `counts`, int32[stations, DAYS]."""
    prompt = np.flatnonzero(are_scans(events) & (np.abs(delays(events)) <= PROMPT_SECONDS))
    place = events.station[prompt].astype(np.int64) * DAYS + local_days(events.occurred_at[prompt], zone)
    places, number = np.unique(place, return_counts=True)
    counts.reshape(-1)[places] += number.astype(np.int32)


def wrong_clocks(
    events: Recorded, ahead: Longs, prompt: Ints, shifts: ResolvedShifts, until: Array, rules: AnomalyRules, zone: str
) -> list[Finding]:
    """Find the days on which a station's clock was wrong: scans from the future, check-outs before their check-ins, or
    most scans off in one direction.

    Args:
        events: at least those whose instants are off by more than `rules.clock_seconds`.
        ahead: int64[events]: by how many seconds a scan lay in the future when it was refused, before it came again.
        prompt: int32[stations, DAYS]: the number of scans of each station and day that arrived at once (`count_scans`).
        until: bool[shifts]: which shifts to examine.
    """
    delay = np.where(ahead > 0, -ahead, delays(events))
    off = np.flatnonzero(are_scans(events) & (delay <= PROMPT_SECONDS) & (np.abs(delay) > rules.clock_seconds))
    off = off[events.station[off] >= 0]
    backwards = np.flatnonzero(
        until & (shifts.flags & CHECK_OUT_BEFORE_CHECK_IN != 0) & (shifts.flags & VOID == 0) & (shifts.station >= 0)
    )
    backwards = backwards[shifts.check_in[backwards] != NO_INSTANT]
    places = np.concatenate(
        [
            _place(events.station[off], events.occurred_at[off], zone),
            _place(shifts.station[backwards], shifts.check_in[backwards], zone),
        ]
    )
    rows = np.concatenate([off, -1 - backwards])  # events as they are, shifts as negative numbers
    found = []
    for place, at_place in _groups(places, rows):
        scans, wrong = at_place[at_place >= 0], -1 - at_place[at_place < 0]
        of = int(prompt.reshape(-1)[place])
        if finding := _clock_finding(events, delay, scans, wrong, of, place, rules):
            found.append(finding)
    return found


def _clock_finding(
    events: Recorded, delay: Longs, scans: Array, backwards: Array, of: int, place: int, rules: AnomalyRules
) -> Finding | None:
    """Return the finding about one station's day, if any.

    Args:
        scans: rows of the scans that are off.
        backwards: shifts with a check-out before the check-in.
        of: the number of scans that arrived at once.
    """
    ahead, behind = scans[delay[scans] < 0], scans[delay[scans] > 0]
    most = max(ahead, behind, key=len)
    systematic = len(most) >= rules.clock_scans_min and len(most) * 100 >= rules.clock_percent_min * of
    shown = np.sort(np.concatenate([ahead, most]) if systematic else ahead)
    shown = np.unique(shown)
    if not (len(shown) or len(backwards)):
        return None
    figures = (
        len(ahead),
        int(-delay[ahead].min(initial=0)),
        len(backwards),
        len(most) if systematic else 0,
        of,
        int(np.sort(np.abs(delay[most]))[len(most) // 2]) if systematic else 0,
    )
    shifts = dict.fromkeys([*events.shift[shown].tolist(), *sorted(backwards.tolist())])
    positions = tuple(events.position[shown].tolist())
    return Finding("wrong-clock", place % DAYS, figures, tuple(shifts), positions, station=place // DAYS)


def _place(station: Array, instants: Array, zone: str) -> Array:
    places: Array = station.astype(np.int64) * DAYS + local_days(instants, zone)
    return places


def _groups(keys: Array, values: Array) -> Iterator[tuple[int, Array]]:
    """Yield each key, ascending, with its values."""
    order = np.argsort(keys, kind="stable")
    distinct, begins = np.unique(keys[order], return_index=True)
    for key, of_key in zip(distinct.tolist(), np.split(order, begins[1:]), strict=False):  # no keys still give 1 split
        yield key, values[of_key]
