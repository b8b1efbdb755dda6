"""The embedded PostgreSQL beside other users of the same machine: they reach neither its data nor its socket, whatever
the path is; and no folder above the data changes its permissions.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.store import postgres_server
from ledger.store.embedded import serving
from ledger.store.postgres_server import DataDirectoryError, PostgresServer
from tests.support.api.command_line import CommandLine
from tests.support.ledger.clusters import run_initdb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

NOBODY = pwd.getpwnam("nobody")
PATHS = {
    "a short path": "data",
    "a path too long for a socket": "/".join(["x" * 60] * 3),
    "a path that means something to a shell and to libpq": "a b,$(touch hi)'\"",
}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path that only root may enter."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    directory = Path(tempfile.mkdtemp(prefix="ledger-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def as_nobody(work: Callable[[], str], uid: int = NOBODY.pw_uid) -> str:
    """Do work in a process of another user, and return what it says."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY.pw_gid)
            os.setuid(uid)
            run_initdb()  # the prepared data directory is root's
            said = work()
        except BaseException as error:  # noqa: BLE001 - the parent compares it
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def started(path: Path) -> str:
    """Start a server; an error would be said instead."""
    PostgresServer(path).start()
    return "started"


def connected(url: str) -> str:
    """Connect, and say as whom."""
    with psycopg.connect(url) as connection:
        return str(connection.execute("SELECT current_user").fetchall()[0][0])


def modes_above(path: Path) -> dict[Path, int]:
    return {parent: stat.S_IMODE(parent.stat().st_mode) for parent in path.parents if parent.exists()}


@pytest.mark.usefixtures("initdb_itself")
@pytest.mark.parametrize("name", PATHS.values(), ids=PATHS)
def test_no_other_user_reaches_the_server_and_no_folder_above_changes(place: Path, name: str) -> None:
    data = place / name
    data.mkdir(parents=True, mode=0o700)
    before = modes_above(data / "postgres")
    assert before[place] == 0o700
    with serving(data) as url:
        assert connected(url) == "postgres"
        assert modes_above(data / "postgres") == before
        folder = Path(psycopg.conninfo.conninfo_to_dict(url)["host"])  # type: ignore[arg-type]
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700
        assert folder.stat().st_uid == (data / "postgres").stat().st_uid
        assert "Permission denied" in as_nobody(lambda: connected(url))
        # Even if the folders were open, the server would ask the system who connects.
        opened = [place, *(place / part for part in Path(name).parents), data, data / "postgres", folder]
        for one in opened:
            one.chmod(0o755)
        try:
            assert "Peer authentication failed" in as_nobody(lambda: connected(url))
            assert "Peer authentication failed" in as_nobody(lambda: connected(url.replace("postgres@", "nobody@")))
        finally:
            for one in (data / "postgres", folder):
                one.chmod(0o700)
    assert not folder.exists() or folder == data / "postgres"


def test_data_of_a_version_that_trusted_everybody_trust_only_their_owner(place: Path) -> None:
    data = place / "data"
    rules = data / "postgres" / "pg_hba.conf"
    with serving(data):
        own = rules.read_text()
        rules.write_text(
            "local all all trust\nhost all all 127.0.0.1/32 trust\nhostssl all al 10.0.0.1/8 scram-sha-256\n"
        )
        with serving(data) as url:  # attaches to the running server
            place.chmod(0o755)
            (data / "postgres").chmod(0o755)
            assert "Peer authentication failed" in as_nobody(lambda: connected(url))
            (data / "postgres").chmod(0o700)
            assert connected(url) == "postgres"
    assert rules.read_text().splitlines() == [
        "local all all peer map=hours",
        "host all all 127.0.0.1/32 reject",
        "hostssl all al 10.0.0.1/8 scram-sha-256",
    ]
    assert "trust" not in [line.split()[-1] for line in own.splitlines() if line and not line.startswith("#")]


def test_a_server_in_the_place_of_ours_is_not_spoken_to(place: Path) -> None:
    """Whoever could put another socket there would get every command, and could answer that it is recorded."""
    data = place / "data"
    with serving(data) as url:
        other = url.replace("requirepeer=pgserver", "requirepeer=nobody")
        with pytest.raises(psycopg.OperationalError, match='requirepeer specifies "nobody"'):
            connected(other)
        assert "requirepeer=pgserver" in url


def _by_another(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)


