"""Certificates over HTTP and at the command line: issued, read by those who may, superseded, revoked, erased."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest
from fastapi.testclient import TestClient

from api.access.roles import Role
from ledger.store.persons import Person, Persons
from replay.certificates.register import CertificateRegister
from replay.certificates.verification import Keys, verify_file
from replay.published import published_rules
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served
from tests.support.replay.certificates import certificate_of

pytest_plugins = ["tests.support.api.fixtures"]

NINE, NOON = "2018-12-03T09:00:00+08:00", "2018-12-03T12:00:00+08:00"
DID = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
FORMS = {"pdf": "application/pdf", "json": "application/vc+json", "jwt": "application/jwt", "html": "text/html"}


def served_volunteer(served: Served) -> str:
    """Return a new volunteer with three credited hours in 2018, whose name is in the directory."""
    number = served.volunteer()
    _, position = served.served_shift(number, NINE, NOON)
    Persons(served.ledger.database.pool).save(Person(number, "陈晓明"))
    assert served.get(f"/v1/volunteers/{number}", at_least=position).status_code == 200
    return number


def issue(served: Served, volunteer: str, role: Role = Role.HONORS_OFFICER, **changes: Any) -> Any:
    """Issue a certificate of 2018; return the answer."""
    body = {"volunteer": volunteer, "from_year": 2018, "to_year": 2018, "organisation": "fed-01", "handler": "王丽"}
    return served.client.post("/v1/certificates", json=body | changes, headers=served.headers(role))


def issued(served: Served, volunteer: str, **changes: Any) -> str:
    """Issue a certificate; return its number."""
    answer = issue(served, volunteer, **changes)
    assert answer.status_code == 201, answer.text
    number: str = answer.json()["certificate"]
    assert answer.headers["Location"] == f"/v1/certificates/{number}"
    return number


def test_a_certificate_is_issued_and_each_document_is_verified_offline(served: Served) -> None:
    volunteer = served_volunteer(served)
    number = issued(served, volunteer, with_name=True, id_type="居民身份证", id_number="440303199001011234")
    record = served.get(f"/v1/certificates/{number}", role=Role.STAFF).json()
    assert (record["state"], record["scanned_minutes"], record["attested_minutes"]) == ("valid", 180, 0)
    assert record["texts"]["name"] == "陈晓明"
    keys = Keys(issuers=(served.ledger.credential_key.did,), signature_alone=True)
    for form, media_type in FORMS.items():
        answer = served.get(f"/v1/certificates/{number}.{form}", role=Role.STAFF)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith(media_type)
        if form != "html":
            assert certificate_of(verify_file(answer.content, keys)).text("name") == "陈晓明"
            assert answer.content == served.get(f"/v1/certificates/{number}.{form}", role=Role.STAFF).content


def test_numbers_follow_each_other_and_lists_go_on(served: Served) -> None:
    volunteer = served_volunteer(served)
    numbers = [issued(served, volunteer) for _ in range(3)]
    year, first = numbers[0].split("-")
    assert numbers == [f"{year}-{int(first) + more:06d}" for more in range(3)]
    page = served.get(f"/v1/volunteers/{volunteer}/certificates", limit=2).json()
    assert [each["certificate"] for each in page["certificates"]] == numbers[:2]
    rest = served.get(f"/v1/volunteers/{volunteer}/certificates", limit=2, after=page["next_after"]).json()
    assert ([each["certificate"] for each in rest["certificates"]], rest["next_after"]) == (numbers[2:], None)
    of_year = served.get("/v1/certificates", year=year, limit=100, after=numbers[0]).json()["certificates"]
    assert [each["certificate"] for each in of_year[:2]] == numbers[1:]


def test_a_correction_supersedes_and_a_revocation_revokes(served: Served) -> None:
    volunteer = served.volunteer()
    shift, position = served.served_shift(volunteer, NINE, NOON)
    served.get(f"/v1/volunteers/{volunteer}", at_least=position)
    number = issued(served, volunteer)
    digest = served.get(f"/v1/certificates/{number}").json()["digest"]
    state = f"/v1/certificates/{number}/state"
    assert served.get(state, role=None, digest=digest[:32]).json() == {"certificate": number, "state": "valid"}
    changed: dict[str, Any] = {
        "changes": ["check_out"],
        "check_out": "2018-12-03T11:00:00+08:00",
        "reason": "left-early",
    }
    corrected = served.approved("correct-shift", volunteer=volunteer, shift=str(shift), **changed)
    served.get(f"/v1/volunteers/{volunteer}", at_least=corrected.json()["position"])
    record = served.get(f"/v1/certificates/{number}").json()
    assert (record["state"], record["scanned_minutes"]) == ("superseded", 180)
    assert sum(record["credited_now"].values()) == 120
    assert served.command("revoke-certificate", certificate=number, reason="hours-corrected").status_code == 201
    record = served.get(f"/v1/certificates/{number}").json()
    assert (record["state"], record["revoked_for"]) == ("revoked", "hours-corrected")
    assert served.get(state, role=None, digest=digest).json()["state"] == "revoked"


def test_without_the_digest_of_a_document_nothing_is_told(served: Served) -> None:
    number = issued(served, served_volunteer(served))
    wrong = served.get(f"/v1/certificates/{number}/state", role=None, digest="0" * 32)
    unknown = served.get("/v1/certificates/2001-000001/state", role=None, digest="0" * 32)
    assert (wrong.status_code, unknown.status_code) == (404, 404)
    assert wrong.json()["rejection"] == unknown.json()["rejection"] == "unknown-certificate"
    assert served.get(f"/v1/certificates/{number}/state", role=None).status_code == 422
    assert set(wrong.headers) == set(unknown.headers)
    assert len(wrong.content) == len(unknown.content)
    assert served.get(f"/v1/certificates/{number}", role=None).status_code == 401


def test_without_the_digest_nothing_is_read_but_the_event(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state takes several reads. If they were made before, their time would tell which numbers were given."""
    number = issued(served, served_volunteer(served))
    read: list[object] = []
    records = CertificateRegister._records

    def noted(self: CertificateRegister, found: Any) -> Any:
        read.append(found)
        return records(self, found)

    monkeypatch.setattr(CertificateRegister, "_records", noted)
    address = f"/v1/certificates/{number}/state"
    assert served.get(address, role=None, digest="0" * 32).status_code == 404
    assert read == []
    digest = served.get(f"/v1/certificates/{number}", role=Role.STAFF).json()["digest"]
    read.clear()
    assert served.get(address, role=None, digest=digest[:32]).json() == {"certificate": number, "state": "valid"}
    assert len(read) == 1


