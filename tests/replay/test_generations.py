"""Generations: built beside, verified, switched to and back, dropped by a policy; nothing is ever left half done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple

import numpy as np
import pytest
from psycopg import sql

from ledger.store.database import Database
from projections.schema import PAIRING
from replay.archive.archive import Archive
from replay.generations import rebuild as rebuild_module
from replay.generations import retention, store
from replay.generations.named_rows import Rows
from replay.generations.rebuild import (
    CATCHING_UP,
    READING,
    REPLAYING,
    STAGES,
    SWITCHING,
    NotPublishedError,
    OvertakenError,
    VerificationError,
    build,
    rebuild,
)
from replay.generations.retention import (
    BESIDE_MAX,
    PREVIOUS_MAX,
    GenerationInUseError,
    Retention,
    UnknownGenerationError,
    reasons,
)
from replay.generations.switching import NotSwitchableError, switch
from replay.generations.verification import verify_positions
from replay.live.follower import Follower
from replay.progress import Progress, StoppedError
from replay.published import Rules
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import Program
from tests.support.replay.generations import (
    ALL,
    HISTORY,
    MORE,
    NEW_RULES,
    OLD_RULES,
    current,
    follow_more,
    schemas,
    stored,
    written,
)
from tests.support.replay.killing import AFTER_COMMIT
from tests.support.replay.replaying import as_sets, empty, replayed

WRITING, FACTS, VERIFYING = STAGES[2], STAGES[3], STAGES[4]


class Ledger(NamedTuple):
    """A ledger with a little history, and its archive."""

    database: Database
    archive: Archive


@pytest.fixture(scope="module")
def shared_database(new_database_url: Callable[[], str]) -> Iterator[Database]:
    """One database for all tests; each empties it first."""
    with Database.open(new_database_url()) as database:
        yield database


@pytest.fixture
def ledger(shared_database: Database, tmp_path: Path) -> Ledger:
    """A ledger whose generation 1 answers, under the old rules."""
    database = shared_database
    archive = empty(database, tmp_path / "archive")
    with database.pool.connection() as connection:
        connection.execute("ALTER TABLE replay.generations ALTER COLUMN id RESTART")
    written(database, HISTORY)
    rebuild(database, archive, OLD_RULES)
    return Ledger(database, archive)


def holds(database: Database, generation: store.Generation, rules: Rules, position: int) -> None:
    """Assert that a generation holds what a replay of the log up to a position gives, to the row."""
    found, expected = stored(database, generation), replayed(ALL[:position], rules)
    assert as_sets(found) == as_sets(expected)
    assert (generation.position, generation.checksum) == (position, found.checksum())
    assert found.checksum() == expected.checksum()


# --- switching ------------------------------------------------------------------------------------------------------


def test_publishing_and_switching_back_restores_the_checksum(ledger: Ledger) -> None:
    first = current(ledger.database)
    built = rebuild(*ledger, NEW_RULES).generation
    assert current(ledger.database) == built
    assert built.checksum != first.checksum
    back = switch(*ledger, first.id)
    assert current(ledger.database) == back
    assert (back.id, back.position, back.checksum) == (first.id, first.position, first.checksum)
    assert back.switched_at is not None
    assert built.switched_at is not None
    assert back.switched_at > built.switched_at
    holds(ledger.database, back, OLD_RULES, len(HISTORY))
    again = switch(*ledger, built.id)
    assert again.checksum == built.checksum


def test_an_old_generation_catches_up_before_it_answers(ledger: Ledger) -> None:
    rebuild(*ledger, NEW_RULES)
    follow_more(ledger.database)
    back = switch(*ledger, 1)
    holds(ledger.database, back, OLD_RULES, len(ALL))
    assert back.checksum == rebuild(*ledger, OLD_RULES).generation.checksum


def test_what_is_recorded_while_an_old_generation_is_brought_up_is_not_lost(ledger: Ledger) -> None:
    rebuild(*ledger, NEW_RULES)
    written(ledger.database, MORE[:2])
    Follower(ledger.database).catch_up()

    def meanwhile(stage: str, _done: int, _in_all: int) -> None:
        if stage == CATCHING_UP and ledger.database.log.head() < len(ALL):
            written(ledger.database, MORE[2:])
            Follower(ledger.database).catch_up()

    holds(ledger.database, switch(*ledger, 1, progress=meanwhile), OLD_RULES, len(ALL))
    assert Follower(ledger.database).catch_up() == len(ALL)


def test_the_follower_goes_on_from_the_generation_that_was_switched_to(ledger: Ledger) -> None:
    rebuild(*ledger, NEW_RULES)
    switch(*ledger, 1)
    follow_more(ledger.database)
    holds(ledger.database, current(ledger.database), OLD_RULES, len(ALL))


def test_switching_to_the_one_that_answers_changes_nothing(ledger: Ledger) -> None:
    before = current(ledger.database)
    assert switch(*ledger, before.id) == before
    assert current(ledger.database) == before


def test_a_generation_whose_rows_were_changed_is_not_switched_to(ledger: Ledger) -> None:
    live = rebuild(*ledger, NEW_RULES).generation
    with ledger.database.pool.connection() as connection:
        connection.execute("UPDATE generation_1.volunteer_hours SET credited_minutes = credited_minutes + 1")
    with pytest.raises(VerificationError, match="credited_minutes stored"):
        switch(*ledger, 1)
    with ledger.database.pool.connection() as connection:
        connection.execute("UPDATE replay.generations SET checksum = checksum + 1 WHERE id = 1")
    with pytest.raises(VerificationError, match="generation 1 has checksum"):
        switch(*ledger, 1)
    assert current(ledger.database) == live


def test_only_published_whole_and_readable_generations_are_switched_to(ledger: Ledger) -> None:
    live = current(ledger.database)
    candidate = build(*ledger, Rules(0, NEW_RULES.digest, NEW_RULES.text)).generation
    with pytest.raises(NotPublishedError, match="hours publish"):
        switch(*ledger, candidate.id)
    with pytest.raises(NotPublishedError):
        rebuild(*ledger, Rules(0, NEW_RULES.digest, NEW_RULES.text))
    partial = build(*ledger, OLD_RULES, valid_at=date(2018, 12, 4)).generation
    with pytest.raises(NotSwitchableError, match="results up to 2018-12-04 only"):
        switch(*ledger, partial.id)
    with ledger.database.pool.connection() as connection:
        connection.execute("UPDATE replay.generations SET layout = 'old' WHERE id = %s", (partial.id,))
        connection.execute("UPDATE replay.generations SET valid_at = NULL WHERE id = %s", (partial.id,))
    with pytest.raises(NotSwitchableError, match="another version of this program"):
        switch(*ledger, partial.id)
    with pytest.raises(UnknownGenerationError, match="99"):
        switch(*ledger, 99)
    assert current(ledger.database) == live


def test_a_generation_of_a_program_that_paired_otherwise_is_not_read(ledger: Ledger) -> None:
    live = current(ledger.database)
    assert live.readable
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "PAIRING", PAIRING - 1)
        store.layout.cache_clear()
        older = store.layout()
    store.layout.cache_clear()
    assert not replace(live, layout=older).readable


# --- built beside ---------------------------------------------------------------------------------------------------


def test_a_generation_beside_holds_what_was_known_and_valid_then(ledger: Ledger) -> None:
    follow_more(ledger.database)
    live = current(ledger.database)
    beside = build(*ledger, NEW_RULES, known_at=len(HISTORY)).generation
    holds(ledger.database, beside, NEW_RULES, len(HISTORY))
    early = build(*ledger, OLD_RULES, valid_at=date(2018, 12, 4)).generation
    assert (early.valid_at, early.position) == (date(2018, 12, 4), len(ALL))
    days = stored(ledger.database, early).stations[:, 0]
    assert set(days) == {(date(2018, 12, 4) - date(1970, 1, 1)).days}
    assert current(ledger.database) == live
    switched = switch(*ledger, beside.id)  # it was built at an earlier position: it catches up
    holds(ledger.database, switched, NEW_RULES, len(ALL))


def test_two_rebuilds_at_once_are_both_whole_and_one_answers(ledger: Ledger) -> None:
    together = Barrier(2)

    def progress(stage: str, _done: int, _in_all: int) -> None:
        if stage == REPLAYING:
            together.wait(PATIENCE_SECONDS)

    others = Archive(ledger.archive.folder, ledger.database.log.identity()), ledger.archive
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(rebuild, ledger.database, one, NEW_RULES, progress=progress) for one in others]
        found = [one.result(PATIENCE_SECONDS).generation for one in made]
    assert len({one.id for one in found}) == 2
    for generation in found:
        holds(ledger.database, generation, NEW_RULES, len(HISTORY))
    assert current(ledger.database) in found
    follow_more(ledger.database)
    holds(ledger.database, current(ledger.database), NEW_RULES, len(ALL))


def test_older_rules_do_not_take_the_place_of_newer_ones_switched_to_meanwhile(ledger: Ledger) -> None:
    def meanwhile(stage: str, _done: int, _in_all: int) -> None:
        if stage == CATCHING_UP:
            rebuild(*ledger, NEW_RULES)

    with pytest.raises(OvertakenError, match="version 2 of the rules"):
        rebuild(*ledger, OLD_RULES, progress=meanwhile)
    live = current(ledger.database)
    assert live.rules_version == 2
    assert schemas(ledger.database) == ["generation_1", live.schema]
    assert rebuild(*ledger, OLD_RULES).generation.rules_version == 1  # asked for now, it is what somebody wants


# --- verifying ------------------------------------------------------------------------------------------------------


def _exchanged(rows: Rows) -> Rows:
    """Give two volunteers one another's hours: every sum stays what it is."""
    names = np.array(rows.hours_volunteer, object)
    first, second = names == "V1", names == "V2"
    assert first.any()
    assert second.any()
    names[first], names[second] = "V2", "V1"
    return rows._replace(hours_volunteer=names)


