"""What-if: ranks of both sides, the answer in words and as a file, and sides read from a ledger's own archive."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.operations.service import OpenLedger
from ledger.aggregates import Event
from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.facts import facts_of
from projections.kernels.rankings import rank_projects, rank_volunteers, rankings_of
from projections.rules.rankings import Ranking
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from replay.generations import store
from replay.generations.named_rows import Rows, rows_of
from replay.published import NoRulesError
from replay.queries.queries import NOW, Axes
from replay.what_if.answers import Change, WhatIf
from replay.what_if.comparison import Comparison, Point, points, what_if
from replay.what_if.files import as_bytes
from replay.what_if.past_changes import PastChange, past_change
from replay.what_if.sentences import distribution_of, what_if_answer
from tests.support.api.serving import give, stock
from tests.support.oracle.histories import Case, cases, history, patiently, ranked_timelines, rule_set, rules
from tests.support.replay.replaying import as_rules

pytest_plugins = ["tests.support.api.fixtures"]

SCENE = """
    2018-12-03 22:00 in  V1 U1 #1 project=P1
    2018-12-04 06:00 out V1 U1 #1              ; two hours and six, all at night
    2018-12-05 09:00 in  V2 U2 #2 project=P2
    2018-12-05 13:00 out V2 U2 #2              ; four hours by day
    2018-12-06 09:00 in  V3 U2 #3
    2018-12-06 10:00 out V3 U2 #3              ; one hour by day
