"""Peers of `bench.honors`: the same thresholds and ranks in SQL, and thresholds in a plain Python loop.

Both support the conditions of the federation's rules (minutes, tenure, active years, by rule set) and no others.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from projections.local_time import day_number, months_later
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from projections.schema import CREDITED, DAY, NO_DAY, PROJECT, SCANNED, Array, Ints, ShiftTable, VolunteerTable


class Credited(NamedTuple):
    """Credited pieces by volunteer, in order of days, as in the kernels; and the names of volunteers and projects."""

    table: ShiftTable
    volunteers: VolunteerTable
    pieces: Ints
    names: Array
    projects: Array


class Found(NamedTuple):
    """Standings (volunteer, honour, day), and the names in order of rank by ranking and year."""

    standings: Ints
    ranks: dict[tuple[str, int], Array]


HAS_DUCKDB = find_spec("duckdb") is not None
FOR_EVER = day_number(date(2100, 1, 1))


def _conditions(timeline: RuleTimeline) -> pa.Table:
    """Return the conditions of each honour under each rule set, one per row."""
    ids, rows = honor_ids(timeline), []
    for number, rules in enumerate(timeline.rule_sets):
        following = timeline.rule_sets[number + 1].holds_from if number + 1 < len(timeline.rule_sets) else None
        for honor in rules.honors:
            assert honor.training_tier_min is None, "the peers do not support training"
            rows.append(
                {
                    "honor": ids.index(honor.id),
                    "since": day_number(rules.holds_from) if number else -FOR_EVER,
                    "until": day_number(following) if following else FOR_EVER,
                    "minutes": honor.credited_minutes_min,
                    "scanned_only": honor.grade == "scanned",
                    "tenure": honor.tenure_months_min,
                    "years": honor.active_years_min,
                    "of_year": honor.active_year_minutes_min,
                }
            )
    return pa.Table.from_pylist(rows)


def duckdb_seconds(source: Credited, timeline: RuleTimeline, repeat: int) -> tuple[list[float], Found]:
    """Compute all honours with DuckDB on all cores, warm; return the seconds of each repetition, and the honours."""
    import duckdb  # noqa: PLC0415 - only this function needs it

    volunteer = np.repeat(np.arange(len(source.names), dtype=np.int32), np.diff(source.table.first))
    rows = source.table.rows
    script = Path(__file__).with_name("honors.sql").read_text()
    with duckdb.connect() as connection:
        pieces = pa.table(
            {
                "volunteer": volunteer,
                "day": source.pieces[:, DAY],
                "credited": source.pieces[:, CREDITED],
                "scanned": rows[:, SCANNED],
                "project": rows[:, PROJECT],
            }
        )
        people = pa.table({"volunteer": np.arange(len(source.names)), "registered": source.volunteers.registered})
        names = pa.table({"volunteer": np.arange(len(source.names)), "name": pa.array(source.names.tolist())})
        projects = pa.table({"project": np.arange(len(source.projects)), "name": pa.array(source.projects.tolist())})
        tables = {"pieces": pieces, "people": people, "names": names, "projects": projects}
        for name, table in {**tables, "conditions": _conditions(timeline)}.items():
            connection.register(f"given_{name}", table)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given_{name}")  # noqa: S608 - names of this module
        seconds = []
        for _ in range(repeat + 1):
            begun = perf_counter()
            connection.execute(script)
            seconds.append(perf_counter() - begun)
        standings = connection.execute("SELECT volunteer, honor, day FROM standings").fetchall()
        ranked: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for ranking, year, name in connection.execute("SELECT ranking, year, name FROM ranks ORDER BY rank").fetchall():
            ranked[ranking, year].append(name)
    ranks = {key: np.array(found, object) for key, found in ranked.items()}
    return seconds[1:], Found(np.array(standings, np.int32).reshape(-1, 3), ranks)


def plain_standings(source: Credited, timeline: RuleTimeline, volunteer: int) -> dict[int, int]:
    """Return the day on which a volunteer reached each honour, in a plain loop over conditions and days."""
    low, high = (int(end) for end in source.table.first[volunteer : volunteer + 2])
    by_day: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for row in range(low, high):
        minutes = int(source.pieces[row, CREDITED])
        by_day[int(source.pieces[row, DAY])][0] += minutes
        by_day[int(source.pieces[row, DAY])][1] += minutes * int(source.table.rows[row, SCANNED])
    registered = int(source.volunteers.registered[volunteer])
    found: dict[int, int] = {}
    for condition in _conditions(timeline).to_pylist():
        grade = 1 if condition["scanned_only"] else 0
        total, of_year, year, active, reached = 0, 0, 0, 0, NO_DAY
        for day in sorted(by_day):
            if (this := date.fromordinal(719_163 + day).year) != year:
                year, of_year = this, 0
            before = of_year
            total, of_year = total + by_day[day][grade], of_year + by_day[day][grade]
            active += before < condition["of_year"] <= of_year
            if total >= condition["minutes"] and active >= condition["years"]:
                reached = day
                break
        if condition["minutes"] == 0 and condition["years"] == 0:
            reached = registered
        if reached == NO_DAY:
            continue
        reached = max(reached, condition["since"], months_later(registered, condition["tenure"]))
        if reached < condition["until"]:
            found[condition["honor"]] = min(reached, found.get(condition["honor"], NO_DAY))
    return found
