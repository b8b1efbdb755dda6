"""A plain ledger: what DESIGN.md and the rejections' order of precedence say, as a list of events and questions to it.

It is slow and obvious, and shares no code with the ledger it is compared with: it knows no streams, batches, memory or
database, and goes through the whole log for every question. An answer is the first rung of a list that holds, or else
events. Only how the ledger makes the id of a shift that came without one is given to it.

Left out: organisations, training, merges, rules and honours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from ledger.commands import Order

Event = dict[str, Any]
"""An event as it is stored: the fields that say something, and the topic. `note` says that there is a text."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
SKEW = 5 * MINUTE


class Told(NamedTuple):
    """What a caller is told: accepted, duplicate, or the rejection's code with the field at fault."""

    outcome: str
    position: int | None = None
    shift: UUID | None = None
    field: str = ""
    candidates: tuple[UUID, ...] = ()


class No(NamedTuple):
    """A refusal."""

    rejection: str
    field: str
    candidates: tuple[UUID, ...] = ()


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
    disputed: bool


class PlainLedger:
    """The log, and what was answered under which name. `make_id`: an instant and a name to the id of a new shift."""

    def __init__(self, make_id: Callable[[int, str], UUID]) -> None:
        self.log: list[Event] = []
        self.names: dict[str, tuple[object, Told]] = {}
        self.clock = 0
        self._make_id = make_id
        self._order: Order

    def take(self, orders: Sequence[Order], clock: int, *, atomic: bool = False, dry_run: bool = False) -> list[Told]:
        """Take orders, one after the other, when the clock says so."""
        self.clock = clock
        head, names = len(self.log), dict(self.names)
        answers = [self._answer(order) for order in orders]
        failed = atomic and any(answer.outcome not in {"accepted", "duplicate"} for answer in answers)
        if failed or dry_run:
            del self.log[head:]
            self.names = names
        if failed:
            return [Told("not-alone", field="command") if (one.position or 0) > head else one for one in answers]
        if dry_run:
            return [one._replace(position=None) if (one.position or 0) > head else one for one in answers]
        return answers

    def _answer(self, order: Order) -> Told:
        content = order.command.TYPE, order.command.model_dump(exclude={"text"})
        if order.name in self.names:
            first_content, first = self.names[order.name]
            return first._replace(outcome="duplicate") if first_content == content else Told("name-taken", field="id")
        self._order = order
        decided: No | list[Event] = getattr(self, order.command.TYPE.replace("-", "_"))(order.command)
        if isinstance(decided, No):
            return Told(decided.rejection, field=decided.field, candidates=decided.candidates)
        self.log += decided
        answer = Told("accepted", len(self.log), UUID(decided[-1]["shift"]) if "shift" in decided[-1] else None)
        self.names[order.name] = content, answer
        return answer

    # --- questions to the log ---------------------------------------------------------------------------------------

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
        void, disputed = None, False
        scanned: dict[str, list[Event]] = {"checked-in.v1": [], "checked-out.v1": []}
        for event in self.events_of(volunteer, shift):
            topic = event["topic"]
            if topic in scanned:
                scanned[topic].append(event)
            elif topic == "shift-corrected.v1":
                corrected.update({field: event.get(field) for field in event["changes"]})
            elif topic in {"shift-voided.v1", "shift-reinstated.v1"}:
                void = event if topic == "shift-voided.v1" else None
            else:
                disputed = topic == "shift-disputed.v1"
        begun = _earliest(scanned["checked-in.v1"])
        force: Event = {field: begun.get(field) for field in ("station", "project")}
        force = {"check_in": begun.get("occurred_at"), **force, **corrected}
        ended = _earliest([one for one in scanned["checked-out.v1"] if one["occurred_at"] > (force["check_in"] or 0)])
        check_out = corrected.get("check_out") if "check_out" in corrected else ended.get("occurred_at")
        left_from = force["station"] if "check_out" in corrected or not ended else ended["station"]
        return ShiftInForce(force["check_in"], check_out, force["station"], left_from, force["project"], void, disputed)

    def open_shifts(self, volunteer: str, instant: int) -> tuple[UUID, ...]:
        """Return the shifts that a check-out at this instant could end: begun in the 24 hours before, oldest first."""
        found = []
        for shift in (shift for whose, shift in self.shifts() if whose == volunteer):
            state = self.shift(volunteer, shift)
            if state.void or state.check_out is not None or state.check_in is None:
                continue
            if instant - DAY <= state.check_in < instant and _may_be_open(shift, instant):
                found.append((state.check_in, shift))
        return tuple(shift for _, shift in sorted(found))

    def new_shift(self, asked: UUID | None, instant: int) -> UUID:
        """Return the id of a shift that begins: as asked for, or the one the ledger makes."""
        return self._make_id(instant, self._order.name) if asked is None else asked

    # --- scans ------------------------------------------------------------------------------------------------------

    def check_in(self, asked: Any) -> No | list[Event]:
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.unknown("station", asked.station),
            self.unknown("project", asked.project),
            self.future(asked.occurred_at),
        ) or [self._begun(asked, asked.occurred_at, self.new_shift(asked.shift, asked.occurred_at))]

    def _begun(self, asked: Any, instant: int, shift: UUID, **more: Any) -> Event:
        who = {"volunteer": asked.volunteer, "shift": shift, "station": asked.station, "project": asked.project}
        return self.event("checked-in.v1", instant, **who, **more)

    def check_out(self, asked: Any) -> No | list[Event]:
        meant = (asked.shift,) if asked.shift else self.open_shifts(asked.volunteer, asked.occurred_at)
        refused = first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.unknown("station", asked.station),
            self.future(asked.occurred_at),
            (not meant, "no-open-shift", "shift"),
            (len(meant) > 1, "several-open-shifts", "shift"),
        )
        if refused:
            return refused._replace(candidates=meant) if refused.rejection == "several-open-shifts" else refused
        who = {"volunteer": asked.volunteer, "shift": meant[0], "station": asked.station}
        return [self.event("checked-out.v1", asked.occurred_at, **who)]

    # --- acts on shifts ---------------------------------------------------------------------------------------------

    def attest_shift(self, asked: Any) -> No | list[Event]:
        shift = self.new_shift(asked.shift, asked.check_in)
        refused = first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.unknown("station", asked.station),
            self.unknown("project", asked.project),
            self.future(asked.check_out, "check_out"),
            (asked.check_out <= asked.check_in, "ends-before-it-begins", "check_out"),
            (bool(self.events_of(asked.volunteer, shift)), "shift-exists", "shift"),
        )
        if refused:
            return refused
        who = {"volunteer": asked.volunteer, "shift": shift, "station": asked.station, "evidence": asked.evidence}
        return [
            self._begun(asked, asked.check_in, shift, evidence=asked.evidence, note=asked.text and True),
            self.event("checked-out.v1", asked.check_out, **who),
        ]

    def correct_shift(self, asked: Any) -> No | list[Event]:
        fields = {name: getattr(asked, name) for name in ("check_in", "check_out", "station", "project")}
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.unknown("station", asked.station),
            self.unknown("project", asked.project),
            self.future(asked.occurred_at),
            self.future(asked.check_in, "check_in"),
            self.future(asked.check_out, "check_out"),
            (not self.events_of(asked.volunteer, asked.shift), "unknown-shift", "shift"),
        ) or [self._acted("shift-corrected.v1", asked, changes=asked.changes, **fields)]

    def _acted(self, topic: str, asked: Any, **more: Any) -> Event:
        who = {"volunteer": asked.volunteer, "shift": asked.shift, "reason": asked.reason}
        return self.event(topic, asked.occurred_at, **who, note=asked.text and True, **more)

    def _act(self, topic: str, asked: Any, *rungs: Rung, **more: Any) -> No | list[Event]:
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.future(asked.occurred_at),
            (not self.events_of(asked.volunteer, asked.shift), "unknown-shift", "shift"),
            *rungs,
        ) or [self._acted(topic, asked, **more)]

    def void_shift(self, asked: Any) -> No | list[Event]:
        void = self.shift(asked.volunteer, asked.shift).void
        return self._act("shift-voided.v1", asked, (void is not None, "already-void", "shift"))

    def reinstate_shift(self, asked: Any) -> No | list[Event]:
        void = self.shift(asked.volunteer, asked.shift).void
        holder = void
        while holder and "replaced_by" in holder:  # moved, and perhaps moved on: does it count for anybody there?
            holder = self.shift(holder["replaced_by"], asked.shift).void or {}
        return self._act(
            "shift-reinstated.v1",
            asked,
            (void is None, "not-void", "shift"),
            (holder == {}, "replacement-stands", "volunteer"),
        )

    def move_shift(self, asked: Any) -> No | list[Event]:
        moved = self.shift(asked.volunteer, asked.shift)
        refused = first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.unknown("volunteer", asked.to_volunteer, "to_volunteer"),
            (asked.to_volunteer == asked.volunteer, "same-volunteer", "to_volunteer"),
            self.future(asked.occurred_at),
            (not self.events_of(asked.volunteer, asked.shift), "unknown-shift", "shift"),
            (bool(self.events_of(asked.to_volunteer, asked.shift)), "shift-exists", "to_volunteer"),
            (moved.void is not None, "already-void", "shift"),
            (moved.check_in is None or moved.station is None, "no-check-in", "shift"),
        )
        if refused:
            return refused
        who = {"volunteer": asked.to_volunteer, "shift": asked.shift, "evidence": asked.reason}
        place = {"station": moved.station, "project": moved.project, "replaces": asked.volunteer}
        events = [
            self._acted("shift-voided.v1", asked, replaced_by=asked.to_volunteer),
            self.event("checked-in.v1", moved.check_in, **who, **place),
        ]
        if moved.check_out is not None:
            events.append(self.event("checked-out.v1", moved.check_out, **who, station=moved.left_from))
        return events

    def dispute_shift(self, asked: Any) -> No | list[Event]:
        return self._act("shift-disputed.v1", asked)

    def settle_dispute(self, asked: Any) -> No | list[Event]:
        disputed = self.shift(asked.volunteer, asked.shift).disputed
        return self._act("dispute-settled.v1", asked, (not disputed, "no-open-dispute", "shift"), outcome=asked.outcome)

    # --- volunteers, places, balances, caps -------------------------------------------------------------------------

    def register_volunteer(self, asked: Any) -> No | list[Event]:
        standing = self.last("volunteer-registered.v1 volunteer-withdrawn.v1", volunteer=asked.volunteer)
        return first_that_holds(
            self.future(asked.occurred_at),
            self.future_day(asked.registered_on, "registered_on"),
            (standing == "volunteer-registered.v1", "already-registered", "volunteer"),
        ) or [self._said("volunteer-registered.v1", asked, "volunteer registered_on")]

    def _said(self, topic: str, asked: Any, fields: str) -> Event:
        return self.event(topic, asked.occurred_at, **{field: getattr(asked, field) for field in fields.split()})

    def withdraw_volunteer(self, asked: Any) -> No | list[Event]:
        standing = self.last("volunteer-registered.v1 volunteer-withdrawn.v1", volunteer=asked.volunteer)
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.future(asked.occurred_at),
            self.future_day(asked.withdrawn_on, "withdrawn_on"),
            (standing == "volunteer-withdrawn.v1", "already-withdrawn", "volunteer"),
        ) or [self._said("volunteer-withdrawn.v1", asked, "volunteer withdrawn_on reason")]

    def open_station(self, asked: Any) -> No | list[Event]:
        standing = self.last("station-opened.v1 station-closed.v1", station=asked.station)
        return first_that_holds(
            self.future(asked.occurred_at), (standing == "station-opened.v1", "already-open", "station")
        ) or [self._said("station-opened.v1", asked, "station kind theme")]

    def close_station(self, asked: Any) -> No | list[Event]:
        standing = self.last("station-opened.v1 station-closed.v1", station=asked.station)
        return first_that_holds(
            self.unknown("station", asked.station),
            self.future(asked.occurred_at),
            (standing == "station-closed.v1", "already-closed", "station"),
        ) or [self._said("station-closed.v1", asked, "station reason")]

    def launch_project(self, asked: Any) -> No | list[Event]:
        standing = self.last("project-launched.v1 project-ended.v1", project=asked.project)
        return first_that_holds(
            self.unknown("volunteer", asked.in_charge, "in_charge"),
            self.future(asked.occurred_at),
            (standing == "project-launched.v1", "already-launched", "project"),
        ) or [self._said("project-launched.v1", asked, "project content in_charge")]

    def end_project(self, asked: Any) -> No | list[Event]:
        standing = self.last("project-launched.v1 project-ended.v1", project=asked.project)
        return first_that_holds(
            self.unknown("project", asked.project),
            self.future(asked.occurred_at),
            (standing == "project-ended.v1", "already-ended", "project"),
        ) or [self._said("project-ended.v1", asked, "project reason")]

    def count_people_served(self, asked: Any) -> No | list[Event]:
        return first_that_holds(
            self.unknown("station", asked.station),
            self.unknown("project", asked.project),
            self.future(asked.occurred_at),
            self.future_day(asked.day, "day"),
        ) or [self._said("people-served-counted.v1", asked, "station project day people")]

    def record_opening_balance(self, asked: Any) -> No | list[Event]:
        standing = self.last("opening-balance-recorded.v1 opening-balance-voided.v1", volunteer=asked.volunteer)
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.future(asked.occurred_at),
            self.future_day(asked.as_of, "as_of"),
            (standing == "opening-balance-recorded.v1", "balance-stands", "volunteer"),
        ) or [self._said("opening-balance-recorded.v1", asked, "volunteer minutes as_of evidence")]

    def void_opening_balance(self, asked: Any) -> No | list[Event]:
        standing = self.last("opening-balance-recorded.v1 opening-balance-voided.v1", volunteer=asked.volunteer)
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.future(asked.occurred_at),
            (standing != "opening-balance-recorded.v1", "no-balance", "volunteer"),
        ) or [self._said("opening-balance-voided.v1", asked, "volunteer reason")]

    def _raise_standing(self, asked: Any) -> str | None:
        same = {"volunteer": asked.volunteer, "day": asked.day, "raise_id": asked.raise_id}
        return self.last("day-cap-raised.v1 day-cap-raise-withdrawn.v1", **same)

    def raise_day_cap(self, asked: Any) -> No | list[Event]:
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.future(asked.occurred_at),
            (self._raise_standing(asked) is not None, "raise-exists", "raise_id"),
        ) or [self._said("day-cap-raised.v1", asked, "volunteer day raise_id minutes reason")]

    def withdraw_day_cap_raise(self, asked: Any) -> No | list[Event]:
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.future(asked.occurred_at),
            (self._raise_standing(asked) != "day-cap-raised.v1", "unknown-raise", "raise_id"),
        ) or [self._said("day-cap-raise-withdrawn.v1", asked, "volunteer day raise_id reason")]


def _earliest(scans: list[Event]) -> Event:
    """The earliest counts, a scan before an entry by hand; beyond that any order will do, if it is one."""
    ordered = sorted(
        scans, key=lambda one: (one["occurred_at"], "evidence" in one, one["station"], one.get("project", ""))
    )
    return ordered[0] if ordered else {}


def _may_be_open(shift: UUID, instant: int) -> bool:
    """Whether an id can be that of a shift open at an instant: one that holds a time must be of the same days."""
    if shift.version != 7:
        return True
    made_on = (shift.int >> 80) // 1000 // DAY
    return (instant - DAY - SKEW) // DAY <= made_on <= (instant + SKEW) // DAY


def _as_stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, UUID | date) else value
