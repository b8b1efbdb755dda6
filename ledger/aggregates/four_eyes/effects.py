"""Effects of acts: whether the rules require another person's approval because of what an act changes.

The published rules name effects beside types of commands (`ledger/deciding/policies.py`, `Approvals`):

    approved_records         it changes what was approved
    between_persons          it moves hours between persons
    shift_minutes_more       it raises the raw minutes of a shift by more than so many
    person_day_minutes_more  it raises the raw minutes of a person's local day by more than so many

Effects are measured on the events that a command was decided to result in, and on the streams they would be appended
to, so they bind every command that results in such events (docs/decisions/0021). Approved acts and scans are not
measured. A raise is measured from what the shift has now and from what scans, approvals and imports alone give it,
whichever is less: several small acts of one person bind as one large act does.

A person's day is read from the streams of the shifts whose ids lead to it. What would have to be read beyond the bounds
below needs approval.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple, Self, get_args
from uuid import UUID

from ledger.aggregates.four_eyes.permission import is_exempt, policies
from ledger.aggregates.honor import HonorObjected, HonorObjectionSettled
from ledger.aggregates.opening_balance import OpeningBalanceEvent
from ledger.aggregates.people_served import PeopleServedCounted
from ledger.aggregates.rules import RulesEvent
from ledger.aggregates.shift import (
    CheckedIn,
    CheckedOut,
    DisputeAnswered,
    DisputeSettled,
    Shift,
    ShiftDisputed,
    ShiftEvent,
    ShiftReinstated,
    ShiftVoided,
)
from ledger.aggregates.volunteer import (
    TrainingCompleted,
    TrainingVoided,
    VolunteerEvent,
    VolunteerMerged,
    VolunteerMergeUndone,
    person_number,
    training_key,
    volunteer_of,
)
from ledger.deciding.base import Event
from ledger.deciding.case import Case
from ledger.deciding.policies import ApprovableAct, Policies, local_day
from ledger.names import shift_stream, shift_stream_ranges
from ledger.rejections import Refused, RefusedError, Rejection, refuse

NUMBERS_MAX = 10
"""The numbers of one person whose shifts are read for a day. More numbers of one person are no registrations."""

_APPROVABLE = frozenset(get_args(ApprovableAct))
_STATEMENTS = (ShiftDisputed, DisputeAnswered, DisputeSettled, HonorObjected, HonorObjectionSettled)
"""Events that change nothing themselves: what follows from a settlement is in other events of the same order."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()


def check_effects(case: Case, events: Sequence[Event]) -> Refused | None:
    """Return the refusal if what an order was decided to result in needs another person's approval."""
    command = case.order.command
    if command.TYPE not in _APPROVABLE:
        return None
    found = policies(case)
    if not found.approvals.names_effects or is_exempt(case.order, found.approvals):
        return None
    try:
        effect = _Measurement(case, events, found).first_effect()
    except RefusedError:  # too many merges to find the person
        effect = "more is recorded about the person than is compared"
    return refuse(Rejection.NEEDS_APPROVAL, "command", f"{command.TYPE} ({effect})") if effect else None


def compares_days(case: Case) -> bool:
    """Return whether the rules compare the minutes of persons' days when this order is decided."""
    approvals = policies(case).approvals
    return approvals.person_day_minutes_more is not None and not is_exempt(case.order, approvals)


class _Change(NamedTuple):
    """What an order changes of one shift. `standing`: the shift by its scans, approved and imported events alone."""

    volunteer: str
    shift: UUID
    standing: Shift
    before: Shift
    after: Shift


