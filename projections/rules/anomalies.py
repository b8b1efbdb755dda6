"""Thresholds of anomalies as rules: from when on something about a record is worth an auditor's look.

They stand in one table `[anomalies]` of a timeline, for all service dates: they say what is looked at today, not what
a minute was worth then. All of it is [config], for no source fixes any of it. A timeline without the table, as
all of them were once, has the defaults below. How findings follow from records stands in `projections/anomalies/`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Minutes = Annotated[int, Field(strict=True, ge=1, le=10_080)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Percent = Annotated[int, Field(strict=True, ge=1, le=100)]


class AnomalyRules(BaseModel):
    """What is odd enough to be told. Each value belongs to the kind of anomaly that its first word names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    overlap_minutes_min: Minutes = 1
    """Two stations at once: so long at least."""
    travel_minutes_min: Annotated[int, Field(strict=True, ge=0, le=1440)] = 5
    """From a check-out at one station to a check-in at another: nobody is faster. Stations have no coordinates."""
    long_shift_minutes: Minutes = 720
    """A shift that is longer is told."""
    cap_days_in_row: Count = 3
    """Over the cap of the day on so many days in a row."""
    burst_minutes: Minutes = 15
    burst_entries_min: Count = 5
    """So many shifts entered by one person within so many minutes."""
    same_person_entries_min: Count = 6
    same_person_decisions_min: Count = 12
    same_person_percent_min: Percent = 60
    """Of a volunteer's shifts that were entered in a year, or decided on, so many by one person, and so many of all."""
    round_shifts_min: Count = 3
    round_percent_min: Percent = 70
    """Of the instants of so many shifts of a volunteer, or of those that were typed, so many are full hours."""
    upload_hours_max: Annotated[int, Field(strict=True, ge=1, le=87_600)] = 72
    """A scan that arrives later is told."""
    clock_seconds: Annotated[int, Field(strict=True, ge=1, le=3_600)] = 60
    """A scan so far ahead of its recording is told, and a clock that is wrong by so much on the whole."""
    clock_scans_min: Count = 5
    clock_percent_min: Percent = 60
    """On the whole: so many scans of a station's day, and so many of all that arrived at once."""
