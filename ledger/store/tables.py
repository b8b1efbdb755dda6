"""The ledger's tables, and the steps that lead older ones to this version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import Connection

from ledger.store.upgrading import Part, bring_up

PART = Part("ledger", tuple(Path(__file__).with_name(name) for name in ("schema.sql", "schema_2.sql")))


def create_tables(connection: Connection[Any]) -> None:
    """Make the ledger's tables where they are missing, and bring older ones up to this version.

    Raises:
        ledger.store.upgrading.NewerDatabaseError: a newer version of this program has used the database.
    """
    bring_up(connection, PART)
