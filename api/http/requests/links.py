"""Links: the addresses behind a number, so that a reader gets from any sum to its days, its shifts and its events.

Every address keeps the axes of the request it was given to. Nothing is looked up here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TypeVar
from urllib.parse import quote, urlencode

from replay.axes import answers
from replay.explain import explanations
from replay.queries.queries import Axes
from replay.records import case_answers

L = TypeVar("L", bound=answers.Linked)
P = TypeVar("P", bound=answers.OfPerson)


def linked(part: L, **links: str) -> L:
    """Return a part of an answer with its links."""
    return part.model_copy(update={"links": links})


class Addresses:
    """Addresses under the axes of one request."""

    def __init__(self, axes: Axes) -> None:
        asked = {
            "valid_at": axes.valid_at,
            "known_at": axes.known_at,
            "rules": axes.rules and (axes.rules.version or axes.rules.digest),
        }
        self._axes = {name: str(value) for name, value in asked.items() if value is not None}

    def _address(self, path: str, **parameters: object) -> str:
        query = urlencode({**{name: str(value) for name, value in parameters.items()}, **self._axes})
        return f"{path}?{query}" if query else path

    def event(self, position: int) -> str:
        """Return where an event of the log is."""
        return f"/v1/log/{position}"

    def shifts(self, volunteer: str, first: date | None = None, last: date | None = None) -> str:
        """Return where a volunteer's shifts are."""
        period = {"from": first, "to": last}
        return self._address(f"{_of(volunteer)}/shifts", **{name: day for name, day in period.items() if day})

    def shift_events(self, volunteer: str, shift: object) -> str:
        """Return where the events behind a shift are."""
        return self._address(f"{_of(volunteer)}/shifts/{shift}/events")

    def explanation(self, volunteer: str, day: date | None = None) -> str:
        """Return where a volunteer's day is explained, or the days in brief."""
        return self._address(f"{_of(volunteer)}/explanation", **({"day": day} if day else {}))

    def station_shifts(self, station: str, day: date) -> str:
        """Return where the shifts behind a station's day are."""
        return self._address(f"/v1/stations/{quote(station)}/shifts", day=day)

    # --- whole answers ----------------------------------------------------------------------------------------------

    def hours(self, found: answers.VolunteerHours) -> answers.VolunteerHours:
        """Let rows of hours lead to the shifts of their year, and honours to the day they were reached on."""
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
        """Let training records lead to the events that entered them."""
        return [linked(one, event=self.event(one.position)) for one in found]

    def traced(self, found: answers.VolunteerShifts) -> answers.VolunteerShifts:
        """Let shifts lead to their events, and to the explanation of the day they began on."""
        shifts = [self._traced(found.volunteer, shift) for shift in found.shifts]
        return self._person(found).model_copy(update={"shifts": shifts})

    def _person(self, found: P) -> P:
        """Let what makes several numbers one person lead to its events."""
        merges = [linked(merge, event=self.event(merge.position)) for merge in found.merges or ()]
        return found.model_copy(update={"merges": merges}) if merges else found

    def _traced(self, volunteer: str, shift: answers.ShiftTrace) -> answers.ShiftTrace:
        links = {"events": self.shift_events(shift.volunteer or volunteer, shift.shift)}
        if shift.pieces:
            links["explanation"] = self.explanation(volunteer, shift.pieces[0].day)
        return linked(shift, **links)

    def explained(self, found: explanations.DayExplanation) -> explanations.DayExplanation:
        """Let every event lead to itself, and every shift to its events."""
        shifts = [
            linked(
                shift.model_copy(update={"events": self._events(shift.events)}),
                events=self.shift_events(shift.volunteer or found.volunteer, shift.shift),
                station_day=self.station_shifts(shift.station, found.day),
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
            changes["more_opening_balances"] = [self._balance(each) for each in found.more_opening_balances]
        return self._person(found).model_copy(update=changes)

    def _balance(self, found: explanations.OpeningBehind) -> explanations.OpeningBehind:
        (event,) = self._events([found.event])
        return found.model_copy(update={"event": event})

    def days(self, found: explanations.VolunteerDays) -> explanations.VolunteerDays:
        """Let each day lead to its explanation."""
        days = [linked(day, explanation=self.explanation(found.volunteer, day.day)) for day in found.days]
        return self._person(found).model_copy(update={"days": days})

    def activity(self, found: answers.StationActivity) -> answers.StationActivity:
        """Let each day of a station lead to its shifts."""
        days = [linked(day, shifts=self.station_shifts(found.station, day.day)) for day in found.days]
        return found.model_copy(update={"days": days})

    def station_day(self, found: answers.StationDayShifts) -> answers.StationDayShifts:
        """Let each shift lead to its events, and to its volunteer's day."""
        shifts = [
            linked(
                shift,
                events=self.shift_events(shift.volunteer, shift.shift),
                explanation=self.explanation(shift.volunteer, found.day),
            )
            for shift in found.shifts
        ]
        return found.model_copy(update={"shifts": shifts})

    def standings(self, found: answers.Standings) -> answers.Standings:
        """Let each volunteer lead to the hours, and to the day the honour was reached on."""
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
        """Let each step of a dispute lead to its event, and each dispute to the shift's events."""
        disputes = [
            linked(
                one.model_copy(update=self._steps(one, "opened", "answered", "settled")),
                events=self.shift_events(one.volunteer, one.shift),
                history=self.record(one.volunteer),
            )
            for one in found.disputes
        ]
        return found.model_copy(update={"disputes": disputes})

    def requests(self, found: case_answers.ActRequests) -> case_answers.ActRequests:
        """Let each step of a request lead to its event, and each request to the volunteer's record."""
        requests = [
            linked(
                one.model_copy(update=self._steps(one, "asked", "decided")),
                **({"history": self.record(one.volunteer)} if one.volunteer else {}),
            )
            for one in found.requests
        ]
        return found.model_copy(update={"requests": requests})

    def history(self, found: case_answers.VolunteerHistory) -> case_answers.VolunteerHistory:
        """Let each act lead to its event, and what changed minutes to the day."""
        acts = []
        for act in found.acts:
            links = {"event": self.event(act.position)}
            if act.minutes:
                links["explanation"] = self.explanation(found.volunteer, act.minutes.first_day)
            acts.append(linked(act, **links))
        return found.model_copy(update={"acts": acts})

    def record(self, volunteer: str) -> str:
        """Return where all that was done to a volunteer's record is."""
        return self._address(f"{_of(volunteer)}/history")

    def _steps(self, case: answers.Answer, *names: str) -> dict[str, object]:
        steps = {name: getattr(case, name) for name in names}
        return {name: linked(step, event=self.event(step.position)) for name, step in steps.items() if step}

    def _events(self, events: Iterable[explanations.EventBehind]) -> list[explanations.EventBehind]:
        return [linked(event, event=self.event(event.position)) for event in events]


def _of(volunteer: str) -> str:
    return f"/v1/volunteers/{quote(volunteer)}"
