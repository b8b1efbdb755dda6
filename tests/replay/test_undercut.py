"""A correction after an award always shows: random histories, awards by what was known, and what is known later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.shift import ShiftEvent
from ledger.instants import EARLIEST_INSTANT
from projections.kernels.rankings import rankings_of
from projections.rules.timeline import RuleTimeline, Threshold
from replay.awards.reports import findings
from replay.awards.standings import HonorStandings
from replay.axes.answers import Basis, RulesUsed
from replay.rankings.rankings import RankingReader
from replay.records.awards import Award, Evidence
from tests.projections.test_persons import persons_of
from tests.support.examples import examples
from tests.support.oracle import oracle
from tests.support.oracle.histories import Case, cases, patiently, ranked_timelines, register, rules, stamped, void
from tests.support.replay.replaying import as_rules, replayed


def held(events: Sequence[Event], timeline: RuleTimeline) -> HonorStandings:
    """Return what holds by the kernels, of persons by the merges that stand."""
    rules = as_rules(timeline)
    used = RulesUsed(name=timeline.name, version=rules.version, digest=rules.digest)
    basis = Basis(valid_at=None, known_at=len(events), rules=used, position=len(events))
    return HonorStandings(RankingReader(basis, rules, None, replayed(events, rules)), persons_of(events))


def award(honor: str, name: str, awarded_on: date, year: int | None = None, *, of: str = "volunteers") -> Award:
    """Return an award as it was given."""
    volunteer, project = (name, None) if of == "volunteers" else (None, name)
    return Award(
        award=f"{honor}-{name}-{year}",
        honor=honor,
        volunteer=volunteer,
        project=project,
        year=year,
        announced_at=EARLIEST_INSTANT,
        announced_by="person:a",
        notice_until=None,
        announced=None,
        awarded_on=awarded_on,
        awarded_by="person:a",
        awarded=Evidence(1, 0, 0, None, None),
    )


@st.composite
def amended(draw: st.DrawFn, case: Case) -> tuple[list[Event], list[Event]]:
    """What was known when awards were given, and what was known later: the rest of the history, and shifts voided."""
    known = draw(st.integers(len(case.events) * 2 // 3, len(case.events)))
    shifts = sorted({(event.volunteer, event.shift) for event in case.events if isinstance(event, ShiftEvent)})
    last = max(event.recorded_at for event in case.events)
    voided = draw(st.lists(st.sampled_from(shifts), max_size=3, unique=True)) if shifts else []
    voids = [msgspec.structs.replace(void(volunteer, last), shift=shift) for volunteer, shift in voided]
    return list(case.events[:known]), stamped([*case.events, *voids])


@st.composite
def with_low_honors(draw: st.DrawFn, timeline: RuleTimeline) -> RuleTimeline:
    """The same rules with honours that a few shifts reach, and for which a few minutes less are too few."""
    sets = [
        rule_set.model_copy(
            update={
                "honors": tuple(
                    Threshold(
                        id=grade,
                        title=grade,
                        grade=grade,
                        credited_minutes_min=draw(st.sampled_from((1, 30, 60, 120))),
                        active_years_min=years,
                        active_year_minutes_min=years,
                    )
                    for grade, years in (("any", 0), ("scanned", draw(st.integers(0, 1))))
                )
            }
        )
        for rule_set in timeline.rule_sets
    ]
    return timeline.model_copy(update={"rule_sets": tuple(sets)})


def test_old_records_that_rest_on_no_rules_are_not_undercut_but_a_threshold_that_rules_dropped_is() -> None:
    star = {"id": "star", "title": "star", "credited_minutes_min": 60}
    top = {"id": "top", "title": "top", "of": "volunteers", "places": 1, "order": ["shifts"], "credited_minutes_min": 1}
    timeline = rules(honors=[star], rankings=[top])
    given_then = [award(honor, "V1", date(2018, 5, 1)) for honor in ("star", "top", "model-volunteer", "dropped")]
    by_rules = {"star": 0, "top": 1, "model-volunteer": 0, "dropped": 1}  # the version that each names
    given_then = [one._replace(awarded=Evidence(by_rules[one.honor], 0, 0, None, None)) for one in given_then]
    undercut = findings(held([register("V1")], timeline), given_then)
    assert [(one.award.honor, one.kind) for one in undercut] == [("dropped", "lost"), ("star", "lost")]


def most_minutes(found: oracle.OracleResult, given_to: Award, persons: Mapping[str, str]) -> int:
    """Return all credited minutes of a person dated up to the day of an award, however they were earned."""
    holder = given_to.holder(persons)
    opening = found.hours.get((holder, 0))
    pieces = sum(
        piece.credited
        for piece in found.pieces
        if persons.get(piece.volunteer, piece.volunteer) == holder and piece.day <= (given_to.awarded_on or date.max)
    )
    return pieces + (opening.opening if opening else 0)


@settings(patiently, max_examples=examples(25))
@given(cases(), st.data())
def test_an_award_is_undercut_exactly_when_the_oracle_finds_it_was_not_reached_on_its_day(
    case: Case, data: st.DataObject
) -> None:
    timeline = data.draw(with_low_honors(case.timeline))
    before, after = data.draw(amended(case))
    days = data.draw(st.integers(0, 40))
    standings = oracle.credit(before, timeline).standings
    given_then = [award(honor, name, day + timedelta(days=days)) for (name, honor), day in standings.items()]
    found, persons = oracle.credit(after, timeline), persons_of(after)
    expected = {
        one.award: (one.holder(persons), one.honor) in found.standings
        for one in given_then
        if found.standings.get((one.holder(persons), one.honor), date.max) > (one.awarded_on or date.max)
    }
    undercut = findings(held(after, timeline), given_then)
    assert {one.award.award: one.kind == "later" for one in undercut} == expected
    least: dict[str, int] = {}
    for honor in (honor for rule_set in timeline.rule_sets for honor in rule_set.honors):
        least[honor.id] = min(honor.credited_minutes_min, least.get(honor.id, honor.credited_minutes_min))
    for one in given_then:  # whatever the conditions: with fewer minutes than any rule set asks for it must show
        if most_minutes(found, one, persons) < least[one.honor]:
            assert one.award in expected


@settings(patiently, max_examples=examples(25))
@given(cases(), st.data())
def test_a_ranking_s_award_is_undercut_exactly_when_the_oracle_finds_it_behind_the_last_place(
    case: Case, data: st.DataObject
) -> None:
    timeline = data.draw(ranked_timelines(case.timeline))
    before, after = data.draw(amended(case))
    then, now, persons = oracle.credit(before, timeline), oracle.credit(after, timeline), persons_of(after)
    given_then, expected = [], {}
    for year in sorted({year for _, year in then.hours if year} | {year for _, year, _ in then.projects}):
        for name, ranking in rankings_of(timeline, year).items():
            ranks_now = oracle.ranked(now, timeline, name, year)
            for who, rank in oracle.ranked(then, timeline, name, year).items():
                if rank > ranking.places:
                    continue
                one = award(name, who, date(year + 1, 1, 31), year, of=ranking.of)
                given_then.append(one)
                rank_now = ranks_now.get(one.holder(persons))
                if rank_now is None or rank_now > ranking.places:
                    expected[one.award] = rank_now
    undercut = findings(held(after, timeline), given_then)
    assert {one.award.award: one.rank for one in undercut} == expected
    assert all(one.kind == ("lost" if one.rank is None else "behind") for one in undercut)
