"""The kernels' results in the oracle's form, so that the two can be held against one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from uuid import UUID

import numpy as np

from ledger.aggregates import Event
from projections.kernels.facts import FactsBuilder
from projections.kernels.read_models import compute, pieces_of
from projections.local_time import day_number, day_of_number
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from projections.schema import (
    CAPPED,
    CLIPPED,
    COUNTED,
    CREDITED,
    DAY,
    FIRST,
    NO_DAY,
    OVERLAPPED,
    RAW,
    ROW,
    SHARE,
    SUPERSEDED,
    TOO_SHORT,
)
from tests.support.oracle.histories import Case, as_text
from tests.support.oracle.oracle import Hours, OracleResult, Piece, ProjectMonth, StationDay


def kernel_results(
    events: Sequence[Event], timeline: RuleTimeline, *, valid_at: date | None = None, threads: int = 1
) -> OracleResult:
    """Credit a history with the kernels."""
    builder = FactsBuilder()
    for position, event in enumerate(events, 1):
        builder.add(position, event)
    facts = builder.facts()
    shifts = builder.shifts()
    volunteers, stations, projects = (names.texts() for names in (facts.volunteers, facts.stations, facts.projects))
    rules = facts.rules(timeline)
    table, people, person_of = facts.paired(rules).table, facts.volunteer_table(), facts.person_of()
    valid_until = NO_DAY if valid_at is None else day_number(valid_at)
    models = compute(
        table,
        people,
        facts.station_kinds(timeline),
        rules,
        facts.served_counts(),
        threads=threads,
        valid_until=valid_until,
    )

    def piece(row: Sequence[int]) -> Piece:
        at = row[ROW]
        volunteer, shift = shifts[table.shift[at]]
        number = facts.volunteers.number[volunteer]
        assert isinstance(shift, UUID)
        assert table.number[at] == number
        return Piece(
            volunteer=volunteer,
            person=volunteer if person_of is None else volunteers[person_of[number]],
            shift=shift,
            station=stations[table.station[at]] if table.station[at] >= 0 else None,
            project=projects[table.project[at]] if table.project[at] >= 0 else None,
            day=day_of_number(row[DAY]),
            first=bool(row[FIRST]),
            raw=row[RAW],
            superseded=row[SUPERSEDED],
            too_short=row[TOO_SHORT],
            clipped=row[CLIPPED],
            overlapped=row[OVERLAPPED],
            capped=row[CAPPED],
            counted=row[COUNTED],
            share=row[SHARE],
            credited=row[CREDITED],
            scanned=bool(table.scanned[at]),
        )

    pieces = [
        piece(row)
        for volunteer in sorted(volunteers)
        for row in pieces_of(
            facts.volunteers.number[volunteer], table, people, facts.station_kinds(timeline), rules
        ).tolist()
        if row[DAY] <= valid_until
    ]
    hours = {
        (volunteers[row[0]], row[1]): Hours(row[2], row[3], row[4], row[5], row[6], row[7], opening=0)
        for row in models.hours.tolist()
    }
    for number, volunteer in enumerate(volunteers):
        mine = range(people.balances[number], people.balances[number + 1])
        minutes = [int(people.balance_minutes[row]) for row in mine if people.balance_day[row] <= valid_until]
        if minutes:
            whole = hours[volunteer, 0]
            hours[volunteer, 0] = Hours(
                whole.shifts,
                whole.raw,
                whole.counted,
                whole.credited,
                whole.scanned,
                whole.attested,
                opening=minutes[-1],
            )
    honors = honor_ids(timeline)
    return OracleResult(
        pieces=pieces,
        hours=hours,
        stations={
            (stations[station], day_of_number(models.first_day + day)): StationDay(
                *models.stations[station, day].tolist()
            )
            for station in range(len(stations))
            for day in range(models.stations.shape[1])
            if models.stations[station, day].any()
        },
        standings={
            (volunteers[volunteer], honors[honor]): day_of_number(day)
            for volunteer, honor, day in models.standings.tolist()
        },
        projects={
            (projects[project], models.first_year + year, month): ProjectMonth(
                *models.projects[project, year, month].tolist()
            )
            for project, year, month in np.argwhere(models.projects.any(axis=3)).tolist()
        },
    )


def assert_equal(found: OracleResult, expected: OracleResult, case: Case) -> None:
    """Compare table by table, so that a failure shows where the two part."""
    for table in fields(OracleResult):
        assert getattr(found, table.name) == getattr(expected, table.name), f"{table.name} of\n{as_text(case.events)}"
