"""Rule timelines: what is refused, with which words; and that the federation's own file says what its sources say."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from projections.rules.timeline import RulesError, parse_timeline, rules_digest
from tests.support.replay.replaying import SMALL_RULES

LUOHU = (Path(__file__).parents[3] / "rules" / "luohu.toml").read_text()
SMALL = f"\n{SMALL_RULES}"


def test_luohu_s_file_holds_the_sources_figures() -> None:
    timeline = parse_timeline(LUOHU)
    first, last = timeline.rule_sets[0], timeline.rule_sets[-1]
    assert timeline.time_zone == "Asia/Shanghai"
    assert {rule_set.day_minutes_max for rule_set in timeline.rule_sets} == {480}
    stars = [honor.credited_minutes_min // 60 for honor in first.honors[:5]]
    assert stars == [100, 300, 600, 1000, 1500]
    assert first.honors[4].tenure_months_min == 24
    assert [honor.credited_minutes_min // 60 for honor in last.honors[len(first.honors) :]] == [2000, 3000, 4000]
    assert LUOHU.count("[config]") >= 12


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("day_minutes_max", "day_minute_max", "rule_sets.0.day_minute_max: unknown key; did you mean day_minutes_max?"),
        ("day_minutes_max = 480", "", "rule_sets.0.day_minutes_max: is missing"),
        ("day_minutes_max = 480", "day_minutes_max = 480\ncolour = 1", "colour: unknown key; check its spelling"),
        ("480", "2000", "rule_sets.0.day_minutes_max: Input should be less than or equal to 1440"),
        ("480", "480.5", "rule_sets.0.day_minutes_max: Input should be a valid integer"),
        ("720", "5", "shift_minutes_max is less than shift_minutes_min"),
        ("2000-01-01", "2010-01-01", "must hold from 2000-01-01 or earlier"),
        ("Asia/Shanghai", "Asia/Luohu", "time_zone: is not a time zone"),
        ("Asia/Shanghai", "America/St_Johns", "time_zone: has had a date twice"),
        ('"small"', '"small', "the rules are not TOML"),
        ("720\n", '720\n[[rule_sets.factors]]\nname = "n"\npercent = 150\nminute_from = "8"\n', "is not a time of day"),
        (
            "720\n",
            '720\n[[rule_sets.factors]]\nname = "n"\npercent = 150\nfirst_day = 2018-02-02\nlast_day = 2018-02-01\n',
            "last_day is before first_day",
        ),
        (
            "720\n",
            "720\n" + '[[rule_sets.honors]]\nid = "a"\ntitle = "A"\ncredited_minutes_min = 1\n' * 2,
            "two honors have the same id",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_key_and_the_way_out(old: str, new: str, words: str) -> None:
    assert parse_timeline(SMALL)
    with pytest.raises(RulesError) as refusal:
        parse_timeline(SMALL.replace(old, new, 1))
    assert words in str(refusal.value)


def test_rule_sets_stand_in_the_order_of_their_dates() -> None:
    second = SMALL.partition("[[rule_sets]]")[2]
    with pytest.raises(RulesError, match="in the order of holds_from"):
        parse_timeline(f"{SMALL}[[rule_sets]]{second}")
    later = parse_timeline(f"{SMALL}[[rule_sets]]{second.replace('2000', '2017')}")
    assert [rule_set.holds_from for rule_set in later.rule_sets] == [date(2000, 1, 1), date(2017, 1, 1)]


def test_a_window_ends_before_its_last_minute_and_may_run_through_midnight() -> None:
    factor = '[[rule_sets.factors]]\nname = "n"\npercent = 150\nminute_from = "22:00"\nminute_until = "24:00"\n'
    (window,) = parse_timeline(SMALL + factor).rule_sets[0].factors
    assert (window.minute_from, window.minute_until) == (1320, 1440)


def test_a_digest_names_the_text_to_the_letter() -> None:
    assert rules_digest(SMALL) == rules_digest(SMALL)
    assert rules_digest(SMALL) != rules_digest(SMALL + " ")
