"""Local days of columns of instants, for code outside of kernels."""

from __future__ import annotations

import numpy as np

from projections.local_time import zone_table
from projections.schema import Array, Ints, Longs


def local_minutes(instants: Array, zone: str) -> Longs:
    """Return the local minutes since 1970-01-01T00:00 of instants (epoch seconds)."""
    table, minutes = zone_table(zone), instants.astype(np.int64) // 60
    local: Longs = minutes + table.offset[np.searchsorted(table.since, minutes, side="right") - 1]
    return local


def local_days(instants: Array, zone: str) -> Ints:
    """Return the local days of instants (epoch seconds), as day numbers."""
    return (local_minutes(instants, zone) // 1440).astype(np.int32)
