"""Signed notes: one form only, every signature by a known key counts, and an attacker gains nothing from the rest."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.proof import notes
from replay.proof.notes import (
    Note,
    NoteError,
    Signature,
    SignatureKind,
    SigningKey,
    VerifierKey,
    read_note,
    read_signatures,
    sign_note,
    tree_head,
    verify_note,
)
from tests.support.replay.proofs import NOW, checkpoint_text, log_keys, witness_key

ED25519, ML_DSA = log_keys()
KEYS = [ED25519, ML_DSA, witness_key("w"), witness_key("w", SignatureKind.ML_DSA_44_COSIGNATURE)]
TEXT = checkpoint_text(12, b"\7" * 32, "hours 3 12 aa bb")
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""The order of the base point of Ed25519."""


def test_the_examples_of_the_specification() -> None:
    key = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    signature = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    note = read_note(f"This is an example message.\n\n— example.com/foo {signature}\n".encode())
    assert [each.key for each in verify_note(note, [key])] == [key]
    assert str(key) == "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.kind:02x}")
def test_a_signature_holds_for_its_text_its_key_and_its_time(key: SigningKey) -> None:
    note = sign_note(TEXT, [key], NOW)
    (found,) = verify_note(read_note(note.encode()), [key.verifier_key])
    assert found == (key.verifier_key, None if key.kind is SignatureKind.ED25519 else NOW)
    assert VerifierKey.parse(str(key.verifier_key)) == key.verifier_key
    assert "seed" not in repr(key)
    for text in (TEXT.replace("12", "13", 1), TEXT.replace("Bw", "Cw"), "x" + TEXT):
        with pytest.raises(NoteError, match="signature"):
            verify_note(Note(text, note.signatures), [key.verifier_key])
    (line,) = note.signatures
    for place in range(len(line.signature)):
        changed = bytearray(line.signature)
        changed[place] ^= 1
        with pytest.raises(NoteError, match="signature"):
            verify_note(Note(TEXT, (line._replace(signature=bytes(changed)),)), [key.verifier_key])
    for other in (line.signature[:-1], line.signature + b"\0", b"", line.signature[:8]):
        with pytest.raises(NoteError, match="signature"):
            verify_note(Note(TEXT, (line._replace(signature=other),)), [key.verifier_key])


def test_an_ed25519_signature_has_one_form() -> None:
    """S and S plus the order of the group would both fit the equation (RFC 8032, 5.1.7)."""
    (line,) = sign_note(TEXT, [ED25519], NOW).signatures
    scalar = int.from_bytes(line.signature[32:], "little") + GROUP_ORDER
    twin = line.signature[:32] + scalar.to_bytes(32, "little")
    with pytest.raises(NoteError, match="is wrong"):
        verify_note(Note(TEXT, (line._replace(signature=twin),)), [ED25519.verifier_key])


def test_a_signature_of_one_kind_is_none_of_another() -> None:
    seed = b"\5" * 32
    own, cosigned = (SigningKey("w", kind, seed) for kind in (SignatureKind.ED25519, SignatureKind.ED25519_COSIGNATURE))
    assert own.verifier_key.key_id != cosigned.verifier_key.key_id
    line = own.sign(TEXT, NOW)
    stated = NOW.to_bytes(8, "big") + line.signature
    forged = Signature("w", cosigned.verifier_key.key_id, stated)
    with pytest.raises(NoteError, match="is wrong"):
        verify_note(Note(TEXT, (forged,)), [cosigned.verifier_key])


def test_lines_by_unknown_keys_are_ignored_and_one_wrong_line_by_a_known_key_is_not() -> None:
    note = sign_note(TEXT, [KEYS[2], ED25519], NOW)
    assert [each.key for each in verify_note(note, [ED25519.verifier_key])] == [ED25519.verifier_key]
    right = note.signatures[1]
    wrong = right._replace(signature=bytes(64))
    for lines in ((right, wrong), (wrong, right)):
        with pytest.raises(NoteError, match="is wrong"):
            verify_note(Note(TEXT, lines), [ED25519.verifier_key])
    same_name = wrong._replace(key_id=wrong.key_id ^ 1)
    same_id = wrong._replace(name="another")
    assert len(verify_note(Note(TEXT, (same_name, right, same_id)), [ED25519.verifier_key])) == 1


