"""A certificate with its tlog-proof: the log's public key alone is enough, and every bit of the proof counts."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from replay.certificates.certificate import Certificate
from replay.certificates.documents import Documents
from replay.certificates.evidence import EvidenceError, extra_of, verify_evidence
from replay.certificates.verification import Keys, NotVerifiedError, verify_file
from replay.proof.checkpoints import sign
from replay.proof.notes import SignatureKind, SigningKey
from replay.proof.policies import Policy
from replay.proof.proofs import Proof, make_proof
from replay.proof.seals import SealedEntry, SealFolder
from replay.proof.tree import hashes_of, leaf_hash, root_hash
from tests.support.replay.certificates import ANOTHER_KEY, KEY, certificate

ORIGIN, POSITION, SIZE = "ledger.example/test", 23, 41
HOURS = [
    ("V0000461", 2018, 60, 0),
    ("V0000462", 0, 6_030, 125),
    ("V0000462", 2015, 600, 0),
    ("V0000462", 2016, 2_000, 25),
    ("V0000462", 2018, 3_430, 100),
    ("V0000463", 2018, 90, 0),
]
"""Volunteer, year, minutes scanned and attested: of 2016 to 2018 they are those that the certificate states."""


class World(NamedTuple):
    """A log with a certificate in it, and what is believed of it."""

    certificate: Certificate
    proof: str
    policy: Policy
    hours: list[SealedEntry]
    keys: tuple[SigningKey, ...]


def signing_keys(seed: bytes = b"1" * 32) -> tuple[SigningKey, ...]:
    kinds = SignatureKind.ED25519, SignatureKind.ML_DSA_44_COSIGNATURE
    return tuple(SigningKey(ORIGIN, kind, seed) for kind in kinds)


def world(folder: Path, hours: Sequence[tuple[str, int, int, int]] = HOURS, **changes: Any) -> World:
    """Return a log of 41 events, of which the certificate is the 23rd, and whose checkpoint seals these hours."""
    issued = certificate(position=POSITION, **changes)
    leaves = [sha256(bytes([number])).digest() for number in range(SIZE)]
    leaves[POSITION - 1] = leaf_hash(issued.entry)
    hashes = hashes_of(leaves)
    table = pa.table(
        dict(zip(("volunteer", "year", "scanned_minutes", "attested_minutes"), zip(*hours, strict=True), strict=True))
    )
    line = SealFolder(folder, b"s" * 32).make(table, 22, "b7" * 32)
    keys = signing_keys()
    checkpoint = sign(keys, SIZE, root_hash(hashes, SIZE), 1_544_000_000, (line.text,))
    proofs = SealFolder(folder, b"s" * 32).read(22).prove("V0000462")
    within = [each for each in proofs if 2016 <= each.verify(line).year <= 2018]
    proof = make_proof(hashes, POSITION - 1, checkpoint.note, extra_of(issued.entry, within)).encode().decode()
    return World(issued, proof, Policy.of_keys([key.verifier_key for key in keys]), proofs, keys)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("data"))


def test_every_form_is_verified_with_the_logs_key_alone(sealed: World) -> None:
    documents = Documents(sealed.certificate, KEY, sealed.proof)
    for content in (documents.pdf(), documents.json().encode(), documents.jwt().encode(), sealed.proof.encode()):
        verified = verify_file(content, Keys(log=sealed.policy))
        assert verified.sealed is not None
        recorded, hours = verified.proved[1:3]
        assert recorded.startswith(f"Recorded in the ledger {ORIGIN} at position 23: ")
        assert recorded.endswith("is in the checkpoint of size 41 signed at 2018-12-05 08:53 UTC.")
        assert hours.startswith("The hours, 92 h 35 min, were sealed in the same checkpoint, as known at position 22")


def test_every_bit_of_a_proof_counts(sealed: World) -> None:
    """The last line, by ML-DSA-44, is long, so some bits of its signature stand for all. With another name or key id
    it would be the signature of an unknown key, which notes may have.
    """
    content = sealed.proof.encode()
    last_line = content[:-1].rindex(b"\n")
    signature = last_line + len(f"\n— {ORIGIN} ".encode()) + 8
    for at in (*range(last_line * 8), *range(signature * 8, len(content) * 8, 61)):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(EvidenceError):
            verify_evidence(sealed.certificate, flipped.decode("utf-8", "surrogateescape"), sealed.policy)


def test_a_forged_credential_of_another_key_is_believed_no_more_than_its_event(sealed: World) -> None:
    """Whoever signs: what counts is the event, which the log proves. A name that is not in it cannot be added."""
    copied = Documents(sealed.certificate, ANOTHER_KEY, sealed.proof).json().encode()
    verified = verify_file(copied, Keys(log=sealed.policy))
    assert verified.not_checked[0].startswith("whose key did:key:")
    forged = json.loads(copied)
    forged["credentialSubject"]["result"][0]["value"] = "54300"
    with pytest.raises(NotVerifiedError, match=r"the credential was changed: credentialSubject\.result"):
        verify_file(json.dumps(forged).encode(), Keys(log=sealed.policy))


def test_more_hours_than_were_sealed_are_refused(tmp_path: Path) -> None:
    """A clerk who records a certificate by hand with invented hours has it in the log, but not in the sealed hours."""
    invented = world(tmp_path, scanned_minutes=54_300)
    content = Documents(invented.certificate, KEY, invented.proof).pdf()
    with pytest.raises(NotVerifiedError, match="states 907 h 5 min, but the ledger sealed 92 h 35 min in these years"):
        verify_file(content, Keys(log=invented.policy))


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ([3, 4, 4], "each year once"),
        ([3], "but the ledger sealed"),
        ([], "but the ledger sealed"),
        ([0, 3, 4], "of other years"),
        ([1, 3, 4], "of other years"),
        ([2], "of other years"),
    ],
)
def test_only_the_sealed_years_of_the_certificate_add_up(sealed: World, chosen: list[int], reason: str) -> None:
    proofs = [sealed.hours[number - 1] if number else sealed.hours[0] for number in chosen]
    proof = Proof.parse(sealed.proof.encode())
    forged = Proof(proof.index, proof.hashes, proof.checkpoint, extra_of(sealed.certificate.entry, proofs))
    with pytest.raises(EvidenceError, match=reason):
        verify_evidence(sealed.certificate, forged.encode().decode(), sealed.policy)


def test_the_hours_of_another_volunteer_are_refused(tmp_path: Path) -> None:
    others = world(tmp_path, volunteer="V0000463")
    with pytest.raises(EvidenceError, match="not those of the volunteer"):
        verify_evidence(others.certificate, others.proof, others.policy)


def test_a_proof_of_another_certificate_is_refused(sealed: World) -> None:
    other = certificate(position=POSITION, certificate="2018-000001", to_year=2017)
    with pytest.raises(EvidenceError, match="about another event"):
        verify_evidence(other, sealed.proof, sealed.policy)


def test_a_checkpoint_that_another_key_signed_is_refused(sealed: World) -> None:
    stranger = Policy.of_keys([key.verifier_key for key in signing_keys(b"2" * 32)])
    with pytest.raises(EvidenceError, match="no key of this log that is trusted signed it"):
        verify_evidence(sealed.certificate, sealed.proof, stranger)


def test_an_ml_dsa_signature_alone_does_not_seal_hours(sealed: World) -> None:
    only = Policy.of_keys([sealed.keys[1].verifier_key])
    with pytest.raises(EvidenceError, match="no signature that covers sealed hours"):
        verify_evidence(sealed.certificate, sealed.proof, only)


def test_a_policy_whose_witnesses_did_not_cosign_is_refused(sealed: World) -> None:
    witness = SigningKey("witness.example", SignatureKind.ED25519_COSIGNATURE, b"w" * 32)
    text = f"log {sealed.keys[0].verifier_key}\nwitness w {witness.verifier_key}\nquorum w\n"
    with pytest.raises(NotVerifiedError, match="the policy asks for a cosignature of w"):
        verify_file(sealed.proof.encode(), Keys(log=Policy.parse(text.encode())))


def test_without_the_logs_key_a_proof_alone_is_not_believed(sealed: World) -> None:
    with pytest.raises(NotVerifiedError, match="name it"):
        verify_file(sealed.proof.encode(), Keys(issuers=(KEY.did,)))


def test_without_a_proof_the_logs_key_says_nothing(sealed: World) -> None:
    content = Documents(sealed.certificate, KEY, None).json().encode()
    believed = Keys(log=sealed.policy, issuers=(KEY.did,))
    for keys in (believed, Keys(log=sealed.policy), Keys(issuers=(KEY.did,))):
        with pytest.raises(NotVerifiedError, match="carries no proof that the ledger recorded it and sealed its hours"):
            verify_file(content, keys)
    with pytest.raises(NotVerifiedError, match="none of the issuers' keys"):
        verify_file(content, Keys(log=sealed.policy, signature_alone=True))
    verified = verify_file(content, believed._replace(signature_alone=True))
    assert (verified.sealed, "92 h 35 min" in verified.stated[0]) == (None, True)
    assert verified.proved == [f"Signed by the issuer whose key you believe: {KEY.did}."]


@pytest.mark.parametrize("form", ["pdf", "json", "jwt"])
def test_a_proof_that_nobody_can_check_proves_nothing(sealed: World, form: str) -> None:
    """With the issuer's key alone: the hours are only what the issuer states."""
    content = getattr(Documents(sealed.certificate, KEY, sealed.proof), form)()
    content = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(NotVerifiedError, match="no verifier key of the log is given to check it with"):
        verify_file(content, Keys(issuers=(KEY.did,)))
    verified = verify_file(content, Keys(issuers=(KEY.did,), signature_alone=True))
    assert not any("92 h 35 min" in sentence for sentence in verified.proved)


def test_erasing_the_texts_breaks_no_proof(sealed: World) -> None:
    erased = Certificate(sealed.certificate.recorded, {})
    assert verify_evidence(erased, sealed.proof, sealed.policy).minutes == 5_555
    assert verify_file(Documents(erased, KEY, sealed.proof).pdf(), Keys(log=sealed.policy)).form == "PDF"


@pytest.mark.parametrize("extra", [b"{}", b"[]", b'{"entry":"AA==","hours":[]}', b"\xff", b'{"entry": ""}'])
def test_a_proof_with_another_extra_is_refused(sealed: World, extra: bytes) -> None:
    proof = Proof.parse(sealed.proof.encode())
    forged = Proof(proof.index, proof.hashes, proof.checkpoint, extra).encode()
    assert base64.b64encode(extra) in forged
    with pytest.raises(NotVerifiedError):
        verify_file(forged, Keys(log=sealed.policy))
