"""The store: generations in PostgreSQL, the pointer to the current one, and writing rows into their tables.

A generation is one replay's read models in its own schema. This module writes rows and reads them back; it computes
nothing. Facts that depend on no rule are outside generations: replay/generations/fact_tables.py.
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
from ledger.store.upgrading import Part, upgrade_tables
from projections.rules.timeline import RuleTimeline
from projections.schema import LASTS_MINUTES_MAX, PAIRING, Array
from replay.generations.named_rows import Rows
from replay.generations.ranking_indexes import index_statements
from replay.progress import Progress, ignore
from replay.published import Rules

_HERE = Path(__file__).parent
FOLLOWER_LOCK = 0x666F6C6C6F77
"""The advisory lock for updating or replacing the current generation; "follow" in ASCII."""
FOLLOWER_LOCK_SECONDS_MAX = 300
"""A rebuild with new facts holds the lock for its whole duration: a minute or two at full scale."""

PART = Part("replay", tuple(_HERE / f"schema{step}.sql" for step in ("", "_2", "_3", "_4", "_5")))
COPY_ROWS = 1 << 16
WRITING = "writing the new generation"

AnyConnection = Connection[Any]


class NoGenerationError(Exception):
    """No read models have been built yet."""

    def __init__(self) -> None:
        super().__init__("there are no read models yet: run `hours rebuild`")


@dataclass(frozen=True)
class Generation:
    """One replay's tables, with their rules, position and checksum."""

    id: int
    rules_version: int
    rules_digest: str
    rules_text: str
    position: int
    checksum: int
    valid_at: date | None = None
    """The last day with results; None for all days. With a day, the generation can never become current."""
    layout: str = ""
    made_at: datetime | None = None
    switched_at: datetime | None = None
    """When it was last switched to; None if never."""

    @property
    def schema(self) -> str:
        return f"generation_{self.id}"

    @property
    def rules(self) -> Rules:
        """The rules it was built with, as published."""
        return Rules(self.rules_version, self.rules_digest, self.rules_text)

    @property
    def readable(self) -> bool:
        """Whether this program can read its tables; those of another version may differ."""
        return self.layout == layout()

    def timeline(self) -> RuleTimeline:
        """Return the parsed rules."""
        return self.rules.timeline()


def create_tables(database: Database) -> None:
    """Create the tables outside generations, or upgrade older ones to this version."""
    with database.pool.connection() as connection:
        upgrade_tables(connection, PART)


@cache
def layout() -> str:
    """Return a digest of the current table definitions of a generation, and of what its minutes depend on: two programs
    with the same digest compute the same rows.
    """
    lines = (_HERE / "generation.sql").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return sha256(f"{text}\n{LASTS_MINUTES_MAX}\n{PAIRING}".encode()).hexdigest()[:16]


_GENERATION = """
SELECT id, rules_version, rules_digest, rules_text, position, checksum, valid_at, layout, made_at, switched_at
FROM replay.generations
"""


def _generation(row: Sequence[Any]) -> Generation:
    number, version, digest, text, position, checksum, valid_at, tables, made_at, switched_at = row
    return Generation(number, version, digest, text, position, int(checksum), valid_at, tables, made_at, switched_at)


def current_generation(connection: AnyConnection) -> Generation | None:
    """Return the current generation, or None before the first."""
    row = connection.execute(f"{_GENERATION} WHERE id = (SELECT generation FROM replay.pointer)").fetchone()  # noqa: S608 - constants
    return _generation(row) if row else None


def is_recorded(connection: AnyConnection) -> bool:
    """Return whether the current generation was chosen by a program that records which rules are in force."""
    row = connection.execute("SELECT recorded FROM replay.pointer").fetchone()
    return row is not None and bool(row[0])


def mark_recorded(connection: AnyConnection) -> None:
    """Record that the log has the rules of the current generation in force."""
    connection.execute("UPDATE replay.pointer SET recorded = true")


