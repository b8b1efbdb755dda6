"""Live project months: add a batch's exact difference to the rows of its projects and months.

As for station days, the affected volunteers' contribution is computed before and after the batch, and people served are
added as differences. A volunteer counts once per month and once per year; a batch reads its volunteers' service for
whole years, so the differences of distinct volunteers are exact too. Everything happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from psycopg import sql

from projections.kernels.read_models import ReadModels
from projections.local_time import day_of_number
from projections.schema import PROJECT_COLUMNS, Longs
from replay.generations import store
from replay.generations.named_rows import NO_ROWS, Rows

ProjectMonths = dict[tuple[str, int, int], Longs]
"""`PROJECT_COLUMNS` by project, year and month; month 0 is the whole year."""

_PEOPLE_SERVED = PROJECT_COLUMNS.index("people_served")
_KEYS = "(SELECT * FROM unnest(%s::text[], %s::int[], %s::int[]))"
_GET = f"SELECT * FROM {{}} WHERE (project, year, month) IN {_KEYS}"  # noqa: S608 - constants
_DROP = f"DELETE FROM {{}} WHERE (project, year, month) IN {_KEYS}"  # noqa: S608 - constants


def month_differences(
    before: tuple[ReadModels, Sequence[str]],
    after: tuple[ReadModels, Sequence[str]],
    people: Mapping[tuple[str, str, int], int],
) -> ProjectMonths:
    """Return the differences, after minus before, that are not zero.

    Args:
        before, after: read models of the affected volunteers, each with the names of its projects.
        people: the changes of people served, by station, project ("" for none) and day.
    """
    months: ProjectMonths = {}
    for (models, names), sign in ((before, -1), (after, 1)):
        for project, year, month in zip(*np.nonzero(models.projects.any(axis=3)), strict=True):
            key = names[project], int(year) + models.first_year, int(month)
            months[key] = months.get(key, 0) + sign * models.projects[project, year, month]
    for (_, name, number), change in people.items():
        day = day_of_number(number)
        for month in (0, day.month) if name else ():
            row = months.setdefault((name, day.year, month), np.zeros(len(PROJECT_COLUMNS), np.int64))
            row[_PEOPLE_SERVED] += change
    return {key: change for key, change in months.items() if change.any()}


def add_months(connection: store.AnyConnection, generation: store.Generation, changes: ProjectMonths) -> int:
    """Add differences to a generation's project months; return the change of the checksum."""
    if not changes:
        return 0
    table = sql.Identifier(generation.schema, "project_activity")
    keys = [list(part) for part in zip(*changes, strict=True)]
    known: ProjectMonths = {
        (row[0], row[1], row[2]): np.array(row[3:], np.int64)
        for row in connection.execute(sql.SQL(_GET).format(table), keys)
    }
    sums = {key: known.get(key, 0) + change for key, change in changes.items()}
    old, new = _rows(known.items()), _rows((key, row) for key, row in sums.items() if row.any())
    connection.execute(sql.SQL(_DROP).format(table), keys)
    store.copy_table(connection, table, new.tables()["project_activity"])
    return new.checksum() - old.checksum()


def _rows(months: Iterable[tuple[tuple[str, int, int], Any]]) -> Rows:
    listed = list(months)
    columns = np.array([[year, month, *row] for (_, year, month), row in listed], np.int64)
    return NO_ROWS._replace(
        project=[project for (project, _, _), _ in listed], projects=columns.reshape(-1, 2 + len(PROJECT_COLUMNS))
    )