def test_texts_are_for_those_who_may_read_them_and_for_the_volunteer(served: Served) -> None:
    own, other = "V0000001", served_volunteer(served)
    if served.get(f"/v1/volunteers/{own}").status_code != 200:
        served.command("register-volunteer", volunteer=own, registered_on="2016-03-05")
    _, position = served.served_shift(own, "2018-12-04T09:00:00+08:00", "2018-12-04T10:00:00+08:00")
    served.get(f"/v1/volunteers/{own}", at_least=position)
    numbers = {volunteer: issued(served, volunteer) for volunteer in (own, other)}
    for role in (Role.READER, Role.ANALYST, Role.STATION):
        assert served.get(f"/v1/certificates/{numbers[other]}", role=role).json()["texts"] is None
        assert served.get(f"/v1/certificates/{numbers[other]}.pdf", role=role).status_code == 403
    for form in ("", ".pdf", ".json", ".jwt", ".html"):
        assert served.get(f"/v1/certificates/{numbers[own]}{form}", role=Role.VOLUNTEER).status_code == 200
        refused = served.get(f"/v1/certificates/{numbers[other]}{form}", role=Role.VOLUNTEER)
        assert (refused.status_code, refused.json()["rejection"]) == (403, "forbidden")
    assert served.get(f"/v1/volunteers/{own}/certificates", role=Role.VOLUNTEER).status_code == 200
    assert served.get(f"/v1/volunteers/{other}/certificates", role=Role.VOLUNTEER).status_code == 403
    assert served.get("/v1/certificates", year=2026, role=Role.VOLUNTEER).status_code == 403


