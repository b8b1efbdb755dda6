"""From the log's bytes to columns: the first leg of a cold replay.

Arrow parses the states, lines of JSON, on all cores, and numpy turns names into surrogates. An event of an old version
takes the slow way round: through the codec, which upcasts it.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    CORRECTED,
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
    Corrections,
    Instants,
    Ints,
    Longs,
    OtherEvents,
    ShiftEvents,
    Words,
)
from projections.surrogates import Names, ShiftNumbers
from replay.segments import NAME_KINDS, NewNames, Part

_TEXT, _LONG = pa.string(), pa.int64()
_SCHEMA = pa.schema(
    {
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
_CURRENT = {event.TOPIC for event in EVENTS}
_CURRENT_TOPICS = pa.array(sorted(_CURRENT))


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


def columns_of(lines: bytes, topics: list[str], first: int, names: Dictionaries) -> Part:
    """Parse the states of events, a line of JSON each, and give their names surrogates.

    Args:
        lines, topics: states joined by line feeds, and the topic of each.
        first: the position of the first; positions are dense.
        names: the dictionaries, which grow.

    Raises:
        ledger.codec errors: an event that this version cannot read; nothing is skipped.
    """
    topic = pa.array(topics).dictionary_encode()
    if not pc.all(pc.is_in(topic.dictionary, _CURRENT_TOPICS)).as_py():
        lines, topics = _upcast(lines, topics)
        topic = pa.array(topics).dictionary_encode()
    table = _parse(lines)
    if len(table) != len(topics):
        raise ValueError(f"{len(topics)} events from position {first} on are {len(table)} lines of JSON")
    shift_codes = _coded(topic, SHIFT_CODES, 0)
    mask = shift_codes > 0
    is_shift = pa.array(mask)
    known, before = names.shifts.count, {kind: len(held) for kind, held in names_by_kind(names).items()}
    # Volunteers get their numbers in order of first appearance over both kinds of events.
    columns: dict[str, Array] = {
        "volunteer": _numbers(table["volunteer"], names.volunteers),
        "station": _numbers(table["station"], names.stations),
        "project": _numbers(table["project"], names.projects),
        "key": _numbers(table["raise_id"], names.keys),
        "position": np.arange(first, first + len(table), dtype=np.int64),
        "recorded_at": _integers(table["recorded_at"], np.uint32),
    }
    shift_rows = {name: column[mask] for name, column in columns.items()}
    other_rows = {name: column[~mask] for name, column in columns.items()}
    shift_events, corrections, corrected = _shift_events(
        table.filter(is_shift), shift_codes[mask], shift_rows, names.shifts
    )
    is_other = pc.invert(is_shift)
    return Part(
        shift_events=shift_events,
        shift_more={name: shift_rows[name] for name in ("position", "recorded_at", "volunteer")},
        corrections=corrections,
        correction_position=shift_rows["position"][corrected],
        other_events=_other_events(table.filter(is_other), topic.filter(is_other), other_rows),
        other_more={
            "position": other_rows["position"],
            "recorded_at": other_rows["recorded_at"],
            "topic": topic.filter(is_other).cast(_TEXT),
        },
        new=_new_names(names, known, before, shift_events.shift, shift_rows["recorded_at"]),
    )


def _parse(lines: bytes) -> Any:
    return pj.read_json(
        pa.BufferReader(lines),
        read_options=pj.ReadOptions(block_size=4 << 20),
        parse_options=pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
    )


def _upcast(lines: bytes, topics: list[str]) -> tuple[bytes, list[str]]:
    """Bring events of older versions to the current ones."""
    states = lines.split(b"\n")
    for row, topic in enumerate(topics):
        if topic not in _CURRENT:
            event = decode(topic, states[row])
            states[row], topics[row] = event.model_dump_json(exclude_defaults=True).encode(), event.TOPIC
    return b"\n".join(states), topics


def _numbers(column: Any, names: Names) -> Ints:
    """Turn a column of names into surrogates, int32; `NONE` for null."""
    encoded = column.combine_chunks().dictionary_encode()
    known: Ints = np.array([names.add(name) for name in encoded.dictionary.to_pylist()] + [NONE], np.int32)
    numbers: Ints = known[encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]
    return numbers


def _coded(encoded: Any, codes: dict[str, int], default: int) -> Ints:
    """Turn a dictionary-encoded column of fixed words into their codes."""
    known = np.array([codes.get(word, default) for word in encoded.dictionary.to_pylist()] + [default], np.int32)
    numbers: Ints = known[encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]
    return numbers


def _encoded(column: Any) -> Any:
    return column.combine_chunks().dictionary_encode()


def _integers(column: Any, dtype: Any, default: int = 0) -> Array:
    integers: Array = pc.fill_null(column, default).combine_chunks().to_numpy(zero_copy_only=False).astype(dtype)
    return integers


def _present(column: Any, bit: int) -> Bytes:
    bits: Bytes = _valid(column).astype(np.uint8) * np.uint8(bit)
    return bits


def _valid(column: Any) -> Array:
    valid: Array = pc.is_valid(column).combine_chunks().to_numpy(zero_copy_only=False)
    return valid


def _shift_events(
    table: Any, codes: Ints, names: dict[str, Ints], shifts: ShiftNumbers
) -> tuple[ShiftEvents, Corrections, Longs]:
    """Return events of shifts, what corrections among them set, and the rows of these."""
    imported = pc.fill_null(table["imported"], False).combine_chunks().to_numpy(zero_copy_only=False)  # noqa: FBT003
    high, low = _uuids(table["shift"])
    events = ShiftEvents(
        code=codes.astype(np.uint8),
        shift=shifts.add(names["volunteer"], high, low),
        station=names["station"],
        project=names["project"],
        occurred_at=_integers(table["occurred_at"], np.uint32),
        marks=_present(table["evidence"], ATTESTED)
        | _present(table["replaces"], REPLACES)
        | imported.astype(np.uint8) * np.uint8(IMPORTED),
    )
    rows = np.flatnonzero(codes == CORRECTED)
    corrected = table.take(pa.array(rows))
    words = corrected["changes"].to_pylist()
    corrections = Corrections(
        shift=events.shift[rows],
        changes=np.array([sum(CHANGE_BITS[word] for word in set(changed)) for changed in words], np.uint8),
        station=events.station[rows],
        project=events.project[rows],
        check_in=_integers(corrected["check_in"], np.uint32),
        check_out=_integers(corrected["check_out"], np.uint32),
    )
    return events, corrections, rows.astype(np.int64)


def _other_events(table: Any, topic: Any, names: dict[str, Ints]) -> OtherEvents:
    day = pc.coalesce(table["registered_on"], table["completed_on"], table["as_of"], table["day"])
    amount = pc.coalesce(table["minutes"], table["people"])
    code = _coded(topic, OTHER_CODES, OTHER)
    tier = _coded(_encoded(table["tier"]), dict(TIERS), NONE)
    kind = _coded(_encoded(table["kind"]), dict(STATION_KINDS), NONE)
    amounts = np.where(tier != NONE, tier, np.where(kind != NONE, kind, _integers(amount, np.int32, NONE)))
    amounts[code == OTHER] = NONE
    days = pc.fill_null(pc.cast(day, pa.date32()).cast(pa.int32()), NONE)
    return OtherEvents(
        code=code.astype(np.uint8),
        volunteer=names["volunteer"],
        station=names["station"],
        project=names["project"],
        key=names["key"],
        day=_integers(days, np.int32),
        amount=amounts.astype(np.int32),
    )


def _new_names(names: Dictionaries, known: int, before: dict[str, int], shift: Ints, recorded_at: Instants) -> NewNames:
    """Return what was added to the dictionaries since they held so much."""
    first_recorded_at = np.empty(names.shifts.count - known, np.uint32)
    new = shift >= known
    first_recorded_at[shift[new][::-1] - known] = recorded_at[new][::-1]  # of several events the first stays
    added = {kind: held.since(before[kind]) for kind, held in names_by_kind(names).items()}
    return NewNames(*names.shifts.since(known), first_recorded_at, added)


def names_by_kind(names: Dictionaries) -> dict[str, Names]:
    """Return the dictionaries by the kinds of names a segment knows."""
    return dict(zip(NAME_KINDS, (names.volunteers, names.stations, names.projects, names.keys), strict=True))


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
