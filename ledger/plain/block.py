"""A block of plain scans: a row for each, and the texts the rows point into.

A row has been checked as closely as an order: its names fit their patterns, its instant lies in the ledger's years, and
none of its texts needs an escape in JSON. It is filled in on its way: by whoever reads it (`api/scan_reader.py`, or
`block_of` here), then with digests (`digests.py`), then with what became of it (`deciding.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ledger.answers import Accepted, Answer
from ledger.commands import CheckIn, CheckOut, Order
from ledger.names import Position
from ledger.plain.text import Bytes, hexadecimal
from ledger.rejections import Refused

TEXTS = ("source", "id", "volunteer", "station", "project", "by")
DIGESTS = ("name", "content", "stream", "volunteer_stream", "station_stream", "project_stream")

SCAN = np.dtype(
    [
        ("begins", np.uint8),  # a check-in; else a check-out, which names its shift
        ("has_shift", np.uint8),  # whether the sender named the shift; else the ledger makes its id
        ("imported", np.uint8),
        ("outcome", np.uint8),
        ("key", np.int32),  # the number of the API key, 0 for none
        ("occurred_at", np.int64),
        *((f"{text}_{what}", np.int32) for text in TEXTS for what in ("at", "length")),
        ("shift_high", np.uint64),
        ("shift_low", np.uint64),
        *((f"{digest}_{half}", np.uint64) for digest in DIGESTS for half in ("high", "low")),
        ("position", np.int64),
    ]
)
"""A scan. Texts are slices of the block's text; a project of length 0 is none."""

Rows = npt.NDArray[Any]
"""An array of SCAN."""
Row = Any
"""One of them, as compiled loops see it: its fields are attributes."""

PENDING, RECORDED, REPEATED, REFUSED = 0, 1, 2, 3
"""Outcomes: none yet; recorded now; recorded before, with the same content; refused."""

BLOCK_SCANS_MAX = 1000
SMALL_BLOCK_SCANS_MAX = 50


class Block:
    """Scans that were read together. `answers` says of the rows that were refused why."""

    def __init__(self, text: Bytes, rows: Rows) -> None:
        self.text = text
        self.rows = rows
        self.answers: dict[int, Refused] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def halves(self) -> tuple[Block, Block]:
        """Return the block as two, whose rows are this block's."""
        middle = len(self.rows) // 2
        return self.part(0, middle), self.part(middle, len(self.rows))

    def part(self, begin: int, end: int) -> Block:
        """Return some of the block's rows, which stay its own."""
        return Block(self.text, self.rows[begin:end])

    def take_answers(self, first: Block, second: Block) -> None:
        """Take over the answers of its halves; what stands in rows is there already."""
        self.answers = {**first.answers, **{len(first) + row: answer for row, answer in second.answers.items()}}

    def answer_row(self, row: int, answer: Answer) -> None:
        """Say what became of a row that was looked at more closely."""
        if isinstance(answer, Refused):
            self.rows["outcome"][row] = REFUSED
            self.answers[row] = answer
        else:
            self.rows["outcome"][row] = REPEATED if answer.duplicate else RECORDED
            self.rows["position"][row] = answer.position

    def order(self, row: int) -> Order:
        """Return a row as an order, for whoever has to look closer."""
        one = self.rows[row]
        said = {
            "volunteer": self.text_of(row, "volunteer"),
            "station": self.text_of(row, "station"),
            "occurred_at": int(one["occurred_at"]),
            "shift": UUID(int=self.shift_number(row)) if one["has_shift"] else None,
        }
        project = self.text_of(row, "project") or None
        return Order(
            command=CheckIn(**said, project=project) if one["begins"] else CheckOut(**said),
            source=self.text_of(row, "source"),
            id=self.text_of(row, "id"),
            by=self.text_of(row, "by"),
            imported=bool(one["imported"]),
            key=int(one["key"]) or None,
        )

    def names(self) -> list[str]:
        """Return the digests of all rows' names, each as 32 hexadecimal digits."""
        return hexadecimal(np.stack([self.rows["name_high"], self.rows["name_low"]], axis=1))

    def digests(self, row: int) -> tuple[str, str]:
        """Return the digests of a row's name and of its content, each as 32 hexadecimal digits."""
        one = self.rows[row]
        name, content = (
            f"{int(one[f'{what}_high']):016x}{int(one[f'{what}_low']):016x}" for what in ("name", "content")
        )
        return name, content

    def text_of(self, row: int, name: str) -> str:
        """Return one of a row's texts."""
        at = int(self.rows[f"{name}_at"][row])
        return self.text[at : at + int(self.rows[f"{name}_length"][row])].tobytes().decode()

    def shift_number(self, row: int) -> int:
        """Return the id of a row's shift as an integer."""
        return int(self.rows["shift_high"][row]) << 64 | int(self.rows["shift_low"][row])

    def answer(self, row: int) -> Answer:
        """Return what became of a row."""
        outcome = self.rows["outcome"][row]
        if outcome == REFUSED:
            return self.answers[row]
        return Accepted(Position(int(self.rows["position"][row])), bool(outcome == REPEATED), self.shift_number(row))

    def __iter__(self) -> Iterator[Answer]:
        """Yield what became of each row."""
        if self.answers:
            yield from map(self.answer, range(len(self)))
            return
        rows = self.rows
        columns = (rows["position"], rows["outcome"] == REPEATED, rows["shift_high"], rows["shift_low"])
        for position, repeated, high, low in zip(*(column.tolist() for column in columns), strict=True):
            yield Accepted(position, repeated, high << 64 | low)


