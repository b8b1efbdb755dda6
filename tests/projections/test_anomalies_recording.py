"""Late uploads, late entries and wrong clocks are what a slow and obvious search says they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.deciding.working_days import is_working_day
from projections.anomalies import recording
from projections.anomalies.findings import Recorded
from projections.rules.anomalies import AnomalyRules
from projections.rules.late_entries import late
from projections.schema import (
    ATTESTED,
    CHECK_OUT_BEFORE_CHECK_IN,
    CHECKED_IN,
    CHECKED_OUT,
    DAYS,
    FROM_IMPORT,
    IMPORTED,
    NONE,
    VOID,
    ResolvedShifts,
)
from tests.support.oracle.anomaly_columns import MORNING, ZONE, Stay, day_of, resolved
from tests.support.oracle.histories import SHANGHAI, patiently, rule_set, rules


@patiently
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 40), st.sampled_from([0, FROM_IMPORT, VOID])), max_size=8)
)
def test_a_record_is_late_after_ten_working_days_counted_one_by_one(said: list[tuple[int, int, int]]) -> None:
    ended = np.array([MORNING + 86_400 * day for day, _, _ in said], np.uint32)
    shifts = ResolvedShifts(
        volunteer=np.zeros(len(said), np.int32),
        station=np.zeros(len(said), np.int32),
        project=np.full(len(said), NONE, np.int32),
        check_in=ended - np.uint32(3600),
        check_out=ended,
        recorded_at=(ended.astype(np.int64) + [86_400 * after + 7200 for _, after, _ in said]).astype(np.uint32),
        flags=np.array([flag for _, _, flag in said], np.uint16),
    )
    timeline = rules(rule_set(late_entry_working_days=10))
    expected = []
    for end, at, (_, _, flag) in zip(ended.tolist(), shifts.recorded_at.tolist(), said, strict=True):
        day, until = (datetime.fromtimestamp(instant, ZONE).date() for instant in (end, at))
        worked = 0
        while day < until:
            day += timedelta(days=1)
            worked += is_working_day(day)
        expected.append((worked > 10 or (worked == 10 and not is_working_day(until))) and flag != FROM_IMPORT)
    assert late(shifts, timeline).tolist() == expected
    found = recording.late_entries(shifts, timeline, np.ones(len(said), bool))
    assert [each.shifts[0] for each in found] == [
        row for row, is_late in enumerate(expected) if is_late and said[row][2] != VOID
    ]
    calendar_days = rules(rule_set(late_entry_days=14))
    assert late(shifts, calendar_days).tolist() == [
        86_400 * after + 7200 > 14 * 86_400 and flag != FROM_IMPORT for _, after, flag in said
    ]


@st.composite
def many_scans(draw: st.DrawFn) -> Recorded:
    """Scans of four shifts at two stations on two days, most of them recorded at once."""
    rows = []
    for position in range(1, draw(st.integers(0, 14)) + 1):
        occurred = MORNING + 86_400 * draw(st.integers(0, 1)) + draw(st.integers(0, 600))
        delay = draw(st.sampled_from([0, 1, 30, 61, 200, 899, 900, 901, 5_000, 300_000, -30, -61, -400, -2_000]))
        marks = draw(st.sampled_from([0, 0, 0, ATTESTED, IMPORTED]))
        shift = draw(st.integers(0, 3))
        code = draw(st.sampled_from([CHECKED_IN, CHECKED_OUT]))
        rows.append((position, occurred + delay, occurred, code, shift, draw(st.integers(0, 1)), marks))
    columns = np.array(rows, np.int64).reshape(-1, 7).T
    kinds = (np.int64, np.uint32, np.uint32, np.uint8, np.int32, np.int32, np.uint8)
    return Recorded._make(column.astype(kind) for column, kind in zip(columns, kinds, strict=True))


def four_shifts(flags: Sequence[int] = (0, 0, 0, 0)) -> ResolvedShifts:
    shifts = resolved([Stay(number, 0, number % 2, 0, 60, scanned=True, void=False) for number in range(4)])
    return shifts._replace(flags=np.array(flags, np.uint16))


@patiently
@given(many_scans())
def test_late_uploads_are_shifts_with_a_scan_that_took_too_long(events: Recorded) -> None:
    expected: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for position, at, occurred, _, shift, _, marks in zip(*(column.tolist() for column in events), strict=True):
        if not marks and at - occurred > 24 * 3_600 and shift != 3:
            expected[shift].append((position, at - occurred))
    found = recording.late_uploads(events, four_shifts((0, 0, 0, VOID)), AnomalyRules(upload_hours_max=24), SHANGHAI)
    assert {each.shifts[0]: each.positions for each in found} == {
        shift: tuple(position for position, _ in scans) for shift, scans in expected.items()
    }
    assert all(each.figures == (max(delay for _, delay in expected[each.shifts[0]]),) for each in found)


@patiently
@given(many_scans(), st.integers(1, 4), st.integers(1, 100), st.sampled_from([0, CHECK_OUT_BEFORE_CHECK_IN]))
def test_a_clock_is_wrong_where_scans_lie_ahead_or_most_are_off_alike(
    events: Recorded, least: int, percent: int, backwards: int
) -> None:
    asked = AnomalyRules(clock_seconds=60, clock_scans_min=least, clock_percent_min=percent)
    shifts = four_shifts((backwards, 0, 0, 0))
    prompt = np.zeros((2, DAYS), np.int32)
    recording.count_scans(events, SHANGHAI, prompt)
    kept = events.where(np.abs(recording.delays(events)) > 60)  # as the archive's reader gives them
    found = recording.wrong_clocks(
        kept, np.zeros(len(kept.position), np.int64), prompt, shifts, np.ones(4, bool), asked, SHANGHAI
    )
    delays: dict[tuple[int, int], list[int]] = defaultdict(list)
    for _, at, occurred, _, _, station, marks in zip(*(column.tolist() for column in events), strict=True):
        if not marks:
            delays[station, day_of((occurred - MORNING) // 60)].append(at - occurred)
    expected = {}
    for place, each in delays.items():
        ahead = [-delay for delay in each if delay < -60]
        behind = [delay for delay in each if 60 < delay <= 900]
        most = max(ahead, behind, key=len)
        of = sum(abs(delay) <= 900 for delay in each)
        off = len(most) if len(most) >= least and len(most) * 100 >= percent * of else 0
        if ahead or off:
            expected[place] = (len(ahead), max(ahead, default=0), 0, off, of)
    if backwards:
        place = 0, day_of(0)
        known = expected.get(place, (0, 0, 0, 0, int(prompt[place])))
        expected[place] = (*known[:2], 1, *known[3:])
    assert {(each.station, each.day): each.figures[:5] for each in found} == expected


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        ("2018-02-09", "2018-02-28"),  # the Spring Festival week, and two weekends worked for it
        ("2018-09-27", "2018-10-16"),  # the National Day's week, with 29 and 30 September worked
        ("2018-12-04", "2018-12-18"),  # nothing but weekends
    ],
)
def test_ten_working_days_go_round_the_holidays(ended: str, last: str) -> None:
    timeline = rules(rule_set(late_entry_working_days=10))
    end = datetime.fromisoformat(f"{ended}T12:00:00+08:00")
    for after, expected in ((0, False), (1, True)):
        recorded = datetime.fromisoformat(f"{last}T23:59:59+08:00") + timedelta(days=after)
        shifts = resolved([Stay(1, 0, 0, 0, 60, scanned=True, void=False)])._replace(
            check_out=np.array([end.astimezone(UTC).timestamp()], np.uint32),
            recorded_at=np.array([recorded.timestamp()], np.uint32),
        )
        assert late(shifts, timeline).tolist() == [expected], recorded
