"""Backups of signing keys: one file, encrypted with a passphrase.

The file is JSON. Its `sealed` member is ChaCha20-Poly1305 over the files of the keys' folder, with a key that scrypt
derives from the passphrase; everything else in it is authenticated with them. `hours backup` never holds private keys.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from replay.proof.keys import SigningKeyError

FORMAT = "service-hours signing keys 1"
PASSPHRASE_CHARACTERS_MIN = 12
COST = 1 << 17
"""Scrypt's n: 128 MiB and half a second for each guess at the passphrase."""
_COSTS = range(1 << 10, (1 << 20) + 1)
_BLOCK, _PARALLEL = 8, 1
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
_WRONG = "the passphrase is wrong, or the backup is damaged"


def encrypt(files: Mapping[str, bytes], passphrase: str, cost: int = COST) -> bytes:
    """Return the backup of some files.

    Raises:
        SigningKeyError: the passphrase is too short.
    """
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise SigningKeyError(f"the passphrase is too short: use {PASSPHRASE_CHARACTERS_MIN} characters or more")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    head = {"format": FORMAT, "scrypt_n": cost, "salt": _text(salt), "nonce": _text(nonce)}
    content = json.dumps({name: _text(raw) for name, raw in files.items()}).encode()
    sealed = ChaCha20Poly1305(_key(passphrase, salt, cost)).encrypt(nonce, content, _authenticated(head))
    return json.dumps({**head, "sealed": _text(sealed)}, indent=1).encode() + b"\n"


def decrypt(backup: bytes, passphrase: str) -> dict[str, bytes]:
    """Return the files of a backup by name.

    Raises:
        SigningKeyError: it is not a backup of signing keys, it is damaged, or the passphrase is wrong.
    """
    try:
        fields = json.loads(backup)
        sealed = _bytes(fields.pop("sealed"))
        cost, salt, nonce = fields["scrypt_n"], _bytes(fields["salt"]), _bytes(fields["nonce"])
        is_ours = fields["format"] == FORMAT and type(cost) is int and cost in _COSTS and cost & (cost - 1) == 0
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_ours = False
    if not is_ours or len(nonce) != _NONCE_BYTES:
        raise SigningKeyError("the file is not a backup that `hours signing-keys backup` made")
    try:
        content = ChaCha20Poly1305(_key(passphrase, salt, cost)).decrypt(nonce, sealed, _authenticated(fields))
        return {str(name): _bytes(text) for name, text in json.loads(content).items()}
    except (InvalidTag, ValueError, TypeError, AttributeError):
        raise SigningKeyError(_WRONG) from None


def _key(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=_BLOCK, p=_PARALLEL).derive(passphrase.encode())


def _authenticated(head: Mapping[str, object]) -> bytes:
    return json.dumps(head, sort_keys=True).encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
