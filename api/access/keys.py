"""API keys: creating, listing, revoking and finding them.

A key is a random token. The table holds only its SHA-256, so reading the database discloses no key. A key may have an
expiry; a revoked or expired key is refused from the next request on. The rights of a key's role are in
`api/access/roles.py`.

This module does not depend on HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from psycopg.rows import class_row

from api.access.roles import Caller, Role
from ledger.store.pool import Pool
from ledger.store.upgrading import Part, upgrade_tables

_STEPS = ("keys.sql", "keys_volunteer.sql", "keys_import.sql")
PART = Part("keys", tuple(Path(__file__).with_name(name) for name in _STEPS))
TOKEN_PREFIX = "hours_"  # noqa: S105 - no secret: it makes a leaked key recognisable
CHANNEL = "api_keys"
"""The PostgreSQL channel that is notified of every change of the table of keys."""


class Key(NamedTuple):
    """A key without its token, which only its holder has. `per_second`: the rate, if the key has its own limit;
    `volunteer`: the number of its holder, if that is a volunteer; `used_at`: the last use, to about a minute;
    `import_source`, `import_until`: the import that it was given.
    """

    id: int
    role: str
    name: str
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    per_second: int | None
    public_key: bytes | None
    must_sign: bool
    volunteer: str | None
    import_source: str | None
    import_until: datetime | None
    used_at: datetime | None


class Import(NamedTuple):
    """An import that a key is given: only under this source, and only until this instant, may it mark old records."""

    source: str
    until: datetime


class ActiveKey(NamedTuple):
    """A key that is not revoked: its caller, its expiry and that of its import, in epoch seconds."""

    caller: Caller
    expires_at: float | None
    import_until: float | None

    def caller_at(self, now: float) -> Caller | None:
        """Return the caller as of an instant; None if the key has expired."""
        if self.expires_at is not None and self.expires_at <= now:
            return None
        if self.import_until is not None and self.import_until <= now:
            return self.caller._replace(imports=None)
        return self.caller


class UnknownKeyError(LookupError):
    """No key has this id."""


class SigningError(ValueError):
    """A key with this role cannot sign."""


_COLUMNS = (
    "id, role, name, made_at, expires_at, revoked_at, per_second, public_key, must_sign, volunteer, "
    "import_source, import_until, "
    "(SELECT used_at FROM api.key_uses WHERE key = id) AS used_at"
)


class Keys:
    """The keys of one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create_table(self) -> None:
        """Create the table if it is missing, or upgrade it."""
        with self._pool.connection() as connection:
            upgrade_tables(connection, PART)

    def make(
        self,
        role: Role,
        name: str,
        expires_at: datetime | None = None,
        per_second: int | None = None,
        volunteer: str | None = None,
        imports: Import | None = None,
    ) -> tuple[Key, str]:
        """Create a key; return it and its token, which cannot be retrieved later."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
            key = cursor.execute(
                "INSERT INTO api.keys (role, name, digest, expires_at, per_second, volunteer, "  # noqa: S608 - the columns are constants
                "import_source, import_until) "
                f"VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}",
                (role.value, name, digest(token), expires_at, per_second, volunteer, *(imports or (None, None))),
            ).fetchone()
        if key is None:
            raise RuntimeError("the key was not stored")
        return key, token

    def list(self) -> list[Key]:
        """Return all keys, the oldest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
            return cursor.execute(f"SELECT {_COLUMNS} FROM api.keys ORDER BY id").fetchall()  # noqa: S608 - the columns are constants

    def revoke(self, key: int) -> None:
        """Revoke a key; revoking it again changes nothing.

        Raises:
            UnknownKeyError: no key has this id.
        """
        with self._pool.connection() as connection:
            changed = connection.execute(
                "UPDATE api.keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %s", (key,)
            )
        if not changed.rowcount:
            raise UnknownKeyError(f"no key has the id {key}: `hours keys list` shows them")

    def sign_with(self, key: int, public_key: bytes, *, required: bool) -> None:
        """Register the public key with which requests of an API key are signed.

        Args:
            key: the id of a station's API key.
            public_key: the 32 bytes of an Ed25519 public key.
            required: whether every request except reads must be signed.

        Raises:
            UnknownKeyError: no key has this id.
            SigningError: it is not a station's key.
        """
        with self._pool.connection() as connection, connection.transaction():
            row = connection.execute("SELECT role FROM api.keys WHERE id = %s FOR UPDATE", (key,)).fetchone()
            if row is None:
                raise UnknownKeyError(f"no key has the id {key}: `hours keys list` shows them")
            if row[0] != Role.STATION:
                raise SigningError(f"key {key} has the role {row[0]}; only keys of stations can sign")
            connection.execute(
                "UPDATE api.keys SET public_key = %s, must_sign = %s WHERE id = %s", (public_key, required, key)
            )

    def note_uses(self, uses: Mapping[int, float]) -> None:
        """Store when keys were last used, in epoch seconds by key id; a later time already stored stays."""
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO api.key_uses (key, used_at) VALUES (%s, to_timestamp(%s)) "
                "ON CONFLICT (key) DO UPDATE SET used_at = greatest(key_uses.used_at, excluded.used_at)",
                sorted(uses.items()),
            )

    def find(self, token_digest: bytes) -> ActiveKey | None:
        """Return the key whose token has this digest, or None if it is unknown or revoked."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT role, name, id, per_second, public_key, must_sign, volunteer, import_source, "
                "extract(epoch FROM expires_at)::float8, extract(epoch FROM import_until)::float8 "
                "FROM api.keys WHERE digest = %s AND revoked_at IS NULL",
                (token_digest,),
            ).fetchone()
        return ActiveKey(Caller(Role(row[0]), *row[1:8]), *row[8:]) if row else None


def digest(token: str) -> bytes:
    """Return the digest stored for a token. A token has 256 random bits, so a fast hash is as safe as a slow one."""
    return sha256(token.encode()).digest()
