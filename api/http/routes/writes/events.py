"""`POST /v1/events`: events of stations and uploads, in four modes: those of CloudEvents 1.0 over HTTP, and a stream.

structured   one event as JSON
binary       one event, its attributes as headers `ce-…`, its data as the body
batch        a JSON array of events, answered together
stream       one event per line (NDJSON), of any length, answered line by line
             (`api/http/routes/writes/event_stream.py`)

Each mode parses the elements (`api/messages/cloud_events.py`), submits their orders
(`api/http/requests/submission.py`) and answers each element (`api/messages/answers.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from starlette.datastructures import Headers

from api.http.query_parameters import check_query
from api.http.requests.dependencies import authenticated
from api.http.requests.submission import (
    SMALL_BYTES_MAX,
    IntakeOptions,
    Reader,
    submit,
    valid_orders,
    wait_projected,
    with_shifts,
)
from api.http.routes.writes.event_stream import NDJSON, Lines, answer_lines
from api.messages.answers import BatchAnswer, EventAccepted, accepted, as_json, batch_answer, last_position, notes_on
from api.messages.cloud_events import BATCH, EVENT, attributes_of, elements_of
from api.messages.event_schemas import SCHEMA as _SCHEMA
from api.messages.event_schemas import event_examples
from api.messages.examples import BINARY_HEADERS, EVENT_EXAMPLE, EVENTS_EXAMPLE
from api.messages.json_bodies import fault_of_encoding, is_json, media_type_of
from api.messages.problems import Fault, Problem, fault_of_refusal, fault_of_validation, problem
from api.operations.service import Service
from ledger.intake.answers import Accepted, Answer
from ledger.intake.prepare import Prepared
from ledger.rejections import Rejection, refuse

BATCH_EVENTS_MAX = 1000
"""Enough for a station's day offline; a stream can have any number."""

JSON = "application/json"

router = APIRouter(tags=["stations"])

_BATCH_SCHEMA = {
    "type": "array",
    "maxItems": BATCH_EVENTS_MAX,
    "items": {
        "anyOf": [_SCHEMA, {"description": "Any other element is answered `refused` and does not affect the others."}]
    },
}
_HEADERS = (
    "The attributes are headers, which this page does not send: "
    + ", ".join(f"`{name}: {value}`" for name, value in BINARY_HEADERS.items())
    + "."
)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            EVENT: {"schema": _SCHEMA, "examples": event_examples()},
            BATCH: {"schema": _BATCH_SCHEMA, "example": EVENTS_EXAMPLE},
            NDJSON: {"schema": {"description": "One event per line. Any other line is answered `refused`."}},
            JSON: {
                "schema": {"type": "object", "description": f"Binary mode: the data. {_HEADERS}"},
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
            "description": "The answers to a batch or a stream; or the event is a duplicate, or nothing is recorded.",
            "content": {NDJSON: {"schema": {"type": "string", "description": "One answer per line."}}},
        }
    },
    openapi_extra=_BODY,
)
async def post_events(request: Request) -> Response:
    """Record CloudEvents 1.0. `source` and `id` name the command, which is recorded once even if it is sent again.

    A single event (`application/cloudevents+json`, or `application/json` with headers `ce-…`) is answered with 201;
    with 200 if it had been recorded before, or if nothing is recorded; or with a problem. A batch
    (`application/cloudevents-batch+json`, at most 1,000 events in 1 MiB) is answered with 200 and one answer for each
    event, in order: a refused event does not affect the others, unless `atomic` is set. A stream
    (`application/x-ndjson`) may have any length; each line is answered by a line.
    """
    # Called directly, not declared as dependencies: the framework's handling of those took half of a post (measured).
    service: Service = request.app.state.service
    await check_query(request)
    reader, options = Reader(await authenticated(request, service)), _options(request)
    if "if-match" in request.headers:
        remedy = "give each event its expected_version in data"
        raise problem("invalid", f"If-Match is for /v1/commands; {remedy}", field="If-Match", remedy=remedy)
    media_type = _media_type(request.headers)
    if media_type == NDJSON:
        if options.atomic:
            raise problem("invalid", "atomic is not supported for streams; send a batch", field="atomic")
        return Lines(answer_lines(request, service, options, reader))
    body = await request.body()
    if "ce-specversion" in request.headers:
        attributes = _attributes(request.headers, media_type)
        written = body + attributes.get("time", "").encode()
        return await _answer_one(reader.read_binary(attributes, body), request, service, options, notes_on(written))
    if media_type == EVENT:
        return await _answer_one(reader.read(body), request, service, options, notes_on(body))
    if media_type == BATCH:
        return await _answer_batch(body, request, service, reader, options)
    remedy = f"set the Content-Type header to {EVENT} for one event, or to {BATCH} for a list of events"
    if media_type == JSON:
        remedy += "; or send the attributes as headers, ce-specversion and others"
    raise problem("wrong-media-type", f"{media_type or 'no media type'} is not supported here; {remedy}", remedy=remedy)