def test_erasing_the_person_breaks_no_document_that_was_handed_over(served: Served) -> None:
    volunteer = served_volunteer(served)
    number = issued(served, volunteer, with_name=True)
    given = served.get(f"/v1/certificates/{number}.pdf", role=Role.STAFF).content
    served.ledger.erase(volunteer)
    keys = Keys(issuers=(served.ledger.credential_key.did,), signature_alone=True)
    assert certificate_of(verify_file(given, keys)).text("name") == "陈晓明"
    after = served.get(f"/v1/certificates/{number}.json", role=Role.STAFF)
    assert "陈晓明" not in after.text
    assert certificate_of(verify_file(after.content, keys)).number == number
    assert served.get(f"/v1/certificates/{number}", role=Role.STAFF).json()["texts"] == {}


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"from_year": 2001, "to_year": 2002}, 422, "volunteer"),
        ({"from_year": 2019}, 422, None),
        ({"organisation": "nobody"}, 404, "organisation"),
        ({"handler": "a\nb"}, 422, "handler"),
        ({"id_number": "440303"}, 422, None),
        ({"more": 1}, 422, "more"),
    ],
)
def test_what_cannot_be_certified_is_refused_by_its_field(
    served: Served, changes: dict[str, Any], status: int, field: str | None
) -> None:
    answer = issue(served, served_volunteer(served), **changes)
    assert answer.status_code == status, answer.text
    assert field is None or answer.json()["field"] == field


def test_only_officers_issue_and_a_name_has_to_be_in_the_directory(served: Served) -> None:
    volunteer = served.volunteer()
    _, position = served.served_shift(volunteer, NINE, NOON)
    served.get(f"/v1/volunteers/{volunteer}", at_least=position)
    assert issue(served, volunteer, role=Role.CORRECTOR).status_code == 403
    refused = issue(served, volunteer, with_name=True)
    assert (refused.status_code, refused.json()["field"]) == (422, "with_name")


