"""A certificate as an Open Badges 3.0 credential, which is a W3C Verifiable Credential (data model 2.0).

The credential is a function of the certificate, the issuer's key and the tlog-proof, so that a verifier makes it again
from what it carries and compares: a field that was changed, left out or added is a difference. What is needed for that
is in it as evidence:

    ledger-event                 the event as the transparency log binds it, in base64
    disclosed-texts              the texts with their salts, as JSON
    c2sp.org/tlog-proof@v1       the tlog-proof, as it is, once the event and the hours are sealed

It has no `credentialStatus`: whether a certificate still holds is asked at the ledger, which tells nobody else.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

from ledger.names import instant_text
from ledger.store.log_queries import RecordedEvent
from replay.certificates.certificate import TEXT_FIELDS, Certificate, CertificateError, Disclosed
from replay.certificates.credential_keys import CredentialKey
from replay.certificates.data_integrity import BADGES_CONTEXT, VC_CONTEXT, Document, signed
from replay.proof.entries import EntryError, event_of

EVENT, TEXTS, PROOF = "ledger-event", "disclosed-texts", "c2sp.org/tlog-proof@v1"
CONTEXTS = [VC_CONTEXT, BADGES_CONTEXT]


class Carried(NamedTuple):
    """What a credential carries besides its event and texts: the issuer's did:key, and the tlog-proof, if any."""

    issuer: str
    proof: str | None


def credential_of(certificate: Certificate, issuer: str, proof: str | None) -> Document:
    """Return the credential of a certificate, without a signature.

    Args:
        issuer: the did:key of the key that signs it.
        proof: the tlog-proof, None as long as there is none.
    """
    issued, urn = certificate.issued, certificate.urn
    organisation = issued.organisation_name or issued.organisation
    profile: Document = {
        "id": issuer,
        "type": ["Profile"],
        "name": organisation,
        "otherIdentifier": [
            {"type": ["IdentifierEntry"], "identifier": issued.organisation, "identifierType": "sourcedId"}
        ],
    }
    for name, value in (("url", certificate.address), ("official", certificate.text("in_charge"))):
        if value is not None:
            profile[name] = value
    hours = f"{certificate.minutes // 60} h {certificate.minutes % 60} min"
    return {
        "@context": CONTEXTS,
        "id": urn,
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": f"志愿服务记录证明 {certificate.number}",
        "description": f"Certificate of volunteer service {certificate.number}, issued free of charge.",
        "issuer": profile,
        "validFrom": instant_text(issued.recorded_at),
        "credentialSubject": {
            "id": f"{urn}#volunteer",
            "type": ["AchievementSubject"],
            "identifier": _identities(certificate),
            "term": _period(issued.from_year, issued.to_year),
            "achievement": {
                "id": f"{urn}#service",
                "type": ["Achievement"],
                "achievementType": "CommunityService",
                "inLanguage": "zh-CN",
                "humanCode": certificate.number,
                "name": "志愿服务 Volunteer service",
                "description": certificate.text("content") or f"Volunteer service recorded by {organisation}.",
                "criteria": {
                    "narrative": f"{hours} credited in {_period(issued.from_year, issued.to_year)} under the rules "
                    f"{issued.rules_digest}, as known at position {issued.evidence_position} of the ledger."
                },
                "resultDescription": [
                    _measure(urn, "scanned", "Minutes from a check-in and a check-out"),
                    _measure(urn, "attested", "Minutes entered afterwards"),
                ],
            },
            "result": [
                _result(urn, "scanned", issued.scanned_minutes),
                _result(urn, "attested", issued.attested_minutes),
            ],
        },
        "evidence": list(_evidence(certificate, proof)),
    }


def signed_credential(certificate: Certificate, key: CredentialKey, proof: str | None) -> Document:
    """Return the credential of a certificate with a Data Integrity proof."""
    credential = credential_of(certificate, key.did, proof)
    return signed(credential, key, credential["validFrom"])


def json_text(document: Document) -> str:
    """Return a document as JSON, for people to read as well."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def read_credential(document: Document) -> tuple[Certificate, str, str | None]:
    """Return the certificate that a credential carries, its issuer's did:key, and its tlog-proof, if it has one.

    Only the evidence is read. That everything else agrees with it is for the caller to compare.

    Raises:
        CertificateError: the credential carries no certificate.
    """
    event, carried = read_event(document)
    narratives, address = _narratives(document), document["issuer"].get("url")
    try:
        texts = json.loads(narratives.get(TEXTS, "{}"))
        disclosed = {name: Disclosed(str(text), bytes.fromhex(salt)) for name, (text, salt) in texts.items()}
        return Certificate(event, disclosed, address), carried.issuer, carried.proof
    except CertificateError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise CertificateError("the evidence in the credential is malformed") from None


def read_event(document: Document) -> tuple[RecordedEvent, Carried]:
    """Return the event that a credential carries, its issuer's did:key, and its tlog-proof, if it has one.

    Raises:
        CertificateError: the credential carries no event.
    """
    narratives, issuer = _narratives(document), document.get("issuer")
    did = issuer.get("id") if isinstance(issuer, dict) else None
    if not isinstance(did, str) or EVENT not in narratives:
        raise CertificateError("the file is not a credential of this ledger")
    try:
        event = event_of(base64.b64decode(narratives[EVENT], validate=True))
    except (EntryError, binascii.Error, ValueError):
        raise CertificateError("the event in the credential is malformed") from None
    return event, Carried(did, narratives.get(PROOF))


def _narratives(document: Document) -> dict[str, str]:
    """Return the pieces of evidence by their genre."""
    evidence = document.get("evidence")
    return {
        each["genre"]: each["narrative"]
        for each in (evidence if isinstance(evidence, list) else [])
        if isinstance(each, dict) and isinstance(each.get("genre"), str) and isinstance(each.get("narrative"), str)
    }


def _identities(certificate: Certificate) -> list[Document]:
    identities = [("ext:volunteerNumber", certificate.issued.volunteer)]
    if name := certificate.text("name"):
        identities.append(("name", name))
    if number := certificate.text("id_number"):
        identities.append(("nationalIdentityNumber", number))
    return [
        {"type": "IdentityObject", "hashed": False, "identityHash": value, "identityType": kind}
        for kind, value in identities
    ]


def _evidence(certificate: Certificate, proof: str | None) -> list[Document]:
    texts = {name: [*_plain(certificate.texts[name])] for name in TEXT_FIELDS if name in certificate.texts}
    found = [piece(EVENT, "The event in the ledger", base64.b64encode(certificate.entry).decode())]
    if texts:
        found.append(piece(TEXTS, "Texts with their salts", json.dumps(texts, ensure_ascii=False)))
    if proof is not None:
        found.append(piece(PROOF, "Proof that the event and the hours are in the ledger", proof))
    return found


def _plain(disclosed: Disclosed) -> tuple[str, str]:
    return disclosed.text, disclosed.salt.hex()


def piece(genre: str, name: str, narrative: str) -> Document:
    """Return one piece of evidence."""
    return {"type": ["Evidence"], "name": name, "genre": genre, "narrative": narrative}


def _measure(urn: str, grade: str, name: str) -> Document:
    return {"id": f"{urn}#{grade}", "type": ["ResultDescription"], "name": name, "resultType": "ext:minutes"}


def _result(urn: str, grade: str, minutes: int) -> Any:
    return {"type": ["Result"], "resultDescription": f"{urn}#{grade}", "value": str(minutes)}


def _period(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
