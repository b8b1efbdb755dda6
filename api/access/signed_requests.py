"""What a signature of a request says, and whether it holds: HTTP Message Signatures (RFC 9421) with Ed25519.

A signature covers the method, the path, the query where there is one, the digest of the body (RFC 9530), and whatever
else names a command: the header Idempotency-Key, or the headers `ce-…`. So what was signed can be read again from the
signature base and the body alone. Replays are harmless, as commands are recorded once; `created` is held to a window
all the same.

Nothing here is stored.

    BadSignatureError   the sentence says what is wrong; it tells nothing of the signature itself
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import http_sf
import msgspec
from cryptography.exceptions import InvalidSignature as DoesNotFit
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, InvalidSignature
from http_message_signatures.algorithms import ED25519
from http_message_signatures.digests import ContentDigest
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from http_message_signatures.resolvers import MappingKeyResolver
from pydantic import ValidationError
from starlette.datastructures import Headers

from api.messages.cloud_events import Sender, attributes_of, elements_of, name_of, read_binary, read_event
from api.messages.problems import Fault
from ledger.aggregates import COMMANDS, Order
from ledger.names import command_name

CREATED_SECONDS_MAX = 300
"""How old a signature may be: it is made when the request is sent, not when a volunteer came."""
CLOCK_SECONDS_MAX = 60
"""How far a station's clock may be ahead, or behind beside that."""

COMMANDS_PATH = "/v1/commands/"
_MALFORMED = "it does not fit what was sent; sign the request as it is sent, with the key that is registered"


class BadSignatureError(Exception):
    """The signature does not hold, or does not cover what it has to."""


class Sent(NamedTuple):
    """A request as it was sent. `url` is absolute."""

    method: str
    url: str
    headers: Headers
    body: bytes


class Signed(NamedTuple):
    """A signature that holds: what was signed, and the signature."""

    base: bytes
    signature: bytes
    body: bytes


def verify(
    sent: Sent, key: int, public_key: bytes, seconds_max: int = CREATED_SECONDS_MAX, *, skew: int = CLOCK_SECONDS_MAX
) -> Signed:
    """Return what a request signs with a key's public key.

    Raises:
        BadSignatureError
    """
    public = Ed25519PublicKey.from_public_bytes(public_key)
    resolver = MappingKeyResolver(public_keys={str(key): public}, private_keys={})
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=resolver)
    verifier.max_clock_skew = timedelta(seconds=skew)
    try:
        (result,) = verifier.verify(
            sent, max_age=timedelta(seconds=seconds_max), require_components=_to_be_covered(sent), body=sent.body
        )
        if str(result.parameters["keyid"]) != str(key):
            raise BadSignatureError(f"keyid is not the number of the key that was sent; use {key}")
        signature: Any = http_sf.parse(", ".join(sent.headers.getlist("signature")).encode(), tltype="dictionary")
        base = "\n".join(f"{name}: {value}" for name, value in result.covered_components.items())
        return Signed(base.encode(), signature[result.label][0], sent.body)
    except (InvalidSignature, HTTPMessageSignaturesException) as error:
        said = str(error)
        if "resolve verification key" in said:
            said = f"keyid is not the number of the key that was sent; use keyid={key}"
        raise BadSignatureError(said or _MALFORMED) from None


def _to_be_covered(sent: Sent) -> list[str]:
    parts = urlsplit(sent.url)
    covered = ["@method", "@path", "content-digest"]
    covered += ["@query"] if parts.query else []
    covered += ["idempotency-key"] if parts.path.startswith(COMMANDS_PATH) else []
    return covered + sorted({name for name in sent.headers if name.startswith("ce-")})


def still_holds(signed: Signed, public_key: bytes) -> str | None:
    """Say what is wrong with a signature that was kept, if anything is."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, signed.base)
    except DoesNotFit:
        return "the signature does not fit what is kept of the request"
    try:
        ContentDigest.verify(covered(signed.base)["content-digest"], signed.body)
    except (KeyError, HTTPMessageSignaturesException):
        return "the body that is kept is not the one that was signed"
    return None


# --- which commands were signed -------------------------------------------------------------------------------------


def covered(base: bytes) -> dict[str, str]:
    """Return the components of a signature base by name. A value has no line break, and a name no quotation mark."""
    lines = (line.partition('": ') for line in base.decode().split("\n"))
    return {name.removeprefix('"'): value for name, _, value in lines}


def names_signed(signed: Signed, by: str) -> list[str]:
    """Return the names of the commands that a signed request gives, also of those that will be refused."""
    said = covered(signed.base)
    if said["@path"].startswith(COMMANDS_PATH):
        return [command_name(f"/callers/{by}", said["idempotency-key"])]
    attributes = attributes_of(said)
    named = [(attributes.get("source"), attributes.get("id"))] if attributes else map(name_of, _elements(signed.body))
    return [command_name(source, name) for source, name in named if source is not None and name is not None]


def orders_signed(signed: Signed, by: str, key: int) -> Iterator[Order]:
    """Yield the orders that a signed request gives."""
    said = covered(signed.base)
    if not said["@path"].startswith(COMMANDS_PATH):
        yield from (one for one in _events(said, signed.body, Sender(by, key)) if isinstance(one, Order))
        return
    command_type = COMMANDS.get(said["@path"].removeprefix(COMMANDS_PATH))
    try:
        if command_type is not None:
            command = command_type.model_validate_json(signed.body)
            yield Order.checked(command=command, source=f"/callers/{by}", id=said["idempotency-key"], by=by, key=key)
    except ValidationError:
        return


def _events(said: Mapping[str, str], body: bytes, giver: Sender) -> list[Order | Fault]:
    if attributes := attributes_of(said):
        return [read_binary(attributes, body, giver)]
    return [read_event(element, giver) for element in _elements(body)]


def _elements(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    """Return the events of a body, unread: of a batch, or else the one that it is."""
    try:
        return elements_of(body)
    except (ValueError, RecursionError):
        return [body]
