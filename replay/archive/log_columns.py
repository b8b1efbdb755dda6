"""From the log's bytes to columns, the first step of a replay without an archive.

Plain scans are read directly from the bytes (`replay/archive/scan_lines.py`). All other states are parsed as JSON by
Arrow, and numpy turns names into surrogates. Events of old versions are first upcast by the codec, which is slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ledger.aggregates import EVENTS
from ledger.aggregates.rules import RulesEvent, RulesPublished, RulesPutInForce
from ledger.store.mapper import decode, encode
from projections.compiled import kernel
from projections.schema import (
    ATTESTED,
    CHANGE_BITS,
    CORRECTED,
    DIRECTIONS,
    IMPORTED,
    NO_INSTANT,
    NONE,
    OTHER,
    OTHER_CODES,
    REPLACES,
    SHIFT_CODES,
    STATION_KINDS,
    STATION_OPENED,
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
from replay.archive.scan_lines import Slices, read_lines, strings
from replay.archive.segments import NAME_KINDS, PUBLISHED_ONLY, PUT_IN_FORCE, NewNames, Part, RulesRow

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
        "direction": _TEXT,
        "replaced_by": _TEXT,
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
        "reason": _TEXT,
        "into": _TEXT,
    }
)
_CURRENT = set(EVENTS)


@dataclass
class Dictionaries:
    """All names seen so far, with their surrogates."""

    volunteers: Names
    stations: Names
    projects: Names
    keys: Names
    shifts: ShiftNumbers

    @classmethod
    def empty(cls) -> Dictionaries:
        """Return the dictionaries of an empty log."""
        return cls(Names(), Names(), Names(), Names(), ShiftNumbers())


def columns_of(lines: bytes, topics: list[str], first: int, names: Dictionaries) -> Part:
    """Parse the states of events, one line of JSON each, and replace their names by surrogates.

    Args:
        lines, topics: states joined by line feeds, and the topic of each.
        first: the position of the first event; positions are dense.
        names: the dictionaries; new names are added.

    Raises:
        errors of ledger.store.mapper: this version cannot read an event; no event is skipped.
    """
    known, before = names.shifts.count, {kind: len(dictionary) for kind, dictionary in names_by_kind(names).items()}
    text = np.frombuffer(lines, np.uint8)
    codes = _coded(pa.array(topics).dictionary_encode(), SHIFT_CODES, 0).astype(np.uint8)
    read = read_lines(text, codes)
    scans, rest = np.flatnonzero(read.plain), np.flatnonzero(read.plain == 0)
    rest_lines = [lines[at : at + length] for at, length in zip(*(column[rest] for column in read.line), strict=True)]
    rest_topics = [topics[row] for row in rest]
    _upcast(rest_lines, rest_topics)
    topic = pa.array(rest_topics, _TEXT)
    codes[rest] = _coded(topic.dictionary_encode(), SHIFT_CODES, 0)
    table = _parse(b"\n".join(rest_lines))
    order = np.empty(len(codes), np.int64)
    order[scans], order[rest] = np.arange(len(scans)), len(scans) + np.arange(len(rest))

    def numbers(column: str, slices: Slices, dictionary: Names) -> Ints:
        """Return the surrogates of names, numbered in the order of their first appearance among all events."""
        of_scans = strings(text, slices, scans, empty_is_null=column == "project")
        whole = pa.concat_arrays([of_scans, table[column].combine_chunks()]).take(pa.array(order))
        return _numbers(whole, dictionary)

    volunteer = numbers("volunteer", read.volunteer, names.volunteers)
    station = numbers("station", read.station, names.stations)
    project = numbers("project", read.project, names.projects)
    read.occurred_at[rest] = _integers(table["occurred_at"], np.uint32)
    read.recorded_at[rest] = _integers(table["recorded_at"], np.uint32)
    position = np.arange(first, first + len(codes), dtype=np.int64)

    of_shifts = codes > 0
    in_rest = of_shifts[rest]
    read.high[rest[in_rest]], read.low[rest[in_rest]] = _uuids(table["shift"].filter(pa.array(in_rest)))
    marks = read.imported * np.uint8(IMPORTED) | read.direction
    marks[rest] = _marks(table)
    rows = np.flatnonzero(of_shifts)
    shift_events = ShiftEvents(
        code=codes[rows],
        shift=names.shifts.add(volunteer[rows], read.high[rows], read.low[rows]),
        station=station[rows],
        project=project[rows],
        occurred_at=read.occurred_at[rows],
        marks=marks[rows],
    )
    corrected = np.flatnonzero(codes[rest] == CORRECTED)
    others = np.flatnonzero(~in_rest)
    other_rows = rest[others]
    other_names = [column[other_rows] for column in (volunteer, station, project)]
    return Part(
        shift_events=shift_events,
        shift_more={"position": position[rows], "recorded_at": read.recorded_at[rows], "volunteer": volunteer[rows]},
        corrections=_corrections(table.take(pa.array(corrected)), shift_events, np.searchsorted(rows, rest[corrected])),
        correction_more={"position": position[rest[corrected]], "reason": table["reason"].take(pa.array(corrected))},
        other_events=_other_events(table.take(pa.array(others)), topic.take(pa.array(others)), other_names, names),
        other_more={
            "position": position[other_rows],
            "recorded_at": read.recorded_at[other_rows],
            "topic": topic.take(pa.array(others)),
        },
        new=_new_names(names, known, before, shift_events.shift, read.recorded_at[rows]),
        rules=_rules(rest_lines, rest_topics, position[rest]),
    )


def _parse(lines: bytes) -> Any:
    if not lines:
        return _SCHEMA.empty_table()
    return pj.read_json(
        pa.BufferReader(lines),
        read_options=pj.ReadOptions(block_size=4 << 20),
        parse_options=pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
    )


def _upcast(states: list[bytes], topics: list[str]) -> None:
    """Upcast events of older versions, in place."""
    for row, topic in enumerate(topics):
        if topic not in _CURRENT:
            event = decode(topic, states[row])
            topics[row], states[row] = encode(event)


def _rules(states: list[bytes], topics: list[str], positions: Longs) -> list[RulesRow]:
    """Return the rule timelines published or put in force in these events."""
    found = []
    for row in (row for row, topic in enumerate(topics) if topic in _RULES_TOPICS):
        event = decode(topics[row], states[row])
        if isinstance(event, RulesEvent):
            of_event = int(positions[row]), event.recorded_at, event.version, event.digest
            found.append(RulesRow(*of_event, *_text_and_act(event)))
    return found


_RULES_TOPICS = {RulesPublished.TOPIC, RulesPutInForce.TOPIC}


def _text_and_act(event: RulesEvent) -> tuple[str, str | None]:
    if isinstance(event, RulesPublished):
        return event.text, None if event.in_force else PUBLISHED_ONLY
    return "", PUT_IN_FORCE


def _numbers(column: Any, names: Names) -> Ints:
    """Turn a column of names into surrogates, int32; `NONE` for null."""
    encoded = column.dictionary_encode()
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


def _marks(table: Any) -> Bytes:
    imported = pc.fill_null(table["imported"], False).combine_chunks().to_numpy(zero_copy_only=False)  # noqa: FBT003
    marks: Bytes = imported.astype(np.uint8) * np.uint8(IMPORTED)
    marks |= _present(table["evidence"], ATTESTED)
    marks |= _present(table["replaces"], REPLACES) | _present(table["replaced_by"], REPLACES)
    marks |= _coded(_encoded(table["direction"]), DIRECTIONS, 0).astype(np.uint8)
    return marks


def _corrections(table: Any, events: ShiftEvents, rows: Array) -> Corrections:
    """Return the fields that corrections set; `rows` are the corrections' rows in `events`."""
    words = table["changes"].to_pylist()
    return Corrections(
        shift=events.shift[rows],
        changes=np.array([sum(CHANGE_BITS[word] for word in set(changed)) for changed in words], np.uint8),
        station=events.station[rows],
        project=events.project[rows],
        check_in=_integers(table["check_in"], np.uint32),
        check_out=_integers(table["check_out"], np.uint32),
    )


