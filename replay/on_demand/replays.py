"""Replays in memory: the rows of all read models under any axes, and the last of them kept for the next question.

A replay of a whole district takes seconds and gigabytes for a moment; its rows are some sixty megabytes (120,000
volunteers). So one replay runs at a time, and rows are kept up to `KEPT_BYTES_MAX`, those longest unused dropped first.
Positions never change what they mean, and rules are named by their digest: what is kept never goes stale.
"""

from __future__ import annotations

import numpy as np

from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.facts import Facts
from replay.archive.archive import Archive
from replay.generations.named_rows import Rows
from replay.generations.rebuild import replay
from replay.on_demand.cache import ResultCache
from replay.published import Rules

KEPT_BYTES_MAX = 256 << 20
"""Memory for rows that are kept: four replays of a district."""

_Key = tuple[int, int, str]


class Replays:
    """Replays of one ledger's archive."""

    def __init__(self, database: Database, archive: Archive, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._database = database
        self._archive = archive
        self._kept: ResultCache[_Key, Rows] = ResultCache(lambda kept: sum(map(_bytes, kept)) > kept_bytes_max)

    def rows(self, known_at: Position, rules: Rules, valid_until: int) -> Rows:
        """Return the rows of all read models, of results dated up to the day `valid_until`.

        Raises:
            replay.archive.archive.ArchiveError: the archive cannot be read.
        """
        key = int(known_at), valid_until, rules.digest
        return self._kept.of(key, lambda: replay(self.facts(known_at), rules, valid_until=valid_until))

    def facts(self, known_at: Position) -> Facts:
        """Return the facts as known at a position, from the archive, which is brought up to it."""
        return self._archive.facts_from(self._database, known_at)


def _bytes(rows: Rows) -> int:
    """Return what rows take; their names are shared with one another and count as a pointer each."""
    return sum(np.asarray(column).nbytes for column in rows)
