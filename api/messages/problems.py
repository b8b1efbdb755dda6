"""Problems: every error a caller sees, as `application/problem+json` (RFC 9457).

Each names the rule that was broken (`rejection`), the `field` at fault if there is one, what to do about it
(`remedy`), and whether the same request may succeed later (`retry`). `type` is an address of this service that explains
the rule. Internal details are not disclosed: they go to the error log.

    Problem   the exception; a Starlette HTTPException, so that it passes through the framework
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ledger.rejections import Refused, Rejection
from ledger.sentences import what_is_wrong

MEDIA_TYPE = "application/problem+json"
REJECTION = "hours.rejection"
"""The key in a request's scope that holds the name of the problem it was answered with, for the log."""


@dataclass(frozen=True)
class Rule:
    """What can be wrong with a request: the HTTP status, the title, the remedy, and whether a retry can help."""

    status: int
    title: str
    remedy: str
    retry: bool = False


def _of_rejection(rejection: Rejection) -> Rule:
    title, _, remedy = rejection.sentence.partition("; ")
    return Rule(_status(rejection), title, remedy or title, rejection.retry)


def _status(rejection: Rejection) -> int:
    if rejection is Rejection.FAILED:
        return 500
    if rejection is Rejection.CHANGED_SINCE:
        return 412
    if rejection.code.startswith("unknown-"):
        return 404
    wrong_in_itself = {
        Rejection.NAME_TAKEN,
        Rejection.FUTURE,
        Rejection.ENDS_BEFORE_IT_BEGINS,
        Rejection.LASTS_TOO_LONG,
        Rejection.SAME_VOLUNTEER,
        Rejection.NO_EVIDENCE,
        Rejection.WRONG_RECIPIENT,
        Rejection.WRONG_YEAR,
        Rejection.BELOW_MINIMUM,
        Rejection.BEHIND_LAST_PLACE,
    }
    if rejection in {Rejection.OWN_HONOR, Rejection.OWN_CERTIFICATE, Rejection.SAME_HANDS}:
        return 403
    return 422 if rejection in wrong_in_itself else 409


_REQUESTS = {
    "malformed": Rule(400, "the body is not JSON", "send JSON as UTF-8"),
    "not-http": Rule(400, "the request is not valid HTTP/1.1", "correct the program that sends it"),
    "no-key": Rule(401, "no API key was sent, or it is unknown or revoked", "send `Authorization: Bearer <key>`"),
    "not-signed": Rule(401, "requests with this key must be signed", "sign it; see docs/access.md"),
    "bad-signature": Rule(401, "the signature of the request is not valid", "sign it again; see docs/access.md"),
    "too-often": Rule(
        429,
        "the key exceeds its request rate",
        "send fewer requests, or several events in one request",
        retry=True,
    ),
    "forbidden": Rule(403, "the key's role does not allow this", "use a key of another role"),
    "no-such-address": Rule(404, "this address does not exist", "see /docs for all addresses"),
    "not-acceptable": Rule(406, "no media type of this answer is accepted", "name one that the detail lists in Accept"),
    "unknown-job": Rule(404, "no job has this id", "see /v1/jobs for the known jobs"),
    "unknown-generation": Rule(404, "no generation has this id", "see /v1/generations for all generations"),
    "unknown-event": Rule(404, "the log has no event at this position", "see /v1/status for its last position"),
    "unknown-person": Rule(
        404, "the directory has no data of this volunteer", "check the number; erased data do not come back"
    ),
    "unknown-ranking": Rule(404, "the rules have no ranking with this id for that year", "see /v1/rankings"),
    "not-eligible": Rule(409, "the honour is not due to this recipient now", "see who is eligible for the honour"),
    "not-explained": Rule(422, "the day has more shifts than are explained", "list the shifts of that day"),
    "wrong-method": Rule(405, "this address does not support this method", "use a method that the Allow header names"),
    "stopped": Rule(409, "the work was stopped; nothing was changed", "start it again"),
    "not-switchable": Rule(409, "this generation cannot be switched to", "build another one"),
    "overtaken": Rule(
        409,
        "a generation under newer rules was switched to meanwhile",
        "build it again if the older rules are still needed",
        retry=True,
    ),
    "generation-in-use": Rule(409, "this generation cannot be dropped", "switch to another one first"),
    "too-large": Rule(413, "the request is too large", "send fewer elements at a time"),
    "too-slow": Rule(408, "the request did not arrive in time", "send it again, faster or in parts", retry=True),
    "url-too-long": Rule(414, "the address of the request is too long", "send a shorter one"),
    "headers-too-large": Rule(431, "the headers of the request are too large or too many", "send fewer headers"),
    "wrong-media-type": Rule(415, "the media type of the body is not supported", "set the Content-Type header"),
    "invalid": Rule(422, "a value in the request is not valid", "correct the field"),
    "unsound-rules": Rule(422, "the rules cannot be used", "correct the lines that the findings name"),
    "failed": Rule(500, "the ledger failed; the failure is in its error log", "tell the ledger's operator", retry=True),
    "not-verified": Rule(500, "the generation built does not agree with the log", "tell the ledger's operator"),
    "archive-disagrees": Rule(
        503,
        "the archive disagrees with the log, so nothing that rests on both is computed",
        "tell the ledger's operator; `hours status` names the position",
    ),
    "too-many-jobs": Rule(503, "too many jobs are waiting", "start it later", retry=True),
    "too-many-connections": Rule(503, "the server has too many connections", "send it again", retry=True),
    "timed-out": Rule(
        503,
        "the computation took longer than allowed, and was stopped",
        "ask for less at a time, or have the what-if computed as a job with `Prefer: respond-async`",
    ),
    "busy": Rule(503, "the ledger has too many requests at once", "send it again", retry=True),
    "behind": Rule(503, "the read models have not reached that position", "send it again", retry=True),
    "not-covered": Rule(503, "no checkpoint covers this event yet", "send it again in a minute", retry=True),
    "no-checkpoint": Rule(404, "no checkpoint was signed yet", "wait until events are recorded", retry=True),
    "no-read-models": Rule(503, "there are no read models yet", "run `hours rebuild`", retry=True),
    "locked": Rule(503, "another session holds a lock of the ledger", "send it again", retry=True),
    "disk-full": Rule(
        503, "the database's disk is full; nothing was recorded", "send it again when there is space", retry=True
    ),
    "unavailable": Rule(503, "the database cannot be reached", "send it again", retry=True),
}
RULES: dict[str, Rule] = {**{rejection.code: _of_rejection(rejection) for rejection in Rejection}, **_REQUESTS}
"""Every problem by name: the rejections of commands, and the other problems of requests."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one command, whether it becomes a whole response or one answer of a batch."""

    rejection: str
    field: str | None
    detail: str
    remedy: str
    retry: bool = False
    candidates: tuple[UUID, ...] = ()
    expected_version: int | None = None
    actual_version: int | None = None

    @property
    def rule(self) -> Rule:
        """The rule that was broken."""
        return RULES[self.rejection]


