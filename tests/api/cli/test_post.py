"""`hours post`: a file of events is recorded once, whatever is wrong with its end or its lines."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from api.cli.recording import post
from api.messages.cloud_events import event_type
from api.messages.json_bodies import BYTE_ORDER_MARK
from api.operations.service import open_ledger
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, found, give

pytest_plugins = ["tests.support.api.fixtures"]

SHIFTS = 30


def event(name: str, command_type: str, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": name, "source": "/file", "type": event_type(command_type), "data": data}


def history() -> list[dict[str, Any]]:
    """Return events of whole shifts, one a day."""
    events = []
    for day in range(1, SHIFTS + 1):
        for kind, hour in (("check-in", "09"), ("check-out", "11")):
            at = f"2018-11-{day:02d}T{hour}:00:00+08:00"
            shift = f"00000000-0000-4000-8000-{day:012d}"
            data = {"volunteer": "V0000001", "station": STATION, "occurred_at": at, "shift": shift}
            events.append(event(f"{kind}-{day}", kind, **data))
    return events


def lines(events: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(one) + "\n" for one in events)


@pytest.fixture
def posting(hours: CommandLine) -> CommandLine:
    """The command line on a ledger with a station and a volunteer."""
    with open_ledger(hours.data) as ledger:
        found(ledger)
        give(ledger, "register-volunteer", volunteer="V0000001", registered_on="2016-03-05")
        ledger.make_ready()
    return hours


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to post."""
    return tmp_path / "events.ndjson"


def credited(posting: CommandLine) -> int:
    minutes: int = posting("volunteer", "V0000001", "--json").answer["total"]["credited_minutes"]
    return minutes


def test_a_file_is_posted_and_again_without_harm(
    posting: CommandLine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "CHUNK_LINES", 7)  # several transactions, the last one not full
    file.write_text(lines(history()))
    first = posting("post", file, "--json").answer
    assert (first["accepted"], first["duplicates"], first["refused"]) == (2 * SHIFTS, 0, 0)
    assert credited(posting) == SHIFTS * 120
    again = posting("post", file, "--json").answer
    assert (again["accepted"], again["duplicates"], again["position"]) == (0, 2 * SHIFTS, first["position"])
    assert "0 accepted, 60 duplicates, 0 refused" in posting("post", file).out


def test_a_last_line_that_is_cut_off_is_named_and_the_others_stand(posting: CommandLine, file: Path) -> None:
    whole = lines(history())
    file.write_text(whole[:-20])
    told = posting("post", file).sentence
    assert f"is cut off in line {2 * SHIFTS}" in told
    assert f"{2 * SHIFTS - 1} accepted" in told
    assert credited(posting) == (SHIFTS - 1) * 120  # the last shift lacks its check-out: it is there, and earns nothing
    file.write_text(whole)
    rest = posting("post", file, "--json").answer
    assert (rest["accepted"], rest["duplicates"]) == (1, 2 * SHIFTS - 1)
    assert credited(posting) == SHIFTS * 120


def test_a_last_line_without_its_newline_is_whole(posting: CommandLine, file: Path) -> None:
    file.write_text(lines(history()).rstrip("\n"))
    assert posting("post", file, "--json").answer["accepted"] == 2 * SHIFTS


@pytest.mark.parametrize(
    "broken",
    [b"{broken", b'{"specversion": 1, ', b'{"id": "\xff"}', b'{"id": NaN}', b"[" * 100_000, b'{"id": "\\ud800"}'],
)
def test_a_broken_line_is_named_and_what_stands_before_it_is_kept(
    posting: CommandLine, file: Path, broken: bytes
) -> None:
    events = history()
    file.write_bytes(lines(events[:4]).encode() + broken + b"\n" + lines(events[4:]).encode())
    told = posting("post", file).sentence
    assert told.startswith(f"{file} line 5 is not JSON: ")
    assert told.count("not JSON") == 1
    assert "; fix it and post the file again" in told
    assert "4 accepted" in told


def test_a_byte_order_mark_is_no_part_of_the_first_line(posting: CommandLine, file: Path) -> None:
    file.write_bytes(BYTE_ORDER_MARK + lines(history()).encode())
    assert posting("post", file, "--json").answer["accepted"] == 2 * SHIFTS


def test_refused_events_are_told_by_line_and_the_rest_is_taken(posting: CommandLine, file: Path) -> None:
    scan = {"station": STATION, "occurred_at": "2018-12-04T09:00:00+08:00"}
    strange = [
        event("unknown", "check-in", volunteer="V9999999", **scan),
        event("zoneless", "check-in", volunteer="V0000001", station=STATION, occurred_at="2018-12-04T09:00:00"),
        event("future", "check-in", volunteer="V0000001", station=STATION, occurred_at="2099-01-01T00:00:00Z"),
        event("rules", "publish-rules", text="nonsense"),
        {"id": "nothing"},
    ]
    file.write_text(lines(strange[:2]) + "\n" + "7\n" + lines(strange[2:]) + lines(history()))
    told = posting("post", file, "--json")
    assert told.code == 1
    answer = json.loads(told.out)
    assert (answer["accepted"], answer["refused"]) == (2 * SHIFTS, 6)
    assert [refusal["line"] for refusal in answer["refusals"]] == [1, 2, 4, 5, 6, 7]
    assert answer["refused_by_rule"] == {"unknown-volunteer": 1, "invalid": 4, "future": 1}
    assert answer["refusals"][0]["retry"] is True
    shown = posting("post", file)
    assert shown.code == 1
    assert "unknown-volunteer" in shown.out


def test_standard_input_is_posted_too(posting: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(history()).encode())))
    assert posting("post", "-", "--json").answer["accepted"] == 2 * SHIFTS


def test_an_empty_file_is_no_mistake(posting: CommandLine, file: Path) -> None:
    file.write_text("")
    answer = posting("post", file, "--json").answer
    assert (answer["accepted"], answer["position"]) == (0, None)


def test_old_records_are_not_late_and_events_say_who_posted_them(posting: CommandLine, file: Path) -> None:
    file.write_text(lines(history()[:2]))
    assert posting("post", file, "--imported", "--by", "system:import").code == 0
    (shift,) = posting("volunteer", "V0000001", "--shifts", "--json").answer["shifts"]
    assert shift["flags"] == ["imported"]
    (event_,) = (json.loads(line) for line in posting("log", "--after", "8", "--limit", "1", "--json").out.splitlines())
    assert event_["event"]["by"] == "system:import"
