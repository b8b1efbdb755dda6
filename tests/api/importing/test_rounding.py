"""Rounding: a time or a duration comes to the same minutes in any notation: to the nearest second, then minute."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from api.importing.cells import CellError
from api.importing.forms.moments import at_second, day_of, moment_of, seconds_of
from api.importing.forms.numbers import minutes_of, minutes_of_hours
from ledger.aggregates.shift_acts import AttestShift
from tests.support.api.importing import SHIFT_COLUMNS, SHIFTS, order, read_file, write_csv, write_json

HOURS = SHIFTS.replace('check_out = { date = "Date", time = "To" }', 'check_out = { hours = "To" }')
EXCEL_TIME = "h:mm"
EXCEL_DURATION = "[h]:mm"
MOMENT = datetime(2015, 3, 5, 9, 30)


@pytest.mark.parametrize(
    ("cell", "minutes"),
    [
        ("1:30:45", 91),
        ("1.5125", 91),
        (1.5125, 91),
        (timedelta(hours=1, minutes=30, seconds=45), 91),
        (time(1, 30, 45), 91),
        ("1:30:29", 90),
        ("1:30:30", 91),  # half a minute counts as one
        ("1.508333", 91),  # 1:30:30, with as many digits as were copied
        ("1:30:29.6", 91),  # the nearest second is 1:30:30
        (time(2, 29, 59, 942_000), 150),  # 0.104166 of a day
        (timedelta(hours=2, minutes=29, seconds=59, microseconds=942_000), 150),
        (time(23, 59, 59, 827_000), 1440),
        ("0:00:29", 0),
    ],
)
def test_a_duration_in_any_notation_is_the_same_minutes(cell: Any, minutes: int) -> None:
    assert minutes_of_hours(cell, ".") == minutes


@pytest.mark.parametrize(("cell", "minutes"), [("90.5", 91), ("90.49", 90), ("90.49999", 91), (90.75, 91)])
def test_minutes_follow_the_same_rule(cell: Any, minutes: int) -> None:
    assert minutes_of(cell, ".") == minutes


@pytest.mark.parametrize(
    "cell",
    [
        "09:29:59.997",
        time(9, 29, 59, 971_000),
        timedelta(hours=9, minutes=29, seconds=59, microseconds=971_000),
        datetime(2015, 3, 5, 9, 29, 59, 971_000),
        "09:30:00.499",
        "9:30",
    ],
)
def test_a_time_in_any_notation_is_the_same_second(cell: Any) -> None:
    assert seconds_of(cell) == 34_200


@pytest.mark.parametrize(
    ("cell", "formats"),
    [
        (datetime(2015, 3, 5, 9, 29, 59, 971_000), ()),
        ("2015-03-05 09:29:59.971", ()),
        ("2015/3/5 9:29:59.971", ()),
        ("05.03.2015 09:29:59.971", ("%d.%m.%Y %H:%M:%S.%f",)),
    ],
)
def test_a_day_with_its_time_is_the_same_second(cell: Any, formats: tuple[str, ...]) -> None:
    assert moment_of(cell, formats) == MOMENT


@pytest.mark.parametrize(("form", "text"), [("epoch-ms", "1425547799971"), ("epoch", "1425547800")])
def test_an_instant_as_a_number_is_the_same_second(form: str, text: str) -> None:
    assert moment_of(text, (form,)).timestamp() == 1_425_547_800


def test_just_before_midnight_is_midnight_at_its_end() -> None:
    late = datetime(2015, 3, 5, 23, 59, 59, 900_000)
    assert seconds_of(late) == seconds_of(late.time()) == 86_400
    assert day_of(late) == date(2015, 3, 6)
    assert moment_of(late) == datetime(2015, 3, 6)


@pytest.mark.parametrize("read", [day_of, moment_of])
def test_the_last_half_second_of_the_calendar_is_out_of_range(read: Any) -> None:
    with pytest.raises(CellError, match=r'"9999-12-31 23:59:59\.500000" is out of range; check the year'):
        read(datetime(9999, 12, 31, 23, 59, 59, 500_000))
    with pytest.raises(CellError, match='"9999-12-31" is out of range'):
        at_second(date(9999, 12, 31), 86_400)
    with pytest.raises(CellError, match='"999999999999999" is out of range'):
        moment_of("999999999999999", ("epoch",))


def test_cells_of_a_spreadsheet_and_texts_come_to_the_same_minutes(tmp_path: Path) -> None:
    """Each column holds the same times, as a spreadsheet stores them and as people write them."""
    rows: list[tuple[Any, str, Any, str, str, str, int]] = [
        (0.395833, EXCEL_TIME, 0.5, EXCEL_TIME, "9:30", "2:30", 150),
        (0.395833, EXCEL_DURATION, 0.5, EXCEL_DURATION, "09:30:00", "2.5", 150),
        (0.3958333333, "yyyy-mm-dd h:mm", 0.49999999, EXCEL_TIME, "9:29:59.9999", "2:29:59.6", 150),
        (0.395833, EXCEL_TIME, 0.458854, EXCEL_TIME, "9:30", "1:30:45", 90),  # 11:00:45 is in the minute 11:00
    ]
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(SHIFT_COLUMNS)
    for number, (start, start_format, end, end_format, *_rest) in enumerate(rows, 2):
        sheet.append([number, "V0000001", "Library", MOMENT, start, end])
        sheet.cell(number, 5).number_format = start_format
        sheet.cell(number, 6).number_format = end_format
    book.save(tmp_path / "shifts.xlsx")
    assert _minutes(SHIFTS, tmp_path / "shifts.xlsx") == [row[-1] for row in rows]
    texts = [(number, "V1", "Library", "2015-03-05", row[4], row[5], "") for number, row in enumerate(rows)]
    file = write_csv(tmp_path / "shifts.csv", SHIFT_COLUMNS, *texts)
    records = write_json(tmp_path / "shifts.json", SHIFT_COLUMNS, *texts)
    for path in (file, records):
        assert _minutes(HOURS, path) == [150, 150, 150, 91]  # a duration of 1:30:45 is 91 minutes


def test_a_duration_of_a_spreadsheet_is_the_same_in_every_format(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(SHIFT_COLUMNS)
    cells = [(0.104166, EXCEL_TIME), (0.104166, EXCEL_DURATION), (2.5, "General"), ("2:30", "@"), ("2.5", "@")]
    for number, (value, form) in enumerate(cells, 2):
        sheet.append([number, "V0000001", "Library", "2015-03-05", "9:00", value])
        sheet.cell(number, 6).number_format = form
    book.save(tmp_path / "hours.xlsx")
    assert _minutes(HOURS, tmp_path / "hours.xlsx") == [150] * 5


def _minutes(mapping: str, path: Path) -> list[int]:
    """Return the minutes that the ledger counts of each shift of a file."""
    commands = [order(line).command for line in read_file(mapping, path)]
    assert all(isinstance(command, AttestShift) for command in commands)
    return [
        command.check_out // 60 - command.check_in // 60 for command in commands if isinstance(command, AttestShift)
    ]
