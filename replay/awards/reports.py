"""Reports about awards: what is announced, who is eligible and was not awarded, what was undercut, what it looked like.

    replay/records/awards.py    what has become of each award, from the log's own events
    replay/awards/standings.py  what holds of honours under some axes
    replay/awards/causes.py     why minutes are not those of the evidence

`known_at` cuts awards as well as service; `rules` are those by which standings are judged; `valid_at` is the day on
which a list is looked at: of awards conferred up to it, of notices as they ran on it, of honours reached up to it. An
award is judged by the day on which it was given, so `valid_at` never undercuts one. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal, NamedTuple, TypeVar

from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from projections.kernels.rankings import all_rankings
from replay.awards.answers import (
    AsGiven,
    AwardAnswer,
    AwardLife,
    Awards,
    Causes,
    Eligible,
    EligibleForHonor,
    EvidenceNamed,
    Notice,
    ObjectionAnswer,
    PublicNotices,
    Undercut,
    UndercutAwards,
)
from replay.awards.causes import Now, causes
from replay.awards.standings import HonorsHeld, Reached, honors_held
from replay.axes.answers import Basis
from replay.axes.as_known import titles_of
from replay.published import published_rules
from replay.queries.queries import NOW, Axes, Queries, UnknownNameError, logged_event
from replay.rankings import rankings
from replay.records.awards import Award, Evidence, State

T = TypeVar("T")


class Page(NamedTuple):
    """So many entries behind the one that `next_after` of the page before named."""

    limit: int = 100
    after: str | None = None

    def of(self, entries: Sequence[T], mark: Callable[[T], str]) -> tuple[list[T], str | None]:
        """Return the entries of this page, and the mark of its last if there are more."""
        first = 0
        if self.after is not None:
            first = next((place for place, one in enumerate(entries, 1) if mark(one) == self.after), len(entries))
        chosen = list(entries[first : first + self.limit])
        return chosen, mark(chosen[-1]) if first + self.limit < len(entries) else None


class AwardFilter(NamedTuple):
    """Which awards are asked for; None leaves a condition out."""

    honor: str | None = None
    year: int | None = None
    recipient: str | None = None
    state: State | None = None

    def has(self, award: Award, merged: Mapping[str, str]) -> bool:
        """Whether an award is one of them. `merged`: as which number each merged one goes on."""
        return (
            self.honor in {None, award.honor}
            and self.year in {None, award.year}
            and self.state in {None, award.state}
            and (self.recipient in {None, award.recipient} or self._is_person(award, merged))
        )

    def _is_person(self, award: Award, merged: Mapping[str, str]) -> bool:
        """Whether the number asked for and that of the award are one person's."""
        wanted = self.recipient or ""
        return award.volunteer is not None and merged.get(wanted, wanted) == award.holder(merged)


# --- awards as they are ---------------------------------------------------------------------------------------------


def awards(queries: Queries, axes: Axes, wanted: AwardFilter, page: Page) -> Awards:
    """Return awards in the order in which they were announced."""
    basis, known, merged = _known(queries, axes)
    found = [award for award in known.values() if wanted.has(award, merged) and _given_by(award, axes.valid_at)]
    chosen, following = page.of(found, lambda award: award.award)
    entries = [told(award, merged) for award in chosen]
    return Awards(**dict(basis), count=len(found), awards=entries, next_after=following)


def award_life(queries: Queries, log: LogQueries, name: str, axes: Axes) -> AwardLife:
    """Return one award with every event of its life.

    Raises:
        UnknownNameError: no such award was announced then.
    """
    basis, known, merged = _known(queries, axes)
    award = _one(known, name)
    stream_id = stream("honor", name)
    events = log.read_streams([stream_id], until=Position(basis.known_at))[stream_id]
    return AwardLife(**dict(basis), award=told(award, merged), events=[logged_event(event) for event in events])


def public_notices(queries: Queries, axes: Axes, today: date, page: Page) -> PublicNotices:
    """Return what is announced and neither awarded nor ended, by the day on which its notice ends."""
    basis, known, merged = _known(queries, axes)
    on = axes.valid_at or today
    found = [award for award in known.values() if award.state in {"announced", "objected"}]
    found.sort(key=lambda award: (award.notice_until or date.min, award.award))
    chosen, following = page.of(found, lambda award: award.award)
    return PublicNotices(
        **dict(basis),
        on=on,
        count=len(found),
        open_objections=sum(len(award.open_objections) for award in found),
        notices=[_notice(award, merged, on) for award in chosen],
        next_after=following,
    )


def _notice(award: Award, merged: Mapping[str, str], on: date) -> Notice:
    running = award.notice_runs(on)
    return Notice(**dict(told(award, merged)), running=running, awardable=not running and not award.open_objections)


# --- eligible and not awarded ---------------------------------------------------------------------------------------