def _other_events(table: Any, topic: Any, columns: list[Ints], names: Dictionaries) -> OtherEvents:
    day = pc.coalesce(table["registered_on"], table["completed_on"], table["as_of"], table["day"])
    amount = pc.coalesce(table["minutes"], table["people"])
    code = _coded(topic.dictionary_encode(), OTHER_CODES, OTHER)
    tier = _coded(_encoded(table["tier"]), dict(TIERS), NONE)
    kind = _coded(_encoded(table["kind"]), dict(STATION_KINDS), NONE)
    amounts = np.where(tier != NONE, tier, np.where(kind != NONE, kind, _integers(amount, np.int32, NONE)))
    amounts[code == OTHER] = NONE
    days = pc.fill_null(pc.cast(day, pa.date32()).cast(pa.int32()), NONE)
    return OtherEvents(
        code=code.astype(np.uint8),
        volunteer=columns[0],
        station=columns[1],
        project=columns[2],
        key=_numbers(table["raise_id"].combine_chunks(), names.keys),
        day=_integers(days, np.int32),
        amount=amounts.astype(np.int32),
        into=_numbers(table["into"].combine_chunks(), names.volunteers),
        opened_at=np.where(code == STATION_OPENED, _integers(table["occurred_at"], np.uint32), np.uint32(NO_INSTANT)),
    )


def _new_names(names: Dictionaries, known: int, before: dict[str, int], shift: Ints, recorded_at: Instants) -> NewNames:
    """Return the names added since there were `known` shifts and, by kind, `before` names."""
    first_recorded_at = np.empty(names.shifts.count - known, np.uint32)
    new = shift >= known
    first_recorded_at[shift[new][::-1] - known] = recorded_at[new][::-1]  # reversed, so that the first event wins
    added = {kind: dictionary.since(before[kind]) for kind, dictionary in names_by_kind(names).items()}
    return NewNames(known, *names.shifts.since(known), first_recorded_at, before, added)


def names_by_kind(names: Dictionaries) -> dict[str, Names]:
    """Return the dictionaries by kind of name, as in the files of segments."""
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
