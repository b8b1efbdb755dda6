"""The thresholds of anomalies, as rules.

They are in one table `[anomalies]` of a timeline, for all service dates, because they control what auditors look at
today, not what a minute was worth. All are [config]: no source fixes them. A timeline without the table, as all early
ones are, has the defaults below. `projections/anomalies/` applies them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Minutes = Annotated[int, Field(strict=True, ge=1, le=10_080)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Percent = Annotated[int, Field(strict=True, ge=1, le=100)]


class AnomalyRules(BaseModel):
    """The thresholds above which anomalies are reported. The first word of a name refers to the kind of anomaly."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    overlap_minutes_min: Minutes = 1
    """The minimum overlap of two shifts at different stations."""
    travel_minutes_min: Annotated[int, Field(strict=True, ge=0, le=1440)] = 5
    """The shortest time from a check-out at one station to a check-in at another. Stations have no coordinates."""
    long_shift_minutes: Minutes = 720
    """Longer shifts are reported."""
    cap_days_in_row: Count = 3
    """The number of consecutive days over the day cap."""
    burst_minutes: Minutes = 15
    """The length of a burst: shifts that one person entered within it."""
    burst_entries_min: Count = 5
    """The number of shifts in a burst."""
    same_person_entries_min: Count = 6
    """The number of a volunteer's shifts in a year that one person entered."""
    same_person_decisions_min: Count = 12
    """The number of a volunteer's shifts in a year that one person corrected, reinstated, settled or approved."""
    same_person_percent_min: Percent = 60
    """Their share of all the volunteer's entries, or decisions, in the year."""
    round_shifts_min: Count = 3
    """The number of a volunteer's shifts in a year."""
    round_percent_min: Percent = 70
    """The share of their instants that are full hours."""
    upload_hours_max: Annotated[int, Field(strict=True, ge=1, le=87_600)] = 72
    """Scans that arrive later are reported."""
    clock_seconds: Annotated[int, Field(strict=True, ge=1, le=3_600)] = 60
    """Scans that are further ahead of their recording are reported, and clocks that are systematically further off."""
    clock_scans_min: Count = 5
    """Systematically: the number of a station's scans on a day that are off."""
    clock_percent_min: Percent = 60
    """Their share of the day's scans that were sent at once."""
    registration_days_min: Count = 1
    """Service so many days before the registration, or more, is reported."""
    opening_days_min: Count = 1
    """Service at a station so many days before it was opened, or more, is reported."""
    withdrawal_days_min: Count = 1
    """Service so many days after the withdrawal, or more, is reported."""
    closing_days_min: Count = 1
    """Service at a station so many days after it was closed, or more, is reported."""
    phone_persons_min: Annotated[int, Field(strict=True, ge=2, le=100_000)] = 2
    """The number of persons with the same phone."""
