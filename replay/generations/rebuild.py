"""Rebuild: replay the archive under a rule timeline into a new generation, and make it the current one.

Everything happens in one transaction: a rebuild that is stopped, fails or is killed leaves nothing behind, and the
current generation answers until the commit. The follower is blocked only at the end, when the new generation catches
up with events recorded meanwhile and the pointer moves. Two rebuilds can run at the same time; the one that ends later
does not replace the rules in force by others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date

from ledger.store.database import Database
from ledger.store.pool import allow_long_statements
from projections.kernels.facts import Facts
from projections.local_time import day_number
from projections.rules.table import honor_ids
from projections.schema import NO_DAY, ResolvedShifts
from replay.archive.archive import Archive
from replay.generations import fact_tables, retention, store
from replay.generations.catching_up import patch
from replay.generations.named_rows import Rows, rows_of
from replay.generations.verification import VERIFYING, VerificationError, verify, verify_checksum
from replay.progress import Progress, checkpoint, ignore
from replay.published import NoRulesError, Rules, published_rules

READING, REPLAYING, CATCHING_UP, SWITCHING = "reading the archive", "replaying", "catching up", "switching"
STAGES = (READING, REPLAYING, store.WRITING, fact_tables.WRITING_FACTS, VERIFYING, CATCHING_UP, SWITCHING)
"""The stages of a rebuild's `Progress`, in order; facts are written only if they are rebuilt."""

__all__ = [
    "STAGES",
    "NotPublishedError",
    "OvertakenError",
    "Rebuilt",
    "VerificationError",
    "build",
    "rebuild",
    "replay",
]


class NotPublishedError(ValueError):
    """A generation under unpublished rules cannot become the current one."""

    def __init__(self) -> None:
        super().__init__("these rules are not published, so they cannot answer: run `hours publish FILE` first")


