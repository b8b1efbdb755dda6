"""Certificates of volunteer service (志愿服务记录证明): issued and revoked (Order 67, Art. 14 to 17).

A certificate covers whole calendar years and states the minutes credited in them, by grade, as the read models had them
at a position under the rules of a digest. Whether the minutes agree with the read models is left to reports and to
whoever verifies the certificate with its proof (replay/certificates/).

The ledger gives the numbers. A year's certificates are one stream, the register, so that a number is the version of its
event: dense from 1, never given twice. Decisions read only the register's version, however long it is. A revocation
has a stream of its own.

Names, identity numbers and whatever else is personal are texts outside the log, which can be erased; the event holds
the salted digest of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from ledger.aggregates.four_eyes.permission import own_numbers
from ledger.aggregates.organisation import Organisation
from ledger.aggregates.rules import published_rules
from ledger.aggregates.volunteer import volunteer_of
from ledger.deciding.base import Act, Aggregate, Event, Personal
from ledger.deciding.case import Case, Decision
from ledger.deciding.honor_policies import NO_POLICIES, honor_policies
from ledger.names import (
    AS_WRITTEN,
    CertificateNumber,
    Day,
    Digest,
    LogPosition,
    Minutes,
    OrganisationId,
    PlaceName,
    ReasonCode,
    VolunteerNumber,
    stream,
)
from ledger.rejections import Rejection, refuse

REGISTER_MAX = 999_999
"""The number of certificates in a year."""

CertificateYear = Annotated[int, Field(strict=True, ge=2000, le=2099), AS_WRITTEN]
PersonalText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A line of text about a person, or by one."""


def register_of(year: int) -> UUID:
    """Return the stream of the certificates issued in a year."""
    return stream("certificates", str(year))


def register_entry(number: str) -> tuple[UUID, int]:
    """Return the stream that a certificate is in, and its version there."""
    year, _, entry = number.partition("-")
    return register_of(int(year)), int(entry)


def number_of(year: int, entry: int) -> str:
    """Return the number of a year's certificate, counted from 1."""
    return f"{year}-{entry:06d}"


@dataclass(frozen=True, slots=True)
class Register(Aggregate):
    """The certificates of a year. Only their number matters to a decision."""

    def after(self, event: Event) -> Register:  # noqa: ARG002 - every event counts
        return replace(self, version=self.version + 1)


@dataclass(frozen=True, slots=True)
class Revocation(Aggregate):
    """The revocation of a certificate, if there is one."""

    revoked: CertificateRevoked | None = None

    def after(self, event: Event) -> Revocation:
        revoked = event if isinstance(event, CertificateRevoked) else self.revoked
        return replace(self, version=self.version + 1, revoked=revoked)


# --- events ----------------------------------------------------------------------------------------------------------


class CertificateIssued(Event):
    """A certificate, with what it states. `evidence_position`: the position of the read models that had these minutes,
    under the rules of the digest. The fields from `name` on are salted digests of texts.
    """

    AGGREGATE = Register
    STREAM_FIELD = "certificate"
    EVENTS_MAX = REGISTER_MAX
    TOPIC = "certificate-issued.v1"
    certificate: CertificateNumber
    volunteer: VolunteerNumber
    from_year: CertificateYear
    to_year: CertificateYear
    scanned_minutes: Minutes
    attested_minutes: Minutes
    evidence_position: LogPosition
    rules_digest: Digest
    organisation: OrganisationId
    organisation_name: PlaceName | None = None
    issued_on: Day
    name: Digest | None = None
    id_type: Digest | None = None
    id_number: Digest | None = None
    content: Digest | None = None
    in_charge: Digest | None = None
    handler: Digest | None = None
    contact: Digest | None = None
    remarks: Digest | None = None

    @property
    def stream_id(self) -> UUID:
        return register_entry(self.certificate)[0]


