"""Rules beyond the limits are refused by every way in, before they are parsed; nothing is stored or recorded."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from api.access.roles import ROLES_OF_RIGHT, Right, Role
from api.messages.cloud_events import event_type
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served
from tests.support.oversized_rules import UNCHECKABLE, UNREADABLE, rule_sets

pytest_plugins = ["tests.support.api.fixtures"]

BODY_CHARACTERS_MAX = 500_000
DEEP = UNREADABLE["dotted key"]


def candidate(served: Served, text: str, role: Role = Role.ANALYST) -> Response:
    headers = served.headers(role) | {"Content-Type": "application/toml"}
    return served.client.post("/v1/rules/candidates", content=text.encode(), headers=headers)


def candidate_as_json(served: Served, text: str, role: Role = Role.ANALYST) -> Response:
    return served.client.post("/v1/rules/candidates", json={"text": text}, headers=served.headers(role))


def side(name: str, prefer: str = "") -> Callable[..., Response]:
    def ask(served: Served, text: str, role: Role = Role.ANALYST) -> Response:
        headers = served.headers(role) | {"Prefer": prefer}
        return served.client.post("/v1/what-ifs", json={name: {"rules": text}}, headers=headers)

    return ask


def command(served: Served, text: str, role: Role = Role.ADMIN) -> Response:
    return served.command("publish-rules", role=role, text=text)


def event(served: Served, text: str, role: Role = Role.ADMIN) -> Response:
    return served.send(served.event("publish-rules", source="/rules", text=text), role=role)


def binary_event(served: Served, text: str, role: Role = Role.ADMIN) -> Response:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"rules-{len(text)}",
        "ce-source": "/rules",
        "ce-type": event_type("publish-rules"),
    }
    return served.client.post("/v1/events", json={"text": text}, headers=served.headers(role) | headers)


WAYS: dict[str, Callable[..., Response]] = {
    "candidate": candidate,
    "candidate as JSON": candidate_as_json,
    "before": side("before"),
    "after": side("after"),
    "after, as a job": side("after", "respond-async"),
    "command": command,
    "event": event,
    "binary event": binary_event,
}


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if a text that is not the federation's is parsed."""
    loads = tomllib.loads

    def parse(text: str, **more: Any) -> dict[str, Any]:
        assert text not in UNREADABLE.values()
        return loads(text, **more)

    monkeypatch.setattr(tomllib, "loads", parse)


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*UNREADABLE, *UNCHECKABLE])
def test_rules_beyond_the_limits_are_refused_with_a_remedy(served: Served, way: str, name: str) -> None:
    text = (UNREADABLE | UNCHECKABLE)[name]
    head, jobs = served.ledger.log.head(), len(served.service.jobs.list())
    answer = WAYS[way](served, text)
    problem = answer.json()
    assert problem["rejection"] in {"unsound-rules", "invalid", "too-large"}, problem
    if problem["rejection"] != "too-large":
        assert problem["remedy"]
        assert "rules" in problem["field"] or "text" in problem["field"]
    assert answer.status_code in {413, 422}
    assert len(answer.content) < 2_000
    assert (served.ledger.log.head(), len(served.service.jobs.list())) == (head, jobs)


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_a_batch_or_stream_refuses_such_rules_and_records_the_rest(served: Served, mode: str) -> None:
    number = f"V9{mode[:2].encode().hex()}"[:8].ljust(8, "0")
    events = [
        served.event("publish-rules", source="/rules", text=DEEP),
        served.event("register-volunteer", source="/desk", volunteer=number, registered_on="2016-03-05"),
    ]
    if mode == "batch":
        answers = served.send(events, role=Role.ADMIN).json()["answers"]
        assert [one.get("rejection") for one in answers] == ["invalid", None]
        return
    headers = served.headers(Role.ADMIN) | {"Content-Type": "application/x-ndjson"}
    lines = "".join(json.dumps(one) + "\n" for one in events)
    assert '"rejection":"invalid"' in served.client.post("/v1/events", content=lines, headers=headers).text


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("way", WAYS)
def test_whoever_sends_them_is_refused(served: Served, way: str, role: Role) -> None:
    may = (Role.ADMIN,) if way in {"command", "event", "binary event"} else ROLES_OF_RIGHT[Right.TRY_RULES]
    answer = WAYS[way](served, DEEP, role)
    assert answer.status_code == (422 if role in may else 403)


COMMANDS = (
    ("rules", "check", "{file}"),
    ("publish", "{file}"),
    ("rebuild", "--rules", "{file}"),
    ("diff", "current", "{file}"),
    ("diff", "{file}", "current"),
    ("replay", "--rules", "{file}", "--to", "{folder}"),
    ("post", "{events}"),
    ("volunteer", "V0000001", "--rules", "{file}"),
)


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["dotted key", "arrays within arrays", "number of 5,000 digits", "many keys"])
def test_the_command_line_refuses_them_in_a_sentence(
    reads: CommandLine, tmp_path: Path, arguments: tuple[str, ...], name: str
) -> None:
    file, events = tmp_path / "rules.toml", tmp_path / "events.jsonl"
    file.write_text(UNREADABLE[name], "utf-8")
    data = {"text": UNREADABLE[name]}
    element = {"specversion": "1.0", "id": "1", "source": "/rules", "type": event_type("publish-rules"), "data": data}
    events.write_text(json.dumps(element) + "\n")
    told = reads(*(argument.format(file=file, events=events, folder=tmp_path / "out") for argument in arguments))
    assert told.code == (1 if arguments[0] == "post" else 2)
    assert "Traceback" not in told.err
    if arguments[0] not in {"post", "rules"}:
        assert "line " in told.sentence


def test_rules_within_the_limits_are_accepted(served: Served) -> None:
    text = rule_sets(100)
    assert len(text) < BODY_CHARACTERS_MAX
    assert candidate(served, text).status_code == 201
