"""Live rows: differences added to a generation's hours and station days, with the exact change of its checksum.

A row that exists is increased where it stands, one that does not is made, one that no longer says anything is removed.
PostgreSQL adds and tells the sums; what was there before is the sum less the difference. The caller's transaction
holds it all, and nobody else writes these tables meanwhile (`store.take_follower_lock`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from psycopg import sql

from projections.schema import HOURS_COLUMNS, Longs
from replay.cohorts.shift_columns import integer_array, text_array
from replay.generations import store
from replay.generations.named_rows import HOURS_FIELDS, NO_ROWS, STATION_FIELDS, Rows

Flags = npt.NDArray[np.bool_]

_ADD = """
INSERT INTO {place} AS known ({name}, {number}, {columns})
SELECT name, {make}, {columns} FROM unnest(%s::text[], %s::int[], {arrays}) AS more(name, number, {columns})
ON CONFLICT ({name}, {number}) DO UPDATE SET {sums}
RETURNING {name}, {take}, {columns}
"""
_DROP = """
DELETE FROM {place} WHERE ({name}, {number}) IN
  (SELECT name, {make} FROM unnest(%s::text[], %s::int[]) AS gone(name, number))
"""
_SHIFTS, _RAW = HOURS_COLUMNS.index("shifts"), HOURS_COLUMNS.index("raw")


@dataclass(frozen=True)
class _Table:
    """A table of sums by a name and a number: what the number is called, and how it is made and taken apart."""

    name: str
    fields: Sequence[str]
    make: str = "number"
    take: str = "{}"

    def statement(self, template: str, schema: str) -> sql.Composed:
        name, number, *columns = map(sql.Identifier, self.fields)
        return sql.SQL(template).format(
            place=sql.Identifier(schema, self.name),
            name=name,
            number=number,
            columns=sql.SQL(", ").join(columns),
            arrays=sql.SQL(", ").join([sql.SQL("%s::bigint[]")] * len(columns)),
            sums=sql.SQL(", ").join(sql.SQL("{0} = known.{0} + EXCLUDED.{0}").format(column) for column in columns),
            make=sql.SQL(self.make),
            take=sql.SQL(self.take).format(number),
        )


_HOURS = _Table("volunteer_hours", HOURS_FIELDS)
_STATION_DAYS = _Table("station_activity", STATION_FIELDS, "date '1970-01-01' + number", "{} - date '1970-01-01'")


class Changes(NamedTuple):
    """Differences of sums: by name and number, int64[n, columns]."""

    names: npt.NDArray[np.object_]
    numbers: Longs
    sums: Longs

    def where(self, chosen: Flags) -> Changes:
        """Return the rows chosen."""
        return Changes._make(column[chosen] for column in self)

    def rows(self) -> Longs:
        """Return numbers and sums side by side, as rows have them."""
        return np.concatenate([self.numbers[:, None], self.sums], axis=1)


def add_hours(
    connection: store.AnyConnection, generation: store.Generation, changes: Changes, opened: tuple[Flags, Flags]
) -> int:
    """Add differences to volunteers' hours; return the change of the checksum.

    Args:
        changes: of `HOURS_COLUMNS`, by volunteer and year (0 for all years).
        opened: of each row, whether the volunteer had an opening balance before, and has one after; for that is a row
            of year 0 by itself.
    """
    before, after = _added(connection, generation, _HOURS, changes)

    def stands(rows: Changes, opened: Flags) -> Flags:
        served = rows.sums[:, [_SHIFTS, _RAW]].any(axis=1)
        return np.asarray(served | ((rows.numbers == 0) & opened))

    stood, remain = stands(before, opened[0]), stands(after, opened[1])
    _drop(connection, generation, _HOURS, after.where(~remain))
    return _hours(after.where(remain)).checksum() - _hours(before.where(stood)).checksum()


def add_station_days(connection: store.AnyConnection, generation: store.Generation, changes: Changes) -> int:
    """Add differences (of `STATION_COLUMNS`, by station and day number) to station days; return the change of the
    checksum.
    """
    before, after = _added(connection, generation, _STATION_DAYS, changes)
    stood, remain = (np.asarray(rows.sums.any(axis=1)) for rows in (before, after))
    _drop(connection, generation, _STATION_DAYS, after.where(~remain))
    return _station_days(after.where(remain)).checksum() - _station_days(before.where(stood)).checksum()


def _added(
    connection: store.AnyConnection, generation: store.Generation, table: _Table, changes: Changes
) -> tuple[Changes, Changes]:
    """Add differences to a table; return the rows as they were, zero where there was none, and as they are."""
    if not len(changes.numbers):
        return changes, changes
    statement = table.statement(_ADD, generation.schema)
    columns = [integer_array(column) for column in changes.sums.T]
    values = [text_array(changes.names), integer_array(changes.numbers), *columns]
    with connection.cursor(binary=True) as cursor:
        added = {(row[0], row[1]): row[2:] for row in cursor.execute(statement, values)}
    keys = zip(changes.names.tolist(), changes.numbers.tolist(), strict=True)
    after = changes._replace(sums=np.array([added[key] for key in keys], np.int64))
    return after._replace(sums=after.sums - changes.sums), after


def _drop(connection: store.AnyConnection, generation: store.Generation, table: _Table, gone: Changes) -> None:
    if len(gone.numbers):
        keys = text_array(gone.names), integer_array(gone.numbers)
        connection.execute(table.statement(_DROP, generation.schema), keys)


def _hours(rows: Changes) -> Rows:
    return NO_ROWS._replace(hours_volunteer=rows.names, hours=rows.rows())


def _station_days(rows: Changes) -> Rows:
    return NO_ROWS._replace(station=rows.names, stations=rows.rows())
