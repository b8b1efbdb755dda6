"""Durability: whether what PostgreSQL has committed survives a crash, and what this program does to ensure it.

An answered command is on disk. PostgreSQL's settings decide whether a commit is:

    synchronous_commit   every connection turns it on, whatever the default of the server, the database or the role
    isolation            every connection uses READ COMMITTED, which the writers' lock needs
    fsync                only the server's operator can set it; without it nothing is accepted
    full_page_writes     the same; it is reported, because some file systems do without it
    data_sync_retry      the same; with it a failed write can be taken for a successful one
    unlogged tables      the same; a crash empties them

The environment variable HOURS_ACCEPT lists settings that the operator accepts as they are, separated by commas:
`HOURS_ACCEPT=full_page_writes`, or `HOURS_ACCEPT=fsync` for data that may be lost, such as those of tests.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from psycopg import Connection, OperationalError

ACCEPT = "HOURS_ACCEPT"
"""The environment variable that lists the accepted settings."""

SYNCHRONOUS = """
set_config('synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END,
    {})
"""
"""An expression that makes commits wait for the disk; stronger settings, for standbys, stay as they are."""

_ENSURE = f"SELECT {SYNCHRONOUS.format('false')}"
_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
_UNLOGGED = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname IN ('ledger', 'api') AND relkind = 'r' AND relpersistence <> 'p' ORDER BY 1
"""
_WRONG = {
    "fsync": ("off", "fsync is off: a crash of the machine loses recorded commands; set fsync = on in PostgreSQL"),
    "full_page_writes": (
        "off",
        "full_page_writes is off: a crash of the machine can damage the log; set full_page_writes = on in PostgreSQL",
    ),
    "data_sync_retry": (
        "on",
        "data_sync_retry is on: an error of the disk can lose commands; set data_sync_retry = off in PostgreSQL",
    ),
}
"""The settings that only the server's operator can change: the wrong value, and what it means."""


class UnsafeDatabaseError(OperationalError):
    """The database cannot keep what it commits, so nothing was recorded; the message says what to change."""


class Weakness(NamedTuple):
    """A setting with which committed data can be lost. `accepted`: the operator has accepted it."""

    setting: str
    sentence: str
    accepted: bool

    @property
    def refuses(self) -> bool:
        """Whether commands are refused because of it."""
        return self.setting == "fsync" and not self.accepted


def accepted_settings() -> frozenset[str]:
    """Return the settings that the operator accepts as they are."""
    return frozenset(name.strip() for name in os.environ.get(ACCEPT, "").split(",") if name.strip())


def ensure_synchronous(connection: Connection[Any]) -> None:
    """Make the commits of a connection wait for the disk, whatever the server's default."""
    connection.execute(_ENSURE)


def require_safe(fsync: str, isolation: str) -> None:
    """Require that a transaction will be on disk once it is committed.

    Args:
        fsync: the server's setting.
        isolation: the isolation level of the transaction.

    Raises:
        UnsafeDatabaseError: it will not be, and the operator has not accepted that.
    """
    if fsync != "on" and "fsync" not in accepted_settings():
        raise UnsafeDatabaseError(f"{_WRONG['fsync'][1]}, or accept it with {ACCEPT}=fsync")
    if isolation != "read committed":
        raise UnsafeDatabaseError(f"the log cannot be written in a transaction that is {isolation}")


def weaknesses(connection: Connection[Any]) -> list[Weakness]:
    """Return the settings of the server with which committed data can be lost."""
    accepted = accepted_settings()
    values = dict(connection.execute(_SETTINGS, (list(_WRONG),)).fetchall())
    found = [
        Weakness(name, f"{sentence}, or accept it with {ACCEPT}={name}", name in accepted)
        for name, (wrong, sentence) in _WRONG.items()
        if values.get(name) == wrong
    ]
    for (table,) in connection.execute(_UNLOGGED).fetchall():
        sentence = f"a crash empties the table {table}: run ALTER TABLE {table} SET LOGGED"
        found.append(Weakness("unlogged tables", sentence, accepted=False))
    return found
