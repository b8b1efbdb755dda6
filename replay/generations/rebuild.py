"""Rebuild: replay the archive under a rule timeline into a new generation, and let it answer.

Everything happens in one transaction: a rebuild that is stopped, fails or is killed leaves nothing behind, and the live
generation answers until the commit. Only the end, where the new generation catches up with what was recorded meanwhile
and the pointer moves, holds the follower back. Two rebuilds at once work beside one another; the later one finds the
earlier one's generation live, and does not put older rules in the place of newer ones.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date

from ledger.store.database import Database
from projections.kernels.facts import Facts
from projections.local_time import day_number
from projections.rules.table import honor_ids
from projections.schema import NO_DAY, ResolvedShifts
from replay.archive.archive import Archive
from replay.generations import fact_tables, retention, store
from replay.generations.catching_up import patch
from replay.generations.named_rows import Rows, rows_of
from replay.generations.verification import VERIFYING, VerificationError, verify, verify_checksum
from replay.progress import Progress, ignore
from replay.published import Rules

READING, REPLAYING, CATCHING_UP, SWITCHING = "reading the archive", "replaying", "catching up", "switching"
STAGES = (READING, REPLAYING, store.WRITING, fact_tables.WRITING_FACTS, VERIFYING, CATCHING_UP, SWITCHING)
"""What a rebuild tells its `Progress`, in this order; facts are written only where they are made anew."""

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
    """Rules that are not published must not answer; a generation under them may stand beside the live one."""

    def __init__(self) -> None:
        super().__init__("these rules are not published, so they cannot answer: run `hours publish FILE` first")


class OvertakenError(Exception):
    """While a generation was built, newer rules were switched to; nothing was changed."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"while this generation was built, version {version} of the rules was switched to; "
            "nothing was changed: build again if you still want the older rules"
        )


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did."""

    generation: store.Generation
    events: int
    hours: int
    station_days: int
    standings: int


def replay(facts: Facts, rules: Rules, resolved: ResolvedShifts | None = None, valid_until: int = NO_DAY) -> Rows:
    """Replay facts in memory into the rows of all read models, of results dated up to the day `valid_until`."""
    timeline = rules.timeline()
    models = facts.read_models(timeline, threads=os.cpu_count() or 1, valid_until=valid_until, resolved=resolved)
    names = (facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts())
    return rows_of(models, *names)


def rebuild(
    database: Database,
    archive: Archive,
    rules: Rules,
    *,
    facts_anew: bool = False,
    progress: Progress = ignore,
) -> Rebuilt:
    """Build a generation under published rules, verify it, and switch to it.

    Args:
        facts_anew: also make the facts outside generations anew (they are made in any case where there is no
        generation that this program can read).

    Raises:
        NotPublishedError: the rules are a candidate.
        OvertakenError: another rebuild switched to newer rules meanwhile.
        VerificationError: the generation does not agree with what it was made from.
        replay.archive.archive.ArchiveError: the archive cannot be read.
        replay.progress.StoppedError: from `progress`; like any error it leaves nothing behind.
    """
    if rules.version == 0:
        raise NotPublishedError
    store.create_tables(database)
    database.log.analyze_if_needed()
    with database.pool.connection() as connection, connection.transaction():
        began = live = store.current_generation(connection)
        anew = facts_anew or live is None or not live.readable
        if anew:
            store.take_follower_lock(connection)
            live = store.current_generation(connection)
        facts, position = read_facts(database, archive, None if anew or live is None else live.position, progress)
        progress(REPLAYING, 0, 0)
        resolved = facts.resolved()
        rows = replay(facts, rules, resolved)
        generation = store.write_generation(connection, rules, position, rows, progress=progress)
        if anew:
            fact_tables.load_facts(connection, facts, resolved, read_meanwhile=live is not None, progress=progress)
        volunteers = facts.volunteers.texts()
        del facts, resolved
        verify(connection, database.log, archive, generation, rows, volunteers, progress)
        progress(CATCHING_UP, 0, 0)
        store.take_follower_lock(connection)
        live = store.current_generation(connection)
        if live and began and live.id != began.id and live.rules_version > rules.version:
            raise OvertakenError(live.rules_version)
        if live is not None and live.position > generation.position:
            generation, rows = catch_up(connection, database, archive, generation, rows, live.position, progress)
        if not anew:
            verify_checksum(generation, live)
        progress(SWITCHING, 0, 0)
        generation = store.point_to(connection, generation)
    retention.drop_surplus(database)
    return _rebuilt(generation, rows)


def build(
    database: Database,
    archive: Archive,
    rules: Rules,
    *,
    known_at: int | None = None,
    valid_at: date | None = None,
    progress: Progress = ignore,
) -> Rebuilt:
    """Build and verify a generation beside the live one, and do not switch to it: to look at, or to switch to later.

    Args:
        rules: published, or a candidate (then it can never be switched to).
        known_at: the position whose knowledge it holds; at most, and by default, the live generation's.
        valid_at: the last day whose results it holds (then it can never be switched to).

    Raises:
        store.NoGenerationError: there is no live one to stand beside. VerificationError, ArchiveError, StoppedError: as
        `rebuild`.
    """
    with database.pool.connection() as connection, connection.transaction():
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
    """Bring the archive up to the log and read it up to a position, all of it if that is None; return that, too."""
    progress(READING, 0, 0)
    reached = archive.bring_up_to_date(database, lambda _, done, in_all: progress(READING, done, in_all))
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
    """Bring a generation whose tables hold `rows` to a later position, and verify it there; return it with its rows."""
    facts, _ = read_facts(database, archive, position, progress)
    progress(CATCHING_UP, 0, 0)
    later = replay(facts, generation.rules)
    generation, changed = patch(connection, generation, rows, later, position)
    verify(connection, database.log, archive, generation, later, sorted(changed), progress)
    return generation, later


def _rebuilt(generation: store.Generation, rows: Rows) -> Rebuilt:
    return Rebuilt(generation, generation.position, len(rows.hours), len(rows.stations), len(rows.standings))
