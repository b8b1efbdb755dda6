"""What can be worked out about scans before the lock is held: digests of names and contents, and ids of streams.

The same as `ledger/names.py` and `ledger/prepare.py` work out of one order, which tests hold it to. Callers do this in
their own threads, while the one writer waits for the disk.
"""

from __future__ import annotations

import numpy as np

from ledger.commands import CheckIn, CheckOut
from ledger.compiled import kernel
from ledger.plain.blake2 import digest
from ledger.plain.block import Block, Row, Rows
from ledger.plain.text import Bytes, literal, put, put_number, put_slice, put_uuid

MESSAGE_BYTES_MAX = 1024
"""More than the longest name or content takes."""

_HASH, _BAR = 35, 124
_CHECK_IN = literal(f'{CheckIn.TYPE} {{"volunteer":"')
_CHECK_OUT = literal(f'{CheckOut.TYPE} {{"volunteer":"')
_STATION = literal('","station":"')
_OCCURRED = literal('","occurred_at":')
_SHIFT = literal(',"shift":"')
_PROJECT = literal(',"project":"')
_QUOTE = literal('"')
_END = literal("}")
_OF_VOLUNTEER, _OF_STATION, _OF_PROJECT = literal("volunteer|"), literal("station|"), literal("project|")

_16, _48 = np.uint64(16), np.uint64(48)
_VERSION = np.uint64(0xF000)
_VERSION_7 = np.uint64(0x7000)
_VARIANT = np.uint64(0xC000_0000_0000_0000)
_VARIANT_2 = np.uint64(0x8000_0000_0000_0000)
_DAY_MILLISECONDS = np.uint64(86_400_000)
_DAY_MAX, _NO_DAY = np.uint64(0xFFFE), np.uint64(0xFFFF)


def prepare_block(block: Block) -> Block:
    """Fill in the digests of a block's rows, and the ids of shifts that have none."""
    _prepare(block.text, block.rows)
    return block


@kernel
def _prepare(text: Bytes, rows: Rows) -> None:
    message = np.empty(MESSAGE_BYTES_MAX, np.uint8)
    for place in range(len(rows)):
        row = rows[place]
        at = put_slice(message, 0, text, row.source_at, row.source_length)
        message[at] = _HASH
        at = put_slice(message, at + 1, text, row.id_at, row.id_length)
        row.name_high, row.name_low = digest(message, at, 16)
        if not row.has_shift:
            _make_shift(message, at, row)
        _digest_content(message, text, row)
        _name_streams(message, text, row)


@kernel
def _make_shift(message: Bytes, length: int, row: Row) -> None:
    """Make a UUIDv7 of the instant and the name, whose text the message is (`ledger.names.shift_number_for`)."""
    high, low = digest(message, length, 10)
    milliseconds = np.uint64(row.occurred_at * 1000)
    row.shift_high = (milliseconds << _16) | ((high >> _48) & ~_VERSION) | _VERSION_7
    row.shift_low = ((high << _16) | (low >> _48)) & ~_VARIANT | _VARIANT_2


@kernel
def _digest_content(message: Bytes, text: Bytes, row: Row) -> None:
    """Digest what the command says (`ledger.prepare.content_digest`)."""
    at = put(message, 0, _CHECK_IN) if row.begins else put(message, 0, _CHECK_OUT)
    at = put_slice(message, at, text, row.volunteer_at, row.volunteer_length)
    at = put_slice(message, put(message, at, _STATION), text, row.station_at, row.station_length)
    at = put_number(message, put(message, at, _OCCURRED), row.occurred_at)
    if row.has_shift:
        at = put_uuid(message, put(message, at, _SHIFT), row.shift_high, row.shift_low)
        at = put(message, at, _QUOTE)
    if row.project_length:
        at = put_slice(message, put(message, at, _PROJECT), text, row.project_at, row.project_length)
        at = put(message, at, _QUOTE)
    at = put(message, at, _END)
    row.content_high, row.content_low = digest(message, at, 16)


@kernel
def _name_streams(message: Bytes, text: Bytes, row: Row) -> None:
    """Name the streams of the volunteer, the station, the project and the shift (`ledger.names.shift_stream`)."""
    at = put_slice(message, put(message, 0, _OF_VOLUNTEER), text, row.volunteer_at, row.volunteer_length)
    row.volunteer_stream_high, row.volunteer_stream_low = digest(message, at, 16)
    at = put_slice(message, put(message, 0, _OF_STATION), text, row.station_at, row.station_length)
    row.station_stream_high, row.station_stream_low = digest(message, at, 16)
    if row.project_length:
        at = put_slice(message, put(message, 0, _OF_PROJECT), text, row.project_at, row.project_length)
        row.project_stream_high, row.project_stream_low = digest(message, at, 16)
    at = put_slice(message, 0, text, row.volunteer_at, row.volunteer_length)
    volunteer, _ = digest(message, at, 6)
    message[at] = _BAR
    for word in (row.shift_high, row.shift_low):
        for shift in range(56, -8, -8):
            at += 1
            message[at] = (word >> np.uint64(shift)) & np.uint64(0xFF)
    tail, _ = digest(message, at + 1, 8)
    day = _NO_DAY
    if (row.shift_high & _VERSION) == _VERSION_7 and (row.shift_low & _VARIANT) == _VARIANT_2:
        day = min((row.shift_high >> _16) // _DAY_MILLISECONDS, _DAY_MAX)
    row.stream_high = (day << _48) | (volunteer >> _16)
    row.stream_low = tail
