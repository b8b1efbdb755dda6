"""The oracle against results worked out by hand, rule by rule, and the laws that every history obeys.

The kernels are held to the oracle, so the oracle is held to people: each table below is a history as text and the
pieces (a shift's part on one local day) that a reader can work out with pencil and paper. A piece is written as

    volunteer shift day station/project grade raw=... then every column that is not zero; `+` marks a continued shift

Nothing here may use the kernels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ledger.aggregates.shift import Punched, ShiftEvent
from projections.rules.timeline import RuleTimeline
from tests.support.oracle.histories import (
    NOTATION,
    ODD_ZONES,
    SHANGHAI,
    ZONES,
    Case,
    as_text,
    attest,
    cases,
    check_in,
    check_out,
    correct,
    history,
    patiently,
    rule_set,
    rules,
    shift_id,
    shuffled_scans,
    stamped,
)
from tests.support.oracle.oracle import Hours, OracleResult, Piece, Resolved, StationDay, credit, resolve

NEW_YORK = "America/New_York"
LOSSES = ("superseded", "too_short", "clipped", "overlapped", "capped")


def line(piece: Piece) -> str:
    """Write a piece as the tables do."""
    where = (piece.station or "-") + (f"/{piece.project}" if piece.project else "")
    what = {name: getattr(piece, name) for name in (*LOSSES, "counted", "share", "credited")}
    if piece.share == piece.counted:
        del what["share"]
    return " ".join(
        [
            piece.volunteer,
            f"#{piece.shift.int}",
            piece.day.isoformat() + ("" if piece.first else "+"),
            where,
            "scanned" if piece.scanned else "attested",
            f"raw={piece.raw}",
            *(f"{name}={minutes}" for name, minutes in what.items() if minutes),
        ]
    )


def expect(text: str, expected: str, timeline: RuleTimeline | None = None, **changes: Any) -> OracleResult:
    """Credit a history and compare its pieces with the expected lines; `changes` are to the one lenient rule set."""
    timeline = timeline or rules(**changes)
    result = credit(history(text, timeline.time_zone), timeline)
    wanted = [" ".join(words.partition(";")[0].split()) for words in expected.splitlines() if words.strip()]
    assert [line(piece) for piece in result.pieces] == wanted
    return result


# --- rule 1: resolve ------------------------------------------------------------------------------------------------


def test_a_check_in_and_a_check_out_make_a_scanned_shift() -> None:
    expect(
        """
        2018-12-04 09:00 in  V1 U1 #1 project=P1
        2018-12-04 12:00 out V1 U1 #1
        """,
        "V1 #1 2018-12-04 U1/P1 scanned raw=180 counted=180 credited=180",
    )


def test_the_earliest_check_out_after_the_check_in_ends_the_shift_whatever_the_log_order() -> None:
    expect(
        """
        2018-12-04 13:00 out V1 U1 #1
        2018-12-04 12:00 out V1 U2 #1   ; the shift stays at the station of its check-in
        2018-12-04 08:00 out V1 U1 #1   ; before the check-in: no end of this shift
        2018-12-04 09:00 out V1 U1 #1   ; nor is one at the same instant
        2018-12-04 09:00 in  V1 U1 #1
        """,
        "V1 #1 2018-12-04 U1 scanned raw=180 counted=180 credited=180",
    )


def test_a_check_out_in_the_minute_of_the_check_in_but_after_it_ends_the_shift() -> None:
    expect(
        """
        2018-12-04 09:00:10 in  V1 U1 #1
        2018-12-04 09:00:40 out V1 U1 #1
        2018-12-04 12:00 out V1 U1 #1
        """,
        "V1 #1 2018-12-04 U1 scanned raw=0",
    )


def test_the_earliest_check_in_begins_the_shift_and_names_station_and_project() -> None:
    expect(
        """
        2018-12-04 09:05 in  V1 U2 #1
        2018-12-04 09:00 in  V1 U1 #1 project=P1
        2018-12-04 10:00 out V1 U1 #1
        """,
        "V1 #1 2018-12-04 U1/P1 scanned raw=60 counted=60 credited=60",
    )


def test_an_earlier_attested_check_in_comes_before_a_later_scan() -> None:
    expect(
        """
        2018-12-04 09:05 in  V1 U2 #1
        2018-12-04 09:00 in  V1 U1 #1 evidence=paper
        2018-12-04 10:00 out V1 U1 #1
        """,
        "V1 #1 2018-12-04 U1 attested raw=60 counted=60 credited=60",
    )


@pytest.mark.parametrize(
    ("check_ins", "where", "grade"),
    [
        (("U1 #1 evidence=paper", "U2 #1"), "U2", "scanned"),  # a scan before an attested entry
        (("U2 #1 project=P1", "U1 #1 project=P2"), "U1/P2", "scanned"),  # then the station
        (("U1 #1 project=P2", "U1 #1 project=P1"), "U1/P1", "scanned"),  # then the project
        (("U1 #1 project=P1", "U1 #1"), "U1", "scanned"),  # no project before any
    ],
)
def test_check_ins_of_one_instant_are_told_apart_by_what_they_say(
    check_ins: tuple[str, str], where: str, grade: str
) -> None:
    for first, second in (check_ins, check_ins[::-1]):
        expect(
            f"""
            2018-12-04 09:00 in V1 {first}
            2018-12-04 09:00 in V1 {second}
            2018-12-04 10:00 out V1 U1 #1
            """,
            f"V1 #1 2018-12-04 {where} {grade} raw=60 counted=60 credited=60",
        )


def test_a_scanned_check_out_comes_before_an_attested_one_of_the_same_instant_only() -> None:
    for instant, grade in (("12:00", "scanned"), ("11:59:59", "attested")):
        expect(
            f"""
            2018-12-04 09:00 in  V1 U1 #1
            2018-12-04 {instant} out V1 U1 #1 evidence=paper
            2018-12-04 12:00 out V1 U1 #1
            """,
            f"V1 #1 2018-12-04 U1 {grade} raw={180 if grade == 'scanned' else 179}"
            f" counted={180 if grade == 'scanned' else 179} credited={180 if grade == 'scanned' else 179}",
        )


def test_a_shift_is_attested_if_either_instant_is() -> None:
    expect(
        """
        2018-12-04 09:00 in  V1 U1 #1 evidence=paper
        2018-12-04 10:00 out V1 U1 #1
        2018-12-04 11:00 in  V1 U1 #2
        2018-12-04 12:00 out V1 U1 #2 evidence=paper
        2018-12-05 10:00 attest V1 U1 #3 2018-12-04T13:00 2018-12-04T14:00
        """,
        """
        V1 #1 2018-12-04 U1 attested raw=60 counted=60 credited=60
        V1 #2 2018-12-04 U1 attested raw=60 counted=60 credited=60
        V1 #3 2018-12-04 U1 attested raw=60 counted=60 credited=60
        """,
    )


@pytest.mark.parametrize(
    ("corrections", "expected"),
    [
        ("check_in=2018-12-04T10:00", "2018-12-04 U1/P1 attested raw=120 counted=120 credited=120"),
        ("check_out=2018-12-04T10:00", "2018-12-04 U1/P1 attested raw=60 counted=60 credited=60"),
        ("check_in=2018-12-04T09:00", "2018-12-04 U1/P1 attested raw=180 counted=180 credited=180"),
        ("check_out=none", "2018-12-04 U1/P1 attested raw=30 counted=30 credited=30"),
        ("station=U2", "2018-12-04 U2/P1 scanned raw=180 counted=180 credited=180"),
        ("project=P2", "2018-12-04 U1/P2 scanned raw=180 counted=180 credited=180"),
        ("project=none", "2018-12-04 U1 scanned raw=180 counted=180 credited=180"),
        ("check_in=none", None),
        ("station=none", "2018-12-04 -/P1 scanned raw=180 counted=180 credited=180"),  # only old events clear it
        # the check-in decides which check-out is the first after it
        ("check_in=2018-12-04T12:30", "2018-12-04 U1/P1 attested raw=30 counted=30 credited=30"),
        ("check_in=2018-12-05T12:30", "2018-12-05 U1/P1 attested raw=30 counted=30 credited=30"),
        # impossible: worth nothing, but still there
        ("check_out=2018-12-04T09:00", "2018-12-04 U1/P1 attested raw=0"),
        ("check_out=2018-12-03T09:00", "2018-12-04 U1/P1 attested raw=0"),
        # the last one that names a field wins, and only for that field
        ("station=U2|project=P2", "2018-12-04 U2/P2 scanned raw=180 counted=180 credited=180"),
        ("station=U2 project=P2|project=none", "2018-12-04 U2 scanned raw=180 counted=180 credited=180"),
        ("check_out=none|check_out=2018-12-04T10:00", "2018-12-04 U1/P1 attested raw=60 counted=60 credited=60"),
        ("check_in=none|check_in=2018-12-04T11:00", "2018-12-04 U1/P1 attested raw=60 counted=60 credited=60"),
        ("check_in=2018-12-04T11:00|check_in=none", None),
    ],
)
def test_the_last_correction_of_a_field_sets_or_clears_it(corrections: str, expected: str | None) -> None:
    lines = "\n".join(f"2018-12-06 10:00 correct V1 #1 {changes}" for changes in corrections.split("|"))
    expect(
        f"""
        2018-12-04 09:00 in  V1 U1 #1 project=P1
        2018-12-04 12:00 out V1 U1 #1
        2018-12-04 13:00 out V1 U1 #1
        {lines}
        """,
        f"V1 #1 {expected}" if expected else "",
        missing_check_out_minutes=30,
    )


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        ("check_in=2018-12-04T11:00", "V1 #1 2018-12-04 U1 attested raw=60 counted=60 credited=60"),  # of the check-out
        ("station=U1", ""),  # nobody knows when
        ("check_in=2018-12-04T11:00 station=U2", "V1 #1 2018-12-04 U2 attested raw=60 counted=60 credited=60"),
        ("check_in=2018-12-04T11:00 station=none", "V1 #1 2018-12-04 - attested raw=60 counted=60 credited=60"),
    ],
)
def test_a_shift_whose_check_in_only_a_correction_tells_earns_like_any_other(correction: str, expected: str) -> None:
    expect(
        f"""
        2018-12-04 12:00 out V1 U1 #1
        2018-12-05 10:00 correct V1 #1 {correction}
        """,
        expected,
    )


@pytest.mark.parametrize(
    ("verbs", "stands"),
    [
        (["void"], False),
        (["void", "reinstate"], True),
        (["void", "reinstate", "void"], False),
        (["reinstate", "void"], False),
        (["dispute"], True),
        (["dispute", "settle"], True),
        (["void", "dispute", "settle"], False),
    ],
)
def test_the_last_of_void_and_reinstated_stands_and_a_dispute_changes_nothing(verbs: list[str], stands: bool) -> None:  # noqa: FBT001 - a column of the table
    ends = {"settle": " upheld"}
    lines = "\n".join(f"2018-12-05 10:00 {verb} V1 #1{ends.get(verb, '')}" for verb in verbs)
    expect(
        f"""
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 12:00 out V1 U1 #1
        {lines}
        """,
        "V1 #1 2018-12-04 U1 scanned raw=180 counted=180 credited=180" if stands else "",
    )


def test_a_moved_shift_keeps_its_id_and_is_attested_for_its_new_volunteer() -> None:
    expect(
        """
        2018-12-04 09:00 in   V1 U1 #1
        2018-12-04 12:00 out  V1 U1 #1
        2018-12-05 10:00 void V1 #1 replaced_by=V2
        2018-12-04 09:00 in   V2 U1 #1 replaces=V1
        2018-12-04 12:00 out  V2 U1 #1
        """,
        "V2 #1 2018-12-04 U1 attested raw=180 counted=180 credited=180",
    )


def test_any_check_in_that_replaces_another_makes_the_shift_a_moved_one() -> None:
    expect(
        """
        2018-12-04 09:00 in  V2 U1 #1
        2018-12-04 09:30 in  V2 U1 #1 replaces=V1
        2018-12-04 12:00 out V2 U1 #1
        """,
        "V2 #1 2018-12-04 U1 attested raw=180 counted=180 credited=180",
    )


UNSCANNED = {"in_scanned": False, "out_scanned": False, "moved": False, "void": False}


def test_resolve_returns_every_shift_even_one_that_earns_nothing() -> None:
    came, left = "2018-12-04T09:00+08:00", "2018-12-04T12:00+08:00"
    events = stamped(
        [
            check_out("V1", "U1", left, shift=3),
            check_in("V1", "U1", came, shift=2, project="P1"),
            *attest("V1", "U1", came, left, shift=1),
            correct("V1", left, shift=1, station="U2"),
        ]
    )
    nine, noon = 1_543_885_200, 1_543_896_000
    assert resolve(events) == [
        Resolved(
            "V1", shift_id(1), "U2", None, nine, noon, in_scanned=False, out_scanned=False, moved=False, void=False
        ),
        Resolved(
            "V1", shift_id(2), "U1", "P1", nine, None, in_scanned=True, out_scanned=False, moved=False, void=False
        ),
        Resolved(
            "V1", shift_id(3), None, None, None, None, in_scanned=False, out_scanned=False, moved=False, void=False
        ),
    ]


# --- rule 2: truncate, and shifts without a check-out ---------------------------------------------------------------


def test_both_instants_are_truncated_to_the_minute() -> None:
    expect(
        """
        2018-12-04 09:00:59 in  V1 U1 #1
        2018-12-04 10:00:01 out V1 U1 #1
        """,
        "V1 #1 2018-12-04 U1 scanned raw=60 counted=60 credited=60",
    )


def test_a_missing_check_out_is_worth_what_the_rules_say_and_is_attested() -> None:
    text = "2018-12-04 09:00 in V1 U1 #1"
    expect(text, "V1 #1 2018-12-04 U1 attested raw=0")
    expect(text, "V1 #1 2018-12-04 U1 attested raw=90 counted=90 credited=90", missing_check_out_minutes=90)


def test_a_missing_check_out_ends_at_the_next_check_in_of_a_later_minute() -> None:
    expect(
        """
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 09:00:50 in  V1 U2 #2    ; the same minute: not next
        2018-12-04 09:20 in  V2 U2 #3       ; another volunteer
        2018-12-04 09:30 in  V1 U1 #4       ; void
        2018-12-04 09:31 void V1 #4
        2018-12-04 09:40 out V1 U1 #5       ; no check-in
        2018-12-04 09:45 in  V1 U1 #6       ; next
        2018-12-04 09:46 out V1 U1 #6
        """,
        """
        V1 #1 2018-12-04 U1 attested raw=45 counted=45 credited=45
        V1 #2 2018-12-04 U2 attested raw=45 overlapped=45
        V1 #6 2018-12-04 U1 scanned raw=1 counted=1 credited=1
        V2 #3 2018-12-04 U2 attested raw=60 counted=60 credited=60
        """,
        missing_check_out_minutes=60,
    )


def test_a_check_out_corrected_to_before_the_check_in_makes_a_shift_of_no_minutes_in_its_place_of_the_order() -> None:
    expect(
        """
        2018-12-04 09:00:00 in  V1 U1 #1
        2018-12-04 09:00:30 out V1 U1 #1
        2018-12-04 09:00 in  V1 U1 #2
        2018-12-05 10:00 correct V1 #2 check_out=2018-12-04T08:00
        2018-12-04 08:30 in  V1 U1 #3   ; its next check-in is that of an impossible shift
        """,
        """
        V1 #3 2018-12-04 U1 attested raw=30 counted=30 credited=30
        V1 #1 2018-12-04 U1 scanned raw=0
        V1 #2 2018-12-04 U1 attested raw=0
        """,
        missing_check_out_minutes=60,
    )


def test_a_shift_lasts_three_months_at_most() -> None:
    text = "2001-01-01 09:00 in V1 U1 #1\n2018-12-04 10:00 out V1 U1 #1\n"
    pieces = credit(history(text), rules(shift_minutes_max=720)).pieces
    assert [piece.day for piece in pieces] == [date(2001, 1, 1) + timedelta(days=day) for day in range(93)]
    assert (sum(piece.raw for piece in pieces), sum(piece.credited for piece in pieces)) == (92 * 1440, 720)
    as_usual = credit(history(text.replace("2018-12-04", "2001-04-02")), rules(shift_minutes_max=720)).pieces
    assert sum(piece.raw for piece in as_usual) == 91 * 1440 + 60


# --- rule 3: superseded, too short, clip ----------------------------------------------------------------------------

NIGHT_AND_NEXT_DAY = """
    2018-12-04 23:30 in  V1 U1 #1
    2018-12-05 00:30 out V1 U1 #1
    2018-12-05 09:00 in  V1 U1 #2
    2018-12-05 10:00 out V1 U1 #2
