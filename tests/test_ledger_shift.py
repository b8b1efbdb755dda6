"""A shift resolved from its events: scans in any order, corrections and voids in log order."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.aggregates.shift import resolve
from ledger.aggregates import Event
from ledger.aggregates.shift import CheckedIn, CheckedOut, ShiftCorrected, ShiftReinstated, ShiftVoided

T = 1_543_888_800
SHIFT = UUID(int=7)


def _said(instant: int) -> dict[str, object]:
    return {
        "occurred_at": T + instant,
        "recorded_at": T,
        "by": "person:p",
        "command": "t#1",
        "volunteer": "V1",
        "shift": SHIFT,
    }


def in_(instant: int, station: str = "S1", evidence: str | None = None) -> Event:
    return CheckedIn.model_validate({**_said(instant), "station": station, "evidence": evidence})


def out(instant: int, station: str = "S1", evidence: str | None = None) -> Event:
    return CheckedOut.model_validate({**_said(instant), "station": station, "evidence": evidence})


def corrected(**changes: object) -> Event:
    values = {name: T + value if isinstance(value, int) else value for name, value in changes.items()}
    return ShiftCorrected.model_validate({**_said(0), "changes": tuple(changes), **values, "reason": "r"})


VOID = ShiftVoided.model_validate({**_said(0), "reason": "r"})
REINSTATED = ShiftReinstated.model_validate({**_said(0), "reason": "r"})


@pytest.mark.parametrize(
    ("events", "check_in", "check_out", "station", "left_from"),
    [
        ([in_(0), out(60)], 0, 60, "S1", "S1"),
        ([out(60), in_(0)], 0, 60, "S1", "S1"),
        ([in_(30, "S2"), in_(0)], 0, None, "S1", "S1"),  # the earliest check-in counts
        ([in_(0), out(90, "S3"), out(60, "S2")], 0, 60, "S1", "S2"),  # and the earliest check-out after it
        ([in_(0), out(0), out(60)], 0, 60, "S1", "S1"),  # not one at the same instant
        ([in_(0, "S2", "paper"), in_(0, "S9")], 0, None, "S9", "S9"),  # a scan comes before an entry
        ([out(60)], None, 60, None, "S1"),
        ([in_(0), out(60), corrected(check_in=70)], 70, None, "S1", "S1"),
        ([in_(0), out(60), corrected(check_in=70), corrected(check_in=10)], 10, 60, "S1", "S1"),  # the last one wins
        ([in_(0), out(60, "S2"), corrected(check_out=50)], 0, 50, "S1", "S1"),
        ([in_(0), out(60), corrected(check_out=None)], 0, None, "S1", "S1"),  # cleared
        ([in_(0), out(60), corrected(check_in=None)], None, 60, "S1", "S1"),
        ([in_(0), corrected(station="S5"), out(60)], 0, 60, "S5", "S1"),
    ],
)
def test_the_instants_and_places_in_force(
    events: list[Event], check_in: int | None, check_out: int | None, station: str | None, left_from: str | None
) -> None:
    shift = resolve(events)
    instants = [None if instant is None else instant - T for instant in (shift.check_in, shift.check_out)]
    assert (*instants, shift.station, shift.check_out_station) == (check_in, check_out, station, left_from)


def test_a_shift_is_void_until_it_is_reinstated() -> None:
    assert resolve([in_(0), VOID]).void
    assert not resolve([in_(0), VOID, REINSTATED]).void
    assert resolve([in_(0), VOID, REINSTATED, VOID]).void


SCANS = st.builds(
    lambda make, instant, station, evidence: make(instant, station, evidence),
    st.sampled_from([in_, out]),
    st.integers(0, 5),
    st.sampled_from(["S1", "S2"]),
    st.sampled_from([None, "paper"]),
)


@given(st.lists(SCANS, max_size=6).flatmap(lambda scans: st.tuples(st.just(scans), st.permutations(scans))))
def test_scans_resolve_to_the_same_shift_in_any_order(orders: tuple[list[Event], list[Event]]) -> None:
    assert resolve(orders[0]) == resolve(orders[1])
