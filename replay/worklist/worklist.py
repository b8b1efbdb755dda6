"""The worklist: everything that waits for somebody, the earliest deadline first, as known at a position.

Which shifts lack a check-out follows from the rules of pairing, so the archive is replayed for it, as for anomalies.
The last results are cached for the next page; they never go stale, because what was known at a position never changes.
Nothing here writes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.organisations import organisation_on
from projections.rules.timeline import RuleTimeline
from replay.awards.reports import findings
from replay.awards.standings import open_standings
from replay.axes.answers import Basis
from replay.axes.as_known import Axes, MarkError, UnknownNameError, snapshot
from replay.explain.stretches import end_instant
from replay.on_demand.cache import ResultCache
from replay.progress import with_checkpoints
from replay.queries.queries import Queries
from replay.records.belonging import local_days as local_day_of
from replay.records.belonging import read_members, read_places
from replay.records.cases import CaseReader
from replay.worklist.answers import KINDS, WorkItem, WorkKind, Worklist
from replay.worklist.sources import Waiting, open_disputes, open_requests, open_shifts, undercut_awards

CACHED_RESULTS: Final = 2
"""The lists of this many combinations of axes are cached for the next page."""
MARK_FORM: Final = rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|none)/({'|'.join(KINDS)})/[A-Za-z0-9._/-]{{1,120}}$"
"""The form of `next_after`: deadline, kind and name."""
_Key = tuple[int, date | None, str]


class WorkFilter(NamedTuple):
    """A filter of what waits; None matches all."""

    kind: WorkKind | None = None
    station: str | None = None
    organisation: str | None = None
    volunteer: str | None = None
    overdue: bool | None = None


@dataclass(frozen=True)
class _Found:
    """What waits under some axes, in order, with its basis, and the stations and volunteers that are known."""

    basis: Basis
    timeline: RuleTimeline
    waiting: list[Waiting]
    stations: frozenset[str]
    volunteers: frozenset[str]


class WorklistReader:
    """The worklist of one ledger."""

    def __init__(self, database: Database, queries: Queries) -> None:
        self._database = database
        self._queries = queries
        self._cache: ResultCache[_Key, _Found] = ResultCache(lambda cached: len(cached) > CACHED_RESULTS)

    def worklist(self, axes: Axes, now: int, query: WorkFilter, limit: int = 100, after: str | None = None) -> Worklist:
        """Return a page of what waits at an instant.

        Raises:
            UnknownNameError: the station, organisation or volunteer is unknown. MarkError. store.NoGenerationError
        """
        if after is not None and not re.fullmatch(MARK_FORM, after):
            raise MarkError(after)
        found = self._found(axes)
        today = datetime.fromtimestamp(now, ZoneInfo(found.timeline.time_zone)).date()
        self._check_names(found, query)
        belongs = self._belongs(found, query.organisation, today)
        waiting = [
            each
            for each in with_checkpoints(found.waiting)
            if each.waits_from <= now
            and query.station in {None, each.station}
            and query.volunteer in {None, each.volunteer}
            and query.overdue in {None, _overdue(each, today)}
            and belongs(each)
        ]
        counts = dict.fromkeys(KINDS, 0)
        for each in waiting:
            counts[each.kind] += 1
        chosen = [each for each in waiting if query.kind in {None, each.kind}]
        begin = 0 if after is None else bisect_right([each.mark for each in chosen], after)
        page = chosen[begin : begin + limit]
        return Worklist(
            **dict(found.basis.model_copy(update={"valid_at": axes.valid_at})),
            today=today,
            count=len(chosen),
            overdue=sum(_overdue(each, today) for each in chosen),
            counts=counts,
            items=[_answer(each, today, found.timeline) for each in page],
            next_after=page[-1].mark if page and begin + limit < len(chosen) else None,
        )

    def _found(self, axes: Axes) -> _Found:
        """Return everything that waits; what was computed for the same position and rules is used again."""
        with open_standings(self._queries, replace(axes, valid_at=None)) as standings:
            basis, rules = standings.reader.basis, standings.reader.rules
            awarded = [
                award
                for award in self._queries.awards.at(standings.position).values()
                if award.state == "awarded"
                and (axes.valid_at is None or award.awarded_on is None or award.awarded_on <= axes.valid_at)
            ]
            undercut = findings(standings, awarded)
        timeline = rules.timeline()

        def find() -> _Found:
            known_at = Position(basis.known_at)
            facts = self._queries.facts(known_at)
            reader = CaseReader(self._database.log, known_at, timeline.time_zone)
            waiting: list[Waiting] = [*undercut_awards(undercut), *open_shifts(facts, timeline)]
            waiting += open_requests(reader, timeline)
            waiting += open_disputes(reader, date.max)
            names = (frozenset(names.texts()) for names in (facts.stations, facts.volunteers))
            return _Found(basis, timeline, sorted(waiting, key=lambda each: each.mark), *names)

        return self._cache.get((basis.known_at, axes.valid_at, rules.digest), find)

    def _check_names(self, found: _Found, query: WorkFilter) -> None:
        for kind, name, known in (
            ("station", query.station, found.stations),
            ("volunteer", query.volunteer, found.volunteers),
        ):
            if name is not None and name not in known:
                raise UnknownNameError(kind, name)

    def _belongs(self, found: _Found, organisation: str | None, today: date) -> Callable[[Waiting], bool]:
        """Return whether something belongs to an organisation or one below it: by its station, else its volunteer."""
        if organisation is None:
            return lambda _each: True
        known_at = Position(found.basis.known_at)
        with snapshot(self._database) as (connection, _):
            places = read_places(connection, known_at)
            if organisation not in places.tree.histories:
                raise UnknownNameError("organisation", organisation)
            members = read_members(connection, places.tree, known_at)
        leaders, _ = places.leaders(found.timeline)
        day_of = local_day_of(found.timeline)
        within = {name: organisation in places.tree.path(name, today) for name in places.tree.histories}

        def any_within(names: Iterable[str | None]) -> bool:
            return any(name is not None and within[name] for name in names)

        def belongs(each: Waiting) -> bool:
            if each.station is not None:
                return any_within([organisation_on(leaders.get(each.station, []), day_of(each.since))])
            of_volunteer = members.get(each.volunteer or "", [])
            return any_within(one.organisation for one in of_volunteer if one.since <= today < one.until)

        return belongs


def instant_of(axes: Axes, timeline: RuleTimeline, now: int) -> int:
    """Return the instant at which the list is asked for: the end of `valid_at`, or else now."""
    return now if axes.valid_at is None else end_instant(axes.valid_at, timeline.time_zone) - 1


def _overdue(each: Waiting, today: date) -> bool:
    return each.due is not None and today > each.due


def _answer(each: Waiting, today: date, timeline: RuleTimeline) -> WorkItem:
    return WorkItem(
        kind=each.kind,
        volunteer=each.volunteer,
        station=each.station,
        what=each.what,
        since=datetime.fromtimestamp(each.since, UTC).astimezone(ZoneInfo(timeline.time_zone)),
        due=each.due,
        overdue=_overdue(each, today),
        commands=list(each.commands),
        not_by=each.not_by,
        shift=each.shift,
        request=each.request,
        award=each.award,
        project=each.project,
    )