class _Measurement:
    """The effects of one order."""

    def __init__(self, case: Case, events: Sequence[Event], policies: Policies) -> None:
        self._case = case
        self._events = events
        self._approvals = policies.approvals
        self._zone = policies.zone

    def first_effect(self) -> str | None:
        """Return the first effect that needs approval, in words."""
        approvals = self._approvals
        if approvals.approved_records and any(map(self._changes_approved, self._events)):
            return "it changes what was approved"
        if approvals.between_persons and any(map(self._is_between_persons, self._events)):
            return "it moves hours between persons"
        changes = list(self._changes())
        if approvals.shift_minutes_more is not None:
            more = max(_raises_of_shifts(changes), default=0)
            if more > approvals.shift_minutes_more:
                return f"it raises a shift by {more} minutes, more than {approvals.shift_minutes_more}"
        if approvals.person_day_minutes_more is not None:
            return self._raised_day(changes, approvals.person_day_minutes_more)
        return None

    # --- what was approved, and whose hours ---------------------------------------------------------------------------

    def _changes_approved(self, event: Event) -> bool:
        if isinstance(event, _STATEMENTS) or _is_own_count(event) or not self._case.streams.version(event.stream_id):
            return False
        earlier = self._case.streams.events(event.stream_id)
        return any(each.approved_by is not None and _bears_on(event, each) for each in earlier)

    def _is_between_persons(self, event: Event) -> bool:
        match event:
            case VolunteerMerged() | VolunteerMergeUndone() | OpeningBalanceEvent():
                return True
            case ShiftVoided():
                other = event.replaced_by
            case ShiftReinstated():
                void = self._case.streams.state(Shift, event.stream_id).void
                other = void.replaced_by if void else None
            case _:
                return False
        return other is not None and self._person(other) != self._person(event.volunteer)

    def _person(self, volunteer: str) -> str:
        return person_number(self._case, volunteer)

    # --- minutes ------------------------------------------------------------------------------------------------------

    def _changes(self) -> Iterator[_Change]:
        added: dict[UUID, list[ShiftEvent]] = {}
        for event in self._events:
            if isinstance(event, ShiftEvent) and not isinstance(event, _STATEMENTS):
                added.setdefault(event.stream_id, []).append(event)
        for stream_id, events in added.items():
            exists = self._case.streams.version(stream_id) > 0
            before = self._case.streams.state(Shift, stream_id) if exists else Shift()
            standing = self._standing(stream_id) if exists else Shift()
            yield _Change(events[0].volunteer, events[0].shift, standing, before, before.after_all(events))

    def _standing(self, stream_id: UUID) -> Shift:
        """Return a shift by its scans and approved events alone, and by imported ones unless the rules require approval
        of those as well.
        """
        return self._case.streams.state(_Approved if self._approvals.imported else _Standing, stream_id)

    def _raised_day(self, changes: Sequence[_Change], minutes_max: int) -> str | None:
        """Return the words for a person's day that the order raises by more than a number of minutes."""
        if any(isinstance(event, VolunteerMerged) for event in self._events):
            return "it adds up the days of two numbers, which are not compared"
        by_person: dict[str, list[_Change]] = {}
        for change in changes:
            by_person.setdefault(self._person(change.volunteer), []).append(change)
        for person, of_person in by_person.items():
            days = {day for change in of_person if (day := self._day(change.after)) is not None}
            for day in sorted(days):
                raised = sum(self._minutes(each.after, day) - self._minutes(each.before, day) for each in of_person)
                if raised <= 0:
                    continue
                more = self._raised_since_standing(person, of_person, day)
                if more is None:
                    return f"it raises {day} of a person for whom more is recorded than is compared"
                if (more := max(more, raised)) > minutes_max:
                    return f"it raises {day} of a person by {more} minutes, more than {minutes_max}"
        return None

    def _raised_since_standing(self, person: str, changes: Sequence[_Change], day: date) -> int | None:
        """Return by how much a person's day exceeds, after the order, what scans, approvals and imports give it; None
        if that takes more reading than is allowed.
        """
        first = day.toordinal() - _EPOCH_DAY - 1
        last = first + 2  # a local day lies in three days of UTC
        numbers = self._numbers(person)
        if numbers is None or any(self._leaves_its_day(change, day, first, last) for change in changes):
            return None
        changed = {shift_stream(change.volunteer, change.shift) for change in changes}
        more = sum(self._minutes(each.after, day) - self._minutes(each.standing, day) for each in changes)
        for number in numbers:
            shifts = self._case.streams.shifts(Shift, number, first, last, _is_entered_alone)
            if shifts is None:
                return None
            for shift in shifts:
                if shift.first is None or shift.first.volunteer != number or shift.first.stream_id in changed:
                    continue
                standing = self._standing(shift.first.stream_id)
                more += self._minutes(shift, day) - self._minutes(standing, day)
        return more

    def _leaves_its_day(self, change: _Change, day: date, first: int, last: int) -> bool:
        """Return whether an order raises a day by a shift whose id does not lead to it: the next act on this day would
        not find the shift.
        """
        stream_id = shift_stream(change.volunteer, change.shift)
        spans = shift_stream_ranges(change.volunteer, first, last)
        is_raised = self._minutes(change.after, day) > self._minutes(change.before, day)
        return is_raised and not any(low <= stream_id <= high for low, high in spans)

    def _numbers(self, person: str) -> list[str] | None:
        """Return all numbers of a person; None if there are more than are read."""
        numbers = [person]
        for number in numbers:
            merged = self._case.streams.merged_into(number)
            if merged is None:
                return None
            in_force = [each for each in merged if self._is_merged(each, number)]
            numbers += [each for each in in_force if each not in numbers]
            if len(numbers) > NUMBERS_MAX:
                return None
        return numbers

    def _is_merged(self, volunteer: str, into: str) -> bool:
        merge = volunteer_of(self._case, volunteer).merge
        return merge is not None and merge.into == into

    def _day(self, shift: Shift) -> date | None:
        return None if shift.check_in is None else local_day(shift.check_in, self._zone)

    def _minutes(self, shift: Shift, day: date) -> int:
        """Return the raw minutes of a shift that begins on a day; those of any other shift are none of this day's."""
        return raw_minutes(shift) if self._day(shift) == day else 0


