"""The axes of time of a read request, and what they select.

`at_least` lets clients read their own writes: the request waits a moment until the read models include that position.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import date
from typing import Annotated, NamedTuple

from fastapi import Depends, Query
from fastapi.concurrency import run_in_threadpool

from api.access.refusals import require
from api.access.roles import Caller, Right, forbids_right
from api.axes.candidates import Candidates
from api.axes.written import (
    KNOWN_AT_FORM,
    RULES_FORM,
    AxisError,
    UnknownDigestError,
    find_rules,
    known_until,
    position_in,
    read_axes,
)
from api.http.requests.dependencies import CallerDep, PermitDep, ServiceDep
from api.messages.periods import local_day
from api.messages.problems import problem
from api.operations.service import OpenLedger, Service
from ledger.names import POSITION_MAX, Position, QueryDay
from ledger.store.log_queries import LogQueries
from replay.axes import answers
from replay.generations.store import Generation
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Axes

AT_LEAST_SECONDS_MAX = 2.0
_POLL_SECONDS = 0.02


class Reading(NamedTuple):
    """The axes of a read request, with the current generation, which answers if no axis excludes events."""

    axes: Axes
    generation: Generation

    @property
    def rules(self) -> Rules:
        """The rules on which the answer is based."""
        found = self.generation
        return self.axes.rules or Rules(found.rules_version, found.rules_digest, found.rules_text)

    @property
    def known_at(self) -> Position:
        """The last position that the answer includes."""
        return Position(self.generation.position) if self.axes.known_at is None else self.axes.known_at

    def basis(self) -> answers.Basis:
        """Return the basis that every answer repeats: its axes and its position."""
        return answers.Basis(
            valid_at=self.axes.valid_at,
            known_at=self.known_at,
            rules=answers.RulesUsed(
                name=self.rules.timeline().name, version=self.rules.version, digest=self.rules.digest
            ),
            position=self.generation.position,
        )


def today_of(service: Service, reading: Reading) -> date:
    """Return today's date in the time zone of an answer's rules; with `known_at` the day of that."""
    return local_day(reading.axes.instant(service.ledger.clock()), reading.rules.timeline())


async def get_axes(
    service: ServiceDep,
    caller: CallerDep,
    _permit: PermitDep,
    valid_at: Annotated[QueryDay | None, Query(description="Only results dated up to this day.")] = None,
    known_at: Annotated[
        str | None,
        Query(
            description="Only what the ledger knew then: a log position, an ISO 8601 instant with a zone, or a day, "
            "which means its end in the time zone of the rules in force.",
            examples=["1", "2018-12-04T09:00:00+08:00", "2018-12-04"],
            json_schema_extra={"pattern": KNOWN_AT_FORM},
        ),
    ] = None,
    rules: Annotated[
        str | None,
        Query(
            description="Rules: a published version, or a digest or its first 8 or more digits; for keys that may "
            "try out rules, also of a candidate (POST /v1/rules/candidates).",
            max_length=64,
            examples=["1"],
            json_schema_extra={"pattern": RULES_FORM},
        ),
    ] = None,
    at_least: Annotated[
        int | None,
        Query(ge=0, le=POSITION_MAX, description="Wait (at most 2 s) until the answer includes this position."),
    ] = None,
) -> Reading:
    """Return the axes of a read request, as soon as the read models include the requested position.

    Raises:
        Problem: the caller's role may not read under these rules.
    """
    log = service.ledger.log
    position = until = None
    if known_at is not None:
        position = await run_in_threadpool(position_in, log, known_at)
        until = await run_in_threadpool(known_until, log, known_at, position)
    required = [bound for bound in (position, at_least) if bound is not None]
    generation = await _generation_at(service.ledger, max(required, default=0))

    def read() -> Reading:
        if rules is None:
            axes = read_axes(log, valid_at, position, None, known_until=until)
        else:
            axes = Axes(valid_at, position, rules_for(caller, service.ledger, rules), until)
            if axes.rules is not None and axes.rules.digest != generation.rules_digest:
                require_choice(caller, axes.rules, log, position)
        reading = Reading(axes, generation)
        reading.rules.timeline()  # parsed here and cached, because the event loop must not parse what callers sent
        return reading

    return await run_in_threadpool(read)


def require_choice(caller: Caller, rules: Rules, log: LogQueries, position: Position | None) -> None:
    """Require that the caller may read under rules that are not in force now, or that they were at that position.

    The links of an answer about the past name the rules of then, and whoever got them may follow them.
    """
    if position is not None and forbids_right(caller, Right.CHOOSE_RULES):
        with suppress(NoRulesError):
            if published_rules(log, known_at=position).digest == rules.digest:
                return
    require(caller, Right.CHOOSE_RULES)


AxesDep = Annotated[Reading, Depends(get_axes)]


async def _generation_at(ledger: OpenLedger, position: int) -> Generation:
    """Wait until the read models include a position; return the current generation.

    Raises:
        AxisError: the position is beyond the log's last one.
        Problem: the read models did not reach the position in time.
    """
    deadline = time.monotonic() + AT_LEAST_SECONDS_MAX
    while True:
        generation = await run_in_threadpool(ledger.current_generation)
        if generation.position >= position:
            return generation
        if position > (head := await run_in_threadpool(ledger.log.head)):
            sentence = f"at_least {position} is beyond the log's last position, {head}; use one from an answer"
            raise AxisError("at_least", sentence)
        if time.monotonic() > deadline:
            detail = f"the read models are at position {generation.position}, not yet at {position}; send it again"
            raise problem("behind", detail, field="at_least")
        await asyncio.sleep(_POLL_SECONDS)


def candidates_for(caller: Caller, ledger: OpenLedger) -> Candidates | None:
    """Return the candidates, if the caller may see rules that are not published."""
    return None if forbids_right(caller, Right.TRY_RULES) else ledger.candidates


def rules_for(caller: Caller, ledger: OpenLedger, name: str) -> Rules:
    """Return the rules that a caller names by a version or a digest.

    Raises:
        AxisError: there are none.
        Problem: they are not published, and the caller may not see candidates.
    """
    try:
        return find_rules(ledger.log, name, candidates_for(caller, ledger))
    except UnknownDigestError:
        require(caller, Right.TRY_RULES)
        raise
