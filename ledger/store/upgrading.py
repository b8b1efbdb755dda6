"""Upgrades of databases created by older versions of this program.

Tables belong to parts (`ledger`, `replay`, and so on). A part has a version, which the database stores, and steps: SQL
files in order, of which the nth upgrades the part from version n - 1 to n. Opening a ledger runs the missing steps, all
of a part's in one transaction under one lock, so a killed upgrade leaves the old version or the new one. For a database
of this version, opening costs one query and no lock.

The first step runs on an empty database, and on one from before versions were introduced (up to November 2026): it
creates what is missing and leaves the rest. Later steps run once. A released step is never edited; to change a table,
add a step. Steps may change tables and personal data, but never rewrite bytes of the log: older events are converted on
reading (`ledger/store/mapper.py`). A new kind of event needs an empty step, so that an older program refuses the ledger
instead of failing at the first such event.

Errors: `NewerDatabaseError`, whose message says what to do.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg.rows import scalar_row

STEPS_LOCK = 0x736368656D61  # "schema"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Tables that are created and upgraded together. `steps`: the nth file upgrades from version n - 1 to n."""

    name: str
    steps: tuple[Path, ...]

    @property
    def version(self) -> int:
        """The version that this program needs."""
        return len(self.steps)


class NewerDatabaseError(Exception):
    """A newer version of this program has changed the tables."""

    def __init__(self, part: Part, version: int) -> None:
        super().__init__(
            f"a newer version of this program has used this database: its tables `{part.name}` have version {version}, "
            f"this program supports {part.version}; install the newer version again, or restore a backup from before "
            f"the upgrade to another data directory"
        )


def version_of(connection: Connection[Any], part: Part) -> int:
    """Return the version of a part in a database; 0 if it does not exist, or predates versions."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        if cursor.execute("SELECT to_regclass('ledger.parts')").fetchone() is None:
            return 0
        return cursor.execute("SELECT version FROM ledger.parts WHERE part = %s", (part.name,)).fetchone() or 0


def upgrade_tables(connection: Connection[Any], part: Part) -> None:
    """Create a part's missing tables, and upgrade older ones to this program's version.

    If two processes start at once, one waits for the other.

    Raises:
        NewerDatabaseError: the tables are newer than this program; nothing was changed.
    """
    version = version_of(connection, part)
    if version < part.version:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (STEPS_LOCK,))
            version = version_of(connection, part)  # another process may have upgraded it meanwhile
            run_steps(connection, part, version, part.version)
    if version > part.version:
        raise NewerDatabaseError(part, version)


def run_steps(connection: Connection[Any], part: Part, since: int, until: int) -> None:
    """Upgrade a part from one version to a later one, in the caller's transaction."""
    if since >= until:
        return
    connection.execute("SET LOCAL client_min_messages = warning")  # suppresses "already exists, skipping"
    for step in part.steps[since:until]:
        connection.execute(step.read_bytes())
    connection.execute(_TABLE)
    connection.execute(_SET_VERSION, (part.name, until))
    fields = {"part": part.name, "from": since, "to": until}
    logger.info("tables were created or upgraded", extra={"fields": fields})


_TABLE = """
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE TABLE IF NOT EXISTS ledger.parts (
    part text PRIMARY KEY,
    version int NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
"""
_SET_VERSION = """
INSERT INTO ledger.parts (part, version) VALUES (%s, %s)
ON CONFLICT (part) DO UPDATE SET version = excluded.version, since = excluded.since
"""
