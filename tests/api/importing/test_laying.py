"""Durations without clock times lie in their day one after another, in one way, whatever order their lines have."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.importing.columns import Columns
from api.importing.durations import laying
from api.importing.durations.laying import Laid, _Taken, lay_out, lies
from api.importing.lines import Line, LineReader
from api.importing.mapping import MappingError, parse_mapping
from api.importing.tables import Row
from ledger.aggregates import Order
from projections.rules.timeline import parse_timeline
from replay.progress import Stop, StoppedError, stopped_by
from tests.support.examples import examples

COLUMNS = ("No.", "Number", "Date", "From", "To", "Hours")
MAPPING = """
command = "attest-shift"
source = "/imports/lists"
key = "No."
time_zone = "Asia/Shanghai"

[fields]
volunteer = "Number"
station = { constant = "C01" }
check_in = { date = "Date", time = "From", starts = "09:00" }
check_out = { date = "Date", time = "To", hours = "Hours" }
evidence = { constant = "service-list" }
"""
KEYLESS = MAPPING.replace('key = "No."\n', "")
DAY = "2015-03-05"


def lines(*rows: Sequence[Any], mapping: str = MAPPING) -> list[Line]:
    parsed = parse_mapping(mapping)
    reader = LineReader(parsed, Columns(COLUMNS), "person:keeper")
    read = [reader.read(Row(number, row)) for number, row in enumerate(rows, 2)]
    layout = lay_out(read, parsed.zone, None)
    return [layout.lay(line) for line in read]


def places(*rows: Sequence[Any], mapping: str = MAPPING) -> dict[str, str]:
    """Return where each duration lies, by the key of its line."""
    zone = parse_mapping(mapping).zone
    laid = lines(*rows, mapping=mapping)
    return {
        str(row[0]): lies(line, zone) for row, line in zip(rows, laid, strict=True) if isinstance(line.order, Order)
    }


def test_durations_of_a_day_lie_one_after_another() -> None:
    assert places(("1", "V1", DAY, "", "", "1.5"), ("2", "V1", DAY, "", "", "2")) == {
        "1": "2015-03-05 09:00-10:30",
        "2": "2015-03-05 10:30-12:30",
    }


def test_each_volunteer_and_each_day_begins_anew() -> None:
    rows = [("1", "V1", DAY, "", "", "2"), ("2", "V2", DAY, "", "", "2"), ("3", "V1", "2015-03-06", "", "", "2")]
    assert set(places(*rows).values()) == {"2015-03-05 09:00-11:00", "2015-03-06 09:00-11:00"}


def test_the_order_of_lines_decides_nothing() -> None:
    chance = random.Random(18)  # noqa: S311 - no secret
    rows = [
        (str(number), f"V{number % 3}", f"2015-03-{number % 4 + 1:02}", "", "", str(number % 5 / 2 + 0.5))
        for number in range(60)
    ]
    expected = places(*rows)
    for mapping in (MAPPING, KEYLESS):
        first = {lies_with(line) for line in lines(*rows, mapping=mapping)}
        for _ in range(5):
            shuffled = chance.sample(rows, len(rows))
            assert {lies_with(line) for line in lines(*shuffled, mapping=mapping)} == first
            if mapping is MAPPING:
                assert places(*shuffled) == expected


def lies_with(line: Line) -> object:
    assert isinstance(line.order, Order)
    return line.order.name, line.order.command


def test_numbers_are_ordered_by_their_value() -> None:
    rows = [("10", "V1", DAY, "", "", "1"), ("9", "V1", DAY, "", "", "1")]
    assert places(*rows) == {"9": "2015-03-05 09:00-10:00", "10": "2015-03-05 10:00-11:00"}


@pytest.mark.parametrize(
    ("clocks", "hours", "expected"),
    [
        ([("09:00", "12:00")], "2", "12:00-14:00"),
        ([("10:00", "12:00")], "1", "09:00-10:00"),
        ([("10:00", "12:00")], "1.5", "12:00-13:30"),
        ([("10:00", "12:00"), ("12:30", "14:00")], "1.5", "14:00-15:30"),
        ([("08:00", "09:30")], "1", "09:30-10:30"),
        ([("08:00:30", "09:30:30")], "1", "09:31-10:31"),
        ([("22:00", "02:00")], "14", "06:00-20:00"),  # from 09:00 on, 13 hours are free
        ([], "13", "09:00-22:00"),
        ([], "14", "06:00-20:00"),
        ([], "16", "06:00-22:00"),
    ],
)
def test_durations_lie_beside_the_shifts_with_clock_times(
    clocks: Sequence[tuple[str, str]], hours: str, expected: str
) -> None:
    rows = [(f"c{number}", "V1", DAY, *clock, "") for number, clock in enumerate(clocks)]
    assert places(*rows, ("d", "V1", DAY, "", "", hours))["d"] == f"{DAY} {expected}"
    assert places(("d", "V1", DAY, "", "", hours), *rows)["d"] == f"{DAY} {expected}"


def test_a_shift_of_the_evening_before_is_beside_it_too() -> None:
    mapping = MAPPING.replace("09:00", "06:00")
    rows = [("1", "V1", "2015-03-04", "22:00", "07:15", ""), ("2", "V1", DAY, "", "", "1")]
    assert places(*rows, mapping=mapping)["2"] == "2015-03-05 07:15-08:15"


NIGHT = 'name = "night"\npercent = 120\nminute_from = "22:00"\nminute_until = "06:00"'
LUNCH = 'name = "lunch"\npercent = 50\nminute_from = "12:00"\nminute_until = "13:00"'
THURSDAYS = 'name = "thursdays"\npercent = 150\nweekdays = [4]'


@pytest.mark.parametrize(
    ("starts", "window", "hours", "expected"),
    [
        ("19:00", NIGHT, ("3", "2.5"), ["19:00-22:00", "06:00-08:30"]),
        ("19:00", NIGHT, ("8", "7"), ["06:00-14:00", "14:00-21:00"]),
        ("23:00", NIGHT, ("1",), ["06:00-07:00"]),
        ("09:00", NIGHT, ("16", "1"), ["06:00-22:00", "outside night 22:00-06:00 (120 %) the day has at most 0:00"]),
        ("09:00", NIGHT, ("16.5",), ["outside night 22:00-06:00 (120 %) the day has at most 16:00 hours"]),
        ("09:00", NIGHT + "\nweekdays = [5]", ("14", "9"), ["09:00-23:00", "00:00-09:00"]),  # the fifth is a Thursday
        ("09:00", NIGHT + "\nfirst_day = 2015-03-06", ("14",), ["09:00-23:00"]),
        ("09:00", NIGHT + "\nlast_day = 2015-03-05", ("14",), ["06:00-20:00"]),
        ("09:00", LUNCH, ("3", "1"), ["09:00-12:00", "13:00-14:00"]),  # nobody loses by it either
        ("09:00", THURSDAYS, ("15",), ["09:00-00:00"]),  # the day was recorded
        ("09:00", NIGHT.replace("120", "100"), ("15",), ["09:00-00:00"]),
    ],
)
def test_nobody_earns_or_loses_by_a_clock_time_that_the_import_chose(
    starts: str, window: str, hours: Sequence[str], expected: Sequence[str]
) -> None:
    rules = parse_timeline(
        f'name = "r"\ntime_zone = "Asia/Shanghai"\n[[rule_sets]]\nholds_from = 2000-01-01\n'
        f"shift_minutes_max = 1440\nshift_minutes_min = 1\nday_minutes_max = 1440\n[[rule_sets.factors]]\n{window}\n"
    )
    parsed = parse_mapping(MAPPING.replace("09:00", starts))
    reader = LineReader(parsed, Columns(COLUMNS), "person:keeper")
    read = [reader.read(Row(number, (str(number), "V1", DAY, "", "", each))) for number, each in enumerate(hours, 2)]
    layout = lay_out(read, parsed.zone, None, rules)
    for line, told in zip(map(layout.lay, read), expected, strict=True):
        assert told in (lies(line, parsed.zone) if isinstance(line.order, Order) else line.order.detail)


def test_a_day_without_room_is_told() -> None:
    (_, line) = lines(("1", "V1", DAY, "08:00", "20:00", ""), ("2", "V1", DAY, "", "", "9"))
    assert not isinstance(line.order, Order)
    assert line.order.detail == (
        "check_out has no room for 9:00 hours: the volunteer's other shifts leave at most 8:00 hours of the day "
        "in one piece; "
        "correct the duration, or divide it among the days on which it was served"
    )
    (_, first, second) = lines(
        ("1", "V1", DAY, "08:00", "20:00", ""), ("2", "V1", DAY, "", "", "2"), ("3", "V1", "2015-03-06", "", "", "5")
    )
    assert isinstance(first.order, Order)
    assert isinstance(second.order, Order)


@pytest.mark.parametrize(
    ("clocks", "hours", "told"),
    [
        ([], "25", "is 25:00 hours after the begin, and the day has 24:00 hours"),
        (
            [("10:00", "11:00")],
            "16",
            "has no room for 16:00 hours: the volunteer's other shifts leave at most 13:00 hours",
        ),
        ([("00:00", "12:00"), ("12:00", "24:00")], "1", "leave at most 0:00 hours of the day in one piece"),
        ([], "0", '"0" is a duration of 0 minutes; write how long it lasted, or delete the line'),
    ],
)
def test_a_duration_without_room_is_told_what_room_there_is(
    clocks: Sequence[tuple[str, str]], hours: str, told: str
) -> None:
    rows = [(f"c{number}", "V1", DAY, *clock, "") for number, clock in enumerate(clocks)]
    *_, line = lines(*rows, ("d", "V1", DAY, "", "", hours))
    assert not isinstance(line.order, Order)
    assert told in line.order.detail


def test_a_line_with_clock_times_keeps_them_and_one_with_half_of_them_is_told() -> None:
    clock, begun, ended = lines(
        ("1", "V1", DAY, "13:00", "14:00", ""), ("2", "V1", DAY, "15:00", "", "2"), ("3", "V1", DAY, "", "17:00", "2")
    )
    assert (clock.laid, begun.laid) == (False, False)
    assert isinstance(begun.order, Order)
    assert not isinstance(ended.order, Order)
    assert "check_out has an end, and the line has no begin; fill in the begin, or clear the end" in ended.order.detail


def test_without_a_key_equal_lines_are_one_record_wherever_they_lie() -> None:
    rows = [("1", "V1", DAY, "", "", "2"), ("2", "V1", DAY, "", "", "2"), ("3", "V1", DAY, "", "", "1")]
    first, second, third = (line.order for line in lines(*rows, mapping=KEYLESS))
    assert isinstance(first, Order)
    assert isinstance(third, Order)
    assert first == second
    assert first.name != third.name


def test_minutes_and_parts_of_days_are_laid_too() -> None:
    mapping = MAPPING.replace('time = "From", starts', "starts").replace(
        '{ date = "Date", time = "To", hours = "Hours" }', '{ hours = "From", minutes = "To" }'
    )
    assert places(("1", "V1", DAY, "1", "20", ""), mapping=mapping) == {"1": "2015-03-05 09:00-10:20"}


def test_what_lies_in_its_day_is_counted() -> None:
    laid = Laid()
    zone = parse_mapping(MAPPING).zone
    duration, clock = lines(("1", "V1", DAY, "", "", "1.5"), ("2", "V1", DAY, "13:00", "14:00", ""))
    for line in (duration, clock):
        laid.add(line, zone)
    expected = Laid(1, 90, [{"volunteer": "V1", "lies": "2015-03-05 09:00-10:30", "minutes": 90}])
    assert laid == expected
    for line in (duration, clock):
        laid.add(line, zone, duplicate=True)
    expected.duplicates = 1
    assert laid == expected


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (', hours = "Hours"', "", 'starts is for durations; give check_out a column of them: hours = "…"'),
        (
            'time = "To", hours',
            'starts = "09:00", hours',
            "fields.check_out.starts: starts does not apply to check_out",
        ),
        ('starts = "09:00"', 'starts = "9:00"', "line 10: fields.check_in.starts"),
        ('starts = "09:00"', 'starts = "09:00", at = "10:00"', "check_in needs exactly one source"),
        ('"attest-shift"', '"punch"', "punch has no field check_in"),
    ],
)
def test_a_mapping_that_lays_nothing_is_told(old: str, new: str, told: str) -> None:
    with pytest.raises(MappingError) as raised:
        parse_mapping(MAPPING.replace(old, new))
    assert told in str(raised.value)


def _first_gap(taken: Sequence[tuple[int, int]], begin: int, end: int, seconds: int) -> int | None:
    """Return the begin of the first gap by looking at each minute."""
    return next(
        (
            at
            for at in [begin, *range(-(-begin // 60) * 60, end, 60)]
            if at + seconds <= end and all(last <= at or at + seconds <= start for start, last in taken)
        ),
        None,
    )


@given(
    spans=st.lists(st.tuples(st.integers(-100, 4000), st.integers(-100, 4000)), max_size=8),
    lengths=st.lists(st.integers(1, 20).map(lambda minutes: 60 * minutes), max_size=12),
)
@settings(max_examples=examples(200))
def test_a_search_that_goes_on_finds_the_same_gaps_as_one_that_begins_anew(
    spans: list[tuple[int, int]], lengths: list[int]
) -> None:
    end, kept = 3600, [span for span in spans if span[0] < span[1]]
    taken = _Taken(spans, end)
    for seconds in lengths:
        for begin in (600, 0):
            found = taken.gap(begin, seconds)
            assert found == _first_gap(kept, begin, end, seconds)
            if found is not None:
                taken.add((found, found + seconds))
                kept.append((found, found + seconds))
    free = "".join("x" if any(a <= at < b for a, b in kept) else " " for at in range(end))
    assert taken.longest_gap(0) == max(map(len, free.split("x")))


def test_thousands_of_durations_of_one_day_look_at_each_span_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    visited = 0

    def counting(*arguments: Any) -> Any:
        nonlocal visited
        for each in islice(*arguments):
            visited += 1
            yield each

    taken = _Taken([(at, at + 30) for at in range(0, 86_400, 60)], 86_400)
    monkeypatch.setattr(laying, "islice", counting)
    assert [taken.gap(0, 60) for _ in range(3000)] == [None] * 3000
    assert visited <= 2 * 1440


def test_laying_stops_where_a_request_has_taken_too_long() -> None:
    stop = Stop()
    stop.request()
    with stopped_by(stop), pytest.raises(StoppedError):
        lines(("1", "V1", DAY, "", "", "1"))
