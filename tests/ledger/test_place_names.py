"""The names of places: what may be one, and in which form it is stored."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from ledger.aggregates.station import Station, StationClosed, StationOpened
from ledger.names import PlaceName
from ledger.store.mapper import decode

NAME: TypeAdapter[str] = TypeAdapter(PlaceName)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("罗湖图书馆", "罗湖图书馆"),
        ("家•温暖", "家•温暖"),
        ("East gate, hall 2 (ground floor)", "East gate, hall 2 (ground floor)"),
        ("  罗湖图书馆\u3000", "罗湖图书馆"),  # spaces around it
        ("Cafe\u0301", "Café"),  # composed, so that equal names are equal
        ("第 1 服务站", "第 1 服务站"),
        ("x", "x"),
        ("馆" * 80, "馆" * 80),
        ("𠮷野家", "𠮷野家"),  # beyond the basic plane
        ("Café 2018-12-04", "Café 2018-12-04"),
    ],
)
def test_a_name_is_stored_as_people_write_it(written: str, stored: str) -> None:
    assert NAME.validate_python(written) == stored


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "at least 1 character"),
        ("   ", "is empty"),
        ("馆" * 81, "at most 80 characters"),
        ("East\ngate", r"contains U\+000A"),
        ("East\tgate", r"contains U\+0009"),
        ("East\x00gate", r"contains U\+0000"),
        ("East\x7fgate", r"contains U\+007F"),
        ("East\u200bgate", r"contains U\+200B"),  # zero width space
        ("East\ufeffgate", r"contains U\+FEFF"),  # byte order mark
        ("East\u202egate", r"contains U\+202E"),  # writes backwards
        ("East\u00adgate", r"contains U\+00AD"),  # soft hyphen
        ("East\u2028gate", r"contains U\+2028"),  # line separator
        ("East\u00a0gate", r"contains U\+00A0"),  # a space that does not break
        ("East\u3164gate", r"contains U\+3164"),  # Hangul filler
        ("East\ufe0fgate", r"contains U\+FE0F"),  # variation selector
        ("East\U000e0041gate", r"contains U\+E0041"),  # tag
        ("East\ue000gate", r"contains U\+E000"),  # private use
        ('=HYPERLINK("x")', "takes for a formula|take for a formula"),
        ("+1", "take for a formula"),
        ("Ring 13800138000", "looks like a phone"),
        ("Ring 110101199003077758", "looks like a phone or identity number"),
    ],
)
def test_what_cannot_be_seen_or_is_personal_is_no_name(written: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        NAME.validate_python(written)


def test_a_station_keeps_its_name_when_it_opens_again_without_one() -> None:
    common = '"occurred_at":1543888800,"recorded_at":1543888860,"by":"person:anna","command":"/a#1","station":"S1"'
    opened = decode("station-opened.v1", f'{{{common},"kind":"city"}}'.encode())  # as an older ledger holds it
    named = decode("station-opened.v1", f'{{{common},"kind":"city","name":"East gate"}}'.encode())
    renamed = decode("station-renamed.v1", f'{{{common},"name":"罗湖图书馆"}}'.encode())
    closed = decode("station-closed.v1", f'{{{common},"reason":"rebuilt"}}'.encode())
    assert isinstance(opened, StationOpened)
    assert isinstance(closed, StationClosed)
    assert Station.of([opened]).name is None
    assert Station.of([opened, renamed, closed, opened]) == Station(4, opened, is_open=True, name="罗湖图书馆")
    assert Station.of([opened, renamed, closed, named]).name == "East gate"
    assert not Station.of([opened, closed, renamed]).is_open, "a name opens nothing"
