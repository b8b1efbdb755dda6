"""Sealed hours: a second tree, over the hours of every volunteer and year, whose root checkpoints carry.

A leaf is the hash of an entry, compact JSON with its keys in this order:

    {"volunteer":"V0001002","year":2018,"scanned_minutes":5400,"attested_minutes":0,"salt":"…"}

Minutes are credited minutes; year 0 is the sum of all years and the opening balance. Entries are ordered by volunteer
(bytes of UTF-8) and year. The salt, 32 hex digits, is derived from a secret of the ledger: whoever has the proof of one
volunteer's hours cannot guess those of the neighbours from their hashes. No entry holds a name, so erasing a person
breaks no proof.

A checkpoint carries the newest seal as an extension line:

    hours ENTRIES POSITION RULES-DIGEST ROOT      the number of entries, the position at which the hours were read, the
                                                  SHA-256 of the rules' text, and the root in base64

    data/proof/hours/000000001234/                one folder for each seal that is kept, by position
        hours.arrow                               volunteer, year, scanned_minutes, attested_minutes
        hashes                                    the hashes of levels 0, 8, 16 … of the tree, level after level
        seal                                      the line

docs/decisions/0025. Only Ed25519 signatures cover extension lines: take the line from `policies.VerifiedCheckpoint`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from replay.durable import atomic_folder, make_private_folder
from replay.proof.tree import (
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Hashes,
    ProofError,
    inclusion_proof,
    leaf_hash,
    root_hash,
    subtree_root,
    verify_inclusion,
)

KEEP = 3
"""How many seals are kept: a proof that was begun with one is finished with it."""
SECRET = "seal"  # noqa: S105 - its name
_HOURS, _HASHES, _LINE = "hours.arrow", "hashes", "seal"
_FULL_BYTES = TILE_WIDTH * HASH_BYTES
_TEXT = re.compile(r"hours (0|[1-9][0-9]{0,17}) (0|[1-9][0-9]{0,17}) ([0-9a-f]{64}) ([A-Za-z0-9+/=]{44})")
_SCHEMA = pa.schema(
    [
        ("volunteer", pa.string()),
        ("year", pa.int32()),
        ("scanned_minutes", pa.int64()),
        ("attested_minutes", pa.int64()),
    ]
)


class SealError(ProofError):
    """A seal is missing or damaged, or what is said to be sealed is not."""


class SealedYear(NamedTuple):
    """The credited minutes of a volunteer in a year; year 0 is the total, with the opening balance."""

    volunteer: str
    year: int
    scanned_minutes: int
    attested_minutes: int


class SealLine(NamedTuple):
    """What a checkpoint says of the sealed hours."""

    entries: int
    position: int
    rules_digest: str
    root: bytes

    @property
    def text(self) -> str:
        """The extension line."""
        return f"hours {self.entries} {self.position} {self.rules_digest} {base64.b64encode(self.root).decode()}"

    @classmethod
    def find(cls, extensions: Iterable[str]) -> SealLine | None:
        """Return the seal among the extension lines of a checkpoint, None if there is none.

        Raises:
            SealError: there are several, or one is malformed.
        """
        lines = [line for line in extensions if line.split(" ", 1)[0] == "hours"]
        if len(lines) > 1:
            raise SealError("the checkpoint seals the hours twice")
        return cls.parse(lines[0]) if lines else None

    @classmethod
    def parse(cls, text: str) -> SealLine:
        """Read the line.

        Raises:
            SealError: it is malformed.
        """
        match = _TEXT.fullmatch(text)
        try:
            root = base64.b64decode(match[4], validate=True) if match else b""
        except binascii.Error:
            root = b""
        if match is None or len(root) != HASH_BYTES:
            raise SealError("the line of the sealed hours in the checkpoint is malformed")
        line = cls(int(match[1]), int(match[2]), match[3], root)
        if line.text != text:
            raise SealError("the line of the sealed hours in the checkpoint is malformed")
        return line


@dataclass(frozen=True)
class SealedEntry:
    """The proof that the hours of one year stand in the sealed tree: the entry, its index, the hashes to the root."""

    entry: bytes
    index: int
    proof: tuple[bytes, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON: the entry as text, hashes in base64."""
        proof = [base64.b64encode(each).decode() for each in self.proof]
        return {"entry": self.entry.decode(), "index": self.index, "proof": proof}

    @classmethod
    def from_json(cls, value: object) -> SealedEntry:
        """Read it from JSON.

        Raises:
            SealError: it is malformed.
        """
        if not isinstance(value, dict) or set(value) != {"entry", "index", "proof"}:
            raise SealError("a proof of sealed hours has entry, index and proof")
        entry, index, proof = value["entry"], value["index"], value["proof"]
        if not isinstance(entry, str) or type(index) is not int or not isinstance(proof, list):
            raise SealError("a proof of sealed hours has a text, a number and a list")
        found = cls(entry.encode(), index, tuple(_hash_in(each) for each in proof))
        if found.as_json() != value:
            raise SealError("a proof of sealed hours is not in its usual form")
        return found

    def verify(self, line: SealLine) -> SealedYear:
        """Verify that the hours stand in the tree that a checkpoint seals, and return them.

        Raises:
            ProofError: they do not.
        """
        hours = read_entry(self.entry)
        verify_inclusion(leaf_hash(self.entry), self.index, line.entries, self.proof, line.root)
        return hours


