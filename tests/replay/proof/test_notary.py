"""The notary: it makes keys, signs what is new, catches up in a process of its own, and says what is wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.store.database import Database
from replay.proof.growth import TransparencyLog
from replay.proof.keys import SigningKeyError
from replay.proof.notary import Notary, Policy, make_missing_keys
from tests.support.patience import PATIENCE_SECONDS

EAGER = Policy(checkpoint_seconds=0.05)


def record(database: Database, count: int) -> None:
    head = int(database.log.head())
    with database.pool.connection() as connection:
        connection.execute(
            "INSERT INTO ledger.stored_events SELECT gen_random_uuid(), 1, 'x.v1', '{}', g "
            "FROM generate_series(%s::bigint, %s::bigint) AS g",
            (head + 1, head + count),
        )


@contextmanager
def working(database: Database, data: Path, policy: Policy = EAGER) -> Iterator[Notary]:
    notary = Notary(data, database, TransparencyLog(data, database.log), policy)
    notary.start()
    try:
        yield notary
    finally:
        notary.close()


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def size_of(notary: Notary) -> int:
    published = notary.log.checkpoints.published()
    return published.size if published else 0


def test_a_ledger_gets_keys_at_its_first_start_and_the_log_says_so(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), working(database, tmp_path) as notary:
        origin = f"service-hours.invalid/{database.log.identity()}"
        assert notary.log.keys.published().origin == origin
    (line,) = [record.getMessage() for record in caplog.records if "made signing keys" in record.getMessage()]
    assert origin in line
    assert "hours signing-keys backup" in line
    before = notary.log.keys.published()
    with working(database, tmp_path) as again:
        assert again.log.keys.published() == before


def test_what_is_recorded_is_signed(database: Database, tmp_path: Path) -> None:
    record(database, 3)
    with working(database, tmp_path) as notary:
        wait_for(lambda: size_of(notary) == 3)
        record(database, 4)
        wait_for(lambda: size_of(notary) == 7)
        assert notary.alert is None


def test_a_long_way_is_gone_by_a_process_of_its_own(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record(database, 5000)
    with caplog.at_level(logging.INFO), working(database, tmp_path, Policy(0.05, events_behind_max=1000)) as notary:
        wait_for(lambda: size_of(notary) == 5000)
        assert notary.alert is None
    assert "the tree caught up with the log" in caplog.text


def test_the_error_of_that_process_is_an_alert(database: Database, tmp_path: Path) -> None:
    record(database, 50)
    data = tmp_path / "data"
    make_missing_keys(TransparencyLog(data, database.log), database)
    (data / "proof" / "keys" / "generation-1.keys").unlink()
    with working(database, data, Policy(0.05, events_behind_max=10)) as notary:
        wait_for(lambda: notary.alert)
        assert notary.alert
        assert "hours signing-keys restore" in notary.alert


def test_a_log_that_was_altered_is_an_alert_that_lasts(database: Database, tmp_path: Path) -> None:
    record(database, 5)
    with working(database, tmp_path) as notary:
        wait_for(lambda: size_of(notary) == 5)
        with database.pool.connection() as connection:
            connection.execute("UPDATE ledger.stored_events SET state = '{ }' WHERE notification_id = 2")
        record(database, 1)
        wait_for(lambda: notary.alert)
        assert notary.alert
        assert "event 2 differs" in notary.alert
        assert size_of(notary) == 5
        with database.pool.connection() as connection:
            connection.execute("UPDATE ledger.stored_events SET state = '{}' WHERE notification_id = 2")
        notary.log.verify()
        wait_for(lambda: notary.alert is None)
        wait_for(lambda: size_of(notary) == 6)


def test_one_process_is_the_notary_and_another_takes_over(database: Database, tmp_path: Path) -> None:
    with working(database, tmp_path) as first, working(database, tmp_path) as second:
        wait_for(lambda: first._lock_file or second._lock_file)
        record(database, 1)
        wait_for(lambda: size_of(first) == 1)
        assert (first._lock_file is None) != (second._lock_file is None)
        holder, other = (first, second) if first._lock_file else (second, first)
        holder.close()
        record(database, 1)
        wait_for(lambda: size_of(other) == 2)


def test_a_ledger_that_has_signed_gets_no_other_keys(database: Database, tmp_path: Path) -> None:
    record(database, 2)
    log = TransparencyLog(tmp_path, database.log)
    make_missing_keys(log, database)
    log.grow()
    (tmp_path / "proof" / "keys").rename(tmp_path / "lost")
    with pytest.raises(SigningKeyError, match="bring them back"):
        make_missing_keys(log, database)
    record(database, 1)
    with working(database, tmp_path) as notary:
        wait_for(lambda: notary.alert and "holds no signing keys" in notary.alert)
    (tmp_path / "lost").rename(tmp_path / "proof" / "keys")
    with working(database, tmp_path) as notary:
        wait_for(lambda: size_of(notary) == 3)
