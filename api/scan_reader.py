"""Plain scans among CloudEvents, read from the bytes of a request: what nearly every body holds.

Only what is certain to be taken as it stands is read here: check-ins, and check-outs that name their shift, whose every
field has its plain form and whose caller may give them. A body with anything else in it is left whole to
`api/cloud_events.py`, which says what is wrong; tests hold both to the same orders.
"""

from __future__ import annotations

import numpy as np

from api.access import COMMANDS_OF_ROLE, Caller, Role
from api.cloud_events import event_type
from ledger.commands import CheckIn, CheckOut
from ledger.compiled import inlined, kernel
from ledger.names import EARLIEST_INSTANT, LATEST_INSTANT
from ledger.plain.block import BLOCK_SCANS_MAX, SCAN, Block, Row, Rows
from ledger.plain.digests import prepare_block
from ledger.plain.text import QUOTE, Bytes, after, closing, half_uuid, literal, number

ONE, ARRAY, LINES = 0, 1, 2
"""What a body is: an event, an array of events, an event a line."""

SCAN_BYTES_MIN = 160
"""No event that can be read here is shorter."""

_MAY_SCAN = {role for role in Role if {CheckIn.TYPE, CheckOut.TYPE} <= COMMANDS_OF_ROLE[role]}

_COMMA, _COLON, _OPEN, _CLOSE, _BEGIN, _END, _ZERO, _SLASH = 44, 58, 123, 125, 91, 93, 48, 47
_CHECK_IN, _CHECK_OUT = literal(f'"{event_type(CheckIn.TYPE)}"'), literal(f'"{event_type(CheckOut.TYPE)}"')
_VERSION, _JSON = literal('"1.0"'), literal('"application/json"')
_NO_RESTRICTION = np.zeros(0, np.uint8)

ID, SOURCE, TYPE, DATA, SPECVERSION, TIME, CONTENT = 1, 2, 4, 8, 16, 32, 64
NEEDED = ID | SOURCE | TYPE | DATA | SPECVERSION
VOLUNTEER, STATION, SHIFT, OCCURRED, PROJECT = 1, 2, 4, 8, 16
"""The attributes of an event, and the fields of its data, as bits."""


def _names(*names: str) -> Bytes:
    """Return names as compiled loops look them up: a row each, which begins with its length."""
    rows = np.zeros((len(names), 1 + max(map(len, names))), np.uint8)
    for row, name in zip(rows, names, strict=True):
        row[0], row[1 : 1 + len(name)] = len(name), literal(name)
    return rows


_ATTRIBUTES = _names("id", "source", "type", "data", "specversion", "time", "datacontenttype")
_FIELDS = _names("volunteer", "station", "shift", "occurred_at", "project")

# What the characters of a text may be: those of ledger.names, less those that JSON would escape.
_NAME_BEGINS, _IN_NAME, _IN_ID, _IN_SOURCE = 1, 2, 4, 8


def _character_classes() -> Bytes:
    classes = np.zeros(256, np.uint8)
    for character in range(ord("!"), ord("~") + 1):
        text = chr(character)
        if text not in '"\\':
            classes[character] |= _IN_ID | (_IN_SOURCE if text != "#" else 0)
        if text.isalnum():
            classes[character] |= _NAME_BEGINS | _IN_NAME
        elif text in "._-":
            classes[character] |= _IN_NAME
    return classes


_CLASSES = _character_classes()
_NAME_LENGTH_MAX, _ID_LENGTH_MAX = 32, 120
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], np.int64)
_DAYS_IN = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


