"""Whatever takes a text, in whatever mode it is sent: once the person is erased, it is nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.roles import Role
from api.http.app import create_app
from api.http.routes.writes.event_stream import NDJSON
from api.messages.cloud_events import BATCH, EVENT
from api.operations.service import OpenLedger, running
from ledger.aggregates import COMMANDS
from ledger.deciding.base import Noted
from ledger.intake.answers import Accepted
from ledger.store.database import Database
from replay.backup.backup import back_up
from tests.api.test_erasure import PERSONAL, in_files, in_tables
from tests.support.api.serving import KEY_NAMES, STATION, Served, stock, take

pytest_plugins = ["tests.support.api.fixtures"]

WHO, OTHER = "V0000001", "V0000002"
TEXT = "张三丰 phoned from 13800138000, zhang.sanfeng@example.org: his mother is ill"


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> Iterator[Served]:
    """A served ledger of its own, with a little history."""
    ledger = OpenLedger(database, tmp_path)
    stock(ledger)
    tokens = {role: ledger.keys.make(role, KEY_NAMES.get(role, role.value))[1] for role in Role}
    with running(ledger) as service, TestClient(create_app(service)) as client:
        yield Served(service, client, tokens)


# --- the modes --------------------------------------------------------------------------------------------------------

Send = Callable[[Served, Role, str, dict[str, Any]], Response]


def _event(served: Served, command: str, body: dict[str, Any]) -> dict[str, Any]:
    return served.event(command, source=f"/t/{uuid4()}", **body)


def _post(served: Served, role: Role, content: str, media_type: str, **headers: str) -> Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.client.post(
        "/v1/events",
        content=content.encode(),
        headers=served.headers(role) | {"Content-Type": media_type, **told},
    )


def rest(served: Served, role: Role, command: str, body: dict[str, Any]) -> Response:
    return served.command(command, role, **body)


def single(served: Served, role: Role, command: str, body: dict[str, Any]) -> Response:
    return _post(served, role, json.dumps(_event(served, command, body)), EVENT)


def batch(served: Served, role: Role, command: str, body: dict[str, Any]) -> Response:
    return _post(served, role, json.dumps([_event(served, command, body)]), BATCH)


def stream(served: Served, role: Role, command: str, body: dict[str, Any]) -> Response:
    return _post(served, role, json.dumps(_event(served, command, body)) + "\n", NDJSON)


def binary(served: Served, role: Role, command: str, body: dict[str, Any]) -> Response:
    event = _event(served, command, body)
    attributes = {f"ce_{name}": event[name] for name in ("specversion", "id", "source", "type")}
    return _post(served, role, json.dumps(body), "application/json", **attributes)


MODES: dict[str, Send] = {"rest": rest, "single": single, "batch": batch, "stream": stream, "binary": binary}


def recorded(answer: Response) -> bool:
    """Return whether an answer says that the command is recorded."""
    told = json.loads(answer.text.splitlines()[0])
    (told,) = told.get("answers", [told])
    return isinstance(told.get("position"), int)


# --- the texts --------------------------------------------------------------------------------------------------------


def _given(served: Served, command: str, body: dict[str, Any], *, imported: bool = False) -> None:
    answer = take(served.ledger, command, body, imported=imported)
    assert isinstance(answer, Accepted), answer


def _shift(served: Served, who: str) -> dict[str, Any]:
    scan = {"volunteer": who, "station": STATION, "shift": str(uuid4())}
    _given(served, "check-in", scan | {"occurred_at": "2018-12-03T09:00:00+08:00"})
    return {"volunteer": who, "shift": scan["shift"], "reason": "asked"}


def texts(served: Served, who: str) -> Iterator[tuple[Role, str, dict[str, Any]]]:
    """Yield commands that take a text about a volunteer, and the role that sends each."""
    act = _shift(served, who)
    yield Role.STAFF, "dispute-shift", act
    yield Role.APPROVER, "answer-dispute", act
    yield Role.APPROVER, "settle-dispute", act | {"outcome": "rejected"}
    for command, reason in (
        ("approve-act", {}),
        ("decline-act", {"reason": "asked"}),
        ("withdraw-request", {"reason": "asked"}),
    ):
        fields = _shift(served, who)
        request = uuid4().hex
        yield Role.STAFF, "request-act", {"request": request, "act": "void-shift", "fields": fields}
        role = Role.STAFF if command == "withdraw-request" else Role.APPROVER
        yield role, command, {"request": request, **reason}
    award = f"award-{uuid4().hex}"
    _given(served, "announce-honor", {"award": award, "honor": "guide", "volunteer": who}, imported=True)
    yield Role.HONORS_OFFICER, "object-to-honor", {"award": award, "reason": "asked"}
    yield (
        Role.STAFF,
        "settle-honor-objection",
        {"award": award, "objection": 1, "outcome": "rejected", "reason": "asked"},
    )
    request = uuid4().hex
    yield (
        Role.STAFF,
        "request-act",
        {"request": request, "act": "revoke-honor", "fields": {"award": award, "reason": "asked"}},
    )
    yield Role.APPROVER, "decline-act", {"request": request, "reason": "asked"}


DIRECT = ("correct-shift", "void-shift", "reinstate-shift", "move-shift", "attest-shift")
"""These need another's approval, so their own texts are refused; the text of the request is recorded with them."""