def test_two_keys_with_one_name_and_one_key_id_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key id has 32 bits: who may choose a key finds one that collides within minutes."""
    monkeypatch.setattr(VerifierKey, "key_id", 7)
    one, other = ED25519.verifier_key, VerifierKey(ED25519.name, SignatureKind.ED25519, bytes(32))
    note = Note(TEXT, (ED25519.sign(TEXT, NOW),))
    assert len(verify_note(note, [one, one])) == 1
    for keys in ([one, other], [other, one]):
        with pytest.raises(NoteError, match="two different keys have the name"):
            verify_note(note, keys)


@pytest.mark.parametrize("time", [0, -1, 1 << 63, 1 << 64])
def test_a_cosignature_states_a_time(time: int) -> None:
    for key in KEYS[1:]:
        with pytest.raises(NoteError, match="not a time"):
            key.sign(TEXT, time)
        if 0 <= time < 1 << 64:
            line = key.sign(TEXT, NOW)
            changed = line._replace(signature=time.to_bytes(8, "big") + line.signature[8:])
            with pytest.raises(NoteError, match="out of range"):
                verify_note(Note(TEXT, (changed,)), [key.verifier_key])


@pytest.mark.parametrize(
    "text", ["x\n", "o\n1\n", TEXT[:-1], "o\n1\nAA==\n", f"\n{TEXT}", TEXT.replace("hours", "\nhours")]
)
def test_only_checkpoints_are_cosigned(text: str) -> None:
    for key in KEYS[1:]:
        with pytest.raises(NoteError):
            key.sign(text, NOW)


GOOD = sign_note(TEXT, [ED25519, KEYS[2]], NOW).encode().decode()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("\n\n", "\n", "no signatures"),
        ("\n\n", "\n\n\n", None),
        ("— hours", "- hours", "not a signature line"),
        ("— hours", "—  hours", "cannot be named"),
        ("— hours", "—\u00a0hours", "not a signature line"),
        ("log ", "log  ", "is not base64"),
        ("log ", "log\u00a0x ", "cannot be named"),
        ("log ", "log+x ", "cannot be named"),
        ("hours 3", "hours\t3", "control character"),
        ("hours 3", "hours\r3", "control character"),
        ("hours 3", "hours\0003", "control character"),
        ("— w ", "— w AAAA\n— w ", "too short"),
        ("— w ", "— w AAAAAA==\n— w ", "too short"),
        ("— w ", "— w AAAAAB==\n— w ", "in its usual form"),
        ("— w ", f"{'— x AAAAAAA=' + chr(10)}" * 63 + "— w ", "more than 64 signatures"),
        ("\n\n", "\n" + "x" * 1_000_000 + "\n\n", "larger than 1,000,000 bytes"),
    ],
)  # fmt: skip
def test_other_forms_of_a_note_are_refused(before: str, after: str, message: str | None) -> None:
    changed = GOOD.replace(before, after, 1).encode()
    assert changed.decode() != GOOD
    if message is None:  # an empty line more belongs to the text, which is no checkpoint's then
        with pytest.raises(NoteError, match="none of them empty"):
            tree_head(read_note(changed).text)
    else:
        with pytest.raises(NoteError, match=message):
            read_note(changed)


@pytest.mark.parametrize("end", [b"", b"\n", b" ", b"\n\n"])
def test_a_note_ends_with_its_last_signature_line(end: bytes) -> None:
    with pytest.raises(NoteError):
        read_note(GOOD.encode()[:-1] + end + (b"x" if end == b"\n" else b""))


def test_a_checkpoint_has_one_form_of_its_size_and_root() -> None:
    root = base64.b64encode(b"\7" * 32).decode()
    assert tree_head(f"o\n0\n{root}\n") == ("o", 0, b"\7" * 32)
    assert tree_head(f"o\n{(1 << 63) - 1}\n{root}\n")[1] == (1 << 63) - 1
    for size in ("", "00", "01", "-1", "+1", " 1", "1 ", "1_0", "0x1", "\u0661", "\u00b2", str(1 << 63), "9" * 5000):
        with pytest.raises(NoteError):
            tree_head(f"o\n{size}\n{root}\n")
    for other in (root[:-1], root + "=", root[:-2] + "d=", root[:-4], base64.b64encode(bytes(33)).decode(), root + " "):
        with pytest.raises(NoteError):
            tree_head(f"o\n1\n{other}\n")


def test_an_answer_of_a_witness_is_signature_lines_and_nothing_else() -> None:
    lines = "".join(each.line for each in sign_note(TEXT, KEYS, NOW).signatures).encode()
    assert [each.name for each in read_signatures(lines)] == [key.name for key in KEYS]
    for content in (b"", b"\n", lines[:-1], b"x\n" + lines, b"x\n\n" + lines, lines + b"\n" + lines, lines + b"\n"):
        with pytest.raises(NoteError):
            read_signatures(content)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "+",
        "a+b",
        "a+00000000+",
        "a+00000000+AQ==",
        "a b+00000000+AQ==",
        str(ED25519.verifier_key).upper(),
        str(ED25519.verifier_key) + "=",
        str(ED25519.verifier_key)[:-4],
        str(ED25519.verifier_key).replace("log+", "lob+"),
        str(ED25519.verifier_key).replace("hours.example", "hours\n.example"),
    ],
)
def test_a_verifier_key_has_one_form(vkey: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(vkey)


@given(
    st.binary() | st.text().map(str.encode) | st.text().map(lambda text: text.encode() + b"\n\n" + GOOD.encode()[-95:])
)
def test_any_bytes_are_a_note_that_is_written_as_it_was_read_or_a_note_error(content: bytes) -> None:
    with suppress(NoteError):
        assert read_note(content).encode() == content


@given(st.integers(0, len(GOOD.encode()) - 1), st.integers(0, 40), st.binary(max_size=40))
def test_a_note_in_which_a_part_is_replaced_is_written_as_it_was_read_or_refused(at: int, cut: int, put: bytes) -> None:
    content = GOOD.encode()
    changed = content[:at] + put + content[at + cut :]
    with suppress(NoteError):
        note = read_note(changed)
        assert note.encode() == changed
        if note.text != TEXT:
            assert verify_note(note, [ED25519.verifier_key, KEYS[2].verifier_key]) == []


@given(st.text())
def test_any_text_is_a_verifier_key_that_is_written_as_it_was_read_or_a_note_error(text: str) -> None:
    with suppress(NoteError):
        assert str(VerifierKey.parse(text)) == text.strip()


def test_limits_leave_room_for_the_signatures_that_a_verifier_has_to_accept() -> None:
    keys = [witness_key(f"w{number}", SignatureKind.ML_DSA_44_COSIGNATURE) for number in range(16)]
    note = sign_note(TEXT, keys, NOW).encode()
    assert len(note) < notes.NOTE_BYTES_MAX
    assert len(verify_note(read_note(note), [key.verifier_key for key in keys])) == 16