"""
NIGHT = {"name": "night", "percent": 150, "minute_from": "22:00", "minute_until": "06:00"}
STARS = [
    {"id": name, "title": name, "credited_minutes_min": minutes} for name, minutes in (("easy", 240), ("hard", 500))
]
TOP = {"id": "top", "title": "top", "of": "volunteers", "places": 1, "order": ["credited_minutes"]}
BEST = {"id": "best", "title": "best", "of": "projects", "places": 2, "order": ["credited_minutes"]}


def compared(events: Sequence[Event], before: RuleTimeline, after: RuleTimeline) -> Comparison:
    facts, position = facts_of(events), Position(len(events))
    return what_if(Point(facts, as_rules(before), position), Point(facts, as_rules(after, 2), position), threads=1)


def answered(before: RuleTimeline, after: RuleTimeline, limit: int | None = None) -> WhatIf:
    return what_if_answer(compared(history(SCENE), before, after), limit)


# --- ranks ----------------------------------------------------------------------------------------------------------


@patiently
@given(cases(), st.data())
def test_rank_changes_agree_with_the_ranks_of_two_replays(case: Case, data: st.DataObject) -> None:
    events, timeline = case
    before, after = (data.draw(ranked_timelines(timeline)) for _ in range(2))
    after = after.model_copy(
        update={
            "rule_sets": tuple(
                one.model_copy(update={"day_minutes_max": data.draw(st.sampled_from([30, 90, 1440]))})
                for one in after.rule_sets
            )
        }
    )
    early = events[: data.draw(st.sampled_from([len(events), len(events) // 2]))]
    one, other = (
        Point(facts_of(early), as_rules(before), Position(1)),
        Point(facts_of(events), as_rules(after), Position(1)),
    )
    found = what_if(one, other, threads=1)
    expected = {}
    rows = rows_under(early, before), rows_under(events, after)
    years = {int(year) for one in rows for table in (one.hours, one.projects) for year in table[:, 0]} - {0}
    for year in years:
        pair = rankings_of(before, year), rankings_of(after, year)
        for name in pair[0].keys() | pair[1].keys():
            ranks = [
                ranked(one, asked[name], year) if name in asked else {} for one, asked in zip(rows, pair, strict=True)
            ]
            places = [asked[name].places if name in asked else 0 for asked in pair]
            for who in ranks[0].keys() | ranks[1].keys():
                was, now = ranks[0].get(who), ranks[1].get(who)
                if was != now and ((was or 99) <= places[0] or (now or 99) <= places[1]):
                    expected[name, year, who] = (was, now)
    assert {(one.ranking, one.year, one.name): (one.before, one.after) for one in found.ranks} == expected


def rows_under(events: Sequence[Event], timeline: RuleTimeline) -> Rows:
    facts = facts_of(events)
    names = facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts()
    return rows_of(facts.read_models(timeline), *names)


def ranked(rows: Rows, ranking: Ranking | None, year: int) -> dict[str, int]:
    """Return the rank of everybody who is ranked."""
    if ranking is None:
        return {}
    if ranking.of == "volunteers":
        found = rank_volunteers(rows.hours_volunteer, rows.hours, ranking, year)
    else:
        found = rank_projects(rows.project, rows.projects, ranking, year)
    return {str(name): rank for rank, name in enumerate(found.names, 1)}


def test_who_enters_leaves_and_moves_is_told() -> None:
    rankings = [{**TOP, "credited_minutes_min": 60}, {**BEST, "credited_minutes_min": 100}]

    def told(**changes: Any) -> list[tuple[object, ...]]:
        changed = answered(rules(rankings=rankings), rules(**{"rankings": rankings, **changes})).rank_changes
        return [(one.ranking, one.year, one.name, one.kind, one.before, one.after) for one in changed]

    # V1 keeps the first place with 90 minutes on each of two days; P2 has less than a hundred.
    assert told(day_minutes_max=90) == [("best", 2018, "P2", "leaves", 2, None)]
    # V1 is left with 48 minutes, which no ranking takes.
    assert told(factors=[{**NIGHT, "percent": 10}]) == [
        ("best", 2018, "P1", "leaves", 1, None),
        ("best", 2018, "P2", "moves", 2, 1),
        ("top", 2018, "V1", "leaves", 1, None),
        ("top", 2018, "V2", "enters", 2, 1),
    ]
    assert told(rankings=rankings[1:]) == [("top", 2018, "V1", "leaves", 1, None)]
    assert told(rankings=[{**rankings[0], "places": 2}, rankings[1]]) == []  # nobody's rank changed


# --- the answer -----------------------------------------------------------------------------------------------------


def test_every_change_is_in_one_band() -> None:
    bands = distribution_of(np.array([-61, -60, -59, 1, 60_000, 90_000, 240]))
    assert [(band.direction, band.from_minutes, band.volunteers) for band in bands if band.volunteers] == [
        ("lose", 60, 2),
        ("lose", 1, 1),
        ("gain", 1, 1),
        ("gain", 60, 1),
        ("gain", 60_000, 2),
    ]
    assert bands[-1].to_minutes is None
    assert distribution_of(np.array([], dtype=np.int64)) == []


def test_the_answer_says_who_gains_and_who_loses_and_why() -> None:
    answer = answered(rules(honors=STARS), rules(honors=STARS, factors=[NIGHT], shift_minutes_min=61))
    assert (answer.volunteers_differing, answer.volunteers_gaining, answer.volunteers_losing) == (2, 1, 1)
    assert [(one.volunteer, one.credited, one.reason) for one in answer.volunteers] == [
        ("V1", Change(before=480, after=720, change=240), "night factor +240"),
        ("V3", Change(before=60, after=0, change=-60), "too short -60"),
    ]
    first = answer.volunteers[0]
    assert (first.honors_gained, first.honors_lost, first.honors_moved) == (["hard"], [], [])
    assert [(one.volunteer, one.honor, one.kind, one.before, one.after) for one in answer.honor_changes] == [
        ("V1", "hard", "gained", None, date(2018, 12, 4))
    ]
    assert answer.totals["credited"] == Change(before=780, after=960, change=180)
    assert answer.totals["shifts"].change == 0
    assert {one.station: one.activity["credited"].change for one in answer.stations} == {"U1": 240, "U2": -60}
    assert [(one.honor, one.gained, one.lost, one.moved) for one in answer.honors] == [("hard", 1, 0, 0)]


def test_an_honour_that_asks_for_something_else_says_so() -> None:
    easier = [{**STARS[0], "credited_minutes_min": 30}, STARS[1]]
    answer = answered(rules(honors=STARS), rules(honors=easier))
    assert {(one.volunteer, one.kind, one.reason) for one in answer.honor_changes} == {
        ("V1", "moved", "the honour has other conditions"),
        ("V3", "gained", "the honour has other conditions"),
    }
    assert [one.credited.change for one in answer.volunteers] == [0, 0]


def test_an_honour_that_a_new_set_inherits_asks_for_nothing_else() -> None:
    def later(**changes: Any) -> RuleTimeline:
        return inheriting([{"honors": STARS}, {"holds_from": "2018-12-04", "honors_go_on": True, **changes}])

    def reasons(after: RuleTimeline) -> dict[tuple[str, str], str]:
        return {(one.volunteer, one.honor): one.reason for one in answered(rules(honors=STARS), after).honor_changes}

    night = later(factors=[NIGHT])
    assert reasons(night) == {("V1", "hard"): "night factor +180"}
    assert reasons(later(day_minutes_max=90)) == {("V1", "easy"): "day cap -270", ("V2", "easy"): "day cap -150"}
    # Only the conditions of the day count on which one side meets them.
    easier = [{**STARS[0], "credited_minutes_min": 1}]
    assert reasons(later(honors=easier)) == {("V3", "easy"): "the honour has other conditions"}
    capped: dict[str, Any] = {"holds_from": "2018-12-04", "honors_go_on": True, "day_minutes_max": 90}
    eased = capped | {"holds_from": "2018-12-06", "honors": easier}
    assert reasons(inheriting([{"honors": STARS}, capped, eased])) == {
        ("V1", "easy"): "day cap -270",
        ("V2", "easy"): "day cap -150",
        ("V3", "easy"): "the honour has other conditions",
    }


def inheriting(sets: list[dict[str, Any]]) -> RuleTimeline:
    written = tuple(rule_set(**one) for one in sets)
    return RuleTimeline.model_validate({"name": "t", "time_zone": "Asia/Shanghai", "rule_sets": written})


def test_rules_that_begin_after_the_last_service_say_so_and_are_tried_on_the_past() -> None:
    sets: list[dict[str, Any]] = [
        {"honors": STARS},
        {"holds_from": "2027-01-01", "honors_go_on": True, "day_minutes_max": 90},
    ]
    before, after = rules(honors=STARS), inheriting(sets)
    answer = answered(before, after)
    assert (answer.volunteers_differing, answer.rules_differ_from) == (0, date(2027, 1, 1))
    assert answer.last_service == date(2018, 12, 6)
    assert answer.note == (
        "the rules differ only from 2027-01-01 on, and the last service compared is of 2018-12-06, so they change no "
        "hours yet; as_if_from tries them on past service"
    )
    events = history(SCENE)
    facts, position = facts_of(events), Position(len(events))
    sides = Point(facts, as_rules(before), position), Point(facts, as_rules(after, 2), position)
    tried = what_if_answer(what_if(*sides, as_if_from=date(2018, 12, 4), threads=1))
    assert (tried.note, tried.as_if_from) == (None, date(2018, 12, 4))
    assert {one.volunteer: one.reason for one in tried.volunteers} == {"V1": "day cap -270", "V2": "day cap -150"}
    written = rules(rule_set(honors=STARS), rule_set("2018-12-04", honors=STARS, day_minutes_max=90))
    assert tried.volunteers == answered(before, written).volunteers
    late = what_if_answer(what_if(*sides, as_if_from=date(2019, 1, 1), threads=1))
    assert late.volunteers == []
    assert late.note is not None
    assert late.note.endswith("so they change no hours; use an earlier day for as_if_from")
    assert what_if_answer(what_if(*sides, valid_at=date(2018, 12, 5), threads=1)).last_service == date(2018, 12, 5)
    assert answered(before, before).note is None
    table = pq.read_table(io.BytesIO(as_bytes(what_if(*sides, as_if_from=date(2018, 12, 4), threads=1), "parquet")))
    assert table.schema.metadata[b"as_if_from"] == b"2018-12-04"


def test_service_dated_after_its_recording_does_not_hide_that_rules_begin_later() -> None:
    fast = """
    2031-03-01 09:00 in  V3 U2 #4     ; a clock that is twelve years fast
    2031-03-01 10:00 out V3 U2 #4
    """
    facts = facts_of(history(SCENE + fast))
    recorded_at = np.minimum(facts.shifts.recorded_at, facts.shifts.recorded_at[0])  # in 2018
    facts = replace(facts, shifts=facts.shifts._replace(recorded_at=recorded_at))
    after = inheriting([{}, {"holds_from": "2027-01-01", "day_minutes_max": 90}])
    both = Point(facts, as_rules(rules()), Position(9)), Point(facts, as_rules(after, 2), Position(9))
    answer = what_if_answer(what_if(*both, threads=1))
    assert (answer.last_service, answer.volunteers_differing) == (date(2018, 12, 3), 0)
    assert answer.note is not None


def test_a_limit_cuts_lists_and_no_counts() -> None:
    lenient, strict = rules(honors=STARS, rankings=[{**TOP, "credited_minutes_min": 0}]), rules(day_minutes_max=0)
    whole, cut = answered(lenient, strict), answered(lenient, strict, 1)
    assert [len(one.volunteers) for one in (whole, cut)] == [3, 1]
    assert [len(one.honor_changes) for one in (whole, cut)] == [2, 1]
    assert cut.volunteers == whole.volunteers[:1]
    assert (cut.volunteers_differing, cut.honor_changes_in_all, cut.rank_changes_in_all) == (3, 2, 1)
    assert cut.stations == whole.stations


def test_the_file_holds_all_who_differ_with_both_sides() -> None:
    found = compared(history(SCENE), rules(honors=STARS), rules(honors=STARS, factors=[NIGHT], shift_minutes_min=61))
    parquet = pq.read_table(io.BytesIO(as_bytes(found, "parquet")))
    csv = pa_csv.read_csv(io.BytesIO(as_bytes(found, "csv")))
    assert csv.column_names == parquet.column_names
    for row, other, one in zip(parquet.to_pylist(), csv.to_pylist(), what_if_answer(found).volunteers, strict=True):
        assert {name: value or "" for name, value in row.items()} == {name: it or "" for name, it in other.items()}
        said = row["volunteer"], row["credited_minutes_before"], row["credited_minutes_after"], row["reason"]
        assert said == (one.volunteer, one.credited.before, one.credited.after, one.reason)
        assert row["change_minutes"] == one.credited.change
        assert row["honors_gained"] == ";".join(one.honors_gained)
        for column, change in one.trace.items():
            name = column if column == "shifts" else f"{column}_minutes"
            assert row[f"{name}_after"] - row[f"{name}_before"] == change.change
    assert parquet.schema.metadata[b"after_rules_version"] == b"2"


# --- from a ledger --------------------------------------------------------------------------------------------------


def test_sides_are_read_from_the_archive_as_known_then(database: Database, tmp_path: Path) -> None:
    fresh = OpenLedger(database, tmp_path)
    stock(fresh)
    fresh.catch_up()
    last = fresh.log.head()
    before = Position(last - 1)  # the last event is a correction
    one, other = points(fresh.database, fresh.archive, (Axes(known_at=before), NOW))
    assert (one.known_at, other.known_at) == (before, last)
    assert one.rules == other.rules
    answer = what_if_answer(what_if(one, other, threads=1))
    assert [(one.volunteer, one.reason) for one in answer.volunteers] == [("V0000001", "raw -60")]
    same, again = points(fresh.database, fresh.archive, (NOW, NOW))
    assert same.facts is again.facts  # read once
    assert give(fresh, "register-volunteer", volunteer="V0000009", registered_on="2016-03-05") == last + 1
    assert points(fresh.database, fresh.archive, (NOW, NOW))[0].known_at == last  # what the read models know


def test_a_side_before_the_first_rules_or_read_models_is_refused(fresh: OpenLedger, database: Database) -> None:
    with pytest.raises(NoRulesError):
        points(fresh.database, fresh.archive, (Axes(known_at=Position(1)), NOW))
    with database.pool.connection() as connection:
        connection.execute("TRUNCATE replay.pointer")
    with pytest.raises(store.NoGenerationError):
        points(fresh.database, fresh.archive, (NOW, NOW))


def test_changed_sets_that_are_not_tried_are_named() -> None:
    before = rules(honors=STARS)
    after = inheriting(
        [
            {"honors": STARS, "day_minutes_max": 1000},
            {"holds_from": "2027-01-01", "honors_go_on": True, "day_minutes_max": 90},
        ]
    )
    events = history(SCENE)
    facts, position = facts_of(events), Position(len(events))
    sides = Point(facts, as_rules(before), position), Point(facts, as_rules(after, 2), position)
    tried = what_if_answer(what_if(*sides, as_if_from=date(2018, 12, 4), threads=1))
    assert tried.not_tried == [date(2000, 1, 1)]
    assert tried.note == (
        "the changed rule set of 2000-01-01 is not tried, because a later one holds from 2018-12-04; "
        "without as_if_from each is compared on its own days"
    )
    assert {one.volunteer: one.reason for one in tried.volunteers} == {"V1": "day cap -270", "V2": "day cap -150"}


def test_a_change_of_days_that_have_passed_is_told_with_its_hours() -> None:
    before = rules(honors=STARS)
    events = history(SCENE)
    facts, position = facts_of(events), Position(len(events))

    def change(after: RuleTimeline) -> PastChange | None:
        sides = Point(facts, as_rules(before), position), Point(facts, as_rules(after, 2), position)
        return past_change(what_if(*sides, threads=1))

    assert change(before) is None
    assert change(inheriting([{"honors": STARS}, {"holds_from": "2027-01-01", "honors_go_on": True}])) is None
    strict = change(rules(rule_set(honors=STARS), rule_set("2018-12-04", honors=STARS, day_minutes_max=90)))
    assert strict is not None
    assert (strict.volunteers, strict.minutes_gained, strict.minutes_lost) == (2, 0, 420)
    assert strict.sentence().startswith(
        "these rules differ from those in force on days that have passed: 2018-12-04 to 2018-12-06; "
        "the credited minutes of 2 volunteers change: 0:00 are gained, 7:00 are lost"
    )
