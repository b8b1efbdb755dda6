"""Causes: why the minutes of an award differ from those that its evidence names.

The same kernels compute three results, dated up to the day of the award (or within the year of the ranking):

    then   as known at the position of the evidence, under its rules
    since  as known now, under the same rules: the difference is what events changed
    now    as known now, under today's rules: the difference is what the rules changed

So the two differences sum to the total. The events are found by the traces of the volunteer's shifts. Nothing here
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
from replay.awards.standings import open_standings
from replay.axes.answers import VolunteerShifts
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Axes, Queries, UnknownNameError
from replay.rankings.answers import Ranked
from replay.records.awards import Award


class Now(NamedTuple):
    """The position and the rules by which awards are judged now."""

    position: Position
    rules: Rules


def causes(queries: Queries, log: LogQueries, award: Award, now: Now) -> Causes:
    """Return why an award's minutes differ, and who is within the places of its ranking without holding the honour."""
    evidence = award.awarded
    position = Position(evidence.position) if evidence else now.position
    rules = _rules_then(log, award, now)
    axes = [Axes(None, known_at, used) for known_at, used in ((position, rules), (now.position, rules), now)]
    then, since, today = (_minutes(queries, award, each) for each in axes)
    shifts = _shift_changes(queries, award, axes[0], axes[1]) if award.volunteer and then != since else []
    return Causes(
        minutes_then=then,
        by_events=since - then,
        by_rules=today - since,
        minutes_now=today,
        shifts=shifts,
        positions=_other_positions(queries, log, award, position, now.position, [shift.day for shift in shifts]),
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
    """Return the last day whose results count for an award."""
    return date(award.year, 12, 31) if award.year is not None else award.awarded_on


def _minutes(queries: Queries, award: Award, axes: Axes) -> int:
    """Return the credited minutes up to the day of the award, or those of the ranking's year."""
    if award.volunteer is None:
        if award.year is None:
            return 0
        with open_standings(queries, axes, award.year) as standings:
            _, minutes = standings.rank_and_minutes(award.honor, award.year, award.recipient)
            return minutes
    try:
        hours = queries.volunteer_hours(award.volunteer, replace(axes, valid_at=_last_day(award)))
    except UnknownNameError:  # the volunteer was not yet known
        return 0
    if award.year is None:
        return hours.total.credited_minutes
    return sum(row.credited_minutes for row in hours.years if row.year == award.year)


def _shift_changes(queries: Queries, award: Award, then: Axes, since: Axes) -> list[ShiftChange]:
    """Return the person's shifts whose minutes differ, and those with later events: a shift whose own minutes are equal
    may overlap another whose minutes changed.
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
        later = [later for later in known.positions if later > position]
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
    return sorted(found, key=lambda change: (change.day, change.shift))


class _Key(NamedTuple):
    """A shift id is unique per volunteer number only: two numbers of a person may have the same id."""

    volunteer: str
    shift: UUID


class _ShiftMinutes(NamedTuple):
    recorded_under: str | None
    day: date
    minutes: int
    positions: list[int]


def _by_shift(shifts: VolunteerShifts, award: Award) -> dict[_Key, _ShiftMinutes]:
    """Return the minutes of each shift that count for the award, and the positions of its events."""
    last = _last_day(award) or date.max
    found = {}
    for shift in shifts.shifts:
        counted = [piece for piece in shift.pieces if piece.day <= last and award.year in {None, piece.day.year}]
        begun = shift.check_in or shift.first_recorded_at
        day = shift.pieces[0].day if shift.pieces else begun.date()
        minutes = sum(piece.credited for piece in counted)
        key = _Key(shift.volunteer or award.recipient, shift.shift)
        found[key] = _ShiftMinutes(shift.volunteer, day, minutes, shift.positions)
    return found


def _other_positions(
    queries: Queries, log: LogQueries, award: Award, since: Position, until: Position, days: Iterable[date]
) -> list[int]:
    """Return the positions of later events other than those of shifts, about any number that the person had then or has
    now: registration, merges, training, opening balances, and raises of these days.
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
    """Return who is within the places of a ranking's year without holding its honour."""
    if award.year is None:
        return []
    with open_standings(queries, axes, award.year) as standings:
        known = queries.awards.at(standings.position).values()
        holders = {
            other.holder(standings.merged)
            for other in known
            if (other.honor, other.year, other.state) == (award.honor, award.year, "awarded")
        }
        return [ranked for ranked in standings.placed(award.honor, award.year) or () if ranked.name not in holders]
