"""Diff: from resolved shifts to the table of who gains and who loses, and why, under two rule timelines.

The other rules change the day cap and add a factor for weekends, so that most volunteers differ. Stages: order (shifts
by volunteer and time, once for both), compare (credit under both, traces, years, stations, projects, honours, and the
effect of each factor), rank, table (one row per volunteer who differs, with the reason in words). `variants`: only the
cap, only the factor, only honours; `two_moments`: the difference made by the second half of the log, from the archive
on disk. Peers: two full replays over the same ordered shifts, whose rows are joined by DuckDB or in plain Python. They
show who differs, but not why.
"""

from __future__ import annotations

import os
from statistics import median

from bench.peers.folds import HAS_DUCKDB
from bench.rebuild import WEEKENDS, candidate
from bench.support.common import (
    Options,
    Result,
    Stopwatch,
    machine,
    median_stages,
    parse,
    peak_mib,
    print_status,
    publish,
)
from bench.support.data import BenchLedger, bench_ledger
from ledger.names import Position
from projections.kernels.facts import Facts
from projections.kernels.pairing import pair
from projections.kernels.read_models import compute
from projections.rules.table import honor_ids, rule_table
from projections.rules.timeline import rules_digest
from projections.schema import HOURS_COLUMNS
from replay.generations.named_rows import Rows, rows_of
from replay.progress import ignore
from replay.published import Rules, published_rules
from replay.queries.queries import NOW, Axes
from replay.what_if.comparison import Comparison, Point, points, what_if
from replay.what_if.files import volunteers_table

STAGES = {"ordering shifts": "order", "comparing volunteers": "compare", "ranking": "rank"}
JOIN = """
SELECT volunteer, year, b.credited_minutes - a.credited_minutes AS change
FROM a_volunteer_hours a FULL JOIN b_volunteer_hours b USING (volunteer, year)
WHERE (a.shifts, a.raw_minutes, a.counted_minutes, a.credited_minutes, a.scanned_minutes)
    IS DISTINCT FROM (b.shifts, b.raw_minutes, b.counted_minutes, b.credited_minutes, b.scanned_minutes);
SELECT volunteer, honor, a.reached_on, b.reached_on
FROM a_honor_standings a FULL JOIN b_honor_standings b USING (volunteer, honor)
WHERE a.reached_on IS DISTINCT FROM b.reached_on;
SELECT station, sum(b.credited_minutes) - sum(a.credited_minutes)
FROM a_station_activity a FULL JOIN b_station_activity b USING (station, day) GROUP BY station;
"""


def diff_once(facts: Facts, before: Rules, after: Rules) -> tuple[Stopwatch, Comparison, int]:
    """Compare two timelines and build the table; return the times, the comparison and the number of rows."""
    watch, stages = Stopwatch(), ["order"]

    def report(stage: str, _done: int, _total: int) -> None:
        if STAGES[stage] != stages[-1]:
            watch.lap(stages[-1])
            stages.append(STAGES[stage])

    position = Position(1)
    found = what_if(Point(facts, before, position), Point(facts, after, position), progress=report)
    watch.lap(stages[-1])
    rows = len(volunteers_table(found))
    watch.lap("table")
    return watch, found, rows


def replayed_twice(facts: Facts, before: Rules, after: Rules) -> tuple[Rows, Rows]:
    """Replay under both timelines; resolve and order the shifts once."""
    threads = os.cpu_count() or 1
    table, volunteers = facts.ordered(facts.resolved(), threads=threads), facts.volunteer_table()
    found = []
    for rules in (before, after):
        timeline = rules.timeline()
        rule_columns = rule_table(timeline, facts.projects.number)
        paired = pair(table, facts.resolved(), rule_columns, threads=threads).table
        models = compute(
            paired, volunteers, facts.station_kinds(timeline), rule_columns, facts.served_counts(), threads=threads
        )
        names = facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts()
        found.append(rows_of(models, *names))
    return found[0], found[1]


def join_in_duckdb(before: Rows, after: Rows) -> int:
    """Join the rows of two replays; return the number of differing pairs of volunteer and year."""
    import duckdb  # noqa: PLC0415 - only where it is installed

    with duckdb.connect() as connection:
        for side, rows in (("a", before), ("b", after)):
            for name, table in rows.tables().items():
                connection.register(f"{side}_{name}", table)
        answers = [connection.execute(statement).fetchall() for statement in JOIN.split(";") if statement.strip()]
    return len(answers[0])


