"""Candidates: rule timelines that are not published, kept by their digest so that any read can name them.

They are checked before they are kept. Only the latest are kept: whoever still wants an older one posts it again, and
its digest is the same. Nothing here speaks HTTP.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from psycopg.rows import class_row

from ledger.store.pool import Pool
from ledger.store.upgrading import Part, bring_up
from projections.rules.checking import require_sound
from projections.rules.timeline import rules_digest
from replay.published import Rules

PART = Part("candidates", (Path(__file__).with_name("candidates.sql"),))
KEPT_MAX: Final = 1_000
"""Each is a megabyte at most; a federation tries out a few."""


class Candidate(NamedTuple):
    """A candidate without its text: who posted it last, and when."""

    digest: str
    by: str
    kept_at: datetime


class Candidates:
    """The candidates of one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create_table(self) -> None:
        """Make the table where it is missing."""
        with self._pool.connection() as connection:
            bring_up(connection, PART)

    def keep(self, text: str, by: str) -> Rules:
        """Check a candidate and keep it.

        Raises:
            projections.rules.errors.RulesError: with all findings that are errors.
        """
        require_sound(text)
        digest = rules_digest(text)
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(
                "INSERT INTO api.rule_candidates (digest, text, by) VALUES (%s, %s, %s) "
                "ON CONFLICT (digest) DO UPDATE SET by = EXCLUDED.by, kept_at = now()",
                (digest, text, by),
            )
            connection.execute(
                "DELETE FROM api.rule_candidates WHERE digest IN "
                "(SELECT digest FROM api.rule_candidates ORDER BY kept_at DESC, digest OFFSET %s)",
                (KEPT_MAX,),
            )
        return Rules(0, digest, text)

    def find(self, digest: str) -> Rules | None:
        """Return a candidate by its digest, if it is kept."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT text FROM api.rule_candidates WHERE digest = %s", (digest,)).fetchone()
        return Rules(0, digest, row[0]) if row else None

    def list(self) -> list[Candidate]:
        """Return those that are kept, the latest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Candidate)) as cursor:
            return cursor.execute(
                "SELECT digest, by, kept_at FROM api.rule_candidates ORDER BY kept_at DESC, digest"
            ).fetchall()
