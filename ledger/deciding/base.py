"""What all kinds of streams share: events, commands, orders, and what events fold to.

A kind of stream has a file: its events, what they fold to, its commands and their decisions stand together there. The
names of events (`TOPIC`) and of commands (`TYPE`) are registered when a class is made; `ledger.aggregates` imports
every file, so whoever imports the package knows them all.

Events are frozen records, stored as compact JSON under their topic (`ledger/store/mapper.py`): all instants are epoch
seconds (UTC), all durations whole minutes, all days ISO dates in the ledger's time zone. A `TOPIC` is a storage
format and never changes. No event holds a name, a phone number or free text: reasons are codes, and a text is kept in
the erasable `texts` table while the event holds its salted digest.

Commands are pydantic models, which check what callers send. They say what is wanted; whether it is granted is decided
against the log. Their `TYPE` is part of the public interface: as a CloudEvent it is `org.service-hours.<TYPE>.v1`.
Errors: pydantic's `ValidationError`, which names the field.

Nothing here knows PostgreSQL, a clock or a read model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self, dataclass_transform
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from ledger.names import (
    Actor,
    CallingActor,
    CommandId,
    CommandName,
    EpochSeconds,
    Instant,
    KeyNumber,
    Source,
    VolunteerNumber,
)

if TYPE_CHECKING:
    from ledger.deciding.case import Case, Decision

COMMANDS: dict[str, type[Command]] = {}
"""Every command by its type."""
EVENTS: dict[str, type[Event]] = {}
"""Every event by its topic."""

FreeText = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
"""What a person wrote; PostgreSQL keeps no NUL character."""


# --- events and what they fold to ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What the events of one stream come to. `version`: how many they are, 0 for a stream that does not exist."""

    version: int = 0

    @abstractmethod
    def after(self, event: Event) -> Self:
        """Return what one more event of the stream makes of it."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return what the events of a stream come to, in order."""
        aggregate = cls()
        for event in events:
            aggregate = aggregate.after(event)
        return aggregate


class _EventClass(msgspec.StructMeta):
    """Makes every class of events a frozen record that is written without its defaults."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **settings: Any) -> _EventClass:
        usual = {"frozen": True, "kw_only": True, "omit_defaults": True, "forbid_unknown_fields": True, "dict": True}
        return super().__new__(mcls, name, bases, namespace, **(usual | settings))


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Event(msgspec.Struct, metaclass=_EventClass, frozen=True, kw_only=True):
    """What every event says, and the eventsourcing library's protocol of a domain event.

    An event is decided from a checked command, so its fields are not checked a second time; read from the log, their
    types are. `upcast_v0_v1` and so on, where a class has them, lead the fields of an older version of its topic to the
    next one.
    """

    TOPIC: ClassVar[str]
    AGGREGATE: ClassVar[type[Aggregate]]
    """What a stream of such events folds to."""

    occurred_at: EpochSeconds
    recorded_at: EpochSeconds
    by: Actor
    command: CommandName
    imported: bool = False  # an old record brought in: it is not "late"
    key: KeyNumber | None = None  # the API key that was used, where one was
    approved_by: Actor | None = None  # who approved it, where another had to: `by` asked for it
    by_volunteer: VolunteerNumber | None = None  # the volunteer whose key it was; scans never say it

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
        """The same as 16 bytes: making a UUID takes longer than all else that is done with it."""
        return self.stream_id.bytes

    # The library's protocol. An event knows its version once it has been read from the log.

    @property
    def originator_id(self) -> UUID:
        """The stream, by the library's name."""
        return self.stream_id

    @property
    def originator_version(self) -> int:
        """The place of the event in its stream, from 1.

        Raises:
            AttributeError: the event was not read from the log.
        """
        version: int = vars(self)["_version"]
        return version

    def at_version(self, version: int) -> Self:
        """Note the event's place in its stream; return the event."""
        vars(self)["_version"] = version
        return self

    def mutate(self, aggregate: Aggregate | None) -> Aggregate:
        """Return what this event makes of its aggregate, as the library's `repository.get` asks."""
        return (self.AGGREGATE() if aggregate is None else aggregate).after(self)


# --- commands and orders ---------------------------------------------------------------------------------------------


class Command(BaseModel):
    """What every command may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "TYPE" in vars(cls):
            COMMANDS[cls.TYPE] = cls

    def decide(self, case: Case) -> Decision:
        """Return the events that grant the command, or why it is refused.

        A flat ladder of early returns, in the order of `ledger/rejections.py`. It touches no database and no clock.
        """
        raise NotImplementedError

    @property
    def acts(self) -> tuple[str, ...]:
        """The types of the acts that the command does, its own first."""
        return (self.TYPE,)

    def concerned(self, case: Case) -> list[str]:  # noqa: ARG002 - some commands name their volunteers by a stream
        """Return the volunteers whose record the command is about."""
        named = [getattr(self, field, None) for field in ("volunteer", "to_volunteer", "into")]
        return [one for one in named if one is not None]


class Act(Command):
    """A command that is itself what happened, at `occurred_at` or else when it is recorded."""

    occurred_at: Instant | None = None


class Noted(Command):
    """A command that may carry a free text. The text is kept apart and erasable; the event holds its salted digest."""

    text: FreeText | None = None


class Order(NamedTuple):
    """A command with its envelope: the name its caller gave it, who gives it with which key, and whether it is an old
    record. Whoever takes the envelope from outside makes it with `checked`.
    """

    command: Command
    source: str
    id: str
    by: str
    imported: bool = False
    key: int | None = None
    by_volunteer: str | None = None  # whose key it is, where it is a volunteer's

    @classmethod
    def checked(cls, command: Command, source: str, id: str, by: str, **more: Any) -> Order:  # noqa: A002 - the field
        """Return an order whose names have been checked.

        Raises:
            pydantic.ValidationError: it names the field.
        """
        _ENVELOPE.validate_python({"source": source, "id": id, "by": by})
        return cls(command, source, id, by, **more)

    @property
    def name(self) -> str:
        """The name of the command, unique for ever: source and id."""
        return f"{self.source}#{self.id}"


class _Envelope(BaseModel):
    source: Source
    id: CommandId
    by: CallingActor


_ENVELOPE = TypeAdapter(_Envelope)


def command_of(command_type: str, fields: dict[str, Any]) -> Command:
    """Return the command that a type and its fields say.

    Raises:
        ValueError: a sentence that names the field.
    """
    try:
        return COMMANDS[command_type].model_validate(fields)
    except ValidationError as error:
        (first, *_) = error.errors()
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"do not make a {command_type}: {place + ': ' if place else ''}{message}") from None
