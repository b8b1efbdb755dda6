"""`hours import`: a table of old records is in the ledger once, whatever stops it, however it is sorted and split."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from openpyxl import Workbook

from api.importing import lines, running
from api.operations.service import OpenLedger, open_ledger
from ledger.aggregates.shift import CheckedIn
from ledger.names import Position
from ledger.store.mapper import decode
from ledger.store.persons import Persons
from tests.support.api.command_line import CommandLine, CommandResult
from tests.support.api.importing import KEYLESS, SHIFT_COLUMNS, SHIFTS, read_csv, read_sheet, write_csv, write_sheets
from tests.support.api.serving import PROJECT, found, give
from tests.support.processes.program import run

pytest_plugins = ["tests.support.api.fixtures"]

VOLUNTEERS = ("V0000001", "V0000002", "V0000003")
GOOD = (
    ("1", "V0000001", "East gate", "2015-03-05", "09:00", "12:00", "rain"),
    ("2", "V0000001", "Library", "2015-03-06", "22:00", "01:00", ""),
    ("3", "V0000002", "Library", "2015-03-06", "9:00", "11:30", ""),
)
BAD = (
    ("4", "V9999999", "Library", "2015-03-07", "09:00", "12:00", ""),
    ("5", "V0000002", "Beach", "2015-03-07", "09:00", "12:00", "=1+1"),
    ("6", "V0000002", "Library", "7.3.2015", "09:00", "12:00", "+8613800000000"),
    ("7", "V0000002", "Library", "2015-03-07", "09:00", "09:00", ""),
    ("1", "V0000002", "Library", "2015-03-08", "09:00", "10:00", ""),
)


class Importing:
    """The command line on a ledger with stations and volunteers, and a folder for files."""

    def __init__(self, hours: CommandLine, folder: Path) -> None:
        self.hours = hours
        self.folder = folder
        self.mapping(SHIFTS)

    def mapping(self, text: str) -> None:
        (self.folder / "mapping.toml").write_text(text, "utf-8")

    def csv(self, *lines: Sequence[Any], name: str = "shifts.csv", columns: Sequence[str] = SHIFT_COLUMNS) -> Path:
        return write_csv(self.folder / name, columns, *lines)

    def __call__(self, file: Path, *options: object) -> CommandResult:
        return self.hours("import", file, "--mapping", self.folder / "mapping.toml", *options)

    def answer(self, file: Path, *options: object) -> Any:
        told = self(file, *options, "--json")
        assert told.code in {0, 1}, told.err
        return json.loads(told.out)

    def counts(self, file: Path, *options: object) -> tuple[int, int, int]:
        """Import; return how many lines were accepted, there already, and refused."""
        answer = self.answer(file, *options)
        return answer["accepted"], answer["duplicates"], answer["refused"]

    def make_ready(self) -> None:
        """Let there be read models."""
        with open_ledger(self.hours.data) as ledger:
            ledger.make_ready()

    def minutes(self, volunteer: str) -> int:
        found: int = self.hours("volunteer", volunteer, "--json").answer["total"]["credited_minutes"]
        return found


@pytest.fixture(scope="module")
def founded(new_ledger_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger with stations and volunteers, to be copied."""
    url = new_ledger_url()
    with open_ledger(tmp_path_factory.mktemp("founded"), url) as ledger:
        found(ledger)
        for number in VOLUNTEERS:
            give(ledger, "register-volunteer", volunteer=number, registered_on="2012-03-05")
    return url


@pytest.fixture
def database_url(
    founded: str, copied_database_url: Callable[[str], str], _drop: Callable[[str], object]
) -> Iterator[str]:
    """A copy of that ledger."""
    url = copied_database_url(founded)
    yield url
    _drop(url)


@pytest.fixture
def importing(hours: CommandLine, tmp_path: Path) -> Importing:
    """A ledger to import into."""
    return Importing(hours, tmp_path)


def imported(importing: Importing) -> list[Any]:
    """Return the events of imports, in order, but for when they were recorded."""
    with open_ledger(importing.hours.data) as ledger:
        events = [decode(each.topic, each.state) for each in ledger.log.read(Position(0), 100_000)]
        return [structs.replace(event, recorded_at=0) for event in events if event.imported]


# --- once, and what it was ------------------------------------------------------------------------------------------


def test_a_table_is_imported_and_again_without_harm(importing: Importing) -> None:
    importing.make_ready()  # and kept up with what is imported
    file = importing.csv(*GOOD)
    assert importing.counts(file, "--by", "person:li.wei") == (3, 0, 0)
    assert (importing.minutes("V0000001"), importing.minutes("V0000002")) == (360, 150)
    assert importing.counts(file) == (0, 3, 0)
    assert "0 accepted, 3 duplicates, 0 refused" in importing(file).out
    (first, second) = importing.hours("volunteer", "V0000001", "--shifts", "--json").answer["shifts"]
    assert {first["grade"], second["grade"]} == {"attested"}
    assert first["flags"] == second["flags"] == ["imported"]
    events = imported(importing)
    assert {event.by for event in events} == {"person:li.wei"}
    assert events[0].command == "/imports/lists#1"


