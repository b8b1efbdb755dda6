"""Eligible recipients: who has reached an honour and does not hold it.

Standings are rows of the current generation, and awards are few, so a threshold's recipients are counted and paged by
the index of its standings. Under other axes they are listed from a replay. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

from replay.awards.answers import Eligible, EligibleForHonor
from replay.awards.paging import Page
from replay.awards.standings import HonorStandings, Reached, open_standings
from replay.axes.as_known import titles_of
from replay.queries.queries import NOW, Axes, Queries
from replay.records.awards import Award


def eligible(
    queries: Queries, honor: str, year: int | None, today: date, axes: Axes = NOW, page: Page | None = None
) -> EligibleForHonor:
    """Return the recipients who have reached an honour and do not hold it.

    Args:
        year: that of a ranking; by default the year of `valid_at`, else the latest year with anybody ranked.

    Raises:
        UnknownNameError: the rules have no such honour, or not for that year.
    """
    with _open_undated(queries, honor, year, axes) as standings:
        kind, upto = standings.kind(honor, year), axes.valid_at or today
        last = last_awards(queries.awards.at(standings.position).values(), honor, kind.year, standings.merged)
        held = {name for name, award in last.items() if award.state == "awarded"}
        count, chosen, following = standings.without(honor, kind.year, upto, held, page or Page())
        return EligibleForHonor(
            **dict(standings.reader.basis.model_copy(update={"valid_at": axes.valid_at})),
            honor=honor,
            **kind._asdict(),
            reached_up_to=upto,
            count=count,
            eligible=[_eligible(each, last.get(each.name)) for each in chosen],
            next_after=following,
        )


def eligible_counts(queries: Queries, today: date, axes: Axes = NOW) -> dict[str, int]:
    """Return how many are eligible for each threshold of the rules."""
    with open_standings(queries, replace(axes, valid_at=None)) as standings:
        known = queries.awards.at(standings.position).values()
        titles = titles_of(standings.timeline)
        held = {
            (award.honor, award.holder(standings.merged))
            for award in known
            if award.state == "awarded" and award.year is None and award.honor in titles
        }
        counts = standings.counts_without(axes.valid_at or today, held)
        return {honor: counts.get(honor, 0) for honor in titles}


@contextmanager
def _open_undated(queries: Queries, honor: str, year: int | None, axes: Axes) -> Iterator[HonorStandings]:
    """Open the standings, for a threshold without `valid_at`: its results have dates, by which the caller filters."""
    _, rules = queries.basis_and_rules(axes)
    if honor in titles_of(rules.timeline()):
        axes = replace(axes, valid_at=None)
    with open_standings(queries, axes, year) as standings:
        yield standings


def last_awards(known: Iterable[Award], honor: str, year: int | None, merged: Mapping[str, str]) -> dict[str, Award]:
    """Return the award of an honour for each holder: the awarded one, else the one announced or objected to, else the
    last announced. A person may have several of these if they were announced for numbers that were merged later.
    """
    found: dict[str, Award] = {}
    for award in known:
        if (award.honor, award.year) == (honor, year):
            before = found.get(award.holder(merged), award)
            if (award.state == "awarded", award.is_active) >= (before.state == "awarded", before.is_active):
                found[award.holder(merged)] = award
    return found


def _eligible(reached: Reached, award: Award | None) -> Eligible:
    return Eligible(**reached._asdict(), award=award.award if award else None, state=award.state if award else None)
