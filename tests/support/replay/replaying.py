"""Helpers for tests of replay: histories written to a real log, and a ledger emptied between examples."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

from psycopg import sql

from ledger.aggregates import Event
from ledger.store.database import Database
from ledger.store.mapper import encode
from projections.kernels.facts import facts_of
from projections.rules.timeline import RuleTimeline
from replay.archive.archive import Archive
from replay.generations import store
from replay.generations.named_rows import Rows
from replay.generations.rebuild import replay
from replay.published import Rules
from tests.support.ledger.helpers import append_rows

SMALL_RULES = """\
name = "small"
time_zone = "Asia/Shanghai"
[[rule_sets]]
holds_from = 2000-01-01
day_minutes_max = 480
shift_minutes_min = 10
shift_minutes_max = 720
"""
"""The least that a timeline says; tests add honours, rankings and more rule sets."""


def append(database: Database, events: Iterable[Event], versions: Counter[UUID]) -> None:
    """Write events to the log as they are, in one transaction; `versions` counts the streams."""
    rows = []
    for event in events:
        versions[event.stream_id] += 1
        rows.append((event.stream_id, versions[event.stream_id], *encode(event)))
    append_rows(database, rows)


def empty(database: Database, folder: Path) -> Archive:
    """Forget everything, and begin an archive in an empty folder."""
    store.create_tables(database)
    with database.pool.connection() as connection:
        for generation in store.list_generations(connection):
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(generation.schema)))
        connection.execute("TRUNCATE replay.generations, replay.pointer, ledger.stored_events, ledger.commands")
        connection.execute(
            "TRUNCATE replay.shifts, replay.volunteers, replay.merges, replay.cap_raises, replay.people_served, "
            "replay.stations"
        )
    shutil.rmtree(folder, ignore_errors=True)
    return Archive(folder, database.log.identity())


def as_rules(timeline: RuleTimeline, version: int = 1) -> Rules:
    """Return a timeline as if it had been published: as TOML text."""
    text = to_toml(timeline)
    return Rules(version, f"{hash(text) & (1 << 128) - 1:032x}", text)


def to_toml(timeline: RuleTimeline) -> str:
    """Write a timeline as TOML."""
    lines = [f'name = "{timeline.name}"', f'time_zone = "{timeline.time_zone}"']
    for rule_set in timeline.rule_sets:
        content = rule_set.model_dump(mode="python", exclude_none=True)
        factors, honors, rankings = content.pop("factors"), content.pop("honors"), content.pop("rankings")
        lines += ["[[rule_sets]]", *_pairs(content)]
        for name, tables in (("factors", factors), ("honors", honors), ("rankings", rankings)):
            for table in tables:
                lines += [f"[[rule_sets.{name}]]", *_pairs(table)]
    return "\n".join(lines) + "\n"


def _pairs(table: dict[str, object]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in table.items()]


def _value(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(_pairs(value)) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    return str(value)


def replayed(events: Sequence[Event], rules: Rules) -> Rows:
    """Return the rows of all read models, computed in memory from the event objects."""
    return replay(facts_of(events), rules)


def as_sets(rows: Rows) -> tuple[set[tuple[object, ...]], ...]:
    """Return rows in a form that compares without order."""
    return (
        {(name, *row) for name, row in zip(rows.hours_volunteer, rows.hours.tolist(), strict=True)},
        {(name, *row) for name, row in zip(rows.station, rows.stations.tolist(), strict=True)},
        {
            (name, honor, *row)
            for name, honor, row in zip(
                rows.standing_volunteer, rows.standing_honor, rows.standings.tolist(), strict=True
            )
        },
        {(name, *row) for name, row in zip(rows.project, rows.projects.tolist(), strict=True)},
    )