"""


def test_a_shift_dated_on_or_before_the_opening_balance_is_superseded_to_its_last_minute() -> None:
    expect(
        NIGHT_AND_NEXT_DAY + "2018-12-06 10:00 opening V1 600 2018-12-04",
        """
        V1 #1 2018-12-04 U1 scanned raw=30 superseded=30
        V1 #1 2018-12-05+ U1 scanned raw=30 superseded=30
        V1 #2 2018-12-05 U1 scanned raw=60 counted=60 credited=60
        """,
    )


def test_only_the_opening_balance_that_stands_supersedes() -> None:
    both = """
        V1 #1 2018-12-04 U1 scanned raw=30 counted=30 credited=30
        V1 #1 2018-12-05+ U1 scanned raw=30 counted=30 credited=30
        V1 #2 2018-12-05 U1 scanned raw=60 counted=60 credited=60
    """
    voided = NIGHT_AND_NEXT_DAY + "2018-12-06 10:00 opening V1 600 2018-12-05\n2018-12-06 10:00 void-opening V1\n"
    assert expect(voided, both).hours["V1", 0].opening == 0
    anew = expect(voided + "2018-12-06 10:00 opening V1 60 2018-12-03", both)
    assert anew.hours["V1", 0].opening == 60


def test_an_opening_balance_of_no_minutes_supersedes_too() -> None:
    result = expect(
        """
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 10:00 out V1 U1 #1
        2018-12-06 10:00 opening V1 0 2018-12-04
        2018-12-06 10:00 opening V2 0 2018-12-04
        """,
        "V1 #1 2018-12-04 U1 scanned raw=60 superseded=60",
    )
    assert result.hours["V2", 0] == Hours(0, 0, 0, 0, 0, 0, 0)


def test_a_shift_below_the_least_length_is_too_short_in_all_its_pieces() -> None:
    expect(
        """
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 09:10 out V1 U1 #1
        2018-12-04 23:57 in  V1 U1 #2
        2018-12-05 00:06 out V1 U1 #2
        """,
        """
        V1 #1 2018-12-04 U1 scanned raw=10 counted=10 credited=10
        V1 #2 2018-12-04 U1 scanned raw=3 too_short=3
        V1 #2 2018-12-05+ U1 scanned raw=6 too_short=6
        """,
        shift_minutes_min=10,
    )


def test_minutes_past_the_greatest_length_are_clipped_from_the_start_on() -> None:
    expect(
        """
        2018-12-04 22:00 in  V1 U1 #1
        2018-12-05 01:00 out V1 U1 #1
        """,
        """
        V1 #1 2018-12-04 U1 scanned raw=120 counted=120 credited=120
        V1 #1 2018-12-05+ U1 scanned raw=60 clipped=59 counted=1 credited=1
        """,
        shift_minutes_max=121,
    )


def test_a_shift_of_months_has_a_piece_for_every_day_of_it() -> None:
    timeline = rules(shift_minutes_max=720, zone=NEW_YORK)
    text = "2018-10-01 12:00 in V1 U1 #1\n2018-12-01 12:00 out V1 U1 #1"
    pieces = credit(history(text, NEW_YORK), timeline).pieces
    assert len(pieces) == 62
    assert Counter(piece.raw for piece in pieces) == {720: 2, 1440: 59, 1500: 1}  # the clocks went back on 4 November
    assert [piece.day for piece in pieces if piece.raw == 1500] == [date(2018, 11, 4)]
    assert sum(piece.clipped for piece in pieces) == 61 * 1440 + 60 - 720


def test_minutes_that_are_superseded_too_short_or_clipped_hold_no_time() -> None:
    expect(
        """
        2018-12-04 23:00 in  V1 U1 #1   ; superseded
        2018-12-05 03:00 out V1 U1 #1
        2018-12-05 00:30 in  V1 U1 #2   ; too short
        2018-12-05 00:39 out V1 U1 #2
        2018-12-05 00:35 in  V1 U1 #3   ; clipped at 01:35
        2018-12-05 02:35 out V1 U1 #3
        2018-12-05 00:36 in  V1 U1 #4
        2018-12-05 01:36 out V1 U1 #4
        2018-12-06 10:00 opening V1 600 2018-12-04
        """,
        """
        V1 #1 2018-12-04 U1 scanned raw=60 superseded=60
        V1 #1 2018-12-05+ U1 scanned raw=180 superseded=180
        V1 #2 2018-12-05 U1 scanned raw=9 too_short=9
        V1 #3 2018-12-05 U1 scanned raw=120 clipped=60 counted=60 credited=60
        V1 #4 2018-12-05 U1 scanned raw=60 overlapped=59 counted=1 credited=1
        """,
        shift_minutes_min=10,
        shift_minutes_max=60,
    )


# --- rule 4: overlap ------------------------------------------------------------------------------------------------


def test_each_minute_is_held_once_by_the_first_scanned_shift() -> None:
    expect(
        """
        2018-12-04 10:00 in  V1 U2 #1
        2018-12-04 12:00 out V1 U2 #1
        2018-12-04 09:00 in  V1 U1 #2
        2018-12-04 11:00 out V1 U1 #2
        2018-12-04 10:30 in  V2 U1 #3   ; another volunteer's minutes are another's
        2018-12-04 11:00 out V2 U1 #3
        """,
        """
        V1 #2 2018-12-04 U1 scanned raw=120 counted=120 credited=120
        V1 #1 2018-12-04 U2 scanned raw=120 overlapped=60 counted=60 credited=60
        V2 #3 2018-12-04 U1 scanned raw=30 counted=30 credited=30
        """,
    )


def test_attested_shifts_hold_what_no_scanned_shift_holds() -> None:
    expect(
        """
        2018-12-05 10:00 attest V1 U1 #1 2018-12-04T09:00 2018-12-04T12:00
        2018-12-05 10:00 attest V1 U1 #2 2018-12-04T11:30 2018-12-04T12:30
        2018-12-04 10:00 in  V1 U2 #3
        2018-12-04 11:00 out V1 U2 #3
        """,
        """
        V1 #1 2018-12-04 U1 attested raw=180 overlapped=60 counted=120 credited=120
        V1 #3 2018-12-04 U2 scanned raw=60 counted=60 credited=60
        V1 #2 2018-12-04 U1 attested raw=60 overlapped=30 counted=30 credited=30
        """,
    )


def test_shifts_of_one_check_in_minute_come_in_the_order_of_their_end_then_of_their_id() -> None:
    expect(
        f"""
        2018-12-04 09:00:00 in  V1 U1 #{2**127}
        2018-12-04 10:00 out V1 U1 #{2**127}
        2018-12-04 09:00:30 in  V1 U1 #1
        2018-12-04 10:30 out V1 U1 #1
        2018-12-04 09:00:59 in  V1 U1 #{2**64}
        2018-12-04 10:00 out V1 U1 #{2**64}
        """,
        f"""
        V1 #{2**64} 2018-12-04 U1 scanned raw=60 counted=60 credited=60
        V1 #{2**127} 2018-12-04 U1 scanned raw=60 overlapped=60
        V1 #1 2018-12-04 U1 scanned raw=90 overlapped=60 counted=30 credited=30
        """,
    )


# --- rule 5: day cap ------------------------------------------------------------------------------------------------


def test_a_day_counts_up_to_its_cap_scanned_minutes_before_attested_ones() -> None:
    expect(
        """
        2018-12-05 10:00 attest V1 U1 #1 2018-12-04T08:00 2018-12-04T09:00
        2018-12-04 09:00 in  V1 U1 #2
        2018-12-04 10:00 out V1 U1 #2
        2018-12-04 23:30 in  V1 U1 #3
        2018-12-05 00:30 out V1 U1 #3
        """,
        """
        V1 #1 2018-12-04 U1 attested raw=60 capped=50 counted=10 credited=10
        V1 #2 2018-12-04 U1 scanned raw=60 counted=60 credited=60
        V1 #3 2018-12-04 U1 scanned raw=30 counted=30 credited=30
        V1 #3 2018-12-05+ U1 scanned raw=30 counted=30 credited=30
        """,
        day_minutes_max=100,
    )


@pytest.mark.parametrize(
    ("raises", "counted"),
    [
        ("", 60),
        ("raise V1 2018-12-04 90 R1", 90),
        ("raise V1 2018-12-04 90 R1|raise V1 2018-12-04 100 R2|raise V1 2018-12-04 80 R3", 100),
        ("raise V1 2018-12-04 90 R1|raise V1 2018-12-04 100 R2|withdraw-raise V1 2018-12-04 R2", 90),
        ("raise V1 2018-12-04 90 R1|withdraw-raise V1 2018-12-04 R1", 60),
        ("raise V1 2018-12-04 90 R1|withdraw-raise V1 2018-12-04 R1|raise V1 2018-12-04 70 R1", 70),
        ("raise V1 2018-12-04 45 R1", 60),  # the cap is never lowered
        ("raise V1 2018-12-05 90 R1|raise V2 2018-12-04 90 R1", 60),  # another day, another volunteer
    ],
)
def test_the_greatest_raise_in_force_replaces_the_cap_of_that_volunteer_and_day(raises: str, counted: int) -> None:
    lines = "\n".join(f"2018-12-04 08:00 {words}" for words in raises.split("|") if words)
    expect(
        f"""
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 11:00 out V1 U1 #1
        {lines}
        """,
        f"V1 #1 2018-12-04 U1 scanned raw=120 capped={120 - counted} counted={counted} credited={counted}",
        day_minutes_max=60,
    )


# --- rule 6: factors ------------------------------------------------------------------------------------------------


def window(percent: int, **conditions: object) -> dict[str, object]:
    return {"name": "window", "percent": percent} | conditions


@pytest.mark.parametrize(
    ("factors", "shares"),
    [
        ([], (30, 30)),
        ([window(150)], (45, 45)),
        ([window(33)], (9, 9)),  # 9.9: rounded down for each piece
        ([window(0)], (0, 0)),
        ([window(200, minute_from="23:45")], (45, 30)),
        ([window(200, minute_from="23:45", minute_until="00:10")], (45, 40)),  # through midnight
        ([window(200, minute_until="00:10")], (30, 40)),
        ([window(200, minute_from="10:00", minute_until="10:00")], (60, 60)),  # its end is not after its start
        ([window(200, weekdays=[2])], (60, 30)),  # 2018-12-04 is a Tuesday
        ([window(200, weekdays=[2], minute_from="22:00", minute_until="06:00")], (60, 30)),  # each minute's own date
        ([window(200, weekdays=[1, 3])], (30, 60)),
        ([window(200, first_day="2018-12-05")], (30, 60)),
        ([window(200, last_day="2018-12-04")], (60, 30)),
        ([window(200, first_day="2018-12-04", last_day="2018-12-05")], (60, 60)),
        ([window(200, station_kinds=["city"])], (60, 60)),
        ([window(200, station_kinds=["special", "community"])], (30, 30)),
        ([window(200, projects=["P1", "P2"])], (60, 60)),
        ([window(200, projects=["P2"])], (30, 30)),
        ([window(200, weekdays=[3], projects=["P2"])], (30, 30)),  # every condition must hold
        ([window(50, minute_from="23:45"), window(200)], (37, 60)),  # the first that matches: 15 + 15/2, rounded down
        ([window(200), window(50, minute_from="23:45")], (60, 60)),
    ],
)
def test_a_counted_minute_earns_the_percentage_of_the_first_matching_window(
    factors: list[dict[str, object]], shares: tuple[int, int]
) -> None:
    result = credit(
        history(
            """
            2018-01-01 12:00 open U1 city
            2018-12-04 23:30 in  V1 U1 #1 project=P1
            2018-12-05 00:30 out V1 U1 #1
            """
        ),
        rules(factors=factors),
    )
    assert [(piece.counted, piece.share) for piece in result.pieces] == [(30, share) for share in shares]


def test_a_kind_holds_from_the_local_day_on_which_a_station_was_opened_as_such() -> None:
    """The first kind reaches back to before the station opened; a day has the kind as which it was opened last."""
    expect(
        """
        2017-12-04 09:00 in    V1 U1 #1
        2017-12-04 10:00 out   V1 U1 #1
        2018-01-01 12:00 open  U1 special
        2018-12-05 10:00 close U1
        2018-12-05 23:30 open  U1 city                      ; 15:30 in UTC
        2018-12-04 09:00 in    V1 U1 #2
        2018-12-04 10:00 out   V1 U1 #2
        2018-12-04 23:00 in    V1 U1 #3
        2018-12-05 01:00 out   V1 U1 #3                     ; from the special station into the city's day
        2018-12-05 09:00 in    V1 U1 #4                     ; before the opening, but on its day
        2018-12-05 10:00 out   V1 U1 #4
        2018-12-07 00:30 close U1
        2018-12-07 00:30 open  U1 community                 ; 6 December in UTC
        2018-12-07 00:40 close U1
        2018-12-07 00:40 open  U1 special
        2018-12-06 23:00 in    V1 U1 #5
        2018-12-07 01:00 out   V1 U1 #5
        """,
        """
        V1 #1 2017-12-04 U1 scanned raw=60 counted=60 share=120 credited=120
        V1 #2 2018-12-04 U1 scanned raw=60 counted=60 share=120 credited=120
        V1 #3 2018-12-04 U1 scanned raw=60 counted=60 share=120 credited=120
        V1 #3 2018-12-05+ U1 scanned raw=60 counted=60 share=30 credited=30
        V1 #4 2018-12-05 U1 scanned raw=60 counted=60 share=30 credited=30
        V1 #5 2018-12-06 U1 scanned raw=60 counted=60 share=30 credited=30
        V1 #5 2018-12-07+ U1 scanned raw=60 counted=60 share=120 credited=120
        """,
        factors=[window(200, station_kinds=["special"]), window(50, station_kinds=["city"])],
    )


def test_capped_and_overlapped_minutes_earn_nothing_whatever_their_factor() -> None:
    expect(
        """
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 10:00 out V1 U1 #1
        2018-12-04 09:30 in  V1 U1 #2
        2018-12-04 11:00 out V1 U1 #2
        """,
        """
        V1 #1 2018-12-04 U1 scanned raw=60 counted=60 share=120 credited=120
        V1 #2 2018-12-04 U1 scanned raw=90 overlapped=30 capped=30 counted=30 share=60 credited=60
        """,
        day_minutes_max=90,
        factors=[window(200)],
    )


# --- rule 7: rounding -----------------------------------------------------------------------------------------------


def test_the_running_sum_of_a_shift_is_rounded_down_so_a_piece_may_gain() -> None:
    expect(
        """
        2018-12-04 23:38 in  V1 U1 #1   ; 22 minutes: credited 15
        2018-12-05 00:08 out V1 U1 #1   ; 22 + 8 = 30: credited 15 more, a rounding of -7
        2018-12-05 09:00 in  V1 U1 #2   ; a shift of its own: the lost minutes do not carry over
        2018-12-05 09:14 out V1 U1 #2
        """,
        """
        V1 #1 2018-12-04 U1 scanned raw=22 counted=22 credited=15
        V1 #1 2018-12-05+ U1 scanned raw=8 counted=8 credited=15
        V1 #2 2018-12-05 U1 scanned raw=14 counted=14
        """,
        credit_unit_minutes=15,
    )


def test_shares_are_rounded_before_they_are_summed() -> None:
    expect(
        """
        2018-12-04 23:59 in  V1 U1 #1
        2018-12-05 00:01 out V1 U1 #1
        """,
        """
        V1 #1 2018-12-04 U1 scanned raw=1 counted=1 credited=1    ; 1 and a half
        V1 #1 2018-12-05+ U1 scanned raw=1 counted=1 credited=1   ; not 3 in both
        """,
        factors=[window(150)],
    )


# --- rules that change, clocks that change --------------------------------------------------------------------------


def test_length_and_unit_follow_the_check_in_cap_and_factor_each_minutes_own_date() -> None:
    timeline = rules(
        rule_set(day_minutes_max=100, shift_minutes_max=70, credit_unit_minutes=5, factors=[window(110)]),
        rule_set("2018-12-05", day_minutes_max=8, shift_minutes_min=40, credit_unit_minutes=60, factors=[window(200)]),
    )
    expect(
        """
        2018-12-04 23:01 in  V1 U1 #1   ; the old set: at most 70 minutes, in fives
        2018-12-05 01:00 out V1 U1 #1
        2018-12-05 09:00 in  V1 U1 #2   ; the new set: at least 40 minutes, in hours
        2018-12-05 09:39 out V1 U1 #2
        2018-12-05 10:00 in  V1 U1 #3
        2018-12-05 11:00 out V1 U1 #3
        2018-12-06 09:00 in  V1 U1 #4
        2018-12-06 09:40 out V1 U1 #4
        """,
        """
        V1 #1 2018-12-04  U1 scanned raw=59 counted=59 share=64 credited=60
        V1 #1 2018-12-05+ U1 scanned raw=60 clipped=49 capped=3 counted=8 share=16 credited=20
        V1 #2 2018-12-05  U1 scanned raw=39 too_short=39
        V1 #3 2018-12-05  U1 scanned raw=60 capped=60
        V1 #4 2018-12-06  U1 scanned raw=40 capped=32 counted=8 share=16
        """,
        timeline,
    )


def test_a_missing_check_out_follows_the_rules_of_the_check_ins_date() -> None:
    timeline = rules(
        rule_set(missing_check_out_minutes=90), rule_set("2018-12-05", missing_check_out_minutes=30), zone=SHANGHAI
    )
    expect(
        """
        2018-12-04 23:59 in V1 U1 #1
        2018-12-05 00:00 in V2 U1 #2
        """,
        """
        V1 #1 2018-12-04 U1 attested raw=1 counted=1 credited=1
        V1 #1 2018-12-05+ U1 attested raw=89 counted=89 credited=89
        V2 #2 2018-12-05 U1 attested raw=30 counted=30 credited=30
        """,
        timeline,
    )


def test_a_shift_through_the_change_of_the_clocks_has_the_minutes_that_really_passed() -> None:
    expect(
        """
        2018-03-10 23:00 in  V1 U1 #1   ; 02:00 became 03:00
        2018-03-11 04:00 out V1 U1 #1
        2018-11-03 23:00 in  V1 U1 #2   ; 02:00 became 01:00
        2018-11-04 04:00 out V1 U1 #2
        """,
        """
        V1 #1 2018-03-10  U1 scanned raw=60  counted=60  credited=60
        V1 #1 2018-03-11+ U1 scanned raw=180 counted=180 credited=180
        V1 #2 2018-11-03  U1 scanned raw=60  counted=60  credited=60
        V1 #2 2018-11-04+ U1 scanned raw=300 counted=300 credited=300
        """,
        rules(zone=NEW_YORK),
    )


def test_a_window_in_the_hour_that_comes_twice_holds_twice() -> None:
    expect(
        """
        2018-11-04 01:30 in V1 U1 #1
        2018-11-04 01:30-05:00 out V1 U1 #1
        """,
        "V1 #1 2018-11-04 U1 scanned raw=60 counted=60 share=120 credited=120",
        rules(zone=NEW_YORK, factors=[window(200, minute_from="01:00", minute_until="02:00")]),
    )


def test_half_an_hours_change_of_the_clocks_is_half_an_hour() -> None:
    expect(
        """
        2018-10-07 01:00 in  V1 U1 #1
        2018-10-07 03:00 out V1 U1 #1
        """,
        "V1 #1 2018-10-07 U1 scanned raw=90 counted=90 credited=90",
        rules(zone="Australia/Lord_Howe"),
    )


def test_a_day_that_begins_at_one_oclock_begins_there() -> None:
    expect(
        """
        2018-11-03 23:30 in  V1 U1 #1
        2018-11-04 01:30 out V1 U1 #1
        """,
        """
        V1 #1 2018-11-03  U1 scanned raw=30 counted=30 credited=30
        V1 #1 2018-11-04+ U1 scanned raw=30 counted=30 credited=30
        """,
        rules(zone="America/Sao_Paulo"),
    )


# --- sums -----------------------------------------------------------------------------------------------------------

TURN_OF_THE_YEAR = """
    2018-12-31 23:00 in  V1 U1 #1
    2019-01-01 01:00 out V1 U1 #1
    2019-01-02 10:00 attest V1 U2 #2 2019-01-01T09:00 2019-01-01T10:00
    2019-01-01 09:00 in  V2 U2 #3
    2019-01-01 09:05 out V2 U2 #3
    2019-01-01 12:00 in  V2 U2 #4
    2019-01-01 13:00 out V2 U2 #4
    2018-12-01 10:00 opening V1 600 2018-11-30
    2018-12-01 10:00 opening V3 60 2019-01-01
    2018-12-31 12:00 served U1 2018-12-31 20
    2018-12-31 12:00 served U1 2018-12-31 5 project=P1
    2018-12-31 12:00 served U1 2018-12-31 30
    2019-01-01 12:00 served U3 2019-01-01 7
    2019-01-01 12:00 served U3 2019-01-01 0
    2019-01-01 12:00 served U3 2019-01-02 1