def read_scans(body: bytes, shape: int, caller: Caller) -> Block | None:
    """Return the scans that a body is, with their digests; None if it has to be looked at more closely."""
    if caller.role not in _MAY_SCAN:
        return None
    by = caller.by.encode()
    text = np.frombuffer(body + by, np.uint8)
    own_station = own_source = _NO_RESTRICTION
    if caller.role is Role.STATION:
        own_station, own_source = literal(caller.name), literal(f"/stations/{caller.name}")
    rows = np.zeros(min(len(body) // SCAN_BYTES_MIN + 1, BLOCK_SCANS_MAX), SCAN)
    count = _read(text, len(body), shape, own_station, own_source, rows)
    if count < 1:
        return None
    rows = rows[:count]
    rows["by_at"], rows["by_length"], rows["key"] = len(body), len(by), caller.key or 0
    return prepare_block(Block(text, rows))


@inlined
def _space(text: Bytes, at: int, shape: int) -> int:
    """Return where the text goes on behind white space, which in lines holds no line feed."""
    while 0 <= at < len(text):
        character = text[at]
        if character > 32 or not (character == 32 or character == 9 or character == 13 or character == 10):
            break
        if character == 10 and shape == LINES:
            break
        at += 1
    return at


@inlined
def _is(text: Bytes, at: int, character: int) -> bool:
    return 0 <= at < len(text) and text[at] == character


@kernel
def _read(text: Bytes, end: int, shape: int, own_station: Bytes, own_source: Bytes, rows: Rows) -> int:
    """Read scan after scan; return how many there are, -1 if there is anything else."""
    body = text[:end]
    at, count = _space(body, 0, shape), 0
    if shape == ARRAY:
        if not _is(body, at, _BEGIN):
            return -1
        at += 1
    while True:
        if count == len(rows):
            return -1
        row = rows[count]
        at = _space(body, _read_event(body, _space(body, at, shape), shape, row), shape)
        if at < 0 or not _is_own(body, own_station, own_source, row):
            return -1
        count += 1
        if shape == ARRAY and _is(body, at, _COMMA):
            at += 1
        elif shape == LINES and _is(body, at, 10):
            while at < end and (body[at] == 10 or body[at] == 13 or body[at] == 32 or body[at] == 9):
                at += 1
            if at == end:
                return count
        else:
            break
    if shape == ARRAY:
        if not _is(body, at, _END):
            return -1
        at = _space(body, at + 1, shape)
    return count if at == end else -1


@inlined
def _is_own(text: Bytes, station: Bytes, source: Bytes, row: Row) -> bool:
    """Whether a station names itself, and its event under a source of its own; others may name any."""
    if not len(station):
        return True
    if row.station_length != len(station) or after(text, row.station_at, station) < 0:
        return False
    if row.source_length < len(source) or after(text, row.source_at, source) < 0:
        return False
    return bool(row.source_length == len(source) or text[row.source_at + len(source)] == _SLASH)


@kernel
def _key(text: Bytes, at: int, names: Bytes) -> tuple[int, int]:
    """Return the bit of the name that stands here, 0 if it is none of these, and where the text goes on."""
    end = closing(text, at)
    for place in range(len(names)):
        if end - at == names[place, 0] and text[at] == names[place, 1]:
            same = 1
            while same < end - at and text[at + same] == names[place, 1 + same]:
                same += 1
            if same == end - at:
                return 1 << place, end + 1
    return 0, -1


@inlined
def _behind_colon(text: Bytes, at: int, shape: int) -> int:
    """Return where a key's value begins."""
    at = _space(text, at, shape)
    return _space(text, at + 1, shape) if _is(text, at, _COLON) else -1


@inlined
def _next_key(text: Bytes, at: int, shape: int) -> int:
    """Return where the next key begins, behind its quote; -1 if there is none."""
    at = _space(text, at, shape)
    return at + 1 if _is(text, at, QUOTE) else -1


@kernel
def _read_event(text: Bytes, at: int, shape: int, row: Row) -> int:
    """Read one event; return where the text goes on, -1 if it is no plain scan."""
    if not _is(text, at, _OPEN):
        return -1
    seen, said_at, said_end = 0, -1, -1  # the attribute `time`, which may stand for data.occurred_at
    while True:
        bit, at = _key(text, _next_key(text, at + 1, shape), _ATTRIBUTES)
        if bit == 0 or seen & bit:  # of a name that comes twice the last would count
            return -1
        seen |= bit
        at = _behind_colon(text, at, shape)
        if bit == ID:
            row.id_at, row.id_length, at = _text(text, at, _IN_ID, _ID_LENGTH_MAX)
        elif bit == SOURCE:
            row.source_at, row.source_length, at = _text(text, at, _IN_SOURCE, _ID_LENGTH_MAX)
        elif bit == TYPE:
            row.begins = after(text, at, _CHECK_OUT) < 0
            at = after(text, at, _CHECK_IN) if row.begins else after(text, at, _CHECK_OUT)
        elif bit == DATA:
            at = _read_data(text, at, shape, row)
        elif bit == SPECVERSION:
            at = after(text, at, _VERSION)
        elif bit == TIME:
            said_at, length, at = _any_text(text, at)
            said_end = said_at + length
        else:
            at = after(text, at, _JSON)
        at = _space(text, at, shape)
        if not _is(text, at, _COMMA):
            break
    if not _is(text, at, _CLOSE) or seen & NEEDED != NEEDED:
        return -1
    if row.occurred_at == 0 and seen & TIME:
        row.occurred_at = _instant(text, said_at, said_end)
    if row.occurred_at < EARLIEST_INSTANT or row.occurred_at > LATEST_INSTANT:
        return -1
    if not row.begins and (not row.has_shift or row.project_length):
        return -1
    return at + 1


@kernel
def _read_data(text: Bytes, at: int, shape: int, row: Row) -> int:
    """Read what an event says; return where the text goes on, or -1. No instant is left as 0."""
    if not _is(text, at, _OPEN):
        return -1
    seen = 0
    while True:
        bit, at = _key(text, _next_key(text, at + 1, shape), _FIELDS)
        if bit == 0 or seen & bit:
            return -1
        seen |= bit
        at = _behind_colon(text, at, shape)
        if bit == VOLUNTEER:
            row.volunteer_at, row.volunteer_length, at = _text(text, at, _IN_NAME, _NAME_LENGTH_MAX)
            if row.volunteer_length == 11 or row.volunteer_length == 18:
                return -1  # might be a phone or identity number
        elif bit == STATION:
            row.station_at, row.station_length, at = _text(text, at, _IN_NAME, _NAME_LENGTH_MAX)
        elif bit == PROJECT:
            row.project_at, row.project_length, at = _text(text, at, _IN_NAME, _NAME_LENGTH_MAX)
        elif bit == SHIFT:
            row.shift_high, at = half_uuid(text, at + 1 if _is(text, at, QUOTE) else -1, (8, 12))
            row.shift_low, at = half_uuid(text, at, (0, 4))
            row.has_shift = 1
            at = at + 1 if _is(text, at, QUOTE) else -1
        else:
            row.occurred_at, at = _any_instant(text, at)
            if row.occurred_at == 0:
                return -1
        at = _space(text, at, shape)
        if not _is(text, at, _COMMA):
            break
    return at + 1 if _is(text, at, _CLOSE) and seen & (VOLUNTEER | STATION) == VOLUNTEER | STATION else -1


@inlined
def _any_instant(text: Bytes, at: int) -> tuple[int, int]:
    """Return an instant, given as text or as epoch seconds, and where the text goes on; 0 or -1 if it is neither."""
    if _is(text, at, QUOTE):
        begin, length, behind = _any_text(text, at)
        return _instant(text, begin, begin + length), behind
    value, behind = number(text, at)
    if behind < 0 or behind == len(text) or text[at] == _ZERO:
        return 0, -1
    following = text[behind]
    if (
        following == 46 or following == 69 or following == 101 or 48 <= following < 58
    ):  # a fraction, an exponent, or more digits
        return 0, -1
    return value, behind


@inlined
def _any_text(text: Bytes, at: int) -> tuple[int, int, int]:
    """Return where a text of printable ASCII begins, its length, and where it goes on behind the quote; or -1."""
    begin = at + 1 if _is(text, at, QUOTE) else -1
    end = closing(text, begin)
    for place in range(begin, end):
        if text[place] > 126:  # of other alphabets whole characters would have to be checked
            return 0, 0, -1
    return (begin, end - begin, end + 1) if end >= 0 else (0, 0, -1)


@inlined
def _text(text: Bytes, at: int, characters: int, length_max: int) -> tuple[int, int, int]:
    """Return where a text of such characters begins, its length, and where it goes on behind the quote; or -1."""
    begin = at + 1
    if not _is(text, at, QUOTE) or begin >= len(text):
        return 0, 0, -1
    if characters == _IN_NAME and not _CLASSES[text[begin]] & _NAME_BEGINS:
        return 0, 0, -1
    end = begin
    while end < len(text) and _CLASSES[text[end]] & characters:
        end += 1
    if not _is(text, end, QUOTE) or not 0 < end - begin <= length_max:
        return 0, 0, -1
    return begin, end - begin, end + 1


@inlined
def _digits(text: Bytes, at: int, count: int) -> int:
    """Return the number that so many digits are, -1 if they are none."""
    value = 0
    for place in range(at, at + count):
        if not 48 <= text[place] < 58:
            return -1
        value = 10 * value + text[place] - 48
    return value


@kernel
def _instant(text: Bytes, at: int, end: int) -> int:
    """Return an instant as `2018-12-04T09:00:00+08:00` or `…Z` in epoch seconds, 0 if it has another form."""
    if at < 0 or end - at < 20:
        return 0
    year, month, day = _digits(text, at, 4), _digits(text, at + 5, 2), _digits(text, at + 8, 2)
    hour, minute, second = _digits(text, at + 11, 2), _digits(text, at + 14, 2), _digits(text, at + 17, 2)
    if text[at + 4] != 45 or text[at + 7] != 45 or text[at + 10] != 84 or text[at + 13] != 58 or text[at + 16] != 58:
        return 0
    if year < 2000 or not 1 <= month <= 12 or not 0 <= hour < 24 or not 0 <= minute < 60 or not 0 <= second < 60:
        return 0
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS_IN[month - 1] + (1 if leap and month == 2 else 0):
        return 0
    offset, rest = 0, at + 19
    if end - rest == 6 and (text[rest] == 43 or text[rest] == 45) and text[rest + 3] == 58:
        hours, minutes = _digits(text, rest + 1, 2), _digits(text, rest + 4, 2)
        if not 0 <= hours < 24 or not 0 <= minutes < 60:
            return 0
        offset = (hours * 60 + minutes) * (1 if text[rest] == 43 else -1)
    elif end - rest != 1 or text[rest] != 90:
        return 0
    before = year - 1
    days = 365 * (year - 1970) + before // 4 - before // 100 + before // 400 - 477
    days += int(_DAYS_BEFORE[month - 1]) + (1 if leap and month > 2 else 0) + day - 1
    return ((days * 24 + hour) * 60 + minute - offset) * 60 + second
