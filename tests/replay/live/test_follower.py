"""The follower stops at what it cannot understand and says so; it never skips, and it survives a lost database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ledger.aggregates import Event
from ledger.names import Position
from ledger.store.database import Database
from projections.schema import STATION_KINDS
from replay.archive.archive import Archive
from replay.archive.manifest import ArchiveError
from replay.axes import as_known
from replay.cohorts.cohort import Cohort, read_cohort
from replay.generations import store
from replay.generations.rebuild import CATCHING_UP, VerificationError, rebuild
from replay.live.facts import volunteers_of_changed_stations
from replay.live.follower import Follower, OutdatedGenerationError
from replay.queries.queries import Axes, Queries, UnknownNameError
from tests.support.ledger.helpers import append_rows
from tests.support.oracle.histories import check_in, check_out, history, open_station, rule_set, rules
from tests.support.replay.replaying import append, as_rules, as_sets, empty, replayed

TIMELINE = rules(rule_set(day_minutes_max=480))
BEFORE = history("2018-12-04 09:00 in V1 U1 #1\n2018-12-04 12:00 out V1 U1 #1")
AFTER = history(
    "2018-12-04 09:00 in V1 U1 #1\n"
    "2018-12-04 12:00 out V1 U1 #1\n"
    "2018-12-05 10:00 correct V1 #1 check_out=2018-12-04T11:30"
)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail if it never does."""
    for _ in range(1_000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("waited in vain")


def position(database: Database) -> int:
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
    assert generation is not None
    return generation.position


@pytest.fixture
def started(database: Database, tmp_path: Path) -> tuple[Database, Archive, Counter[UUID]]:
    """A ledger of one shift with its read models."""
    archive = empty(database, tmp_path / "archive")
    versions: Counter[UUID] = Counter()
    append(database, BEFORE, versions)
    rebuild(database, archive, as_rules(TIMELINE))
    return database, archive, versions


def test_a_running_follower_shows_a_correction(started: tuple[Database, Archive, Counter[UUID]]) -> None:
    database, archive, versions = started
    queries = Queries(database, archive)
    assert queries.volunteer_hours("V1").total.credited_minutes == 180
    follower = Follower(database)
    follower.start()
    try:
        append(database, AFTER[len(BEFORE) :], versions)
        eventually(lambda: position(database) == len(AFTER))
    finally:
        follower.close()
    assert queries.volunteer_hours("V1").total.credited_minutes == 150


def test_a_follower_whose_connections_are_cut_goes_on(started: tuple[Database, Archive, Counter[UUID]]) -> None:
    database, _, versions = started
    follower = Follower(database)
    follower.start()
    try:
        with database.pool.connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        append(database, AFTER[len(BEFORE) :], versions)
        eventually(lambda: position(database) == len(AFTER))
    finally:
        follower.close()
    assert follower.alert is None


def test_a_poison_event_stops_the_follower_with_an_alert_and_is_never_skipped(
    started: tuple[Database, Archive, Counter[UUID]],
) -> None:
    database, _, versions = started
    append_rows(database, [(UUID(int=7), 1, "checked-in.v9", b"{}")])
    append(database, AFTER[len(BEFORE) :], versions)
    follower = Follower(database)
    follower.start()
    try:
        eventually(lambda: follower.alert is not None)
    finally:
        follower.close()
    assert follower.alert is not None
    assert "checked-in.v9" in follower.alert
    assert position(database) == len(BEFORE)


def test_read_models_of_another_version_of_the_program_are_not_followed(
    started: tuple[Database, Archive, Counter[UUID]],
) -> None:
    database, _, versions = started
    append(database, AFTER[len(BEFORE) :], versions)
    with database.pool.connection() as connection:
        connection.execute("UPDATE replay.generations SET layout = 'older'")
    with pytest.raises(OutdatedGenerationError, match="run `hours rebuild`"):
        Follower(database).catch_up()
    assert position(database) == len(BEFORE)


def test_two_followers_count_nothing_twice(started: tuple[Database, Archive, Counter[UUID]]) -> None:
    database, _, versions = started
    followers = [Follower(database) for _ in range(2)]
    for follower in followers:
        follower.start()
    try:
        append(database, AFTER[len(BEFORE) :], versions)
        eventually(lambda: position(database) == len(AFTER))
    finally:
        for follower in followers:
            follower.close()
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
        assert generation is not None
        found = store.read_rows(connection, generation)
    assert as_sets(found) == as_sets(replayed(AFTER, as_rules(TIMELINE)))


def test_a_rebuild_beside_a_follower_that_moved_on_catches_up_before_it_answers(
    started: tuple[Database, Archive, Counter[UUID]],
) -> None:
    database, archive, versions = started
    other = as_rules(rules(rule_set(day_minutes_max=60)), version=2)

    def meanwhile(stage: str, _done: int, _in_all: int) -> None:
        if stage == CATCHING_UP and database.log.head() == len(BEFORE):
            append(database, AFTER[len(BEFORE) :], versions)
            assert Follower(database).catch_up() == len(AFTER)

    built = rebuild(database, archive, other, progress=meanwhile)
    assert built.generation.position == len(AFTER)
    with database.pool.connection() as connection:
        found = store.read_rows(connection, built.generation)
    assert as_sets(found) == as_sets(replayed(AFTER, other))
    assert built.generation.checksum == found.checksum()


def test_a_rebuild_that_fails_leaves_the_live_generation_and_nothing_else(
    started: tuple[Database, Archive, Counter[UUID]],
) -> None:
    database, archive, _ = started
    with database.pool.connection() as connection:
        live = store.current_generation(connection)
        assert live is not None
        # A generation whose rows are not what its rules make: the rebuild under the same rules must not agree.
        connection.execute("UPDATE replay.generations SET checksum = checksum + 1")
    with pytest.raises(VerificationError, match="the same rules gave checksum"):
        rebuild(database, archive, as_rules(TIMELINE))
    with database.pool.connection() as connection:
        assert [generation.id for generation in store.list_generations(connection)] == [live.id]
        schemas = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'generation_%'").fetchone()
    assert schemas == (1,)


def test_a_volunteer_is_answered_as_known_at_any_position(started: tuple[Database, Archive, Counter[UUID]]) -> None:
    database, archive, versions = started
    append(database, AFTER[len(BEFORE) :], versions)
    Follower(database).catch_up()
    queries, usual = Queries(database, archive), as_rules(TIMELINE)
    before = queries.volunteer_hours("V1", Axes(known_at=database.log.position_at(BEFORE[-1].recorded_at), rules=usual))
    assert (before.total.credited_minutes, before.known_at) == (180, len(BEFORE))
    assert queries.volunteer_hours("V1").total.credited_minutes == 150
    assert queries.volunteer_hours("V1", Axes(valid_at=date(2018, 12, 3))).total.credited_minutes == 0
    strict = as_rules(rules(rule_set(day_minutes_max=60)), version=0)
    assert queries.volunteer_hours("V1", Axes(rules=strict)).total.credited_minutes == 60
    day = date(2018, 12, 4)
    for axes, minutes in (
        (Axes(), 150),
        (Axes(known_at=Position(before.known_at), rules=usual), 180),
        (Axes(rules=strict), 60),
    ):
        assert queries.station_activity("U1", day, day, axes).credited_minutes == minutes
    with pytest.raises(UnknownNameError, match="volunteer V1 is not known"):
        queries.volunteer_hours("V1", Axes(known_at=Position(0), rules=strict))


NIGHT = rules(rule_set(factors=[{"name": "city", "percent": 200, "station_kinds": ["city"]}]))
CITY = history("2018-12-03 09:00 open U1 city\n2018-12-04 09:00 in V1 U1 #1\n2018-12-04 10:00 out V1 U1 #1")


def reopened(moment: str) -> list[Event]:
    return [*CITY, open_station("U1", "community", moment)]


@pytest.mark.parametrize(
    ("moment", "minutes"),
    [
        ("2018-12-05T00:00+08:00", 120),  # only service from that day on changes
        ("2018-12-04T23:59+08:00", 60),  # the day's service changes, whatever the hour
        ("2018-12-02T09:00+08:00", 120),  # a first opening recorded later; the city station was opened after it
    ],
)
def test_a_station_that_reopens_as_another_kind_changes_service_from_its_day_on(
    database: Database, tmp_path: Path, moment: str, minutes: int
) -> None:
    events = reopened(moment)
    archive, versions, usual = empty(database, tmp_path / "archive"), Counter[UUID](), as_rules(NIGHT)
    append(database, CITY, versions)
    rebuild(database, archive, usual)
    queries = Queries(database, archive)
    known_at = Axes(known_at=Position(len(CITY)), rules=usual)
    assert queries.volunteer_hours("V1").total.credited_minutes == 120
    append(database, events[len(CITY) :], versions)
    assert Follower(database).catch_up() == len(events)
    assert queries.volunteer_hours("V1").total.credited_minutes == minutes
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
        assert generation is not None
        assert as_sets(store.read_rows(connection, generation)) == as_sets(replayed(events, usual))
    # What the ledger knew before is what it was, for the volunteer as for the station.
    day = date(2018, 12, 4)
    assert queries.volunteer_hours("V1", known_at).total.credited_minutes == 120
    assert queries.station_activity("U1", day, day, known_at).credited_minutes == 120


def test_a_reopening_reads_only_those_who_served_there_since(database: Database, tmp_path: Path) -> None:
    def served(volunteer: str, day: str) -> list[Event]:
        morning, noon = f"{day}T09:00+08:00", f"{day}T12:00+08:00"
        return [check_in(volunteer, "U1", morning), check_out(volunteer, "U1", noon)]

    events = [open_station("U1", "city"), *served("V1", "2016-12-05"), *served("V2", "2018-12-05")]
    versions, usual = Counter[UUID](), as_rules(NIGHT)
    archive = empty(database, tmp_path / "archive")
    append(database, events, versions)
    rebuild(database, archive, usual)
    later = [open_station("U1", kind, "2018-12-05T12:00+08:00") for kind in ("city", "special", "community")]
    with database.pool.connection() as connection:
        for opened, volunteers in ((later[:1], []), (later[1:], ["V2"]), (later[1:] + later[:1], [])):
            assert volunteers_of_changed_stations(connection, opened, NIGHT) == volunteers
    append(database, later, versions)
    Follower(database).catch_up()
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
        assert generation is not None
        assert as_sets(store.read_rows(connection, generation)) == as_sets(replayed([*events, *later], usual))
        kinds = connection.execute("SELECT kind FROM replay.stations WHERE opened_at > 1500000000").fetchall()
    assert kinds == [(STATION_KINDS["community"],)]


def test_a_rebuild_that_a_reopened_station_overtakes_catches_up_with_all_who_served_there(
    database: Database, tmp_path: Path
) -> None:
    events = reopened("2018-12-04T08:00+08:00")
    archive, versions, usual = empty(database, tmp_path / "archive"), Counter[UUID](), as_rules(NIGHT)
    append(database, CITY, versions)
    rebuild(database, archive, usual)

    def meanwhile(stage: str, _done: int, _in_all: int) -> None:
        if stage == CATCHING_UP and database.log.head() == len(CITY):
            append(database, events[len(CITY) :], versions)
            Follower(database).catch_up()

    built = rebuild(database, archive, as_rules(NIGHT, version=2), progress=meanwhile)
    with database.pool.connection() as connection:
        assert as_sets(store.read_rows(connection, built.generation)) == as_sets(replayed(events, usual))


def test_an_answer_rests_on_one_position_whatever_is_committed_meanwhile(
    started: tuple[Database, Archive, Counter[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, archive, versions = started
    append(database, AFTER[len(BEFORE) :], versions)

    def late(connection: psycopg.Connection[tuple[object, ...]], volunteers: list[str]) -> Cohort:
        Follower(database).catch_up()  # commits between the generation's row and the volunteer's
        return read_cohort(connection, volunteers)

    monkeypatch.setattr(as_known, "read_cohort", late)
    answer = Queries(database, archive).volunteer_hours("V1")
    assert (answer.position, answer.total.credited_minutes) == (len(BEFORE), 180)


def test_an_archive_that_has_become_too_short_never_passes_for_the_whole_history(
    started: tuple[Database, Archive, Counter[UUID]],
) -> None:
    database, archive, _ = started
    with pytest.raises(ArchiveError, match="ends at position 4, before 5: bring it up to date"):
        archive.facts(until=len(BEFORE) + 1)
    assert archive.facts(until=len(BEFORE)) is not None
    assert position(database) == len(BEFORE)


def test_minutes_and_people_beyond_32_bits_are_counted(database: Database, tmp_path: Path) -> None:
    lines = [f"2018-12-0{1 + n % 4} 09:00 served U1 2018-12-01 100000000 project=P{n}" for n in range(30)]
    events = history("\n".join(lines))
    archive, versions, usual = empty(database, tmp_path / "archive"), Counter[UUID](), as_rules(TIMELINE)
    append(database, events[:-3], versions)
    rebuild(database, archive, usual)
    append(database, events[-3:], versions)
    assert Follower(database).catch_up() == len(events)
    day = date(2018, 12, 1)
    assert Queries(database, archive).station_activity("U1", day, day).people_served == 30 * 100_000_000
    rebuild(database, archive, usual, new_facts=True)
