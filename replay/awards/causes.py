"""Causes: why the minutes behind an award are not those that its evidence named.

Three computations by the same kernels, of results dated up to the day of the award (or within the ranking's year):

    then   what was known at the evidence's position, under its rules
    since  what is known now, under the same rules: the difference is what events changed
    now    what is known now, under the rules of today: the difference is what the rules changed

So the two parts sum to the whole. Which events those were, the traces of the volunteer's shifts tell. Nothing here
writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import NamedTuple
from uuid import UUID

from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from replay.awards.answers import Causes, ShiftChange
from replay.awards.standings import honors_held
from replay.axes.answers import VolunteerShifts
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Axes, Queries, UnknownNameError
from replay.rankings.answers import Ranked
from replay.records.awards import Award


class Now(NamedTuple):
    """What an award is judged by: what is known, and the rules."""

    position: Position
    rules: Rules


def causes(queries: Queries, log: LogQueries, award: Award, now: Now) -> Causes:
    """Return why an award's minutes differ, and who stands within the places of a ranking without its honour."""
    evidence = award.awarded
    position = Position(evidence.position) if evidence else now.position
    rules = _rules_then(log, award, now)
    axes = [Axes(None, known_at, used) for known_at, used in ((position, rules), (now.position, rules), now)]
    then, since, today = (_minutes(queries, award, one) for one in axes)
    shifts = _changes(queries, award, axes[0], axes[1]) if award.volunteer and then != since else []
    return Causes(
        minutes_then=then,
        by_events=since - then,
        by_rules=today - since,
        minutes_now=today,
        shifts=shifts,
        positions=_beside(queries, log, award, position, now.position, [one.day for one in shifts]),
        rules_differ=rules.digest != now.rules.digest,
        overtaken_by=_overtaken_by(queries, award, axes[2]),
    )


def _rules_then(log: LogQueries, award: Award, now: Now) -> Rules:
    evidence = award.awarded
    try:
        if evidence is not None and evidence.rules_version:
            return published_rules(log, version=evidence.rules_version)
    except NoRulesError:
        pass
    return now.rules


def _last_day(award: Award) -> date | None:
    """Return the last day whose results an award rests on."""
    return date(award.year, 12, 31) if award.year is not None else award.awarded_on


def _minutes(queries: Queries, award: Award, axes: Axes) -> int:
    """Return the credited minutes up to the day of the award, or of the ranking's year."""
    if award.volunteer is None:
        if award.year is None:
            return 0
        with honors_held(queries, axes, award.year) as held:
            return held.standing(award.honor, award.year, award.recipient)[1]
    try:
        hours = queries.volunteer_hours(award.volunteer, replace(axes, valid_at=_last_day(award)))
    except UnknownNameError:  # nobody had heard of the volunteer
        return 0
    if award.year is None:
        return hours.total.credited_minutes
    return sum(row.credited_minutes for row in hours.years if row.year == award.year)


def _changes(queries: Queries, award: Award, then: Axes, since: Axes) -> list[ShiftChange]:
    """Return the person's shifts whose minutes differ, and those that later events are about: one that keeps its own
    minutes may have taken those of another, which it overlaps.
    """
    try:
        before = _by_shift(queries.volunteer_shifts(award.recipient, then), award)
    except UnknownNameError:
        before = {}
    after = _by_shift(queries.volunteer_shifts(award.recipient, since), award)
    position = then.known_at or 0
    found = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        known = new or old
        if known is None or known.day > (_last_day(award) or date.max):
            continue
        later = [one for one in known.positions if one > position]
        if later or (old.minutes if old else 0) != (new.minutes if new else 0):
            found.append(
                ShiftChange(
                    shift=str(key.shift),
                    volunteer=known.recorded_under,
                    day=known.day,
                    minutes_then=old.minutes if old else 0,
                    minutes_now=new.minutes if new else 0,
                    positions=later,
                )
            )
    return sorted(found, key=lambda one: (one.day, one.shift))


class _Key(NamedTuple):
    """A shift's id is one's own: two numbers of a person may have the same."""

    volunteer: str
    shift: UUID


class _Worth(NamedTuple):
    recorded_under: str | None
    day: date
    minutes: int
    positions: list[int]


def _by_shift(shifts: VolunteerShifts, award: Award) -> dict[_Key, _Worth]:
    """Return what each shift was worth for the award, and the events behind it."""
    last = _last_day(award) or date.max
    found = {}
    for shift in shifts.shifts:
        counted = [piece for piece in shift.pieces if piece.day <= last and award.year in {None, piece.day.year}]
        begun = shift.check_in or shift.first_recorded_at
        day = shift.pieces[0].day if shift.pieces else begun.date()
        minutes = sum(piece.credited for piece in counted)
        key = _Key(shift.volunteer or award.recipient, shift.shift)
        found[key] = _Worth(shift.volunteer, day, minutes, shift.positions)
    return found


def _beside(
    queries: Queries, log: LogQueries, award: Award, since: Position, until: Position, days: Iterable[date]
) -> list[int]:
    """Return later events beside shifts, about any number that was the person's then or is so now: registration,
    merges, training, balances, raises of those days.
    """
    if award.volunteer is None:
        return []
    numbers = {award.volunteer}
    for position in (since, until):
        merged = queries.merged(position)
        numbers |= {number for number in merged if merged[number] == award.holder(merged)} | {award.holder(merged)}
    streams = [stream(kind, number) for number in numbers for kind in ("volunteer", "opening-balance")]
    streams += [stream("day-cap", number, day.isoformat()) for number in numbers for day in dict.fromkeys(days)]
    found = log.positions(streams, until=until)
    return sorted(position for positions in found.values() for position in positions if position > since)


def _overtaken_by(queries: Queries, award: Award, axes: Axes) -> list[Ranked]:
    """Return who is within the places of a ranking's year and does not hold its honour."""
    if award.year is None:
        return []
    with honors_held(queries, axes, award.year) as held:
        known = queries.awards.at(held.position).values()
        holders = {
            one.holder(held.merged)
            for one in known
            if (one.honor, one.year, one.state) == (award.honor, award.year, "awarded")
        }
        return [one for one in held.placed(award.honor, award.year) or () if one.name not in holders]
