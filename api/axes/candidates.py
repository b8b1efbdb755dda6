"""Candidates: unpublished rule timelines, stored by their digest so that any read can name them.

They are checked before they are stored. Only the latest are retained: an older one can be posted again, and has the
same digest. This module does not depend on HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from psycopg.rows import class_row

from ledger.store.pool import Pool
from ledger.store.upgrading import Part, upgrade_tables
from projections.rules.checking import require_no_errors
from projections.rules.errors import Finding
from projections.rules.timeline import rules_digest
from replay.published import Rules

PART = Part("candidates", (Path(__file__).with_name("candidates.sql"),))
CANDIDATES_MAX: Final = 1_000
"""Each is a megabyte at most; a federation tries out a few."""


class Candidate(NamedTuple):
    """A candidate without its text: its digest, who posted it last, and when."""

    digest: str
    by: str
    kept_at: datetime


class Candidates:
    """The candidates of one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create_table(self) -> None:
        """Create the table if it is missing, or upgrade it."""
        with self._pool.connection() as connection:
            upgrade_tables(connection, PART)

    def store(self, text: str, by: str, findings: Sequence[Finding]) -> Rules:
        """Store a candidate; return it as rules of version 0.

        Args:
            findings: the findings of `check_rules` about the text.

        Raises:
            projections.rules.errors.RulesError: with all findings that are errors.
        """
        require_no_errors(findings)
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
                (CANDIDATES_MAX,),
            )
        return Rules(0, digest, text)

    def find(self, digest: str) -> Sequence[Rules]:
        """Return the candidates whose digests begin with some hex digits."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                "SELECT digest, text FROM api.rule_candidates WHERE starts_with(digest, %s)", (digest,)
            ).fetchall()
        return [Rules(0, *row) for row in rows]

    def list(self) -> list[Candidate]:
        """Return the stored candidates, the latest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Candidate)) as cursor:
            return cursor.execute(
                "SELECT digest, by, kept_at FROM api.rule_candidates ORDER BY kept_at DESC, digest"
            ).fetchall()
