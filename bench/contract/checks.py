"""What Schemathesis must be told of this service: how its events are sent, and what no schema can say.

Loaded by Schemathesis itself (`SCHEMATHESIS_HOOKS`), together with `bench/contract/contract.toml`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema_rs
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

from api.messages.cloud_events import event_type
from api.messages.event_schemas import event_examples
from api.messages.problems import RULES
from ledger.aggregates import COMMANDS
from ledger.rejections import Rejection

EVENTS = "POST /v1/events"
JSON, NDJSON = "application/json", "application/x-ndjson"

LATER = "how far the log reaches, and what was published by then, no schema can say"
TOGETHER = "fields that depend on one another"
PERIOD = "a period must not end before it begins, nor be longer than what is read at once"
CALENDAR = "a form says how a day is written, not which days there are"
REASONS: dict[tuple[str, str | None], str] = {
    ("", "known_at"): LATER,
    ("", "at_least"): LATER,
    ("", "rules"): LATER,
    ("", "from"): PERIOD,
    ("", "to"): PERIOD,
    ("", "after"): CALENDAR,
    ("", "fields"): "of an act that is asked for, or follows: which there are depends on its type",
    ("POST /v1/commands/correct-shift", None): TOGETHER,
    ("POST /v1/commands/settle-dispute", None): TOGETHER,
    ("POST /v1/commands/announce-honor", None): TOGETHER,
    ("POST /v1/honors/{honor}/announcements", None): TOGETHER,
    ("POST /v1/honors/{honor}/awards", None): TOGETHER,
    ("POST /v1/honors/{honor}/announcements", "year"): "which honours are of a year the rules say",
    ("POST /v1/honors/{honor}/awards", "year"): "which honours are of a year the rules say",
    ("POST /v1/commands/publish-rules", "text"): "whether a text is a rule timeline no schema can say",
    (EVENTS, "atomic"): "a stream is not taken as a whole",
    (EVENTS, "text"): "whether a text is a rule timeline no schema can say",
    ("POST /v1/rules/candidates", "text"): "whether a text is a rule timeline no schema can say",
}
"""Operation ("" for any) and field: why a request that fits the schema may be answered 422 `invalid`."""

DATED = {"time"} | {
    name
    for command in COMMANDS.values()
    for name, schema in command.model_json_schema()["properties"].items()
    if '"format": "date' in json.dumps(schema)
}
"""Instants and days: JSON Schema knows their form, and not the years the ledger takes."""


# --- how events are sent --------------------------------------------------------------------------------------------


@schemathesis.serializer(NDJSON)
def _lines(_context: Any, value: object) -> bytes:
    """What was generated, behind lines that are events."""
    examples = [json.dumps(example["value"]) for example in list(event_examples().values())[:3]]
    return "\n".join([*examples, str(value)]).encode("utf-8", "replace")


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """In binary mode the attributes of an event are headers: give them to data that has none."""
    if case.operation.label == EVENTS and case.media_type == JSON:
        attributes = {"specversion": "1.0", "id": f"binary-{abs(hash(str(case.body)))}", "source": "/stations/C01"}
        attributes["type"] = event_type("check-in")
        case.headers.update({f"ce-{name}": value for name, value in attributes.items()})


# --- what is held to be true of every answer ------------------------------------------------------------------------


@schemathesis.check
def a_valid_request_is_refused_for_what_no_schema_can_say(
    _context: CheckContext, response: Response, case: Case[Any]
) -> None:
    """`positive_data_acceptance` lets 422 pass, with which the ledger also refuses facts: here each needs a reason."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    told = response.json()
    label, field = case.operation.label, told["field"]
    ledger_s_own = told["rejection"] in {rejection.code for rejection in Rejection}
    beyond = (label, field) in REASONS or ("", field and field.rpartition(".")[2]) in REASONS
    binary = label == EVENTS and case.media_type == JSON  # which data fits is said by the header ce-type
    dated = field is not None and field.rpartition(".")[2] in DATED
    personal = "looks like a phone" in told["detail"]
    unsound = told["rejection"] == "unsound-rules"
    together = label == EVENTS and told["field"] == "data"
    if not (ledger_s_own or beyond or binary or dated or personal or unsound or together):
        raise AssertionError(f"fits the schema, and is refused: {told['detail']}")


@schemathesis.check
def a_problem_is_one_of_those_that_are_explained(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """Every error has the form and the status of its rule, and says the way out."""
    if response.status_code < 400 or "/readyz" in str(response.request.url):
        return
    told = response.json()
    assert RULES[told["rejection"]].status == response.status_code == told["status"], told
    assert told["detail"], told
    assert told["remedy"], told


@schemathesis.check
def a_503_is_back_pressure(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """A queue that is full says so, and when to come again; nothing else is wrong with the service here."""
    if response.status_code == 503:
        assert response.json()["rejection"] == "too-many-jobs", response.json()
        assert response.headers["retry-after"], response.headers


@schemathesis.check
def each_line_of_a_stream_fits_its_schema(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """OpenAPI 3.1 has no word for lines, so Schemathesis cannot look at them itself."""
    if not response.headers.get("content-type", [""])[0].startswith(NDJSON):
        return
    schemas = case.operation.schema.raw_schema["components"]["schemas"]
    names = ("EventAccepted", "EventRefused", "ProblemDetails") if case.operation.label == EVENTS else ("LoggedEvent",)
    validator = _validator(json.dumps(schemas), names)
    for line in response.content.splitlines():
        validator.validate(json.loads(line))


@cache
def _validator(schemas: str, names: tuple[str, ...]) -> Any:
    places = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return jsonschema_rs.validator_for({"anyOf": places, "components": {"schemas": json.loads(schemas)}})