@pytest.mark.parametrize("keys", [("007", "7"), ("7", "007")])
def test_a_duration_whose_key_lost_its_zeros_counts_once(importing: Importing, keys: tuple[str, str]) -> None:
    importing.mapping(LAID)
    rest = ("V0000001", "Library", "2015-03-05", "", "", "2")
    both = importing.csv(*((key, *rest) for key in keys), name="both.csv")
    assert importing.counts(both, "--to-events", importing.folder / "events.ndjson") == (1, 1, 0)
    assert importing.counts(both, "--dry-run") == (1, 1, 0)
    assert importing.counts(importing.csv((keys[0], *rest))) == (1, 0, 0)
    assert importing.counts(both) == (0, 2, 0)
    importing.make_ready()
    assert importing.minutes("V0000001") == 120


@pytest.mark.parametrize("mapping", ["clocks", "durations"])
def test_a_record_that_was_imported_with_the_zeros_of_its_key_keeps_its_name(
    importing: Importing, mapping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions took the key as it was written."""
    importing.mapping(SHIFTS if mapping == "clocks" else LAID)
    clocks = ("09:00", "11:00", "") if mapping == "clocks" else ("", "", "2")
    old = [(f"00{number}", "V0000001", "Library", "2015-03-05", *clocks) for number in (7, 8)]
    with monkeypatch.context() as before:
        before.setattr(lines, "_without_zeros", lambda text: text)
        assert importing.counts(importing.csv(old[0])) == (1, 0, 0)
    begin = imported(importing)[0].occurred_at
    told = importing.answer(importing.csv(*old))
    assert (told["accepted"], told["duplicates"], told["refused"]) == (1, 1, 0)
    assert [each.command.partition("#")[2] for each in imported(importing) if each.TOPIC == CheckedIn.TOPIC] == [
        "007",
        "8",
    ]
    assert imported(importing)[0].occurred_at == begin


def test_a_key_that_is_taken_is_told_with_what_can_be_done(importing: Importing) -> None:
    assert importing.counts(importing.csv(*GOOD)) == (3, 0, 0)
    changed = ("1", "V0000001", "East gate", "2015-03-05", "09:00", "11:00", "")
    other = ("7", "V0000002", "East gate", "2015-03-07", "09:00", "11:00", "")
    file = importing.csv(changed, other, (other[0], "V0000003", *other[2:]))
    dry = importing.answer(file, "--dry-run")["refusals"]
    assert [each["detail"].partition(";")[0] for each in dry][1:] == [
        'under the key "7" an earlier line has other content'
    ]
    (refusal, _) = importing.answer(file)["refusals"]
    shift = str(imported(importing)[0].shift)
    assert refusal["remedy"] == (
        "write another key if this is another record; if the record has changed, correct the shift with correct-shift"
    )
    told = re.fullmatch(
        r'under the key "1" the ledger has other content at position (\d+) \(shift (\S+) of V0000001\)',
        refusal["detail"].partition(";")[0],
    )
    assert told
    assert told[2] == shift
    with open_ledger(importing.hours.data) as ledger:
        assert give(
            ledger,
            "correct-shift",
            volunteer="V0000001",
            shift=told[2],
            changes=["check_out"],
            check_out="2015-03-05T11:00:00+08:00",
            reason="list",
        )
    assert importing.counts(importing.csv(("9", *other[1:4], "12:00", "13:00", ""))) == (1, 0, 0)
    importing.make_ready()
    assert importing.minutes("V0000001") == 300


def test_a_day_of_the_future_is_not_blamed_on_a_clock(importing: Importing) -> None:
    (refusal,) = importing.answer(importing.csv(("1", "V0000001", "Library", "2095-03-05", "09:00", "12:00", "")))[
        "refusals"
    ]
    assert refusal["detail"] == "check_out 2095-03-05 04:00:00 +00:00 is in the future; correct the day"
    assert (refusal["remedy"], refusal["retry"]) == ("correct the day", True)


def test_a_row_of_totals_is_called_so_when_the_ledger_refuses_it(importing: Importing) -> None:
    total = ("9", "Total", "Library", "2015-03-05", "09:00", "12:00", "")
    (refusal,) = importing.answer(importing.csv(total))["refusals"]
    assert refusal["detail"].startswith(
        'the line may hold totals, because of "Total"; delete it if so (volunteer Total: no'
    )
    assert (refusal["rejection"], refusal["remedy"]) == ("unknown-volunteer", "delete the line if it holds totals")


def test_a_number_that_may_have_lost_its_zeros_is_not_told_to_be_registered_alone(importing: Importing) -> None:
    (refusal,) = importing.answer(importing.csv(("1", "1", "Library", "2015-03-05", "09:00", "12:00", "")))["refusals"]
    remedy = "register the volunteer first; if the number has lost its first zeros, set digits for volunteer"
    assert refusal["detail"] == f"volunteer 1: no volunteer has this number; {remedy}"
    source = 'volunteer = { column = "Number", prefix = "V", digits = 7 }'
    importing.mapping(SHIFTS.replace('volunteer = "Number"', source))
    assert importing.counts(importing.csv(("1", "1", "Library", "2015-03-05", "09:00", "12:00", ""))) == (1, 0, 0)


def test_a_number_of_json_is_a_number_whatever_the_decimal_mark_and_keeps_its_digits(importing: Importing) -> None:
    importing.mapping(SHIFTS.replace('{ date = "Date", time = "To" }', '{ hours = "To", decimal = "," }'))
    rest = {"Number": "V0000001", "Station": "Beach", "From": "09:00", "Remarks": ""}
    hours = ["1.50", "3", '"1,5"']
    records = [
        json.dumps({"No.": f"{day}", "Date": f"2015-03-0{day}", **rest})[:-1] + f', "To": {text}}}'
        for day, text in enumerate(hours, 1)
    ]
    file = importing.folder / "shifts.ndjson"
    file.write_text("\n".join(records), "utf-8")
    refused = importing.folder / "refused.ndjson"
    assert importing.counts(file, "--refused", refused) == (0, 0, 3)
    text = refused.read_text("utf-8")
    assert ['"To": 1.50' in text, '"To": 3,' in text, '"To": "1,5"' in text] == [True] * 3
    refused.write_text(text.replace("Beach", "Library"), "utf-8")
    assert importing.counts(refused) == (3, 0, 0)
    importing.make_ready()
    assert importing.minutes("V0000001") == 360


def test_free_text_is_kept_apart(importing: Importing) -> None:
    importing(importing.csv(*GOOD))
    event = imported(importing)[0]
    assert isinstance(event, CheckedIn)
    with open_ledger(importing.hours.data) as ledger:
        assert Persons(ledger.database.pool).text(event.note or "") == "rain"


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("gb18030", "\t"), ("utf-16", "\t"), ("big5", "|")]
)
def test_files_of_any_encoding_are_read_as_their_mapping_says(
    importing: Importing, encoding: str, delimiter: str
) -> None:
    columns = ("編號", *SHIFT_COLUMNS[1:])
    said = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    form = f"[file]\nencoding = {json.dumps(said)}\ndelimiter = {json.dumps(delimiter)}\n\n[fields]"
    mapping = SHIFTS.replace('"No."', '"編號"').replace("East gate", "東門").replace("[fields]", form)
    importing.mapping(mapping)
    lines = [(*GOOD[0][:2], "東門", *GOOD[0][3:]), *GOOD[1:]]
    file = write_csv(importing.folder / "shifts.csv", columns, *lines, encoding=encoding, delimiter=delimiter)
    assert importing.counts(file) == (3, 0, 0)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("gb18030", 'is not valid utf-8 in line 2; it may be gb18030 or big5: set encoding = "gb18030" under [file]'),
        ("utf-16", "is not valid utf-8 in line 1; it may be utf-16"),
    ],
)
def test_a_file_of_another_encoding_is_refused_before_anything_is_recorded(
    importing: Importing, written: str, told: str
) -> None:
    lines = [(*GOOD[0][:6], "雨天值守"), *GOOD[1:]]
    file = write_csv(importing.folder / "shifts.csv", SHIFT_COLUMNS, *lines, encoding=written)
    assert told in importing(file).sentence
    assert imported(importing) == []


def test_cells_of_a_spreadsheet_are_read_as_what_they_are(importing: Importing) -> None:
    day = date(2015, 3, 5)
    rows = [
        ["Lists of 2015"],
        [],
        SHIFT_COLUMNS,
        [1, "V0000001", "East gate", datetime(2015, 3, 5), time(9), time(12), "rain"],
        [],
        [2.0, "V0000001", "Library", day + timedelta(days=1), "22:00", datetime(1900, 1, 1, 1), None],
        ["3", "V0000002", "Library", "2015/3/6", timedelta(hours=9), time(11, 30)],
        [4, "V0000002", "Library", day, time(9), "#N/A"],
        [5, "V0000002", "Library", 42068, time(9), time(10)],
        [6, "V0000002", "Library", day, time(9), "=F4"],  # a formula whose result nobody stored
    ]
    file = write_sheets(importing.folder / "shifts.xlsx", {"notes": [["nothing"]], "2015": rows})
    importing.mapping(SHIFTS.replace("[fields]", "file.header_line = 3\n[fields]"))
    assert importing(file).sentence == f"{file} has several sheets; name one with --sheet: notes, 2015"
    report = importing.folder / "report.csv"
    assert importing.counts(file, "--sheet", "2015", "--report", report) == (3, 0, 3)
    told = read_csv(report)
    assert [row["line"] for row in told] == ["4", "6", "7", "8", "9", "10"]
    assert "error #N/A; correct its formula" in told[3]["detail"]
    assert "is a number, not a day" in told[4]["detail"]
    assert 'check_out is the formula "=F4" without a stored result; open the file in Excel' in told[5]["detail"]
    importing.make_ready()
    assert (importing.minutes("V0000001"), importing.minutes("V0000002")) == (360, 150)
    importing.mapping(SHIFTS)
    assert importing.counts(importing.csv(*GOOD)) == (0, 3, 0)  # the same records as text


@pytest.mark.parametrize("shape", ["shuffled", "split", "grown"])
@pytest.mark.parametrize("mapping", [SHIFTS, KEYLESS], ids=["key", "no key"])
def test_a_table_in_other_order_or_parts_comes_to_the_same_hours(
    importing: Importing, monkeypatch: pytest.MonkeyPatch, mapping: str, shape: str
) -> None:
    monkeypatch.setattr(running, "SLICE_LINES", 7)
    chance = random.Random(f"{shape} {mapping}")  # noqa: S311 - no secret
    lines = [
        (
            str(number),
            chance.choice(VOLUNTEERS),
            "Library",
            f"2015-03-{day:02d}",
            f"{hour:02d}:00",
            f"{hour + 2}:30",
            "",
        )
        for number, (day, hour) in enumerate((day, hour) for day in range(1, 13) for hour in (8, 10, 13))
    ]
    importing.mapping(mapping)
    if shape == "grown":
        importing.counts(importing.csv(*lines[10:20]))
        parts = [lines]
    else:
        shuffled = chance.sample(lines, len(lines)) + chance.sample(lines, 5)
        cut = chance.randrange(len(shuffled))
        parts = [shuffled] if shape == "shuffled" else [shuffled[cut:], shuffled[:cut]]
    for part in parts:
        assert importing.counts(importing.csv(*part))[2] == 0
    assert importing.counts(importing.csv(*lines)) == (0, len(lines), 0)
    assert len(imported(importing)) == 2 * len(lines)
    expected = dict.fromkeys(VOLUNTEERS, 0)
    for volunteer in VOLUNTEERS:
        for day in {line[3] for line in lines}:
            held = {
                minute
                for line in lines
                if (line[1], line[3]) == (volunteer, day)
                for minute in range(int(line[4][:2]) * 60, int(line[4][:2]) * 60 + 150)
            }
            expected[volunteer] += min(480, len(held))
    importing.make_ready()
    assert {volunteer: importing.minutes(volunteer) for volunteer in VOLUNTEERS} == expected


# --- what was refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slice_lines", [1000, 3])
def test_a_dry_run_says_of_each_line_what_becomes_of_it(
    importing: Importing, monkeypatch: pytest.MonkeyPatch, slice_lines: int
) -> None:
    monkeypatch.setattr(running, "SLICE_LINES", slice_lines)
    importing.counts(importing.csv(GOOD[2]))
    file = importing.csv(*GOOD, *BAD, GOOD[0])
    dry, wet = importing.folder / "dry.csv", importing.folder / "wet.csv"
    before = imported(importing)
    rehearsed = importing.answer(file, "--dry-run", "--report", dry)
    assert imported(importing) == before
    performed = importing.answer(file, "--report", wet)
    for answer in (rehearsed, performed):
        assert (answer["lines"], answer["accepted"], answer["duplicates"], answer["refused"]) == (9, 2, 2, 5)
    assert rehearsed["refusals"] == performed["refusals"]
    words = [row["outcome"] for row in read_csv(dry)]
    accepted, read = "would-be-accepted", "malformed"
    assert words == [accepted, accepted, "duplicate", "refused", read, read, "refused", "refused", "duplicate"]
    same = [{**row, "position": "", "shift": "", "outcome": ""} for row in read_csv(dry)]
    assert same == [{**row, "position": "", "shift": "", "outcome": ""} for row in read_csv(wet)]
    assert [word.removeprefix("would-be-") for word in words] == [row["outcome"] for row in read_csv(wet)]
    told = read_csv(wet)[3:8]
    assert [(row["line"], row["rejection"], row["field"], row["columns"], row["retry"]) for row in told] == [
        ("5", "unknown-volunteer", "volunteer", "Number", "true"),
        ("6", "invalid", "station", "Station", "false"),
        ("7", "invalid", "check_in", "Date, From", "false"),
        ("8", "ends-before-it-begins", "check_out", "Date, To", "false"),
        ("9", "name-taken", "key", "No.", "false"),
    ]
    assert all(row["detail"].endswith(row["remedy"]) for row in told)


def test_a_dry_run_knows_what_earlier_lines_would_have_made_known(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SLICE_LINES", 2)
    importing.mapping(
        """
        command = "found-organisation"
        source = "/imports/organisations"
        key = "id"
        fields = { organisation = "id", kind = "kind", parent = "parent" }
        """
    )
    lines = [
        ("A", "ngo", "B"),
        ("B", "ngo", ""),
        ("C", "ngo", ""),
        ("D", "ngo", "B"),
        ("E", "ngo", "D"),
        ("B", "ngo", "C"),
    ]
    file = importing.csv(*lines, columns=("id", "kind", "parent"))
    rules = [("unknown-organisation", "parent", 2), ("name-taken", "key", 7)]
    for option in (["--dry-run"], []):
        answer = importing.answer(file, *option)
        assert answer["accepted"] == 4
        assert [(each["rejection"], each["field"], each["line"]) for each in answer["refusals"]] == rules


def test_refused_lines_can_be_mended_and_imported(importing: Importing) -> None:
    title = ("Lists of\n2015", "")
    form = "[file]\nheader_line = 4\n\n[fields]"
    importing.mapping(SHIFTS.replace("[fields]", form))
    file = write_csv(importing.folder / "shifts.csv", title, (), SHIFT_COLUMNS, *GOOD, *BAD)
    refused = importing.folder / "refused.csv"
    assert importing.counts(file, "--refused", refused) == (3, 0, 5)
    assert importing(file, "--refused", refused).sentence.startswith(f"--refused {refused} exists")
    text = refused.read_text("utf-8-sig")
    assert "=1+1" in text
    mended = text.replace("V9999999", "V0000003").replace("Beach", "Library").replace("7.3.2015", "2015-03-07")
    again = importing.folder / "again.csv"
    again.write_text(mended, "utf-8")
    rest = importing.folder / "rest.csv"
    assert importing.counts(again, "--refused", rest) == (3, 0, 2)
    with rest.open(encoding="utf-8-sig", newline="") as lines:
        kept = [line.rstrip("\r\n") for line in lines][4:]
    assert kept[0].startswith("7,V0000002,Library,2015-03-07,09:00,09:00,,8,ends-before-it-begins,check_out ")
    assert len(kept) == 2


def test_refused_lines_of_a_spreadsheet_stay_cells_of_a_spreadsheet(importing: Importing) -> None:
    text, day = "'=1+1", datetime(2015, 3, 7)
    rows = [SHIFT_COLUMNS, [4, "V9999999", "Library", day, time(9), timedelta(hours=12), text]]
    file = write_sheets(importing.folder / "shifts.xlsx", {"lists": rows})
    assert importing(file, "--refused", importing.folder / "r.csv").sentence.endswith("so it must end in .xlsx")
    refused = importing.folder / "refused.xlsx"
    assert importing.counts(file, "--refused", refused) == (0, 0, 1)
    header, line = read_sheet(refused)
    assert header[:7] == SHIFT_COLUMNS
    assert line[:8] == (4, "V9999999", "Library", day, time(9), timedelta(hours=12), text, 2)
    with open_ledger(importing.hours.data) as ledger:
        give(ledger, "register-volunteer", volunteer="V9999999", registered_on="2012-03-05")
    assert importing.counts(refused) == (1, 0, 0)
    assert importing.counts(file) == (0, 1, 0)


@pytest.mark.parametrize("name", ["shifts.json", "shifts.ndjson"])
def test_json_is_imported_and_its_refused_records_can_be_mended(importing: Importing, name: str) -> None:
    records = [dict(zip(SHIFT_COLUMNS, line, strict=True)) for line in (*GOOD, BAD[1])]
    lines = "\n".join(json.dumps(record) for record in records)
    file = importing.folder / name
    file.write_text(lines if name.endswith(".ndjson") else json.dumps({"shifts": records}), "utf-8")
    assert f"so it must end in {file.suffix}" in importing(file, "--refused", importing.folder / "r.csv").sentence
    refused = importing.folder / f"refused{file.suffix}"
    assert importing.counts(file, "--refused", refused) == (3, 0, 1)
    refused.write_text(refused.read_text("utf-8-sig").replace("Beach", "Library"), "utf-8")
    again = importing.folder / f"again{file.suffix}"
    assert importing.counts(refused, "--refused", again) == (1, 0, 0)
    assert importing.counts(file) == (0, 3, 1)
    importing.make_ready()
    assert (importing.minutes("V0000001"), importing.minutes("V0000002")) == (360, 330)


def test_no_cell_of_a_report_is_a_formula(importing: Importing) -> None:
    importing.mapping(SHIFTS.replace('volunteer = "Number"', 'volunteer = { column = "Number", values = { a = "b" } }'))
    report = importing.folder / "report.csv"
    header = ("No.", "Number", "Station", "=Date()", "From", "To", "Remarks")
    importing.mapping((importing.folder / "mapping.toml").read_text().replace('"Date"', '"=Date()"'))
    file = importing.csv(
        ("@1", "=cmd|' /C calc'!A0", "Library", "-1", "@1", "+1", ""), ("2", "a", "", "", "", "", ""), columns=header
    )
    assert importing.answer(file, "--report", report)["refused"] == 2
    cells = [cell for row in read_csv(report) for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert any("=cmd|' /C calc'!A0" in cell for cell in cells)


def test_what_a_hostile_cell_says_does_not_reach_the_terminal(importing: Importing) -> None:
    file = importing.csv(("1", "V0000001", "[/bold]\x1b[2J", "2015-03-05", "09:00", "12:00", ""))
    told = importing(file)
    assert told.code == 1
    assert "[/bold]" in told.out
    assert "\x1b" not in told.out


def test_an_import_stops_when_more_is_wrong_than_it_was_told(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SLICE_LINES", 2)
    answer = importing.answer(importing.csv(BAD[0], GOOD[0], BAD[1], BAD[2], *GOOD), "--stop-after", 2)
    assert (answer["stopped"], answer["lines"], answer["accepted"], answer["last_line"]) == (True, 4, 1, 5)


# --- what stops it --------------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from api.importing import running
from api.cli.main import execute
from ledger.intake.intake import Intake

running.SLICE_LINES = 50
calls, performed = 0, Intake.execute

def execute_and_die(self, orders):
    global calls
    calls += 1
    if calls == 3 and sys.argv[1] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answers = performed(self, orders)
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return answers

Intake.execute = execute_and_die
execute(sys.argv[2:])
"""


@pytest.mark.parametrize(("moment", "there"), [("before", 100), ("after", 150)])
def test_an_import_that_was_killed_goes_on_where_it_was(importing: Importing, moment: str, there: int) -> None:
    importing.mapping(VOLUNTEERS_MAPPING)
    lines = [(f"N{number}", f"Name {number}", "138", "2015-03-05") for number in range(220)]
    file = importing.csv(*lines, columns=("No.", "Name", "Phone", "Since"))
    report = importing.folder / "report.csv"
    options = [
        "--mapping",
        importing.folder / "mapping.toml",
        "--report",
        report,
        "--refused",
        importing.folder / "r.csv",
    ]
    killed = run("-c", _KILLED, moment, "--data", importing.hours.data, "import", file, *options)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(imported(importing)) == there
    assert not report.exists()
    assert importing.counts(file, *options[2:]) == (220 - there, there, 0)
    assert importing.counts(file) == (0, 220, 0)
    assert len(imported(importing)) == 220
    with open_ledger(importing.hours.data) as ledger:
        persons = Persons(ledger.database.pool)
        assert all((person := persons.find(line[0])) and person.name == line[1] for line in lines)


def test_an_import_that_was_interrupted_says_how_far_it_came(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SLICE_LINES", 2)

    class Interrupted:
        def __init__(self, ledger: OpenLedger) -> None:
            self._record, self._calls = recording(ledger), 0

        def __call__(self, lines: Any) -> Any:
            self._calls += 1
            if self._calls == 2:
                raise KeyboardInterrupt
            return self._record(lines)

    recording = running.recording
    with monkeypatch.context() as patch:
        patch.setattr("api.cli.recording.import_table.recording", Interrupted)
        told = importing(importing.csv(*GOOD))
    assert told.code == 130
    assert "Stopped after line 3: 2 accepted, 0 duplicates, 0 refused; the same command continues" in told.err
    assert importing.counts(importing.csv(*GOOD)) == (1, 2, 0)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ('4,"V0000002,Library\n', "a quotation mark in line 5 is never closed, or the file is cut off"),
    ],
)
def test_a_file_that_breaks_off_is_named_and_what_stands_before_it_is_kept(
    importing: Importing, broken: str, told: str
) -> None:
    file = importing.csv(*GOOD)
    with file.open("a") as lines:
        lines.write(broken)
    sentence = importing(file).sentence
    assert told in sentence
    assert "nothing is recorded twice (before it: 3 accepted, 0 duplicates, 0 refused)" in sentence


