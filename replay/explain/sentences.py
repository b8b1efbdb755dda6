"""Wording: the stretches of a day and the events behind them as an answer, each with the rule it rests on.

Nothing is computed here: minutes come from the walk, which was verified against the kernel's pieces; shares and credits
come from those pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np

from projections.rules.late_entries import late
from projections.rules.timeline import RuleSet
from projections.schema import DOUBLE_TAP, PAIRED, PUNCH, VOID
from replay.axes.answers import PieceTrace
from replay.axes.as_known import Known
from replay.cohorts.cohort import Shift
from replay.explain import stretches
from replay.explain.evidence import Evidence, local
from replay.explain.explanations import (
    DayCap,
    DayExplanation,
    EventBehind,
    ExplainedShift,
    ExplainedStretch,
    OpeningBehind,
    Rounding,
    RuleCited,
    ShiftWithoutMinutes,
)
from replay.explain.stretches import Day, Part, ShiftKey, ShiftPart, Stretch
from replay.explain.traces import trace_sum


@dataclass(frozen=True)
class DayWriter:
    """Writes the explanation of a day. `walked`: its shifts as walked; `parts`: the same as computed by the kernel."""

    known: Known
    frame: Day
    walked: Mapping[ShiftKey, ShiftPart]
    parts: Mapping[ShiftKey, Part]
    evidence: Evidence

    @cached_property
    def _late(self) -> set[ShiftKey]:
        """The person's shifts that were recorded too late."""
        shifts = self.known.tables.columns
        found = map(shifts.shift, np.flatnonzero(late(shifts.columns, self.known.timeline)).tolist())
        return {(shift.volunteer, shift.shift) for shift in found}

    @property
    def _raised(self) -> EventBehind | None:
        """The raise that sets the day's cap; one that is not above the rule has no effect."""
        frame = self.frame
        return self.evidence.raised(frame.cap) if frame.cap > frame.rules.day_minutes_max else None

    def explanation(self, without_time: Sequence[Shift], without_time_count: int) -> DayExplanation:
        """Return the answer; `without_time` are the day's shifts that hold no time."""
        frame = self.frame
        shifts = [self._shift(part) for part in self.walked.values()]
        balances = self._balances()
        return DayExplanation(
            **self.known.person_fields(),
            day=frame.day,
            time_zone=frame.timeline.time_zone,
            begin=self._at(frame.start * 60),
            until=self._at(frame.until * 60),
            rules_published=self.evidence.rules,
            cap=DayCap(minutes=frame.cap, rule=self._cite(frame.rules, "day_minutes_max"), raised_by=self._raised),
            opening_balance=balances[0] if balances else None,
            more_opening_balances=balances[1:] or None,
            trace=trace_sum([shift.trace for shift in shifts]),
            shifts=shifts,
            without_minutes=[self._without_time(shift) for shift in without_time],
            without_minutes_count=without_time_count,
        )

    def _balances(self) -> list[OpeningBehind]:
        return [
            OpeningBehind(
                as_of=self.frame.opening_days[name],
                minutes=person.opening_minutes,
                volunteer=self.known.recorded_under(name),
                event=self.evidence.openings[name],
            )
            for name, person in self.known.balances
        ]

    def _without_time(self, shift: Shift) -> ShiftWithoutMinutes:
        rules = stretches.rules_on(self.frame.day, self.frame.timeline)
        if shift.flags & VOID:
            because = "it is void"
        elif shift.flags & DOUBLE_TAP and shift.flags & PAIRED:
            because = "it is a punch between the first and the last of the day"
        elif shift.flags & DOUBLE_TAP:
            because = f"it is the same scan as another one within {rules.double_tap_seconds} s (double_tap_seconds)"
        elif shift.flags & PUNCH:
            because = f"no check-in of the {rules.open_hours_max} hours before it was open (open_hours_max)"
        else:
            because = "it has no check-in"
        return ShiftWithoutMinutes(
            shift=shift.shift,
            volunteer=self.known.recorded_under(shift.volunteer),
            because=because,
            events=self.evidence.shifts[shift.volunteer, shift.shift],
        )

    def _shift(self, walked: ShiftPart) -> ExplainedShift:
        stay, part = walked.stay, self.parts[walked.stay.key]
        unit = self._cite(walked.rules, "credit_unit_minutes")
        ended_by, end_key = walked.ended_by, None if walked.ended_by == "check-out" else "missing_check_out_minutes"
        if self.known.tables.partner_of(stay.key) is not None:
            ended_by, end_key = "paired-punch", "open_hours_max"
        return ExplainedShift(
            shift=stay.shift,
            volunteer=self.known.recorded_under(stay.volunteer),
            station=stay.station,
            station_kind=self.frame.kinds.get(stay.station or ""),
            project=stay.project,
            grade="scanned" if stay.scanned else "attested",
            late=stay.key in self._late,
            check_in=self._at(stay.check_in),
            check_out=None if stay.check_out is None else self._at(stay.check_out),
            begin=self._at(walked.start * 60),
            end=self._at(walked.end * 60),
            ended_by=ended_by,
            end_rule=self._cite(walked.rules, end_key) if end_key else None,
            trace=PieceTrace(
                day=self.frame.day,
                raw=part.raw,
                superseded=part.superseded,
                too_short=part.too_short,
                clipped=part.clipped,
                overlapped=part.overlapped,
                capped=part.capped,
                counted=part.counted,
                factor_change=part.share - part.counted,
                rounding=part.share - part.credited,
                credited=part.credited,
            ),
            stretches=[self._stretch(walked, stretch) for stretch in walked.stretches],
            rounding=Rounding(
                percentages=walked.percentages,
                share=part.share,
                shares_before=part.shares_before,
                credited_before=part.credited_before,
                unit=unit,
                credited=part.credited,
            ),
            events=self.evidence.shifts[stay.key],
        )

    # --- stretches --------------------------------------------------------------------------------------------------

    def _stretch(self, walked: ShiftPart, stretch: Stretch) -> ExplainedStretch:
        rule, because, more = self._reason(walked, stretch)
        positions = [*self.evidence.deciding(walked.stay.key, "check_in", "check_out"), *more]
        return ExplainedStretch(
            begin=self._at(stretch.start * 60),
            until=self._at(stretch.until * 60),
            minutes=stretch.minutes,
            fate=stretch.fate,
            percent=stretch.percent,
            rule=rule,
            held_by=stretch.held_by and stretch.held_by[1],
            held_by_volunteer=stretch.held_by and self.known.recorded_under(stretch.held_by[0]),
            positions=sorted({*positions}),
            because=because,
        )

    def _reason(self, walked: ShiftPart, stretch: Stretch) -> tuple[RuleCited | None, str, list[int]]:
        """Return the rule behind a stretch, the reason in words, and the deciding events other than the shift's own."""
        rule: RuleCited | None = None
        more: list[EventBehind | None] = []
        match stretch.fate:
            case stretches.SUPERSEDED:
                number = walked.stay.volunteer
                under = f" of number {number}" if self.known.recorded_under(number) else ""
                because = f"included in the opening balance{under} as of {self.frame.opening_days[number]}"
                more = [self.evidence.openings[number]]
            case stretches.TOO_SHORT:
                rule = self._cite(walked.rules, "shift_minutes_min")
                because = f"the shift lasted {walked.end - walked.start} minutes, fewer than {rule.value}"
            case stretches.CLIPPED:
                rule = self._cite(walked.rules, "shift_minutes_max")
                because = f"beyond the shift's first {rule.value} minutes"
            case stretches.OVERLAPPED:
                because = "already held by another shift, which comes first"
                if stretch.held_by:
                    because = f"already held by the shift {self._named(stretch.held_by)}, which comes first"
                    return rule, because, self.evidence.deciding(stretch.held_by, "check_in", "check_out")
            case stretches.CAPPED:
                rule, more = self._cite(self.frame.rules, "day_minutes_max"), [self._raised]
                because = f"over the day cap of {self.frame.cap} minutes{' (raised)' if any(more) else ''}"
            case _:
                rule, because, more = self._counted(walked, stretch)
        return rule, because, [event.position for event in more if event]

    def _counted(self, walked: ShiftPart, stretch: Stretch) -> tuple[RuleCited | None, str, list[EventBehind | None]]:
        factor, raised = stretch.factor, self._raised
        if factor is None:
            return None, "counted in full", [raised]
        opened = self.evidence.stations.get(walked.stay.station or "") if factor.station_kinds else None
        rule = self._cite(self.frame.rules, "factors.percent", factor.percent, factor.name)
        return rule, f"counted at {factor.percent} % (factor {factor.name})", [raised, opened]

    def _named(self, shift: ShiftKey) -> str:
        walked = self.walked[shift]
        under = f", of number {shift[0]}" if self.known.recorded_under(shift[0]) else ""
        place = f" at {walked.stay.station}" if walked.stay.station else ""
        return f"from {self._at(walked.start * 60):%H:%M}{place}{under}"

    def _cite(self, rules: RuleSet, key: str, value: int | None = None, name: str | None = None) -> RuleCited:
        return RuleCited(
            version=self.known.rules.version,
            holds_from=rules.holds_from,
            key=key,
            value=getattr(rules, key) if value is None else value,
            name=name,
        )

    def _at(self, instant: int) -> datetime:
        return local(instant, ZoneInfo(self.frame.timeline.time_zone))
