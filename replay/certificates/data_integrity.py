"""Data Integrity proofs of the cryptosuite `eddsa-rdfc-2022` (www.w3.org/TR/vc-di-eddsa).

What is signed is the SHA-256 of the canonical RDF of the proof's options, followed by that of the credential without
its proof. Contexts come from the files in `contexts/`, never from a network: these are the published ones of the W3C
and of 1EdTech. Canonicalization can take very long for a document made for that purpose, so only documents that were
made here, or that equal one, are given to it.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from pyld import jsonld

from replay.certificates.credential_keys import (
    CredentialKey,
    CredentialKeyError,
    from_multibase,
    method_of,
    multibase,
    public_key_of,
)

VC_CONTEXT = "https://www.w3.org/ns/credentials/v2"
BADGES_CONTEXT = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
_FILES = {VC_CONTEXT: "credentials-v2.json", BADGES_CONTEXT: "ob-v3p0-context-3.0.3.json"}
_FOLDER = Path(__file__).with_name("contexts")
CRYPTOSUITE = "eddsa-rdfc-2022"

Document = dict[str, Any]


class BadProofError(ValueError):
    """A proof is not one of this cryptosuite, or its signature is wrong."""


def fields_once(pairs: list[tuple[str, Any]]) -> Document:
    """Return the fields of a JSON object, none of which may be named twice: two readers would see different values.

    Raises:
        BadProofError: one is.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadProofError("the credential names a field twice")
    return found


def signed(credential: Document, key: CredentialKey, created: str) -> Document:
    """Return a credential with its proof.

    Args:
        created: the time that the proof states, as RFC 3339 text.
    """
    proof = {
        "type": "DataIntegrityProof",
        "cryptosuite": CRYPTOSUITE,
        "created": created,
        "verificationMethod": key.method,
        "proofPurpose": "assertionMethod",
    }
    return {**credential, "proof": {**proof, "proofValue": multibase(key.sign(_message(credential, proof)))}}


def verify(document: Document, issuer: str) -> None:
    """Verify the proof of a credential that equals one made here, by the key of its issuer, a did:key.

    Raises:
        BadProofError
    """
    credential = {name: value for name, value in document.items() if name != "proof"}
    proof = document.get("proof")
    options = {name: value for name, value in proof.items() if name != "proofValue"} if isinstance(proof, dict) else {}
    expected = {
        "type": "DataIntegrityProof",
        "cryptosuite": CRYPTOSUITE,
        "created": credential.get("validFrom"),
        "verificationMethod": method_of(issuer),
        "proofPurpose": "assertionMethod",
    }
    if options != expected or not isinstance(proof, dict):
        raise BadProofError(f"the credential has no proof {CRYPTOSUITE} by its issuer, made when it was issued")
    try:
        signature = from_multibase(str(proof.get("proofValue")))
        public_key_of(issuer).verify(signature, _message(credential, options))
    except CredentialKeyError as error:
        raise BadProofError(f"the proof of the credential: {error}") from None
    except InvalidSignature:
        raise BadProofError("the signature of the credential is wrong") from None


def _message(credential: Document, options: Document) -> bytes:
    of_options = _canonical({"@context": credential["@context"], **options})
    return sha256(of_options).digest() + sha256(_canonical(credential)).digest()


def _canonical(document: Document) -> bytes:
    settings = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": _load}
    canonical: str = jsonld.normalize(document, settings)
    return canonical.encode()


@cache
def _context(address: str) -> Document:
    content: Document = json.loads((_FOLDER / _FILES[address]).read_text("utf-8"))
    return content


def _load(address: str, _options: object = None) -> Document:
    if address not in _FILES:
        raise BadProofError(f"the context {address} is not known here")
    return {
        "contentType": "application/ld+json",
        "contextUrl": None,
        "documentUrl": address,
        "document": _context(address),
    }
