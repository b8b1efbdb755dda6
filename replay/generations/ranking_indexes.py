"""Rankings in SQL: the indexes that a generation's rules ask for, and the statements that read ranks from them.

An index for each order and its minimums holds just those who are ranked, in the order of their ranks. The minimums
stand in the statements as literals, because a partial index serves only a statement that visibly asks for no more. The
order is that of `projections.kernels.rankings`: a test holds the two together. This module writes statements and runs
none.
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
    """Return what makes the indexes of a generation: one for each way in which its rules rank volunteers."""
    rankings = [ranking for rule_set in timeline.rule_sets for ranking in rule_set.rankings]
    ways = {
        (ranking.order, tuple(sorted(ranking.minimums.items()))): ranking
        for ranking in rankings
        if ranking.of == "volunteers"
    }
    statements = [
        sql.SQL("CREATE INDEX ON {} (year, {}, {}) WHERE {}").format(
            _hours(schema), _directed(ranking.order, "DESC"), _NAME, _ranked(ranking)
        )
        for ranking in ways.values()
    ]
    if any(ranking.of == "projects" for ranking in rankings):
        statements.append(sql.SQL("CREATE INDEX ON {} (year)").format(_months(schema)))
    return statements


# --- volunteers -----------------------------------------------------------------------------------------------------


def count_volunteers(schema: str, ranking: Ranking, year: int) -> Statement:
    """How many are ranked."""
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(_hours(schema), _of_year(ranking, year))


def latest_year(schema: str, ranking: Ranking) -> Statement:
    """The latest year in which anybody is ranked."""
    return sql.SQL("SELECT max(year) FROM {} WHERE {}").format(_hours(schema), _ranked(ranking))


def list_volunteers(schema: str, ranking: Ranking, year: int, skip: int, limit: int) -> Statement:
    """Volunteers and `VOLUNTEER_KEYS`, by rank."""
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
    """A volunteer's `VOLUNTEER_KEYS` of a year, ranked or not."""
    return sql.SQL("SELECT {} FROM {} WHERE volunteer = {} AND year = {}").format(
        _FIGURES, _hours(schema), sql.Literal(volunteer), sql.Literal(year)
    )


def count_before(schema: str, ranking: Ranking, year: int, figures: Mapping[str, int], name: str) -> Statement:
    """How many are ranked before a volunteer with these figures: those beyond in the first key, and those who are equal
    in it and stand before. Counted apart, because a range of the index needs no look at the table.
    """
    first = ranking.order[0]
    column, value = sql.Identifier(first), sql.Literal(figures[first])
    count = sql.SQL("(SELECT count(*) FROM {} WHERE {} AND {})")
    place, of_year = _hours(schema), _of_year(ranking, year)
    return sql.SQL("SELECT {} + {}").format(
        count.format(place, of_year, sql.SQL("{} > {}").format(column, value)),
        count.format(
            place,
            of_year,
            sql.SQL("{} = {} AND {}").format(column, value, _beyond(ranking.order[1:], figures, name, before=True)),
        ),
    )


def neighbours(
    schema: str, ranking: Ranking, year: int, figures: Mapping[str, int], name: str, limit: int, *, before: bool
) -> Statement:
    """Who stands next to a volunteer with these figures, the nearest first: volunteers and `VOLUNTEER_KEYS`."""
    order = (_directed(ranking.order, "ASC"), _NAME, sql.SQL("DESC" if before else "ASC"))
    if not before:
        order = (_directed(ranking.order, "DESC"), *order[1:])
    first = ranking.order[0]
    return sql.SQL("SELECT volunteer, {} FROM {} WHERE {} AND {} {} {} AND {} ORDER BY {}, {} {} LIMIT {}").format(
        _FIGURES,
        _hours(schema),
        _of_year(ranking, year),
        # This says nothing new, but it is what the index can begin at.
        sql.Identifier(first),
        sql.SQL(">=" if before else "<="),
        sql.Literal(figures[first]),
        _beyond(ranking.order, figures, name, before=before),
        *order,
        sql.Literal(limit),
    )


# --- projects -------------------------------------------------------------------------------------------------------


def project_years(schema: str, year: int) -> Statement:
    """Each project of a year with `PROJECT_KEYS` but the score. They are so few that they are ranked in memory."""
    columns = ("credited_minutes", "counted_minutes", "raw_minutes", "shifts", "volunteers", "people_served")
    whole = sql.SQL(", ").join(
        sql.SQL("sum({}) FILTER (WHERE month = 0)").format(sql.Identifier(column)) for column in columns
    )
    return sql.SQL(
        "SELECT project, {}, count(*) FILTER (WHERE month > 0 AND shifts > 0) FROM {} WHERE year = {} GROUP BY project"
    ).format(whole, _months(schema), sql.Literal(year))


def years_of_projects(schema: str) -> Statement:
    """The years in which there is any project, the latest first."""
    return sql.SQL("SELECT DISTINCT year FROM {} ORDER BY year DESC").format(_months(schema))


# --- parts ----------------------------------------------------------------------------------------------------------


def _hours(schema: str) -> sql.Identifier:
    return sql.Identifier(schema, "volunteer_hours")


def _months(schema: str) -> sql.Identifier:
    return sql.Identifier(schema, "project_activity")


def _directed(order: Sequence[str], direction: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(f"{{}} {direction}").format(sql.Identifier(key)) for key in order)


def _ranked(ranking: Ranking) -> sql.Composed:
    """Who is ranked in any year; year 0 is all years with the opening balance, and no ranking's."""
    least = [
        sql.SQL("{} >= {}").format(sql.Identifier(key), sql.Literal(value))
        for key, value in sorted(ranking.minimums.items())
    ]
    return sql.SQL(" AND ").join([sql.SQL("year > 0"), *least])


def _of_year(ranking: Ranking, year: int) -> sql.Composed:
    return sql.SQL("year = {} AND {}").format(sql.Literal(year), _ranked(ranking))


def _beyond(order: Sequence[str], figures: Mapping[str, int], name: str, *, before: bool) -> sql.Composed:
    """Who stands before (or behind) these figures, by the name where the keys are equal."""
    beyond = sql.SQL(">" if before else "<")
    condition = sql.SQL("{} {} {}").format(_NAME, sql.SQL("<" if before else ">"), sql.Literal(name))
    for key in reversed(order):
        column, value = sql.Identifier(key), sql.Literal(figures[key])
        condition = sql.SQL("({} {} {} OR ({} = {} AND {}))").format(column, beyond, value, column, value, condition)
    return condition