class Joined(Block):
    """Small blocks as one, because a compiled loop that is begun costs as much as ten rows of it."""

    def __init__(self, parts: Sequence[Block]) -> None:
        self.parts = parts
        self._begins = np.cumsum([0, *map(len, parts)]).tolist()
        rows = np.concatenate([part.rows for part in parts])
        lengths = np.array([len(part.text) for part in parts], np.int32)
        moved = np.repeat(np.cumsum(lengths, dtype=np.int32) - lengths, [len(part) for part in parts])
        for text in TEXTS:
            rows[f"{text}_at"] += moved
        joined = np.frombuffer(b"".join([part.text.data for part in parts]), np.uint8)
        super().__init__(joined, rows)

    def hand_back(self) -> Sequence[Block]:
        """Return the blocks, with what became of their rows."""
        for part, begin in zip(self.parts, self._begins, strict=False):
            rows = self.rows[begin : begin + len(part)]
            for column in ("outcome", "position"):
                part.rows[column] = rows[column]
            part.answers.clear()
        for row, answer in self.answers.items():
            place = bisect_right(self._begins, row) - 1
            self.parts[place].answers[row - self._begins[place]] = answer
        return self.parts


def is_plain(order: Order) -> bool:
    """Return whether an order can be a row: a check-in, or a check-out that names its shift."""
    command = order.command
    if not (isinstance(command, CheckIn) or (isinstance(command, CheckOut) and command.shift is not None)):
        return False
    return '"' not in order.source and '"' not in order.id  # would need an escape in JSON; nobody writes them


def block_of(orders: Sequence[Order]) -> Block:
    """Return plain orders as a block, without digests."""
    commands: list[Any] = [order.command for order in orders]
    projects = [getattr(command, "project", None) or "" for command in commands]
    texts: dict[str, list[str]] = {
        "source": [order.source for order in orders],
        "id": [order.id for order in orders],
        "volunteer": [command.volunteer for command in commands],
        "station": [command.station for command in commands],
        "project": projects,
        "by": [order.by for order in orders],
    }
    rows = np.zeros(len(orders), SCAN)
    free = 0
    for name, column in texts.items():
        lengths = np.fromiter(map(len, column), np.int32, len(column))
        rows[f"{name}_length"] = lengths
        rows[f"{name}_at"] = free + np.cumsum(lengths) - lengths
        free += int(lengths.sum())
    shifts = [0 if command.shift is None else command.shift.int for command in commands]
    rows["begins"] = [type(command) is CheckIn for command in commands]
    rows["has_shift"] = [command.shift is not None for command in commands]
    rows["shift_high"] = np.array([shift >> 64 for shift in shifts], np.uint64)
    rows["shift_low"] = np.array([shift & 0xFFFF_FFFF_FFFF_FFFF for shift in shifts], np.uint64)
    rows["occurred_at"] = [command.occurred_at for command in commands]
    rows["imported"] = [order.imported for order in orders]
    rows["key"] = [order.key or 0 for order in orders]
    joined = "".join("".join(column) for column in texts.values())
    return Block(np.frombuffer(joined.encode(), np.uint8), rows)
