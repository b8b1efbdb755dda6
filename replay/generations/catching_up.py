"""Catching up: a generation at one position is brought to the rows of a later one, by writing only those that differ.

Both sets of rows are computed, so nothing has to know which events change what: rows are compared by the hashes the
checksum is made of. This module writes rows; it computes none and moves no pointer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from psycopg import sql

from projections.schema import Words
from replay.generations import store
from replay.generations.named_rows import KEYS, Rows

_GONE = "catching_up_gone"


def patch(
    connection: store.AnyConnection, generation: store.Generation, old: Rows, new: Rows, position: int
) -> tuple[store.Generation, set[str]]:
    """Turn a generation whose tables hold `old` into one that holds `new` and is at `position`, in the caller's
    transaction; return it, and the volunteers whose rows are others now.
    """
    changed: set[str] = set()
    old_hashes, new_hashes = old.hashes(), new.hashes()
    old_tables, new_tables = old.tables(), new.tables()
    for name, table in new_tables.items():
        place = sql.Identifier(generation.schema, name)
        gone = _without(old_tables[name], old_hashes[name], new_hashes[name])
        come = _without(table, new_hashes[name], old_hashes[name])
        _delete(connection, place, KEYS[name], gone)
        store.copy_table(connection, place, come)
        if "volunteer" in KEYS[name]:
            changed.update(gone["volunteer"].to_pylist(), come["volunteer"].to_pylist())
    return store.move_to(connection, generation, position, new.checksum()), changed


def _without(table: Any, hashes: Words, others: Words) -> Any:
    """Return the rows whose hash is not among the others."""
    return table.filter(pa.array(np.isin(hashes, others, invert=True)))


def _delete(connection: store.AnyConnection, place: sql.Identifier, key: tuple[str, ...], rows: Any) -> None:
    if not len(rows):
        return
    gone = sql.Identifier(_GONE)
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
            gone, sql.SQL(", ").join(map(sql.Identifier, key)), place
        )
    )
    store.copy_table(connection, gone, rows.select(list(key)))
    equal = sql.SQL(" AND ").join(sql.SQL("kept.{0} = gone.{0}").format(sql.Identifier(column)) for column in key)
    connection.execute(sql.SQL("DELETE FROM {} AS kept USING {} AS gone WHERE {}").format(place, gone, equal))
    connection.execute(sql.SQL("DROP TABLE {}").format(gone))
