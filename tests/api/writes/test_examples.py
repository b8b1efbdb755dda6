"""The examples of all commands, as the OpenAPI description shows them, are accepted by the demonstration's ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.roles import Role
from api.cli.main import execute
from api.cli.operations.serve import DEMO_SCALE, DEMO_SEED
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from ledger.aggregates import COMMANDS
from ledger.intake.intake import system_clock
from ledger.store.database import Database

ORDER = (
    *("found-organisation", "rename-organisation", "move-organisation", "open-station", "rename-station"),
    *("register-volunteer", "launch-project", "rename-project"),
    *("join-organisation", "leave-organisation", "record-training", "void-training", "count-people-served"),
    *("check-in", "check-out", "punch", "dispute-shift", "answer-dispute", "settle-dispute"),
    *("attest-shift", "correct-shift", "void-shift", "reinstate-shift", "move-shift"),
    *("record-opening-balance", "void-opening-balance", "raise-day-cap", "withdraw-day-cap-raise"),
    *("request-act", "approve-act", "decline-act", "withdraw-request"),
    *("announce-honor", "object-to-honor", "settle-honor-objection", "award-honor", "revoke-honor"),
    *("merge-volunteer", "undo-merge", "withdraw-volunteer", "close-station", "end-project", "end-organisation"),
    *("publish-rules", "put-rules-in-force"),
)
ROLES = {
    "dispute-shift": Role.STAFF,
    "answer-dispute": Role.APPROVER,
    "settle-dispute": Role.APPROVER,
    "approve-act": Role.APPROVER,
    "decline-act": Role.APPROVER,
}
LATER_SECONDS = 30 * 86_400
"""By then the public notice of an honour has ended."""


class Demonstration:
    """A client of a ledger with the demonstration's history."""

    def __init__(self, client: TestClient, ledger: OpenLedger) -> None:
        self._client = client
        self._examples = client.get("/openapi.json").json()["paths"]
        self._tokens: dict[Role, str] = {
            role: ledger.keys.make(role, name)[1]
            for role, name in {role: "C01" if role is Role.STATION else role.value for role in Role}.items()
            if role is not Role.VOLUNTEER
        }

    def example(self, command_type: str) -> dict[str, Any]:
        content = self._examples[f"/v1/commands/{command_type}"]["post"]["requestBody"]["content"]
        example: dict[str, Any] = content["application/json"]["example"]
        return example

    def post(self, command_type: str, role: Role, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self._tokens[role]}"}
        return self._client.post(f"/v1/commands/{command_type}", json=body, headers=headers)

    def send(self, command_type: str, body: dict[str, Any]) -> Any:
        """Send a command as whoever may; what needs approval is requested by one and approved by another."""
        answer: Any = None
        for role in [ROLES[command_type]] if command_type in ROLES else self._tokens:
            answer = self.post(command_type, role, body)
            if answer.status_code != 403:
                break
        if answer.json().get("rejection") == "needs-approval":
            text = {name: body[name] for name in ("text",) if name in body}
            fields = {name: value for name, value in body.items() if name != "text"}
            asked = {"request": f"example-{command_type}", "act": command_type, "fields": fields, **text}
            answer = self.post("request-act", Role.STAFF, asked)
            if answer.status_code == 201:
                answer = self.post("approve-act", Role.APPROVER, {"request": asked["request"]})
        return answer


@pytest.fixture
def ahead() -> list[int]:
    """By how many seconds the ledger's clock is ahead."""
    return [0]


@pytest.fixture
def demonstration(
    new_database_url: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: list[int]
) -> Iterator[Demonstration]:
    url = new_database_url()
    monkeypatch.setenv("DATABASE_URL", url)
    for command in (["init", "--no-rules"], ["simulate", "--scale", str(DEMO_SCALE), "--seed", str(DEMO_SEED)]):
        assert execute(["--data", str(tmp_path), *command]) == 0
    with Database.open(url) as database:
        ledger = OpenLedger(database, tmp_path, lambda: system_clock() + ahead[0])
        with running(ledger) as service, TestClient(create_app(service)) as client:
            yield Demonstration(client, ledger)


def test_every_example_is_accepted(demonstration: Demonstration, ahead: list[int]) -> None:
    assert set(ORDER) == set(COMMANDS)
    refused = {}
    for command_type in ORDER:
        example = demonstration.example(command_type)
        if command_type == "award-honor":  # on a day after the notice, which runs from today
            ahead[0] = LATER_SECONDS
            day = datetime.fromtimestamp(system_clock() + LATER_SECONDS, UTC).date()
            example["awarded_on"] = day.isoformat()
        if command_type == "request-act":  # two more, to be declined and withdrawn
            for request in ("typhoon-8", "typhoon-9"):
                more = demonstration.example("request-act") | {"request": request}
                assert demonstration.send("request-act", more).status_code == 201
        answer = demonstration.send(command_type, example)
        if answer.status_code not in {200, 201}:
            refused[command_type] = answer.json()["detail"]
    assert refused == {}
