"""`POST /v1/events`: what stations and uploads send, one CloudEvent or a batch of them."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.access import Caller
from api.cloud_events import (
    BATCH,
    COMMAND_OF_TYPE,
    EVENT,
    BatchAnswer,
    CloudEvent,
    EventAccepted,
    accepted,
    batch_answer,
    read_order,
)
from api.dependencies import CallerHere, ServiceHere
from api.examples import EVENT_EXAMPLE, EVENTS_EXAMPLE
from api.problems import Fault, Problem, fault_of_refusal, problem
from api.taking import refused_for_content, refused_for_role, take
from ledger.answers import Accepted
from ledger.commands import Order

BATCH_EVENTS_MAX = 1000
"""Enough for a counter's day offline; an import of years goes through `hours post`."""

router = APIRouter(tags=["stations"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            EVENT: {"schema": {"$ref": "#/components/schemas/CloudEvent"}, "example": EVENT_EXAMPLE},
            BATCH: {
                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}},
                "example": EVENTS_EXAMPLE,
            },
        },
    }
}


@router.post(
    "/v1/events",
    summary="Send one event, or a batch",
    response_model=EventAccepted | BatchAnswer,
    status_code=201,
    responses={200: {"description": "A batch was answered element by element, or the one event was there before."}},
    openapi_extra=_BODY,
)
async def post_events(
    request: Request, response: Response, service: ServiceHere, caller: CallerHere
) -> EventAccepted | BatchAnswer:
    """Record CloudEvents 1.0 in structured JSON. `source` and `id` name the command: it is recorded once.

    One event (`application/cloudevents+json`) is answered 201, or 200 if it was there before, or with the problem. A
    batch (`application/cloudevents-batch+json`, at most 1,000 events in 1 MiB) is answered 200 with one answer for each
    event, in order: an event that is refused holds up no other.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {EVENT, BATCH}:
        remedy = f"set the header Content-Type to {EVENT} for one event, or to {BATCH} for a list of them"
        raise problem("wrong-media-type", f"{media_type or 'no media type'} is not taken here; {remedy}", remedy=remedy)
    content = _parsed(await request.body())
    if media_type == EVENT:
        answer = await _take_one(content, service, caller)
        response.status_code = 200 if answer.duplicate else 201
        return answer
    if not isinstance(content, list):
        raise problem("invalid", f"a batch is a JSON array; send one event as {EVENT}")
    if len(content) > BATCH_EVENTS_MAX:
        detail = f"{len(content)} events are more than the {BATCH_EVENTS_MAX} a batch may have; send fewer at a time"
        raise problem("too-large", detail)
    response.status_code = 200
    read = await run_in_threadpool(lambda: [_read(element, caller) for element in content])
    answers = await take(service, orders) if (orders := [one for one in read if isinstance(one, Order)]) else []
    return batch_answer(content, read, answers)


async def _take_one(content: object, service: ServiceHere, caller: Caller) -> EventAccepted:
    order = _read(content, caller)
    if isinstance(order, Fault):
        raise Problem(order)
    (answer,) = await take(service, [order])
    if not isinstance(answer, Accepted):
        raise Problem(fault_of_refusal(answer))
    return accepted(order, answer)


def _read(element: object, caller: Caller) -> Order | Fault:
    order = read_order(element, caller.by, caller.key)
    if isinstance(order, Fault):
        return order
    return refused_for_role(caller, order, named_by_caller=True) or refused_for_content(order.command) or order


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise problem("malformed", f"the body is not JSON: {error}; send JSON as UTF-8") from None


def event_schema() -> dict[str, Any]:
    """Return the schema of an event, for the service's description."""
    schema = CloudEvent.model_json_schema()
    schema["properties"]["type"]["enum"] = list(COMMAND_OF_TYPE)
    schema["properties"]["data"]["description"] = "The command's fields: those of POST /v1/commands/<its type>."
    return schema