def fault(rejection: str, detail: str | None = None, *, field: str | None = None, remedy: str | None = None) -> Fault:
    """Return a fault; the detail and the remedy default to the rule's."""
    rule = RULES[rejection]
    return Fault(rejection, field, detail or rule.title, remedy or rule.remedy, rule.retry)


def fault_of_refusal(refused: Refused) -> Fault:
    """Return the ledger's refusal of a command as a fault."""
    code = refused.rejection.code
    return Fault(
        code,
        refused.field,
        refused.detail,
        RULES[code].remedy,
        refused.retry,
        expected_version=refused.expected_version,
        actual_version=refused.actual_version,
    )


Version = Annotated[int | None, Field(exclude_if=lambda version: version is None)]


class ProblemDetails(BaseModel):
    """RFC 9457, with the members this service adds. `expected_version` and `actual_version`: of a record that has
    changed since the command was based on it.
    """

    type: str
    title: str
    status: int
    detail: str
    rejection: str
    field: str | None
    remedy: str
    retry: bool
    candidates: list[UUID]
    expected_version: Version = None
    actual_version: Version = None


class Problem(HTTPException):
    """An exception that ends the request with a fault."""

    def __init__(self, fault: Fault, headers: Mapping[str, str] | None = None) -> None:
        self.fault = fault
        super().__init__(fault.rule.status, fault.detail, _headers(fault, headers))


def problem(
    rejection: str, detail: str | None = None, *, field: str | None = None, remedy: str | None = None
) -> Problem:
    """Return a problem to raise; the detail and the remedy default to the rule's."""
    return Problem(fault(rejection, detail, field=field, remedy=remedy))


def details_of(fault: Fault) -> ProblemDetails:
    """Return a fault as callers see it."""
    return ProblemDetails(
        type=f"/problems/{fault.rejection}",
        title=fault.rule.title,
        status=fault.rule.status,
        **{**asdict(fault), "candidates": list(fault.candidates)},
    )


class ProblemResponse(JSONResponse):
    """A problem as a response; sending it puts its name into the request's scope."""

    rejection: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        scope[REJECTION] = self.rejection
        await super().__call__(scope, receive, send)


def response(fault: Fault, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """Return a fault as a response."""
    result = ProblemResponse(
        details_of(fault).model_dump(mode="json"),
        fault.rule.status,
        headers=_headers(fault, headers),
        media_type=MEDIA_TYPE,
    )
    result.rejection = fault.rejection
    return result


_RETRY_AFTER_SECONDS = {"disk-full": "10"}  # the operator has to free space


def _headers(fault: Fault, headers: Mapping[str, str] | None) -> dict[str, str]:
    result = dict(headers or {})
    if fault.rule.status == 401:
        result.setdefault("WWW-Authenticate", "Bearer")
    if fault.rule.status == 503:
        result.setdefault("Retry-After", _RETRY_AFTER_SECONDS.get(fault.rejection, "1"))
    return result


# --- validation errors of pydantic ----------------------------------------------------------------------------------


def fault_of_validation(errors: Sequence[Any], *, prefix: str = "") -> Fault:
    """Return the first of pydantic's errors as a fault whose detail names the field.

    Args:
        errors: as `ValidationError.errors()` lists them.
        prefix: the field that holds the validated object, with a dot.
    """
    error = errors[0]
    kind = error["type"]
    malformed = kind == "json_invalid"
    places = () if malformed else tuple(str(part) for part in error["loc"] if part not in _PLACES)
    field = (prefix + ".".join(places)).rstrip(".")
    wrong = what_is_wrong(error)
    sentence = f"{field or 'the body'} {wrong}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return fault(
        "malformed" if malformed else "invalid",
        sentence + more,
        field=field or None,
        remedy=wrong.remedy or wrong.predicate.partition("; ")[2] or None,
    )


_PLACES = {"body", "query", "path", "header", "cookie"}
"""Locations of values: FastAPI puts them before the name of the field."""
