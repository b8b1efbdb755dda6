"""The credential as a VC-JWT: one line of text that wallets take (RFC 7519; Open Badges 3.0, section 8.2).

The payload is the credential itself with the registered claims beside it. Signed with the same key by EdDSA.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime

from cryptography.exceptions import InvalidSignature

from replay.certificates.credential_keys import CredentialKey, method_of, public_key_of
from replay.certificates.data_integrity import BadProofError, Document, fields_once


def jwt_of(credential: Document, key: CredentialKey) -> str:
    """Return a credential, without a proof, as a VC-JWT."""
    header = {"alg": "EdDSA", "kid": key.method, "typ": "JWT"}
    signing_input = f"{_part(header)}.{_part({**_claims(credential), **credential})}"
    return f"{signing_input}.{_base64url(key.sign(signing_input.encode()))}"


def read_jwt(text: str) -> tuple[Document, bytes, bytes]:
    """Return the credential of a VC-JWT, what was signed, and the signature; nothing is verified.

    Raises:
        BadProofError: it is malformed.
    """
    parts = text.strip().split(".")
    if len(parts) != 3:
        raise BadProofError("a JWT has three parts with dots between them")
    try:
        header, payload = (json.loads(_decoded(part), object_pairs_hook=fields_once) for part in parts[:2])
        signature = _decoded(parts[2])
    except BadProofError:
        raise
    except (ValueError, RecursionError):
        raise BadProofError("the JWT is malformed") from None
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise BadProofError("the JWT is malformed")
    credential = {name: value for name, value in payload.items() if name not in {"iss", "jti", "nbf", "sub"}}
    issuer = credential.get("issuer")
    did = issuer.get("id") if isinstance(issuer, dict) else None
    if header != {"alg": "EdDSA", "kid": method_of(str(did)), "typ": "JWT"}:
        raise BadProofError("the JWT is not signed by the issuer of its credential with EdDSA")
    try:
        claims = _claims(credential)
    except (KeyError, TypeError, ValueError):
        raise BadProofError("the JWT is malformed") from None
    if {name: value for name, value in payload.items() if name not in credential} != claims:
        raise BadProofError("the claims of the JWT are not those of its credential")
    return credential, ".".join(parts[:2]).encode(), signature


def verify_jwt(signed: bytes, signature: bytes, issuer: str) -> None:
    """Verify the signature of a VC-JWT by the key of its issuer, a did:key.

    Raises:
        BadProofError
    """
    try:
        public_key_of(issuer).verify(signature, signed)
    except InvalidSignature:
        raise BadProofError("the signature of the JWT is wrong") from None


def _claims(credential: Document) -> Document:
    issued_at = datetime.fromisoformat(credential["validFrom"])
    return {
        "iss": credential["issuer"]["id"],
        "jti": credential["id"],
        "nbf": int(issued_at.timestamp()),
        "sub": credential["credentialSubject"]["id"],
    }


def _part(value: Document) -> str:
    return _base64url(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """Decode base64url in its one canonical form, so that no bit of a JWT can change unnoticed."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise BadProofError("the JWT is malformed") from None
    if _base64url(raw) != text:
        raise BadProofError("the JWT is malformed")
    return raw
