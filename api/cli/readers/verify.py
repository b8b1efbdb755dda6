"""`hours verify`: whether a certificate, a badge or the proof of an event is genuine, offline, with public keys."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Annotated
from urllib.error import HTTPError
from urllib.request import urlopen

import typer

from api.cli.options import Json, data_of
from api.cli.output import out, print_json
from api.cli.trust import KEY_HELP, GivenKeys, read_keys
from api.operations.usage_errors import UsageError
from ledger.sentences import printable
from replay.certificates.credential_keys import SECRET, CredentialKey
from replay.certificates.verification import FILE_BYTES_MAX, Keys, NotVerifiedError, Verified, verify_file
from replay.proof.keys import SigningKeyError, data_keys
from replay.queries.queries import logged_event

ASK_SECONDS_MAX = 15.0


def verify(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="A certificate, a badge, or a tlog-proof: PDF, JSON, JWT or tlog-proof.", metavar="FILE"),
    ],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A public key that you trust: {KEY_HELP}; or an issuer's did:key. Repeatable. By default the keys"
            " of the ledger in the data directory."
        ),
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="A tlog-policy file: whose cosignatures are required.")] = None,
    ask: Annotated[
        str | None,
        typer.Option(help="Ask the ledger at this address whether the certificate still holds.", metavar="URL"),
    ] = None,
    signature_alone: Annotated[
        bool,
        typer.Option(
            "--signature-alone",
            help="Accept a file without a proof if it is signed by an issuer that you trust: the issuer states it, and"
            " nothing shows that the ledger recorded it or sealed its hours.",
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Verify a file without the ledger: a certificate, a badge, or the proof of an event; say what is proved.

    A certificate that carries no proof that the ledger recorded it and sealed its hours is not verified: exit code 1.
    """
    keys = _keys(data_of(context), key or [], policy)._replace(signature_alone=signature_alone)
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        verified = verify_file(content, keys)
        if ask is not None:
            verified = asked(verified, ask)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except NotVerifiedError as error:
        if as_json:
            print_json({"verified": False, "reason": str(error)})
        else:
            _print(f"{file}: NOT VERIFIED. {error}.")
        return 1
    if as_json:
        print_json(_answer(verified))
        return 0
    signed_only = bool(verified.stated)
    what = "NOT PROVED, but the issuer's signature is genuine" if signed_only else "verified"
    _print(f"{file}: {what} ({verified.form})")
    for sentence in verified.stated:
        _print(f"  stated       {sentence}")
    for sentence in verified.proved:
        label = "checked " if signed_only else "proved  "
        _print(f"  {label}     {sentence}")
    for sentence in verified.not_checked:
        _print(f"  not checked  {sentence}")
    return 0


def _print(line: str) -> None:
    """Print a line that quotes a file: its author may want a terminal to show something else."""
    out().print(printable(line), markup=False, emoji=False, soft_wrap=True)


def _answer(verified: Verified) -> dict[str, object]:
    answer: dict[str, object] = {"verified": True, "form": verified.form}
    if verified.certificate is not None:
        issued = verified.certificate.issued
        fields = ("certificate", "volunteer", "from_year", "to_year", "scanned_minutes", "attested_minutes")
        answer |= {name: getattr(issued, name) for name in fields}
        answer["position"] = verified.certificate.recorded.position
    answer["issuer"] = verified.issuer
    if verified.stated:
        answer |= {"verified": False, "signature": "genuine", "stated": verified.stated, "checked": verified.proved}
    else:
        answer["proved"] = verified.proved
    if verified.event is not None:
        answer["event"] = logged_event(verified.event).model_dump(mode="json")
    return {**answer, "not_checked": verified.not_checked}


def asked(verified: Verified, address: str) -> Verified:
    """Ask a ledger whether a certificate still holds; nothing but its number and digest is sent.

    Raises:
        NotVerifiedError: it does not.
        UsageError: the ledger cannot be asked.
    """
    certificate = verified.certificate
    if certificate is None:
        raise UsageError("--ask has no effect on the badge of an award or the proof of an event; leave it out")
    path = f"/v1/certificates/{certificate.number}/state?digest={certificate.digest}"
    if not address.startswith(("https://", "http://")):
        raise UsageError(f"--ask {address} is not an address; write one such as https://hours.example.org")
    try:
        with urlopen(address.rstrip("/") + path, timeout=ASK_SECONDS_MAX) as answer:  # noqa: S310 - checked above
            state = json.loads(answer.read(10_000))["state"]
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            raise NotVerifiedError(f"the ledger at {address} has no such certificate") from None
        raise UsageError(f"--ask {address}: the ledger answered {error.code}") from None
    except (OSError, HTTPException, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"--ask {address}: the ledger does not answer ({type(error).__name__})") from None
    if state != "valid":
        raise NotVerifiedError(f"the file is genuine, but the ledger says now that the certificate is {state}")
    return verified._replace(
        proved=[*verified.proved, f"The ledger at {address} says now that it is valid."],
        not_checked=[each for each in verified.not_checked if "--ask" not in each],
    )


def _keys(data: Path, given: list[str], path: Path | None) -> Keys:
    """Return the keys that are believed: those that are given, or those of the ledger in the data directory."""
    found = read_keys(given) if given or path else _own_keys(data)
    policy = found.policy(path)
    return Keys(policy if policy.logs else None, found.issuers, published=found.published)


def _own_keys(data: Path) -> GivenKeys:
    keys = data_keys(data)
    try:
        published = keys.published() if keys.exist() else None
        secret = keys.folder / f"{SECRET}.secret"
        issuers = (CredentialKey(keys.secret(SECRET)).did,) if secret.exists() else ()
    except SigningKeyError as error:
        raise UsageError(str(error)) from None
    if published is None and not issuers:
        raise UsageError("name the public key that you believe with --key; the ledger's operator publishes it")
    return GivenKeys(published.verifier_keys if published else (), issuers, published)