"""
NEW_YEARS_EVE, NEW_YEAR = date(2018, 12, 31), date(2019, 1, 1)


def test_hours_are_kept_by_year_and_in_all_and_only_the_total_knows_the_opening_balance() -> None:
    result = credit(history(TURN_OF_THE_YEAR), rules(shift_minutes_min=10))
    assert result.hours == {
        ("V1", 0): Hours(shifts=2, raw=180, counted=180, credited=780, scanned=120, attested=660, opening=600),
        ("V1", 2018): Hours(shifts=1, raw=60, counted=60, credited=60, scanned=60, attested=0, opening=0),
        ("V1", 2019): Hours(shifts=1, raw=120, counted=120, credited=120, scanned=60, attested=60, opening=0),
        ("V2", 0): Hours(shifts=2, raw=65, counted=60, credited=60, scanned=60, attested=0, opening=0),
        ("V2", 2019): Hours(shifts=2, raw=65, counted=60, credited=60, scanned=60, attested=0, opening=0),
        ("V3", 0): Hours(shifts=0, raw=0, counted=0, credited=60, scanned=0, attested=60, opening=60),
    }


def test_a_station_day_counts_what_began_there_and_the_last_count_of_people_served() -> None:
    result = credit(history(TURN_OF_THE_YEAR), rules(shift_minutes_min=10))
    assert result.stations == {
        ("U1", NEW_YEARS_EVE): StationDay(shifts=1, volunteers=1, raw=60, counted=60, credited=60, people_served=35),
        ("U1", NEW_YEAR): StationDay(shifts=0, volunteers=0, raw=60, counted=60, credited=60, people_served=0),
        ("U2", NEW_YEAR): StationDay(shifts=3, volunteers=2, raw=125, counted=120, credited=120, people_served=0),
        ("U3", date(2019, 1, 2)): StationDay(0, 0, 0, 0, 0, people_served=1),
    }


def test_valid_at_hides_what_is_dated_later_but_no_event() -> None:
    timeline = rules(honors=[threshold("bronze", 60), threshold("silver", 720)])
    result = credit(history(TURN_OF_THE_YEAR), timeline, valid_at=NEW_YEARS_EVE)
    assert [line(piece) for piece in result.pieces] == ["V1 #1 2018-12-31 U1 scanned raw=60 counted=60 credited=60"]
    assert set(result.hours) == {("V1", 0), ("V1", 2018)}
    assert result.hours["V1", 0] == Hours(1, 60, 60, 660, 60, 600, 600)
    assert set(result.stations) == {("U1", NEW_YEARS_EVE)}
    assert result.standings == {("V1", "bronze"): date(2018, 11, 30)}
    later = credit(history(TURN_OF_THE_YEAR), timeline, valid_at=NEW_YEAR)
    assert later.standings["V1", "silver"] == NEW_YEAR


def test_an_opening_balance_dated_later_than_valid_at_supersedes_all_the_same() -> None:
    text = """
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 10:00 out V1 U1 #1
        2018-12-06 10:00 opening V1 600 2018-12-05
    """
    result = credit(history(text), rules(), valid_at=date(2018, 12, 4))
    assert [line(piece) for piece in result.pieces] == ["V1 #1 2018-12-04 U1 scanned raw=60 superseded=60"]
    assert result.hours["V1", 0] == Hours(1, 60, 0, 0, 0, 0, 0)


# --- honours --------------------------------------------------------------------------------------------------------


def threshold(honor: str, minutes: int, **conditions: object) -> dict[str, object]:
    return {"id": honor, "title": honor, "credited_minutes_min": minutes} | conditions


THREE_HOURS = """
    2017-08-31 12:00 register V1 2017-08-31
    2018-12-04 09:00 in  V1 U1 #1
    2018-12-04 10:00 out V1 U1 #1
    2018-12-06 10:00 attest V1 U1 #2 2018-12-05T09:00 2018-12-05T10:00
    2018-12-06 09:00 in  V1 U1 #3
    2018-12-06 10:00 out V1 U1 #3
    2018-12-07 12:00 train V1 professional 2018-12-07
