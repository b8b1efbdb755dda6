"""Blocks of scans under the writers' lock: which are old, which have to go up the ladder, and the rows of the others.

    wanted  -> what the log has to be asked, as far as it is not remembered
    decide  -> rows for COPY, one by one, until one has to go up the ladder of its command
    answered_behind, rows_of_names -> what is noted of the names that were answered, the ladder's among them

A scan of a known volunteer, station and project, not of the future, is recorded as it stands. Nothing here reads or
writes the log: `ledger/batch.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ledger.compiled import inlined, kernel
from ledger.events import CheckedIn, CheckedOut
from ledger.plain.block import PENDING, RECORDED, REFUSED, REPEATED, Block, Row, Rows
from ledger.plain.tables import ENTRY, Memory, Table, find, locate, place_for, put_all, table_for
from ledger.plain.text import (
    Bytes,
    hexadecimal,
    literal,
    put,
    put_half_word,
    put_number,
    put_slice,
    put_uuid,
    put_word,
)

ROW_BYTES_MAX = 1024
"""More than the longest event takes, which is 653: compiled loops do not look for the end of an array."""

_OCCURRED = literal('{"occurred_at":')
_RECORDED = literal(',"recorded_at":')
_BY = literal(',"by":"')
_COMMAND = literal('","command":"')
_QUOTE, _HASH = literal('"'), literal("#")
_IMPORTED = literal(',"imported":true')
_KEY = literal(',"key":')
_VOLUNTEER = literal(',"volunteer":"')
_SHIFT = literal('","shift":"')
_STATION = literal('","station":"')
_PROJECT = literal('","project":"')
_END = literal('"}')

# COPY's binary format (`ledger.writing`): the number of a row's fields, and each field behind its length.
_ROW = literal("\0\5")
_LENGTH_OF_ID, _LENGTH_OF_NUMBER = literal("\0\0\0\x10"), literal("\0\0\0\x08")
_CHECKED_IN, _CHECKED_OUT = (
    np.concatenate([literal(f"\0\0\0{chr(len(topic))}"), literal(topic)])
    for topic in (CheckedIn.TOPIC, CheckedOut.TOPIC)
)
_NAME = np.dtype(
    [
        ("fields", ">i2"),
        ("name_length", ">i4"),
        ("high", ">u8"),
        ("low", ">u8"),
        ("content_length", ">i4"),
        ("content_high", ">u8"),
        ("content_low", ">u8"),
        ("position_length", ">i4"),
        ("value", ">i8"),
    ]
)
"""A row of the table of commands: name, content, position."""

Words = npt.NDArray[np.uint64]


class Remembered(NamedTuple):
    """What is known before a batch: names that were answered, lengths of streams, and who and what is known."""

    names_young: Table
    names_old: Table
    versions_young: Table
    versions_old: Table
    known: Table


class Learned(NamedTuple):
    """What is found out in a batch: names answered before or in it, lengths of streams, and who and what is known."""

    names: Table
    versions: Table
    known: Table


class Wanted(NamedTuple):
    """What the log has to be asked: ids of shifts' streams, and of the streams of volunteers, stations, projects."""

    shifts: list[str]
    known: list[str]


def remembered(memory: Memory, *, careful: bool) -> Remembered:
    """Return what is remembered; being careful, only what cannot have changed."""
    names, versions = memory.names, memory.versions
    if careful:
        nothing = table_for(0)
        return Remembered(nothing, nothing, nothing, nothing, memory.known)
    return Remembered(names.young, names.old, versions.young, versions.old, memory.known)


def learned_for(scans: int, events: int) -> Learned:
    """Return empty tables for a batch of so many scans, and so many events of other orders at most."""
    return Learned(table_for(scans + events), table_for(scans + events), table_for(3 * scans + events))


def entries_of(ids: Sequence[str], values: Sequence[int]) -> Table:
    """Return entries for ids, given as 32 hexadecimal digits, and their values."""
    entries = np.zeros(len(ids), ENTRY)
    words = np.frombuffer(bytes.fromhex("".join(ids)), ">u8").reshape(-1, 2)
    entries["high"], entries["low"], entries["value"] = words[:, 0], words[:, 1], values
    return entries


def learn(table: Table, entries: Table) -> None:
    """Put entries into a table of what was learned."""
    put_all(table, entries)


def wanted(blocks: Sequence[Block], known: Remembered, *, careful: bool) -> Wanted:
    """Return what has to be asked of the log before these blocks are decided.

    A check-in begins its stream, as a rule; a check-out goes on with one that nobody here may have seen. Being careful,
    every stream is asked about.
    """
    scans = sum(map(len, blocks))
    asked, begun = table_for(4 * scans), table_for(scans)
    if not careful:
        for block in blocks:
            _begin(block.rows, begun)
    shifts = np.empty((scans, 2), np.uint64)
    others = np.empty((3 * scans, 2), np.uint64)
    shift_count = other_count = 0
    for block in blocks:
        shift_count, other_count = _want(
            block.rows, known, begun, asked, shifts, others, shift_count, other_count, careful
        )
    return Wanted(hexadecimal(shifts[:shift_count]), hexadecimal(others[:other_count]))


