"""Lines: a record keeps its name wherever it stands, and its instants are those that clocks on the wall showed."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.importing.cells import CellError
from api.importing.identifiers import identifier_of
from api.importing.lines import ID_LENGTH_MAX
from api.importing.mapping import MappingError, parse_mapping
from api.importing.tables import UnreadableTableError
from ledger.aggregates import Order
from ledger.aggregates.opening_balance import RecordOpeningBalance
from ledger.aggregates.shift_acts import AttestShift
from ledger.aggregates.volunteer import RegisterVolunteer
from ledger.names import instant_text
from tests.support.api.importing import KEYLESS, SHIFT_COLUMNS, SHIFTS, detail, order, read, read_file, write_csv

LINE = ("17", "V0000001", "East gate", "2015-03-05", "09:00", "12:00", "")


def shift(mapping: str, *cells: Any) -> AttestShift:
    command = order(read(mapping, SHIFT_COLUMNS, *cells)).command
    assert isinstance(command, AttestShift)
    return command


def stay(mapping: str, *cells: Any) -> tuple[str, str]:
    command = shift(mapping, *cells)
    return instant_text(command.check_in), instant_text(command.check_out)


def test_a_line_becomes_an_attested_shift_that_is_marked_as_imported() -> None:
    found = order(read(SHIFTS, SHIFT_COLUMNS, *LINE[:-1], " rain "))
    assert (found.name, found.by, found.imported) == ("/imports/lists#17", "person:keeper", True)
    assert found.command == AttestShift(
        volunteer="V0000001",
        station="C01",
        check_in=1_425_517_200,
        check_out=1_425_528_000,
        evidence="service-list",
        text="rain",
    )


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("22:00", "01:30", ("2015-03-05T14:00:00Z", "2015-03-05T17:30:00Z")),
        ("22:00", "24:00", ("2015-03-05T14:00:00Z", "2015-03-05T16:00:00Z")),
        ("00:00", "24:00", ("2015-03-04T16:00:00Z", "2015-03-05T16:00:00Z")),
        (time(22), time(0), ("2015-03-05T14:00:00Z", "2015-03-05T16:00:00Z")),
        ("09:00", "09:00", ("2015-03-05T01:00:00Z", "2015-03-05T01:00:00Z")),  # which the ledger refuses
    ],
)
def test_an_end_before_the_begin_is_on_the_next_day(start: Any, end: Any, expected: tuple[str, str]) -> None:
    assert stay(SHIFTS, "1", "V1", "East gate", "2015-03-05", start, end, "") == expected


def test_an_end_that_names_the_next_day_is_on_it() -> None:
    cells = ("1", "V1", "East gate", datetime(2015, 3, 5))
    ends = {
        stay(SHIFTS, *cells, begin, end, "")[1]
        for begin in (time(22), datetime(2015, 3, 5, 22))
        for end in (
            time(1, 30),
            datetime(2015, 3, 6, 1, 30),
            "2015-03-06 01:30",
            "25:30",
            timedelta(hours=25, minutes=30),
            datetime(1900, 1, 1, 1, 30),  # 25:30 in a column formatted h:mm
        )
    }
    assert ends == {"2015-03-05T17:30:00Z"}
    for long in (datetime(2015, 3, 6, 10), "34:00", datetime(1900, 1, 1, 10)):
        told = detail(read(SHIFTS, SHIFT_COLUMNS, *cells, time(9), long, ""))
        assert "check_out 2015-03-06 10:00:00 is a day or more after the begin, 2015-03-05 09:00:00" in told
    told = detail(read(SHIFTS, SHIFT_COLUMNS, *cells, datetime(2015, 3, 6, 9), time(12), ""))
    assert told.startswith('check_in "2015-03-06 09:00:00" is on another day than 2015-03-05; correct the day')


def test_an_end_with_a_day_of_its_own_is_on_that_day() -> None:
    mapping = SHIFTS.replace('{ date = "Date", time = "To" }', '{ column = "To", format = "%d.%m.%Y %H:%M" }')
    assert stay(mapping, *LINE[:5], "05.03.2015 08:00", "")[1] == "2015-03-05T00:00:00Z"
    assert stay(mapping, *LINE[:5], datetime(2015, 3, 6, 2), "")[1] == "2015-03-05T18:00:00Z"
    assert stay(mapping, *LINE[:5], "2015-03-05T12:00+01:00", "")[1] == "2015-03-05T11:00:00Z"


@pytest.mark.parametrize(("key", "cell"), [("hours", "3.5"), ("hours", "3:30"), ("minutes", "210"), ("minutes", 210)])
def test_a_duration_stands_for_the_end(key: str, cell: Any) -> None:
    mapping = SHIFTS.replace('check_out = { date = "Date", time = "To" }', f'check_out = {{ {key} = "To" }}')
    assert stay(mapping, *LINE[:5], cell, "")[1] == "2015-03-05T04:30:00Z"


def test_a_record_without_times_begins_when_the_mapping_says() -> None:
    mapping = SHIFTS.replace('{ date = "Date", time = "From" }', '{ date = "Date", at = "08:30" }')
    assert stay(mapping, *LINE)[0] == "2015-03-05T00:30:00Z"


def test_a_shift_of_more_hours_than_the_mapping_expects_is_looked_at_by_a_person() -> None:
    mapping = SHIFTS.replace('time = "To" }', 'time = "To", hours_max = 12 }')
    assert stay(mapping, *LINE)
    told = detail(read(mapping, SHIFT_COLUMNS, *LINE[:5], "08:00", ""))
    assert told == "check_out would make a shift of 23:00 hours, more than hours_max = 12; check both times"


BERLIN = SHIFTS.replace("Asia/Shanghai", "Europe/Berlin")


def test_clocks_that_went_forward_or_back_are_not_guessed() -> None:
    skipped = read(BERLIN, SHIFT_COLUMNS, "1", "V1", "East gate", "2018-03-25", "02:30", "05:00", "")
    assert "2018-03-25 02:30:00 did not exist in Europe/Berlin: the clocks went forward" in detail(skipped)
    twice = ("1", "V1", "East gate", "2018-10-28", "02:30", "05:00", "")
    assert "occurred twice in Europe/Berlin: the clocks went back then; write the offset" in detail(
        read(BERLIN, SHIFT_COLUMNS, *twice)
    )
    for ambiguous, begins in (("earlier", "2018-10-28T00:30:00Z"), ("later", "2018-10-28T01:30:00Z")):
        mapping = BERLIN.replace("time_zone", f'ambiguous = "{ambiguous}"\ntime_zone')
        assert stay(mapping, *twice) == (begins, "2018-10-28T04:00:00Z")


def test_a_shift_over_a_change_of_the_clocks_is_as_long_as_it_was() -> None:
    command = shift(BERLIN, "1", "V1", "East gate", "2018-10-27", "22:00", "06:00", "")
    assert command.check_out - command.check_in == 9 * 3600


# --- names ----------------------------------------------------------------------------------------------------------


def test_without_a_key_a_record_is_named_by_what_it_says() -> None:
    name = order(read(KEYLESS, SHIFT_COLUMNS, *LINE)).id
    assert order(read(KEYLESS, SHIFT_COLUMNS, "99", *LINE[1:-1], "another remark")).id == name
    assert order(read(KEYLESS, SHIFT_COLUMNS, *LINE[:5], "12:01", "")).id != name


@given(st.sets(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)] * 2)))
def test_other_keys_are_other_names_and_every_name_can_be_kept(keys: set[tuple[str, str]]) -> None:
    mapping = SHIFTS.replace('key = "No."', 'key = ["No.", "Remarks"]').replace('text = "Remarks"\n', "")
    plain = {pair for one, two in keys if all(pair := (_plain(one), _plain(two)))}
    lines = [read(mapping, SHIFT_COLUMNS, one, *LINE[1:-1], two) for one, two in plain]
    names = [line.order.id for line in lines if isinstance(line.order, Order)]
    assert len(set(names)) == len(plain)
    assert all(len(name) <= ID_LENGTH_MAX for name in names)


def _plain(text: str) -> str:
    try:
        plain = identifier_of(text, days=True)
    except CellError:
        return ""
    return str(int(plain)) if plain.isascii() and plain.isdigit() else plain


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "key is empty; fill in all columns of the key"),
        ("13800138000", "key looks like a phone or identity number"),
        ("11010519491231002X", "key looks like a phone or identity number"),
        ("#N/A", "key contains the spreadsheet error #N/A"),
    ],
)
def test_a_key_that_is_no_name_is_told(key: str, told: str) -> None:
    assert told in detail(read(SHIFTS, SHIFT_COLUMNS, key, *LINE[1:]))


@pytest.mark.parametrize(
    ("one", "other"), [("007", "7"), ("007", 7), ("007", 7.0), ('="007"', "07"), ("0", "000"), ("7:0", "7:0")]
)
def test_a_key_that_lost_its_zeros_names_the_same_record(one: Any, other: Any) -> None:
    names = {order(read(SHIFTS, SHIFT_COLUMNS, key, *LINE[1:])).name for key in (one, other)}
    assert len(names) == 1


def test_zeros_inside_a_key_count_and_each_column_of_a_key_may_have_lost_its_own() -> None:
    mapping = SHIFTS.replace('key = "No."', 'key = ["No.", "Remarks"]').replace('text = "Remarks"\n', "")
    ids = {order(read(mapping, SHIFT_COLUMNS, key, *LINE[1:-1], more)).id for key, more in (("012", "03"), (12, 3))}
    assert ids == {"12:3"}
    kept = [order(read(SHIFTS, SHIFT_COLUMNS, key, *LINE[1:])).id for key in ("100", "A007", "0x7", "2015-007")]
    assert kept == ["100", "A007", "0x7", "2015-007"]


def test_a_key_is_no_phone_number_with_or_without_zeros() -> None:
    for key in ("013800138000", "0013800138000"):
        assert "looks like a phone or identity number" in detail(read(SHIFTS, SHIFT_COLUMNS, key, *LINE[1:]))


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "cell", "field", "told"),
    [
        (1, "", "volunteer", "volunteer is empty: Number; fill it in"),
        (1, None, "volunteer", "volunteer is empty: Number"),
        (1, "13800138000", "volunteer", "volunteer looks like a phone or identity number"),
        (1, "V 1", "volunteer", "volunteer 'V 1' is not allowed here: it is written with 1 to 32 letters"),
        (
            2,
            "West gate",
            "station",
            'station "West gate" is not in the table of values; add it to fields.station.values',
        ),
        (2, "=1+1", "station", 'station "=1+1" is a formula, not its result'),
        (3, "", "check_in", "check_in is empty: Date, From"),
        (3, "5.3.2015", "check_in", 'check_in "5.3.2015" cannot be read as a day'),
        (4, "9 o'clock", "check_in", 'check_in "9 o\'clock" is not a time of day'),
        (3, "1986-05-04", "check_in", "check_in 1986-05-04 09:00:00 is before the year 2000"),
        (5, "", "check_out", "check_out is empty: Date, To"),
        (6, "\x00", "text", "text '\\x00' is not allowed here: it may hold any character but NUL"),
    ],
)
def test_a_cell_that_cannot_be_meant_is_told_with_its_field(place: int, cell: Any, field: str, told: str) -> None:
    cells = list(LINE)
    cells[place] = cell
    line = read(SHIFTS, SHIFT_COLUMNS, *cells)
    assert told in detail(line)
    assert getattr(line.order, "field", None) == field


def test_a_line_with_more_cells_than_the_header_is_not_guessed_at() -> None:
    assert "the line has 8 cells, the header 7; put a cell that holds the delimiter in quotation marks" in detail(
        read(SHIFTS, SHIFT_COLUMNS, *LINE, "12:00")
    )
    assert order(read(SHIFTS, SHIFT_COLUMNS, *LINE, "", None)).id == "17"
    assert order(read(SHIFTS, SHIFT_COLUMNS, *LINE[:6])).id == "17"  # spreadsheets leave out what is empty at the end


def test_numbers_get_back_their_zeros_and_letters() -> None:
    mapping = SHIFTS.replace('volunteer = "Number"', 'volunteer = { column = "Number", prefix = "V", digits = 7 }')
    assert {shift(mapping, "1", number, *LINE[2:]).volunteer for number in (42, 42.0, "42", "0000042")} == {"V0000042"}


@pytest.mark.parametrize(
    ("prefix", "digits", "cell", "number"),
    [
        ("L-", 4, "L-0007", "L-0007"),
        ("L-", 4, "l-7", "L-0007"),
        ("L-", 4, "7", "L-0007"),
        ("V", 0, "V12", "V12"),
        ("V", 0, "VA12", "VVA12"),  # the first letter may be part of the old number
        ("10", 0, "1001", "101001"),  # so may digits
    ],
)
def test_a_prefix_that_was_written_is_not_put_before_itself(prefix: str, digits: int, cell: str, number: str) -> None:
    source = f'volunteer = {{ column = "Number", prefix = "{prefix}", digits = {digits} }}'
    assert shift(SHIFTS.replace('volunteer = "Number"', source), "1", cell, *LINE[2:]).volunteer == number


def test_a_number_that_the_mapping_has_changed_is_told_with_its_cell() -> None:
    source = 'volunteer = { column = "Number", prefix = "L-", digits = 4 }'
    mapping = SHIFTS.replace('volunteer = "Number"', source)
    assert detail(read(mapping, SHIFT_COLUMNS, "1", "V 7", *LINE[2:])).startswith(
        "volunteer of \"V 7\": volunteer 'L-0V 7'"
    )
    assert "13800138000" not in detail(read(mapping, SHIFT_COLUMNS, "1", "13800138000", *LINE[2:]))


def test_a_file_that_is_not_divided_into_columns_is_told_so_whatever_its_delimiter(tmp_path: Path) -> None:
    for delimiter in (";", "\t", "|"):
        path = write_csv(tmp_path / "old.csv", SHIFT_COLUMNS, LINE, delimiter=delimiter)
        with pytest.raises(MappingError, match=r"set file\.delimiter: its header is one column"):
            read_file(SHIFTS, path)


@pytest.mark.parametrize("word", ["Total", "TOTALS:", "subtotal", "合计", "合 计", "总计：", "小計", "Summe"])  # noqa: RUF001
@pytest.mark.parametrize("place", [0, 1, 6])
def test_a_row_of_totals_is_called_so(word: str, place: int) -> None:
    cells = ["", "", "", "", "", "3:00", ""]
    cells[place] = word
    line = read(SHIFTS, SHIFT_COLUMNS, *cells)
    assert detail(line).startswith(f'the line may hold totals, because of "{word}"; delete it if so (')
    assert getattr(line.order, "remedy", "") == "delete the line if it holds totals"


def test_a_line_that_names_nobody_may_be_no_record() -> None:
    told = detail(read(SHIFTS, SHIFT_COLUMNS, "", "", "", "", "", "3:00", ""))
    assert told == "volunteer is empty: Number; fill it in, or delete the line if it is no record"
    assert detail(read(SHIFTS, SHIFT_COLUMNS, "1", "", *LINE[2:])) == "volunteer is empty: Number; fill it in"
    assert order(read(SHIFTS, SHIFT_COLUMNS, *LINE[:-1], "Total"))


@pytest.mark.parametrize(("header_line", "told"), [(1, 3), (2, 3), (4, 3), (5, 3)])
def test_a_wrong_line_of_the_header_is_told_with_the_right_one(tmp_path: Path, header_line: int, told: int) -> None:
    path = write_csv(tmp_path / "old.csv", ("Lists of 2015",), (), SHIFT_COLUMNS, LINE, LINE)
    mapping = SHIFTS.replace("[fields]", f"[file]\nheader_line = {header_line}\n[fields]")
    with pytest.raises((MappingError, UnreadableTableError)) as raised:
        read_file(mapping, path)
    message = str(raised.value)
    assert f"header_line = {told}" in message or f"the next line with cells is {told}" in message
    assert f"line {header_line}" in message
    mended = mapping.replace(f"header_line = {header_line}", f"header_line = {told}")
    assert [line.number for line in read_file(mended, path)] == [4, 5]


def test_an_empty_cell_may_have_a_value_in_the_table() -> None:
    mapping = SHIFTS.replace('"Library" = "C02"', '"" = "C02"')
    assert shift(mapping, "1", "V1", " ", *LINE[3:]).station == "C02"


def test_a_registration_has_its_person_beside_it() -> None:
    mapping = """
        command = "register-volunteer"
        source = "/imports/cards"
        fields = { volunteer = "No.", registered_on = { column = "Since", format = "%d/%m/%Y" } }
        person = { name = "Name", phone = "Phone" }
    """
    columns = ("No.", "Since", "Name", "Phone")
    line = read(mapping, columns, "V1", "05/03/2015", " 陈一 ", 13800000001)
    assert order(line).command == RegisterVolunteer(volunteer="V1", registered_on=date(2015, 3, 5))
    assert line.person == ("V1", "陈一", "13800000001", None)
    assert read(mapping, columns, "V1", "05/03/2015", "", "").person is None


def test_an_opening_balance_may_be_given_in_hours_and_on_a_day_for_all() -> None:
    mapping = """
        command = "record-opening-balance"
        source = "/imports/paper"
        fields.volunteer = "No."
        fields.minutes = { hours = "Hours", decimal = "," }
        fields.as_of = { constant = 2010-12-31 }
        fields.evidence = { constant = "paper-list" }
    """
    command = order(read(mapping, ("No.", "Hours"), "V1", "1234,5")).command
    assert command == RecordOpeningBalance(
        volunteer="V1", minutes=74_070, as_of=date(2010, 12, 31), evidence="paper-list"
    )
    assert 'minutes "1.234,5" separates thousands; write 1234,5' in detail(
        read(mapping, ("No.", "Hours"), "V1", "1.234,5")
    )


@pytest.mark.parametrize(("day", "calendar"), [("04/03/13", "roc"), ("1904-03-13", "gregorian"), ("1904-03-13", "roc")])
def test_a_day_of_a_person_lies_in_living_memory(day: str, calendar: str) -> None:
    """04/03/13 is the year 1915 of the calendar, and 104 was meant."""
    mapping = f"""
        command = "register-volunteer"
        source = "/imports/cards"
        calendar = "{calendar}"
        fields = {{ volunteer = "No.", registered_on = "Since" }}
    """
    told = detail(read(mapping, ("No.", "Since"), "V1", day))
    year = 1904 if calendar == "gregorian" or "1904" in day else 1915
    assert told.startswith(f"registered_on {year}-03-13 is before the year 1930; correct the year")
    founded = mapping.replace("register-volunteer", "found-organisation").replace("volunteer", "organisation")
    founded = founded.replace('registered_on = "Since"', 'founded_on = "Since", kind = { constant = "district" }')
    assert order(read(founded, ("No.", "Since"), "V1", day))


@pytest.mark.parametrize(
    ("check", "said", "told"),
    [
        ('hours = "Said"', "1.68", None),
        ('hours = "Said"', "1:41", None),
        ('hours = "Said"', "1.7", None),
        ('hours = "Said"', "", None),
        ('hours = "Said"', "73.68", '"Said" says 73:41 hours, and the times make 1:41 hours; correct what is wrong'),
        ('hours = "Said"', "2", '"Said" says 2:00 hours, and the times make 1:41 hours'),
        ('hours = "Said", tolerance_minutes = 20', "2", None),
        ('hours = "Said", tolerance_minutes = 0', "1:42", '"Said" says 1:42 hours'),
        ('hours = "Said", decimal = ","', "1,68", None),
        ('minutes = "Said"', "101", None),
        ('minutes = "Said"', "73", '"Said" says 1:13 hours'),
        ('hours = "Said"', "soon", 'check "soon" is not a number'),
    ],
)
def test_a_duration_that_contradicts_the_times_of_its_line_is_refused(check: str, said: str, told: str | None) -> None:
    mapping = SHIFTS.replace("[fields]", f"check = {{ {check} }}\n[fields]")
    line = read(mapping, (*SHIFT_COLUMNS, "Said"), *LINE[:4], "09:00", "10:41", "", said)
    if told is None:
        assert order(line).name == "/imports/lists#17"
    else:
        assert told in detail(line)


def test_a_duration_is_compared_with_an_end_on_the_next_day_and_with_another_duration() -> None:
    mapping = SHIFTS.replace("[fields]", 'check = { hours = "Said" }\n[fields]')
    columns = (*SHIFT_COLUMNS, "Said")
    assert order(read(mapping, columns, *LINE[:4], "22:00", "01:30", "", "3.5"))
    assert "the times make 20:30 hours" in detail(read(mapping, columns, *LINE[:4], "13:00", "9:30", "", "3.5"))
    durations = mapping.replace('{ date = "Date", time = "To" }', '{ hours = "To" }')
    assert "says 3:30 hours, and the times make 3:00 hours" in detail(
        read(durations, columns, *LINE[:4], "13:00", "3", "", "3.5")
    )


def test_only_a_command_with_an_end_has_a_duration_to_check() -> None:
    mapping = """
    command = "register-volunteer"
    source = "/imports/cards"
    check = { hours = "Hours" }
    fields = { volunteer = "Number", registered_on = "Since" }
    """
    with pytest.raises(MappingError, match="check compares the times of attest-shift; register-volunteer has none"):
        parse_mapping(mapping)
