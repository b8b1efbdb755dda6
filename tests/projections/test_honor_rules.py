"""Honours as rules: they hold until changed, and active years earn ivy badges.

Random histories with active years are held to the oracle in tests/projections/test_kernel.py.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from projections.rules.checking import check_rules
from projections.rules.timeline import RulesError, RuleTimeline, parse_timeline
from tests.support.oracle import histories
from tests.support.oracle.comparison import kernel_results
from tests.support.oracle.oracle import credit
from tests.support.replay.replaying import SMALL_RULES

LUOHU = (Path(__file__).parents[2] / "rules" / "luohu.toml").read_text("utf-8")

BASE = (
    SMALL_RULES
    + """
[[rule_sets.honors]]
id = "star-1"
title = "one"
credited_minutes_min = 600

[[rule_sets.honors]]
id = "star-2"
title = "two"
credited_minutes_min = 1_200

[[rule_sets.rankings]]
id = "top"
title = "top"
of = "volunteers"
places = 3
order = ["credited_minutes"]
credited_minutes_min = 60
"""
)
LATER = """
[[rule_sets]]
holds_from = 2017-01-01
day_minutes_max = 420
shift_minutes_min = 10
shift_minutes_max = 720
"""


def _honor(name: str, minutes: int, *more: str) -> str:
    return "\n".join(
        ["[[rule_sets.honors]]", f'id = "{name}"', 'title = "two"', f"credited_minutes_min = {minutes}", *more, ""]
    )


# --- an honour table that holds until changed -----------------------------------------------------------------------


def test_honours_that_go_on_are_those_of_the_set_before_and_what_a_set_names_itself() -> None:
    later = parse_timeline(BASE + LATER + "honors_go_on = true\n" + _honor("star-2", 1_500) + _honor("gold", 9_000))
    found = [(honor.id, honor.credited_minutes_min) for honor in later.rule_sets[1].honors]
    assert found == [("star-1", 600), ("star-2", 1_500), ("gold", 9_000)]
    assert later.rule_sets[1].rankings == later.rule_sets[0].rankings
    third = LATER.replace("2017", "2018") + "honors_go_on = true\n"
    whole = parse_timeline(BASE + LATER + "honors_go_on = true\n" + third)
    assert whole.rule_sets[2].honors == whole.rule_sets[0].honors


def test_a_set_that_says_nothing_of_it_has_only_its_own_honours_as_published_timelines_always_had() -> None:
    later = parse_timeline(BASE + LATER + _honor("star-2", 1_500))
    assert [honor.id for honor in later.rule_sets[1].honors] == ["star-2"]
    assert later.rule_sets[1].rankings == ()


def test_repeating_all_honours_and_letting_them_go_on_means_the_same() -> None:
    honors = BASE[BASE.index("[[rule_sets.honors]]") :]
    repeated, going_on = parse_timeline(BASE + LATER + honors), parse_timeline(BASE + LATER + "honors_go_on = true\n")
    assert _without_the_switch(repeated) == _without_the_switch(going_on)


def _without_the_switch(timeline: RuleTimeline) -> RuleTimeline:
    sets = tuple(one.model_copy(update={"honors_go_on": False}) for one in timeline.rule_sets)
    return timeline.model_copy(update={"rule_sets": sets})


REFUSED = [
    (
        BASE.replace("shift_minutes_max = 720", "shift_minutes_max = 720\nhonors_go_on = true"),
        "honors_go_on",
        "no honours to inherit",
    ),
    (BASE + LATER + _honor("ivy", 0, "active_years_min = 2"), "active_years_min", "add active_year_minutes_min"),
    (BASE + LATER + _honor("ivy", 0, "active_year_minutes_min = 9"), "active_year_minutes_min", "add active_years_min"),
    (BASE + "[public_notice]\nworking_days = 0\n", "public_notice.working_days", "greater than or equal to 1"),
    (BASE + "[public_notice]\ndays = 5\n", "public_notice.days", "unknown key"),
]


@pytest.mark.parametrize(("text", "key", "words"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_is_refused_at_its_key_with_the_way_out(text: str, key: str, words: str) -> None:
    with pytest.raises(RulesError) as refusal:
        parse_timeline(text)
    (finding,) = refusal.value.findings
    assert finding.key.endswith(key)
    assert words in f"{finding.sentence}; {finding.remedy}"
    assert key.rpartition(".")[2] in text.splitlines()[finding.line - 1]


def test_a_warning_about_an_honour_that_goes_on_points_to_where_it_was_written() -> None:
    text = BASE + LATER + "honors_go_on = true\n" + _honor("star-3", 1_200)
    (finding,) = check_rules(text)
    assert finding.sentence == "star-3 requires 1200 minutes, no more than star-2 with 1200"
    assert text.splitlines()[finding.line - 1] == "credited_minutes_min = 1200"
    never = check_rules(BASE + LATER + _honor("ivy", 0, "active_years_min = 1", "active_year_minutes_min = 200_000"))
    assert "no year can ever have 200000 minutes for ivy" in [one.sentence for one in never]


def test_the_federation_s_file_is_sound_and_has_an_ivy_series_that_rises() -> None:
    assert [finding for finding in check_rules(LUOHU) if finding.severity == "error"] == []
    timeline = parse_timeline(LUOHU)
    assert timeline.public_notice.working_days == 5
    for rule_set in timeline.rule_sets:
        ivy = [honor.active_years_min for honor in rule_set.honors if honor.id.startswith("ivy-")]
        assert ivy == [1, 3, 5, 8]


# --- active years ---------------------------------------------------------------------------------------------------

YEARS = """
2016-02-01 09:00 - 10:00
2016-05-01 09:00 - 10:00
2017-03-01 09:00 - 09:50
2018-01-01 09:00 - 12:00
2018-12-31 23:00 - 2019-01-01 02:00
"""


@pytest.mark.parametrize(
    ("years", "minutes", "reached"),
    [
        (1, 60, date(2016, 2, 1)),
        (1, 90, date(2016, 5, 1)),
        (1, 121, date(2018, 1, 1)),
        (2, 50, date(2017, 3, 1)),
        (2, 60, date(2018, 1, 1)),  # 2017 had fifty minutes
        (3, 60, date(2019, 1, 1)),  # years need not follow one another, and midnight parts them
        (4, 50, date(2019, 1, 1)),
        (4, 51, None),
    ],
)
def test_a_year_is_active_from_the_day_on_which_it_has_its_minutes(
    years: int, minutes: int, reached: date | None
) -> None:
    events = [histories.open_station("S"), histories.register("V", date(2015, 1, 1))]
    for number, line in enumerate(YEARS.strip().splitlines(), 1):
        came, _, left = line.partition(" - ")
        left = left if len(left) > 5 else f"{came[:10]} {left}"
        events += [histories.check_in("V", "S", came, number), histories.check_out("V", "S", left, number)]
    ivy = {
        "id": "ivy",
        "title": "ivy",
        "credited_minutes_min": 0,
        "active_years_min": years,
        "active_year_minutes_min": minutes,
    }
    history, timeline = histories.stamped(events), histories.rules(honors=[ivy])
    expected = {("V", "ivy"): reached} if reached else {}
    assert kernel_results(history, timeline).standings == credit(history, timeline).standings == expected
