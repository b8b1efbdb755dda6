"""Generations: which there are, which of them are kept, and how one is dropped.

Kept are, and no others:

* the one that answers;
* the `PREVIOUS_MAX` that answered before it, for readers in mid-request and for a change of mind;
* the `BESIDE_MAX` latest of those that never answered.

The rest is dropped after each build and each switch; one that somebody still reads waits for the next time. Nothing is
lost with a generation: the same rules make the same one again. Switching to an older one:
replay/generations/switching.py.
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
"""How long to wait for readers of a generation that is to be dropped."""


class UnknownGenerationError(LookupError):
    """No generation has this id: it never had, or it was dropped."""

    def __init__(self, generation: int) -> None:
        super().__init__(f"no generation has the id {generation}: `hours generations` lists those there are")


class GenerationInUseError(Exception):
    """A generation that answers, or that somebody reads or switches to, is not dropped."""


class Retention(StrEnum):
    """Why a generation is kept, if it is."""

    CURRENT = "answers"
    PREVIOUS = "answered before"
    BESIDE = "built beside"
    SURPLUS = "dropped next"


class Overview(NamedTuple):
    """A generation with why it is kept, the number of rows in each table, and its size on disk in bytes."""

    generation: store.Generation
    kept: Retention
    rows: dict[str, int]
    size_bytes: int


def reasons(generations: Sequence[store.Generation], current: int | None) -> dict[int, Retention]:
    """Return why each generation is kept, by id."""
    answered = [one for one in generations if one.switched_at is not None and one.id != current]
    beside = [one.id for one in generations if one.switched_at is None and one.id != current]
    previous = [one.id for one in sorted(answered, key=_switched)]
    kept = dict.fromkeys((one.id for one in generations), Retention.SURPLUS)
    kept |= dict.fromkeys(previous[-PREVIOUS_MAX:], Retention.PREVIOUS)
    kept |= dict.fromkeys(sorted(beside)[-BESIDE_MAX:], Retention.BESIDE)
    return kept | ({} if current is None else {current: Retention.CURRENT})


def _switched(generation: store.Generation) -> tuple[datetime, int]:
    if generation.switched_at is None:
        raise ValueError(f"generation {generation.id} never answered")
    return generation.switched_at, generation.id


def overview(database: Database) -> list[Overview]:
    """Return all generations, the oldest first."""
    with database.pool.connection() as connection, connection.transaction():
        current = store.current_generation(connection)
        generations = store.list_generations(connection)
        kept = reasons(generations, current.id if current else None)
        found = []
        for generation in generations:
            with suppress(errors.UndefinedTable, errors.InvalidSchemaName), connection.transaction():
                rows, size_bytes = _measure(connection, generation)  # unless it was dropped while we looked
                found.append(Overview(generation, kept[generation.id], rows, size_bytes))
        return found


_TABLES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) ORDER BY relname
"""


def _measure(connection: store.AnyConnection, generation: store.Generation) -> tuple[dict[str, int], int]:
    tables = connection.execute(_TABLES, (generation.schema,)).fetchall()
    rows = {}
    for name, _ in tables:
        place = sql.Identifier(generation.schema, name)
        rows[name] = int(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(place)).fetchall()[0][0])
    return rows, sum(int(size or 0) for _, size in tables)


def drop(database: Database, generation: int) -> None:
    """Drop a generation that does not answer.

    Raises:
        UnknownGenerationError
        GenerationInUseError: it answers, or somebody reads it or is about to switch to it.
    """
    try:
        with database.pool.connection() as connection, connection.transaction():
            found = store.lock_generation(connection, generation, _LOCK_SECONDS_MAX)
            if found is None:
                raise UnknownGenerationError(generation)
            current = store.current_generation(connection)
            if current is not None and current.id == generation:
                raise GenerationInUseError(
                    f"generation {generation} answers; switch to another one before it is dropped"
                )
            store.drop_generation(connection, found)
    except errors.LockNotAvailable:
        raise GenerationInUseError(
            f"somebody reads generation {generation}, or is switching to it; try again in a moment"
        ) from None


def drop_surplus(database: Database) -> None:
    """Drop what is not to be kept; leave what is still read for the next time."""
    with database.pool.connection() as connection:
        current = store.current_generation(connection)
        kept = reasons(store.list_generations(connection), current.id if current else None)
    for generation, reason in kept.items():
        if reason is Retention.SURPLUS:
            with suppress(UnknownGenerationError, GenerationInUseError):
                drop(database, generation)
