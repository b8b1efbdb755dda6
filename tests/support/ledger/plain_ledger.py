"""A plain ledger: what the rejections' order of precedence says, as a list of events and questions to it.

It is slow and obvious, and shares no code with the ledger it is compared with: it knows no streams, batches, memory or
database, and goes through the whole log for every question. An answer is the first rung of a list that holds, or else
events. Only how the ledger makes the id of a shift that came without one is given to it.

Left out: organisations, training, merges, rules (so nothing needs approval, and nothing is due) and honours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from ledger.aggregates import COMMANDS, Order
from tests.support.ledger.plain_log import Event, No, PlainAnswer, PlainLog, Rung, first_that_holds, is_scan_or_talk

ON_HOURS = {
    *("attest-shift", "correct-shift", "void-shift", "reinstate-shift", "move-shift"),
    *("answer-dispute", "settle-dispute", "request-act", "approve-act", "decline-act"),
    *("record-opening-balance", "void-opening-balance", "raise-day-cap", "withdraw-day-cap-raise"),
}
"""What nobody does to their own hours."""
SCANS = {"check-in", "check-out", "punch"}
"""What nobody types for themselves either; a station sends what its reader saw."""

_NAMED_BY = {
    "day-cap": ("day", "volunteer"),
    "opening-balance": ("volunteer",),
    "people-served": ("day", "station", "project"),
    "": ("shift", "volunteer"),
}
"""What names a record, the field that a refusal names first; any other record of a request is a shift."""


class PlainLedger(PlainLog):
    """The log, and what was answered under which name."""

    def __init__(self, make_id: Callable[[int, str], UUID]) -> None:
        super().__init__(make_id)
        self.names: dict[tuple[str, str], tuple[object, PlainAnswer]] = {}

    def take(
        self, orders: Sequence[Order], clock: int, *, atomic: bool = False, dry_run: bool = False
    ) -> list[PlainAnswer]:
        """Take orders, one after the other, when the clock says so."""
        self.clock = clock
        head, names = len(self.log), dict(self.names)
        answers = [self._answer(order) for order in orders]
        failed = atomic and any(answer.outcome not in {"accepted", "duplicate"} for answer in answers)
        if failed or dry_run:
            del self.log[head:]
            self.names = names
        if failed:
            return [PlainAnswer("not-alone", field="command") if (one.position or 0) > head else one for one in answers]
        if dry_run:
            return [one._replace(position=None) if (one.position or 0) > head else one for one in answers]
        return answers

    def _answer(self, order: Order) -> PlainAnswer:
        content = order.command.TYPE, order.command.model_dump(exclude={"text"})
        if _realm_name(order) in self.names:
            first_content, first = self.names[_realm_name(order)]
            return (
                first._replace(outcome="duplicate")
                if first_content == content
                else PlainAnswer("name-taken", field="id")
            )
        self._order, self._approver = order, None
        decided = self._own_hours(order.command) or self._decided(order.command)
        if isinstance(decided, No):
            return PlainAnswer(decided.rejection, field=decided.field)
        self.log += decided
        last = decided[-1]
        about = UUID(last["shift"]) if "shift" in last else None
        punch = about if last["topic"] == "punched.v1" else None
        shift = None if punch and last.get("direction") != "in" else about
        answer = PlainAnswer("accepted", len(self.log), shift, punch=punch)
        self.names[_realm_name(order)] = content, answer
        return answer

    def _decided(self, command: Any) -> No | list[Event]:
        decided: No | list[Event] = getattr(self, command.TYPE.replace("-", "_"))(command)
        return decided

    # --- two pairs of eyes ------------------------------------------------------------------------------------------

    def _own_hours(self, asked: Any) -> No | None:
        typed = asked.TYPE in SCANS and not self._order.by.startswith("station:")
        if not typed and asked.TYPE not in ON_HOURS:
            return None
        if "request" in type(asked).model_fields:
            about = self._fields_asked(asked)
        else:
            about = asked.model_dump() | getattr(asked, "fields", {})
        concerned = [about.get(name) for name in ("volunteer", "to_volunteer")]
        own = [one for one in concerned if one in self.mine(self._order) and not self.unknown("volunteer", one)[0]]
        return No("own-hours", "volunteer") if own else None

    def _fields_asked(self, asked: Any) -> Event:
        """Return the fields of what is asked for, or was, with those of what follows from it."""
        fields = asked.fields if asked.TYPE == "request-act" else self._asked(asked.request).get("fields", {})
        return {**fields, **fields.get("fields", {})}

    def _asked(self, request: str) -> Event:
        requested = [one for one in self.log if one["topic"] == "act-requested.v1" and one["request"] == request]
        return requested[0] if requested else {}

    def _request(self, asked: Any) -> list[Event]:
        return [one for one in self.log if one.get("request") == asked.request]

    def _noted(self, asked: Any) -> bool | None:
        """Whether an event has a text: the command's, or that of the request that asked for it."""
        noted = "note" in self._asked(self._approver.command.request) if self._approver else asked.text  # type: ignore[attr-defined]
        return bool(noted) or None

    def request_act(self, asked: Any) -> No | list[Event]:
        refused = first_that_holds(
            self.future(asked.occurred_at), (bool(self._request(asked)), "request-exists", "request")
        )
        command = COMMANDS[asked.act].model_validate(asked.fields)
        would_be = refused or self._decided(command)
        if isinstance(would_be, No):
            return would_be
        fields = command.model_dump(mode="json", exclude_defaults=True)
        about = {"request": asked.request, "volunteer": fields.get("volunteer"), "act": asked.act, "fields": fields}
        _, about["record_version"] = self._record(would_be[0])
        return [self.event("act-requested.v1", asked.occurred_at, **about, note=self._noted(asked))]

    def _on_request(self, asked: Any, *, own: bool) -> No | None:
        request = self._request(asked)
        mine = self.mine(self._order)
        theirs = {request[0]["by"].removeprefix("person:"), request[0].get("by_volunteer")} if request else set()
        own_rung = (
            (not mine & theirs, "anothers-request", "request")
            if own
            else (bool(mine & theirs), "own-request", "request")
        )
        return first_that_holds(
            self.future(asked.occurred_at),
            (not request, "unknown-request", "request"),
            (len(request) > 1, "request-ended", "request"),
            own_rung,
        )

    def _ended(self, topic: str, asked: Any, **more: Any) -> Event:
        about = {"request": asked.request, "volunteer": self._asked(asked.request).get("volunteer"), **more}
        return self.event(topic, asked.occurred_at, **about, note=asked.text and True)

    def approve_act(self, asked: Any) -> No | list[Event]:
        if refused := self._on_request(asked, own=False):
            return refused
        request, approval = self._asked(asked.request), self._ended("act-approved.v1", asked)
        who = {"imported": request.get("imported", False), "by": request["by"]}
        who |= {name: request.get(name) for name in ("key", "by_volunteer")}
        self._order, self._approver = self._order._replace(**who), self._order
        decided = self._decided(COMMANDS[request["act"]].model_validate(request["fields"]))
        self._order, self._approver = self._approver, None
        if isinstance(decided, No):
            return decided
        field, version = self._record(decided[0])
        return [approval, *decided] if version == request["record_version"] else No("changed-since", field)

    def _record(self, event: Event) -> tuple[str, int]:
        """Return the field that names the record which an event would change, and how many events that one has."""
        kind = next(each for each in ("day-cap", "opening-balance", "people-served", "") if each in event["topic"])
        field, *others = _NAMED_BY[kind]
        same = [
            one
            for one in self.log
            if one["topic"].startswith(kind) and all(one.get(name) == event.get(name) for name in (field, *others))
        ]
        return field, len(same)

    def decline_act(self, asked: Any) -> No | list[Event]:
        ended = self._ended("act-declined.v1", asked, reason=asked.reason)
        return self._on_request(asked, own=False) or [ended]

    def withdraw_request(self, asked: Any) -> No | list[Event]:
        ended = self._ended("act-withdrawn.v1", asked, reason=asked.reason)
        return self._on_request(asked, own=True) or [ended]

    # --- scans ------------------------------------------------------------------------------------------------------

    def _not_a_fact(self, asked: Any) -> No | None:
        return first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.unknown("station", asked.station),
            self.unknown("project", getattr(asked, "project", None)),
            self.future(asked.occurred_at),
        )

    def _scan(self, topic: str, asked: Any, **more: Any) -> list[Event]:
        shift = getattr(asked, "shift", None) or self.new_shift(None, asked.occurred_at)
        typed = None if self._order.by.startswith("station:") else "typed"
        who = {"volunteer": asked.volunteer, "shift": shift, "station": asked.station, "evidence": typed}
        return [self.event(topic, asked.occurred_at, **who, **more)]

    def check_in(self, asked: Any) -> No | list[Event]:
        where = {"project": asked.project} if asked.shift else {"project": asked.project, "direction": "in"}
        topic = "checked-in.v1" if asked.shift else "punched.v1"
        return self._not_a_fact(asked) or self._scan(topic, asked, **where)

    def check_out(self, asked: Any) -> No | list[Event]:
        topic, where = ("checked-out.v1", {}) if asked.shift else ("punched.v1", {"direction": "out"})
        return self._not_a_fact(asked) or self._scan(topic, asked, **where)

    def punch(self, asked: Any) -> No | list[Event]:
        where = {"project": asked.project, "direction": asked.direction}
        return self._not_a_fact(asked) or self._scan("punched.v1", asked, **where)

    def _begun(self, asked: Any, instant: int, shift: UUID, **more: Any) -> Event:
        who = {"volunteer": asked.volunteer, "shift": shift, "station": asked.station, "project": asked.project}
        return self.event("checked-in.v1", instant, **who, **more)

    # --- acts on shifts ---------------------------------------------------------------------------------------------

    def attest_shift(self, asked: Any) -> No | list[Event]:
        shift = self.new_shift(asked.shift, asked.check_in)
        refused = first_that_holds(
            self.unknown("volunteer", asked.volunteer),
            self.unknown("station", asked.station),
            self.unknown("project", asked.project),
            self.future(asked.check_out, "check_out"),
            *_wrong_times(asked.check_in, asked.check_out, "check_out"),
            (bool(self.events_of(asked.volunteer, shift)), "shift-exists", "shift"),
        )
        if refused:
            return refused
        who = {"volunteer": asked.volunteer, "shift": shift, "station": asked.station, "evidence": asked.evidence}
        return [
            self._begun(asked, asked.check_in, shift, evidence=asked.evidence, note=self._noted(asked)),
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
            *self._wrongly_corrected(asked, fields),
        ) or [self._acted("shift-corrected.v1", asked, changes=asked.changes, **fields)]

    def _wrongly_corrected(self, asked: Any, fields: dict[str, Any]) -> list[Rung]:
        """Correct, look at both instants, and take it back."""
        if not {"check_in", "check_out"} & set(asked.changes):
            return []
        before = self.shift(asked.volunteer, asked.shift)
        self.log.append(self._acted("shift-corrected.v1", asked, changes=asked.changes, **fields))
        after = self.shift(asked.volunteer, asked.shift)
        del self.log[-1]
        named = "check_out" in asked.changes
        check_out = before.check_out if after.check_out is None and not named else after.check_out
        if after.check_in is None or check_out is None:
            return []
        return _wrong_times(after.check_in, check_out, "check_out" if named else "check_in")

    def _acted(self, topic: str, asked: Any, **more: Any) -> Event:
        who = {"volunteer": asked.volunteer, "shift": asked.shift, "reason": asked.reason}
        return self.event(topic, asked.occurred_at, **who, note=self._noted(asked), **more)

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

    def answer_dispute(self, asked: Any) -> No | list[Event]:
        disputed = self.shift(asked.volunteer, asked.shift).disputed
        return self._act("dispute-answered.v1", asked, (not disputed, "no-open-dispute", "shift"))

    def settle_dispute(self, asked: Any) -> No | list[Event]:
        opened = self.shift(asked.volunteer, asked.shift).disputed
        events = self.events_of(asked.volunteer, asked.shift)
        entry = [one for one in events[: events.index(opened)] if not is_scan_or_talk(one)] if opened else []
        settled = self._act(
            "dispute-settled.v1",
            asked,
            (not opened, "no-open-dispute", "shift"),
            (opened is not None and self.did(opened), "own-dispute", "shift"),
            (any(self.did(one) for one in entry), "own-entry", "shift"),
            outcome=asked.outcome,
        )
        if isinstance(settled, No) or asked.act is None:
            return settled
        own = {name: getattr(asked, name) for name in ("volunteer", "shift", "reason", "occurred_at")}
        follows = COMMANDS[asked.act].model_validate({**asked.fields, **own})
        followed = self._decided(follows)  # without a text: that is the settlement's
        if isinstance(followed, No):
            return followed
        return [*settled, *({name: said for name, said in one.items() if name != "note"} for one in followed)]

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
            (self._counts_anew(asked), "no-reason", "reason"),
        ) or [self._said("people-served-counted.v1", asked, "station project day people reason")]

    def _counts_anew(self, asked: Any) -> bool:
        """Whether somebody counts again without a reason: not the station itself, and no old record."""
        if asked.reason or self._order.imported or self._order.by == f"station:{asked.station}":
            return False
        same = (asked.station, asked.project, asked.day.isoformat())
        counted = [one for one in self.log if one["topic"] == "people-served-counted.v1"]
        return any((one["station"], one.get("project"), one["day"]) == same for one in counted)

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


def _realm_name(order: Order) -> tuple[str, str]:
    """Return whose name it is, and the name: a station's and a caller's sources are their own."""
    own = {order.by.replace("station:", "/stations/"), f"/callers/{order.by}"}
    return ("" if order.source in own else order.by), order.name


def _wrong_times(check_in: int, check_out: int, field: str) -> list[Rung]:
    return [
        (check_out <= check_in, "ends-before-it-begins", field),
        (check_out - check_in > 7 * 24 * 3600, "lasts-too-long", field),
    ]
