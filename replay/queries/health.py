"""Health: how far the read models are, what they rest on, and whether anything about them is wrong.

Measured from the ledger itself, so that any process can tell: the one that serves, and `hours status` beside it. What
only the serving process knows (its follower's alert, its jobs, its requests) is added by
`api/http/routes/operations/status.py`. Nothing here writes, and nothing waits for the follower.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from ledger.names import Position
from ledger.store.database import Database
from ledger.store.log_queries import LogReader
from ledger.store.mapper import decode
from replay.archive.archive import Archive
from replay.archive.manifest import ArchiveError
from replay.axes.answers import Answer, RulesUsed
from replay.axes.as_known import snapshot
from replay.generations import store

AHEAD_EVENTS = 200
"""Events behind the read models that are looked at: one of them that cannot be understood is what stops a follower."""


HOLES_EVENTS_MAX = 200_000
"""So many of the last events are counted in search of holes; without an archive it would be all, each time."""


class GenerationHealth(Answer):
    """The generation that answers. `checksum`: of all its rows, as it is carried on, 16 hex digits."""

    generation: int
    rules: RulesUsed
    position: int
    checksum: str
    made_at: datetime | None
    age_seconds: float
    switched_at: datetime | None


class ArchiveHealth(Answer):
    """The archive. `lag`: the events it still has to take in, `lag_seconds`: how long the oldest of them is known;
    `problem`: why it cannot be used, if so.
    """

    position: int
    lag: int
    lag_seconds: float
    segments: int
    size_bytes: int
    problem: str | None


class Deep(Answer):
    """What was recounted: the log's events, and the generation's checksum from its rows."""

    counted_events: int
    checksum: str
    checksum_holds: bool


class LedgerHealth(Answer):
    """How a ledger is. `lag_seconds`: how long the oldest event that read models lack has been in the log.

    `seen`: the positions that are taken in. `holes`: positions that should hold an event and do not: of those
    behind the archive (which refuses a log with holes when it reads one), or of all where the log was recounted.
    `problems`: what is wrong, each in a sentence; empty where all is well.
    """

    head: int
    seen: int
    lag: int
    lag_seconds: float
    holes: int
    generation: GenerationHealth
    archive: ArchiveHealth
    problems: list[str]
    deep: Deep | None = None


def measure(
    database: Database, archive: Callable[[], Archive], now: datetime | None = None, *, deep: bool = False
) -> LedgerHealth:
    """Measure a ledger.

    Args:
        archive: opens the archive; it may fail as that does.
        deep: also count the log, and recompute the checksum of the generation from its rows (seconds at full scale).

    Raises:
        store.NoGenerationError
    """
    now = now or datetime.now(UTC)
    kept = _archive(archive)  # before the log: it never holds more than that
    with snapshot(database) as (connection, generation):
        head = int(LogReader(connection).head())
        kept = _beside(kept, head)
        holes = _missing(connection, max(min(kept.position, head), head - HOLES_EVENTS_MAX), head)
        found = _recount(connection, generation, head) if deep and generation.readable else None
    if found is not None:
        holes = max(holes, head - found.counted_events)
    lag = max(head - generation.position, 0)
    if kept.lag:
        kept = kept.model_copy(update={"lag_seconds": _ahead(database, Position(kept.position), now, 1)[0]})
    waiting, poison = _ahead(database, Position(generation.position), now)
    problems = [
        _SHORTER.format(generation.position, head) if generation.position > head else None,
        poison,
        None if generation.readable else _OUTDATED.format(generation.id),
        kept.problem,
        f"{holes} positions of the log hold no event: restore a backup" if holes else None,
        None if found is None or found.checksum_holds else _DIFFERS.format(generation.checksum, found.checksum),
    ]
    rules = generation.rules
    return LedgerHealth(
        head=head,
        seen=generation.position,
        lag=lag,
        lag_seconds=waiting,
        holes=holes,
        generation=GenerationHealth(
            generation=generation.id,
            rules=RulesUsed(name=rules.timeline().name, version=rules.version, digest=rules.digest),
            position=generation.position,
            checksum=f"{generation.checksum:016x}",
            made_at=generation.made_at,
            age_seconds=(now - generation.made_at).total_seconds() if generation.made_at else 0.0,
            switched_at=generation.switched_at,
        ),
        archive=kept,
        problems=[said for said in problems if said],
        deep=found,
    )


_SHORTER = "read models hold {} events, the log only {}: was an older backup restored? run `hours rebuild --facts-anew`"
_OUTDATED = "generation {} was made by another version of this program: run `hours rebuild`, or start the server"
_DIFFERS = "the generation's rows have checksum {1}, it says {0:016x}: run `hours rebuild --facts-anew`"


def _missing(connection: Connection[Any], after: int, until: int) -> int:
    """Return how many positions behind one and up to another hold no event."""
    return until - after - LogReader(connection).count(after, until)


def _recount(connection: Connection[Any], generation: store.Generation, head: int) -> Deep:
    checksum = store.read_rows(connection, generation).checksum()
    return Deep(
        counted_events=LogReader(connection).count(0, head),
        checksum=f"{checksum:016x}",
        checksum_holds=checksum == generation.checksum,
    )


def _ahead(
    database: Database, position: Position, now: datetime, events: int = AHEAD_EVENTS
) -> tuple[float, str | None]:
    """Look at the events behind the read models: how long the first has waited, and whether one is not understood."""
    waiting = 0.0
    for recorded in database.log.read(position, events):
        try:
            event = decode(recorded.topic, recorded.state)
        except (LookupError, ValueError) as error:
            said = str(error).splitlines()[0]
            return waiting, f"event {recorded.position} cannot be understood, so read models stop before it: {said}"
        waiting = waiting or max(now.timestamp() - event.recorded_at, 0.0)
    return waiting, None


def _archive(archive: Callable[[], Archive]) -> ArchiveHealth:
    try:
        found = archive()
        found.refresh()
        segments, size = found.segments, found.bytes_on_disk()
    except (ArchiveError, OSError) as error:
        return ArchiveHealth(position=0, lag=0, lag_seconds=0.0, segments=0, size_bytes=0, problem=str(error))
    return ArchiveHealth(
        position=found.position,
        lag=0,
        lag_seconds=0.0,
        segments=len(segments),
        size_bytes=size,
        problem=None,
    )


def _beside(archive: ArchiveHealth, head: int) -> ArchiveHealth:
    """Compare the archive with the log."""
    if archive.position > head:
        said = f"the archive holds {archive.position} events, the log only {head}: was an older backup restored?"
        return archive.model_copy(update={"problem": said})
    return archive.model_copy(update={"lag": head - archive.position})
