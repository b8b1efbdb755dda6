"""Checking a candidate: every finding names its line and the way out; what is sound is left alone."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.rules.checking import check_rules, require_sound
from projections.rules.dropped_windows import windows_no_longer_in_force
from projections.rules.errors import Finding
from projections.rules.timeline import Factor, RulesError, parse_timeline
from projections.rules.toml_places import Place, line_of, places
from projections.rules.window_overlaps import window_reach
from tests.support.oracle.histories import Case, cases, patiently
from tests.support.replay.replaying import SMALL_RULES, to_toml

LUOHU = (Path(__file__).parents[3] / "rules" / "luohu.toml").read_text("utf-8")
SOUND = (
    SMALL_RULES
    + """\
[[rule_sets.honors]]
id = "star-1"
title = "one"
credited_minutes_min = 6_000
[[rule_sets]]
holds_from = 2018-01-01
day_minutes_max = 360
shift_minutes_min = 10
shift_minutes_max = 720
[[rule_sets.honors]]
id = "star-1"
title = "one"
credited_minutes_min = 6_000
"""
)


def window(percent: int = 150, name: str = "w", **more: Any) -> str:
    """Return a window as TOML; the last rule set gets it."""
    lines = [f"{key} = {_value(value)}" for key, value in {"name": name, "percent": percent, **more}.items()]
    return "\n".join(["[[rule_sets.factors]]", *lines]) + "\n"


def _value(value: object) -> str:
    return str(value) if isinstance(value, int | list) or str(value)[:2] == "20" else f'"{value}"'


def told(text: str, **more: Any) -> list[tuple[int, str, str]]:
    """Return line, severity and sentence with remedy of each finding."""
    return [(one.line, one.severity, f"{one.sentence}; {one.remedy}") for one in check_rules(text, **more)]


def test_sound_rules_have_no_findings_and_the_federation_s_own_no_errors() -> None:
    assert check_rules(SOUND) == []
    assert check_rules(SOUND.replace("360", "10")) == []  # a cap that the shortest shift fills
    assert require_sound(SOUND).name == "small"
    found = check_rules(LUOHU)
    assert [LUOHU.splitlines()[one.line - 1] for one in found] == ["[[rule_sets.factors]]"] * 2
    assert all("night overlaps spring-festival" in one.sentence for one in found)
    assert {one.severity for one in found} == {"warning"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("burst_entries_min = 1", "a single entry would be a burst; use at least 2"),
        ("round_shifts_min = 1", "a single shift on full hours would be reported; use at least 2"),
        ("same_person_entries_min = 1", "anybody who enters a single shift would be reported; use at least 2"),
        ("same_person_decisions_min = 1", "anybody who corrects a single shift would be reported; use at least 2"),
        ("clock_scans_min = 1", "a single scan sent late would count as a wrong clock; use at least 2"),
        (
            "round_percent_min = 20",
            "if instants are entered in quarter hours, one in four is on a full hour by chance; use at least 50",
        ),
        ("long_shift_minutes = 300", "shifts within the day cap would be reported; use at least 360"),
    ],
)
def test_thresholds_that_would_show_nearly_everything_are_told(line: str, sentence: str) -> None:
    assert told(f"{SOUND}[anomalies]\n{line}\n") == [(END + 2, "warning", sentence)]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("burst_entry_min = 5", "unknown key; check its spelling or remove it"),
        ("burst_entries_min = 0", "Input should be greater than or equal to 1; use a larger number"),
        ("round_percent_min = 101", "Input should be less than or equal to 100; use a smaller number"),
        ('clock_seconds = "60"', "Input should be a valid integer; write a whole number, without quotation marks"),
    ],
)
def test_an_anomaly_s_threshold_that_cannot_be_used_is_an_error_on_its_line(line: str, sentence: str) -> None:
    assert told(f"{SOUND}[anomalies]\n{line}\n") == [(END + 2, "error", sentence)]


def test_late_entries_count_in_one_unit() -> None:
    both = SOUND.replace("shift_minutes_min = 10\n", "late_entry_days = 14\nlate_entry_working_days = 10\n", 1)
    both = both.replace("shift_minutes_max = 720\n", "shift_minutes_min = 10\nshift_minutes_max = 720\n", 1)
    sentence = "late entries are counted in working days, so late_entry_days has no effect; remove it"
    assert told(both) == [(6, "warning", sentence)]


END = len(SOUND.splitlines())
NIGHT: dict[str, Any] = {"minute_from": "22:00", "minute_until": "06:00"}


@pytest.mark.parametrize(
    ("old", "new", "line", "severity", "words"),
    [
        ("shift_minutes_min = 10", "shift_minute_min = 10", 6, "error", "unknown key; did you mean shift_minutes_min?"),
        ("360", "360\ncolour = 1", 15, "error", "unknown key; check its spelling or remove it"),
        ("day_minutes_max = 360", "", 12, "error", "is missing; add it"),
        ("360", "3600", 14, "error", "less than or equal to 1440; use a smaller number"),
        ("360", '"6h"', 14, "error", "valid integer; write a whole number, without quotation marks"),
        ("[[rule_sets]]", "[[rule_sets]", 3, "error", "the rules are not TOML"),
        ("2018-01-01", "1999-01-01", 13, "error", "in the order of holds_from, with different dates; move"),
        ("2000-01-01", "2010-01-01", 4, "error", "the first rule set must hold from 2000-01-01 or earlier"),
        ("Asia/Shanghai", "Asia/Luohu", 2, "error", "is not a time zone; use a name such as Asia/Shanghai"),
        ("shift_minutes_max = 720", "shift_minutes_max = 5", 7, "error", "is less than shift_minutes_min"),
        (
            "360",
            "9",
            14,
            "error",
            "the day cap of 9 minutes is below the shortest shift of 10; raise it to at least 10",
        ),
        ("360", "360\ncredit_unit_minutes = 800", 15, "error", "no shift can earn a whole unit of 800 minutes"),
        (
            "360",
            "360\ncredit_unit_minutes = 30",
            15,
            "warning",
            "but earns less than a unit of 30; raise shift_minutes_min",
        ),
        (
            "360",
            "360\nmissing_check_out_minutes = 5",
            15,
            "warning",
            "too short to earn anything; use 0, or at least 10",
        ),
        (
            "360",
            "360\nmissing_check_out_minutes = 900",
            15,
            "warning",
            "of which only 720 can count; use at most 720",
        ),
        ("2018-01-01", "2100-01-01", 13, "warning", "no service can be dated 2100-01-01 or later"),
        ("day_minutes_max = 360", "day_minutes_max = 480", 12, "warning", "is the same as the one before"),
        ('id = "star-1"', 'id = "sun"', 12, "warning", "sun is not in the set from 2018-01-01 on"),
        ('title = "one"', 'title = "eins"', 19, "warning", "star-1 is called one, but eins in the set before"),
        ("6_000", "99_000_000", 11, "warning", "nobody can ever reach 99000000 minutes for star-1"),
        ("\n", '\napprovals = { kinds = ["void-shift", "void-shift"] }\n', 2, "warning", "twice; remove one"),
        ("\n", '\napprovals = { kinds = ["check-in"] }\n', 2, "error", "Input should be 'attest-shift'"),
        ("\n", "\napprovals = { raised_day_minutes_max = 360 }\n", 2, "warning", "a day cap of 360; use more than"),
        (
            "\n",
            "\napprovals = { shift_minutes_more = 720 }\n",
            2,
            "warning",
            "a shift earns at most 720 minutes, and 720 may be added without approval; use less than 720",
        ),
        (
            "\n",
            "\napprovals = { person_day_minutes_more = 400 }\n",
            2,
            "warning",
            "a day earns at most 360 minutes, and 400 may be added without approval; use less than 360",
        ),
        ("\n", "\napprovals = { shift_minutes_more = -1 }\n", 2, "error", "use a larger number"),
        ("\n", '\napprovals = { person_day_minutes_more = "30" }\n', 2, "error", "whole number"),
        ("\n", "\napprovals = { approved_records = 1 }\n", 2, "error", "write true or false"),
        ("\n", '\napprovals = { between_persons = "yes" }\n', 2, "error", "write true or false"),
        ("\n", "\napprovals = { shift_more_minutes = 30 }\n", 2, "error", "check its spelling"),
        ("\n", "\ndisputes = { answer_working_days = 5 }\n", 2, "error", "is missing; add it"),
        (
            "\n",
            "\ndisputes = { answer_working_days = 5, settle_working_days = 0 }\n",
            2,
            "error",
            "use a larger number",
        ),
        (
            "\n",
            "\ndisputes = { answer_working_days = 5, settle_working_days = 4 }\n",
            2,
            "error",
            "settle_working_days is less than answer_working_days, but a dispute is answered first; raise it",
        ),
    ],
)
def test_a_finding_names_its_line_and_the_way_out(old: str, new: str, line: int, severity: str, words: str) -> None:
    assert old in SOUND
    ((found, degree, said),) = told(SOUND.replace(old, new, 1))
    assert (found, degree) == (line, severity)
    assert words in said


def test_all_honours_that_a_set_drops_are_one_warning_with_the_way_out() -> None:
    later = "[[rule_sets]]\nholds_from = 2027-01-01\nday_minutes_max = 360\n"
    later += "shift_minutes_min = 10\nshift_minutes_max = 720\n"
    text = LUOHU.replace("[approvals]", later + "[approvals]")

    def dropped(text: str) -> list[Finding]:
        return [finding for finding in check_rules(text) if finding.key == "rule_sets.2"]

    (finding,) = dropped(text)
    assert finding.severity == "warning"
    assert finding.sentence == (
        "star-1, star-2, star-3, star-4, star-5, ivy-1, ivy-3, ivy-5, ivy-8, bronze, silver, gold, top-hundred, "
        "ten-best are not in the set from 2027-01-01 on, so they can no longer be reached"
    )
    assert finding.remedy.startswith("add honors_go_on = true to the set")
    assert dropped(text.replace(later, later + "honors_go_on = true\n")) == []
    one = '[[rule_sets.honors]]\nid = "star-1"\ntitle = "一星级义工"\ncredited_minutes_min = 6_000\n'
    (finding,) = dropped(text.replace(later, later + one))
    assert finding.sentence.startswith("star-2, star-3")


NIGHT_WINDOW = """
name = "night"
percent = 120
minute_from = "22:00"
minute_until = "06:00"
station_kinds = ["city", "special"]
"""


@pytest.mark.parametrize(
    ("window", "dropped"),
    [
        ("", "the window night is not in the set that holds from 2027-01-01 on, so it changes no minutes from then on"),
        (NIGHT_WINDOW.replace("120", "130"), None),  # changed, not dropped
        (NIGHT_WINDOW.replace("night", "late"), None),  # renamed
        ('name = "noon"\npercent = 120\nminute_from = 700\nminute_until = 800', "the window night is not in the set"),
    ],
)
def test_windows_that_a_set_drops_are_a_warning_that_names_them(window: str, dropped: str | None) -> None:
    later = "[[rule_sets]]\nholds_from = 2027-01-01\nday_minutes_max = 360\nshift_minutes_min = 10\n"
    later += "shift_minutes_max = 720\nhonors_go_on = true\n"
    later += f"[[rule_sets.factors]]\n{window}\n" if window else ""
    text = LUOHU.replace("[approvals]", later + "[approvals]")
    found = [finding for finding in check_rules(text) if finding.key == "rule_sets.2.factors"]
    assert [(one.severity, one.remedy.split(":")[0]) for one in found] == (
        [("warning", "factors do not go on from set to set")] if dropped else []
    )
    assert dropped is None or found[0].sentence.startswith(dropped)  # spring festivals have ended by then


def test_windows_of_the_rules_in_force_that_new_rules_lack_are_named_once_a_set() -> None:
    in_force = parse_timeline(LUOHU)
    assert windows_no_longer_in_force(LUOHU, in_force, in_force) == []
    text = LUOHU.replace('name = "night"', 'name = "evening"').replace('from = "22:00"', 'from = "21:00"')
    (finding,) = windows_no_longer_in_force(text, parse_timeline(text), in_force)
    assert (finding.key, finding.severity) == ("rule_sets.1.factors", "warning")
    assert finding.sentence == (
        "the window night of the rules in force is not in the set that holds from 2017-01-01 on, so it changes no "
        "minutes from then on"
    )


def test_a_warning_names_twenty_dropped_honours_and_counts_the_others() -> None:
    honor = '[[rule_sets.honors]]\nid = "h{0}x"\ntitle = "t"\ncredited_minutes_min = {0}\n'
    later = (
        "[[rule_sets]]\nholds_from = 2018-01-01\nday_minutes_max = 1\nshift_minutes_min = 0\nshift_minutes_max = 9\n"
    )
    text = SMALL_RULES + "".join(honor.format(number) for number in range(1, 26)) + later
    (finding,) = [finding for finding in check_rules(text) if "no longer" in finding.sentence]
    assert "h19x, h20x and 5 more are not in the set" in finding.sentence


@pytest.mark.parametrize(
    ("more", "line", "severity", "words"),
    [
        (
            window(name="old", last_day="2017-12-31"),
            1,
            "error",
            "holds on no day of its rule set, which holds from 2018-01-01 on",
        ),
        (window(first_day="2018-03-05", last_day="2018-03-09", weekdays=[7]), 1, "error", "holds on no day"),
        (window(first_day="2017-12-25", last_day="2018-01-05"), 1, "warning", "extends beyond its rule set"),
        (
            window(**NIGHT) + window(name="late", minute_from="23:00", minute_until="23:30"),
            6,
            "error",
            "late never holds: w (line 21)",
        ),
        (
            window(name="a", weekdays=[1, 2, 3, 4, 5]) + window(name="b", weekdays=[6, 7]) + window(name="c"),
            9,
            "error",
            "c never holds: a (line 21), b (line 25) come first",
        ),
        (
            window(**NIGHT) + window(name="late", percent=200, minute_from="23:00", minute_until="12:00"),
            6,
            "warning",
            "late overlaps w (line 21)",
        ),
        (window(100), 3, "warning", "changes nothing: 100 percent"),
        (window(minute_from="08:00", minute_until="08:00"), 5, "warning", "holds all day; leave both out"),
        (
            window(**NIGHT) + window(percent=200, minute_from="12:00", minute_until="13:00"),
            7,
            "warning",
            "two windows are named w",
        ),
        (
            '[[rule_sets.honors]]\nid = "star-2"\ntitle = "two"\ncredited_minutes_min = 6_000\n',
            4,
            "warning",
            "star-2 requires 6000 minutes, no more than star-1",
        ),
        (
            '[[rule_sets.honors]]\nid = "star-1"\ntitle = "two"\ncredited_minutes_min = 7_000\n',
            2,
            "error",
            "two honors have the same id; give each its own",
        ),
        (
            (
                '[[rule_sets.rankings]]\nid = "top"\ntitle = "t"\nof = "volunteers"\nplaces = 1\n'
                'order = ["volunteers"]\ncredited_minutes_min = 1\n'
            ),
            6,
            "error",
            "order names volunteers, which volunteers do not have",
        ),
    ],
)
def test_what_is_added_is_found_where_it_stands(more: str, line: int, severity: str, words: str) -> None:
    ((found, degree, said),) = told(SOUND + more)
    assert (found, degree) == (END + line, severity), said
    assert words in said


def test_windows_that_do_not_meet_or_agree_are_left_alone() -> None:
    for more in (
        window(**NIGHT) + window(name="noon", percent=120, minute_from="12:00", minute_until="13:00"),
        window(**NIGHT) + window(name="day", weekdays=[6]),  # they meet, and agree
        window(station_kinds=["city"], name="a") + window(percent=120, station_kinds=["special"], name="b"),
        window(projects=["p"], name="a") + window(percent=120, projects=["q"], name="b"),
        window(100, name="except", projects=["p"]) + window(name="rest"),  # an exception is no idle window
    ):
        assert [one for one in told(SOUND + more) if "overlaps except" not in one[2]] == []


def test_projects_that_nobody_knows_are_named_where_a_ledger_is_at_hand() -> None:
    text = SOUND + window(projects=["school", "scool"]).replace("'", '"')
    assert told(text) == []
    ((line, severity, said),) = told(text, known_projects=lambda names: {"school"} & set(names))
    assert (line, severity) == (END + 4, "warning")
    assert "no project is called scool" in said


def test_all_errors_of_new_rules_are_told_at_once() -> None:
    text = SOUND.replace("480", "9").replace("360", "8")
    with pytest.raises(RulesError) as refusal:
        require_sound(text)
    assert [finding.line for finding in refusal.value.findings] == [5, 14]
    assert str(refusal.value).count("is below the shortest shift") == 2


# --- laws -----------------------------------------------------------------------------------------------------------


@patiently
@given(cases(shifts_max=1), st.data())
def test_a_window_that_never_holds_is_one_no_minute_finds(case: Case, data: st.DataObject) -> None:
    """Hold the overlaps of sets to a search, minute by minute, of a few days."""
    factors = [
        factor.model_copy(update={"projects": (), "first_day": None, "last_day": None})
        for rule_set in case.timeline.rule_sets
        for factor in rule_set.factors
    ]
    factors += data.draw(st.lists(st.sampled_from(factors), max_size=2)) if factors else []
    winning = {
        next((at for at, factor in enumerate(factors) if _holds(factor, weekday, minute, kind)), None)
        for kind in ("city", "community", "special", None)
        for weekday in range(1, 8)
        for minute in range(0, 1440, 10)
    }
    found = window_reach(factors, None, None)
    coarse = all(edge % 10 == 0 for f in factors for edge in (f.minute_from, f.minute_until))
    for at, reach in enumerate(found):
        assert not reach.outside
        if at in winning:
            assert not reach.hidden
        elif coarse:
            assert reach.hidden


def _holds(factor: Factor, weekday: int, minute: int, kind: str | None) -> bool:
    begin, end = factor.minute_from, factor.minute_until
    return (
        (begin <= minute < end if begin < end else minute >= begin or minute < end)
        and (not factor.weekdays or weekday in factor.weekdays)
        and (not factor.station_kinds or kind in factor.station_kinds)
    )


def walked(value: object, place: Place = ()) -> list[Place]:
    """Return the places of everything in a parsed text."""
    found = [place] if place else []
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [deeper for key, part in parts for deeper in walked(part, (*place, key))]


ODD = '''a.b = """
x = 1 # no key
[no.header]
"""
"c d".'e' = [ # x = 2
  1, {x = 1, y.z = [1,
  2]},
 ["]", '}'] ]
d = 2018-12-04 09:00:00
[t]
q = \'\'\'it's\'\'\'
[[u.v]]
w = 1
[[u.v]]
w = 2
[u.v.k]
"z\\u0041" = 1
'''


@patiently
@given(cases(shifts_max=1))
def test_everything_in_a_text_has_a_line(case: Case) -> None:
    text = to_toml(case.timeline)
    assert set(places(text)) == set(walked(tomllib.loads(text)))


def test_odd_texts_are_scanned_as_they_are_parsed() -> None:
    found = places(ODD)
    assert set(found) == set(walked(tomllib.loads(ODD)))
    lines = {("c d", "e"): 5, ("c d", "e", 1, "y", "z", 1): 7, ("u", "v", 1, "w"): 15, ("u", "v", 1, "k", "zA"): 17}
    assert {place: found[place] for place in lines} == lines
    assert line_of(found, ("u", "v", 1, "missing")) == 14
    assert line_of(found, ("nothing",)) == 1
    assert places(LUOHU)["rule_sets", 1, "holds_from"] == LUOHU.splitlines().index("holds_from = 2017-01-01") + 1
