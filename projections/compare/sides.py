"""Sides: the two replays of a comparison, and the columns in which they are compared.

A side is a rule timeline, or what was known at a position, or both. Sides are made so that the kernels of
`projections.compare.volunteers` can walk them together: names have one number on both, whoever is known to one has a
place in the other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from projections.rules.table import RuleTable
from projections.schema import NO_DAY, NONE, Ints, ShiftTable, VolunteerTable

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
"""Sums of a volunteer's pieces; minutes, but for the number of shifts. With the opening balance (attested):

    credited = counted + factor_change - rounding + opening_balance = scanned + attested
"""
STATION_CHANGE_COLUMNS: Final = (*TRACE_COLUMNS[:-1], "volunteers", "people_served")
"""The same of a station, which has no opening balance; `volunteers` sums those of each day (person-times)."""

BEFORE, AFTER, BOTH = 0, 1, 2
"""Places of the two sides; what is the same on both is added up once, behind them."""


class Side(NamedTuple):
    """One of the two replays. `honors[h]` is the row of honour h of both sides in this side's HonorTable, or `NONE`.

    Surrogates mean the same on both sides; the side that knows less may know fewer of them. `window_names` numbers the
    names of its factor windows among those of both sides.
    """

    table: ShiftTable
    volunteers: VolunteerTable
    station_kind: Ints
    rules: RuleTable
    honors: Ints
    window_names: Ints


def same_facts(before: Side, after: Side) -> bool:
    """Tell whether two sides know the same."""
    return all(getattr(before, name) is getattr(after, name) for name in ("table", "volunteers", "station_kind"))


def same_credit(before: RuleTable, after: RuleTable) -> bool:
    """Tell whether two timelines differ in honours at most: then one credit serves both."""
    one, other = (
        [*rules[: RuleTable._fields.index("factors")], *rules.factors, *rules.zone] for rules in (before, after)
    )
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def same_honors(before: Side, after: Side) -> bool:
    """Tell whether two timelines ask for the same in every honour."""
    one, other = ([side.rules.holds_from, *side.rules.honors, side.honors] for side in (before, after))
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def least_minutes(side: Side) -> int:
    """Return the fewest minutes that any honour of a side asks for."""
    asked = side.rules.honors.minutes
    return int(asked[asked != NONE].min(initial=NO_DAY))


def widened(side: Side, other: Side) -> Side:
    """Make room in a side for the volunteers and stations that only the other knows."""
    more = max(len(other.table.first) - len(side.table.first), 0)
    stations = max(len(other.station_kind) - len(side.station_kind), 0)
    if not more and not stations:
        return side
    known = side.volunteers
    never = np.full(more, NO_DAY, np.int32)
    return side._replace(
        table=side.table._replace(first=np.append(side.table.first, np.repeat(side.table.first[-1:], more))),
        volunteers=known._replace(
            several=np.append(known.several, np.zeros(more, np.bool_)),
            registered=np.append(known.registered, never),
            superseded_until=np.append(known.superseded_until, never),
            balances=np.append(known.balances, np.repeat(known.balances[-1:], more)),
            trained=np.concatenate([known.trained, np.full((more, known.trained.shape[1]), NO_DAY, np.int32)]),
            raises=np.append(known.raises, np.repeat(known.raises[-1:], more)),
        ),
        station_kind=np.append(side.station_kind, np.zeros(stations, np.int32)),
    )
