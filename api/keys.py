"""API keys: who is calling, and what a role may do.

A key is a random token. The table holds its SHA-256 alone, so whoever reads the database learns no key. Every request
looks its key up, so a revoked key is refused from the next request on.

    station   check-ins, check-outs and people served, of its own station, under names of its own; and reading
    reader    reading
    staff     every command but the publishing of rules; and reading
    admin     everything

Nothing here speaks HTTP.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from psycopg.rows import class_row

from ledger.commands import CheckIn, CheckOut, Command, CountPeopleServed, PublishRules
from ledger.log import Pool

SCHEMA = Path(__file__).with_name("keys.sql")
SCHEMA_LOCK = 0x6B657973  # "keys"
TOKEN_PREFIX = "hours_"  # noqa: S105 - it lets a leaked key be recognised, and is no secret


class Role(StrEnum):
    """What a key is for."""

    STATION = "station"
    STAFF = "staff"
    READER = "reader"
    ADMIN = "admin"


class Caller(NamedTuple):
    """Whose key a request carries. `name`: the station's id, or a person's name."""

    role: Role
    name: str

    @property
    def by(self) -> str:
        """Who did it, as events say."""
        return f"station:{self.name}" if self.role is Role.STATION else f"person:{self.name}"


class Key(NamedTuple):
    """A key without its token, which nobody knows but its holder."""

    id: int
    role: str
    name: str
    made_at: datetime
    revoked_at: datetime | None


class UnknownKeyError(LookupError):
    """No key has this id."""


class Keys:
    """The keys of one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create_table(self) -> None:
        """Make the table where it is missing."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            connection.execute("SET LOCAL client_min_messages = warning")
            connection.execute(SCHEMA.read_bytes())

    def make(self, role: Role, name: str) -> tuple[Key, str]:
        """Make a key; return it and its token, which is told this once."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
            key = cursor.execute(
                "INSERT INTO api.keys (role, name, digest) VALUES (%s, %s, %s) "
                "RETURNING id, role, name, made_at, revoked_at",
                (role.value, name, _digest(token)),
            ).fetchone()
        if key is None:
            raise RuntimeError("the key was not kept")
        return key, token

    def list(self) -> list[Key]:
        """Return all keys, the oldest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
            return cursor.execute("SELECT id, role, name, made_at, revoked_at FROM api.keys ORDER BY id").fetchall()

    def revoke(self, key: int) -> None:
        """Refuse a key from now on; to revoke it again changes nothing.

        Raises:
            UnknownKeyError
        """
        with self._pool.connection() as connection:
            changed = connection.execute(
                "UPDATE api.keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %s", (key,)
            )
        if not changed.rowcount:
            raise UnknownKeyError(f"no key has the id {key}: `hours keys list` shows them")

    def caller(self, token: str) -> Caller | None:
        """Return whose key a token is; nobody's when it is unknown or revoked."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT role, name FROM api.keys WHERE digest = %s AND revoked_at IS NULL", (_digest(token),)
            ).fetchone()
        return Caller(Role(row[0]), row[1]) if row else None


def _digest(token: str) -> bytes:
    """A key has 256 random bits, so a plain digest is as good as a slow one."""
    return sha256(token.encode()).digest()


# --- what a role may do ---------------------------------------------------------------------------------------------


class Forbidden(NamedTuple):
    """Why a key may not do what was asked: the field at fault, the rule, and the way out."""

    field: str
    rule: str
    remedy: str


def forbids(caller: Caller, command: Command) -> Forbidden | None:
    """Say why this caller may not give this command, if so."""
    match caller.role:
        case Role.READER:
            return Forbidden("command", "a reader key may only read", "use a station, staff or admin key")
        case Role.STATION:
            return _forbids_station(caller.name, command)
        case Role.STAFF if isinstance(command, PublishRules):
            return Forbidden("command", "only an admin key may publish rules", "use an admin key")
        case Role.STAFF | Role.ADMIN:
            return None


def _forbids_station(station: str, command: Command) -> Forbidden | None:
    if not isinstance(command, CheckIn | CheckOut | CountPeopleServed):
        rule = "a station key may only check in, check out and count people served"
        return Forbidden("command", rule, "use a staff key")
    if command.station != station:
        rule = f"this key is station {station}'s, not {command.station}'s"
        return Forbidden("station", rule, "name the key's own station")
    return None


def forbids_name(caller: Caller, source: str) -> Forbidden | None:
    """Say why this caller may not name a command so: a name is used once, and a station must not use up another's."""
    own = f"/stations/{caller.name}"
    if caller.role is Role.STATION and source != own and not source.startswith(own + "/"):
        return Forbidden(
            "source", f"a station names its events under {own}", f"use {own}, or a path below it, as source"
        )
    return None


def forbids_import(caller: Caller) -> Forbidden | None:
    """Say why this caller may not mark events as old records, which are never late."""
    if caller.role in {Role.STAFF, Role.ADMIN}:
        return None
    return Forbidden("imported", "only staff may bring in old records", "leave `imported` out, or use a staff key")