class OvertakenError(Exception):
    """While a generation was being built, one of the rules in force became current; nothing was changed."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"while this generation was being built, a generation with version {version} of the rules became current; "
            "nothing was changed: build it again if you still want the other rules"
        )


@dataclass(frozen=True)
class Rebuilt:
    """The result of a rebuild: the generation, its position, and its numbers of rows."""

    generation: store.Generation
    events: int
    hours: int
    station_days: int
    standings: int


def replay(facts: Facts, rules: Rules, resolved: ResolvedShifts | None = None, valid_until: int = NO_DAY) -> Rows:
    """Replay facts in memory; return the rows of all read models, with results dated up to the day `valid_until`."""
    timeline = rules.timeline()
    checkpoint()
    models = facts.read_models(timeline, threads=os.cpu_count() or 1, valid_until=valid_until, resolved=resolved)
    checkpoint()
    names = (facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts())
    return rows_of(models, *names)


def rebuild(
    database: Database,
    archive: Archive,
    rules: Rules,
    *,
    new_facts: bool = False,
    progress: Progress = ignore,
) -> Rebuilt:
    """Build a generation under published rules, verify it, and switch to it.

    Args:
        new_facts: also rebuild the facts outside generations. They are always rebuilt if there is no generation that
            this program can read.

    Raises:
        NotPublishedError: the rules are a candidate.
        OvertakenError: another rebuild switched to the rules in force meanwhile, and these are others.
        VerificationError: the generation disagrees with its source.
        replay.archive.archive.ArchiveError: the archive cannot be read.
        replay.progress.StoppedError: from `progress`. No error leaves anything behind.
    """
    if rules.version == 0:
        raise NotPublishedError
    store.create_tables(database)
    database.log.analyze_if_needed()
    with database.pool.connection() as connection, connection.transaction():
        allow_long_statements(connection)
        live_before = live = store.current_generation(connection)
        with_facts = new_facts or live is None or not live.readable
        if with_facts:
            store.take_follower_lock(connection)
            live = store.current_generation(connection)
        until = None if with_facts or live is None else live.position
        facts, position = read_facts(database, archive, until, progress)
        progress(REPLAYING, 0, 0)
        resolved = facts.resolved()
        rows = replay(facts, rules, resolved)
        generation = store.write_generation(connection, rules, position, rows, progress=progress)
        if with_facts:
            fact_tables.load_facts(connection, facts, resolved, read_meanwhile=live is not None, progress=progress)
        volunteers = facts.volunteers.texts()
        del facts, resolved
        verify(connection, database.log, archive, generation, rows, volunteers, progress)
        progress(CATCHING_UP, 0, 0)
        store.take_follower_lock(connection)
        live = store.current_generation(connection)
        if live and live_before and live.id != live_before.id and _is_in_force_instead(database, live, rules):
            raise OvertakenError(live.rules_version)
        if live is not None and live.position > generation.position:
            generation, rows = catch_up(connection, database, archive, generation, rows, live.position, progress)
        if not with_facts:
            verify_checksum(generation, live)
        progress(SWITCHING, 0, 0)
        generation = store.point_to(connection, generation)
    retention.drop_surplus(database)
    return _rebuilt(generation, rows)


def _is_in_force_instead(database: Database, live: store.Generation, rules: Rules) -> bool:
    """Return whether the current generation has the rules in force, and others than these."""
    try:
        return live.rules == published_rules(database.log) != rules
    except NoRulesError:  # rules that are in no log are compared by their version
        return live.rules_version > rules.version


def build(
    database: Database,
    archive: Archive,
    rules: Rules,
    *,
    known_at: int | None = None,
    valid_at: date | None = None,
    progress: Progress = ignore,
) -> Rebuilt:
    """Build and verify a generation without switching to it, to be examined or switched to later.

    Args:
        rules: published rules, or a candidate (then the generation can never become current).
        known_at: the position of the generation; at most, and by default, that of the current one.
        valid_at: the last day with results (then the generation can never become current).

    Raises:
        store.NoGenerationError: there is no current generation.
        VerificationError, ArchiveError, StoppedError: as `rebuild`.
    """
    with database.pool.connection() as connection, connection.transaction():
        allow_long_statements(connection)
        live = store.current_generation(connection)
        if live is None or not live.readable:
            raise store.NoGenerationError
        position = live.position if known_at is None else min(known_at, live.position)
        facts, position = read_facts(database, archive, position, progress)
        progress(REPLAYING, 0, 0)
        rows = replay(facts, rules, valid_until=NO_DAY if valid_at is None else day_number(valid_at))
        generation = store.write_generation(connection, rules, position, rows, valid_at=valid_at, progress=progress)
        verify(connection, database.log, archive, generation, rows, facts.volunteers.texts(), progress)
        verify_checksum(generation, live)
    retention.drop_surplus(database)
    return _rebuilt(generation, rows)


def read_facts(database: Database, archive: Archive, until: int | None, progress: Progress) -> tuple[Facts, int]:
    """Bring the archive up to date and read it up to a position, or all if that is None; return facts and position."""
    progress(READING, 0, 0)
    reached = archive.bring_up_to_date(database, lambda _, done, total: progress(READING, done, total))
    position = reached if until is None else until
    return archive.facts_from(database, position), position


def catch_up(
    connection: store.AnyConnection,
    database: Database,
    archive: Archive,
    generation: store.Generation,
    rows: Rows,
    position: int,
    progress: Progress,
) -> tuple[store.Generation, Rows]:
    """Bring a generation with these `rows` to a later position and verify it; return it with its new rows."""
    facts, _ = read_facts(database, archive, position, progress)
    progress(CATCHING_UP, 0, 0)
    later = replay(facts, generation.rules)
    generation, changed = patch(connection, generation, rows, later, position)
    verify(connection, database.log, archive, generation, later, sorted(changed), progress)
    return generation, later


def _rebuilt(generation: store.Generation, rows: Rows) -> Rebuilt:
    return Rebuilt(generation, generation.position, len(rows.hours), len(rows.stations), len(rows.standings))
