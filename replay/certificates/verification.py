"""Verifying a file of a certificate without the ledger: with public keys only, and nothing from a network.

    a PDF file     its attached credential, and its page, which is typeset again and compared byte by byte
    JSON           the credential with its Data Integrity proof
    a VC-JWT       the credential in one line
    a tlog-proof   the event and the hours alone; or any event of the log, which the proof carries

What a file says is never believed: the certificate is made again from the event and the texts that the file carries,
and the file has to equal that. The event is believed because the transparency log proves it, or because the issuer's
key, which must be known, signed the credential that carries it. Whoever has that key can state any hours, so its
signature alone is enough only where the verifier says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Literal, NamedTuple

from ledger.sentences import printable
from ledger.store.log_queries import RecordedEvent
from replay.certificates import wording
from replay.certificates.badges import Badge, badge_credential, badge_in
from replay.certificates.certificate import Certificate, CertificateError
from replay.certificates.compact import read_jwt, verify_jwt
from replay.certificates.credential import Carried, credential_of, json_text, read_credential, read_event
from replay.certificates.credential_keys import CredentialKeyError
from replay.certificates.data_integrity import BadProofError, Document, fields_once, verify
from replay.certificates.evidence import (
    EvidenceError,
    Sealed,
    certificate_in,
    entry_in,
    event_in_words,
    verify_event,
    verify_evidence,
)
from replay.certificates.typesetting import PdfError, attachments, pdf_of
from replay.proof.entries import EntryError, event_of
from replay.proof.keys import PublishedKeys
from replay.proof.policies import Policy

FILE_BYTES_MAX = 4_000_000
Form = Literal["PDF", "credential", "JWT", "tlog-proof"]


class NotVerifiedError(ValueError):
    """A file is not what it claims to be, or cannot be believed with the keys that are given.

    The reason may quote the file, whose author may want a terminal to show something else.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason))


class Keys(NamedTuple):
    """The public keys that the verifier believes: those of the transparency log, with the witnesses that it asks for,
    and those of issuers of credentials (did:key). `signature_alone`: a file whose event the log does not prove is
    accepted if such an issuer signed it, as what the issuer states. `published`: the log's keys with the sizes that
    each signs, if they are known: a checkpoint beyond them does not count.
    """

    log: Policy | None = None
    issuers: Collection[str] = ()
    signature_alone: bool = False
    published: PublishedKeys | None = None


class Verified(NamedTuple):
    """A file that was verified, and what that proves, in sentences. `sealed`: what the transparency log proves of the
    hours. `certificate`: None for the badge of an award. `stated`: what only the issuer's signature stands for, if the
    signature alone was enough; empty otherwise. `event`: the event of a proof that is about no certificate.
    """

    form: Form
    certificate: Certificate | None
    issuer: str | None
    sealed: Sealed | None
    proved: list[str]
    not_checked: list[str]
    stated: list[str] = []  # noqa: RUF012 - never changed
    event: RecordedEvent | None = None


