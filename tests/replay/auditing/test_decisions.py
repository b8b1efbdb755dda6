"""Decisions are repeated from the events alone: every command there is, and random histories, give no finding."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api.access.roles import Role
from ledger.aggregates import COMMANDS, EVENTS
from ledger.aggregates.scans import SCANS, Scan
from ledger.intake.intake import Intake
from ledger.names import Position
from ledger.store.database import Database
from replay.auditing.chunks import Job, check_chunk
from replay.auditing.deciding.content import Content
from replay.auditing.deciding.decisions import Decisions, PastStreams, shift_streams
from replay.auditing.deciding.orders import COMMAND_OF
from replay.auditing.findings import Finding
from replay.auditing.streams import index_streams
from replay.bundles.layout import entries_path
from replay.progress import ignore
from replay.proof.entries import bundle_of, entry_of
from replay.proof.tree import TILE_WIDTH
from tests.api.writes.test_commands import OF_APPROVER, a_year_in_the_life
from tests.ledger.decisions.test_effects import ROWS, rules
from tests.ledger.decisions.test_effects import WORLD as EFFECTS_WORLD
from tests.ledger.intake.test_effects import Taker
from tests.ledger.intake.test_intake import CHECK_IN, CHECK_OUT, WORLD, order
from tests.ledger.intake.test_intake import COMMANDS as GIVEN
from tests.support.api.serving import Served
from tests.support.ledger.helpers import NOW

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture(scope="module")
def served(served_alone: Served) -> Served:
    """A ledger of these tests' own: all of its decisions are repeated."""
    return served_alone


def repeat(database: Database, folder: Path) -> list[Finding]:
    """Return what is found when all decisions of a log are repeated."""
    entries = [entry_of(event) for event in database.log.read(Position(0), 100_000)]
    size = len(entries)
    for number in range(-(-size // TILE_WIDTH)):
        path = folder / entries_path(number, size)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle_of(entries[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]))
    chunk = check_chunk(Job(str(folder), size, (size,)), 0)
    index, findings = index_streams([(chunk.streams, chunk.versions)])
    content = Content(folder, size)
    content.known.update((each.position, (each.topic, each.state)) for each in chunk.events)
    content.read_ahead(index, shift_streams(chunk.events), ignore)
    decisions = Decisions(PastStreams(index, content))
    decisions.repeat(chunk.events, size)
    decisions.repeated.check_first_uses(chunk.first_uses, 0)
    of_chunk = [finding for finding in chunk.findings if "tile" not in finding.what]
    return [*of_chunk, *findings, *decisions.repeated.finished(0)]


def test_every_event_has_its_command_and_every_command_an_event() -> None:
    assert set(COMMAND_OF) == set(EVENTS.values())
    several = {"attest-shift", "move-shift"}
    """They begin with the same events as others."""
    assert {command.TYPE for command in COMMAND_OF.values()} | several == set(COMMANDS)


def test_every_command_that_was_accepted_over_http_had_to_be(served: Served, tmp_path: Path) -> None:
    given = a_year_in_the_life(served)
    for command_type, body in given:
        role = Role.APPROVER if command_type in OF_APPROVER else Role.STAFF
        role = Role.ADMIN if command_type == "settle-honor-objection" else role
        role = Role.STATION if command_type in SCANS else role
        answer = served.command(command_type, role, key=str(uuid4()), **body)
        assert answer.status_code == 201, (command_type, answer.text)
    assert repeat(served.ledger.database, tmp_path) == []


@pytest.mark.parametrize("seed", range(3))
def test_what_a_random_history_accepted_had_to_be(database: Database, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seeded shuffle
    intake = Intake(database, clock=lambda: NOW)
    commands = [*WORLD, *chance.choices(GIVEN, k=400), *chance.choices([CHECK_IN, CHECK_OUT], k=50)]
    intake.execute(
        [
            order(command, str(number), by=f"station:{command.station}" if isinstance(command, Scan) else "person:p1")
            for number, command in enumerate(commands, 1)
        ]
    )
    assert repeat(database, tmp_path) == []


def test_what_the_rules_about_effects_accepted_had_to_be(database: Database, tmp_path: Path) -> None:
    taker = Taker(database)
    for number, (settings, name, given, command, _) in enumerate(ROWS[::4]):
        for each in [*EFFECTS_WORLD, *given, rules(settings), command]:
            taker.take(each)
        assert repeat(database, tmp_path / str(number)) == [], (settings, name)
        taker.begin_again()


def test_a_decision_that_had_to_be_refused_names_the_rule(database: Database, tmp_path: Path) -> None:
    """The same history without the registration of its volunteer."""
    intake = Intake(database, clock=lambda: NOW)
    intake.execute([order(command, str(number), by="person:p1") for number, command in enumerate(WORLD, 1)])
    intake.execute([order(CHECK_IN, "in")])
    with database.pool.connection() as connection:
        rows: list[Any] = connection.execute(
            "SELECT notification_id FROM ledger.stored_events WHERE topic = 'volunteer-registered.v1'"
        ).fetchall()
        for (position,) in rows:
            connection.execute(
                "UPDATE ledger.stored_events SET originator_id = gen_random_uuid() WHERE notification_id = %s",
                (position,),
            )
    found = repeat(database, tmp_path)
    assert any("a scan of a volunteer that was not known was accepted" in each.what for each in found), found
