"""The honours of the rules with their titles, and counts by year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from api.pages.ledger_client import LedgerClient, address

AWARDS_MAX = 1000


class Book(NamedTuple):
    """The honours and the rankings of the rules in force, by id, and the working days of a notice."""

    thresholds: Mapping[str, Mapping[str, Any]]
    rankings: Mapping[str, Mapping[str, Any]]
    notice_days: int

    def title(self, honor: str) -> str:
        """Return the title of an honour; its id if the rules have it no more."""
        found = self.thresholds.get(honor) or self.rankings.get(honor)
        return str(found["title"]) if found else honor

    def recipient_of(self, honor: str) -> str:
        """Return who receives an honour: `volunteer` or `project`."""
        ranking = self.rankings.get(honor)
        return "project" if ranking and ranking["of"] == "projects" else "volunteer"

    def in_order_of_rank(self) -> list[str]:
        """Return the honours as they hang on a wall: rankings first, then the rarest threshold of the most minutes."""
        by_minutes = sorted(
            self.thresholds, key=lambda name: -self.thresholds[name]["conditions"][-1]["credited_minutes_min"]
        )
        return [*self.rankings, *by_minutes]


async def book_of(client: LedgerClient, *, eligible: bool = False) -> Book:
    """Return the honours and rankings of the rules in force, if asked for with how many are eligible."""
    honors = await client.get("/v1/honors", eligible="true" if eligible else None)
    rankings = await client.get("/v1/rankings")
    return Book(
        {one["honor"]: one for one in honors["honors"]},
        {one["ranking"]: one for one in rankings["rankings"]},
        honors["notice_working_days"],
    )


async def all_pages(client: LedgerClient, path: str, name: str, **query: object) -> list[Mapping[str, Any]]:
    """Return a whole list, page by page."""
    found: list[Mapping[str, Any]] = []
    after: object = None
    while True:
        page = await client.get(path, after=after, **query)
        found += page[name]
        after = page["next_after"]
        if after is None:
            return found


async def awards_by_year(client: LedgerClient, today: str) -> dict[int, int]:
    """Return how many honours were awarded in each calendar year, from the year of the first announcement."""
    first = (await client.get("/v1/awards", limit=1))["awards"]
    years = range(int(first[0]["announced_at"][:4]), int(today[:4]) + 1) if first else ()
    counts = {
        year: (await client.get("/v1/awards", state="awarded", awarded_in=year, limit=1))["count"] for year in years
    }
    return {year: count for year, count in counts.items() if count}


async def reached_by_year(client: LedgerClient, honor: str, today: str) -> dict[int, int]:
    """Return how many volunteers reached an honour in each calendar year."""
    path = address("/v1/honors/{honor}/standings", honor=honor)
    first = (await client.get(path, limit=1))["standings"]
    counts: dict[int, int] = {}
    before = 0
    for year in range(int(first[0]["reached_on"][:4]), int(today[:4]) + 1) if first else ():
        valid_at = min(f"{year}-12-31", today)
        until = (await client.get(path, limit=1, valid_at=valid_at))["count"]
        counts[year], before = until - before, until
    while counts and not counts[max(counts)]:
        del counts[max(counts)]
    return counts


async def holders_of(
    client: LedgerClient, honor: str, standings: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any] | None, int | None]]:
    """Return each standing with its award, if there is one, and the minutes of its evidence, else those of now."""
    listed = await client.get("/v1/awards", honor=honor, limit=AWARDS_MAX)
    awards = {one["volunteer"]: one for one in listed["awards"]}
    eligible = await client.get(address("/v1/honors/{honor}/eligible", honor=honor), limit=AWARDS_MAX)
    minutes = {one["name"]: one["credited_minutes"] for one in eligible["eligible"]}
    found = []
    for standing in standings:
        number = standing["volunteer"]
        award = awards.get(number)
        if award is None and listed["next_after"]:
            of_one = await client.get("/v1/awards", honor=honor, for_=number)
            award = of_one["awards"][-1] if of_one["awards"] else None
        evidence = (award or {}).get("awarded") or (award or {}).get("announced")
        found.append((standing, award, evidence["credited_minutes"] if evidence else minutes.get(number)))
    return found
