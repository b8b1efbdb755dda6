"""Reading the entries of a bundle, in chunks. What is wrong with a file is for the audit to say."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ledger.store.log_queries import ENTRY_BYTES_MAX
from replay.bundles.layout import ARCHIVE, BundleError, Contents, entries_path, read_contents
from replay.proof.entries import EntryError
from replay.proof.tiles import FULL_TILE_BYTES
from replay.proof.tree import TILE_WIDTH

CHUNK_TILES = 256
CHUNK_EVENTS = CHUNK_TILES * TILE_WIDTH
"""Events that are checked together: a complete subtree of level 16, whose hashes are one tile of level 1."""
CHUNK_LEVEL = 16


_ENTRIES = ("tile", "entries")
_ENTRIES_BYTES_MAX = TILE_WIDTH * (2 + ENTRY_BYTES_MAX)
_SMALL_BYTES_MAX = 4 << 20
"""Of the table of contents, the list of keys and a checkpoint."""
_LARGE = (ARCHIVE, "read-models-", "signatures-", "texts-", "hours-")
"""How names begin of what has no size of its own: it grows with the log."""
_MISSING_MAX = 1000


def read_untrusted(folder: Path) -> Contents:
    """Read the table of contents of a bundle that somebody else made, perhaps so that reading it never ends.

    Raises:
        BundleError: it is none; as in `require_plain`; or it states far more events than it has files for.
    """
    entries = require_plain(folder)
    contents = read_contents(folder)
    stated = -(-contents.size // TILE_WIDTH)
    if stated > 2 * entries + _MISSING_MAX:
        raise BundleError(
            f"{folder} states {contents.size:,} events in {stated:,} files, and has {entries:,} of them; copy it again"
        )
    return contents


def require_plain(folder: Path) -> int:
    """Refuse a folder in which something is no plain file or folder; return the number of files of events in it.

    Raises:
        BundleError: it has a link, a pipe or a device, through which something outside of it would be read or written;
            or a file is larger than its kind can be.
    """
    entries = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            parts = path.relative_to(folder).parts
            entries += parts[:2] == _ENTRIES and name in files
            _require_plain(path, parts)
    return entries


def _require_plain(path: Path, parts: tuple[str, ...]) -> None:
    """Refuse what is neither a folder nor a file of a size that its kind can have."""
    try:
        status = path.lstat()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{path} is a link, a pipe or a device; a bundle has files and folders only")
    if parts[0].startswith(_LARGE):
        return
    most = _SMALL_BYTES_MAX
    if parts[0] == "tile":
        most = _ENTRIES_BYTES_MAX if parts[:2] == _ENTRIES else FULL_TILE_BYTES
    if status.st_size > most:
        raise BundleError(f"{path} has {status.st_size:,} bytes; such a file of a bundle has at most {most:,}")


def chunks_of(size: int) -> int:
    """Return the number of chunks of a log."""
    return -(-size // CHUNK_EVENTS)


def entry_files(chunk: int, size: int) -> list[str]:
    """Return the paths of the entries of a chunk, in order."""
    first = chunk * CHUNK_TILES
    last = min(first + CHUNK_TILES, -(-size // TILE_WIDTH))
    return [entries_path(number, size) for number in range(first, last)]


def split_entries(bundle: bytes, expected: int) -> list[bytes]:
    """Return the entries of one file.

    Raises:
        EntryError: it does not hold the expected number of entries.
    """
    entries: list[bytes] = []
    add, at, end = entries.append, 0, len(bundle)
    while at + 2 <= end:
        first = at + 2
        at = first + (bundle[at] << 8 | bundle[at + 1])
        add(bundle[first:at])
    if at != end or len(entries) != expected:
        raise EntryError(f"the file holds {len(entries)} entries, of {expected}, and ends within or after one")
    return entries
