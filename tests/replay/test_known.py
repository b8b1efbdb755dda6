"""What is told of a volunteer as known at a position is what a ledger that stopped there tells: on random histories.

And the shifts behind a station's day sum to its row, under any axes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates.opening_balance import OpeningBalanceEvent
from ledger.aggregates.volunteer import VolunteerEvent
from ledger.names import Position
from ledger.store.database import Database
from projections.schema import NO_DAY
from replay.explain.day import explain_day, volunteer_days
from replay.generations.rebuild import rebuild
from replay.queries.queries import Axes, Queries, UnknownNameError
from replay.queries.volunteers import WHOLE, hours_of, shifts_of
from tests.support.examples import examples
from tests.support.oracle.histories import Case, cases, patiently
from tests.support.oracle.knowing import known, listed
from tests.support.oracle.oracle import credit
from tests.support.replay.replaying import append, as_rules, empty

LEDGER = tuple[Database, Path]


@pytest.fixture(scope="module")
def ledger(new_database_url: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LEDGER]:
    """One ledger for all examples; each empties it first."""
    assert callable(new_database_url)
    with Database.open(new_database_url()) as database:
        yield database, tmp_path_factory.mktemp("archive")


def filled(ledger: LEDGER, case: Case) -> Queries:
    database, folder = ledger
    archive = empty(database, folder)
    append(database, case.events, Counter[UUID]())
    rebuild(database, archive, as_rules(case.timeline))
    return Queries(database, archive)


@settings(patiently, max_examples=examples(6))
@given(case=cases(), data=st.data())
def test_a_volunteer_known_at_a_position_is_told_as_by_a_ledger_that_stopped_there(
    ledger: LEDGER, case: Case, data: st.DataObject
) -> None:
    queries = filled(ledger, case)
    rules = as_rules(case.timeline)
    stop = data.draw(st.integers(1, len(case.events)))
    axes = Axes(known_at=Position(stop), rules=rules)
    stopped = case.events[:stop]
    whole = {"known_at": stop, "position": len(case.events)}
    for volunteer in sorted({event.volunteer for event in case.events if hasattr(event, "volunteer")}):
        then = known(stopped, volunteer, rules)
        if then.cohort.persons[volunteer].registered == NO_DAY:
            with pytest.raises(UnknownNameError):
                queries.volunteer_hours(volunteer, axes)
            continue
        history = [
            (Position(number), event)
            for number, event in enumerate(stopped, 1)
            if isinstance(event, VolunteerEvent) and event.volunteer in then.cohort.persons
        ]
        balances = Counter(event.volunteer for event in stopped if isinstance(event, OpeningBalanceEvent))
        hours = hours_of(then, axes, history, balances).model_copy(update=whole)
        assert queries.volunteer_hours(volunteer, axes) == hours
        log = listed(stopped)
        assert queries.volunteer_shifts(volunteer, axes) == shifts_of(log, then, axes, WHOLE).model_copy(update=whole)
        days = volunteer_days(then, axes, 5)
        assert queries.volunteer_days(volunteer, axes, 5) == days.model_copy(update=whole)
        for day in days.days[:2]:
            expected = explain_day(log, then, day.day, axes).model_copy(update=whole)
            assert queries.explanation(volunteer, day.day, axes) == expected


@settings(patiently, max_examples=examples(6))
@given(case=cases(), data=st.data())
def test_the_shifts_behind_a_station_s_day_sum_to_its_row_under_any_axes(
    ledger: LEDGER, case: Case, data: st.DataObject
) -> None:
    queries = filled(ledger, case)
    rules = as_rules(case.timeline)
    stop = data.draw(st.sampled_from([len(case.events), data.draw(st.integers(1, len(case.events)))]))
    axes = Axes(known_at=Position(stop), rules=rules) if stop < len(case.events) else Axes()
    expected = credit(case.events[:stop], case.timeline)
    with pytest.raises(UnknownNameError):
        queries.station_shifts("X9", date(2018, 12, 1), axes)
    places = sorted({(piece.station, piece.day) for piece in expected.pieces if piece.station})
    edges = [(station, day + timedelta(days=step)) for station, day in places for step in (-1, 1)]
    for station, day in (places + edges)[:8]:
        found, after = [], None
        while True:
            page = queries.station_shifts(station, day, axes, 1, after)
            found += page.shifts
            if (after := page.next_after) is None:
                break
        row = expected.stations.get((station, day))
        assert sum(shift.begins for shift in found) == (row.shifts if row else 0)
        assert len({shift.goes_on_as or shift.volunteer for shift in found if shift.begins}) == (
            row.volunteers if row else 0
        )
        for name in ("raw", "counted", "credited"):
            assert sum(getattr(shift.trace, name) for shift in found) == (getattr(row, name) if row else 0)
        assert all(shift.positions and max(shift.positions) <= stop for shift in found)
