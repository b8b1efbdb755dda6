"""The kernels equal the oracle, which walks minute by minute and shares no code with them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.oracle.comparison import assert_equal, kernel_results
from tests.support.oracle.histories import ODD_ZONES, Case, cases, history, patiently, rules, shuffled_scans
from tests.support.oracle.oracle import credit


@settings(patiently, max_examples=examples(400, costly=True))
@given(cases())
def test_the_kernel_credits_what_the_oracle_credits(case: Case) -> None:
    assert_equal(kernel_results(case.events, case.timeline), credit(case.events, case.timeline), case)


@pytest.mark.parametrize("out", ["2001-04-03 08:59", "2001-04-03 09:00", "2001-04-03 09:01", "2018-12-04 10:00"])
@pytest.mark.parametrize("longest", [720, 10_080])
def test_the_kernel_equals_the_oracle_for_shifts_that_last_for_months(out: str, longest: int) -> None:
    within = "2001-01-05 09:00 in V1 U1 #2\n2001-01-05 10:00 out V1 U1 #2\n"
    events = history(f"2001-01-01 09:00 in V1 U1 #1\n{within}{out} out V1 U1 #1\n")
    case = Case(events, rules(shift_minutes_max=longest))
    assert_equal(kernel_results(case.events, case.timeline), credit(case.events, case.timeline), case)


@patiently
@given(cases(zones=ODD_ZONES))
def test_the_kernel_equals_the_oracle_where_a_date_never_came(case: Case) -> None:
    assert_equal(kernel_results(case.events, case.timeline), credit(case.events, case.timeline), case)


@patiently
@given(cases(), st.data())
def test_valid_at_filters_results_and_never_events(case: Case, data: st.DataObject) -> None:
    days = sorted({piece.day for piece in credit(case.events, case.timeline).pieces} | {date(2018, 1, 1)})
    valid_at = data.draw(st.sampled_from(days))
    found = kernel_results(case.events, case.timeline, valid_at=valid_at)
    assert_equal(found, credit(case.events, case.timeline, valid_at=valid_at), case)


@patiently
@given(cases(), st.data())
def test_scans_in_any_order_and_repeated_give_the_same_read_models(case: Case, data: st.DataObject) -> None:
    shuffled = data.draw(shuffled_scans(case.events))
    assert_equal(kernel_results(shuffled, case.timeline), kernel_results(case.events, case.timeline), case)


@patiently
@given(cases())
def test_the_number_of_threads_changes_nothing(case: Case) -> None:
    found = kernel_results(case.events, case.timeline, threads=2)
    one = kernel_results(case.events, case.timeline, threads=1)
    assert found.hours == one.hours
    assert found.stations == one.stations
    assert found.standings == one.standings
    assert found.projects == one.projects


@patiently
@given(cases())
def test_traces_sum_to_the_whole_for_every_piece_volunteer_and_station(case: Case) -> None:
    found = kernel_results(case.events, case.timeline)
    for piece in found.pieces:
        lost = piece.superseded + piece.too_short + piece.clipped + piece.overlapped + piece.capped
        assert piece.raw == lost + piece.counted
    for (volunteer, year), hours in found.hours.items():
        mine = [p for p in found.pieces if p.person == volunteer and (year in {0, p.day.year})]
        assert hours.credited == sum(piece.credited for piece in mine) + hours.opening
        assert hours.credited == hours.scanned + hours.attested
        assert hours.raw == sum(piece.raw for piece in mine)
    for (station, day), activity in found.stations.items():
        here = [p for p in found.pieces if (p.station, p.day) == (station, day)]
        assert activity.credited == sum(piece.credited for piece in here)