def eligible(
    queries: Queries, honor: str, year: int | None, today: date, axes: Axes = NOW, page: Page | None = None
) -> EligibleForHonor:
    """Return who has reached an honour and does not hold it.

    Args:
        year: of a ranking; by default that of `valid_at`, else the latest in which anybody is ranked.

    Raises:
        UnknownNameError: the rules have no such honour, or not for that year.
    """
    with _held(queries, honor, year, axes) as held:
        kind, upto = held.kind(honor, year), axes.valid_at or today
        last = last_awards(queries.awards.at(held.position).values(), honor, kind.year, held.merged)
        reached = held.reached(honor, kind.year, upto)
        found = [one for one in reached if not (one.name in last and last[one.name].state == "awarded")]
        chosen, following = (page or Page()).of(found, lambda one: one.name)
        return EligibleForHonor(
            **dict(_dated(held.opened.basis, axes)),
            honor=honor,
            **kind._asdict(),
            reached_up_to=upto,
            count=len(found),
            eligible=[_eligible(one, last.get(one.name)) for one in chosen],
            next_after=following,
        )


@contextmanager
def _held(queries: Queries, honor: str, year: int | None, axes: Axes) -> Iterator[HonorsHeld]:
    """Open what holds; `valid_at` cuts the year of a ranking, while the days of a threshold can be told apart."""
    _, rules = queries.used(axes)
    if honor in titles_of(rules.timeline()):
        axes = replace(axes, valid_at=None)
    with honors_held(queries, axes, year) as held:
        yield held


def last_awards(known: Iterable[Award], honor: str, year: int | None, merged: Mapping[str, str]) -> dict[str, Award]:
    """Return the award of an honour by who holds it: the one conferred, else the one on its way, else the last that was
    announced. One person may have several that stand, announced for numbers that were merged later.
    """
    found: dict[str, Award] = {}
    for award in known:
        if (award.honor, award.year) == (honor, year):
            before = found.get(award.holder(merged), award)
            if (award.state == "awarded", award.stands) >= (before.state == "awarded", before.stands):
                found[award.holder(merged)] = award
    return found


def _eligible(one: Reached, award: Award | None) -> Eligible:
    return Eligible(**one._asdict(), award=award.award if award else None, state=award.state if award else None)


# --- awarded and undercut -------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """An award that was undercut, and what holds now: not reached, reached only later, or behind the last place."""

    award: Award
    kind: Literal["lost", "later", "behind"]
    reached_on: date | None
    rank: int | None


def undercut(queries: Queries, log: LogQueries, axes: Axes, wanted: AwardFilter, page: Page) -> UndercutAwards:
    """Return the awards that no longer have what they rest on, each with what holds now, and why."""
    with honors_held(queries, replace(axes, valid_at=None)) as held:
        known = queries.awards.at(held.position).values()
        given = [award for award in known if award.state == "awarded" and _given_by(award, axes.valid_at)]
        given = [award for award in given if wanted.has(award, held.merged)]
        found = findings(held, given)
        chosen, following = page.of(found, lambda one: one.award.award)
        used, merged = held.opened.rules, held.merged
        basis = _dated(held.opened.basis, axes)
    # Why is told one by one, from the log's streams, at the position of the list: for that no snapshot is held open.
    now = Now(Position(basis.known_at), used)
    told_why = [_undercut(told(one.award, merged), one, causes(queries, log, one.award, now)) for one in chosen]
    return UndercutAwards(
        **dict(basis), awards_in_all=len(given), count=len(found), undercut=told_why, next_after=following
    )


def findings(held: HonorsHeld, given: Sequence[Award]) -> list[Finding]:
    """Return which of these awards are undercut by what holds, in the order of their announcement."""
    found = [*_undercut_thresholds(held, given), *_undercut_rankings(held, given)]
    return sorted(found, key=lambda one: (one.award.announced_at, one.award.award))


def _undercut_thresholds(held: HonorsHeld, given: Sequence[Award]) -> Iterable[Finding]:
    """Yield awards of thresholds that were not reached on the day they were given on, by what holds now."""
    judged = [award for award in given if award.year is None and _can_be_judged(held, award)]
    days = held.days([(award.holder(held.merged), award.honor) for award in judged])
    for award, day in zip(judged, days, strict=True):
        if day is None or (award.awarded_on and day > award.awarded_on):
            yield Finding(award, "lost" if day is None else "later", day, None)


def _can_be_judged(held: HonorsHeld, award: Award) -> bool:
    """Whether an award of no year is of a threshold: one of these rules, or of those that its evidence names.

    Old records may name a ranking without its year, or an honour that no rules ever had: they rest on nothing here.
    """
    if award.honor in titles_of(held.timeline):
        return True
    of_rules = award.awarded is not None and award.awarded.rules_version > 0
    return of_rules and award.honor not in all_rankings(held.timeline)


def _undercut_rankings(held: HonorsHeld, given: Sequence[Award]) -> Iterable[Finding]:
    """Yield awards of rankings to whom stands behind the last place now, or is not ranked at all."""
    of_years: dict[tuple[str, int], list[Award]] = {}
    for award in given:
        if award.year is not None:
            of_years.setdefault((award.honor, award.year), []).append(award)
    for (honor, year), of_year in of_years.items():
        placed = {one.name for one in held.placed(honor, year) or ()}
        for award in of_year:
            if (holder := award.holder(held.merged)) not in placed:
                rank, _ = held.standing(honor, year, holder)
                yield Finding(award, "lost" if rank is None else "behind", None, rank)


