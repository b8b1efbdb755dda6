"""Obeying the log: the generation that answers is one of the rules in force.

Which rules are in force is an event (docs/decisions/0022). Whoever publishes rules or puts them in force usually builds
or switches to a generation at once; `obey` does it for a server that finds that nobody has, because the event was an
approval, came over HTTP, or because the program that recorded it was killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ledger.aggregates.rules import TIMELINE
from ledger.store.database import Database
from replay.archive.archive import Archive
from replay.generations import retention, store
from replay.generations.rebuild import VerificationError, rebuild
from replay.generations.switching import NotSwitchableError, switch
from replay.progress import Progress, ignore
from replay.published import NoRulesError, Rules, published_rules

CHANGING_LOCK = 0x72756C6573
"""The advisory lock of a program that changes the rules in force and what answers, one after the other; "rules"."""


def due(database: Database, *, asked: bool = False) -> Rules | None:
    """Return the rules in force if the current generation has others; None if it obeys, or if there is none.

    Args:
        asked: whether somebody asks for it. Else what an older program chose is left alone, because it was perhaps
            switched back deliberately, until rules are in force that it obeys.
    """
    try:
        rules = published_rules(database.log)
    except NoRulesError:
        return None
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
        if generation is None:
            return None
        recorded = store.is_recorded(connection)
        if rules == generation.rules:
            if not recorded:
                store.mark_recorded(connection)
            return None
    return rules if asked or recorded else None


def state(database: Database) -> tuple[int, int]:
    """Return the number of events about rules, and the current generation: while both stay, `due` does."""
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
    return len(database.log.positions([TIMELINE]).get(TIMELINE, [])), generation.id if generation else 0


def rules_to_rebuild(database: Database) -> Rules:
    """Return the rules under which missing or outdated read models are built without being asked: those in force, or
    those that answer, if an older program may have switched back to them.

    Raises:
        NoRulesError: no rules are in force.
    """
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
        if generation is not None and generation.rules_version and not store.is_recorded(connection):
            return generation.rules
    return published_rules(database.log)


def obey(
    database: Database, archive: Archive, progress: Progress = ignore, *, asked: bool = False
) -> store.Generation | None:
    """Switch to a generation of the rules in force, or build one; return it. None if that is not due.

    Raises:
        as `rebuild`.
    """
    rules = due(database, asked=asked)
    if rules is None:
        return None
    with database.pool.connection() as connection:
        found = [one for one in store.list_generations(connection) if one.rules == rules and one.readable]
    for generation in reversed(found):
        with suppress(VerificationError, NotSwitchableError, retention.UnknownGenerationError):
            return switch(database, archive, generation.id, progress=progress)
    archive.bring_up_to_date(database, progress)
    archive.verify_log(database, progress)
    return rebuild(database, archive, rules, progress=progress).generation


@contextmanager
def changing_rules(database: Database) -> Iterator[None]:
    """Tell servers that this program changes the rules in force, and then what answers: they need not obey."""
    with database.pool.connection() as connection, connection.transaction():
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (CHANGING_LOCK,))
        yield


def is_being_changed(database: Database) -> bool:
    """Return whether another program is changing the rules in force."""
    with database.pool.connection() as connection, connection.transaction():
        row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (CHANGING_LOCK,)).fetchone()
    return row is None or not row[0]
