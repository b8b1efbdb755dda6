"""Proofs as files: C2SP tlog-proof, which shows offline that an entry is in the log that a checkpoint describes.

    c2sp.org/tlog-proof@v1
    extra BASE64                  may be absent: opaque bytes of the application, not authenticated by the proof
    index NUMBER                  of the leaf, from 0
    BASE64                        the hashes of the proof of inclusion, from the leaf upwards, one in a line
                                  an empty line
    the checkpoint, a signed note, to the end

Reading is strict: a proof has one form, so a file that is read and written again has the same bytes. What a proof
shows is decided by `Proof.verify` alone; nothing in it is to be believed before. Source: c2sp.org/tlog-proof.

    ProofError (of `tree`)        the proof does not lead to the root
        ProofFileError            the file is malformed
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from replay.proof.notes import Note, NoteError, read_note, tree_head
from replay.proof.policies import Policy, VerifiedCheckpoint
from replay.proof.tree import HASH_BYTES, Hashes, ProofError, inclusion_proof, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
PROOF_BYTES_MAX = 4_000_000
HASHES_MAX = 63


class ProofFileError(ProofError):
    """A file is not a proof."""


@dataclass(frozen=True)
class Proof:
    """A proof that a leaf is in the log of a checkpoint. `checkpoint` is not verified yet, and `extra` never is."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes | None = None

    def verify(self, leaf: bytes, policy: Policy) -> VerifiedCheckpoint:
        """Verify that a leaf hash has its place in the log, and return the checkpoint that says so.

        Args:
            leaf: computed by the caller from the entry that is to be proved (`tree.leaf_hash`).
            policy: the logs and witnesses that the caller trusts.

        Raises:
            ProofError: the leaf is not the one that the proof is about.
            CheckpointError: the policy does not accept the checkpoint.
        """
        checkpoint = policy.verify(self.checkpoint)
        verify_inclusion(leaf, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {_base64(self.extra)}")
        lines += [f"index {self.index}", *map(_base64, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint.encode()

    @classmethod
    def parse(cls, content: bytes) -> Proof:
        """Read the bytes of a file, without verifying anything.

        Raises:
            ProofFileError: they are not a proof in its one form.
        """
        if len(content) > PROOF_BYTES_MAX:
            raise ProofFileError(f"the proof is larger than {PROOF_BYTES_MAX:,} bytes")
        head, separator, note = content.partition(b"\n\n")
        lines = head.split(b"\n")
        if lines[0] != HEADER.encode():
            raise ProofFileError(f"the file is not a proof: its first line is not {HEADER}")
        if not separator:
            raise ProofFileError("the proof has no checkpoint: there is no empty line")
        del lines[0]
        extra = None
        if lines and lines[0].startswith(b"extra "):
            extra = _decoded(lines.pop(0).removeprefix(b"extra "), "extra")
            if not extra:
                raise ProofFileError("the line `extra` is empty; a proof without it has no such line")
        if not (lines and lines[0].startswith(b"index ")):
            raise ProofFileError("the proof has no line `index` where one is expected")
        index = _number(lines.pop(0).removeprefix(b"index "))
        if len(lines) > HASHES_MAX:
            raise ProofFileError(f"the proof has more than {HASHES_MAX} hashes")
        hashes = tuple(_decoded(line, f"hash {number}") for number, line in enumerate(lines, 1))
        if any(len(each) != HASH_BYTES for each in hashes):
            raise ProofFileError(f"a hash of the proof does not have {HASH_BYTES} bytes")
        try:
            checkpoint = read_note(note)
            size = tree_head(checkpoint.text)[1]
        except NoteError as error:
            raise ProofFileError(f"the checkpoint in the proof is malformed: {error}") from None
        if index >= size:
            raise ProofFileError(
                f"the proof is of leaf {index}, which is not in the checkpoint's tree of {size} leaves"
            )
        return cls(index, hashes, checkpoint, extra)


def make_proof(hashes: Hashes, index: int, checkpoint: Note, extra: bytes | None = None) -> Proof:
    """Make the proof of a leaf under a checkpoint of this log, and check that it leads to the checkpoint's root.

    Raises:
        ValueError: the leaf is not in the checkpoint's tree, or `extra` is empty.
        ProofError: the hashes are not those of the checkpoint's tree.
    """
    if extra is not None and not extra:
        raise ValueError("the extra bytes of a proof may be absent, but not empty")
    _, size, root = tree_head(checkpoint.text)
    path = tuple(inclusion_proof(hashes, index, size))
    verify_inclusion(hashes(0, index), index, size, path, root)
    return Proof(index, path, checkpoint, extra)


def _number(text: bytes) -> int:
    """Read a number in its one form."""
    if not (text.isdigit() and len(text) < 20 and b"%d" % int(text) == text and int(text) < 1 << 63):
        raise ProofFileError("the index is not a number without leading zeros, below 2**63")
    return int(text)


def _decoded(text: bytes, what: str) -> bytes:
    """Decode base64 in its one form."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = None
    if raw is None or base64.b64encode(raw) != text:
        raise ProofFileError(f"{what} in the proof is not base64 in its usual form")
    return raw


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