def direct(served: Served, who: str) -> Iterator[tuple[Role, str, dict[str, Any]]]:
    act = _shift(served, who)
    late = {"check_in": "2018-12-05T09:00:00+08:00", "check_out": "2018-12-05T10:00:00+08:00", "evidence": "paper-list"}
    yield Role.STAFF, "correct-shift", act | {"changes": ["station"], "station": STATION}
    yield Role.STAFF, "void-shift", act
    yield Role.STAFF, "reinstate-shift", act
    yield Role.STAFF, "move-shift", act | {"to_volunteer": OTHER}
    yield Role.STAFF, "attest-shift", {"volunteer": who, "station": STATION, **late}


def everywhere(served: Served, folder: Path, log: str) -> list[str]:
    """Return where anything personal is found: tables, files, a new backup, the log."""
    back_up(served.ledger.database, folder / f"backup-{uuid4().hex}")
    served.ledger.archive.bring_up_to_date(served.ledger.database)
    return [*in_tables(served.ledger.database), *in_files(folder), *(datum for datum in PERSONAL if datum in log)]


def test_every_command_that_takes_a_text_is_sent() -> None:
    sent = {"dispute-shift", "answer-dispute", "settle-dispute", "request-act", "approve-act", "decline-act"}
    sent |= {"withdraw-request", "object-to-honor", "settle-honor-objection", *DIRECT}
    with_text = {name for name, command in COMMANDS.items() if issubclass(command, Noted)}
    assert with_text - {"put-rules-in-force"} == sent  # whose text is about rules; `hours erase --event` erases it


@pytest.mark.parametrize("mode", MODES)
def test_a_text_is_erased_whichever_command_and_mode_brought_it(
    kept: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.DEBUG)
    send, count = MODES[mode], 0
    for role, command, body in texts(kept, WHO):
        answer = send(kept, role, command, body | {"text": TEXT})
        assert recorded(answer), (command, answer.text)
        count += 1
    for role, command, body in direct(kept, WHO):
        send(kept, role, command, body | {"text": TEXT})
    with kept.ledger.database.pool.connection() as connection:
        rows = connection.execute("SELECT volunteer, others FROM ledger.texts WHERE text = %s", (TEXT,)).fetchall()
    assert len(rows) >= count
    assert all(WHO in (volunteer, *others) for volunteer, others in rows), rows
    assert kept.ledger.erase(WHO) == len(rows)
    assert everywhere(kept, tmp_path, caplog.text) == []


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_kept_of_a_text_that_was_refused_malformed_or_only_tried(
    kept: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.DEBUG)
    send, act = MODES[mode], _shift(kept, WHO)
    for command, body in (
        ("dispute-shift", act | {"volunteer": "V9999999", "text": TEXT}),
        ("dispute-shift", act | {"text": TEXT, "phone": "13800138000"}),
        ("dispute-shift", act | {"reason": TEXT}),
        ("dispute-shift", act | {"text": [TEXT]}),
        ("check-in", act | {"text": TEXT}),
    ):
        assert not recorded(send(kept, Role.STAFF, command, body)), body
    _post(kept, Role.STAFF, '{"text": "' + TEXT, EVENT)
    kept.client.post(
        "/v1/commands/dispute-shift",
        params={"dry_run": True},
        json=act | {"text": TEXT},
        headers=kept.headers(Role.STAFF),
    )
    event = _event(kept, "dispute-shift", act) | {"comment": TEXT, "subject": TEXT}
    assert recorded(_post(kept, Role.STAFF, json.dumps(event), EVENT))  # without them
    assert everywhere(kept, tmp_path, caplog.text) == []


def test_a_text_about_two_is_erased_with_either(kept: Served) -> None:
    for erased in (WHO, OTHER):
        act = _shift(kept, WHO)
        request = {"request": uuid4().hex, "act": "move-shift", "fields": act | {"to_volunteer": OTHER}}
        assert recorded(rest(kept, Role.STAFF, "request-act", request | {"text": TEXT}))
        kept.ledger.erase(erased)
        assert in_tables(kept.ledger.database) == []


NAMES = ["13800138000", "check-in-13800138000", "+86-138-0013-8000", "440301199001011234", "a:8613800138000"]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_a_command_is_a_phone_number(kept: Served, name: str) -> None:
    act = _shift(kept, WHO)
    head = kept.ledger.log.head()
    answer = kept.command("dispute-shift", Role.STAFF, key=name, **act)
    assert (answer.status_code, answer.json()["rejection"]) == (422, "invalid"), answer.text
    event = _event(kept, "dispute-shift", act)
    for field in ("id", "source"):
        for sent in (event | {field: name},):
            answer = _post(kept, Role.STAFF, json.dumps(sent), EVENT)
            assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
            attributes = {f"ce_{one}": sent[one] for one in ("specversion", "id", "source", "type")}
            answer = _post(kept, Role.STAFF, json.dumps(act), "application/json", **attributes)
            assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
            assert not recorded(_post(kept, Role.STAFF, json.dumps([sent]), BATCH))
            assert not recorded(_post(kept, Role.STAFF, json.dumps(sent), NDJSON))
    assert kept.ledger.log.head() == head
