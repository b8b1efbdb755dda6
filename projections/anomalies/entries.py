"""Entries: what people type and decide: many shifts within minutes, one person always the same volunteers, full hours.

Scans cannot be typed by anybody; this is where fake hours would come from. What was imported from old records is
looked at by nobody here: one person brings in thousands at once, and should.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from projections.anomalies.findings import ENTERED, Acts, Finding, Stays
from projections.local_days import local_days, local_minutes
from projections.rules.anomalies import AnomalyRules
from projections.schema import NO_INSTANT, NONE, SCANNED_IN, SCANNED_OUT, Array, Ints, Longs, ResolvedShifts


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
    """Find people who entered, in one year, most of what was entered of a volunteer's shifts; or who decided most of
    what was decided: corrections, reinstatements, disputes settled, raises of the cap, and approvals of anything.

    Whatever one person enters about one shift is one act, and so are all decisions; each raise of a cap is one of its
    own. The two are told apart because deciding about the volunteers of a federation is somebody's daily work.
    """
    entered = acts.code == ENTERED
    parts = ((entered, rules.same_person_entries_min), (~entered, rules.same_person_decisions_min))
    return [finding for chosen, least in parts for finding in _same_person(acts.where(chosen), least, rules, zone)]


def _same_person(acts: Acts, least: int, rules: AnomalyRules, zone: str) -> Iterator[Finding]:
    acts = acts.where(_firsts(acts.actor, np.where(acts.shift == NONE, -acts.position, acts.shift)))
    about = acts.volunteer.astype(np.int64) << 16 | _years(local_days(acts.recorded_at, zone))
    order = np.lexsort((acts.position, acts.actor, about))
    acts, about = acts.where(order), about[order]
    begins = _begins(about, acts.actor)
    counts = np.diff(np.append(begins, len(about)))
    subjects, totals = np.unique(about, return_counts=True)
    total = totals[np.searchsorted(subjects, about[begins])]
    often = (counts >= least) & (counts * 100 >= rules.same_person_percent_min * total)
    for begin, number, of in zip(*(column[often].tolist() for column in (begins, counts, total)), strict=True):
        mine = acts.where(np.arange(begin, begin + number))
        shifts = dict.fromkeys(mine.shift[mine.shift != NONE].tolist())
        yield Finding(
            "same-person",
            int(local_days(mine.recorded_at[-1:], zone)[0]),
            (number, of, int(mine.code[0] == ENTERED)),
            tuple(shifts),
            tuple(mine.position.tolist()),
            volunteer=int(mine.volunteer[0]),
            actor=int(mine.actor[0]),
        )


def round_numbers(stays: Stays, shifts: ResolvedShifts, rules: AnomalyRules, zone: str) -> list[Finding]:
    """Find volunteers whose shifts of a year begin and end on full hours too often: by all instants, or else by those
    that were typed, in entries and corrections.
    """
    group = stays.volunteer.astype(np.int64) << 16 | _years(stays.day)
    told: set[int] = set()
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
            if (key := int(group[of_group[0]])) not in told:
                told.add(key)
                behind = of_group[full[of_group] > 0]
                found.append(
                    Finding(
                        "round-numbers",
                        int(stays.day[behind[-1]]),
                        (int(hits[number]), int(of[number]), typed_only),
                        tuple(stays.shift[behind].tolist()),
                        volunteer=int(stays.volunteer[behind[0]]),
                    )
                )
    return found


def _full_hours(stays: Stays, shifts: ResolvedShifts, zone: str, *, typed_only: bool) -> tuple[Longs, Longs]:
    """Return how many instants each shift has, and how many of them are full hours."""
    instants, full = np.zeros((2, len(stays.shift)), np.int64)
    for column, scanned in ((shifts.check_in, SCANNED_IN), (shifts.check_out, SCANNED_OUT)):
        of_stay = column[stays.shift]
        counted = of_stay != NO_INSTANT
        if typed_only:
            counted &= shifts.flags[stays.shift] & scanned == 0
        instants += counted
        full += counted & (local_minutes(of_stay, zone) % 60 == 0)
    return instants, full


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
