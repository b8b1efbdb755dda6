"""Verification of signed requests: HTTP Message Signatures (RFC 9421) with Ed25519.

A signature covers the method, the path, the query if there is one, the digest of the body (RFC 9530), and the headers
that name commands: Idempotency-Key, or `ce-…`. So the signed commands can be recovered from the signature base and the
body alone. Replayed requests are harmless, because commands are recorded once; `created` is limited to a window anyway.

Nothing here is stored.

    BadSignatureError   the message says what is wrong, and discloses nothing of the signature itself
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import http_sf
import msgspec
from cryptography.exceptions import InvalidSignature as SignatureMismatch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, InvalidSignature
from http_message_signatures.algorithms import ED25519
from http_message_signatures.digests import ContentDigest
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from http_message_signatures.resolvers import MappingKeyResolver
from pydantic import ValidationError
from starlette.datastructures import Headers

from api.messages.cloud_events import attributes_of, elements_of, read_binary, read_event
from api.messages.problems import Fault
from ledger.aggregates import COMMANDS, Order, Sender

CREATED_SECONDS_MAX = 300
"""The maximum age of a signature: it is made when the request is sent, not when the scan was made."""
CLOCK_SECONDS_MAX = 60
"""The tolerance for a station's clock, in both directions."""

COMMANDS_PATH = "/v1/commands/"
CHECK_CLOCK = "check the clock of the sender"
_MISMATCH = "it does not match the request; sign the request as it is sent, with the registered key"


class BadSignatureError(Exception):
    """The signature is not valid, or does not cover a required component. `remedy`: what to do, if that is known."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class Sent(NamedTuple):
    """A request as received. `url` is absolute."""

    method: str
    url: str
    headers: Headers
    body: bytes


class Signed(NamedTuple):
    """A valid signature: the signature base, the signature, and the body."""

    base: bytes
    signature: bytes
    body: bytes


def verify(
    sent: Sent, key: int, public_key: bytes, seconds_max: int = CREATED_SECONDS_MAX, *, skew: int = CLOCK_SECONDS_MAX
) -> Signed:
    """Verify the signature of a request.

    Args:
        key: the id of the API key, which must be the signature's `keyid`.
        public_key: the 32 bytes of the Ed25519 public key registered for it.
        seconds_max: the maximum age of the signature.
        skew: the tolerance for the sender's clock, in seconds.

    Raises:
        BadSignatureError: the signature is missing, not valid, too old, or does not cover a required component.
    """
    public = Ed25519PublicKey.from_public_bytes(public_key)
    resolver = MappingKeyResolver(public_keys={str(key): public}, private_keys={})
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=resolver)
    verifier.max_clock_skew = timedelta(seconds=skew)
    try:
        (result,) = verifier.verify(
            sent, max_age=timedelta(seconds=seconds_max), require_components=_required_components(sent), body=sent.body
        )
        if str(result.parameters["keyid"]) != str(key):
            raise BadSignatureError(f"keyid is not the id of the API key that was sent; use keyid={key}")
        signature: Any = http_sf.parse(", ".join(sent.headers.getlist("signature")).encode(), tltype="dictionary")
        base = "\n".join(f"{name}: {value}" for name, value in result.covered_components.items())
        return Signed(base.encode(), signature[result.label][0], sent.body)
    except (InvalidSignature, HTTPMessageSignaturesException) as error:
        message = str(error)
        if "resolve verification key" in message:
            message = f"keyid is not the id of the API key that was sent; use keyid={key}"
        if late := _wrong_clock(sent, seconds_max, skew):
            raise BadSignatureError(late, CHECK_CLOCK) from None
        raise BadSignatureError(message or _MISMATCH) from None


def _wrong_clock(sent: Sent, seconds_max: int, skew: int) -> str | None:
    """Return what is wrong with the times of a signature by this ledger's clock; None if nothing is, or it has none."""
    now = int(time.time())
    try:
        inputs: Any = http_sf.parse(", ".join(sent.headers.getlist("signature-input")).encode(), tltype="dictionary")
        ((_, parameters), *_) = inputs.values()
        created, expires = parameters.get("created"), parameters.get("expires")
    except (ValueError, TypeError, AttributeError):
        return None
    if isinstance(created, int) and created - now > skew:
        return (
            f"created lies {created - now:,} seconds in the future of this ledger's clock, and at most {skew} are "
            f"allowed; {CHECK_CLOCK}, which is fast"
        )
    if isinstance(created, int) and now - created > seconds_max + skew:
        return (
            f"created is {now - created:,} seconds ago by this ledger's clock, and the age may be at most "
            f"{seconds_max + skew}; {CHECK_CLOCK}, and sign each request when it is sent, not when the scan was made"
        )
    if isinstance(expires, int) and now - expires > skew:
        return f"expires was {now - expires:,} seconds ago by this ledger's clock; {CHECK_CLOCK}, and sign again"
    return None


def _required_components(sent: Sent) -> list[str]:
    parts = urlsplit(sent.url)
    components = ["@method", "@path", "content-digest"]
    components += ["@query"] if parts.query else []
    components += ["idempotency-key"] if parts.path.startswith(COMMANDS_PATH) else []
    return components + sorted({name for name in sent.headers if name.startswith("ce-")})


def stored_signature_error(signed: Signed, public_key: bytes) -> str | None:
    """Verify a stored signature again; return what is wrong with it, or None."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, signed.base)
    except SignatureMismatch:
        return "the signature does not match the stored request"
    try:
        ContentDigest.verify(covered(signed.base)["content-digest"], signed.body)
    except (KeyError, HTTPMessageSignaturesException):
        return "the stored body is not the one that was signed"
    return None


# --- the signed commands --------------------------------------------------------------------------------------------


def covered(base: bytes) -> dict[str, str]:
    """Return the components of a signature base by name. Values have no line breaks, names no quotation marks."""
    lines = (line.partition('": ') for line in base.decode().split("\n"))
    return {name.removeprefix('"'): value for name, _, value in lines}


def signed_orders(signed: Signed, by: str, key: int) -> Iterator[Order]:
    """Yield the orders in a signed request; leave out invalid ones."""
    components, sender = covered(signed.base), Sender(by=by, key=key, volunteer=None)
    path = components["@path"]
    if not path.startswith(COMMANDS_PATH):
        yield from (item for item in _events(components, signed.body, sender) if isinstance(item, Order))
        return
    command_type = COMMANDS.get(path.removeprefix(COMMANDS_PATH))
    try:
        if command_type is not None:
            command = command_type.model_validate_json(signed.body)
            name = components["idempotency-key"]
            yield sender.order(command, source=f"/callers/{by}", id=name, imported=False)
    except ValidationError:
        return


def _events(components: Mapping[str, str], body: bytes, sender: Sender) -> list[Order | Fault]:
    if attributes := attributes_of(components):
        return [read_binary(attributes, body, sender)]
    return [read_event(element, sender) for element in _elements(body)]


def _elements(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    """Return the events of a body, unparsed: the elements of a batch, or else the body as the only event."""
    try:
        return elements_of(body)
    except (ValueError, RecursionError):
        return [body]