def _a_link(folder: Path) -> None:
    folder.symlink_to(tempfile.gettempdir())


def _open(folder: Path) -> None:
    folder.mkdir()
    shutil.chown(folder, "pgserver")
    folder.chmod(0o777)


@pytest.mark.parametrize("squat", [_by_another, _a_link, _open])
def test_a_folder_for_the_socket_that_is_not_private_is_refused_in_a_sentence(
    place: Path,
    squat: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (place / "run").mkdir()
    monkeypatch.setattr(postgres_server, "_runtime_folder", lambda: place / "run")
    data = place / ("x" * 100)
    data.mkdir()
    folder = _socket_folder_of(data)
    squat(folder)
    said = CommandLine(data, capsys)("init").sentence
    assert f"is too long a path for a socket, and {folder} is not a private folder of pgserver" in said


def _socket_folder_of(data: Path) -> Path:
    (data / "postgres").mkdir(mode=0o700)
    shutil.chown(data / "postgres", "pgserver", "pgserver")
    folder = PostgresServer(data / "postgres")._socket_folder()
    folder.rmdir()
    return folder


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_in_which_others_can_replace_ours_is_never_used(
    place: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "shared").mkdir()
    (place / "shared").chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.pw_uid)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place / "shared"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(place / "shared"))
    with pytest.raises(DataDirectoryError, match="other users may change"):
        postgres_server._runtime_folder()


@pytest.mark.parametrize("name", PATHS.values(), ids=PATHS)
def test_another_user_runs_a_server_of_their_own(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while root runs one: nothing is shared between them, and root may look at theirs."""
    place.chmod(0o755)
    home = place / "home"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    def work() -> str:
        with serving(home / name) as url:
            return connected(url) + " " + oct(stat.S_IMODE((home / name / "postgres").stat().st_mode))

    with serving(place / "of-root"):
        assert as_nobody(work) == "postgres 0o700"
        with serving(home / name) as url:
            assert "requirepeer=nobody" in url
            assert connected(url) == "postgres"
        assert as_nobody(work) == "postgres 0o700"


def test_data_of_another_user_are_refused_in_a_sentence(place: Path) -> None:
    place.chmod(0o755)
    (place / "data" / "postgres").mkdir(parents=True)
    said = as_nobody(lambda: started(place / "data" / "postgres"))
    assert said.startswith(f"DataDirectoryError: {place}/data/postgres belongs to ")
    assert "run the program as" in said


def test_programs_that_the_owner_cannot_read_are_refused_in_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, version = postgres_server.wheel_versions()
    shutil.copytree(versions[version], place / "bin")
    monkeypatch.setattr(postgres_server, "wheel_versions", lambda: ({version: place / "bin"}, version))
    with pytest.raises(DataDirectoryError, match="the account pgserver, as which PostgreSQL runs, cannot read its"):
        PostgresServer(place / "postgres").start()


def test_an_account_without_a_name_is_refused_in_a_sentence(place: Path) -> None:
    place.chmod(0o777)
    said = as_nobody(lambda: started(place / "new"), uid=54321)
    assert "PostgreSQL needs an account with a name, and user 54321 has none" in said


class _Accounts:
    """Stands in for the accounts of the system: `useradd` fails as often as told, then somebody's account is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        self.failures = failures
        self.calls = 0
        monkeypatch.setattr(pwd, "getpwnam", self._find)
        monkeypatch.setattr(subprocess, "run", self._create)
        monkeypatch.setattr(time, "sleep", lambda _seconds: None)

    def _find(self, name: str) -> pwd.struct_passwd:
        if self.calls <= self.failures:
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 999, 999, "", "/", "/usr/sbin/nologin"))

    def _create(self, command: list[str], **_options: object) -> subprocess.CompletedProcess[bytes]:
        self.calls += 1
        return subprocess.CompletedProcess(command, 0 if self.calls > self.failures else 1)


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_processes_that_create_the_account_at_once_all_find_it(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    accounts = _Accounts(monkeypatch, failures)
    assert postgres_server._system_user().pw_name == postgres_server.SYSTEM_USER
    assert accounts.calls == failures + 1


def test_an_account_that_cannot_be_created_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "ACCOUNT_SECONDS_MAX", 0.0)
    _Accounts(monkeypatch, 1_000_000)
    with pytest.raises(DataDirectoryError, match="create it, or run the program as another user"):
        postgres_server._system_user()
