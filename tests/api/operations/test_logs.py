"""The log tells the keeper what went wrong, and nobody what it must not hold: keys, names, phone numbers."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from api.access.roles import Role
from api.http.app import create_app
from api.http.requests import request_log
from api.http.requests.request_log import LINES_PER_SECOND_MAX, RequestLog
from api.messages.cloud_events import BATCH, EVENT
from api.operations.logs import LINES_WAITING_MAX, LogFormat, LogLevel, LogSettings, logging_to, redacted
from api.operations.metrics import ProcessMetrics
from api.operations.service import OpenLedger, running
from ledger.store.persons import Person, Persons
from tests.support.api.serving import STATION, Served, give
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]

NAME, PHONE, IDENTITY, MAIL = "王小明", "13800138000", "44030019900101123X", "xiaoming@example.org"


class Log(io.StringIO):
    """What was logged, line by line."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, **fields: Any) -> list[dict[str, Any]]:
        return [line for line in self.lines if fields.items() <= line.items()]


@contextmanager
def logged(*, all_requests: bool = False, level: LogLevel = LogLevel.INFO) -> Iterator[Log]:
    log = Log()
    with logging_to(log, LogSettings(LogFormat.JSON, level, all_requests)):
        yield log


@contextmanager
def serving(ledger: OpenLedger, *, all_requests: bool = False) -> Iterator[Served]:
    tokens = {role: ledger.keys.make(role, STATION if role is Role.STATION else role.value)[1] for role in Role}
    with running(ledger) as service:
        service.logs_all_requests = all_requests
        with TestClient(create_app(service), raise_server_exceptions=False) as client:
            yield Served(service, client, tokens)


def ask_for_everything(served: Served) -> list[tuple[str, int]]:
    """Send requests of many kinds, with what no log may hold in every place; return their ids and statuses."""
    client, key = served.client, served.headers(Role.STATION)
    event = served.event("check-in", volunteer="V0000001", station=STATION, occurred_at="2018-12-04T09:00:00+08:00")
    odd = [
        served.event("check-in", volunteer=PHONE, station=STATION, occurred_at="2018-12-04T09:00:00+08:00"),
        served.event("check-in", volunteer="V0000001", station=STATION, occurred_at=NAME),
        {"specversion": "1.0", "id": PHONE, "source": MAIL, "type": NAME, "data": {NAME: PHONE}},
    ]
    revoked, token = served.ledger.keys.make(Role.READER, "gone")
    served.ledger.keys.revoke(revoked.id)
    posted = key | {"Content-Type": EVENT}
    answers = [
        client.post("/v1/events", json=event, headers=posted),
        client.post("/v1/events", json=event, headers=posted),
        *[client.post("/v1/events", json=one, headers=posted) for one in odd],
        client.post("/v1/events", json=odd, headers=key | {"Content-Type": BATCH}),
        client.post("/v1/events", content=f"{NAME} {PHONE}".encode(), headers=posted),
        client.post("/v1/events", content=PHONE * 200_000, headers=posted),
        client.post("/v1/events?atomic=" + PHONE, json=event, headers=posted),
        client.get(f"/v1/volunteers/{PHONE}", headers=served.headers(Role.READER)),
        client.get(f"/v1/volunteers/V0000001/shifts?from={PHONE}&name={NAME}", headers=served.headers(Role.READER)),
        client.get(f"/{NAME}/{PHONE}", params={"key": served.tokens[Role.ADMIN]}),
        client.get("/v1/log", headers={"Authorization": f"Bearer {token}"}),
        client.get("/v1/log", headers={"Authorization": f"Bearer hours_{PHONE}{PHONE}"}),
        client.get("/v1/log", headers={"Authorization": f"Basic {served.tokens[Role.ADMIN]}"}),
        client.get("/healthz", headers={"X-Request-Id": PHONE}),
        served.command("dispute-shift", volunteer="V0000001", shift=NAME, reason=PHONE, text=f"{NAME}, {MAIL}"),
        served.command("register-volunteer", volunteer=IDENTITY, registered_on="2016-03-05"),
        served.command("register-volunteer", key=f"{MAIL}/{PHONE}", volunteer="V0000009", registered_on=IDENTITY),
    ]
    return [(answer.headers["x-request-id"], answer.status_code) for answer in answers]


