"""What can be worked out about an order before the lock is held: its digests, its salted text, the streams it touches.

Callers prepare their orders in their own threads, while the one writer waits for the disk.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from ledger.commands import CheckIn, CheckOut, Command, Noted, Order, ShiftAct
from ledger.decide.scans import open_shift_days
from ledger.names import shift_id_for, shift_stream, shift_stream_ranges, stream
from ledger.persons import Text, salted

Range = tuple[UUID, UUID]


class Touched(NamedTuple):
    """What a decision is sure to ask of the log."""

    lengths: tuple[UUID, ...] = ()
    """Streams of which it asks the length, which is all that scans ask."""
    ranges: tuple[Range, ...] = ()
    """Ranges of streams in which a check-out without a shift id looks for the open shift."""
    histories: tuple[UUID, ...] = ()
    """Streams of which it asks the events."""


class Prepared(NamedTuple):
    """An order, ready for the lock. The digests are 32 hexadecimal digits."""

    order: Order
    name: str
    content: str
    text: Text | None
    touched: Touched


def prepare(order: Order) -> Prepared:
    """Prepare an order."""
    command, name = order.command, order.name
    text = None
    if isinstance(command, Noted) and command.text is not None:
        text = salted(command.text, getattr(command, "volunteer", None))
    return Prepared(order, _digest(name), content_digest(command), text, _touched(command, name))


def content_digest(command: Command) -> str:
    """Return 128 bits that stand for what a command says: a storage format, as a repeated order is compared with it.

    A new field of a command must have a default and come last, or old orders look changed. The free text is left out:
    it is erasable, and a digest without a salt would outlive it.
    """
    exclude = {"text"} if isinstance(command, Noted) else None
    return _digest(f"{command.TYPE} {command.model_dump_json(exclude_defaults=True, exclude=exclude)}")


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _touched(command: Command, name: str) -> Touched:
    if isinstance(command, CheckIn | CheckOut):
        return _touched_by_scan(command, name)
    keys = [(kind, getattr(command, kind, None)) for kind in ("volunteer", "station", "project", "organisation")]
    histories = [stream(kind, key) for kind, key in keys if key]
    if isinstance(command, ShiftAct):
        histories.append(shift_stream(command.volunteer, command.shift))
    return Touched(histories=tuple(histories))


def _touched_by_scan(scan: CheckIn | CheckOut, name: str) -> Touched:
    volunteer, station = stream("volunteer", scan.volunteer), stream("station", scan.station)
    if isinstance(scan, CheckIn):
        shift = scan.shift or shift_id_for(scan.occurred_at, name)
        project = (stream("project", scan.project),) if scan.project else ()
        return Touched((volunteer, station, shift_stream(scan.volunteer, shift), *project))
    if scan.shift:
        return Touched((volunteer, station, shift_stream(scan.volunteer, scan.shift)))
    return Touched((volunteer, station), tuple(shift_stream_ranges(scan.volunteer, *open_shift_days(scan.occurred_at))))
