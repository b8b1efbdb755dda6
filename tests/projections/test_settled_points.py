"""Points that the rules of credit settle, each as a table: the oracle and the kernels give the same minutes."""

from __future__ import annotations

from datetime import date

import pytest

from projections.local_time import day_number, day_of_number, months_later
from projections.rules.timeline import RuleTimeline
from tests.projections.test_oracle import line, window
from tests.support.oracle.comparison import kernel_results
from tests.support.oracle.histories import check_in, check_out, history, instant, rule_set, rules
from tests.support.oracle.oracle import OracleResult, credit


def both(text: str, timeline: RuleTimeline) -> OracleResult:
    """Credit a history with the oracle and with the kernels."""
    events = history(text, timeline.time_zone)
    result = credit(events, timeline)
    assert kernel_results(events, timeline) == result
    return result


# --- the station of a shift -----------------------------------------------------------------------------------------

CORRECTION = "2018-12-05 10:00 correct V1 #1"


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([f"{CORRECTION} check_in=2018-12-04T11:00"], "U2"),  # where the check-out in force was scanned
        ([f"{CORRECTION} check_in=2018-12-04T09:00"], "U1"),
        ([f"{CORRECTION} check_in=2018-12-04T14:00"], "U1"),  # no check-out is in force: the earliest
        ([f"{CORRECTION} check_in=2018-12-04T09:00", f"{CORRECTION} check_in=2018-12-04T11:00"], "U2"),  # the last one
        ([f"{CORRECTION} check_in=2018-12-04T09:00 check_out=2018-12-04T12:30"], "U1"),
        ([f"{CORRECTION} check_in=2018-12-04T11:00 check_out=2018-12-04T12:30"], "U2"),
        ([f"{CORRECTION} check_in=2018-12-04T11:00 check_out=none"], "U2"),
        ([f"{CORRECTION} check_in=2018-12-04T11:00 station=U3"], "U3"),
        ([f"{CORRECTION} station=U3", f"{CORRECTION} check_in=2018-12-04T11:00"], "U3"),
        ([f"{CORRECTION} check_in=2018-12-04T11:00 station=none"], "-"),
        (
            [f"{CORRECTION} check_in=2018-12-04T11:00", "2018-12-04 08:00 in V1 U4 #1"],
            "U4",
        ),  # a late scan is the check-in
        (
            [f"{CORRECTION} check_in=2018-12-04T12:00", "2018-12-04 13:00 out V1 U0 #1"],
            "U0",
        ),  # at once: the smaller name
        ([f"{CORRECTION} check_in=2018-12-04T12:00", "2018-12-04 13:00 out V1 U0 #1 evidence=paper"], "U2"),
        ([f"{CORRECTION} check_in=none"], None),
        (["2018-12-05 10:00 correct V1 #1 station=U3"], None),  # no check-in: it earns nothing
    ],
)
def test_the_station_of_a_shift_whose_check_in_only_a_correction_tells(lines: list[str], place: str | None) -> None:
    result = both(
        "\n".join(["2018-12-04 13:00 out V1 U2 #1", "2018-12-04 10:00 out V1 U1 #1", *lines]),
        rules(missing_check_out_minutes=30),
    )
    assert [piece.station or "-" for piece in result.pieces] == ([place] if place else [])
    stations = {station for station, _ in result.stations}
    assert stations == ({place} - {"-"} if place else set())


def test_a_shift_without_a_station_earns_and_holds_time_but_stands_in_no_stations_sums() -> None:
    result = both(
        """
        2018-01-01 12:00 open    U1 city
        2018-12-04 09:00 in      V1 U1 #1                       ; open until the next check-in
        2018-12-04 12:00 out     V1 U1 #2
        2018-12-05 10:00 correct V1 #2 check_in=2018-12-04T09:20 station=none
        2018-12-04 11:00 in      V1 U1 #3
        2018-12-04 13:00 out     V1 U1 #3
        """,
        rules(missing_check_out_minutes=60, factors=[window(200, station_kinds=["city"])]),
    )
    assert [line(piece) for piece in result.pieces] == [
        "V1 #1 2018-12-04 U1 attested raw=20 counted=20 share=40 credited=40",
        "V1 #2 2018-12-04 - attested raw=160 overlapped=60 counted=100 credited=100",
        "V1 #3 2018-12-04 U1 scanned raw=120 counted=120 share=240 credited=240",
    ]
    assert result.hours["V1", 0].credited == 380
    (day,) = result.stations.values()
    assert (day.shifts, day.raw, day.credited) == (2, 140, 280)