@kernel
def _begin(rows: Rows, begun: Table) -> None:
    for place in range(len(rows)):
        row = rows[place]
        if row.begins:
            place_for(begun, row.stream_high, row.stream_low)


@inlined
def _is_known(known: Table, also: Table, high: np.uint64, low: np.uint64) -> bool:
    return find(known, high, low) >= 0 or find(also, high, low) >= 0


@kernel
def _want(
    rows: Rows,
    known: Remembered,
    begun: Table,
    asked: Table,
    shifts: Words,
    others: Words,
    shift_count: int,
    other_count: int,
    careful: bool,  # noqa: FBT001 - a kernel takes its arguments by position
) -> tuple[int, int]:
    for place in range(len(rows)):
        row = rows[place]
        high, low = row.stream_high, row.stream_low
        unseen = careful or (not row.begins and find(begun, high, low) < 0 and _version(known, high, low) < 0)
        if unseen and find(asked, high, low) < 0:
            place_for(asked, high, low)
            shifts[shift_count, 0], shifts[shift_count, 1] = high, low
            shift_count += 1
        for kind in range(3):
            if kind == 0:
                high, low = row.volunteer_stream_high, row.volunteer_stream_low
            elif kind == 1:
                high, low = row.station_stream_high, row.station_stream_low
            elif row.project_length:
                high, low = row.project_stream_high, row.project_stream_low
            else:
                break
            if not _is_known(known.known, asked, high, low):
                place_for(asked, high, low)
                others[other_count, 0], others[other_count, 1] = high, low
                other_count += 1
    return shift_count, other_count


@inlined
def _version(known: Remembered, high: np.uint64, low: np.uint64) -> int:
    """Return how long a stream is remembered to be, -1 if it is not."""
    place = find(known.versions_young, high, low)
    if place >= 0:
        return int(known.versions_young[place].value)
    place = find(known.versions_old, high, low)
    return int(known.versions_old[place].value) if place >= 0 else -1


class Deciding:
    """The decisions about one batch's blocks. `position` goes on with each event, also with those of other orders."""

    def __init__(self, known: Remembered, learned: Learned, position: int, now: int, latest: int) -> None:
        self._known, self.learned = known, learned
        self.position = position
        self._now, self._latest = now, latest

    def answered(self, name: str) -> tuple[int, str] | None:
        """Return the position and the content of a command that was answered, all but numbers as 32 digits."""
        high, low = np.uint64(int(name[:16], 16)), np.uint64(int(name[16:], 16))
        for table in (self.learned.names, self._known.names_young, self._known.names_old):
            if (place := locate(table, high, low)) >= 0:
                entry = table[place]
                return int(entry["value"]), f"{int(entry['content_high']):016x}{int(entry['content_low']):016x}"
        return None

    def takes_as_they_stand(self, blocks: Sequence[Block]) -> bool:
        """Return whether no row of these blocks has to go up the ladder."""
        return all(_as_they_stand(one.rows, self._known.known, self.learned.known, self._latest) for one in blocks)

    def decide(self, block: Block, start: int) -> tuple[int, bytes]:
        """Decide the rows of a block from `start` on; return where it stopped and the rows of the events.

        It stops at the end, or at a row that has to go up the ladder, which keeps the outcome PENDING, or whose name
        was answered for other content: REFUSED.
        """
        rows = block.rows
        events = np.empty((len(rows) - start) * ROW_BYTES_MAX, np.uint8)
        row, self.position, used = _decide(
            block.text, rows, start, self._known, self.learned, self.position, self._now, self._latest, events
        )
        return row, events[:used].tobytes()

    def answered_behind(self, position: int) -> Table:
        """Return the entries of names that were answered by an event behind a position, in the order of the names.

        So their index is gone through from one end to the other: in random order PostgreSQL takes a tenth longer.
        """
        names = self.learned.names
        new = names[names["value"] > position]
        return new[np.argsort(new["high"])]


@kernel
def _as_they_stand(rows: Rows, known: Table, also: Table, latest: int) -> bool:
    for place in range(len(rows)):
        row = rows[place]
        if row.occurred_at > latest or not _all_known(known, also, row):
            return False
    return True


@kernel
def _decide(
    text: Bytes,
    rows: Rows,
    start: int,
    known: Remembered,
    learned: Learned,
    position: int,
    now: int,
    latest: int,
    events: Bytes,
) -> tuple[int, int, int]:
    at = 0
    for place in range(start, len(rows)):
        row = rows[place]
        before, same = _answered(known, learned, row)
        if before:
            row.outcome = REPEATED if same else REFUSED
            row.position = before
            if not same:
                return place, position, at
            continue
        row.outcome = PENDING
        if row.occurred_at > latest or not _all_known(known.known, learned.known, row):
            return place, position, at
        version = _next_version(known, learned.versions, row.stream_high, row.stream_low)
        position += 1
        at = _put_event(events, at, text, row, version, now, position)
        entry = place_for(learned.names, row.name_high, row.name_low)
        learned.names[entry].content_high = row.content_high
        learned.names[entry].content_low = row.content_low
        learned.names[entry].value = position
        row.outcome = RECORDED
        row.position = position
    return len(rows), position, at


