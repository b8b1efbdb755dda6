"""The rights of each role: one table of commands and other rights. A test compares it with docs/access.md.

    station         records scans and people served, of its own station, with sources below /stations/<id>
    corrector       records of volunteers and shifts: late entries, corrections, disputes, balances, caps,
                    training, memberships, merges, people served, requests
    approver        approves or declines requests of others; answers and settles disputes
    honors-officer  announces, objects to, awards and revokes honours; issues and revokes certificates
    analyst         no commands; for trying out rules
    auditor         no commands; looks for anomalies, which no other role but admin sees
    reader          no commands; for programs that show hours
    volunteer       reads the records of one volunteer, whose number is the key's name, and disputes that one's shifts
    staff           the commands of corrector, approver and honors-officer, and those of organisations, stations and
                    projects
    admin           everything

A scan that a station's key sends is what a reader saw, and is credited as scanned; what a person types, whatever the
command, is attested. A key of role
corrector, staff or admin may be given one import for a time: with it, and only for that import, the key may mark events
as old records.

Every role but volunteer may read everything, under any published rules; free texts, anomalies and the directory of
persons need a right of their own. Rules that are not published are for those who write them and those who approve
them: analyst, approver, staff and admin. A volunteer reads under the rules in force. This module does not depend on
HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from ledger.aggregates import COMMANDS, Command, Order, Sender
from ledger.aggregates.dispute import DisputeShift
from ledger.aggregates.people_served import CountPeopleServed
from ledger.aggregates.request import RequestAct
from ledger.aggregates.scans import SCANS, Scan
from ledger.intake.prepare import Proof
from ledger.names import is_own_source


class Role(StrEnum):
    """The role of a key."""

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

    @property
    def a_key(self) -> str:
        """A key of this role in words, with the article of its sound."""
        return f"{'an' if self[0] in 'aeiou' or self == Role.HONORS_OFFICER else 'a'} {self} key"


class Right(StrEnum):
    """A right beside the commands; the value completes "a ... key may not"."""

    READ = "read"
    READ_OWN = "read one's own records"
    READ_TEXTS = "read free texts"
    LOOK_UP_PERSONS = "look up persons"
    READ_LOOKUPS = "read who looked up whom"
    CHOOSE_RULES = "read under other rules than those in force"
    TRY_RULES = "try out rules"
    AUDIT = "look for anomalies"
    CHANGE_GENERATIONS = "change generations"
    STOP_ANY_JOB = "stop any job"
    IMPORT = "mark events as old records, if the key was given an import"


class Caller(NamedTuple):
    """The holder of the key that a request carries. `name`: the station's id, the volunteer's number, or a person's
    name; `key`: the key's id.
    """

    role: Role
    name: str
    key: int | None = None
    per_second: int | None = None
    """The key's own limit of requests per second; None for the service's limit."""
    public_key: bytes | None = None
    """The registered Ed25519 public key, 32 bytes, if requests are signed."""
    must_sign: bool = False
    volunteer: str | None = None
    """The volunteer number of the key's holder, if that is a volunteer: nobody may act on their own hours."""
    imports: str | None = None
    """The source of the import for which the key may mark events as old records now, if there is one."""
    proof: Proof | None = None
    """The request's signature, if it has one; it is stored with what the request records."""

    @property
    def by(self) -> str:
        """The actor that events name in `by`."""
        return f"station:{self.name}" if self.role is Role.STATION else f"person:{self.name}"

    @property
    def sender(self) -> Sender:
        """The caller as the sender of orders."""
        return Sender(by=self.by, key=self.key, volunteer=self.volunteer)


_COUNTS = {"count-people-served"}
_STATION = SCANS | _COUNTS
_CORRECTOR = {
    *SCANS,
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
_CERTIFICATES = {"issue-certificate", "revoke-certificate"}
_PLACES = {
    "found-organisation",
    "rename-organisation",
    "move-organisation",
    "end-organisation",
    "open-station",
    "rename-station",
    "close-station",
    "launch-project",
    "rename-project",
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
        Role.HONORS_OFFICER: _HONORS | _CERTIFICATES,
        Role.ANALYST: _NONE,
        Role.AUDITOR: _NONE,
        Role.READER: _NONE,
        Role.VOLUNTEER: _VOLUNTEER,
        Role.STAFF: _CORRECTOR | _APPROVER | _HONORS | _CERTIFICATES | _PLACES,
        Role.ADMIN: set(COMMANDS),
    }.items()
}
"""The types of command each role may send."""

