"""Reports about awards: public notices, undercut awards, and awards as given.

    replay/records/awards.py    the state of each award, folded from the log's events
    replay/awards/standings.py  who has reached which honour under some axes
    replay/awards/eligibility.py  who has reached one and does not hold it
    replay/awards/causes.py     why minutes differ from those of the evidence

`known_at` cuts awards as well as service. `rules` are those that standings are computed by. `valid_at` is the day of a
list: awards conferred up to it, notices that run on it, honours reached up to it. `valid_at` only
chooses which awards are listed, not whether one is undercut. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal, NamedTuple

from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from projections.kernels.rankings import all_rankings
from replay.awards.answers import (
    AsGiven,
    AwardAnswer,
    AwardLife,
    Awards,
    Causes,
    EvidenceNamed,
    Notice,
    ObjectionAnswer,
    PublicNotices,
    Undercut,
    UndercutAwards,
)
from replay.awards.causes import Now, causes
from replay.awards.paging import Page
from replay.awards.standings import HonorStandings, open_standings
from replay.axes.answers import Basis
from replay.axes.as_known import titles_of
from replay.progress import checkpoint, with_checkpoints
from replay.published import published_rules
from replay.queries.queries import Axes, Queries, UnknownNameError, logged_event
from replay.rankings import rankings
from replay.records.awards import Award, Evidence, State


class AwardFilter(NamedTuple):
    """A filter of awards; None matches all. `year`: of a ranking; `awarded_in`: the calendar year of the award."""

    honor: str | None = None
    year: int | None = None
    recipient: str | None = None
    state: State | None = None
    awarded_in: int | None = None

    def matches(self, award: Award, merged: Mapping[str, str]) -> bool:
        """Return whether an award matches. `merged`: the person's number of each merged one."""
        return (
            self.honor in {None, award.honor}
            and self.year in {None, award.year}
            and self.state in {None, award.state}
            and self.awarded_in in {None, award.awarded_on and award.awarded_on.year}
            and (self.recipient in {None, award.recipient} or self._is_person(award, merged))
        )

    def _is_person(self, award: Award, merged: Mapping[str, str]) -> bool:
        """Return whether the requested number and that of the award belong to one person."""
        number = self.recipient or ""
        return award.volunteer is not None and merged.get(number, number) == award.holder(merged)


# --- awards ---------------------------------------------------------------------------------------------------------


def awards(queries: Queries, axes: Axes, query: AwardFilter, page: Page) -> Awards:
    """Return awards in the order in which they were announced."""
    basis, known, merged = _read_awards(queries, axes)
    found = [award for award in known.values() if query.matches(award, merged) and _conferred_by(award, axes.valid_at)]
    chosen, following = page.of(found, lambda award: award.award)
    entries = [award_answer(award, merged) for award in chosen]
    return Awards(**dict(basis), count=len(found), awards=entries, next_after=following)


def award_life(queries: Queries, log: LogQueries, name: str, axes: Axes) -> AwardLife:
    """Return an award with all its events.

    Raises:
        UnknownNameError: no such award was announced then.
    """
    basis, known, merged = _read_awards(queries, axes)
    award = _require_award(known, name)
    stream_id = stream("honor", name)
    events = log.read_streams([stream_id], until=Position(basis.known_at))[stream_id]
    return AwardLife(**dict(basis), award=award_answer(award, merged), events=[logged_event(event) for event in events])


def public_notices(queries: Queries, axes: Axes, today: date, page: Page) -> PublicNotices:
    """Return announced honours that are neither awarded nor ended, by the day on which the notice ends."""
    basis, known, merged = _read_awards(queries, axes)
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
    awardable = not running and not award.open_objections
    return Notice(**dict(award_answer(award, merged)), running=running, awardable=awardable)


# --- undercut awards ------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """An undercut award and the result now: not reached, reached only later, or behind the last place."""

    award: Award
    kind: Literal["lost", "later", "behind"]
    reached_on: date | None
    rank: int | None


