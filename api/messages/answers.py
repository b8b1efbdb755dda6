"""Answers to events: what became of each, as JSON. One function makes them, for single events, batches and streams.

The models describe the answers. What is sent are records of the same fields: to build a model for each event would take
as long as recording it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel

from api.messages.cloud_events import name_of
from api.messages.problems import Fault, fault_of_refusal
from ledger.aggregates import Order
from ledger.intake.answers import Accepted, Answer
from ledger.intake.prepare import Prepared


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


class _Accepted(msgspec.Struct):
    outcome: str
    source: str
    id: str
    position: int | None
    shift: UUID | None
    duplicate: bool
    projected: bool | None


class _Refused(msgspec.Struct):
    outcome: str
    source: str | None
    id: str | None
    rejection: str
    field: str | None
    detail: str
    remedy: str
    retry: bool
    candidates: tuple[UUID, ...]


class _Batch(msgspec.Struct):
    accepted: int
    duplicates: int
    refused: int
    position: int | None
    projected: bool | None
    answers: list[_Accepted | _Refused]


def accepted(order: Order, answer: Accepted, *, projected: bool | None) -> _Accepted:
    """Return the answer to an event that was taken."""
    outcome = "would-be-accepted" if answer.position is None else "accepted"
    return _Accepted(outcome, order.source, order.id, answer.position, answer.shift, answer.duplicate, projected)


def element_answers(
    elements: Sequence[bytes | msgspec.Raw],
    read: Sequence[Prepared | Fault],
    answers: Iterable[Answer],
    *,
    projected: bool | None,
) -> list[_Accepted | _Refused]:
    """Return an answer for each element, in order: those that are no orders are answered with what is wrong with them.

    Args:
        read: what each element is.
        answers: the ledger's, to those that are orders.
    """
    following = iter(answers)
    told: list[_Accepted | _Refused] = []
    for element, one in zip(elements, read, strict=True):
        if isinstance(one, Fault):
            told.append(_refused(*name_of(element), one))
            continue
        answer = next(following)
        if isinstance(answer, Accepted):
            told.append(accepted(one.order, answer, projected=projected))
        else:
            told.append(_refused(one.order.source, one.order.id, fault_of_refusal(answer)))
    return told


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
    )


def batch_answer(
    elements: Sequence[bytes | msgspec.Raw],
    read: Sequence[Prepared | Fault],
    answers: Sequence[Answer],
    *,
    projected: bool | None,
) -> _Batch:
    """Return the answer to a batch: one for each element, and how many of each kind there are."""
    taken = [answer for answer in answers if isinstance(answer, Accepted)]
    duplicates = sum(answer.duplicate for answer in taken)
    return _Batch(
        accepted=len(taken) - duplicates,
        duplicates=duplicates,
        refused=len(elements) - len(taken),
        position=last_position(taken),
        projected=projected,
        answers=element_answers(elements, read, answers, projected=None),
    )


def last_position(answers: Iterable[Answer]) -> int | None:
    """Return the last position that any order was answered with."""
    positions = (answer.position for answer in answers if isinstance(answer, Accepted) and answer.position)
    return max(positions, default=None)


_encoder = msgspec.json.Encoder()


def as_json(answer: object) -> bytes:
    """Return an answer as bytes."""
    return _encoder.encode(answer)
