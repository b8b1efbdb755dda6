"""A shift folded from its events: scans in any order, corrections and voids in log order, as the kernel resolves it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.shift import Punched, Shift, ShiftEvent
from ledger.names import Position
from projections.schema import IN_DISPUTE, VOID
from replay.cohorts.cohort import resolve_events
from replay.explain.sources import check, sources
from tests.support.examples import examples
from tests.support.oracle.histories import (
    CORRECTED_FIELDS,
    Case,
    as_text,
    cases,
    check_in,
    check_out,
    correct,
    dispute,
    patiently,
    reinstate,
    settle,
    stamped,
    void,
)

T = 1_543_888_800


def in_(instant: int, station: str = "S1", evidence: str | None = None, project: str | None = None) -> ShiftEvent:
    return check_in("V1", station, T + instant, evidence=evidence, project=project)


def out(instant: int, station: str = "S1", evidence: str | None = None) -> ShiftEvent:
    return check_out("V1", station, T + instant, evidence=evidence)


def corrected(**changes: Any) -> ShiftEvent:
    return correct("V1", T, **{name: T + value if isinstance(value, int) else value for name, value in changes.items()})


VOIDED, REINSTATED = void("V1", T), reinstate("V1", T)
DISPUTED, SETTLED = dispute("V1", T), settle("V1", T)


@pytest.mark.parametrize(
    ("events", "check_in", "check_out", "station", "left_from"),
    [
        ([in_(0), out(60)], 0, 60, "S1", "S1"),
        ([out(60), in_(0)], 0, 60, "S1", "S1"),
        ([in_(30, "S2"), in_(0)], 0, None, "S1", "S1"),  # the earliest check-in counts
        ([in_(0), out(90, "S3"), out(60, "S2")], 0, 60, "S1", "S2"),  # and the earliest check-out after it
        ([in_(0), out(0), out(60)], 0, 60, "S1", "S1"),  # not one at the same instant
        ([in_(0, "S2", "paper"), in_(0, "S9")], 0, None, "S9", "S9"),  # a scan comes before an entry
        ([out(60)], None, None, None, None),  # nothing ends what has not begun
        ([in_(0), out(60), corrected(check_in=70)], 70, None, "S1", "S1"),
        ([in_(0), out(60), corrected(check_in=70), corrected(check_in=10)], 10, 60, "S1", "S1"),  # the last one wins
        ([in_(0), out(60, "S2"), corrected(check_out=50)], 0, 50, "S1", "S1"),
        ([in_(0), out(60), corrected(check_out=None)], 0, None, "S1", "S1"),  # cleared
        ([in_(0), out(60), corrected(check_in=None)], None, None, "S1", "S1"),
        ([in_(0), corrected(station="S5"), out(60)], 0, 60, "S5", "S1"),
    ],
)
def test_the_instants_and_places_in_force(
    events: list[Event], check_in: int | None, check_out: int | None, station: str | None, left_from: str | None
) -> None:
    shift = Shift.of(events)
    instants = [None if instant is None else instant - T for instant in (shift.check_in, shift.check_out)]
    assert (*instants, shift.station, shift.check_out_station) == (check_in, check_out, station, left_from)


def test_a_shift_is_void_until_it_is_reinstated() -> None:
    assert Shift.of([in_(0), VOIDED]).void
    assert not Shift.of([in_(0), VOIDED, REINSTATED]).void
    assert Shift.of([in_(0), VOIDED, REINSTATED, VOIDED]).void


SCANS = st.builds(
    lambda make, instant, station, evidence: make(instant, station, evidence),
    st.sampled_from([in_, out]),
    st.integers(0, 5),
    st.sampled_from(["S1", "S2"]),
    st.sampled_from([None, "paper"]),
)


@given(st.lists(SCANS, max_size=6).flatmap(lambda scans: st.tuples(st.just(scans), st.permutations(scans))))
def test_scans_come_to_the_same_shift_in_any_order(orders: tuple[list[Event], list[Event]]) -> None:
    one, other = (Shift.of(events) for events in orders)
    assert in_force(one) == in_force(other)
    assert one.check_out_station == other.check_out_station
    assert one.deciding == other.deciding


# --- the kernel -----------------------------------------------------------------------------------------------------


def in_force(shift: Shift) -> tuple[object, ...]:
    """Return what is true of a shift, as far as its minutes, places and standing go."""
    return shift.check_in, shift.check_out, shift.station, shift.project, bool(shift.void), bool(shift.disputed)


def hold_to_the_kernel(events: Sequence[ShiftEvent]) -> None:
    """Hold the fold of one shift's events to what the kernel resolves, and which of them decide to the same."""
    numbered = [(Position(position), event) for position, event in enumerate(events, 1)]
    (row,) = resolve_events(numbered).values()
    flags = bool(row.flags & VOID), bool(row.flags & IN_DISPUTE)
    resolved = row.check_in, row.check_out, row.station, row.project, *flags
    folded = in_force(Shift.of(events))
    if folded[0] is None and any(isinstance(event, Punched) for event in events):  # what it ends is not known here
        assert folded[-2:] == flags
        return
    assert folded == resolved, as_text(events)
    check(row, sources(numbered))


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "check_in": st.none() | st.integers(0, 5),
        "check_out": st.none() | st.integers(0, 5),
        "station": st.sampled_from([None, "S1", "S2"]),
        "project": st.sampled_from([None, "P1", "P2"]),
    },
).filter(bool)
assert set(CORRECTED_FIELDS) == {"check_in", "check_out", "station", "project"}
EVENTS = (
    st.builds(
        in_,
        st.integers(0, 5),
        st.sampled_from(["S1", "S2"]),
        st.sampled_from([None, "paper"]),
        st.sampled_from([None, "P1", "P2"]),
    )
    | st.builds(out, st.integers(0, 5), st.sampled_from(["S1", "S2"]), st.sampled_from([None, "paper"]))
    | CHANGES.map(lambda changes: corrected(**changes))
    | st.sampled_from([VOIDED, REINSTATED, DISPUTED, SETTLED])
)
"""Events of one shift, all within seconds, so that they tie."""


@settings(patiently, max_examples=examples(300))
@given(st.lists(EVENTS, min_size=1, max_size=10))
def test_a_shift_is_folded_as_the_kernel_resolves_it(events: list[ShiftEvent]) -> None:
    hold_to_the_kernel([event for event in stamped(events) if isinstance(event, ShiftEvent)])


@patiently
@given(cases())
def test_the_shifts_of_a_history_are_folded_as_the_kernel_resolves_them(case: Case) -> None:
    of_shifts = [event for event in case.events if isinstance(event, ShiftEvent)]
    for _, events in groupby(sorted(of_shifts, key=_whose), key=_whose):
        hold_to_the_kernel(list(events))


def _whose(event: ShiftEvent) -> tuple[str, int]:
    return event.volunteer, event.shift.int
