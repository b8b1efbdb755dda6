"""Fixtures of the API: a served ledger that tests share, and a fresh one. Tests name this plugin; none imports it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.access.rate_limits import PER_SECOND
from api.access.roles import Role
from api.http.app import create_app
from api.http.requests import dependencies, lanes, readings, submission
from api.operations import readiness
from api.operations.service import OpenLedger, running
from ledger.store.database import Database, is_ledger
from tests.support.api.command_line import CommandLine
from tests.support.api.conferring import Clock, caught_up, conferring
from tests.support.api.serving import KEY_NAMES, Served, found, stock
from tests.support.patience import PATIENCE_SECONDS


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Let requests wait for read models, for keys and for other requests for as long as a busy machine needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submission, "PROJECTED_SECONDS_MAX", PATIENCE_SECONDS)
        patch.setattr(readings, "AT_LEAST_SECONDS_MAX", PATIENCE_SECONDS)
        patch.setattr(dependencies, "KEY_SECONDS_MAX", 10.0)  # some tests occupy what looks keys up
        patch.setattr(readiness, "PROBE_SECONDS_MAX", PATIENCE_SECONDS)
        patch.setattr(lanes, "QUERY_SECONDS_MAX", PATIENCE_SECONDS)
        patch.setattr(lanes, "READ_SECONDS_MAX", PATIENCE_SECONDS)
        yield


@pytest.fixture(scope="session")
def served(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served ledger that tests share: each takes volunteers of its own."""
    with _serving(new_database_url(), tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.fixture(scope="module")
def served_alone(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served ledger of a module's own: its tests look at the whole, which others add to and alter."""
    with _serving(new_database_url(), tmp_path_factory.mktemp("data")) as served:
        yield served


@contextmanager
def _serving(url: str, data: Path) -> Iterator[Served]:
    with Database.open(url) as database:
        ledger = OpenLedger(database, data)
        found(ledger)
        ledger.make_ready()
        # Tests share the keys, and send more with a volunteer's than a person does.
        keys = {role: ledger.keys.make(role, KEY_NAMES.get(role, role.value), per_second=PER_SECOND) for role in Role}
        tokens = {role: token for role, (_, token) in keys.items()}
        with running(ledger) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
            yield Served(service, client, tokens)


@pytest.fixture
def fresh(database: Database, tmp_path: Path) -> OpenLedger:
    """A ledger with stations and the default rules, that nothing follows."""
    ledger = OpenLedger(database, tmp_path)
    found(ledger)
    ledger.make_ready()
    return ledger


@pytest.fixture
def conferred(database_url: str, tmp_path: Path) -> Iterator[tuple[Served, Clock]]:
    """A served ledger of its own, and its clock, on the day on which honours are to be announced."""
    with conferring(database_url, tmp_path) as made:
        caught_up(made[0])
        yield made


@pytest.fixture
def bare(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line on a database without a ledger."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return CommandLine(tmp_path / "data", capsys)


@pytest.fixture
def hours(bare: CommandLine, database_url: str) -> CommandLine:
    """The command line on an empty ledger, without rules."""
    if not is_ledger(database_url):  # a module may have another fixture `database_url`
        Database.open(database_url).close()
    return bare


@pytest.fixture(scope="session")
def stocked(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The URL and data directory of a ledger with a little history, to be read only."""
    url, data = new_database_url(), tmp_path_factory.mktemp("stocked")
    with Database.open(url) as database:
        stock(OpenLedger(database, data))
    return url, data


@pytest.fixture
def reads(
    stocked: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line on the ledger with a little history."""
    monkeypatch.setenv("DATABASE_URL", stocked[0])
    return CommandLine(stocked[1], capsys)
