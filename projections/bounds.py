"""Bounds: what kernels take for granted of columns that come from files.

Kernels check no index, so a surrogate, a day or a tier that is out of range would be read or written outside a table.
Columns that this program has just computed are sound; files may be copies from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from projections.schema import (
    CAP_RAISE_WITHDRAWN,
    CAP_RAISED,
    DAYS,
    MERGE_UNDONE,
    MERGED,
    NONE,
    OPENING_RECORDED,
    OPENING_VOIDED,
    PEOPLE_SERVED,
    REGISTERED,
    STATION_OPENED,
    TIERS,
    TRAINED,
    TRAINING_VOIDED,
    Array,
    OtherEvents,
)

INSTANTS_END: Final = 4_102_444_800 + 86_400
"""The ledger refuses instants from 2100 on, in any time zone."""


_REQUIRED: Final = (
    ((REGISTERED, TRAINED, TRAINING_VOIDED, OPENING_RECORDED, OPENING_VOIDED), "volunteer"),
    ((CAP_RAISED, CAP_RAISE_WITHDRAWN, MERGED, MERGE_UNDONE), "volunteer"),
    ((MERGED, MERGE_UNDONE), "into"),
    ((STATION_OPENED, PEOPLE_SERVED), "station"),
)
"""Which columns events of these kinds always have."""


def out_of_range(columns: Mapping[str, Array], ends: Mapping[str, int]) -> str | None:
    """Return which column has values that kernels cannot take, and None if none has.

    Args:
        columns: by name. Those with the dtype uint32 are instants.
        ends: by column, how many names there are: surrogates are `NONE` or from 0 to this.
    """
    for name, column in columns.items():
        if not len(column):
            continue
        if name in ends and not NONE <= int(column.min()) <= int(column.max()) < ends[name]:
            return name
        if name == "day" and not -DAYS <= int(column.min()) <= int(column.max()) < DAYS:
            return name
        if column.dtype == np.uint32 and int(column.max()) >= INSTANTS_END:
            return name
    return None


def event_out_of_range(events: OtherEvents, ends: Mapping[str, int]) -> str | None:
    """Return which column of other events has values that kernels cannot take, and None if none has."""
    for codes, column in _REQUIRED:
        rows = np.isin(events.code, codes)
        if np.any(getattr(events, column)[rows] == NONE):
            return column
    tiers = events.amount[np.isin(events.code, (TRAINED, TRAINING_VOIDED))]
    if not np.isin(tiers, list(TIERS.values())).all():
        return "amount"
    return out_of_range(events._asdict(), ends)
