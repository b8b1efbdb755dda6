"""Policies: what a file may say, how a wrong one is refused, and which checkpoints a policy accepts."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.proof.notes import Note, SignatureKind, SigningKey, VerifierKey, sign_note
from replay.proof.policies import CheckpointError, Policy, PolicyError
from tests.support.replay.proofs import ORIGIN, checkpoint_text, log_keys, witness_key

ED25519, ML_DSA = log_keys()
KEYS = {name: witness_key(name) for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
TEXT = checkpoint_text(12, b"\7" * 32, "hours 3 12 aa bb")
NOW = 1_800_000_000

WITNESSES = "".join(f"witness {name} {key.verifier_key}\n" for name, key in KEYS.items())
EXAMPLE = f"""\
# two operators, with three witnesses each
log {ED25519.verifier_key} https://hours.example.org/log
  log\t{ML_DSA.verifier_key}

{WITNESSES}group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def signed(*keys: SigningKey, text: str = TEXT) -> Note:
    return sign_note(text, keys, NOW)


@pytest.mark.parametrize(
    ("cosigners", "missing"),
    [
        ("X1 X2 Y1", None),
        ("X1 X3 Y3", None),
        ("X1 X2 X3 Y1 Y2 Y3", None),
        ("X1 X2 X3", "X-and-Y"),
        ("X1 Y1 Y2 Y3", "X-and-Y"),
        ("Y1", "X-and-Y"),
        ("", "cosigned by none of them"),
    ],
)
def test_a_checkpoint_is_accepted_with_the_quorum_alone(cosigners: str, missing: str | None) -> None:
    policy = Policy.parse(EXAMPLE.encode())
    note = signed(ED25519, *(KEYS[name] for name in cosigners.split()))
    if missing is None:
        checkpoint = policy.verify(note.encode())
        assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, 12, b"\7" * 32)
        assert {each.key for each in checkpoint.witnesses} == {KEYS[name].verifier_key for name in cosigners.split()}
    else:
        with pytest.raises(CheckpointError, match=missing):
            policy.verify(note)


def test_a_cosignature_that_is_there_twice_counts_once() -> None:
    policy = Policy.parse(EXAMPLE.encode())
    with pytest.raises(CheckpointError, match="2 of the 2 in X-and-Y"):
        policy.verify(signed(ED25519, KEYS["X1"], KEYS["X1"], KEYS["Y1"]))


def test_a_log_has_to_have_signed_whatever_the_witnesses_did() -> None:
    with pytest.raises(CheckpointError, match="no key of this log that is trusted signed it"):
        Policy.parse(EXAMPLE.encode()).verify(signed(*KEYS.values()))


def test_a_policy_without_a_log_accepts_nothing_until_its_keys_are_given() -> None:
    policy = Policy.parse(b"quorum none\n")
    with pytest.raises(CheckpointError, match="the policy names no log"):
        policy.verify(signed(ED25519))
    assert policy.for_logs([ED25519.verifier_key]).verify(signed(ED25519)).size == 12


def test_the_name_of_the_key_has_to_be_the_origin() -> None:
    text = checkpoint_text(12, b"\7" * 32, origin="another.example.org")
    for policy in (Policy.parse(EXAMPLE.encode()), Policy.of_keys([ED25519.verifier_key])):
        with pytest.raises(CheckpointError, match=f"the policy knows only {re.escape(ORIGIN)}"):
            policy.verify(signed(ED25519, *KEYS.values(), text=text))


def test_keys_that_are_given_take_the_place_of_those_in_the_file() -> None:
    other = SigningKey(ORIGIN, SignatureKind.ED25519, b"\x99" * 32)
    policy = Policy.parse(f"log {ED25519.verifier_key}\nquorum none\n".encode()).for_logs([other.verifier_key])
    assert policy.verify(signed(other)).size == 12
    with pytest.raises(CheckpointError):
        policy.verify(signed(ED25519))
    with pytest.raises(PolicyError, match="of a log and of a witness"):
        Policy.parse(EXAMPLE.encode()).for_logs(
            [VerifierKey(ORIGIN, SignatureKind.ED25519, KEYS["X1"].verifier_key.public_key)]
        )


def test_a_wrong_signature_of_a_known_key_refuses_the_whole_checkpoint() -> None:
    good = signed(ED25519, *KEYS.values())
    wrong = signed(KEYS["Y3"], text=checkpoint_text(13, b"\7" * 32)).signatures
    note = Note(good.text, good.signatures[:-1] + wrong)
    with pytest.raises(CheckpointError, match="the signature of Y3"):
        Policy.parse(EXAMPLE.encode()).verify(note)


def test_extension_lines_are_given_out_only_under_a_signature_that_covers_them() -> None:
    policy = Policy.of_keys([ED25519.verifier_key, ML_DSA.verifier_key])
    assert policy.verify(signed(ED25519, ML_DSA)).extensions == ("hours 3 12 aa bb",)
    forged = Note(checkpoint_text(12, b"\7" * 32, "hours 3 12 aa cc"), signed(ML_DSA).signatures)
    assert policy.verify(forged).extensions == ()
    with pytest.raises(CheckpointError, match=r"signature of .* is wrong"):
        policy.verify(Note(forged.text, signed(ED25519, ML_DSA).signatures))


