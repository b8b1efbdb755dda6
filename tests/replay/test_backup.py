"""Backups: made while others write, sound to the byte, restored elsewhere to the same ledger."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from uuid import UUID

import pytest

from api.access.roles import Role
from api.operations.schema_parts import PARTS
from api.operations.service import OpenLedger
from ledger.aggregates import Order
from ledger.aggregates.scans import CheckIn, CheckOut
from ledger.intake.answers import Accepted
from ledger.intake.group_commit import GroupCommit
from ledger.intake.prepare import prepare
from ledger.store.database import Database
from ledger.store.persons import Person, Persons
from replay.backup import backup
from replay.backup.authentication import BackupError
from replay.backup.backup import LOG, Manifest, back_up, restore, verify
from replay.generations.rebuild import build
from replay.progress import StoppedError
from replay.published import published_rules
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, give, stock
from tests.support.ledger.orders import order_of
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture
def elsewhere(new_database_url: Callable[[], str], tmp_path: Path) -> OpenLedger:
    """Another ledger, empty."""
    return OpenLedger(Database.open(new_database_url()), tmp_path / "elsewhere")


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> OpenLedger:
    """A ledger with a little of everything."""
    ledger = OpenLedger(database, tmp_path)
    stock(ledger)
    Persons(database.pool).save(Person("V0000001", "王\t小\\明", "13800000000", None))
    give(
        ledger, "dispute-shift", volunteer="V0000001", shift=str(UUID(int=1)), reason="wrong-time", text="I left\nlater"
    )
    ledger.keys.make(Role.STATION, STATION)
    return ledger


def test_a_restored_ledger_is_the_same(kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path) -> None:
    made = back_up(kept.database, tmp_path / "backup")
    assert made.head == kept.log.head()
    assert verify(tmp_path / "backup") == made
    restore(tmp_path / "backup", elsewhere.database, PARTS)
    elsewhere.make_ready()
    assert elsewhere.log.identity() == kept.log.identity()
    again = back_up(elsewhere.database, tmp_path / "again")
    assert again.log_sha256 == made.log_sha256
    assert {name: table.rows for name, table in again.tables.items()} == {
        name: table.rows for name, table in made.tables.items()
    }
    kept.catch_up()
    assert elsewhere.current_generation().checksum == kept.current_generation().checksum
    assert Persons(elsewhere.database.pool).find("V0000001") == Persons(kept.database.pool).find("V0000001")
    assert elsewhere.keys.list() == kept.keys.list()
    number, _ = elsewhere.keys.make(Role.READER, "anna")
    assert number.id == len(kept.keys.list()) + 1


def test_a_restored_ledger_answers_repeated_commands_as_the_first_time(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path
) -> None:
    order = order_of(
        command=CheckIn(volunteer="V0000001", station=STATION, occurred_at=1543885200),
        source="a",
        id="1",
        by="person:p",
    )
    (first,) = kept.intake.execute([order])
    back_up(kept.database, tmp_path / "backup")
    restore(tmp_path / "backup", elsewhere.database, PARTS)
    (again,) = elsewhere.intake.execute([order])
    assert isinstance(first, Accepted)
    assert again == first._replace(duplicate=True)


def test_a_backup_under_load_holds_what_was_acknowledged_before_it_began(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path
) -> None:
    begun, stop = Event(), Event()
    acknowledged: list[int] = []

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            command = CheckIn(volunteer="V0000001", station=STATION, occurred_at=1543885200 + number)
            (answer,) = kept.intake.execute([order_of(command=command, source="load", id=str(number), by="person:p")])
            assert isinstance(answer, Accepted)
            acknowledged.append(answer.position or 0)
            begun.set()

    writer = Thread(target=write)
    writer.start()
    try:
        assert begun.wait(PATIENCE_SECONDS)
        for place in range(3):
            before = acknowledged[-1]
            made = back_up(kept.database, tmp_path / f"backup-{place}")
            assert made.head >= before
    finally:
        stop.set()
        writer.join()
    restore(tmp_path / "backup-2", elsewhere.database, PARTS)
    log = elsewhere.log.read(0, 100_000)  # type: ignore[arg-type]
    assert [event.position for event in log] == list(range(1, made.head + 1))
    assert log == kept.log.read(0, made.head)  # type: ignore[arg-type]


class Load:
    """Clients that check volunteers in and out until they are stopped, and what they were told, by name."""

    CLIENTS = 6

    def __init__(self, ledger: OpenLedger) -> None:
        self.told: dict[str, int] = {}
        self._stop = Event()
        self._commits = GroupCommit(ledger.intake)
        self._threads = [Thread(target=self._write, args=(client,)) for client in range(self.CLIENTS)]
        for thread in self._threads:
            thread.start()

    def order(self, name: str) -> Order:
        client, number = map(int, name.split("-"))
        shift, instant = UUID(int=(7 << 76) | (2 << 62) | client << 32 | number // 2), 1543885200 + number * 600
        kind = CheckOut if number % 2 else CheckIn
        command = kind(volunteer=f"V000000{1 + client % 2}", station=STATION, occurred_at=instant, shift=shift)
        return order_of(command=command, source="load", id=name, by=f"station:{STATION}")

    def _write(self, client: int) -> None:
        for number in range(1_000_000):
            if self._stop.is_set():
                return
            (answer,) = self._commits.submit([prepare(self.order(f"{client}-{number}"))]).result(PATIENCE_SECONDS)
            assert isinstance(answer, Accepted), answer
            self.told[f"{client}-{number}"] = answer.position or 0

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._commits.close()


def hold_equal(kept: OpenLedger, other: OpenLedger, made: Manifest, load: Load, folder: Path) -> None:
    """Hold a restored ledger to the one its backup was made of, as of the backup's head."""
    other.make_ready()
    again = back_up(other.database, folder)
    assert (again.head, again.log_sha256) == (made.head, made.log_sha256)
    kept.catch_up()
    as_of_then = build(kept.database, kept.archive, published_rules(kept.log), known_at=made.head).generation
    assert other.current_generation().checksum == as_of_then.checksum
    names = sorted(load.told, key=load.told.__getitem__)
    answers = other.intake.execute([load.order(name) for name in names])
    assert all(isinstance(answer, Accepted) for answer in answers)
    for name, answer in zip(names, answers, strict=True):
        if load.told[name] <= made.head:  # what the backup holds is answered as then; the rest is new to it
            assert isinstance(answer, Accepted)
            assert (answer.position, answer.duplicate) == (load.told[name], True)
    assert sum(answer.duplicate for answer in answers if isinstance(answer, Accepted)) == len(
        [name for name in names if load.told[name] <= made.head]
    )


