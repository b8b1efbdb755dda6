"""The files of the tree: in whatever steps it grew, they are those of its size, and every hash is read from them."""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path

import pytest

from replay.proof.tiles import Edge, TileError, TileFolder
from replay.proof.tree import (
    Tile,
    consistency_proof,
    hashes_of,
    inclusion_proof,
    leaf_hash,
    root_hash,
    subtrees,
    tiles,
)

LEAVES = [sha256(number.to_bytes(8, "big")).digest() for number in range(70_000)]
TREE = hashes_of(LEAVES)


def grow(folder: TileFolder, sizes: list[int]) -> Edge:
    """Grow a tree to each of these sizes, as a new process would each time."""
    before = 0
    for size in sizes:
        edge = folder.edge(before)
        written = edge.append(b"".join(LEAVES[before:size]))
        folder.write([*written, *edge.partial()])
        before = size
    return folder.edge(before)


def test_the_files_are_the_tiles_of_each_size(tmp_path: Path) -> None:
    folder = TileFolder(tmp_path)
    before = 0
    for size in (1, 2, 255, 256, 257, 511, 513, 65_535, 65_536, 65_537, 70_000):
        edge = folder.edge(before)
        written = [*edge.append(b"".join(LEAVES[before:size])), *edge.partial()]
        assert {tile for tile, _ in written} >= set(tiles(size, before))
        folder.write(written)
        for tile in tiles(size):
            first = tile.number * 256
            expected = [TREE(tile.level * 8, at) for at in range(first, first + tile.width)]
            assert folder.read(tile) == b"".join(expected)
        before = size


def test_roots_and_proofs_are_those_of_the_leaves_at_every_earlier_size(tmp_path: Path) -> None:
    chance = random.Random(19)  # noqa: S311
    steps = sorted(chance.sample(range(1, 70_000), 40))
    folder = TileFolder(tmp_path)
    grow(folder, steps)
    for size in [*steps, *chance.sample(range(1, steps[-1]), 40)]:
        hashes = folder.hashes(size)
        assert folder.edge(size).root() == root_hash(TREE, size)
        assert root_hash(hashes, size) == root_hash(TREE, size)
        index, old = chance.randrange(size), chance.randrange(size + 1)
        assert inclusion_proof(hashes, index, size) == inclusion_proof(TREE, index, size)
        assert consistency_proof(hashes, old, size) == consistency_proof(TREE, old, size)
        assert all(hashes(*place) == TREE(*place) for place in subtrees(0, size))


def test_partial_tiles_are_removed_when_the_full_tile_is_there(tmp_path: Path) -> None:
    folder = TileFolder(tmp_path)
    grow(folder, [17, 100, 256])
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == [
        "tile/0/000",
        "tile/1/000.p/1",
    ]
    assert folder.read(Tile(0, 0, 17)) == b"".join(LEAVES[:17])


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    folder = TileFolder(tmp_path / "tiles")
    grow(folder, [300])
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "tiles").rglob("*")}
    assert modes == {0o600, 0o700}


@pytest.mark.parametrize("content", [b"", b"x" * 8191, b"x" * 8193])
def test_a_file_that_is_not_a_tile_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = TileFolder(tmp_path)
    grow(folder, [300])
    (tmp_path / "tile/0/000").write_bytes(content)
    with pytest.raises(TileError, match="is damaged"):
        root_hash(folder.hashes(300), 3)


def test_a_missing_tile_is_named(tmp_path: Path) -> None:
    folder = TileFolder(tmp_path)
    grow(folder, [300])
    (tmp_path / "tile/0/001.p/44").unlink()
    with pytest.raises(TileError, match=r"tile/0/001\.p/44 is missing"):
        folder.edge(300)


def test_files_that_a_killed_process_left_do_not_matter(tmp_path: Path) -> None:
    folder = TileFolder(tmp_path)
    grow(folder, [10])
    (tmp_path / "tile/0/000.p/.20.new").write_bytes(b"half")
    (tmp_path / "tile/0/.000.new").write_bytes(b"half")
    edge = grow(folder, [10, 20, 300])
    assert edge.size == 300
    assert edge.root() == root_hash(TREE, 300)
    assert root_hash(folder.hashes(300), 300) == root_hash(TREE, 300)


def test_tiles_that_a_killed_process_left_of_events_that_were_lost_do_not_count(tmp_path: Path) -> None:
    """300 events were signed, tiles of 600 written, the log restored with 300, and 100 others were recorded."""
    before = [leaf_hash(b"%d" % number) for number in range(600)]
    after = [*before[:300], *(leaf_hash(b"other %d" % number) for number in range(100))]
    folder = TileFolder(tmp_path)
    edge = Edge()
    folder.write([*edge.append(b"".join(before[:300])), *edge.partial()])
    folder.write([*edge.append(b"".join(before[300:])), *edge.partial()])
    edge = folder.edge(300)
    folder.write([*edge.append(b"".join(after[300:])), *edge.partial()])
    assert edge.root() == root_hash(hashes_of(after), 400)
    assert root_hash(folder.hashes(400), 400) == edge.root()
    assert folder.edge(400).root() == edge.root()
