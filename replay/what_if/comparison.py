"""What-if: two timelines, or two moments of knowledge, compared before anything is published.

If both sides have the same `known_at`, facts are read and shifts ordered once. The comparison itself is one pass of
`projections.compare.differences`. This module adds the names: who gains and who loses by which step of the rules, and
the changes of stations, honours and ranks. Nothing here writes. Answers: replay/what_if/sentences.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from ledger.names import Position
from ledger.store.database import Database
from projections.compare.differences import Differences, differences
from projections.compare.rule_changes import as_if_from as trial
from projections.compare.rule_changes import conditions_on
from projections.compare.sides import AFTER, BEFORE, TRACE_COLUMNS, Side
from projections.compare.window_effects import window_names, window_numbers
from projections.kernels.facts import Facts
from projections.kernels.pairing import pair
from projections.local_days import local_days
from projections.local_time import day_number, day_of_number
from projections.rules.late_entries import service_ended
from projections.rules.table import honor_ids, rule_table
from projections.rules.timeline import RuleTimeline
from projections.schema import NO_DAY, NO_INSTANT, NONE, Ints, Longs
from replay.archive.archive import Archive
from replay.generations import store
from replay.progress import Progress, ignore
from replay.published import Rules, published_rules
from replay.queries.queries import Axes
from replay.what_if.rank_changes import RankChange, rank_changes

ZONE_STEP: Final = "time_zone"
"""The step of a time zone that changes: what the same rules and facts earn in the other zone."""
STEPS = {
    "raw": 1,
    "superseded": -1,
    "too_short": -1,
    "clipped": -1,
    "overlapped": -1,
    "capped": -1,
    "factor_change": 1,
    "rounding": -1,
    "opening_balance": 1,
}
"""The steps of the rules that add (1) or subtract (-1) credited minutes: columns of the trace that sum to them."""
_CREDITED = TRACE_COLUMNS.index("credited")


@dataclass(frozen=True)
class Point:
    """One side: the facts as known at a position, and rules."""

    facts: Facts
    rules: Rules
    known_at: Position
    tried: RuleTimeline | None = None
    """The rules as if they held from another day (`trial`); None for the rules as they are written."""

    @property
    def timeline(self) -> RuleTimeline:
        """The rules of this side."""
        return self.tried or self.rules.timeline()

    def last_service(self) -> date | None:
        """Return the last local day of known service; None without any. Service is not later than its recording."""
        ended = service_ended(self.facts.shifts)
        known = ended != NO_INSTANT
        if not known.any():
            return None
        latest = np.minimum(ended[known], self.facts.shifts.recorded_at[known]).max(keepdims=True)
        return day_of_number(int(local_days(latest, self.timeline.time_zone)[0]))


class Reasons(NamedTuple):
    """The steps that changed credited minutes, by rows of `Differences.volunteers`; a row sums to the change.

    steps: for each column the step of the rules, and the name of the factor if it is one. minutes: int64[n, steps].
    """

    steps: list[tuple[str, str | None]]
    minutes: Longs


@dataclass(frozen=True)
class Comparison:
    """Two replays compared, with the names behind the numbers."""

    before: Point
    after: Point
    valid_at: date | None
    found: Differences
    volunteers: Sequence[str]
    stations: Sequence[str]
    projects: Sequence[str]
    honors: Sequence[str]
    windows: Sequence[str]
    ranks: Sequence[RankChange]
    as_if_from: date | None = None
    left_out: tuple[date, ...] = ()
    """From when the changed rule sets hold that are not tried as if from that day."""
    in_zone: Differences | None = None
    """If the time zones differ: what differs between the rules before in the time zone after, and those after."""

    @property
    def zone_changes(self) -> bool:
        """Whether the two sides have different time zones."""
        return self.before.timeline.time_zone != self.after.timeline.time_zone

    @cached_property
    def changes(self) -> Longs:
        """The change of credited minutes of the volunteers in `found.volunteers`, int64[n]."""
        traces = self.found.traces[:, :, _CREDITED]
        return np.asarray(traces[:, AFTER] - traces[:, BEFORE])

    @cached_property
    def by_change(self) -> Ints:
        """The rows of `found.volunteers`, the greatest change first, then by number."""
        names = np.array([self.volunteers[number] for number in self.found.volunteers.tolist()], "S")
        return np.lexsort((names, -np.abs(self.changes))).astype(np.int32)

    @cached_property
    def reasons(self) -> Reasons:
        """The steps that changed the minutes of each volunteer who differs, in the order of the rules.

        If the time zones differ, every day has other minutes, which caps and windows then take or give. So what the
        zone alone changes is a step of its own, the last one, and the others are those between the rules in one zone.
        """
        if self.in_zone is None:
            return self._steps_of(self.found)
        steps, minutes = self._steps_of(self.in_zone)
        columns = [*steps, (ZONE_STEP, None)]
        found = np.zeros((len(self.found.volunteers), len(columns)), np.int64)
        _, rows, of_zone = np.intersect1d(
            self.found.volunteers, self.in_zone.volunteers, assume_unique=True, return_indices=True
        )
        found[rows, :-1] = minutes[of_zone]
        found[:, -1] = self.changes - found.sum(axis=1)
        return Reasons(columns, found)

    def _steps_of(self, differing: Differences) -> Reasons:
        traces = differing.traces
        change = dict(zip(TRACE_COLUMNS, (traces[:, AFTER] - traces[:, BEFORE]).T, strict=True))
        # Windows are in hundredths of minutes, and whole ones: the fractions were cut off for each piece.
        windows = np.fix(differing.windows / 100).astype(np.int64)
        columns: list[tuple[tuple[str, str | None], Longs]] = []
        for step, sign in STEPS.items():
            if step == "factor_change":
                columns += [((step, name), windows[:, at]) for at, name in enumerate(self.windows)]
            elif step == "rounding":
                columns.append(((step, None), change["factor_change"] - windows.sum(axis=1) - change[step]))
            else:
                columns.append(((step, None), sign * change[step]))
        return Reasons([step for step, _ in columns], np.stack([minutes for _, minutes in columns], axis=1))

    @cached_property
    def person_numbers(self) -> tuple[Ints, Ints]:
        """The person's number of each number, before and after; int32[volunteers] each."""
        found = []
        for point in (self.before, self.after):
            person_of, numbers = point.facts.person_of(), np.arange(len(self.volunteers), dtype=np.int32)
            if person_of is not None:
                numbers[: len(person_of)] = person_of
            found.append(numbers)
        return found[BEFORE], found[AFTER]

    def conditions_differ(self, honor: str, day: date) -> bool:
        """Return whether an honour requires something else on a day than before."""
        return conditions_on(self.before.timeline, honor, day) != conditions_on(self.after.timeline, honor, day)


