"""What each role may do: one table, of commands and of other rights. docs/access.md shows it; a test holds both equal.

    station         scans and people served, of its own station, under names of its own
    corrector       the records of volunteers and shifts: late entries, corrections, disputes, balances, caps, training
    approver        what others ask for: approved or declined; disputes, settled
    honors-officer  honours: announced, objected to, awarded, revoked
    analyst         trying out rules
    auditor         reading, the whole log, under any axes; and looking for anomalies, which others are not shown
    reader          the same; for programs that show hours
    volunteer       what is about one volunteer, whose number is the key's name, and disputes of that one's shifts
    staff           what the first four may, and organisations, stations and projects
    admin           everything

Every other role may read everything. Nothing here speaks HTTP.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from ledger.aggregates import COMMANDS, Command, Order
from ledger.aggregates.dispute import DisputeShift
from ledger.aggregates.people_served import CountPeopleServed
from ledger.aggregates.request import RequestAct
from ledger.aggregates.shift import CheckIn, CheckOut


class Role(StrEnum):
    """What a key is for."""

    STATION = "station"
    CORRECTOR = "corrector"
    APPROVER = "approver"
    HONORS_OFFICER = "honors-officer"
    ANALYST = "analyst"
    AUDITOR = "auditor"
    READER = "reader"
    VOLUNTEER = "volunteer"
    STAFF = "staff"
    ADMIN = "admin"


class Right(StrEnum):
    """What a key may be needed for beside commands."""

    READ = "read"
    READ_OWN = "read what is about oneself"
    READ_TEXTS = "read what people wrote"
    TRY_RULES = "try out rules"
    AUDIT = "look for anomalies"
    CHANGE_GENERATIONS = "change what answers"
    STOP_ANY_JOB = "stop anybody's work"
    IMPORT = "mark events as old records"


class Caller(NamedTuple):
    """Whose key a request carries. `name`: the station's id, the volunteer's number, or a person's name; `key`: the
    key's number.
    """

    role: Role
    name: str
    key: int | None = None
    per_second: int | None = None
    """How many requests a second its keeper allows it, where that is not the service's own limit."""
    public_key: bytes | None = None
    """Where requests are signed: the Ed25519 public key, 32 bytes."""
    must_sign: bool = False
    volunteer: str | None = None
    """Which volunteer this is, where the key's holder is one: nobody acts on their own hours."""

    @property
    def by(self) -> str:
        """Who did it, as events say."""
        return f"station:{self.name}" if self.role is Role.STATION else f"person:{self.name}"


_STATION = {"check-in", "check-out", "count-people-served"}
_CORRECTOR = {
    "attest-shift",
    "correct-shift",
    "void-shift",
    "reinstate-shift",
    "move-shift",
    "dispute-shift",
    "answer-dispute",
    "settle-dispute",
    "register-volunteer",
    "withdraw-volunteer",
    "merge-volunteer",
    "undo-merge",
    "record-training",
    "void-training",
    "join-organisation",
    "leave-organisation",
    "count-people-served",
    "record-opening-balance",
    "void-opening-balance",
    "raise-day-cap",
    "withdraw-day-cap-raise",
    "request-act",
    "withdraw-request",
}
_APPROVER = {"approve-act", "decline-act", "answer-dispute", "settle-dispute"}
_HONORS = {
    *("announce-honor", "object-to-honor", "settle-honor-objection", "award-honor", "revoke-honor"),
    *("request-act", "withdraw-request"),
}
_PLACES = {
    "found-organisation",
    "move-organisation",
    "end-organisation",
    "open-station",
    "close-station",
    "launch-project",
    "end-project",
}
_VOLUNTEER = {"dispute-shift"}
_NONE: set[str] = set()

COMMANDS_OF_ROLE: dict[Role, frozenset[str]] = {
    role: frozenset(types)
    for role, types in {
        Role.STATION: _STATION,
        Role.CORRECTOR: _CORRECTOR,
        Role.APPROVER: _APPROVER,
        Role.HONORS_OFFICER: _HONORS,
        Role.ANALYST: _NONE,
        Role.AUDITOR: _NONE,
        Role.READER: _NONE,
        Role.VOLUNTEER: _VOLUNTEER,
        Role.STAFF: _STATION | _CORRECTOR | _APPROVER | _HONORS | _PLACES,
        Role.ADMIN: set(COMMANDS),
    }.items()
}
"""The types of command each role may give."""

ROLES_OF_RIGHT: dict[Right, frozenset[Role]] = {
    Right.READ: frozenset(Role) - {Role.VOLUNTEER},
    Right.READ_OWN: frozenset(Role),
    Right.READ_TEXTS: frozenset(Role) - {Role.STATION, Role.ANALYST, Role.READER, Role.VOLUNTEER},
    Right.TRY_RULES: frozenset(Role) - {Role.STATION, Role.VOLUNTEER},
    Right.AUDIT: frozenset({Role.AUDITOR, Role.ADMIN}),
    Right.CHANGE_GENERATIONS: frozenset({Role.ADMIN}),
    Right.STOP_ANY_JOB: frozenset({Role.ADMIN}),
    Right.IMPORT: frozenset({Role.CORRECTOR, Role.STAFF, Role.ADMIN}),
}
"""The roles that have each right."""