def join_in_python(before: Rows, after: Rows) -> int:
    """Join the rows of hours in dictionaries; return the number of differing pairs of volunteer and year."""
    sides = [
        {(name, row[0]): row[1:] for name, row in zip(rows.hours_volunteer, rows.hours.tolist(), strict=True)}
        for rows in (before, after)
    ]
    return sum(sides[0].get(key) != sides[1].get(key) for key in sides[0].keys() | sides[1].keys())


def others(rules: Rules) -> dict[str, Rules]:
    """Return rules that differ in one point each."""
    texts = {
        "cap": rules.text.replace("day_minutes_max = 480", "day_minutes_max = 420"),
        "factor": rules.text + WEEKENDS,
        "honours": rules.text.replace("credited_minutes_min = 6_000", "credited_minutes_min = 5_000"),
    }
    assert rules.text not in texts.values(), "the published rules differ from rules/luohu.toml"
    return {name: Rules(0, rules_digest(text), text) for name, text in texts.items()}


def check(found: Comparison, rows: tuple[Rows, Rows]) -> None:
    """Verify the comparison against the rows of the two replays."""
    before, after = map(credited_totals, rows)
    changes = {name: after.get(name, 0) - minutes for name, minutes in before.items()}
    pairs = zip(found.found.volunteers.tolist(), found.changes.tolist(), strict=True)
    assert {found.volunteers[number]: change for number, change in pairs if change} == {
        name: change for name, change in changes.items() if change
    }, "the comparison differs from two replays"


def credited_totals(rows: Rows) -> dict[str, int]:
    """Return the credited minutes of each volunteer over all years."""
    column = 1 + HOURS_COLUMNS.index("credited")
    pairs = zip(rows.hours_volunteer, rows.hours.tolist(), strict=True)
    return {name: row[column] for name, row in pairs if row[0] == 0}


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Time the comparison, its variants, and the peers."""
    published = published_rules(ledger.database.log)
    other = candidate(published, 420)
    facts = ledger.archive.facts(threads=os.cpu_count() or 1)
    diff_once(facts, published, other)  # warms up
    found = [diff_once(facts, published, other) for _ in range(options.repeat)]
    runs, comparison, rows = [watch for watch, *_ in found], found[-1][1], found[-1][2]
    peak = peak_mib()
    more: dict[str, object] = {
        "stages": median_stages(runs),
        "rows": {
            "volunteers": rows,
            "honours": len(comparison.found.honors),
            "ranks": len(comparison.ranks),
            "shifts": len(facts.resolved().flags),
        },
        "variants": {
            name: round(median(diff_once(facts, published, rules)[0].seconds for _ in range(options.repeat)), 4)
            for name, rules in others(published).items()
        },
        "two_moments": {"seconds": round(_two_moments(ledger).seconds, 4), "from_position": ledger.middle},
        "threads": os.cpu_count(),
    }
    peers, replays = _peers(facts, published, other, options, ledger.archive.position)
    check(comparison, replays)
    return Result("diff", ledger.archive.position, [run.seconds for run in runs], peak, peers, more)


def _two_moments(ledger: BenchLedger) -> Stopwatch:
    """Compare the middle of the log with its end, from disk to table."""
    watch = Stopwatch()
    sides = Axes(known_at=Position(ledger.middle), rules=published_rules(ledger.database.log)), NOW
    before, after = points(ledger.database, ledger.archive, sides, ignore)
    volunteers_table(what_if(before, after))
    watch.lap("all")
    return watch


def _peers(
    facts: Facts, before: Rules, after: Rules, options: Options, events: int
) -> tuple[dict[str, float], tuple[Rows, Rows]]:
    print_status("peers")
    joins = {"two replays, rows joined in plain Python": join_in_python}
    if HAS_DUCKDB:
        joins["two replays, rows joined by DuckDB"] = join_in_duckdb
    rows = replayed_twice(facts, before, after)  # warms up
    rates = {}
    for name, join in joins.items():
        seconds = []
        for _ in range(options.repeat):
            watch = Stopwatch()
            rows = replayed_twice(facts, before, after)
            assert join(*rows) > 0
            watch.lap("all")
            seconds.append(watch.seconds)
        rates[name] = events / median(seconds)
    return rates, rows


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
