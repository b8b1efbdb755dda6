"""The labels of the synthetic history tell the truth: every fault an auditor could find in the events, and no other."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from ledger.aggregates import Event
from ledger.aggregates.shift import CheckedIn, CheckedOut, ShiftCorrected, ShiftEvent
from replay.synthetic import simulate
from replay.synthetic.labels import KINDS, SCHEMES
from tests.support.replay.simulating import RULES, Row, local_day, small, small_rows

FAULT_PERCENT = {
    "missing-check-out": 6,
    "duplicate-scan": 1.5,
    "late-upload": 3,
    "late-upload-over-10-working-days": 0.2,
    "clock-skew": 2,
    "overlap": 0.5,
    "longer-than-8-hours": 1,
    "longer-than-12-hours": 0.1,
    "across-midnight": 0.5,
    "forged-entry": 0.05,
    "correction": 1,
}
"""Of all shifts: docs/glossary.md, "A synthetic history that looks like Luohu"."""


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    history = small()
    path = tmp_path_factory.mktemp("labels") / "labels.parquet"
    count = history.write_labels(path)
    table = pq.read_table(path)
    assert len(table) == count
    read: list[dict[str, Any]] = table.to_pylist()
    return read


@pytest.mark.parametrize("seed", [5, 6])
def test_faults_are_as_frequent_as_they_should_be(seed: int, tmp_path: Path) -> None:
    history = simulate(0.05, seed, RULES)
    history.write_labels(tmp_path / "labels.parquet")
    kinds = Counter(pq.read_table(tmp_path / "labels.parquet")["kind"].to_pylist())
    assert set(kinds) == set(KINDS)
    for kind, percent in FAULT_PERCENT.items():
        assert kinds[kind] / history.shifts * 100 == pytest.approx(percent, rel=0.01), kind


def said(event: Event, field: str) -> Any:
    """Return what an event says in a field that not all events have."""
    return getattr(event, field)


class Truth(NamedTuple):
    """What an auditor can see of the shifts: their events, by shift."""

    by_shift: dict[UUID, list[Row]]
    check_in: dict[UUID, Row]
    check_out: dict[UUID, Row]

    def seconds(self, shift: UUID) -> int:
        return self.check_out[shift].event.occurred_at - self.check_in[shift].event.occurred_at


@pytest.fixture(scope="module")
def truth() -> Truth:
    rows = small_rows()
    by_shift: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        if isinstance(row.event, ShiftEvent):
            by_shift[row.event.shift].append(row)
    check_in, check_out = {}, {}
    for shift, events in by_shift.items():
        ins = [row for row in events if isinstance(row.event, CheckedIn)]
        outs = [row for row in events if isinstance(row.event, CheckedOut)]
        check_in[shift] = min(ins, key=lambda row: row.event.occurred_at)
        if outs:
            check_out[shift] = min(outs, key=lambda row: row.event.occurred_at)
    return Truth(by_shift, check_in, check_out)


def test_labels_point_to_the_scans_of_their_shift(labels: list[dict[str, Any]], truth: Truth) -> None:
    assert {label["kind"] for label in labels} == set(KINDS) - set(SCHEMES)
    for label in labels:
        shift = UUID(label["shift"])
        first, last = truth.check_in[shift], truth.check_out.get(shift)
        assert isinstance(first.event, CheckedIn)
        assert first.event.volunteer == label["volunteer"]
        assert label["check_in_position"] == first.position
        assert label["check_out_position"] == (last and last.position)
        assert label["position"] in {row.position for row in truth.by_shift[shift]}


def labelled(labels: list[dict[str, Any]], kind: str) -> dict[UUID, dict[str, Any]]:
    found = {UUID(label["shift"]): label for label in labels if label["kind"] == kind}
    assert found
    return found


def test_labels_name_all_shifts_without_check_out_and_no_others(labels: list[dict[str, Any]], truth: Truth) -> None:
    assert set(labelled(labels, "missing-check-out")) == set(truth.by_shift) - set(truth.check_out)


def test_labels_name_all_second_scans(labels: list[dict[str, Any]], truth: Truth) -> None:
    rows = small_rows()
    found = labelled(labels, "duplicate-scan")
    kinds: Counter[tuple[UUID, str]] = Counter()
    for shift, events in truth.by_shift.items():
        kinds.update((shift, row.topic) for row in events if row.topic.startswith("checked-"))
    assert set(found) == {shift for (shift, _), count in kinds.items() if count == 2}
    assert max(kinds.values()) == 2
    for shift, label in found.items():
        second = rows[label["position"] - 1]
        first = (truth.check_in if isinstance(second.event, CheckedIn) else truth.check_out)[shift]
        assert second.event.occurred_at - first.event.occurred_at == label["seconds"] > 0
        assert second.topic == first.topic


def test_labels_name_all_late_uploads(labels: list[dict[str, Any]], truth: Truth) -> None:
    rows = small_rows()
    late = set()
    for shift in truth.by_shift:
        last = truth.check_out.get(shift, truth.check_in[shift]).event
        if last.recorded_at - last.occurred_at > 3_600 and not said(last, "evidence"):
            late.add(shift)
    found = labelled(labels, "late-upload")
    assert set(found) == late
    weeks = labelled(labels, "late-upload-over-10-working-days")
    for shift, label in found.items():
        event = rows[label["position"] - 1].event
        assert event.recorded_at - event.occurred_at == label["seconds"]
        # Ten working days take at most eighteen days, around Spring Festival; nine days have at most nine.
        assert (label["seconds"] > 18 * 86_400) if shift in weeks else (label["seconds"] <= 9 * 86_400)


def test_labels_name_all_wrong_clocks(labels: list[dict[str, Any]], truth: Truth) -> None:
    found = labelled(labels, "clock-skew")
    late = labelled(labels, "late-upload")
    assert {label["seconds"] > 0 for label in found.values()} == {True, False}
    for shift, row in truth.check_in.items():
        skew = found[shift]["seconds"] if shift in found else 0
        assert abs(skew) <= 180
        if shift not in late and not said(row.event, "evidence"):
            assert 0 <= row.event.recorded_at - row.event.occurred_at + skew <= 3


def test_labels_name_all_overlaps(labels: list[dict[str, Any]], truth: Truth) -> None:
    by_volunteer: dict[str, list[tuple[int, int, UUID]]] = defaultdict(list)
    for shift, last in truth.check_out.items():
        first = truth.check_in[shift].event
        assert isinstance(first, CheckedIn)
        by_volunteer[first.volunteer].append((first.occurred_at, last.event.occurred_at, shift))
    pairs = {}
    for stays in by_volunteer.values():
        stays.sort()
        for (_, end, one), (start, stop, other) in pairwise(stays):
            if start < end:
                pairs[other] = (one, min(end, stop) - start)
    found = labelled(labels, "overlap")
    assert {shift: (UUID(label["other_shift"]), label["seconds"]) for shift, label in found.items()} == pairs
    stations = {shift: said(row.event, "station") for shift, row in truth.check_in.items()}
    assert all(stations[shift] != stations[other] for shift, (other, _) in pairs.items()), "two stations at once"


def test_labels_name_all_long_shifts_and_those_across_midnight(labels: list[dict[str, Any]], truth: Truth) -> None:
    length = {shift: truth.seconds(shift) for shift in truth.check_out}
    for kind, hours in (("longer-than-8-hours", 8), ("longer-than-12-hours", 12)):
        found = labelled(labels, kind)
        assert set(found) == {shift for shift, seconds in length.items() if seconds > hours * 3_600}
        assert all(label["seconds"] == length[shift] for shift, label in found.items())
    nights = {
        shift
        for shift, last in truth.check_out.items()
        if local_day(last.event.occurred_at) != local_day(truth.check_in[shift].event.occurred_at)
    }
    assert set(labelled(labels, "across-midnight")) == nights


def test_labels_tell_forged_entries_from_honest_ones(labels: list[dict[str, Any]], truth: Truth) -> None:
    forged, honest = labelled(labels, "forged-entry"), labelled(labels, "late-entry")
    entered = {shift for shift, row in truth.check_in.items() if said(row.event, "evidence")}
    assert set(forged) | set(honest) == entered
    assert not set(forged) & set(honest)
    assert {truth.check_in[shift].event.by for shift in entered} >= {truth.check_in[shift].event.by for shift in forged}
    for shift in entered:
        first, last = truth.check_in[shift].event, truth.check_out[shift].event
        assert first.by == last.by
        assert 0 < last.recorded_at - first.recorded_at < 120, "entered in the back office in two minutes"
    assert {truth.seconds(shift) for shift in forged} == {5 * 3_600}


def test_labels_name_all_corrections(labels: list[dict[str, Any]], truth: Truth) -> None:
    rows = small_rows()
    corrections = [row for row in rows if isinstance(row.event, ShiftCorrected)]
    found = labelled(labels, "correction")
    assert {(shift, label["position"]) for shift, label in found.items()} == {
        (row.event.shift, row.position) for row in corrections if isinstance(row.event, ShiftCorrected)
    }
    for row in corrections:
        event = row.event
        assert isinstance(event, ShiftCorrected)
        assert len(event.changes) == 1
        assert getattr(event, event.changes[0]) is not None
        earlier = [other for other in truth.by_shift[event.shift] if other.position < row.position]
        assert event.recorded_at >= earlier[0].event.recorded_at + timedelta(days=1).total_seconds()