class Forbidden(NamedTuple):
    """Why a key may not do what was asked: the field at fault, the rule, and the way out."""

    field: str
    rule: str
    remedy: str


class Permission:
    """What one caller may give, looked up once for many orders."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._types = COMMANDS_OF_ROLE[caller.role]
        self._station = caller.name if caller.role is Role.STATION else None
        self._volunteer = caller.name if caller.role is Role.VOLUNTEER else None
        self._own_source = _own_source(caller)

    def forbids(self, order: Order, *, named_by_caller: bool) -> Forbidden | None:
        """Say why the caller may not give this order, if so."""
        return (
            self._forbids_command(order.command)
            or (forbids_right(self._caller, Right.IMPORT) if order.imported else None)
            or (self._forbids_name(order.source) if named_by_caller and self._own_source else None)
        )

    def _forbids_command(self, command: Command) -> Forbidden | None:
        if command.TYPE not in self._types:
            return forbids_type(self._caller, command.TYPE)
        if self._station and isinstance(command, CheckIn | CheckOut | CountPeopleServed):
            if command.station != self._station:
                rule = f"this key is station {self._station}'s, not {command.station}'s"
                return Forbidden("station", rule, "name the key's own station")
        elif self._volunteer and isinstance(command, DisputeShift):
            if command.volunteer != self._volunteer:
                rule = f"this key is volunteer {self._volunteer}'s, not {command.volunteer}'s"
                return Forbidden("volunteer", rule, "name the key's own volunteer")
        elif isinstance(command, RequestAct) and command.act not in self._types:
            others = [role for role in Role if {command.act, command.TYPE} <= COMMANDS_OF_ROLE[role]]
            rule = f"a {self._caller.role} key may not ask to {_in_words(command.act)}"
            return Forbidden("act", rule, f"use {_one_of(others)}")
        return None

    def _forbids_name(self, source: str) -> Forbidden | None:
        """A name is used once, and a station must not use up another's, nor must a volunteer."""
        own = self._own_source
        if own is None or source == own or source.startswith(own + "/"):
            return None
        who = self._caller.role.value
        return Forbidden("source", f"a {who} names events under {own}", f"use {own}, or a path below it, as source")


def _own_source(caller: Caller) -> str | None:
    """Return under what a caller has to name its events, where that is not free."""
    match caller.role:
        case Role.STATION:
            return f"/stations/{caller.name}"
        case Role.VOLUNTEER:
            return f"/volunteers/{caller.name}"
        case _:
            return None


def forbids_type(caller: Caller, command_type: str) -> Forbidden | None:
    """Say why this caller may not give commands of this type at all, if so."""
    if command_type in COMMANDS_OF_ROLE[caller.role]:
        return None
    others = [role for role in Role if command_type in COMMANDS_OF_ROLE[role]]
    return Forbidden("command", f"a {caller.role} key may not {_in_words(command_type)}", f"use {_one_of(others)}")


def forbids_right(caller: Caller, right: Right) -> Forbidden | None:
    """Say why this caller may not do this, if so."""
    roles = ROLES_OF_RIGHT[right]
    if caller.role in roles:
        return None
    field = "imported" if right is Right.IMPORT else "role"
    remedy = f"use {_one_of([role for role in Role if role in roles])}"
    return Forbidden(field, f"a {caller.role} key may not {right}", remedy)


_OWN_PATHS = re.compile(
    r"/v1/volunteers/(?P<volunteer>[^/]+)(/overview|/explanation|/history|/shifts(/[^/]+/events)?)?"
)
"""What a volunteer may read. Ranks are not among it: they name others."""


def forbids_address(caller: Caller, method: str, path: str) -> Forbidden | None:
    """Say why this caller may not ask for an address at all, if so: a volunteer's key opens nothing that is not named
    here. Commands are looked at one by one.
    """
    if caller.role is not Role.VOLUNTEER:
        return None
    if method == "POST" and (path == "/v1/events" or path.startswith("/v1/commands/")):
        return None
    own = _OWN_PATHS.fullmatch(path)
    if method in {"GET", "HEAD"} and own is not None and own["volunteer"] == caller.name:
        return None
    own_view = f"/v1/volunteers/{caller.name}/overview"
    return Forbidden("role", f"a volunteer's key opens what is about {caller.name} alone", f"ask for {own_view}")


def _in_words(command_type: str) -> str:
    return command_type.replace("-", " ")


def _one_of(roles: list[Role]) -> str:
    *most, last = roles
    return f"a key of role {', '.join(most) + ' or ' if most else ''}{last}"
