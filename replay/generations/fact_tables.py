"""Fact tables: facts that depend on no rule (`replay.shifts` and others), written from a replay's facts.

They are outside generations and always at the current generation's position, which the follower ensures. This module
replaces them as a whole; it reads and computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from psycopg import sql

from projections.kernels.facts import Facts
from projections.schema import NO_DAY, UNKNOWN_KIND, Array, ResolvedShifts
from replay.generations.store import AnyConnection, copy_table
from replay.progress import Progress, ignore

WRITING_FACTS = "writing the shifts"


_FACT_TABLES = ("shifts", "volunteers", "merges", "cap_raises", "people_served", "stations")


def load_facts(
    connection: AnyConnection,
    facts: Facts,
    resolved: ResolvedShifts,
    *,
    read_meanwhile: bool,
    progress: Progress = ignore,
) -> None:
    """Replace all facts outside generations, in the caller's transaction.

    With `read_meanwhile`, the old rows are deleted, which readers do not see before the commit. Before the first
    generation there are no readers: the tables are truncated and the index is created at the end, which is twice as
    fast.
    """
    progress(WRITING_FACTS, 0, len(resolved.flags))
    for name in _FACT_TABLES:
        statement = sql.SQL("DELETE FROM {}" if read_meanwhile else "TRUNCATE {}")
        connection.execute(statement.format(sql.Identifier("replay", name)))
    if not read_meanwhile:
        connection.execute("DROP INDEX replay.shifts_by_time")
    done = 0

    def copied(rows: int) -> None:
        nonlocal done
        done += rows
        progress(WRITING_FACTS, min(done, len(resolved.flags)), len(resolved.flags))

    for name, table in _fact_tables(facts, resolved):
        copy_table(connection, sql.Identifier("replay", name), table, copied)
    if not read_meanwhile:
        connection.execute(
            "CREATE UNIQUE INDEX shifts_by_time ON replay.shifts (volunteer, check_in, shift) NULLS NOT DISTINCT"
        )


def _fact_tables(facts: Facts, resolved: ResolvedShifts) -> Iterable[tuple[str, Any]]:
    volunteers, stations, projects = (
        pa.array(names.texts(), pa.string()) for names in (facts.volunteers, facts.stations, facts.projects)
    )
    # A volunteer's shifts are stored together, ordered by time, so reading them takes a page or two, not one for each.
    order = np.lexsort((resolved.check_in, resolved.volunteer)).astype(np.int32)
    for low in range(0, len(order), 1 << 20):  # a million shifts at a time, to bound memory
        rows = order[low : low + (1 << 20)]
        part = ResolvedShifts._make(column[rows] for column in resolved)
        high_half, low_half = facts.shift_keys(rows)
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
    table = facts.number_table()
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
    names, merges = facts.volunteers.texts(), facts.merges()
    yield (
        "merges",
        pa.table(
            {
                "volunteer": pa.array([names[volunteer] for volunteer, _ in merges], pa.string()),
                "into_number": pa.array([names[into] for _, into in merges], pa.string()),
                "stands": pa.array(list(merges.values()), pa.bool_()),
            }
        ),
    )
    raises = facts.raises_in_force()
    ids = facts.raise_ids.texts()
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
    openings = [
        (station, instant, kind)
        for station, of_station in enumerate(facts.station_openings())
        for instant, kind in (of_station or {0: UNKNOWN_KIND}).items()
    ]
    numbers, instants, kinds = np.array(openings, np.int64).reshape(-1, 3).T
    yield "stations", pa.table({"station": stations.take(pa.array(numbers)), "opened_at": instants, "kind": kinds})


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
