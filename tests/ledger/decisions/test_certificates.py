"""Certificates, as the ledger decides them: every rule that can refuse one, and the numbers it gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any

import pytest

from ledger.aggregates import Command
from ledger.aggregates.certificate import CertificateIssued, IssueCertificate, RevokeCertificate, register_of
from ledger.aggregates.organisation import FoundOrganisation
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.volunteer import MergeVolunteer, RegisterVolunteer
from ledger.deciding.case import Case
from ledger.rejections import Refused, Rejection
from tests.support.ledger.helpers import HEAD, NOW, Memory
from tests.support.ledger.orders import order_of

R = Rejection
RULES = 'name = "test"\ntime_zone = "Asia/Shanghai"\n[[rule_sets]]\nholds_from = 2000-01-01\n'
DIGEST = sha256(RULES.encode()).hexdigest()
WORLD: tuple[Command, ...] = (
    PublishRules(text=RULES),
    FoundOrganisation(organisation="O1", kind="ngo", name="罗湖区义工联合会"),
    RegisterVolunteer(volunteer="V1", registered_on=date(2018, 1, 1)),
)
ISSUE = IssueCertificate(
    volunteer="V1",
    from_year=2017,
    to_year=2018,
    scanned_minutes=5_430,
    attested_minutes=125,
    evidence_position=HEAD,
    rules_digest=DIGEST,
    organisation="O1",
    name="陈晓明",
    handler="王丽",
)
REVOKE = RevokeCertificate(certificate="2018-000001", reason="in-error")
V2 = RegisterVolunteer(volunteer="V2", registered_on=date(2018, 1, 1))
MERGED = (*WORLD, V2, MergeVolunteer(volunteer="V1", into="V2", reason="two-cards"))


def but(**changes: Any) -> IssueCertificate:
    """Return the same certificate but for this."""
    return IssueCertificate.model_validate(ISSUE.model_dump(exclude_none=True) | changes)


REFUSED: list[tuple[Rejection, str, Sequence[Command], Command, str]] = [
    (R.UNKNOWN_VOLUNTEER, "volunteer", WORLD[:2], ISSUE, "person:p1"),
    (R.UNKNOWN_ORGANISATION, "organisation", WORLD, but(organisation="O2"), "person:p1"),
    (R.FUTURE, "occurred_at", WORLD, but(occurred_at=NOW + 3_600), "person:p1"),
    (R.FUTURE, "to_year", WORLD, but(to_year=2019), "person:p1"),
    (R.ALREADY_MERGED, "volunteer", MERGED, ISSUE, "person:p1"),
    (R.UNKNOWN_RULES, "rules_digest", WORLD, but(rules_digest="0" * 64), "person:p1"),
    (R.EVIDENCE_AHEAD, "evidence_position", WORLD, but(evidence_position=HEAD + 1), "person:p1"),
    (R.OWN_CERTIFICATE, "volunteer", WORLD, ISSUE, "person:V1"),
    (R.OWN_CERTIFICATE, "volunteer", (*WORLD, V2, MergeVolunteer(volunteer="V2", into="V1", reason="two-cards")),
     ISSUE, "person:V2"),
    (R.FUTURE, "occurred_at", (*WORLD, ISSUE), REVOKE.model_copy(update={"occurred_at": NOW + 3_600}), "person:p1"),
    (R.UNKNOWN_CERTIFICATE, "certificate", WORLD, REVOKE, "person:p1"),
    (R.UNKNOWN_CERTIFICATE, "certificate", (*WORLD, ISSUE), REVOKE.model_copy(update={"certificate": "2018-000002"}),
     "person:p1"),
    (R.UNKNOWN_CERTIFICATE, "certificate", (*WORLD, ISSUE), REVOKE.model_copy(update={"certificate": "2018-000000"}),
     "person:p1"),
    (R.UNKNOWN_CERTIFICATE, "certificate", (*WORLD, ISSUE), REVOKE.model_copy(update={"certificate": "2017-000001"}),
     "person:p1"),
    (R.CERTIFICATE_REVOKED, "certificate", (*WORLD, ISSUE, REVOKE), REVOKE, "person:p1"),
]  # fmt: skip
OF_CERTIFICATES = {R.OWN_CERTIFICATE, R.UNKNOWN_CERTIFICATE, R.CERTIFICATE_REVOKED}
CERTIFICATE_COMMANDS = {ISSUE.TYPE, REVOKE.TYPE}


@pytest.mark.parametrize(("rejection", "field", "given", "command", "by"), REFUSED)
def test_a_command_is_refused_under_the_name_of_the_rule(
    rejection: Rejection, field: str, given: Sequence[Command], command: Command, by: str
) -> None:
    answer = Memory().given(*given).decide(command, by=by)
    assert isinstance(answer, Refused), answer
    assert (answer.rejection, answer.field) == (rejection, field)


def issued(ledger: Memory, command: Command = ISSUE) -> CertificateIssued:
    """Issue a certificate, and return its event."""
    answer = ledger.decide(command)
    assert not isinstance(answer, Refused), answer
    (event,) = answer
    assert isinstance(event, CertificateIssued)
    return event


def test_numbers_are_dense_and_a_revoked_one_is_never_given_again() -> None:
    ledger = Memory().given(*WORLD)
    assert [issued(ledger).certificate for _ in range(2)] == ["2018-000001", "2018-000002"]
    ledger.decide(REVOKE.model_copy(update={"certificate": "2018-000002"}))
    assert issued(ledger).certificate == "2018-000003"
    assert ledger.version(register_of(2018)) == 3


def test_the_year_of_a_number_is_that_of_the_local_day() -> None:
    ledger = Memory().given(*WORLD)
    new_year = 1_546_272_000  # 2018-12-31T16:00Z, midnight in Shenzhen
    for now, number in ((new_year - 1, "2018-000001"), (new_year, "2019-000001")):
        answer = ledger.decide(ISSUE, now)
        assert not isinstance(answer, Refused)
        assert getattr(answer[0], "certificate", None) == number


def test_an_event_names_the_organisation_as_it_was_called_and_no_person() -> None:
    event = issued(Memory().given(*WORLD))
    assert (event.organisation_name, event.issued_on) == ("罗湖区义工联合会", date(2018, 12, 4))
    assert event.name is None  # without a digest there is nothing, and never the text itself


def test_an_event_holds_the_digests_of_texts() -> None:
    ledger = Memory().given(*WORLD)
    order = order_of(command=ISSUE, source="test", id="x", by="person:p1")
    case = Case(order, ledger, NOW, head=HEAD, digests={"name": "a" * 64})
    (event,) = ISSUE.decide(case)  # type: ignore[misc]
    assert isinstance(event, CertificateIssued)
    assert (event.name, event.handler) == ("a" * 64, None)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"from_year": 2019}, "to_year is before from_year"), ({"id_number": "440303"}, "id_number needs an id_type")],
)
def test_a_certificate_that_makes_no_sense_is_no_command(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        but(**changes)
