"""Fixtures: a real PostgreSQL, and a fresh ledger in a database of its own for each test that asks for one.

Each test process starts an embedded server in a temporary directory. TEST_DATABASE_URL names another server instead (of
another version, say); its role must be allowed to make databases.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
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

os.environ.setdefault(ACCEPT, "fsync")  # of the temporary server, whose data does not outlive the test

LONGEST = (
    "api/test_contract.py",
    "bench/test_bench.py",
    "pages/test_pages.py",
    "pages/test_readme.py",
    "api/test_chosen_values.py",
    "bench/test_crash.py",
    "api/computing/test_ending.py",
    "api/operations/test_faults_postgres.py",
    "api/cli/test_serve.py",
    "api/operations/test_altered_log.py",
    "projections/test_kernel.py",
    "bench/test_abuse.py",
    "projections/test_differences.py",
    "projections/test_oracle.py",
    "api/operations/test_processes.py",
    "ledger/store/test_other_users.py",
    "api/cli/test_import.py",
    "replay/synthetic/test_load.py",
    "replay/test_generations.py",
    "api/test_erasure_modes.py",
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
    copy_clusters()


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


@pytest.fixture
def database_url(new_database_url: Callable[[], str], _drop: Callable[[str], object]) -> Iterator[str]:
    """The URL of a fresh database, which is dropped after the test."""
    url = new_database_url()
    yield url
    _drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh ledger."""
    with Database.open(database_url) as database:
        yield database
