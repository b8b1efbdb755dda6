"""Signing keys: the private keys with which a ledger signs its checkpoints, and what is published of them.

    data/proof/keys/
        keys.json            the origin, and for each generation of keys its verifier keys and the sizes it signs
        generation-1.keys    the private keys of a generation
        NAME.secret          another secret of this ledger, made when it is first needed

A generation is a pair of keys: Ed25519, and ML-DSA-44 beside it. The newest generation signs. A rotation ends the
generation before it at the size of the last checkpoint, so checkpoints of before stay verifiable, and a key that is
stolen later can sign nothing beyond that size. A generation that is marked as stolen verifies nothing any more.

The folder and its files can be read by their owner only; files that others can read are refused. `KeyFolder` neither
logs nor shows a private key. The keys of the HTTP interface are others: `hours keys`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from replay.durable import make_private_folder, way_out, write_private
from replay.proof.notes import NoteError, SignatureKind, SigningKey, VerifierKey

KINDS = (SignatureKind.ED25519, SignatureKind.ML_DSA_44_COSIGNATURE)
"""The keys of a generation, in the order of their signatures."""
ORIGIN_BYTES_MAX = 200
PUBLISHED = "keys.json"
_SEED_BYTES = 32
_ORIGIN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*")
_SECRET_NAME = re.compile(r"[a-z][a-z-]{0,30}")


class SigningKeyError(Exception):
    """The signing keys cannot be used; the message says what to do."""


class NoSigningKeysError(SigningKeyError):
    """The ledger has no signing keys."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} holds no signing keys; `hours signing-keys make` or `restore` brings some")


@dataclass(frozen=True)
class Generation:
    """A generation of keys, numbered from 1, and what it signs: checkpoints from the size `first_size` on, up to and
    including `last_size` (None while it signs). `made_at`: epoch seconds. `stolen`: it verifies nothing any more.
    """

    number: int
    keys: tuple[VerifierKey, ...]
    made_at: int
    first_size: int
    last_size: int | None = None
    stolen: bool = False

    def covers(self, size: int) -> bool:
        """Return whether its signatures count on a checkpoint of this size."""
        return not self.stolen and self.first_size <= size and (self.last_size is None or size <= self.last_size)


@dataclass(frozen=True)
class PublishedKeys:
    """What is public: the origin of the log, and the generations of its keys, oldest first."""

    origin: str
    generations: tuple[Generation, ...]

    @property
    def current(self) -> Generation:
        """The generation that signs."""
        return self.generations[-1]

    @property
    def verifier_keys(self) -> tuple[VerifierKey, ...]:
        """The keys of all generations that are not stolen."""
        return tuple(key for each in self.generations if not each.stolen for key in each.keys)

    def covering(self, size: int) -> tuple[Generation, ...]:
        """Return the generations whose signatures count on a checkpoint of this size; two at a size of rotation."""
        return tuple(each for each in self.generations if each.covers(size))

    def including_stolen(self) -> PublishedKeys:
        """Return the keys as before any of them was marked as stolen, to recognise what they have signed."""
        return replace(self, generations=tuple(replace(each, stolen=False) for each in self.generations))

    def as_json(self) -> dict[str, Any]:
        """Return the keys as they are published and stored."""
        return {
            "origin": self.origin,
            "generations": [
                {
                    "generation": each.number,
                    "keys": [str(key) for key in each.keys],
                    "made_at": each.made_at,
                    "first_size": each.first_size,
                    "last_size": each.last_size,
                    "stolen": each.stolen,
                }
                for each in self.generations
            ],
        }

    @classmethod
    def from_json(cls, content: str | bytes) -> PublishedKeys:
        """Read published keys.

        Raises:
            NoteError: they are malformed.
        """
        try:
            fields = json.loads(content)
            origin, listed = fields["origin"], fields["generations"]
            if not isinstance(origin, str) or not isinstance(listed, list) or not listed:
                raise NoteError("published keys name an origin and at least one generation of keys")  # noqa: TRY301
            generations = tuple(_generation(number, each, origin) for number, each in enumerate(listed, 1))
            follow = all(a.last_size == b.first_size and not {*a.keys} & {*b.keys} for a, b in pairwise(generations))
            if not follow or generations[-1].last_size is not None:
                raise NoteError("the generations of the published keys do not follow one another")  # noqa: TRY301
            return cls(origin, generations)
        except NoteError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise NoteError("these are not published keys, as `hours signing-keys list --json` prints them") from None


def _generation(number: int, fields: Mapping[str, Any], origin: str) -> Generation:
    keys = tuple(VerifierKey.parse(text) for text in fields["keys"])
    first, last, made_at, stolen = fields["first_size"], fields["last_size"], fields["made_at"], fields["stolen"]
    sizes = [each for each in (first, last, made_at) if each is not None]
    right = (
        fields["generation"] == number
        and all(type(each) is int and 0 <= each < 1 << 63 for each in sizes)
        and first is not None
        and (last is None or last >= first)
        and type(stolen) is bool
        and tuple(key.kind for key in keys) == KINDS
        and all(key.name == origin for key in keys)
    )
    if not right:
        raise NoteError(f"generation {number} of the published keys is malformed")
    return Generation(number, keys, made_at, first, last, stolen)