class CertificateRevoked(Event):
    AGGREGATE = Revocation
    STREAM_FIELD = "certificate"
    TOPIC = "certificate-revoked.v1"
    certificate: CertificateNumber
    reason: ReasonCode

    @property
    def stream_id(self) -> UUID:
        return stream("certificate", self.certificate)


# --- commands --------------------------------------------------------------------------------------------------------


def check_sense(from_year: int, to_year: int, id_type: str | None, id_number: str | None) -> None:
    """Check what the fields of a certificate say together.

    Raises:
        ValueError: the years are the wrong way round, or the identity document has a number and no kind.
    """
    if to_year < from_year:
        raise ValueError("to_year is before from_year; name the earlier year first")
    if id_number is not None and id_type is None:
        raise ValueError("id_number needs an id_type; name the kind of the identity document")


class IssueCertificate(Act, Personal):
    """Issue a certificate of the minutes credited to a volunteer in whole calendar years.

    `POST /v1/certificates` computes the minutes with their evidence. The ledger gives the number and the date. The
    texts are personal: they are stored outside the log and can be erased. A text that is left out is not on the
    certificate.
    """

    TYPE = "issue-certificate"
    PERSONAL: ClassVar[tuple[str, ...]] = (
        *("name", "id_type", "id_number", "content", "in_charge", "handler", "contact", "remarks"),
    )
    volunteer: VolunteerNumber
    from_year: CertificateYear
    to_year: CertificateYear
    scanned_minutes: Minutes
    attested_minutes: Minutes
    evidence_position: LogPosition
    rules_digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    organisation: OrganisationId
    name: PersonalText | None = None
    id_type: PersonalText | None = None
    id_number: PersonalText | None = None
    content: PersonalText | None = None
    in_charge: PersonalText | None = None
    handler: PersonalText | None = None
    contact: PersonalText | None = None
    remarks: PersonalText | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_sense(self.from_year, self.to_year, self.id_type, self.id_number)
        return self

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", organisation="organisation") or case.future(
            self, "occurred_at"
        ):
            return refused
        if case.is_future_day(date(self.to_year, 1, 1)):
            return refuse(Rejection.FUTURE, "to_year", self.to_year)
        if volunteer_of(case, self.volunteer).merge:
            return refuse(Rejection.ALREADY_MERGED, "volunteer", self.volunteer)
        rules = published_rules(case)
        if rules.of_digest(self.rules_digest) is None:
            return refuse(Rejection.UNKNOWN_RULES, "rules_digest", self.rules_digest)
        if case.head is not None and self.evidence_position > case.head:
            return refuse(Rejection.EVIDENCE_AHEAD, "evidence_position", self.evidence_position)
        if any(own_numbers(case, lambda: [self.volunteer])):
            return refuse(Rejection.OWN_CERTIFICATE, "volunteer", self.volunteer)
        policies = honor_policies(rules.in_force.text) if rules.in_force else NO_POLICIES
        issued_on = policies.day_of(case.now)
        entry = case.streams.version(register_of(issued_on.year)) + 1
        organisation = case.stream(Organisation, "organisation", self.organisation)
        return [
            case.event(
                CertificateIssued,
                self,
                certificate=number_of(issued_on.year, entry),
                organisation_name=organisation.name,
                issued_on=issued_on,
            )
        ]


class RevokeCertificate(Act):
    """Revoke a certificate: it was issued in error, or must no longer be relied on."""

    TYPE = "revoke-certificate"
    certificate: CertificateNumber
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        register, entry = register_entry(self.certificate)
        if not 1 <= entry <= case.streams.version(register):
            return refuse(Rejection.UNKNOWN_CERTIFICATE, "certificate", self.certificate)
        if case.streams.version(stream("certificate", self.certificate)):
            return refuse(Rejection.CERTIFICATE_REVOKED, "certificate", self.certificate)
        return [case.event(CertificateRevoked, self)]
