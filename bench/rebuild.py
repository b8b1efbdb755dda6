"""Rebuild: from a change of rules to a switched generation in PostgreSQL that answers queries.

The rules change in two places: the day cap, and a new factor for weekends. The time includes reading the archive,
replaying, writing, indexing, verifying, the commit, and dropping an old generation. `copy_alone` is a COPY of the same
rows without indexes. Peer: the eventsourcing library's projection runner with its view in PostgreSQL, one transaction
per event as it recommends; and again without waiting for the disk at each commit. It computes less
(bench/peers/stock.py). The published rules are restored before the peers run.
"""

from __future__ import annotations

from time import perf_counter

from psycopg import sql

from bench.peers.stock import postgres_projection
from bench.support.common import (
    Options,
    Result,
    Stopwatch,
    machine,
    median_seconds,
    median_stages,
    parse,
    peak_mib,
    print_status,
    publish,
)
from bench.support.data import BenchLedger, bench_ledger
from projections.rules.timeline import rules_digest
from replay.generations import store
from replay.generations.named_rows import Rows
from replay.generations.rebuild import Rebuilt, rebuild, replay
from replay.published import Rules, published_rules

COPY_SCHEMA = "bench_copy"

WEEKENDS = """
[[rule_sets.factors]]
name = "weekends"
percent = 110
weekdays = [6, 7]
"""


def candidate(rules: Rules, day_minutes_max: int) -> Rules:
    """Return other rules: another day cap in every rule set, and a new factor in the last."""
    text = rules.text.replace("day_minutes_max = 480", f"day_minutes_max = {day_minutes_max}")
    assert text != rules.text, "the published rules have another day cap than rules/luohu.toml"
    text += WEEKENDS
    return Rules(rules.version, rules_digest(text), text)  # with a version: candidates cannot be switched to


def rebuild_once(ledger: BenchLedger, rules: Rules) -> tuple[Stopwatch, Rebuilt]:
    """Rebuild under `rules`, which are not those of the live generation."""
    watch, stages = Stopwatch(), ["beginning"]

    def report(stage: str, _done: int, _total: int) -> None:
        if stage != stages[-1]:
            watch.lap(stages[-1])
            stages.append(stage)

    rebuilt = rebuild(ledger.database, ledger.archive, rules, progress=report)
    watch.lap(stages[-1])
    with ledger.database.pool.connection() as connection:
        live = store.current_generation(connection)
    assert live == rebuilt.generation
    return watch, rebuilt


def copy_alone(ledger: BenchLedger, rows: Rows, like: store.Generation) -> Stopwatch:
    """COPY the rows of a generation into tables without indexes, and commit."""
    schema = sql.Identifier(COPY_SCHEMA)
    with ledger.database.pool.connection() as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
        watch = Stopwatch()
        with connection.transaction():
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            for name, table in rows.tables().items():
                target, model = sql.Identifier(COPY_SCHEMA, name), sql.Identifier(like.schema, name)
                connection.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(target, model))
                store.copy_table(connection, target, table)
        watch.lap("copy")
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
    return watch


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Time rebuilds under other rules, restore the published rules, and run the peers."""
    published = published_rules(ledger.database.log)
    others = [candidate(published, 420), candidate(published, 435)]
    rebuild_once(ledger, others[1])  # warms up
    found = [rebuild_once(ledger, others[number % 2]) for number in range(options.repeat)]
    runs, rebuilt = [watch for watch, _ in found], found[-1][1]
    peak = peak_mib()
    rows = replay(ledger.archive.facts(until=rebuilt.events), others[(options.repeat - 1) % 2])
    written = rebuilt.hours + rebuilt.station_days + rebuilt.standings
    copied = [copy_alone(ledger, rows, rebuilt.generation) for _ in range(options.repeat)]
    copy_seconds = median_seconds(copied)
    more: dict[str, object] = {
        "stages": median_stages(runs),
        "rows": {"hours": rebuilt.hours, "station_days": rebuilt.station_days, "standings": rebuilt.standings},
        "copy_alone": {"seconds": round(copy_seconds, 4), "rows_per_second": round(written / copy_seconds, 1)},
        "query_after_seconds": round(_query_seconds(ledger), 4),
    }
    result = Result("rebuild", rebuilt.events, [run.seconds for run in runs], peak, {}, more)
    rebuild(ledger.database, ledger.archive, published)
    print_status("peers")
    part = ledger.url, ledger.middle, rebuilt.events, options.peer_seconds
    result.peers = {
        "eventsourcing projection runner, view in PostgreSQL": postgres_projection(*part),
        "the same, synchronous_commit off": postgres_projection(*part, durable=False),
    }
    return result


def _query_seconds(ledger: BenchLedger) -> float:
    """Return the seconds of a query for one volunteer's hours in the new generation."""
    with ledger.database.pool.connection() as connection:
        begun = perf_counter()
        generation = store.current_generation(connection)
        assert generation is not None
        hours = sql.Identifier(generation.schema, "volunteer_hours")
        first = connection.execute(sql.SQL("SELECT min(volunteer) FROM {}").format(hours)).fetchone()
        found = connection.execute(sql.SQL("SELECT * FROM {} WHERE volunteer = %s").format(hours), first).fetchall()
        assert found
        return perf_counter() - begun


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
