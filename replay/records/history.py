"""The history of a volunteer's record: every act but scans in log order, who and why, with before and after.

An act on a shift is shown by the fields in force before and after it (`ledger/aggregates/shift.py` resolves them as
decisions do); and by the volunteer's credited minutes before and after its position, computed by the kernels from the
shifts that it can concern (`replay/cohorts/change_windows.py`). Nothing here writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import NamedTuple

import msgspec
import numpy as np
from pydantic import JsonValue

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapEvent, DayCapRaised
from ledger.aggregates.opening_balance import OpeningBalanceEvent, OpeningBalanceRecorded
from ledger.aggregates.shift import (
    CheckedIn,
    CheckedOut,
    DisputeAnswered,
    DisputeSettled,
    Shift,
    ShiftDisputed,
    ShiftEvent,
    ShiftVoided,
)
from ledger.names import Position, shift_stream, stream
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import decode
from projections.local_time import day_number, day_of_number
from projections.schema import CHECK_OUT_ALONE, CORRECTED_IN, CREDITED, DAY, NO_DAY, NO_INSTANT, TWO_CHECK_INS
from replay.axes.as_known import Axes, Known, cohort_known_at
from replay.cohorts.change_windows import reach_seconds
from replay.cohorts.cohort import Cohort
from replay.records.case_answers import MinutesChange, RecordAct
from replay.records.cases import CaseReader

_TALK = (ShiftDisputed, DisputeAnswered, DisputeSettled)
"""What is said about a shift and changes no minute of it."""

Fields = dict[str, JsonValue]


class _Step(NamedTuple):
    """An act, and the events of its stream before it."""

    position: Position
    event: Event
    before: Sequence[Event]


def volunteer_acts(
    reader: CaseReader, known: Known, axes: Axes, after: int, limit: int
) -> tuple[list[RecordAct], int | None]:
    """Return the acts on a volunteer's record behind a position, and where to go on if there are more."""
    steps = sorted(_steps(reader, known), key=lambda step: step.position)
    behind = [step for step in steps if step.position > after]
    shown = behind[:limit]
    texts = reader.texts(step.event for step in shown)
    minutes = _Minutes(reader, known, axes)
    acts = [_told(reader, step, texts, minutes) for step in shown]
    return acts, shown[-1].position if len(behind) > limit else None


def _steps(reader: CaseReader, known: Known) -> Iterator[_Step]:
    """Yield all acts; streams that hold nothing but scans are not even decoded."""
    streams = [shift_stream(one.volunteer, one.shift) for one in known.circle.tables.shifts]
    for volunteer in known.circle.persons:
        streams += [stream(kind, volunteer) for kind in ("volunteer", "opening-balance")]
        streams += reader.log.streams_about(volunteer)
    for recorded in reader.log.read_streams(streams, until=reader.known_at).values():
        if all(map(_is_plain_scan, recorded)):
            continue
        events = [decode(one.topic, one.state) for one in recorded]
        for number, one in enumerate(recorded):
            if not _is_plain_scan(one):
                yield _Step(one.position, events[number], events[:number])


def _is_plain_scan(recorded: RecordedEvent) -> bool:
    return recorded.topic in {CheckedIn.TOPIC, CheckedOut.TOPIC} and b'"evidence"' not in recorded.state


def _told(reader: CaseReader, step: _Step, texts: Mapping[str, str], minutes: _Minutes) -> RecordAct:
    event = step.event
    before, after = _changes(reader, step)
    return RecordAct(
        position=step.position,
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
        minutes=minutes.of(step),
    )


# --- before and after -----------------------------------------------------------------------------------------------


def _changes(reader: CaseReader, step: _Step) -> tuple[Fields, Fields]:
    """Return the fields that an act changed, as they were and as they are; of other acts what they say."""
    event, events = step.event, [*step.before, step.event]
    match event:
        case ShiftEvent():
            before, after = _shift_fields(reader, step.before), _shift_fields(reader, events)
            if isinstance(event, ShiftVoided) and event.replaced_by:
                before["volunteer"], after["volunteer"] = event.volunteer, event.replaced_by
        case OpeningBalanceEvent():
            before, after = _balance(step.before), _balance(events)
        case DayCapEvent():
            day: Fields = {"day": event.day.isoformat()}
            return day | {"raised_to": _raised(step.before)}, day | {"raised_to": _raised(events)}
        case _:
            return {}, _own_fields(event)
    changed = [name for name in after if before[name] != after[name]]
    return {name: before[name] for name in changed}, {name: after[name] for name in changed}


def _shift_fields(reader: CaseReader, events: Sequence[Event]) -> Fields:
    shift = Shift.of(events)
    return {
        "check_in": reader.local(shift.check_in).isoformat() if shift.check_in is not None else None,
        "check_out": reader.local(shift.check_out).isoformat() if shift.check_out is not None else None,
        "station": shift.station,
        "project": shift.project,
        "void": shift.void is not None,
        "disputed": shift.disputed is not None,
        "answered": _is_answered(events),
    }


