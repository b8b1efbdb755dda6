"""`hours checkpoint` and `hours signing-keys`: what they print, what they refuse, and the way back after a loss."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from replay.certificates.evidence import extra_of_event
from replay.proof import key_backup
from replay.proof.checkpoints import verify_checkpoint, verify_with_keys
from replay.proof.keys import PublishedKeys
from replay.proof.notes import VerifierKey
from replay.proof.proofs import Proof
from tests.support.api.command_line import CommandLine

pytest_plugins = ["tests.support.api.fixtures"]

ORIGIN = "hours.example.org/log"
RULES = 'name = "x"\ntime_zone = "Asia/Shanghai"\n'


@pytest.fixture
def made(bare: CommandLine) -> CommandLine:
    """The command line on a new ledger with one event, its rules."""
    answer = bare("init", "--origin", ORIGIN, "--json").answer
    assert answer["origin"] == ORIGIN
    return bare


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(key_backup, "COST", 1 << 10)
    monkeypatch.setattr(key_backup.encrypt, "__defaults__", (1 << 10,))
    file = tmp_path / "passphrase"
    file.write_text("correct horse battery\n")
    return file


def published(hours: CommandLine) -> PublishedKeys:
    return PublishedKeys.from_json(json.dumps(hours("signing-keys", "list", "--json").answer))


# --- checkpoint ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_printed_and_written(made: CommandLine, tmp_path: Path) -> None:
    printed = made("checkpoint")
    assert printed.code == 0, printed.err
    checkpoint = verify_checkpoint(printed.out.encode(), published(made))
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 1)
    file = tmp_path / "checkpoint"
    assert made("checkpoint", "--output", file).code == 0
    assert file.read_text() == printed.out
    assert "exists" in made("checkpoint", "--output", file).sentence
    assert made("checkpoint", "--output", file, "--force").code == 0
    answer = made("checkpoint", "--verify", "--json").answer
    assert (answer["size"], answer["compared"], answer["checkpoint"]) == (1, 1, printed.out)


def test_each_printed_key_verifies_alone(made: CommandLine) -> None:
    checkpoint = made("checkpoint").out.encode()
    keys = [line for line in made("signing-keys", "list").out.splitlines() if line.startswith(f"{ORIGIN}+")]
    assert len(keys) == 2
    for key in keys:
        verify_with_keys(checkpoint, [VerifierKey.parse(key)])


def test_an_empty_ledger_has_no_checkpoint(hours: CommandLine) -> None:
    assert "holds no events yet" in hours("checkpoint").sentence


def test_an_altered_log_ends_with_one_and_status_says_so(made: CommandLine, database_url: str) -> None:
    made("checkpoint")
    assert made("status").code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS TABLE ledger.stored_events")
        connection.execute("UPDATE ledger.stored_events SET state = state || ' '")
    answer = made("checkpoint")
    assert answer.code == 1
    assert "event 1 differs" in answer.err
    status = made("status", "--json")
    assert status.code == 1
    problem = json.loads(status.out)["tree"]["problem"]
    assert "event 1 differs" in problem
    assert "`hours checkpoint --verify`" in problem
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM ledger.stored_events")
        connection.execute("INSERT INTO ledger.stored_events SELECT * FROM kept")
    assert made("checkpoint").code == 1
    assert made("checkpoint", "--verify").code == 0
    assert made("status").code == 0


def test_status_says_how_far_the_tree_is_and_which_keys_sign(made: CommandLine) -> None:
    before = made("status")
    assert "no checkpoint yet" in before.out
    made("checkpoint")
    tree = json.loads(made("status", "--json").out)["tree"]
    assert (tree["origin"], tree["position"], tree["published"], tree["lag"], tree["problem"]) == (
        ORIGIN,
        1,
        1,
        0,
        None,
    )
    assert tree["keys"] == [f"{key.name}+{key.key_id:08x}" for key in published(made).current.keys]
    (made.data / "proof" / "keys" / "generation-1.keys").chmod(0o644)
    status = made("status")
    assert (status.code, "others can read" in " ".join(status.out.split())) == (1, True), status.out
    assert "no signing keys yet" not in status.out
    (made.data / "proof" / "keys" / "keys.json").write_text("{}")
    status = made("status")
    assert (status.code, "no signing keys yet" in status.out) == (1, False), status.out
    assert tree["signed_at"]
    assert "keys" in made("status").out


# --- proofs of events -------------------------------------------------------------------------------------------------


def test_a_proof_is_printed_and_written(made: CommandLine, tmp_path: Path) -> None:
    assert "is not covered" in made("proof", 1).sentence
    assert "none at position 2" in made("proof", 2).sentence
    checkpoint = made("checkpoint").out
    printed = made("proof", 1).out
    proof = Proof.parse(printed.encode())
    assert (proof.index, proof.hashes, proof.checkpoint.encode().decode()) == (0, (), checkpoint)
    file = tmp_path / "event.tlog-proof"
    assert made("proof", 1, "--output", file).code == 0
    assert file.read_text() == printed
    assert made("proof", 1, "--json").answer == {"position": 1, "size": 1, "proof": printed}


def test_a_proof_of_an_event_is_verified_anywhere(made: CommandLine, tmp_path: Path) -> None:
    """It carries the event; every kind of --key is taken, and keys that do not count are not."""
    file, listed, lines = tmp_path / "event.tlog-proof", tmp_path / "keys.json", tmp_path / "keys.txt"
    assert made("checkpoint").code == 0
    assert made("proof", 1, "--output", file).code == 0
    listed.write_text(made("signing-keys", "list", "--json").out)
    keys = published(made).verifier_keys
    lines.write_text("# keys\n" + "".join(f"{key}\n" for key in keys))
    for given in ((), ("--key", listed), ("--key", lines), ("--key", keys[0]), ("--key", keys[1], "--key", keys[0])):
        found = made("verify", file, *given)
        assert found.code == 0, found.out
        assert "proved       Event 1, " in found.out
        assert len(found.out.splitlines()) == 4  # although the text of the rules has many lines
        assert "its event is in the checkpoint of size 1" in found.out
    assert made("verify", file, "--json").answer["event"]["position"] == 1
    proof = Proof.parse(file.read_bytes())
    entry = base64.b64decode(json.loads(proof.extra or b"")["entry"])
    forged = {
        "carries no event": None,
        "the tlog-proof is wrong": extra_of_event(entry[:-1] + b"?"),
        "another event": extra_of_event(b"\1" + entry[1:]),
        "no event that is known": b"{}",
        "in another form": b'{"entry": ""}',
    }
    for sentence, extra in forged.items():
        file.write_bytes(replace(proof, extra=extra).encode())
        refused = made("verify", file)
        assert (refused.code, sentence in refused.out) == (1, True), refused.out
    file.write_bytes(proof.encode())
    assert made("signing-keys", "rotate", "--stolen").code == 0
    assert made("verify", file).code == 1
    assert made("verify", file, "--key", listed).code == 0  # for who does not know of it yet
    listed.write_text("{}")
    assert "--key" in made("verify", file, "--key", listed).sentence


# --- signing keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["https://hours.example.org", "a b", ""])
def test_an_origin_is_checked_before_anything_is_made(bare: CommandLine, origin: str) -> None:
    assert "cannot be the origin" in bare("init", "--origin", origin).sentence
    assert "no ledger" in bare("status").sentence or "holds none" in bare("status").sentence


def test_a_ledger_without_keys_gets_them(hours: CommandLine) -> None:
    assert "holds no signing keys" in hours("signing-keys", "list").sentence
    made = hours("signing-keys", "make", "--origin", ORIGIN, "--json").answer
    assert made["origin"] == ORIGIN
    assert "rotate" in hours("signing-keys", "make").sentence


def test_after_a_rotation_old_checkpoints_stay_verifiable(made: CommandLine) -> None:
    old = made("checkpoint").out.encode()
    assert made("signing-keys", "rotate").code == 0
    new = made("checkpoint").out.encode()
    keys = published(made)
    assert len(keys.generations) == 2
    for content in (old, new):
        verify_checkpoint(content, keys)
    assert old != new


def test_both_kinds_of_keys_say_how_they_differ(hours: CommandLine) -> None:
    assert "hours signing-keys" in hours("keys", "--help").out
    assert "hours keys" in hours("signing-keys", "--help").out


# --- a lost or stolen key: the procedure of docs/signing-keys.md -----------------------------------------------------


def test_a_lost_key_comes_back_from_its_backup(made: CommandLine, tmp_path: Path, passphrase: Path) -> None:
    first = made("checkpoint").out
    file = tmp_path / "keys.backup"
    assert made("signing-keys", "backup", file, "--passphrase-file", passphrase).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert "exists" in made("signing-keys", "backup", file, "--passphrase-file", passphrase).sentence
    shutil.rmtree(made.data / "proof" / "keys")
    assert made("checkpoint").code != 0
    assert "bring them back" in made("signing-keys", "make").sentence
    assert made("signing-keys", "restore", file, "--passphrase-file", passphrase).code == 0
    assert made("checkpoint").out == first


def test_a_restored_ledger_says_that_only_private_keys_are_missing(made: CommandLine) -> None:
    made("checkpoint")
    (path,) = (made.data / "proof" / "keys").glob("*.keys")
    path.unlink()
    shown = made("status")
    words = " ".join(shown.out.split())
    assert (shown.code, "no signing keys yet" in words, "hours signing-keys restore" in words) == (1, False, True)
    tree = json.loads(made("status", "--json").out)["tree"]
    assert (tree["origin"], tree["position"], len(tree["keys"])) == (ORIGIN, 1, 2)


def test_a_wrong_passphrase_brings_nothing_back(made: CommandLine, tmp_path: Path, passphrase: Path) -> None:
    file = tmp_path / "keys.backup"
    made("signing-keys", "backup", file, "--passphrase-file", passphrase)
    shutil.rmtree(made.data / "proof" / "keys")
    passphrase.write_text("another passphrase")
    assert "passphrase is wrong" in made("signing-keys", "restore", file, "--passphrase-file", passphrase).sentence
    assert not (made.data / "proof" / "keys").exists()


def test_without_a_terminal_the_passphrase_comes_from_a_file(made: CommandLine, tmp_path: Path) -> None:
    assert "--passphrase-file" in made("signing-keys", "backup", tmp_path / "keys").sentence


def test_a_lost_key_without_a_backup_is_replaced(made: CommandLine) -> None:
    old = made("checkpoint").out.encode()
    (made.data / "proof" / "keys" / "generation-1.keys").unlink()
    assert made("status").code == 1
    assert made("signing-keys", "rotate").code == 0
    keys = published(made)
    verify_checkpoint(old, keys)
    verify_checkpoint(made("checkpoint").out.encode(), keys)
    assert made("status").code == 0


def test_nothing_is_verified_by_a_stolen_key(made: CommandLine) -> None:
    old = made("checkpoint").out.encode()
    assert made("signing-keys", "rotate", "--stolen").code == 0
    keys = published(made)
    with pytest.raises(ValueError, match="that count"):
        verify_checkpoint(old, keys)
    assert verify_checkpoint(made("checkpoint").out.encode(), keys).size == 1
    assert "stolen" in made("signing-keys", "list").out
