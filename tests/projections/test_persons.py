"""Two numbers of one person, merged: what the kernels make of them, by laws and by example."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapRaised, DayCapRaiseWithdrawn
from ledger.aggregates.opening_balance import OpeningBalanceRecorded, OpeningBalanceVoided
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.volunteer import VolunteerMerged, VolunteerMergeUndone, VolunteerRegistered
from projections.rules.timeline import RuleTimeline
from tests.support.examples import examples
from tests.support.oracle.comparison import kernel_results
from tests.support.oracle.histories import Case, as_text, cases, history, make, patiently, rule_set, rules
from tests.support.oracle.oracle import OracleResult, Piece, StationDay, credit

fewer = settings(patiently, max_examples=examples(30))
MERGES = (VolunteerMerged, VolunteerMergeUndone)
BALANCES = (OpeningBalanceRecorded, OpeningBalanceVoided)


def persons_of(events: Iterable[Event]) -> dict[str, str]:
    """Return as which number each merged one goes on in the end."""
    goes_on: dict[str, str] = {}
    for event in events:
        if isinstance(event, VolunteerMerged):
            goes_on[event.volunteer] = event.into
        elif isinstance(event, VolunteerMergeUndone):
            del goes_on[event.volunteer]
    ends = {}
    for volunteer in goes_on:
        end = volunteer
        while end in goes_on:
            end = goes_on[end]
        ends[volunteer] = end
    return ends


def under_one_number(events: Sequence[Event]) -> list[Event]:
    """Say everything about the number that goes on instead; ids that two numbers share are told apart."""
    persons = persons_of(events)
    registered: dict[str, date] = {}
    for event in events:
        if isinstance(event, VolunteerRegistered):
            name = persons.get(event.volunteer, event.volunteer)
            registered[name] = min(event.registered_on, registered.get(name, date.max))
    shifts = sorted({(event.shift, event.volunteer) for event in events if isinstance(event, ShiftEvent)})
    said: list[Event] = []
    for event in events:
        number = getattr(event, "volunteer", None)
        if isinstance(event, MERGES):
            continue
        if number is None:
            said.append(event)
            continue
        changes: dict[str, object] = {"volunteer": persons.get(number, number)}
        if isinstance(event, VolunteerRegistered):
            changes["registered_on"] = registered[str(changes["volunteer"])]
        if isinstance(event, ShiftEvent):  # of equal ids that of the smaller number becomes the smaller one
            changes["shift"] = UUID(int=shifts.index((event.shift, number)))
        if isinstance(event, DayCapRaised | DayCapRaiseWithdrawn):
            changes["raise_id"] = f"{event.raise_id}-{number}"
        said.append(msgspec.structs.replace(event, **changes))
    return said


def nameless(result: OracleResult) -> OracleResult:
    """Leave out under which number, and by which id, a shift was recorded."""
    return replace(result, pieces=[replace(piece, volunteer="", shift=UUID(int=0)) for piece in result.pieces])


@fewer
@given(cases(volunteers=(2, 3)))
def test_merged_numbers_are_worth_what_one_number_would_have_been(case: Case) -> None:
    events = [event for event in case.events if not isinstance(event, BALANCES)]
    if not persons_of(events):
        events.append(make(VolunteerMerged, events[-1].occurred_at, volunteer="V1", into="V2"))
    merged, one = (kernel_results(each, case.timeline) for each in (events, under_one_number(events)))
    assert nameless(merged) == nameless(one), as_text(events)


@fewer
@given(cases(volunteers=(2, 3)), st.data())
def test_a_merge_that_is_taken_back_leaves_no_trace(case: Case, data: st.DataObject) -> None:
    before = [event for event in case.events if not isinstance(event, MERGES)]
    numbers = sorted({event.volunteer for event in before if isinstance(event, VolunteerRegistered)})
    first, second = data.draw(st.permutations(numbers))[:2]
    begin = max(at for at, event in enumerate(before, 1) if isinstance(event, VolunteerRegistered))
    low, high = sorted(data.draw(st.lists(st.integers(begin, len(before)), min_size=2, max_size=2)))
    at = before[-1].occurred_at
    merge, undo = (make(kind, at, volunteer=first, into=second) for kind in MERGES)
    with_both = [*before[:low], merge, *before[low:high], undo, *before[high:]]
    assert kernel_results(with_both, case.timeline) == kernel_results(before, case.timeline)


@fewer
@given(cases(punches=False))
def test_all_numbers_together_have_the_same_raw_minutes_whoever_is_merged(case: Case) -> None:
    """Overlaps and caps take what they take; what was served stays, but for a missing check-out that ends sooner.

    Without punches and double taps: scans of one person are paired, and the same scan, across numbers. So a merge makes
    a shift of two punches, and of two check-ins one.
    """
    sets = tuple(one.model_copy(update={"double_tap_seconds": 0}) for one in case.timeline.rule_sets)
    timeline = case.timeline.model_copy(update={"rule_sets": sets})
    apart = kernel_results([event for event in case.events if not isinstance(event, MERGES)], timeline)
    found = kernel_results(case.events, timeline)
    for result in (apart, found):
        years = [hours for (_, year), hours in result.hours.items() if year]
        served: list[StationDay | Piece] = [*result.stations.values(), *_without_station(result)]
        assert sum(hours.raw for hours in years) == sum(part.raw for part in served)
        assert sum(hours.credited for hours in years) == sum(part.credited for part in served)
    assert sum(row.raw for row in found.stations.values()) <= sum(row.raw for row in apart.stations.values())
    assert sum(day.shifts for day in found.stations.values()) == sum(day.shifts for day in apart.stations.values())
    openings = [sum(hours.opening for hours in result.hours.values()) for result in (apart, found)]
    assert openings[0] == openings[1]


def _without_station(result: OracleResult) -> list[Piece]:
    """Return what is in no station's sums: a correction in the log may take away the station of a shift."""
    return [piece for piece in result.pieces if piece.station is None]


