"""What a new certificate states: the minutes credited in its years, with their evidence, as a command to record."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ledger.aggregates.certificate import CertificateYear, IssueCertificate, PersonalText, check_sense
from ledger.names import OrganisationId, VolunteerNumber
from ledger.store.database import Database
from ledger.store.persons import LookedUpBy, Persons
from replay.queries.queries import Queries


class IssueError(ValueError):
    """A certificate cannot be issued as it was asked for. `field`: what is at fault."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class CertificateRequest(BaseModel):
    """A certificate to be issued: for whom, for which calendar years, by which organisation, and what is written on it.

    Nothing personal is written on it but what is given here. `with_name`: the holder agrees that it shows the name
    from the directory.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "volunteer": "V0000462",
                    "from_year": 2017,
                    "to_year": 2018,
                    "organisation": "fed-01",
                    "with_name": False,
                    "content": "车站引导",
                    "handler": "王经办",
                }
            ]
        },
    )

    volunteer: VolunteerNumber
    from_year: CertificateYear
    to_year: CertificateYear
    organisation: OrganisationId
    with_name: Annotated[bool, Field(strict=True)] = False
    id_type: PersonalText | None = None
    id_number: PersonalText | None = None
    content: PersonalText | None = None
    in_charge: PersonalText | None = None
    handler: PersonalText | None = None
    contact: PersonalText | None = None
    remarks: PersonalText | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        check_sense(self.from_year, self.to_year, self.id_type, self.id_number)
        return self


def plan_certificate(
    database: Database, queries: Queries, request: CertificateRequest, who: LookedUpBy
) -> IssueCertificate:
    """Return the command that issues a certificate. The hours are those of the read models now.

    Args:
        who: who looks the name up, if it is to stand on the certificate; the look-up is recorded.

    Raises:
        IssueError: the volunteer has no credited minutes in these years, or no name in the directory.
        replay.axes.as_known.UnknownNameError: no volunteer has this number.
    """
    hours = queries.volunteer_hours(request.volunteer)
    rows = [row for row in hours.years if request.from_year <= (row.year or 0) <= request.to_year]
    if not any(row.credited_minutes for row in rows):
        period = f"{request.from_year} to {request.to_year}"
        raise IssueError(
            "volunteer", f"volunteer {request.volunteer} has no credited minutes in {period}; name other years"
        )
    name = None
    if request.with_name:
        person = Persons(database.pool).show(request.volunteer, who)
        if person is None:
            raise IssueError(
                "with_name", f"the directory has no name of volunteer {request.volunteer}; enter it, or leave it out"
            )
        name = person.name
    try:
        return IssueCertificate(
            **request.model_dump(exclude={"with_name"}),
            name=name,
            scanned_minutes=sum(row.scanned_minutes for row in rows),
            attested_minutes=sum(row.attested_minutes for row in rows),
            evidence_position=hours.position,
            rules_digest=hours.rules.digest,
        )
    except ValidationError:  # all else was checked before
        sentence = f"the name of volunteer {request.volunteer} in the directory does not fit on it; correct it"
        raise IssueError("with_name", sentence) from None