IMPORTED_COMMANDS = (
    "found-organisation",
    "open-station",
    "close-station",
    "launch-project",
    "end-project",
    "rename-station",
    "rename-project",
    "rename-organisation",
    "move-organisation",
    "end-organisation",
    "register-volunteer",
    "withdraw-volunteer",
    "join-organisation",
    "leave-organisation",
    "record-training",
    "record-opening-balance",
    "attest-shift",
    "punch",
    "raise-day-cap",
    "count-people-served",
)
"""In the order in which a new ledger needs them. Stations send scans; people make corrections and give honours."""

ROLES_OF_RIGHT: dict[Right, frozenset[Role]] = {
    Right.READ: frozenset(Role) - {Role.VOLUNTEER},
    Right.READ_OWN: frozenset(Role),
    Right.READ_TEXTS: frozenset(Role) - {Role.STATION, Role.ANALYST, Role.READER, Role.VOLUNTEER},
    Right.LOOK_UP_PERSONS: frozenset({Role.CORRECTOR, Role.HONORS_OFFICER, Role.STAFF, Role.ADMIN}),
    Right.READ_LOOKUPS: frozenset({Role.AUDITOR, Role.ADMIN}),
    Right.CHOOSE_RULES: frozenset(Role) - {Role.VOLUNTEER},
    Right.TRY_RULES: frozenset({Role.APPROVER, Role.ANALYST, Role.STAFF, Role.ADMIN}),
    Right.AUDIT: frozenset({Role.AUDITOR, Role.ADMIN}),
    Right.CHANGE_GENERATIONS: frozenset({Role.ADMIN}),
    Right.STOP_ANY_JOB: frozenset({Role.ADMIN}),
    Right.IMPORT: frozenset({Role.CORRECTOR, Role.STAFF, Role.ADMIN}),
}
"""The roles that have each right."""


class Forbidden(NamedTuple):
    """Why a request is not allowed: the field at fault, the rule, and the remedy."""

    field: str
    rule: str
    remedy: str


