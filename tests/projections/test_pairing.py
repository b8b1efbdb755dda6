"""Pairing: which scans without a shift id belong together. Each history is tried with kernel and oracle."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.kernels.facts import facts_of
from projections.rules.table import rule_table
from tests.support.oracle.comparison import assert_equal, kernel_results
from tests.support.oracle.histories import Case, cases, history, patiently, rule_set, rules, shuffled_scans
from tests.support.oracle.oracle import credit

TAPS: dict[str, Any] = {"double_tap_seconds": 60}
FIRST_AND_LAST: dict[str, Any] = {"undirected_punches": "first-and-last"}
DAY = "2018-12-04"

# name, history (each line begins with the day of December), rules, and for each shift: its number, raw minutes, and
# whether it was scanned
TABLE: list[tuple[str, list[str], dict[str, Any], list[tuple[int, int, bool]]]] = [
    (
        "a double tap",
        [
            "4 09:00:00 punch V1 U1 #1 direction=in",
            "4 09:00:02 punch V1 U1 #2 direction=in",
            "4 11:00 punch V1 U1 #3 direction=out",
        ],
        TAPS,
        [(1, 120, True)],
    ),
    (
        "a double tap with shift ids",
        [
            "4 09:00:00 in V1 U1 #1",
            "4 09:00:02 in V1 U1 #2",
            "4 11:00 punch V1 U1 #3 direction=out",
        ],
        TAPS,
        [(1, 120, True)],
    ),
    (
        "a punch beside a shift with both scans",
        [
            "4 09:00:00 in V1 U1 #1",
            "4 09:00:02 punch V1 U1 #2 direction=in",
            "4 11:00 out V1 U1 #1",
            "4 11:00:05 punch V1 U1 #3 direction=out",
        ],
        TAPS,
        [(1, 120, True)],
    ),
    (
        "taps a minute and a second apart are two scans",
        [
            "4 09:00:00 punch V1 U1 #1 direction=in",
            "4 09:01:01 punch V1 U1 #2 direction=in",
            "4 11:00 punch V1 U1 #3 direction=out",
        ],
        TAPS,
        [(1, 0, False), (2, 119, True)],
    ),
    (
        "in and out at one instant",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 09:00 punch V1 U1 #2 direction=out",
            "4 10:00 punch V1 U1 #3 direction=in",
            "4 11:00 punch V1 U1 #4 direction=out",
        ],
        {"missing_check_out_minutes": 30},
        [(1, 0, True), (3, 60, True)],
    ),
    (
        "in and out at one instant, and out again",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 09:00 punch V1 U1 #2 direction=out",
            "4 11:00 punch V1 U1 #3 direction=out",
        ],
        {},
        [(1, 120, True)],
    ),
    (
        "in and out at one instant, and out again within a double tap",
        [
            "4 09:00:00 punch V1 U1 #1 direction=in",
            "4 09:00:00 punch V1 U1 #2 direction=out",
            "4 09:00:30 punch V1 U1 #3 direction=out",
        ],
        TAPS,
        [(1, 0, True)],
    ),
    (
        "several in and out at one instant",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 09:00 punch V1 U1 #2 direction=out",
            "4 09:00 punch V1 U1 #3 direction=in",
            "4 09:00 punch V1 U1 #4 direction=out",
        ],
        {},
        [(1, 0, True), (3, 0, True)],
    ),
    (
        "out of one shift and into the next at one instant",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 12:00 punch V1 U1 #2 direction=in",
            "4 12:00 punch V1 U1 #3 direction=out",
            "4 15:00 punch V1 U1 #4 direction=out",
        ],
        {},
        [(1, 180, True), (2, 180, True)],
    ),
    (
        "out of one shift and into the next at one instant, with their ids",
        [
            "4 09:00 in V1 U1 #1",
            "4 12:00 in V1 U1 #2",
            "4 12:00 out V1 U1 #1",
            "4 15:00 out V1 U1 #2",
        ],
        TAPS,
        [(1, 180, True), (2, 180, True)],
    ),
    (
        "out of a shift with an id, without naming it, and into the next at one instant",
        [
            "4 09:00 in V1 U1 #1",
            "4 12:00 in V1 U1 #2",
            "4 12:00 punch V1 U1 #3 direction=out",
            "4 15:00 out V1 U1 #2",
        ],
        TAPS,
        [(1, 180, True), (2, 180, True)],
    ),
    (
        "out of one shift, into the next and out of that at one instant",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 12:00 punch V1 U1 #2 direction=out",
            "4 12:00 punch V1 U1 #3 direction=in",
            "4 12:00 punch V1 U1 #4 direction=out",
        ],
        {},
        [(1, 180, True), (3, 0, True)],
    ),
    (
        "a punch without direction, and into the next shift at its instant",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 12:00 punch V1 U1 #2 direction=in",
            "4 12:00 punch V1 U1 #3",
            "4 15:00 punch V1 U1 #4 direction=out",
        ],
        {},
        [(1, 180, True), (2, 180, True)],
    ),
    (
        "into a shift whose end a correction decides, at the instant of the one before",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 12:00 punch V1 U1 #2 direction=in",
            "4 12:00 punch V1 U1 #3 direction=out",
            "5 12:00 correct V1 #2 check_out=2018-12-04T14:00",
        ],
        {},
        [(1, 180, True), (2, 120, False)],
    ),
    (
        "out at one station and into another at one instant, where they are not paired",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 12:00 punch V1 U2 #2 direction=in",
            "4 12:00 punch V1 U1 #3 direction=out",
            "4 15:00 punch V1 U2 #4 direction=out",
        ],
        {"pair_across_stations": False},
        [(1, 180, True), (2, 180, True)],
    ),
    (
        "the last at one station and the first at another at one instant",
        [
            "4 09:00 punch V1 U1 #1",
            "4 12:00 punch V1 U2 #2",
            "4 12:00 punch V1 U1 #3",
            "4 15:00 punch V1 U2 #4",
        ],
        FIRST_AND_LAST | {"pair_across_stations": False},
        [(1, 180, True), (2, 180, True)],
    ),
    (
        "a shift id whose scans have one instant",
        ["4 09:00 in V1 U1 #1", "4 09:00 out V1 U1 #1"],
        {"missing_check_out_minutes": 30},
        [(1, 0, True)],
    ),
    (
        "a shift id whose scans have one instant, and another check-out",
        ["4 11:00 out V1 U1 #1", "4 09:00 out V1 U1 #1", "4 09:00 in V1 U1 #1"],
        {},
        [(1, 120, True)],
    ),
    (
        "a check-in of a shift id, and a punch out at its instant",
        ["4 09:00 in V1 U1 #1", "4 09:00 punch V1 U1 #2 direction=out"],
        {"missing_check_out_minutes": 30},
        [(1, 0, True)],
    ),
    (
        "at one instant, but at another station, where that does not count",
        ["4 09:00 punch V1 U1 #1 direction=in", "4 09:00 punch V1 U2 #2 direction=out"],
        {"pair_across_stations": False},
        [(1, 0, False)],
    ),
    (
        "without the key every scan is one of its own",
        [
            "4 09:00:00 punch V1 U1 #1 direction=in",
            "4 09:00:02 punch V1 U1 #2 direction=in",
            "4 11:00 punch V1 U1 #3 direction=out",
        ],
        {},
        [(1, 0, False), (2, 120, True)],
    ),
    (
        "an evening without a check-out, and the next day",
        [
            "3 20:00 punch V1 U1 #1 direction=in",
            "4 08:00 punch V1 U1 #2 direction=in",
            "4 10:00 punch V1 U1 #3 direction=out",
        ],
        {},
        [(1, 0, False), (2, 120, True)],
    ),
    (
        "a check-in that is too long ago",
        [
            "3 08:00 punch V1 U1 #1 direction=in",
            "4 08:01 punch V1 U1 #2 direction=out",
        ],
        {},
        [(1, 0, False)],
    ),
    (
        "24 hours are not too long ago",
        [
            "3 08:00 punch V1 U1 #1 direction=in",
            "4 08:00 punch V1 U1 #2 direction=out",
        ],
        {},
        [(1, 1440, True)],
    ),
    (
        "a shift whose id was stamped a day later",
        [
            "4 09:00 in V1 U1 #0x0167cd9e600070008000000000000001",
            "4 11:00 punch V1 U1 #3 direction=out",
        ],
        {},
        [(1868205013943518821963277183345491969, 120, True)],
    ),
    (
        "in with one card, out with the other of a merged person",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 11:00 punch V2 U1 #2 direction=out",
            "4 12:00 merge V2 V1",
        ],
        {},
        [(1, 120, True)],
    ),
    (
        "and when the merge is undone",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 11:00 punch V2 U1 #2 direction=out",
            "4 12:00 merge V2 V1",
            "4 13:00 undo-merge V2 V1",
        ],
        {},
        [(1, 0, False)],
    ),
    (
        "four punches without direction",
        [
            "4 08:58 punch V1 U1 #1",
            "4 12:01 punch V1 U1 #2",
            "4 13:00 punch V1 U1 #3",
            "4 17:30 punch V1 U1 #4",
        ],
        {},
        [(1, 183, True), (3, 270, True)],
    ),
    (
        "the first and the last of a day",
        [
            "4 08:58 punch V1 U1 #1",
            "4 12:01 punch V1 U1 #2",
            "4 13:00 punch V1 U1 #3",
            "4 17:30 punch V1 U1 #4",
        ],
        FIRST_AND_LAST,
        [(1, 512, True)],
    ),
    (
        "one punch of a day has no last",
        [
            "4 08:58 punch V1 U1 #1",
            "4 08:58:30 punch V1 U1 #2",
            "5 09:00 punch V1 U1 #3",
        ],
        FIRST_AND_LAST | TAPS,
        [(1, 0, False), (3, 0, False)],
    ),
    (
        "at another station",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 11:00 punch V1 U2 #2 direction=out",
        ],
        {},
        [(1, 120, True)],
    ),
    (
        "at another station, where that does not count",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 11:00 punch V1 U2 #2 direction=out",
        ],
        {"pair_across_stations": False},
        [(1, 0, False)],
    ),
    (
        "what a person typed",
        [
            "4 09:00 punch V1 U1 #1 direction=in",
            "4 11:00 punch V1 U1 #2 direction=out evidence=typed",
        ],
        {},
        [(1, 120, False)],
    ),
    (
        "a correction decides, and the punch ends no other shift",
        [
            "3 20:00 punch V1 U1 #1 direction=in",
            "4 08:00 punch V1 U1 #2 direction=in",
            "4 10:00 punch V1 U1 #3 direction=out",
            "4 12:00 correct V1 #2 check_out=2018-12-04T09:30",
        ],
        {},
        [(1, 0, False), (2, 90, False)],
    ),
    (
        "a void shift's end ends no other shift",
        [
            "3 20:00 punch V1 U1 #1 direction=in",
            "4 08:00 punch V1 U1 #2 direction=in",
            "4 10:00 punch V1 U1 #3 direction=out",
            "4 12:00 void V1 #2",
        ],
        {},
        [(1, 0, False)],
    ),
    (
        "a void punch out",
        [
            "4 08:00 punch V1 U1 #1 direction=in",
            "4 09:00 punch V1 U1 #2 direction=out",
            "4 10:00 punch V1 U1 #3 direction=out",
            "4 12:00 void V1 #2",
        ],
        {},
        [(1, 120, True)],
    ),
    (
        "a void shift of a reader without direction leaves the next pair",
        [
            "4 08:00 punch V1 U1 #1",
            "4 09:00 punch V1 U1 #2",
            "4 10:00 punch V1 U1 #3",
            "4 12:00 punch V1 U1 #4",
            "4 13:00 void V1 #1",
        ],
        {},
        [(3, 120, True)],
    ),
    (
        "a check-out with the punch's id ends that one",
        [
            "4 08:00 punch V1 U1 #1 direction=in",
            "4 09:00 out V1 U1 #1",
            "4 10:00 punch V1 U1 #3 direction=out",
        ],
        {},
        [(1, 60, True)],
    ),
    (
        "a typed check-out with the id of a punch out, before it",
        [
            "4 08:00 punch V1 U1 #1 direction=in",
            "4 10:00 punch V1 U1 #3 direction=out",
            "4 09:00 out V1 U1 #3 evidence=typed",
        ],
        {},
        [(1, 60, False)],
    ),
    (
        "a typed check-out with the id of a punch out, at its instant, in another order",
        [
            "4 08:00 punch V1 U1 #1 direction=in",
            "4 10:00 out V1 U1 #3 evidence=typed",
            "4 10:00 punch V1 U1 #3 direction=out",
        ],
        {},
        [(1, 120, True)],
    ),
    (
        "a punch out that ends nothing, given a check-in",
        [
            "4 10:00 punch V1 U1 #1 direction=out",
            "4 12:00 correct V1 #1 check_in=2018-12-04T09:00 station=U1",
        ],
        {},
        [(1, 60, False)],
    ),
]


@pytest.mark.parametrize(("lines", "changes", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_scans_are_paired(lines: list[str], changes: dict[str, Any], expected: list[tuple[int, int, bool]]) -> None:
    events, timeline = history("\n".join(f"2018-12-0{line}" for line in lines)), rules(**changes)
    for results in (kernel_results(events, timeline), credit(events, timeline)):
        minutes = Counter[tuple[int, bool]]()
        for piece in results.pieces:
            minutes[piece.shift.int, piece.scanned] += piece.raw
        assert sorted((shift, raw, scanned) for (shift, scanned), raw in minutes.items()) == sorted(expected)


def test_each_set_pairs_the_scans_of_its_days() -> None:
    text = "\n".join(
        f"{day} 09:00:00 punch V1 U1 #{number} direction=in\n{day} 09:00:30 punch V1 U1 #{number + 1} direction=in\n"
        f"{day} 10:00 punch V1 U1 #{number + 2} direction=out"
        for number, day in ((1, "2018-12-31"), (11, "2019-01-01"))
    )
    timeline = rules(rule_set("2000-01-01"), rule_set("2019-01-01", double_tap_seconds=60))
    for results in (kernel_results(history(text), timeline), credit(history(text), timeline)):
        assert [(piece.shift.int, piece.raw) for piece in results.pieces] == [(1, 0), (2, 60), (11, 60)]


@patiently
@given(cases(volunteers=(1, 2)), st.data())
def test_any_order_and_repetition_of_scans_and_punches_gives_the_same_hours(case: Case, data: st.DataObject) -> None:
    events, timeline = case
    again = data.draw(shuffled_scans(events))
    assert kernel_results(again, timeline).pieces == kernel_results(events, timeline).pieces


@patiently
@given(cases())
def test_what_pairing_leaves_over_earns_nothing_and_nothing_is_paired_twice(case: Case) -> None:
    facts = facts_of(case.events)
    paired = facts.paired(rule_table(case.timeline, facts.projects.number))
    ended = [int(number) for number in paired.partner if number >= 0]
    assert len(ended) == len(set(ended))
    assert len(set(paired.table.shift.tolist())) == len(paired.table.rows)
    assert all(paired.shifts.check_in[paired.table.shift] > 0)


@st.composite
def _crowded_instants(draw: st.DrawFn) -> Case:
    """Scans of one person at three instants, and rules of pairing."""
    kind = st.sampled_from(["punch", "punch", "punch", "in", "out"])
    line = st.tuples(
        kind, st.sampled_from(["09:00", "12:00", "12:00", "12:00:30"]), st.sampled_from(["V1", "V1", "V2"])
    )
    lines = []
    for number, (verb, time, volunteer) in enumerate(draw(st.lists(line, min_size=2, max_size=9)), 1):
        station = draw(st.sampled_from(["U1", "U1", "U2"]))
        shift = 50 - number if verb == "punch" else draw(st.integers(90, 92))
        way = draw(st.sampled_from(["", " direction=in", " direction=out"])) if verb == "punch" else ""
        lines.append(f"{DAY} {time} {verb} {volunteer} {station} #{shift}{way}")
        if verb == "punch" and draw(st.integers(0, 9)) == 0:
            lines.append(
                f"{DAY} 20:00 "
                + draw(st.sampled_from(["void {0} #{1}", "correct {0} #{1} check_out={2}T12:00"])).format(
                    volunteer, shift, DAY
                )
            )
    merge = f"{DAY} 21:00 merge V2 V1\n{DAY} 08:00 register V2 2018-01-01" if draw(st.booleans()) else ""
    changes: dict[str, Any] = {
        "double_tap_seconds": draw(st.sampled_from([0, 0, 30])),
        "undirected_punches": draw(st.sampled_from(["alternate", "first-and-last"])),
        "pair_across_stations": draw(st.booleans()),
        "missing_check_out_minutes": 30,
    }
    return Case(history("\n".join([*lines, merge])), rules(**changes))


@patiently
@given(_crowded_instants(), st.data())
def test_many_scans_at_one_instant_are_paired_as_the_oracle_does_in_any_order(case: Case, data: st.DataObject) -> None:
    results = kernel_results(case.events, case.timeline)
    assert_equal(results, credit(case.events, case.timeline), case)
    again = data.draw(shuffled_scans(case.events))
    assert kernel_results(again, case.timeline).pieces == results.pieces


def test_a_history_without_punches_is_not_copied() -> None:
    facts = facts_of(history(f"{DAY} 09:00 in V1 U1 #1\n{DAY} 11:00 out V1 U1 #1\n{DAY} 20:00 in V1 U1 #2"))
    paired = facts.paired(rule_table(rules(**TAPS), {}))
    assert paired.shifts is facts.shifts
    assert len(paired.partner) == 0
