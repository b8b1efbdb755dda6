"""No statement of a reader takes longer than a service allows; those of a rebuild may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg.errors import QueryCanceled

from api.messages.database_faults import fault_of_database
from api.operations.service import STATEMENT_SECONDS_MAX, create_ledger
from ledger.store.database import Database
from ledger.store.pool import allow_long_statements

SHOW = "SHOW statement_timeout"


def test_a_statement_of_a_reader_is_stopped_and_named(new_database_url: Callable[[], str]) -> None:
    with Database.open(new_database_url(), statement_seconds_max=1) as database:
        with pytest.raises(QueryCanceled) as stopped:
            database.log.rows("SELECT pg_sleep(30)::text", ())
        fault = fault_of_database(stopped.value)
        assert (fault.rejection, fault.rule.status) == ("timed-out", 503)
        with database.pool.connection() as connection, connection.transaction():
            allow_long_statements(connection)
            assert connection.execute(SHOW).fetchall() == [("0",)]
        with database.pool.connection() as connection:  # for that transaction only
            assert connection.execute(SHOW).fetchall() == [("1s",)]
        with database.reserved.connection() as connection:  # the writer and the follower have limits of their own
            assert connection.execute(SHOW).fetchall() == [("0",)]


@pytest.mark.parametrize("supervised", [True, False])
def test_only_a_service_has_that_limit(
    new_database_url: Callable[[], str],
    tmp_path: Path,
    supervised: bool,  # noqa: FBT001
) -> None:
    with (
        create_ledger(tmp_path, new_database_url(), supervised=supervised) as ledger,
        ledger.database.pool.connection() as connection,
    ):
        (found,) = connection.execute(SHOW).fetchall()
    assert found == (f"{STATEMENT_SECONDS_MAX // 60}min" if supervised else "0",)
