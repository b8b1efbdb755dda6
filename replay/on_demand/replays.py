"""Replays in memory: the rows of all read models under any axes, with a cache of the latest ones.

A replay of a whole district takes seconds and, temporarily, gigabytes of memory; its rows take about sixty megabytes
(120,000 volunteers). So only one replay runs at a time, and up to `CACHE_BYTES_MAX` of rows are cached.
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
from replay.progress import checkpoint
from replay.published import Rules

CACHE_BYTES_MAX = 256 << 20
"""Memory for cached rows: four replays of a district."""

_Key = tuple[int, int, str]


class Replays:
    """Replays of one ledger's archive."""

    def __init__(self, database: Database, archive: Archive, cache_bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._database = database
        self._archive = archive
        self._cache: ResultCache[_Key, Rows] = ResultCache(lambda rows: sum(map(_bytes, rows)) > cache_bytes_max)

    def rows(self, known_at: Position, rules: Rules, valid_until: int) -> Rows:
        """Return the rows of all read models, of results dated up to the day `valid_until`.

        Raises:
            replay.archive.archive.ArchiveError: the archive cannot be read.
        """
        key = int(known_at), valid_until, rules.digest
        return self._cache.get(key, lambda: replay(self.facts(known_at), rules, valid_until=valid_until))

    def facts(self, known_at: Position) -> Facts:
        """Return the facts as known at a position, from the archive, which first catches up to it."""
        checkpoint()
        return self._archive.facts_from(self._database, known_at)


def _bytes(rows: Rows) -> int:
    """Return the memory of rows. Names are shared between rows and count as one pointer each."""
    return sum(np.asarray(column).nbytes for column in rows)
