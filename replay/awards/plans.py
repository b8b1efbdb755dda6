"""Plans: the commands that announce an honour, or award it, with their evidence taken from the read models.

Officers name an honour and perhaps one recipient; rules, position, minutes, day or rank come from here. A plan changes
nothing: whoever asked gives its commands to the ledger, which has the last word on each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from ledger.aggregates.honor import AnnounceHonor, AwardHonor
from replay.awards.reports import last_awards
from replay.awards.standings import HonorsHeld, Kind, Reached, honors_held
from replay.axes.answers import Basis
from replay.queries.queries import NOW, Queries
from replay.records.awards import Award


class PlanError(Exception):
    """What was asked for cannot be planned; the sentence says why. `field`: what in the request is at fault."""

    def __init__(self, rejection: Literal["not-eligible", "invalid"], field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rejection = rejection
        self.field = field


class PassedBy(NamedTuple):
    """Somebody for whom nothing is done, and why."""

    recipient: str
    award: str
    why: str


class Step(NamedTuple):
    """A command, and for whom it is."""

    recipient: str
    command: AnnounceHonor | AwardHonor


class Plan(NamedTuple):
    """Steps in their order, who is passed by, and how many more there would be behind the limit."""

    basis: Basis
    steps: list[Step]
    passed_by: list[PassedBy]
    left: int


class Wish(NamedTuple):
    """What an officer asks for: one recipient, or all. `limit`: commands at most."""

    honor: str
    year: int | None
    recipient: str | None
    limit: int = 1000


def plan_announcements(queries: Queries, wish: Wish, today: date) -> Plan:
    """Plan to announce an honour for one who has reached it, or for all who have and for whom it never was.

    Raises:
        PlanError: the one named has not reached it, or it stands already; a ranking's year is missing.
        UnknownNameError: the rules have no such honour, or not for that year.
    """
    with honors_held(queries, NOW, wish.year) as held:
        kind = _kind(held, wish)
        known = queries.awards.now()
        last = last_awards(known.values(), wish.honor, kind.year, held.merged)
        wanted = _wanted(wish, kind, held.merged)
        reached = held.reached(wish.honor, kind.year, today)
        basis = held.opened.basis
    if wanted is not None:
        reached = [_the_one(reached, wanted, wish)]
        if (standing := last.get(wanted)) and standing.stands:
            sentence = f"{wish.honor} stands for {wish.recipient} already: award {standing.award} is {standing.state}"
            raise PlanError("not-eligible", "honor", sentence)
        last = {}
    passed = [
        PassedBy(one.name, award.award, f"was {award.state}; to announce it anew, name {one.name}")
        for one in reached
        if (award := last.get(one.name)) and not award.stands
    ]
    due = [one for one in reached if one.name not in last]
    steps = [Step(one.name, _announcement(one, wish, kind, basis, known)) for one in due[: wish.limit]]
    return Plan(basis, steps, passed, max(len(due) - wish.limit, 0))


def plan_awards(queries: Queries, wish: Wish, today: date, awarded_on: date | None = None) -> Plan:
    """Plan to award what was announced: to one recipient, or to all whose notice has ended with no objection.

    The evidence is found anew: whoever has not reached the honour any more is passed by.

    Raises:
        PlanError, UnknownNameError: as above.
    """
    with honors_held(queries, NOW, wish.year) as held:
        kind = _kind(held, wish)
        known = queries.awards.now().values()
        merged = held.merged
        reached = {one.name: one for one in held.reached(wish.honor, kind.year, today)}
        basis = held.opened.basis
    of_honor = [one for one in known if (one.honor, one.year) == (wish.honor, kind.year)]
    held_by = {one.holder(merged): one.award for one in of_honor if one.state == "awarded"}
    announced = [one for one in of_honor if one.state in {"announced", "objected", "rejected"}]
    wanted = _wanted(wish, kind, merged)
    if wanted is not None:
        # Whatever is in the way of the one who is named, the ledger says under its own name.
        announced = [one for one in announced if one.holder(merged) == wanted]
        if not announced:
            sentence = f"{wish.honor} is not announced for {wish.recipient}; announce it first"
            raise PlanError("not-eligible", "honor", sentence)
        _the_one([*reached.values()], wanted, wish)
    else:
        announced = [one for one in announced if one.state == "announced" and not one.notice_runs(today)]
    passed, due = [], []
    for one in announced:
        holder = one.holder(merged)
        if holder not in reached:
            passed.append(PassedBy(one.recipient, one.award, "has not reached it any more; revoke it"))
        elif holder in held_by:  # two numbers of one person, for each of which it was announced
            why = f"is for the same person as {held_by[holder]}; revoke it"
            passed.append(PassedBy(one.recipient, one.award, why))
        else:
            held_by[holder] = one.award
            due.append((one, reached[holder]))
    day = awarded_on or today
    steps = [Step(one.recipient, _award(one, found, basis, day)) for one, found in due[: wish.limit]]
    return Plan(basis, steps, passed, max(len(due) - wish.limit, 0))


def _kind(held: HonorsHeld, wish: Wish) -> Kind:
    kind = held.kind(wish.honor, wish.year)
    if kind.year is not None and wish.year is None:
        raise PlanError("invalid", "year", f"{wish.honor} is of a year; name the year")
    if kind.year is None and wish.year is not None:
        raise PlanError("invalid", "year", f"{wish.honor} is of no year; leave the year out")
    return kind


def _wanted(wish: Wish, kind: Kind, merged: Mapping[str, str]) -> str | None:
    """Return under which name rows hold the one who is named: of a volunteer, the number that goes on."""
    if wish.recipient is None or kind.of == "projects":
        return wish.recipient
    return merged.get(wish.recipient, wish.recipient)


def _the_one(reached: Sequence[Reached], wanted: str, wish: Wish) -> Reached:
    found = next((one for one in reached if one.name == wanted), None)
    if found is None:
        of_year = f" of {wish.year}" if wish.year is not None else ""
        sentence = f"{wish.recipient} has not reached {wish.honor}{of_year}; see who is eligible"
        raise PlanError("not-eligible", "honor", sentence)
    return found


def _announcement(one: Reached, wish: Wish, kind: Kind, basis: Basis, known: Mapping[str, Award]) -> AnnounceHonor:
    named = [wish.honor, *([str(kind.year)] if kind.year is not None else []), one.name]
    recipient = {"volunteer" if kind.of == "volunteers" else "project": one.name}
    return AnnounceHonor(
        award=_free("-".join(named), known), honor=wish.honor, year=kind.year, **recipient, **_evidence(one, basis)
    )


def _free(name: str, known: Mapping[str, Award]) -> str:
    """Return the id of an award that was not used yet: the name, or with the next number behind it."""
    number, found = 1, name
    while found in known:
        number += 1
        found = f"{name}-{number}"
    return found


def _award(award: Award, one: Reached, basis: Basis, day: date) -> AwardHonor:
    return AwardHonor(award=award.award, awarded_on=day, **_evidence(one, basis))


def _evidence(one: Reached, basis: Basis) -> dict[str, Any]:
    return {
        "rules_version": basis.rules.version,
        "evidence_position": basis.known_at,
        "credited_minutes": one.credited_minutes,
        "reached_on": one.reached_on,
        "rank": one.rank,
    }
