"""Approval binds hours by every way in: over HTTP as a command, an event, a batch and a stream, by `hours post`, and by
`hours import`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from api.access.roles import Role
from api.http.app import create_app
from api.operations.service import DEFAULT_RULES, OpenLedger, open_ledger, running
from ledger.store.database import Database
from tests.api.access.test_senders import WAYS, Key, Way, event_of
from tests.support.api.command_line import CommandLine
from tests.support.api.importing import SHIFT_COLUMNS, SHIFTS, write_csv
from tests.support.api.serving import KEY_NAMES, STATION, Served, found, give

pytest_plugins = ["tests.support.api.fixtures"]

NINE, HALF_PAST, FIVE = (f"2018-12-04T{clock}:00+08:00" for clock in ("09:00", "09:30", "17:00"))


def rules(effects: str) -> str:
    """Return the shipped rules with other settings of approvals: late entries by type, and the given effects."""
    text = DEFAULT_RULES.read_text("utf-8")
    begins, ends = text.index("[approvals]"), text.index("# Disputes")
    return f'{text[:begins]}[approvals]\nkinds = ["attest-shift"]\n{effects}\n\n{text[ends:]}'


EFFECTS = ["approved_records = true", "shift_minutes_more = 30", "person_day_minutes_more = 30"]


@pytest.fixture(scope="module", params=EFFECTS)
def bound(
    request: pytest.FixtureRequest, new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A served ledger whose rules name one effect, and no type of act but late entries."""
    with Database.open(new_database_url()) as database:
        ledger = OpenLedger(database, tmp_path_factory.mktemp("data"))
        found(ledger)
        give(ledger, "publish-rules", text=rules(request.param))
        tokens = {role: ledger.keys.make(role, KEY_NAMES.get(role, role.value))[1] for role in Role}
        with running(ledger) as service, TestClient(create_app(service)) as client:
            yield Served(service, client, tokens)


def half_an_hour(served: Served) -> dict[str, Any]:
    """Have half an hour attested and approved; return the correction to eight that nobody approved."""
    volunteer, shift = served.volunteer(), str(uuid4())
    entry: dict[str, Any] = {"volunteer": volunteer, "station": STATION, "shift": shift, "evidence": "paper-list"}
    assert served.approved("attest-shift", check_in=NINE, check_out=HALF_PAST, **entry).status_code == 201
    about = {"volunteer": volunteer, "shift": shift, "reason": "forgot"}
    return {**about, "changes": ["check_out"], "check_out": FIVE}


@pytest.mark.parametrize("way", WAYS)
def test_half_an_hour_that_was_approved_does_not_become_eight_by_the_asker_alone(bound: Served, way: Way) -> None:
    correction = half_an_hour(bound)
    told = way(Key(bound, bound.tokens[Role.STAFF]), event_of("correct-shift", "/desk", correction))
    assert (told["outcome"], told["rejection"], told["field"]) == ("refused", "needs-approval", "command")
    assert told["remedy"] == "request it with request-act"
    asked = event_of("request-act", "/desk", {"request": uuid4().hex, "act": "correct-shift", "fields": correction})
    assert way(Key(bound, bound.tokens[Role.STAFF]), asked)["outcome"] == "accepted"
    approval = event_of("approve-act", "/desk", {"request": asked["data"]["request"]})
    assert way(Key(bound, bound.tokens[Role.STAFF]), approval)["rejection"] == "own-request"
    told = way(Key(bound, bound.tokens[Role.APPROVER]), event_of("approve-act", "/desk", approval["data"]))
    assert told["outcome"] == "accepted"
    shifts = bound.get(f"/v1/volunteers/{correction['volunteer']}/shifts", at_least=told["position"]).json()["shifts"]
    assert [shift["trace"]["raw"] for shift in shifts] == [480]


