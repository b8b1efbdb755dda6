"""Verification: the checks a generation has to pass before it becomes current.

* The tables contain what was computed: the number of rows and the sum of every column, table by table.
* All positions up to the generation's were processed: the archive has no hole and does not end before it.
* The sums of the trace agree: the same minutes by volunteer and by station (or none), by year and in total.
* For a sample of volunteers, the stored rows equal those computed from the streams in the log.
* If the current generation has the same rules and position, it has the same checksum.

All checks but the last run while the current generation is still being updated; they run again for what changed once
the new one has caught up. This module reads and compares; it repairs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ledger.names import Position
from ledger.store.log_queries import LogQueries
from projections.local_time import day_number
from projections.schema import NO_DAY
from replay.archive.archive import Archive
from replay.generations import store
from replay.generations.event_by_event import rows_from_log
from replay.generations.named_rows import Rows
from replay.progress import Progress

SAMPLE_VOLUNTEERS = 32
"""Volunteers computed the slow way: enough to reach every path of the rules, and done in a quarter of a second."""
VERIFYING = "verifying"
_STEPS = 3


class VerificationError(Exception):
    """A generation disagrees with its source, so it was not switched to."""


def verify(
    connection: store.AnyConnection,
    log: LogQueries,
    archive: Archive,
    generation: store.Generation,
    rows: Rows,
    volunteers: Sequence[str],
    progress: Progress,
) -> None:
    """Run all checks but that of the checksum.

    Args:
        rows: the computed rows.
        volunteers: the volunteers to sample from, including those without rows.

    Raises:
        VerificationError: names the first check that failed, and what to do.
    """
    progress(VERIFYING, 0, _STEPS)
    verify_positions(generation.position, [(segment.first, segment.last) for segment in archive.segments])
    _verify_tables(connection, generation, rows)
    progress(VERIFYING, 1, _STEPS)
    _verify_sums(rows)
    progress(VERIFYING, 2, _STEPS)
    _verify_sample(connection, log, generation, volunteers)
    progress(VERIFYING, _STEPS, _STEPS)


def verify_positions(position: int, segments: Sequence[tuple[int, int]]) -> None:
    """Verify that an archive's segments, given by first and last position, reach a position without a hole.

    Raises:
        VerificationError
    """
    reached = 0
    for first, last in segments:
        if first != reached + 1:
            raise VerificationError(
                f"the archive has nothing at position {reached + 1}: run `hours rebuild --new-archive`"
            )
        reached = last
    if reached < position:
        raise VerificationError(
            f"the archive ends at position {reached}, before the generation's {position}; try again"
        )


def _verify_tables(connection: store.AnyConnection, generation: store.Generation, rows: Rows) -> None:
    for name, table in rows.tables().items():
        summed = [field.name for field in table.schema if pa.types.is_integer(field.type)]
        found = connection.execute(
            sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(", ").join(
                    [sql.SQL("count(*)"), *(sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(c)) for c in summed)]
                ),
                sql.Identifier(generation.schema, name),
            )
        ).fetchall()[0]
        expected = [len(table), *(pc.sum(table[column]).as_py() or 0 for column in summed)]
        for what, stored, computed in zip(("rows", *summed), found, expected, strict=True):
            if int(stored) != computed:
                raise VerificationError(f"{name}: {what} stored {stored}, computed {computed}; try again")


def _verify_sums(rows: Rows) -> None:
    whole, years = rows.hours[rows.hours[:, 0] == 0], rows.hours[rows.hours[:, 0] != 0]
    by_station = rows.stations[:, [1, 3, 4, 5]].sum(axis=0) + rows.without_station
    by_year = years[:, 1:5].sum(axis=0)
    if not np.array_equal(by_year, by_station) or not np.array_equal(whole[:, 1:4].sum(axis=0), by_year[:3]):
        raise VerificationError(f"hours by volunteer and by station differ: {by_year} and {by_station}")
    graded = whole[:, 5:7].sum()
    if graded != whole[:, 4].sum():
        raise VerificationError(f"{graded} minutes are scanned or attested, {whole[:, 4].sum()} are credited")


def verify_checksum(generation: store.Generation, live: store.Generation | None) -> None:
    """Compare a generation's checksum with the current one's, if rules and position are the same.

    Raises:
        VerificationError
    """
    if (
        live is not None
        and (live.rules_digest, live.position, live.valid_at)
        == (generation.rules_digest, generation.position, generation.valid_at)
        and live.checksum != generation.checksum
    ):
        raise VerificationError(
            f"the same rules gave checksum {generation.checksum:x}, the current generation has {live.checksum:x}: "
            "run `hours rebuild --new-facts`"
        )


def _verify_sample(
    connection: store.AnyConnection, log: LogQueries, generation: store.Generation, volunteers: Sequence[str]
) -> None:
    """Compare the stored rows of a sample of volunteers, including those without rows, with rows computed from their
    streams.
    """
    # Seeded by the position, so that a failure can be reproduced.
    rng = np.random.default_rng(generation.position)
    chosen = rng.choice(len(volunteers), min(SAMPLE_VOLUNTEERS, len(volunteers)), replace=False)
    sample = [volunteers[number] for number in chosen]
    valid_until = NO_DAY if generation.valid_at is None else day_number(generation.valid_at)
    position = Position(generation.position)
    expected, sample = rows_from_log(connection, log, sample, position, generation.timeline(), valid_until)
    for name, table in expected.tables().items():
        if "volunteer" not in table.column_names:
            continue
        stored = _stored(connection, sql.Identifier(generation.schema, name), table.column_names, sample)
        computed = {tuple(row.values()) for row in table.to_pylist()}
        for row in sorted(stored ^ computed, key=str):
            where = "stored only" if row in stored else "computed only"
            raise VerificationError(
                f"{name}: volunteer {row[0]}'s rows differ from those computed from the log: {row[1:]} is {where}; "
                "run `hours rebuild --new-archive --new-facts`"
            )


def _stored(
    connection: store.AnyConnection, table: sql.Identifier, columns: Sequence[str], volunteers: Sequence[str]
) -> set[tuple[Any, ...]]:
    statement = sql.SQL("SELECT {} FROM {} WHERE volunteer = ANY(%s)").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), table
    )
    return set(connection.execute(statement, (list(volunteers),)).fetchall())
