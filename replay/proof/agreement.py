"""Whether the log is still the one whose tree was signed, and the record of a disagreement.

An event that was changed, removed, inserted or moved in the database has another leaf hash than the tiles hold, and the
signed root. Nothing here repairs the log or the tree: the first position that differs is recorded, and nothing is
signed any more, until `TransparencyLog.verify` finds no difference.

    data/proof/disagreement.json  the record
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from ledger.store.log_queries import ENTRY_BYTES_MAX, LogQueries
from replay.durable import way_out, write_private
from replay.proof.entries import hashed_entries
from replay.proof.tiles import TileError, TileFolder
from replay.proof.tree import HASH_BYTES, TILE_WIDTH, Tile

logger = logging.getLogger(__name__)

DISAGREEMENT = "disagreement.json"


class TreeError(Exception):
    """The tree cannot grow; the message says what to do."""


class TreeBusyError(TreeError):
    """Another process grows the tree."""


class Disagreement(NamedTuple):
    """Where the log differs from the tree that was signed: the first and the last position, and a sentence."""

    first: int
    last: int
    what: str


class TreeDisagreesError(TreeError):
    """The log is not the one whose tree was signed."""

    def __init__(self, found: Disagreement) -> None:
        super().__init__(
            f"the log is not the one that was signed: {found.what}; nothing is signed any more: restore the log from a "
            "backup, if it has not been; then `hours checkpoint --verify` compares all of it, and ends the alarm "
            "(docs/signing-keys.md)"
        )
        self.found = found


def recorded(folder: Path) -> Disagreement | None:
    """Return the recorded disagreement, None if there is none."""
    path = folder / DISAGREEMENT
    try:
        fields = json.loads(path.read_bytes())
        return Disagreement(int(fields["first"]), int(fields["last"]), str(fields["what"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Disagreement(1, 1, f"{path} cannot be read, {way_out(error, 'and may be damaged')}")


def alarm(folder: Path, first: int, last: int, what: str) -> NoReturn:
    """Record a disagreement, unless an earlier one is recorded, and raise it.

    It is raised as well, so a full disk hides nothing.

    Raises:
        TreeDisagreesError
    """
    found = Disagreement(first, last, what)
    logger.error("the log is not the one that was signed: %s", what)
    with suppress(OSError):
        if recorded(folder) is None:
            write_private(folder / DISAGREEMENT, json.dumps(found._asdict(), indent=1).encode() + b"\n")
    raise TreeDisagreesError(found)


def clear(folder: Path) -> None:
    """Remove the record, after a full comparison found no difference."""
    (folder / DISAGREEMENT).unlink(missing_ok=True)


# --- comparing ------------------------------------------------------------------------------------------------------


def leaves_of_log(folder: Path, log: LogQueries, after: int, until: int) -> bytes:
    """Return the leaf hashes of the events after a position, up to and including another, concatenated.

    Raises:
        TreeDisagreesError: the log has a hole there; it is recorded in the folder.
        TreeError: an event is larger than an entry may be.
    """
    found = log.entries(after, until)
    if found.events != until - after:
        missing = log.first_missing(after, until) or until
        alarm(folder, missing, missing, f"position {missing} of the log holds no event")
    if found.longest > ENTRY_BYTES_MAX:
        raise TreeError(f"one of the events {after + 1} to {until} is larger than {ENTRY_BYTES_MAX:,} bytes")
    return b"".join(hashed_entries(found.bundle, until - after)[1])


def first_difference(tiles: TileFolder, leaves: bytes, after: int, until: int) -> int | None:
    """Return the first position whose leaf hash is not the one in the tiles, as far as these can be read; None if there
    is none. `after`: a multiple of 256.
    """
    for number in range(after // TILE_WIDTH, (until + TILE_WIDTH - 1) // TILE_WIDTH):
        first, end = number * TILE_WIDTH, min((number + 1) * TILE_WIDTH, until)
        with suppress(TileError):
            signed = tiles.read(Tile(0, number, end - first))
            ours = leaves[(first - after) * HASH_BYTES : (end - after) * HASH_BYTES]
            if signed != ours:
                return first + 1 + next(at for at in range(end - first) if _hash(signed, at) != _hash(ours, at))
    return None


def _hash(hashes: bytes, at: int) -> bytes:
    return hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]
