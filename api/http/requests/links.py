"""Links in answers: from each number to the days, shifts and events behind it.

Every link has the axes of the request. Links are made without queries. A link that the caller's key may not follow is
left out: `linked`, which makes all of them, asks the same function that admits requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from datetime import date
from typing import TypeVar
from urllib.parse import quote, urlencode

from api.access.roles import BOUND_TO_ADDRESSES, Caller, forbids_address
from replay.axes import answers
from replay.explain import explanations
from replay.queries.queries import Axes
from replay.records import case_answers

POSITIONS_MAX = 100
"""At most this many positions of a shift are listed; the link `events` leads to all."""
L = TypeVar("L", bound=answers.Linked)
P = TypeVar("P", bound=answers.OfPerson)


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def link_for(caller: Caller) -> None:
    """Make links for a caller from now on, in the context of this request."""
    _caller.set(caller)


def linked(part: L, **links: str) -> L:
    """Return a part of an answer with its links, as far as the caller may follow them."""
    caller = _caller.get()
    if caller is not None and caller.role in BOUND_TO_ADDRESSES:
        may = {name: address for name, address in links.items() if not _is_forbidden(caller, address)}
        return part.model_copy(update={"links": may})
    return part.model_copy(update={"links": links})


def _is_forbidden(caller: Caller, address: str) -> bool:
    return forbids_address(caller, "GET", address.partition("?")[0]) is not None


class Addresses:
    """Makes links with the axes of one request."""

    def __init__(self, axes: Axes) -> None:
        parameters = {
            "valid_at": axes.valid_at,
            "known_at": axes.known_at,
            "rules": axes.rules and (axes.rules.version or axes.rules.digest),
        }
        self._axes = {name: str(value) for name, value in parameters.items() if value is not None}

    def _address(self, path: str, **parameters: object) -> str:
        query = urlencode({**{name: str(value) for name, value in parameters.items()}, **self._axes})
        return f"{path}?{query}" if query else path

    def event(self, position: int) -> str:
        """Return the address of an event."""
        return f"/v1/log/{position}"

    def shifts(self, volunteer: str, first: date | None = None, last: date | None = None) -> str:
        """Return the address of a volunteer's shifts."""
        period = {"from": first, "to": last}
        return self._address(f"{_of(volunteer)}/shifts", **{name: day for name, day in period.items() if day})

    def shift_events(self, volunteer: str, shift: object) -> str:
        """Return the address of the events behind a shift."""
        return self._address(f"{_of(volunteer)}/shifts/{shift}/events")

    def explanation(self, volunteer: str, day: date | None = None) -> str:
        """Return the address of the explanation of a volunteer's day, or of the list of days."""
        return self._address(f"{_of(volunteer)}/explanation", **({"day": day} if day else {}))

    def station_shifts(self, station: str, day: date) -> str:
        """Return the address of the shifts behind a station's day."""
        return self._address(f"/v1/stations/{quote(station)}/shifts", day=day)

    # --- whole answers ----------------------------------------------------------------------------------------------

    def hours(self, found: answers.VolunteerHours) -> answers.VolunteerHours:
        """Link each year to its shifts, and each honour to the explanation of the day on which it was reached."""
        name = found.volunteer
        years = [
            linked(row, shifts=self.shifts(name, date(row.year, 1, 1), date(row.year, 12, 31))) if row.year else row
            for row in found.years
        ]
        honors = [linked(honor, explanation=self.explanation(name, honor.reached_on)) for honor in found.honors]
        total = linked(found.total, shifts=self.shifts(name), explanation=self.explanation(name))
        changes = {"total": total, "years": years, "honors": honors, "trainings": self.trained(found.trainings)}
        return self._person(found).model_copy(update=changes)

    def trained(self, found: Iterable[answers.TrainingRecord]) -> list[answers.TrainingRecord]:
        """Link each training record to its event."""
        return [linked(record, event=self.event(record.position)) for record in found]

    def traced(self, found: answers.VolunteerShifts) -> answers.VolunteerShifts:
        """Link each shift to its events, and to the explanation of the day on which it begins."""
        shifts = [self._traced(found.volunteer, shift) for shift in found.shifts]
        return self._person(found).model_copy(update={"shifts": shifts})

    def _person(self, found: P) -> P:
        """Link each merge of the person's numbers to its event."""
        merges = [linked(merge, event=self.event(merge.position)) for merge in found.merges or ()]
        return found.model_copy(update={"merges": merges}) if merges else found

    def _traced(self, volunteer: str, shift: answers.ShiftTrace) -> answers.ShiftTrace:
        links = {"events": self.shift_events(shift.volunteer or volunteer, shift.shift)}
        if shift.pieces:
            links["explanation"] = self.explanation(volunteer, shift.pieces[0].day)
        return linked(shift.model_copy(update={"positions": shift.positions[:POSITIONS_MAX]}), **links)

    def explained(self, found: explanations.DayExplanation) -> explanations.DayExplanation:
        """Link each event to its log entry, and each shift to its events."""
        shifts = [
            linked(
                shift.model_copy(update={"events": self._events(shift.events)}),
                events=self.shift_events(shift.volunteer or found.volunteer, shift.shift),
                **({"station_day": self.station_shifts(shift.station, found.day)} if shift.station else {}),
            )
            for shift in found.shifts
        ]
        without = [
            linked(
                shift.model_copy(update={"events": self._events(shift.events)}),
                events=self.shift_events(shift.volunteer or found.volunteer, shift.shift),
            )
            for shift in found.without_minutes
        ]
        changes: dict[str, object] = {"shifts": shifts, "without_minutes": without}
        if found.rules_published:
            (changes["rules_published"],) = self._events([found.rules_published])
        if found.cap.raised_by:
            (raised_by,) = self._events([found.cap.raised_by])
            changes["cap"] = found.cap.model_copy(update={"raised_by": raised_by})
        if found.opening_balance:
            changes["opening_balance"] = self._balance(found.opening_balance)
        if found.more_opening_balances:
            changes["more_opening_balances"] = [self._balance(balance) for balance in found.more_opening_balances]
        return self._person(found).model_copy(update=changes)

    def _balance(self, found: explanations.OpeningBehind) -> explanations.OpeningBehind:
        (event,) = self._events([found.event])
        return found.model_copy(update={"event": event})

    def days(self, found: explanations.VolunteerDays) -> explanations.VolunteerDays:
        """Link each day to its explanation."""
        days = [linked(day, explanation=self.explanation(found.volunteer, day.day)) for day in found.days]
        return self._person(found).model_copy(update={"days": days})

    def activity(self, found: answers.StationActivity) -> answers.StationActivity:
        """Link each day of a station to its shifts."""
        if not found.days:
            return found
        # Thousands of days differ in the day alone: their address is made once, and no day needs to be quoted.
        first = found.days[0].day
        begin, _, end = self.station_shifts(found.station, first).rpartition(f"day={first}")
        days = [linked(day, shifts=f"{begin}day={day.day}{end}") for day in found.days]
        return found.model_copy(update={"days": days})

    def station_day(self, found: answers.StationDayShifts) -> answers.StationDayShifts:
        """Link each shift to its events, and to the explanation of its volunteer's day."""
        shifts = [
            linked(
                shift.model_copy(update={"positions": shift.positions[:POSITIONS_MAX]}),
                events=self.shift_events(shift.volunteer, shift.shift),
                explanation=self.explanation(shift.volunteer, shift.day),
            )
            for shift in found.shifts
        ]
        return found.model_copy(update={"shifts": shifts})

    def standings(self, found: answers.Standings) -> answers.Standings:
        """Link each volunteer to their hours, and to the explanation of the day on which the honour was reached."""
        standings = [
            linked(
                standing,
                hours=self._address(_of(standing.volunteer)),
                explanation=self.explanation(standing.volunteer, standing.reached_on),
            )
            for standing in found.standings
        ]
        return found.model_copy(update={"standings": standings})

    def disputes(self, found: case_answers.Disputes) -> case_answers.Disputes:
        """Link each step of a dispute to its event, and each dispute to the shift's events and the record's history."""
        disputes = [
            linked(
                dispute.model_copy(
                    update={
                        **self._steps(dispute, "opened", "answered", "settled"),
                        "additions": [linked(step, event=self.event(step.position)) for step in dispute.additions],
                    }
                ),
                events=self.shift_events(dispute.volunteer, dispute.shift),
                history=self.record(dispute.volunteer),
            )
            for dispute in found.disputes
        ]
        return found.model_copy(update={"disputes": disputes})

    def requests(self, found: case_answers.ActRequests) -> case_answers.ActRequests:
        """Link each step of a request to its event, and each request to the history of the volunteer's record."""
        requests = [
            linked(
                request.model_copy(update=self._steps(request, "asked", "decided")),
                **({"history": self.record(request.volunteer)} if request.volunteer else {}),
            )
            for request in found.requests
        ]
        return found.model_copy(update={"requests": requests})

    def history(self, found: case_answers.VolunteerHistory) -> case_answers.VolunteerHistory:
        """Link each act to its event, and an act that changed minutes to the explanation of the first day affected."""
        acts = []
        for act in found.acts:
            links = {"event": self.event(act.position)}
            if act.minutes:
                links["explanation"] = self.explanation(found.volunteer, act.minutes.first_day)
            acts.append(linked(act, **links))
        return found.model_copy(update={"acts": acts})

    def record(self, volunteer: str) -> str:
        """Return the address of the history of a volunteer's record."""
        return self._address(f"{_of(volunteer)}/history")

    def _steps(self, case: answers.Answer, *names: str) -> dict[str, object]:
        steps = {name: getattr(case, name) for name in names}
        return {name: linked(step, event=self.event(step.position)) for name, step in steps.items() if step}

    def _events(self, events: Iterable[explanations.EventBehind]) -> list[explanations.EventBehind]:
        return [linked(event, event=self.event(event.position)) for event in events]


def _of(volunteer: str) -> str:
    return f"/v1/volunteers/{quote(volunteer)}"
