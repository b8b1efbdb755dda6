"""`hours import` of punch logs: files without a header, epoch instants, cards, and what the rules make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.operations.service import open_ledger
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, found, give

pytest_plugins = ["tests.support.api.fixtures"]

MAPPING = f"""
command = "punch"
source = "/imports/clock"
key = [1, 2]
time_zone = "Asia/Shanghai"
[file]
delimiter = "\\t"
header_line = 0
[fields]
volunteer = {{ column = 1, values_file = "cards.csv" }}
station = {{ constant = "{STATION}" }}
occurred_at = {{ column = 2, format = "epoch" }}
"""
DIRECTION = 'direction = { column = 3, values = { "0" = "in", "1" = "out" } }\n'
MORNING = 1_417_741_080  # 2014-12-05T08:58+08:00


@pytest.fixture
def clock(hours: CommandLine, tmp_path: Path) -> Path:
    """A folder with a mapping and cards, beside a ledger with two volunteers."""
    with open_ledger(hours.data) as ledger:
        found(ledger)
        for volunteer in ("V0000001", "V0000002"):
            give(ledger, "register-volunteer", volunteer=volunteer, registered_on="2014-01-01")
        ledger.make_ready()
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")
    (tmp_path / "cards.csv").write_text("0001,V0000001\n0002,V0000002\n0003,V0000001\n", "utf-8")
    return tmp_path


def log_of(folder: Path, *lines: tuple[object, ...]) -> Path:
    path = folder / "clock.tsv"
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines), "utf-8")
    return path


def imported(hours: CommandLine, folder: Path, log: Path, *options: str) -> dict[str, object]:
    answer = hours("import", log, "--mapping", folder / "mapping.toml", *options, "--json").answer
    assert isinstance(answer, dict)
    return answer


def raw_minutes(hours: CommandLine, volunteer: str) -> int:
    minutes: int = hours("volunteer", volunteer, "--json").answer["total"]["raw_minutes"]
    return minutes


def test_punches_without_direction_are_paired_as_the_dry_run_says(hours: CommandLine, clock: Path) -> None:
    offsets = (0, 10_980, 14_520, 30_720)  # 08:58, 12:01, 13:00 and 17:30
    log = log_of(
        clock, *((card, MORNING + at) for card, at in zip(("0001", "0003", "0001", "0001"), offsets, strict=True))
    )
    dry = imported(hours, clock, log, "--dry-run")
    pairing = dry["pairing"]
    assert isinstance(pairing, dict)
    assert (pairing["shifts"], pairing["minutes"], pairing["left_over"]) == (2, 453, {})
    assert raw_minutes(hours, "V0000001") == 0
    assert imported(hours, clock, log)["accepted"] == 4
    assert raw_minutes(hours, "V0000001") == 453
    assert imported(hours, clock, log)["duplicates"] == 4
    assert raw_minutes(hours, "V0000001") == 453


def test_what_is_left_over_is_counted_by_its_reason(hours: CommandLine, clock: Path) -> None:
    (clock / "mapping.toml").write_text(MAPPING + DIRECTION, "utf-8")
    log = log_of(
        clock,
        ("0001", MORNING, 0),
        ("0001", MORNING + 2, 0),
        ("0001", MORNING + 3600, 1),
        ("0002", MORNING, 1),
        ("0002", MORNING + 7200, 0),
    )
    pairing = imported(hours, clock, log, "--dry-run")["pairing"]
    assert isinstance(pairing, dict)
    left_over = {"double-tap": 1, "check-out-without-check-in": 1, "no-check-out": 1}
    assert (pairing["shifts"], pairing["minutes"], pairing["left_over"]) == (1, 60, left_over)
    told = hours("import", log, "--mapping", clock / "mapping.toml", "--dry-run")
    assert "The rules in force make 1 shifts of its punches, 1:00 hours." in told.out


def test_a_dry_run_pairs_with_what_the_ledger_has(hours: CommandLine, clock: Path) -> None:
    (clock / "mapping.toml").write_text(MAPPING + DIRECTION, "utf-8")
    imported(hours, clock, log_of(clock, ("0001", MORNING, 0)))
    pairing = imported(hours, clock, log_of(clock, ("0001", MORNING + 1800, 1)), "--dry-run")["pairing"]
    assert isinstance(pairing, dict)
    assert pairing["left_over"] == {}  # it ends the shift of the first file


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (("9999", MORNING), "volunteer"),
        (("0001", "5 December"), "occurred_at"),
        (("0001", ""), "occurred_at"),
        (("0001", MORNING, 7), "direction"),
    ],
)
def test_a_line_that_cannot_be_read_names_its_field(
    hours: CommandLine, clock: Path, line: tuple[object, ...], field: str
) -> None:
    (clock / "mapping.toml").write_text(MAPPING + DIRECTION, "utf-8")
    whole = (*line, 0)[:3]
    log = log_of(clock, ("0002", MORNING, 0), whole)
    told = hours("import", log, "--mapping", clock / "mapping.toml", "--json")
    assert told.code == 1
    assert f'"field": "{field}"' in told.out


@pytest.mark.parametrize(
    ("cards", "sentence"),
    [
        (None, "cards.csv is not an existing file"),
        ("0001\n", "write two columns"),
        ("0001,V0000001\n0001,V0000002\n", '"0001" stands for two; remove one'),
        ("0001,#N/A\n", "cards.csv line 1: contains the spreadsheet error #N/A"),
        ("0001,2.0E+10\n", 'cards.csv line 1: "2.0E+10" is a number that a spreadsheet has shortened'),
        ("0001,V1\u200b\n", "contains the invisible character U+200B"),
        ("0001,not a number!\n", 'maps "0001" to "not a number!"'),
    ],
)
def test_a_table_of_cards_that_cannot_be_used_is_refused(
    hours: CommandLine, clock: Path, cards: str | None, sentence: str
) -> None:
    if cards is None:
        (clock / "cards.csv").unlink()
    else:
        (clock / "cards.csv").write_text(cards, "utf-8")
    told = hours("import", log_of(clock, ("0001", MORNING)), "--mapping", clock / "mapping.toml")
    assert sentence in told.sentence
