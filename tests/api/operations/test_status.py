"""Status and metrics: how a ledger is, for people and for machines; and what is wrong is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.access.roles import ROLES_OF_RIGHT, Right, Role
from api.operations.service import OpenLedger
from ledger.store.database import Database
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served, give, stock

pytest_plugins = ["tests.support.api.fixtures"]


def metrics(served: Served) -> dict[str, Any]:
    """Return every sample by name and labels."""
    answer = served.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        f"{sample.name}{sorted(sample.labels.items()) if sample.labels else ''}": sample.value
        for family in families
        for sample in family.samples
    }


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_the_status_says_how_far_everything_is(served: Served) -> None:
    counted: dict[str, Any] = {"station": "C01", "day": "2018-12-04", "people": 1, "reason": "counted-again"}
    position = served.command("count-people-served", **counted).json()["position"]
    served.get("/v1/stations", at_least=position)
    status = served.get("/v1/status").json()
    assert (status["head"], status["position"], status["lag"], status["lag_seconds"]) == (position, position, 0, 0)
    assert (status["holes"], status["alert"], status["problems"]) == (0, None, [])
    assert (status["jobs"], status["archive"]["problem"]) == ({"running": 0, "waiting": 0}, None)
    assert status["archive"]["position"] + status["archive"]["lag"] == position
    assert status["age_seconds"] >= 0
    assert len(status["checksum"]) == 16


def test_metrics_tell_the_same_and_count_requests_by_route_not_by_name(served: Served) -> None:
    volunteer = served.volunteer()
    route = [("method", "GET"), ("route", "/v1/volunteers/{number}"), ("status", "404")]
    before = metrics(served)
    for _ in range(3):
        assert served.get(f"/v1/volunteers/{uuid4().hex[:12]}").status_code == 404
    assert served.client.get("/nowhere/at/all").status_code == 404
    after, status = metrics(served), served.get("/v1/status").json()
    assert after[f"http_requests_total{route}"] - before.get(f"http_requests_total{route}", 0) == 3
    assert after[f"http_request_duration_seconds_count{route[:2]}"] >= 3
    assert after[f"http_requests_total{[('method', 'GET'), ('route', 'none'), ('status', '404')]}"] >= 1
    assert after["hours_log_head_position"] == status["head"]
    assert (after["hours_log_holes"], after["hours_follower_alert"], after["hours_problems"]) == (0, 0, 0)
    assert after["hours_archive_position"] == status["archive"]["position"]
    assert after["process_resident_memory_bytes"] > 1 << 20
    text = served.get("/metrics").text
    assert volunteer not in text
    assert f'checksum="{status["checksum"]}"' in text
    assert not any(token in text for token in served.tokens.values())


def test_metrics_tell_of_commands_commits_and_what_the_process_has_left(served: Served) -> None:
    before = metrics(served)
    event = served.event("check-in", volunteer=served.volunteer(), station="C01", occurred_at="2018-12-04T09:00+08:00")
    unknown = served.event("check-in", volunteer="V7654321", station="C01", occurred_at="2018-12-04T09:00+08:00")
    malformed = served.event("check-in", volunteer="V7654321")
    for _ in range(2):
        assert served.send([event, unknown, malformed]).status_code == 200
    assert served.send(unknown).status_code == 404
    after = metrics(served)

    def more(name: str, **labels: str) -> float:
        key = f"{name}{sorted(labels.items()) if labels else ''}"
        return float(after[key] - before.get(key, 0))

    outcomes = [more("hours_commands_total", outcome=one) for one in ("accepted", "repeated", "refused")]
    assert outcomes == [2, 1, 3]  # the volunteer and the check-in; the check-in again; nobody, three times
    assert more("hours_commands_refused_total", rejection="unknown-volunteer") == 3
    assert more("hours_commands_refused_total", rejection="invalid") == 2
    assert more("http_problems_total", problem="unknown-volunteer") == 1
    assert more("hours_commit_commands_sum") == 6
    assert more("hours_commit_duration_seconds_count") == more("hours_commit_commands_count") >= 3
    assert (after["hours_queue_commands"], after["hours_queue_commands_max"]) == (0, 50_000)
    used, idle = (after[f"hours_pool_connections{[('state', state)]}"] for state in ("used", "idle"))
    assert 1 <= used + idle <= after["hours_pool_connections_max"] == 10
    assert after["hours_pool_waiting"] == 0
    assert after["hours_disk_free_bytes"] > 1 << 20
    assert after["hours_database_up"] == 1
    assert (after["hours_archive_lag_seconds"] > 0) == (after["hours_archive_lag_events"] > 0)
    assert any(name.startswith("hours_build_info") and "('version'," in name for name in after)


def test_metrics_of_the_process_are_told_while_the_database_is_away(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("connection failed")

    assert served.get("/v1/log/1").status_code in {200, 404}  # the key is remembered
    monkeypatch.setattr(served.ledger.database.pool, "connection", away)
    found = {name: family for name, family in metrics(served).items() if name.startswith("hours_")}
    assert found["hours_database_up"] == 0
    assert {"hours_queue_commands", "hours_disk_free_bytes", "hours_follower_alert"} <= set(found)
    assert "hours_log_head_position" not in found


def test_every_metric_is_named_as_prometheus_wants_it(served: Served) -> None:
    families = list(text_string_to_metric_families(served.get("/metrics").text))
    for family in families:
        assert family.documentation, family.name
        assert family.name.startswith(("hours_", "http_", "process_")), family.name
        assert not family.name.endswith(("_milliseconds", "_minutes", "_mib", "_count", "_sum")), family.name
        if family.type == "counter":
            assert all(one.name.endswith(("_total", "_created")) for one in family.samples), family.name
    assert len({family.name for family in families}) == len(families)


def test_metrics_are_told_to_whoever_has_a_key(served: Served) -> None:
    for role in Role:
        assert served.get("/metrics", role=role).status_code == (200 if role in ROLES_OF_RIGHT[Right.READ] else 403)
    assert served.get("/metrics", role=None).status_code == 401
    assert served.get("/v1/status", role=None).status_code == 401


# --- on the command line --------------------------------------------------------------------------------------------


def test_a_sound_ledger_is_shown_in_a_table_and_told_as_json(reads: CommandLine) -> None:
    reads("volunteer", "V0000001")
    told = reads("status")
    assert (told.code, "found nothing wrong" in told.out, "no holes" in told.out) == (0, True, True)
    answer = reads("status", "--deep", "--json").answer
    assert answer["deep"]["checksum_holds"]
    assert answer["deep"]["counted_events"] == answer["head"] == answer["seen"]
    assert answer["deep"]["checksum"] == answer["generation"]["checksum"]


@pytest.fixture
def told(hours: CommandLine, database_url: str) -> CommandLine:
    """The command line on a little ledger of its own, whose read models and archive are up to the log."""
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, hours.data)
        stock(ledger)
        ledger.catch_up()
        ledger.archive.bring_up_to_date(database)
    return hours


def _break_rows(database: psycopg.Connection[Any]) -> None:
    (schema,) = database.execute("SELECT 'generation_' || generation FROM replay.pointer").fetchall()[0]
    database.execute(f"UPDATE {schema}.volunteer_hours SET credited_minutes = credited_minutes + 1")  # noqa: S608 - the test's own names


def _make_hole(database: psycopg.Connection[Any]) -> None:
    database.execute("DELETE FROM ledger.stored_events WHERE notification_id = 10")


def _append_riddle(database: psycopg.Connection[Any]) -> None:
    database.execute(
        "INSERT INTO ledger.stored_events SELECT gen_random_uuid(), 1, 'riddle.v9', state, notification_id + 1 "
        "FROM ledger.stored_events ORDER BY notification_id DESC LIMIT 1"
    )


def _cut_log(database: psycopg.Connection[Any]) -> None:
    database.execute("DELETE FROM ledger.stored_events WHERE notification_id > 3")


@pytest.mark.parametrize(
    ("breaking", "deep", "said"),
    [
        (_cut_log, False, "read models hold 19 events, the log only 3"),
        (_break_rows, True, "hours rebuild --new-facts"),
        (_make_hole, True, "1 positions of the log hold no event"),
        (_append_riddle, False, "cannot be decoded, so the read models stop before it"),
        (_cut_log, False, "was an older backup restored?"),
    ],
)
def test_what_is_wrong_is_named_and_ends_with_code_one(
    told: CommandLine,
    database_url: str,
    breaking: Callable[[psycopg.Connection[Any]], None],
    deep: bool,  # noqa: FBT001 - a column of the table
    said: str,
) -> None:
    assert told("status").code == 0
    with psycopg.connect(database_url, autocommit=True) as database:
        breaking(database)
    options = ["--deep"] if deep else []
    found = told("status", *options)
    assert (found.code, said in " ".join(found.out.split())) == (1, True), found.out
    found = told("status", "--json", *options)
    assert (found.code, len(json.loads(found.out)["problems"]) > 0) == (1, True)


def test_events_that_read_models_lack_are_told_with_how_long_they_have_waited(
    told: CommandLine, database_url: str
) -> None:
    with Database.open(database_url) as database:
        give(OpenLedger(database, told.data), "open-station", station="Z1", kind="city")
    answer = told("status", "--json").answer
    assert (answer["lag"], answer["problems"], answer["archive"]["lag"]) == (1, [], 1)
    assert 0 <= answer["lag_seconds"] < 60
    assert "1 behind" in told("status").out


def test_a_hole_is_seen_without_counting_the_whole_log(told: CommandLine, database_url: str) -> None:
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, told.data)
        for number in range(3):
            give(ledger, "open-station", station=f"Z{number}", kind="city")
        with database.pool.connection() as connection:
            connection.execute("DELETE FROM ledger.stored_events WHERE notification_id = %s", (ledger.log.head() - 1,))
    found = told("status")
    assert (found.code, "1 positions of the log hold no event" in found.out) == (1, True), found.out


def test_an_archive_that_cannot_be_read_is_told(told: CommandLine) -> None:
    (told.data / "archive" / "manifest.json").write_text("{}")
    found = told("status")
    assert (found.code, "manifest.json" in found.out) == (1, True)


def test_a_ledger_without_read_models_is_told_what_to_do(hours: CommandLine) -> None:
    assert "hours rebuild" in hours("status").sentence
