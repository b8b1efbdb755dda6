"""Local days of many instants at once, for code that looks at columns and is no kernel."""

from __future__ import annotations

import numpy as np

from projections.local_time import zone_table
from projections.schema import Array, Ints, Longs


def local_minutes(instants: Array, zone: str) -> Longs:
    """Return the minutes since 1970-01-01T00:00 that clocks of a zone show at instants (epoch seconds)."""
    table, minutes = zone_table(zone), instants.astype(np.int64) // 60
    found: Longs = minutes + table.offset[np.searchsorted(table.since, minutes, side="right") - 1]
    return found


def local_days(instants: Array, zone: str) -> Ints:
    """Return the local days of instants (epoch seconds), as day numbers."""
    return (local_minutes(instants, zone) // 1440).astype(np.int32)
