"""Credentials: accepted here and by openbadgeslib as they are, refused by both after each change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openbadgeslib.ob3.ldp import OB3LdpVerifier
from openbadgeslib.ob3.verifier import OB3VerificationError, OB3Verifier

from replay.certificates import data_integrity
from replay.certificates.certificate import CertificateError
from replay.certificates.credential import credential_of, json_text, read_credential, signed_credential
from replay.certificates.credential_keys import CredentialKeyError, from_multibase, multibase, public_key_of
from replay.certificates.documents import Documents
from replay.certificates.verification import Keys, NotVerifiedError, verify_file
from tests.support.replay.certificates import ANOTHER_KEY, KEY, certificate, certificate_of, changed_in_each_field

VECTORS = Path(__file__).parent / "vectors"
DOCUMENTS = Documents(certificate(), KEY, None)
CREDENTIAL = json.loads(DOCUMENTS.json())
BELIEVED = Keys(issuers=(KEY.did,), signature_alone=True)
CHANGES = dict(changed_in_each_field(CREDENTIAL))


def test_a_credential_is_verified_here_and_by_openbadgeslib() -> None:
    verified = verify_file(DOCUMENTS.json().encode(), BELIEVED)
    assert verified.stated[0].startswith(
        "Certificate 2018-000001 of 2018-12-05, recorded at 2018-12-05 08:53 UTC, by 深圳市罗湖区义工联合会: volunteer "
        "V0000462 (陈晓明) was credited with 92 h 35 min in 2016 to 2018 (90 h 30 min scanned, 2 h 5 min attested)"
    )
    found = OB3LdpVerifier.for_issuer_did(KEY.did).verify(DOCUMENTS.json())
    assert found.issuer.name == "深圳市罗湖区义工联合会"


def test_a_jwt_is_verified_here_and_by_openbadgeslib() -> None:
    jwt = DOCUMENTS.jwt().strip()
    assert verify_file(jwt.encode(), BELIEVED).form == "JWT"
    assert OB3Verifier.for_issuer_did(KEY.did).verify(jwt).achievement.name == "志愿服务 Volunteer service"


@pytest.mark.parametrize("change", CHANGES)
def test_after_each_change_a_credential_is_refused_here(change: str) -> None:
    with pytest.raises(NotVerifiedError):
        verify_file(json.dumps(CHANGES[change]).encode(), BELIEVED)


@pytest.mark.parametrize("change", [change for number, change in enumerate(CHANGES) if number % 4 == 0])
def test_after_each_change_a_credential_is_refused_by_openbadgeslib(change: str) -> None:
    with pytest.raises(OB3VerificationError):
        OB3LdpVerifier.for_issuer_did(KEY.did).verify(json.dumps(CHANGES[change]))


def test_each_character_of_a_jwt_counts() -> None:
    jwt = DOCUMENTS.jwt().strip()
    for at in range(0, len(jwt), 7):
        changed = jwt[:at] + ("B" if jwt[at] == "A" else "A") + jwt[at + 1 :]
        with pytest.raises(NotVerifiedError):
            verify_file(changed.encode(), BELIEVED)


def test_the_last_characters_of_a_jwt_count_too() -> None:
    jwt = DOCUMENTS.jwt().strip()
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        if last != jwt[-1]:
            with pytest.raises(NotVerifiedError):
                verify_file((jwt[:-1] + last).encode(), BELIEVED)


def test_each_bit_of_a_signature_counts() -> None:
    proof = CREDENTIAL["proof"]
    signature = from_multibase(proof["proofValue"])
    for at in range(0, len(signature) * 8, 11):
        flipped = bytearray(signature)
        flipped[at // 8] ^= 1 << at % 8
        forged = {**CREDENTIAL, "proof": {**proof, "proofValue": multibase(bytes(flipped))}}
        with pytest.raises(NotVerifiedError, match="signature of the credential is wrong"):
            verify_file(json.dumps(forged).encode(), BELIEVED)


def test_what_another_key_signed_is_not_believed() -> None:
    forged = Documents(certificate(scanned_minutes=60_000), ANOTHER_KEY, None)
    for content in (forged.json().encode(), forged.jwt().encode(), forged.pdf()):
        with pytest.raises(NotVerifiedError, match="none of the issuers' keys that are given"):
            verify_file(content, BELIEVED)


def test_a_credential_signed_with_another_key_in_the_issuers_name_is_refused() -> None:
    credential = credential_of(certificate(), KEY.did, None)
    forged = data_integrity.signed(credential, ANOTHER_KEY, credential["validFrom"])
    forged["proof"]["verificationMethod"] = KEY.method
    with pytest.raises(NotVerifiedError, match="signature of the credential is wrong"):
        verify_file(json.dumps(forged).encode(), BELIEVED)


def test_without_a_key_nothing_is_verified() -> None:
    with pytest.raises(NotVerifiedError, match="no public key is given"):
        verify_file(DOCUMENTS.json().encode(), Keys())


def test_a_field_that_is_named_twice_is_refused() -> None:
    text = DOCUMENTS.json().replace('"name":', '"name": "forged", "name":', 1)
    with pytest.raises(NotVerifiedError, match="names a field twice"):
        verify_file(text.encode(), BELIEVED)


@pytest.mark.parametrize("change", [1, True, 1.0])
def test_values_that_python_calls_equal_are_different(change: object) -> None:
    changed = json.loads(DOCUMENTS.json())
    changed["credentialSubject"]["identifier"][0]["hashed"] = 0 if change != 1.0 else 0.0
    with pytest.raises(NotVerifiedError, match="the credential was changed"):
        verify_file(json.dumps(changed).encode(), BELIEVED)


# --- names, and erasure ----------------------------------------------------------------------------------------------


def test_nothing_personal_is_in_the_documents_of_a_certificate_without_texts() -> None:
    plain = Documents(certificate(texts=False), KEY, None)
    shown = plain.json() + plain.jwt()
    assert "陈" not in shown
    assert certificate_of(verify_file(plain.json().encode(), BELIEVED)).text("name") is None


def test_withholding_a_text_leaves_the_rest_verified() -> None:
    some = Documents(certificate().without("id_number", "id_type"), KEY, None)
    verified = certificate_of(verify_file(some.json().encode(), BELIEVED))
    assert (verified.text("name"), verified.text("id_number")) == ("陈晓明", None)


def test_a_text_that_was_not_recorded_is_no_text_of_the_certificate() -> None:
    whole = certificate()
    forged = {**whole.texts, "name": whole.texts["name"]._replace(text="陈大明")}
    with pytest.raises(CertificateError, match="name: the text is not the one"):
        type(whole)(whole.recorded, forged)


def test_the_same_certificate_gives_the_same_bytes() -> None:
    assert Documents(certificate(), KEY, None).json() == DOCUMENTS.json()
    assert Documents(certificate(), KEY, None).jwt() == DOCUMENTS.jwt()
    assert json_text(signed_credential(certificate(), KEY, None)) == DOCUMENTS.json()


# --- vectors, keys ---------------------------------------------------------------------------------------------------


def test_the_credential_that_the_oracles_accepted_is_still_what_is_made() -> None:
    """`vectors/` holds a credential and a JWT that openbadgeslib and @digitalbazaar/vc verified when they were kept."""
    assert (VECTORS / "credential.json").read_text("utf-8") == DOCUMENTS.json()
    assert (VECTORS / "credential.jwt").read_text("utf-8") == DOCUMENTS.jwt()


def test_a_did_key_of_the_specification_is_read() -> None:
    did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"  # the example of the did:key method
    assert public_key_of(did).public_bytes_raw().hex()[:8] == "2e6fcce3"
    raw = from_multibase(did.removeprefix("did:key:"))
    assert multibase(raw) == did.removeprefix("did:key:")


@pytest.mark.parametrize("did", ["", "did:key:", "did:key:z6Mk", "did:web:example.org", "did:key:zzzz0", "did:key:q"])
def test_what_is_no_did_key_is_refused(did: str) -> None:
    with pytest.raises(CredentialKeyError):
        public_key_of(did)


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        [],
        [{}],
        [1],
        [{"genre": "ledger-event", "narrative": "%"}],
        [{"genre": "ledger-event", "narrative": "AA"}],
    ],
)
def test_a_credential_with_other_evidence_is_refused(evidence: object) -> None:
    with pytest.raises(CertificateError):
        read_credential({**CREDENTIAL, "evidence": evidence})
