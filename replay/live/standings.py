"""Live standings: find the volunteers whose honours a batch may have changed, and replace their rows.

A standing is the first date on which its conditions were met, considering everything dated up to it. A standing reached
before the first changed day therefore stays the same, and one not reached before can only be reached with enough
minutes now. The service of the remaining volunteers, who are few, is read completely and computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from psycopg import sql

from projections.rules.table import RuleTable
from projections.schema import NO_DAY, NONE, TIERS, Longs
from replay.cohorts.cohort import Person
from replay.cohorts.shift_columns import integer_array, text_array
from replay.generations import store
from replay.generations.named_rows import NO_ROWS, Rows

_REACHED_SINCE = """
SELECT DISTINCT known.volunteer FROM unnest(%s::text[], %s::int[]) AS changed(volunteer, day)
JOIN {standings} AS known
  ON known.volunteer = changed.volunteer AND known.reached_on >= date '1970-01-01' + changed.day
"""
_TOTALS = """
SELECT volunteer, credited_minutes, scanned_minutes,
       ARRAY(SELECT honor FROM {standings} AS reached WHERE reached.volunteer = known.volunteer),
       ARRAY(SELECT ARRAY[credited_minutes, scanned_minutes] FROM {hours} AS years
             WHERE years.volunteer = known.volunteer AND year > 0)
FROM {hours} AS known WHERE volunteer = ANY(%s::text[]) AND year = 0 AND credited_minutes >= %s
"""
_ROWS = """
SELECT volunteer, honor, reached_on - date '1970-01-01' FROM {standings} WHERE volunteer = ANY(%s::text[])
"""
_DROP = "DELETE FROM {standings} WHERE volunteer = ANY(%s::text[])"


StandingRow = tuple[str, str, int]
"""Volunteer, honour, and the number of the day on which it was reached."""


class ChangedPersons(NamedTuple):
    """Persons whose service changed, by their final number, each with the first changed day as a day number."""

    volunteers: Sequence[str]
    since: Longs


def may_have_changed(
    connection: store.AnyConnection,
    generation: store.Generation,
    affected: ChangedPersons,
    persons: Mapping[str, Sequence[Person]],
    honors: Sequence[str],
    rules: RuleTable,
) -> set[str]:
    """Return the persons whose standings may differ from the generation's rows. Its hours must include the batch.

    Args:
        persons: the facts of all numbers of each person.
        honors: the ids of the rules' thresholds, in the order of `rules.honors`.
    """
    minutes = rules.honors.minutes
    if not affected.volunteers or not (minutes != NONE).any():
        return set()
    names = text_array(affected.volunteers)
    found = connection.execute(_query(_REACHED_SINCE, generation), (names, integer_array(affected.since))).fetchall()
    changed = {row[0] for row in found}
    lowest = int(minutes[minutes != NONE].min())
    for name, credited, scanned, reached, years in connection.execute(
        _query(_TOTALS, generation), (names, lowest)
    ).fetchall():
        missing = np.array([honor not in reached for honor in honors])
        by_year = np.array(years, np.int64).reshape(-1, 2)
        if name not in changed and (_attainable(credited, scanned, by_year, persons[name], rules) & missing).any():
            changed.add(name)
    return changed


def _attainable(
    credited: int, scanned: int, years: Longs, numbers: Sequence[Person], rules: RuleTable
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each honour whether the total minutes could be enough for it, under any rule set.

    years: int64[n, 2], the credited and the scanned minutes of each year.
    """
    honors = rules.honors
    if all(number.registered == NO_DAY for number in numbers):
        return np.zeros(len(honors.minutes), np.bool_)
    enough = np.where(honors.scanned_only != 0, scanned, credited) >= honors.minutes
    never = [tier for tier in TIERS.values() if all(number.trained[tier - 1] == NO_DAY for number in numbers)]
    by_year = np.where(honors.scanned_only[:, :, None] != 0, years[:, 1], years[:, 0])
    active = (by_year >= honors.active_minutes[:, :, None]).sum(axis=2) >= honors.active_years
    possible = (honors.minutes != NONE) & enough & active & ~np.isin(honors.tier, never)
    return np.asarray(possible.any(axis=1))


def replace_standings(
    connection: store.AnyConnection,
    generation: store.Generation,
    volunteers: Collection[str],
    standings: Collection[StandingRow],
) -> int:
    """Replace the standings of volunteers; return the change of the checksum."""
    names = text_array(volunteers)
    known = {tuple(row) for row in connection.execute(_query(_ROWS, generation), (names,)).fetchall()}
    if known == set(standings):
        return 0
    old, new = _rows(known), _rows(standings)
    connection.execute(_query(_DROP, generation), (names,))
    table = sql.Identifier(generation.schema, "honor_standings")
    store.copy_table(connection, table, new.tables()["honor_standings"])
    return new.checksum() - old.checksum()


def _rows(standings: Collection[StandingRow]) -> Rows:
    return NO_ROWS._replace(
        standing_volunteer=[volunteer for volunteer, _, _ in standings],
        standing_honor=[honor for _, honor, _ in standings],
        standings=np.array([day for *_, day in standings], np.int64).reshape(-1, 1),
    )


def _query(template: str, generation: store.Generation) -> sql.Composed:
    return sql.SQL(template).format(
        standings=sql.Identifier(generation.schema, "honor_standings"),
        hours=sql.Identifier(generation.schema, "volunteer_hours"),
    )