def test_a_line_that_cannot_be_divided_into_cells_costs_nothing_else(importing: Importing) -> None:
    """A quotation mark that is closed at a wrong place takes the lines between."""
    file = importing.csv(GOOD[0])
    with file.open("a") as lines:
        lines.write('4,"V0000002"x,Library\n5,"V0000002,Library\n6,"V0000002",Library\n')
        lines.write("".join(",".join(line) + "\n" for line in GOOD[1:]))
    report, refused = importing.folder / "report.csv", importing.folder / "refused.csv"
    assert importing.counts(file, "--report", report, "--refused", refused) == (3, 0, 2)
    told = {row["line"]: (row["outcome"], row["detail"]) for row in read_csv(report)}
    assert [told[line][0] for line in ("2", "3", "4", "6", "7")] == ["accepted", *["malformed"] * 2, *["accepted"] * 2]
    assert "the line is not valid CSV: ',' expected after '\"'; write a quotation mark in a cell twice" in told["3"][1]
    assert "the line is, as far as line 5, not valid CSV" in told["4"][1]
    assert [row["No."] for row in read_csv(refused)] == [
        '4,"V0000002"x,Library',
        '5,"V0000002,Library\n6,"V0000002",Library',
    ]


# --- durations without clock times ----------------------------------------------------------------------------------

