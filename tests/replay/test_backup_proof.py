"""What a backup holds of the proof: a restored ledger knows what it has signed, and no private key is in a backup."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from api.operations.schema_parts import PARTS
from api.operations.service import OpenLedger
from ledger.store.database import Database
from replay.backup.authentication import BackupError
from replay.backup.backup import MANIFEST, PROOF, back_up, restore, verify
from replay.backup.proof import bring_back, public_files, require_another_log
from replay.proof.agreement import TreeDisagreesError
from replay.proof.growth import TransparencyLog
from replay.proof.keys import SigningKeyError
from tests.support.api.serving import give, stock

pytest_plugins = ["tests.support.api.fixtures"]

ORIGIN = "hours.example.org/log"


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> OpenLedger:
    """A ledger with a checkpoint of all its events."""
    ledger = OpenLedger(database, tmp_path / "kept")
    stock(ledger)
    ledger.tree.keys.make(ORIGIN, 1)
    ledger.tree.keys.secret("seal")
    ledger.tree.grow()
    return ledger


@pytest.fixture
def elsewhere(new_database_url: Callable[[], str], tmp_path: Path) -> OpenLedger:
    return OpenLedger(Database.open(new_database_url()), tmp_path / "elsewhere")


def test_a_restored_ledger_goes_on_from_what_was_signed(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path
) -> None:
    made = back_up(kept.database, tmp_path / "backup", tree=kept.tree)
    assert verify(tmp_path / "backup") == made
    restore(tmp_path / "backup", elsewhere.database, PARTS, tree=elsewhere.tree)
    before = kept.tree.newest()
    assert elsewhere.tree.newest() == before
    give(elsewhere, "register-volunteer", volunteer="V0000099", registered_on="2016-03-05")
    with pytest.raises(SigningKeyError, match=r"hours signing-keys restore.*rotate"):
        elsewhere.tree.grow()
    elsewhere.tree.keys.restore(kept.tree.keys.private_files())
    signed = elsewhere.tree.grow()
    assert before is not None
    assert signed is not None
    assert signed.size == before.size + 1


def test_a_restored_ledger_that_lacks_signed_events_does_not_sign_others(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path
) -> None:
    back_up(kept.database, tmp_path / "backup", tree=kept.tree)
    give(kept, "register-volunteer", volunteer="V0000099", registered_on="2016-03-05")
    later = kept.tree.grow()
    assert later is not None
    restore(tmp_path / "backup", elsewhere.database, PARTS, tree=elsewhere.tree)
    elsewhere.tree.keys.restore(kept.tree.keys.private_files())
    elsewhere.tree.checkpoints.store(later, 0)  # as docs/signing-keys.md asks for
    with pytest.raises(TreeDisagreesError, match=f"those from {later.size} on are missing"):
        elsewhere.tree.grow()


@pytest.mark.parametrize("left", [("proof", "tiles"), ("proof",), ("tiles",)])
@pytest.mark.parametrize("beyond", [True, False])
def test_a_backup_is_restored_beside_a_proof_only_if_it_holds_all_that_was_signed(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path, left: tuple[str, ...], *, beyond: bool
) -> None:
    made = back_up(kept.database, tmp_path / "backup", tree=kept.tree)
    if beyond:
        give(kept, "register-volunteer", volunteer="V0000099", registered_on="2016-03-05")
        kept.tree.grow()
    for name in left:
        shutil.copytree(kept.data / name, elsewhere.data / name)
    if beyond:
        told = rf"{made.head + 1} events were signed .*only the first {made.head}, so nothing was restored.*--new-log"
        with pytest.raises(BackupError, match=told):
            restore(tmp_path / "backup", elsewhere.database, PARTS, tree=elsewhere.tree)
        assert elsewhere.log.head() == 0
        with pytest.raises(BackupError, match="hold the log before"):
            require_another_log(elsewhere.tree, "hours.example.org/log-2", public_files(kept.tree))
    else:
        restore(tmp_path / "backup", elsewhere.database, PARTS, tree=elsewhere.tree)
        if "proof" not in left:
            elsewhere.tree.keys.restore(kept.tree.keys.private_files())
        signed, before = elsewhere.tree.grow(), kept.tree.newest()
        assert signed is not None
        assert before is not None
        assert (signed.origin, signed.size, signed.root) == (before.origin, before.size, before.root)


def test_another_log_has_another_origin(kept: OpenLedger, elsewhere: OpenLedger) -> None:
    with pytest.raises(BackupError, match="is the origin of the log before"):
        require_another_log(elsewhere.tree, ORIGIN, public_files(kept.tree))
    require_another_log(elsewhere.tree, f"{ORIGIN}-2", public_files(kept.tree))


def test_no_private_key_is_in_a_backup(kept: OpenLedger, tmp_path: Path) -> None:
    back_up(kept.database, tmp_path / "backup", tree=kept.tree)
    secrets = [key.seed.hex().encode() for key in kept.tree.keys.signing_keys()]
    secrets.append(kept.tree.keys.secret("seal").hex().encode())
    content = (tmp_path / "backup" / PROOF).read_bytes()
    assert not any(secret in content or bytes.fromhex(secret.decode()) in content for secret in secrets)
    assert sorted(name.partition("/")[0] for name in json.loads(content)) == ["checkpoints", "keys"]


def test_a_restored_ledger_asks_the_witnesses_that_it_asked_before(kept: OpenLedger, tmp_path: Path) -> None:
    """Without its policy it would publish checkpoints without them."""
    policy = tmp_path / "policy"
    policy.write_text("quorum none\n")
    kept.tree.witnesses.install(policy)
    restored = TransparencyLog(tmp_path / "restored")
    bring_back(restored, public_files(kept.tree), 10**6)
    assert restored.witnesses.path.read_text() == "quorum none\n"
    damaged = json.loads(public_files(kept.tree)) | {"log-policy": "quorum"}
    with pytest.raises(BackupError, match="damaged"):
        bring_back(TransparencyLog(tmp_path / "again"), json.dumps(damaged).encode(), 10**6)


def test_a_changed_or_missing_file_is_refused(kept: OpenLedger, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    back_up(kept.database, folder, tree=kept.tree)
    content = (folder / PROOF).read_bytes()
    (folder / PROOF).write_bytes(content.replace(b"hours", b"Hours", 1))
    with pytest.raises(BackupError, match="was changed"):
        verify(folder)
    (folder / PROOF).unlink()
    with pytest.raises(BackupError, match="is missing"):
        verify(folder)
    (folder / PROOF).symlink_to(folder / MANIFEST)
    with pytest.raises(BackupError, match="is missing, or is not a file"):
        verify(folder)


@pytest.mark.parametrize(
    "name",
    ["../escape", "keys/generation-1.keys", "checkpoints/../../x", "/etc/passwd", "checkpoints/x", "keys/keys.json/"],
)
def test_a_backup_writes_no_other_files(kept: OpenLedger, tmp_path: Path, name: str) -> None:
    files = json.loads(public_files(kept.tree)) | {name: "x"}
    tree = TransparencyLog(tmp_path / "data")
    with pytest.raises(BackupError):
        bring_back(tree, json.dumps(files).encode(), 10**6)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [b"[]", b"{}", b"\xff", b'{"keys/keys.json": 1}', b'{"keys/keys.json": "{}"}'])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BackupError, match="damaged"):
        bring_back(TransparencyLog(tmp_path), content, 10**6)


def test_keys_of_another_log_are_left_alone(kept: OpenLedger, tmp_path: Path) -> None:
    tree = TransparencyLog(tmp_path / "other")
    tree.keys.make("other.example.org", 1)
    with pytest.raises(BackupError, match="keys of another log"):
        bring_back(tree, public_files(kept.tree), 10**6)


def test_a_ledger_without_keys_has_nothing_to_back_up(database: Database, tmp_path: Path) -> None:
    ledger = OpenLedger(database, tmp_path / "data")
    made = back_up(database, tmp_path / "backup", tree=ledger.tree)
    assert made.proof_sha256 is None
    assert not (tmp_path / "backup" / PROOF).exists()