# --- by example -----------------------------------------------------------------------------------------------------

STAR = {"id": "star", "title": "Star", "credited_minutes_min": 300}
ONE_SET = rules(rule_set(day_minutes_max=480, shift_minutes_min=10, shift_minutes_max=720, honors=[STAR]))


def told(text: str, timeline: RuleTimeline = ONE_SET) -> OracleResult:
    """Credit a history by the kernels, which are held to the oracle."""
    events = history(text)
    found = kernel_results(events, timeline)
    assert found == credit(events, timeline)
    return found


def test_a_minute_is_held_once_and_the_cap_holds_over_both_numbers() -> None:
    found = told("""
        2018-12-04 08:00 in  V1 U1 #1
        2018-12-04 12:00 out V1 U1 #1
        2018-12-04 11:00 in  V2 U1 #2
        2018-12-04 17:00 out V2 U1 #2   ; an hour of it is V1's already, and another is beyond the day's cap
        2018-12-05 10:00 merge V1 V2
    """)
    assert [(one.volunteer, one.person, one.overlapped, one.capped, one.counted) for one in found.pieces] == [
        ("V1", "V2", 0, 0, 240),
        ("V2", "V2", 60, 60, 240),
    ]
    assert {key: (row.shifts, row.credited) for key, row in found.hours.items()} == {
        ("V2", 0): (2, 480),
        ("V2", 2018): (2, 480),
    }
    assert found.stations["U1", date(2018, 12, 4)].volunteers == 1


def test_a_balance_takes_in_the_shifts_of_its_own_number_alone_and_counts_from_its_own_day() -> None:
    found = told("""
        2018-01-01 09:00 in  V1 U1 #1
        2018-01-01 10:00 out V1 U1 #1   ; taken in by the balance of V1
        2018-01-01 11:00 in  V2 U1 #2
        2018-01-01 12:00 out V2 U1 #2   ; before the balance of V1, but not of its number
        2018-03-01 09:00 opening V1 200 2018-02-01
        2018-03-01 09:00 opening V2 100 2017-01-01
        2018-03-01 10:00 merge V1 V2
    """)
    assert [(one.volunteer, one.superseded, one.counted) for one in found.pieces] == [("V1", 60, 0), ("V2", 0, 60)]
    assert (found.hours["V2", 0].opening, found.hours["V2", 0].credited) == (300, 360)
    assert found.standings == {("V2", "star"): date(2018, 2, 1)}  # 100, then 160, then 360 minutes


def test_the_earliest_registration_and_any_number_s_training_count() -> None:
    tenured = STAR | {"credited_minutes_min": 0, "tenure_months_min": 12, "training_tier_min": "basic"}
    found = told(
        """
        2018-01-01 09:00 register V1 2017-01-01
        2018-01-01 09:00 register V2 2018-01-01
        2018-06-01 09:00 train V2 basic 2018-05-01
        2018-07-01 09:00 merge V1 V2
        """,
        rules(rule_set(honors=[tenured])),
    )
    assert found.standings == {("V2", "star"): date(2018, 5, 1)}


def test_of_two_shifts_of_one_id_that_of_the_smaller_number_comes_first() -> None:
    found = told("""
        2018-12-04 08:00 in  V2 U1 #1
        2018-12-04 09:00 out V2 U1 #1
        2018-12-04 08:00 in  V1 U2 #1
        2018-12-04 09:00 out V1 U2 #1
        2018-12-05 10:00 merge V1 V2
    """)
    assert [(one.volunteer, one.counted, one.overlapped) for one in found.pieces] == [("V1", 60, 0), ("V2", 0, 60)]


@pytest.mark.parametrize(
    ("merges", "persons"),
    [
        ("merge V1 V2 / merge V2 V3", {"V3": 3}),
        ("merge V1 V2 / merge V2 V3 / undo-merge V1 V2", {"V1": 1, "V3": 2}),
        ("merge V1 V2 / merge V2 V3 / undo-merge V2 V3", {"V2": 2, "V3": 1}),
        ("merge V1 V3 / merge V2 V3 / undo-merge V2 V3 / merge V3 V2", {"V2": 3}),
    ],
)
def test_a_chain_of_merges_is_one_person_and_undoing_takes_back_one_step(merges: str, persons: dict[str, int]) -> None:
    lines = [f"2018-12-0{n} 08:00 attest V{n} U1 #{n} 2018-12-0{n}T09:00 2018-12-0{n}T10:00" for n in (1, 2, 3)]
    lines += [f"2018-12-05 10:00 {merge}" for merge in merges.split(" / ")]
    found = told("\n".join(lines))
    assert {name: row.shifts for (name, year), row in found.hours.items() if year == 0} == persons
