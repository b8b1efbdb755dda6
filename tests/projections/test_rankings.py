"""Rankings: what a rule may say, ranks equal to the oracle's on random histories, and SQL that says the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.store.database import Database
from projections.kernels.facts import facts_of
from projections.kernels.rankings import all_rankings, rankings_of
from projections.local_time import day_number
from projections.rules.table import honor_ids
from projections.rules.timeline import RulesError, RuleTimeline, parse_timeline
from projections.schema import NO_DAY
from replay.generations import store
from replay.generations.named_rows import NO_ROWS, Rows, rows_of
from replay.rankings.sources import latest_replayed, latest_stored, ranks, replayed, stored
from tests.support.examples import examples
from tests.support.oracle.histories import Case, as_text, cases, patiently, ranked_timelines
from tests.support.oracle.oracle import credit, ranked
from tests.support.replay.replaying import SMALL_RULES, as_rules

RULES = (
    f"\n{SMALL_RULES}"
    """\
[[rule_sets.honors]]
id = "star"
title = "star"
credited_minutes_min = 1
[[rule_sets.rankings]]
id = "top"
title = "top"
of = "volunteers"
places = 2
order = ["credited_minutes", "shifts"]
credited_minutes_min = 60
"""
)
PROJECTS = """
[[rule_sets.rankings]]
id = "best"
title = "best"
of = "projects"
places = 1
order = ["score"]
score = { credited_hours = 1 }
credited_minutes_min = 0
"""


# --- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("places = 2", "place = 2", "rule_sets.0.rankings.0.place: unknown key; did you mean places?"),
        ("places = 2", "places = 0", "rule_sets.0.rankings.0.places: Input should be greater than or equal to 1"),
        ('"volunteers"', '"stations"', "rule_sets.0.rankings.0.of: Input should be 'volunteers' or 'projects'"),
        (
            '["credited_minutes", "shifts"]',
            "[]",
            "rankings.0.order: order is empty; name at least one of credited_minutes",
        ),
        ('"shifts"]', '"people"]', "rankings.0.order.1: Input should be 'score', 'credited_minutes'"),
        ('"shifts"]', '"score"]', "order names score, which volunteers do not have; they have credited_minutes"),
        ('"shifts"]', '"credited_minutes"]', "order names credited_minutes twice"),
        ("places = 2", "places = 2\nvolunteers_min = 5", "volunteers_min does not apply to volunteers; remove it"),
        (
            'id = "top"',
            'id = "star"',
            "star is the id of a ranking of volunteers and of a threshold; give each its own",
        ),
        ('order = ["score"]', 'order = ["volunteers"]', "score has weights, but order does not name it"),
        ("credited_hours = 1 ", "credited_hours = 0 ", "no figure has a weight; add [rule_sets.rankings.score]"),
        ("credited_hours = 1 ", "hours = 1 ", "rankings.1.score.hours: unknown key"),
        ('id = "best"', 'id = "top"', "two rankings have the same id; give each its own"),
    ],
)
def test_a_ranking_that_cannot_be_is_refused_by_its_key_with_a_remedy(old: str, new: str, words: str) -> None:
    text = RULES + PROJECTS
    parse_timeline(text)
    assert old in text
    with pytest.raises(RulesError, match=r".*") as refused:
        parse_timeline(text.replace(old, new, 1))
    assert words in str(refused.value)


def test_the_rule_set_in_force_on_the_last_day_decides_a_year() -> None:
    later = RULES.split("[[rule_sets]]")[1].replace("2000-01-01", "2017-12-31").replace("places = 2", "places = 3")
    timeline = parse_timeline(f"{RULES}[[rule_sets]]{later}")
    assert [rankings_of(timeline, year)["top"].places for year in (1999, 2016, 2017, 2018)] == [2, 2, 3, 3]
    assert all_rankings(timeline)["top"].places == 3
    assert rankings_of(parse_timeline(RULES.split("[[rule_sets.rankings]]", maxsplit=1)[0]), 2018) == {}


def test_the_federation_s_file_ranks_a_hundred_volunteers_and_ten_projects_in_every_year() -> None:
    timeline = parse_timeline((Path(__file__).parents[2] / "rules" / "luohu.toml").read_text())
    for year in (2011, 2018):
        found = rankings_of(timeline, year)
        assert {name: (one.of, one.places) for name, one in found.items()} == {
            "top-hundred": ("volunteers", 100),
            "ten-best": ("projects", 10),
        }


# --- ranks ----------------------------------------------------------------------------------------------------------


def rows_under(events: list[Event], timeline: RuleTimeline, valid_at: date | None) -> Rows:
    facts = facts_of(events)
    models = facts.read_models(timeline, valid_until=NO_DAY if valid_at is None else day_number(valid_at))
    names = (facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts())
    return rows_of(models, *names)


@settings(patiently, max_examples=examples(50))
@given(cases(), st.data())
def test_ranks_equal_the_oracle_s_and_no_two_share_one(case: Case, data: st.DataObject) -> None:
    timeline = data.draw(ranked_timelines(case.timeline))
    valid_at = data.draw(st.sampled_from((None, None, date(2018, 12, 31), date(2018, 3, 10))))
    rows = rows_under(case.events, timeline, valid_at)
    expected = credit(case.events, timeline, valid_at=valid_at)
    for year in {year for _, year in expected.hours} | {year for _, year, _ in expected.projects}:
        for name, ranking in rankings_of(timeline, year).items() if year else ():
            found = ranks(rows, ranking, year)
            said = {who: rank for rank, who in enumerate(found.names.tolist(), 1)}
            assert said == ranked(expected, timeline, name, year), as_text(case.events, timeline.time_zone)
            assert len(said) == len(found.names) == len(found.figures)


# --- ranks read from rows -------------------------------------------------------------------------------------------


def crowd(count: int = 60) -> Rows:
    """Return rows of volunteers and projects so alike that every tie-break is needed; names sort unlike numbers."""
    draws = np.random.default_rng(7)
    names = np.array([f"{'vVW'[number % 3]}{number}.{number % 7}" for number in range(count)], object)
    hours = draws.choice((0, 1, 45, 90), (3 * count, 7))
    hours[:, 0] = np.repeat([0, 2017, 2018], count)
    months = draws.choice((0, 1, 45, 90), (40 * 5, 8))
    months[:, 0], months[:, 1] = np.tile([2017, 2018, 2018, 2018, 2018], 40), np.tile([0, 0, 2, 7, 12], 40)
    return NO_ROWS._replace(
        hours_volunteer=np.tile(names, 3),
        hours=hours,
        project=np.repeat(names[:40], 5),
        projects=months,
    )


@pytest.fixture(scope="module")
def crowded(new_database_url: object) -> Iterator[Database]:
    assert callable(new_database_url)
    with Database.open(new_database_url()) as database:
        store.create_tables(database)
        yield database


@settings(patiently, max_examples=examples(20))
@given(st.data())
def test_sql_ranks_as_memory_does(crowded: Database, data: st.DataObject) -> None:
    timeline = data.draw(ranked_timelines(parse_timeline(RULES)))
    rows = crowd()
    with crowded.pool.connection() as connection, connection.transaction(force_rollback=True):
        schema = store.write_generation(connection, as_rules(timeline), 0, rows).schema
        for ranking in rankings_of(timeline, 2018).values():
            assert latest_stored(connection, schema, ranking) == latest_replayed(rows, ranking)
            found, expected = stored(connection, schema, ranking, 2018), replayed(rows, ranking, 2018)
            assert found.count() == expected.count()
            assert found.page(1, 1000) == expected.page(1, 1000)
            assert found.page(3, 4) == expected.page(3, 4)
            assert [entry.rank for entry in found.page(1, 1000)] == [*range(1, found.count() + 1)]
            for entry in expected.page(1, 1000)[::7]:
                assert found.figures(entry.name) == expected.figures(entry.name) == entry.figures
                near = found.near(entry.name, entry.figures, 2)
                assert near == expected.near(entry.name, entry.figures, 2)
                assert near.rank == entry.rank
            assert found.figures("nobody") is expected.figures("nobody") is None
