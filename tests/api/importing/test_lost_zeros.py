"""What a spreadsheet changes of times and durations: lost zeros, parts of a day, and more than 24 hours."""

from __future__ import annotations

from datetime import datetime

import pytest

from api.importing.cells import Cell, CellError, minutes_of_hours, seconds_of


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (9.3, "may have lost a last zero; write 9.30 or 9.03 as text"),
        ("11.2", "may have lost a last zero; write 11.20 or 11.02 as text"),
        (0.25, "may be a part of a day; format the column as a time, or as text"),
    ],
)
def test_a_time_with_two_readings_is_refused(cell: Cell, sentence: str) -> None:
    with pytest.raises(CellError) as refused:
        seconds_of(cell, "%H.%M")
    assert str(refused.value).endswith(sentence)


@pytest.mark.parametrize(("cell", "time"), [("9.30", (9, 30)), ("9.03", (9, 3)), (12.25, (12, 25)), ("0.25", (0, 25))])
def test_a_time_with_one_reading_is_read(cell: Cell, time: tuple[int, int]) -> None:
    assert divmod(seconds_of(cell, "%H.%M"), 3600) == (time[0], 60 * time[1])


@pytest.mark.parametrize(("cell", "minutes"), [(datetime(1900, 1, 1, 2, 30), 1590), (datetime(1900, 1, 4, 4), 6000)])  # noqa: DTZ001
def test_a_duration_of_more_than_a_day_may_be_formatted_as_a_time(cell: Cell, minutes: int) -> None:
    assert minutes_of_hours(cell, ".") == minutes
