"""The health of the tree: how far it reaches, when its last checkpoint was signed and by which keys, what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from replay.axes.answers import Answer
from replay.proof.agreement import TreeDisagreesError, TreeError
from replay.proof.growth import TransparencyLog
from replay.proof.keys import SigningKeyError
from replay.proof.notes import NoteError


class TreeHealth(Answer):
    """The tree over the log. `position`: of the last event that a signed checkpoint covers; `lag`: how many events come
    after it; `signed_at`: when that checkpoint was signed; `published`: the position of the checkpoint that is
    published; `keys`: the keys that sign now, as name+id.

    `problem`: why the tree cannot grow, or how the log disagrees with it; null if nothing was found.
    """

    origin: str | None
    position: int
    published: int
    lag: int
    signed_at: datetime | None
    keys: list[str]
    problem: str | None


def tree_health(log: TransparencyLog, head: int) -> TreeHealth:
    """Measure the health of the tree; nothing is hashed. A ledger that was never served has no keys yet.

    Args:
        head: the position of the log's last event, read after the checkpoints are.
    """
    health = TreeHealth(origin=None, position=0, published=0, lag=head, signed_at=None, keys=[], problem=None)
    problem = None
    try:
        if not log.keys.exist() and log.checkpoints.newest() is None:
            return health
        keys = log.keys.published()
        last, published = log.newest(), log.checkpoints.published()
        try:
            log.keys.signing_keys()
        except SigningKeyError as error:
            problem = str(error)
        instant = last.signed_at(keys.including_stolen().verifier_keys) if last else None
    except (TreeError, SigningKeyError, NoteError, OSError) as error:
        return health.model_copy(update={"problem": str(error)})
    position = last.size if last else 0
    if found := log.disagreement():
        problem = str(TreeDisagreesError(found))
    elif position > head:
        problem = (
            f"{position:,} events were signed, but the log has only {head:,}: was an older backup restored? Restore "
            "one that holds them (docs/signing-keys.md, The log is not the one that was signed)"
        )
    return TreeHealth(
        origin=keys.origin,
        position=position,
        published=published.size if published else 0,
        lag=max(head - position, 0),
        signed_at=None if instant is None else datetime.fromtimestamp(instant, UTC),
        keys=[f"{key.name}+{key.key_id:08x}" for key in keys.current.keys],
        problem=problem,
    )
