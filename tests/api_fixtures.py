"""Fixtures of the API: a served ledger that tests share, and a fresh one. Tests name this plugin; none imports it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.keys import Role
from api.service import OpenLedger, running
from ledger.database import Database
from tests.serving import STATION, Served, found


@pytest.fixture(scope="session")
def served(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served ledger that tests share: each takes volunteers of its own."""
    with Database.open(new_database_url()) as database:
        ledger = OpenLedger(database, tmp_path_factory.mktemp("data"))
        found(ledger)
        tokens = {role: ledger.keys.make(role, STATION if role is Role.STATION else role.value)[1] for role in Role}
        with running(ledger) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
            yield Served(service, client, tokens)


@pytest.fixture
def fresh(database: Database, tmp_path: Path) -> OpenLedger:
    """A ledger with stations and the default rules, that nothing follows."""
    ledger = OpenLedger(database, tmp_path)
    found(ledger)
    ledger.make_ready()
    return ledger