def check_origin(origin: str) -> None:
    """Check the origin of a log: the address below which it is published, without the scheme.

    Raises:
        SigningKeyError
    """
    if len(origin) > ORIGIN_BYTES_MAX or not _ORIGIN.fullmatch(origin):
        raise SigningKeyError(
            f"{origin!r} cannot be the origin of a log; write an address without a scheme, such as "
            f"hours.example.org/log, of at most {ORIGIN_BYTES_MAX} letters, digits, dots, dashes and slashes"
        )


def default_origin(ledger: object) -> str:
    """Return the origin of a ledger that was given none; `.invalid` can be nobody's address."""
    return f"service-hours.invalid/{ledger}"


def data_keys(data: Path) -> KeyFolder:
    """Return the keys of the ledger in a data directory."""
    return KeyFolder(data / "proof" / "keys")


class KeyFolder:
    """The folder of a ledger's signing keys. Every call reads the files again, so a rotation is seen at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exist(self) -> bool:
        """Return whether there are keys."""
        return (self.folder / PUBLISHED).exists()

    def published(self) -> PublishedKeys:
        """Return what is public.

        Raises:
            SigningKeyError: there are no keys, or the list cannot be read.
        """
        try:
            return PublishedKeys.from_json((self.folder / PUBLISHED).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise NoSigningKeysError(self.folder) from None
        except (OSError, NoteError) as error:
            path, advice = self.folder / PUBLISHED, way_out(error, "restore it from a backup")
            raise SigningKeyError(f"{path} cannot be read: {error}; {advice}") from error

    def signing_keys(self) -> tuple[SigningKey, ...]:
        """Return the private keys of the current generation.

        Raises:
            SigningKeyError: they are missing, can be read by others, or are not those that are published.
        """
        published = self.published()
        path = self._private(published.current.number)
        lines = read_private(path).decode("utf-8", "replace").splitlines()
        try:
            keys = tuple(_parse_signing_key(line) for line in lines)
        except NoteError as error:
            raise SigningKeyError(f"{path} cannot be read: {error}") from None
        if tuple(key.verifier_key for key in keys) != published.current.keys:
            raise SigningKeyError(f"the keys in {path} are not those that are published in {PUBLISHED}")
        return keys

    def make(self, origin: str, now: int, size: int = 0) -> PublishedKeys:
        """Make the first generation of keys.

        Args:
            now: epoch seconds.
            size: the size of the last checkpoint of the log, if it has one.

        Raises:
            SigningKeyError: there are keys, or the origin cannot be one.
            OSError: they cannot be written.
        """
        check_origin(origin)
        if self.exist():
            raise SigningKeyError(f"{self.folder} holds signing keys; `hours signing-keys rotate` replaces them")
        return self._publish(origin, (), now, size)

    def rotate(self, now: int, size: int, *, stolen: bool = False) -> PublishedKeys:
        """Make a new generation, which signs from now on. The private keys of the one before are removed.

        Args:
            size: the size of the last checkpoint, up to which the generation before has signed.
            stolen: the generation before was stolen: no checkpoint is verified by it any more.

        Raises:
            SigningKeyError: there are no keys.
            OSError: they cannot be written; the generation before goes on.
        """
        published = self.published()
        before = published.current
        if size < before.first_size:
            raise SigningKeyError(f"the log has {size} events, but its keys sign from {before.first_size} on")
        ended = replace(before, last_size=size, stolen=stolen)
        rotated = self._publish(published.origin, (*published.generations[:-1], ended), now, size)
        self._private(before.number).unlink(missing_ok=True)
        return rotated

    def secret(self, name: str) -> bytes:
        """Return another secret of this ledger, 32 bytes; it is made at the first call.

        A folder that has lost its private keys, such as one of a ledger restored from a backup, has lost its secrets as
        well: none is made there, because it would stand in the way of those that are restored.

        Raises:
            SigningKeyError: the file can be read by others, or is malformed, or private keys are missing.
            OSError: it cannot be written.
        """
        if not _SECRET_NAME.fullmatch(name):
            raise ValueError(name)
        path = self.folder / f"{name}.secret"
        if not path.exists():
            if self.exist():
                self.signing_keys()
            make_private_folder(self.folder)
            _create_once(path, secrets.token_hex(_SEED_BYTES).encode() + b"\n")
        try:
            found = bytes.fromhex(read_private(path).decode().strip())
        except ValueError:
            found = b""
        if len(found) != _SEED_BYTES:
            raise SigningKeyError(f"{path} is damaged; restore it with `hours signing-keys restore`")
        return found

    def private_files(self) -> dict[str, bytes]:
        """Return all files of the folder by name, for an encrypted backup.

        Raises:
            SigningKeyError
        """
        self.signing_keys()
        names = [PUBLISHED, *sorted(path.name for path in self.folder.iterdir() if _is_private(path.name))]
        return {name: read_private(self.folder / name) for name in names}

    def restore(self, files: Mapping[str, bytes]) -> list[str]:
        """Bring files back that `private_files` returned, and return the names of those that were missing.

        Files that are there are left as they are. A folder that knows a later generation of keys keeps its list, and
        private keys that a rotation has removed stay removed.

        Raises:
            SigningKeyError: the files belong to other keys; nothing was written.
            OSError: they cannot be written.
        """
        try:
            brought = PublishedKeys.from_json(files[PUBLISHED])
        except (KeyError, NoteError):
            raise SigningKeyError("the backup holds no signing keys") from None
        if unknown := [name for name in files if name != PUBLISHED and not _is_private(name)]:
            raise SigningKeyError(f"the backup holds a file that is none of signing keys: {unknown[0]!r}")
        if self.exist():
            self._require_same(brought)
        for name, content in files.items():
            path = self.folder / name
            if name != PUBLISHED and path.exists() and path.read_bytes() != content:
                raise SigningKeyError(f"{path} is another one than in the backup; move it away first")
        make_private_folder(self.folder)
        current = self._private((self.published() if self.exist() else brought).current.number).name
        wanted = [name for name in files if name.endswith(".secret") or name in {PUBLISHED, current}]
        missing = [name for name in wanted if not (self.folder / name).exists()]
        for name in sorted(missing, key=lambda name: name == PUBLISHED):  # the list last: it says that keys are there
            write_private(self.folder / name, files[name])
        return missing

    def _require_same(self, brought: PublishedKeys) -> None:
        ours = self.published()
        pairs = zip(ours.generations, brought.generations, strict=False)
        if ours.origin != brought.origin or any(one.keys != other.keys for one, other in pairs):
            raise SigningKeyError(f"{self.folder} holds the keys of another log, {ours.origin}; move them away first")
        if len(brought.generations) > len(ours.generations):
            raise SigningKeyError(f"{self.folder / PUBLISHED} is older than the backup; move it away first")

    def _publish(self, origin: str, before: Iterable[Generation], now: int, size: int) -> PublishedKeys:
        """Write a new generation: its private keys, then the list, which makes it the current one."""
        generations = tuple(before)
        keys = [SigningKey(origin, kind, secrets.token_bytes(_SEED_BYTES)) for kind in KINDS]
        made = Generation(len(generations) + 1, tuple(key.verifier_key for key in keys), now, size)
        published = PublishedKeys(origin, (*generations, made))
        make_private_folder(self.folder)
        write_private(self._private(made.number), "".join(f"{_signing_text(key)}\n" for key in keys).encode())
        write_private(self.folder / PUBLISHED, json.dumps(published.as_json(), indent=1).encode() + b"\n")
        return published

    def _private(self, generation: int) -> Path:
        return self.folder / f"generation-{generation}.keys"


def _is_private(name: str) -> bool:
    return re.fullmatch(r"generation-[1-9][0-9]{0,5}\.keys|[a-z][a-z-]{0,30}\.secret", name) is not None


def read_private(path: Path) -> bytes:
    """Read a file that only its owner may read.

    Raises:
        SigningKeyError: it does not exist, is no plain file, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SigningKeyError(f"{path} is not a file")
            if status.st_mode & 0o077:
                raise SigningKeyError(f"others can read {path}: run `chmod 600 {path}`, and think of a rotation")
            return file.read(1 << 20)
    except FileNotFoundError:
        raise SigningKeyError(
            f"{path} is missing: restore it with `hours signing-keys restore`, or make new keys with "
            "`hours signing-keys rotate`"
        ) from None
    except OSError as error:
        raise SigningKeyError(f"{path} cannot be read: {error.strerror}; {way_out(error, 'repair it')}") from None


def _create_once(path: Path, content: bytes) -> None:
    """Write a file unless another process has; the first one counts."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        write_private(temporary, content)
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)


def _signing_text(key: SigningKey) -> str:
    """Return a private key in the form of Go's note package, for kinds that it does not know too."""
    return f"PRIVATE+KEY+{key.name}+{key.verifier_key.key_id:08x}+{bytes([key.kind, *key.seed]).hex()}"


def _parse_signing_key(line: str) -> SigningKey:
    parts = line.split("+")
    if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
        raise NoteError("a line is not a private key")
    try:
        raw = bytes.fromhex(parts[4])
        key = SigningKey(parts[2], SignatureKind(raw[0]), raw[1:])
        return key if f"{key.verifier_key.key_id:08x}" == parts[3] else _raise_damaged()
    except (ValueError, IndexError):
        return _raise_damaged()


def _raise_damaged() -> SigningKey:
    raise NoteError("a private key is damaged")
