"""Acts of the office: given at once, or asked for where the rules want a second person; and what was recorded."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from api.access.roles import COMMANDS_OF_ROLE, Caller
from api.pages.ledger_client import LedgerClient

_WITHOUT_VERSION = {"attest-shift"}


class Act(NamedTuple):
    """An act that somebody gives: the type of command, its fields, and what the form adds.

    `name`: of this act, for the form that is sent twice. `version`: of the record that it is based on.
    """

    command: str
    fields: Mapping[str, Any]
    name: str
    text: str | None = None
    version: int | None = None
    volunteer: str | None = None
    """Whose record it is about, if its fields do not say so."""


class Recorded(NamedTuple):
    """What was recorded. `asked`: the request as it waits now, if the act was asked for."""

    act: Act
    position: int
    duplicate: bool
    asked: Mapping[str, Any] | None = None

    @property
    def volunteer(self) -> str | None:
        """The volunteer whose record it is about."""
        found = (self.asked or {}).get("volunteer") or self.act.fields.get("volunteer") or self.act.volunteer
        return str(found) if found else None


def may(caller: Caller, *commands: str) -> bool:
    """Return whether a reader's key may send one of these types of command."""
    return any(command in COMMANDS_OF_ROLE[caller.role] for command in commands)


async def kinds_to_approve(client: LedgerClient) -> frozenset[str]:
    """Return the types of command that the rules in force let nobody give alone. Effects can demand it of others."""
    text = (await client.get("/v1/rules/current"))["text"]
    kinds = tomllib.loads(text).get("approvals", {}).get("kinds", [])
    return frozenset(str(kind) for kind in kinds)


async def give(client: LedgerClient, act: Act) -> Recorded:
    """Give an act at once.

    Raises:
        RefusedByApiError: it was refused; `needs-approval` if the rules want a second person.
    """
    answer = await _send(client, act.command, {**act.fields, **_extras(act, act.command)}, act.name)
    return Recorded(act, answer["position"], answer["duplicate"])


async def ask(client: LedgerClient, act: Act) -> Recorded:
    """Ask for an act that another person has to approve.

    Raises:
        RefusedByApiError: it was refused.
    """
    body = {"request": act.name, "act": act.command, "fields": dict(act.fields), **_extras(act, act.command)}
    answer = await _send(client, "request-act", body, act.name)
    return Recorded(act, answer["position"], answer["duplicate"], await request_named(client, act.name))


async def request_named(client: LedgerClient, name: str) -> Mapping[str, Any]:
    """Return an open request by its name; nothing but the name if it is not open any more."""
    after: int | None = 0
    while after is not None:
        page = await client.get("/v1/requests", state="open", limit=1000, after=after)
        for found in page["requests"]:
            if found["request"] == name:
                return dict(found)
        after = page["next_after"]
    return {"request": name}


async def _send(client: LedgerClient, command: str, body: Mapping[str, Any], name: str) -> Any:
    headers = {"Idempotency-Key": f"{command}-{name}"}
    return await client.post(f"/v1/commands/{command}", body, headers=headers, wait="projected")


def _extras(act: Act, command: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if act.text:
        found["text"] = act.text
    if act.version is not None and command not in _WITHOUT_VERSION:
        found["expected_version"] = act.version
    return found