def test_no_log_of_any_request_holds_a_secret_or_a_personal_datum(fresh: OpenLedger) -> None:
    give(fresh, "register-volunteer", volunteer="V0000001", registered_on="2016-03-05")
    Persons(fresh.database.pool).save(Person("V0000001", NAME, PHONE, MAIL))
    with logged(all_requests=True, level=LogLevel.DEBUG) as log, serving(fresh, all_requests=True) as served:
        answered = ask_for_everything(served)
    statuses = [status for _, status in answered]
    assert {200, 201, 400, 401, 404, 413, 422} <= set(statuses), statuses
    for request_id, status in answered:  # each request has its line, by its id
        (line,) = log.of(message="request", request_id=request_id)
        assert line["status"] == status
    text = log.getvalue()
    for secret in (NAME, PHONE, IDENTITY, MAIL, "xiaoming", "hours_", *served.tokens.values()):
        assert secret not in text, secret
        assert json.dumps(secret)[1:-1] not in text


def test_a_line_tells_who_asked_for_what_and_why_it_was_refused(
    fresh: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "SLOW_SECONDS", math.inf)  # slow requests are logged, too
    with logged() as log, serving(fresh) as served:
        assert served.get("/v1/volunteers/V7777777").status_code == 404
        bad = served.event("check-in", volunteer="V7777777", station=STATION, occurred_at="2018-12-04T09:00:00+08:00")
        answer = served.send(bad)
        served.volunteer()
    (reader,) = log.of(route="/v1/volunteers/{number}")
    assert (reader["method"], reader["status"], reader["role"]) == ("GET", 404, "reader")
    assert (reader["rejection"], reader["level"]) == ("unknown-volunteer", "info")
    (line,) = log.of(request_id=answer.headers["x-request-id"])
    assert (line["route"], line["rejection"], line["role"]) == ("/v1/events", "unknown-volunteer", "station")
    assert isinstance(line["key"], int)
    assert line["milliseconds"] > 0
    assert not log.of(status=201)  # what went well is not told unless that is asked for


def test_an_id_that_came_with_a_request_is_kept_if_it_is_one(served: Served) -> None:
    def told(given: str) -> str:
        return served.client.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"]

    for good in ("4bf92f3577b34da6a3ce929d0e0e4736", "01677c00-0000-7000-8000-00000000000a"):
        assert told(good) == good
    for bad in (PHONE, IDENTITY, "a" * 31, "g" * 32, "", "4bf92f3577b34da6a3ce929d0e0e4736\x7f"):
        assert told(bad) != bad
        assert len(told(bad)) == 32