def _without_an_honor(rows: Rows) -> Rows:
    return rows._replace(
        standing_volunteer=rows.standing_volunteer[1:],
        standing_honor=rows.standing_honor[1:],
        standings=rows.standings[1:],
    )


def _with_a_minute_more(rows: Rows) -> Rows:
    hours = rows.hours.copy()
    hours[hours[:, 0] == 2018, 2] += 1
    return rows._replace(hours=hours)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_exchanged, "volunteer_hours: volunteer V"),
        (_without_an_honor, "honor_standings: volunteer V"),
        (_with_a_minute_more, "hours by volunteer and by station differ"),
    ],
)
def test_a_replay_that_goes_wrong_is_not_switched_to(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Rows], Rows], said: str
) -> None:
    usual = rebuild_module.replay
    monkeypatch.setattr(rebuild_module, "replay", lambda *given: spoil(usual(*given)))
    before = current(ledger.database)
    with pytest.raises(VerificationError, match=said):
        rebuild(*ledger, NEW_RULES)
    assert current(ledger.database) == before
    assert schemas(ledger.database) == ["generation_1"]


def test_rows_that_do_not_arrive_are_missed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = store.copy_table

    def losing(connection: Any, name: Any, table: Any, *more: Any) -> None:
        usual(connection, name, table.slice(1), *more)

    monkeypatch.setattr(store, "copy_table", losing)
    with pytest.raises(VerificationError, match="volunteer_hours: rows stored"):
        rebuild(*ledger, NEW_RULES)
    assert schemas(ledger.database) == ["generation_1"]


