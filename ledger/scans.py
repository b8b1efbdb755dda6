"""Scans in plain form: check-ins and check-outs as their stored bytes, ready for the lock.

Nineteen events in twenty are scans, and what becomes of most is known before the ledger is asked: a scan of a named
shift about a known volunteer, station and project, not of the future, is recorded as it stands. This module writes its
bytes without making an event of it, a fifth of the work. Whatever is not so plain goes up the ladder in
`ledger/decide/scans.py`, like any other order; tests hold both to the same bytes.

Nothing here is decided: `ledger/intake.py` does that, under the lock.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from ledger.commands import CheckIn, CheckOut, Order
from ledger.events import CheckedIn, CheckedOut
from ledger.names import command_name, shift_number_for, shift_stream_text, uuid_text


class Scan(NamedTuple):
    """A check-in, or a check-out that names its shift, with its envelope: an order whose fields have been checked.

    `shift`: the id's integer; None where the ledger shall make the id, which it does for check-ins only.
    """

    begins: bool
    volunteer: str
    station: str
    occurred_at: int
    shift: int | None
    project: str | None
    source: str
    id: str
    by: str
    imported: bool
    key: int | None

    @property
    def order(self) -> Order:
        """The same as an order, for whoever has to look closer."""
        shift = None if self.shift is None else UUID(int=self.shift)
        said = {"volunteer": self.volunteer, "station": self.station, "occurred_at": self.occurred_at, "shift": shift}
        command = CheckIn(**said, project=self.project) if self.begins else CheckOut(**said)
        return Order(command=command, source=self.source, id=self.id, by=self.by, imported=self.imported, key=self.key)


def scan_of(order: Order) -> Scan | None:
    """Return the plain form of an order, None if it has none: it is no scan, or names no shift to check out of."""
    command, project = order.command, None
    if isinstance(command, CheckIn):
        project = command.project
    elif not isinstance(command, CheckOut) or command.shift is None:
        return None
    if '"' in order.source or '"' in order.id:  # would need an escape in JSON; nobody writes them
        return None
    return Scan(
        isinstance(command, CheckIn),
        command.volunteer,
        command.station,
        command.occurred_at,
        None if command.shift is None else command.shift.int,
        project,
        order.source,
        order.id,
        order.by,
        order.imported,
        order.key,
    )


class PreparedScan(NamedTuple):
    """A scan with its digests and its bytes; those of `recorded_at`, which the lock gives, go between the two parts."""

    scan: Scan
    name: str
    content: str
    stream: str
    """The shift's stream: 32 hexadecimal digits."""
    topic: str
    before: str
    behind: str
    shift: int

    @property
    def order(self) -> Order:
        """The same as an order."""
        return self.scan.order


def prepare_scan(scan: Scan) -> PreparedScan:
    """Work out all that can be known of a scan before the lock is held."""
    begins, volunteer, station, occurred_at, number, project, source, command_id, by, imported, key = scan
    name = command_name(source, command_id)
    more = f',"project":"{project}"}}' if project is not None else "}"
    said = f'{{"volunteer":"{volunteer}","station":"{station}","occurred_at":{occurred_at}'
    if number is None:
        content, shift = f"{_CHECK_IN} {said}{more}", shift_number_for(occurred_at, name)
        shift_text = uuid_text(shift)
    else:
        shift, shift_text = number, uuid_text(number)
        content = f'{_CHECK_IN if begins else _CHECK_OUT} {said},"shift":"{shift_text}"{more}'
    marks = (',"imported":true' if imported else "") + (f',"key":{key}' if key is not None else "")
    return PreparedScan(
        scan,
        blake2b(name.encode(), digest_size=16).hexdigest(),
        blake2b(content.encode(), digest_size=16).hexdigest(),
        shift_stream_text(volunteer, shift),
        _CHECKED_IN if begins else _CHECKED_OUT,
        f'{{"occurred_at":{occurred_at},"recorded_at":',
        f',"by":"{by}","command":"{name}"{marks},"volunteer":"{volunteer}","shift":"{shift_text}","station":"{station}"{more}',
        shift,
    )


_CHECK_IN, _CHECK_OUT = CheckIn.TYPE, CheckOut.TYPE
_CHECKED_IN, _CHECKED_OUT = CheckedIn.TOPIC, CheckedOut.TOPIC
