"""The input of a decision: the order, the current streams and the instant of recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypedDict, TypeVar
from uuid import UUID

from ledger.deciding.base import Aggregate, Command, Event, Order
from ledger.deciding.policies import local_text, policies_of
from ledger.names import stream
from ledger.rejections import Refused, Rejection, refuse

CLOCK_SKEW_SECONDS_MAX = 300
"""How far a station's clock may be ahead of the ledger's. A later instant is refused."""

EARLIEST_ZONE = timedelta(hours=14)
"""A day is not in the future once it has begun somewhere on earth; only the rules know the ledger's time zone."""

LATEST_ZONE = timedelta(hours=12)
"""A day has ended once it has ended everywhere on earth."""

Decision = list[Event] | Refused
"""The events to append, or the refusal."""

NO_DIGESTS: Mapping[str, str] = MappingProxyType({})

A = TypeVar("A", bound=Aggregate)
E = TypeVar("E", bound=Event)

_UNKNOWN = {
    "volunteer": Rejection.UNKNOWN_VOLUNTEER,
    "station": Rejection.UNKNOWN_STATION,
    "project": Rejection.UNKNOWN_PROJECT,
    "organisation": Rejection.UNKNOWN_ORGANISATION,
}


class Streams(Protocol):
    """The log as a decision sees it, including the events of orders decided earlier in the same batch."""

    def knows(self, kind: str, key: str) -> bool:
        """Return whether the log has this volunteer, station, project or organisation."""

    def version(self, stream_id: UUID) -> int:
        """Return the number of events in a stream, 0 if it does not exist."""

    def events(self, stream_id: UUID) -> Sequence[Event]:
        """Return a stream's events in order."""

    def state(self, aggregate: type[A], stream_id: UUID) -> A:
        """Return the state of a stream. A batch folds each event once, however many of its orders read the stream."""

    def shifts(
        self, aggregate: type[A], volunteer: str, first_day: int, last_day: int, where: Callable[[A], bool]
    ) -> Sequence[A] | None:
        """Return those of a volunteer's shifts whose ids were made on these days (since 1970) or have no time, and for
        which a function holds; None if there are more than are read.
        """

    def merged_into(self, volunteer: str) -> Sequence[str] | None:
        """Return the numbers that were ever merged into a number; None if there are more than are read."""


class EventFields(TypedDict):
    """The fields of every event."""

    occurred_at: int
    recorded_at: int
    by: str
    command: str
    imported: bool
    key: int | None
    approved_by: str | None
    by_volunteer: str | None


class Case(NamedTuple):
    """An order with everything its decision depends on. `note`: the salted digest of the command's text, if any."""

    order: Order
    streams: Streams
    now: int
    note: str | None = None
    clock: int | None = None
    """The time of the clock, if it differs from `now`: `now` never goes back, so it may be that of a clock that ran
    ahead, and future instants must not be accepted because of it.
    """
    head: int | None = None
    """The last position of the log, if known; evidence cannot refer to a later one."""
    approval: Order | None = None
    """The order that approves this one, if `order.by` requested it before."""
    digests: Mapping[str, str] = NO_DIGESTS
    """The salted digests of the command's personal texts, by field."""

    def knows(self, kind: str, key: str) -> bool:
        """Return whether the log has this volunteer, station, project or organisation."""
        return self.streams.knows(kind, key)

    def stream(self, aggregate: type[A], kind: str, *key: str) -> A:
        """Return the state of the stream of a kind and a key."""
        return self.streams.state(aggregate, stream(kind, *key))

    @property
    def _clock(self) -> int:
        return self.now if self.clock is None else self.clock

    def is_future(self, instant: int | None) -> bool:
        """Return whether an instant lies in the future, beyond the allowed clock skew."""
        return instant is not None and instant > self._clock + CLOCK_SKEW_SECONDS_MAX

    def is_future_day(self, day: date) -> bool:
        """Return whether a day has not begun yet anywhere on earth."""
        return day > (datetime.fromtimestamp(self._clock, UTC) + EARLIEST_ZONE).date()

    def unknown(self, command: Command, **kinds: str) -> Refused | None:
        """Return the refusal of a command with a field that names something the log does not have.

        Args:
            kinds: the kind of stream that each field names; fields that are None are skipped.
        """
        for field, kind in kinds.items():
            name = getattr(command, field)
            if name is not None and not self.knows(kind, name):
                return refuse(_UNKNOWN[kind], field, name)
        return None

    def future(self, command: Command, *fields: str) -> Refused | None:
        """Return the refusal of a command with an instant or day in the future, among the given fields."""
        for field in fields:
            value = getattr(command, field)
            if self.is_future_day(value) if isinstance(value, date) else self.is_future(value):
                return refuse(Rejection.FUTURE, field, value if isinstance(value, date) else self.local(value))
        return None

    def local(self, instant: int) -> str:
        """Return an instant as people read it: local date and time in the zone of the rules in force, with its offset.

        Only refusals show instants, so the rules are read when one does.
        """
        published = self.streams.events(stream("rules", "timeline"))
        text = next((found for event in reversed(published) if (found := getattr(event, "text", None))), "")
        return local_text(instant, policies_of(text).zone)

    def day_of(self, instant: int | None) -> date:
        """Return the day of an instant, or of now: the earlier of the two days that it may be on earth."""
        return (datetime.fromtimestamp(self.now if instant is None else instant, UTC) - LATEST_ZONE).date()

    def common_fields(self, occurred_at: int | None = None) -> EventFields:
        """Return the fields that every event of this order has. Without an instant, it occurs now."""
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
        """Return an event of this order: the common fields, the command's fields of the same names, and `more`.

        `note` is set to that of this case, if the event has such a field. A personal text is replaced by its digest.
        """
        fields: dict[str, Any] = {**self.common_fields(getattr(command, "occurred_at", None))}
        of_command = type(command).model_fields
        fields |= {
            name: getattr(command, name) for name in kind.__struct_fields__ if name in of_command and name not in fields
        }
        fields |= {name: self.digests.get(name) for name in command.PERSONAL if name in kind.__struct_fields__}
        if "note" in kind.__struct_fields__:
            fields["note"] = self.note
        return kind(**(fields | more))
