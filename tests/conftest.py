"""Fixtures: a real PostgreSQL, and a fresh ledger in a database of its own for each test that asks for one.

Each test process starts an embedded server in a temporary directory. TEST_DATABASE_URL names another server instead (of
another version, say); its role must be allowed to make databases.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ledger.store.database import Database
from ledger.store.durability import ACCEPT
from ledger.store.embedded import serving
from tests.support.examples import PROFILE
from tests.support.ledger.clusters import copy_clusters, run_initdb
from tests.support.processes.shared import sharing
from tests.support.processes.writers import fork_writers, spawn_writers

os.environ.setdefault(ACCEPT, "fsync")  # of the temporary server, whose data does not outlive the test

LONGEST = (
    "api/test_contract.py",
    "pages/test_pages.py",
    "api/test_chosen_values.py",
    "api/computing/test_computing_process.py",
    "bench/test_bench.py",
    "api/volunteers/test_overview.py",
    "browser/test_office.py",
    "bench/test_crash.py",
    "browser/test_volunteers.py",
    "api/cli/test_import.py",
    "browser/test_counter.py",
    "api/access/test_roles.py",
    "browser/test_honors.py",
    "pages/test_readme.py",
    "projections/test_oracle.py",
    "api/faults/test_faults_postgres.py",
    "api/faults/test_altered_log.py",
    "browser/test_what_if.py",
    "api/computing/test_ending.py",
    "ledger/store/test_other_users.py",
    "replay/proof/test_proofs.py",
    "bench/test_abuse.py",
    "api/cli/ledgers/test_serve.py",
    "api/cli/ledgers/test_permissions.py",
    "browser/test_stations.py",
    "api/operations/test_installing.py",
    "api/operations/test_processes.py",
    "api/test_erasure_modes.py",
    "browser/test_import.py",
    "projections/test_kernel.py",
    "projections/test_differences.py",
    "replay/test_generations.py",
    "browser/test_audit.py",
    "replay/synthetic/test_load.py",
)
"""The files that take longest, the longest first. A worker runs a file as a whole (`--dist loadfile`)."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that the workers of this run share (`tests/support/processes/`)."""
    if not hasattr(config, "workerinput"):
        # Otherwise each process that is started would compile all sources again, and rewrite all tests.
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        stack = ExitStack()
        stack.enter_context(sharing())
        config.add_cleanup(stack.close)
    # In the background of a script, or under nohup, signals are ignored that tests send to this process and to others.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    copy_clusters()
    fork_writers()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are imported and collected: almost all of it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that no worker is left with one of them at the end."""
    places = {name: place for place, name in enumerate(LONGEST)}
    root = Path(__file__).parent
    items.sort(key=lambda item: places.get(item.path.relative_to(root).as_posix(), len(LONGEST)))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the modules and the tests, half a million objects that stay."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Name the profile of property tests (`tests/support/examples.py`)."""
    return f"examples: {PROFILE}"


def _memory() -> Path | None:
    """Return a folder in memory if there is enough of it: a database is 300 files, to be created and removed."""
    folder = Path("/dev/shm")  # noqa: S108 - for a private folder in it
    try:
        enough = shutil.disk_usage(folder).free > 4 << 30 and psutil.virtual_memory().available > 8 << 30
    except OSError:
        return None
    return folder if enough else None


@contextmanager
def _temporary_server() -> Iterator[str]:
    directory = Path(tempfile.mkdtemp(prefix="ledger-test-", dir=_memory()))
    try:
        with serving(directory) as url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")  # the data does not outlive the test
                connection.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
                connection.execute("ALTER SYSTEM SET autovacuum = off")  # it would visit each of hundreds of databases
                connection.execute("SELECT pg_reload_conf()")
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def initdb_itself() -> Iterator[None]:
    """New servers of this process are made by `initdb`, not copied (`tests/support/ledger/clusters.py`)."""
    run_initdb()
    yield
    copy_clusters()


@pytest.fixture
def spawned_writers() -> Iterator[None]:
    """Histories are loaded as users load them, by a process that is spawned (`tests/support/processes/writers.py`)."""
    spawn_writers()
    yield
    fork_writers()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a server on which databases can be made."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)  # never the data of a ledger in use
        with _temporary_server() as url:
            yield url


@pytest.fixture(scope="session")
def new_database_url(server_url: str) -> Iterator[Callable[[], str]]:
    """A function that makes an empty database and returns its URL."""
    with _databases(server_url) as make:
        yield make


@pytest.fixture(scope="session")
def copied_database_url(server_url: str) -> Iterator[Callable[[str], str]]:
    """A function that copies the database at a URL, which nobody uses at the time, and returns the copy's URL."""
    with _databases(server_url) as make:
        yield lambda url: make(str(conninfo_to_dict(url)["dbname"]))


@contextmanager
def _databases(server_url: str) -> Iterator[Callable[..., str]]:
    """Yield a function that makes a database from a template, an empty one unless it is given."""
    made: list[str] = []
    # Without fsync it costs half of copying through the write-ahead log.
    strategy = "" if "TEST_DATABASE_URL" in os.environ else "STRATEGY FILE_COPY"

    def make(template: str = "template0") -> str:
        name = f"test_{uuid4().hex}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' {strategy}")
        made.append(name)
        return make_conninfo(server_url, dbname=name)

    yield make
    if "TEST_DATABASE_URL" not in os.environ:
        return  # the server's directory is removed with all of them
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _drop(server_url: str) -> Iterator[Callable[[str], object]]:
    """A function that has a database dropped, without waiting for it."""

    def drop(url: str) -> None:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {conninfo_to_dict(url)['dbname']} WITH (FORCE)")

    with ThreadPoolExecutor(1, thread_name_prefix="drop") as pool:
        yield lambda url: pool.submit(drop, url)


@pytest.fixture(scope="session")
def new_ledger_url(new_database_url: Callable[[], str], copied_database_url: Callable[[str], str]) -> Callable[[], str]:
    """A function that makes a database with an empty ledger and returns its URL."""
    template = cache(lambda: _empty_ledger(new_database_url()))

    def make() -> str:
        url = copied_database_url(template())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE ledger.identity SET id = gen_random_uuid()")
        return url

    return make


def _empty_ledger(url: str) -> str:
    Database.open(url).close()
    return url


HOLDING_A_LEDGER = {"database", "hours"}
"""The fixtures with which a fresh database holds an empty ledger from the beginning."""


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest,
    new_database_url: Callable[[], str],
    new_ledger_url: Callable[[], str],
    _drop: Callable[[str], object],
) -> Iterator[str]:
    """The URL of a fresh database, which is dropped after the test."""
    url = new_database_url() if HOLDING_A_LEDGER.isdisjoint(request.fixturenames) else new_ledger_url()
    yield url
    _drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh ledger."""
    with Database.open(database_url) as database:
        yield database


@pytest.fixture(autouse=True)
def umask_stays() -> Iterator[None]:
    """The command line writes for its user alone from its first use on; each test begins with the usual umask, also
    after a fixture of a module that used it.
    """
    os.umask(0o022)
    yield
    os.umask(0o022)
