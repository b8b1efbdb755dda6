"""Growth: the tree is that of the log's rows, whatever steps it grew in, and nothing is signed over another log."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.names import Position
from ledger.store.database import Database
from replay.proof import growth
from replay.proof.agreement import DISAGREEMENT, TreeDisagreesError, TreeError
from replay.proof.checkpoints import Checkpoint, CheckpointFolder, verify_checkpoint
from replay.proof.entries import entries_in, entry_of, event_of
from replay.proof.growth import TransparencyLog
from replay.proof.notes import NoteError
from replay.proof.tiles import TileFolder
from replay.proof.tree import Hashes, hashes_of, leaf_hash, root_hash
from replay.proof.witnesses import WitnessError
from tests.support.replay.proofs import witness_key
from tests.support.replay.witness_server import Witness, serving_witness

ORIGIN = "hours.example.org/log"
NOW = 1_800_000_000


class Ledger:
    """A log whose rows a test writes, and its tree."""

    def __init__(self, database: Database, data: Path) -> None:
        self.database = database
        self.data = data
        self.tree = self.again()
        self.tree.keys.make(ORIGIN, NOW)

    def again(self) -> TransparencyLog:
        """Return the tree as another process would open it."""
        return TransparencyLog(self.data, self.database.log, clock=lambda: NOW)

    def run(self, statement: str, *values: object) -> None:
        with self.database.pool.connection() as connection:
            connection.execute(statement.encode(), values)

    def record(self, count: int) -> None:
        """Record events of various lengths, some not ASCII."""
        head = int(self.database.log.head())
        self.run(
            "INSERT INTO ledger.stored_events SELECT gen_random_uuid(), 1 + g %% 3, 'scan-recorded.v1', "
            "convert_to('{\"n\":' || g || ',\"x\":\"' || repeat('义', (g %% 90)::int) || '\"}', 'UTF8'), g "
            "FROM generate_series(%s::bigint, %s::bigint) AS g",
            head + 1,
            head + count,
        )

    def expected(self) -> Hashes:
        return hashes_of([leaf_hash(entry_of(event)) for event in self.database.log.read(Position(0), 1_000_000)])

    def files(self) -> dict[str, bytes]:
        paths = [path for folder in ("tiles", "proof") for path in (self.data / folder).rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in paths if path.name not in {DISAGREEMENT, "lock"}}


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Ledger:
    return Ledger(database, tmp_path)


def signed(checkpoint: Checkpoint | None) -> Checkpoint:
    assert checkpoint is not None
    return checkpoint


# --- entries ---------------------------------------------------------------------------------------------------------


def test_the_database_makes_the_entries_of_its_rows(ledger: Ledger) -> None:
    ledger.record(700)
    ledger.run("UPDATE ledger.stored_events SET state = '' WHERE notification_id = 150")
    ledger.run(
        "UPDATE ledger.stored_events SET state = decode(repeat('00ff', 30000), 'hex') WHERE notification_id = 151"
    )
    ledger.run("UPDATE ledger.stored_events SET topic = repeat('主', 80) WHERE notification_id = 152")
    ledger.run("UPDATE ledger.stored_events SET originator_version = 2^53 + 1 WHERE notification_id = 153")
    found = ledger.database.log.entries(100, 600)
    events = ledger.database.log.read(Position(100), 500, Position(600))
    entries = list(entries_in(found.bundle))
    assert entries == [entry_of(event) for event in events]
    assert [event_of(entry) for entry in entries] == events
    assert (found.events, found.longest) == (500, max(map(len, entries)))
    assert ledger.database.log.entries(700, 800) == (b"", 0, 0)


def test_an_event_that_no_entry_holds_is_named(ledger: Ledger) -> None:
    ledger.record(3)
    ledger.run("UPDATE ledger.stored_events SET state = decode(repeat('00', 65536), 'hex') WHERE notification_id = 2")
    with pytest.raises(TreeError, match="larger than 65,535 bytes"):
        ledger.tree.grow()
    assert ledger.tree.newest() is None


# --- growing ---------------------------------------------------------------------------------------------------------


def test_an_empty_log_is_not_signed(ledger: Ledger) -> None:
    assert ledger.tree.grow() is None


def test_the_tree_is_that_of_the_rows_whatever_steps_it_grew_in(ledger: Ledger) -> None:
    for count in (1, 1, 253, 1, 1, 600, 70_000, 5):
        ledger.record(count)
        checkpoint = signed(ledger.again().grow())
        expected, size = ledger.expected(), int(ledger.database.log.head())
        assert (checkpoint.size, checkpoint.root) == (size, root_hash(expected, size))
        assert verify_checkpoint(checkpoint.encode(), ledger.tree.keys.published()) == checkpoint
        assert ledger.tree.checkpoints.published() == checkpoint
        hashes = ledger.tree.tiles.hashes(size)
        assert all(hashes(0, index) == expected(0, index) for index in range(0, size, 997))


def test_without_anything_new_nothing_is_signed(ledger: Ledger) -> None:
    ledger.record(10)
    checkpoint, files = ledger.tree.grow(), ledger.files()
    assert ledger.again().grow() == checkpoint
    assert ledger.files() == files


def test_after_a_rotation_the_new_keys_sign_the_same_tree(ledger: Ledger) -> None:
    ledger.record(10)
    first = signed(ledger.tree.grow())
    ledger.tree.rotate()
    second = signed(ledger.tree.grow())
    assert (second.size, second.root) == (first.size, first.root)
    published = ledger.tree.keys.published()
    assert (published.generations[0].last_size, published.current.first_size) == (10, 10)
    verify_checkpoint(first.encode(), published)
    verify_checkpoint(second.encode(), published)
    ledger.record(5)
    assert signed(ledger.tree.grow()).size == 15


def test_a_log_whose_keys_were_stolen_goes_on_with_new_ones(ledger: Ledger) -> None:
    ledger.record(10)
    first = signed(ledger.tree.grow())
    ledger.tree.rotate(stolen=True)
    ledger.record(5)
    second = signed(ledger.again().grow())
    published = ledger.tree.keys.published()
    verify_checkpoint(second.encode(), published)
    with pytest.raises(NoteError):
        verify_checkpoint(first.encode(), published)


def test_a_catch_up_signs_on_its_way_and_publishes_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "CHUNK_EVENTS", 256)
    monkeypatch.setattr(growth, "INTERIM_EVENTS", 1024)
    ledger.record(3000)
    ledger.tree.catch_up()
    assert ledger.tree.checkpoints.sizes() == [1024, 2048, 3000]
    assert ledger.tree.checkpoints.published() is None
    assert signed(ledger.tree.grow()).size == 3000
    assert ledger.tree.checkpoints.published() is not None


def test_a_checkpoint_seals_the_hours_at_its_position(ledger: Ledger) -> None:
    ledger.record(7)
    ledger.tree.seal = lambda size: [f"hours 3 {size} digest root"]
    assert signed(ledger.tree.grow()).extensions == ("hours 3 7 digest root",)


def test_a_checkpoint_that_witnesses_refuse_is_kept_and_not_published(ledger: Ledger) -> None:
    ledger.record(7)
    first = signed(ledger.tree.grow())
    ledger.record(1)

    def refuse(_checkpoint: Checkpoint, _tiles: TileFolder) -> Checkpoint:
        raise TreeError("no witness has answered")

    ledger.tree.cosign = refuse
    for _ in range(2):
        with pytest.raises(TreeError, match="no witness"):
            ledger.tree.grow()
    assert ledger.tree.checkpoints.published() == first
    assert signed(ledger.tree.newest()).size == 8
    ledger.tree.cosign = lambda checkpoint, _tiles: checkpoint
    assert ledger.tree.grow() == ledger.tree.checkpoints.published()


def test_a_checkpoint_is_published_when_the_witnesses_of_the_policy_cosigned_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record(7)
    alone = signed(ledger.tree.grow())
    keys = list(ledger.tree.keys.published().current.keys)
    with serving_witness(Witness(witness_key("w1"), keys)) as witness:
        policy = tmp_path / "policy"
        policy.write_text(f"witness w1 {witness.key.verifier_key} {witness.url}\nquorum w1\n")
        ledger.tree.witnesses.install(policy)
        cosigned = signed(ledger.again().grow())
        assert (cosigned.size, len(alone.note.signatures), len(cosigned.note.signatures)) == (7, 2, 3)
        ledger.record(5)
        published = signed(ledger.tree.grow())
        assert ledger.tree.checkpoints.published() == ledger.tree.newest() == published
        assert witness.size == 12
    ledger.record(1)
    for tree in (ledger.tree, ledger.again()):
        with pytest.raises(
            WitnessError, match=r"the checkpoint of 13 events is not published: .*w1 could not be asked"
        ):
            tree.grow()
    assert ledger.tree.checkpoints.published() == published
    ledger.tree.rotate()
    with pytest.raises(WitnessError):
        ledger.tree.grow()
    assert ledger.tree.checkpoints.published() == published


# --- another log ------------------------------------------------------------------------------------------------------

EVENTS = 700
"""Three tiles. All of them are compared at each growth: sixteen are, in turn."""


def _swap(ledger: Ledger) -> None:
    for before, after in ((300, -300), (301, 300), (-300, 301)):
        ledger.run("UPDATE ledger.stored_events SET notification_id = %s WHERE notification_id = %s", after, before)


def _insert(ledger: Ledger) -> None:
    ledger.run("UPDATE ledger.stored_events SET notification_id = -notification_id - 1 WHERE notification_id > 299")
    ledger.run("UPDATE ledger.stored_events SET notification_id = -notification_id WHERE notification_id < 0")
    ledger.run("INSERT INTO ledger.stored_events VALUES (gen_random_uuid(), 1, 'scan-recorded.v1', '{}', 300)")


def _change(what: str) -> Callable[[Ledger], None]:
    return lambda ledger: ledger.run(f"UPDATE ledger.stored_events SET {what} WHERE notification_id = 300")  # noqa: S608


ALTERATIONS: dict[str, tuple[Callable[[Ledger], None], int]] = {
    "a state": (_change("state = state || ' '"), 300),
    "a topic": (_change("topic = 'scan-recorded.v2'"), 300),
    "a stream": (_change("originator_id = gen_random_uuid()"), 300),
    "a version": (_change("originator_version = 77"), 300),
    "an event removed": (
        lambda ledger: ledger.run("DELETE FROM ledger.stored_events WHERE notification_id = 300"),
        300,
    ),
    "an event inserted": (_insert, 300),
    "two events swapped": (_swap, 300),
    "the end cut off": (lambda ledger: ledger.run("DELETE FROM ledger.stored_events WHERE notification_id > 650"), 651),
    "everything removed": (lambda ledger: ledger.run("DELETE FROM ledger.stored_events"), 1),
    "the end written again": (
        lambda ledger: ledger.run("UPDATE ledger.stored_events SET state = '{}' WHERE notification_id > 690"),
        691,
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_over_another_log_nothing_is_signed_and_the_first_position_is_named(ledger: Ledger, name: str) -> None:
    alter, first = ALTERATIONS[name]
    ledger.record(EVENTS)
    before = ledger.tree.grow()
    ledger.run("CREATE TABLE kept AS TABLE ledger.stored_events")
    alter(ledger)
    files = ledger.files()
    for tree in (ledger.tree, ledger.again()):  # the second one knows from the record
        with pytest.raises(TreeDisagreesError) as raised:
            tree.grow()
        assert raised.value.found.first == first, name
        assert "hours checkpoint --verify" in str(raised.value)
    assert ledger.files() == files
    with pytest.raises(TreeDisagreesError):
        ledger.tree.verify()
    ledger.run("DELETE FROM ledger.stored_events")
    ledger.run("INSERT INTO ledger.stored_events SELECT * FROM kept")
    with pytest.raises(TreeDisagreesError):  # until somebody has compared all of it
        ledger.tree.grow()
    assert ledger.tree.verify() == EVENTS
    assert ledger.tree.disagreement() is None
    assert ledger.tree.grow() == before
    ledger.record(1)
    assert signed(ledger.tree.grow()).size == EVENTS + 1


def test_a_change_far_back_is_found_in_turn_and_at_once_by_a_full_comparison(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "SAMPLED_TILES", 1)
    ledger.record(2000)
    ledger.tree.grow()
    ledger.run("UPDATE ledger.stored_events SET state = '{}' WHERE notification_id = 1000")
    tree = ledger.again()

    def grow_through_all_tiles() -> None:
        for _ in range(8):
            ledger.record(1)
            tree.grow()

    with pytest.raises(TreeDisagreesError, match="event 1000 differs"):
        grow_through_all_tiles()
    assert 2000 < signed(tree.newest()).size < 2008
    (ledger.data / "proof" / DISAGREEMENT).unlink()
    with pytest.raises(TreeDisagreesError, match="event 1000 differs"):
        ledger.again().verify()


def test_a_log_that_was_rewritten_with_its_tiles_is_not_the_one_that_was_signed(ledger: Ledger) -> None:
    ledger.record(EVENTS)
    ledger.tree.grow()
    ledger.run("UPDATE ledger.stored_events SET state = '{}' WHERE notification_id = 300")
    shutil.rmtree(ledger.data / "tiles" / "tile")
    with pytest.raises(TreeDisagreesError, match="one of the first 700 events differs"):
        ledger.again().grow()


def test_a_checkpoint_of_another_log_is_not_continued(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record(5)
    ledger.tree.grow()
    shutil.rmtree(ledger.data / "proof" / "keys")
    ledger.tree.keys.make("other.example.org", NOW)
    with pytest.raises(TreeError, match="the last checkpoint cannot be used"):
        ledger.again().grow()


def test_an_older_checkpoint_that_is_put_back_does_not_make_the_log_forget(ledger: Ledger) -> None:
    ledger.record(5)
    older = signed(ledger.tree.grow())
    ledger.record(5)
    ledger.tree.grow()
    ledger.tree.checkpoints.publish(older)
    ledger.run("UPDATE ledger.stored_events SET state = '{}' WHERE notification_id = 8")
    with pytest.raises(TreeDisagreesError, match="event 8 differs"):
        ledger.again().grow()


# --- damaged tiles ----------------------------------------------------------------------------------------------------


def _remove_all(tiles: Path) -> None:
    shutil.rmtree(tiles / "tile")


def _flip(name: str) -> Callable[[Path], None]:
    def flip(tiles: Path) -> None:
        content = bytearray((tiles / name).read_bytes())
        content[40] ^= 1
        (tiles / name).write_bytes(content)

    return flip


def _remove(name: str) -> Callable[[Path], None]:
    return lambda tiles: (tiles / name).unlink()


def _cut(name: str) -> Callable[[Path], None]:
    def cut(tiles: Path) -> None:
        (tiles / name).write_bytes(b"x")

    return cut


DAMAGE: dict[str, Callable[[Path], None]] = {
    "all removed": _remove_all,
    "a partial tile removed": _remove("tile/0/002.p/188"),
    "a partial tile changed": _flip("tile/0/002.p/188"),
    "a tile of level 1 changed": _flip("tile/1/000.p/2"),
    "a full tile cut": _cut("tile/0/001"),
    "a full tile changed": _flip("tile/0/001"),
    "a full tile removed": _remove("tile/0/001"),
}


@pytest.mark.parametrize("name", [name for name in DAMAGE if name != "a tile of level 1 changed"])
def test_a_growth_is_not_alarmed_by_damaged_tiles(ledger: Ledger, name: str, caplog: pytest.LogCaptureFixture) -> None:
    ledger.record(EVENTS)
    ledger.tree.grow()
    DAMAGE[name](ledger.data / "tiles")
    ledger.record(1)
    assert signed(ledger.again().grow()).root == root_hash(ledger.expected(), EVENTS + 1)
    assert "computed again from the log" in caplog.text
    assert ledger.again().disagreement() is None


def test_a_proof_from_damaged_tiles_says_what_to_do(ledger: Ledger) -> None:
    ledger.record(EVENTS)
    ledger.tree.grow()
    _flip("tile/0/001")(ledger.data / "tiles")
    with pytest.raises(TreeError, match="hours checkpoint --verify"):
        ledger.tree.prove(300)


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_tiles_are_computed_again_from_the_log_that_was_signed(ledger: Ledger, name: str) -> None:
    ledger.record(EVENTS)
    ledger.tree.grow()
    sound = {path: content for path, content in ledger.files().items() if "/tile/" in path}
    DAMAGE[name](ledger.data / "tiles")
    assert ledger.again().verify() == EVENTS
    assert {path: content for path, content in ledger.files().items() if "/tile/" in path} == sound
    assert ledger.again().disagreement() is None
    ledger.record(1)
    assert signed(ledger.again().grow()).size == EVENTS + 1


# --- interrupted ------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a growth as a kill would, as far as the files are concerned."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], int]:
    """A function that lets the growth be killed at a step, or at none; it returns how many steps were taken before."""
    taken, until = 0, None

    def step(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*values: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == until:
                raise Killed
            return original(*values)

        return wrapped

    monkeypatch.setattr(TileFolder, "write", step(TileFolder.write))
    monkeypatch.setattr(CheckpointFolder, "store", step(CheckpointFolder.store))
    monkeypatch.setattr(CheckpointFolder, "publish", step(CheckpointFolder.publish))

    def kill_at(number: int | None) -> int:
        nonlocal taken, until
        before, taken, until = taken, 0, number
        return before

    return kill_at


def test_a_growth_that_is_killed_at_any_step_is_continued(
    ledger: Ledger, steps: Callable[[int | None], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "CHUNK_EVENTS", 256)
    monkeypatch.setattr(growth, "INTERIM_EVENTS", 512)
    for kill in range(1, 12):
        ledger.record(900)
        steps(kill)
        with pytest.raises(Killed):
            ledger.again().grow()
        steps(None)
        checkpoint = signed(ledger.again().grow())
        size = int(ledger.database.log.head())
        assert (checkpoint.size, checkpoint.root) == (size, root_hash(ledger.expected(), size)), kill


def test_a_full_disk_leaves_what_was_signed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record(300)
    before = ledger.tree.grow()
    ledger.record(300)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("replay.proof.tiles.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            ledger.tree.grow()
    assert ledger.tree.newest() == before
    assert signed(ledger.tree.grow()).size == 600


def test_an_alarm_that_cannot_be_written_is_raised(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record(3)
    ledger.tree.grow()
    ledger.run("DELETE FROM ledger.stored_events WHERE notification_id = 3")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("replay.proof.agreement.write_private", full)
    with pytest.raises(TreeDisagreesError, match="those from 3 on are missing"):
        ledger.tree.grow()


def test_a_connection_is_not_needed_to_read(ledger: Ledger) -> None:
    ledger.record(3)
    checkpoint = ledger.tree.grow()
    assert TransparencyLog(ledger.data).newest() == checkpoint
    with pytest.raises(TreeError, match="without its log"):
        TransparencyLog(ledger.data).grow()
