"""A spot check as a table for field work: one line for each shift, with columns to be filled in, and how it was drawn.

UTF-8 with a byte order mark, because people open it in spreadsheets; instants are local.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime
from zoneinfo import ZoneInfo

from replay.audit.spot_checks import SpotCheck

_RECORDED = (
    "number",
    "stratum",
    "volunteer",
    "shift",
    "station",
    "station_kind",
    "project",
    "check_in",
    "check_out",
    "minutes",
    "grade",
    "late",
)
TO_FILL_IN = (
    "service_confirmed",
    "found_check_in",
    "found_check_out",
    "confirmed_by",
    "remark",
    "checked_by",
    "checked_on",
)
"""What whoever checks writes down."""
COLUMNS = (*_RECORDED, *TO_FILL_IN, "positions", "hash", "drawn")


def as_csv(found: SpotCheck, time_zone: str) -> str:
    """Return a spot check as CSV."""
    zone, how = ZoneInfo(time_zone), how_drawn(found)
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in found.shifts:
        recorded = (_cell(getattr(one, name), zone) for name in _RECORDED)
        positions = " ".join(map(str, one.positions))
        writer.writerow([*recorded, *("" for _ in TO_FILL_IN), positions, one.hash, how])
    return text.getvalue()


def how_drawn(found: SpotCheck) -> str:
    """Say what is needed to draw a sample again."""
    named = {
        "station": found.station,
        "from": found.first_day,
        "to": found.last_day,
        "grade": found.grade,
        "valid_at": found.valid_at,
    }
    of = " ".join(f"{name}={value}" for name, value in named.items() if value is not None) or "all"
    return (
        f"{len(found.shifts)} of {found.population} shifts ({of}) known at position {found.known_at}, "
        f"seed={found.seed} size={found.size} strata={found.strata}: {found.method}"
    )


def _cell(value: object, zone: ZoneInfo) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else ""
        case datetime():
            return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return str(value)
