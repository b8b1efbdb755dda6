"""The ledger's tables, and the steps that upgrade older ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg.rows import scalar_row

from ledger.store.upgrading import Part, upgrade_tables

_STEPS = ("schema.sql", *(f"schema_{number}.sql" for number in range(2, 11)))
PART = Part("ledger", tuple(Path(__file__).with_name(name) for name in _STEPS))


def create_tables(connection: Connection[Any]) -> None:
    """Create missing tables of the ledger, and upgrade older ones to this version.

    Raises:
        ledger.store.upgrading.NewerDatabaseError: a newer version of this program has used the database.
    """
    upgrade_tables(connection, PART)


class NoLedgerError(Exception):
    """There is no ledger where one was expected; nothing was created.

    Args:
        where: the data directory, or the database's URL without its password.
        remedy: how to name a ledger that exists; how to make one is added.
    """

    def __init__(self, where: str, remedy: str) -> None:
        super().__init__(f"no ledger here: {where}; {remedy}, or make a ledger here with `hours init`")


def holds_ledger(connection: Connection[Any]) -> bool:
    """Return whether a database has the tables of a ledger, of whatever version."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute("SELECT to_regclass('ledger.stored_events')").fetchone() is not None
