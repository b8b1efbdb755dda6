"""A spot check as a CSV table for field work: a row per shift, columns to fill in, and how the sample was drawn.

UTF-8 with a byte order mark, for spreadsheet programs; instants are in local time.
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
    "station_name",
    "station_kind",
    "project",
    "project_name",
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
"""Empty columns for the findings of the field check."""
COLUMNS = (*_RECORDED, *TO_FILL_IN, "positions", "hash", "drawn")


def as_csv(found: SpotCheck, time_zone: str) -> str:
    """Return a spot check as CSV."""
    zone, drawn = ZoneInfo(time_zone), how_drawn(found)
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for shift in found.shifts:
        recorded = (_cell(getattr(shift, name), zone) for name in _RECORDED)
        positions = " ".join(map(str, shift.positions))
        writer.writerow([*recorded, *("" for _ in TO_FILL_IN), positions, shift.hash, drawn])
    return text.getvalue()


def how_drawn(found: SpotCheck) -> str:
    """Return a sentence with everything needed to draw the same sample again."""
    filters = {
        "station": found.station,
        "from": found.first_day,
        "to": found.last_day,
        "grade": found.grade,
        "valid_at": found.valid_at,
    }
    population = " ".join(f"{name}={value}" for name, value in filters.items() if value is not None) or "all"
    return (
        f"{len(found.shifts)} of {found.population} shifts ({population}) known at position {found.known_at}, "
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
