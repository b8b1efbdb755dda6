"""Routes about rankings: the list, the ranking of a year, and the ranks of a volunteer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from api.http.requests.dependencies import ServiceDep, run_query
from api.http.requests.links import Addresses, linked
from api.http.requests.readings import AxesDep, Reading
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
    Query(ge=2000, le=2100, description="By default the year of `valid_at`, else the latest year with a ranked entry."),
]
Around = Annotated[int, Query(ge=0, le=100, description="The number of neighbours to list on each side.")]


class Terms(BaseModel):
    """The minimums and the order of a ranking, for years whose last day is on or after `holds_from`."""

    holds_from: str
    places: int
    order: list[str]
    minimums: dict[str, int]
    score: Score | None


class Ranking(BaseModel):
    """A ranking, with its terms in each rule set that has it."""

    ranking: str
    title: str
    of: Literal["volunteers", "projects"]
    terms: list[Terms]


class Rankings(answers.Basis):
    """All rankings of a rule timeline."""

    rankings: list[Ranking]


@router.get("/v1/rankings", summary="The rankings of the rules")
def all_rankings(reading: AxesDep) -> Rankings:
    """Each with its order, minimums and places: under the rules in force, or those that `rules` or `known_at` names."""
    return Rankings(**dict(reading.basis()), rankings=rankings_of(reading.rules.timeline()))


def rankings_of(timeline: RuleTimeline) -> list[Ranking]:
    """Return the rankings of a timeline, in its order."""
    found: dict[str, Ranking] = {}
    for rule_set in timeline.rule_sets:
        for rule in rule_set.rankings:
            known = found.setdefault(rule.id, Ranking(ranking=rule.id, title=rule.title, of=rule.of, terms=[]))
            known.terms.append(
                Terms(
                    holds_from=rule_set.holds_from.isoformat(),
                    places=rule.places,
                    order=list(rule.order),
                    minimums=rule.minimums,
                    score=rule.score,
                )
            )
    return list(found.values())


@router.get("/v1/rankings/{ranking}", summary="The ranking of a year")
async def ranking(
    request: Request,
    ranking: Annotated[str, Path(description="The ranking's id.", pattern=NAME_PATTERN, examples=["top-hundred"])],
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    place: Annotated[int, Query(ge=1, le=10_000_000, description="The first rank to list.")] = 1,
    limit: Annotated[
        int | None, Query(ge=1, le=1000, description="The maximum number of entries; by default the number of places.")
    ] = None,
) -> RankingOfYear:
    """By rank, with the figures that decide. Ranks are never shared: ties are broken by number or id.

    The ranking includes every event. Another `known_at`, other `rules`, or a `valid_at` within the year need a replay.
    """
    queries, axes = service.ledger.queries, reading.axes

    def read() -> RankingOfYear:
        return rankings.ranking(queries, ranking, year, axes, place=place, limit=limit)

    found = await of_year(request, reading, year, read)
    return RankedAddresses(axes).ranking(found)


@router.get("/v1/volunteers/{number}/ranks", summary="A volunteer's ranks in the rankings of a year")
async def volunteer_ranks(
    request: Request,
    number: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    around: Around = 1,
) -> Places:
    """The rank, its neighbours, and the figures of the last place honoured; or what is missing to be ranked."""
    queries, log, axes = service.ledger.queries, service.ledger.log, reading.axes
    found = await of_year(
        request,
        reading,
        year,
        lambda: rankings.places(queries, log, "volunteers", number, year, axes, around=around),
    )
    return RankedAddresses(axes).places(found)


async def of_year(request: Request, reading: Reading, year: int | None, work: Callable[[], T]) -> T:
    """Run a query about a year; if `valid_at` is within the year, as a replay."""
    axes = reading.axes
    if not rankings.reads_rows(axes, year):
        axes = replace(axes, rules=reading.rules)
    return await run_query(request, axes, work)


class RankedAddresses(Addresses):
    """Makes the links of rankings: to a volunteer's shifts or a project's months of the year."""

    def ranking(self, found: RankingOfYear) -> RankingOfYear:
        """Link each entry to the figures of the year."""
        return found.model_copy(update={"entries": self._ranked(found.of, found.year, found.entries)})

    def places(self, found: Places) -> Places:
        """Link each neighbour and each last place to the figures of the year."""
        return found.model_copy(update={"ranks": [self._place(place) for place in found.ranks]})

    def _place(self, place: Place) -> Place:
        last = [place.last_place] if place.last_place else []
        changes: dict[str, object] = {
            side: self._ranked(place.of, place.year, neighbours)
            for side, neighbours in (("before", place.before), ("after", place.after))
        }
        changes["last_place"] = next(iter(self._ranked(place.of, place.year, last)), None)
        return place.model_copy(update=changes)

    def _ranked(self, of: str, year: int, entries: list[Ranked]) -> list[Ranked]:
        if of == "projects":
            return [linked(entry, activity=self.project(entry.name, year)) for entry in entries]
        first, last = date(year, 1, 1), date(year, 12, 31)
        return [linked(entry, shifts=self.shifts(entry.name, first, last)) for entry in entries]

    def project(self, project: str, year: int) -> str:
        """Return the address of the months of a project's year."""
        return self._address(f"/v1/projects/{quote(project)}/activity", year=year)