@inlined
def _answered(known: Remembered, learned: Learned, row: Row) -> tuple[int, bool]:
    """Return the position of a row's name, 0 if it was never answered, and whether it said the same."""
    table = learned.names
    place = find(table, row.name_high, row.name_low)
    if place < 0:
        table = known.names_young
        place = find(table, row.name_high, row.name_low)
    if place < 0:
        table = known.names_old
        place = find(table, row.name_high, row.name_low)
    if place < 0:
        return 0, False
    entry = table[place]
    return entry.value, entry.content_high == row.content_high and entry.content_low == row.content_low


@inlined
def _all_known(known: Table, also: Table, row: Row) -> bool:
    return (
        _is_known(known, also, row.volunteer_stream_high, row.volunteer_stream_low)
        and _is_known(known, also, row.station_stream_high, row.station_stream_low)
        and (not row.project_length or _is_known(known, also, row.project_stream_high, row.project_stream_low))
    )


@inlined
def _next_version(known: Remembered, versions: Table, high: np.uint64, low: np.uint64) -> int:
    """Return the version that goes on with a stream, and note it."""
    place = find(versions, high, low)
    version = versions[place].value if place >= 0 else max(_version(known, high, low), 0)
    versions[place_for(versions, high, low)].value = version + 1
    return version + 1


@kernel
def _put_event(out: Bytes, at: int, text: Bytes, row: Row, version: int, now: int, position: int) -> int:
    """Write an event as `ledger.writing.copy_row` does; its state has nothing to escape."""
    at = put(out, put(out, at, _ROW), _LENGTH_OF_ID)
    at = put_word(out, put_word(out, at, row.stream_high), row.stream_low)
    at = put_word(out, put(out, at, _LENGTH_OF_NUMBER), np.uint64(version))
    at = put(out, at, _CHECKED_IN) if row.begins else put(out, at, _CHECKED_OUT)
    begin = at + 4
    at = _put_state(out, begin, text, row, now)
    put_half_word(out, begin - 4, np.uint64(at - begin))
    return put_word(out, put(out, at, _LENGTH_OF_NUMBER), np.uint64(position))


@kernel
def _put_state(out: Bytes, at: int, text: Bytes, row: Row, now: int) -> int:
    """Write an event's state as the codec does."""
    at = put_number(out, put(out, at, _OCCURRED), row.occurred_at)
    at = put_number(out, put(out, at, _RECORDED), now)
    at = put_slice(out, put(out, at, _BY), text, row.by_at, row.by_length)
    at = put_slice(out, put(out, at, _COMMAND), text, row.source_at, row.source_length)
    at = put_slice(out, put(out, at, _HASH), text, row.id_at, row.id_length)
    at = put(out, at, _QUOTE)
    if row.imported:
        at = put(out, at, _IMPORTED)
    if row.key:
        at = put_number(out, put(out, at, _KEY), row.key)
    at = put_slice(out, put(out, at, _VOLUNTEER), text, row.volunteer_at, row.volunteer_length)
    at = put_uuid(out, put(out, at, _SHIFT), row.shift_high, row.shift_low)
    at = put_slice(out, put(out, at, _STATION), text, row.station_at, row.station_length)
    if row.project_length:
        at = put_slice(out, put(out, at, _PROJECT), text, row.project_at, row.project_length)
    return put(out, at, _END)


def rows_of_names(entries: Table) -> bytes:
    """Return names that were answered as rows for COPY."""
    rows = np.empty(len(entries), _NAME)
    rows["fields"], rows["name_length"], rows["content_length"], rows["position_length"] = 3, 16, 16, 8
    for column in ENTRY.names or ():
        rows[column] = entries[column]
    return rows.tobytes()


def remember(memory: Memory, blocks: Sequence[Block], learned: Learned) -> None:
    """Remember what was recorded of these blocks, and whoever was found to be known; the batch is committed."""
    for block in blocks:
        memory.versions.grow(_remember_versions(block.rows, learned.versions, memory.versions.young))
    memory.learn(learned.known[(learned.known["high"] | learned.known["low"]) != 0])


@kernel
def _remember_versions(rows: Rows, versions: Table, lengths: Table) -> int:
    """Put the lengths of streams that were gone on with into a table; return how many events that were."""
    count = 0
    for place in range(len(rows)):
        row = rows[place]
        if row.outcome == RECORDED:
            known = find(versions, row.stream_high, row.stream_low)
            entry = place_for(lengths, row.stream_high, row.stream_low)
            lengths[entry].value = versions[known].value
            count += 1
    return count