def _hash_in(value: object) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise SealError("a hash in a proof of sealed hours is not base64") from None


def entry_of(hours: SealedYear, secret: bytes) -> bytes:
    """Return the entry of a volunteer's year.

    Args:
        secret: the ledger's secret, from which salts are derived.
    """
    salt = hmac.digest(secret, f"{hours.volunteer}/{hours.year}".encode(), "sha256")[:16].hex()
    return _encoded(hours, salt)


def _encoded(hours: SealedYear, salt: str) -> bytes:
    return _encoder.encode(_Entry(*hours, salt))


class _Entry(msgspec.Struct):
    volunteer: str
    year: int
    scanned_minutes: int
    attested_minutes: int
    salt: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Entry)


def read_entry(entry: bytes) -> SealedYear:
    """Read an entry, which has one form only.

    Raises:
        SealError: it is malformed.
    """
    try:
        found = _decoder.decode(entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if found is None or _encoder.encode(found) != entry:
        raise SealError("an entry of sealed hours is malformed")
    return SealedYear(found.volunteer, found.year, found.scanned_minutes, found.attested_minutes)


class Seal:
    """One seal that is kept: what the checkpoint says of it, and the proofs of all hours in it."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._secret = secret
        try:
            self.line = SealLine.parse((folder / _LINE).read_text())
            hashes = (folder / _HASHES).read_bytes()
            with pa.memory_map(str(folder / _HOURS)) as source, pa.ipc.open_file(source) as reader:
                self._table = reader.read_all()
        except (OSError, pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise SealError(f"the seal in {folder} cannot be read: {error}") from error
        counts = [self.line.entries]
        while counts[-1] >= TILE_WIDTH:
            counts.append(counts[-1] // TILE_WIDTH)
        if len(hashes) != sum(counts) * HASH_BYTES or self._table.num_rows != self.line.entries:
            raise SealError(f"the seal in {folder} is damaged")
        levels: list[bytes] = []
        for count in counts:
            levels.append(hashes[: count * HASH_BYTES])
            hashes = hashes[count * HASH_BYTES :]
        self._hashes = _hashes_in(levels)

    def rows(self) -> Iterator[SealedYear]:
        """Yield all hours, in the order of the entries."""
        for batch in self._table.to_batches(max_chunksize=1 << 14):
            columns = [batch.column(name).to_pylist() for name in SealedYear._fields]
            yield from map(SealedYear._make, zip(*columns, strict=True))

    def entries(self) -> Iterator[bytes]:
        """Yield all entries, with their salts."""
        return (entry_of(hours, self._secret) for hours in self.rows())

    def hours(self, volunteer: str) -> list[SealedYear]:
        """Return the sealed hours of a volunteer by year, year 0 first; empty if there are none."""
        return [self._row(index) for index in self._indexes(volunteer)]

    def prove(self, volunteer: str) -> list[SealedEntry]:
        """Return the proofs of all years of a volunteer, year 0 first; empty if the volunteer has no hours."""
        count = self.line.entries
        return [
            SealedEntry(
                entry_of(self._row(index), self._secret), index, tuple(inclusion_proof(self._hashes, index, count))
            )
            for index in self._indexes(volunteer)
        ]

    def _indexes(self, volunteer: str) -> Sequence[int]:
        wanted, column = volunteer.encode(), self._table.column("volunteer")

        def key(index: int) -> bytes:
            return str(column[index].as_py()).encode()

        places = range(self.line.entries)
        first = bisect_left(places, wanted, key=key)
        last = bisect_left(places, wanted + b"\0", lo=first, key=key)
        return places[first:last]

    def _row(self, index: int) -> SealedYear:
        return SealedYear(*(self._table.column(name)[index].as_py() for name in SealedYear._fields))


def _levels(leaves: bytes) -> list[bytes]:
    """Return the hashes of levels 0, 8, 16 and so on; the last has fewer than a tile holds."""
    levels = [leaves]
    while len(levels[-1]) >= _FULL_BYTES:
        below = levels[-1]
        starts = range(0, len(below) - _FULL_BYTES + 1, _FULL_BYTES)
        levels.append(b"".join([subtree_root(below[at : at + _FULL_BYTES]) for at in starts]))
    return levels


def _hashes_in(levels: Sequence[bytes]) -> Hashes:
    """Return the hashes of the tree that has these hashes at levels 0, 8, 16 and so on."""

    def find(level: int, index: int) -> bytes:
        tile_level, within = divmod(level, TILE_HEIGHT)
        first = (index << within) * HASH_BYTES
        return subtree_root(levels[tile_level][first : first + (HASH_BYTES << within)])

    return find


def root_of(leaves: bytes) -> bytes:
    """Return the root of the tree over leaf hashes, concatenated."""
    return root_hash(_hashes_in(_levels(leaves)), len(leaves) // HASH_BYTES)


class SealFolder:
    """The seals of one ledger, in its data directory."""

    def __init__(self, data: Path, secret: bytes) -> None:
        self.folder = data / "proof" / "hours"
        self._secret = secret

    def make(self, hours: pa.Table, position: int, rules_digest: str) -> SealLine:
        """Seal hours, and keep the seal; older ones than the newest three are removed.

        Args:
            hours: columns volunteer, year, scanned_minutes and attested_minutes, ordered by the first two.
            position: the position at which they were read; a seal of the same position is replaced.

        Raises:
            OSError: it cannot be written.
        """
        hours = hours.select(_SCHEMA.names).cast(_SCHEMA).combine_chunks()
        columns = [hours.column(name).to_pylist() for name in SealedYear._fields]
        secret = self._secret
        leaves = b"".join(
            [leaf_hash(entry_of(each, secret)) for each in map(SealedYear._make, zip(*columns, strict=True))]
        )
        levels = _levels(leaves)
        root = root_hash(_hashes_in(levels), hours.num_rows)
        line = SealLine(hours.num_rows, position, rules_digest, root)
        make_private_folder(self.folder)
        with atomic_folder(self.folder / f"{position:012}", mode=0o700) as new:
            (new / _HASHES).write_bytes(b"".join(levels))
            (new / _LINE).write_text(line.text)
            with pa.OSFile(str(new / _HOURS), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
                writer.write_table(hours)
            for path in new.iterdir():
                path.chmod(0o600)
        for old in self.positions()[:-KEEP]:
            shutil.rmtree(self.folder / f"{old:012}", ignore_errors=True)
        return line

    def positions(self) -> list[int]:
        """Return the positions of the seals that are kept, in ascending order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def newest(self, until: int | None = None) -> Seal | None:
        """Return the newest seal, of those made at `until` or before; None if there is none.

        Raises:
            SealError: it cannot be read.
        """
        found = [position for position in self.positions() if until is None or position <= until]
        return self.read(found[-1]) if found else None

    def read(self, position: int) -> Seal:
        """Return the seal made at a position.

        Raises:
            SealError: there is none, or it cannot be read.
        """
        return Seal(self.folder / f"{position:012}", self._secret)
