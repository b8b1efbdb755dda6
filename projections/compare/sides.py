"""Sides: the two replays of a comparison, and the columns in which they are compared.

A side is a rule timeline, or what was known at a position, or both. The kernels of `projections.compare.volunteers`
process both sides together, so a name has the same number on both, and each side has a row for every volunteer and
station of the other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from projections.kernels.station_kinds import StationKinds
from projections.rules.table import RuleTable
from projections.schema import NO_DAY, NONE, UNKNOWN_KIND, Ints, ShiftTable, VolunteerTable

TRACE_COLUMNS: Final = (
    "shifts",
    "raw",
    "superseded",
    "too_short",
    "clipped",
    "overlapped",
    "capped",
    "counted",
    "factor_change",
    "rounding",
    "credited",
    "scanned",
    "attested",
    "opening_balance",
)
"""Sums of a volunteer's pieces, in minutes except for the number of shifts. The opening balance is attested:

    credited = counted + factor_change - rounding + opening_balance = scanned + attested
"""
STATION_CHANGE_COLUMNS: Final = (*TRACE_COLUMNS[:-1], "volunteers", "people_served")
"""The same for a station, which has no opening balance; `volunteers` is the sum over its days (person-times)."""

BEFORE, AFTER, BOTH = 0, 1, 2
"""The indices of the two sides in sums; what is the same on both sides is added up once, at index `BOTH`."""


class Side(NamedTuple):
    """One of the two replays. `honors[h]` is the row of honour h in this side's HonorTable, or `NONE`.

    Surrogates mean the same on both sides, and one side may have fewer of them. `window_names` holds the number of each
    factor window's name, among the names of both sides.
    """

    table: ShiftTable
    volunteers: VolunteerTable
    station_kind: StationKinds
    rules: RuleTable
    honors: Ints
    window_names: Ints


def same_facts(before: Side, after: Side) -> bool:
    """Return whether two sides have the same facts."""
    return all(getattr(before, name) is getattr(after, name) for name in ("table", "volunteers", "station_kind"))


def same_credit(before: RuleTable, after: RuleTable) -> bool:
    """Return whether two timelines differ at most in honours, so that the same credit holds for both."""
    left, right = (
        [*rules[: RuleTable._fields.index("factors")], *rules.factors, *rules.zone] for rules in (before, after)
    )
    return all(np.array_equal(*columns) for columns in zip(left, right, strict=True))


def same_honors(before: Side, after: Side) -> bool:
    """Return whether two timelines have the same requirements for every honour."""
    left, right = ([side.rules.holds_from, *side.rules.honors, side.honors] for side in (before, after))
    return all(np.array_equal(*columns) for columns in zip(left, right, strict=True))


def least_minutes(side: Side) -> int:
    """Return the fewest minutes that any honour of a side requires."""
    required = side.rules.honors.minutes
    return int(required[required != NONE].min(initial=NO_DAY))


def widened(side: Side, other: Side) -> Side:
    """Return a side with empty rows for the volunteers and stations that only the other side has."""
    more = max(len(other.table.first) - len(side.table.first), 0)
    stations = max(len(other.station_kind.kind) - len(side.station_kind.kind), 0)
    if not more and not stations:
        return side
    facts = side.volunteers
    never = np.full(more, NO_DAY, np.int32)
    return side._replace(
        table=side.table._replace(first=np.append(side.table.first, np.repeat(side.table.first[-1:], more))),
        volunteers=facts._replace(
            several=np.append(facts.several, np.zeros(more, np.bool_)),
            registered=np.append(facts.registered, never),
            superseded_until=np.append(facts.superseded_until, never),
            balances=np.append(facts.balances, np.repeat(facts.balances[-1:], more)),
            trained=np.concatenate([facts.trained, np.full((more, facts.trained.shape[1]), NO_DAY, np.int32)]),
            raises=np.append(facts.raises, np.repeat(facts.raises[-1:], more)),
        ),
        station_kind=side.station_kind._replace(
            kind=np.append(side.station_kind.kind, np.full(stations, UNKNOWN_KIND, np.int32))
        ),
    )