def undercut(queries: Queries, log: LogQueries, axes: Axes, query: AwardFilter, page: Page) -> UndercutAwards:
    """Return the awards that their evidence no longer supports, each with the result now and its causes."""
    with open_standings(queries, replace(axes, valid_at=None)) as standings:
        known = queries.awards.at(standings.position).values()
        awarded = [award for award in known if award.state == "awarded" and _conferred_by(award, axes.valid_at)]
        awarded = [award for award in awarded if query.matches(award, standings.merged)]
        found = findings(standings, awarded)
        chosen, following = page.of(found, lambda finding: finding.award.award)
        rules, merged = standings.reader.rules, standings.merged
        basis = _with_valid_at(standings.reader.basis, axes)
    # Causes are computed one by one from the log's streams, at the position of the list: no snapshot is held open.
    now = Now(Position(basis.known_at), rules)
    entries = [
        _undercut(each, merged, causes(queries, log, each.award, now)) for each in with_checkpoints(chosen, every=1)
    ]
    return UndercutAwards(
        **dict(basis), awards_in_all=len(awarded), count=len(found), undercut=entries, next_after=following
    )


def findings(standings: HonorStandings, awarded: Sequence[Award]) -> list[Finding]:
    """Return which of these awards are undercut by the standings, in the order of their announcement."""
    found = [*_undercut_thresholds(standings, awarded), *_undercut_rankings(standings, awarded)]
    return sorted(found, key=lambda finding: (finding.award.announced_at, finding.award.award))


def _undercut_thresholds(standings: HonorStandings, awarded: Sequence[Award]) -> Iterable[Finding]:
    """Yield the awards of thresholds that, by the standings, were not reached on the day of the award."""
    judged = [award for award in awarded if award.year is None and _can_be_judged(standings, award)]
    days = standings.days([(award.holder(standings.merged), award.honor) for award in judged])
    for award, day in with_checkpoints(zip(judged, days, strict=True)):
        if day is None or (award.awarded_on and day > award.awarded_on):
            yield Finding(award, "lost" if day is None else "later", day, None)


def _can_be_judged(standings: HonorStandings, award: Award) -> bool:
    """Return whether an award without a year is of a threshold of these rules, or of those that its evidence names.

    Old records may name a ranking without its year, or an honour that no rules ever had: these cannot be judged.
    """
    if award.honor in titles_of(standings.timeline):
        return True
    names_rules = award.awarded is not None and award.awarded.rules_version > 0
    return names_rules and award.honor not in all_rankings(standings.timeline)


def _undercut_rankings(standings: HonorStandings, awarded: Sequence[Award]) -> Iterable[Finding]:
    """Yield the awards of rankings whose holders are now behind the last place, or not ranked at all."""
    of_years: dict[tuple[str, int], list[Award]] = {}
    for award in awarded:
        if award.year is not None:
            of_years.setdefault((award.honor, award.year), []).append(award)
    for (honor, year), of_year in of_years.items():
        placed = {ranked.name for ranked in standings.placed(honor, year) or ()}
        for award in of_year:
            if (holder := award.holder(standings.merged)) not in placed:
                rank, _ = standings.rank_and_minutes(honor, year, holder)
                yield Finding(award, "lost" if rank is None else "behind", None, rank)


def _undercut(finding: Finding, merged: Mapping[str, str], why: Causes) -> Undercut:
    evidence = finding.award.awarded
    return Undercut(
        **dict(award_answer(finding.award, merged)),
        kind=finding.kind,
        reached_on_now=finding.reached_on,
        rank_now=finding.rank,
        credited_minutes_now=why.minutes_now,
        difference=why.minutes_now - (evidence.credited_minutes if evidence else why.minutes_then),
        causes=why,
    )


# --- awards as given ------------------------------------------------------------------------------------------------


