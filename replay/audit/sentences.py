"""Wording: the reason of a finding in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from projections.anomalies.findings import FIGURES, Finding, Kind
from projections.local_time import day_of_number
from projections.rules.late_entries import rules_of
from projections.rules.timeline import RuleTimeline

Named = Callable[[str], str | None]
"""Returns the name in a field of the finding: volunteer, station, other_station, actor; or in `others`, joined."""


def figures_of(finding: Finding) -> dict[str, int]:
    """Return the figures of a finding, by name."""
    return dict(zip(FIGURES[finding.kind], finding.figures, strict=True))


def reason(finding: Finding, name: Named, timeline: RuleTimeline) -> str:
    """Return the reason of a finding as a sentence that names the threshold of the rules."""
    return _REASONS[finding.kind](finding, figures_of(finding), name, timeline)


_Reason = Callable[[Finding, Mapping[str, int], Named, RuleTimeline], str]


def _two_stations(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    return f"at {name('station')} and {name('other_station')} at the same time for {_duration(figures['minutes'])}"


def _travel_time(_: Finding, figures: Mapping[str, int], name: Named, timeline: RuleTimeline) -> str:
    least = timeline.anomalies.travel_minutes_min
    return (
        f"checked in at {name('other_station')} {figures['minutes']} min after leaving {name('station')}; "
        f"travel takes at least {least} min"
    )


def _long_shift(_: Finding, figures: Mapping[str, int], name: Named, timeline: RuleTimeline) -> str:
    most = timeline.anomalies.long_shift_minutes
    place = f" at {name('station')}" if name("station") else ""
    return f"a shift of {_duration(figures['minutes'])}{place}, longer than {_duration(most)}"


def _over_cap(finding: Finding, figures: Mapping[str, int], _: Named, __: RuleTimeline) -> str:
    first = day_of_number(finding.day) - timedelta(days=figures["days"] - 1)
    lost = _duration(figures["minutes"])
    return f"over the day cap on {figures['days']} days in a row from {first}: {lost} did not count"


def _entry_burst(_: Finding, figures: Mapping[str, int], name: Named, timeline: RuleTimeline) -> str:
    rules = timeline.anomalies
    return (
        f"{name('actor')} entered {figures['entries']} shifts of {_plural(figures['volunteers'], 'volunteer')} within "
        f"{_delay(figures['seconds'])}; the limit is {rules.burst_entries_min} in {rules.burst_minutes} min"
    )


def _same_person(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    did, done = ("entered", "were entered") if figures["entered"] else ("decided on", "were decided on")
    return (
        f"{name('actor')} {did} {figures['shifts']} of {name('volunteer')}'s {figures['of']} shifts that {done} in "
        "the year"
    )


def _round_numbers(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    instants = f"{'typed ' if figures['typed_only'] else ''}check-ins and check-outs"
    return (
        f"{figures['instants']} of the {figures['of']} {instants} of {name('volunteer')} in the year are on full hours"
    )


def _late_upload(_: Finding, figures: Mapping[str, int], name: Named, timeline: RuleTimeline) -> str:
    most = timeline.anomalies.upload_hours_max
    return f"a scan at {name('station')} arrived {_delay(figures['seconds'])} later; {most} h are allowed"


def _late_entry(finding: Finding, figures: Mapping[str, int], _: Named, timeline: RuleTimeline) -> str:
    ended = day_of_number(finding.day)
    recorded, rules = ended + timedelta(days=figures["days"]), rules_of(ended, timeline)
    allowed = (
        f"{rules.late_entry_days} days"
        if rules.late_entry_working_days is None
        else f"{rules.late_entry_working_days} working days"
    )
    grade = "scanned" if figures["scanned"] else "attested"
    if not figures["minutes"]:
        return (
            f"a shift of {ended} that has no minutes, because it has no check-out or none after its check-in, was "
            f"recorded on {recorded}, {figures['days']} days later; {allowed} are allowed"
        )
    return (
        f"{_duration(figures['minutes'])} of service ({grade}) that ended on {ended} were recorded on {recorded}, "
        f"{figures['days']} days later; {allowed} are allowed"
    )


def _wrong_clock(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    signs = []
    if ahead := figures["scans_ahead"]:
        signs.append(f"{_plural(ahead, 'scan')} from the future, by up to {_delay(figures['seconds_ahead'])}")
    if off := figures["scans_off"]:
        signs.append(
            f"{off} of {figures['of']} scans off in one direction, by a median of {_delay(figures['seconds_off'])}"
        )
    if first := figures["check_outs_first"]:
        signs.append(f"{_plural(first, 'check-out')} before the check-in")
    return f"the clock of {name('station')} seems wrong: {', '.join(signs)}"


def _before_registration(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    shifts, days = _plural(figures["shifts"], "shift"), _plural(figures["days"], "day")
    return f"{shifts} of {name('volunteer')} before the registration, by up to {days}"


def _before_opening(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    shifts, days = _plural(figures["shifts"], "shift"), _plural(figures["days"], "day")
    who = _plural(figures["volunteers"], "volunteer")
    return f"{shifts} of {who} at {name('station')} before it was opened, by up to {days}"


def _after_withdrawal(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    shifts, days = _plural(figures["shifts"], "shift"), _plural(figures["days"], "day")
    return f"{shifts} of {name('volunteer')} after the withdrawal, by up to {days}"


def _after_closing(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    shifts, days = _plural(figures["shifts"], "shift"), _plural(figures["days"], "day")
    who = _plural(figures["volunteers"], "volunteer")
    return f"{shifts} of {who} at {name('station')} after it was closed, by up to {days}"


def _shared_phone(_: Finding, figures: Mapping[str, int], name: Named, __: RuleTimeline) -> str:
    return f"{figures['persons']} persons have the same phone: {name('volunteer')}, {name('others')}"


_REASONS: dict[Kind, _Reason] = {
    "two-stations": _two_stations,
    "travel-time": _travel_time,
    "long-shift": _long_shift,
    "over-cap": _over_cap,
    "entry-burst": _entry_burst,
    "same-person": _same_person,
    "round-numbers": _round_numbers,
    "late-upload": _late_upload,
    "late-entry": _late_entry,
    "wrong-clock": _wrong_clock,
    "before-registration": _before_registration,
    "before-opening": _before_opening,
    "after-withdrawal": _after_withdrawal,
    "after-closing": _after_closing,
    "shared-phone": _shared_phone,
}


def _duration(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _delay(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 48 * 3_600:
        return _duration(seconds // 60)
    return f"{seconds // 86_400} days"


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
