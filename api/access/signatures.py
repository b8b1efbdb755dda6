"""Stored signatures of requests, from which it can be proved later who sent an event.

A signature is stored in the transaction that records the commands it signs: no signed event lacks its signature, and
nothing is kept of requests that were refused. A request that is sent again is stored again only if it was signed anew.

The body is stored as it was sent, because nothing else can be verified. So a signed request may hold nothing that is
not recorded (`api/access/signed_content.py`), and a signature is erased with the texts in its body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec
from psycopg import Connection
from psycopg.rows import class_row

from api.access.signed_requests import Signed, signed_orders, stored_signature_error
from ledger.aggregates import Command, Event, Order
from ledger.aggregates.people_served import CountPeopleServed, PeopleServedCounted
from ledger.aggregates.scans import CheckIn, CheckOut, Punch
from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched
from ledger.intake.prepare import name_digest
from ledger.names import Position
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from ledger.store.pool import Pool
from ledger.store.upgrading import Part, upgrade_tables
from replay.auditing.senders import Signature as BundledSignature
from replay.queries.queries import UnknownNameError

PART = Part("signatures", tuple(Path(__file__).with_name(name) for name in ("signatures.sql", "signatures_2.sql")))


@dataclass(frozen=True)
class SignedRequest:
    """A valid signature of a request, as a `ledger.intake.prepare.Proof`. Parts of a request may be recorded apart."""

    key: int
    public_key: bytes
    signed: Signed

    STATEMENT: ClassVar[str] = (
        "INSERT INTO api.signatures (digest, key, public_key, base, signature, body, names, about) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s::uuid[], %s) ON CONFLICT (digest) DO UPDATE SET "
        "names = ARRAY(SELECT unnest(signatures.names || excluded.names) GROUP BY 1 ORDER BY 1), "
        "about = ARRAY(SELECT unnest(signatures.about || excluded.about) GROUP BY 1 ORDER BY 1) "
        "WHERE NOT signatures.names @> excluded.names"
    )

    def values(self, names: Sequence[bytes], about: Sequence[str]) -> Sequence[object]:
        """Return the values of the statement."""
        digest = sha256(self.signed.base + b"\n" + self.signed.signature).digest()
        stored_names = "{" + ",".join(sorted({name.hex() for name in names})) + "}"
        return digest, self.key, self.public_key, *self.signed, stored_names, list(about)


class StoredSignature(NamedTuple):
    """A stored signature."""

    key: int
    public_key: bytes
    base: bytes
    signature: bytes
    body: bytes
    kept_at: datetime

    @property
    def signed(self) -> Signed:
        """The signature base, the signature, and the body."""
        return Signed(self.base, self.signature, self.body)


class Checked(NamedTuple):
    """The result of checking the signature of an event. `sentence` states it for people."""

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
        """Create the table if it is missing, or upgrade it."""
        with self._pool.connection() as connection:
            upgrade_tables(connection, PART)

    def of(self, command: str) -> list[StoredSignature]:
        """Return the signatures of requests with a command of this name, the oldest first.

        Only stations sign, under sources of their own, so their names are stored as they are, without a realm.
        """
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(StoredSignature)) as cursor:
            return cursor.execute(
                "SELECT key, public_key, base, signature, body, kept_at FROM api.signatures "
                "WHERE names @> ARRAY[%s::uuid] ORDER BY kept_at, digest",
                (name_digest(command).hex(),),
            ).fetchall()


def erase_signatures(connection: Connection[Any], volunteer: str) -> int:
    """Erase the signatures whose bodies hold texts about a volunteer, in a transaction; return the number of rows."""
    return connection.execute("DELETE FROM api.signatures WHERE about @> ARRAY[%s]", (volunteer,)).rowcount


# --- checking -------------------------------------------------------------------------------------------------------


def check(log: LogQueries, signatures: Signatures, position: int) -> Checked:
    """Verify from stored data alone that the event at a position was signed with the key it names.

    Raises:
        replay.queries.queries.UnknownNameError: the log has no event at this position.
    """
    found = log.read(Position(position - 1), 1, Position(position))
    if not found:
        raise UnknownNameError("event", str(position))
    event = decode(found[0].topic, found[0].state)
    stored = signatures.of(event.command)
    if not stored:
        sentence = f"no: the event at position {position} was not signed: no signature of it is stored"
        return Checked(position, False, sentence)  # noqa: FBT003
    checked = [_check_one(position, event, signature) for signature in stored]
    return next((result for result in checked if result.holds), checked[0])


def why_unproved(signature: BundledSignature, position: int, event: Event) -> str | None:
    """Return why a signature in an audit bundle does not prove the event at a position; None if it does."""
    key, public_key, base, signed, body, _ = signature
    stored = StoredSignature(key, public_key, base, signed, body, datetime.min)  # noqa: DTZ901 - is not read
    checked = _check_one(position, event, stored)
    return None if checked.holds else checked.sentence


def _check_one(position: int, event: Event, stored: StoredSignature) -> Checked:
    error = stored_signature_error(stored.signed, stored.public_key)
    if error is None and event.key != stored.key:
        error = f"the event names key {event.key}, but key {stored.key} signed"
    if error is None and not any(_agrees(order, event) for order in signed_orders(stored.signed, event.by, stored.key)):
        error = "the event differs from what was signed"
    if error is not None:
        sentence = f"no: the stored signature does not prove the event at position {position}: {error}"
        return Checked(position, False, sentence, stored.key, stored.public_key)  # noqa: FBT003
    sentence = (
        f"yes: {event.by} signed the event at position {position} with key {stored.key}, "
        "and the event agrees with what was signed"
    )
    return Checked(position, True, sentence, stored.key, stored.public_key)  # noqa: FBT003


_EVENT_OF: dict[type[Command], type[Event]] = {
    CheckIn: CheckedIn,
    CheckOut: CheckedOut,
    Punch: Punched,
    CountPeopleServed: PeopleServedCounted,
}
"""The event that each command of a station becomes."""
_FILLED_IN = {"shift", "occurred_at"}
"""Fields that a station may omit and the ledger fills in: the id of a shift or a punch, and the instant of a count."""


def _agrees(order: Order, event: Event) -> bool:
    """Return whether an event has the content of an order, apart from omitted fields that the ledger filled in."""
    ordered, expected = dict(order.command), _EVENT_OF.get(type(order.command))
    if isinstance(order.command, CheckIn | CheckOut) and order.command.shift is None:
        ordered["direction"], expected = "in" if isinstance(order.command, CheckIn) else "out", Punched
    recorded = {
        name: value
        for name, value in msgspec.structs.asdict(event).items()
        if name not in Event.__struct_fields__ or name in ordered
    }
    return (
        order.name == event.command
        and order.by == event.by
        and order.imported == event.imported
        and expected is type(event)
        and all(
            recorded.get(name) == ordered.get(name) or (name in _FILLED_IN and ordered.get(name) is None)
            for name in {*ordered, *recorded} - {"expected_version"}  # it was compared, and is not recorded
        )
    )


# --- public keys ----------------------------------------------------------------------------------------------------


def fingerprint(public_key: bytes) -> str:
    """Return a short digest of a public key, by which people compare keys."""
    return "SHA256:" + sha256(public_key).hexdigest()[:32]
