"""Making an audit bundle from a ledger, or extending an older one: it only grows.

The read models, signatures and digests of texts are read in one snapshot. The checkpoint is made after it has begun, so
it covers every event of that snapshot. Entries are read from the log itself: a log that was altered gives a bundle
in which an audit finds it.

Every file appears whole or not at all, and the table of contents comes last. A bundle that was stopped is continued by
making it again; one that is being extended stays valid until the end. A folder with a bundle of another log, or of one
that was rewritten, is left as it is.

Personal data stay where they are: no names, no texts, and no signed requests that hold a text about somebody.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from ledger.names import Position
from ledger.store.database import Database
from ledger.store.log_queries import LogReader, RecordedEvent
from replay.archive.archive import Archive
from replay.archive.copying import TargetError, copy_archive
from replay.archive.manifest import ArchiveDisagreesError, ArchiveError
from replay.bundles.layout import (
    ARCHIVE,
    CHECKPOINT,
    CHECKPOINTS,
    CONTENTS,
    FORMAT,
    KEYS,
    BundleError,
    Contents,
    RewrittenError,
    checkpoint_file,
    entries_path,
    read_contents,
    read_models_folder,
    sized,
)
from replay.bundles.reading import require_plain
from replay.bundles.snapshot import snapshot, write, write_read_models, write_signatures, write_texts
from replay.progress import Progress, ignore
from replay.proof.checkpoints import Checkpoint, read_checkpoint
from replay.proof.entries import EntryError, bundle_of, entry_of
from replay.proof.notes import NoteError
from replay.proof.tiles import TileError, TileFolder
from replay.proof.tree import TILE_WIDTH, root_hash, tiles

logger = logging.getLogger(__name__)

ENTRIES, TILES, COPYING = "writing events", "copying tiles", "copying the archive"
READ_EVENTS = 64 * TILE_WIDTH


class Sources(NamedTuple):
    """What proves the log, from the data directory: the newest checkpoint, earlier ones by size, the published keys as
    JSON, the folder of tiles, and the sealed hours of the newest checkpoint, if any. `disagreement`: how the log
    differs from what was signed, in a sentence without a full stop; None if no difference is known.
    """

    checkpoint: Checkpoint
    earlier: Mapping[int, bytes]
    keys: bytes
    tiles: TileFolder
    hours: bytes | None = None
    disagreement: str | None = None


class Made(NamedTuple):
    """A bundle that was made. `missing`: positions without a readable event, which an audit will report.
    `disagreement`: as in `Sources`.
    """

    contents: Contents
    missing: list[int]
    disagreement: str | None = None


def make_bundle(
    folder: Path,
    database: Database,
    archive: Archive,
    prove: Callable[[], Sources],
    program: str,
    progress: Progress = ignore,
    *,
    since: Checkpoint | None = None,
) -> Made:
    """Make the bundle of a ledger in a folder, or extend the one that is there.

    Args:
        prove: returns what proves the log. It is called once the snapshot of the read models has begun, so that a
            checkpoint made by it covers them.
        since: a checkpoint that the auditor kept: nothing is written if the log does not continue it.

    Raises:
        BundleError: the folder cannot be used, or the log does not continue its bundle, or `since`.
        replay.archive.manifest.ArchiveError: the archive cannot be copied.
        OSError: a file cannot be written. replay.progress.StoppedError: from `progress`.
    """
    older = _older(folder)
    with snapshot(database) as connection:
        ledger = LogReader(connection).identity()  # the snapshot begins
        sources = prove()
        size = sources.checkpoint.size
        _refuse_other_log(folder, ledger, older, sources, since)
        folder.mkdir(parents=True, exist_ok=True)
        read_models = write_read_models(connection, folder, ledger, progress)
        without = write_signatures(connection, folder, size, progress)
        write_texts(connection, folder, size)
    files = [sized("signatures", size, ".parquet"), sized("texts", size, ".txt"), KEYS]
    missing = _write_entries(database, folder, size, older.size if older else 0, progress)
    _copy_tiles(sources.tiles, folder, size, older.size if older else 0, progress)
    position = _copy_archive(archive, folder, database, progress)
    for of_size, content in {**sources.earlier, size: sources.checkpoint.encode()}.items():
        if of_size <= size:
            write(folder / checkpoint_file(of_size), content)
    write(folder / KEYS, sources.keys)
    if sources.hours is not None:
        files.append(sized("hours", size))
        write(folder / files[-1], sources.hours)
    contents = Contents(
        format=FORMAT,
        ledger=ledger,
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        program=program,
        size=size,
        checkpoints=tuple(sorted({size, *(each for each in sources.earlier if each < size)} | _kept_sizes(older))),
        read_models=read_models,
        archive=position,
        without_texts=without,
        files={name: (folder / name).stat().st_size for name in files},
    )
    last = {CONTENTS: contents.model_dump_json(indent=2).encode() + b"\n", CHECKPOINT: sources.checkpoint.encode()}
    # A new folder is no bundle before it has a table of contents, and whole once it has.
    for name in (CHECKPOINT, CONTENTS) if older is None else (CONTENTS, CHECKPOINT):
        write(folder / name, last[name])
    _sweep(folder, contents, older)
    return Made(contents, missing, sources.disagreement)


# --- what is there --------------------------------------------------------------------------------------------------


def _older(folder: Path) -> Contents | None:
    """Return the contents of the bundle that is in a folder; None if it is empty, new, or holds an unfinished one."""
    if folder.exists() and not folder.is_dir():
        raise BundleError(f"{folder} is a file; name a folder")
    if not folder.absolute().parent.is_dir():
        raise BundleError(f"{folder}: the folder {folder.absolute().parent} does not exist; create it first")
    require_plain(folder)  # it may be a stick of somebody else's: nothing is written through its links
    if (folder / CONTENTS).exists():
        return read_contents(folder)
    own = {"tile", "System Volume Information", "lost+found"}
    if (folder / "tile").is_dir():  # what is written after the tiles
        own |= {ARCHIVE, CHECKPOINT, CHECKPOINTS, KEYS}
    strange = [
        path.name
        for path in (folder.iterdir() if folder.exists() else ())
        if path.name not in own and not path.name.startswith(("read-models-", "signatures-", "texts-", "hours-", "."))
    ]
    if strange:
        raise BundleError(f"{folder} contains {strange[0]}, which is not part of a bundle; name an empty folder")
    return None


def _refuse_other_log(
    folder: Path, ledger: UUID, older: Contents | None, sources: Sources, since: Checkpoint | None
) -> None:
    """Refuse a log that does not continue the bundle in a folder, or the checkpoint that the auditor kept."""
    if sources.checkpoint.size == 0:
        raise BundleError("the log is empty, so there is nothing to audit")
    if sources.disagreement and (folder / "tile").exists():  # what is there may be of before
        raise RewrittenError(
            f"{sources.disagreement}. Nothing was written to {folder}, which is evidence: keep it; a bundle in a new "
            "folder shows the log as it is now"
        )
    if since is not None:
        _require_growth(since, sources, "the checkpoint that you kept")
    if older is None:
        return
    if older.ledger != ledger:
        raise BundleError(f"{folder} holds a bundle of another ledger; name another folder")
    try:
        kept = read_checkpoint((folder / checkpoint_file(older.size)).read_bytes())
    except (OSError, NoteError) as error:
        raise BundleError(f"the checkpoint in {folder} cannot be read: {error}; name another folder") from None
    _require_growth(kept, sources, f"the bundle in {folder}")


def _kept_sizes(older: Contents | None) -> set[int]:
    return set(older.checkpoints) if older else set()


def _require_growth(kept: Checkpoint, sources: Sources, whose: str) -> None:
    """Refuse a log that does not continue what was seen of it before."""
    newest = sources.checkpoint
    if kept.origin != newest.origin:
        raise BundleError(f"{whose} is of the log {kept.origin}, not of {newest.origin}; name another")
    if kept.size > newest.size:
        raise RewrittenError(
            f"{whose} covers {kept.size:,} events, and this log only {newest.size:,}: its end was cut off, or it is an "
            "older copy; nothing was written, and the bundle before is evidence: keep it"
        )
    if kept.size == 0:
        return
    try:
        root = root_hash(sources.tiles.hashes(newest.size), kept.size)
    except TileError as error:
        raise BundleError(f"the tree cannot be read: {error}") from None
    if root != kept.root:
        raise RewrittenError(
            f"the first {kept.size:,} events are not those of {whose}: the history was rewritten; nothing was written, "
            "and the bundle before is evidence: keep it"
        )


# --- events and tiles -----------------------------------------------------------------------------------------------


def _write_entries(database: Database, folder: Path, size: int, since: int, progress: Progress) -> list[int]:
    """Write the entries that are not there yet; return the positions without a readable event."""
    missing: list[int] = []
    number, count = since // TILE_WIDTH, -(-size // TILE_WIDTH)
    while number < count:
        if number % 64 == 0:
            progress(ENTRIES, number * TILE_WIDTH, size)
        if (folder / entries_path(number, size)).exists():
            number += 1
            continue
        until = min(number + READ_EVENTS // TILE_WIDTH, count)
        after, last = number * TILE_WIDTH, min(until * TILE_WIDTH, size)
        entries = _entries(database.log.read(Position(after), last - after, Position(last)), after, last, missing)
        for each in range(number, until):
            begin = each * TILE_WIDTH - after
            write(folder / entries_path(each, size), bundle_of(entries[begin : begin + TILE_WIDTH]), durable=False)
        number = until
    progress(ENTRIES, size, size)
    return missing


def _entries(events: list[RecordedEvent], after: int, last: int, missing: list[int]) -> list[bytes]:
    """Return the entries of a range of positions; of no bytes, where there is no event that has one."""
    entries = [b""] * (last - after)
    for event in events:
        try:
            entries[event.position - after - 1] = entry_of(event)
        except (EntryError, OverflowError, ValueError, IndexError):
            continue
    missing += [after + 1 + at for at, entry in enumerate(entries) if not entry]
    return entries


def _copy_tiles(source: TileFolder, folder: Path, size: int, since: int, progress: Progress) -> None:
    """Copy the tiles that an older bundle does not have, and every partial one that is not there."""
    wanted = list(dict.fromkeys([*tiles(size, since), *(tile for tile in tiles(size) if tile.width < TILE_WIDTH)]))
    for done, tile in enumerate(wanted):
        path = folder / tile.path
        if not path.exists():
            try:
                content = source.read(tile)
            except TileError as error:
                raise BundleError(f"the tree of the log is not complete: {error}") from None
            write(path, content, durable=False)
        if done % 64 == 0:
            progress(TILES, done, len(wanted))
    progress(TILES, len(wanted), len(wanted))
    os.sync()  # one for all the small files, before the table of contents lists them


def _copy_archive(archive: Archive, folder: Path, database: Database, progress: Progress) -> int | None:
    try:
        archive.refresh()
        if not archive.segments:
            return None
        return copy_archive(
            archive, folder / ARCHIVE, lambda _, done, total: progress(COPYING, done, total), database
        ).position
    except TargetError as error:
        raise BundleError(str(error)) from None
    except ArchiveDisagreesError as error:
        raise RewrittenError(str(error)) from None
    except ArchiveError as error:  # the audit of the bundle says what is wrong with it
        logger.warning("the archive could not be copied: %s", error)
        return None


def _sweep(folder: Path, contents: Contents, older: Contents | None) -> None:
    """Remove what only the older table of contents named."""
    if older is None or (older.size == contents.size and older.read_models == contents.read_models):
        return
    if older.read_models is not None and older.read_models != contents.read_models:
        shutil.rmtree(folder / read_models_folder(older.read_models), ignore_errors=True)
    for name in older.files.keys() - contents.files.keys():
        (folder / name).unlink(missing_ok=True)
    for path in _partial_files(older.size) - _partial_files(contents.size):
        (folder / path).unlink(missing_ok=True)
        with suppress(OSError):  # partial tiles of other widths are in it
            (folder / path).parent.rmdir()


def _partial_files(size: int) -> set[str]:
    """Return the paths of the partial tiles and of the partial file of entries in a log of `size` events."""
    paths = {tile.path for tile in tiles(size) if tile.width < TILE_WIDTH}
    return paths | ({entries_path(size // TILE_WIDTH, size)} if size % TILE_WIDTH else set())
