"""What a decision is made from: the order, the streams as they are, and the instant of recording."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypedDict, TypeVar
from uuid import UUID

from ledger.deciding.base import Aggregate, Command, Event, Order
from ledger.names import stream
from ledger.rejections import Refused, Rejection, refuse

CLOCK_SKEW_SECONDS_MAX = 300
"""How far ahead of the ledger's clock a station's may run: an instant beyond it cannot be a fact."""

EARLIEST_ZONE = timedelta(hours=14)
"""A day is not future once it has begun somewhere on earth; the ledger's own time zone is for the rules to know."""

LATEST_ZONE = timedelta(hours=12)
"""A day has not ended before it has ended everywhere."""

Decision = list[Event] | Refused
"""The events to append, or why not."""

A = TypeVar("A", bound=Aggregate)
E = TypeVar("E", bound=Event)

_UNKNOWN = {
    "volunteer": Rejection.UNKNOWN_VOLUNTEER,
    "station": Rejection.UNKNOWN_STATION,
    "project": Rejection.UNKNOWN_PROJECT,
    "organisation": Rejection.UNKNOWN_ORGANISATION,
}


class Streams(Protocol):
    """The log as a decision sees it, with the events of the orders decided just before."""

    def knows(self, kind: str, key: str) -> bool:
        """Return whether the ledger has ever heard of this volunteer, station, project or organisation."""

    def version(self, stream_id: UUID) -> int:
        """Return how many events a stream has; 0 for one that does not exist."""

    def events(self, stream_id: UUID) -> Sequence[Event]:
        """Return a stream's events in order."""

    def shifts(self, volunteer: str, first_day: int, last_day: int) -> Sequence[Sequence[Event]]:
        """Return the volunteer's shifts whose ids were made on these days since 1970, or hold no time."""


class EventFields(TypedDict):
    """What every event says."""

    occurred_at: int
    recorded_at: int
    by: str
    command: str
    imported: bool
    key: int | None
    approved_by: str | None
    by_volunteer: str | None


class Case(NamedTuple):
    """One order, and what it is decided on. `note`: the salted digest of the command's free text, if it has one."""

    order: Order
    streams: Streams
    now: int
    note: str | None = None
    clock: int | None = None
    """What the clock says, where that is not `now`: an event recorded by a clock that ran ahead must not open the
    future.
    """
    head: int | None = None
    """The last position of the log, where it is known: evidence cannot rest on what is not there."""
    approval: Order | None = None
    """The order that approves this one, where `order.by` asked for it before."""

    def knows(self, kind: str, key: str) -> bool:
        """Return whether the ledger has ever heard of this volunteer, station, project or organisation."""
        return self.streams.knows(kind, key)

    def stream(self, aggregate: type[A], kind: str, *key: str) -> A:
        """Return what the stream of a kind and a key comes to."""
        return aggregate.of(self.streams.events(stream(kind, *key)))

    @property
    def _clock(self) -> int:
        return self.now if self.clock is None else self.clock

    def is_future(self, instant: int | None) -> bool:
        """Return whether an instant cannot have come yet."""
        return instant is not None and instant > self._clock + CLOCK_SKEW_SECONDS_MAX

    def is_future_day(self, day: date) -> bool:
        """Return whether a day cannot have begun yet, anywhere."""
        return day > (datetime.fromtimestamp(self._clock, UTC) + EARLIEST_ZONE).date()

    def unknown(self, command: Command, **kinds: str) -> Refused | None:
        """Return the refusal of a command that names somebody or something the ledger has never heard of.

        Args:
            kinds: by field of the command, what it names; a field that is left out names nothing.
        """
        for field, kind in kinds.items():
            name = getattr(command, field)
            if name is not None and not self.knows(kind, name):
                return refuse(_UNKNOWN[kind], field, name)
        return None

    def future(self, command: Command, *fields: str) -> Refused | None:
        """Return the refusal of a command one of whose instants or days cannot have come yet."""
        for field in fields:
            value = getattr(command, field)
            if self.is_future_day(value) if isinstance(value, date) else self.is_future(value):
                return refuse(Rejection.FUTURE, field, value)
        return None

    def day_of(self, instant: int | None) -> date:
        """Return the day of an act at an instant, or now; of the two that it may be on earth, the earlier one."""
        return (datetime.fromtimestamp(self.now if instant is None else instant, UTC) - LATEST_ZONE).date()

    def said(self, occurred_at: int | None = None) -> EventFields:
        """Return what every event of this order says; it occurs now unless an instant is given."""
        order = self.order
        return {
            "occurred_at": self.now if occurred_at is None else occurred_at,
            "recorded_at": self.now,
            "by": order.by,
            "command": order.name,
            "imported": order.imported,
            "key": order.key,
            "approved_by": None if self.approval is None else self.approval.by,
            "by_volunteer": order.by_volunteer,
        }

    def event(self, kind: type[E], command: Command, **more: Any) -> E:
        """Return an event of this order: what every event says, the command's fields of the same names, and `more`.

        The note is this case's, where such an event has one.
        """
        fields: dict[str, Any] = {**self.said(getattr(command, "occurred_at", None))}
        said = type(command).model_fields
        fields |= {
            name: getattr(command, name) for name in kind.__struct_fields__ if name in said and name not in fields
        }
        if "note" in kind.__struct_fields__:
            fields["note"] = self.note
        return kind(**(fields | more))