X1 = f"witness X1 {KEYS['X1'].verifier_key}"
X2 = f"witness X2 {KEYS['X2'].verifier_key}"
ECDSA = "example.org+00000000+Ag=="


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no line `quorum NAME`"),
        (f"log {ED25519.verifier_key}\n", "no line `quorum NAME`"),
        ("quorum none", "line 1 does not end with a newline"),
        ("quorum none\nquorum none\n", "line 2: there is a line `quorum` already"),
        ("quorum\n", "line 1: expected `quorum NAME`"),
        ("quorum none none\n", "line 1: expected `quorum NAME`"),
        ("quorum X1\n", "line 1: X1 is not the name of a witness or a group of an earlier line"),
        (f"quorum X1\n{X1}\n", "line 1: X1 is not the name"),
        ("quorum none\r\n", "line 1: it holds the control character 0x0d; lines end with a newline alone"),
        ("# \x00\nquorum none\n", "line 1: it holds the control character 0x00"),
        ("quorum none \x7f\n", "line 1: it holds the control character 0x7f"),
        ("Quorum none\n", "line 1: Quorum is not known; a line begins with log, witness, group, quorum or #"),
        ("log\nquorum none\n", r"line 1: expected `log VKEY \[URL\]`"),
        ("log a b c\nquorum none\n", r"line 1: expected `log VKEY \[URL\]`"),
        ("log a+b\nquorum none\n", "line 1: not a verifier key"),
        (f"log {ECDSA}\nquorum none\n", "line 1: the verifier key .* is of a kind that is not known here"),
        (f"log {KEYS['X1'].verifier_key}\nquorum none\n", "line 1: the key of X1 is of kind 0x04; a log's is of kind"),
        (f"witness w {ED25519.verifier_key}\nquorum w\n", "line 1: .* is of kind 0x01; a witness's is of kind"),
        ("witness w\nquorum none\n", r"line 1: expected `witness NAME VKEY \[URL\]`"),
        (f"witness none {KEYS['X1'].verifier_key}\nquorum none\n", "line 1: the name `none` has a meaning of its own"),
        (f"{X1}\n{X1}\nquorum X1\n", "line 2: the name X1 is used already"),
        (f"{X1}\n{X1.replace(' X1', ' Z', 1)}\nquorum X1\n", "line 2: the key of X1 is that of an earlier line"),
        (f"log {ML_DSA.verifier_key}\nwitness w {ML_DSA.verifier_key}\nquorum w\n", "of a log and of a witness"),
        (f"{X1}\ngroup g\nquorum g\n", "line 2: expected `group NAME all|any|NUMBER MEMBER...`"),
        (f"{X1}\ngroup g all\nquorum g\n", "line 2: expected `group NAME"),
        (f"{X1}\ngroup g 0 X1\nquorum g\n", "line 2: expected all, any or a number from 1 to 1 in place of 0"),
        (f"{X1}\ngroup g 2 X1\nquorum g\n", "line 2: expected all, any or a number from 1 to 1 in place of 2"),
        (f"{X1}\ngroup g 01 X1\nquorum g\n", "line 2: expected all, any or a number"),
        (f"{X1}\ngroup g \u0661 X1\nquorum g\n", "line 2: expected all, any or a number"),
        (f"{X1}\ngroup g most X1\nquorum g\n", "line 2: expected all, any or a number"),
        (f"{X1}\ngroup g any X1 X1\nquorum g\n", "line 2: X1 is a member of a group already"),
        (f"{X1}\ngroup g any X1\ngroup h any X1\nquorum h\n", "line 3: X1 is a member of a group already"),
        (f"{X1}\ngroup g any g\nquorum g\n", "line 2: g is not the name"),
        (f"{X1}\ngroup g any X1 none\nquorum g\n", "line 2: none is not the name"),
        (f"{X1}\ngroup g any X1 h\n{X2}\ngroup h any X2\nquorum g\n", "line 2: h is not the name"),
        (f"{X1}\ngroup X1 any X1\nquorum X1\n", "line 2: the name X1 is used already"),
        (f"{X1}\ngroup none any X1\nquorum none\n", "line 2: the name `none` has a meaning of its own"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_line(content: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy.parse(content.encode())


def test_names_are_bytes_to_the_format() -> None:
    kelvin, latin, broken = "\u212a".encode(), b"K", b"\xff\xfe"
    lines = [
        b"witness %s %s\n" % (name, str(key.verifier_key).encode())
        for name, key in zip((kelvin, latin, broken), KEYS.values(), strict=False)
    ]
    policy = Policy.parse(b"# \xc3\x28\n" + b"".join(lines) + b"group g any " + broken + b"\nquorum g\n")
    assert len({each.name for each in policy.witnesses}) == 3
    with pytest.raises(CheckpointError, match=r"\\xff\\xfe"):
        policy.for_logs([ED25519.verifier_key]).verify(signed(ED25519, KEYS["X1"], KEYS["X2"]))
    assert policy.for_logs([ED25519.verifier_key]).verify(signed(ED25519, KEYS["X3"])).size == 12


@given(st.binary())
def test_any_bytes_are_a_policy_or_a_policy_error(content: bytes) -> None:
    with suppress(PolicyError):
        Policy.parse(content)


WORDS = [
    X1,
    X2,
    f"log {ED25519.verifier_key}",
    "group",
    "quorum",
    "g",
    "any",
    "all",
    "1",
    "2",
    "X1",
    "X2",
    "none",
    "\n",
    " ",
    "\t",
    "#",
]


@given(st.lists(st.sampled_from(WORDS)))
def test_any_words_of_a_policy_are_a_policy_or_a_policy_error(words: list[str]) -> None:
    try:
        policy = Policy.parse(" ".join(words).encode())
    except PolicyError:
        return
    assert policy.missing({"X1", "X2"}) is None or policy.missing(()) is not None
    assert (policy.missing(()) is None) is (policy.quorum == "none")
