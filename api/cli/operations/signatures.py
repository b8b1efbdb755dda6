"""`hours keys sign-with` and `hours signatures check`: register public keys, and verify who sent an event."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from api.access import signatures
from api.cli.options import Json, data_of
from api.cli.output import out, print_json
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError

app = typer.Typer(help="Check who signed an event.", no_args_is_help=True)


def sign_with(
    context: typer.Context,
    key: Annotated[int, typer.Argument(help="The id of a station's key.")],
    public_key: Annotated[Path, typer.Argument(help="The station's Ed25519 public key, a PEM file.")],
    *,
    required: Annotated[bool, typer.Option("--required", help="Refuse unsigned requests.")] = False,
    as_json: Json = False,
) -> None:
    """Register the public key with which a station signs its requests."""
    key_bytes = _read(public_key)
    with open_ledger(data_of(context)) as ledger:
        ledger.keys.sign_with(key, key_bytes, required=required)
    shown = signatures.fingerprint(key_bytes)
    if as_json:
        print_json({"id": key, "public_key": shown, "required": required})
    else:
        only = "; unsigned requests are refused" if required else ""
        out().print(f"Requests with key {key} are signed with {shown}{only}.", soft_wrap=True)


def _read(path: Path) -> bytes:
    remedy = "create one with `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`"
    try:
        public_key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is not a public key in PEM format; {remedy}") from None
    if not isinstance(public_key, Ed25519PublicKey):
        raise UsageError(f"{path} is not an Ed25519 key; {remedy}")
    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


@app.command("check")
def check(
    context: typer.Context,
    position: Annotated[int, typer.Argument(min=1, help="The event's position in the log.")],
    *,
    as_json: Json = False,
) -> int:
    """Verify that the station signed an event, from the stored request; the exit code is 1 if it did not."""
    with open_ledger(data_of(context)) as ledger:
        checked = signatures.check(ledger.log, ledger.signatures, position)
    shown = signatures.fingerprint(checked.public_key) if checked.public_key else None
    if as_json:
        print_json({**checked._asdict(), "public_key": shown})
    else:
        out().print(checked.sentence + (f" (public key {shown})" if shown else ""), soft_wrap=True)
    return 0 if checked.holds else 1
