"""Rebuild: replay the archive under a rule timeline into a new generation, and let it answer.

Everything happens in one transaction: a rebuild that is stopped or killed leaves nothing behind, and the live
generation answers until the commit. Only the end, where the new generation catches up with the live one, holds the
follower back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from psycopg import errors, sql

from ledger.database import Database
from projections.facts import Facts
from projections.rule_table import honor_ids
from projections.schema import STATION_OPENED, ResolvedShifts
from replay import store
from replay.archive import Archive
from replay.published import Rules
from replay.rows import Rows, rows_of

KEPT_GENERATIONS = 2
"""The one that answers and the one before it, to which readers in mid-request (and a change of mind) may still turn."""

Step = Callable[[str], None]
"""Told what a rebuild is doing now."""


class VerificationError(Exception):
    """A new generation does not agree with what it was made from, so it was not switched to."""


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did."""

    generation: store.Generation
    events: int
    hours: int
    station_days: int
    standings: int


def replay(facts: Facts, rules: Rules, resolved: ResolvedShifts | None = None) -> Rows:
    """Replay facts in memory into the rows of all read models."""
    timeline = rules.timeline()
    models = facts.read_models(timeline, threads=os.cpu_count() or 1, resolved=resolved)
    names = (facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts())
    return rows_of(models, *names)


def rebuild(
    database: Database, archive: Archive, rules: Rules, *, facts_anew: bool = False, step: Step = lambda _: None
) -> Rebuilt:
    """Build a generation under `rules`, verify it, and switch to it.

    Args:
        facts_anew: also make the facts outside generations anew (they are made in any case before the first
        generation).

    Raises:
        VerificationError: the rows written are not the rows computed, or the same rules gave another checksum than
        the live ones. replay.archive.ArchiveError: the archive cannot be read.
    """
    store.create_tables(database)
    with database.pool.connection() as connection, connection.transaction():
        live = store.current_generation(connection)
        anew = facts_anew or live is None
        if anew:
            store.take_follower_lock(connection)
            live = store.current_generation(connection)
        step("reading the archive")
        archive.bring_up_to_date(database)
        position = archive.position if anew or live is None else live.position
        facts = archive.facts(until=position)
        step("replaying")
        resolved = facts.resolved()
        rows = replay(facts, rules, resolved)
        step("writing the new generation")
        generation = store.write_generation(connection, rules, position, rows)
        if anew:
            step("writing the shifts")
            store.load_facts(connection, facts, resolved, read_meanwhile=live is not None)
        step("catching up and verifying")
        store.take_follower_lock(connection)
        live = store.current_generation(connection)
        if live is not None and live.position > generation.position:
            archive.bring_up_to_date(database)
            later = archive.facts(until=live.position)
            later_rows = replay(later, rules)
            generation = _patch(connection, generation, rows, later_rows, live.position, _touched(later, position))
            rows = later_rows
        _verify(connection, generation, rows, None if anew else live)
        store.point_to(connection, generation)
    _drop_old(database)
    return Rebuilt(generation, generation.position, len(rows.hours), len(rows.stations), len(rows.standings))


def _touched(facts: Facts, after: int) -> set[str]:
    """Return the volunteers of whom something was said after a position."""
    shift_rows = facts.shift_events.position > after
    other_rows = facts.other_events.position > after
    numbers = np.concatenate(
        [facts.shift_volunteer[facts.shift_events.shift[shift_rows]], facts.other_events.volunteer[other_rows]]
    )
    # A station that was opened anew may be of another kind, which decides factors back to its first shift.
    opened = facts.other_events.station[other_rows & (facts.other_events.code == STATION_OPENED)]
    at_opened = np.isin(facts.shift_events.station, opened)
    numbers = np.concatenate([numbers, facts.shift_volunteer[facts.shift_events.shift[at_opened]]])
    names = facts.volunteers.texts()
    return {names[number] for number in np.unique(numbers) if number >= 0}


def _patch(
    connection: store.Any_Connection,
    generation: store.Generation,
    old: Rows,
    new: Rows,
    position: int,
    volunteers: set[str],
) -> store.Generation:
    """Bring a generation that was written at an earlier position to the rows of a later one."""
    schema = generation.schema
    for table in ("volunteer_hours", "honor_standings"):
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE volunteer = ANY(%s)").format(sql.Identifier(schema, table)),
            (list(volunteers),),
        )
    # Project months are few thousand: all of them are written anew.
    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, "project_activity")))
    before = {(name, *map(int, row)) for name, row in zip(old.station, old.stations, strict=True)}
    kept = np.array(
        [(name, *map(int, row)) not in before for name, row in zip(new.station, new.stations, strict=True)], bool
    )
    after = {(name, *map(int, row)) for name, row in zip(new.station, new.stations, strict=True)}
    gone = [(name, day) for name, day, *_ in before - after]
    connection.cursor().executemany(
        sql.SQL("DELETE FROM {} WHERE station = %s AND day = date '1970-01-01' + %s").format(
            sql.Identifier(schema, "station_activity")
        ),
        gone,
    )
    hours = np.array([name in volunteers for name in new.hours_volunteer], bool)
    standings = np.array([name in volunteers for name in new.standing_volunteer], bool)
    changed = Rows(
        np.asarray(new.hours_volunteer, object)[hours],
        new.hours[hours],
        np.asarray(new.station, object)[kept],
        new.stations[kept],
        np.asarray(new.standing_volunteer, object)[standings],
        np.asarray(new.standing_honor, object)[standings],
        new.standings[standings],
        new.project,
        new.projects,
    )
    for name, table in changed.tables().items():
        store.copy_table(connection, sql.Identifier(schema, name), table)
    return store.move_to(connection, generation, position, new.checksum())


def _verify(
    connection: store.Any_Connection, generation: store.Generation, rows: Rows, live: store.Generation | None
) -> None:
    """Count what was written, hold the totals to the laws of the trace, and equal rules to equal checksums."""
    for name, table in rows.tables().items():
        place = sql.Identifier(generation.schema, name)
        counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(place)).fetchone()
        if counted is None or counted[0] != len(table):
            raise VerificationError(f"{name} has {counted} rows instead of {len(table)}")
    whole, years = rows.hours[rows.hours[:, 0] == 0], rows.hours[rows.hours[:, 0] != 0]
    by_station = rows.stations[:, [1, 3, 4, 5]].sum(axis=0)
    by_year = years[:, 1:5].sum(axis=0)
    if not np.array_equal(by_year, by_station) or not np.array_equal(whole[:, 1:4].sum(axis=0), by_year[:3]):
        raise VerificationError(f"hours by volunteer and by station differ: {by_year} and {by_station}")
    if (
        live is not None
        and (live.rules_digest, live.position) == (generation.rules_digest, generation.position)
        and live.checksum != generation.checksum
    ):
        raise VerificationError(
            f"the same rules gave checksum {generation.checksum:x}, the live generation has {live.checksum:x}: "
            "run `hours rebuild --facts-anew`"
        )


def _drop_old(database: Database) -> None:
    """Drop generations beyond those kept. A reader that still holds one makes us leave it for the next time."""
    with database.pool.connection() as connection:
        current = store.current_generation(connection)
        newest = current.id if current else 0
        old = [generation for generation in store.list_generations(connection) if generation.id < newest]
        for generation in old[: len(old) - (KEPT_GENERATIONS - 1)]:
            with suppress(errors.LockNotAvailable), connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '2s'")
                store.drop_generation(connection, generation)