LAID = (
    SHIFTS.replace('time = "From" }', 'time = "From", starts = "09:00" }')
    .replace('time = "To" }', 'time = "To", hours = "Remarks" }')
    .replace('text = "Remarks"\n', "")
)
DURATIONS = (
    ("1", "V0000001", "Library", "2015-03-05", "", "", "1.5"),
    ("2", "V0000001", "Library", "2015-03-05", "", "", "2"),
    ("3", "V0000001", "East gate", "2015-03-05", "09:30", "10:00", ""),
    ("4", "V0000002", "Library", "2015-03-05", "", "", "3"),
)


@pytest.mark.parametrize("key", [True, False])
def test_two_durations_of_a_day_earn_both(importing: Importing, *, key: bool) -> None:
    importing.mapping(LAID if key else LAID.replace('key = "No."\n', ""))
    file = importing.csv(*DURATIONS[:2])
    report = importing.folder / "dry.csv"
    dry = importing.answer(file, "--dry-run", "--report", report)
    assert (dry["accepted"], dry["laid"]["lines"], dry["laid"]["minutes"]) == (2, 2, 210)
    assert [row["lies"] for row in read_csv(report)] in (
        ["2015-03-05 09:00-10:30", "2015-03-05 10:30-12:30"],
        ["2015-03-05 11:00-12:30", "2015-03-05 09:00-11:00"],
    )
    assert "2 durations without clock times, 3:30 hours, lie in their days" in importing(file, "--dry-run").out
    assert importing.counts(file) == (2, 0, 0)
    again = importing(file).out
    assert "lie in their days" not in again
    assert "2 durations lie where they were recorded before" in again
    laid = importing.answer(importing.csv(*DURATIONS), "--dry-run")["laid"]
    assert (laid["lines"], laid["minutes"], laid["duplicates"]) == (1, 180, 2)
    importing.make_ready()
    assert importing.minutes("V0000001") == 210
    assert importing.counts(importing.csv(*reversed(DURATIONS[:2]))) == (0, 2, 0)
    shifts = importing.hours("volunteer", "V0000001", "--shifts", "--json").answer["shifts"]
    assert {shift["grade"] for shift in shifts} == {"attested"}


