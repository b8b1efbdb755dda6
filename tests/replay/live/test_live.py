"""Live equals rebuilt, at every position; replayed twice equals once; a rebuild beside the live generation loses
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.facts import facts_of
from replay.cohorts.cohort import read_kinds
from replay.generations import store
from replay.generations.rebuild import rebuild
from replay.live.follower import Follower
from replay.published import Rules
from replay.worklist.open_shifts import OpenShifts, OpenShiftsReader
from replay.worklist.waiting import Waiting
from tests.support.examples import examples
from tests.support.oracle.histories import Case, as_text, cases, history, patiently, rule_set, rules
from tests.support.replay.replaying import append, as_rules, as_sets, empty, replayed


@pytest.fixture(scope="module")
def ledger(new_database_url: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Path]]:
    """One ledger for all examples; each empties it first."""
    assert callable(new_database_url)
    with Database.open(new_database_url()) as database:
        yield database, tmp_path_factory.mktemp("archive")


STAR = {"id": "star", "title": "Star", "credited_minutes_min": 200}
MERGES = """
    2018-12-04 08:00 in V1 U1 #1 project=P1
    2018-12-04 11:00 out V1 U1 #1
    2018-12-04 10:00 in V2 U1 #2 project=P1
    2018-12-04 13:00 out V2 U1 #2
    2018-12-04 12:00 in V3 U1 #3
    2018-12-04 14:00 out V3 U1 #3
    2018-12-05 09:00 merge V1 V2
    2018-12-05 09:01 merge V2 V3
    2018-12-05 09:02 undo-merge V1 V2            ; V1 leaves those with whom it was
    2018-12-05 10:00 in V1 U1 #4
    2018-12-05 11:00 out V1 U1 #4                ; and is touched alone
    2018-12-05 12:00 opening V2 60 2018-01-01    ; what holds for a number holds for the person
    2018-12-05 13:00 raise V3 2018-12-04 90 R1
    2018-12-05 14:00 in V2 U1 #5 project=P1
    2018-12-05 15:00 undo-merge V2 V3
    2018-12-05 16:00 merge V3 V1
    2018-12-05 17:00 out V2 U1 #5
"""
"""Numbers that come together and part again, and events of each in between."""


def _entries(waiting: OpenShifts | None) -> list[Waiting]:
    """Return open shifts in their order; they are followed, never given up, at so few events."""
    assert waiting is not None
    return [waiting.waiting(row) for row in range(len(waiting.columns.marks))]


def _found_anew(events: list[Event], rules: Rules) -> OpenShifts:
    return OpenShiftsReader().find(Position(len(events)), rules, facts_of(events))


@pytest.mark.parametrize("step", [1, 2, 5])
def test_numbers_that_are_merged_and_taken_apart_are_live_what_they_are_rebuilt(
    ledger: tuple[Database, Path], step: int
) -> None:
    database, folder = ledger
    archive, versions = empty(database, folder), Counter[UUID]()
    ruled = as_rules(rules(rule_set(day_minutes_max=300, shift_minutes_max=720, honors=[STAR])))
    events, reader = history(MERGES), OpenShiftsReader()
    begin = len(events) - 17  # registrations and openings are there when it begins
    append(database, events[:begin], versions)
    rebuild(database, archive, ruled)
    reader.find(Position(begin), ruled, facts_of(events[:begin]))
    for low in range(begin, len(events), step):
        append(database, events[low : low + step], versions)
        Follower(database).catch_up()
        with database.pool.connection() as connection:
            generation = store.current_generation(connection)
            assert generation is not None
            found = store.read_rows(connection, generation)
            waiting = reader.at_snapshot(connection, Position(generation.position), ruled)
        assert as_sets(found) == as_sets(replayed(events[: low + step], ruled)), low
        assert _entries(waiting) == _entries(_found_anew(events[: low + step], ruled)), low
        live = generation.checksum
        assert live == found.checksum()
    # Rebuilding is held to the log's own streams, for every number there is.
    assert rebuild(database, archive, ruled, new_facts=True).generation.checksum == live


@settings(patiently, max_examples=examples(25))
@given(case=cases(), data=st.data())
def test_the_follower_s_rows_equal_a_replay_at_every_position(
    ledger: tuple[Database, Path], case: Case, data: st.DataObject
) -> None:
    database, folder = ledger
    archive = empty(database, folder)
    rules = as_rules(case.timeline)
    events = case.events
    versions: Counter[UUID] = Counter()
    reader = OpenShiftsReader()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), min_size=1, max_size=4)))
    append(database, events[: cuts[0]], versions)
    rebuild(database, archive, rules)
    reader.find(Position(cuts[0]), rules, facts_of(events[: cuts[0]]))
    for low, high in zip(cuts, [*cuts[1:], len(events)], strict=True):
        append(database, events[low:high], versions)
        assert Follower(database).catch_up() == high
        expected = replayed(events[:high], rules)
        with database.pool.connection() as connection:
            generation = store.current_generation(connection)
            assert generation is not None
            found, kinds = store.read_rows(connection, generation), read_kinds(connection)
            waiting = reader.at_snapshot(connection, Position(high), rules)
        assert as_sets(found) == as_sets(expected), as_text(events[:high], case.timeline.time_zone)
        anew = _found_anew(events[:high], rules)
        assert _entries(waiting) == _entries(anew), as_text(events[:high], case.timeline.time_zone)
        live = generation.checksum
        assert live == found.checksum() == expected.checksum()
    facts = facts_of(events)
    assert kinds == dict(sorted(zip(facts.stations.texts(), facts.station_openings(), strict=True)))
    # The same rules at the same position: `rebuild` itself refuses another checksum. Facts made anew change nothing
    # either.
    assert rebuild(database, archive, rules).generation.checksum == live
    assert rebuild(database, archive, rules, new_facts=True).generation.checksum == live
