"""`hours volunteer`, `station`, `standings` and `log`: tables for people, JSON for machines, and mistakes."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from api.cli.output import wall
from tests.support.api.command_line import CommandLine

pytest_plugins = ["tests.support.api.fixtures"]


def test_a_volunteer_is_shown_in_hours_and_told_in_minutes(reads: CommandLine) -> None:
    told = reads("volunteer", "V0000001")
    assert told.code == 0
    assert "credited" in told.out
    assert "5:00" in told.out  # 3 h scanned and 2 h corrected
    assert "rules luohu (version 1)" in told.out
    answer = reads("volunteer", "V0000001", "--json").answer
    total = answer["total"]
    assert (total["credited_minutes"], total["scanned_minutes"], total["attested_minutes"]) == (300, 180, 120)
    assert answer["rules"]["version"] == 1


def test_shifts_are_shown_with_their_traces(reads: CommandLine) -> None:
    told = reads("volunteer", "V0000001", "--shifts")
    assert "check-out-corrected" in told.out
    assert "2018-12-02 11:00" in told.out  # in the ledger's time zone
    shifts = reads("volunteer", "V0000001", "--shifts", "--json").answer["shifts"]
    assert [shift["trace"]["credited"] for shift in shifts] == [120, 180]


def test_honours_and_the_opening_balance_are_shown(reads: CommandLine) -> None:
    told = reads("volunteer", "V0000002").out
    assert "star-1" in told
    assert "100:00" in told
    assert "2016-06-01" in told


def test_the_axes_change_what_is_told(reads: CommandLine, tmp_path: Path) -> None:
    def credited(*axes: object) -> int:
        total: int = reads("volunteer", "V0000001", "--json", *axes).answer["total"]["credited_minutes"]
        return total

    head = json.loads(reads("log", "--after", "0", "--limit", "1000", "--json").out.splitlines()[-1])["position"]
    assert credited("--valid-at", "2018-12-01") == 180
    assert credited("--known-at", head - 1) == 360  # before the correction
    assert credited("--known-at", "2099-01-01T00:00:00+08:00") == 300
    assert credited("--rules", "1") == 300
    generous = tmp_path / "generous.toml"
    text = Path("rules/luohu.toml").read_text("utf-8").replace("percent = 120", "percent = 200")
    generous.write_text(text.replace('minute_from = "22:00"', 'minute_from = "09:00"'), "utf-8")
    candidate = reads("volunteer", "V0000001", "--json", "--rules", generous).answer
    assert candidate["total"]["credited_minutes"] == 600
    assert candidate["rules"]["version"] == 0


def test_a_station_is_shown_day_by_day(reads: CommandLine) -> None:
    told = reads("station", "C01", "--from", "2018-12-01", "--to", "2018-12-31")
    assert told.code == 0
    assert "open on 2 days" in told.out
    answer = reads("station", "C01", "--json").answer  # by default its last thirty days of service
    assert (answer["last_day"], answer["first_day"]) == ("2018-12-02", "2018-11-03")
    assert (answer["days_open"], answer["person_times"], answer["people_served"]) == (2, 3, 40)


def test_standings_are_shown_and_continued(reads: CommandLine) -> None:
    assert "V0000002" in reads("standings", "star-1").out
    answer = reads("standings", "star-1", "--limit", "1", "--json").answer
    assert (answer["count"], answer["standings"][0]["reached_on"]) == (1, "2016-06-01")
    rest = reads("standings", "star-1", "--after", "2016-06-01/V0000002", "--json").answer
    assert rest["standings"] == []


def test_the_log_is_shown_and_told_one_event_a_line(reads: CommandLine) -> None:
    told = reads("log", "--limit", "3")
    assert told.out.count("organisation-founded.v1") == 2
    events = [json.loads(line) for line in reads("log", "--after", "2", "--limit", "2", "--json").out.splitlines()]
    assert [event["position"] for event in events] == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("volunteer", "V9999999"), "volunteer V9999999 is not known"),
        (("station", "X99"), "station X99 is not known"),
        (("standings", "star-9"), "honor star-9 is not known"),
        (("volunteer", "V0000001", "--valid-at", "2018-02-30"), "--valid-at 2018-02-30 is not a day"),
        (("station", "C01", "--from", "yesterday"), "--from yesterday is not a day"),
        (("station", "C01", "--from", "2018-12-02", "--to", "2018-12-01"), "swap them"),
        (("volunteer", "V0000001", "--known-at", "2018-12-04T09:00:00"), "has no zone"),
        (("volunteer", "V0000001", "--known-at", "999999"), "is beyond the log's last position"),
        (("volunteer", "V0000001", "--rules", "99"), "version 99 of the rules has not been published"),
        (("volunteer", "V0000001", "--rules", "nowhere.toml"), "nowhere.toml is neither a version nor an existing"),
        (("standings", "star-1", "--after", "x"), "--after x is not a day"),
        (("standings", "star-1", "--limit", "0"), "limit"),
        (("log", "--after", "-1"), "after"),
        (("volunteer",), "number"),
        (("nonsense",), "nonsense"),
        (("volunteer", "V0000001", "--colour"), "--colour"),
        (("export", "credits", "--output", "x", "--format", "xlsx"), "--format xlsx is not supported"),
        (("export", "credits", "--output", "/nowhere/x.csv"), "the folder /nowhere does not exist"),
        (("keys", "make", "--role", "king", "--name", "x"), "--role king is not a role"),
        (("keys", "make", "--role", "staff", "--name", "x y"), "--name x y is not valid in an event"),
        (("keys", "make", "--role", "station", "--name", "X99"), "X99 is not a known station"),
        (("keys", "revoke", "999"), "no key has the id 999"),
        (("rebuild", "--rules", "nowhere.toml"), "nowhere.toml"),
        (("post", "nowhere.ndjson"), "nowhere.ndjson is not a file"),
        (("post", "-", "--by", "me"), "--by me is not an actor"),
        (("simulate", "--scale", "-1"), "--scale -1"),
        (("serve", "--host", "203.0.113.1"), "--host 203.0.113.1"),
        (("serve", "--port", "70000"), "--port"),
    ],
)
def test_a_mistake_ends_with_code_two_and_one_sentence(
    reads: CommandLine, arguments: tuple[str, ...], said: str
) -> None:
    assert said.lower() in reads(*arguments).sentence.lower()


def test_rules_that_cannot_be_read_are_named_by_their_key(reads: CommandLine, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        Path("rules/luohu.toml").read_text("utf-8").replace("day_minutes_max", "day_minute_max", 1), "utf-8"
    )
    for command in (("rebuild",), ("volunteer", "V0000001")):
        assert "day_minute_max: unknown key" in reads(*command, "--rules", wrong).sentence
    wrong.write_bytes(b"\xff\xfe")
    assert "is not UTF-8; save it as UTF-8" in reads("rebuild", "--rules", wrong).sentence


def test_readers_of_an_empty_ledger_are_told_what_to_do(hours: CommandLine) -> None:
    assert "hours rebuild" in hours("volunteer", "V0000001").sentence
    assert "hours publish FILE" in hours("rebuild").sentence
    assert hours("log", "--json").out == ""


@pytest.mark.parametrize(
    "command",
    [
        "log",
        "status",
        "volunteer V1",
        "requests",
        "rebuild",
        "keys list",
        "erase V1",
        "serve",
        "init",
        "archive verify",
    ],
)
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://127.0.0.1:1/none?connect_timeout=2", "the database cannot be reached: "),
        ("ledger at home", "DATABASE_URL is not the address of a PostgreSQL database; write one such as "),
        ("mysql://127.0.0.1/ledger", "DATABASE_URL is not the address of a PostgreSQL database; write one such as "),
    ],
)
def test_a_database_that_is_not_there_is_told_in_one_sentence(
    hours: CommandLine, monkeypatch: pytest.MonkeyPatch, url: str, sentence: str, command: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    told = hours(*command.split())
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith(f"hours: {sentence}")
    assert len(told.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("instant", "zone", "shown"),
    [
        ("2018-10-28T00:30:00+00:00", "Europe/Berlin", "2018-10-28 02:30 +02:00"),
        ("2018-10-28T01:30:00+00:00", "Europe/Berlin", "2018-10-28 02:30 +01:00"),
        ("2018-10-28T02:00:00+00:00", "Europe/Berlin", "2018-10-28 03:00"),
        ("2018-03-25T01:00:00+00:00", "Europe/Berlin", "2018-03-25 03:00"),
        ("2018-04-01T01:45:00+11:00", "Australia/Lord_Howe", "2018-04-01 01:45 +11:00"),
        ("2018-12-04T01:00:00+00:00", "Asia/Shanghai", "2018-12-04 09:00"),
    ],
)
def test_a_local_time_that_the_clocks_show_twice_has_its_offset(instant: str, zone: str, shown: str) -> None:
    assert wall(datetime.fromisoformat(instant), ZoneInfo(zone)) == shown