def test_a_failure_is_told_with_its_place_and_its_requests_id(
    fresh: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        with fresh.database.pool.connection() as connection:
            connection.execute(
                "INSERT INTO ledger.persons (volunteer, name) VALUES (%s, %s), (%s, NULL)", (PHONE, NAME, NAME)
            )

    with logged() as log, serving(fresh) as served:
        monkeypatch.setattr(fresh.log, "read", broken)
        answer = served.get("/v1/log")
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    (line,) = log.of(message="request", request_id=request_id)
    assert (line["level"], line["rejection"]) == ("error", "failed")


def test_an_error_is_told_without_the_values_it_quotes(database_url: str) -> None:
    with logged() as log:
        logger = logging.getLogger("api.test")
        with psycopg.connect(database_url) as connection:
            connection.execute("CREATE TABLE kept (name text NOT NULL, phone text NOT NULL)")
            with pytest.raises(psycopg.Error, match=NAME) as failed:
                connection.execute("INSERT INTO kept VALUES (%s, NULL)", (NAME,))
        logger.error("it went wrong: %s", failed.value, exc_info=failed.value)
        try:
            TypeAdapter(int).validate_python(NAME)
        except ValueError:
            logger.exception("it was wrong")
    first, second = log.lines
    assert "null value in column" in first["message"]
    assert "NotNullViolation" in first["exception"]
    assert "tests/api/operations/test_logs.py:" in first["exception"]
    assert "int_parsing" in second["exception"]
    assert NAME not in log.getvalue()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"call {PHONE} or +86 {PHONE}", "call *** or ***"),
        (f"{IDENTITY}; {MAIL}", "***; ***"),
        ("postgresql://hours:s3cret@db/ledger", "postgresql://hours:***@db/ledger"),
        ("host=db password='s3 cret' user=a", "host=db password=*** user=a"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("key hours_Ab3-_9xYz012345 is gone", "key hours_*** is gone"),
        ("position 13800138000123 of stream 01677c00-0000-7000-8000-138001380000", None),
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(text: str, left: str | None) -> None:
    assert redacted(text) == (text if left is None else left)


def test_lines_about_requests_are_limited_and_the_rest_is_counted() -> None:
    now = 0.5
    requests = RequestLog(ProcessMetrics(), clock=lambda: now)
    with logged() as log:
        for _ in range(LINES_PER_SECOND_MAX + 7):
            requests.note("GET", "/v1/log", 503, 0.001, None, "unavailable", b"a" * 32)
        now = 1.5
        requests.note("GET", "/v1/log", 200, request_log.SLOW_SECONDS, None, None, b"b" * 32)
    assert len(log.lines) == LINES_PER_SECOND_MAX + 1
    assert (log.lines[-1]["left_out"], log.lines[-1]["message"]) == (7, "a slow request")


def test_a_log_that_nobody_reads_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as unread, os.fdopen(writing, "w") as stream:
        began = time.monotonic()
        with logging_to(stream, LogSettings(LogFormat.JSON)):
            logger = logging.getLogger("api.test")
            logger.propagate, logger.handlers = False, logging.getLogger().handlers[-1:]
            try:
                for number in range(LINES_WAITING_MAX + 2_000):
                    logger.info("line %d", number)
            finally:
                logger.propagate, logger.handlers = True, []
        assert time.monotonic() - began < PATIENCE_SECONDS
        os.set_blocking(unread.fileno(), False)
        writers = [one for one in threading.enumerate() if one.name == "log"]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(one.is_alive() for one in writers) and time.monotonic() < deadline:
            with suppress(BlockingIOError):
                os.read(unread.fileno(), 1 << 20)
    assert not any(one.is_alive() for one in writers)


def test_the_end_of_a_log_is_there_when_it_has_ended(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:  # which has a buffer of its own
        with logging_to(stream, LogSettings(LogFormat.TEXT)):
            logging.getLogger("api.test").warning("the last line")
        assert "the last line" in (tmp_path / "log").read_text()


def test_a_terminal_gets_text_and_libraries_are_quiet(tmp_path: Path) -> None:
    log = Log()
    with logging_to(log, LogSettings(LogFormat.TEXT, LogLevel.DEBUG)):
        logging.getLogger("replay.test").debug("a batch", extra={"fields": {"events": 3, "who": PHONE}})
        logging.getLogger("uvicorn.error").info("not asked for")
        broken = threading.Thread(target={}.popitem, name="broken")
        broken.start()
        broken.join()
    first, second, *_ = log.getvalue().splitlines()
    assert first.endswith("DEBUG   replay.test: a batch events=3 who=***")
    assert "CRITICAL api.operations.logs: the thread broken ended with an error" in second
    assert "KeyError" in log.getvalue()
