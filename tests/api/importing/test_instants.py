"""Instants: a shift is as long as it was, also where clocks went forward or back during it."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path

import pytest

from ledger.aggregates.shift_acts import AttestShift
from tests.support.api.importing import (
    SHIFT_COLUMNS,
    SHIFTS,
    detail,
    order,
    read,
    read_file,
    write_csv,
    write_json,
    write_sheets,
)

BERLIN, SYDNEY, SAO_PAULO = "Europe/Berlin", "Australia/Sydney", "America/Sao_Paulo"
FALL, SPRING = "2015-10-25", "2015-03-29"


def mapping(zone: str, ambiguous: str) -> str:
    return SHIFTS.replace("Asia/Shanghai", zone).replace("time_zone", f'ambiguous = "{ambiguous}"\ntime_zone')


def files(folder: Path, day: str, start: str, end: str) -> list[Path]:
    """Write a table with one shift as texts, and as cells of a spreadsheet."""
    texts = ("1", "V1", "Library", day, start, end, "")
    cells = [1, "V1", "Library", datetime.fromisoformat(day), *(_cell(text) for text in (start, end))]
    return [
        write_csv(folder / "shifts.csv", SHIFT_COLUMNS, texts),
        write_sheets(folder / "shifts.xlsx", {"1": [SHIFT_COLUMNS, cells]}),
        write_json(folder / "shifts.json", SHIFT_COLUMNS, texts),
    ]


def _cell(text: str) -> object:
    return text if text.startswith("24") else time.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "ambiguous", "day", "start", "end", "minutes"),
    [
        (BERLIN, "earlier", FALL, "02:30", "02:10", 40),
        (BERLIN, "earlier", FALL, "02:00", "02:59", 59),
        (BERLIN, "earlier", FALL, "02:59", "02:00", 1),
        (BERLIN, "earlier", FALL, "02:30", "02:30", 0),  # which the ledger refuses, as on any other day
        (BERLIN, "earlier", FALL, "02:30", "02:50", 20),
        (BERLIN, "earlier", FALL, "01:30", "02:10", 40),
        (BERLIN, "later", FALL, "01:30", "02:10", 100),
        (BERLIN, "earlier", FALL, "02:30", "03:00", 90),
        (BERLIN, "later", FALL, "02:30", "03:00", 30),
        (BERLIN, "later", FALL, "02:30", "02:10", 1420),  # both are after the change, so it ends on the next day
        (BERLIN, "earlier", FALL, "03:10", "02:10", 1380),  # the next day
        (BERLIN, "earlier", FALL, "02:30", "01:50", 1460),  # the next day: 01:50 was not repeated
        (BERLIN, "earlier", "2015-10-24", "22:00", "02:10", 250),
        (BERLIN, "later", "2015-10-24", "22:00", "02:10", 310),
        (BERLIN, "earlier", "2015-10-24", "02:30", "02:10", 1420),  # the day before has no repeated hour
        (SYDNEY, "earlier", "2015-04-05", "02:30", "02:10", 40),
        (SAO_PAULO, "earlier", "2015-02-21", "23:30", "23:10", 40),
        ("Australia/Lord_Howe", "earlier", "2015-04-05", "01:55", "01:35", 10),  # half an hour is repeated
        (BERLIN, "refuse", SPRING, "01:30", "03:30", 60),
        (BERLIN, "refuse", SPRING, "03:10", "02:50", 1420),
        (BERLIN, "refuse", "2015-03-28", "22:00", "03:30", 270),
        (SAO_PAULO, "refuse", "2015-10-17", "20:00", "24:00", 240),  # clocks went from 24:00 to 01:00
        (SAO_PAULO, "refuse", "2015-10-17", "20:00", "00:00", 240),
    ],
)
def test_a_shift_is_as_long_as_it_was(
    tmp_path: Path, zone: str, ambiguous: str, day: str, start: str, end: str, minutes: int
) -> None:
    for path in files(tmp_path, day, start, end):
        (line,) = read_file(mapping(zone, ambiguous), path)
        command = order(line).command
        assert isinstance(command, AttestShift)
        assert (command.check_out - command.check_in) / 60 == minutes


@pytest.mark.parametrize(
    ("ambiguous", "day", "start", "end", "told"),
    [
        ("refuse", FALL, "02:30", "02:10", "check_in 2015-10-25 02:30:00 occurred twice in Europe/Berlin"),
        ("refuse", FALL, "01:30", "02:10", "check_out 2015-10-25 02:10:00 occurred twice in Europe/Berlin"),
        ("earlier", SPRING, "02:30", "04:00", "check_in 2015-03-29 02:30:00 did not exist in Europe/Berlin"),
        ("earlier", SPRING, "01:30", "02:30", "check_out 2015-03-29 02:30:00 did not exist in Europe/Berlin"),
        ("later", "2015-03-28", "22:00", "02:30", "check_out 2015-03-29 02:30:00 did not exist in Europe/Berlin"),
    ],
)
def test_what_the_clocks_never_or_twice_showed_is_told(
    tmp_path: Path, ambiguous: str, day: str, start: str, end: str, told: str
) -> None:
    for path in files(tmp_path, day, start, end):
        (line,) = read_file(mapping(BERLIN, ambiguous), path)
        assert detail(line).startswith(told)


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("2015-10-25 02:30+02:00", "2015-10-25 02:10", 40),  # only once after the check-in
        ("2015-10-25 01:50", "2015-10-25 02:10+01:00", 80),
    ],
)
def test_an_end_with_a_day_of_its_own_follows_its_beginning(start: str, end: str, minutes: int) -> None:
    columns = mapping(BERLIN, "refuse")
    columns = columns.replace('{ date = "Date", time = "From" }', '"From"').replace(
        '{ date = "Date", time = "To" }', '"To"'
    )
    command = order(read(columns, SHIFT_COLUMNS, 1, "V1", "Library", "", start, end, "")).command
    assert isinstance(command, AttestShift)
    assert command.check_out - command.check_in == 60 * minutes


def test_a_shift_over_the_last_midnight_of_the_calendar_is_out_of_range() -> None:
    line = read(mapping(BERLIN, "refuse"), SHIFT_COLUMNS, 1, "V1", "Library", "9999-12-31", "22:00", "01:00", "")
    assert detail(line) == 'check_out "9999-12-31" is out of range; check the year'