@pytest.mark.parametrize("way", WAYS)
def test_a_settlement_gives_nobody_eight_hours_either(bound: Served, way: Way) -> None:
    correction = half_an_hour(bound)
    about = {name: correction[name] for name in ("volunteer", "shift", "reason")}
    assert bound.command("dispute-shift", Role.CORRECTOR, **about).status_code == 201
    fields = {name: correction[name] for name in ("changes", "check_out")}
    settled = about | {"outcome": "upheld", "act": "correct-shift", "fields": fields}
    told = way(
        Key(bound, bound.ledger.keys.make(Role.STAFF, f"s{uuid4().hex[:8]}")[1]),
        event_of("settle-dispute", "/desk", settled),
    )
    assert (told["outcome"], told["rejection"]) == ("refused", "needs-approval")


def test_one_batch_does_not_do_in_two_what_one_may_not(bound: Served) -> None:
    correction = half_an_hour(bound)
    steps = [correction | {"check_out": f"2018-12-04T09:{minute}:00+08:00"} for minute in (40, 50)]
    steps += [correction | {"check_out": f"2018-12-04T10:{minute}:00+08:00"} for minute in ("00", "10")]
    told = bound.send([event_of("correct-shift", "/desk", step) for step in steps], Role.STAFF).json()
    outcomes = [answer["outcome"] for answer in told["answers"]]
    assert outcomes in (["accepted"] * 3 + ["refused"], ["refused"] * 4)
    assert told["answers"][-1]["rejection"] == "needs-approval"


def test_the_command_line_is_bound_too(hours: CommandLine, tmp_path: Path) -> None:
    with open_ledger(hours.data) as ledger:
        found(ledger)
        give(ledger, "publish-rules", text=rules("shift_minutes_more = 30"))
        give(ledger, "register-volunteer", volunteer="V0000001", registered_on="2016-03-05")
        shift = str(uuid4())
        entry = {"volunteer": "V0000001", "station": STATION, "shift": shift, "evidence": "paper-list"}
        give(ledger, "attest-shift", check_in=NINE, check_out=HALF_PAST, **entry)
    about = {"volunteer": "V0000001", "shift": shift, "reason": "forgot", "changes": ["check_out"], "check_out": FIVE}
    file = tmp_path / "correction.jsonl"
    file.write_text(json.dumps(event_of("correct-shift", "/desk", about)))
    for imported in ((), ("--imported",)):
        told = hours("post", file, *imported, "--json")
        assert (told.code, json.loads(told.out)["refused_by_rule"]) == (1, {"needs-approval": 1})


@pytest.mark.parametrize(("imported", "refused"), [("imported = false", 0), ("imported = true", 2)])
@pytest.mark.parametrize("rehearsed", [False, True], ids=["imported", "dry run"])
def test_a_table_is_bound_if_the_rules_say_so(
    hours: CommandLine,
    tmp_path: Path,
    imported: str,
    refused: int,
    rehearsed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """One entry of three hours, and three of twelve minutes on one day."""
    text = rules(f"person_day_minutes_more = 30\n{imported}").replace('kinds = ["attest-shift"]\n', "")
    with open_ledger(hours.data) as ledger:
        found(ledger)
        give(ledger, "publish-rules", text=text)
        give(ledger, "register-volunteer", volunteer="V0000001", registered_on="2016-03-05")
    lines = [("1", "V0000001", "East gate", "2015-03-05", "09:00", "12:00", "")]
    times = (("09:00", "09:12"), ("10:00", "10:12"), ("11:00", "11:12"))
    lines += [(f"{at}", "V0000001", "Library", "2015-03-06", *time, "") for at, time in enumerate(times, 2)]
    file = write_csv(tmp_path / "shifts.csv", SHIFT_COLUMNS, *lines)
    (tmp_path / "mapping.toml").write_text(SHIFTS, "utf-8")
    options = ("--dry-run",) if rehearsed else ()
    told = hours("import", file, "--mapping", tmp_path / "mapping.toml", *options, "--json")
    assert json.loads(told.out)["refused"] == refused, told.out
