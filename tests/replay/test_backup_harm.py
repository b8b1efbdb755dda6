"""Backups and restores that are killed, or run out of room, leave nothing that could be taken for one; and a backup of
the embedded PostgreSQL is restored to the system's, of another version.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from api.operations.schema_parts import PARTS
from api.operations.service import OpenLedger
from ledger.store.database import Database
from replay.backup.authentication import BackupError
from replay.backup.backup import LOG, back_up, restore, verify
from tests.support.api.serving import stock
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import run

pytest_plugins = ["tests.support.api.fixtures"]

HARMED = """
import os, resource, signal, sys
from pathlib import Path
from api.operations.schema_parts import PARTS
from ledger.store.database import Database
from replay.backup.backup import back_up, restore

work, url, folder, harm, when = sys.argv[1:]
if harm == "full":  # a file that grows beyond this cannot be written, as on a full disk
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(when), int(when)))

def progress(stage, done, in_all):
    if harm == "kill" and stage == when:
        os.kill(os.getpid(), signal.SIGKILL)

try:
    with Database.open(url) as database:
        back_up(database, Path(folder), progress) if work == "back_up" else restore(
            Path(folder), database, PARTS, progress
        )
except OSError as error:
    print(type(error).__name__, error.strerror)
    sys.exit(3)
"""


def harmed(work: str, url: str, folder: Path, harm: str, when: str) -> subprocess.CompletedProcess[str]:
    return run("-c", HARMED, work, url, folder, harm, when, timeout=PATIENCE_SECONDS)


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> OpenLedger:
    ledger = OpenLedger(database, tmp_path / "data")
    stock(ledger)
    return ledger


def test_a_backup_that_is_killed_is_not_taken_for_one(kept: OpenLedger, tmp_path: Path) -> None:
    folder = tmp_path / "backups" / "today"
    assert harmed("back_up", kept.database.url, folder, "kill", "copying the log").returncode == -signal.SIGKILL
    assert [path.name for path in folder.parent.iterdir()] == ["today.unfinished"]
    for name in (folder, folder.with_name("today.unfinished")):
        with pytest.raises(BackupError, match="is not a backup: it has no manifest"):
            verify(name)
    made = back_up(kept.database, folder)  # the next one takes its place
    assert verify(folder) == made
    assert [path.name for path in folder.parent.iterdir()] == ["today"]


def test_a_backup_for_which_there_is_no_room_leaves_nothing(kept: OpenLedger, tmp_path: Path) -> None:
    folder = tmp_path / "backups" / "today"
    told = harmed("back_up", kept.database.url, folder, "full", "300")
    assert (told.returncode, "File too large" in told.stdout) == (3, True), told.stderr
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("when", [f"restoring {LOG}", "restoring api.keys"])
def test_a_restore_that_is_killed_leaves_an_empty_ledger(
    kept: OpenLedger, new_database_url: Callable[[], str], tmp_path: Path, when: str
) -> None:
    made, url = back_up(kept.database, tmp_path / "backup"), new_database_url()
    assert harmed("restore", url, tmp_path / "backup", "kill", when).returncode == -signal.SIGKILL
    with Database.open(url) as database:
        ledger = OpenLedger(database, tmp_path / "elsewhere")
        assert (ledger.log.head(), ledger.keys.list()) == (0, [])
        assert ledger.log.identity() != made.ledger
        restore(tmp_path / "backup", database, PARTS)
        assert (ledger.log.head(), ledger.log.identity()) == (made.head, made.ledger)


# --- to another PostgreSQL ------------------------------------------------------------------------------------------

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture
def system_url() -> Iterator[str]:
    """The URL of a server of the PostgreSQL that the system has, on which databases can be made."""
    folder = Path(tempfile.mkdtemp(prefix="hours-pg-"))
    bin_path, user = INSTALLED[0].parent, "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    where = {"user": user, "cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    initialised = [bin_path / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run([*map(str, initialised), "-E", "UTF8", "--locale=C"], check=True, **where)  # type: ignore[call-overload]
    served = [bin_path / "postgres", "-D", folder / "data", "-k", folder, "-F", "-c", "listen_addresses="]
    server = subprocess.Popen([str(word) for word in served], **where)  # type: ignore[call-overload]
    try:
        yield make_conninfo(host=str(folder), user="postgres", dbname="postgres")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(not INSTALLED, reason="the system has no PostgreSQL of its own")
def test_a_backup_is_restored_to_the_systems_postgresql(kept: OpenLedger, system_url: str, tmp_path: Path) -> None:
    made = back_up(kept.database, tmp_path / "backup")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with psycopg.connect(system_url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE ledger TEMPLATE template0 ENCODING 'UTF8'")
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with Database.open(make_conninfo(system_url, dbname="ledger")) as database:
        restore(tmp_path / "backup", database, PARTS)
        ledger = OpenLedger(database, tmp_path / "elsewhere")
        ledger.make_ready()
        kept.catch_up()
        assert ledger.current_generation().checksum == kept.current_generation().checksum
        assert back_up(database, tmp_path / "again").log_sha256 == made.log_sha256
