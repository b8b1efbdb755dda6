"""Base classes of all kinds of streams: events, aggregates, commands and orders.

Each kind of stream has one file with its events, its aggregate, its commands and their decisions. The names of events
(`TOPIC`) and of commands (`TYPE`) are registered when a class is defined. Importing `ledger.aggregates` imports every
file, and so registers all of them.

Events are frozen records, stored as compact JSON under their topic (`ledger/store/mapper.py`). Instants are epoch
seconds (UTC), durations are whole minutes, days are ISO dates in the ledger's time zone. A `TOPIC` is a storage format
and never changes. No event holds a person's name, a phone number or free text: reasons are codes, and texts are in the
erasable table `texts`, while the event holds their salted digests.

Commands are pydantic models, which validate what callers send. Whether a command is accepted is decided against the
log. A `TYPE` is part of the public interface: as a CloudEvent it is `org.service-hours.<TYPE>.v1`. Errors: pydantic's
`ValidationError`, which names the field.

Nothing here knows PostgreSQL, a clock or a read model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self, dataclass_transform
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from ledger.names import (
    IMPORTS,
    Actor,
    CallingActor,
    CommandId,
    CommandName,
    EpochSeconds,
    Instant,
    KeyNumber,
    RecordVersion,
    Source,
    VolunteerNumber,
    is_own_source,
)
from ledger.sentences import what_is_wrong

if TYPE_CHECKING:
    from ledger.deciding.case import Case, Decision

COMMANDS: dict[str, type[Command]] = {}
"""Every command by its type."""
EVENTS: dict[str, type[Event]] = {}
"""Every event by its topic."""

FreeText = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
"""Text written by a person. PostgreSQL cannot store a NUL character."""


# --- events and aggregates -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The state that the events of one stream fold to. `version`: the number of events, 0 if the stream is empty."""

    version: int = 0

    @abstractmethod
    def after(self, event: Event) -> Self:
        """Return the state after one more event."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return the state after the events of a stream, in order."""
        return cls().after_all(events)

    def after_all(self, events: Iterable[Event]) -> Self:
        """Return the state after more events, in order."""
        state = self
        for event in events:
            state = state.after(event)
        return state


class _EventClass(msgspec.StructMeta):
    """Makes every event class a frozen record that is stored without its default values."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **settings: Any) -> _EventClass:
        defaults = {"frozen": True, "kw_only": True, "omit_defaults": True, "forbid_unknown_fields": True, "dict": True}
        return super().__new__(mcls, name, bases, namespace, **(defaults | settings))


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Event(msgspec.Struct, metaclass=_EventClass, frozen=True, kw_only=True):
    """The fields of every event, and the eventsourcing library's protocol of a domain event.

    An event is made from a validated command, so its fields are not validated again; on reading from the log, their
    types are. Methods `upcast_v0_v1` and so on, where a class has them, convert the fields of an older version of its
    topic to the next version.
    """

    TOPIC: ClassVar[str]
    AGGREGATE: ClassVar[type[Aggregate]]
    """The class of state that such events fold to."""
    STREAM_FIELD: ClassVar[str] = "command"
    """The field that names the stream, for refusals."""
    EVENTS_MAX: ClassVar[int] = 1000
    """The greatest version of such an event in its stream. Decisions read whole streams under the writers' lock, so no
    caller may lengthen one without end. Events that are easily repeated have a lower limit than those that end one.
    """

    occurred_at: EpochSeconds
    recorded_at: EpochSeconds
    by: Actor
    command: CommandName
    imported: bool = False  # an imported old record is never late
    key: KeyNumber | None = None  # the API key that was used, if any
    approved_by: Actor | None = None  # the approver, if approval was needed; `by` is then the requester
    by_volunteer: VolunteerNumber | None = None  # the volunteer whose key was used; never set for scans

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "TOPIC" in vars(cls):
            EVENTS[cls.TOPIC] = cls

    @property
    def stream_id(self) -> UUID:
        """The stream this event belongs to."""
        raise NotImplementedError

    @property
    def stream_key(self) -> bytes:
        """The stream id as 16 bytes: making a UUID takes longer than everything else that is done with it."""
        return self.stream_id.bytes

    # The library's protocol. An event has a version once it has been read from the log.

    @property
    def originator_id(self) -> UUID:
        """The stream id, under the library's name."""
        return self.stream_id

    @property
    def originator_version(self) -> int:
        """The version of the event in its stream, from 1.

        Raises:
            AttributeError: the event was not read from the log.
        """
        version: int = vars(self)["_version"]
        return version

    def at_version(self, version: int) -> Self:
        """Set the event's version in its stream, and return the event."""
        vars(self)["_version"] = version
        return self

    def mutate(self, aggregate: Aggregate | None) -> Aggregate:
        """Return the aggregate after this event, as the library's `repository.get` requires."""
        return (self.AGGREGATE() if aggregate is None else aggregate).after(self)


# --- commands and orders ---------------------------------------------------------------------------------------------


