"""Events of service: scans, entries, corrections, disputes, voids, raised caps, people served."""

from __future__ import annotations

import msgspec
import numpy as np

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapRaised
from ledger.aggregates.people_served import PeopleServedCounted
from ledger.aggregates.shift import (
    CheckedIn,
    CheckedOut,
    DisputeSettled,
    ShiftCorrected,
    ShiftDisputed,
    ShiftReinstated,
    ShiftVoided,
)
from replay.synthetic.events.identity import ShiftIds
from replay.synthetic.events.sources import CheckIns, CheckOuts, Make, Models, Source
from replay.synthetic.planning.amendments import Change
from replay.synthetic.planning.days import date_of
from replay.synthetic.planning.places import FEDERATIONS
from replay.synthetic.planning.plan import Plan
from replay.synthetic.planning.randomness import Array, generator
from replay.synthetic.planning.shifts import Shape

CLERKS = 39  # [config] three for each local federation
CROOKED_CLERKS = 4
ENTRY_EVIDENCE = "sign-in-sheet"
REASONS = {
    Change.FORGOTTEN: "forgotten-check-out",
    Change.CHECK_OUT: "left-earlier",
    Change.CHECK_IN: "came-later",
    Change.PROJECT: "wrong-project",
    Change.STATION: "wrong-station",
}