def test_durations_earn_what_they_last_and_nothing_for_the_night(importing: Importing) -> None:
    """The rules in force give 120 % from 22:00 to 06:00."""
    importing.mapping(LAID.replace("09:00", "19:00"))
    rows = [("1", "V0000001", "3"), ("2", "V0000001", "2.5"), ("3", "V0000002", "8"), ("4", "V0000002", "7")]
    file = importing.csv(*((*row[:2], "Library", "2018-03-05", "", "", row[2]) for row in rows))
    assert importing.counts(file) == (4, 0, 0)
    importing.make_ready()
    assert (importing.minutes("V0000001"), importing.minutes("V0000002")) == (330, 480)
    told = importing.answer(importing.csv(("5", "V0000001", "Library", "2018-03-06", "", "", "17")), "--dry-run")
    assert "outside night 22:00-06:00 (120 %) the day has at most 16:00 hours" in told["refusals"][0]["detail"]


@pytest.mark.parametrize("shape", ["whole", "reversed", "halves", "single lines"])
def test_durations_come_to_the_same_minutes_in_any_order_of_upload(importing: Importing, shape: str) -> None:
    importing.mapping(LAID)
    shapes: dict[str, Sequence[Sequence[Sequence[str]]]] = {
        "whole": [DURATIONS],
        "reversed": [DURATIONS[::-1]],
        "halves": [DURATIONS[2:], DURATIONS[:2]],
        "single lines": [[line] for line in (DURATIONS[2], DURATIONS[1], DURATIONS[3], DURATIONS[0])],
    }
    for part in shapes[shape]:
        assert importing.counts(importing.csv(*part))[2] == 0
    events = imported(importing)
    for again in (DURATIONS, DURATIONS[::-1]):
        assert importing.counts(importing.csv(*again)) == (0, 4, 0)
    assert imported(importing) == events
    importing.make_ready()
    assert (importing.minutes("V0000001"), importing.minutes("V0000002")) == (240, 180)


