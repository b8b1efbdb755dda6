"""Fixtures of the browser tests: a served ledger, and pages that look at it. Tests name this plugin; none imports it.

Chromium is looked for as `chromium`, or where CHROMIUM says. Without one the tests are skipped, and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect, sync_playwright

from api.access.rate_limits import PER_SECOND
from api.access.roles import Role
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from ledger.store.database import Database
from tests.support.api.serving import KEY_NAMES, Served, listening, stock
from tests.support.browser.site import Site
from tests.support.patience import PATIENCE_SECONDS

MISSING = "no Chromium: install Debian's package `chromium`, or name an executable in CHROMIUM"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, for the tests of one file: while it runs, its thread has an event loop, which others cannot have."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.getuid() == 0 else [])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site_ledger(
    new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, str]]:
    """A served ledger with a little history, and its address; the tests of one file share it."""
    with Database.open(new_database_url()) as database:
        ledger = OpenLedger(database, tmp_path_factory.mktemp("site"))
        stock(ledger)
        keys = {role: ledger.keys.make(role, KEY_NAMES.get(role, role.value), per_second=PER_SECOND) for role in Role}
        tokens = {role: token for role, (_, token) in keys.items()}
        with running(ledger) as service, TestClient(create_app(service)) as client:
            served = Served(service, client, tokens)
            with listening(served) as server:
                yield served, f"http://127.0.0.1:{server.port}"


@pytest.fixture
def site(chromium: Browser, site_ledger: tuple[Served, str]) -> Iterator[Site]:
    """The ledger in the browser; at the end its pages are closed, and none may have had an error."""
    with ExitStack() as stack:
        made = Site(*site_ledger, chromium, stack)
        yield made
    assert not made.errors
