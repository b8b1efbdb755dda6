"""Switching to an existing generation: back to an earlier one, or to one that was built beside.

Such a generation is at the position at which it was built or stopped being current. It is first verified at that
position, as a new one would be; then it catches up with the current one, and the pointer moves under the follower's
lock at equal positions. Like a rebuild, this is one transaction: stopped or killed, it changes nothing. Which rules are
in force is recorded before, by the caller: else the next rebuild would undo the switch (docs/decisions/0022).
"""

from __future__ import annotations

from ledger.store.database import Database
from ledger.store.pool import allow_long_statements
from replay.archive.archive import Archive
from replay.generations import retention, store
from replay.generations.rebuild import (
    CATCHING_UP,
    REPLAYING,
    SWITCHING,
    NotPublishedError,
    catch_up,
    read_facts,
    replay,
)
from replay.generations.verification import VerificationError, verify, verify_checksum
from replay.progress import Progress, ignore


class NotSwitchableError(ValueError):
    """This generation can never become current, or not with this program; the message says why."""


def switch(
    database: Database, archive: Archive, generation_id: int, *, progress: Progress = ignore
) -> store.Generation:
    """Make a generation the current one and return it. If it is already current, nothing changes.

    Raises:
        retention.UnknownGenerationError: the generation does not exist.
        rebuild.NotPublishedError, NotSwitchableError: it cannot become current.
        VerificationError: its rows are not the result of its rules and the log.
        replay.archive.archive.ArchiveError, replay.progress.StoppedError: as `rebuild`.
    """
    with database.pool.connection() as connection, connection.transaction():
        allow_long_statements(connection)
        generation = store.lock_generation(connection, generation_id)
        if generation is None:
            raise retention.UnknownGenerationError(generation_id)
        live = store.current_generation(connection)
        if live is None or live.id == generation.id:
            return generation
        require_switchable(generation, live)
        facts, _ = read_facts(database, archive, generation.position, progress)
        progress(REPLAYING, 0, 0)
        rows = replay(facts, generation.rules)
        if rows.checksum() != generation.checksum:
            raise VerificationError(
                f"generation {generation.id} has checksum {generation.checksum:x}, its rules give {rows.checksum():x} "
                f"at position {generation.position}: drop it, and build a new one under version "
                f"{generation.rules_version} of the rules"
            )
        verify(connection, database.log, archive, generation, rows, facts.volunteers.texts(), progress)
        if live.position > generation.position:  # catch up most of the way before blocking the follower
            generation, rows = catch_up(connection, database, archive, generation, rows, live.position, progress)
        progress(CATCHING_UP, 0, 0)
        store.take_follower_lock(connection)
        live = store.current_generation(connection)
        if live is not None and live.position > generation.position:
            generation, rows = catch_up(connection, database, archive, generation, rows, live.position, progress)
        verify_checksum(generation, live)
        progress(SWITCHING, 0, 0)
        generation = store.point_to(connection, generation)
    retention.drop_surplus(database)
    return generation


def require_switchable(generation: store.Generation, live: store.Generation) -> None:
    """Require that a generation can become the current one in place of `live`, as far as its record tells.

    Raises:
        rebuild.NotPublishedError, NotSwitchableError: it cannot.
    """
    if generation.rules_version == 0:
        raise NotPublishedError
    if generation.valid_at is not None:
        raise NotSwitchableError(
            f"generation {generation.id} holds results up to {generation.valid_at} only, so it cannot answer; "
            "build one without valid_at"
        )
    if not generation.readable:
        raise NotSwitchableError(
            f"generation {generation.id} was made by another version of this program, with other tables; "
            f"build a new one under version {generation.rules_version} of the rules"
        )
    if generation.position > live.position:
        raise NotSwitchableError(
            f"generation {generation.id} is at position {generation.position}, beyond the current one's "
            f"{live.position}: the log was restored; drop it and build a new one"
        )
