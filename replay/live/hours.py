"""Live rows: add differences to a generation's hours and station days, and compute the change of its checksum.

Existing rows are updated, missing ones inserted, and rows that become empty deleted. PostgreSQL adds and returns the
sums; the previous value is the sum minus the difference. Everything happens in the caller's transaction, while no other
session writes to these tables (`store.take_follower_lock`).
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
INSERT INTO {table} AS stored ({name}, {number}, {columns})
SELECT name, {to_column}, {columns} FROM unnest(%s::text[], %s::int[], {arrays}) AS added(name, number, {columns})
ON CONFLICT ({name}, {number}) DO UPDATE SET {sums}
RETURNING {name}, {from_column}, {columns}
"""
_DROP = """
DELETE FROM {table} WHERE ({name}, {number}) IN
  (SELECT name, {to_column} FROM unnest(%s::text[], %s::int[]) AS removed(name, number))
"""
_SHIFTS, _RAW = HOURS_COLUMNS.index("shifts"), HOURS_COLUMNS.index("raw")


@dataclass(frozen=True)
class _Table:
    """A table of sums by a name and a number, with the SQL that converts the number to its column and back."""

    name: str
    fields: Sequence[str]
    to_column: str = "number"
    from_column: str = "{}"

    def statement(self, template: str, schema: str) -> sql.Composed:
        name, number, *columns = map(sql.Identifier, self.fields)
        return sql.SQL(template).format(
            table=sql.Identifier(schema, self.name),
            name=name,
            number=number,
            columns=sql.SQL(", ").join(columns),
            arrays=sql.SQL(", ").join([sql.SQL("%s::bigint[]")] * len(columns)),
            sums=sql.SQL(", ").join(sql.SQL("{0} = stored.{0} + EXCLUDED.{0}").format(column) for column in columns),
            to_column=sql.SQL(self.to_column),
            from_column=sql.SQL(self.from_column).format(number),
        )


_HOURS = _Table("volunteer_hours", HOURS_FIELDS)
_STATION_DAYS = _Table("station_activity", STATION_FIELDS, "date '1970-01-01' + number", "{} - date '1970-01-01'")


class Changes(NamedTuple):
    """Differences of sums: by name and number, int64[n, columns]."""

    names: npt.NDArray[np.object_]
    numbers: Longs
    sums: Longs

    def where(self, chosen: Flags) -> Changes:
        """Return the rows selected by a mask."""
        return Changes._make(column[chosen] for column in self)

    def rows(self) -> Longs:
        """Return numbers and sums in one array, as in `Rows`."""
        return np.concatenate([self.numbers[:, None], self.sums], axis=1)


def add_hours(
    connection: store.AnyConnection, generation: store.Generation, changes: Changes, opened: tuple[Flags, Flags]
) -> int:
    """Add differences to volunteers' hours; return the change of the checksum.

    Args:
        changes: of `HOURS_COLUMNS`, by volunteer and year (0 for all years).
        opened: for each row, whether the volunteer had an opening balance before, and has one after the change. With
            an opening balance, a volunteer has a row of year 0 even without service.
    """
    before, after = _added(connection, generation, _HOURS, changes)

    def exists(rows: Changes, opened: Flags) -> Flags:
        served = rows.sums[:, [_SHIFTS, _RAW]].any(axis=1)
        return np.asarray(served | ((rows.numbers == 0) & opened))

    existed, remains = exists(before, opened[0]), exists(after, opened[1])
    _drop(connection, generation, _HOURS, after.where(~remains))
    return _hours(after.where(remains)).checksum() - _hours(before.where(existed)).checksum()


def add_station_days(connection: store.AnyConnection, generation: store.Generation, changes: Changes) -> int:
    """Add differences (of `STATION_COLUMNS`, by station and day number) to station days; return the change of the
    checksum.
    """
    before, after = _added(connection, generation, _STATION_DAYS, changes)
    existed, remains = (np.asarray(rows.sums.any(axis=1)) for rows in (before, after))
    _drop(connection, generation, _STATION_DAYS, after.where(~remains))
    return _station_days(after.where(remains)).checksum() - _station_days(before.where(existed)).checksum()


def _added(
    connection: store.AnyConnection, generation: store.Generation, table: _Table, changes: Changes
) -> tuple[Changes, Changes]:
    """Add differences to a table; return the rows before (zero where there was no row) and after."""
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


def _drop(connection: store.AnyConnection, generation: store.Generation, table: _Table, removed: Changes) -> None:
    if len(removed.numbers):
        keys = text_array(removed.names), integer_array(removed.numbers)
        connection.execute(table.statement(_DROP, generation.schema), keys)


def _hours(rows: Changes) -> Rows:
    return NO_ROWS._replace(hours_volunteer=rows.names, hours=rows.rows())


def _station_days(rows: Changes) -> Rows:
    return NO_ROWS._replace(station=rows.names, stations=rows.rows())
