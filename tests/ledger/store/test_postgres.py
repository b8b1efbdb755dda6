"""Where PostgreSQL comes from: the server that is named, or an embedded one that its users share."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from ledger.store.embedded import SETTINGS, serving
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


def test_a_crashed_server_recovers(data: Path) -> None:
    with serving(data) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 100000) AS value")
        postmaster = int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)
    with serving(data) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (100000,)
