"""Entries that are scans of stations as the ledger writes them, byte by byte, read without a JSON parser.

An entry that is accepted here is valid by the schema of its event: its fields are there in order, no other, each in the
one form in which the codec writes it. Everything else is left to the general path: an escaped character, a note, a
number with a zero before it, whitespace, bytes that are cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ledger.instants import EARLIEST_INSTANT, LATEST_INSTANT
from projections.compiled import inlined, kernel
from projections.schema import CHECKED_IN, CHECKED_OUT, PUNCHED, Array, Bytes, Longs, Words
from replay.archive.scan_lines import Slices, new_slices
from replay.archive.scan_text import (
    BACKSLASH,
    BY,
    CLOSED,
    COMMAND,
    END,
    IMPORTED,
    KEY,
    OCCURRED,
    PROJECT,
    QUOTE,
    RECORDED,
    SHIFT,
    STATION,
    VOLUNTEER,
    after,
    direction,
    half_uuid,
    literal,
    number,
)

HEAD_BYTES = 33
NO_KEY = -1
SIMULATED = "simulation#"
"""How the commands of a synthetic history are named, with the position after it: they were loaded, not decided."""
OTHER_NAME, ITS_NAME, SIMULATED_NAME = 0, 1, 2
"""How a command is named: not as those of a synthetic history; as one, with its position; with something else."""

_VISIBLE, _SPACE, _DEL = 33, 32, 127
_COMMAND_MAX, _ACTOR_MAX, _NAME_MAX, _POSITION_DIGITS = 241, 48, 64, 18
_CHECKED_IN = literal("\x0dchecked-in.v1")
_CHECKED_OUT = literal("\x0echecked-out.v1")
_PUNCHED = literal("\x0apunched.v1")
_STATION_ACTOR = literal("station:")
_SIMULATED = literal(SIMULATED)


class Entries(NamedTuple):
    """Entries one after another in a text: the offsets of their beginnings, and of the end."""

    text: Bytes
    at: Longs


class Scans(NamedTuple):
    """The fields of the scans among some entries; all columns by entry. `holds`: the entry is such a scan."""

    holds: Bytes
    code: Bytes
    occurred_at: Longs
    recorded_at: Longs
    key: Longs
    named: Bytes
    high: Words  # of the shift's id
    low: Words
    command: Slices
    volunteer: Slices
    station: Slices
    project: Slices  # of length 0 without one


def joined(entries: list[bytes]) -> Entries:
    """Return entries as one text."""
    lengths = np.fromiter(map(len, entries), np.int64, len(entries))
    at = np.zeros(len(entries) + 1, np.int64)
    np.cumsum(lengths, out=at[1:])
    return Entries(np.frombuffer(b"".join(entries), np.uint8), at)


def read_scans(entries: Entries, first: int) -> Scans:
    """Read the scans of stations among the entries of successive positions, from `first` on."""
    count = len(entries.at) - 1
    scans = Scans(
        holds=np.zeros(count, np.uint8),
        code=np.zeros(count, np.uint8),
        occurred_at=np.zeros(count, np.int64),
        recorded_at=np.zeros(count, np.int64),
        key=np.zeros(count, np.int64),
        named=np.zeros(count, np.uint8),
        high=np.zeros(count, np.uint64),
        low=np.zeros(count, np.uint64),
        command=new_slices(count),
        volunteer=new_slices(count),
        station=new_slices(count),
        project=new_slices(count),
    )
    _read(entries.text, entries.at, first, scans)
    return scans


def heads_of(entries: Entries) -> Array:
    """Return stream and version of each entry, 24 bytes; zeros where an entry is too short to have them."""
    heads = np.zeros((len(entries.at) - 1, 24), np.uint8)
    _copy_heads(entries.text, entries.at, heads)
    return heads


@kernel
def _copy_heads(text: Bytes, at: Longs, heads: Array) -> None:
    for row in range(len(heads)):
        if at[row + 1] - at[row] >= HEAD_BYTES:
            for place in range(24):
                heads[row, place] = text[at[row] + 8 + place]


@inlined
def _whole(text: Bytes, at: int) -> tuple[int, int]:
    """Return a number as it is written in JSON, and the offset after it."""
    value, end = number(text, at)
    return value, -1 if end - at > 1 and text[at] == 48 else end


@inlined
def _closing(text: Bytes, at: int, least: int, longest: int) -> int:
    """Return the offset of the closing quote of a string of 1 to `longest` ASCII characters from `least` on, none of
    which is escaped.
    """
    if at < 0:
        return -1
    end = min(len(text), at + longest + 1)
    for place in range(at, end):
        character = text[place]
        if character == QUOTE:
            return place if place > at else -1
        if character < least or character >= _DEL or character == BACKSLASH:
            return -1
    return -1


@inlined
def _actor(text: Bytes, at: int) -> int:
    """Return the offset after the name of a station as an actor (`ledger.names.ACTOR_PATTERN`)."""
    if at < 0:
        return -1
    end = min(len(text), at + _ACTOR_MAX + 1)
    for place in range(at, end):
        character = text[place]
        letter = 65 <= (character & 0xDF) <= 90 or 48 <= character <= 57
        if not letter and (place == at or character not in (45, 46, 95)):
            return place if place > at and character == QUOTE else -1
    return -1


@inlined
def _named(text: Bytes, at: int, end: int, position: int) -> int:
    """Return how a command is named."""
    digits = after(text, at, _SIMULATED)
    if digits < 0 or digits > end:
        return OTHER_NAME
    if digits == end or end - digits > _POSITION_DIGITS or text[digits] == 48:
        return SIMULATED_NAME
    value = 0
    for place in range(digits, end):
        if not 48 <= text[place] <= 57:
            return SIMULATED_NAME
        value = 10 * value + text[place] - 48
    return ITS_NAME if value == position else SIMULATED_NAME


@inlined
def _code(text: Bytes, at: int) -> tuple[int, int]:
    """Return the code of the scan with the topic at an offset, and the offset after it."""
    end = after(text, at, _CHECKED_IN)
    if end >= 0:
        return CHECKED_IN, end
    end = after(text, at, _CHECKED_OUT)
    if end >= 0:
        return CHECKED_OUT, end
    return PUNCHED, after(text, at, _PUNCHED)


@kernel
def _read(text: Bytes, begins: Longs, first: int, scans: Scans) -> None:
    holds, codes, keys, names = scans.holds, scans.code, scans.key, scans.named
    occurred_ats, recorded_ats, highs, lows = scans.occurred_at, scans.recorded_at, scans.high, scans.low
    command_at, command_length = scans.command.at, scans.command.length
    volunteer_at, volunteer_length = scans.volunteer.at, scans.volunteer.length
    station_at, station_length = scans.station.at, scans.station.length
    project_at, project_length = scans.project.at, scans.project.length
    for row in range(len(holds)):
        begin, last, position = begins[row], begins[row + 1], first + row
        if last - begin < HEAD_BYTES:
            continue
        stated = 0
        for place in range(begin, begin + 8):
            stated = stated << 8 | text[place]
        if stated != position:
            continue
        code, at = _code(text, begin + HEAD_BYTES - 1)
        occurred_at, at = _whole(text, after(text, at, OCCURRED))
        recorded_at, at = _whole(text, after(text, at, RECORDED))
        at = _actor(text, after(text, after(text, at, BY), _STATION_ACTOR))
        command = after(text, at, COMMAND)
        at = command_end = _closing(text, command, _VISIBLE, _COMMAND_MAX)
        old = after(text, at, IMPORTED)
        at = old if old >= 0 else after(text, at, CLOSED)
        key, key_at = NO_KEY, after(text, at, KEY)
        if key_at >= 0:
            key, at = _whole(text, key_at)
        volunteer = after(text, at, VOLUNTEER)
        at = volunteer_end = _closing(text, volunteer, _SPACE, _NAME_MAX)
        high, at = half_uuid(text, after(text, at, SHIFT), (8, 12))
        low, at = half_uuid(text, at, (0, 4))
        station = after(text, at, STATION)
        at = station_end = _closing(text, station, _SPACE, _NAME_MAX)
        if code == PUNCHED:
            _, at = direction(text, at)
        project = after(text, at, PROJECT) if code != CHECKED_OUT else -1
        project_end = project
        if project >= 0:
            at = project_end = _closing(text, project, _SPACE, _NAME_MAX)
        if after(text, at, END) != last:
            continue
        in_bounds = EARLIEST_INSTANT <= occurred_at <= LATEST_INSTANT and recorded_at > 0
        if not in_bounds or (high == 0 and low == 0):
            continue
        holds[row], codes[row], keys[row] = 1, code, key
        occurred_ats[row], recorded_ats[row], highs[row], lows[row] = occurred_at, recorded_at, high, low
        names[row] = _named(text, command, command_end, position)
        command_at[row], command_length[row] = command, command_end - command
        volunteer_at[row], volunteer_length[row] = volunteer, volunteer_end - volunteer
        station_at[row], station_length[row] = station, station_end - station
        project_at[row], project_length[row] = project, project_end - project
