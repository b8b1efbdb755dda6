"""Preparation of orders without the lock: digests, the salted text, and the streams that the decision reads.

Callers prepare their orders in their own threads, while the one writer waits for the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar, NamedTuple, Protocol, get_args
from uuid import UUID

from ledger.aggregates import COMMANDS, Command, Order
from ledger.aggregates.dispute import DisputeShift
from ledger.aggregates.request import RequestAct
from ledger.aggregates.rules import TIMELINE, PublishRules
from ledger.aggregates.scans import CheckIn, CheckOut, Punch
from ledger.aggregates.shift_acts import AttestShift, ShiftAct
from ledger.deciding.base import Noted
from ledger.deciding.case import NO_DIGESTS
from ledger.deciding.policies import ApprovableAct
from ledger.names import shift_id_for, shift_stream, shift_stream_key, stream
from ledger.store.mapper import compact_json
from ledger.store.persons import Text, salted

Name = tuple[str, str]
"""A kind of stream and its key: `("volunteer", "V0000001")`."""


class Proof(Protocol):
    """What proves who sent the orders of a request: stored in the transaction that records them, or not at all."""

    STATEMENT: ClassVar[str]
    """The SQL that stores a proof."""

    def values(self, names: Sequence[bytes], about: Sequence[str]) -> Sequence[object]:
        """Return the values of the statement.

        Args:
            names: the digests of the names of the recorded commands.
            about: the volunteers whom the texts of these commands are about.
        """
        ...


class Prepared(NamedTuple):
    """A prepared order: 128-bit digests of its name and content, and what its decision reads from the log. Streams of
    which only the version is needed are named by 16 bytes.
    """

    order: Order
    name: bytes
    content: bytes
    former_name: bytes | None = None
    """The digest under which the name may have been answered before names had realms, if it differs."""
    known: tuple[Name, ...] = ()
    """The volunteers, stations and projects whose existence the decision checks."""
    shift: bytes | None = None
    """The stream of the shift to which all its events belong, if known in advance."""
    begins: bool = False
    """Whether it is a check-in or a punch, which usually begins that stream."""
    histories: tuple[UUID, ...] = ()
    """The streams whose events the decision reads."""
    text: Text | None = None
    proof: Proof | None = None
    """What proves who sent the order; it is stored if the order is recorded."""
    personal: tuple[tuple[str, Text], ...] = ()
    """The command's personal texts, salted, by field."""

    @property
    def digests(self) -> Mapping[str, str]:
        """The salted digests of the personal texts, by field."""
        return {field: text.digest for field, text in self.personal} if self.personal else NO_DIGESTS

    @property
    def needs_events(self) -> bool:
        """Whether the decision reads events, as those of all commands except scans do."""
        return bool(self.histories)


def prepare_all(orders: Iterable[Order]) -> list[Prepared]:
    """Prepare orders."""
    return [prepare(order) for order in orders]


def prepare(order: Order) -> Prepared:
    """Prepare an order."""
    command, name = order.command, order.name
    digest, former = name_digests(order)
    content = content_digest(command)
    match command:
        case CheckIn() | CheckOut() | Punch():
            own = None if isinstance(command, Punch) else command.shift
            key = shift_stream_key(command.volunteer, own or shift_id_for(command.occurred_at, name))
            begins = own is None or isinstance(command, CheckIn)
            known = _references(command)
            if order.by.startswith("station:"):
                return Prepared(order, digest, content, former, known, key, begins)
            known = (*known, *_actor(order))
            return Prepared(order, digest, content, former, known, key, begins, histories=(TIMELINE,))
        case AttestShift():
            shift = command.shift or shift_id_for(command.check_in, name)
            known, key = (*_references(command), *_actor(order)), shift_stream_key(command.volunteer, shift)
            return Prepared(order, digest, content, former, known, key, histories=(TIMELINE,), text=_text(command))
        case _:
            histories = _histories(command)
            known, text, personal = _actor(order), _text(command), _personal(command)
            return Prepared(order, digest, content, former, known, histories=histories, text=text, personal=personal)


def name_digests(order: Order) -> tuple[bytes, bytes | None]:
    """Return the digest of an order's name in its realm, as stored in ledger.commands, and that without the realm.

    A name under the caller's own source is stored as it is; any other with its actor. Earlier versions stored all names
    as they are, so an answer to this actor may be found under the second digest, which is None if it is the first.
    """
    digest = name_digest(order.name)
    realm = order.realm
    return (digest, None) if realm is None else (name_digest(f"{realm} {order.name}"), digest)


def name_digest(name: str) -> bytes:
    """Return the digest of a command's name. (No actor holds a space, and no name.)"""
    return blake2b(name.encode(), digest_size=16).digest()


def content_digest(command: Command) -> bytes:
    """Return the 128-bit digest of a command's content. It is a storage format: repeated orders are compared with it.

    A new field of a command must have a default and come last, or old orders would seem changed. The free text is
    excluded: it can be erased, and an unsalted digest would outlive it.
    """
    prefix, exclude = _CONTENT[command.TYPE]
    return blake2b(prefix + compact_json(command, exclude), digest_size=16).digest()


_CONTENT = {
    name: (name.encode() + b" ", {"text"} if issubclass(command, Noted) else {*command.PERSONAL} or None)
    for name, command in COMMANDS.items()
}
"""The prefix of the content and the excluded fields, by type of command."""


def _references(scan: CheckIn | CheckOut | Punch | AttestShift) -> tuple[Name, ...]:
    """Return the volunteer, station and project of a scan or late entry."""
    volunteer, station = ("volunteer", scan.volunteer), ("station", scan.station)
    if isinstance(scan, CheckOut) or scan.project is None:
        return volunteer, station
    return volunteer, station, ("project", scan.project)


def _actor(order: Order) -> tuple[Name, ...]:
    """Return the volunteer numbers that the caller may have: nobody may act on their own hours."""
    kind, _, name = order.by.partition(":")
    numbers = (name if kind == "person" else None, order.by_volunteer)
    return tuple(("volunteer", number) for number in numbers if number)


def _histories(command: Command) -> tuple[UUID, ...]:
    """Return the streams whose events the decision about any other command always reads."""
    if isinstance(command, RequestAct):
        return (stream("request", command.request), *_histories(command.requested_command()))
    kinds = ("volunteer", "station", "project", "organisation", "request")
    streams = [stream(kind, key) for kind in kinds if (key := getattr(command, kind, None))]
    if number := getattr(command, "certificate", None):
        streams.append(stream("certificate", number))
    if award := getattr(command, "award", None):
        streams.append(stream("honor", award))
    if command.TYPE in _BY_RULES:
        streams.append(TIMELINE)
    if isinstance(command, ShiftAct):
        streams.append(shift_stream(command.volunteer, command.shift))
    return tuple(streams)


_BY_RULES = frozenset(get_args(ApprovableAct)) | {DisputeShift.TYPE, PublishRules.TYPE}
"""Types of commands whose decision reads the policies of the published rules."""


def _text(command: Command) -> Text | None:
    """Return a command's free text, salted. Whom it is about is known once the command is decided."""
    return salted(command.text) if isinstance(command, Noted) and command.text is not None else None


def _personal(command: Command) -> tuple[tuple[str, Text], ...]:
    """Return a command's personal texts, each with a salt of its own."""
    given = ((field, getattr(command, field)) for field in command.PERSONAL)
    return tuple((field, salted(text)) for field, text in given if text is not None)