class Service:
    """The sources of service events of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.numbers = plan.members.number_texts()
        self.ids = ShiftIds(plan.seed, plan.shifts.volunteer, plan.times.check_in, self.numbers)
        self.stations = [station.id for station in plan.places.stations]
        self.projects = ["", *(project.id for project in plan.places.projects)]
        crooked = generator(plan.seed, "clerks").choice(CLERKS, CROOKED_CLERKS, replace=False)
        self.crooked = [int(clerk) for clerk in crooked]
        schemes = plan.schemes
        self._evening = dict(zip(schemes.sold.tolist(), schemes.evening.tolist(), strict=True))

    def scan_sources(self) -> list[Source]:
        """Return check-ins, second check-ins, check-outs, second check-outs."""
        plan, times = self.plan, self.plan.times
        scanned = ~plan.shifts.attested
        with_end = scanned.copy()
        with_end[times.missing] = False
        rows_in, rows_out = np.flatnonzero(scanned).astype(np.int32), np.flatnonzero(with_end).astype(np.int32)
        out = times.duplicate_of_check_out
        twice_in, twice_out = times.duplicate[~out].astype(np.int32), times.duplicate[out].astype(np.int32)
        after_in, after_out = times.duplicate_after[~out], times.duplicate_after[out]
        return [
            self._check_ins(rows_in, times.check_in[rows_in], times.sent_in[rows_in]),
            self._check_ins(twice_in, times.check_in[twice_in] + after_in, times.sent_in[twice_in] + after_in),
            self._check_outs(rows_out, times.check_out[rows_out], times.sent_out[rows_out]),
            self._check_outs(twice_out, times.check_out[twice_out] + after_out, times.sent_out[twice_out] + after_out),
        ]

    def other_sources(self, day_cap_stream: int) -> list[Models]:
        """Return entries, corrections, disputes, settlements, voids, reinstatements, raises and people served.

        Streams of day caps and of people served are numbered from `day_cap_stream`.
        """
        amended, times = self.plan.amendments, self.plan.times
        entered = np.flatnonzero(self.plan.shifts.attested)
        raised = np.arange(len(amended.raised))
        served = self.plan.served
        return [
            Models(times.sent_in[entered], entered, self._entry(entered, check_in=True)),
            Models(times.sent_out[entered], entered, self._entry(entered, check_in=False)),
            Models(amended.disputed_at, amended.disputed, self._disputed()),
            Models(amended.corrected_at, amended.corrected, self._corrected()),
            Models(amended.settled_at, amended.disputed, self._settled()),
            Models(amended.voided_at, amended.voided, self._voided()),
            Models(amended.reinstated_at, amended.reinstated, self._reinstated()),
            Models(amended.raised_at, day_cap_stream + raised, self._raised()),
            Models(served.recorded_at, day_cap_stream + len(raised) + np.arange(len(served.day)), self._served()),
        ]

    def _check_ins(self, rows: Array, occurred_at: Array, recorded_at: Array) -> CheckIns:
        return CheckIns(rows, occurred_at, recorded_at, *self._scan_columns())

    def _check_outs(self, rows: Array, occurred_at: Array, recorded_at: Array) -> CheckOuts:
        return CheckOuts(rows, occurred_at, recorded_at, *self._scan_columns())

    def _scan_columns(self) -> tuple[ShiftIds, list[str], Array, Array, Array, list[str], list[str]]:
        assignment = self.plan.assignment
        fields = ["", *(f',"project":"{project}"' for project in self.projects[1:])]
        volunteer = self.plan.shifts.volunteer
        return self.ids, self.numbers, volunteer, assignment.station, assignment.project, self.stations, fields

    def volunteer(self, row: int) -> str:
        """Return the number of a shift's volunteer."""
        number: str = self.numbers[self.plan.shifts.volunteer[row]]
        return number

    def staff(self, row: int) -> str:
        """Return the member of staff who amends a shift, from the volunteer's local federation."""
        return f"person:staff-{self.plan.people.home[self.plan.shifts.volunteer[row]] % FEDERATIONS + 1:02d}"

    def actor(self, row: int) -> str:
        """Return the clerk who entered a shift afterwards."""
        clerk = row % CLERKS
        if self.plan.shifts.shape[row] == Shape.FORGED:
            clerk = self.crooked[self._evening.get(row, row) % CROOKED_CLERKS]
        return f"person:clerk-{clerk + 1:02d}"

    def _entry(self, entered: Array, *, check_in: bool) -> Make:
        shift_ids, times, assignment = self.ids.texts(entered), self.plan.times, self.plan.assignment

        def make(number: int, at: int, command: str) -> Event:
            row = int(entered[number])
            common = {
                "occurred_at": int((times.check_in if check_in else times.check_out)[row]),
                "recorded_at": at,
                "by": self.actor(row),
                "command": command,
                "volunteer": self.volunteer(row),
                "shift": shift_ids[number],
                "station": self.stations[assignment.station[row]],
                "evidence": ENTRY_EVIDENCE,
            }
            if check_in:
                common["project"] = self.projects[assignment.project[row]] or None
                return msgspec.convert(common, CheckedIn)
            return msgspec.convert(common, CheckedOut)

        return make

    def _about(self, rows: Array) -> _About:
        return _About(self, rows)

    def _corrected(self) -> Make:
        amended = self.plan.amendments
        about = self._about(amended.corrected)

        def make(number: int, at: int, command: str) -> Event:
            change, value = Change(amended.change[number]), int(amended.value[number])
            match change:
                case Change.FORGOTTEN | Change.CHECK_OUT:
                    changed: dict[str, object] = {"changes": ("check_out",), "check_out": value}
                case Change.CHECK_IN:
                    changed = {"changes": ("check_in",), "check_in": value}
                case Change.PROJECT:
                    changed = {"changes": ("project",), "project": self.projects[value]}
                case Change.STATION:
                    changed = {"changes": ("station",), "station": self.stations[value]}
            return msgspec.convert(about(number, at, command) | changed | {"reason": REASONS[change]}, ShiftCorrected)

        return make

    def _disputed(self) -> Make:
        about = self._about(self.plan.amendments.disputed)

        def make(number: int, at: int, command: str) -> Event:
            fields = about(number, at, command)
            by = f"person:{fields['volunteer']}"
            return msgspec.convert(fields | {"by": by, "reason": "forgotten-check-out"}, ShiftDisputed)

        return make

    def _settled(self) -> Make:
        about, upheld = self._about(self.plan.amendments.disputed), self.plan.amendments.upheld

        def make(number: int, at: int, command: str) -> Event:
            outcome = ("upheld", "witness") if upheld[number] else ("rejected", "no-witness")
            fields = about(number, at, command)
            return msgspec.convert(fields | {"outcome": outcome[0], "reason": outcome[1]}, DisputeSettled)

        return make

    def _voided(self) -> Make:
        about = self._about(self.plan.amendments.voided)

        def make(number: int, at: int, command: str) -> Event:
            return msgspec.convert(about(number, at, command) | {"reason": "spot-check"}, ShiftVoided)

        return make

    def _reinstated(self) -> Make:
        about = self._about(self.plan.amendments.reinstated)

        def make(number: int, at: int, command: str) -> Event:
            return msgspec.convert(about(number, at, command) | {"reason": "evidence-found"}, ShiftReinstated)

        return make

    def _raised(self) -> Make:
        """Raise the day cap to the length of the shift, rounded up to half hours."""
        raised, times, plan = self.plan.amendments.raised, self.plan.times, self.plan.shifts

        def make(number: int, at: int, command: str) -> Event:
            row = int(raised[number])
            minutes = int(times.check_out[row] - times.check_in[row]) // 60
            return DayCapRaised(
                occurred_at=at,
                recorded_at=at,
                by=self.staff(row),
                command=command,
                volunteer=self.volunteer(row),
                day=date_of(int(plan.day[row])),
                raise_id=f"raise-{number + 1}",
                minutes=min(-(-minutes // 30) * 30, 720),
                reason="long-event",
            )

        return make

    def _served(self) -> Make:
        served = self.plan.served

        def make(number: int, at: int, command: str) -> Event:
            station = self.stations[served.station[number]]
            return PeopleServedCounted(
                occurred_at=at,
                recorded_at=at,
                by=f"station:{station}",
                command=command,
                station=station,
                project=self.projects[served.project[number]] or None,
                day=date_of(int(served.day[number])),
                people=int(served.people[number]),
            )

        return make


class _About:
    """The fields common to all later events about a shift."""

    def __init__(self, service: Service, rows: Array) -> None:
        self._service, self._rows, self._shift_ids = service, rows, service.ids.texts(rows)

    def __call__(self, number: int, at: int, command: str) -> dict[str, object]:
        row = int(self._rows[number])
        return {
            "occurred_at": at,
            "recorded_at": at,
            "by": self._service.staff(row),
            "command": command,
            "volunteer": self._service.volunteer(row),
            "shift": self._shift_ids[number],
        }
