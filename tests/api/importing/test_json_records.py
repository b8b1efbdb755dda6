"""JSON: records are read as lines, whatever array holds them, with their digits; memory holds one at a time."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from api.importing.forms import json_records
from api.importing.forms.json_records import JsonError, records
from api.importing.mapping import FileForm
from api.importing.tables import Row, UnreadableTableError, open_table

RECORDS = [
    {"id": 1, "hours": 1.50, "person": {"number": "V1", "tags": ["a", 1]}},
    {"id": 20150313000000001, "late": True, "hours": None, "person": {}},
]
ROWS = [
    Row(1, ["1", "1.5", "V1", '["a", "1"]', None]),
    Row(2, ["20150313000000001", None, None, None, True]),
]


def read(path: Path, **form: Any) -> tuple[list[str], list[Row]]:
    with open_table(path, FileForm(**form)) as table:
        return list(table.columns), list(table.rows)


def write(folder: Path, text: str, name: str = "shifts.json", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding)
    return path


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("s.json", json.dumps(RECORDS), {}),
        ("s.json", "\n " + json.dumps(RECORDS, indent=2) + "\n\n", {}),
        ("s.json", json.dumps({"total": 2, "meta": {"page": 1}, "shifts": RECORDS, "next": None}), {}),
        ("s.json", json.dumps({"errors": [], "shifts": RECORDS}), {"records": "shifts"}),
        ("s.ndjson", "\n".join(map(json.dumps, RECORDS)), {}),
        ("S.JSONL", "\r\n\r\n".join(map(json.dumps, RECORDS)) + "\n", {}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_records_are_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str,
    form: dict[str, str],
    encoding: str,
    block: int,
) -> None:
    monkeypatch.setattr(json_records, "_BLOCK_CHARS", block)
    columns, rows = read(write(tmp_path, text, name, encoding), **form)
    assert columns == ["id", "hours", "person.number", "person.tags", "late"]
    assert rows == ROWS


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    path = write(tmp_path, '[{"id": 1.0, "card": 2.0E+10, "big": 123456789012345678901}]')
    assert read(path)[1] == [Row(1, ["1.0", "2.0E+10", "123456789012345678901"])]


def test_an_array_without_records_has_no_lines(tmp_path: Path) -> None:
    assert read(write(tmp_path, "[]")) == ([], [])


@pytest.mark.parametrize(
    ("text", "form", "told"),
    [
        ("", {}, "the file is not an array of records; save the records as an array of objects"),
        ('"x"', {}, "the file is not an array of records; save"),
        ('{"a": 1}', {}, "the file has no array of records; save the records as an array of objects, or name the file"),
        ('{"a": 1, "b": []}', {"records": "c"}, 'the file has no array "c"; name one of its members that is an array'),
        ("[]", {"records": "c"}, 'the file is not an object with an array "c"; remove records under [file]'),
        ("[1]", {}, "the file has no record: the first is not an object; write each record as an object"),
        ('[{"a": 1}\n {"a": 2}]', {}, 'line 2 has no "," where it must be: "{" stands there; save the file again'),
        ('[{"a": 1},\n{"a": ', {}, "line 2 is not JSON: Expecting value; save the file again as JSON"),
        ('[{"a": 1},\n\n{"a": x}]', {}, "line 3 is not JSON"),
        ('[{"a": 1}', {}, 'line 1 has no "," where it must be: the file ends there'),
        ("[" + '{"a":' * 5000, {}, "has too many objects inside each other; flatten them"),
    ],
)
def test_other_json_is_told_before_anything_is_read(tmp_path: Path, text: str, form: dict[str, str], told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UnreadableTableError) as raised:
        read(path, **form)
    assert told in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ("1", "is not an object"),
        ("null", "is not an object"),
        ('{"a": 2, "a": 3}', 'has the member "a" twice'),
        ('{"a": 2, "b": {"c": 3, "c": 4}}', 'has the member "b.c" twice'),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_what_is_no_record_costs_its_line(tmp_path: Path, odd: str, sentence: str, *, lines: bool) -> None:
    texts = ['{"a": 1}', odd, '{"a": "\\ud800"}']
    path = write(tmp_path, "\n".join(texts), "s.ndjson") if lines else write(tmp_path, f"[{','.join(texts)}]")
    rows = read(path)[1]
    assert [row.defect and row.defect.sentence for row in rows] == [None, sentence, None]
    assert [row.cells for row in rows if not row.defect] == [["1"], ["\ud800"]]


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ('{"a": 2', "is not JSON: Expecting ',' delimiter"),
        ("a,b", "is not JSON: Expecting value"),
        ('{"a":' * 5000, "has too many objects inside each other"),
        ('{"a": "' + "x" * json_records.RECORD_LENGTH_MAX + '"}', "has more than 1,048,576 characters"),
    ],
)
def test_a_line_that_is_not_json_costs_nothing_else(tmp_path: Path, odd: str, sentence: str) -> None:
    rows = read(write(tmp_path, f'{{"a": 1}}\n{odd}\n{{"a": 3}}\n', "s.ndjson"))[1]
    assert [row.defect and row.defect.sentence for row in rows] == [None, sentence, None]
    assert [row.cells for row in rows if not row.defect] == [["1"], ["3"]]


def test_memory_holds_a_record_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "RECORD_LENGTH_MAX", 1000)
    monkeypatch.setattr(json_records, "_BLOCK_CHARS", 100)

    class Endless(io.StringIO):
        taken = 0

        def read(self, size: int | None = -1) -> str:
            assert size == 100
            self.taken += 1
            return '{"a": 1},' * 11 if self.taken % 2 else " "

    file = Endless()
    file.taken = -1
    found = records(_begun("[", file), None, lines=False)
    for _ in range(50):
        assert next(found) == {"a": "1"}
    assert file.taken < 12
    with pytest.raises(JsonError, match="line 1 begins a value of more than 1,000 characters, or one that is never"):
        list(records(io.StringIO('[{"a": "' + "x" * 5000 + '"}]'), None, lines=False))


def _begun(text: str, rest: io.StringIO) -> Any:
    """Return a file that begins with a text."""

    class Begun:
        begun = False

        def read(self, size: int) -> str:
            if not self.begun:
                self.begun = True
                return text
            return rest.read(size)

    return Begun()


def test_records_with_more_members_than_a_table_can_have_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([{str(number): 1} for number in range(1001)]))
    with pytest.raises(UnreadableTableError, match="the records have more than 1000 members; keep those"):
        read(path)


@pytest.mark.parametrize(
    ("name", "text", "renamed"),
    [
        ("s.csv", json.dumps(RECORDS), "s.json"),
        ("s.txt", json.dumps(RECORDS, indent=1), "s.json"),
        ("s.csv", "\n".join(map(json.dumps, RECORDS)), "s.ndjson"),
    ],
)
def test_json_under_another_name_is_told_its_name(tmp_path: Path, name: str, text: str, renamed: str) -> None:
    path = write(tmp_path, text, name)
    with pytest.raises(UnreadableTableError, match=r"is JSON by its content; name it \.\w+json|name it \.json"):
        read(path)
    assert read(path.rename(tmp_path / renamed))[1] == ROWS


def test_records_of_another_form_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,2\n", "s.csv")
    with pytest.raises(UnreadableTableError, match="is not JSON, so it has no array x; remove records"):
        read(path, records="x")
    assert read(path) == (["a", "b"], [Row(2, ["1", "2"])])
