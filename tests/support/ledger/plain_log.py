"""The log of a plain ledger: a list of events, and questions to it. What is answered:
tests/support/ledger/plain_ledger.py.

Every question goes through the whole log. Shares no code with the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from ledger.aggregates import Order

Event = dict[str, Any]
"""An event as it is stored: the fields that say something, and the topic. `note` says that there is a text."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
SKEW = 5 * MINUTE


class PlainAnswer(NamedTuple):
    """What a caller is told: accepted, duplicate, or the rejection's code with the field at fault."""

    outcome: str
    position: int | None = None
    shift: UUID | None = None
    field: str = ""
    punch: UUID | None = None


class No(NamedTuple):
    """A refusal."""

    rejection: str
    field: str


Rung = tuple[bool, str, str]
"""Whether a rule forbids it, the rule, the field at fault."""


def first_that_holds(*rungs: Rung) -> No | None:
    return next((No(rule, field) for forbids, rule, field in rungs if forbids), None)


class ShiftInForce(NamedTuple):
    """A shift as its events leave it."""

    check_in: int | None
    check_out: int | None
    station: str | None
    left_from: str | None
    project: str | None
    void: Event | None
    disputed: Event | None


class PlainLog:
    """The log, and what the clock says. `make_id`: an instant and a name to the id of a new shift."""

    def __init__(self, make_id: Callable[[int, str], UUID]) -> None:
        self.log: list[Event] = []
        self.clock = 0
        self._make_id = make_id
        self._order: Order
        self._approver: Order | None = None
        """Who gives the order, and who approves it, where it was asked for before."""

    @property
    def now(self) -> int:
        """The instant of recording: the clock's, but never before an earlier one."""
        return max(self.clock, *[int(event["recorded_at"]) for event in self.log], 0)

    def event(self, topic: str, occurred_at: int | None, **fields: Any) -> Event:
        order = self._order
        said = {
            "topic": topic,
            "occurred_at": self.now if occurred_at is None else occurred_at,
            "recorded_at": self.now,
            "by": order.by,
            "command": order.name,
            "imported": order.imported or None,
            "key": order.key,
            "approved_by": self._approver and self._approver.by,
            "by_volunteer": None if order.command.TYPE in {"check-in", "check-out"} else order.by_volunteer,
            **fields,
        }
        return {name: _as_stored(value) for name, value in said.items() if value is not None}

    def last(self, topics: str, **fields: Any) -> str | None:
        """Return the topic of the last event of these topics about this."""
        about = {name: _as_stored(value) for name, value in fields.items()}
        wanted = topics.split()
        for event in reversed(self.log):
            if event["topic"] in wanted and about.items() <= event.items():
                return str(event["topic"])
        return None

    def mine(self, *orders: Order | None) -> set[str]:
        """Return the volunteers' numbers, or names that might be some, of whoever gives orders."""
        given = [one for one in orders if one]
        return {one.by.removeprefix("person:") for one in given} | {one.by_volunteer or "" for one in given} - {""}

    def did(self, event: Event) -> bool:
        """Whether whoever gives the order, or approves it, did or approved something."""
        who = {str(event.get(name, "")).removeprefix("person:") for name in ("by", "by_volunteer", "approved_by")}
        return bool(self.mine(self._order, self._approver) & (who - {""}))

    def unknown(self, kind: str, key: str | None, field: str = "") -> Rung:
        begins = {"volunteer": "volunteer-registered.v1", "station": "station-opened.v1"}
        known = key is None or self.last(begins.get(kind, "project-launched.v1"), **{kind: key})
        return not known, f"unknown-{kind}", field or kind

    def future(self, instant: int | None, field: str = "occurred_at") -> Rung:
        return instant is not None and instant > self.clock + SKEW, "future", field

    def future_day(self, day: date, field: str) -> Rung:
        furthest_east = datetime.fromtimestamp(self.clock, UTC) + timedelta(hours=14)
        return day > furthest_east.date(), "future", field

    def check_ins(self) -> list[tuple[str, UUID | None, int]]:
        """Return the check-ins that were recorded: whose, of which shift, and when."""
        scans = (one for one in self.log if one["topic"] == "checked-in.v1")
        return [(one["volunteer"], UUID(one["shift"]), one["occurred_at"]) for one in scans]

    def shifts(self) -> list[tuple[str, UUID]]:
        """Return the shifts that were recorded, with whose they are."""
        return list(dict.fromkeys((one["volunteer"], UUID(one["shift"])) for one in self.log if "shift" in one))

    def events_of(self, volunteer: str, shift: UUID) -> list[Event]:
        return [one for one in self.log if one.get("shift") == str(shift) and one["volunteer"] == volunteer]

    def shift(self, volunteer: str, shift: UUID) -> ShiftInForce:
        """Resolve a shift: the earliest check-out after the check-in, then corrections; the last of each field wins."""
        corrected: Event = {}
        void: Event | None = None
        disputed: Event | None = None
        scanned: dict[str, list[Event]] = {"checked-in.v1": [], "checked-out.v1": []}
        for event in self.events_of(volunteer, shift):
            topic = event["topic"]
            if topic == "punched.v1":
                topic = "checked-out.v1" if event.get("direction") == "out" else "checked-in.v1"
            if topic in scanned:
                scanned[topic].append(event)
            elif topic == "shift-corrected.v1":
                corrected.update({field: event.get(field) for field in event["changes"]})
            elif topic in {"shift-voided.v1", "shift-reinstated.v1"}:
                void = event if topic == "shift-voided.v1" else None
            elif topic != "dispute-answered.v1":
                disputed = (disputed or event) if topic == "shift-disputed.v1" else None
        begun = _earliest(scanned["checked-in.v1"])
        force: Event = {field: begun.get(field) for field in ("station", "project")}
        force = {"check_in": begun.get("occurred_at"), **force, **corrected}
        begin, ends = force["check_in"], scanned["checked-out.v1"]
        ended = _earliest([one for one in ends if one["occurred_at"] > (begin or 0)])
        ended = ended or _earliest([one for one in ends if one["occurred_at"] == begin])
        if not begun and force["check_in"] and "station" not in corrected:  # where the card was scanned out instead
            force["station"] = (ended or _earliest(scanned["checked-out.v1"])).get("station")
        check_out = corrected.get("check_out") if "check_out" in corrected else ended.get("occurred_at")
        left_from = force["station"] if "check_out" in corrected or not ended else ended["station"]
        return ShiftInForce(force["check_in"], check_out, force["station"], left_from, force["project"], void, disputed)

    def new_shift(self, asked: UUID | None, instant: int) -> UUID:
        """Return the id of a shift that begins: as asked for, or the one the ledger makes."""
        return self._make_id(instant, self._order.name) if asked is None else asked


def is_scan_or_talk(event: Event) -> bool:
    if event["topic"] in {"checked-in.v1", "checked-out.v1", "punched.v1"}:
        return "evidence" not in event
    return event["topic"] in {"shift-disputed.v1", "dispute-answered.v1", "dispute-settled.v1"}


def _earliest(scans: list[Event]) -> Event:
    """The earliest counts, a scan before an entry by hand; beyond that any order will do, if it is one."""
    ordered = sorted(
        scans, key=lambda one: (one["occurred_at"], "evidence" in one, one["station"], one.get("project", ""))
    )
    return ordered[0] if ordered else {}


def _as_stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, UUID | date) else value
