"""Awards as badges: accepted here and by openbadgeslib, refused after each change."""

from __future__ import annotations

import json
from datetime import date

import pytest
from openbadgeslib.ob3.ldp import OB3LdpVerifier
from openbadgeslib.ob3.verifier import OB3Verifier

from ledger.aggregates.honor import HonorAwarded
from ledger.names import Position, stream
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import encode
from replay.certificates.badges import Badge, badge_in
from replay.certificates.documents import badge_json, badge_jwt
from replay.certificates.verification import Keys, NotVerifiedError, verify_file
from replay.proof.checkpoints import sign
from replay.proof.notes import SignatureKind, SigningKey
from replay.proof.policies import Policy
from replay.proof.proofs import make_proof
from replay.proof.tree import hashes_of, leaf_hash, root_hash
from tests.support.replay.certificates import ANOTHER_KEY, KEY, certificate, changed_in_each_field


def badge() -> Badge:
    event = HonorAwarded(
        occurred_at=1_544_000_000,
        recorded_at=1_544_000_000,
        by="person:li",
        command="/honors/person:li#1",
        award="star-1-V0000462",
        honor="star-1",
        volunteer="V0000462",
        awarded_on=date(2018, 12, 5),
        rules_version=1,
        evidence_position=9,
        credited_minutes=6_120,
    )
    topic, state = encode(event)
    found = badge_in(RecordedEvent(Position(3), stream("honor", "star-1-V0000462"), 2, topic, state))
    assert found is not None
    return found


BELIEVED = Keys(issuers=(KEY.did,), signature_alone=True)


def test_a_badge_is_verified_here_and_by_openbadgeslib() -> None:
    text, jwt = badge_json(badge(), KEY, None), badge_jwt(badge(), KEY, None)
    for content in (text, jwt):
        verified = verify_file(content.encode(), BELIEVED)
        assert verified.stated[0].startswith("Honour star-1 awarded to volunteer V0000462 on 2018-12-05")
    assert OB3LdpVerifier.for_issuer_did(KEY.did).verify(text).achievement.name == "star-1"
    assert OB3Verifier.for_issuer_did(KEY.did).verify(jwt.strip()).achievement.name == "star-1"


def test_after_each_change_a_badge_is_refused() -> None:
    for _, changed in changed_in_each_field(json.loads(badge_json(badge(), KEY, None))):
        with pytest.raises(NotVerifiedError):
            verify_file(json.dumps(changed).encode(), BELIEVED)


def test_a_badge_is_believed_for_the_log_s_key_or_the_issuer_s_alone() -> None:
    key = SigningKey("ledger.example/test", SignatureKind.ED25519, b"1" * 32)
    hashes = hashes_of([leaf_hash(bytes([number])) for number in range(2)] + [leaf_hash(badge().entry)])
    checkpoint = sign([key], 3, root_hash(hashes, 3), 1_544_000_000)
    proof = make_proof(hashes, 2, checkpoint.note).encode().decode()
    log = Policy.of_keys([key.verifier_key])
    verified = verify_file(badge_json(badge(), ANOTHER_KEY, proof).encode(), Keys(log=log))
    assert "at position 3: its event is in the checkpoint of size 3" in verified.proved[1]
    with pytest.raises(NotVerifiedError, match="carries no proof that the ledger recorded it, so this is not proved"):
        verify_file(badge_json(badge(), KEY, None).encode(), Keys(log=log))
    with pytest.raises(NotVerifiedError, match="none of the issuers' keys"):
        verify_file(badge_json(badge(), ANOTHER_KEY, proof).encode(), BELIEVED)


def test_a_badge_without_a_proof_is_not_believed_for_its_signature() -> None:
    for content in (badge_json(badge(), KEY, None), badge_jwt(badge(), KEY, None)):
        with pytest.raises(
            NotVerifiedError, match="carries no proof that the ledger recorded it, so this is not proved"
        ):
            verify_file(content.encode(), BELIEVED._replace(signature_alone=False))


def test_other_events_are_no_badges() -> None:
    assert badge_in(certificate().recorded) is None
    assert badge_in(certificate().recorded._replace(state=b"{")) is None
