"""Scans: check-ins, check-outs and punches.

A scan of a known volunteer at a known station is always recorded: a check-out before its check-in, a second check-in,
two stations at once, a closed station, a volunteer who has withdrawn. One with a shift id belongs to that shift. One
without is a punch of a card; which check-in and check-out belong together is a rule, and nothing is looked up for it.

A scan is what a station's reader saw. What a person types is attested, whatever command it uses.
"""

from __future__ import annotations

from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched
from ledger.deciding.base import Command
from ledger.deciding.case import Case, Decision, EventFields
from ledger.names import Direction, Instant, NewShiftId, ProjectId, StationId, VolunteerNumber, shift_id_for
from ledger.rejections import Refused, Rejection, refuse

TYPED = "typed"
"""The evidence of a scan that a person typed."""


class Scan(Command):
    """A scan of a volunteer's card at a station."""

    volunteer: VolunteerNumber
    station: StationId
    occurred_at: Instant

    def refused(self, case: Case, project: str | None) -> Refused | None:
        """Return the refusal of what cannot be a fact."""
        if not case.knows("volunteer", self.volunteer):
            return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", self.volunteer)
        if not case.knows("station", self.station):
            return refuse(Rejection.UNKNOWN_STATION, "station", self.station)
        if project is not None and not case.knows("project", project):
            return refuse(Rejection.UNKNOWN_PROJECT, "project", project)
        if case.is_future(self.occurred_at):
            return refuse(Rejection.FUTURE, "occurred_at", case.local(self.occurred_at))
        return None

    def punched(self, case: Case, direction: Direction | None, project: str | None) -> Punched:
        """Return the event of a scan without a shift id."""
        return Punched(
            **_fields(case, self.occurred_at),
            volunteer=self.volunteer,
            shift=shift_id_for(self.occurred_at, case.order.name),
            station=self.station,
            direction=direction,
            project=project,
            evidence=_evidence(case),
        )


class CheckIn(Scan):
    """Record a scan that begins a shift. Without `shift` it is a punch, which the rules pair with a check-out."""

    TYPE = "check-in"
    shift: NewShiftId | None = None
    project: ProjectId | None = None

    def decide(self, case: Case) -> Decision:
        if refused := self.refused(case, self.project):
            return refused
        if self.shift is None:
            return [self.punched(case, "in", self.project)]
        return [
            CheckedIn(
                **_fields(case, self.occurred_at),
                volunteer=self.volunteer,
                shift=self.shift,
                station=self.station,
                project=self.project,
                evidence=_evidence(case),
            )
        ]


class CheckOut(Scan):
    """Record a scan that ends a shift. Without `shift` it is a punch, which the rules pair with a check-in."""

    TYPE = "check-out"
    shift: NewShiftId | None = None

    def decide(self, case: Case) -> Decision:
        if refused := self.refused(case, None):
            return refused
        if self.shift is None:
            return [self.punched(case, "out", None)]
        fields = _fields(case, self.occurred_at)
        return [
            CheckedOut(
                **fields, volunteer=self.volunteer, shift=self.shift, station=self.station, evidence=_evidence(case)
            )
        ]


class Punch(Scan):
    """Record a scan of a reader that makes no shift ids. Leave `direction` out if the reader does not know it."""

    TYPE = "punch"
    direction: Direction | None = None
    project: ProjectId | None = None

    def decide(self, case: Case) -> Decision:
        if refused := self.refused(case, self.project):
            return refused
        return [self.punched(case, self.direction, self.project)]


SCANS = frozenset({CheckIn.TYPE, CheckOut.TYPE, Punch.TYPE})
"""Types of commands: credited as scanned if a station sends them, else as attested."""


def _fields(case: Case, occurred_at: int) -> EventFields:
    """Return the common fields of a scan's event, which never names the volunteer whose key was used."""
    fields = case.common_fields(occurred_at)
    fields["by_volunteer"] = None
    return fields


def _evidence(case: Case) -> str | None:
    """Return the grounds on which a scan is attested: None for what a station's reader saw."""
    return None if case.order.by.startswith("station:") else TYPED
