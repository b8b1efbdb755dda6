"""Spot checks (Order 67, Art. 21): random samples of shifts to be checked in the field, which anybody can draw again.

The population is all shifts, as known at a position, that are not void and have a check-in; it can be restricted to a
station, a period, a grade. The seed determines the sample (replay/audit/samples.py). The answer names the population
and the method. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import numpy as np
from pydantic import Field

from ledger.names import Position, shift_stream
from ledger.store.database import Database
from projections.anomalies.recording import scanned
from projections.kernels.facts import Facts
from projections.kernels.station_kinds import kinds_on
from projections.local_days import local_days
from projections.local_time import day_number
from projections.rules.late_entries import late
from projections.rules.timeline import RuleTimeline
from projections.schema import DOUBLE_TAP, NO_DAY, NO_INSTANT, STATION_KINDS, VOID, Array
from replay.archive.archive import Archive
from replay.audit.samples import METHOD, allot, hash_of, smallest
from replay.axes.answers import Answer, Basis, Grade, Linked, ProjectName, StationName, omit_none
from replay.axes.as_known import Axes, UnknownNameError, basis_of, position_known, rules_used, snapshot
from replay.progress import checkpoint, with_checkpoints

Strata = Literal["none", "station-kind", "grade"]
SEED_FORM = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""The form of a seed. It has to be typed again to draw the sample again."""
_KINDS = {bit: kind for kind, bit in STATION_KINDS.items()}
_GRADES: tuple[Grade, Grade] = ("attested", "scanned")
_WHOLE = "all"


class Draw(NamedTuple):
    """A sample to be drawn: its seed and size, and the population: station, local days of the check-in, grade."""

    seed: str
    size: int
    station: str | None = None
    first: date | None = None
    last: date | None = None
    grade: Grade | None = None
    strata: Strata = "none"


class SampleTooSmallError(ValueError):
    """A sample has fewer shifts than the population has strata, so it cannot hold one of each."""

    def __init__(self, size: int, strata: Strata, names: Sequence[str]) -> None:
        by = "kinds of stations" if strata == "station-kind" else "grades"
        super().__init__(
            f"size {size} is too small for the {len(names)} {by} of these shifts ({', '.join(names)}): every one has "
            f"to be in the sample; draw at least {len(names)}, or draw without strata"
        )


class Stratum(Answer):
    """A part of the population, and how many shifts were drawn from it."""

    stratum: str
    population: int
    drawn: int


class SampledShift(Linked):
    """A shift to be checked. `minutes`: as recorded, before any rule; null without a check-out."""

    number: int
    stratum: str
    volunteer: str
    shift: UUID
    station: str | None
    station_name: StationName = omit_none()
    station_kind: str | None
    project: str | None
    project_name: ProjectName = omit_none()
    check_in: datetime
    check_out: datetime | None
    minutes: int | None
    grade: Grade
    late: bool
    hash: str
    positions: list[int]


class SpotCheck(Basis):
    """A sample, and everything needed to draw it again: the seed, the population, and `known_at`."""

    seed: str
    size: int
    method: str
    station: str | None
    station_name: StationName = omit_none()
    first_day: Annotated[date | None, Field(description="Check-ins from this local day on.")]
    last_day: Annotated[date | None, Field(description="Check-ins up to this local day.")]
    grade: Grade | None
    strata: Strata
    population: int
    parts: list[Stratum]
    shifts: list[SampledShift]