def test_an_archive_with_a_hole_or_too_short_is_not_relied_on() -> None:
    verify_positions(9, [(1, 4), (5, 9)])
    verify_positions(0, [])
    for position, segments, said in (
        (9, [(2, 9)], "nothing at position 1"),
        (9, [(1, 4), (6, 9)], "nothing at position 5"),
        (9, [(1, 4), (4, 9)], "nothing at position 5"),
        (10, [(1, 4), (5, 9)], "ends at position 9, before the generation's 10"),
    ):
        with pytest.raises(VerificationError, match=said):
            verify_positions(position, segments)


# --- dropping -------------------------------------------------------------------------------------------------------


def _made(number: int, switched: int | None) -> store.Generation:
    at = None if switched is None else datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=switched)
    return store.Generation(number, 1, "digest", "text", 10, 0, switched_at=at)


def test_the_policy_keeps_the_current_one_those_before_it_and_the_latest_beside() -> None:
    assert (PREVIOUS_MAX, BESIDE_MAX) == (2, 3)
    found = [_made(1, 9), _made(2, 2), _made(3, 5), *(_made(n, None) for n in range(4, 8)), _made(8, 7)]
    assert reasons(found, 8) == {
        1: Retention.PREVIOUS,  # made first, but answered last before the current one
        2: Retention.SURPLUS,
        3: Retention.PREVIOUS,
        4: Retention.SURPLUS,
        5: Retention.BESIDE,
        6: Retention.BESIDE,
        7: Retention.BESIDE,
        8: Retention.CURRENT,
    }
    assert reasons([], None) == {}