def raw_minutes(shift: Shift) -> int:
    """Return the raw minutes of a shift (docs/rules-of-credit.md, step 2): 0 if it is void or lacks an instant."""
    if shift.void or shift.check_in is None or shift.check_out is None:
        return 0
    return max(shift.check_out // 60 - shift.check_in // 60, 0)


def _raises_of_shifts(changes: Iterable[_Change]) -> Iterator[int]:
    """Yield by how many minutes each shift is raised. A moved shift is the same shift under another number."""
    by_shift: dict[UUID, list[_Change]] = {}
    for change in changes:
        by_shift.setdefault(change.shift, []).append(change)
    for of_shift in by_shift.values():
        standing, before, after = (
            sum(raw_minutes(getattr(change, name)) for change in of_shift) for name in ("standing", "before", "after")
        )
        if after > before:
            yield after - min(before, standing)


def _bears_on(event: Event, earlier: Event) -> bool:
    """Return whether an event changes what an earlier event of its stream recorded.

    A stream is one record, except a volunteer's, which holds trainings, merges and memberships side by side. Which
    rules are in force is approved by the type of the act alone.
    """
    match event:
        case TrainingVoided():
            return isinstance(earlier, TrainingCompleted) and training_key(earlier) == training_key(event)
        case VolunteerMergeUndone():
            return isinstance(earlier, VolunteerMerged) and earlier.into == event.into
        case VolunteerEvent() | RulesEvent():
            return False
        case _:
            return True


def _is_own_count(event: Event) -> bool:
    """Return whether a station counts the people it served: an observation, as a scan is, and one of many a day."""
    return isinstance(event, PeopleServedCounted) and event.by == f"station:{event.station}"


def _is_entered_alone(shift: Shift) -> bool:
    """Return whether somebody entered or changed a shift without approval; else all of it stands."""
    return any(each.approved_by is None for each in shift.entered)


@dataclass(frozen=True, slots=True)
class _Approved(Shift):
    """A shift by its scans and approved events alone: a state of its own, so that a batch folds each event once."""

    def after(self, event: Event) -> Self:
        is_scan = isinstance(event, CheckedIn | CheckedOut) and event.evidence is None
        if is_scan or event.approved_by is not None:
            return self._counted(event)
        return replace(self, version=self.version + 1)

    def _counted(self, event: Event) -> Self:
        state = Shift.after(self, event)
        assert isinstance(state, type(self))  # noqa: S101 - `replace` keeps the class
        return state


@dataclass(frozen=True, slots=True)
class _Standing(_Approved):
    """A shift by its scans, approved and imported events alone."""

    def after(self, event: Event) -> Self:
        return self._counted(event) if event.imported else _Approved.after(self, event)
