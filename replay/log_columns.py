"""From the log's bytes to columns: the first leg of a cold replay.

PostgreSQL joins thousands of events into one line-by-line JSON text (measured: a row of the protocol per event costs
more than everything else), Arrow parses it on all cores, and numpy turns names into surrogates. An event of an old
version takes the slow way round: through the codec, which upcasts it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ledger.codec import decode
from ledger.events import EVENTS
from projections.compiled import kernel
from projections.schema import (
    ATTESTED,
    CHANGE_BITS,
    IMPORTED,
    NONE,
    OTHER,
    OTHER_CODES,
    REPLACES,
    SHIFT_CODES,
    STATION_KINDS,
    TIERS,
    Array,
    Bytes,
    Ints,
    OtherEvents,
    ShiftEvents,
    Words,
)
from projections.surrogates import Names, ShiftNumbers

_TEXT, _LONG = pa.string(), pa.int64()
_SCHEMA = pa.schema(
    {
        "position": _LONG,
        "topic": _TEXT,
        "occurred_at": _LONG,
        "recorded_at": _LONG,
        "volunteer": _TEXT,
        "shift": _TEXT,
        "station": _TEXT,
        "project": _TEXT,
        "raise_id": _TEXT,
        "evidence": _TEXT,
        "replaces": _TEXT,
        "imported": pa.bool_(),
        "changes": pa.list_(_TEXT),
        "check_in": _LONG,
        "check_out": _LONG,
        "registered_on": _TEXT,
        "completed_on": _TEXT,
        "as_of": _TEXT,
        "day": _TEXT,
        "tier": _TEXT,
        "kind": _TEXT,
        "minutes": _LONG,
        "people": _LONG,
    }
)
_CURRENT_TOPICS = pa.array([event.TOPIC for event in EVENTS])


@dataclass
class Dictionaries:
    """All names met so far, with their surrogates."""

    volunteers: Names
    stations: Names
    projects: Names
    keys: Names
    shifts: ShiftNumbers

    @classmethod
    def empty(cls) -> Dictionaries:
        """Return dictionaries of an empty log."""
        return cls(Names(), Names(), Names(), Names(), ShiftNumbers())


@dataclass(frozen=True)
class LogColumns:
    """Events of a range of positions as columns, and the digest of the bytes they came from."""

    shift_events: ShiftEvents
    shift_volunteer: Ints  # by row of shift_events
    other_events: OtherEvents
    digest: str  # SHA-256 of the lines
    last_line: str  # SHA-256 of the last line


def columns_of_lines(lines: bytes, names: Dictionaries) -> LogColumns:
    """Parse lines of JSON, each an event with its position and topic, and give its names surrogates.

    Raises:
        ledger.codec errors: an event that this version cannot read; nothing is skipped.
    """
    digest, last_line = sha256(lines).hexdigest(), sha256(lines[lines.rfind(b"\n") + 1 :]).hexdigest()
    table = _parse(lines)
    if not pc.all(pc.is_in(table["topic"], _CURRENT_TOPICS)).as_py():
        table = _parse(b"\n".join(_upcast(line) for line in lines.split(b"\n")))
    is_shift = pc.is_valid(table["shift"])
    # Volunteers get their numbers in order of first appearance over both kinds of events.
    columns = {
        "volunteer": _numbers(table["volunteer"], names.volunteers),
        "station": _numbers(table["station"], names.stations),
        "project": _numbers(table["project"], names.projects),
        "key": _numbers(table["raise_id"], names.keys),
    }
    mask = is_shift.combine_chunks().to_numpy(zero_copy_only=False)
    shift_rows = {name: column[mask] for name, column in columns.items()}
    other_rows = {name: column[~mask] for name, column in columns.items()}
    shift_events = _shift_events(table.filter(is_shift), shift_rows, names.shifts)
    other_events = _other_events(table.filter(pc.invert(is_shift)), other_rows)
    return LogColumns(shift_events, shift_rows["volunteer"], other_events, digest, last_line)


def _parse(lines: bytes) -> Any:
    return pj.read_json(
        pa.BufferReader(lines),
        read_options=pj.ReadOptions(block_size=4 << 20),
        parse_options=pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
    )


def _upcast(line: bytes) -> bytes:
    said = json.loads(line)
    position, topic = said.pop("position"), said.pop("topic")
    event = decode(topic, json.dumps(said).encode())
    return (
        f'{{"position":{position},"topic":"{event.TOPIC}",{event.model_dump_json(exclude_defaults=True)[1:]}'.encode()
    )


def _numbers(column: Any, names: Names) -> Ints:
    """Turn a column of names into surrogates, int32; `NONE` for null."""
    encoded = column.combine_chunks().dictionary_encode()
    known: Ints = np.array([names.add(name) for name in encoded.dictionary.to_pylist()] + [NONE], np.int32)
    numbers: Ints = known[encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]
    return numbers


def _coded(column: Any, codes: dict[str, int], default: int) -> Ints:
    """Turn a column of fixed words into their codes."""
    encoded = column.combine_chunks().dictionary_encode()
    known = np.array([codes.get(word, default) for word in encoded.dictionary.to_pylist()] + [default], np.int32)
    numbers: Ints = known[encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]
    return numbers


def _integers(column: Any, dtype: Any, default: int = 0) -> Array:
    integers: Array = pc.fill_null(column, default).combine_chunks().to_numpy(zero_copy_only=False).astype(dtype)
    return integers


def _present(column: Any, bit: int) -> Bytes:
    bits: Bytes = _valid(column).astype(np.uint8) * np.uint8(bit)
    return bits


def _valid(column: Any) -> Array:
    valid: Array = pc.is_valid(column).combine_chunks().to_numpy(zero_copy_only=False)
    return valid


def _shift_events(table: Any, names: dict[str, Ints], shifts: ShiftNumbers) -> ShiftEvents:
    changes = np.zeros(len(table), np.uint8)
    corrected = np.flatnonzero(_valid(table["changes"]))
    for row, words in zip(corrected, table["changes"].take(pa.array(corrected)).to_pylist(), strict=True):
        changes[row] = sum(CHANGE_BITS[word] for word in set(words))
    imported = pc.fill_null(table["imported"], False).combine_chunks().to_numpy(zero_copy_only=False)  # noqa: FBT003
    high, low = _uuids(table["shift"])
    return ShiftEvents(
        position=_integers(table["position"], np.int64),
        code=_coded(table["topic"], SHIFT_CODES, 0).astype(np.uint8),
        shift=shifts.add(names["volunteer"], high, low),
        station=names["station"],
        project=names["project"],
        occurred_at=_integers(table["occurred_at"], np.uint32),
        recorded_at=_integers(table["recorded_at"], np.uint32),
        check_in=_integers(table["check_in"], np.uint32),
        check_out=_integers(table["check_out"], np.uint32),
        changes=changes,
        marks=_present(table["evidence"], ATTESTED)
        | _present(table["replaces"], REPLACES)
        | imported.astype(np.uint8) * np.uint8(IMPORTED),
    )


def _other_events(table: Any, names: dict[str, Ints]) -> OtherEvents:
    day = pc.coalesce(table["registered_on"], table["completed_on"], table["as_of"], table["day"])
    amount = pc.coalesce(table["minutes"], table["people"])
    code = _coded(table["topic"], OTHER_CODES, OTHER)
    tier = _coded(table["tier"], dict(TIERS), NONE)
    kind = _coded(table["kind"], dict(STATION_KINDS), NONE)
    amounts = np.where(tier != NONE, tier, np.where(kind != NONE, kind, _integers(amount, np.int32, NONE)))
    amounts[code == OTHER] = NONE
    days = pc.fill_null(pc.cast(day, pa.date32()).cast(pa.int32()), NONE)
    return OtherEvents(
        position=_integers(table["position"], np.int64),
        code=code.astype(np.uint8),
        volunteer=names["volunteer"],
        station=names["station"],
        project=names["project"],
        key=names["key"],
        day=_integers(days, np.int32),
        amount=amounts.astype(np.int32),
    )


def _uuids(column: Any) -> tuple[Words, Words]:
    """Parse a column of UUID texts of 36 characters into two uint64 halves."""
    if len(column) == 0:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    whole = column.combine_chunks()
    offsets = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset : whole.offset + len(whole) + 1]
    if not np.all(np.diff(offsets) == 36):
        raise ValueError("a shift id in the log is not a UUID of 36 characters")
    text = np.frombuffer(whole.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].copy()
    high, low = np.empty(len(whole), np.uint64), np.empty(len(whole), np.uint64)
    _parse_uuids(text, high, low)
    return high, low


@kernel
def _parse_uuids(text: Bytes, high: Words, low: Words) -> None:
    for row in range(len(high)):
        halves = np.uint64(0)
        digits = 0
        for at in range(row * 36, row * 36 + 36):
            character = text[at]
            if character == 45:  # a dash
                continue
            digit = character - 48 if character < 58 else (character | 32) - 87
            halves = (halves << np.uint64(4)) | np.uint64(digit)
            digits += 1
            if digits == 16:
                high[row] = halves
                halves = np.uint64(0)
        low[row] = halves
