"""Health: the position of the read models, what they rest on, and whether anything is wrong with them.

It is measured from the ledger itself, so any process can do it: the server, and `hours status` beside it. What only the
server knows (its follower's alert, its jobs, its requests) is added by `api/http/routes/operations/status.py`. Nothing
here waits for the follower. Nothing writes, except that a deep check records a disagreement of log and archive.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ledger.names import Position
from ledger.store.database import Database
from ledger.store.durability import weaknesses
from ledger.store.log_queries import LogReader
from ledger.store.mapper import decode
from replay.archive.archive import Archive
from replay.archive.manifest import ArchiveError
from replay.axes.answers import Answer, RulesUsed
from replay.axes.as_known import snapshot
from replay.generations import store
from replay.proof.growth import TransparencyLog
from replay.queries.tree_health import TreeHealth, tree_health

DECODED_EVENTS_MAX = 200
"""How many events that the read models lack are decoded, to find one that stops the follower."""

HOLES_EVENTS_MAX = 200_000
"""How many of the latest positions are counted to find holes; a deep check counts all."""


class GenerationHealth(Answer):
    """The current generation. `checksum`: of all its rows, as recorded and updated with them; 16 hex digits."""

    generation: int
    rules: RulesUsed
    position: int
    checksum: str
    made_at: datetime | None
    age_seconds: float
    switched_at: datetime | None


class ArchiveHealth(Answer):
    """The archive. `lag`: how many events it lacks. `lag_seconds`: how long the oldest of them has been in the log.

    `problem`: why the archive cannot be used, or how it disagrees with the log; null if nothing was found.
    """

    position: int
    lag: int
    lag_seconds: float
    segments: int
    size_bytes: int
    problem: str | None


class Deep(Answer):
    """The results of a deep check: the number of events counted in the log, how many of them were compared with the
    digests of the archive, and the checksum computed from the rows of the generation.
    """

    counted_events: int
    compared_events: int
    checksum: str
    checksum_holds: bool


class LedgerHealth(Answer):
    """The health of a ledger. `lag_seconds`: how long the oldest event that the read models lack has been in the log.

    `seen`: the position of the read models. `holes`: how many of the last `looked_at` positions hold no event; a deep
    check looks at all. `durability`: the settings of PostgreSQL with which a crash can lose recorded commands, also
    those that the operator has accepted. `problems`: what was found wrong, each in a sentence; empty if nothing was.
    """

    head: int
    seen: int
    lag: int
    lag_seconds: float
    holes: int
    looked_at: int
    generation: GenerationHealth
    archive: ArchiveHealth
    tree: TreeHealth
    durability: list[str]
    problems: list[str]
    deep: Deep | None = None


def measure(
    database: Database,
    archive: Callable[[], Archive],
    tree: TransparencyLog,
    now: datetime | None = None,
    *,
    deep: bool = False,
) -> LedgerHealth:
    """Measure the health of a ledger.

    Args:
        archive: opens the archive; an archive that cannot be opened is a problem of the answer.
        tree: the transparency log.
        deep: also count the log, compare it with the digests of the archive, and recompute the checksum of the
            generation from its rows (half a minute at full scale).

    Raises:
        store.NoGenerationError
    """
    now = now or datetime.now(UTC)
    archived = _archive(archive)  # read before the log, so that it cannot be ahead of the head read below
    with snapshot(database) as (connection, generation):
        weak = weaknesses(connection)
        head = int(LogReader(connection).head())
        archived = _compared_with_log(archived, archive, LogReader(connection), head)
        grown = tree_health(tree, head)
        looked_at = head if deep else min(head, HOLES_EVENTS_MAX)
        holes = looked_at - LogReader(connection).count(head - looked_at, head)
        checksum = store.read_rows(connection, generation).checksum() if deep and generation.readable else None
    recount = None
    if deep:
        compared, problem = _compared_deep(database, archive)
        archived = archived.model_copy(update={"problem": problem or archived.problem})
        recount = Deep(
            counted_events=head - holes,
            compared_events=compared,
            checksum="" if checksum is None else f"{checksum:016x}",
            checksum_holds=checksum in {None, generation.checksum},
        )
    lag = max(head - generation.position, 0)
    if archived.lag:
        lag_seconds, _ = _check_lag(database, Position(archived.position), now, 1)
        archived = archived.model_copy(update={"lag_seconds": lag_seconds})
    waiting, undecodable = _check_lag(database, Position(generation.position), now)
    problems = [
        *(weakness.sentence for weakness in weak if not weakness.accepted),
        _SHORTER.format(generation.position, head) if generation.position > head else None,
        undecodable,
        None if generation.readable else _OUTDATED.format(generation.id),
        archived.problem,
        grown.problem,
        f"{holes} positions of the log hold no event: restore a backup" if holes else None,
        None if recount is None or recount.checksum_holds else _DIFFERS.format(recount.checksum, generation.checksum),
    ]
    rules = generation.rules
    return LedgerHealth(
        head=head,
        seen=generation.position,
        lag=lag,
        lag_seconds=waiting,
        holes=holes,
        looked_at=looked_at,
        generation=GenerationHealth(
            generation=generation.id,
            rules=RulesUsed.of(rules),
            position=generation.position,
            checksum=f"{generation.checksum:016x}",
            made_at=generation.made_at,
            age_seconds=(now - generation.made_at).total_seconds() if generation.made_at else 0.0,
            switched_at=generation.switched_at,
        ),
        archive=archived,
        tree=grown,
        durability=[weakness.sentence for weakness in weak],
        problems=[problem for problem in problems if problem],
        deep=recount,
    )


_SHORTER = "read models hold {} events, the log only {}: was an older backup restored? run `hours rebuild --new-facts`"
_OUTDATED = "generation {} was made by another version of this program: run `hours rebuild`, or start the server"
_DIFFERS = "the generation's rows have checksum {}, but {:016x} is recorded: run `hours rebuild --new-facts`"


def _compared_deep(database: Database, archive: Callable[[], Archive]) -> tuple[int, str | None]:
    """Compare the log with the digests of the archive; return how many events were compared, and the problem."""
    try:
        return archive().verify_log(database), None
    except (ArchiveError, OSError) as error:
        return 0, str(error)


def _check_lag(
    database: Database, position: Position, now: datetime, events: int = DECODED_EVENTS_MAX
) -> tuple[float, str | None]:
    """Return how long the first event after a position has been in the log, in seconds; and a problem, if one of the
    events cannot be decoded.
    """
    waiting = 0.0
    for recorded in database.log.read(position, events):
        try:
            event = decode(recorded.topic, recorded.state)
        except (LookupError, ValueError) as error:
            why = str(error).splitlines()[0]
            return waiting, f"event {recorded.position} cannot be decoded, so the read models stop before it: {why}"
        waiting = waiting or max(now.timestamp() - event.recorded_at, 0.0)
    return waiting, None


def _archive(archive: Callable[[], Archive]) -> ArchiveHealth:
    try:
        opened = archive()
        opened.refresh()
        segments, size = opened.segments, opened.bytes_on_disk()
    except (ArchiveError, OSError) as error:
        return ArchiveHealth(position=0, lag=0, lag_seconds=0.0, segments=0, size_bytes=0, problem=str(error))
    return ArchiveHealth(
        position=opened.position,
        lag=0,
        lag_seconds=0.0,
        segments=len(segments),
        size_bytes=size,
        problem=None,
    )


def _compared_with_log(
    health: ArchiveHealth, archive: Callable[[], Archive], log: LogReader, head: int
) -> ArchiveHealth:
    """Return the health of the archive with its lag, or the disagreement that can be seen without reading the log."""
    lag = {"lag": max(head - health.position, 0)}
    if health.problem is not None:
        return health.model_copy(update=lag)
    opened, problem = archive(), None
    if recorded := opened.disagreement():
        problem = f"the archive disagrees with the log: {recorded.what}; `hours archive verify` compares them"
    elif health.position > head:
        problem = f"the archive holds {health.position} events, the log only {head}: was an older backup restored?"
    elif opened.position == health.position and not opened.end_agrees(log):
        problem = f"the archive disagrees with the log: event {health.position} differs; see `hours archive verify`"
    return health.model_copy(update={"problem": problem, **lag})