# --- kinds of stations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("openings", "shares"),
    [
        ("", (60, 60)),  # community, as the notation opens it
        ("2018-12-05 12:00 open U1 city", (120, 120)),
        ("2018-12-05 12:00 open U1 city\n2018-12-05 12:00 open U1 special", (60, 60)),  # at once: the last in the log
        ("2018-12-05 12:00 open U1 special\n2018-12-05 11:00 open U1 city", (120, 60)),  # by instant, not by the log
        ("2018-12-05 12:00 open U1 special\n2018-12-04 12:00 open U1 city", (120, 60)),  # a first opening told later
        ("2018-12-05 12:00 open U1 city\n2018-12-05 18:00 open U1 city", (120, 120)),
        ("2018-12-01 12:00 open U1 city\n2018-12-05 00:00 open U1 special", (120, 60)),
        ("2018-12-01 12:00 open U1 city\n2018-12-06 00:00 open U1 special", (120, 120)),
    ],
)
def test_openings_count_by_their_instants(openings: str, shares: tuple[int, int]) -> None:
    result = both(
        f"""
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 10:00 out V1 U1 #1
        2018-12-05 09:00 in  V1 U1 #2
        2018-12-05 10:00 out V1 U1 #2
        {openings}
        """,
        rules(factors=[window(200, station_kinds=["city"])]),
    )
    assert tuple(piece.share for piece in result.pieces) == shares


# --- raises of the day cap ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "counted"), [(1, 60), (59, 60), (60, 60), (61, 61), (120, 120), (1440, 120)])
def test_a_raise_never_lowers_the_cap(minutes: int, counted: int) -> None:
    result = both(
        f"""
        2018-12-04 08:00 raise V1 2018-12-04 {minutes} R1
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 11:00 out V1 U1 #1
        """,
        rules(day_minutes_max=60),
    )
    assert [piece.counted for piece in result.pieces] == [counted]


# --- years ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "begin", "end", "years"),
    [
        ("Asia/Shanghai", "1999-12-31T16:30Z", "1999-12-31T17:00Z", {2000: 30}),
        ("Asia/Shanghai", "1999-12-31T15:30Z", "1999-12-31T16:30Z", {1999: 30, 2000: 30}),
        ("Asia/Shanghai", "2099-12-31T15:30Z", "2099-12-31T16:30Z", {2099: 30, 2100: 30}),
        ("America/New_York", "2000-01-01T04:30Z", "2000-01-01T05:30Z", {1999: 30, 2000: 30}),
        ("America/New_York", "2100-01-01T04:00Z", "2100-01-01T05:00Z", {2099: 60}),
        ("Pacific/Kiritimati", "1999-12-31T10:00Z", "1999-12-31T10:30Z", {2000: 30}),  # the first minute accepted
        ("Pacific/Pago_Pago", "2100-01-01T10:00Z", "2100-01-01T11:00Z", {2099: 60}),
        ("Etc/GMT+12", "2100-01-01T11:00Z", "2100-01-01T11:59Z", {2099: 59}),  # the last minute accepted
    ],
)
def test_a_minute_belongs_to_the_local_year(zone: str, begin: str, end: str, years: dict[int, int]) -> None:
    scans = [check_in("V1", "U1", instant(begin)), check_out("V1", "U1", instant(end))]
    timeline = rules(zone=zone)
    result = credit(scans, timeline)
    assert kernel_results(scans, timeline) == result
    assert {year: row.credited for (_, year), row in result.hours.items() if year} == years


# --- check-outs before their check-in -------------------------------------------------------------------------------


