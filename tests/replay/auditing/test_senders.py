"""Signatures of stations in a bundle: each is verified, and is over the event that was recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.access.signatures import why_unproved
from api.messages.cloud_events import BATCH
from replay.auditing.audit import Request, audit
from replay.auditing.findings import Check, Severity
from replay.auditing.report import Report, text_of
from replay.bundles.making import make_bundle
from replay.proof.policies import Policy
from tests.api.access.test_signatures import Station, station
from tests.support.api.serving import Served
from tests.support.replay.proving import VERIFIER_KEYS, prove

pytest_plugins = ["tests.support.api.fixtures"]

__all__ = ["station"]

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def served(served_alone: Served) -> Served:
    """The ledger of `station`: an audit looks at all of it, and other tests alter what they share."""
    return served_alone


@pytest.fixture(scope="module")
def stick(station: Station, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a ledger with signed requests: one event, a batch, and one that is not signed."""
    served, folder = station.served, tmp_path_factory.mktemp("signed")
    assert station.send(station.sign(station.request(station.event()))).status_code == 201
    batch = station.request([station.event(), station.event()], BATCH)
    answers = station.send(station.sign(batch)).json()["answers"]
    assert [answer["outcome"] for answer in answers] == ["accepted", "accepted"]
    _catch_up(served)
    database = served.ledger.database
    make_bundle(folder / "stick", database, served.ledger.archive, lambda: prove(database, folder / "tree"), "test")
    return folder / "stick"


def _catch_up(served: Served) -> None:
    served.ledger.catch_up()
    served.ledger.archive.bring_up_to_date(served.ledger.database)


def _audit(stick: Path, work: Path) -> Report:
    return audit(Request(stick, Policy.of_keys(VERIFIER_KEYS), why_unproved, "test", processes=1, work=work))


def change_a_body(rows: Rows) -> None:
    rows[0]["body"] = rows[0]["body"].replace(b"T09:00", b"T08:00")


def exchange_bodies(rows: Rows) -> None:
    for name in ("base", "signature", "body"):
        rows[0][name], rows[1][name] = rows[1][name], rows[0][name]


def sign_for_another_key(rows: Rows) -> None:
    rows[0]["key"] += 1


def replace_the_public_key(rows: Rows) -> None:
    rows[0]["public_key"] = bytes(32)


def sign_what_was_not_recorded(rows: Rows) -> None:
    rows[0]["names"] = [*rows[0]["names"], bytes(16)]


def test_signatures_of_what_was_recorded_are_sound(stick: Path, tmp_path: Path) -> None:
    report = _audit(stick, tmp_path / "work")
    assert report.state(Check.SIGNATURES) == "sound", text_of(report)
    assert report.sound, text_of(report)


@pytest.mark.parametrize(
    "alter",
    [change_a_body, exchange_bodies, sign_for_another_key, replace_the_public_key, sign_what_was_not_recorded],
)
def test_a_signature_that_is_not_over_the_event_is_found(
    stick: Path, alter: Callable[[Rows], None], tmp_path: Path
) -> None:
    (path,) = stick.glob("signatures-*.parquet")
    content = path.read_bytes()
    table = pq.read_table(path)
    rows = table.to_pylist()
    alter(rows)
    try:
        pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
        report = _audit(stick, tmp_path / "work")
    finally:
        path.write_bytes(content)
    findings = [each for each in report.of(Check.SIGNATURES) if each.severity is Severity.ALTERED]
    assert findings, text_of(report)
    assert all(each.first or "no event" in each.what for each in findings)
