"""Anomalies of entries and decisions: bursts, one person acting for the same volunteer, instants on full hours.

Entries, unlike scans, are typed by people, so fake hours would come from here. Imported old records are excluded,
because one person properly imports thousands at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from projections.anomalies.findings import ENTERED, Acts, Finding, Stays
from projections.local_days import local_days, local_minutes
from projections.rules.anomalies import AnomalyRules
from projections.schema import NO_INSTANT, NONE, SCANNED_IN, SCANNED_OUT, Array, Ints, Longs, ResolvedShifts


def entry_bursts(acts: Acts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find many shifts that one person entered within minutes; bursts that share an entry are merged.

    A shift counts once for each person, at the time of its first entry.
    """
    acts = acts.where(acts.code == ENTERED)
    acts = acts.where(_first_rows(acts.actor, acts.shift))
    acts = acts.where(np.lexsort((acts.position, acts.actor)))
    count, seconds = rules.burst_entries_min, rules.burst_minutes * 60
    at = acts.recorded_at.astype(np.int64)
    last = np.arange(count - 1, len(at))
    first = last - (count - 1)
    dense = (acts.actor[first] == acts.actor[last]) & (at[last] - at[first] <= seconds)
    found = []
    for begin, end in _merged(first[dense].tolist(), count):
        of_burst = acts.where(np.arange(begin, end))
        volunteers = np.unique(of_burst.volunteer)
        figures = (end - begin, int(at[end - 1] - at[begin]), len(volunteers))
        found.append(
            Finding(
                "entry-burst",
                int(local_days(at[end - 1 : end], zone)[0]),
                figures,
                tuple(of_burst.shift.tolist()),
                tuple(of_burst.position.tolist()),
                volunteer=int(volunteers[0]) if len(volunteers) == 1 else NONE,
                actor=int(acts.actor[begin]),
            )
        )
    return found


def _merged(begins: list[int], length: int) -> list[tuple[int, int]]:
    """Merge ranges of rows, all of the same length, that share a row; return the begin and end of each."""
    merged: list[tuple[int, int]] = []
    for begin in begins:
        if merged and begin < merged[-1][1]:
            merged[-1] = merged[-1][0], begin + length
        else:
            merged.append((begin, begin + length))
    return merged


def same_person(acts: Acts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find people who made, in one year, most of the entries for a volunteer, or most of the decisions: corrections,
    reinstatements, settled disputes, raises of the day cap, and approvals.

    All entries of one person for one shift are one act, and so are all decisions; each raise of the cap is one act.
    Entries and decisions are counted separately, because deciding about volunteers is some people's daily work.
    """
    entered = acts.code == ENTERED
    parts = ((entered, rules.same_person_entries_min), (~entered, rules.same_person_decisions_min))
    return [finding for chosen, count in parts for finding in _same_person(acts.where(chosen), count, rules, zone)]


def _same_person(acts: Acts, count_min: int, rules: AnomalyRules, zone: str) -> Iterator[Finding]:
    acts = acts.where(_first_rows(acts.actor, np.where(acts.shift == NONE, -acts.position, acts.shift)))
    volunteer_year = acts.volunteer.astype(np.int64) << 16 | _years(local_days(acts.recorded_at, zone))
    order = np.lexsort((acts.position, acts.actor, volunteer_year))
    acts, volunteer_year = acts.where(order), volunteer_year[order]
    begins = _begins(volunteer_year, acts.actor)
    counts = np.diff(np.append(begins, len(volunteer_year)))
    keys, totals = np.unique(volunteer_year, return_counts=True)
    total = totals[np.searchsorted(keys, volunteer_year[begins])]
    often = (counts >= count_min) & (counts * 100 >= rules.same_person_percent_min * total)
    for begin, number, of in zip(*(column[often].tolist() for column in (begins, counts, total)), strict=True):
        of_actor = acts.where(np.arange(begin, begin + number))
        shifts = dict.fromkeys(of_actor.shift[of_actor.shift != NONE].tolist())
        yield Finding(
            "same-person",
            int(local_days(of_actor.recorded_at[-1:], zone)[0]),
            (number, of, int(of_actor.code[0] == ENTERED)),
            tuple(shifts),
            tuple(of_actor.position.tolist()),
            volunteer=int(of_actor.volunteer[0]),
            actor=int(of_actor.actor[0]),
        )


def round_numbers(stays: Stays, shifts: ResolvedShifts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find volunteers whose shifts of a year begin and end on full hours too often: counting all instants, or else
    only those typed in entries and corrections.
    """
    group = stays.volunteer.astype(np.int64) << 16 | _years(stays.day)
    reported: set[int] = set()
    found: list[Finding] = []
    for typed_only in (0, 1):
        instants, full = _full_hours(stays, shifts, zone, typed_only=bool(typed_only))
        rows = np.flatnonzero(instants)
        begins = _begins(group[rows])
        ends = np.append(begins[1:], len(rows))
        hits, of = (np.add.reduceat(column[rows], begins) if len(begins) else begins for column in (full, instants))
        often = (ends - begins >= rules.round_shifts_min) & (hits * 100 >= rules.round_percent_min * of)
        for number in np.flatnonzero(often).tolist():
            of_group = rows[begins[number] : ends[number]]
            if (key := int(group[of_group[0]])) not in reported:
                reported.add(key)
                round_rows = of_group[full[of_group] > 0]
                found.append(
                    Finding(
                        "round-numbers",
                        int(stays.day[round_rows[-1]]),
                        (int(hits[number]), int(of[number]), typed_only),
                        tuple(stays.shift[round_rows].tolist()),
                        volunteer=int(stays.volunteer[round_rows[0]]),
                    )
                )
    return found


def _full_hours(stays: Stays, shifts: ResolvedShifts, zone: str, *, typed_only: bool) -> tuple[Longs, Longs]:
    """Return the number of instants of each shift, and how many of them are full hours."""
    instants, full = np.zeros((2, len(stays.shift)), np.int64)
    for column, scanned in ((shifts.check_in, SCANNED_IN), (shifts.check_out, SCANNED_OUT)):
        of_stay = column[stays.shift]
        counted = of_stay != NO_INSTANT
        if typed_only:
            counted &= shifts.flags[stays.shift] & scanned == 0
        instants += counted
        full += counted & (local_minutes(of_stay, zone) % 60 == 0)
    return instants, full


def _first_rows(*keys: Array) -> Array:
    """Return the rows, ascending, in which a combination of keys occurs for the first time."""
    rows = np.arange(len(keys[0]))
    order = np.lexsort((rows, *keys))
    alike = np.zeros(len(rows), bool)
    if len(rows):
        alike[1:] = np.all([key[order][1:] == key[order][:-1] for key in keys], axis=0)
    return np.sort(order[~alike])


def _begins(*keys: Array) -> Array:
    """Return the first row of each combination of keys, in rows sorted by them."""
    new = np.ones(len(keys[0]), bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(new)


def _years(days: Ints) -> Array:
    years: Array = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    return years