def _undercut(award: AwardAnswer, one: Finding, why: Causes) -> Undercut:
    evidence = one.award.awarded
    return Undercut(
        **dict(award),
        kind=one.kind,
        reached_on_now=one.reached_on,
        rank_now=one.rank,
        credited_minutes_now=why.minutes_now,
        difference=why.minutes_now - (evidence.credited_minutes if evidence else why.minutes_then),
        causes=why,
    )


# --- as it was given ------------------------------------------------------------------------------------------------


def axes_of_evidence(log: LogQueries, award: Award) -> Axes:
    """Return the axes of an award's evidence; those of the announcement, where it was not given.

    Raises:
        NoRulesError: nothing was published then, as with old records that were brought in first.
    """
    evidence = award.awarded or award.announced
    if evidence is None or evidence.rules_version == 0:
        position = Position(evidence.position) if evidence else log.position_at(award.announced_at)
        return Axes(None, position, published_rules(log, known_at=position))
    return Axes(None, Position(evidence.position), published_rules(log, version=evidence.rules_version))


def as_given(queries: Queries, log: LogQueries, name: str, axes: Axes) -> AsGiven:
    """Return what an honour looked like by its evidence: known at its position, under its rules.

    Raises:
        UnknownNameError: no such award was announced, or nobody knew the recipient then. NoRulesError
    """
    _, known, merged = _known(queries, axes)
    award = _one(known, name)
    then = axes_of_evidence(log, award)
    hours, place = None, None
    if award.volunteer is not None:
        hours = queries.volunteer_hours(award.volunteer, then)
        basis: Basis = hours
    reached_on, rank, minutes = None, None, hours.total.credited_minutes if hours else 0
    if award.year is not None:
        of: Literal["volunteers", "projects"] = "volunteers" if award.volunteer else "projects"
        places = rankings.places(queries, log, of, award.recipient, award.year, then)
        basis, place = places, next((one for one in places.ranks if one.ranking == award.honor), None)
        rank, minutes = (place.rank, place.figures["credited_minutes"]) if place else (None, 0)
    elif hours is not None:
        reached_on = next((one.reached_on for one in hours.honors if one.honor == award.honor), None)
    evidence = award.awarded or award.announced
    rules_version = then.rules.version if then.rules else 0
    found = Evidence(rules_version, basis.known_at, minutes, reached_on, rank)
    return AsGiven(
        **{field: getattr(basis, field) for field in Basis.model_fields},
        award=told(award, merged),
        evidence=_evidence(evidence),
        found=_evidence(found),
        agrees=None if evidence is None else _agree(evidence, found),
        hours=hours,
        place=place,
    )


def _agree(named: Evidence, found: Evidence) -> bool:
    """Whether what was named is what is found; days that were not named are not held against anybody."""
    same = named.reached_on in {None, found.reached_on} and named.rank == found.rank
    return same and named.credited_minutes == found.credited_minutes


# --- parts ----------------------------------------------------------------------------------------------------------


def told(award: Award, merged: Mapping[str, str]) -> AwardAnswer:
    """Return an award as readers get it. `merged`: as which number each merged one goes on."""
    holder = award.holder(merged)
    return AwardAnswer(
        award=award.award,
        honor=award.honor,
        volunteer=award.volunteer,
        goes_on_as=None if holder == award.recipient else holder,
        project=award.project,
        year=award.year,
        state=award.state,
        announced_at=datetime.fromtimestamp(award.announced_at, UTC),
        announced_by=award.announced_by,
        notice_until=award.notice_until,
        announced=_evidence(award.announced),
        objections=[
            ObjectionAnswer(
                number=one.number,
                by=one.by,
                objected_at=datetime.fromtimestamp(one.recorded_at, UTC),
                reason=one.reason,
                outcome=one.outcome,
                settled_by=one.settled_by,
            )
            for one in award.objections
        ],
        awarded_on=award.awarded_on,
        awarded_by=award.awarded_by,
        awarded=_evidence(award.awarded),
        revoked_for=award.revoked_for,
    )


def _evidence(evidence: Evidence | None) -> EvidenceNamed | None:
    return EvidenceNamed(**evidence._asdict()) if evidence else None


def _one(known: Mapping[str, Award], name: str) -> Award:
    if name not in known:
        raise UnknownNameError("award", name)
    return known[name]


def _known(queries: Queries, axes: Axes) -> tuple[Basis, Mapping[str, Award], Mapping[str, str]]:
    """Return the basis of an answer that no rule decides, the awards known then, and as what merged numbers went on."""
    basis, _ = queries.used(axes)
    known_at = Position(basis.known_at)
    return basis, queries.awards.at(known_at), queries.merged(known_at)


def _given_by(award: Award, valid_at: date | None) -> bool:
    return valid_at is None or award.awarded_on is None or award.awarded_on <= valid_at


def _dated(basis: Basis, axes: Axes) -> Basis:
    return basis.model_copy(update={"valid_at": axes.valid_at})
