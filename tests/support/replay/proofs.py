"""Keys, checkpoints and trees for tests of proofs."""

from __future__ import annotations

import base64

from replay.proof.notes import Note, SignatureKind, SigningKey, sign_note
from replay.proof.tree import Hashes, hashes_of, leaf_hash, root_hash

ORIGIN = "hours.example.org/log"
NOW = 1_800_000_000


def log_keys(origin: str = ORIGIN) -> tuple[SigningKey, SigningKey]:
    """Return the two keys of a log, always the same."""
    return (
        SigningKey(origin, SignatureKind.ED25519, b"\1" * 32),
        SigningKey(origin, SignatureKind.ML_DSA_44_COSIGNATURE, b"\2" * 32),
    )


def witness_key(name: str, kind: SignatureKind = SignatureKind.ED25519_COSIGNATURE) -> SigningKey:
    """Return the key of the witness with this name, always the same."""
    return SigningKey(name, kind, leaf_hash(name.encode()))


def checkpoint_text(size: int, root: bytes, *extensions: str, origin: str = ORIGIN) -> str:
    """Return the text of a checkpoint."""
    return "".join(f"{line}\n" for line in (origin, size, base64.b64encode(root).decode(), *extensions))


def tree_of(size: int) -> Hashes:
    """Return a tree of this size; its entries are numbers as text."""
    return hashes_of([leaf_hash(b"%d" % number) for number in range(size)])


def checkpoint_of(hashes: Hashes, size: int, *keys: SigningKey, extensions: tuple[str, ...] = ()) -> Note:
    """Return the checkpoint of the first leaves of a tree, signed by the keys, or by those of the log."""
    return sign_note(checkpoint_text(size, root_hash(hashes, size), *extensions), keys or log_keys(), NOW)
