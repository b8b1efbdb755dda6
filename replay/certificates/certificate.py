"""What one certificate states: its event as stored, and those of its texts that are known.

Everything that a document shows is a function of a `Certificate` and of nothing else, so that whoever has the event and
the texts can make the same document again and compare.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

import msgspec

from ledger.aggregates.certificate import CertificateIssued, IssueCertificate, register_entry
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import UnknownTopicError, decode
from ledger.store.persons import Text
from replay.proof.entries import entry_of

TEXT_FIELDS = IssueCertificate.PERSONAL
"""The fields of an event that hold digests of texts."""


_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,80}(/[A-Za-z0-9._~-]{1,40}){0,4}")


class CertificateError(ValueError):
    """An event, or a text, is not what a certificate is made of."""


class Disclosed(NamedTuple):
    """A text with the salt with which its digest was made: whoever has both can verify that digest."""

    text: str
    salt: bytes

    @property
    def digest(self) -> str:
        """The salted digest, as the event holds it."""
        return Text(self.text, self.salt).digest


class Certificate:
    """A certificate.

    Args:
        recorded: its event as stored.
        texts: the known texts by field; a text that was never given, was erased or is withheld is left out.
        address: where the ledger answers over HTTP, without a slash at the end; None if nowhere.

    Raises:
        CertificateError: the event is no certificate's, or a text is not the one that it holds the digest of.
    """

    def __init__(self, recorded: RecordedEvent, texts: Mapping[str, Disclosed], address: str | None = None) -> None:
        self.recorded = recorded
        self.texts = {field: texts[field] for field in TEXT_FIELDS if field in texts}
        self.address = address
        self.issued = _issued(recorded)
        if address is not None and not _ADDRESS.fullmatch(address):
            raise CertificateError(f"address {address[:100]!r} is not one such as https://hours.example.org")
        for field, disclosed in texts.items():
            if field not in TEXT_FIELDS or getattr(self.issued, field) != disclosed.digest:
                raise CertificateError(f"{field}: the text is not the one that the event of the certificate names")

    @property
    def number(self) -> str:
        """The certificate's number."""
        return self.issued.certificate

    @property
    def minutes(self) -> int:
        """The credited minutes."""
        return self.issued.scanned_minutes + self.issued.attested_minutes

    @property
    def years(self) -> range:
        """The calendar years that it covers."""
        return range(self.issued.from_year, self.issued.to_year + 1)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the stored event, 64 hex digits."""
        return sha256(self.recorded.state).hexdigest()

    @property
    def short_digest(self) -> str:
        """Half of the digest, which the code on a document names besides the number."""
        return self.digest[:32]

    @cached_property
    def entry(self) -> bytes:
        """The bytes that the transparency log binds."""
        return entry_of(self.recorded)

    @property
    def urn(self) -> str:
        """A URN that no other certificate has, in this or another ledger."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{self.digest}").urn

    @property
    def code(self) -> str:
        """The text of the code on a document: where to ask about the certificate, or its number and digest."""
        if self.address is None:
            return f"{self.number} sha256:{self.short_digest}"
        return f"{self.address}/v1/certificates/{self.number}/state?digest={self.short_digest}"

    def text(self, field: str) -> str | None:
        """Return a text of the certificate, if it is known."""
        disclosed = self.texts.get(field)
        return disclosed.text if disclosed else None

    def without(self, *fields: str) -> Certificate:
        """Return the certificate with these texts withheld.

        Raises:
            CertificateError: it has no text of such a name.
        """
        if unknown := [field for field in fields if field not in TEXT_FIELDS]:
            raise CertificateError(f"{unknown[0]} is no text of a certificate; use {', '.join(TEXT_FIELDS)}")
        texts = {field: text for field, text in self.texts.items() if field not in fields}
        return Certificate(self.recorded, texts, self.address)


def _issued(recorded: RecordedEvent) -> CertificateIssued:
    try:
        event = decode(recorded.topic, recorded.state)
    except (UnknownTopicError, msgspec.DecodeError, ValueError):
        event = None
    if not isinstance(event, CertificateIssued):
        raise CertificateError(f"the event at position {recorded.position} is not that of a certificate")
    try:
        place = register_entry(event.certificate)
    except ValueError:
        place = None
    if place != (recorded.stream_id, recorded.version):
        raise CertificateError(f"certificate {event.certificate} does not stand in its place in the register")
    return event