def what_if(
    before: Point,
    after: Point,
    *,
    valid_at: date | None = None,
    as_if_from: date | None = None,
    threads: int | None = None,
    progress: Progress = ignore,
) -> Comparison:
    """Compare two replays of results dated up to `valid_at`.

    The facts of both sides must come from one log, so that equal surrogates mean equal names.

    Args:
        as_if_from: the day from which the new rules of `after` are tried; None for the day that they name.

    Raises:
        ValueError: there is a day, and both sides have the same rules.
    """
    left_out: tuple[date, ...] = ()
    if as_if_from is not None:
        tried, left_out = trial(before.timeline, after.timeline, as_if_from)
        after = replace(after, tried=tried)
    timelines = before.timeline, after.timeline
    honors = list(dict.fromkeys(honor for timeline in timelines for honor in honor_ids(timeline)))
    windows = window_names(timelines)
    threads = threads or os.cpu_count() or 1
    names = _names(before.facts, after.facts)
    progress("ordering shifts", 0, 0)
    facts = before.facts, after.facts
    ordered = [before.facts.ordered(before.facts.resolved(), threads=threads)]
    ordered.append(
        ordered[0] if after.facts is before.facts else after.facts.ordered(after.facts.resolved(), threads=threads)
    )

    def side(number: int, timeline: RuleTimeline) -> Side:
        rules = rule_table(timeline, names.projects)
        return Side(
            pair(ordered[number], facts[number].resolved(), rules, threads=threads).table,
            facts[number].volunteer_table(),
            facts[number].station_kinds(timeline),
            rules,
            honors=_places(honors, timeline),
            window_names=window_numbers(timeline, windows),
        )

    def differing(one: Side, other: Side) -> Differences:
        return differences(
            one,
            other,
            (before.facts.served_counts(), after.facts.served_counts()),
            len(names.projects),
            threads=threads,
            valid_until=NO_DAY if valid_at is None else day_number(valid_at),
            advance=lambda done, total: progress("comparing volunteers", done, total),
        )

    of_after = side(AFTER, timelines[AFTER])
    found = differing(side(BEFORE, timelines[BEFORE]), of_after)
    in_zone = None
    if timelines[BEFORE].time_zone != timelines[AFTER].time_zone:
        moved = timelines[BEFORE].model_copy(update={"time_zone": timelines[AFTER].time_zone})
        in_zone = differing(side(BEFORE, moved), of_after)
    progress("ranking", 0, 0)
    ranks = rank_changes(found, timelines, [*names.volunteers], [*names.projects])
    return Comparison(
        before=before,
        after=after,
        valid_at=valid_at,
        found=found,
        volunteers=[*names.volunteers],
        stations=[*names.stations],
        projects=[*names.projects],
        honors=honors,
        windows=windows,
        ranks=ranks,
        as_if_from=as_if_from,
        left_out=left_out,
        in_zone=in_zone,
    )


