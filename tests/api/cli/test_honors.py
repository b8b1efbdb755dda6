"""`hours honors`: the life of an award at the command line; tables for people, JSON for machines, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.operations import service
from ledger.store.database import Database
from tests.support.api.command_line import CommandLine
from tests.support.api.conferring import ANNOUNCED, BUSY, FAR, GIVEN, NEAR, Clock, shift_id, stock

pytest_plugins = ["tests.support.api.fixtures"]

OFFICER, OTHER = ("--by", "person:li"), ("--by", "person:wu")
AWARD = f"star-1-{NEAR}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every command: it stands on the day on which honours are announced."""
    clock = Clock(ANNOUNCED)
    opened = service.OpenLedger

    def open_ledger(database: Database, data: Path) -> service.OpenLedger:
        return opened(database, data, clock)

    monkeypatch.setattr(service, "OpenLedger", open_ledger)
    return clock


@pytest.fixture
def conferring(hours: CommandLine, database: Database, clock: Clock) -> CommandLine:
    """The command line on a ledger in which three volunteers have reached a star."""
    stock(service.OpenLedger(database, hours.data))  # by the clock
    return hours


def test_an_award_s_life_at_the_command_line(conferring: CommandLine, clock: Clock) -> None:
    hours = conferring
    assert "3 eligible and not awarded" in hours("honors", "eligible", "star-1").out
    tried = hours("honors", "announce", "star-1", "--all-eligible", "--dry-run", "--json").answer
    assert (tried["accepted"], hours("honors", "notices", "--json").answer["count"]) == (3, 0)
    told = hours("honors", "announce", "star-1", "--all-eligible", *OFFICER)
    assert told.code == 0, told.err
    assert "star-1: 3 announced, 0 refused, 0 skipped" in told.out
    assert hours("honors", "notices").out.count("2018-12-11") == 3
    asked = hours.data / "request.jsonl"
    asked.write_text(
        '{"specversion": "1.0", "id": "0", "source": "/desk", "type": "org.service-hours.request-act.v1", "data": '
        f'{{"request": "r-1", "act": "void-shift", "fields": {{"volunteer": "{NEAR}", "shift": "{shift_id(1)}", '
        '"reason": "spot-check"}}}'
    )
    assert hours("post", asked).code == 0
    pending = hours("overview", NEAR).out
    assert [said in pending for said in ("Waiting for approval", "r-1", "Announced", AWARD, "2018-12-11")] == [True] * 5
    assert "recorded at position" in hours("honors", "object", AWARD, "--reason", "hours-doubted", *OTHER).out
    assert "1: hours-doubted" in hours("honors", "notices").out

    early = hours("honors", "award", "star-1", "--volunteer", FAR, *OFFICER)
    assert early.code == 1  # refused by the ledger
    assert "its public notice has not ended" in early.out
    clock.move_to(GIVEN)
    assert "has ended" in hours("honors", "notices").out
    done = hours("honors", "award", "star-1", "--all-due", *OFFICER, "--json").answer
    assert sorted(one["recipient"] for one in done["outcomes"]) == [FAR, BUSY]
    settle = ("honors", "settle", AWARD, "--outcome", "rejected", "--reason", "seen-by-others")
    assert "may not settle the objection" in hours(*settle, *OFFICER).sentence
    assert hours(*settle, "--by", "person:chen").code == 0
    assert hours("honors", "award", "star-1", "--volunteer", NEAR, *OFFICER).code == 0

    listed = hours("honors", "list", "--state", "awarded", "--for", NEAR, "--json").answer
    assert [one["award"] for one in listed["awards"]] == [AWARD]
    life = hours("honors", "show", AWARD).out
    assert [topic in life for topic in ("honor-announced.v1", "honor-objection-settled.v1", "honor-awarded.v1")]
    assert "0 of 3 awards are undercut" in hours("honors", "undercut").out
    approval = hours.data / "approval.jsonl"
    approval.write_text(
        '{"specversion": "1.0", "id": "1", "source": "/desk", "type": "org.service-hours.approve-act.v1", "data": '
        '{"request": "r-1"}}'
    )
    assert hours("post", approval, "--by", "person:chen").code == 0
    undercut = hours("honors", "undercut").out
    assert "1 of 3 awards are undercut" in undercut
    assert "101:20" in undercut  # what the evidence named
    assert "98:20" in undercut  # and what holds
    shown = hours("honors", "show", AWARD, "--as-given").out
    assert "they agree" in shown
    revoke = ("honors", "revoke", AWARD, "--reason", "hours-voided", *OFFICER)
    stale = hours(*revoke, "--expected-version", "1").sentence
    assert stale.startswith(f"award {AWARD} has version 4, not 1: ")
    assert hours(*revoke, "--expected-version", "4", "--json").answer["award"] == AWARD
    assert "0 of 2 awards are undercut" in hours("honors", "undercut").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("announce", "star-1"), "name exactly one of --volunteer, --project and --all-eligible"),
        (("award", "star-1", "--all-due", "--volunteer", "V1"), "one of --volunteer, --project and --all-due"),
        (("announce", "star-9", "--all-eligible"), "honor star-9 is not known to the ledger; check the id"),
        (("announce", "star-1", "--volunteer", "V0000001"), "V0000001 has not reached star-1; see who is eligible"),
        (("announce", "top-hundred", "--all-eligible"), "top-hundred is awarded for a year; name the year"),
        (("announce", "star-1", "--volunteer", "V0000002", "--by", "li"), "--by li is not an actor; write person:NAME"),
        (("award", "star-1", "--volunteer", "V0000002"), "star-1 is not announced for V0000002; announce it first"),
        (("award", "star-1", "--all-due", "--awarded-on", "soon"), "--awarded-on soon is not a day"),
        (("object", "A1", "--reason", "x"), "award A1: no honour was announced under this award id; announce it first"),
        (("settle", "A1", "--outcome", "so-so", "--reason", "x"), "outcome should be 'upheld' or 'rejected'"),
        (("show", "A1"), "award A1 is not known to the ledger; check the id"),
        (
            ("list", "--state", "lost"),
            "--state lost is not a state of an award; use announced, objected, rejected, awarded or",
        ),
    ],
)
def test_a_mistake_is_told_in_a_sentence(reads: CommandLine, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in reads("honors", *words).sentence
