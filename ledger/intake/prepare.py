"""What can be worked out about an order before the lock is held: its digests, its salted text, the streams it touches.

Callers prepare their orders in their own threads, while the one writer waits for the disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple, get_args
from uuid import UUID

from ledger.aggregates import COMMANDS, Command, Order
from ledger.aggregates.dispute import DisputeShift
from ledger.aggregates.request import RequestAct
from ledger.aggregates.rules import TIMELINE, PublishRules
from ledger.aggregates.shift import AttestShift, CheckIn, CheckOut, open_shift_days
from ledger.aggregates.shift_acts import ShiftAct
from ledger.deciding.base import Noted
from ledger.deciding.policies import ApprovableAct
from ledger.names import shift_id_for, shift_stream, shift_stream_key, shift_stream_ranges, stream
from ledger.store.log_queries import Range
from ledger.store.mapper import compact_json
from ledger.store.persons import Text, salted

Name = tuple[str, str]
"""A kind of stream, and whom or what it is about: `("volunteer", "V0000001")`."""


class Prepared(NamedTuple):
    """An order, ready for the lock: 128-bit digests, and what its decision is sure to ask of the log. Streams whose
    length is all that is asked are named by 16 bytes.
    """

    order: Order
    name: bytes
    content: bytes
    known: tuple[Name, ...] = ()
    """Of whom and what the decision asks whether the ledger knows them: volunteer, station, project."""
    shift: bytes | None = None
    """The stream of the shift that all its events are of, where that is known beforehand."""
    begins: bool = False
    """Whether it is a check-in, which begins that stream as a rule."""
    ranges: tuple[Range, ...] = ()
    """Ranges of streams in which a check-out without a shift id looks for the open shift."""
    histories: tuple[UUID, ...] = ()
    """Streams of which it asks the events."""
    text: Text | None = None

    @property
    def asks_events(self) -> bool:
        """Whether the decision asks for events, as those of all commands but scans of named shifts do."""
        return bool(self.ranges or self.histories)


def prepare_all(orders: Iterable[Order]) -> list[Prepared]:
    """Prepare orders."""
    return [prepare(order) for order in orders]


def prepare(order: Order) -> Prepared:
    """Prepare an order."""
    command, name = order.command, order.name
    digest, content = name_digest(name), content_digest(command)
    match command:
        case CheckIn():
            shift = command.shift or shift_id_for(command.occurred_at, name)
            key = shift_stream_key(command.volunteer, shift)
            return Prepared(order, digest, content, _places(command), key, True)  # noqa: FBT003 - by position
        case CheckOut():
            if command.shift:
                key = shift_stream_key(command.volunteer, command.shift)
                return Prepared(order, digest, content, _places(command), key)
            ranges = shift_stream_ranges(command.volunteer, *open_shift_days(command.occurred_at))
            return Prepared(order, digest, content, _places(command), ranges=ranges)
        case AttestShift():
            shift = command.shift or shift_id_for(command.check_in, name)
            known, key = (*_places(command), *_actor(order)), shift_stream_key(command.volunteer, shift)
            return Prepared(order, digest, content, known, key, histories=(TIMELINE,), text=_text(command))
        case _:
            histories = _histories(command)
            return Prepared(order, digest, content, _actor(order), histories=histories, text=_text(command))


def name_digest(name: str) -> bytes:
    """Return the digest of a command's name, as ledger.commands has it."""
    return blake2b(name.encode(), digest_size=16).digest()


def content_digest(command: Command) -> bytes:
    """Return 128 bits that stand for what a command says: a storage format, as a repeated order is compared with it.

    A new field of a command must have a default and come last, or old orders look changed. The free text is left out:
    it is erasable, and a digest without a salt would outlive it.
    """
    begins, exclude = _CONTENT[command.TYPE]
    return blake2b(begins + compact_json(command, exclude), digest_size=16).digest()


_CONTENT = {
    name: (name.encode() + b" ", {"text"} if issubclass(command, Noted) else None) for name, command in COMMANDS.items()
}
"""By type of command, what its content begins with and what is left out of it."""


def _places(scan: CheckIn | CheckOut | AttestShift) -> tuple[Name, ...]:
    """Return whom and where a scan, or a shift that was not scanned, is about."""
    volunteer, station = ("volunteer", scan.volunteer), ("station", scan.station)
    if isinstance(scan, CheckOut) or scan.project is None:
        return volunteer, station
    return volunteer, station, ("project", scan.project)


def _actor(order: Order) -> tuple[Name, ...]:
    """Return the volunteer whom an order's giver may be: nobody acts on their own hours."""
    kind, _, name = order.by.partition(":")
    numbers = (name if kind == "person" else None, order.by_volunteer)
    return tuple(("volunteer", number) for number in numbers if number)


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