def test_a_backup_under_load_of_several_clients_is_restored_to_an_equal_ledger(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path
) -> None:
    load = Load(kept)
    try:
        while len(load.told) < 200:
            time.sleep(0.01)
        acknowledged = max(load.told.values())
        made = back_up(kept.database, tmp_path / "backup")
        while max(load.told.values()) < made.head + 100:
            time.sleep(0.01)
    finally:
        load.end()
    assert made.head >= acknowledged
    assert kept.log.head() > made.head
    restore(tmp_path / "backup", elsewhere.database, PARTS)
    hold_equal(kept, elsewhere, made, load, tmp_path / "again")


@pytest.mark.parametrize("name", [f"{LOG}.copy.zst", "ledger.commands.copy.zst", "api.keys.copy.zst"])
@pytest.mark.parametrize("harm", ["flip", "cut", "lose"])
def test_a_backup_that_was_harmed_is_not_restored(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path, name: str, harm: str
) -> None:
    back_up(kept.database, tmp_path / "backup")
    path = tmp_path / "backup" / name
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[:-1] if harm == "cut" else content)
    if harm == "lose":
        path.unlink()
    with pytest.raises(BackupError, match="use another backup"):
        restore(tmp_path / "backup", elsewhere.database, PARTS)
    assert elsewhere.log.head() == 0


def test_a_backup_that_is_stopped_leaves_nothing(kept: OpenLedger, tmp_path: Path) -> None:
    def stop(stage: str, _done: int, _in_all: int) -> None:
        if stage == "copying the log":
            raise StoppedError

    with pytest.raises(StoppedError):
        back_up(kept.database, tmp_path / "folder" / "backup", stop)
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_restore_that_is_stopped_leaves_an_empty_ledger(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path
) -> None:
    def stop(stage: str, _done: int, _in_all: int) -> None:
        if stage == "restoring api.keys":
            raise StoppedError

    back_up(kept.database, tmp_path / "backup")
    with pytest.raises(StoppedError):
        restore(tmp_path / "backup", elsewhere.database, PARTS, stop)
    assert elsewhere.log.head() == 0
    restore(tmp_path / "backup", elsewhere.database, PARTS)


def test_what_cannot_be_is_refused_in_a_sentence(kept: OpenLedger, tmp_path: Path) -> None:
    back_up(kept.database, tmp_path / "backup")
    with pytest.raises(BackupError, match="already exists"):
        back_up(kept.database, tmp_path / "backup")
    with pytest.raises(BackupError, match="this ledger is not empty"):
        restore(tmp_path / "backup", kept.database, PARTS)
    with pytest.raises(BackupError, match="is not a backup: it has no manifest"):
        verify(tmp_path)
    manifest = tmp_path / "backup" / backup.MANIFEST
    text = manifest.read_text()
    for written, sentence in (
        (text.replace('"format": 3', '"format": 4'), "has format 4, but this program reads 3"),
        (text.replace('"topic"', '"colour"'), "columns that this program does not know"),
        (text[:-20], "its manifest.json is damaged"),
    ):
        manifest.write_text(written)
        with pytest.raises(BackupError, match=sentence):
            verify(tmp_path / "backup")


def test_the_command_line_backs_up_verifies_and_restores(
    hours: CommandLine, new_database_url: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hours("simulate", "--scale", "0.001").code == 0
    folder = tmp_path / "backup"
    made = hours("backup", folder, "--json").answer
    assert made["head"] == made["tables"][LOG]["rows"] > 1000
    assert "already exists" in hours("backup", folder).err
    assert f"{made['head']:,} events" in hours("backup", folder, "--verify").out
    before = hours("status", "--json").answer["generation"]["checksum"]
    assert hours("restore", folder).code == 2
    monkeypatch.setenv("DATABASE_URL", new_database_url())
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    restored = hours("restore", folder)
    assert restored.code == 0, restored.err
    assert hours("status", "--json").answer["generation"]["checksum"] == before
    assert hours("restore", tmp_path / "nothing").code == 2