class SpotChecks:
    """Draws samples from one ledger."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive

    def draw(self, query: Draw, axes: Axes) -> SpotCheck:
        """Return a sample, by stratum and hash.

        Raises:
            UnknownNameError: the ledger does not know the station. store.NoGenerationError.
            SampleTooSmallError
            replay.archive.archive.ArchiveError
        """
        with snapshot(self._database) as (_, generation):
            rules, known_at = rules_used(self._database.log, axes, generation), position_known(axes, generation)
            basis = basis_of(axes, rules, generation)
        checkpoint()
        facts, timeline = self._archive.facts_from(self._database, known_at), rules.timeline()
        facts = replace(facts, shifts=facts.paired(facts.rules(timeline)).shifts)
        if query.station is not None and query.station not in facts.stations.number:
            raise UnknownNameError("station", query.station)
        rows = np.flatnonzero(_population(facts, timeline, query, axes.valid_until))
        ids = _ids(facts, rows)
        volunteers = facts.volunteers.texts()
        owners = facts.shifts.volunteer[rows].tolist()
        hashes = [
            hash_of(query.seed, volunteers[owner], shift)
            for owner, shift in with_checkpoints(zip(owners, ids, strict=True))
        ]
        strata = _strata(facts, timeline, rows, query.strata)
        populations = {name: strata.count(name) for name in sorted(set(strata))}
        if query.size < len(populations):
            raise SampleTooSmallError(query.size, query.strata, list(populations))
        shares = allot(populations, query.size)
        chosen: list[int] = []
        for name, share in with_checkpoints(shares.items(), every=1):
            members = [place for place, stratum in enumerate(strata) if stratum == name]
            chosen += [members[place] for place in smallest([hashes[member] for member in members], share)]
        sampled = _Sampled(facts, timeline, rows, ids, hashes, strata)
        return SpotCheck(
            **dict(basis),
            seed=query.seed,
            size=query.size,
            method=METHOD,
            station=query.station,
            first_day=query.first,
            last_day=query.last,
            grade=query.grade,
            strata=query.strata,
            population=len(rows),
            parts=[Stratum(stratum=name, population=populations[name], drawn=share) for name, share in shares.items()],
            shifts=self._with_positions(sampled.answers(chosen), known_at),
        )

    def _with_positions(self, shifts: list[SampledShift], known_at: Position) -> list[SampledShift]:
        streams = [shift_stream(shift.volunteer, shift.shift) for shift in shifts]
        positions = self._database.log.positions(streams, until=known_at)
        return [
            shift.model_copy(update={"positions": positions[stream]})
            for shift, stream in zip(shifts, streams, strict=True)
        ]


def _population(facts: Facts, timeline: RuleTimeline, query: Draw, valid_until: int) -> Array:
    """Return bool[shifts]: the shifts of the population."""
    shifts = facts.shifts
    found: Array = (shifts.flags & (VOID | DOUBLE_TAP) == 0) & (shifts.check_in != NO_INSTANT)
    if query.station is not None:
        found &= shifts.station == facts.stations.number[query.station]
    if query.grade is not None:
        found &= scanned(shifts) == (query.grade == "scanned")
    last = min(day_number(query.last) if query.last else NO_DAY, valid_until)
    if query.first is not None or last != NO_DAY:
        day = local_days(shifts.check_in, timeline.time_zone)
        found &= (day >= (day_number(query.first) if query.first else 0)) & (day <= last)
    return found


def _ids(facts: Facts, rows: Array) -> list[str]:
    """Return the ids of shifts as text."""
    if not len(rows):
        return []
    high, low = facts.shift_keys(rows.astype(np.int32))
    digits = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    texts = (digits[at : at + 32] for at in range(0, len(digits), 32))
    return [f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" for text in texts]


def _kinds(facts: Facts, timeline: RuleTimeline, rows: Array) -> list[str | None]:
    """Return the kind of each shift's station on the local day of its check-in."""
    days = local_days(facts.shifts.check_in[rows], timeline.time_zone)
    kinds = kinds_on(facts.shifts.station[rows], days, facts.station_kinds(timeline))
    return [_KINDS.get(kind) for kind in kinds.tolist()]


def _strata(facts: Facts, timeline: RuleTimeline, rows: Array, by: Strata) -> list[str]:
    """Return the stratum of each shift."""
    if by == "grade":
        return [_GRADES[grade] for grade in scanned(facts.shifts)[rows].astype(int).tolist()]
    if by == "station-kind":
        return [kind or "unknown" for kind in _kinds(facts, timeline, rows)]
    return [_WHOLE] * len(rows)


class _Sampled:
    """Makes answers of drawn shifts. `rows`: the population; `ids`, `hashes` and `strata`: the same shifts in order."""

    def __init__(
        self,
        facts: Facts,
        timeline: RuleTimeline,
        rows: Array,
        ids: list[str],
        hashes: list[str],
        strata: list[str],
    ) -> None:
        self._facts, self._rows, self._ids, self._hashes, self._strata = facts, rows, ids, hashes, strata
        self._volunteers, self._stations = facts.volunteers.texts(), facts.stations.texts()
        self._projects, self._timeline = facts.projects.texts(), timeline
        self._late, self._scanned = late(facts.shifts, timeline), scanned(facts.shifts)

    def answers(self, places: list[int]) -> list[SampledShift]:
        """Return the drawn shifts, numbered from one; their positions are still empty."""
        kinds = _kinds(self._facts, self._timeline, self._rows[places])
        numbered = enumerate(zip(places, kinds, strict=True), 1)
        return [self._answer(number, place, kind) for number, (place, kind) in numbered]

    def _answer(self, number: int, place: int, station_kind: str | None) -> SampledShift:
        shifts, row = self._facts.shifts, int(self._rows[place])
        check_in, check_out = int(shifts.check_in[row]), int(shifts.check_out[row])
        station, project = int(shifts.station[row]), int(shifts.project[row])
        return SampledShift(
            number=number,
            stratum=self._strata[place],
            volunteer=self._volunteers[shifts.volunteer[row]],
            shift=UUID(self._ids[place]),
            station=self._stations[station] if station >= 0 else None,
            station_kind=station_kind,
            project=self._projects[project] if project >= 0 else None,
            check_in=datetime.fromtimestamp(check_in, UTC),
            check_out=datetime.fromtimestamp(check_out, UTC) if check_out != NO_INSTANT else None,
            minutes=check_out // 60 - check_in // 60 if check_out != NO_INSTANT else None,
            grade=_GRADES[int(self._scanned[row])],
            late=bool(self._late[row]),
            hash=self._hashes[place],
            positions=[],
        )
