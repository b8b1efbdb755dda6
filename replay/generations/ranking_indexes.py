"""Rankings in SQL: the indexes that a generation's rules need, and the statements that read ranks from them.

There is one partial index for each distinct pair of sort order and minimums; it contains the ranked volunteers in the
order of their ranks. The minimums are literals in the statements, because PostgreSQL uses a partial index only if the
statement implies its condition. The order is that of `projections.kernels.rankings`; a test compares the two. This
module composes statements and runs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from projections.rules.rankings import VOLUNTEER_KEYS, Ranking
from projections.rules.timeline import RuleTimeline

Statement = sql.Composed

_NAME = sql.SQL('volunteer COLLATE "C"')
_FIGURES = sql.SQL(", ").join(map(sql.Identifier, VOLUNTEER_KEYS))


def index_statements(timeline: RuleTimeline, schema: str) -> list[Statement]:
    """Return the statements that create the indexes of a generation: one for each order and minimums of its rankings of
    volunteers, and one for projects if they are ranked.
    """
    rankings = [ranking for rule_set in timeline.rule_sets for ranking in rule_set.rankings]
    distinct = {
        (ranking.order, tuple(sorted(ranking.minimums.items()))): ranking
        for ranking in rankings
        if ranking.of == "volunteers"
    }
    statements = [
        sql.SQL("CREATE INDEX ON {} (year, {}, {}) WHERE {}").format(
            _hours(schema), _directed(ranking.order, "DESC"), _NAME, _ranked(ranking)
        )
        for ranking in distinct.values()
    ]
    if any(ranking.of == "projects" for ranking in rankings):
        statements.append(sql.SQL("CREATE INDEX ON {} (year)").format(_months(schema)))
    return statements


# --- volunteers -----------------------------------------------------------------------------------------------------


def count_volunteers(schema: str, ranking: Ranking, year: int) -> Statement:
    """Return a statement for the number of ranked volunteers."""
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(_hours(schema), _of_year(ranking, year))


def latest_year(schema: str, ranking: Ranking) -> Statement:
    """Return a statement for the latest year with a ranked volunteer."""
    return sql.SQL("SELECT max(year) FROM {} WHERE {}").format(_hours(schema), _ranked(ranking))


def list_volunteers(schema: str, ranking: Ranking, year: int, skip: int, limit: int) -> Statement:
    """Return a statement for volunteers and their `VOLUNTEER_KEYS`, by rank."""
    return sql.SQL("SELECT volunteer, {} FROM {} WHERE {} ORDER BY {}, {} LIMIT {} OFFSET {}").format(
        _FIGURES,
        _hours(schema),
        _of_year(ranking, year),
        _directed(ranking.order, "DESC"),
        _NAME,
        sql.Literal(limit),
        sql.Literal(skip),
    )


def one_volunteer(schema: str, volunteer: str, year: int) -> Statement:
    """Return a statement for a volunteer's `VOLUNTEER_KEYS` in a year, ranked or not."""
    return sql.SQL("SELECT {} FROM {} WHERE volunteer = {} AND year = {}").format(
        _FIGURES, _hours(schema), sql.Literal(volunteer), sql.Literal(year)
    )


def count_before(schema: str, ranking: Ranking, year: int, figures: Mapping[str, int], name: str) -> Statement:
    """Return a statement for the number of volunteers ranked before one with these figures: those with a greater first
    key, and those with an equal first key and an earlier place by the other keys. They are counted separately, because
    each count is then an index-only range scan.
    """
    first = ranking.order[0]
    column, value = sql.Identifier(first), sql.Literal(figures[first])
    count = sql.SQL("(SELECT count(*) FROM {} WHERE {} AND {})")
    table, of_year = _hours(schema), _of_year(ranking, year)
    return sql.SQL("SELECT {} + {}").format(
        count.format(table, of_year, sql.SQL("{} > {}").format(column, value)),
        count.format(
            table,
            of_year,
            sql.SQL("{} = {} AND {}").format(column, value, _beyond(ranking.order[1:], figures, name, before=True)),
        ),
    )


def neighbours(
    schema: str, ranking: Ranking, year: int, figures: Mapping[str, int], name: str, limit: int, *, before: bool
) -> Statement:
    """Return a statement for the volunteers ranked next to one with these figures, nearest first, with their
    `VOLUNTEER_KEYS`.
    """
    order = (_directed(ranking.order, "ASC"), _NAME, sql.SQL("DESC" if before else "ASC"))
    if not before:
        order = (_directed(ranking.order, "DESC"), *order[1:])
    first = ranking.order[0]
    return sql.SQL("SELECT volunteer, {} FROM {} WHERE {} AND {} {} {} AND {} ORDER BY {}, {} {} LIMIT {}").format(
        _FIGURES,
        _hours(schema),
        _of_year(ranking, year),
        # Redundant with `_beyond`, but it lets the index scan start at this key.
        sql.Identifier(first),
        sql.SQL(">=" if before else "<="),
        sql.Literal(figures[first]),
        _beyond(ranking.order, figures, name, before=before),
        *order,
        sql.Literal(limit),
    )


# --- projects -------------------------------------------------------------------------------------------------------


def project_years(schema: str, year: int) -> Statement:
    """Return a statement for all projects of a year with their `PROJECT_KEYS` except the score. Projects are few, so
    they are ranked in memory.
    """
    columns = ("credited_minutes", "counted_minutes", "raw_minutes", "shifts", "volunteers", "people_served")
    sums = sql.SQL(", ").join(
        sql.SQL("sum({}) FILTER (WHERE month = 0)").format(sql.Identifier(column)) for column in columns
    )
    return sql.SQL(
        "SELECT project, {}, count(*) FILTER (WHERE month > 0 AND shifts > 0) FROM {} WHERE year = {} GROUP BY project"
    ).format(sums, _months(schema), sql.Literal(year))


def years_of_projects(schema: str) -> Statement:
    """Return a statement for the years with any project, latest first."""
    return sql.SQL("SELECT DISTINCT year FROM {} ORDER BY year DESC").format(_months(schema))


# --- parts ----------------------------------------------------------------------------------------------------------


def _hours(schema: str) -> sql.Identifier:
    return sql.Identifier(schema, "volunteer_hours")


def _months(schema: str) -> sql.Identifier:
    return sql.Identifier(schema, "project_activity")


def _directed(order: Sequence[str], direction: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(f"{{}} {direction}").format(sql.Identifier(key)) for key in order)


def _ranked(ranking: Ranking) -> sql.Composed:
    """Return the condition for being ranked in any year; year 0 is the total of all years, which is not ranked."""
    minimums = [
        sql.SQL("{} >= {}").format(sql.Identifier(key), sql.Literal(value))
        for key, value in sorted(ranking.minimums.items())
    ]
    return sql.SQL(" AND ").join([sql.SQL("year > 0"), *minimums])


def _of_year(ranking: Ranking, year: int) -> sql.Composed:
    return sql.SQL("year = {} AND {}").format(sql.Literal(year), _ranked(ranking))


def _beyond(order: Sequence[str], figures: Mapping[str, int], name: str, *, before: bool) -> sql.Composed:
    """Return the condition for being ranked before (or after) these figures; equal keys are ordered by name."""
    beyond = sql.SQL(">" if before else "<")
    condition = sql.SQL("{} {} {}").format(_NAME, sql.SQL("<" if before else ">"), sql.Literal(name))
    for key in reversed(order):
        column, value = sql.Identifier(key), sql.Literal(figures[key])
        condition = sql.SQL("({} {} {} OR ({} = {} AND {}))").format(column, beyond, value, column, value, condition)
    return condition
