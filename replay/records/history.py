"""The history of a volunteer's record: every act except scans, in log order: who, why, before and after.

An act on a shift is shown with the fields in force before and after it (resolved by `ledger/aggregates/shift.py`, as
for decisions), and with the volunteer's credited minutes before and after its position, computed by the kernels from
the shifts that it can affect (`replay/cohorts/change_windows.py`). Nothing here writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from pydantic import JsonValue

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapEvent, DayCapRaised
from ledger.aggregates.opening_balance import OpeningBalanceEvent, OpeningBalanceRecorded
from ledger.aggregates.request import ActRequested
from ledger.aggregates.shift import (
    CheckedIn,
    CheckedOut,
    DisputeAnswered,
    DisputeSettled,
    Punched,
    Shift,
    ShiftDisputed,
    ShiftEvent,
    ShiftVoided,
)
from ledger.names import Position, shift_stream, stream
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import decode
from projections.local_time import day_number, day_of_number
from projections.schema import CHECK_OUT_ALONE, CORRECTED_IN, CREDITED, DAY, NO_DAY, NO_INSTANT, PUNCH, TWO_CHECK_INS
from replay.axes.as_known import Axes, Known, cohort_known_at
from replay.cohorts.change_windows import margin_seconds
from replay.cohorts.cohort import Cohort
from replay.progress import with_checkpoints
from replay.records.act_words import differing, in_words, minutes_and_day, shift_fields, with_local_times
from replay.records.case_answers import MinutesChange, RecordAct
from replay.records.cases import CaseReader
from replay.records.paired_ends import with_end

DISPUTE_EVENTS = (ShiftDisputed, DisputeAnswered, DisputeSettled)
"""Events of a shift that change none of its minutes. Their texts are what the volunteer wrote and was answered."""

Fields = dict[str, JsonValue]


class _Step(NamedTuple):
    """An act, and the earlier events of its stream."""

    position: Position
    event: Event
    before: Sequence[Event]


def volunteer_acts(
    reader: CaseReader, known: Known, axes: Axes, after: int, limit: int, *, of_disputes_only: bool = False
) -> tuple[list[RecordAct], int | None]:
    """Return the acts on a volunteer's record after a position, and the `after` of the next page if there is one.

    Args:
        of_disputes_only: show the free texts of disputes and of the answers to them, and no others.
    """
    steps = sorted(_steps(reader, known), key=lambda step: step.position)
    remaining = [step for step in steps if step.position > after]
    shown = remaining[:limit]
    told = (step.event for step in shown if isinstance(step.event, DISPUTE_EVENTS) or not of_disputes_only)
    texts = reader.texts(told)
    minutes = _Minutes(reader, known, axes)
    acts = [_record_act(reader, step, texts, minutes) for step in with_checkpoints(shown, 1)]
    return acts, shown[-1].position if len(remaining) > limit else None


def _steps(reader: CaseReader, known: Known) -> Iterator[_Step]:
    """Yield all acts. Streams of scans only are not decoded."""
    streams = [shift_stream(shift.volunteer, shift.shift) for shift in known.tables.shifts]
    for volunteer in known.cohort.persons:
        streams += [stream(kind, volunteer) for kind in ("volunteer", "opening-balance")]
        streams += reader.log.streams_about(volunteer)
    for history in reader.log.read_streams(streams, until=reader.known_at).values():
        if all(map(_is_plain_scan, history)):
            continue
        events = [decode(recorded.topic, recorded.state) for recorded in history]
        for number, recorded in enumerate(history):
            if not _is_plain_scan(recorded):
                yield _Step(recorded.position, events[number], events[:number])


def _is_plain_scan(recorded: RecordedEvent) -> bool:
    return recorded.topic in {CheckedIn.TOPIC, CheckedOut.TOPIC, Punched.TOPIC} and b'"evidence"' not in recorded.state


def _record_act(reader: CaseReader, step: _Step, texts: Mapping[str, str], minutes: _Minutes) -> RecordAct:
    event = step.event
    minutes_more, day = None, None
    if isinstance(event, ShiftEvent):
        shifts = _shifts(reader, step, event, has_punches=minutes.has_punches)
        before, after = _shift_changes(reader, step, event, shifts)
        minutes_more, day = minutes_and_day(*shifts, ZoneInfo(reader.zone))
    else:
        before, after = _changes(reader, step)
    return RecordAct(
        position=step.position,
        version=len(step.before) + 1,
        topic=event.TOPIC,
        recorded_at=reader.local(event.recorded_at),
        occurred_at=reader.local(event.occurred_at),
        by=event.by,
        approved_by=event.approved_by,
        imported=event.imported,
        volunteer=minutes.known.recorded_under(getattr(event, "volunteer", None) or minutes.known.volunteer),
        shift=event.shift if isinstance(event, ShiftEvent) else None,
        reason=getattr(event, "reason", None) or getattr(event, "evidence", None),
        text=texts.get(getattr(event, "note", None) or ""),
        before=before,
        after=after,
        sentence=_sentence(event, step, after) or in_words(before, after, minutes_more, day),
        minutes=minutes.of(step),
    )


# --- before and after -----------------------------------------------------------------------------------------------


def _changes(reader: CaseReader, step: _Step) -> tuple[Fields, Fields]:
    """Return the fields that an act changed, before and after it; for other acts all their fields, as after."""
    event, events = step.event, [*step.before, step.event]
    match event:
        case OpeningBalanceEvent():
            return differing(_balance(step.before), _balance(events))
        case DayCapEvent():
            day: Fields = {"day": event.day.isoformat()}
            return day | {"raised_to": _raised(step.before)}, day | {"raised_to": _raised(events)}
        case _:
            return {}, _own_fields(event, reader)


def _shifts(reader: CaseReader, step: _Step, event: ShiftEvent, *, has_punches: bool) -> tuple[Shift, Shift]:
    """Return the shift before and after an act, with the check-out that the rules of pairing then gave it."""
    before, after = Shift.of(step.before), Shift.of([*step.before, event])
    if not has_punches or isinstance(event, DISPUTE_EVENTS):
        return before, after
    before = with_end(before, event.volunteer, event.shift, Position(step.position - 1), reader.end_of)
    after = with_end(after, event.volunteer, event.shift, step.position, reader.end_of)
    # A void shift is not paired, which is no change of its check-out.
    if after.void and after.check_out is None:
        after = replace(after, ends=before.ends)
    if before.void and before.check_out is None:
        before = replace(before, ends=after.ends)
    return before, after


def _shift_changes(
    reader: CaseReader, step: _Step, event: ShiftEvent, shifts: tuple[Shift, Shift]
) -> tuple[Fields, Fields]:
    zone, histories = ZoneInfo(reader.zone), (step.before, [*step.before, event])
    before, after = (
        shift_fields(shift, zone) | {"answered": _is_answered(events)}
        for shift, events in zip(shifts, histories, strict=True)
    )
    if isinstance(event, ShiftVoided) and event.replaced_by:
        before["volunteer"], after["volunteer"] = event.volunteer, event.replaced_by
    return differing(before, after)


def _sentence(event: Event, step: _Step, after: Fields) -> str | None:
    """Return the sentence of an act that its fields do not tell: a request, which changes nothing until it is approved,
    or an addition to a dispute.
    """
    if isinstance(event, ShiftDisputed) and Shift.of(step.before).disputed:
        return "added to the dispute that is open"
    if not isinstance(event, ActRequested):
        return None
    fields = after["fields"]
    return f"{after['act']}: {in_words({}, fields)}" if isinstance(fields, dict) else str(after["act"])


def _is_answered(events: Sequence[Event]) -> bool:
    """Return whether the open dispute was answered."""
    of_disputes = [event for event in events if isinstance(event, DISPUTE_EVENTS)]
    settled = max((at for at, event in enumerate(of_disputes) if isinstance(event, DisputeSettled)), default=-1)
    return any(isinstance(event, DisputeAnswered) for event in of_disputes[settled + 1 :])


def _balance(events: Sequence[Event]) -> Fields:
    last = events[-1] if events else None
    if isinstance(last, OpeningBalanceRecorded):
        return {"minutes": last.minutes, "as_of": last.as_of.isoformat()}
    return {"minutes": None, "as_of": None}


def _raised(events: Iterable[Event]) -> int | None:
    """Return the minutes of the greatest raise in force, None without one."""
    in_force: dict[str, int] = {}
    for event in events:
        if isinstance(event, DayCapRaised):
            in_force[event.raise_id] = event.minutes
        elif isinstance(event, DayCapEvent):
            in_force.pop(event.raise_id, None)
    return max(in_force.values(), default=None)


_COMMON = {*Event.__struct_fields__, "volunteer", "reason", "evidence", "note"}


def _own_fields(event: Event, reader: CaseReader) -> Fields:
    fields: dict[str, JsonValue] = msgspec.to_builtins(event)
    zone = ZoneInfo(reader.zone)
    return {name: with_local_times(name, value, zone) for name, value in fields.items() if name not in _COMMON}


# --- minutes --------------------------------------------------------------------------------------------------------


class _Minutes:
    """Credited minutes of a volunteer before and after an act."""

    def __init__(self, reader: CaseReader, known: Known, axes: Axes) -> None:
        self._reader = reader
        self.known = known
        self._axes = axes
        columns = known.cohort.tables.columns.columns
        self._check_in = columns.check_in.astype(np.int64)
        # The earlier check-in of these shifts cannot be derived from their present one.
        moved = CORRECTED_IN | TWO_CHECK_INS | CHECK_OUT_ALONE
        self._may_have_moved = (columns.flags & moved > 0) | (columns.check_in == NO_INSTANT)
        self.has_punches = bool(np.any(columns.flags & PUNCH))
        if self.has_punches:  # a punch may pair all later ones otherwise
            self._may_have_moved[:] = True

    def of(self, step: _Step) -> MinutesChange | None:
        """Return the effect of an act on the minutes; None for acts that never change hours."""
        event = step.event
        if isinstance(event, DISPUTE_EVENTS):
            return None
        match event:
            case ShiftEvent():
                instants = [Shift.of(events).check_in for events in (step.before, [*step.before, event])]
                check_ins = [instant for instant in instants if instant is not None]
                days = {self._day(instant) for instant in check_ins}
                return self._change(step.position, event.volunteer, self._near_shifts(check_ins), days)
            case DayCapEvent():
                noon = int(datetime.combine(event.day, time(12), UTC).timestamp())
                return self._change(step.position, event.volunteer, self._near_shifts([noon]), {day_number(event.day)})
            case OpeningBalanceEvent():
                return self._change(step.position, event.volunteer, self.known.cohort, set())
            case _:
                return None

    def _day(self, instant: int) -> int:
        return day_number(self._reader.local(instant).date())

    def _change(self, position: Position, number: str, cohort: Cohort, about: set[int]) -> MinutesChange | None:
        before, after = (self._credited(cohort, Position(position - ago), number) for ago in (1, 0))
        days = {day for day in before | after if before[day] != after[day]} | about
        if not days:  # for example a check-out without a known check-in
            return None
        old, new = (sum(credited[day] for day in days) for credited in (before, after))
        return MinutesChange(
            first_day=day_of_number(min(days)),
            last_day=day_of_number(max(days)),
            before=old,
            after=new,
            change=new - old,
        )

    def _near_shifts(self, instants: Sequence[int]) -> Cohort:
        """Return the volunteer with the shifts that a change at these instants can affect."""
        margin = margin_seconds(self.known.timeline)
        near = self._may_have_moved.copy()
        for instant in instants:
            near |= np.abs(self._check_in - instant) <= margin
        now = self.known.cohort
        return Cohort(now.persons, now.tables.columns.where(near), now.kinds, merges=now.merges)

    def _credited(self, now: Cohort, position: Position, number: str) -> Counter[int]:
        """Return the credited minutes per day of the person who then had a number; a balance counts on its day."""
        known, until = self.known, self._axes.valid_until
        cohort = cohort_known_at(self._reader.log, now, position, known.timeline)
        pieces = cohort.tables.pieces(number, known.timeline)
        credited: Counter[int] = Counter()
        for day, minutes in pieces[pieces[:, DAY] <= until][:, [DAY, CREDITED]].tolist():
            credited[day] += minutes
        for person in cohort.restricted_to(number).persons.values():
            if person.opening_day <= until and person.opening_day != NO_DAY:
                credited[person.opening_day] += person.opening_minutes
        return credited
