"""Proofs as files: what is made verifies, every bit of it counts, and other forms of the same proof are refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.proof.notes import SignatureKind, SigningKey, VerifierKey
from replay.proof.policies import CheckpointError, Policy
from replay.proof.proofs import Proof, ProofFileError, make_proof
from replay.proof.tree import ProofError, leaf_hash
from tests.support.replay.proofs import checkpoint_of, checkpoint_text, log_keys, tree_of, witness_key

ED25519, ML_DSA = log_keys()
WITNESSES = [witness_key("w.example/1"), witness_key("w.example/2", SignatureKind.ML_DSA_44_COSIGNATURE)]
SIZE, INDEX = 11, 6
TREE = tree_of(SIZE)
LEAF = leaf_hash(b"%d" % INDEX)

ALL_OF_THEM = Policy.parse(
    f"log {ED25519.verifier_key}\nwitness a {WITNESSES[0].verifier_key}\nwitness b {WITNESSES[1].verifier_key}\n"
    "group both all a b\nquorum both\n".encode()
)


def made(*keys: SigningKey, extra: bytes | None = None) -> bytes:
    note = checkpoint_of(TREE, SIZE, *keys, extensions=("hours 3 11 aa bb",))
    return make_proof(TREE, INDEX, note, extra).encode()


def flipped(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the content with each of its bits changed, and the place of the byte."""
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            yield place, bytes(changed)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures that were right are not verified again: a changed bit leaves most of them as they were."""
    monkeypatch.setattr(VerifierKey, "verify", lru_cache(16)(VerifierKey.verify))


def verifies(content: bytes, policy: Policy, leaf: bytes = LEAF) -> bool:
    try:
        Proof.parse(content).verify(leaf, policy)
    except (ProofError, CheckpointError):
        return False
    return True


def test_every_proof_of_every_leaf_verifies_and_no_other_leaf_does() -> None:
    policy = Policy.of_keys([ED25519.verifier_key])
    for size in range(1, 20):
        tree = tree_of(size)
        note = checkpoint_of(tree, size, ED25519)
        for index in range(size):
            content = make_proof(tree, index, note).encode()
            proof = Proof.parse(content)
            assert proof.encode() == content
            for other in range(size):
                assert verifies(content, policy, leaf_hash(b"%d" % other)) is (other == index)


def test_a_proof_has_the_form_of_the_specification() -> None:
    lines = made(ED25519, extra=b"\0extra").decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra AGV4dHJh", "index 6"]
    assert [len(base64.b64decode(line)) for line in lines[3:7]] == [32, 32, 32, 32]
    assert lines[7:11] == ["", *checkpoint_text(SIZE, base64.b64decode(lines[10])).split("\n")[:3]]
    assert lines[11:13] == ["hours 3 11 aa bb", ""]
    assert lines[13].startswith("— hours.example.org/log ")
    assert lines[14:] == [""]


@pytest.mark.usefixtures("remembered")
def test_every_bit_of_a_proof_counts() -> None:
    content = made(ED25519)
    policy = Policy.of_keys([ED25519.verifier_key])
    assert verifies(content, policy)
    assert [place for place, changed in flipped(content) if verifies(changed, policy)] == []


@pytest.mark.slow
@pytest.mark.usefixtures("remembered")
def test_every_bit_of_a_proof_counts_if_the_policy_asks_for_all_its_signatures() -> None:
    content = made(ED25519, *WITNESSES)
    assert verifies(content, ALL_OF_THEM)
    assert [place for place, changed in flipped(content) if verifies(changed, ALL_OF_THEM)] == []


@pytest.mark.usefixtures("remembered")
def test_a_signature_that_the_policy_does_not_ask_for_can_be_lost_but_proves_nothing_then() -> None:
    """The standard demands that lines by unknown keys are ignored: a flipped bit can make a line one of those."""
    content = made(ED25519, WITNESSES[0])
    policy = Policy.parse(f"log {ED25519.verifier_key}\nwitness a {WITNESSES[0].verifier_key}\nquorum none\n".encode())
    expected = Proof.parse(content).verify(LEAF, policy)
    line = content.index("\n— w.example".encode()) + 1
    survivors = set()
    for place, changed in flipped(content):
        if verifies(changed, policy):
            survivors.add(place)
            assert Proof.parse(changed).verify(LEAF, policy) == expected._replace(witnesses=())
    assert survivors
    assert min(survivors) >= line
    assert max(survivors) < line + len("— w.example/1 AAAAAA".encode())  # name and key id; the signature itself counts


def test_the_extra_bytes_are_not_authenticated_and_come_back_as_they_are() -> None:
    content = made(ED25519, extra=b'{"a":1}')
    assert Proof.parse(content).extra == b'{"a":1}'
    other = made(ED25519, extra=b'{"a":2}')
    assert verifies(other, Policy.of_keys([ED25519.verifier_key]))


GOOD = made(ED25519, extra=b"extra").decode()
HASH = GOOD.split("\n")[3]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("tlog-proof@v1", "tlog-proof@v2", "its first line is not"),
        ("c2sp.org/tlog", " c2sp.org/tlog", "its first line is not"),
        ("@v1\n", "@v1\r\n", "its first line is not"),
        ("index 6", "index 06", "leading zeros"),
        ("index 6", "index +6", "leading zeros"),
        ("index 6", "index -6", "leading zeros"),
        ("index 6", "index  6", "leading zeros"),
        ("index 6", "index 6 ", "leading zeros"),
        ("index 6", "index \u0666", "leading zeros"),
        ("index 6", "index ", "leading zeros"),
        ("index 6", "index 9223372036854775808", "below"),
        ("index 6", f"index {'9' * 5000}", "below"),
        ("index 6", "index 11", "not in the checkpoint's tree of 11 leaves"),
        ("index 6", "Index 6", "no line `index`"),
        ("index 6\n", "", "no line `index`"),
        ("index 6\n", "index 6\nindex 6\n", "hash 1 in the proof is not base64"),
        ("extra ZXh0cmE=", "extra ", "the line `extra` is empty"),
        ("extra ZXh0cmE=", "extra ZXh0cmE", "extra in the proof is not base64 in its usual form"),
        ("extra ZXh0cmE=", "extra ZXh0cmF=", "extra in the proof is not base64 in its usual form"),
        ("extra ZXh0cmE=", "extra ZXh0 cmE=", "extra in the proof is not base64 in its usual form"),
        ("extra ZXh0cmE=", "extra ZXh0cmE=\nextra ZXh0cmE=", "no line `index`"),
        ("extra ZXh0cmE=", "extra ZXh_cmE=", "extra in the proof is not base64"),
        (HASH, HASH[:-4], "does not have 32 bytes"),
        (HASH, HASH + "\r", "hash 1 in the proof is not base64"),
        (HASH, " " + HASH, "hash 1 in the proof is not base64"),
        (HASH + "\n", (HASH + "\n") * 61, "more than 63 hashes"),
        ("\n\nhours", "\n\n\nhours", "the checkpoint in the proof is malformed"),
        ("\n11\n", "\n011\n", "without leading zeros"),
        ("\n11\n", "\n9223372036854775808\n", "without leading zeros"),
        ("\n\n— hours", "\n— hours", "the note has no signatures"),
    ],
)  # fmt: skip
def test_other_forms_of_a_proof_are_refused(before: str, after: str, message: str) -> None:
    assert before in GOOD
    with pytest.raises(ProofFileError, match=message):
        Proof.parse(GOOD.replace(before, after, 1).encode())


@pytest.mark.parametrize("added", [b"\n", b"x", b"\0", "— x AAAA\n".encode(), b" "])
def test_nothing_may_stand_after_a_proof(added: bytes) -> None:
    with pytest.raises(ProofFileError):
        Proof.parse(GOOD.encode() + added)


def test_a_shortened_proof_is_refused() -> None:
    content = GOOD.encode()
    for length in range(len(content)):
        with pytest.raises(ProofFileError):
            Proof.parse(content[:length])


def test_a_proof_with_hashes_too_many_or_too_few_is_refused() -> None:
    policy = Policy.of_keys([ED25519.verifier_key])
    for changed in (GOOD.replace(HASH + "\n", "", 1), GOOD.replace(HASH, f"{HASH}\n{HASH}", 1)):
        with pytest.raises(ProofError):
            Proof.parse(changed.encode()).verify(LEAF, policy)


def test_a_proof_is_not_made_of_a_tree_that_is_not_the_checkpoints() -> None:
    note = checkpoint_of(TREE, SIZE)
    with pytest.raises(ProofError):
        make_proof(lambda *_: bytes(32), INDEX, note)
    with pytest.raises(ValueError, match="leaf 11 is not in a tree of 11 leaves"):
        make_proof(TREE, SIZE, note)
    with pytest.raises(ValueError, match="may be absent, but not empty"):
        make_proof(TREE, INDEX, note, b"")


@given(st.binary() | st.binary().map(lambda content: b"c2sp.org/tlog-proof@v1\n" + content))
def test_any_bytes_are_a_proof_or_a_proof_error(content: bytes) -> None:
    with suppress(ProofFileError):
        assert Proof.parse(content).encode() == content


@given(st.integers(0, len(GOOD.encode()) - 1), st.integers(0, 40), st.binary(max_size=40))
def test_a_proof_in_which_a_part_is_replaced_is_read_back_as_it_is_or_refused(at: int, cut: int, put: bytes) -> None:
    content = GOOD.encode()
    changed = content[:at] + put + content[at + cut :]
    with suppress(ProofFileError):
        assert Proof.parse(changed).encode() == changed
