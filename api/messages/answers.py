"""Answers to events, as JSON: the same for single events, batches and streams.

The pydantic models describe the answers. The answers sent are msgspec structs with the same fields: building a model
for each event would take as long as recording it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from api.messages.cloud_events import name_of
from api.messages.problems import Fault, Version, fault_of_refusal
from ledger.aggregates import Order
from ledger.instants import leap_seconds_in
from ledger.intake.answers import Accepted, Answer
from ledger.intake.prepare import Prepared

PunchId = Annotated[UUID | None, Field(exclude_if=lambda punch: punch is None)]
"""The id of a scan without a shift id; left out for anything else."""


Notes = Annotated[list[str] | None, Field(exclude_if=lambda notes: notes is None)]
"""What was read differently from what was written; left out if nothing was."""


def notes_on(written: bytes | msgspec.Raw | str) -> list[str] | None:
    """Return the notes on a command as it was written."""
    if isinstance(written, str):
        text = written
    elif b":60" in bytes(written):
        text = str(written, "utf-8", "replace")
    else:
        return None
    return [
        f"{instant} is a leap second; it was read as the second before" for instant in leap_seconds_in(text)
    ] or None


class EventAccepted(BaseModel):
    """The event is in the ledger; `duplicate`: it was recorded when it was first sent.

    After a dry run the outcome is `would-be-accepted`, and `position` is null. `projected`: whether the read models
    include the event; null unless the request waited for that. `punch`: the id of a scan that was sent without a shift
    id. The rules say which shift it belongs to: after `wait=projected`, `shift` is that shift; without it, `shift` is
    null for a punch that is no check-in. `notes`: what was read differently from what was written, such as a leap
    second.
    """

    outcome: Literal["accepted", "would-be-accepted"] = "accepted"
    source: str
    id: str
    position: int | None
    shift: UUID | None
    punch: PunchId = None
    duplicate: bool
    projected: bool | None = None
    notes: Notes = None


class EventRefused(BaseModel):
    """The event is not in the ledger: the rule broken, the field, the remedy, and whether a retry can help.

    `expected_version` and `actual_version`: of a record that has changed since the event was based on it.
    """

    outcome: Literal["refused"] = "refused"
    source: str | None
    id: str | None
    rejection: str
    field: str | None
    detail: str
    remedy: str
    retry: bool
    candidates: list[UUID]
    expected_version: Version = None
    actual_version: Version = None


class BatchAnswer(BaseModel):
    """One answer for each event, in order. `position`: the highest position among them, for readers' `at_least`."""

    accepted: int
    duplicates: int
    refused: int
    position: int | None
    projected: bool | None = None
    answers: list[EventAccepted | EventRefused]


class _Accepted(msgspec.Struct, omit_defaults=True, kw_only=True):
    outcome: str
    source: str
    id: str
    position: int | None
    shift: UUID | None
    punch: UUID | None = None
    duplicate: bool
    projected: bool | None
    notes: list[str] | None = None


class _Refused(msgspec.Struct, omit_defaults=True):
    outcome: str
    source: str | None
    id: str | None
    rejection: str
    field: str | None
    detail: str
    remedy: str
    retry: bool
    candidates: tuple[UUID, ...]
    expected_version: int | None = None
    actual_version: int | None = None


class _Batch(msgspec.Struct):
    accepted: int
    duplicates: int
    refused: int
    position: int | None
    projected: bool | None
    answers: list[_Accepted | _Refused]


def accepted(order: Order, answer: Accepted, *, projected: bool | None, notes: list[str] | None = None) -> _Accepted:
    """Return the answer to an accepted event."""
    outcome = "would-be-accepted" if answer.position is None else "accepted"
    return _Accepted(
        outcome=outcome,
        source=order.source,
        id=order.id,
        position=answer.position,
        shift=answer.shift,
        punch=answer.punch,
        duplicate=answer.duplicate,
        projected=projected,
        notes=notes,
    )


def element_answers(
    elements: Sequence[bytes | msgspec.Raw],
    parsed: Sequence[Prepared | Fault],
    answers: Iterable[Answer],
    *,
    projected: bool | None,
) -> list[_Accepted | _Refused]:
    """Return an answer for each element, in order.

    Args:
        parsed: each element as an order, or what is wrong with it.
        answers: the ledger's answers to the orders, in order.
    """
    remaining = iter(answers)
    result: list[_Accepted | _Refused] = []
    for element, item in zip(elements, parsed, strict=True):
        if isinstance(item, Fault):
            result.append(_refused(*name_of(element), item))
            continue
        answer = next(remaining)
        if isinstance(answer, Accepted):
            result.append(accepted(item.order, answer, projected=projected, notes=notes_on(element)))
        else:
            result.append(_refused(item.order.source, item.order.id, fault_of_refusal(answer)))
    return result


def _refused(source: str | None, name: str | None, fault: Fault) -> _Refused:
    return _Refused(
        "refused",
        source,
        name,
        fault.rejection,
        fault.field,
        fault.detail,
        fault.remedy,
        fault.retry,
        fault.candidates,
        fault.expected_version,
        fault.actual_version,
    )


def batch_answer(
    elements: Sequence[bytes | msgspec.Raw],
    parsed: Sequence[Prepared | Fault],
    answers: Sequence[Answer],
    *,
    projected: bool | None,
) -> _Batch:
    """Return the answer to a batch: an answer for each element, and the count of each outcome."""
    acceptances = [answer for answer in answers if isinstance(answer, Accepted)]
    duplicates = sum(answer.duplicate for answer in acceptances)
    return _Batch(
        accepted=len(acceptances) - duplicates,
        duplicates=duplicates,
        refused=len(elements) - len(acceptances),
        position=last_position(acceptances),
        projected=projected,
        answers=element_answers(elements, parsed, answers, projected=None),
    )


def last_position(answers: Iterable[Answer]) -> int | None:
    """Return the highest position among the answers, or None if none has a position."""
    positions = (answer.position for answer in answers if isinstance(answer, Accepted) and answer.position)
    return max(positions, default=None)


_encoder = msgspec.json.Encoder()


def as_json(answer: object) -> bytes:
    """Encode an answer as JSON."""
    return _encoder.encode(answer)
