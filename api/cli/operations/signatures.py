"""`hours keys sign-with` and `hours signatures check`: public keys of stations, and whether they said an event."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from api.access import signatures
from api.cli.output import out, print_json
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError


def sign_with(data: Path, key: int, path: Path, *, required: bool, as_json: bool) -> None:
    """Register a station's public key."""
    public_key = _read(path)
    with open_ledger(data) as ledger:
        ledger.keys.sign_with(key, public_key, required=required)
    shown = signatures.fingerprint(public_key)
    if as_json:
        print_json({"id": key, "public_key": shown, "required": required})
    else:
        only = "; what is not signed is refused" if required else ""
        out().print(f"Requests with key {key} are signed with {shown}{only}.", soft_wrap=True)


def _read(path: Path) -> bytes:
    remedy = "make one with `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`"
    try:
        public_key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is no public key in PEM; {remedy}") from None
    if not isinstance(public_key, Ed25519PublicKey):
        raise UsageError(f"{path} is not an Ed25519 key; {remedy}")
    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def check(data: Path, position: int, *, as_json: bool) -> int:
    """Say whether an event was signed by the key it names; return the exit code, 1 if it was not."""
    with open_ledger(data) as ledger:
        checked = signatures.check(ledger.log, ledger.signatures, position)
    shown = signatures.fingerprint(checked.public_key) if checked.public_key else None
    if as_json:
        print_json({**checked._asdict(), "public_key": shown})
    else:
        out().print(checked.sentence + (f" (public key {shown})" if shown else ""), soft_wrap=True)
    return 0 if checked.holds else 1
