"""What readers ask about rankings: which there are, the first of a year, and where somebody stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from api.http.requests.dependencies import AxesDep, Reading, ServiceDep, in_turn
from api.http.requests.links import Addresses, linked
from ledger.names import NAME_PATTERN
from projections.rules.rankings import Score
from projections.rules.timeline import RuleTimeline
from replay.axes import answers
from replay.rankings import rankings
from replay.rankings.answers import Place, Places, Ranked, RankingOfYear

router = APIRouter(tags=["readers"])
T = TypeVar("T")

Year = Annotated[
    int | None,
    Query(ge=2000, le=2100, description="By default that of `valid_at`, else the latest in which anybody is ranked."),
]
Around = Annotated[int, Query(ge=0, le=100, description="How many to name on either side.")]


class Terms(BaseModel):
    """What a ranking asks for and how it orders, for the years whose last day lies on `holds_from` or later."""

    holds_from: str
    places: int
    order: list[str]
    minimums: dict[str, int]
    score: Score | None


class Ranking(BaseModel):
    """A ranking of the rules, with its terms in each rule set that has it."""

    ranking: str
    title: str
    of: Literal["volunteers", "projects"]
    terms: list[Terms]


class Rankings(answers.Basis):
    """All rankings of a rule timeline."""

    rankings: list[Ranking]


@router.get("/v1/rankings", summary="The rankings of the rules")
def all_rankings(reading: AxesDep) -> Rankings:
    """Each with its keys, minimums and places; under the rules in force, or those that `rules` or `known_at` names."""
    return Rankings(**dict(reading.basis()), rankings=rankings_of(reading.rules.timeline()))


def rankings_of(timeline: RuleTimeline) -> list[Ranking]:
    """Return the rankings of a timeline in the order in which it names them."""
    found: dict[str, Ranking] = {}
    for rule_set in timeline.rule_sets:
        for one in rule_set.rankings:
            known = found.setdefault(one.id, Ranking(ranking=one.id, title=one.title, of=one.of, terms=[]))
            known.terms.append(
                Terms(
                    holds_from=rule_set.holds_from.isoformat(),
                    places=one.places,
                    order=list(one.order),
                    minimums=one.minimums,
                    score=one.score,
                )
            )
    return list(found.values())


@router.get("/v1/rankings/{ranking}", summary="The first of a year")
async def ranking(
    request: Request,
    ranking: Annotated[str, Path(description="The ranking's id.", pattern=NAME_PATTERN, examples=["top-hundred"])],
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    place: Annotated[int, Query(ge=1, le=10_000_000, description="The rank to begin with.")] = 1,
    limit: Annotated[int | None, Query(ge=1, le=1000, description="By default as many as there are places.")] = None,
) -> RankingOfYear:
    """By rank, with the figures that decide. No two share a rank: the number or id decides in the end.

    It stays current with every event; under another `known_at`, other `rules`, or a `valid_at` within the year, it is
    replayed.
    """
    queries, axes = service.ledger.queries, reading.axes

    def read() -> RankingOfYear:
        return rankings.ranking(queries, ranking, year, axes, place=place, limit=limit)

    found = await of_year(request, reading, year, read)
    return RankedAddresses(axes).ranking(found)


@router.get("/v1/volunteers/{number}/ranks", summary="Where a volunteer stands in a year's rankings")
async def volunteer_ranks(
    request: Request,
    number: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    around: Around = 1,
) -> Places:
    """The rank, who stands next to it, and what the last place honoured holds; or what is lacking to be ranked."""
    queries, log, axes = service.ledger.queries, service.ledger.log, reading.axes
    found = await of_year(
        request,
        reading,
        year,
        lambda: rankings.places(queries, log, "volunteers", number, year, axes, around=around),
    )
    return RankedAddresses(axes).places(found)


async def of_year(request: Request, reading: Reading, year: int | None, work: Callable[[], T]) -> T:
    """Read about a year, in a thread; where `valid_at` cuts the year it takes a replay, for which requests wait."""
    axes = reading.axes
    if not rankings.reads_rows(axes, year):
        axes = replace(axes, rules=reading.rules)
    return await in_turn(request, axes, work)


class RankedAddresses(Addresses):
    """Where the figures of a year come from: a volunteer's shifts, a project's months."""

    def ranking(self, found: RankingOfYear) -> RankingOfYear:
        """Let everybody lead to the year's figures."""
        return found.model_copy(update={"entries": self._ranked(found.of, found.year, found.entries)})

    def places(self, found: Places) -> Places:
        """Let everybody who is named lead to the year's figures."""
        return found.model_copy(update={"ranks": [self._place(place) for place in found.ranks]})

    def _place(self, place: Place) -> Place:
        last = [place.last_place] if place.last_place else []
        changes: dict[str, object] = {
            side: self._ranked(place.of, place.year, named)
            for side, named in (("before", place.before), ("after", place.after))
        }
        changes["last_place"] = next(iter(self._ranked(place.of, place.year, last)), None)
        return place.model_copy(update=changes)

    def _ranked(self, of: str, year: int, entries: list[Ranked]) -> list[Ranked]:
        if of == "projects":
            return [linked(one, activity=self.project(one.name, year)) for one in entries]
        return [linked(one, shifts=self.shifts(one.name, date(year, 1, 1), date(year, 12, 31))) for one in entries]

    def project(self, project: str, year: int) -> str:
        """Return where the months of a project's year are."""
        return self._address(f"/v1/projects/{quote(project)}/activity", year=year)