def test_a_certificate_at_the_command_line(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    volunteer = served_volunteer(served)
    monkeypatch.setenv("DATABASE_URL", served.ledger.database.url)
    hours = CommandLine(served.ledger.data, capsys)
    organisation = ("--organisation", "fed-01")
    made = hours("certificates", "issue", volunteer, "--from-year", 2018, *organisation, "--with-name", "--json").answer
    number, file = made["certificate"], tmp_path / "certificate.pdf"
    assert made["texts"] == {"name": "陈晓明"}
    assert hours("certificates", "export", number, "--output", file).code == 0
    assert "exists" in hours("certificates", "export", number, "--output", file).sentence
    did = hours("certificates", "key", "--json").answer["did"]
    unproved = hours("verify", file, "--key", did)
    assert (unproved.code, "proved  " in unproved.out, "name that key with --key" in unproved.out) == (1, False, True)
    verified = hours("verify", file, "--key", did, "--signature-alone")
    assert verified.code == 0, verified.out
    assert "NOT PROVED, but the issuer's signature is genuine (PDF)" in verified.out
    assert "proved  " not in verified.out
    answer = hours("verify", file, "--key", did, "--signature-alone", "--json").answer
    assert (answer["verified"], answer["signature"], "proved" in answer) == (False, "genuine", False)
    file.write_bytes(file.read_bytes()[:-1])
    refused = hours("verify", file, "--key", did, "--json")
    assert refused.code == 1
    assert '"verified": false' in refused.out
    assert "valid" in hours("certificates", "show", number).out
    assert number in hours("certificates", "list", "--volunteer", volunteer).out
    assert "revoked" in hours("certificates", "revoke", number, "--reason", "in-error").out
    assert "was revoked" in hours("certificates", "revoke", number, "--reason", "in-error").sentence
    assert hours("certificates", "show", number, "--json").answer["state"] == "revoked"


@pytest.fixture
def proving(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line of a ledger with signing keys."""
    monkeypatch.setenv("DATABASE_URL", served.ledger.database.url)
    hours = CommandLine(served.ledger.data, capsys)
    assert hours("checkpoint").code == 0
    return hours


def test_a_certificate_that_the_log_proves_stays_proved_when_keys_are_rotated(
    served: Served, proving: CommandLine, tmp_path: Path
) -> None:
    """Also when they were stolen: what is exported afterwards is proved under the new ones."""
    volunteer, file = served_volunteer(served), tmp_path / "certificate.json"
    made = proving("certificates", "issue", volunteer, "--from-year", 2018, "--organisation", "fed-01", "--json").answer
    export = ("certificates", "export", made["certificate"], "--output", file, "--force")
    first = proving(*export)
    assert (first.code, first.err) == (0, "")
    before = file.read_bytes()
    found = proving("verify", file)
    assert (found.code, "proved       The hours, 3 h, were sealed" in found.out) == (0, True), found.out
    assert proving("signing-keys", "rotate").code == 0
    assert (proving(*export).code, file.read_bytes() == before) == (0, True)
    assert proving("verify", file).code == 0
    served.volunteer()
    assert proving("checkpoint").code == 0
    assert proving("signing-keys", "rotate", "--stolen").code == 0
    assert proving(*export).code == 0
    assert proving("verify", file).code == 0  # the keys before those that were stolen are still good


def test_a_proof_under_stolen_keys_is_made_again(served: Served, proving: CommandLine, tmp_path: Path) -> None:
    volunteer, file = served_volunteer(served), tmp_path / "certificate.json"
    made = proving("certificates", "issue", volunteer, "--from-year", 2018, "--organisation", "fed-01", "--json").answer
    export = ("certificates", "export", made["certificate"], "--output", file, "--force")
    assert proving(*export).code == 0
    assert proving("signing-keys", "rotate", "--stolen").code == 0
    assert proving("verify", file).code == 1
    again = proving(*export)
    assert (again.code, again.err) == (0, "")
    found = proving("verify", file)
    assert found.code == 0, found.out


def test_invented_minutes_are_not_proved(served: Served, proving: CommandLine, tmp_path: Path) -> None:
    """An administrator records a certificate by hand; the issuer's signature is on it, and the log has its event."""
    volunteer = served_volunteer(served)
    invented: dict[str, Any] = {
        **dict.fromkeys(("from_year", "to_year"), 2018),
        "organisation": "fed-01",
        "scanned_minutes": 60_000,
        "attested_minutes": 0,
        "evidence_position": 1,
        "rules_digest": published_rules(served.ledger.log).digest,
    }
    assert served.command("issue-certificate", role=Role.ADMIN, volunteer=volunteer, **invented).status_code == 201
    (number,) = (one.certificate for one in served.ledger.certificates.of_volunteer(volunteer, None, 9).certificates)
    did = proving("certificates", "key", "--json").answer["did"]
    for form in ("pdf", "json", "jwt"):
        file = tmp_path / f"certificate.{form}"
        exported = proving("certificates", "export", number, "--output", file)
        assert "not those that it states" in exported.err
        for keys in ((), ("--key", did)):
            found = proving("verify", file, *keys)
            assert (found.code, "NOT VERIFIED. the file carries no proof" in found.out) == (1, True), found.out
        answer = served.get(f"/v1/certificates/{number}.{form}", role=Role.STAFF)
        assert answer.headers["Tlog-Proof"].startswith("none; the hours that the ledger has sealed")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("certificates", "show", "2018-1"), "is not the number of a certificate"),
        (("certificates", "show", "2001-000001"), "certificate 2001-000001 is not known"),
        (("certificates", "list"), "name one of --volunteer and --year"),
        (("certificates", "export", "2018-000001", "--output", "x.doc"), "unknown suffix"),
        (
            ("certificates", "issue", "V0000001", "--from-year", "2018", "--to-year", "2017", "--organisation", "x"),
            "--to-year is before --from-year; name the earlier year first",
        ),
        (
            ("certificates", "issue", "V0000001", "--from-year", "2018", "--organisation", "x", "--id-number", "1"),
            "--id-number needs an --id-type",
        ),
        (("verify", "nothing.pdf", "--key", DID), "cannot be read"),
        (("verify", "nothing.pdf", "--key", "did:key:z"), "--key"),
        (("verify", "nothing.pdf", "--key", "x"), "--key"),
        (("verify", "nothing.pdf", "--policy", "nothing"), "cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_sentence(reads: CommandLine, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in reads(*arguments).sentence


def test_the_ledger_is_asked_by_the_digest(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    number = issued(served, served_volunteer(served))
    file = tmp_path / "certificate.json"
    file.write_bytes(served.get(f"/v1/certificates/{number}.json", role=Role.STAFF).content)
    client: TestClient = served.client

    class Answer:
        def __init__(self, address: str, timeout: float) -> None:
            assert (address.startswith("http://ledger/v1/certificates/"), timeout) == (True, 15)
            self.content = client.get(address.removeprefix("http://ledger")).content

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read(self, _most: int) -> bytes:
            return self.content

    monkeypatch.setattr("api.cli.readers.verify.urlopen", Answer)
    hours, did = CommandLine(tmp_path, capsys), served.ledger.credential_key.did
    alone = ("--key", did, "--signature-alone")
    assert "says now that it is valid" in hours("verify", file, *alone, "--ask", "http://ledger").out
    served.command("revoke-certificate", certificate=number, reason="in-error")
    refused = hours("verify", file, *alone, "--ask", "http://ledger")
    assert (refused.code, "is revoked" in refused.out) == (1, True)
    assert "not an address" in hours("verify", file, *alone, "--ask", "ledger").sentence
