"""Catching up: bring a generation from one position to a later one by writing only the rows that differ.

The rows of both positions are computed and compared by the hashes that also make up the checksum, so nothing here
depends on which events change which rows. This module writes rows; it neither computes rows nor moves the pointer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from psycopg import sql

from projections.schema import Words
from replay.generations import store
from replay.generations.named_rows import KEYS, Rows

_REMOVED = "catching_up_gone"


def patch(
    connection: store.AnyConnection, generation: store.Generation, old: Rows, new: Rows, position: int
) -> tuple[store.Generation, set[str]]:
    """Replace the rows `old` of a generation by `new` and move it to `position`, in the caller's transaction. Return
    the generation and the volunteers whose rows changed.
    """
    changed: set[str] = set()
    old_hashes, new_hashes = old.hashes(), new.hashes()
    old_tables, new_tables = old.tables(), new.tables()
    for name, table in new_tables.items():
        target = sql.Identifier(generation.schema, name)
        removed = _without(old_tables[name], old_hashes[name], new_hashes[name])
        added = _without(table, new_hashes[name], old_hashes[name])
        _delete(connection, target, KEYS[name], removed)
        store.copy_table(connection, target, added)
        if "volunteer" in KEYS[name]:
            changed.update(removed["volunteer"].to_pylist(), added["volunteer"].to_pylist())
    return store.move_to(connection, generation, position, new.checksum()), changed


def _without(table: Any, hashes: Words, others: Words) -> Any:
    """Return the rows whose hash is not among `others`."""
    return table.filter(pa.array(np.isin(hashes, others, invert=True)))


def _delete(connection: store.AnyConnection, target: sql.Identifier, key: tuple[str, ...], rows: Any) -> None:
    if not len(rows):
        return
    removed = sql.Identifier(_REMOVED)
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
            removed, sql.SQL(", ").join(map(sql.Identifier, key)), target
        )
    )
    store.copy_table(connection, removed, rows.select(list(key)))
    equal = sql.SQL(" AND ").join(sql.SQL("stored.{0} = removed.{0}").format(sql.Identifier(column)) for column in key)
    connection.execute(sql.SQL("DELETE FROM {} AS stored USING {} AS removed WHERE {}").format(target, removed, equal))
    connection.execute(sql.SQL("DROP TABLE {}").format(removed))
