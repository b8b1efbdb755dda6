"""The examples of all commands, as the OpenAPI description shows them, are accepted by the demonstration's ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from api.access.roles import COMMANDS_OF_ROLE, Role
from api.cli.main import execute
from api.cli.operations.serve import DEMO_SCALE, DEMO_SEED
from api.http.app import create_app
from api.http.routes.writes.events import JSON
from api.messages.cloud_events import BATCH, EVENT
from api.messages.examples import BINARY_HEADERS
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
    *("issue-certificate", "revoke-certificate"),
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

    def content_of_events(self) -> dict[str, Any]:
        """Return the bodies that the description shows for `/v1/events`, by media type."""
        content: dict[str, Any] = self._examples["/v1/events"]["post"]["requestBody"]["content"]
        return content

    def post(self, command_type: str, role: Role, body: dict[str, Any], *, dry_run: bool = False) -> Any:
        headers = {"Authorization": f"Bearer {self._tokens[role]}"}
        asked = {"dry_run": True} if dry_run else {}
        return self._client.post(f"/v1/commands/{command_type}", json=body, headers=headers, params=asked)

    def post_event(self, event: Any, media_type: str, role: Role, more: dict[str, str] | None = None) -> Any:
        """Send an event, or several, without recording them."""
        headers = {"Authorization": f"Bearer {self._tokens[role]}", "Content-Type": media_type, **(more or {})}
        return self._client.post("/v1/events", content=json.dumps(event), headers=headers, params={"dry_run": True})

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


@pytest.fixture(scope="module")
def ahead() -> list[int]:
    """By how many seconds the ledger's clock is ahead."""
    return [0]


@pytest.fixture(scope="module")
def demonstration(
    new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory, ahead: list[int]
) -> Iterator[Demonstration]:
    url, data = new_database_url(), tmp_path_factory.mktemp("demonstration")
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DATABASE_URL", url)
        for command in (["init", "--no-rules"], ["simulate", "--scale", str(DEMO_SCALE), "--seed", str(DEMO_SEED)]):
            assert execute(["--data", str(data), *command]) == 0
    with Database.open(url) as database:
        ledger = OpenLedger(database, data, lambda: system_clock() + ahead[0])
        with running(ledger) as service, TestClient(create_app(service)) as client:
            yield Demonstration(client, ledger)


def test_what_the_page_shows_a_station_is_accepted_as_it_is(demonstration: Demonstration) -> None:
    """With the key of C01, on a new demonstration. Nothing is recorded, so each is the first that is sent."""
    content = demonstration.content_of_events()
    station = sorted(COMMANDS_OF_ROLE[Role.STATION])
    for command_type in station:
        answer = demonstration.post(command_type, Role.STATION, demonstration.example(command_type), dry_run=True)
        assert answer.status_code == 200, answer.text
        event = content[EVENT]["examples"][command_type]["value"]
        answer = demonstration.post_event(event, EVENT, Role.STATION)
        assert answer.status_code == 200, answer.text
    answers = demonstration.post_event(content[BATCH]["example"], BATCH, Role.STATION).json()["answers"]
    assert [one["outcome"] for one in answers] == ["would-be-accepted"] * len(answers)
    assert all(f"`{name}: {value}`" in content[JSON]["schema"]["description"] for name, value in BINARY_HEADERS.items())
    binary = demonstration.post_event(content[JSON]["example"], JSON, Role.STATION, BINARY_HEADERS)
    assert binary.status_code == 200, binary.text
    without = demonstration.post_event(content[JSON]["example"], JSON, Role.STATION)
    assert (without.status_code, "ce-specversion" in without.json()["remedy"]) == (415, True)


def test_every_example_is_accepted(demonstration: Demonstration, ahead: list[int]) -> None:
    assert set(ORDER) == set(COMMANDS)
    refused: dict[str, Any] = {}
    for command_type in ORDER:
        example = demonstration.example(command_type)
        if command_type == "award-honor":  # on a day after the notice, which runs from today
            ahead[0] = LATER_SECONDS
            day = datetime.fromtimestamp(system_clock() + LATER_SECONDS, UTC).date()
            example["awarded_on"] = day.isoformat()
        if command_type == "revoke-certificate":  # numbers hold the year of issue
            example["certificate"] = (
                f"{datetime.fromtimestamp(system_clock() + ahead[0], ZoneInfo('Asia/Shanghai')).year}-000001"
            )
        if command_type == "request-act":  # two more, to be declined and withdrawn
            for request in ("typhoon-8", "typhoon-9"):
                more = demonstration.example("request-act") | {"request": request}
                assert demonstration.send("request-act", more).status_code == 201
        shown = demonstration.content_of_events()[EVENT]["examples"][command_type]["value"]
        event = {**shown, "data": example}
        tried = [demonstration.post_event(event, EVENT, role).json() for role in Role if role is not Role.VOLUNTEER]
        if not {"would-be-accepted", "needs-approval"} & {
            one.get(of) for one in tried for of in ("outcome", "rejection")
        }:
            refused[f"{command_type} as an event"] = tried
        answer = demonstration.send(command_type, example)
        if answer.status_code not in {200, 201}:
            refused[command_type] = answer.json()["detail"]
    assert refused == {}
