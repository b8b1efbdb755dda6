"""Retention of generations: listing them, and dropping those that are no longer needed.

Retained are only

* the current generation;
* the `PREVIOUS_MAX` that were current before it, for requests in progress and for switching back;
* the latest `BESIDE_MAX` of those that were never current.

The others are dropped after each build and each switch; one that is still being read is dropped later. No information
is lost, because the same rules give the same generation again. `replay/generations/switching.py` switches back.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from psycopg import errors, sql

from ledger.store.database import Database
from replay.generations import store

PREVIOUS_MAX = 2
BESIDE_MAX = 3
_LOCK_SECONDS_MAX = 2
"""How long to wait for readers before dropping a generation."""


class UnknownGenerationError(LookupError):
    """The generation does not exist, or was dropped."""

    def __init__(self, generation: int) -> None:
        super().__init__(f"generation {generation} does not exist: `hours generations` lists the existing ones")


class GenerationInUseError(Exception):
    """The generation cannot be dropped: it is the current one, or is being read or switched to."""


class Retention(StrEnum):
    """The reason for which a generation is retained, or that it is not."""

    CURRENT = "answers"
    PREVIOUS = "answered before"
    BESIDE = "built beside"
    SURPLUS = "dropped next"


class Overview(NamedTuple):
    """A generation with its retention, the number of rows of each table, and its size on disk in bytes."""

    generation: store.Generation
    retention: Retention
    rows: dict[str, int]
    size_bytes: int


def reasons(generations: Sequence[store.Generation], current: int | None) -> dict[int, Retention]:
    """Return the retention of each generation, by id."""
    others = [generation for generation in generations if generation.id != current]
    switched = [generation for generation in others if generation.switched_at is not None]
    previous = [generation.id for generation in sorted(switched, key=_switched)]
    beside = [generation.id for generation in others if generation.switched_at is None]
    by_id = dict.fromkeys((generation.id for generation in generations), Retention.SURPLUS)
    by_id |= dict.fromkeys(previous[-PREVIOUS_MAX:], Retention.PREVIOUS)
    by_id |= dict.fromkeys(sorted(beside)[-BESIDE_MAX:], Retention.BESIDE)
    return by_id | ({} if current is None else {current: Retention.CURRENT})


def _switched(generation: store.Generation) -> tuple[datetime, int]:
    if generation.switched_at is None:
        raise ValueError(f"generation {generation.id} was never switched to")
    return generation.switched_at, generation.id


def overview(database: Database) -> list[Overview]:
    """Return all generations, oldest first."""
    with database.pool.connection() as connection, connection.transaction():
        current = store.current_generation(connection)
        generations = store.list_generations(connection)
        retained = reasons(generations, current.id if current else None)
        listed = []
        for generation in generations:
            # The errors are those of a generation that was dropped meanwhile.
            with suppress(errors.UndefinedTable, errors.InvalidSchemaName), connection.transaction():
                rows, size_bytes = _measure(connection, generation)
                listed.append(Overview(generation, retained[generation.id], rows, size_bytes))
        return listed


_TABLES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) ORDER BY relname
"""


def _measure(connection: store.AnyConnection, generation: store.Generation) -> tuple[dict[str, int], int]:
    tables = connection.execute(_TABLES, (generation.schema,)).fetchall()
    rows = {}
    for name, _ in tables:
        table = sql.Identifier(generation.schema, name)
        rows[name] = int(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchall()[0][0])
    return rows, sum(int(size or 0) for _, size in tables)


def drop(database: Database, generation: int) -> None:
    """Drop a generation that is not the current one.

    Raises:
        UnknownGenerationError
        GenerationInUseError: it is the current one, or is being read or switched to.
    """
    try:
        with database.pool.connection() as connection, connection.transaction():
            found = store.lock_generation(connection, generation, _LOCK_SECONDS_MAX)
            if found is None:
                raise UnknownGenerationError(generation)
            current = store.current_generation(connection)
            if current is not None and current.id == generation:
                raise GenerationInUseError(
                    f"generation {generation} is the current one; switch to another before dropping it"
                )
            store.drop_generation(connection, found)
    except errors.LockNotAvailable:
        raise GenerationInUseError(
            f"generation {generation} is being read or switched to; try again in a moment"
        ) from None


def drop_surplus(database: Database) -> None:
    """Drop the generations that are not retained, except those in use, which are dropped next time."""
    with database.pool.connection() as connection:
        current = store.current_generation(connection)
        by_id = reasons(store.list_generations(connection), current.id if current else None)
    for generation, retention in by_id.items():
        if retention is Retention.SURPLUS:
            with suppress(UnknownGenerationError, GenerationInUseError):
                drop(database, generation)