def _media_type(headers: Headers) -> str:
    """Return the media type of a body, which must be UTF-8 and not compressed."""
    if wrong := fault_of_encoding(headers):
        raise Problem(wrong)
    return media_type_of(headers.get("content-type", ""))


_DEFAULT_OPTIONS = IntakeOptions()


def _options(request: Request) -> IntakeOptions:
    if not request.scope["query_string"]:
        return _DEFAULT_OPTIONS
    try:
        return IntakeOptions.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise Problem(fault_of_validation(error.errors())) from None


async def _answer_one(
    order: Prepared | Fault, request: Request, service: Service, options: IntakeOptions, notes: list[str] | None
) -> Response:
    if isinstance(order, Fault):
        raise Problem(order)
    (answer,) = await submit(request, [order], options)
    if not isinstance(answer, Accepted):
        raise Problem(fault_of_refusal(answer))
    projected = await wait_projected(service, options, answer.position)
    if projected:
        (answer,) = await with_shifts(service, [order], [answer])
    is_new = answer.position is not None and not answer.duplicate
    result = accepted(order.order, answer, projected=projected, notes=notes)
    return Response(as_json(result), 201 if is_new else 200, media_type=JSON)


async def _answer_batch(
    body: bytes, request: Request, service: Service, reader: Reader, options: IntakeOptions
) -> Response:
    if len(body) > SMALL_BYTES_MAX:
        elements, parsed = await run_in_threadpool(read_batch, body, reader)
    else:
        elements, parsed = read_batch(body, reader)
    reader.charge(service.limits, len(parsed))
    orders = valid_orders(parsed, service)
    # A signature covers the whole body, which is stored with it: no element may be one that is not recorded.
    if (options.atomic or reader.proof) and len(orders) < len(parsed):
        rehearsed = await submit(request, orders, IntakeOptions(dry_run=True))
        because = None if options.atomic else _SIGNED_WHOLE
        answers: Sequence[Answer] = [
            _not_alone(order, answer, because) for order, answer in zip(orders, rehearsed, strict=True)
        ]
    else:
        answers = await submit(request, orders, options)
    projected = await wait_projected(service, options, last_position(answers))
    if projected:
        answers = await with_shifts(service, orders, answers)
    return Response(as_json(batch_answer(elements, parsed, answers, projected=projected)), 200, media_type=JSON)


def read_batch(body: bytes, reader: Reader) -> tuple[list[msgspec.Raw], list[Prepared | Fault]]:
    """Return the elements of a batch unparsed, and each as an order or a fault.

    Raises:
        Problem: the body is not a batch, or has too many elements.
    """
    try:
        elements = elements_of(body)
    except msgspec.ValidationError:
        raise problem("invalid", f"a batch must be a JSON array; send a single event as {EVENT}") from None
    except (ValueError, RecursionError) as error:
        raise problem("malformed", f"the body is not JSON: {error}; send JSON as UTF-8") from None
    if len(elements) > BATCH_EVENTS_MAX:
        detail = f"{len(elements)} events are more than the {BATCH_EVENTS_MAX} allowed in a batch; send fewer at a time"
        raise problem("too-large", detail)
    return elements, list(map(reader.read, elements))


_SIGNED_WHOLE = (
    "a signed batch with an element that is no valid event is not recorded at all; correct that element or leave it "
    "out, and sign the batch again"
)


def _not_alone(order: Prepared, rehearsed: Answer, because: str | None) -> Answer:
    if not (isinstance(rehearsed, Accepted) and rehearsed.position is None):
        return rehearsed
    refused = refuse(Rejection.NOT_ALONE, "command", order.order.name)
    return refused if because is None else refused._replace(detail=f"command {order.order.name}: {because}")


def _attributes(headers: Headers, media_type: str) -> dict[str, Any]:
    """Return the attributes of an event in binary mode, whose data must be JSON."""
    if not is_json(media_type) or media_type in {EVENT, BATCH}:
        remedy = f"set the Content-Type header to {JSON}"
        raise problem(
            "wrong-media-type", f"{media_type or 'no media type'} is not supported for data; {remedy}", remedy=remedy
        )
    attributes = attributes_of(headers)
    names = [name for name in headers.keys() if name.startswith("ce-")]  # noqa: SIM118 - the keys of each header sent
    if len(names) > len(set(names)):
        name = next(name for name in names if names.count(name) > 1)
        raise problem("invalid", f"{name} is given twice; give it once", field=name, remedy="give it once")
    return attributes
