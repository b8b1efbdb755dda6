"""The store: what replays write to PostgreSQL and the follower keeps current.

Facts that depend on no rule (`replay.shifts` and its neighbours) and, per generation, the read models. This module
writes rows and reads them back; it computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import Connection, sql

from ledger.database import Database
from projections.facts import Facts
from projections.rules import RuleTimeline, parse_timeline
from projections.schema import NO_DAY, Array, ResolvedShifts
from replay.published import Rules
from replay.rows import Rows

_HERE = Path(__file__).parent
FOLLOWER_LOCK = 0x666F6C6C6F77
"""Held by whoever moves the current generation on or replaces it; "follow" in ASCII."""
SCHEMA_LOCK = FOLLOWER_LOCK + 1
COPY_ROWS = 1 << 16

Any_Connection = Connection[Any]


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

    @property
    def schema(self) -> str:
        return f"generation_{self.id}"

    def timeline(self) -> RuleTimeline:
        """Return the rules it was made with."""
        return parse_timeline(self.rules_text)


def create_tables(database: Database) -> None:
    """Make the tables that stand outside generations, where they are missing."""
    with database.pool.connection() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        connection.execute("SET LOCAL client_min_messages = warning")
        connection.execute((_HERE / "schema.sql").read_bytes())


_GENERATION = "SELECT id, rules_version, rules_digest, rules_text, position, checksum FROM replay.generations"


def _generation(row: Sequence[Any]) -> Generation:
    return Generation(row[0], row[1], row[2], row[3], row[4], int(row[5]))


def current_generation(connection: Any_Connection) -> Generation | None:
    """Return the generation that answers, or None before the first."""
    row = connection.execute(f"{_GENERATION} WHERE id = (SELECT generation FROM replay.pointer)").fetchone()
    return _generation(row) if row else None


def list_generations(connection: Any_Connection) -> list[Generation]:
    """Return all generations, the oldest first."""
    return [_generation(row) for row in connection.execute(f"{_GENERATION} ORDER BY id").fetchall()]


def take_follower_lock(connection: Any_Connection) -> None:
    """Become the one who may move the current generation, until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (FOLLOWER_LOCK,))


# --- generations ----------------------------------------------------------------------------------------------------


def write_generation(connection: Any_Connection, rules: Rules, position: int, rows: Rows) -> Generation:
    """Write a new generation, in the caller's transaction: until it commits there is nothing to see, or to clean up."""
    checksum = rows.checksum()
    inserted = connection.execute(
        "INSERT INTO replay.generations (rules_version, rules_digest, rules_text, position, checksum) "
        "VALUES (%s, %s, %s, %s, %s) RETURNING id",
        (rules.version, rules.digest, rules.text, position, checksum),
    ).fetchall()
    generation = Generation(inserted[0][0], rules.version, rules.digest, rules.text, position, checksum)
    _run_script(connection, "generation.sql", generation.schema)
    for name, table in rows.tables().items():
        copy_table(connection, sql.Identifier(generation.schema, name), table)
    _run_script(connection, "generation_indexes.sql", generation.schema)
    return generation


def _run_script(connection: Any_Connection, name: str, schema: str) -> None:
    connection.execute(sql.SQL((_HERE / name).read_text()).format(schema=sql.Identifier(schema)))


_POINT = """
INSERT INTO replay.pointer (generation) VALUES (%s)
ON CONFLICT (only_row) DO UPDATE SET generation = EXCLUDED.generation
"""


def point_to(connection: Any_Connection, generation: Generation) -> None:
    """Let a generation answer from the next request on."""
    connection.execute(_POINT, (generation.id,))


def move_to(connection: Any_Connection, generation: Generation, position: int, checksum: int) -> Generation:
    """Record that a generation's tables are now at another position."""
    connection.execute(
        "UPDATE replay.generations SET position = %s, checksum = %s WHERE id = %s", (position, checksum, generation.id)
    )
    return replace(generation, position=position, checksum=checksum)


