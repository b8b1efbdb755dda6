"""`POST /v1/events`: what stations and uploads send, in the four ways of CloudEvents 1.0 over HTTP.

structured   one event as JSON
binary       one event, its attributes as headers `ce-…`, its data as the body
batch        a JSON array of events, answered together
stream       an event a line (NDJSON), of any length, answered line by line (`api/http/routes/writes/event_stream.py`)

Each mode reads the elements (`api/messages/cloud_events.py`), submits their orders (`api/http/requests/submission.py`)
and answers each element (`api/messages/answers.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from api.http.requests.dependencies import authenticated
from api.http.requests.submission import SMALL_BYTES_MAX, IntakeOptions, Reader, orders_among, projected, take
from api.http.routes.writes.event_stream import NDJSON, Lines, answer_lines
from api.messages.answers import BatchAnswer, EventAccepted, accepted, as_json, batch_answer, last_position
from api.messages.cloud_events import BATCH, EVENT, attributes_of, elements_of
from api.messages.event_schemas import SCHEMA as _SCHEMA
from api.messages.event_schemas import event_examples
from api.messages.examples import EVENT_EXAMPLE, EVENTS_EXAMPLE
from api.messages.problems import Fault, Problem, fault_of_refusal, fault_of_validation, problem
from api.operations.service import Service
from ledger.intake.answers import Accepted, Answer
from ledger.intake.prepare import Prepared
from ledger.rejections import Rejection, refuse

BATCH_EVENTS_MAX = 1000
"""Enough for a counter's day offline; a stream takes any number."""

JSON = "application/json"

router = APIRouter(tags=["stations"])

_BATCH_SCHEMA = {
    "type": "array",
    "maxItems": BATCH_EVENTS_MAX,
    "items": {
        "anyOf": [_SCHEMA, {"description": "Whatever else it is, it is answered `refused` and holds up no other."}]
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            EVENT: {"schema": _SCHEMA, "examples": event_examples()},
            BATCH: {"schema": _BATCH_SCHEMA, "example": EVENTS_EXAMPLE},
            NDJSON: {"schema": {"description": "An event a line. Whatever else a line is, it is answered `refused`."}},
            JSON: {
                "schema": {"type": "object", "description": "Binary mode: the data; attributes are headers `ce-…`."},
                "example": EVENT_EXAMPLE["data"],
            },
        },
    },
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": schema.get("description", "")}
        for name, schema in IntakeOptions.model_json_schema()["properties"].items()
    ],
    "security": [{"HTTPBearer": []}],
}


@router.post(
    "/v1/events",
    summary="Send one event, a batch, or a stream",
    response_model=EventAccepted | BatchAnswer,
    status_code=201,
    responses={
        200: {
            "model": EventAccepted | BatchAnswer,
            "description": "A batch or a stream was answered element by element, or the one event was there before.",
            "content": {NDJSON: {"schema": {"type": "string", "description": "An answer a line."}}},
        }
    },
    openapi_extra=_BODY,
)
async def post_events(request: Request) -> Response:
    """Record CloudEvents 1.0. `source` and `id` name the command: it is recorded once.

    One event (`application/cloudevents+json`, or `application/json` with headers `ce-…`) is answered 201, or 200 if it
    was there before or nothing is recorded, or with the problem. A batch (`application/cloudevents-batch+json`, at most
    1,000 events in 1 MiB) is answered 200 with one answer for each event, in order: an event that is refused holds up
    no other, unless `atomic` is asked. A stream (`application/x-ndjson`) may have any length; each line is answered by
    a line.
    """
    # What other routes declare as dependencies is called here: the framework took half of a post for that (measured).
    service: Service = request.app.state.service
    reader, asked = Reader(await authenticated(request, service)), _asked(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == NDJSON:
        if asked.atomic:
            raise problem("invalid", "atomic: a stream is not taken as a whole; send a batch", field="atomic")
        return Lines(answer_lines(request.stream(), service, asked, reader))
    body = await request.body()
    if "ce-specversion" in request.headers:
        attributes = _attributes(request.headers, media_type)
        return await _answer_one(reader.read_binary(attributes, body), service, asked)
    if media_type == EVENT:
        return await _answer_one(reader.read(body), service, asked)
    if media_type == BATCH:
        return await _answer_batch(body, service, reader, asked)
    remedy = f"set the header Content-Type to {EVENT} for one event, or to {BATCH} for a list of them"
    raise problem("wrong-media-type", f"{media_type or 'no media type'} is not taken here; {remedy}", remedy=remedy)


_AS_USUAL = IntakeOptions()


def _asked(request: Request) -> IntakeOptions:
    if not request.scope["query_string"]:
        return _AS_USUAL
    try:
        return IntakeOptions.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise Problem(fault_of_validation(error.errors())) from None


async def _answer_one(order: Prepared | Fault, service: Service, asked: IntakeOptions) -> Response:
    if isinstance(order, Fault):
        raise Problem(order)
    (answer,) = await take(service, [order], asked)
    if not isinstance(answer, Accepted):
        raise Problem(fault_of_refusal(answer))
    known = await projected(service, asked, answer.position)
    is_new = answer.position is not None and not answer.duplicate
    told = accepted(order.order, answer, projected=known)
    return Response(as_json(told), 201 if is_new else 200, media_type=JSON)


async def _answer_batch(body: bytes, service: Service, reader: Reader, asked: IntakeOptions) -> Response:
    if len(body) > SMALL_BYTES_MAX:
        elements, read = await run_in_threadpool(read_batch, body, reader)
    else:
        elements, read = read_batch(body, reader)
    orders = orders_among(read, service)
    if asked.atomic and len(orders) < len(read):  # some element is no order at all, so none is recorded
        foreseen = await take(service, orders, IntakeOptions(dry_run=True))
        answers: Sequence[Answer] = [_not_alone(*each) for each in zip(orders, foreseen, strict=True)]
    else:
        answers = await take(service, orders, asked)
    known = await projected(service, asked, last_position(answers))
    return Response(as_json(batch_answer(elements, read, answers, projected=known)), 200, media_type=JSON)


def read_batch(body: bytes, reader: Reader) -> tuple[list[msgspec.Raw], list[Prepared | Fault]]:
    """Return the elements of a batch, and each as an order or what is wrong with it.

    Raises:
        Problem: the body is no batch.
    """
    try:
        elements = elements_of(body)
    except msgspec.ValidationError:
        raise problem("invalid", f"a batch is a JSON array; send one event as {EVENT}") from None
    except (ValueError, RecursionError) as error:
        raise problem("malformed", f"the body is not JSON: {error}; send JSON as UTF-8") from None
    if len(elements) > BATCH_EVENTS_MAX:
        detail = f"{len(elements)} events are more than the {BATCH_EVENTS_MAX} a batch may have; send fewer at a time"
        raise problem("too-large", detail)
    return elements, list(map(reader.read, elements))


def _not_alone(order: Prepared, foreseen: Answer) -> Answer:
    if isinstance(foreseen, Accepted) and foreseen.position is None:
        return refuse(Rejection.NOT_ALONE, "command", order.order.name)
    return foreseen


def _attributes(headers: Mapping[str, str], media_type: str) -> dict[str, Any]:
    """Return the attributes of an event that are headers, as the binary mode has them."""
    if media_type != JSON:
        remedy = f"set the header Content-Type to {JSON}"
        raise problem(
            "wrong-media-type", f"{media_type or 'no media type'} is not taken as data; {remedy}", remedy=remedy
        )
    return attributes_of(headers)