def test_each_build_drops_what_the_policy_does_not_keep_unless_somebody_reads_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_LOCK_SECONDS_MAX", 1)
    for _ in range(PREVIOUS_MAX):
        rebuild(*ledger, NEW_RULES)
    assert schemas(ledger.database) == ["generation_1", "generation_2", "generation_3"]
    with ledger.database.pool.connection() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM generation_1.volunteer_hours")
        rebuild(*ledger, OLD_RULES)
        assert "generation_1" in schemas(ledger.database)
        found = {one.generation.id: one for one in retention.overview(ledger.database)}
        assert found[1].retention is Retention.SURPLUS
        with pytest.raises(GenerationInUseError, match="generation 1 is being read"):
            retention.drop(ledger.database, 1)
    assert found[4].retention is Retention.CURRENT
    assert found[4].rows["volunteer_hours"] == len(stored(ledger.database, current(ledger.database)).hours)
    assert found[4].size_bytes > 8192
    rebuild(*ledger, OLD_RULES)
    assert schemas(ledger.database) == ["generation_3", "generation_4", "generation_5"]


def test_the_one_that_answers_is_not_dropped_and_others_are(ledger: Ledger) -> None:
    rebuild(*ledger, NEW_RULES)
    with pytest.raises(GenerationInUseError, match="generation 2 is the current one"):
        retention.drop(ledger.database, 2)
    retention.drop(ledger.database, 1)
    assert schemas(ledger.database) == ["generation_2"]
    with pytest.raises(UnknownGenerationError):
        retention.drop(ledger.database, 1)
    follow_more(ledger.database)


# --- stopped and killed ---------------------------------------------------------------------------------------------


def _stopping(stage: str, call: int, ledger: Ledger, *, overtaken: bool) -> Progress:
    calls = 0

    def progress(told: str, _done: int, _in_all: int) -> None:
        nonlocal calls
        if told == CATCHING_UP and overtaken and ledger.database.log.head() < len(ALL):
            follow_more(ledger.database)
        calls += told == stage
        if told == stage and calls == call:
            raise StoppedError

    return progress


STEPS = [(stage, 1) for stage in STAGES if stage != FACTS] + [(WRITING, 3), (VERIFYING, 4), (CATCHING_UP, 2)]


def test_a_rebuild_that_is_stopped_leaves_nothing(ledger: Ledger) -> None:
    for stage, call in STEPS:
        with pytest.raises(StoppedError):
            rebuild(*ledger, NEW_RULES, progress=_stopping(stage, call, ledger, overtaken=(stage, call) == STEPS[-1]))
        assert (current(ledger.database).id, schemas(ledger.database)) == (1, ["generation_1"]), stage
    follow_more(ledger.database)  # nothing is locked
    holds(ledger.database, current(ledger.database), OLD_RULES, len(ALL))


def test_facts_that_were_being_made_anew_stay_as_they_were(ledger: Ledger) -> None:
    for stage, call in ((FACTS, 1), (FACTS, 4), (SWITCHING, 1)):
        stop = _stopping(stage, call, ledger, overtaken=False)
        with pytest.raises(StoppedError):
            rebuild(*ledger, NEW_RULES, new_facts=True, progress=stop)
    follow_more(ledger.database)  # which rests on the facts
    holds(ledger.database, current(ledger.database), OLD_RULES, len(ALL))


def test_a_switch_that_is_stopped_leaves_both_as_they_were(ledger: Ledger) -> None:
    live = rebuild(*ledger, NEW_RULES).generation
    follow_more(ledger.database)
    for stage in (READING, REPLAYING, CATCHING_UP, VERIFYING, SWITCHING):
        with pytest.raises(StoppedError):
            switch(*ledger, 1, progress=_stopping(stage, 1, ledger, overtaken=False))
        assert current(ledger.database).id == live.id
    with ledger.database.pool.connection() as connection:
        old = store.list_generations(connection)[0]
    holds(ledger.database, old, OLD_RULES, len(HISTORY))
    holds(ledger.database, switch(*ledger, 1), OLD_RULES, len(ALL))


