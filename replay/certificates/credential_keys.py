"""The key that signs credentials: an Ed25519 key beside those of the log, known to others as a `did:key`.

The private key is a secret of the ledger (`replay/proof/keys.py`), which is backed up with the others. A public key is
written as multibase base58btc of the multicodec prefix 0xed01 and the 32 bytes. Sources: the did:key method
(w3c-ccg.github.io/did-key-spec), www.w3.org/TR/cid.
"""

from __future__ import annotations

from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519 = b"\xed\x01"
DID = "did:key:"
SECRET = "credential"  # noqa: S105 - its name


class CredentialKeyError(ValueError):
    """A key is not one that signs credentials."""


class CredentialKey:
    """A private key that signs credentials.

    Args:
        seed: 32 bytes.
    """

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise CredentialKeyError(f"the key that signs credentials has 32 bytes, not {len(seed)}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)

    @cached_property
    def did(self) -> str:
        """The name of the public key, a did:key."""
        return did_of(self._private.public_key())

    @property
    def method(self) -> str:
        """The verification method of the did:key, as credentials name it."""
        return method_of(self.did)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes; the same message always has the same signature."""
        return self._private.sign(message)


def did_of(key: Ed25519PublicKey) -> str:
    """Return the did:key of a public key."""
    return DID + multibase(_ED25519 + key.public_bytes_raw())


def method_of(did: str) -> str:
    """Return the one verification method of a did:key."""
    return f"{did}#{did.removeprefix(DID)}"


def public_key_of(did: str) -> Ed25519PublicKey:
    """Return the public key that a did:key names.

    Raises:
        CredentialKeyError: it names none, or one of another kind.
    """
    raw = from_multibase(did.removeprefix(DID)) if did.startswith(DID) else b""
    if len(raw) != 34 or not raw.startswith(_ED25519):
        raise CredentialKeyError("the issuer is not a did:key of an Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(raw[2:])


def multibase(raw: bytes) -> str:
    """Return bytes as multibase base58btc."""
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "z" + "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def from_multibase(text: str) -> bytes:
    """Return the bytes of multibase base58btc.

    Raises:
        CredentialKeyError: it is not that.
    """
    digits = text[1:]
    if not text.startswith("z") or len(text) > 200 or any(digit not in _ALPHABET for digit in digits):
        raise CredentialKeyError("not written as multibase base58btc")
    number = 0
    for digit in digits:
        number = number * 58 + _ALPHABET.index(digit)
    zeros = len(digits) - len(digits.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