def verify_file(content: bytes, keys: Keys) -> Verified:
    """Verify a file of any form.

    Raises:
        NotVerifiedError: the reason, in a sentence.
    """
    if len(content) > FILE_BYTES_MAX:
        raise NotVerifiedError(f"the file is larger than {FILE_BYTES_MAX:,} bytes; it is no certificate")
    if not keys.log and not keys.issuers:
        raise NotVerifiedError("no public key is given, so nothing can be believed")
    try:
        if content.startswith(b"%PDF-"):
            return _verify_pdf(content, keys)
        text = content.decode()
        if text.startswith("c2sp.org/tlog-proof@"):
            return _verify_proof(text, keys)
        return _verify_jwt(text, keys) if text.startswith("ey") else _verify_json(text, keys)
    except UnicodeDecodeError:
        raise NotVerifiedError("the file is of no form that is known here: PDF, JSON, JWT or tlog-proof") from None
    except (BadProofError, CertificateError, CredentialKeyError, EntryError, EvidenceError, PdfError) as error:
        raise NotVerifiedError(str(error)) from None
    except (NotVerifiedError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - anything may be in a file, perhaps on purpose to make this fail
        raise NotVerifiedError(f"the file cannot be read ({type(error).__name__}); it is no certificate") from None


def _verify_pdf(content: bytes, keys: Keys) -> Verified:
    text, attached = attachments(content)
    document = _parsed(text)
    certificate, _, proof = read_credential(document)
    verified = _verify_document(document, keys, "PDF")
    if text != json_text(document) or attached != proof:
        raise NotVerifiedError("the attachments of the PDF file are not those of a certificate made here")
    if pdf_of(certificate, text, proof) != content:
        raise NotVerifiedError(
            "the PDF file is not the one that is typeset from its credential. That credential is genuine and says: "
            f"{_in_words(certificate)}; the page may say something else, or another version of the program made it"
        )
    page = "The page shows this and nothing else: it was typeset again from the credential, and every byte is the same."
    return verified._replace(proved=[*verified.proved, page])


def _verify_json(text: str, keys: Keys) -> Verified:
    return _verify_document(_parsed(text), keys, "credential")


def _verify_document(document: Document, keys: Keys, form: Form) -> Verified:
    if badge := _badge(document):
        carried = _read_badge(document, badge)
        verify(document, carried.issuer)
        return _believed_badge(form, badge, carried, keys)
    certificate, issuer, proof = _read(document)
    verify(document, issuer)
    return _believed(form, certificate, issuer, proof, keys)


def _verify_jwt(text: str, keys: Keys) -> Verified:
    credential, signed, signature = read_jwt(text)
    if badge := _badge(credential):
        carried = _read_badge(credential, badge)
        verify_jwt(signed, signature, carried.issuer)
        return _believed_badge("JWT", badge, carried, keys)
    certificate, issuer, proof = _read(credential)
    verify_jwt(signed, signature, issuer)
    return _believed("JWT", certificate, issuer, proof, keys)


def _verify_proof(text: str, keys: Keys) -> Verified:
    if keys.log is None:
        raise NotVerifiedError("a tlog-proof is verified with the log's verifier key; name it with --key")
    if (entry := entry_in(text)) is not None:
        event = event_of(entry)
        proved = [f"{event_in_words(event)}.", verify_event(event, text, keys.log, keys.published)]
        return Verified("tlog-proof", None, None, None, proved, ["whether a later event corrects it"], event=event)
    return _believed("tlog-proof", certificate_in(text), None, text, keys)


def _read(document: Document) -> tuple[Certificate, str, str | None]:
    """Return what a credential carries, after comparing the rest of it with what would be made of that."""
    certificate, issuer, proof = read_credential(document)
    _require_same(document, credential_of(certificate, issuer, proof))
    return certificate, issuer, proof


def _badge(document: Document) -> Badge | None:
    return badge_in(read_event(document)[0])


def _read_badge(document: Document, badge: Badge) -> Carried:
    _, carried = read_event(document)
    _require_same(document, badge_credential(badge, carried))
    return carried


def _require_same(document: Document, expected: Document) -> None:
    credential = {name: value for name, value in document.items() if name != "proof"}
    if credential != expected or not _same_types(credential, expected):
        field = _first_difference(credential, expected)
        raise NotVerifiedError(f"the credential was changed: {field} is not what its event in the ledger says")


def _believed_badge(form: Form, badge: Badge, carried: Carried, keys: Keys) -> Verified:
    """Return what is proved about an award, if a key that is believed stands for its event."""
    proved, not_checked = _of_issuer(carried.issuer, keys)
    stated = [f"{badge.words}."]
    if keys.log is not None and carried.proof is not None:
        proved = [*stated, *proved, verify_event(badge.recorded, carried.proof, keys.log, keys.published)]
        stated = []
    else:
        not_checked.append(_unproved(carried.issuer, carried.proof, keys, "the ledger recorded it"))
    not_checked.append("whether the honour was revoked since: ask the ledger")
    return Verified(form, None, carried.issuer, None, proved, not_checked, stated)


def _unproved(issuer: str | None, proof: str | None, keys: Keys, what: str) -> str:
    """Return what is not shown about a file that no proof stands for, if the issuer's signature alone is enough.

    Raises:
        NotVerifiedError: it is not.
    """
    if proof is None:
        why = f"the file carries no proof that {what}"
        remedy = "export it again, and it carries one, unless `hours certificates export` says why there is none"
    else:
        why = f"the file carries a proof that {what}, but no verifier key of the log is given to check it with"
        remedy = "name that key with --key"
    if not keys.signature_alone:
        raise NotVerifiedError(
            f"{why}, so this is not proved; {remedy}. The issuer's signature alone, which whoever has the issuer's key "
            "can put on anything, is checked with --signature-alone"
        )
    if issuer not in keys.issuers:
        raise NotVerifiedError(f"signed by {issuer}, which is none of the issuers' keys that are given")
    return f"that {what}: {why}"


def _of_issuer(issuer: str | None, keys: Keys) -> tuple[list[str], list[str]]:
    """Return what the issuer's signature proves, and what it leaves open."""
    if issuer is None:
        return [], []
    if issuer in keys.issuers:
        return [f"Signed by the issuer whose key you believe: {issuer}."], []
    if keys.log is None:
        raise NotVerifiedError(f"signed by {issuer}, which is none of the issuers' keys that are given")
    return [], [f"whose key {issuer} is; the transparency log stands for what is said here"]


def _believed(form: Form, certificate: Certificate, issuer: str | None, proof: str | None, keys: Keys) -> Verified:
    """Return what is proved, if a key that is believed stands for the event."""
    proved, not_checked = _of_issuer(issuer, keys)
    if certificate.address is not None and issuer not in keys.issuers:
        not_checked.append(f"the address in its code, {certificate.address}: only the issuer's key stands for it")
    sentences = [f"{_in_words(certificate)}."]
    names = ", ".join(sorted(certificate.texts))
    texts = [f"The texts on it are those that were recorded when it was issued: {names}."] if names else []
    not_checked_last = "whether it was revoked or superseded since: ask the ledger with --ask"
    if keys.log is not None and proof is not None:
        sealed = verify_evidence(certificate, proof, keys.log, keys.published)
        proved = [*sentences, *proved, *sealed.sentences, *texts]
        return Verified(form, certificate, issuer, sealed, proved, [*not_checked, not_checked_last])
    unproved = _unproved(issuer, proof, keys, "the ledger recorded it and sealed its hours")
    return Verified(
        form, certificate, issuer, None, proved, [*not_checked, unproved, not_checked_last], [*sentences, *texts]
    )


def _in_words(certificate: Certificate) -> str:
    issued = certificate.issued
    organisation = issued.organisation_name or issued.organisation
    name = certificate.text("name")
    who = f"volunteer {issued.volunteer}" + (f" ({name})" if name else "")
    period = str(issued.from_year) if issued.from_year == issued.to_year else f"{issued.from_year} to {issued.to_year}"
    split = f"{wording.hours_english(issued.scanned_minutes)} scanned, "
    split += f"{wording.hours_english(issued.attested_minutes)} attested"
    return (
        f"Certificate {certificate.number} of {issued.issued_on}, recorded at {wording.instant(issued.recorded_at)}, "
        f"by {organisation}: {who} was credited with "
        f"{wording.hours_english(certificate.minutes)} in {period} ({split})"
    )


def _parsed(text: str) -> Document:
    """Return a JSON object in which no field is named twice, so that no two readers see different values."""

    try:
        document = json.loads(text, object_pairs_hook=fields_once)
    except BadProofError:
        raise
    except (ValueError, RecursionError):
        raise NotVerifiedError("the file is of no form that is known here: PDF, JSON, JWT or tlog-proof") from None
    if not isinstance(document, dict):
        raise NotVerifiedError("the file is JSON, but no credential")
    return document


def _same_types(one: object, other: object) -> bool:
    """Return whether equal values are also of the same types: 1 equals true and 1.0 in Python, not in JSON."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _first_difference(one: object, other: object, place: str = "") -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*other, *one]:
            if name not in one or name not in other or one[name] != other[name]:
                return _first_difference(one.get(name), other.get(name), f"{place}.{name}" if place else str(name))
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (ours, theirs) in enumerate(zip(one, other, strict=True)):
            if ours != theirs:
                return _first_difference(ours, theirs, f"{place}[{number}]")
    return place or "a field"