def list_generations(connection: AnyConnection) -> list[Generation]:
    """Return all generations, oldest first."""
    return [_generation(row) for row in connection.execute(f"{_GENERATION} ORDER BY id").fetchall()]


def lock_generation(
    connection: AnyConnection, generation: int, timeout_seconds: int | None = None
) -> Generation | None:
    """Lock a generation against being dropped or switched to until the transaction ends, and return it.

    Raises:
        LockHeldError: another session held the lock until the timeout (by default `FOLLOWER_LOCK_SECONDS_MAX`).
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
    """Take the lock for updating or replacing the current generation, until the transaction ends.

    Raises:
        LockHeldError: another session held the lock until the timeout (by default `FOLLOWER_LOCK_SECONDS_MAX`).
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
    """Write a new generation, in the caller's transaction."""
    progress(WRITING, 0, 0)
    values = rules.version, rules.digest, rules.text, position, rows.checksum(), valid_at, layout()
    inserted = connection.execute(
        "INSERT INTO replay.generations "
        "(rules_version, rules_digest, rules_text, position, checksum, valid_at, layout) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id, made_at",
        values,
    ).fetchall()
    generation = Generation(inserted[0][0], *values, made_at=inserted[0][1])
    _run_script(connection, "generation.sql", generation.schema)
    tables = rows.tables()
    done, total = 0, sum(len(table) for table in tables.values())

    def copied(rows: int) -> None:
        nonlocal done
        done += rows
        progress(WRITING, done, total)

    for name, table in tables.items():
        copy_table(connection, sql.Identifier(generation.schema, name), table, copied)
    _run_script(connection, "generation_indexes.sql", generation.schema)
    for statement in index_statements(rules.timeline(), generation.schema):
        connection.execute(statement)
    return generation


def _run_script(connection: AnyConnection, name: str, schema: str) -> None:
    connection.execute(sql.SQL((_HERE / name).read_text()).format(schema=sql.Identifier(schema)))


_POINT = """
INSERT INTO replay.pointer (generation, recorded) VALUES (%s, true)
ON CONFLICT (only_row) DO UPDATE SET generation = EXCLUDED.generation, recorded = true
"""


def point_to(connection: AnyConnection, generation: Generation) -> Generation:
    """Make a generation the current one; return it with its new `switched_at`."""
    connection.execute(_POINT, (generation.id,))
    connection.execute("UPDATE replay.generations SET switched_at = clock_timestamp() WHERE id = %s", (generation.id,))
    row = connection.execute(f"{_GENERATION} WHERE id = %s", (generation.id,)).fetchone()
    if row is None:
        raise RuntimeError(f"generation {generation.id} does not exist")  # the pointer's foreign key excludes this
    return _generation(row)


def move_to(connection: AnyConnection, generation: Generation, position: int, checksum: int) -> Generation:
    """Record a generation's new position and checksum; return it with these."""
    connection.execute(
        "UPDATE replay.generations SET position = %s, checksum = %s WHERE id = %s", (position, checksum, generation.id)
    )
    return replace(generation, position=position, checksum=checksum)


def drop_generation(connection: AnyConnection, generation: Generation) -> None:
    """Drop a generation's tables and its record."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(generation.schema)))
    connection.execute("DELETE FROM replay.generations WHERE id = %s", (generation.id,))


def read_rows(connection: AnyConnection, generation: Generation) -> Rows:
    """Read all rows of a generation."""
    schema = sql.Identifier(generation.schema)

    def fetch(names: int, query: str) -> tuple[list[Any], Array]:
        cursor = connection.execute(sql.SQL(query).format(schema))
        found = cursor.fetchall()
        width = len(cursor.description or ()) - names  # also of a table without rows
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
    """COPY an Arrow table into a table with columns of the same names. Names contain no characters that CSV quotes.

    `copied` is called with the number of rows after each batch.
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
