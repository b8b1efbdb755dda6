"""Signatures of requests, kept: who said what, for whoever doubts it later.

A signature is stored before its commands are handed to the ledger. If the process dies between the two, a signature is
kept of what was never recorded, which says nothing wrong; an event without its signature there is not. Sent again, the
request is kept once more only if it was signed anew.

The body is kept as it was sent. Stations alone sign: their commands hold no free text, which would have to be erasable.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b, sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
from psycopg.rows import class_row

from api.access.roles import Caller
from api.access.signed_requests import Signed, names_signed, orders_signed, still_holds
from ledger.aggregates import Command, Event, Order
from ledger.aggregates.people_served import CountPeopleServed, PeopleServedCounted
from ledger.aggregates.shift import CheckedIn, CheckedOut, CheckIn, CheckOut
from ledger.names import Position
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from ledger.store.pool import Pool
from ledger.store.upgrading import Part, bring_up
from replay.queries.queries import UnknownNameError

PART = Part("signatures", (Path(__file__).with_name("signatures.sql"),))


class StoredSignature(NamedTuple):
    """A signature as it is stored."""

    key: int
    public_key: bytes
    base: bytes
    signature: bytes
    body: bytes
    kept_at: datetime

    @property
    def signed(self) -> Signed:
        """What was signed, and the signature."""
        return Signed(self.base, self.signature, self.body)


class Checked(NamedTuple):
    """Whether somebody said an event, in a sentence."""

    position: int
    holds: bool
    sentence: str
    key: int | None = None
    public_key: bytes | None = None


class Signatures:
    """The signatures of one ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create_table(self) -> None:
        """Make the table where it is missing."""
        with self._pool.connection() as connection:
            bring_up(connection, PART)

    def keep(self, caller: Caller, signed: Signed) -> None:
        """Store a signature that holds; return when it is on disk."""
        names = sorted({_digest(name) for name in names_signed(signed, caller.by)})
        digest = sha256(signed.base + b"\n" + signed.signature).digest()
        values = (digest, caller.key, caller.public_key, *signed, "{" + ",".join(names) + "}")
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO api.signatures (digest, key, public_key, base, signature, body, names) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s::uuid[]) ON CONFLICT DO NOTHING",
                values,
            )

    def of(self, command: str) -> list[StoredSignature]:
        """Return the signatures of requests that gave a command of this name, the oldest first."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(StoredSignature)) as cursor:
            return cursor.execute(
                "SELECT key, public_key, base, signature, body, kept_at FROM api.signatures "
                "WHERE names @> ARRAY[%s::uuid] ORDER BY kept_at, digest",
                (_digest(command),),
            ).fetchall()


def _digest(name: str) -> str:
    return blake2b(name.encode(), digest_size=16).hexdigest()


# --- checking -------------------------------------------------------------------------------------------------------


def check(log: LogQueries, signatures: Signatures, position: int) -> Checked:
    """Compute again whether the event at a position was signed by the key it names, from what is stored.

    Raises:
        replay.queries.queries.UnknownNameError: the log does not reach so far.
    """
    found = log.read(Position(position - 1), 1, Position(position))
    if not found:
        raise UnknownNameError("event", str(position))
    event = decode(found[0].topic, found[0].state)
    kept = signatures.of(event.command)
    if not kept:
        return Checked(position, False, f"the event at position {position} was not signed: no signature is kept of it")  # noqa: FBT003
    checked = [_check_one(position, event, one) for one in kept]
    return next((one for one in checked if one.holds), checked[0])


def _check_one(position: int, event: Event, kept: StoredSignature) -> Checked:
    why = still_holds(kept.signed, kept.public_key)
    if why is None and event.key != kept.key:
        why = f"the event says it came with key {event.key}, and key {kept.key} signed"
    if why is None and not any(_says(order, event) for order in orders_signed(kept.signed, event.by, kept.key)):
        why = "what was signed is not what the event says"
    if why is not None:
        sentence = f"no: the event at position {position} cannot be held to the signature kept of it: {why}"
        return Checked(position, False, sentence, kept.key, kept.public_key)  # noqa: FBT003
    sentence = (
        f"yes: {event.by} signed the event at position {position} with key {kept.key}, and it says what was signed"
    )
    return Checked(position, True, sentence, kept.key, kept.public_key)  # noqa: FBT003


_EVENT_OF: dict[type[Command], type[Event]] = {
    CheckIn: CheckedIn,
    CheckOut: CheckedOut,
    CountPeopleServed: PeopleServedCounted,
}
"""What a station says, and what becomes of it."""
_FILLED_IN = {"shift", "occurred_at"}
"""What a station may leave open: which shift it is, and when somebody was counted."""


def _says(order: Order, event: Event) -> bool:
    """Whether an event says what an order does; what the order left open the ledger may have filled in."""
    said = dict(order.command)
    told = {
        name: value
        for name, value in msgspec.structs.asdict(event).items()
        if name not in Event.__struct_fields__ or name in said
    }
    return (
        order.name == event.command
        and order.by == event.by
        and order.imported == event.imported
        and _EVENT_OF.get(type(order.command)) is type(event)
        and all(
            told.get(name) == said.get(name) or (name in _FILLED_IN and said[name] is None) for name in {*said, *told}
        )
    )


# --- public keys ----------------------------------------------------------------------------------------------------


def fingerprint(public_key: bytes) -> str:
    """Return what a person compares a public key by."""
    return "SHA256:" + sha256(public_key).hexdigest()[:32]
