"""A small history and two rule timelines, for tests of generations."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from ledger.aggregates import Event
from ledger.store.database import Database
from projections.rules.timeline import RuleTimeline, rules_digest
from replay.generations import store
from replay.generations.named_rows import Rows
from replay.live.follower import Follower
from replay.published import Rules
from tests.support.oracle.histories import history, rule_set, rules
from tests.support.replay.replaying import append, to_toml

BEFORE = """
2016-03-05 09:00 open U1 city
2018-11-30 09:00 raise V2 2018-12-04 600 R1
2018-12-04 08:00 in V2 U1 #2
2018-12-04 09:00 in V1 U1 #1 project=P1
2018-12-04 20:00 out V2 U1 #2
2018-12-04 21:00 out V1 U1 #1
2018-12-05 09:00 in V3 U2 #3
2018-12-05 10:00 out V3 U2 #3
2018-12-05 11:00 opening V3 6000 2016-06-01"""
LATER = """
2018-12-06 10:00 correct V1 #1 check_out=2018-12-04T11:30
2018-12-06 11:00 in V4 U2 #4
2018-12-06 13:00 out V4 U2 #4
2018-12-07 09:00 served U1 2018-12-04 40 project=P1
2018-12-07 10:00 void V3 #3"""
ALL: list[Event] = history(BEFORE + LATER)
HISTORY = ALL[: -len(LATER.split("\n")[1:])]
MORE = ALL[len(HISTORY) :]


def published(timeline: RuleTimeline, version: int) -> Rules:
    """Return rules as if they had been published; the same in every process."""
    text = to_toml(timeline)
    return Rules(version, rules_digest(text), text)


_STAR = {"id": "star", "title": "Star", "credited_minutes_min": 480}
OLD_RULES = published(rules(rule_set(day_minutes_max=480, honors=[_STAR])), 1)
NEW_RULES = published(rules(rule_set(day_minutes_max=120, honors=[_STAR])), 2)


def written(database: Database, events: list[Event]) -> None:
    """Write events behind those that are there; each stream's versions go on."""
    versions: Counter[UUID] = Counter(event.stream_id for event in ALL[: database.log.head()])
    append(database, events, versions)


def follow_more(database: Database) -> None:
    """Write the later events, unless they are there, and let the live generation follow."""
    if database.log.head() == len(HISTORY):
        written(database, MORE)
    assert Follower(database).catch_up() == len(ALL)


def current(database: Database) -> store.Generation:
    """Return the generation that answers."""
    with database.pool.connection() as connection:
        found = store.current_generation(connection)
    assert found is not None
    return found


def stored(database: Database, generation: store.Generation) -> Rows:
    """Return all rows of a generation."""
    with database.pool.connection() as connection:
        return store.read_rows(connection, generation)


def schemas(database: Database) -> list[str]:
    """Return the schemas of generations that there are."""
    with database.pool.connection() as connection:
        found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'generation%' ORDER BY oid")
        return [row[0] for row in found]
