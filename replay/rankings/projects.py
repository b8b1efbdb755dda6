"""Projects for readers: the activity of a project by year and month, under any three axes.

The rows of the current generation answer, unless an axis cuts events or `valid_at` cuts a year: then a replay does.
Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from replay.queries.queries import NOW, Axes, Queries, UnknownNameError
from replay.rankings.answers import ProjectActivity, ProjectMonth
from replay.rankings.rankings import Year, open_reader

_GET_NAMES = "SELECT DISTINCT project FROM {} ORDER BY project"


def projects(queries: Queries) -> list[str]:
    """Return the ids of the projects with any activity, sorted."""
    with queries.snapshot() as (connection, generation):
        table = sql.Identifier(generation.schema, "project_activity")
        return [row[0] for row in connection.execute(sql.SQL(_GET_NAMES).format(table))]


def project_activity(
    queries: Queries, log: LogQueries, project: str, year: Year = None, axes: Axes = NOW
) -> ProjectActivity:
    """Return a project's years and months, or one year and its months.

    Raises:
        UnknownNameError: the ledger did not know the project then. store.NoGenerationError
    """
    with open_reader(queries, axes, year) as reader:
        known_at = Position(reader.basis.known_at)
        if not log.read_streams([stream("project", project)], until=known_at):
            raise UnknownNameError("project", project)
        last_year = axes.valid_at.year if axes.valid_at else None
        found = [
            _month(row)
            for row in sorted(reader.project_rows(project))
            if year in {None, row[0]} and (last_year is None or row[0] <= last_year)
        ]
    return ProjectActivity(
        **dict(reader.basis),
        project=project,
        years=[row for row in found if row.month is None],
        months=[row for row in found if row.month is not None],
    )


def _month(row: Sequence[int]) -> ProjectMonth:
    year, month, shifts, volunteers, raw, counted, credited, people = row
    return ProjectMonth(
        year=year,
        month=month or None,
        shifts=shifts,
        volunteers=volunteers,
        raw_minutes=raw,
        counted_minutes=counted,
        credited_minutes=credited,
        people_served=people,
    )