@pytest.mark.parametrize(("missing", "minutes"), [(0, 0), (30, 30), (600, 180)])
def test_a_check_out_only_before_the_check_in_is_a_missing_check_out(missing: int, minutes: int) -> None:
    result = both(
        """
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 08:59:59 out V1 U1 #1
        2018-12-04 12:00 in  V1 U1 #2
        2018-12-04 12:00:01 out V1 U1 #2
        """,
        rules(missing_check_out_minutes=missing),
    )
    assert [(piece.raw, piece.scanned) for piece in result.pieces] == [(minutes, False), (0, True)]


@pytest.mark.parametrize("missing", [0, 30, 600])
def test_a_check_out_at_the_instant_of_its_check_in_ends_a_shift_of_no_time(missing: int) -> None:
    result = both(
        """
        2018-12-04 09:00 in  V1 U1 #1
        2018-12-04 08:59 out V1 U1 #1
        2018-12-04 09:00 out V1 U1 #1
        """,
        rules(missing_check_out_minutes=missing),
    )
    assert [(piece.raw, piece.scanned) for piece in result.pieces] == [(0, True)]


# --- tenure and registration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registered", "months", "reached"),
    [
        ("2016-02-29", 12, "2017-02-28"),
        ("2016-02-29", 48, "2020-02-29"),
        ("2015-02-28", 12, "2016-02-29"),
        ("2016-02-28", 12, "2017-02-28"),  # not the last day of its month
        ("2016-02-28", 48, "2020-02-28"),
        ("2017-02-28", 12, "2018-02-28"),
        ("2015-01-31", 1, "2015-02-28"),
        ("2015-01-30", 1, "2015-02-28"),  # February lacks the day
        ("2015-01-28", 1, "2015-02-28"),
        ("2015-04-30", 1, "2015-05-31"),
        ("2015-04-29", 1, "2015-05-29"),
        ("2015-12-31", 2, "2016-02-29"),
        ("2015-04-30", 0, "2015-04-30"),
    ],
)
def test_tenure_from_a_months_end_is_the_last_day_of_the_later_month(
    registered: str, months: int, reached: str
) -> None:
    honor = {"id": "star", "title": "star", "credited_minutes_min": 0, "tenure_months_min": months}
    timeline = rules(rule_set(honors=[honor]))
    result = both(f"2015-01-01 12:00 register V1 {registered}", timeline)
    assert result.standings == {("V1", "star"): date.fromisoformat(reached)}
    later = day_of_number(months_later(day_number(date.fromisoformat(registered)), months))
    assert later == date.fromisoformat(reached)


@pytest.mark.parametrize(
    "facts",
    ["2018-12-04 09:00 in V1 U1 #1\n2018-12-04 11:00 out V1 U1 #1", "2018-12-05 12:00 opening V1 120 2018-12-04"],
)
def test_no_honour_is_reached_before_registration(facts: str) -> None:
    honor = {"id": "star", "title": "star", "credited_minutes_min": 120}
    text = f"2019-06-01 12:00 register V1 2019-05-31\n{facts}"
    assert both(text, rules(rule_set(honors=[honor]))).standings == {("V1", "star"): date(2019, 5, 31)}


# --- moved shifts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "grade"),
    [
        ([], "scanned"),
        (["void V1 #1", "reinstate V1 #1"], "scanned"),
        (["void V1 #1 replaced_by=V2", "reinstate V1 #1"], "attested"),
        (["void V1 #1 replaced_by=V2", "reinstate V1 #1", "void V1 #1", "reinstate V1 #1"], "attested"),
    ],
)
def test_a_shift_that_was_moved_and_reinstated_is_attested(lines: list[str], grade: str) -> None:
    acts = "\n".join(f"2018-12-05 10:00 {act}" for act in lines)
    result = both(f"2018-12-04 09:00 in V1 U1 #1\n2018-12-04 10:00 out V1 U1 #1\n{acts}", rules())
    assert [line(piece) for piece in result.pieces] == [f"V1 #1 2018-12-04 U1 {grade} raw=60 counted=60 credited=60"]