@pytest.fixture
def killer(ledger: Ledger) -> Iterator[Callable[..., int]]:
    """A function that lets a process begin some work and kill itself at a step; it returns the signal."""
    with Program("-m", "tests.support.replay.killing", ledger.database.url, ledger.archive.folder) as process:

        def kill(work: str, stage: str, call: int, *, overtaken: bool) -> int:
            order = {"work": work, "stage": stage, "call": call, "overtaken": overtaken}
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield kill
        process.stdin.close()


def test_a_process_killed_at_any_step_leaves_the_live_generation_serving(
    ledger: Ledger, killer: Callable[..., int]
) -> None:
    database = ledger.database
    first = current(database)

    def dies(work: str, stage: str, call: int = 1, *, overtaken: bool = False) -> None:
        live, made = current(database), schemas(database)
        assert killer(work, stage, call, overtaken=overtaken) == 9, (work, stage)
        Follower(database).catch_up()  # waits until the server has noticed that the process is gone
        assert current(database).id == live.id, (work, stage)
        assert schemas(database) == made, (work, stage)

    for stage in STAGES:
        if stage != FACTS:
            dies("rebuild", stage)
    for stage in (FACTS, CATCHING_UP, VERIFYING, SWITCHING):
        dies("rebuild facts anew", stage)
    dies("rebuild facts anew", FACTS, 4)
    assert current(database) == first
    dies("rebuild", CATCHING_UP, 2, overtaken=True)  # from here on there is more in the log
    dies("rebuild", SWITCHING)
    holds(database, current(database), OLD_RULES, len(ALL))
    # Once it is committed, it answers, whatever becomes of whoever built it.
    assert killer("rebuild", AFTER_COMMIT, 1, overtaken=False) == 9
    live = current(database)
    holds(database, live, NEW_RULES, len(ALL))
    for stage in (READING, REPLAYING, CATCHING_UP, VERIFYING, SWITCHING):
        dies("switch", stage)
    holds(database, switch(*ledger, 1), OLD_RULES, len(ALL))
    holds(database, rebuild(*ledger, NEW_RULES).generation, NEW_RULES, len(ALL))


# --- from older programs --------------------------------------------------------------------------------------------


def test_read_models_of_an_older_program_are_made_anew(ledger: Ledger) -> None:
    with ledger.database.pool.connection() as connection:
        connection.execute(
            "ALTER TABLE replay.generations DROP COLUMN valid_at, DROP COLUMN layout, DROP COLUMN switched_at"
        )
        connection.execute(sql.SQL("DROP TABLE generation_1.project_activity"))
        connection.execute("DELETE FROM replay.shifts")
        connection.execute("DROP TABLE replay.merges")
        connection.execute("ALTER TABLE replay.stations DROP COLUMN opened_at, ADD PRIMARY KEY (station)")
        connection.execute("DELETE FROM ledger.parts WHERE part = 'replay'")  # it knew no versions
    store.create_tables(ledger.database)
    assert not current(ledger.database).readable
    with pytest.raises(store.NoGenerationError):
        build(*ledger, NEW_RULES)
    holds(ledger.database, rebuild(*ledger, OLD_RULES).generation, OLD_RULES, len(HISTORY))
    follow_more(ledger.database)
    holds(ledger.database, current(ledger.database), OLD_RULES, len(ALL))


def test_only_rows_that_differ_are_written_when_a_generation_catches_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild(*ledger, NEW_RULES)
    follow_more(ledger.database)
    copied: dict[str, set[str]] = {}
    usual = store.copy_table

    def counting(connection: Any, name: Any, table: Any, *more: Any) -> None:
        if "volunteer" in table.column_names:
            copied.setdefault(str(name), set()).update(table["volunteer"].to_pylist())
        usual(connection, name, table, *more)

    monkeypatch.setattr(store, "copy_table", counting)
    switch(*ledger, 1)
    assert set.union(*copied.values()) == {"V1", "V3", "V4"}
