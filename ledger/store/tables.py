"""The ledger's tables, and the steps that upgrade older ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import Connection

from ledger.store.upgrading import Part, upgrade_tables

_STEPS = ("schema.sql", "schema_2.sql", "schema_3.sql", "schema_4.sql", "schema_5.sql")
PART = Part("ledger", tuple(Path(__file__).with_name(name) for name in _STEPS))


def create_tables(connection: Connection[Any]) -> None:
    """Create missing tables of the ledger, and upgrade older ones to this version.

    Raises:
        ledger.store.upgrading.NewerDatabaseError: a newer version of this program has used the database.
    """
    upgrade_tables(connection, PART)
