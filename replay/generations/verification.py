"""Verifying: what has to hold before a generation may answer.

* what stands in its tables is what was computed: the number of rows and the sum of every column, table by table;
* every position up to its own was taken in: the archive has no hole and ends behind it;
* the laws of the trace, summed: by volunteer and by station, by year and in all, the same minutes;
* a sample of volunteers, computed from the log's own streams and compared with the stored rows one by one;
* the same rules at the same position: the checksum of the live generation.

All but the last is held while the live generation goes on, and again of what changed when the new one has caught up.
This module reads and compares; it mends nothing.
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
"""Volunteers that are computed the slow way: enough to meet every path of the rules, few enough for a quarter of a
second.
"""
VERIFYING = "verifying"
_STEPS = 3


class VerificationError(Exception):
    """A generation does not agree with what it was made from, so it was not switched to."""


def verify(
    connection: store.AnyConnection,
    log: LogQueries,
    archive: Archive,
    generation: store.Generation,
    rows: Rows,
    volunteers: Sequence[str],
    progress: Progress,
) -> None:
    """Hold a generation to all of the above but the checksum.

    Args:
        rows: what was computed.
        volunteers: of whom the sample is taken, also such as have no rows.

    Raises:
        VerificationError: names the first thing that does not hold, and the way out.
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
    """Hold an archive's segments, first and last position of each, to reach a position without a hole.

    Raises:
        VerificationError
    """
    reached = 0
    for first, last in segments:
        if first != reached + 1:
            raise VerificationError(
                f"the archive has nothing at position {reached + 1}: run `hours rebuild --archive-anew`"
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
                raise VerificationError(f"{name}: {what} stored are {stored}, computed were {computed}; try again")


def _verify_sums(rows: Rows) -> None:
    whole, years = rows.hours[rows.hours[:, 0] == 0], rows.hours[rows.hours[:, 0] != 0]
    by_station = rows.stations[:, [1, 3, 4, 5]].sum(axis=0)
    by_year = years[:, 1:5].sum(axis=0)
    if not np.array_equal(by_year, by_station) or not np.array_equal(whole[:, 1:4].sum(axis=0), by_year[:3]):
        raise VerificationError(f"hours by volunteer and by station differ: {by_year} and {by_station}")
    graded = whole[:, 5:7].sum()
    if graded != whole[:, 4].sum():
        raise VerificationError(f"{graded} minutes are scanned or attested, {whole[:, 4].sum()} are credited")


def verify_checksum(generation: store.Generation, live: store.Generation | None) -> None:
    """Hold a generation to the live one's checksum, if rules and position are the same.

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
            f"the same rules gave checksum {generation.checksum:x}, the live generation has {live.checksum:x}: "
            "run `hours rebuild --facts-anew`"
        )


def _verify_sample(
    connection: store.AnyConnection, log: LogQueries, generation: store.Generation, volunteers: Sequence[str]
) -> None:
    """Compare the stored rows of some volunteers, also of such as have none, with those their streams make."""
    chance = np.random.default_rng(
        generation.position
    )  # the same position, the same sample: a failure can be looked at
    chosen = chance.choice(len(volunteers), min(SAMPLE_VOLUNTEERS, len(volunteers)), replace=False)
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
                f"{name}: volunteer {row[0]}'s rows are not those the log's streams make: {row[1:]} is {where}; "
                "run `hours rebuild --archive-anew --facts-anew`"
            )


def _stored(
    connection: store.AnyConnection, place: sql.Identifier, columns: Sequence[str], volunteers: Sequence[str]
) -> set[tuple[Any, ...]]:
    statement = sql.SQL("SELECT {} FROM {} WHERE volunteer = ANY(%s)").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), place
    )
    return set(connection.execute(statement, (list(volunteers),)).fetchall())
