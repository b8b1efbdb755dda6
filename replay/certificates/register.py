"""The certificates of a ledger, read from the log, and their state now.

    valid        the hours that it states are those credited now
    superseded   a correction, or other rules, credit other hours in its years: both are given
    revoked      it was revoked, with a reason

The state is computed when it is asked for, from the read models, so that it never lags behind a correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal, NamedTuple

from ledger.aggregates.certificate import CertificateRevoked, register_entry, register_of
from ledger.names import stream
from ledger.store.database import Database
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import decode
from ledger.store.persons import Persons
from replay.axes.answers import Answer
from replay.axes.as_known import UnknownNameError
from replay.certificates.certificate import TEXT_FIELDS, Certificate, Disclosed
from replay.queries.queries import Queries

CertificateState = Literal["valid", "superseded", "revoked"]


class Minutes(NamedTuple):
    """Credited minutes by grade."""

    scanned: int
    attested: int


class CreditedNow(Answer):
    """The minutes credited now in the years of a certificate, where they differ from those that it states."""

    scanned_minutes: int
    attested_minutes: int


class CertificateRecord(Answer):
    """A certificate as the ledger holds it, and its state. `credited_now`: of a superseded certificate. `texts`: those
    that are known, for readers who may see them. `digest`: the SHA-256 of its event.
    """

    certificate: str
    state: CertificateState
    volunteer: str
    from_year: int
    to_year: int
    scanned_minutes: int
    attested_minutes: int
    credited_now: CreditedNow | None
    revoked_for: str | None
    organisation: str
    organisation_name: str | None
    issued_on: date
    issued_by: str
    position: int
    evidence_position: int
    rules_digest: str
    digest: str
    texts: dict[str, str] | None = None


class Certificates(Answer):
    """Certificates in the order in which they were issued."""

    certificates: list[CertificateRecord]
    next_after: str | None


class CertificateRegister:
    """The certificates of one ledger."""

    def __init__(self, database: Database, queries: Queries) -> None:
        self._log = database.log
        self._persons = Persons(database.pool)
        self._queries = queries

    def certificate(self, number: str, address: str | None = None) -> Certificate:
        """Return a certificate with all its texts that are known.

        Args:
            address: where the ledger answers over HTTP.

        Raises:
            UnknownNameError: no certificate has this number.
        """
        event = self._event(number)
        if event is None:
            raise UnknownNameError("certificate", number)
        plain = Certificate(event, {})
        digests = {field: digest for field in TEXT_FIELDS if (digest := getattr(plain.issued, field)) is not None}
        texts = self._persons.salted_texts(list(digests.values())) if digests else {}
        disclosed = {
            field: Disclosed(texts[digest].text, texts[digest].salt)
            for field, digest in digests.items()
            if digest in texts
        }
        return Certificate(event, disclosed, address)

    def state_of(self, number: str, digest: str) -> CertificateState:
        """Return the state of a certificate, for whoever names its digest or the first half of that.

        The digest is compared before anything else is read. So the question about a number that somebody guessed is
        answered as fast, and costs as little, whether there is such a certificate or not.

        Raises:
            UnknownNameError: no certificate has this number and this digest.
        """
        event = self._event(number)
        if event is None or not Certificate(event, {}).digest.startswith(digest):
            raise UnknownNameError("certificate", number)
        (record,) = self._records([event])
        return record.state

    def record(self, number: str, *, texts: bool = False) -> CertificateRecord:
        """Return a certificate and its state.

        Args:
            texts: whether the reader may see its texts.

        Raises:
            UnknownNameError: no certificate has this number.
        """
        certificate = self.certificate(number)
        (record,) = self._records([certificate.recorded])
        if texts:
            known = {field: disclosed.text for field, disclosed in certificate.texts.items()}
            record = record.model_copy(update={"texts": known})
        return record

    def of_year(self, year: int, after: str | None = None, limit: int = 100) -> Certificates:
        """Return the certificates issued in a year.

        Args:
            after: only those after this number.
        """
        entry = register_entry(after)[1] if after else 0
        found = self._log.of_stream(register_of(year), entry, limit + 1)
        return self._page(found, limit)

    def of_volunteer(self, volunteer: str, after: str | None = None, limit: int = 100) -> Certificates:
        """Return the certificates of a volunteer, under each number of the person.

        Args:
            after: only those after this number.

        Raises:
            UnknownNameError: no volunteer has this number.
        """
        hours = self._queries.volunteer_hours(volunteer)
        since = self.certificate(after).recorded.position if after else 0
        found = self._log.certificates_of({volunteer, *(hours.numbers or [])}, since, limit + 1)
        return self._page(found, limit)

    def minutes(self, volunteer: str, years: Iterable[int]) -> Minutes:
        """Return the minutes credited now to a volunteer in some years."""
        return minutes_of(self._queries, volunteer, years)

    def _event(self, number: str) -> RecordedEvent | None:
        register, entry = register_entry(number)
        found = self._log.of_stream(register, entry - 1, 1)
        return found[0] if found and found[0].version == entry else None

    def _page(self, found: Sequence[RecordedEvent], limit: int) -> Certificates:
        records = self._records(found[:limit])
        next_after = records[-1].certificate if len(found) > limit else None
        return Certificates(certificates=records, next_after=next_after)

    def _records(self, found: Sequence[RecordedEvent]) -> list[CertificateRecord]:
        certificates = [Certificate(event, {}) for event in found]
        streams = {each.number: stream("certificate", each.number) for each in certificates}
        events = self._log.read_streams(list(streams.values())) if streams else {}
        revoked: dict[str, CertificateRevoked] = {}
        for number, stream_id in streams.items():
            for event in events.get(stream_id, ()):
                if isinstance(revocation := decode(event.topic, event.state), CertificateRevoked):
                    revoked[number] = revocation
        return [self._record(each, revoked.get(each.number)) for each in certificates]

    def _record(self, certificate: Certificate, revoked: CertificateRevoked | None) -> CertificateRecord:
        issued = certificate.issued
        now = self._differing(certificate)
        state: CertificateState = "revoked" if revoked else "superseded" if now else "valid"
        return CertificateRecord(
            certificate=issued.certificate,
            state=state,
            volunteer=issued.volunteer,
            from_year=issued.from_year,
            to_year=issued.to_year,
            scanned_minutes=issued.scanned_minutes,
            attested_minutes=issued.attested_minutes,
            credited_now=now,
            revoked_for=revoked.reason if revoked else None,
            organisation=issued.organisation,
            organisation_name=issued.organisation_name,
            issued_on=issued.issued_on,
            issued_by=issued.by,
            position=certificate.recorded.position,
            evidence_position=issued.evidence_position,
            rules_digest=issued.rules_digest,
            digest=certificate.digest,
        )

    def _differing(self, certificate: Certificate) -> CreditedNow | None:
        issued = certificate.issued
        now = self.minutes(issued.volunteer, certificate.years)
        if now == (issued.scanned_minutes, issued.attested_minutes):
            return None
        return CreditedNow(scanned_minutes=now.scanned, attested_minutes=now.attested)


def number_of_event(recorded: RecordedEvent) -> str:
    """Return the number of the certificate that an event issued."""
    return Certificate(recorded, {}).number


def minutes_of(queries: Queries, volunteer: str, years: Iterable[int]) -> Minutes:
    """Return the minutes credited to a volunteer in some years, as the read models have them."""
    wanted = set(years)
    rows = [row for row in queries.volunteer_hours(volunteer).years if row.year in wanted]
    return Minutes(sum(row.scanned_minutes for row in rows), sum(row.attested_minutes for row in rows))
