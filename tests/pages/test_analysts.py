"""The page for analysts: its code runs, prints what is shown, and agrees with the ledger's own numbers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from api.axes.written import candidate
from api.operations.service import OpenLedger, open_ledger
from ledger.aggregates import Event
from ledger.aggregates.shift import CheckedIn, CheckedOut, ShiftCorrected
from ledger.names import Position
from ledger.store.mapper import decode
from projections.schema import OTHER_CODES, SHIFT_CODES
from replay.archive.segments import SCHEMAS
from replay.queries.queries import NOW, Axes
from tests.support.pages.analysts import PAGE, Block, run, trimmed
from tests.support.pages.readme import agrees

TEXT = PAGE.read_text("utf-8")
SHANGHAI = timezone(timedelta(hours=8))


class Notebook(NamedTuple):
    """The page as it ran: its blocks, what they defined, and the ledger they ran on."""

    blocks: list[Block]
    names: dict[str, Any]
    ledger: OpenLedger
    events: list[Event]

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        """Return the rows of a DuckDB result."""
        found: list[tuple[Any, ...]] = self.names[name].fetchall()
        return found


@pytest.fixture(scope="module")
def notebook(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """The page, run once from top to bottom."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", new_database_url())
        patch.chdir(tmp_path_factory.mktemp("analysts"))
        ran = list(run(TEXT))
        with open_ledger(Path("data")) as ledger:
            logged = ledger.log.read(Position(0), 1_000_000)
            events = [decode(each.topic, each.state) for each in logged]
            yield Notebook([block for block, _ in ran], ran[-1][1], ledger, events)


def came(event: Event) -> datetime:
    return datetime.fromtimestamp(event.occurred_at, SHANGHAI)


def test_every_block_prints_what_is_shown(notebook: Notebook) -> None:
    assert len(notebook.blocks) > 15
    for block in notebook.blocks:
        shown, printed = block.shown, trimmed(block.printed)
        assert agrees(shown, printed), f"{block.code}\n{printed}\n--- shown:\n{shown}"


def test_every_file_and_column_is_described() -> None:
    schema = TEXT[TEXT.index("## What is in them") : TEXT.index("**Tables of a replay**")]
    for file, columns in SCHEMAS.items():
        assert file in schema
        for column in columns:
            assert f"`{column.name}`" in schema, (file, column.name)
            assert str(column.type).split("[")[0].replace("fixed_size_binary", "16 bytes") in schema
    for code in {*SHIFT_CODES.values(), *OTHER_CODES.values()}:
        assert re.search(rf"\b{code} [a-z]", schema), code


def test_the_files_of_a_replay_are_described(notebook: Notebook) -> None:
    schema = TEXT[TEXT.index("**Tables of a replay**") : TEXT.index("## DuckDB")]
    duckdb = notebook.names["duckdb"]
    for path in Path("replayed").glob("*.parquet"):
        assert path.name in schema
        described = schema if path.stem == "project_activity" else schema.split(path.name)[1].split("\n")[0]
        for column in duckdb.read_parquet(str(path)).columns:
            assert column in described, (path.name, column)


def test_scans_are_those_of_the_log(notebook: Notebook) -> None:
    hours = Counter(
        (came(event).hour, came(event).isoweekday() > 5)
        for event in notebook.events
        if isinstance(event, CheckedIn) and event.station == "C01" and came(event).year == 2018
    )
    found = notebook.rows("busiest")
    assert len(found) == 5
    for hour, on_working_days, at_weekends in found:
        assert (hours[hour, False], hours[hour, True]) == (on_working_days, at_weekends)
    delays: defaultdict[str, list[int]] = defaultdict(list)
    for event in notebook.events:
        if isinstance(event, CheckedIn | CheckedOut) and event.evidence is None:
            delays[event.station].append(event.recorded_at - event.occurred_at)
    for station, scanned, late, _, latest in notebook.rows("late"):
        expected = (len(delays[station]), sum(delay > 3600 for delay in delays[station]), max(delays[station]))
        assert (scanned, late, latest.total_seconds()) == expected


def test_corrections_are_those_of_the_log(notebook: Notebook) -> None:
    corrections = [event for event in notebook.events if isinstance(event, ShiftCorrected)]
    assert {row[0]: row[1] for row in notebook.rows("corrected")} == Counter(each.reason for each in corrections)
    shifts = {
        (event.volunteer, event.shift)
        for event in notebook.events
        if isinstance(event, CheckedIn) and f"{came(event):%Y-%m}" == "2017-12"
    }
    new_year = datetime(2018, 1, 1, tzinfo=SHANGHAI).timestamp()
    now = {(each.volunteer, each.shift) for each in corrections} & shifts
    then = {(each.volunteer, each.shift) for each in corrections if each.recorded_at < new_year} & shifts
    assert notebook.rows("december") == [(len(shifts), len(then), len(now))]
    assert 0 < len(then) < len(now)


def test_volunteers_are_those_of_the_log(notebook: Notebook) -> None:
    years: defaultdict[int, set[str]] = defaultdict(set)
    for event in notebook.events:
        if isinstance(event, CheckedIn):
            years[came(event).year].add(event.volunteer)
    seen: set[str] = set()
    for row in notebook.names["by_year"].iter_rows(named=True):
        there = years.pop(row["year"])
        assert (row["volunteers"], row["for_the_first_time"]) == (len(there), len(there - seen))
        seen |= there
    assert not years


def test_people_served_are_those_of_the_read_models(notebook: Notebook) -> None:
    served = notebook.names["served"]
    with notebook.ledger.queries.snapshot() as (connection, generation):
        rows = connection.execute(
            f"SELECT station, extract(year FROM day)::int, sum(people_served)::int "  # noqa: S608 - the test's own names
            f"FROM {generation.schema}.station_activity GROUP BY 1, 2"
        ).fetchall()
    assert {(station, year): people for station, year, people in rows if people} == {
        (station, year): served.loc[station, year]
        for station in served.index
        for year in served.columns
        if served.loc[station, year]
    }


def test_hours_are_those_of_the_read_models(notebook: Notebook) -> None:
    queries = notebook.ledger.queries
    for station, days, shifts, hours, _ in notebook.rows("stations"):
        activity = queries.station_activity(station, date(2018, 1, 1), date(2018, 12, 31))
        assert (shifts, hours) == (activity.shifts, activity.credited_minutes // 60)
        assert days == sum(day.shifts > 0 for day in activity.days)
    strict = Axes(rules=candidate(Path("strict.toml").read_text("utf-8")))
    losses = sorted(notebook.rows("losses"), key=lambda row: -row[3])
    assert len(losses) > 10
    for volunteer, *expected in losses[:2]:
        now, then = (queries.volunteer_hours(volunteer, axes).total.credited_minutes for axes in (NOW, strict))
        assert [now, then, now - then] == expected
    standings = notebook.names["standings"]
    for honor in queries.honors():
        found = queries.standings(honor, date(2100, 1, 1), limit=1)
        assert found.count == (standings["honor"] == honor).sum(), honor
