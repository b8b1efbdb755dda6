"""Signed notes as C2SP defines them, and the three kinds of signatures that checkpoints carry.

    0x01  Ed25519 over the text of the note: the log's own signature
    0x04  Ed25519 with a time: a witness's cosignature
    0x06  ML-DSA-44 with a time: a cosignature by the log itself or by a witness, secure against quantum computers;
          it covers origin, size and root, and no extension lines

A key is known by its name and its key id together. Signatures by unknown keys are ignored; a wrong signature by a known
key makes the whole note invalid. Sources: c2sp.org/signed-note, c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.sentences import printable

NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 64
_SIGNED_BY = "— "
_KEY_ID = struct.Struct(">I")
_TIME = struct.Struct(">Q")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
"""The control characters that no note holds: all but the newline."""


class NoteError(ValueError):
    """A note, a key or a signature is malformed, or a signature is wrong."""


class SignatureKind(IntEnum):
    """The byte that identifies a kind of signature in key ids and verifier keys."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44_COSIGNATURE = 0x06


class Signature(NamedTuple):
    """One signature line: the name of the key, its id, and the bytes after the id."""

    name: str
    key_id: int
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in the note, with its newline."""
        return f"{_SIGNED_BY}{self.name} {_base64(_KEY_ID.pack(self.key_id) + self.signature)}\n"


class Note(NamedTuple):
    """The text of a note, which ends with a newline, and its signatures, none of them verified."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """Return the note as it is stored and sent."""
        return f"{self.text}\n{''.join(each.line for each in self.signatures)}".encode()


class Verified(NamedTuple):
    """A signature that was verified: its key, and the time it states, in epoch seconds (None for kind 0x01)."""

    key: VerifierKey
    timestamp: int | None


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name: what somebody has to have to verify notes."""

    name: str
    kind: SignatureKind
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != _PUBLIC_BYTES[self.kind]:
            raise NoteError(
                f"the public key of {self.name} has {len(self.public_key)} bytes, not {_PUBLIC_BYTES[self.kind]}"
            )

    @property
    def key_id(self) -> int:
        """The key id, as a number."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key
        return int(_KEY_ID.unpack(sha256(named).digest()[:4])[0])

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id:08x}+{_base64(bytes([self.kind]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a verifier key (vkey).

        Raises:
            NoteError: it is not one, or of another kind.
        """
        name, plus, rest = text.strip().partition("+")
        key_id, plus_too, material = rest.partition("+")
        if not (plus and plus_too):
            raise NoteError(f"not a verifier key: {_short(text)}; one has the form NAME+KEYID+BASE64")
        raw = _decoded(material, "the verifier key")
        try:
            kind = SignatureKind(raw[0]) if raw else None
        except ValueError:
            kind = None
        if kind is None:
            raise NoteError(f"the verifier key {_short(text)} is of a kind that is not known here")
        key = cls(name, kind, raw[1:])
        if f"{key.key_id:08x}" != key_id:
            raise NoteError(
                f"the key id {_short(key_id)} in the verifier key of {_short(name)} does not belong to its key"
            )
        return key

    def verify(self, text: str, signature: bytes) -> Verified:
        """Verify the bytes of a signature (after the key id) over the text of a note.

        Raises:
            NoteError: the signature is wrong.
        """
        timestamp, raw = None, signature
        if self.kind is not SignatureKind.ED25519:
            if len(signature) < _TIME.size:
                raise NoteError(f"the cosignature of {self.name} is too short")
            timestamp, raw = int(_TIME.unpack_from(signature)[0]), signature[_TIME.size :]
            if not 0 < timestamp < 1 << 63:
                raise NoteError(f"the time in the cosignature of {self.name} is out of range")
        try:
            message = _message(self.name, self.kind, text, timestamp)
            if self.kind is SignatureKind.ML_DSA_44_COSIGNATURE:
                MLDSA44PublicKey.from_public_bytes(self.public_key).verify(raw, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(raw, message)
        except (InvalidSignature, ValueError) as error:
            if isinstance(error, NoteError):
                raise
            raise NoteError(f"the signature of {self.name} is wrong") from None
        return Verified(self, timestamp)


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name. `seed`: 32 bytes, from which the key pair is derived; never shown."""

    name: str
    kind: SignatureKind
    seed: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r}, {self.kind!r})"

    @property
    def verifier_key(self) -> VerifierKey:
        """The public half."""
        if self.kind is SignatureKind.ML_DSA_44_COSIGNATURE:
            public = MLDSA44PrivateKey.from_seed_bytes(self.seed).public_key().public_bytes_raw()
        else:
            public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return VerifierKey(self.name, self.kind, public)

    def sign(self, text: str, timestamp: int) -> Signature:
        """Sign the text of a note, which is a checkpoint's if the kind is a cosignature.

        Args:
            timestamp: the time, in epoch seconds, that a cosignature states.

        Raises:
            NoteError: the kind is a cosignature, and the text is not a checkpoint's or the time is none.
        """
        if self.kind is not SignatureKind.ED25519:
            tree_head(text)
            if not 0 < timestamp < 1 << 63:
                raise NoteError(f"{timestamp} is not a time that a cosignature can state")
        message = _message(self.name, self.kind, text, timestamp)
        if self.kind is SignatureKind.ML_DSA_44_COSIGNATURE:
            raw = MLDSA44PrivateKey.from_seed_bytes(self.seed).sign(message)
        else:
            raw = Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)
        stated = b"" if self.kind is SignatureKind.ED25519 else _TIME.pack(timestamp)
        return Signature(self.name, self.verifier_key.key_id, stated + raw)


_PUBLIC_BYTES = {
    SignatureKind.ED25519: 32,
    SignatureKind.ED25519_COSIGNATURE: 32,
    SignatureKind.ML_DSA_44_COSIGNATURE: 1312,
}


def check_name(name: str) -> None:
    """Check the name of a key.

    Raises:
        NoteError: it is empty, or holds a space, a plus sign or a control character.
    """
    if not name or "+" in name or any(each.isspace() or ord(each) < 32 for each in name):
        raise NoteError(
            f"a key cannot be named {_short(name)!r}: a name has no spaces, plus signs or control characters"
        )


def read_note(content: bytes) -> Note:
    """Read a note without verifying it.

    Raises:
        NoteError: it is malformed.
    """
    if len(content) > NOTE_BYTES_MAX:
        raise NoteError(f"the note is larger than {NOTE_BYTES_MAX:,} bytes")
    try:
        whole = content.decode()
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    if _CONTROL.search(whole):
        raise NoteError("the note holds a control character")
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise NoteError("the note has no signatures")
    signatures = tuple(_read_line(line) for line in lines[:-1].split("\n"))
    if len(signatures) > SIGNATURES_MAX:
        raise NoteError(f"the note has more than {SIGNATURES_MAX} signatures")
    return Note(text + "\n", signatures)


def read_signatures(content: bytes) -> tuple[Signature, ...]:
    """Read signature lines alone, as a witness answers.

    Raises:
        NoteError: they are malformed.
    """
    note = read_note(b"\n\n" + content)
    if note.text != "\n":
        raise NoteError("an empty line stands among the signatures")
    return note.signatures


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> list[Verified]:
    """Verify all signatures by known keys, and return them; there may be none.

    Raises:
        NoteError: the signature of a known key is wrong, or two of the keys cannot be told apart.
    """
    known: dict[tuple[str, int], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) != key:
            raise NoteError(f"two different keys have the name {_short(key.name)} and the key id {key.key_id:08x}")
    found: list[Verified] = []
    for each in note.signatures:
        signer = known.get((each.name, each.key_id))
        if signer is not None:
            found.append(signer.verify(note.text, each.signature))
    return found


def sign_note(text: str, keys: Sequence[SigningKey], timestamp: int) -> Note:
    """Sign a text, which ends with a newline, with each key."""
    return Note(text, tuple(key.sign(text, timestamp) for key in keys))


def _message(name: str, kind: SignatureKind, text: str, timestamp: int | None) -> bytes:
    """Return the bytes that a signature of this kind covers."""
    if kind is SignatureKind.ED25519:
        return text.encode()
    if kind is SignatureKind.ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
    origin, size, root = tree_head(text)
    label = b"subtree/v1\n\0"
    return (
        label + _counted(name) + _TIME.pack(timestamp or 0) + _counted(origin) + _TIME.pack(0) + _TIME.pack(size) + root
    )


def tree_head(text: str) -> tuple[str, int, bytes]:
    """Return origin, size and root of the text of a checkpoint.

    Raises:
        NoteError: the text is not a checkpoint's.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise NoteError("a checkpoint has at least three lines, none of them empty: origin, size and root")
    origin, size, root = lines[:3]
    if not (size.isascii() and size.isdigit() and str(int(size[:20])) == size and int(size) < 1 << 63):
        raise NoteError(f"the size in a checkpoint is a number without leading zeros, not {_short(size)!r}")
    raw = _decoded(root, "the root in a checkpoint")
    if len(raw) != 32:
        raise NoteError(f"the root in a checkpoint has 32 bytes, not {len(raw)}")
    return origin, int(size), raw


def _counted(text: str) -> bytes:
    raw = text.encode()
    if not 0 < len(raw) < 256:
        raise NoteError(f"{_short(text)!r} has {len(raw)} bytes; an ML-DSA-44 cosignature allows 1 to 255")
    return bytes([len(raw)]) + raw


def _read_line(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_SIGNED_BY).partition(" ")
    if not line.startswith(_SIGNED_BY) or not space:
        raise NoteError(f"not a signature line: {_short(line)!r}")
    check_name(name)
    raw = _decoded(encoded, f"the signature of {_short(name)}")
    if len(raw) <= _KEY_ID.size:
        raise NoteError(f"the signature of {_short(name)} is too short")
    return Signature(name, int(_KEY_ID.unpack_from(raw)[0]), raw[_KEY_ID.size :])


def _decoded(text: str, what: str) -> bytes:
    """Decode base64 in its one canonical form, so that no two texts stand for the same bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
    if _base64(raw) != text:
        raise NoteError(f"{what} is not base64 in its usual form")
    return raw


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _short(text: str) -> str:
    return printable(text if len(text) <= 40 else f"{text[:39]}…")