def test_a_duration_that_was_changed_does_not_move(importing: Importing) -> None:
    importing.mapping(LAID)
    importing.counts(importing.csv(*DURATIONS))
    told = importing.answer(importing.csv((*DURATIONS[0][:-1], "1"), *DURATIONS[1:]))
    assert [each["rejection"] for each in told["refusals"]] == ["name-taken"]
    assert told["duplicates"] == 3


def test_durations_are_laid_without_a_ledger_too(importing: Importing) -> None:
    importing.mapping(LAID)
    events = importing.folder / "events.ndjson"
    file = importing.csv(*DURATIONS)
    assert importing.counts(file, "--to-events", events) == (4, 0, 0)
    begins = [json.loads(line)["data"]["check_in"] for line in events.read_text("utf-8").splitlines()]
    assert len(set(begins[:3])) == 3
    assert importing.counts(file) == (4, 0, 0)


# --- persons --------------------------------------------------------------------------------------------------------

VOLUNTEERS_MAPPING = """
command = "register-volunteer"
source = "/imports/cards"
key = "No."
fields = { volunteer = "No.", registered_on = "Since" }
person = { name = "Name", phone = "Phone" }
"""


@pytest.fixture
def persons(importing: Importing) -> Iterator[Persons]:
    """The directory of persons of the ledger that is imported into."""
    with open_ledger(importing.hours.data) as ledger:
        yield Persons(ledger.database.pool)


