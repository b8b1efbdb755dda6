"""The folder of tiles: the tree's hashes as files that C2SP tlog-tiles names, servable as they are.

    data/tiles/
        checkpoint                 the newest published checkpoint (`checkpoints.py`)
        tile/0/x001/234            a full tile: 256 hashes
        tile/1/000.p/17            a partial tile: the first 17 hashes of a tile that is not full yet

Each file appears whole or not at all. All files that a checkpoint needs are on disk before it is signed. A partial tile
is removed when the full tile is there, from which every shorter one can be read.

`Edge` is the right edge of the tree, all that is needed to append to it; `TileFolder` reads and writes the files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from replay.durable import flush, make_private_folder, way_out
from replay.proof.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Hashes,
    Tile,
    node_hash,
    subtree_root,
    tile_of,
)

FULL_TILE_BYTES = TILE_WIDTH * HASH_BYTES
_FLUSHERS = 8
"""Threads that flush files: the file system writes files together that are flushed at once."""
_CACHED_TILES = 64


class TileError(Exception):
    """A tile is missing, or its file is not a tile's."""


class Edge:
    """The right edge of a tree: for each level of tiles, the hashes of the tile that is not full yet. Levels are added
    as the tree grows. `size`: the number of leaves.
    """

    def __init__(self, size: int = 0, levels: Iterable[bytes] = ()) -> None:
        self.size = size
        self._levels = [bytearray(level) for level in levels]

    def append(self, leaves: bytes) -> list[tuple[Tile, bytes]]:
        """Append leaf hashes, concatenated; return the tiles that are full now, with their hashes."""
        self.size += len(leaves) // HASH_BYTES
        full: list[tuple[Tile, bytes]] = []
        level, added, count = 0, leaves, self.size
        while added:
            if level == len(self._levels):
                self._levels.append(bytearray())
            hashes = self._levels[level]
            hashes += added
            number = count // TILE_WIDTH - len(hashes) // FULL_TILE_BYTES
            roots = []
            for at in range(0, len(hashes) - FULL_TILE_BYTES + 1, FULL_TILE_BYTES):
                tile = bytes(hashes[at : at + FULL_TILE_BYTES])
                full.append((Tile(level, number, TILE_WIDTH), tile))
                roots.append(subtree_root(tile))
                number += 1
            del hashes[: len(roots) * FULL_TILE_BYTES]
            level, added, count = level + 1, b"".join(roots), count // TILE_WIDTH
        return full

    def root(self) -> bytes:
        """Return the root of the tree."""
        parts: list[bytes] = []
        for hashes in reversed(self._levels):
            for first, last in _powers_of_two(len(hashes) // HASH_BYTES):
                parts.append(subtree_root(bytes(hashes[first * HASH_BYTES : last * HASH_BYTES])))
        if not parts:
            return EMPTY_ROOT
        root = parts.pop()
        while parts:
            root = node_hash(parts.pop(), root)
        return root

    def partial(self) -> list[tuple[Tile, bytes]]:
        """Return the partial tiles of the tree at its present size, with their hashes."""
        found = []
        for level, hashes in enumerate(self._levels):
            if hashes:
                width = len(hashes) // HASH_BYTES
                found.append((Tile(level, self.size // TILE_WIDTH ** (level + 1), width), bytes(hashes)))
        return found


class TileFolder:
    """The tiles of one log in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, tile: Tile) -> Path:
        """Return the path of a tile's file."""
        return self.folder / tile.path

    def read(self, tile: Tile) -> bytes:
        """Return the hashes of a tile, concatenated; those of a partial tile also from a wider one.

        Raises:
            TileError: the tile is missing, or damaged.
        """
        wanted = tile.width * HASH_BYTES
        full = tile._replace(width=TILE_WIDTH)
        # The partial tile first: a full one may be left by a process that was killed before it signed, and the log may
        # have been restored to an earlier position since.
        for path, width in ((self.path(tile), tile.width), (self.path(full), TILE_WIDTH)):
            try:
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                advice = way_out(error, "")
                raise TileError(f"{path} cannot be read: {error.strerror}{advice and f'; {advice}'}") from error
            if len(content) != width * HASH_BYTES:
                raise TileError(f"{path} is damaged: it has {len(content)} bytes, not {width * HASH_BYTES}")
            return content[:wanted]
        return self._from_wider(tile)[:wanted]

    def _from_wider(self, tile: Tile) -> bytes:
        """Return the hashes of another partial tile that is at least as wide."""
        try:
            widths = [int(path.name) for path in self.path(tile).parent.iterdir() if path.name.isdecimal()]
        except (FileNotFoundError, NotADirectoryError):
            widths = []
        wider = min((width for width in widths if width > tile.width), default=None)
        if tile.width == TILE_WIDTH or wider is None:
            raise TileError(f"the tile {tile.path} is missing in {self.folder}")
        return self.read(tile._replace(width=wider))

    def hashes(self, size: int) -> Hashes:
        """Return the hashes of the tree over the first `size` leaves: of any complete subtree, read from tiles.

        The function raises TileError where a tile is missing or damaged. It keeps the tiles it has read.
        """
        read = lru_cache(_CACHED_TILES)(self.read)

        def find(level: int, index: int) -> bytes:
            if (index + 1) << level > size:
                raise TileError(f"there is no complete subtree {index} of level {level} in a tree of {size} leaves")
            tile, first = tile_of(level, index, size)
            count = 1 << level % TILE_HEIGHT
            return subtree_root(read(tile)[first * HASH_BYTES : (first + count) * HASH_BYTES])

        return find

    def edge(self, size: int) -> Edge:
        """Return the right edge of the tree over the first `size` leaves.

        Raises:
            TileError: a tile is missing, or damaged.
        """
        levels: list[bytes] = []
        count = size
        while count:
            number, width = divmod(count, TILE_WIDTH)
            levels.append(self.read(Tile(len(levels), number, width)) if width else b"")
            count = number
        return Edge(size, levels)

    def write(self, tiles: Sequence[tuple[Tile, bytes]]) -> None:
        """Write tiles and flush them to disk. When this returns, all of them survive a power failure.

        Raises:
            OSError: they could not be written; those that are there are whole.
        """
        files = [(self.path(tile), hashes) for tile, hashes in tiles]
        folders = {path.parent for path, _ in files}
        for folder in folders:
            make_private_folder(folder)
        with ThreadPoolExecutor(_FLUSHERS, "tiles") as flushers:
            list(flushers.map(_write_beside, files))
            for path, _ in files:
                _beside(path).replace(path)
            list(flushers.map(flush, folders))
        for tile, _ in tiles:
            if tile.width == TILE_WIDTH:
                partial = self.path(tile).with_name(f"{self.path(tile).name}.p")
                if partial.exists():
                    shutil.rmtree(partial, ignore_errors=True)

    def replace_by(self, other: TileFolder) -> None:
        """Replace all tiles by those of another folder in the same file system, which is left without them.

        Raises:
            OSError
        """
        make_private_folder(self.folder)
        old = self.folder / ".tile.old"
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            (self.folder / "tile").rename(old)
        (other.folder / "tile").rename(self.folder / "tile")
        flush(self.folder)
        shutil.rmtree(old, ignore_errors=True)


def _powers_of_two(count: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of the parts of a row of hashes whose lengths are powers of two, longest first."""
    first = 0
    while first < count:
        last = first + (1 << (count - first).bit_length() - 1)
        yield first, last
        first = last


def _beside(path: Path) -> Path:
    """Return the name under which a file is written; one process writes at a time, and a killed one leaves it."""
    return path.with_name(f".{path.name}.new")


def _write_beside(file: tuple[Path, bytes]) -> None:
    path, content = file
    temporary = _beside(path)
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
