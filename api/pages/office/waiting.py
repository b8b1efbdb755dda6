"""The worklist for a page: each entry with its particulars, and whether its reader may decide it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from api.access.roles import Caller, Role
from api.pages.ledger_client import LedgerClient
from api.pages.office.honours import all_pages

ENTRIES = 20
KINDS = ("request", "dispute", "open-shift", "undercut-award")
_FIRST_OF_ROLE = {
    Role.CORRECTOR: ("dispute", "open-shift", "request", "undercut-award"),
    Role.HONORS_OFFICER: ("undercut-award", "request", "dispute", "open-shift"),
}


class Entry(NamedTuple):
    """An entry of the worklist. `detail`: the request, the dispute or the undercut award; None if it just ended.

    `own`: its reader asked for it, or opened it, and may not decide it.
    """

    item: Mapping[str, Any]
    detail: Mapping[str, Any] | None
    own: bool


class Waiting(NamedTuple):
    """One kind of what waits, a page of it, and the counts of all kinds."""

    kind: str
    worklist: Mapping[str, Any]
    entries: list[Entry]


class Choice(NamedTuple):
    """What a reader wants to see."""

    kind: str | None = None
    station: str | None = None
    overdue: bool | None = None
    after: str | None = None


async def waiting(client: LedgerClient, caller: Caller, choice: Choice) -> Waiting:
    """Return what waits; if no kind is chosen, the first kind that concerns the reader's role and has entries."""
    kind = choice.kind
    if kind is None:
        query = {"station": choice.station, "overdue": choice.overdue}
        counts = (await client.get("/v1/worklist", limit=1, **query))["counts"]
        order = _FIRST_OF_ROLE.get(caller.role, KINDS)
        kind = next((each for each in order if counts[each]), order[0])
    found = await client.get(
        "/v1/worklist",
        kind=kind,
        station=choice.station,
        overdue=choice.overdue,
        after=choice.after,
        limit=ENTRIES,
    )
    details = await _details(client, kind) if found["items"] else {}
    entries = [Entry(item, details.get(_key(item)), own=item.get("not_by") == caller.by) for item in found["items"]]
    return Waiting(kind, found, entries)


def _key(item: Mapping[str, Any]) -> tuple[str, ...]:
    if item["kind"] == "request":
        return (item["request"],)
    if item["kind"] == "undercut-award":
        return (item["award"],)
    return (item["volunteer"] or "", item["shift"])


async def _details(client: LedgerClient, kind: str) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """Return the particulars of everything of a kind that waits."""
    if kind == "request":
        return {
            (one["request"],): one
            for one in await all_pages(client, "/v1/requests", "requests", state="open", limit=1000)
        }
    if kind == "dispute":
        found = [
            one
            for state in ("open", "answered")
            for one in await all_pages(client, "/v1/disputes", "disputes", state=state, limit=1000)
        ]
        return {(one["volunteer"], one["shift"]): one for one in found}
    if kind == "undercut-award":
        return {(one["award"],): one for one in await all_pages(client, "/v1/undercut-awards", "undercut", limit=100)}
    return {}