def _is_answered(events: Sequence[Event]) -> bool:
    """Whether the dispute that is open was answered."""
    talk = [event for event in events if isinstance(event, _TALK)]
    ended = max((at for at, event in enumerate(talk) if isinstance(event, DisputeSettled)), default=-1)
    return any(isinstance(event, DisputeAnswered) for event in talk[ended + 1 :])


def _balance(events: Sequence[Event]) -> Fields:
    last = events[-1] if events else None
    if isinstance(last, OpeningBalanceRecorded):
        return {"minutes": last.minutes, "as_of": last.as_of.isoformat()}
    return {"minutes": None, "as_of": None}


def _raised(events: Iterable[Event]) -> int | None:
    """Return to how many minutes a day is raised: the greatest raise in force."""
    standing: dict[str, int] = {}
    for event in events:
        if isinstance(event, DayCapRaised):
            standing[event.raise_id] = event.minutes
        elif isinstance(event, DayCapEvent):
            standing.pop(event.raise_id, None)
    return max(standing.values(), default=None)


_COMMON = {*Event.__struct_fields__, "volunteer", "reason", "evidence", "note"}


def _own_fields(event: Event) -> Fields:
    fields: dict[str, JsonValue] = msgspec.to_builtins(event)
    return {name: value for name, value in fields.items() if name not in _COMMON}


# --- minutes --------------------------------------------------------------------------------------------------------


class _Minutes:
    """Credited minutes of a volunteer before and after an act."""

    def __init__(self, reader: CaseReader, known: Known, axes: Axes) -> None:
        self._reader = reader
        self.known = known
        self._axes = axes
        columns = known.circle.tables.columns.columns
        self._check_in = columns.check_in.astype(np.int64)
        # Where these stood before cannot be told from where they stand now.
        elsewhere = CORRECTED_IN | TWO_CHECK_INS | CHECK_OUT_ALONE
        self._anywhere = (columns.flags & elsewhere > 0) | (columns.check_in == NO_INSTANT)

    def of(self, step: _Step) -> MinutesChange | None:
        """Return what an act made of the minutes; nothing for acts that never change hours."""
        event = step.event
        if isinstance(event, _TALK):
            return None
        match event:
            case ShiftEvent():
                instants = [Shift.of(events).check_in for events in (step.before, [*step.before, event])]
                found = [one for one in instants if one is not None]
                return self._change(
                    step.position, event.volunteer, self._around(found), {self._day(one) for one in found}
                )
            case DayCapEvent():
                noon = int(datetime.combine(event.day, time(12), UTC).timestamp())
                return self._change(step.position, event.volunteer, self._around([noon]), {day_number(event.day)})
            case OpeningBalanceEvent():
                return self._change(step.position, event.volunteer, self.known.circle, set())
            case _:
                return None

    def _day(self, instant: int) -> int:
        return day_number(self._reader.local(instant).date())

    def _change(self, position: Position, number: str, circle: Cohort, about: set[int]) -> MinutesChange | None:
        before, after = (self._credited(circle, Position(position - ago), number) for ago in (1, 0))
        days = {day for day in before | after if before[day] != after[day]} | about
        if not days:  # a check-out whose check-in is not known, for one
            return None
        was, is_now = (sum(credited[day] for day in days) for credited in (before, after))
        return MinutesChange(
            first_day=day_of_number(min(days)),
            last_day=day_of_number(max(days)),
            before=was,
            after=is_now,
            change=is_now - was,
        )

    def _around(self, instants: Sequence[int]) -> Cohort:
        """Return the volunteer with the shifts that have to do with these instants."""
        reach = reach_seconds(self.known.timeline)
        near = self._anywhere.copy()
        for instant in instants:
            near |= np.abs(self._check_in - instant) <= reach
        now = self.known.circle
        return Cohort(now.persons, now.tables.columns.where(near), now.kinds, merges=now.merges)

    def _credited(self, now: Cohort, position: Position, number: str) -> Counter[int]:
        """Return the credited minutes of each day of who had a number then, and opening balances on their own days."""
        known, until = self.known, self._axes.valid_until
        circle = cohort_known_at(self._reader.log, now, position, known.timeline)
        pieces = circle.tables.pieces(number, known.timeline)
        credited: Counter[int] = Counter()
        for day, minutes in pieces[pieces[:, DAY] <= until][:, [DAY, CREDITED]].tolist():
            credited[day] += minutes
        for person in circle.alone(number).persons.values():
            if person.opening_day <= until and person.opening_day != NO_DAY:
                credited[person.opening_day] += person.opening_minutes
        return credited
