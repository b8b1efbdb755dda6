"""Authentication of backups: a MAC of the manifest, which holds the digest of every file.

    <folder>/manifest.mac    the key's id, and the HMAC-SHA256 of manifest.json

Whoever can write to the place of the backups could otherwise add events, or a key that opens everything, to one. The
secret key is neither in the backup nor in the data directory, which may be lost: it is beside that, made with the first
backup.

Errors: `BackupError`, which says what to do.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from replay.durable import way_out

MAC_FILE = "manifest.mac"
_FORM = re.compile(r"[0-9a-f]{64}")
_UNAUTHENTICATED = "if you know where it comes from, add --unauthenticated"


class BackupError(Exception):
    """The backup cannot be made, is damaged, not authentic, or cannot be restored to this ledger."""


def key_file(data: Path) -> Path:
    """Return the file of the key for a data directory: beside it, because the data may be lost."""
    data = data.absolute()
    return data.with_name(f"{data.name}.backup-key")


class BackupKey(NamedTuple):
    """A secret key, and where it is stored."""

    secret: bytes
    file: Path

    @property
    def id(self) -> str:
        """A digest that identifies the key and discloses nothing of it."""
        return hashlib.sha256(b"backup key " + self.secret).hexdigest()[:16]

    def mac(self, manifest: bytes) -> str:
        """Return the MAC of a manifest."""
        return hmac.new(self.secret, manifest, hashlib.sha256).hexdigest()


def read_key(file: Path) -> BackupKey:
    """Read a key from its file.

    Raises:
        BackupError: there is none, or others than its owner may read it.
    """
    try:
        text, mode = file.read_text("ascii").strip(), file.stat().st_mode
    except FileNotFoundError:
        raise BackupError(
            f"the key that made this backup is needed, and {file} is missing; name its file with --key, or, "
            f"{_UNAUTHENTICATED}"
        ) from None
    except PermissionError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}; {way_out(error, '')}") from None
    except (OSError, UnicodeDecodeError):
        text, mode = "", 0
    if not _FORM.fullmatch(text):
        raise BackupError(f"{file} is not the key of a backup; name the file with --key")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BackupError(f"other users may read the key in {file}; run `chmod 600 {file}`")
    return BackupKey(bytes.fromhex(text), file)


def make_key(file: Path) -> BackupKey:
    """Return the key in a file, after making a new one if there is no file.

    Raises:
        BackupError: the file is not a key.
    """
    try:
        _write(file, secrets.token_bytes(32))
    except FileExistsError:
        pass
    except OSError as error:
        raise BackupError(f"no key can be made in {file}: {error.strerror}; name another file with --key") from None
    return read_key(file)


def keep_key(key: BackupKey, file: Path) -> None:
    """Store a key under another name, unless there is one already, or the folder belongs to somebody else."""
    with suppress(FileExistsError, PermissionError):  # such as /var/lib, beside the data of a service
        _write(file, key.secret)


def _write(file: Path, secret: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secret.hex() + "\n")
        opened.flush()
        os.fsync(opened.fileno())


def sign(folder: Path, manifest: bytes, key: BackupKey) -> None:
    """Write the MAC of a backup's manifest."""
    (folder / MAC_FILE).write_text(json.dumps({"key": key.id, "hmac_sha256": key.mac(manifest)}) + "\n")


def authenticate(folder: Path, manifest: bytes, key: BackupKey) -> None:
    """Require that a backup's manifest was written with a key.

    Raises:
        BackupError: it was not.
    """
    try:
        stored = json.loads((folder / MAC_FILE).read_bytes())
        key_id, mac = str(stored["key"]), str(stored["hmac_sha256"])
    except FileNotFoundError:
        raise BackupError(f"{folder} has no MAC, so anybody may have written it; {_UNAUTHENTICATED}") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupError(
            f"{folder / MAC_FILE} is damaged, so anybody may have written it; use another backup"
        ) from None
    if key_id != key.id:
        raise BackupError(
            f"{folder} was made with another key than the one in {key.file}; name its file with --key, or, "
            f"{_UNAUTHENTICATED}"
        )
    if not hmac.compare_digest(mac.encode(), key.mac(manifest).encode()):
        raise BackupError(f"{folder} was changed since the backup was made; use another backup")