def test_personal_data_go_to_the_directory_alone(importing: Importing, persons: Persons) -> None:
    importing.mapping(VOLUNTEERS_MAPPING)
    file = importing.csv(
        ("N1", "陈一", "13800000001", "2015-03-05"),
        ("N2", "李二", "", "soon"),
        ("V0000001", "王三", "13800000003", "2012-03-05"),  # registered otherwise
        ("N4", "赵四", "", "2099-03-05"),  # in the future
        columns=("No.", "Name", "Phone", "Since"),
    )
    assert importing.counts(file, "--dry-run") == (1, 0, 3)
    assert persons.find("N1") is None
    assert importing.counts(file) == (1, 0, 3)
    assert persons.find("N1") == ("N1", "陈一", "13800000001", None)
    assert [persons.find(number) for number in ("N2", "V0000001", "N4")] == [None] * 3
    assert not [event for event in imported(importing) if "13800000001" in str(event) or "陈" in str(event)]


def test_nobody_who_was_erased_comes_back_with_an_old_file(importing: Importing, persons: Persons) -> None:
    importing.mapping(VOLUNTEERS_MAPPING)
    file = importing.csv(("N1", "陈一", "138", "2015-03-05"), columns=("No.", "Name", "Phone", "Since"))
    importing(file)
    persons.erase("N1")
    assert importing.counts(file) == (0, 1, 0)
    assert persons.find("N1") is None


# --- over HTTP, and what cannot be ----------------------------------------------------------------------------------


