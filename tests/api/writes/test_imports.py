"""Tables of old records over HTTP: lines as events, which the key's import lets through, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import openpyxl
import pytest

from api.access.keys import Import
from api.access.roles import Role
from api.importing.mapping import parse_mapping
from api.pages.routes.imports import EXAMPLES
from tests.support.api.serving import STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

MAPPING = f"""
command = "attest-shift"
source = "/imports/lists"
key = "no"
time_zone = "Asia/Shanghai"

[fields]
volunteer = "volunteer"
station = {{ constant = "{STATION}" }}
check_in = {{ date = "day", time = "from" }}
check_out = {{ date = "day", time = "until" }}
evidence = {{ constant = "list" }}
"""
HEADER = "no,volunteer,day,from,until"


def read(served: Served, content: bytes, mapping: str = MAPPING, role: Role = Role.STAFF, name: str = "a.csv") -> Any:
    """Have a table read; return the answer."""
    body = {"name": name, "content": base64.b64encode(content).decode(), "mapping": mapping}
    return served.client.post("/v1/imports/lines", json=body, headers=served.headers(role))


def test_lines_become_events_that_the_key_s_import_lets_through(served: Served) -> None:
    number, first = served.volunteer(), uuid4().hex[:8]
    rows = [f"{first},{number},2014-03-05,09:00,12:00", f"{first}b,{number},2014-03-06,09:00,08:00", f"{first}c,,,,"]
    answer = read(served, "\n".join([HEADER, *rows]).encode()).json()
    good, short, empty = answer["lines"]
    assert (answer["source"], [line["line"] for line in answer["lines"]]) == ("/imports/lists", [2, 3, 4])
    assert good["event"]["imported"] is True
    assert "volunteer" in empty["problem"]["detail"]

    events = [line["event"] for line in (good, short) if line["event"]]
    head = served.ledger.log.head()
    headers = {"Content-Type": "application/cloudevents-batch+json", **served.headers(Role.STAFF)}
    refused = served.client.post("/v1/events", content=json.dumps(events), headers=headers).json()
    assert {one["rejection"] for one in refused["answers"]} == {"forbidden"}
    assert served.ledger.log.head() == head

    _, token = served.ledger.keys.make(
        Role.CORRECTOR, f"import-{first}", imports=Import("/imports/lists", datetime.now(UTC) + timedelta(1))
    )
    headers["Authorization"] = f"Bearer {token}"
    for dry, outcome in ((True, "would-be-accepted"), (False, "accepted")):
        sent = served.client.post(
            "/v1/events", params={"dry_run": dry}, content=json.dumps(events[:1]), headers=headers
        ).json()
        assert [one["outcome"] for one in sent["answers"]] == [outcome]
    again = served.client.post("/v1/events", content=json.dumps(events[:1]), headers=headers).json()
    assert again["duplicates"] == 1


def test_a_workbook_is_read_as_a_table(served: Served) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (HEADER.split(","), ["1", served.volunteer(), "2014-03-05", "09:00", "12:00"]):
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    (line,) = read(served, content.getvalue(), name="a.xlsx").json()["lines"]
    assert line["event"]["data"]["station"] == STATION


def bomb() -> bytes:
    """Return a small archive that declares more than is unpacked."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", b"0" * (65 << 20))
    return content.getvalue()


def workbook(rows: str = "", **parts: str) -> bytes:
    """Return a workbook of one line with these rows behind it, and with these parts changed by their beginnings."""
    book, content, changed = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    assert book.active is not None
    for row in (HEADER.split(","), ["1", "V0000001", "2014-03-05", "09:00", "12:00"]):
        book.active.append(row)
    book.save(content)
    with zipfile.ZipFile(content) as read, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as written:
        for name in read.namelist():
            text = read.read(name).decode()
            for ending, more in {"</sheetData>": rows, **parts}.items():
                text = text.replace(ending, more + ending)
            written.writestr(name, text)
    return changed.getvalue()


COSTLY: dict[str, tuple[str, bytes, str, str]] = {
    # what a few bytes could make of memory or time: the name of the file, its content, the mapping, what is answered
    "a row of more cells than a sheet has": (
        "a.xlsx", workbook(f"<row>{'<c/>' * 17_000}</row>"), MAPPING, "17,000 cells"),
    "styles without an end": (
        "a.xlsx", workbook(**{"</cellXfs>": "<xf/>" * 500_000}), MAPPING, "xl/styles.xml, has more than 2 MiB"),
    "more columns than are looked at": (
        "a.csv", ",".join(map(str, range(17_000))).encode(), MAPPING, "17,000 columns"),
    "a key of more columns than a record has": (
        "a.csv", b"x", MAPPING.replace('"no"', str([str(each) for each in range(21)])), "at most 20 items"),
    "more formats than a column has": (
        "a.csv", b"x", MAPPING.replace('"from" }', f'"from", format = {["%Y-%m-%d"] * 21} }}'), "at most 20 items"),
    "a directive twice": (
        "a.csv", b"x", MAPPING.replace('"from" }', '"from", format = "%d/%m/%Y %d" }'), "is not a format"),
    "a record that has a member twice": (
        "a.json", json.dumps([dict.fromkeys(map(str, range(40_000)), 0)])[:-2].encode() + b', "9": 1}]', MAPPING,
        'the member "9" twice'),
    "members inside each other, each with a long name": (
        "a.json", ('[{"no": 1, "a": ' + f'{{"b": 1, "{"c" * 400}": ' * 500 + "1" + "}" * 501 + "]").encode(), MAPPING,
        "more than 1,000 characters"),
}  # fmt: skip


