"""Answers to blocks of scans as JSON, written by compiled loops: what nearly every answer says.

The same bytes as the models of `api/cloud_events.py` give, which tests hold them to.
"""

from __future__ import annotations

import numpy as np

from api.cloud_events import refused
from api.problems import fault_of_refusal
from ledger.compiled import kernel
from ledger.plain.block import RECORDED, REFUSED, REPEATED, Block, Rows
from ledger.plain.text import Bytes, literal, put, put_number, put_slice, put_uuid

ANSWER_BYTES_MAX = 512

_SOURCE = literal('{"outcome":"accepted","source":"')
_ID = literal('","id":"')
_POSITION = literal('","position":')
_SHIFT = literal(',"shift":"')
_NEW, _REPEATED = literal('","duplicate":false,"projected":'), literal('","duplicate":true,"projected":')
_PROJECTED = {None: literal("null}"), False: literal("false}"), True: literal("true}")}


def answers_text(block: Block, separator: str, *, projected: bool | None) -> bytes:
    """Return an answer for each row, with a separator behind each."""
    out = np.empty(len(block) * ANSWER_BYTES_MAX, np.uint8)
    told, between = _PROJECTED[projected], literal(separator)
    parts: list[bytes] = []
    row = 0
    while row < len(block):
        row, length = _write(block.text, block.rows, row, told, between, out)
        parts.append(out[:length].tobytes())
        if row < len(block):
            parts.append(_refused(block, row).encode() + separator.encode())
            row += 1
    return b"".join(parts) if len(parts) > 1 else parts[0]


def batch_text(block: Block, *, projected: bool | None) -> bytes:
    """Return the answer to a batch that is a block."""
    recorded, repeated = (np.count_nonzero(block.rows["outcome"] == outcome) for outcome in (RECORDED, REPEATED))
    answers = answers_text(block, ",", projected=None)[:-1].decode()
    last, said = last_position(block), {None: "null", False: "false", True: "true"}[projected]
    return (
        f'{{"accepted":{recorded},"duplicates":{repeated},"refused":{len(block) - recorded - repeated},'
        f'"position":{last or "null"},"projected":{said},"answers":[{answers}]}}'
    ).encode()


def last_position(block: Block) -> int | None:
    """Return the last position that a row was answered with."""
    taken = block.rows["outcome"] != REFUSED
    return int(block.rows["position"][taken].max()) if taken.any() else None


def _refused(block: Block, row: int) -> str:
    named = {name: block.text_of(row, name) for name in ("source", "id")}
    return refused(named, fault_of_refusal(block.answers[row])).model_dump_json()


@kernel
def _write(text: Bytes, rows: Rows, start: int, projected: Bytes, separator: Bytes, out: Bytes) -> tuple[int, int]:
    """Write answers from a row on, up to one that is to be answered otherwise; return that row and the length."""
    at = 0
    for place in range(start, len(rows)):
        row = rows[place]
        if row.outcome != RECORDED and row.outcome != REPEATED:
            return place, at
        at = put_slice(out, put(out, at, _SOURCE), text, row.source_at, row.source_length)
        at = put_slice(out, put(out, at, _ID), text, row.id_at, row.id_length)
        at = put_number(out, put(out, at, _POSITION), row.position)
        at = put_uuid(out, put(out, at, _SHIFT), row.shift_high, row.shift_low)
        at = put(out, at, _REPEATED) if row.outcome == REPEATED else put(out, at, _NEW)
        at = put(out, put(out, at, projected), separator)
    return len(rows), at
