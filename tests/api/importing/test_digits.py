"""Formats of digits alone: zeros that were lost are put back where only one reading fits; all else is told."""

# ruff: noqa: DTZ001 - formats without a zone

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.importing.cells import CellError
from api.importing.forms.moments import day_of, moment_of, seconds_of
from ledger.aggregates.shift_acts import AttestShift
from ledger.names import instant_text
from tests.support.api.importing import (
    SHIFT_COLUMNS,
    SHIFTS,
    detail,
    order,
    read_file,
    write_csv,
    write_json,
    write_sheets,
)

COMPACT = SHIFTS.replace('date = "Date",', 'date = "Date", format = "%d%m%Y",').replace(
    '" }\ncheck_out', '", time_format = "%H%M" }\ncheck_out'
)


@pytest.mark.parametrize(
    ("cell", "form", "day"),
    [
        ("01122014", "%d%m%Y", date(2014, 12, 1)),
        ("11022014", "%d%m%Y", date(2014, 2, 11)),
        (3122014, "%d%m%Y", date(2014, 12, 3)),  # there is no 31 February
        (3122014.0, "%d%m%Y", date(2014, 12, 3)),
        ("3122014", "%d%m%Y", date(2014, 12, 3)),
        ("3.12.2014", "%d.%m.%Y", date(2014, 12, 3)),  # dots say where the day ends
        ("2014131", "%Y%m%d", date(2014, 1, 31)),
        ("20141231", "%Y%m%d", date(2014, 12, 31)),
        (51231, "%y%m%d", date(2005, 12, 31)),
        ("d. 3122014", "d. %d%m%Y", date(2014, 12, 3)),
        ("2014365", "%Y%j", date(2014, 12, 31)),
    ],
)
def test_a_day_of_digits_alone_is_read_where_only_one_fits(cell: Any, form: str, day: date) -> None:
    assert day_of(cell, (form,)) == day


@pytest.mark.parametrize(
    ("cell", "form", "told"),
    [
        (1122014, "%d%m%Y", '"1122014" has fewer digits than %d%m%Y, and may be 01122014 or 11022014; write the one'),
        ("1122014", "%m%d%Y", "may be 01122014 or 11022014"),
        ("2014112", "%Y%m%d", "may be 20140112 or 20141102"),
        ("122014", "%d%m%Y", None),
        (50331, "%y%m%d", "may be 050331 or 500331"),
        ("32132014", "%d%m%Y", "cannot be read as a day; write it as %d%m%Y"),
        ("3122", "%d%m%Y", "cannot be read as a day"),
        ("331122014", "%d%m%Y", "cannot be read as a day"),
    ],
)
def test_a_day_of_digits_alone_is_refused_where_several_fit(cell: Any, form: str, told: str | None) -> None:
    if told is None:
        assert day_of(cell, (form,)) == date(2014, 2, 1)  # each has one digit
        return
    with pytest.raises(CellError, match=told):
        day_of(cell, (form,))


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("0110", 4200),
        ("1100", 39_600),
        (930, 34_200),
        ("930", 34_200),
        (5, 300),
        (0, 0),
        ("0930", 34_200),
        ("2400", None),
        (110, None),
        ("110", None),
        ("45", None),
        ("1", 60),
    ],
)
def test_a_time_of_digits_alone(cell: Any, seconds: int | None) -> None:
    if seconds is not None:
        assert seconds_of(cell, ("%H%M",)) == seconds
        return
    with pytest.raises(CellError, match=r"has fewer digits than %H%M, and may be|is not a time of day"):
        seconds_of(cell, ("%H%M",))


@pytest.mark.parametrize(
    ("cell", "form", "moment"),
    [
        ("20141203093000", "%Y%m%d%H%M%S", datetime(2014, 12, 3, 9, 30)),
        ("3.12.2014 930", "%d.%m.%Y %H%M", datetime(2014, 12, 3, 9, 30)),
        ("3122014 930", "%d%m%Y %H%M", datetime(2014, 12, 3, 9, 30)),
        ("3122014 9:30 PM", "%d%m%Y %I:%M %p", datetime(2014, 12, 3, 21, 30)),
        ("1417741080.4", "epoch", None),
    ],
)
def test_a_moment_of_digits_alone(cell: str, form: str, moment: datetime | None) -> None:
    assert moment_of(cell, (form,)) == moment if moment else moment_of(cell, (form,)).timestamp() == 1_417_741_080
    with pytest.raises(CellError, match="may be 01122014 0930 or 11022014 0930"):
        moment_of("1122014 930", ("%d%m%Y %H%M",))


def test_another_format_of_the_list_may_read_what_the_first_cannot_tell() -> None:
    assert day_of("1122014", ("%d%m%Y", "%d1%m%Y")) == date(2014, 2, 1)


@given(st.dates(date(1970, 1, 1), date(2068, 12, 31)), st.sampled_from(["%d%m%Y", "%Y%m%d", "%y%m%d", "%m%d%Y"]))
def test_no_day_is_ever_read_as_another(day: date, form: str) -> None:
    """Written with all digits it is read; as a number, which has lost the first zeros, it is read or refused."""
    text = day.strftime(form)
    assert day_of(text, (form,)) == day
    try:
        assert day_of(int(text), (form,)) == day
    except CellError as error:
        assert text in str(error)  # noqa: PT017 - it may be read, too


LINES = [
    (1, "V0000001", "Library", 3122014, 930, "12:00", ""),
    (2, "V0000001", "Library", 1122014, 930, "12:00", ""),
    (3, "V0000001", "Library", 3122014, 110, "12:00", ""),
]


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "json"])
def test_a_file_with_days_and_times_of_digits_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"shifts.{suffix}"
    if suffix == "json":
        write_json(path, SHIFT_COLUMNS, *LINES)
    elif suffix == "csv":
        write_csv(path, SHIFT_COLUMNS, *LINES)
    else:
        write_sheets(path, {"2014": [SHIFT_COLUMNS, *LINES]})
    first, *others = read_file(COMPACT, path)
    command = order(first).command
    assert isinstance(command, AttestShift)
    assert instant_text(command.check_in) == "2014-12-03T01:30:00Z"
    assert [detail(line) for line in others] == [
        f'check_in "{cell}" has fewer digits than {form}, and may be {ways}; write the one that is meant, as text'
        for cell, form, ways in (("1122014", "%d%m%Y", "01122014 or 11022014"), ("110", "%H%M", "0110 or 1100"))
    ]
