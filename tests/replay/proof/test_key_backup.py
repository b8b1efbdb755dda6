"""Backups of signing keys: they open with their passphrase only, and as they were written only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.proof.key_backup import decrypt, encrypt
from replay.proof.keys import KeyFolder, SigningKeyError

PASSPHRASE = "correct horse battery"
FILES = {"keys.json": b"{}", "generation-1.keys": b"\x00\xff"}
CHEAP = 1 << 10


def test_a_backup_opens_with_its_passphrase() -> None:
    backup = encrypt(FILES, PASSPHRASE, CHEAP)
    assert decrypt(backup, PASSPHRASE) == FILES
    assert b"generation" not in backup


def test_the_usual_cost_is_high() -> None:
    assert json.loads(encrypt(FILES, PASSPHRASE))["scrypt_n"] == 1 << 17


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(SigningKeyError, match="passphrase is wrong"):
        decrypt(encrypt(FILES, PASSPHRASE, CHEAP), f"{PASSPHRASE} ")


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(SigningKeyError, match="too short: use 12"):
        encrypt(FILES, "short", CHEAP)


@pytest.mark.parametrize("field", ["format", "scrypt_n", "salt", "nonce", "sealed"])
@pytest.mark.parametrize("change", ["removed", "other", "no text"])
def test_every_field_is_authenticated(field: str, change: str) -> None:
    fields = json.loads(encrypt(FILES, PASSPHRASE, CHEAP))
    other = json.loads(encrypt(FILES, PASSPHRASE, 2 * CHEAP))
    match change:
        case "removed":
            del fields[field]
        case "other":
            fields[field] = f"{fields[field]} 2" if field == "format" else other[field]
        case _:
            fields[field] = [1]
    with pytest.raises(SigningKeyError):
        decrypt(json.dumps(fields).encode(), PASSPHRASE)


@pytest.mark.parametrize("cost", [0, 1, 1023, 3 * 1024, 1 << 40, -1024, True, "1024"])
def test_a_cost_that_nobody_would_choose_is_refused_before_it_is_paid(cost: object) -> None:
    fields = json.loads(encrypt(FILES, PASSPHRASE, CHEAP)) | {"scrypt_n": cost}
    with pytest.raises(SigningKeyError, match="is not a backup"):
        decrypt(json.dumps(fields).encode(), PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(SigningKeyError, match="is not a backup"):
        decrypt(content, PASSPHRASE)


def test_keys_come_back_on_another_machine(tmp_path: Path) -> None:
    here, there = KeyFolder(tmp_path / "here"), KeyFolder(tmp_path / "there")
    here.make("hours.example.org", 1)
    secret = here.secret("seal")
    there.restore(decrypt(encrypt(here.private_files(), PASSPHRASE, CHEAP), PASSPHRASE))
    assert there.signing_keys() == here.signing_keys()
    assert there.secret("seal") == secret