def axes_of_evidence(log: LogQueries, award: Award) -> Axes:
    """Return the axes of an award's evidence, or those of its announcement if it is not awarded.

    Raises:
        NoRulesError: no rules were published then, as with imported old records.
    """
    evidence = award.awarded or award.announced
    if evidence is None or evidence.rules_version == 0:
        position = Position(evidence.position) if evidence else log.position_at(award.announced_at)
        return Axes(None, position, published_rules(log, known_at=position))
    return Axes(None, Position(evidence.position), published_rules(log, version=evidence.rules_version))


def as_given(queries: Queries, log: LogQueries, name: str, axes: Axes) -> AsGiven:
    """Return an honour under the axes of its evidence: as known at its position, under its rules.

    Raises:
        UnknownNameError: no such award was announced, or the recipient was not known then. NoRulesError
    """
    checkpoint()
    _, known, merged = _read_awards(queries, axes)
    award = _require_award(known, name)
    then = axes_of_evidence(log, award)
    hours, place = None, None
    if award.volunteer is not None:
        hours = queries.volunteer_hours(award.volunteer, then)
        basis: Basis = hours
    reached_on, rank, minutes = None, None, hours.total.credited_minutes if hours else 0
    if award.year is not None:
        of: Literal["volunteers", "projects"] = "volunteers" if award.volunteer else "projects"
        places = rankings.places(queries, log, of, award.recipient, award.year, then)
        basis, place = places, next((rank for rank in places.ranks if rank.ranking == award.honor), None)
        rank, minutes = (place.rank, place.figures["credited_minutes"]) if place else (None, 0)
    elif hours is not None:
        reached_on = next((reached.reached_on for reached in hours.honors if reached.honor == award.honor), None)
    evidence = award.awarded or award.announced
    rules_version = then.rules.version if then.rules else 0
    found = Evidence(rules_version, basis.known_at, minutes, reached_on, rank)
    return AsGiven(
        **{field: getattr(basis, field) for field in Basis.model_fields},
        award=award_answer(award, merged),
        evidence=_evidence(evidence),
        found=_evidence(found),
        agrees=None if evidence is None else _agree(evidence, found),
        hours=hours,
        place=place,
    )


def _agree(named: Evidence, found: Evidence) -> bool:
    """Return whether the named evidence equals the computed one; a day that was not named is not compared."""
    same = named.reached_on in {None, found.reached_on} and named.rank == found.rank
    return same and named.credited_minutes == found.credited_minutes


# --- parts ----------------------------------------------------------------------------------------------------------


def award_answer(award: Award, merged: Mapping[str, str]) -> AwardAnswer:
    """Return an award as an answer. `merged`: the person's number of each merged one."""
    holder = award.holder(merged)
    return AwardAnswer(
        award=award.award,
        version=award.version,
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
                number=objection.number,
                by=objection.by,
                objected_at=datetime.fromtimestamp(objection.recorded_at, UTC),
                reason=objection.reason,
                outcome=objection.outcome,
                settled_by=objection.settled_by,
            )
            for objection in award.objections
        ],
        awarded_on=award.awarded_on,
        awarded_by=award.awarded_by,
        awarded=_evidence(award.awarded),
        revoked_for=award.revoked_for,
    )


def _evidence(evidence: Evidence | None) -> EvidenceNamed | None:
    return EvidenceNamed(**evidence._asdict()) if evidence else None


def _require_award(known: Mapping[str, Award], name: str) -> Award:
    if name not in known:
        raise UnknownNameError("award", name)
    return known[name]


def _read_awards(queries: Queries, axes: Axes) -> tuple[Basis, Mapping[str, Award], Mapping[str, str]]:
    """Return the basis of an answer that needs no rules, the awards known then, and the merged numbers."""
    basis, _ = queries.basis_and_rules(axes)
    known_at = Position(basis.known_at)
    return basis, queries.awards.at(known_at), queries.merged(known_at)


def _conferred_by(award: Award, valid_at: date | None) -> bool:
    return valid_at is None or award.awarded_on is None or award.awarded_on <= valid_at


def _with_valid_at(basis: Basis, axes: Axes) -> Basis:
    return basis.model_copy(update={"valid_at": axes.valid_at})
