"""`hours history`, `hours disputes` and `hours requests`, and keys of volunteers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from api.operations.service import OpenLedger
from ledger.store.database import Database
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import give, stock

pytest_plugins = ["tests.support.api.fixtures"]

ABOUT: dict[str, Any] = {"volunteer": "V0000001", "shift": str(UUID(int=1)), "reason": "checked"}


@pytest.fixture(scope="module")
def ledger_of_cases(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The URL and data directory of a ledger with a dispute, a request, and an approved act."""
    url, data = new_database_url(), tmp_path_factory.mktemp("cases")
    with Database.open(url) as database:
        ledger = OpenLedger(database, data)
        stock(ledger)
        give(ledger, "dispute-shift", **ABOUT, occurred_at="2018-12-03T10:00:00+08:00", text="Until noon.")
        give(ledger, "void-shift", **{**ABOUT, "shift": str(UUID(int=2))})
        give(ledger, "reinstate-shift", **{**ABOUT, "shift": str(UUID(int=2))})
        give(ledger, "request-act", request="r1", act="void-shift", fields=ABOUT)
    return url, data


@pytest.fixture
def cases(
    ledger_of_cases: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line on that ledger."""
    monkeypatch.setenv("DATABASE_URL", ledger_of_cases[0])
    return CommandLine(ledger_of_cases[1], capsys)


def test_a_history_is_shown_with_before_and_after(cases: CommandLine) -> None:
    shown = cases("history", "V0000001").out
    assert "2018-12-02: check-out 12:00 → 11:00, \N{MINUS SIGN}60 min" in " ".join(shown.replace("│", " ").split())
    assert "3:00 → 2:00" in shown
    assert "person:test, approved by" in " ".join(shown.replace("│", " ").split())
    assert "checked: Until noon." in shown
    told = json.loads(cases("history", "V0000001", "--json").out)
    assert [act["minutes"]["change"] for act in told["acts"] if act["minutes"]] == [-60, -120, 120]
    page = json.loads(cases("history", "V0000001", "--limit", "2", "--json").out)
    assert page["next_after"] == page["acts"][-1]["position"]
    assert f"more: --after {page['next_after']}" in cases("history", "V0000001", "--limit", "2").out


def test_what_waits_is_listed_with_who_is_to_act(cases: CommandLine) -> None:
    shown = " ".join(cases("worklist", "--valid-at", "2030-01-01").out.replace("│", " ").split())
    assert "Worklist on 2030-01-01: 2, 1 overdue" in shown
    assert "a dispute to be answered" in shown
    assert "approver, staff; not person:test" in shown
    told = json.loads(cases("worklist", "--json", "--kind", "request").out)
    assert [(one["request"], one["roles"]) for one in told["items"]] == [("r1", ["approver", "staff", "admin"])]
    page = json.loads(cases("worklist", "--limit", "1", "--json").out)
    assert f"more: --after {page['next_after']}" in cases("worklist", "--limit", "1").out
    rest = json.loads(cases("worklist", "--after", page["next_after"], "--json").out)
    assert [one["kind"] for one in (*page["items"], *rest["items"])] == ["dispute", "request"]
    assert cases("worklist", "--kind", "shift").sentence.endswith("open-shift, request, dispute, undercut-award")
    assert "station nowhere is not known" in cases("worklist", "--station", "nowhere").sentence
    assert "organisation nobody is not known" in cases("worklist", "--organisation", "nobody").sentence


def test_disputes_are_shown_with_their_due_dates(cases: CommandLine) -> None:
    shown = cases("disputes", "--valid-at", "2018-12-11").out
    assert "Disputes on 2018-12-11" in shown
    assert all(text in shown for text in ("2018-12-10", "2018-12-24", "answer overdue", "checked: Until noon."))
    assert json.loads(cases("disputes", "--overdue", "--valid-at", "2018-12-10", "--json").out)["disputes"] == []
    assert len(json.loads(cases("disputes", "--overdue", "--station", "C01", "--json").out)["disputes"]) == 1


def test_requests_are_shown_with_what_is_asked_for(cases: CommandLine) -> None:
    shown = cases("requests", "--state", "open").out
    told = json.loads(cases("requests", "--json").out)["requests"]
    assert re.fullmatch("2018-12-0[0-9]: void no → yes, \N{MINUS SIGN}[0-9]+ min", told[-1]["sentence"])
    assert told[-1]["fields"]["reason"] in shown
    assert (told[-1]["before"], told[-1]["after"]) == ({"void": False}, {"void": True})
    assert told[-1]["sentence"] in " ".join(shown.replace("│", " ").split())
    assert [(one["act"], one["state"]) for one in told] == [
        ("correct-shift", "approved"),
        ("void-shift", "approved"),
        ("reinstate-shift", "approved"),
        ("void-shift", "open"),
    ]
    assert told[0]["before"] == {"check_out": "2018-12-02T12:00:00+08:00"}
    assert told[0]["after"] == {"check_out": "2018-12-02T11:00:00+08:00"}
    assert (told[0]["minutes"], told[0]["sentence"]) == (
        -60,
        "2018-12-02: check-out 12:00 → 11:00, \N{MINUS SIGN}60 min",
    )


def test_read_models_are_the_same_when_all_of_it_is_replayed(cases: CommandLine) -> None:
    cases("history", "V0000001")  # which brings them up to the log
    before = json.loads(cases("generations", "--json").out)["generations"][-1]
    assert cases("rebuild", "--new-facts", "--new-archive").code == 0
    after = json.loads(cases("generations", "--json").out)["generations"][-1]
    assert after["id"] != before["id"]
    assert (after["position"], after["checksum"]) == (before["position"], before["checksum"])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ("disputes", "--state", "late"),
            "--state late is not a state of a dispute; use one of open, answered, settled",
        ),
        (("requests", "--state", "late"), "--state late is not a state of a request; use one of open, approved"),
        (("history", "V9999999"), "volunteer V9999999 is not known to the ledger"),
        (("keys", "make", "--role", "staff", "--name", "anna", "--volunteer", "V9"), "--volunteer V9 is not a known"),
        (("keys", "make", "--role", "station", "--name", "C01", "--volunteer", "V0000001"), "--volunteer is for staff"),
    ],
)
def test_a_mistake_is_a_sentence(cases: CommandLine, command: tuple[str, ...], said: str) -> None:
    told = cases(*command)
    assert told.code == 2
    assert said in told.sentence


def test_a_key_of_a_volunteer_is_listed_as_such(cases: CommandLine) -> None:
    made = cases("keys", "make", "--role", "approver", "--name", "chen.jie", "--volunteer", "V0000002", "--json")
    assert json.loads(made.out)["volunteer"] == "V0000002"
    assert [one["volunteer"] for one in json.loads(cases("keys", "list", "--json").out)] == ["V0000002"]