class _Names(NamedTuple):
    """The names known to either side, with their surrogates."""

    volunteers: Mapping[str, int]
    stations: Mapping[str, int]
    projects: Mapping[str, int]


def _names(before: Facts, after: Facts) -> _Names:
    found = []
    for kind in _Names._fields:
        fewer, more = sorted((getattr(facts, kind).number for facts in (before, after)), key=len)
        if fewer is not more and any(more.get(name) != number for name, number in fewer.items()):
            raise ValueError(f"the surrogates of {kind} differ between the two sides: they are not facts of one log")
        found.append(more)
    return _Names(*found)


def _places(honors: Sequence[str], timeline: RuleTimeline) -> Ints:
    """Return the row of each honour in a timeline's HonorTable, or `NONE`."""
    known = honor_ids(timeline)
    return np.array([known.index(honor) if honor in known else NONE for honor in honors], np.int32)


# --- reading the archive --------------------------------------------------------------------------------------------


def points(
    database: Database, archive: Archive, sides: tuple[Axes, Axes], progress: Progress = ignore
) -> tuple[Point, Point]:
    """Read the facts and rules of two sides. `known_at` defaults to the position of the read models; `rules` default to
    the current ones, or with `known_at` to those known then.

    Raises:
        NoGenerationError, NoRulesError; ArchiveError: the archive cannot be read.
    """
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
    if generation is None:
        raise store.NoGenerationError
    progress("bringing the archive up to date", 0, 0)
    archive.bring_up_to_date(database)
    known: dict[int, Facts] = {}
    found = []
    for axes in sides:
        position = Position(generation.position) if axes.known_at is None else axes.known_at
        rules = axes.rules
        if rules is None and axes.known_at is None:
            rules = Rules(generation.rules_version, generation.rules_digest, generation.rules_text)
        elif rules is None:
            rules = published_rules(database.log, known_at=position)
        if position not in known:
            progress("reading the archive", 0, 0)
            known[position] = archive.facts_from(database, position)
        found.append(Point(known[position], rules, position))
    return found[BEFORE], found[AFTER]
