"""The store: generations in PostgreSQL, which of them answers, and how rows get into their tables.

A generation is one replay's read models in a schema of its own. This module writes rows and reads them back; it
computes nothing. What depends on no rule stands beside: replay/generations/fact_tables.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from ledger.store.append import LockHeldError
from ledger.store.database import Database
from ledger.store.upgrading import Part, bring_up
from projections.rules.timeline import RuleTimeline, parse_timeline
from projections.schema import Array
from replay.generations.named_rows import Rows
from replay.generations.ranking_indexes import index_statements
from replay.progress import Progress, ignore
from replay.published import Rules

_HERE = Path(__file__).parent
FOLLOWER_LOCK = 0x666F6C6C6F77
"""Held by whoever moves the current generation on or replaces it; "follow" in ASCII."""
FOLLOWER_LOCK_SECONDS_MAX = 300
"""A rebuild that makes all facts anew holds the lock from beginning to end: a minute or two at full scale."""

PART = Part("replay", (_HERE / "schema.sql", _HERE / "schema_2.sql"))
COPY_ROWS = 1 << 16
WRITING = "writing the new generation"

AnyConnection = Connection[Any]


class NoGenerationError(Exception):
    """No read models have been built yet; `hours rebuild` builds them."""

    def __init__(self) -> None:
        super().__init__("there are no read models yet: run `hours rebuild`")


@dataclass(frozen=True)
class Generation:
    """One replay's tables: under which rules, up to which position, with which checksum."""

    id: int
    rules_version: int
    rules_digest: str
    rules_text: str
    position: int
    checksum: int
    valid_at: date | None = None
    """The last day whose results it holds, if it does not hold all: then it is to be looked at, and never answers."""
    layout: str = ""
    made_at: datetime | None = None
    switched_at: datetime | None = None
    """When it was last switched to; None if it never answered."""

    @property
    def schema(self) -> str:
        return f"generation_{self.id}"

    @property
    def rules(self) -> Rules:
        """The rules it was made with, as published."""
        return Rules(self.rules_version, self.rules_digest, self.rules_text)

    @property
    def readable(self) -> bool:
        """Whether its tables are those this program reads; those of an older program may lack some."""
        return self.layout == layout()

    def timeline(self) -> RuleTimeline:
        """Return the rules it was made with."""
        return parse_timeline(self.rules_text)


def create_tables(database: Database) -> None:
    """Make the tables that stand outside generations, or bring older ones up to this version."""
    with database.pool.connection() as connection:
        bring_up(connection, PART)


@cache
def layout() -> str:
    """Return a digest of the tables a generation has today."""
    lines = (_HERE / "generation.sql").read_text().splitlines()
    return sha256("\n".join(line for line in lines if not line.startswith("--")).encode()).hexdigest()[:16]


_GENERATION = """
SELECT id, rules_version, rules_digest, rules_text, position, checksum, valid_at, layout, made_at, switched_at
FROM replay.generations
"""


def _generation(row: Sequence[Any]) -> Generation:
    number, version, digest, text, position, checksum, valid_at, made_with, made_at, switched_at = row
    return Generation(number, version, digest, text, position, int(checksum), valid_at, made_with, made_at, switched_at)


def current_generation(connection: AnyConnection) -> Generation | None:
    """Return the generation that answers, or None before the first."""
    row = connection.execute(f"{_GENERATION} WHERE id = (SELECT generation FROM replay.pointer)").fetchone()
    return _generation(row) if row else None


def list_generations(connection: AnyConnection) -> list[Generation]:
    """Return all generations, the oldest first."""
    return [_generation(row) for row in connection.execute(f"{_GENERATION} ORDER BY id").fetchall()]


def lock_generation(
    connection: AnyConnection, generation: int, timeout_seconds: int | None = None
) -> Generation | None:
    """Return a generation and keep it from being dropped or switched to by others, until the transaction ends.

    Raises:
        LockHeldError: another session has held it for so long (`FOLLOWER_LOCK_SECONDS_MAX`, if nothing is said).
    """
    seconds = FOLLOWER_LOCK_SECONDS_MAX if timeout_seconds is None else timeout_seconds
    connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{seconds}s",))
    try:
        row = connection.execute(f"{_GENERATION} WHERE id = %s FOR UPDATE", (generation,)).fetchone()
    except LockNotAvailable:
        raise LockHeldError(f"another session has held generation {generation} for {seconds} s") from None
    return _generation(row) if row else None


_LOCK = "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)"


def take_follower_lock(connection: AnyConnection, timeout_seconds: int | None = None) -> None:
    """Become the one who may move the current generation, until the transaction ends.

    Raises:
        LockHeldError: another session has held it for so long (`FOLLOWER_LOCK_SECONDS_MAX`, if nothing is said).
    """
    seconds = FOLLOWER_LOCK_SECONDS_MAX if timeout_seconds is None else timeout_seconds
    try:
        connection.execute(_LOCK, (f"{seconds}s", FOLLOWER_LOCK))
    except LockNotAvailable:
        raise LockHeldError(f"another session has held the read models' lock for {seconds} s") from None