@pytest.mark.parametrize("what", COSTLY)
def test_what_would_take_memory_or_time_without_a_bound_is_refused(served: Served, what: str) -> None:
    name, content, mapping, words = COSTLY[what]
    answer = read(served, content, mapping, name=name)
    assert answer.status_code in {413, 422}, answer.text
    assert words in answer.json()["detail"]


def test_merged_cells_over_each_other_are_read_in_proportion_to_the_rows(served: Served) -> None:
    rows = "".join(f'<row r="{row}"><c r="A{row}"><v>1</v></c></row>' for row in range(3, 500))
    ranges = "".join(f'<mergeCell ref="A1:A{row}"/>' for row in range(500, 20_500))
    content = workbook(rows, **{"</worksheet>": f"<mergeCells>{ranges}</mergeCells>"})
    lines = read(served, content, name="a.xlsx").json()["lines"]
    assert len(lines) == 498


@pytest.mark.parametrize("column", ["day", "from"])
@pytest.mark.parametrize("text", ["1" + " " * 100_000 + "x", "2014-03-05" + " " * 100_000 + "x", "1" * 100_000])
def test_a_long_text_is_no_day_or_time(served: Served, column: str, text: str) -> None:
    cells = {"no": "1", "volunteer": "V0000001", "day": "2014-03-05", "from": "09:00", "until": "10:00", column: text}
    (line,) = read(served, f"{HEADER}\n{','.join(cells.values())}".encode()).json()["lines"]
    assert "characters, more than 200" in line["problem"]["detail"]


@pytest.mark.parametrize(
    ("name", "content", "mapping", "field", "words"),
    [
        ("a.csv", b"x", "command = 1", "mapping", "cannot be used"),
        ("a.csv", b"a,b\n1,2", MAPPING, "mapping", "does not fit the file"),
        ("a.exe", b"x", MAPPING, "name", "none of a table"),
        ("a.csv", b"\xff\xfe\x00", MAPPING, "content", "a.csv"),
        ("a.xlsx", b"x", MAPPING, "content", "no workbook"),
        ("a.xlsx", bomb(), MAPPING, "content", "unpacks to more than 16 MiB"),
        ("a.csv", (HEADER + "\n1,2,3,4,5" * 10_001).encode(), MAPPING, "content", "10,000 lines"),
        (
            "a.csv",
            b"x",
            MAPPING.replace(
                'volunteer = "volunteer"', 'volunteer = { column = "volunteer", values_file = "/etc/passwd" }'
            ),
            "mapping",
            "values_file",
        ),
    ],
)
def test_what_is_not_read_says_what_to_do(
    served: Served, name: str, content: bytes, mapping: str, field: str, words: str
) -> None:
    answer = read(served, content, mapping, name=name)
    assert answer.status_code in {413, 422}, answer.text
    found = answer.json()
    assert found["field"] == field
    assert words in found["detail"]
    assert "/table." not in found["detail"]


def test_durations_lie_where_an_import_lays_them(served: Served) -> None:
    number, first = served.volunteer(), uuid4().hex[:8]
    mapping = (EXAMPLES / "durations.toml").read_text("utf-8").replace('"/imports/service-lists"', '"/imports/lists"')
    mapping = mapping.replace("U01", STATION)
    lines = [f"{first}2,{number},东门,2014-03-05,2", f"{first}1,{number},东门,2014-03-05,1.5"]
    content = "\n".join(["no,volunteer,place,day,hours", *lines, f"{first}3,{number},东门,2014-03-06,30"]).encode()
    answer = read(served, content, mapping).json()
    later, sooner, long = answer["lines"]
    assert answer["time_zone"] == "Asia/Shanghai"
    assert (sooner["lies"], later["lies"]) == ("2014-03-05 09:00-10:30", "2014-03-05 10:30-12:30")
    assert later["event"]["data"]["check_in"] == datetime(2014, 3, 5, 2, 30, tzinfo=UTC).timestamp()
    assert (long["event"], long["problem"]["field"]) == (None, "check_out")

    _, token = served.ledger.keys.make(
        Role.CORRECTOR, f"import-{first}", imports=Import("/imports/lists", datetime.now(UTC) + timedelta(1))
    )
    headers = {"Content-Type": "application/cloudevents-batch+json", "Authorization": f"Bearer {token}"}
    sent = served.client.post("/v1/events", content=json.dumps([later["event"]]), headers=headers)
    assert sent.json()["accepted"] == 1, sent.text
    again = read(served, content, mapping).json()["lines"]
    assert [line["lies"] for line in again] == [later["lies"], sooner["lies"], None], "what is recorded stays"


def test_the_mappings_of_the_documents_are_read(served: Served) -> None:
    folder = Path(__file__).parents[3] / "docs" / "import"
    table = (folder / "stations.csv").read_bytes()
    found = read(served, table, (folder / "stations.toml").read_text("utf-8"), name="stations.csv").json()
    assert [line["problem"] for line in found["lines"]] == [None, None, None]


def test_the_mappings_that_the_page_offers_are_sound() -> None:
    offered = sorted(EXAMPLES.glob("*.toml"))
    assert [path.stem for path in offered] == ["balances", "durations", "shifts", "volunteers"]
    for path in offered:
        assert parse_mapping(path.read_text("utf-8")).person is None
