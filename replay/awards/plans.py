"""Plans: the commands that announce or award an honour, with their evidence from the read models.

Officers name an honour and optionally one recipient. The plan adds the evidence: rules, position, minutes, day or rank.
A plan changes nothing: the caller submits its commands to the ledger, which decides each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from ledger.aggregates.honor import AnnounceHonor, AwardHonor
from replay.awards.eligibility import last_awards
from replay.awards.standings import HonorStandings, Kind, Reached, open_standings
from replay.axes.answers import Basis
from replay.progress import with_checkpoints
from replay.queries.queries import NOW, Queries
from replay.records.awards import Award


class PlanError(Exception):
    """The request cannot be planned; the message says why. `field`: the field of the request that is wrong."""

    def __init__(self, rejection: Literal["not-eligible", "invalid"], field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rejection = rejection
        self.field = field


class Skipped(NamedTuple):
    """A recipient who is passed by, and why."""

    recipient: str
    award: str
    why: str


class Step(NamedTuple):
    """A command and its recipient."""

    recipient: str
    command: AnnounceHonor | AwardHonor


class Plan(NamedTuple):
    """The steps in order, the recipients passed by, and how many more steps the limit left out."""

    basis: Basis
    steps: list[Step]
    passed_by: list[Skipped]
    left: int


class PlanRequest(NamedTuple):
    """What to plan: an honour for one recipient, or for all if `recipient` is None. `limit`: commands at most."""

    honor: str
    year: int | None
    recipient: str | None
    limit: int = 1000


def plan_announcements(queries: Queries, request: PlanRequest, today: date) -> Plan:
    """Plan to announce an honour for one recipient who has reached it, or for all for whom it was never announced.

    Raises:
        PlanError: the named recipient has not reached it; it was already announced; the year of a ranking is missing.
        UnknownNameError: the rules have no such honour, or not for that year.
    """
    with open_standings(queries, NOW, request.year) as standings:
        kind = _kind(standings, request)
        known = queries.awards.now()
        last = last_awards(known.values(), request.honor, kind.year, standings.merged)
        name = _row_name(request, kind, standings.merged)
        reached = standings.reached(request.honor, kind.year, today)
        basis = standings.reader.basis
    if name is not None:
        reached = [_require_reached(reached, name, request)]
        if (award := last.get(name)) and award.is_active:
            sentence = f"{request.honor} was already announced for {request.recipient}: {award.award} is {award.state}"
            raise PlanError("not-eligible", "honor", sentence)
        last = {}
    skipped = [
        Skipped(each.name, award.award, f"was {award.state}; to announce it again, name {each.name}")
        for each in reached
        if (award := last.get(each.name)) and not award.is_active
    ]
    due = [each for each in reached if each.name not in last]
    steps = [
        Step(each.name, _announcement(each, request, kind, basis, known))
        for each in with_checkpoints(due[: request.limit])
    ]
    return Plan(basis, steps, skipped, max(len(due) - request.limit, 0))


def plan_awards(queries: Queries, request: PlanRequest, today: date, awarded_on: date | None = None) -> Plan:
    """Plan to award an announced honour: to one recipient, or to all whose notice has ended without an open objection.

    The evidence is computed again: recipients who no longer reach the honour are passed by.

    Raises:
        PlanError, UnknownNameError: as for `plan_announcements`.
    """
    with open_standings(queries, NOW, request.year) as standings:
        kind = _kind(standings, request)
        known = queries.awards.now().values()
        merged = standings.merged
        reached = {each.name: each for each in standings.reached(request.honor, kind.year, today)}
        basis = standings.reader.basis
    of_honor = [award for award in known if (award.honor, award.year) == (request.honor, kind.year)]
    held_by = {award.holder(merged): award.award for award in of_honor if award.state == "awarded"}
    announced = [award for award in of_honor if award.state in {"announced", "objected", "rejected"}]
    name = _row_name(request, kind, merged)
    if name is not None:
        # Running notices and objections are left to the ledger, which rejects the command and names the reason.
        announced = [award for award in announced if award.holder(merged) == name]
        if not announced:
            sentence = f"{request.honor} is not announced for {request.recipient}; announce it first"
            raise PlanError("not-eligible", "honor", sentence)
        _require_reached([*reached.values()], name, request)
    else:
        announced = [award for award in announced if award.state == "announced" and not award.notice_runs(today)]
    skipped, due = [], []
    for award in with_checkpoints(announced):
        holder = award.holder(merged)
        if holder not in reached:
            skipped.append(Skipped(award.recipient, award.award, "no longer reaches it; revoke it"))
        elif holder in held_by:  # it was announced for two numbers of one person
            why = f"is for the same person as {held_by[holder]}; revoke it"
            skipped.append(Skipped(award.recipient, award.award, why))
        else:
            held_by[holder] = award.award
            due.append((award, reached[holder]))
    day = awarded_on or today
    steps = [Step(award.recipient, _award(award, evidence, basis, day)) for award, evidence in due[: request.limit]]
    return Plan(basis, steps, skipped, max(len(due) - request.limit, 0))


def _kind(standings: HonorStandings, request: PlanRequest) -> Kind:
    kind = standings.kind(request.honor, request.year)
    if kind.year is not None and request.year is None:
        raise PlanError("invalid", "year", f"{request.honor} is awarded for a year; name the year")
    if kind.year is None and request.year is not None:
        raise PlanError("invalid", "year", f"{request.honor} is not awarded for a year; leave the year out")
    return kind


def _row_name(request: PlanRequest, kind: Kind, merged: Mapping[str, str]) -> str | None:
    """Return the name of the requested recipient in rows: of a volunteer, the person's number."""
    if request.recipient is None or kind.of == "projects":
        return request.recipient
    return merged.get(request.recipient, request.recipient)


def _require_reached(reached: Sequence[Reached], name: str, request: PlanRequest) -> Reached:
    found = next((each for each in reached if each.name == name), None)
    if found is None:
        of_year = f" of {request.year}" if request.year is not None else ""
        sentence = f"{request.recipient} has not reached {request.honor}{of_year}; see who is eligible"
        raise PlanError("not-eligible", "honor", sentence)
    return found


def _announcement(
    reached: Reached, request: PlanRequest, kind: Kind, basis: Basis, known: Mapping[str, Award]
) -> AnnounceHonor:
    parts = [request.honor, *([str(kind.year)] if kind.year is not None else []), reached.name]
    recipient = {"volunteer" if kind.of == "volunteers" else "project": reached.name}
    return AnnounceHonor(
        award=_unused_id("-".join(parts), known),
        honor=request.honor,
        year=kind.year,
        **recipient,
        **_evidence(reached, basis),
    )


def _unused_id(name: str, known: Mapping[str, Award]) -> str:
    """Return an unused award id: the name, or the name with the next number appended."""
    number, found = 1, name
    while found in known:
        number += 1
        found = f"{name}-{number}"
    return found


def _award(award: Award, reached: Reached, basis: Basis, day: date) -> AwardHonor:
    return AwardHonor(award=award.award, awarded_on=day, **_evidence(reached, basis))


def _evidence(reached: Reached, basis: Basis) -> dict[str, Any]:
    return {
        "rules_version": basis.rules.version,
        "evidence_position": basis.known_at,
        "credited_minutes": reached.credited_minutes,
        "reached_on": reached.reached_on,
        "rank": reached.rank,
    }