def drop_generation(connection: Any_Connection, generation: Generation) -> None:
    """Remove a generation that no longer answers."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(generation.schema)))
    connection.execute("DELETE FROM replay.generations WHERE id = %s", (generation.id,))


def read_rows(connection: Any_Connection, generation: Generation) -> Rows:
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


# --- facts that depend on no rule -----------------------------------------------------------------------------------


_FACT_TABLES = ("shifts", "volunteers", "cap_raises", "people_served", "stations")


def load_facts(connection: Any_Connection, facts: Facts, resolved: ResolvedShifts, *, read_meanwhile: bool) -> None:
    """Replace all facts outside generations, in the caller's transaction.

    Where they are `read_meanwhile`, the old rows are deleted, which no reader notices before the commit. Before the
    first generation nobody reads, and the tables are emptied and the index is sorted once at the end, which is twice
    as fast.
    """
    for name in _FACT_TABLES:
        way = sql.SQL("DELETE FROM {}" if read_meanwhile else "TRUNCATE {}")
        connection.execute(way.format(sql.Identifier("replay", name)))
    if not read_meanwhile:
        connection.execute("ALTER TABLE replay.shifts DROP CONSTRAINT shifts_pkey")
    for name, table in _fact_tables(facts, resolved):
        copy_table(connection, sql.Identifier("replay", name), table)
    if not read_meanwhile:
        connection.execute("ALTER TABLE replay.shifts ADD CONSTRAINT shifts_pkey PRIMARY KEY (volunteer, shift)")


def _fact_tables(facts: Facts, resolved: ResolvedShifts) -> Iterable[tuple[str, Any]]:
    volunteers, stations, projects = (
        pa.array(names.texts(), pa.string()) for names in (facts.volunteers, facts.stations, facts.projects)
    )
    for low in range(0, len(resolved.flags), 1 << 20):  # a million shifts at a time, to bound memory
        part = _slice(resolved, low, low + (1 << 20))
        high_half, low_half = facts.shift_keys(np.arange(low, low + len(part.flags), dtype=np.int32))
        yield (
            "shifts",
            pa.table(
                {
                    "volunteer": volunteers.take(pa.array(part.volunteer)),
                    "shift": _hex(np.stack([high_half, low_half], axis=1)),
                    "station": _named(stations, part.station),
                    "project": _named(projects, part.project),
                    "check_in": pa.array(part.check_in, mask=part.check_in == 0),
                    "check_out": pa.array(part.check_out, mask=part.check_out == 0),
                    "recorded_at": part.recorded_at,
                    "flags": part.flags,
                }
            ),
        )
    table = facts.volunteer_table()
    days = {
        "registered": table.registered,
        "opening_day": table.opening_day,
        "trained_1": table.trained[:, 0],
        "trained_2": table.trained[:, 1],
        "trained_3": table.trained[:, 2],
    }
    columns = {name: pa.array(np.ascontiguousarray(column), mask=column == NO_DAY) for name, column in days.items()}
    columns |= {"volunteer": volunteers, "opening_minutes": pa.array(table.opening_minutes)}
    yield "volunteers", pa.table(columns)
    raises = facts.standing_raises()
    ids = facts.raise_ids.texts()
    names = facts.volunteers.texts()
    yield (
        "cap_raises",
        pa.table(
            {
                "volunteer": pa.array([names[volunteer] for volunteer, _, _ in raises], pa.string()),
                "day": pa.array([day for _, day, _ in raises], pa.int32()),
                "raise_id": pa.array([ids[key] for _, _, key in raises], pa.string()),
                "minutes": pa.array(list(raises.values()), pa.int32()),
            }
        ),
    )
    served = facts.served_counts()
    yield (
        "people_served",
        pa.table(
            {
                "station": stations.take(pa.array(served[:, 0])),
                "project": _named(projects, served[:, 1]).fill_null(""),
                "day": pa.array(served[:, 2]),
                "people": pa.array(served[:, 3]),
            }
        ),
    )
    yield "stations", pa.table({"station": stations, "kind": facts.station_kinds()})


def _slice(shifts: ResolvedShifts, low: int, high: int) -> ResolvedShifts:
    return ResolvedShifts._make(column[low:high] for column in shifts)


def _named(names: Any, numbers: Array) -> Any:
    return names.take(pa.array(numbers, mask=numbers < 0))


def _hex(halves: Array) -> Any:
    """Format 128-bit ids, uint64[n, 2], as 32 hex digits each."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    octets = halves.astype(">u8").view(np.uint8).reshape(len(halves), 16)
    text = np.empty((len(halves), 32), np.uint8)
    text[:, 0::2], text[:, 1::2] = digits[octets >> 4], digits[octets & 15]
    offsets = np.arange(0, 32 * len(halves) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(halves), pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))


def copy_table(connection: Any_Connection, name: sql.Identifier, table: Any) -> None:
    """COPY an Arrow table into a table with columns of the same names. Names hold no character that CSV would quote."""
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in table.column_names)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL '')").format(name, columns)
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in table.to_batches(max_chunksize=COPY_ROWS):
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(batch, sink, options)
            copy.write(sink.getvalue().to_pybytes())