"""


@pytest.mark.parametrize(
    ("minutes", "conditions", "reached"),
    [
        (0, {}, "2017-08-31"),  # on the day of registration
        (1, {}, "2018-12-04"),
        (60, {}, "2018-12-04"),
        (61, {}, "2018-12-05"),
        (121, {}, "2018-12-06"),
        (181, {}, None),
        (61, {"grade": "scanned"}, "2018-12-06"),
        (121, {"grade": "scanned"}, None),
        (60, {"tenure_months_min": 15}, "2018-12-04"),
        (60, {"tenure_months_min": 18}, "2019-02-28"),  # 31 August and 18 months: the last of February
        (60, {"tenure_months_min": 24}, "2019-08-31"),  # long after the last event: a date may lie in the future
        (0, {"tenure_months_min": 6}, "2018-02-28"),
        (60, {"training_tier_min": "basic"}, "2018-12-07"),
        (60, {"training_tier_min": "professional"}, "2018-12-07"),
        (60, {"training_tier_min": "leader"}, None),
        (121, {"training_tier_min": "basic", "tenure_months_min": 16}, "2018-12-31"),
    ],
)
def test_a_threshold_is_reached_on_the_first_day_on_which_all_its_conditions_hold(
    minutes: int, conditions: dict[str, object], reached: str | None
) -> None:
    result = credit(history(THREE_HOURS), rules(honors=[threshold("star", minutes, **conditions)]))
    assert result.standings == ({("V1", "star"): date.fromisoformat(reached)} if reached else {})


def test_an_opening_balance_counts_for_a_threshold_of_any_grade_from_its_date_but_not_before_registration() -> None:
    honors = [threshold("any", 60), threshold("scanned", 60, grade="scanned"), threshold("more", 660)]
    text = """
        2018-12-01 12:00 register V1 2018-12-01
        2018-12-01 12:00 opening V1 600 2018-11-30
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 10:00 out V1 U1 #1
    """
    assert credit(history(text), rules(honors=honors)).standings == {
        ("V1", "any"): date(2018, 12, 1),
        ("V1", "scanned"): date(2018, 12, 4),
        ("V1", "more"): date(2018, 12, 4),
    }


def test_the_first_registration_is_the_one_that_counts() -> None:
    text = "2018-03-01 12:00 register V1 2018-03-01\n2018-02-01 12:00 register V1 2018-02-01"
    result = credit(history(text), rules(honors=[threshold("star", 0)]))
    assert result.standings == {("V1", "star"): date(2018, 3, 1)}


def test_an_honour_is_judged_by_the_set_in_force_and_not_taken_away_by_later_sets() -> None:
    timeline = rules(
        rule_set(honors=[threshold("kept", 60), threshold("late", 180), threshold("eased", 600)]),
        rule_set("2018-12-06", honors=[threshold("kept", 6000), threshold("eased", 120), threshold("new", 60)]),
        rule_set("2018-12-10", honors=[threshold("newest", 0)]),
    )
    assert credit(history(THREE_HOURS), timeline).standings == {
        ("V1", "kept"): date(2018, 12, 4),
        ("V1", "eased"): date(2018, 12, 6),
        ("V1", "new"): date(2018, 12, 6),  # met long ago, but not an honour before this day
        ("V1", "newest"): date(2018, 12, 10),
    }  # "late" is met on the 6th, when it is no honour any more


# --- laws -----------------------------------------------------------------------------------------------------------


@patiently
@given(cases())
def test_every_raw_minute_has_one_fate_and_every_piece_its_place(case: Case) -> None:
    result = credit(*case)
    for piece in result.pieces:
        lost = sum(getattr(piece, name) for name in LOSSES)
        assert piece.raw == lost + piece.counted
        assert min(piece.raw, piece.superseded, piece.too_short, piece.clipped, piece.overlapped) >= 0
        assert min(piece.capped, piece.counted, piece.share, piece.credited) >= 0
    places = [(piece.volunteer, piece.shift, piece.day) for piece in result.pieces]
    assert len(set(places)) == len(places)
    begun = [(piece.volunteer, piece.shift) for piece in result.pieces if piece.first]
    assert len(set(begun)) == len(begun)
    shifts = {
        (shift.volunteer, shift.shift)
        for shift in resolve(case.events)
        if shift.check_in is not None and not shift.void
    }
    assert set(begun) <= shifts  # punches end shifts, and some scans are double taps
    repeats = any(rule_set.double_tap_seconds for rule_set in case.timeline.rule_sets)
    if not repeats and not any(isinstance(event, Punched) for event in case.events):
        assert set(begun) == shifts


@patiently
@given(cases())
def test_the_pieces_of_a_shift_sum_to_what_the_shift_is_worth(case: Case) -> None:
    shifts: dict[tuple[str, UUID], list[Piece]] = defaultdict(list)
    for piece in credit(*case).pieces:
        shifts[piece.volunteer, piece.shift].append(piece)
    resolved = {(shift.volunteer, shift.shift): shift for shift in resolve(case.events)}
    for key, pieces in shifts.items():
        shift = resolved[key]
        if shift.check_in is not None and shift.check_out is not None:
            assert sum(piece.raw for piece in pieces) == max(0, shift.check_out // 60 - shift.check_in // 60)
        share, credited = sum(piece.share for piece in pieces), sum(piece.credited for piece in pieces)
        assert 0 <= share - credited < 60  # the greatest unit of these histories


@patiently
@given(cases())
def test_hours_and_station_days_sum_to_the_pieces(case: Case) -> None:
    result = credit(*case)
    for name in ("raw", "counted", "credited"):
        total = sum(getattr(piece, name) for piece in result.pieces)
        in_all = [row for (_, year), row in result.hours.items() if year == 0]
        of_years = [row for (_, year), row in result.hours.items() if year != 0]
        assert sum(getattr(row, name) for row in of_years) == total
        openings = sum(row.opening for row in in_all) if name == "credited" else 0
        assert sum(getattr(row, name) for row in in_all) - openings == total
        placed = sum(getattr(piece, name) for piece in result.pieces if piece.station)
        assert sum(getattr(row, name) for row in result.stations.values()) == placed
    begun = sum(piece.first for piece in result.pieces)
    placed = sum(piece.first for piece in result.pieces if piece.station)
    assert sum(row.shifts for row in result.stations.values()) == placed
    assert sum(row.shifts for (_, year), row in result.hours.items() if year == 0) == begun
    for row in result.hours.values():
        assert row.credited == row.scanned + row.attested


@patiently
@given(cases())
def test_nobody_counts_more_than_a_days_cap_or_the_greatest_raise_ever_made(case: Case) -> None:
    raised = max(
        (getattr(event, "minutes", 0) for event in case.events if event.TOPIC == "day-cap-raised.v1"), default=0
    )
    greatest = max(raised, *(rule_set.day_minutes_max for rule_set in case.timeline.rule_sets))
    days: Counter[tuple[str, date]] = Counter()
    for piece in credit(*case).pieces:
        days[piece.volunteer, piece.day] += piece.counted
    assert all(minutes <= greatest for minutes in days.values())


@patiently
@given(cases().flatmap(lambda case: st.tuples(st.just(case), shuffled_scans(case.events))))
def test_the_order_of_uploads_and_repeated_scans_change_nothing(pair: tuple[Case, list[Any]]) -> None:
    case, shuffled = pair
    assert credit(shuffled, case.timeline) == credit(*case)
    assert resolve(shuffled) == resolve(case.events)


@patiently
@given(cases(), st.integers(0, 99))
def test_valid_at_shows_the_part_of_the_results_that_is_dated_up_to_it(case: Case, choice: int) -> None:
    whole = credit(*case)
    dated = sorted({piece.day for piece in whole.pieces} | set(whole.standings.values()))
    assume(dated)
    day = dated[choice % len(dated)]
    part = credit(*case, valid_at=day)
    assert part.pieces == [piece for piece in whole.pieces if piece.day <= day]
    assert part.standings == {key: reached for key, reached in whole.standings.items() if reached <= day}
    assert part.stations == {key: row for key, row in whole.stations.items() if key[1] <= day}
    past = {key: row for key, row in whole.hours.items() if 0 < key[1] < day.year}
    assert {key: row for key, row in part.hours.items() if 0 < key[1] < day.year} == past


@patiently
@given(cases(zones=ODD_ZONES))
def test_the_laws_hold_where_a_date_never_came(case: Case) -> None:
    result = credit(*case)
    for piece in result.pieces:
        assert piece.raw == sum(getattr(piece, name) for name in LOSSES) + piece.counted
    placed = [piece for piece in result.pieces if piece.station]
    assert sum(row.raw for row in result.stations.values()) == sum(piece.raw for piece in placed)


# --- the notation and the strategies --------------------------------------------------------------------------------


@patiently
@given(cases())
def test_a_history_written_as_text_reads_back_as_the_same_events(case: Case) -> None:
    zone = case.timeline.time_zone
    again = history(as_text(case.events, zone), zone)
    assert [msgspec.structs.replace(event, by="person:tester") for event in again] == [
        msgspec.structs.replace(event, by="person:tester") for event in case.events
    ]


@patiently
@given(cases())
def test_a_log_never_goes_back_in_time_and_names_each_command_once(case: Case) -> None:
    recorded = [event.recorded_at for event in case.events]
    assert recorded == sorted(recorded)
    assert len({event.command for event in case.events}) == len(case.events)


def test_an_hour_that_never_came_and_an_unknown_option_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"2018-03-11T02:30 never came in America/New_York"):
        history("2018-03-11 02:30 in V1 U1 #1", NEW_YORK)
    with pytest.raises(ValueError, match=r"out has no \['project'\]"):
        history("2018-03-11 01:30 out V1 U1 #1 project=P1")


def troubles_of(case: Case) -> set[str]:
    """Name the troubles a history really ran into."""
    result = credit(*case)
    troubles = {f"{type(event).__name__}" for event in case.events}
    troubles |= {f"zone {case.timeline.time_zone}", f"{len(case.timeline.rule_sets)} rule sets"}
    for piece in result.pieces:
        troubles |= {name for name in (*LOSSES, "counted", "credited") if getattr(piece, name)}
        troubles |= {"scanned" if piece.scanned else "attested"}
        troubles |= {"factor"} if piece.share != piece.counted else set()
        troubles |= {"rounding"} if piece.credited < piece.share else set()
        troubles |= {"negative rounding"} if piece.credited > piece.share else set()
        troubles |= {"continued"} if not piece.first else set()
        troubles |= {"partly overlapped"} if piece.overlapped and piece.counted else set()
        troubles |= {"partly capped"} if piece.capped and piece.counted else set()
    troubles |= {"standing"} if result.standings else set()
    numbers = {(piece.person, piece.volunteer) for piece in result.pieces}
    troubles |= {"two numbers of a person"} if len({person for person, _ in numbers}) < len(numbers) else set()
    overlapped = {piece.person for piece in result.pieces if piece.overlapped}
    troubles |= (
        {"overlapped numbers"} if overlapped & {person for person, number in numbers if person != number} else set()
    )
    troubles |= {"not credited"} if len(resolve(case.events)) > sum(piece.first for piece in result.pieces) else set()
    streams = Counter(event.stream_id for event in case.events if isinstance(event, ShiftEvent))
    troubles |= {"long stream"} if max(streams.values(), default=0) > 4 else set()
    return troubles


def test_the_histories_are_dense_in_trouble() -> None:
    seen: Counter[str] = Counter()

    @settings(patiently, max_examples=300, database=None, derandomize=True)
    @given(cases())
    def look(case: Case) -> None:
        seen.update(troubles_of(case))

    look()
    wanted = [*LOSSES, "counted", "credited", "scanned", "attested", "factor", "rounding", "negative rounding"]
    wanted += ["continued", "partly overlapped", "partly capped", "standing", "not credited", "long stream"]
    wanted += ["two numbers of a person", "overlapped numbers"]
    wanted += [f"zone {zone}" for zone in ZONES] + ["1 rule sets", "2 rule sets", "3 rule sets"]
    wanted += [kind.__name__ for kind, _, _ in NOTATION.values() if kind.__name__ != "ProjectEnded"]
    assert {trouble: seen[trouble] for trouble in wanted if seen[trouble] < 6} == {}
