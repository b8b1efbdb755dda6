"""API keys: made, listed, revoked, looked up.

A key is a random token. The table holds its SHA-256 alone, so whoever reads the database learns no key. A key may end
by itself; a revoked or ended key is refused from the next request on. What a key's role may do is in
`api/access/roles.py`.

Nothing here speaks HTTP.
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
from ledger.store.upgrading import Part, bring_up

PART = Part("keys", tuple(Path(__file__).with_name(name) for name in ("keys.sql", "keys_volunteer.sql")))
TOKEN_PREFIX = "hours_"  # noqa: S105 - it lets a leaked key be recognised, and is no secret
CHANNEL = "api_keys"
"""Notified on every change of the table of keys."""


class Key(NamedTuple):
    """A key without its token, which nobody knows but its holder. `per_second`: requests, where the key has a limit;
    `volunteer`: which one its holder is, where that is a volunteer; `used_at`: its last use, give or take a minute.
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
    used_at: datetime | None


class Found(NamedTuple):
    """A key that is not revoked: whose it is, and when it ends, in epoch seconds."""

    caller: Caller
    expires_at: float | None


class UnknownKeyError(LookupError):
    """No key has this id."""


class SigningError(ValueError):
    """This key may not sign."""


_COLUMNS = (
    "id, role, name, made_at, expires_at, revoked_at, per_second, public_key, must_sign, volunteer, "
    "(SELECT used_at FROM api.key_uses WHERE key = id) AS used_at"
)


class Keys:
    """The keys of one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create_table(self) -> None:
        """Make the table where it is missing, and bring an older one up to date."""
        with self._pool.connection() as connection:
            bring_up(connection, PART)

    def make(
        self,
        role: Role,
        name: str,
        expires_at: datetime | None = None,
        per_second: int | None = None,
        volunteer: str | None = None,
    ) -> tuple[Key, str]:
        """Make a key; return it and its token, which is told this once."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
            key = cursor.execute(
                "INSERT INTO api.keys (role, name, digest, expires_at, per_second, volunteer) "
                f"VALUES (%s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}",
                (role.value, name, digest(token), expires_at, per_second, volunteer),
            ).fetchone()
        if key is None:
            raise RuntimeError("the key was not kept")
        return key, token

    def list(self) -> list[Key]:
        """Return all keys, the oldest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
            return cursor.execute(f"SELECT {_COLUMNS} FROM api.keys ORDER BY id").fetchall()

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

    def sign_with(self, key: int, public_key: bytes, *, required: bool) -> None:
        """Let requests with a key be signed; where that is required, take none that is not.

        Args:
            key: the number of a station's key.
            public_key: the 32 bytes of an Ed25519 public key.
            required: whether every request that is no reading has to be signed.

        Raises:
            UnknownKeyError
            SigningError: it is no station's.
        """
        with self._pool.connection() as connection, connection.transaction():
            row = connection.execute("SELECT role FROM api.keys WHERE id = %s FOR UPDATE", (key,)).fetchone()
            if row is None:
                raise UnknownKeyError(f"no key has the id {key}: `hours keys list` shows them")
            if row[0] != Role.STATION:
                raise SigningError(f"key {key} is of role {row[0]}; only the keys of stations sign")
            connection.execute(
                "UPDATE api.keys SET public_key = %s, must_sign = %s WHERE id = %s", (public_key, required, key)
            )

    def note_uses(self, uses: Mapping[int, float]) -> None:
        """Note when keys were last used, in epoch seconds; a later use that is known stays."""
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO api.key_uses (key, used_at) VALUES (%s, to_timestamp(%s)) "
                "ON CONFLICT (key) DO UPDATE SET used_at = greatest(key_uses.used_at, excluded.used_at)",
                sorted(uses.items()),
            )

    def find(self, token_digest: bytes) -> Found | None:
        """Return the key whose token has this digest, unless it is unknown or revoked."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT role, name, id, per_second, public_key, must_sign, volunteer, "
                "extract(epoch FROM expires_at)::float8 "
                "FROM api.keys WHERE digest = %s AND revoked_at IS NULL",
                (token_digest,),
            ).fetchone()
        return Found(Caller(Role(row[0]), *row[1:7]), row[7]) if row else None


def digest(token: str) -> bytes:
    """Return what is kept of a token: it has 256 random bits, so a plain digest is as good as a slow one."""
    return sha256(token.encode()).digest()
