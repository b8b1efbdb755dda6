"""Hooks for Schemathesis: how this service's events are sent, and checks that a schema cannot express.

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

LATER = "a schema cannot express the end of the log, or what was published by then"
TOGETHER = "fields depend on one another"
PERIOD = "a period must not end before it begins, or be longer than the limit of one read"
CALENDAR = "a format describes how a day is written, not which days exist"
REASONS: dict[tuple[str, str | None], str] = {
    ("", "known_at"): LATER,
    ("", "at_least"): LATER,
    ("", "rules"): LATER,
    ("", "from"): PERIOD,
    ("", "to"): PERIOD,
    ("", "after"): CALENDAR,
    ("", "shift"): "the nil UUID is one, but the id of no shift",
    ("", "If-Match"): "header and body must not name two versions; at the bounds its quotation marks are not generated",
    ("", "name"): "which characters cannot be seen, Unicode says; the rest of a name's form is no pattern either",
    ("GET /v1/persons", "text"): "one of several parameters must be given; white space is nothing to search for",
    ("GET /v1/persons", "phone"): "a phone number is searched for by its digits, whatever is between them",
    ("GET /v1/persons", "number"): "white space is nothing to search for",
    ("", "fields"): "fields of a requested act, or of a sequel: which exist depends on its type",
    ("POST /v1/commands/correct-shift", None): TOGETHER,
    ("POST /v1/commands/settle-dispute", None): TOGETHER,
    ("POST /v1/commands/issue-certificate", None): TOGETHER,
    ("POST /v1/certificates", None): TOGETHER,
    ("POST /v1/commands/announce-honor", None): TOGETHER,
    ("POST /v1/honors/{honor}/announcements", None): TOGETHER,
    ("POST /v1/honors/{honor}/awards", None): TOGETHER,
    ("POST /v1/honors/{honor}/announcements", "year"): "the rules define which honours are of a year",
    ("POST /v1/honors/{honor}/awards", "year"): "the rules define which honours are of a year",
    ("POST /v1/imports/lines", "mapping"): "a schema cannot express whether a text is a mapping",
    ("POST /v1/imports/lines", "content"): "a schema cannot express whether a file is a table",
    ("POST /v1/imports/lines", "sheet"): "which sheets a file has, its schema does not know",
    ("POST /v1/commands/publish-rules", "text"): "a schema cannot express whether a text is a rule timeline",
    ("POST /v1/what-ifs", "as_if_from"): "rules are tried on the past only if those of the two sides differ",
    (EVENTS, "atomic"): "a stream is not processed as a whole",
    (EVENTS, "text"): "a schema cannot express whether a text is a rule timeline",
    ("POST /v1/rules/candidates", "text"): "a schema cannot express whether a text is a rule timeline",
}
"""By operation ("" for any) and field: why a request that matches the schema may be answered 422 `invalid`."""

DATED = {"time", "valid_at", "from", "to", "day", "before", "awarded_on"} | {
    name
    for command in COMMANDS.values()
    for name, schema in command.model_json_schema()["properties"].items()
    if '"format": "date' in json.dumps(schema)
}
"""Instants and days: JSON Schema checks their format, but not the years that the ledger accepts."""


# --- how events are sent --------------------------------------------------------------------------------------------


@schemathesis.serializer(NDJSON)
def _lines(_context: Any, value: object) -> bytes:
    """Return the generated value after lines that are valid events."""
    examples = [json.dumps(example["value"]) for example in list(event_examples().values())[:3]]
    return "\n".join([*examples, str(value)]).encode("utf-8", "replace")


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Add the headers that hold an event's attributes in binary mode."""
    if case.operation.label == EVENTS and case.media_type == JSON:
        attributes = {"specversion": "1.0", "id": f"binary-{abs(hash(str(case.body)))}", "source": "/stations/C01"}
        attributes["type"] = event_type("check-in")
        case.headers.update({f"ce-{name}": value for name, value in attributes.items()})


# --- checks of every answer -----------------------------------------------------------------------------------------


@schemathesis.check
def a_valid_request_is_refused_only_for_known_reasons(
    _context: CheckContext, response: Response, case: Case[Any]
) -> None:
    """Require a known reason for each 422 to a valid request.

    `positive_data_acceptance` accepts 422, because the ledger also refuses facts with it.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    problem = response.json()
    label, field = case.operation.label, problem["field"]
    by_ledger = problem["rejection"] in {rejection.code for rejection in Rejection}
    beyond = (label, field) in REASONS or ("", field and field.rpartition(".")[2]) in REASONS
    binary = label == EVENTS and case.media_type == JSON  # the header ce-type decides which data is valid
    dated = field is not None and field.rpartition(".")[2] in DATED
    personal = "looks like a phone" in problem["detail"]
    unsound = problem["rejection"] == "unsound-rules"
    dependent = label == EVENTS and problem["field"] == "data"
    if not (by_ledger or beyond or binary or dated or personal or unsound or dependent):
        raise AssertionError(f"matches the schema, but is refused: {problem['detail']}")


@schemathesis.check
def every_error_has_its_status_and_a_remedy(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """Verify that every error has the status of its rule, a detail and a remedy."""
    if response.status_code < 400 or "/readyz" in str(response.request.url):
        return
    problem = response.json()
    assert RULES[problem["rejection"]].status == response.status_code == problem["status"], problem
    assert problem["detail"], problem
    assert problem["remedy"], problem


@schemathesis.check
def a_503_is_back_pressure(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """Verify that a 503 is answered only for a full queue, with a time to retry."""
    if response.status_code == 503:
        assert response.json()["rejection"] == "too-many-jobs", response.json()
        assert response.headers["retry-after"], response.headers


@schemathesis.check
def each_line_of_a_stream_fits_its_schema(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Validate each line. OpenAPI 3.1 cannot describe lines, so Schemathesis does not."""
    if not response.headers.get("content-type", [""])[0].startswith(NDJSON):
        return
    schemas = case.operation.schema.raw_schema["components"]["schemas"]
    names = ("EventAccepted", "EventRefused", "ProblemDetails") if case.operation.label == EVENTS else ("LoggedEvent",)
    validator = _validator(json.dumps(schemas), names)
    for line in response.content.splitlines():
        validator.validate(json.loads(line))


@cache
def _validator(schemas: str, names: tuple[str, ...]) -> Any:
    alternatives = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return jsonschema_rs.validator_for({"anyOf": alternatives, "components": {"schemas": json.loads(schemas)}})
