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

from ledger.database import Database
from replay import store
from replay.follower import Follower
from replay.rebuild import rebuild
from tests.histories import Case, as_text, cases, patiently
from tests.replaying import append, as_rules, as_sets, empty, replayed


@pytest.fixture(scope="module")
def ledger(new_database_url: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Path]]:
    """One ledger for all examples; each empties it first."""
    assert callable(new_database_url)
    with Database.open(new_database_url()) as database:
        yield database, tmp_path_factory.mktemp("archive")


@settings(patiently, max_examples=60)
@given(case=cases(), data=st.data())
def test_the_follower_s_rows_equal_a_replay_at_every_position(
    ledger: tuple[Database, Path], case: Case, data: st.DataObject
) -> None:
    database, folder = ledger
    archive = empty(database, folder)
    rules = as_rules(case.timeline)
    events = case.events
    versions: Counter[UUID] = Counter()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), min_size=1, max_size=4)))
    append(database, events[: cuts[0]], versions)
    rebuild(database, archive, rules)
    for low, high in zip(cuts, [*cuts[1:], len(events)], strict=True):
        append(database, events[low:high], versions)
        assert Follower(database).catch_up() == high
        expected = replayed(events[:high], rules)
        with database.pool.connection() as connection:
            generation = store.current_generation(connection)
            assert generation is not None
            found = store.read_rows(connection, generation)
        assert as_sets(found) == as_sets(expected), as_text(events[:high], case.timeline.time_zone)
        live = generation.checksum
        assert live == found.checksum() == expected.checksum()
    # The same rules at the same position: `rebuild` itself refuses another checksum. Facts made anew change nothing
    # either.
    assert rebuild(database, archive, rules).generation.checksum == live
    assert rebuild(database, archive, rules, facts_anew=True).generation.checksum == live
