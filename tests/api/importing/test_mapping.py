"""Mappings: what cannot be meant is told with its line, its key and the way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from api.access.roles import IMPORTED_COMMANDS
from api.importing.columns import Columns
from api.importing.mapping import Check, Encoding, FileForm, Mapping, MappingError, Person, parse_mapping
from api.importing.reports import REPORT_COLUMNS
from api.importing.sources import KINDS, FieldSource, Kind
from ledger.aggregates import COMMANDS
from ledger.names import Day, Instant, Minutes, People, ServiceDay

SHIFTS = """\
command = "attest-shift"
source = "/imports/lists"
key = ["No."]
time_zone = "Asia/Shanghai"

[file]
encoding = "gb18030"

[fields]
volunteer = "Number"
station = { column = "Station", values = { "East gate" = "C01" } }
check_in = { date = "Date", time = "From" }
check_out = { hours = "Hours" }
evidence = { constant = "service-list" }
"""


def test_a_mapping_is_read() -> None:
    mapping = parse_mapping(SHIFTS)
    assert (mapping.command, mapping.key, mapping.file.encoding) == ("attest-shift", ("No.",), "gb18030")
    assert mapping.fields["volunteer"] == FieldSource(column="Number")
    assert mapping.fields["check_in"].columns == ("Date", "From")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "attest-shift",
            "attest-shifts",
            'line 1: command: command "attest-shifts" cannot be imported; did you mean attest-',
        ),
        ("attest-shift", "guess", "use one of found-organisation, open-station"),
        (
            "attest-shift",
            "check-in",
            "line 1: command: check-in is a station's scan, which cannot be imported; use punch, or attest-shift",
        ),
        ("attest-shift", "publish-rules", 'command "publish-rules" cannot be imported'),
        ("/imports/lists", "/stations/C01", "line 2: source:"),
        (
            'time_zone = "Asia/Shanghai"',
            'time_zone = "Asia/Shenzen"',
            'line 4: time_zone: "Asia/Shenzen" is not a time zone',
        ),
        ('time_zone = "Asia/Shanghai"', "", 'time_zone is missing; check_in needs it: time_zone = "Asia/Shanghai"'),
        ("time_zone =", "timezone =", "line 4: timezone: unknown key; did you mean time_zone?"),
        ("gb18030", "gb2312", "line 7: file.encoding: Input should be 'utf-8'"),
        ("encoding =", "encodnig =", "line 7: file.encodnig: unknown key; did you mean encoding?"),
        ('volunteer = "Number"', "", "line 9: fields: volunteer is missing; attest-shift needs it"),
        (
            'volunteer = "Number"',
            'voluntear = "Number"',
            "line 10: fields.voluntear: attest-shift has no field voluntear",
        ),
        ("values =", "valeus =", "line 11: fields.station.valeus: unknown key; did you mean values?"),
        (
            "values = { ",
            'format = "%Y", values = { ',
            "line 11: fields.station.format: format does not apply to station",
        ),
        ('time = "From"', 'minutes = "From"', "line 12: fields.check_in.minutes: minutes does not apply to check_in"),
        (', time = "From"', "", "line 12: fields.check_in: check_in needs exactly one source; write"),
        ('"From" }', '"From", format = "%d.%m" }', '"%d.%m" lacks year, month or day'),
        ('"From" }', '"From", time_format = "%M" }', '"%M" lacks hour or minute'),
        ('"From" }', '"From", time_format = "%" }', '"%" is not a format'),
        ('hours = "Hours"', 'hours = "Hours", time = "M"', "check_out needs exactly one source"),
        ('time = "From"', 'hour = "From"', "line 12: fields.check_in: check_in needs exactly one source; write"),
        ("time_zone", "check = {}\ntime_zone", "line 4: check: check needs a column with the duration; write check ="),
        ("time_zone", 'check = { hour = "H" }\ntime_zone', "line 4: check.hour: unknown key; did you mean hours?"),
        ("time_zone", 'calendar = "julian"\ntime_zone', "calendar: Input should be 'gregorian' or 'roc'"),
        ("{ constant", "{ column = 'a', constant", "line 14: fields.evidence: evidence needs exactly one source"),
        (
            'encoding = "gb18030"',
            'header_line = 1\ncolumns = ["No."]',
            "line 7: file.header_line: columns names the columns of a file without a header; set header_line = 0",
        ),
        ("[fields]", '[person]\nname = "Name"\n[fields]', "line 9: person: person needs register-volunteer"),
        ('evidence = { constant = "service-list" }', 'evidence = 0\ntext = "No."', "line 14: fields.evidence"),
        (
            '"service-list" }',
            '"service-list" }\ntext = "No."',
            '"No." holds personal data, and keys are stored permanently',
        ),
        (
            '"service-list"',
            '"Service list"',
            'line 14: fields.evidence.constant: "Service list" is not valid as evidence: ',
        ),
        ('"service-list"', "7", 'fields.evidence.constant: "7" is not valid as evidence'),
        ('"C01" }', '"C 01" }', 'line 11: fields.station.values.East gate: "C 01" is not valid as station'),
        ("[file]", "[file", "line 6: mapping: this is not TOML"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_told(old: str, new: str, told: str) -> None:
    assert old in SHIFTS
    with pytest.raises(MappingError) as raised:
        parse_mapping(SHIFTS.replace(old, new, 1))
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("constant", "told"),
    [
        ('"soon"', '"soon" cannot be read as a day'),
        ("7", '"7" is a number, not a day'),
        ("2010-02-29", "this is not TOML"),
        ("2010-12-31", None),
        ('"2010/12/31"', None),
    ],
)
def test_a_day_that_stands_in_the_mapping_is_one(constant: str, told: str | None) -> None:
    text = f"""
        command = "record-opening-balance"
        source = "/imports/paper"
        fields.volunteer = "No."
        fields.minutes = "Minutes"
        fields.evidence = {{ constant = "paper-list" }}
        fields.as_of = {{ constant = {constant} }}
    """
    if told is None:
        assert parse_mapping(text).fields["as_of"].constant
        return
    with pytest.raises(MappingError) as raised:
        parse_mapping(text)
    assert told in str(raised.value)


def test_a_person_is_no_key() -> None:
    text = """
        command = "register-volunteer"
        source = "/imports/cards"
        key = ["No.", "Phone"]
        fields = { volunteer = "No.", registered_on = "Since" }
        person = { name = "Name", phone = "Phone" }
    """
    with pytest.raises(MappingError, match=r'line 4: key\.1: "Phone" holds personal data'):
        parse_mapping(text)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (
            ["No.", "Number", "Station", "Date", "Form", "Hours"],
            'line 12: fields.check_in.time: the file has no column "From"',
        ),
        (["No.", "Number", "Station", "Date", "Form", "Hours"], "did you mean Form? its columns are: No., Number"),
        (["No.", "Number", "Station", "Date", "From", "From", "Hours"], 'several columns "From"; rename all but one'),
        (["No.;Number;Station;Date;From;Hours"], "set file.delimiter: its header is one column"),
        (["Number", "Station", "Date", "From", "Hours"], 'line 3: key.0: the file has no column "No."'),
    ],
)
def test_columns_that_are_not_in_the_file_are_told(header: list[str], told: str) -> None:
    with pytest.raises(MappingError) as raised:
        Columns(header).require(parse_mapping(SHIFTS))
    assert told in str(raised.value)


def test_columns_are_found_whatever_blanks_and_widths_are_around_their_names() -> None:
    columns = Columns(["No．", " Number ", "Station", "Date", "From\n", "Hours", "more", "more"])  # noqa: RUF001 - width
    columns.require(parse_mapping(SHIFTS))
    assert (columns.place("No."), columns.place("From")) == (0, 4)


def test_every_field_of_an_imported_command_has_its_kind() -> None:
    kinds: dict[object, set[Kind]] = {
        Instant: {"instant", "end"},
        Day: {"day"},
        ServiceDay: {"day"},
        Minutes: {"minutes"},
        People: {"number"},
    }
    fields = {name for command in IMPORTED_COMMANDS for name in COMMANDS[command].model_fields}
    fields -= {"expected_version"}  # an old record is based on no version that the ledger could have had
    assert fields == set(KINDS)
    for command in IMPORTED_COMMANDS:
        for name, annotation in COMMANDS[command].__annotations__.items():
            found = [kind for alias, kind in kinds.items() if str(annotation).split(" |")[0] in _names_of(alias)]
            if found and name != "TYPE":
                assert KINDS[name] in found[0], (command, name)
    assert set(KINDS.values()) == set(get_args(Kind))


def _names_of(alias: object) -> set[str]:
    named = {"Instant": Instant, "Day": Day, "ServiceDay": ServiceDay, "Minutes": Minutes, "People": People}
    return {name for name, value in named.items() if value is alias}


# --- docs/import.md -------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[3] / "docs" / "import.md").read_text("utf-8")


def test_the_mapping_of_the_page_can_be_used_and_the_page_names_every_key_and_command() -> None:
    (reference, laying, person) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert parse_mapping(reference).fields["station"].values == {"东门": "U01", "": "U02"}
    begin = re.sub(r"^check_(in|out) = .*\n", "", reference, flags=re.MULTILINE)
    assert parse_mapping(begin + laying).lays
    assert '[person]\nname = "' in person
    for model in (Mapping, FileForm, FieldSource, Person, Check):
        for key in model.model_fields:
            assert re.search(rf"\b{key}\b", PAGE), key
    for name in (*IMPORTED_COMMANDS, *get_args(Encoding), *REPORT_COLUMNS):
        assert name in PAGE, name