# --- generations ----------------------------------------------------------------------------------------------------


def write_generation(
    connection: AnyConnection,
    rules: Rules,
    position: int,
    rows: Rows,
    *,
    valid_at: date | None = None,
    progress: Progress = ignore,
) -> Generation:
    """Write a new generation, in the caller's transaction: until it commits there is nothing to see, or to clean up."""
    progress(WRITING, 0, 0)
    said = rules.version, rules.digest, rules.text, position, rows.checksum(), valid_at, layout()
    inserted = connection.execute(
        "INSERT INTO replay.generations "
        "(rules_version, rules_digest, rules_text, position, checksum, valid_at, layout) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id, made_at",
        said,
    ).fetchall()
    generation = Generation(inserted[0][0], *said, made_at=inserted[0][1])
    _run_script(connection, "generation.sql", generation.schema)
    tables = rows.tables()
    done, in_all = 0, sum(len(table) for table in tables.values())

    def copied(rows: int) -> None:
        nonlocal done
        done += rows
        progress(WRITING, done, in_all)

    for name, table in tables.items():
        copy_table(connection, sql.Identifier(generation.schema, name), table, copied)
    _run_script(connection, "generation_indexes.sql", generation.schema)
    for statement in index_statements(rules.timeline(), generation.schema):
        connection.execute(statement)
    return generation


def _run_script(connection: AnyConnection, name: str, schema: str) -> None:
    connection.execute(sql.SQL((_HERE / name).read_text()).format(schema=sql.Identifier(schema)))


_POINT = """
INSERT INTO replay.pointer (generation) VALUES (%s)
ON CONFLICT (only_row) DO UPDATE SET generation = EXCLUDED.generation
"""


def point_to(connection: AnyConnection, generation: Generation) -> Generation:
    """Let a generation answer from the next request on; return it as it is then."""
    connection.execute(_POINT, (generation.id,))
    connection.execute("UPDATE replay.generations SET switched_at = clock_timestamp() WHERE id = %s", (generation.id,))
    row = connection.execute(f"{_GENERATION} WHERE id = %s", (generation.id,)).fetchone()
    if row is None:
        raise RuntimeError(f"generation {generation.id} is gone")  # the pointer's foreign key forbids it
    return _generation(row)


def move_to(connection: AnyConnection, generation: Generation, position: int, checksum: int) -> Generation:
    """Record that a generation's tables are now at another position."""
    connection.execute(
        "UPDATE replay.generations SET position = %s, checksum = %s WHERE id = %s", (position, checksum, generation.id)
    )
    return replace(generation, position=position, checksum=checksum)


def drop_generation(connection: AnyConnection, generation: Generation) -> None:
    """Remove a generation that no longer answers."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(generation.schema)))
    connection.execute("DELETE FROM replay.generations WHERE id = %s", (generation.id,))


def read_rows(connection: AnyConnection, generation: Generation) -> Rows:
    """Read a whole generation back, for its checksum."""
    schema = sql.Identifier(generation.schema)

    def fetch(names: int, query: str) -> tuple[list[Any], Array]:
        found = connection.execute(sql.SQL(query).format(schema)).fetchall()
        width = len(found[0]) - names if found else 0
        return found, np.array([row[names:] for row in found], np.int64).reshape(len(found), width)

    hours, hour_columns = fetch(1, "SELECT * FROM {}.volunteer_hours")
    stations, station_columns = fetch(
        1,
        "SELECT station, day - date '1970-01-01', shifts, volunteers, raw_minutes, counted_minutes, credited_minutes, "
        "people_served FROM {}.station_activity",
    )
    standings, standing_columns = fetch(
        2, "SELECT volunteer, honor, reached_on - date '1970-01-01' FROM {}.honor_standings"
    )
    projects, project_columns = fetch(1, "SELECT * FROM {}.project_activity")
    return Rows(
        [row[0] for row in hours],
        hour_columns,
        [row[0] for row in stations],
        station_columns,
        [row[0] for row in standings],
        [row[1] for row in standings],
        standing_columns,
        [row[0] for row in projects],
        project_columns,
    )


def copy_table(
    connection: AnyConnection, name: sql.Identifier, table: Any, copied: Callable[[int], None] = lambda _: None
) -> None:
    """COPY an Arrow table into a table with columns of the same names. Names hold no character that CSV would quote.

    `copied` is told how many rows were sent, after each batch of them.
    """
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in table.column_names)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL '')").format(name, columns)
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in table.to_batches(max_chunksize=COPY_ROWS):
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(batch, sink, options)
            copy.write(sink.getvalue().to_pybytes())
            copied(len(batch))
