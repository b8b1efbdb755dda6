"""An event that no entry of the transparency log could hold is refused by every way in, by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.access.roles import Role
from api.messages.cloud_events import BATCH, EVENT
from api.operations.service import DEFAULT_RULES
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served

pytest_plugins = ["tests.support.api.fixtures"]

TEXT = DEFAULT_RULES.read_text("utf-8") + "\n# " + "x" * 66_000 + "\n"
"""Sound rules with a long comment."""


@pytest.mark.parametrize("way", ["command", "dry run", "event", "batch", "stream"])
def test_rules_that_are_too_long_for_an_event_are_refused(served: Served, way: str) -> None:
    head = served.ledger.log.head()
    headers = served.headers(Role.ADMIN)
    event = served.event("publish-rules", source="/rules", text=TEXT)
    match way:
        case "command" | "dry run":
            parameters = {"dry_run": True} if way == "dry run" else {}
            body = {"text": TEXT}
            answer = served.client.post("/v1/commands/publish-rules", json=body, params=parameters, headers=headers)
            refused = answer.json()
        case "event":
            answer = served.client.post("/v1/events", json=event, headers=headers | {"Content-Type": EVENT})
            refused = answer.json()
        case "batch":
            answer = served.client.post("/v1/events", json=[event], headers=headers | {"Content-Type": BATCH})
            refused = answer.json()["answers"][0]
        case _:
            lines = f"{json.dumps(event)}\n".encode()
            answer = served.client.post(
                "/v1/events", content=lines, headers=headers | {"Content-Type": "application/x-ndjson"}
            )
            refused = json.loads(answer.text.splitlines()[0])
    assert refused["rejection"] == "event-too-large", answer.text
    assert refused["field"] == "text"
    assert "65,535 bytes" in refused["detail"]
    assert served.ledger.log.head() == head


def test_the_command_line_refuses_them_in_one_sentence(hours: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(TEXT)
    assert "65,535 bytes" in hours("publish", file, "--later").sentence
