"""`POST /v1/events`: what stations and uploads send, in the four ways of CloudEvents 1.0 over HTTP.

structured   one event as JSON
binary       one event, its attributes as headers `ce-…`, its data as the body
batch        a JSON array of events, answered together
stream       an event a line (NDJSON), of any length, answered line by line (`api/event_stream.py`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic_core import from_json

from api.access import Caller
from api.cloud_events import BATCH, EVENT, BatchAnswer, EventAccepted, accepted, batch_answer, read_order
from api.dependencies import CallerHere, ServiceHere
from api.event_schemas import SCHEMA as _SCHEMA
from api.event_schemas import event_examples
from api.event_stream import NDJSON, Lines, answer_lines
from api.examples import EVENT_EXAMPLE, EVENTS_EXAMPLE
from api.problems import Fault, Problem, fault_of_refusal, problem
from api.scan_answers import answers_text, batch_text, last_position
from api.scan_reader import ARRAY, ONE, read_scans
from api.service import Service
from api.taking import Asked, AskedHere, projected, refused_for_content, refused_for_role, take, take_block
from ledger.answers import Accepted, Answer
from ledger.commands import Order
from ledger.plain.block import RECORDED, Block
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
    }
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
async def post_events(request: Request, service: ServiceHere, caller: CallerHere, asked: AskedHere) -> Response:
    """Record CloudEvents 1.0. `source` and `id` name the command: it is recorded once.

    One event (`application/cloudevents+json`, or `application/json` with headers `ce-…`) is answered 201, or 200 if it
    was there before or nothing is recorded, or with the problem. A batch (`application/cloudevents-batch+json`, at most
    1,000 events in 1 MiB) is answered 200 with one answer for each event, in order: an event that is refused holds up
    no other, unless `atomic` is asked. A stream (`application/x-ndjson`) may have any length; each line is answered by
    a line.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == NDJSON:
        if asked.atomic:
            raise problem("invalid", "atomic: a stream is not taken as a whole; send a batch", field="atomic")
        answers = answer_lines(request.stream(), service, asked, caller, lambda element: _read(element, caller))
        return Lines(answers)
    if "ce-specversion" in request.headers:
        return await _answer_one(
            _from_headers(request.headers, media_type, await request.body()), service, caller, asked
        )
    if media_type not in {EVENT, BATCH}:
        remedy = f"set the header Content-Type to {EVENT} for one event, or to {BATCH} for a list of them"
        raise problem("wrong-media-type", f"{media_type or 'no media type'} is not taken here; {remedy}", remedy=remedy)
    answer = answer_event if media_type == EVENT else answer_events
    return await answer(await request.body(), service, caller, asked)


async def answer_event(body: bytes, service: Service, caller: Caller, asked: Asked) -> Response:
    """Take the one event that a body is; return the answer, or raise the problem."""
    if not asked.dry_run and (scan := read_scans(body, ONE, caller)):
        return await _answer_scan(scan, service, asked)
    return await _answer_one(_parsed(body), service, caller, asked)


async def answer_events(body: bytes, service: Service, caller: Caller, asked: Asked) -> Response:
    """Take the batch that a body is; return the answer, or raise the problem that it has as a whole."""
    if not (asked.dry_run or asked.atomic) and (scans := await run_in_threadpool(read_scans, body, ARRAY, caller)):
        await take_block(service, scans)
        known = await projected(service, asked, last_position(scans))
        return Response(batch_text(scans, projected=known), 200, media_type=JSON)
    content = _parsed(body)
    if not isinstance(content, list):
        raise problem("invalid", f"a batch is a JSON array; send one event as {EVENT}")
    if len(content) > BATCH_EVENTS_MAX:
        detail = f"{len(content)} events are more than the {BATCH_EVENTS_MAX} a batch may have; send fewer at a time"
        raise problem("too-large", detail)
    return await _answer_batch(content, service, caller, asked)


async def _answer_scan(scan: Block, service: Service, asked: Asked) -> Response:
    await take_block(service, scan)
    if scan.answers:
        raise Problem(fault_of_refusal(scan.answers[0]))
    known = await projected(service, asked, last_position(scan))
    status = 201 if scan.rows["outcome"][0] == RECORDED else 200
    return Response(answers_text(scan, "", projected=known), status, media_type=JSON)


async def _answer_one(content: object, service: Service, caller: Caller, asked: Asked) -> Response:
    order = _read(content, caller)
    if isinstance(order, Fault):
        raise Problem(order)
    (answer,) = await take(service, [order], asked)
    if not isinstance(answer, Accepted):
        raise Problem(fault_of_refusal(answer))
    known = await projected(service, asked, answer.position)
    is_new = answer.position is not None and not answer.duplicate
    told = accepted(order, answer)
    told.projected = known
    return Response(told.model_dump_json(), 201 if is_new else 200, media_type=JSON)


async def _answer_batch(content: list[Any], service: Service, caller: Caller, asked: Asked) -> Response:
    read = await run_in_threadpool(lambda: [_read(element, caller) for element in content])
    orders = [one for one in read if not isinstance(one, Fault)]
    if len(orders) < len(read):
        service.counted.refusals([one.rejection for one in read if isinstance(one, Fault)])
    if asked.atomic and len(orders) < len(read):
        answers = await take(service, orders, Asked(dry_run=True)) if orders else []
        return Response(_not_alone(content, read, answers).model_dump_json(), 200, media_type=JSON)
    answers = await take(service, orders, asked) if orders else []
    last = max((one.position for one in answers if isinstance(one, Accepted) and one.position), default=None)
    known = await projected(service, asked, last)
    answer = batch_answer(content, read, answers)
    answer.projected = known
    return Response(answer.model_dump_json(), 200, media_type=JSON)


def _read(element: object, caller: Caller) -> Order | Fault:
    order = read_order(element, caller.by, caller.key, caller.volunteer)
    if isinstance(order, Fault):
        return order
    return refused_for_role(caller, order, named_by_caller=True) or refused_for_content(order.command) or order


def _not_alone(content: list[Any], read: Sequence[Order | Fault], foreseen: Sequence[Answer]) -> BatchAnswer:
    """Answer an atomic batch of which some element is no order at all: none is recorded."""
    answers = [
        refuse(Rejection.NOT_ALONE, "command", f"{order.source}#{order.id}")
        if isinstance(answer, Accepted) and answer.position is None
        else answer
        for order, answer in zip((one for one in read if not isinstance(one, Fault)), foreseen, strict=True)
    ]
    return batch_answer(content, list(read), answers)


def _from_headers(headers: Mapping[str, str], media_type: str, body: bytes) -> dict[str, Any]:
    """Return the event whose attributes are headers, as the binary mode has it."""
    if media_type != JSON:
        remedy = f"set the header Content-Type to {JSON}"
        raise problem(
            "wrong-media-type", f"{media_type or 'no media type'} is not taken as data; {remedy}", remedy=remedy
        )
    attributes: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    if attributes.get("imported") in {"true", "false"}:  # headers have no types
        attributes["imported"] = attributes["imported"] == "true"
    return {**attributes, "data": _parsed(body)}


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise problem("malformed", f"the body is not JSON: {error}; send JSON as UTF-8") from None
