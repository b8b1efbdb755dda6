"""CloudEvents 1.0 in structured JSON: the envelope in which stations send commands.

`source` and `id` name the command for ever, `type` is `org.service-hours.<TYPE>.v1`, `data` holds the command's fields.
`time` stands for `data.occurred_at` where a command has that field and leaves it out. The extension attribute
`imported` (true) marks an old record, which is never late.

Reading only: nothing here is recorded.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from api.problems import Fault, fault, fault_of_refusal, fault_of_validation
from ledger.answers import Accepted, Answer
from ledger.commands import COMMANDS, Command, Order
from ledger.names import CommandId, Source

EVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class CloudEvent(BaseModel):
    """One event. Attributes that are not named here are extensions: they are accepted and not kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    specversion: Literal["1.0"]
    id: CommandId
    source: Source
    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: Literal["application/json"] | None = None
    dataschema: str | None = None
    imported: bool = Field(default=False, strict=True)
    data: dict[str, Any]

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in COMMAND_OF_TYPE:
            raise ValueError(
                f"is not a type of event this ledger takes; write {event_type('check-in')}, say (see /docs)"
            )
        return value


def event_type(command_type: str) -> str:
    """Return the CloudEvents type of a type of command."""
    return f"org.service-hours.{command_type}.v1"


COMMAND_OF_TYPE: dict[str, type[Command]] = {event_type(name): command for name, command in COMMANDS.items()}


def read_order(element: object, by: str, key: int | None = None, by_volunteer: str | None = None) -> Order | Fault:
    """Read one event as an order of this person or station, given with this key, or say what is wrong with it."""
    if not isinstance(element, dict):
        return fault("invalid", "the event is not a JSON object; send a CloudEvent")
    if "data_base64" in element:
        return fault("invalid", "data_base64 is not taken here; send the fields as JSON in data", field="data_base64")
    try:
        event = CloudEvent.model_validate(element)
    except ValidationError as error:
        return fault_of_validation(error.errors())
    command_type = COMMAND_OF_TYPE[event.type]
    data = event.data
    if event.time is not None and "occurred_at" in command_type.model_fields and data.get("occurred_at") is None:
        data = {**data, "occurred_at": event.time}
    try:
        command = command_type.model_validate(data)
    except ValidationError as error:
        return fault_of_validation(error.errors(), prefix="data.")
    return Order(
        command=command,
        source=event.source,
        id=event.id,
        by=by,
        imported=event.imported,
        key=key,
        by_volunteer=by_volunteer,
    )


# --- answers --------------------------------------------------------------------------------------------------------


class EventAccepted(BaseModel):
    """The event is in the ledger, now or since it was first sent (`duplicate`).

    After a dry run the outcome is `would-be-accepted`, and there is no position. `projected`: whether the read models
    include it, where that was waited for.
    """

    outcome: Literal["accepted", "would-be-accepted"] = "accepted"
    source: str
    id: str
    position: int | None
    shift: UUID | None
    duplicate: bool
    projected: bool | None = None


class EventRefused(BaseModel):
    """The event is not in the ledger: the rule, the field, the way out, and whether to send it again later."""

    outcome: Literal["refused"] = "refused"
    source: str | None
    id: str | None
    rejection: str
    field: str | None
    detail: str
    remedy: str
    retry: bool
    candidates: list[UUID]


class BatchAnswer(BaseModel):
    """One answer for each event, in order. `position`: the last that any of them has, for readers' `at_least`."""

    accepted: int
    duplicates: int
    refused: int
    position: int | None
    projected: bool | None = None
    answers: list[EventAccepted | EventRefused]


def accepted(order: Order, answer: Accepted) -> EventAccepted:
    """Return the answer to an accepted event."""
    return EventAccepted(
        outcome="would-be-accepted" if answer.position is None else "accepted",
        source=order.source,
        id=order.id,
        position=answer.position,
        shift=answer.shift,
        duplicate=answer.duplicate,
    )


def refused(element: object, fault: Fault) -> EventRefused:
    """Return the answer to an event that was not taken; its name is told as far as it has one."""
    said = element if isinstance(element, dict) else {}
    source, name = (value if isinstance(value := said.get(key), str) else None for key in ("source", "id"))
    return EventRefused(
        source=source,
        id=name,
        rejection=fault.rejection,
        field=fault.field,
        detail=fault.detail,
        remedy=fault.remedy,
        retry=fault.retry,
        candidates=list(fault.candidates),
    )


def batch_answer(elements: list[Any], read: list[Order | Fault], answers: list[Answer]) -> BatchAnswer:
    """Put the answers of the ledger and what never reached it together, in the order of the batch."""
    following = iter(answers)
    told: list[EventAccepted | EventRefused] = []
    for element, order in zip(elements, read, strict=True):
        if isinstance(order, Fault):
            told.append(refused(element, order))
            continue
        answer = next(following)
        if isinstance(answer, Accepted):
            told.append(accepted(order, answer))
        else:
            told.append(refused(element, fault_of_refusal(answer)))
    taken = [answer for answer in told if isinstance(answer, EventAccepted)]
    duplicates = sum(answer.duplicate for answer in taken)
    return BatchAnswer(
        accepted=len(taken) - duplicates,
        duplicates=duplicates,
        refused=len(told) - len(taken),
        position=max((answer.position for answer in taken if answer.position is not None), default=None),
        answers=told,
    )
