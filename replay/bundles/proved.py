"""What proves a ledger's log, read from its data directory for a bundle."""

from __future__ import annotations

import json

from replay.bundles.layout import BundleError
from replay.bundles.making import Sources
from replay.progress import Progress, ignore
from replay.proof.agreement import TreeDisagreesError, TreeError
from replay.proof.checkpoints import Checkpoint
from replay.proof.growth import TransparencyLog
from replay.proof.keys import SigningKeyError
from replay.proof.notes import NoteError
from replay.proof.seals import SealError, SealFolder, SealLine


def newest_sources(log: TransparencyLog, seals: SealFolder | None = None, progress: Progress = ignore) -> Sources:
    """Have a checkpoint made of the whole log, and return what proves it.

    If the log disagrees with the tree, nothing new is signed, and the newest checkpoint that was signed is returned:
    the bundle is then evidence of what was altered.

    Args:
        seals: the sealed hours of the ledger, if it seals any.

    Raises:
        BundleError: there is no checkpoint, or it cannot be read.
    """
    disagreement: str | None = None
    try:
        try:
            checkpoint = log.grow(progress)
        except TreeDisagreesError as error:
            disagreement = str(error)
            checkpoint = log.newest()
        published = log.keys.published()
        if checkpoint is None:
            raise BundleError("the log is empty, so there is nothing to audit")
        sizes = [size for size in log.checkpoints.sizes() if size < checkpoint.size]
        earlier = {size: log.checkpoints.read(size).encode() for size in sizes}
        hours = _sealed_hours(checkpoint, seals)
    except (TreeError, SigningKeyError, NoteError, SealError, OSError) as error:
        raise BundleError(f"there is no usable checkpoint: {error}") from error
    keys = json.dumps(published.as_json(), indent=2).encode() + b"\n"
    return Sources(checkpoint, earlier, keys, log.tiles, hours, disagreement)


def _sealed_hours(checkpoint: Checkpoint, seals: SealFolder | None) -> bytes | None:
    """Return the entries of the hours that a checkpoint seals, one in each line; None if it seals none."""
    line = SealLine.find(checkpoint.extensions)
    if line is None or seals is None:
        return None
    return b"".join(entry + b"\n" for entry in seals.read(line.position).entries())
