"""Entries: what people type and decide: many shifts within minutes, one person always the same volunteers, full hours.

Scans cannot be typed by anybody; this is where fake hours would come from. What was imported from old records is
looked at by nobody here: one person brings in thousands at once, and should.
"""

from __future__ import annotations

import numpy as np

from projections.anomalies.findings import ENTERED, Acts, Finding, Stays
from projections.anomaly_rules import AnomalyRules
from projections.local_days import local_days, local_minutes
from projections.schema import NO_INSTANT, NONE, Array, Ints, ResolvedShifts


def entry_bursts(acts: Acts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find shifts that one person entered within minutes; bursts that share an entry are one.

    A shift counts once for each person, when the first of its entries was recorded.
    """
    acts = acts.where(acts.code == ENTERED)
    acts = acts.where(_firsts(acts.actor, acts.shift))
    acts = acts.where(np.lexsort((acts.position, acts.actor)))
    count, seconds = rules.burst_entries_min, rules.burst_minutes * 60
    at = acts.recorded_at.astype(np.int64)
    last = np.arange(count - 1, len(at))
    first = last - (count - 1)
    dense = (acts.actor[first] == acts.actor[last]) & (at[last] - at[first] <= seconds)
    found = []
    for begin, end in _joined(first[dense].tolist(), count):
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


def _joined(begins: list[int], length: int) -> list[tuple[int, int]]:
    """Join stretches of rows, each of a length, that share a row: begin and end of each."""
    joined: list[tuple[int, int]] = []
    for begin in begins:
        if joined and begin < joined[-1][1]:
            joined[-1] = joined[-1][0], begin + length
        else:
            joined.append((begin, begin + length))
    return joined


def same_person(acts: Acts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find people who entered or decided, in one year, most of what there was to enter or decide about a volunteer.

    Whatever one person does about one shift is one act; each raise of a cap is one of its own.
    """
    acts = acts.where(_firsts(acts.actor, np.where(acts.shift == NONE, -acts.position, acts.shift)))
    year = _years(local_days(acts.recorded_at, zone))
    about = acts.volunteer.astype(np.int64) << 16 | year
    order = np.lexsort((acts.position, acts.actor, about))
    acts, about = acts.where(order), about[order]
    begins = _begins(about, acts.actor)
    counts = np.diff(np.append(begins, len(about)))
    subjects, totals = np.unique(about, return_counts=True)
    total = totals[np.searchsorted(subjects, about[begins])]
    often = (counts >= rules.same_person_acts_min) & (counts * 100 >= rules.same_person_percent_min * total)
    found = []
    for begin, number, of in zip(*(column[often].tolist() for column in (begins, counts, total)), strict=True):
        mine = acts.where(np.arange(begin, begin + number))
        shifts = dict.fromkeys(mine.shift[mine.shift != NONE].tolist())
        found.append(
            Finding(
                "same-person",
                int(local_days(mine.recorded_at[-1:], zone)[0]),
                (number, of),
                tuple(shifts),
                tuple(mine.position.tolist()),
                volunteer=int(mine.volunteer[0]),
                actor=int(mine.actor[0]),
            )
        )
    return found


def round_numbers(stays: Stays, shifts: ResolvedShifts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find volunteers whose shifts of a year begin and end on full hours too often: all of them, or else those that
    were attested.
    """
    year = _years(stays.day)
    instants, full = np.zeros((2, len(year)), np.int64)
    for column in (shifts.check_in[stays.shift], shifts.check_out[stays.shift]):
        known = column != NO_INSTANT
        instants += known
        full += known & (local_minutes(column, zone) % 60 == 0)
    begins = _begins(stays.volunteer.astype(np.int64) << 16 | year) if len(year) else np.empty(0, np.int64)
    told: set[int] = set()
    found: list[Finding] = []
    for attested_only in (0, 1):
        counted = (stays.scanned == 0) if attested_only else np.ones(len(year), bool)
        number, hits, of = (
            np.add.reduceat(column * counted, begins) if len(begins) else begins
            for column in (np.ones(len(year), np.int64), full, instants)
        )
        often = (number >= rules.round_shifts_min) & (of > 0) & (hits * 100 >= rules.round_percent_min * of)
        for group in np.flatnonzero(often).tolist():
            if group in told:
                continue
            told.add(group)
            end = begins[group + 1] if group + 1 < len(begins) else len(year)
            rows = np.arange(begins[group], end)
            rows = rows[counted[rows] & (full[rows] > 0)]
            found.append(
                Finding(
                    "round-numbers",
                    int(stays.day[rows[-1]]),
                    (int(hits[group]), int(of[group]), attested_only),
                    tuple(stays.shift[rows].tolist()),
                    volunteer=int(stays.volunteer[rows[0]]),
                )
            )
    return found


def _firsts(*keys: Array) -> Array:
    """Return the rows in which a combination of keys appears for the first time, ascending."""
    rows = np.arange(len(keys[0]))
    order = np.lexsort((rows, *keys))
    alike = np.zeros(len(rows), bool)
    if len(rows):
        alike[1:] = np.all([key[order][1:] == key[order][:-1] for key in keys], axis=0)
    return np.sort(order[~alike])


def _begins(*keys: Array) -> Array:
    """Return where, in rows sorted by keys, each combination begins."""
    new = np.ones(len(keys[0]), bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(new)


def _years(days: Ints) -> Array:
    years: Array = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    return years
