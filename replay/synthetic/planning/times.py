"""The true begin and end of each shift, to the second, and its scans.

True times of one volunteer never overlap, except for shifts that are planned to overlap. Faults of scanning (no
check-out, a second scan, a late upload, a wrong clock) are drawn here; a shift may have several. Shares are those of
docs/glossary.md, exact except for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replay.synthetic.planning.days import DAY, DAY_COUNT, FIRST_MIDNIGHT
from replay.synthetic.planning.randomness import Array, generator, pick, pick_apart
from replay.synthetic.planning.schemes import SOLD_SHIFTS, Schemes
from replay.synthetic.planning.shifts import Shape, Shifts

MISSING_SHARE = 0.06
DUPLICATE_SHARE = 0.015
LATE_SHARE = 0.03
VERY_LATE_SHARE = 0.002  # of all shifts; they are among the late ones
SKEW_SHARE = 0.02

HOUR = 3_600
LATE_SECONDS = HOUR  # an upload is late after this
LATE_DAYS_MAX = 8  # so never more than ten working days
VERY_LATE_DAYS = (25, 60)  # ten working days are at most eighteen days, at Spring Festival
SKEW_SECONDS_MAX = 180
DUPLICATE_SECONDS = (5, 90)
ENTRY_SECONDS_MAX = 110  # check-in and check-out are entered within two minutes

MORNING_AND_AFTERNOON = np.array([510, 540, 570, 600, 810, 840, 870, 900])  # usual first minutes of the day
WITH_EVENING = np.append(MORNING_AND_AFTERNOON, [1110, 1140])
WHOLE_DAY = np.array([480, 510, 540])


@dataclass
class Scans:
    """The first four columns by shift, in epoch seconds; then the rows of the faulty shifts, ascending.

    `check_in` and `check_out` are according to the station's clock, also for a check-out that was not scanned.
    `sent_in` and `sent_out` are the instants at which they reached the ledger.
    """

    check_in: Array
    check_out: Array
    sent_in: Array
    sent_out: Array
    missing: Array
    duplicate: Array
    duplicate_of_check_out: Array  # bool, beside `duplicate`
    duplicate_after: Array  # seconds, beside `duplicate`
    late: Array  # including the very late
    very_late: Array
    skewed: Array
    skew: Array  # seconds, beside `skewed`


def scans(seed: int, plan: Shifts, schemes: Schemes) -> Scans:
    """Draw the instants of all shifts and the faults of their scans."""
    rng = generator(seed, "times")
    start, seconds = _true_times(rng, plan)
    start[schemes.hurried] = start[schemes.hurried - 1] + seconds[schemes.hurried - 1] + schemes.hurry
    end = start + seconds
    sent_in, sent_out = start + rng.integers(0, 4, len(plan)), end + rng.integers(0, 4, len(plan))

    rng = generator(seed, "scan faults")
    count = len(plan)
    scanned = ~plan.attested
    missing = pick(rng, np.flatnonzero(plan.shape == Shape.PLAIN), round(MISSING_SHARE * count))
    end_known = np.ones(count, bool)
    end_known[missing] = False

    duplicate = pick(rng, np.flatnonzero(scanned), round(DUPLICATE_SHARE * count))
    duplicate_of_check_out = end_known[duplicate] & (rng.random(len(duplicate)) < 0.5)
    duplicate_after = rng.integers(*DUPLICATE_SECONDS, len(duplicate), endpoint=True)

    in_time = plan.day < DAY_COUNT - VERY_LATE_DAYS[1] - 2
    counts = [round((LATE_SHARE - VERY_LATE_SHARE) * count), round(VERY_LATE_SHARE * count)]
    late, very_late = pick_apart(rng, np.flatnonzero(scanned & in_time), counts)
    _delay(rng, late, very_late, np.where(end_known, sent_out, sent_in), sent_in, sent_out)

    skewed = pick(rng, np.flatnonzero(scanned), round(SKEW_SHARE * count))
    skew = rng.integers(1, SKEW_SECONDS_MAX, len(skewed), endpoint=True) * rng.choice([-1, 1], len(skewed))
    check_in, check_out = start, end
    check_in[skewed] += skew
    check_out[skewed] += skew
    check_in[schemes.off] += schemes.clock
    check_out[schemes.off] += schemes.clock

    _enter_afterwards(generator(seed, "entries"), plan, sent_in, sent_out)
    _enter_together(generator(seed, "evenings"), plan, schemes, sent_in, sent_out)
    return Scans(
        check_in=check_in.astype(np.int32),
        check_out=check_out.astype(np.int32),
        sent_in=sent_in.astype(np.int32),
        sent_out=sent_out.astype(np.int32),
        missing=missing,
        duplicate=duplicate,
        duplicate_of_check_out=duplicate_of_check_out,
        duplicate_after=duplicate_after,
        late=np.sort(np.concatenate((late, very_late)), kind="stable"),
        very_late=very_late,
        skewed=skewed,
        skew=skew,
    )


def _true_times(rng: np.random.Generator, plan: Shifts) -> tuple[Array, Array]:
    """Return start instants and lengths in seconds, int64."""
    count = len(plan)
    minutes = plan.minutes.astype(np.int64)
    jitter = rng.integers(-6 * 60, 6 * 60, count, endpoint=True)
    jitter[minutes == 480] = -np.abs(jitter[minutes == 480]) * 2  # longer than 8 h is a fault of its own
    seconds = minutes * 60 + jitter
    chance = rng.random(count)
    starts = np.where(minutes <= 180, _choice(WITH_EVENING, chance), _choice(MORNING_AND_AFTERNOON, chance))
    starts = np.where(minutes == 480, _choice(WHOLE_DAY, chance), starts) * 60
    starts += rng.integers(-10 * 60, 10 * 60, count)
    _two_of_a_day(rng, plan.first_of_two, minutes, starts)
    _shapes(rng, plan, starts, seconds)
    return FIRST_MIDNIGHT + plan.day.astype(np.int64) * DAY + starts, seconds


def _choice(values: Array, chance: Array) -> Array:
    chosen: Array = values[(chance * len(values)).astype(np.int64)]
    return chosen


def _two_of_a_day(rng: np.random.Generator, first: Array, minutes: Array, starts: Array) -> None:
    """Place two shifts between 06:30 and 23:00, at least twenty minutes apart, so that wrong clocks cannot make them
    overlap.
    """
    second = first + 1
    free = (1380 - 390 - 20 - minutes[first] - minutes[second]) * 60
    starts[first] = 390 * 60 + (free * rng.random(len(first)) / 2).astype(np.int64)
    gap = 20 * 60 + (free * rng.random(len(first)) / 2).astype(np.int64)
    starts[second] = starts[first] + minutes[first] * 60 + gap


def _shapes(rng: np.random.Generator, plan: Shifts, starts: Array, seconds: Array) -> None:
    """Set the start (second of the day) and the length of the shifts of each shape."""

    def rows(shape: Shape) -> Array:
        return np.flatnonzero(plan.shape == shape)

    long, very_long, midnight = rows(Shape.LONG), rows(Shape.VERY_LONG), rows(Shape.MIDNIGHT)
    starts[long] = rng.integers(7 * HOUR, 10 * HOUR, len(long))
    seconds[long] = rng.integers(8 * HOUR + 300, 12 * HOUR - 60, len(long))
    starts[very_long] = rng.integers(6 * HOUR + 1_800, 7 * HOUR + 1_800, len(very_long))
    seconds[very_long] = rng.integers(12 * HOUR + 300, 15 * HOUR + 1_800, len(very_long))
    starts[midnight] = rng.integers(20 * HOUR, 23 * HOUR, len(midnight))
    seconds[midnight] = DAY + rng.integers(600, 4 * HOUR, len(midnight)) - starts[midnight]

    forged, entered = rows(Shape.FORGED), rows(Shape.LATE_ENTRY)
    starts[forged] = rng.choice([8, 9, 10, 13, 14], len(forged)) * HOUR  # round numbers, five hours each
    seconds[forged] = 5 * HOUR
    starts[entered] -= starts[entered] % 900  # from a paper list, in quarters of an hour
    seconds[entered] -= seconds[entered] % 900

    overlapping, overlapped = rows(Shape.OVERLAPPING), plan.overlapped
    starts[overlapping] = starts[overlapped] + (seconds[overlapped] * rng.uniform(0.2, 0.8, len(overlapped))).astype(
        np.int64
    )
    seconds[overlapping] = np.minimum(seconds[overlapping], 23 * HOUR + 1_800 - starts[overlapping])


def _delay(
    rng: np.random.Generator, late: Array, very_late: Array, last_scan: Array, sent_in: Array, sent_out: Array
) -> None:
    """Let both scans of a late shift arrive at the same time, after a delay from the last scan."""
    hours = np.minimum(LATE_SECONDS + 60 + rng.exponential(DAY, len(late)), LATE_DAYS_MAX * DAY).astype(np.int64)
    weeks = rng.integers(VERY_LATE_DAYS[0] * DAY, VERY_LATE_DAYS[1] * DAY, len(very_late))
    for rows, delay in ((late, hours), (very_late, weeks)):
        sent_in[rows] = sent_out[rows] = last_scan[rows] + delay


def _enter_afterwards(rng: np.random.Generator, plan: Shifts, sent_in: Array, sent_out: Array) -> None:
    """Set the instants of entries: honest ones in office hours of the following days, forged ones in the evening."""
    for shape, days_max, first_hour in ((Shape.LATE_ENTRY, 9, 9), (Shape.FORGED, 15, 19)):
        rows = np.flatnonzero(plan.shape == shape)
        day = plan.day[rows].astype(np.int64) + rng.integers(1, days_max, len(rows), endpoint=True)
        sent_in[rows] = FIRST_MIDNIGHT + day * DAY + first_hour * HOUR + rng.integers(0, 3 * HOUR, len(rows))
        sent_out[rows] = sent_in[rows] + rng.integers(15, ENTRY_SECONDS_MAX, len(rows))


def _enter_together(rng: np.random.Generator, plan: Shifts, schemes: Schemes, sent_in: Array, sent_out: Array) -> None:
    """Set the instants of sold hours: all shifts of a volunteer one after the other, in the evening after the last."""
    evenings = schemes.sold.reshape(-1, SOLD_SHIFTS)
    day = plan.day[evenings].max(axis=1, initial=0).astype(np.int64) + 1
    begin = FIRST_MIDNIGHT + day * DAY + 19 * HOUR + rng.integers(0, 2 * HOUR, len(evenings))
    sent_in[evenings] = begin[:, None] + np.arange(SOLD_SHIFTS) * ENTRY_SECONDS_MAX
    sent_out[evenings] = sent_in[evenings] + rng.integers(15, ENTRY_SECONDS_MAX, evenings.shape)
