"""Upgrading: how a database made by an older version of this program becomes one of this version.

Tables belong to parts (`ledger`, `replay`, and so on). A part has a version, a number that the database keeps for it,
and steps: SQL files in order, of which the nth leads from version n - 1 to n. Opening a ledger takes the steps that
are missing, all of a part's in one transaction under one lock: killed in the middle, it leaves the old or the new. A
database of this version costs one query and no lock.

The first step is run on an empty database, and on one of before there were versions (up to November 2026): it makes
what is missing and leaves what is there. Later steps run once. A step that has been released is never edited; to change
a table, add a step. Steps change tables and personal data at most: bytes of the log are never rewritten, and an older
event is understood through its upcaster (`ledger/store/mapper.py`). A new kind of event is a step as well, an empty
one, so that an older program refuses the ledger instead of stopping in the middle of it.

Errors: `NewerDatabaseError`, a sentence.
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
    """Tables that are made and changed together. `steps`: the nth file leads from version n - 1 to n."""

    name: str
    steps: tuple[Path, ...]

    @property
    def version(self) -> int:
        """The version this program works with."""
        return len(self.steps)


class NewerDatabaseError(Exception):
    """A newer version of this program has changed the tables."""

    def __init__(self, part: Part, version: int) -> None:
        super().__init__(
            f"a newer version of this program has used this database: its tables `{part.name}` have version {version}, "
            f"this program knows {part.version}; install the newer version again, or restore a backup that was made "
            f"before the upgrade to another data directory"
        )


def version_of(connection: Connection[Any], part: Part) -> int:
    """Return the version of a part in a database; 0 if it is not there, or of before there were versions."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        if cursor.execute("SELECT to_regclass('ledger.parts')").fetchone() is None:
            return 0
        return cursor.execute("SELECT version FROM ledger.parts WHERE part = %s", (part.name,)).fetchone() or 0


def bring_up(connection: Connection[Any], part: Part) -> None:
    """Make a part's tables where they are missing, and bring older ones up to this program's version.

    Of two processes that begin at once one waits for the other.

    Raises:
        NewerDatabaseError: they are newer than this program; nothing was changed.
    """
    version = version_of(connection, part)
    if version < part.version:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (STEPS_LOCK,))
            version = version_of(connection, part)  # somebody may have been quicker
            take_steps(connection, part, version, part.version)
    if version > part.version:
        raise NewerDatabaseError(part, version)


def take_steps(connection: Connection[Any], part: Part, since: int, until: int) -> None:
    """Lead a part from one version to a later one, in the caller's transaction."""
    if since >= until:
        return
    connection.execute("SET LOCAL client_min_messages = warning")  # "already exists, skipping" is no news
    for step in part.steps[since:until]:
        connection.execute(step.read_bytes())
    connection.execute(_TABLE)
    connection.execute(_NOTE, (part.name, until))
    fields = {"part": part.name, "from": since, "to": until}
    logger.info("tables were made or brought up to this version", extra={"fields": fields})


_TABLE = """
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE TABLE IF NOT EXISTS ledger.parts (
    part text PRIMARY KEY,
    version int NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
"""
_NOTE = """
INSERT INTO ledger.parts (part, version) VALUES (%s, %s)
ON CONFLICT (part) DO UPDATE SET version = excluded.version, since = excluded.since
"""