class Permission:
    """The rights of one caller to commands, computed once for many orders."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._types = COMMANDS_OF_ROLE[caller.role]
        self._station = caller.name if caller.role is Role.STATION else None
        self._volunteer = caller.name if caller.role is Role.VOLUNTEER else None
        self._own_source = _own_source(caller)

    def forbids(self, order: Order) -> Forbidden | None:
        """Return why the caller may not submit this order, or None."""
        return (
            self._forbids_command(order.command)
            or (self._forbids_import(order) if order.imported else None)
            or (self._forbids_name(order.source) if self._own_source else None)
        )

    def _forbids_import(self, order: Order) -> Forbidden | None:
        """Nobody calls a record old, and so exempt from approval, beyond the import that the key was given."""
        if forbidden := forbids_right(self._caller, Right.IMPORT):
            return forbidden
        own = self._caller.imports
        if own is None:
            remedy = "leave imported out, or have the operator make a key with --imports and --import-until"
            return Forbidden("imported", "this key was not given an import, or its time has ended", remedy)
        if order.command.TYPE not in IMPORTED_COMMANDS:
            rule = f"an old record cannot {_in_words(order.command.TYPE)}"
            return Forbidden("imported", rule, "leave imported out")
        if order.source != own:
            return Forbidden("source", f"this key was given the import {own}", f"use {own} as source")
        return None

    def _forbids_command(self, command: Command) -> Forbidden | None:
        if command.TYPE not in self._types:
            return forbids_type(self._caller, command.TYPE)
        if self._station and isinstance(command, Scan | CountPeopleServed):
            if command.station != self._station:
                rule = f"this key belongs to station {self._station}, not {command.station}"
                return Forbidden("station", rule, "name the key's own station")
        elif self._volunteer and isinstance(command, DisputeShift):
            if command.volunteer != self._volunteer:
                rule = f"this key belongs to volunteer {self._volunteer}, not {command.volunteer}"
                return Forbidden("volunteer", rule, "name the key's own volunteer")
        elif isinstance(command, RequestAct) and command.act not in self._types:
            others = [role for role in Role if {command.act, command.TYPE} <= COMMANDS_OF_ROLE[role]]
            rule = f"{self._caller.role.a_key} may not request to {_in_words(command.act)}"
            return Forbidden("act", rule, f"use {_one_of(others)}")
        return None

    def _forbids_name(self, source: str) -> Forbidden | None:
        """A name can be used once only, so stations and volunteers must not use names of others."""
        own = self._own_source
        if is_own_source(source, self._caller.by):
            return None
        rule = f"the source of events of this {self._caller.role.value} must begin with {own}"
        return Forbidden("source", rule, f"use {own}, or a path below it, as source")


def _own_source(caller: Caller) -> str | None:
    """Return the prefix of the sources a caller may use, or None if any is allowed."""
    match caller.role:
        case Role.STATION:
            return f"/stations/{caller.name}"
        case Role.VOLUNTEER:
            return f"/volunteers/{caller.name}"
        case _:
            return None


def forbids_type(caller: Caller, command_type: str) -> Forbidden | None:
    """Return why this caller may not send any command of this type, or None."""
    if command_type in COMMANDS_OF_ROLE[caller.role]:
        return None
    others = [role for role in Role if command_type in COMMANDS_OF_ROLE[role]]
    remedy = f"use {_one_of(others)}"
    if command_type in SCANS:
        remedy += "; a person enters a shift with attest-shift"
    return Forbidden("command", f"{caller.role.a_key} may not {_in_words(command_type)}", remedy)


def roles_of_commands(commands: Iterable[str]) -> list[str]:
    """Return the roles whose keys may send one of these commands."""
    types = set(commands)
    return [role.value for role in Role if types & COMMANDS_OF_ROLE[role]]


def forbids_right(caller: Caller, right: Right) -> Forbidden | None:
    """Return why this caller does not have a right, or None."""
    roles = ROLES_OF_RIGHT[right]
    if caller.role in roles:
        return None
    field = "imported" if right is Right.IMPORT else "role"
    remedy = f"use {_one_of([role for role in Role if role in roles])}"
    return Forbidden(field, f"{caller.role.a_key} may not {right}", remedy)


_OWN_PATHS = re.compile(
    r"/v1/volunteers/(?P<volunteer>[^/]+)(/overview|/explanation|/history|/statement|/certificates|/shifts(/[^/]+/events)?)?"
)
"""The addresses a volunteer may read. Ranks are not among them: they name other volunteers."""
_EVENT_PROOF = re.compile(r"/v1/events/[0-9]+/proof")


_CERTIFICATES_PATHS = re.compile(r"/v1/certificates/[0-9-]+(\.[a-z]+)?")
"""A certificate and its documents. The route compares the volunteer (`api/http/routes/certificates/reading.py`)."""


BOUND_TO_ADDRESSES = frozenset({Role.VOLUNTEER})
"""Roles whose keys may use some addresses only; rights decide about the others."""


def forbids_address(caller: Caller, method: str, path: str) -> Forbidden | None:
    """Return why this caller may not use an address at all, or None.

    A volunteer's key may use only the addresses named here; each command is checked on its own (`Permission`).
    """
    if caller.role not in BOUND_TO_ADDRESSES:
        return None
    if method == "POST" and (path == "/v1/events" or path.startswith("/v1/commands/")):
        return None
    if method in {"GET", "HEAD"} and _EVENT_PROOF.fullmatch(path):
        return None  # whose event it is, the route finds out
    own = _OWN_PATHS.fullmatch(path)
    if method in {"GET", "HEAD"} and own is not None and own["volunteer"] == caller.name:
        return None
    if method in {"GET", "HEAD"} and _CERTIFICATES_PATHS.fullmatch(path):
        return None
    own_view = f"/v1/volunteers/{caller.name}/overview"
    return Forbidden("role", f"this key opens only the records of volunteer {caller.name}", f"use {own_view}")


def _in_words(command_type: str) -> str:
    return command_type.replace("-", " ")


def _one_of(roles: list[Role]) -> str:
    *most, last = roles
    return f"a key of role {', '.join(most) + ' or ' if most else ''}{last}"