class Command(BaseModel):
    """The base class of all commands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str]

    PERSONAL: ClassVar[tuple[str, ...]] = ()
    """The fields whose texts are stored outside the log; the event holds their salted digests."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "TYPE" in vars(cls):
            COMMANDS[cls.TYPE] = cls

    def decide(self, case: Case) -> Decision:
        """Return the events that the command results in, or its refusal.

        A flat list of early returns, in the order of `ledger/rejections.py`. It reads no database and no clock.
        """
        raise NotImplementedError

    @property
    def acts(self) -> tuple[str, ...]:
        """The types of the acts that the command executes, its own first."""
        return (self.TYPE,)

    @property
    def precondition(self) -> int | None:
        """The version that the record must have which the first event of the command changes; None for any."""
        return None

    def concerned(self, case: Case) -> list[str]:  # noqa: ARG002 - some commands read their volunteers from a stream
        """Return the volunteers whose record the command is about."""
        numbers = [getattr(self, field, None) for field in ("volunteer", "to_volunteer", "into")]
        return [number for number in numbers if number is not None]


class Act(Command):
    """A command that takes effect at `occurred_at`, or when it is recorded if that is left out.

    `expected_version`: the version of the record that it is based on (`ledger/deciding/versions.py`), if any.
    """

    occurred_at: Instant | None = None
    expected_version: RecordVersion | None = None

    @property
    def precondition(self) -> int | None:
        """The version that the record must have."""
        return self.expected_version


class Noted(Command):
    """A command that may carry a free text, which is stored outside the log and can be erased; the event holds its
    salted digest.
    """

    text: FreeText | None = None

    def about(self, case: Case) -> list[str]:
        """Return the volunteers whom the text is about: it is erased with any of them."""
        return self.concerned(case)


class Personal(Command):
    """A command with personal fields, `PERSONAL`. Their texts are stored outside the log and can be erased; the event
    holds the salted digest of each under the field's name.
    """

    def about(self, case: Case) -> list[str]:
        """Return the volunteers whom the texts are about: they are erased with any of them."""
        return self.concerned(case)


class Sender(NamedTuple):
    """Who sends orders: the actor, the number of the key that is used, and the volunteer to whom the key belongs.

    No field has a default, here and in `Order`: one that is forgotten is an error of types, not a safeguard that does
    not apply.
    """

    by: str
    key: int | None
    volunteer: str | None

    @classmethod
    def of_operator(cls, by: str) -> Sender:
        """Return an actor whom the operator names at the command line, where there are no keys."""
        return cls(by=by, key=None, volunteer=None)

    def order(self, command: Command, *, source: str, id: str, imported: bool) -> Order:  # noqa: A002 - the field
        """Return this sender's order, after validating its names. Every order from outside is made here.

        Raises:
            pydantic.ValidationError: it names the field.
        """
        if not (_are_names(source, self.by) and _IS_ID(id)):
            _ENVELOPE.validate_python({"source": source, "id": id, "by": self.by})
        return Order(command, source, id, self.by, imported, self.key, self.volunteer)


class Order(NamedTuple):
    """A command with its envelope: its name (`source` and `id`), the actor and the key that send it, and whether it is
    an imported old record. Orders from outside are made by `Sender.order`.
    """

    command: Command
    source: str
    id: str
    by: str
    imported: bool
    key: int | None
    by_volunteer: str | None  # the volunteer to whom the key belongs, if any

    @property
    def name(self) -> str:
        """The name of the command: source and id. It is permanently unique in its realm."""
        return f"{self.source}#{self.id}"

    @property
    def realm(self) -> str | None:
        """The actor to whom the name belongs; None if the source itself belongs to the actor, or to an import.

        So nobody takes a name of somebody else by writing that one's source.
        """
        in_import = self.imported and self.source.startswith(IMPORTS)
        return None if in_import or is_own_source(self.source, self.by) else self.by


class _Envelope(BaseModel):
    source: Source
    id: CommandId
    by: CallingActor


_ENVELOPE = TypeAdapter(_Envelope)
_IS_ID = TypeAdapter(CommandId).validator.isinstance_python
_IS_SOURCE, _IS_ACTOR = (TypeAdapter(name).validator.isinstance_python for name in (Source, CallingActor))


@lru_cache(maxsize=1 << 12)
def _are_names(source: str, by: str) -> bool:
    """Return whether a source and an actor are valid. Most orders share them with the one before."""
    return _IS_SOURCE(source) and _IS_ACTOR(by)


def command_of(command_type: str, fields: dict[str, Any]) -> Command:
    """Return the command of a type with the given fields.

    Raises:
        ValueError: the fields are not valid; the message names the field.
    """
    try:
        return COMMANDS[command_type].model_validate(fields)
    except ValidationError as error:
        (first, *_) = error.errors()
        place = ".".join(map(str, first["loc"]))
        wrong = what_is_wrong(first)
        raise ValueError(f"not valid for {command_type}: {place + ': ' if place else ''}{wrong}") from None
