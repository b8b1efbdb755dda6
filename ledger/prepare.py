"""What can be worked out about an order before the lock is held: its digests, its salted text, the streams it touches.

Callers prepare their orders in their own threads, while the one writer waits for the disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, get_args
from uuid import UUID

from ledger.codec import compact_json
from ledger.commands import (
    ApprovableAct,
    AttestShift,
    CheckIn,
    CheckOut,
    Command,
    DisputeShift,
    Noted,
    Order,
    PublishRules,
    RequestAct,
    ShiftAct,
)
from ledger.decide.scans import open_shift_days
from ledger.names import shift_id_for, shift_stream, shift_stream_ranges, stream
from ledger.persons import Text, salted
from ledger.plain.block import BLOCK_SCANS_MAX, Block, block_of, is_plain
from ledger.plain.digests import prepare_block
from ledger.policies import TIMELINE

Range = tuple[UUID, UUID]


class Prepared(NamedTuple):
    """An order, ready for the lock: 128-bit digests in hexadecimal, and what its decision is sure to ask of the log."""

    order: Order
    name: str
    content: str
    lengths: tuple[UUID, ...] = ()
    """Streams of which the decision asks the length, which is all that scans ask."""
    ranges: tuple[Range, ...] = ()
    """Ranges of streams in which a check-out without a shift id looks for the open shift."""
    histories: tuple[UUID, ...] = ()
    """Streams of which it asks the events."""
    text: Text | None = None


Ready = Prepared | Block
"""An order, or a block of scans, each as many orders as it has rows."""


def prepare(orders: Iterable[Order]) -> list[Ready]:
    """Prepare orders; scans that follow one another become blocks."""
    given = [(is_plain(order), order) for order in orders]
    scans = [order for plain, order in given if plain]
    block = prepare_block(block_of(scans)) if scans else None  # all at once: a block costs as much as ten rows
    ready: list[Ready] = []
    taken = 0
    for plain, run in groupby(given, itemgetter(0)):
        if block is None or not plain:
            ready += [prepare_by_ladder(order) for _, order in run]
            continue
        end = taken + len(list(run))
        ready += [block.part(at, min(at + BLOCK_SCANS_MAX, end)) for at in range(taken, end, BLOCK_SCANS_MAX)]
        taken = end
    return ready


def count_orders(item: Ready) -> int:
    """Return how many orders an item is."""
    return len(item) if isinstance(item, Block) else 1


def orders_of(items: Iterable[Ready]) -> list[Order]:
    """Return the orders that were prepared."""
    return [
        order
        for item in items
        for order in (map(item.order, range(len(item))) if isinstance(item, Block) else (item.order,))
    ]


def prepare_by_ladder(order: Order) -> Prepared:
    """Prepare an order for the ladder of its command, also a scan whose plain form will not do."""
    command, name = order.command, order.name
    digests = _digest(name.encode()), content_digest(command)
    match command:
        case CheckIn():
            return Prepared(
                order, *digests, _scanned(command, command.shift or shift_id_for(command.occurred_at, name))
            )
        case CheckOut() if command.shift:
            return Prepared(order, *digests, _scanned(command, command.shift))
        case CheckOut():
            days = open_shift_days(command.occurred_at)
            return Prepared(order, *digests, _scanned(command), shift_stream_ranges(command.volunteer, *days))
        case AttestShift():
            shift = command.shift or shift_id_for(command.check_in, name)
            lengths = (*_scanned(command, shift), *_actor(order))
            return Prepared(order, *digests, lengths, histories=(TIMELINE,), text=_text(command))
        case _:
            return Prepared(order, *digests, _actor(order), histories=_histories(command), text=_text(command))


def name_digest(name: str) -> str:
    """Return the digest of a command's name, as ledger.commands has it."""
    return _digest(name.encode())


def content_digest(command: Command) -> str:
    """Return 128 bits that stand for what a command says: a storage format, as a repeated order is compared with it.

    A new field of a command must have a default and come last, or old orders look changed. The free text is left out:
    it is erasable, and a digest without a salt would outlive it.
    """
    exclude = {"text"} if isinstance(command, Noted) else None
    return _digest(command.TYPE.encode() + b" " + compact_json(command, exclude))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _scanned(scan: CheckIn | CheckOut | AttestShift, shift: UUID | None = None) -> tuple[UUID, ...]:
    """Return the streams whose length the decision about a scan, or a shift that was not scanned, asks."""
    streams = [stream("volunteer", scan.volunteer), stream("station", scan.station)]
    if shift:
        streams.append(shift_stream(scan.volunteer, shift))
    if isinstance(scan, CheckIn | AttestShift) and scan.project is not None:
        streams.append(stream("project", scan.project))
    return tuple(streams)


def _actor(order: Order) -> tuple[UUID, ...]:
    """Return the stream of the volunteer whom an order's giver may be: nobody acts on their own hours."""
    kind, _, name = order.by.partition(":")
    return tuple(stream("volunteer", number) for number in (kind == "person" and name, order.by_volunteer) if number)


def _histories(command: Command) -> tuple[UUID, ...]:
    """Return the streams whose events the decision about any other command is sure to ask."""
    if isinstance(command, RequestAct):
        return (stream("request", command.request), *_histories(command.asked()))
    kinds = ("volunteer", "station", "project", "organisation", "request")
    streams = [stream(kind, key) for kind in kinds if (key := getattr(command, kind, None))]
    if award := getattr(command, "award", None):
        streams.append(stream("honor", award))
    if command.TYPE in _BY_RULES:
        streams.append(TIMELINE)
    if isinstance(command, ShiftAct):
        streams.append(shift_stream(command.volunteer, command.shift))
    return tuple(streams)


_BY_RULES = frozenset(get_args(ApprovableAct)) | {DisputeShift.TYPE, PublishRules.TYPE}
"""Types of commands whose decision asks what the published rules say about acts."""


def _text(command: Command) -> Text | None:
    """Return a command's free text, salted, with whom it is about."""
    if not isinstance(command, Noted) or command.text is None:
        return None
    about = command.asked() if isinstance(command, RequestAct) else command
    return salted(command.text, getattr(about, "volunteer", None))
