"""Rules over HTTP: published rules, and candidates to try out.

A candidate is posted as TOML or JSON; it is checked and stored under the SHA-256 of its text. That digest can then be
used as `rules` on every read. A candidate has no other effect until an admin publishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.access.refusals import require
from api.access.roles import Right, forbids_right
from api.axes.candidates import Candidates
from api.axes.written import RULES_FORM, SHOWN_DIGITS
from api.http.media_types import chosen
from api.http.requests.dependencies import CallerDep, PermitDep, ServiceDep, run_check, run_lookup
from api.http.requests.json_routes import JsonRoute
from api.http.requests.readings import candidates_for, rules_for
from api.messages.json_bodies import BYTE_ORDER_MARK, is_json, media_type_of
from api.messages.periods import local_day
from api.messages.problems import MEDIA_TYPE, Problem, details_of, fault, fault_of_validation, problem
from api.operations.service import OpenLedger
from api.operations.sides import CURRENT
from ledger.aggregates.rules import RulesPublished
from ledger.names import stream
from ledger.store.persons import Persons
from projections.compare.header_changes import zone_not_in_force
from projections.rules.checking import check_rules
from projections.rules.dropped_windows import windows_no_longer_in_force
from projections.rules.errors import Finding
from projections.rules.timeline import parse_timeline, rules_digest
from replay.axes.answers import omit_none
from replay.generations.store import NoGenerationError
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.rule_history import Act, acts
from replay.what_if.answers import HeaderChanged, headers_changed
from replay.what_if.day_spans import DaySpan, in_words, past_days

router = APIRouter(prefix="/v1/rules", tags=["rules"], route_class=JsonRoute)

TOML = "application/toml"
_AS_TEXT = {TOML, "text/plain", "text/x-toml"}


class RulesFinding(BaseModel):
    """A finding about a rule timeline: an error makes it unusable; a warning marks a probable mistake."""

    model_config = ConfigDict(from_attributes=True)

    line: int
    key: str
    severity: Literal["error", "warning"]
    sentence: str
    remedy: str


class PublishedRules(BaseModel):
    """A version of the rules, and the event that published it. `in_force`: by the log, the one that is in force now."""

    version: int
    digest: str
    name: str
    holds_from: list[date]
    position: int
    published_at: datetime
    by: str
    in_force: bool


class RulesAct(BaseModel):
    """Rules that were published or put in force: when, by whom, why, and who approved it.

    `in_force_from`: the position from which this act put them in force; null if it only published them. `until` and
    `until_position`: when an act put others in force; null while none did. `text`: the reason in words, for roles that
    may read free texts.
    """

    position: int
    recorded_at: datetime
    act: Literal["published", "put-in-force"]
    version: int
    digest: str
    name: str
    by: str
    approved_by: str | None
    reason: str | None
    text: str | None = omit_none()
    in_force_from: int | None
    until_position: int | None
    until: datetime | None


class RulesHistory(BaseModel):
    """Everything that was done with the rules, the latest first."""

    acts: list[RulesAct]


class StoredCandidate(BaseModel):
    """A stored candidate, which can be named by its digest."""

    digest: str
    by: str
    kept_at: datetime


class RulesKnown(BaseModel):
    """All rules that can be named, the latest first."""

    published: list[PublishedRules]
    candidates: list[StoredCandidate]


class RulesShown(BaseModel):
    """A rule timeline; version 0 means a candidate."""

    version: int
    digest: str
    name: str
    text: str


class CandidateChecked(BaseModel):
    """A candidate that was checked and stored. Its findings are warnings; a candidate with errors is refused.

    `header_changes`: what differs from the rules in force outside the rule sets. `past_days`: the days up to today on
    which it differs from the rules that answer; `note` says how to see the change.
    """

    digest: str
    name: str
    findings: list[RulesFinding]
    header_changes: list[HeaderChanged]
    past_days: list[DaySpan]
    note: str | None = omit_none()


CANDIDATES = "candidates"
"""The last part of the address to which candidates are posted."""


class _Posted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    keep: Annotated[bool, Field(strict=True)] = True


def known_rules(ledger: OpenLedger, candidates: Candidates | None) -> RulesKnown:
    """Return all rules that can be named: published ones, and these candidates."""
    history = acts(ledger.log)
    in_force = next((act.rules.version for act in reversed(history) if act.puts_in_force), None)
    return RulesKnown(
        published=[
            PublishedRules(
                version=one.rules.version,
                digest=one.rules.digest,
                name=one.rules.timeline().name,
                holds_from=[rule_set.holds_from for rule_set in one.rules.timeline().rule_sets],
                position=one.position,
                published_at=datetime.fromtimestamp(one.event.recorded_at, UTC),
                by=one.event.by,
                in_force=one.rules.version == in_force,
            )
            for one in reversed(history)
            if isinstance(one.event, RulesPublished)
        ],
        candidates=[StoredCandidate(**one._asdict()) for one in (candidates.list() if candidates else ())],
    )


def rules_history(ledger: OpenLedger, *, texts: bool) -> RulesHistory:
    """Return what was done with the rules, with the reasons in words if the reader may see free texts."""
    found = acts(ledger.log)
    names = {rules.version: rules.timeline().name for rules in {one.rules for one in found}}
    notes = {note for one in found if (note := getattr(one.event, "note", None))}
    words = Persons(ledger.database.pool).texts(notes) if texts and notes else {}
    return RulesHistory(acts=[_act(one, names[one.rules.version], words) for one in reversed(found)])


def _act(one: Act, name: str, words: Mapping[str, str]) -> RulesAct:
    until_position, until = one.until or (None, None)
    return RulesAct(
        position=one.position,
        recorded_at=datetime.fromtimestamp(one.event.recorded_at, UTC),
        act="published" if isinstance(one.event, RulesPublished) else "put-in-force",
        version=one.rules.version,
        digest=one.rules.digest,
        name=name,
        by=one.event.by,
        approved_by=one.event.approved_by,
        reason=getattr(one.event, "reason", None),
        text=words.get(getattr(one.event, "note", None) or ""),
        in_force_from=one.position if one.puts_in_force else None,
        until_position=until_position,
        until=None if until is None else datetime.fromtimestamp(until, UTC),
    )


def rules_named(ledger: OpenLedger, name: str, find: Callable[[str], Rules]) -> Rules:
    """Return those that answer ("current"), or the rules that are found by a version or a digest.

    Raises:
        api.axes.written.AxisError, replay.generations.store.NoGenerationError
    """
    if name != CURRENT:
        return find(name)
    found = ledger.current_generation()
    return Rules(found.rules_version, found.rules_digest, found.rules_text)


def findings_answer(findings: list[Finding]) -> list[RulesFinding]:
    """Return findings as they appear in answers."""
    return [RulesFinding.model_validate(finding) for finding in findings]


@router.get("", summary="Published rules and candidates")
def rules(service: ServiceDep, caller: CallerDep, _permit: PermitDep) -> RulesKnown:
    """The latest first; each can be used as `rules` on every read, by version or by digest. Candidates are listed for
    keys that may try out rules.
    """
    return known_rules(service.ledger, candidates_for(caller, service.ledger))


@router.get("/history", summary="Which rules were in force, from when to when, by whom and why")
def history(service: ServiceDep, caller: CallerDep, _permit: PermitDep) -> RulesHistory:
    """Every publication, and every act that put published rules in force. The latest first."""
    return rules_history(service.ledger, texts=forbids_right(caller, Right.READ_TEXTS) is None)


@router.get(
    "/{rules}",
    summary="One rule timeline",
    response_model=RulesShown,
    responses={200: {"content": {TOML: {"schema": {"type": "string"}}}}},
)
def one(
    request: Request,
    service: ServiceDep,
    caller: CallerDep,
    _permit: PermitDep,
    rules: Annotated[
        str,
        Path(
            description='A version, a digest or its first 8 or more digits, or "current".',
            max_length=64,
            examples=["current"],
            json_schema_extra={"pattern": f"^current$|{RULES_FORM}"},
        ),
    ],
) -> RulesShown | PlainTextResponse:
    """The timeline with its text; with `Accept: application/toml` only the text."""
    if rules == CANDIDATES:
        detail = "this address supports only POST; see /v1/rules for the candidates"
        raise Problem(fault("wrong-method", detail), {"Allow": "POST"})
    found = rules_named(service.ledger, rules, lambda name: rules_for(caller, service.ledger, name))
    if chosen(request, TOML) == TOML:
        return PlainTextResponse(found.text, media_type=TOML)
    return RulesShown(version=found.version, digest=found.digest, name=found.timeline().name, text=found.text)


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            TOML: {"schema": {"type": "string"}},
            "application/json": {"schema": _Posted.model_json_schema()},
        },
    }
}


@router.post(
    f"/{CANDIDATES}",
    summary="Check and store a candidate",
    status_code=201,
    response_model=CandidateChecked,
    responses={200: {"model": CandidateChecked, "description": "With `keep` false: it was checked, and not stored."}},
    openapi_extra=_BODY,
)
async def post_candidate(
    request: Request,
    response: Response,
    service: ServiceDep,
    caller: CallerDep,
) -> Response | CandidateChecked:
    """Send the TOML itself, or JSON with the TOML as `text`. A candidate with errors is refused with all findings, each
    with its line and remedy. The `digest` of a stored candidate can be used as `rules` on every read. With `keep` false
    in the JSON it is only checked, and the answer is 200.
    """
    require(caller, Right.TRY_RULES)
    posted = await _posted(request)
    text = posted.text
    findings = await run_check(request, lambda: check_against(service.ledger, text))
    if any(finding.severity == "error" for finding in findings):
        return _refused(findings)
    if posted.keep:
        stored = await run_lookup(request, lambda: service.ledger.candidates.store(text, caller.by, findings))
    else:
        stored, response.status_code = Rules(0, rules_digest(text), text), 200
    past = await run_check(request, lambda: past_days_of(service.ledger, text))
    return CandidateChecked(
        digest=stored.digest,
        name=stored.timeline().name,
        findings=findings_answer(findings),
        header_changes=await run_check(request, lambda: headers_of(service.ledger, text)),
        past_days=past,
        note=past_note(past, f'POST /v1/what-ifs with {{"after": {{"rules": "{stored.digest[:SHOWN_DIGITS]}"}}}}'),
    )


def past_days_of(ledger: OpenLedger, text: str) -> list[DaySpan]:
    """Return the days up to today on which sound rules differ from those that answer; none before any answer."""
    try:
        timeline = ledger.current_generation().timeline()
    except NoGenerationError:
        return []
    return past_days(timeline, parse_timeline(text), local_day(ledger.clock(), timeline))


def headers_of(ledger: OpenLedger, text: str) -> list[HeaderChanged]:
    """Return what sound rules change outside the rule sets, against the rules in force; nothing before any."""
    try:
        in_force = published_rules(ledger.log).timeline()
    except NoRulesError:
        return []
    return headers_changed(in_force, parse_timeline(text))


def past_note(past: list[DaySpan], way: str) -> str | None:
    """Return a sentence about past days on which rules differ, and the way to see whose hours change."""
    if not past:
        return None
    begun = f"these rules differ from those that answer on days that have passed: {in_words(past)}"
    return f"{begun}; {way} shows how many hours change, and whose, before you publish"


def check_against(ledger: OpenLedger, text: str) -> list[Finding]:
    """Check rules against a ledger: also whether the projects they name exist, and which windows in force they lack."""

    def known(names: Collection[str]) -> Collection[str]:
        streams = {stream("project", name): name for name in names}
        return {streams[found] for found, events in ledger.log.read_streams(list(streams)).items() if events}

    findings = check_rules(text, known_projects=known)
    if any(finding.severity == "error" for finding in findings):
        return findings
    try:
        in_force = published_rules(ledger.log).timeline()
    except NoRulesError:
        return findings
    told, timeline = {finding.key for finding in findings}, parse_timeline(text)
    dropped = windows_no_longer_in_force(text, timeline, in_force)
    findings += zone_not_in_force(text, timeline, in_force)
    return sorted([*findings, *(one for one in dropped if one.key not in told)], key=lambda one: one.line)


async def _posted(request: Request) -> _Posted:
    """Return what was posted: the text, and whether it is kept."""
    media_type = media_type_of(request.headers.get("content-type", ""))
    body = (await request.body()).removeprefix(BYTE_ORDER_MARK)
    try:
        if is_json(media_type):
            return _Posted.model_validate_json(body)
        if media_type in _AS_TEXT:
            return _Posted(text=body.decode())
    except UnicodeDecodeError:
        raise problem("malformed", "the body is not UTF-8; send UTF-8 text") from None
    except ValidationError as error:
        raise Problem(fault_of_validation(error.errors())) from None
    remedy = f"set the Content-Type header to {TOML} or application/json"
    raise problem("wrong-media-type", f"{media_type or 'no media type'} is not supported here; {remedy}", remedy=remedy)


def _refused(findings: list[Finding]) -> JSONResponse:
    """Return a problem with all findings."""
    errors = [finding for finding in findings if finding.severity == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    refusal = fault("unsound-rules", f"{errors[0]}{more}", field="text", remedy=errors[0].remedy)
    details: dict[str, Any] = details_of(refusal).model_dump(mode="json")
    details["findings"] = [finding.model_dump() for finding in findings_answer(findings)]
    return JSONResponse(details, refusal.rule.status, media_type=MEDIA_TYPE)
