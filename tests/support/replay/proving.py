"""A ledger's log as a tree with a signed checkpoint, made at once from its rows, for tests of bundles and audits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ledger.names import Position
from ledger.store.database import Database
from replay.bundles.making import Sources
from replay.generations.sealing import seal_hours
from replay.proof.checkpoints import sign
from replay.proof.entries import entry_of
from replay.proof.keys import Generation, PublishedKeys
from replay.proof.notes import SignatureKind, SigningKey, VerifierKey
from replay.proof.seals import SealFolder
from replay.proof.tiles import Edge, TileFolder
from replay.proof.tree import leaf_hash, root_hash

ORIGIN = "hours.example.org/log"
KEYS = (
    SigningKey(ORIGIN, SignatureKind.ED25519, bytes([1]) * 32),
    SigningKey(ORIGIN, SignatureKind.ML_DSA_44_COSIGNATURE, bytes([2]) * 32),
)
VERIFIER_KEYS: tuple[VerifierKey, ...] = tuple(key.verifier_key for key in KEYS)
SIGNED_AT = 1_800_000_000
PUBLISHED_KEYS = json.dumps(PublishedKeys(ORIGIN, (Generation(1, VERIFIER_KEYS, 0, 0),)).as_json()).encode()


def prove(
    database: Database,
    folder: Path,
    *,
    keys: Sequence[SigningKey] = KEYS,
    earlier: Mapping[int, bytes] | None = None,
) -> Sources:
    """Grow a tree over the whole log in a folder, which may hold an older one, seal the hours as they are served, and
    sign a checkpoint.
    """
    seals = SealFolder(folder, bytes([3]) * 32)
    line = seal_hours(database, seals)
    hours = b"".join(entry + b"\n" for entry in seals.read(line.position).entries()) if line else None
    leaves = b"".join(leaf_hash(entry_of(event)) for event in database.log.read(Position(0), 1_000_000))
    edge, tiles = Edge(), TileFolder(folder)
    tiles.write(edge.append(leaves) + edge.partial())
    size = edge.size
    checkpoint = sign(keys, size, root_hash(tiles.hashes(size), size), SIGNED_AT, [line.text] if line else [])
    return Sources(checkpoint, dict(earlier or {}), PUBLISHED_KEYS, tiles, hours)
