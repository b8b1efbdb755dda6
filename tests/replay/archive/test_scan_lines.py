"""Scans read from the log's bytes are what a parser of JSON reads, and whatever is not plain is left to the parser."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.archive import log_columns
from replay.archive.log_columns import Dictionaries, columns_of
from replay.archive.scan_lines import Lines, read_lines
from replay.archive.segments import Part
from tests.support.oracle.histories import patiently

SHIFT = "014fdf08-0180-7c1c-899b-82b17c4cbd93"
SCAN = {
    "occurred_at": 1442566624,
    "recorded_at": 1442566630,
    "by": "station:U001",
    "command": "kiosk#17",
    "volunteer": "V0018241",
    "shift": SHIFT,
    "station": "U001",
}


def line(**changes: Any) -> str:
    return json.dumps({**SCAN, **changes}, separators=(",", ":"), ensure_ascii=False)


IMPORTED = line().replace(',"volunteer"', ',"imported":true,"volunteer"')
KEYED = line().replace(',"volunteer"', ',"key":17,"volunteer"')
KEYED_OLD = IMPORTED.replace(',"volunteer"', ',"key":2147483647,"volunteer"')
PLAIN = [
    KEYED,
    KEYED_OLD,
    line(),
    line(project="星星学堂"),
    line(station="U\u00e9"),
    line(occurred_at=0),
    line(command=""),
    IMPORTED,
]
NOT_PLAIN = [
    line(evidence="forgotten"),
    line(note="0" * 64),
    line(command='a "quoted" one'),
    line(shift=SHIFT.upper()),
    line(volunteer="V\\u0030018241").replace("\\\\u", "\\u"),
    line().replace(":", ": "),
    line().replace(',"shift"', ', "shift"'),
    line().replace('"by"', '"imported":false,"by"'),
    line() + " ",
    line().replace(',"volunteer"', ',"key":"17","volunteer"'),
    line().replace(',"volunteer"', ',"key":null,"volunteer"'),
    json.dumps(dict(reversed(SCAN.items())), separators=(",", ":")),
]
IN, OUT = "checked-in.v1", "checked-out.v1"
CORRECTION = line(reason="late", changes=["check_out"], check_out=1442570000)
REGISTRATION = (
    '{"occurred_at":1,"recorded_at":2,"by":"x:y","command":"a#1","volunteer":"V7","registered_on":"2018-01-02"}'
)
OTHERS = [(CORRECTION, "shift-corrected.v1"), (REGISTRATION, "volunteer-registered.v1")]
EVENTS = [(said, topic) for said in PLAIN + NOT_PLAIN for topic in (IN, OUT) if "project" not in said or topic == IN]


def scans_in(texts: list[str]) -> Lines:
    return read_lines(np.frombuffer("\n".join(texts).encode(), np.uint8), np.ones(len(texts), np.uint8))


def test_what_the_codec_writes_is_plain_and_nothing_else_is() -> None:
    found = scans_in([*PLAIN, *NOT_PLAIN])
    assert found.plain.tolist() == [1] * len(PLAIN) + [0] * len(NOT_PLAIN)


@pytest.mark.parametrize("cut", range(1, len(line())))
def test_a_line_that_ends_early_is_not_plain(cut: int) -> None:
    assert scans_in([line()[:cut], line()]).plain.tolist() == [0, 1]


def test_a_project_belongs_to_a_check_in_only() -> None:
    text = np.frombuffer(line(project="P1").encode(), np.uint8)
    assert read_lines(text, np.array([2], np.uint8)).plain.tolist() == [0]


def test_an_instant_beyond_32_bits_is_not_plain() -> None:
    assert scans_in([line(occurred_at=1 << 32), line(occurred_at=(1 << 32) - 1)]).plain.tolist() == [0, 1]


@pytest.mark.parametrize("topics", [[IN], [IN] * 3])
def test_other_than_one_line_per_event_is_an_error(topics: list[str]) -> None:
    with pytest.raises(ValueError, match="lines of JSON"):
        columns_of(f"{line()}\n{line()}".encode(), topics, 1, Dictionaries.empty())


@patiently
@given(events=st.lists(st.sampled_from(EVENTS + OTHERS), min_size=1, max_size=12))
def test_columns_are_those_of_the_parser_alone(events: list[tuple[str, str]]) -> None:
    lines, topics = "\n".join(said for said, _ in events).encode(), [topic for _, topic in events]
    quick = columns_of(lines, list(topics), 1, Dictionaries.empty())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_columns, "read_lines", lambda text, codes: read_lines(text, np.zeros_like(codes)))
        slow = columns_of(lines, list(topics), 1, Dictionaries.empty())
    assert flat(quick) == flat(slow)


def flat(part: Part) -> dict[str, Any]:
    """Return all columns of a part as lists."""
    found: dict[str, Any] = {}
    for name, value in part._asdict().items():
        columns = value._asdict() if hasattr(value, "_asdict") else value if isinstance(value, dict) else {"": value}
        for column, values in columns.items():
            found[f"{name}.{column}"] = values.tolist() if hasattr(values, "tolist") else values
    return found