def test_a_table_can_be_posted_as_events(importing: Importing) -> None:
    file = importing.csv(*GOOD, BAD[1])
    events = importing.folder / "events.ndjson"
    assert importing.counts(file, "--to-events", events) == (3, 0, 1)
    assert imported(importing) == []
    posted = importing.hours("post", events, "--json").answer
    assert (posted["accepted"], posted["refused"]) == (3, 0)
    assert all(event.imported for event in imported(importing))
    assert importing.counts(file) == (0, 3, 1)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("none.csv", [], "none.csv is not an existing file; check the path"),
        ("shifts.xls", [], "has the format of Excel before 2007; save it as .xlsx"),
        ("broken.xlsx", [], "cannot be read as an Excel file"),
        ("empty.csv", [], "has no header in line 1, which is beyond its end; set file.header_line in the mapping"),
        ("shifts.csv", ["--by", "me"], "--by me is not an actor; write person:NAME"),
        ("shifts.csv", ["--sheet", "1"], "--sheet 1 is for Excel files"),
        ("shifts.csv", ["--report", "{folder}/shifts.csv"], "is the file that is imported; name another file"),
        ("shifts.csv", ["--report", "{folder}/r.csv", "--refused", "{folder}/r.csv"], "is also named by --report"),
        ("shifts.csv", ["--report", "{folder}/none/r.csv"], "/none does not exist; create it first"),
        ("shifts.csv", ["--dry-run", "--to-events", "{folder}/e"], "--to-events never records anything"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(importing: Importing, name: str, options: list[str], told: str) -> None:
    importing.csv(*GOOD)
    for made in ("shifts.xls", "broken.xlsx"):
        (importing.folder / made).write_bytes(b"\xd0\xcf\x11\xe0")
    (importing.folder / "empty.csv").write_bytes(b"")
    given = [option.format(folder=importing.folder) for option in options]
    assert told in importing(importing.folder / name, *given).sentence


def test_a_mapping_that_does_not_fit_is_a_sentence_with_its_line(importing: Importing) -> None:
    file = importing.csv(*GOOD)
    importing.mapping(SHIFTS.replace('"Number"', '"Volunteer"'))
    told = importing(file).sentence
    assert 'line 7: fields.volunteer.column: the file has no column "Volunteer"; its columns are: No., Number' in told
    importing.mapping("command =")
    assert "mapping.toml cannot be used: line 1: mapping: this is not TOML" in importing(file).sentence
    without = importing.hours("import", file).sentence
    assert without.startswith(f"--mapping is missing; {file} has the columns No., Number, Station")


# --- what spreadsheets do to cells ----------------------------------------------------------------------------------


def test_merged_and_odd_cells_of_a_spreadsheet_cost_their_lines_and_can_be_mended(importing: Importing) -> None:
    importing.mapping(SHIFTS.replace("\ntext =", '\nproject = "Project"\ntext ='))
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append([*SHIFT_COLUMNS, "Project"])
    for number, volunteer in enumerate(("V0000001", "V0000002", "V0000003", "V0000001", "V0000002"), 1):
        start = "9:00" if number < 4 else "13:00"
        sheet.append([number, volunteer, "Library", "2015-03-05", start, "15:00", f"remark {number}", PROJECT])
    sheet.merge_cells("H2:H4")
    sheet["A5"] = 20_150_313_000_000_001
    sheet["F6"] = "=F5"
    sheet["F6"].number_format = "h:mm"
    file = importing.folder / "shifts.xlsx"
    book.save(file)
    report, refused = importing.folder / "report.csv", importing.folder / "refused.xlsx"
    assert importing.counts(file, "--report", report, "--refused", refused) == (3, 0, 2)
    assert {event.project for event in imported(importing) if isinstance(event, CheckedIn)} == {PROJECT}
    told = [row["detail"] for row in read_csv(report)][-2:]
    assert told[0].startswith('key "20150313000000000" is a number of more than 15 digits')
    assert told[1].startswith('check_out is the formula "=F5" without a stored result')
    header, *rows = [list(row) for row in read_sheet(refused)]
    assert [row[5] for row in rows] == ["15:00", "=F5"]
    rows[0][0], rows[1][5] = 4, "15:00"
    mended = write_sheets(importing.folder / "mended.xlsx", {"1": [header, *rows]})
    assert importing.counts(mended) == (2, 0, 0)


def test_a_cell_that_no_database_can_hold_costs_its_line(importing: Importing) -> None:
    importing.mapping(VOLUNTEERS_MAPPING)
    lines = [
        ("N1", "Chen\x00", "", "2015-03-05"),
        ("N2", "Li", "1.38E+10", "2015-03-05"),
        ("N3", "x" * 200_000, "", "2015-03-05"),
        ("N4", "Wu", "", "9999-12-31 23:59:59.9"),
        ("N5", "Zhang", "13800000005", "2015-03-05"),
    ]
    file = importing.csv(*lines, columns=("No.", "Name", "Phone", "Since"))
    answer = importing.answer(file)
    assert (answer["accepted"], answer["refused"]) == (1, 4)
    assert [refusal["field"] for refusal in answer["refusals"]] == ["name", "phone", None, "registered_on"]
    assert [refusal["columns"] for refusal in answer["refusals"]] == ["Name", "Phone", "", "Since"]


def test_lines_whose_person_the_directory_has_otherwise_are_told_and_change_nothing(
    importing: Importing, persons: Persons
) -> None:
    importing.mapping(VOLUNTEERS_MAPPING)
    header = ("No.", "Since", "Name", "Phone")
    first = [("91", "2015-03-05", "王 小明", "138-0013-8000"), ("92", "2015-03-05", "李伟", "13800138001")]
    importing.counts(importing.csv(*first, columns=header))
    persons.remove(["92"])
    again = [
        ("91", "2015-03-05", "王小\u3000明", "13800138009"),
        first[1],
        ("93", "2015-03-05", "赵", "440301199001011234"),
    ]
    file, report = importing.csv(*again, columns=header), importing.folder / "persons.csv"
    for options in (("--dry-run",), ()):
        told = importing.answer(file, "--report", report, "--force", *options)
        assert (told["duplicates"], told["refused"], told["differing"]) == (2, 1, 2)
        assert [one["line"] for one in told["persons"]] == [2, 3]
        assert "another phone of 91, or none" in told["persons"][0]["detail"]
        assert "hours persons set 92 --name … --phone …" in told["persons"][1]["remedy"]
        assert "looks like an identity number" in told["refusals"][0]["detail"]
        assert "13800138009" not in told["persons"][0]["detail"]
        assert "hours persons set 91 --phone" in read_csv(report)[0]["remedy"]
    assert "Not as in the directory of persons" in importing(file).out
    assert importing.hours("persons", "set", "91", "--phone", "138 0013 8009").code == 0
    assert importing.hours("persons", "set", "92", "--name", "李伟", "--phone", "13800138001").code == 0
    assert importing.answer(file)["differing"] == 0
    for wrong in (("92",), ("92", "--phone", "44030119900101123X"), ("999", "--name", "X"), ("93", "--name", "X")):
        assert importing.hours("persons", "set", *wrong).code == 2
