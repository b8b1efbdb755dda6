"""Where PostgreSQL comes from: the server that is named, or an embedded one that its users share."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from ledger.store import postgres_server
from ledger.store.embedded import SETTINGS, serving
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import Program

HOLD = """
import sys
from pathlib import Path
from ledger.store.embedded import serving
with serving(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data directory, with a path that is short enough for a socket."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    directory = Path(tempfile.mkdtemp(prefix="ledger-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def hold(data: Path) -> Program:
    """Start another process that serves the data directory until its standard input is closed."""
    return Program("-c", HOLD, data)


def url_of(process: Program) -> str:
    return process.stdout.readline().strip()


def end(process: Program) -> None:
    process.communicate()
    assert process.returncode == 0


def test_a_server_that_is_named_is_used_as_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(data, "postgresql://elsewhere/ledger") as url:
        assert url == "postgresql://elsewhere/ledger"
    monkeypatch.setenv("DATABASE_URL", "postgresql://named/ledger")
    with serving(data) as url:
        assert url == "postgresql://named/ledger"
    assert not list(data.iterdir())


@pytest.mark.usefixtures("initdb_itself")
def test_the_embedded_server_keeps_its_data_and_stops_with_its_last_user(data: Path) -> None:
    with serving(data) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        for name, value in SETTINGS.items():
            assert connection.execute(f"SHOW {name}").fetchone() == (value,)
    assert not answers(url)
    with serving(data) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)


def test_other_processes_attach_to_a_running_server_and_leave_it_running(data: Path) -> None:
    with serving(data) as url:
        other = hold(data)
        assert url_of(other) == url
        end(other)
        assert answers(url)


def test_a_process_that_came_first_and_leaves_first_takes_nothing_away(data: Path) -> None:
    with ExitStack() as stack:
        first = hold(data)
        url = url_of(first)
        assert stack.enter_context(serving(data)) == url
        end(first)
        assert answers(url)
    assert not answers(url)


def test_a_server_whose_user_was_killed_is_taken_over(data: Path) -> None:
    owner = hold(data)
    url = url_of(owner)
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    with serving(data) as taken_over:
        assert taken_over == url
        assert answers(url)
    assert not answers(url)
    owner.communicate()


def test_two_processes_that_start_at_once_share_one_server(data: Path) -> None:
    processes = [hold(data), hold(data)]
    urls = {url_of(process) for process in processes}
    assert len(urls) == 1
    for process in processes:
        end(process)
    assert not answers(urls.pop())


def test_the_lock_is_of_the_data_directory_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="shared-") as shared, (Path(shared) / ".lockfile").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # as another user's program may, for as long as it likes
        environment = os.environ | {"TMPDIR": shared, "XDG_RUNTIME_DIR": shared}
        process = Program("-c", HOLD, data, environment=environment)
        assert answers(url_of(process))
        assert [path.name for path in Path(shared).iterdir()] == [".lockfile"]
        end(process)
    held = {path.name for path in data.iterdir()}
    assert held == {"postgres", "postgres.users", "postgres.starting"}


def complain(url: str, times: int) -> None:
    """Have the server write lines to its log."""
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(times):
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute(f"SELECT {number} FROM nowhere_at_all")  # noqa: S608 - a number


def test_a_running_server_s_log_is_rotated_and_goes_on(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, older = data / "postgres" / "log", data / "postgres" / "log.1"
    with serving(data, supervised=True) as url:
        complain(url, 20)
        owner = log.stat().st_uid
        monkeypatch.setattr(postgres_server, "LOG_BYTES_MAX", 2_000)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not older.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "SELECT 19 FROM nowhere_at_all" in older.read_text()
        assert (older.stat().st_uid, older.stat().st_mode & 0o777) == (owner, 0o600)
        complain(url, 1)
        assert "SELECT 0 FROM nowhere_at_all" in log.read_text()
        for _ in range(3):
            complain(url, 20)
            while log.stat().st_size > 2_000:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    assert not list((data / "postgres").glob("log.*.new"))


def test_a_long_log_is_rotated_when_the_server_starts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(data) as url:
        complain(url, 20)
    monkeypatch.setattr(postgres_server, "LOG_BYTES_MAX", 2_000)
    with serving(data):
        assert "nowhere_at_all" in (data / "postgres" / "log.1").read_text()
        assert "nowhere_at_all" not in (data / "postgres" / "log").read_text()


def test_a_crashed_server_recovers(data: Path) -> None:
    with serving(data) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 100000) AS value")
        postmaster = int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)
    with serving(data) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (100000,)
