"""Orders as clients of all kinds give them, in a small world so that they meet: strategies for Hypothesis.

Everything collides here: three volunteers, two stations, a project, a few shifts, names that were used before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st

from ledger.aggregates import COMMANDS, Command, Order
from ledger.aggregates.scans import SCANS
from tests.support.ledger.orders import order_of

T = TypeVar("T")

VOLUNTEERS, STATIONS, PROJECTS = ("V1", "V2", "V3"), ("S1", "S2"), ("P1", "P2")
MADE_ELSEWHERE = tuple(UUID(int=number) for number in (1, 2))
"""Ids that hold no time, as some stations make them."""

HOUR, DAY = 3600, 86_400
ACTORS: tuple[dict[str, Any], ...] = (
    {"by": "station:S1", "key": 1},
    {"by": "person:li.wei", "key": 2},
    {"by": "person:anna"},
    {"by": "person:chen", "key": 3, "by_volunteer": "V2"},
    {"by": "person:V1", "key": 4},
)
"""A station, people, and people who are volunteers, whom the key or the name tells."""

BEFORE = (60, HOUR, HOUR, 2 * HOUR, 3 * HOUR, 23 * HOUR, DAY, DAY + 1, 26 * HOUR, 3 * DAY)
AHEAD = (0, 299, 300, 301, HOUR)
REASONS = st.sampled_from(["left-early", "paper-list"])
TEXTS = st.sampled_from([None, None, "her mother is ill"])
TYPES = (
    *["check-in"] * 7,
    *["check-out"] * 7,
    *["punch"] * 3,
    *["move-shift", "correct-shift"] * 3,
    *["attest-shift", "void-shift", "reinstate-shift", "register-volunteer"] * 2,
    *["dispute-shift", "settle-dispute", "request-act", "approve-act"] * 2,
    *["answer-dispute", "decline-act", "withdraw-request", "withdraw-volunteer", "open-station", "close-station"],
    *["launch-project", "end-project", "count-people-served", "record-opening-balance", "void-opening-balance"],
    *["raise-day-cap", "withdraw-day-cap-raise"] * 2,
)
"""Types of commands, as often as their decisions have something to get wrong."""

SCRIPTS = (
    ("move-shift", "reinstate-shift"),
    ("void-shift", "reinstate-shift", "void-shift"),
    ("correct-shift", "check-out"),
    ("dispute-shift", "settle-dispute"),
    ("attest-shift", "dispute-shift", "answer-dispute", "settle-dispute"),
    ("request-act", "approve-act"),
    ("request-act", "approve-act", "approve-act"),
    ("raise-day-cap", "raise-day-cap", "withdraw-day-cap-raise"),
    ("record-opening-balance", "void-opening-balance"),
    ("close-station", "open-station"),
)
"""Types of commands that follow one another."""

ASKED = ("correct-shift", "void-shift", "move-shift", "settle-dispute", "raise-day-cap", "count-people-served")
"""Types of commands that are asked for."""
REQUESTS = ("r1", "r2", "r3", "r4")

Seen = Sequence[tuple[str, UUID | None, int]]
"""Check-ins that were submitted or recorded: whose, of which shift, and when."""


def instants(clock: int) -> st.SearchStrategy[int]:
    """Instants that matter to a clock: within a day and beyond it, and about as far ahead as a clock may be."""
    past = st.sampled_from(BEFORE).map(lambda seconds: clock - seconds)
    return past | past | past | st.sampled_from(AHEAD).map(lambda seconds: clock + seconds)


def lately(seen: Sequence[T]) -> st.SearchStrategy[T]:
    """One of these, the last of them as often as all the others: what follows at once has most to get wrong."""
    return st.sampled_from(seen[-3:]) | st.sampled_from(seen)


def days(clock: int) -> st.SearchStrategy[str]:
    today = (datetime.fromtimestamp(clock, UTC) + timedelta(hours=14)).date()
    return st.sampled_from([-400, 0, 0, 1]).map(lambda ahead: (today + timedelta(days=ahead)).isoformat())


@st.composite
def commands(draw: st.DrawFn, clock: int, seen: Seen, command_type: str | None = None) -> Command:
    """A command of this type or any, about shifts that were recorded as a rule."""
    command_type = command_type or draw(st.sampled_from(TYPES))
    command_class = COMMANDS[command_type]
    if command_type == "request-act":
        asked = draw(commands(clock, seen, draw(st.sampled_from(ASKED))))
        request = {"request": draw(st.sampled_from(REQUESTS)), "act": asked.TYPE, "text": draw(TEXTS)}
        return command_class.model_validate(request | {"fields": _fields(asked)})
    body: dict[str, Any] = {
        "volunteer": draw(st.sampled_from(VOLUNTEERS)),
        "station": draw(st.sampled_from(STATIONS)),
    }
    if len(seen) > 0 and draw(st.integers(0, 3)):
        body["volunteer"], body["shift"], began = draw(lately(seen))
        if command_type == "check-out" and draw(st.booleans()):  # at instants that matter to that shift
            body["occurred_at"] = began + draw(st.sampled_from([0, 1, HOUR, DAY, DAY + 1]))
            body["shift"] = draw(st.sampled_from([None, body["shift"]]))
        if not draw(st.integers(0, 4)):
            body["volunteer"] = draw(st.sampled_from(VOLUNTEERS))
    if "shift" not in body or command_type in {"check-in", "check-out", "attest-shift"}:
        body["shift"] = draw(st.sampled_from([body.get("shift"), None, *MADE_ELSEWHERE]))
    if body["shift"] is None and command_class.model_fields.get("shift", _OPTIONAL).is_required():
        body["shift"] = MADE_ELSEWHERE[0]
    others: dict[str, st.SearchStrategy[Any]] = {
        "occurred_at": instants(clock) if command_type in SCANS else st.none() | instants(clock),
        "direction": st.sampled_from([None, "in", "out"]),
        "check_in": instants(clock),
        "check_out": instants(clock),
        "project": st.sampled_from([None, None, *PROJECTS]),
        "to_volunteer": st.sampled_from(VOLUNTEERS),
        "in_charge": st.sampled_from([None, *VOLUNTEERS]),
        "evidence": REASONS,
        "reason": REASONS,
        "content": REASONS,
        "text": TEXTS,
        "request": st.sampled_from(REQUESTS),
        "outcome": st.sampled_from(["upheld", "rejected"]),
        "kind": st.just("city"),
        "raise_id": st.sampled_from(["r1", "r2"]),
        "minutes": st.sampled_from([600, 700]),
        "people": st.sampled_from([0, 40]),
        **dict.fromkeys(("registered_on", "withdrawn_on", "as_of", "day"), days(clock)),
    }
    fields = command_class.model_fields
    body |= {field: draw(values) for field, values in others.items() if field in fields and field not in body}
    if command_type in {"launch-project", "end-project"}:
        body["project"] = body["project"] or PROJECTS[0]
    if command_type == "count-people-served":
        body["reason"] = draw(st.none() | REASONS)
    if command_type == "settle-dispute" and body["outcome"] == "upheld" and draw(st.booleans()):
        follows = draw(commands(clock, seen, draw(st.sampled_from(["correct-shift", "void-shift", "move-shift"]))))
        own = {"volunteer", "shift", "reason", "occurred_at"}
        said = {name: value for name, value in _fields(follows).items() if name not in own}
        body |= {"act": follows.TYPE, "fields": said}
    if command_type == "correct-shift":
        names = ("check_in", "check_out", "station", "project")
        body["changes"] = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        for name in names:
            if name not in body["changes"] or (name != "station" and not draw(st.integers(0, 3))):
                body[name] = None
    return command_class.model_validate({field: value for field, value in body.items() if field in fields})


def _fields(command: Command) -> dict[str, Any]:
    """Return what a command says but its text, as JSON has it."""
    return command.model_dump(mode="json", exclude_none=True, exclude={"text"})


_OPTIONAL = COMMANDS["check-in"].model_fields["shift"]


@st.composite
def scripts(draw: st.DrawFn, clock: int, seen: Seen) -> list[Command]:
    """Commands that follow one another about one thing."""
    about = [draw(lately(seen))] if len(seen) > 0 else []
    return [draw(commands(clock, about, command_type)) for command_type in draw(st.sampled_from(SCRIPTS))]


@st.composite
def orders(draw: st.DrawFn, clock: int, seen: Seen, earlier: Sequence[Order], fresh: str) -> Order:
    """An order: a new one under the name `fresh`; or an earlier one, sent again or with other content."""
    old = draw(lately(earlier)) if earlier and not draw(st.integers(0, 3)) else None
    who: dict[str, Any] = {"key": None, "by_volunteer": None, **draw(st.sampled_from(ACTORS))}
    if old and draw(st.integers(0, 2)):
        return old._replace(**who)
    command = draw(commands(clock, seen))
    if old:
        return old._replace(command=command)
    # A quotation mark in a name is escaped where it is stored.
    name = fresh + draw(st.sampled_from(["", "", "", '"']))
    return order_of(command=command, source="/stations/S1", id=name, imported=draw(st.booleans()), **who)
