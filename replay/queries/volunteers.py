"""Volunteers: hours and shifts of one volunteer, under any axes.

The kernels compute every answer from the shifts of that volunteer alone. Nothing here reads a generation's rows, so all
axes cost about the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import numpy as np

from ledger.aggregates import Event
from ledger.names import Position, instant_text
from ledger.store.log_queries import LogQueries
from projections.local_time import day_of_number
from projections.rules.late_entries import late
from projections.rules.table import honor_ids
from projections.schema import CHECK_OUT_ALONE, CREDITED, DAY, NO_DAY, PUNCH, ROW, Ints, Longs
from replay.axes import answers
from replay.axes.as_known import Axes, Known, MarkError, titles_of
from replay.explain.check_outs_alone import ScansAlone, as_scanned, scans_alone
from replay.explain.evidence import positions_of
from replay.explain.stretches import first_instant
from replay.explain.traces import shift_trace
from replay.queries.trainings import trainings_of


class Period(NamedTuple):
    """A page of the shifts that begin between two local days, both inclusive; None leaves an end open."""

    first: date | None = None
    last: date | None = None
    limit: int | None = None
    after: str | None = None  # `next_after` of the page before


WHOLE = Period()
_NONE: Mapping[str, int] = {}


def hours_of(
    known: Known, axes: Axes, history: Sequence[tuple[Position, Event]], balance_versions: Mapping[str, int] = _NONE
) -> answers.VolunteerHours:
    """Return hours per year and in total, the honours reached, and the training records.

    Args:
        history: the volunteer's events other than those of shifts.
        balance_versions: the versions of the records of opening balances, by volunteer number, if they are to be shown.
    """
    models = known.cohort.read_models(known.timeline, axes.valid_until)
    late_minutes = _late_minutes(known, axes)
    rows = [hours_row(row[1:], late_minutes[row[1]]) for row in models.hours.tolist()]
    ids, titles = honor_ids(known.timeline), titles_of(known.timeline)
    balances = [
        answers.OpeningBalance(
            as_of=day_of_number(person.opening_day),
            minutes=person.opening_minutes,
            version=balance_versions.get(name),
            volunteer=known.recorded_under(name),
        )
        for name, person in known.balances
        if person.opening_day <= axes.valid_until
    ]
    return answers.VolunteerHours(
        **known.person_fields(),
        version=sum(getattr(event, "volunteer", None) == known.volunteer for _, event in history),
        registered_on=day_of_number(known.registered) if known.registered != NO_DAY else None,
        opening_balance=balances[0] if balances else None,
        more_opening_balances=balances[1:] or None,
        total=rows[0] if rows else hours_row([0] * 7, (0, 0)),
        years=rows[1:],
        honors=[
            answers.HonorReached(honor=ids[honor], title=titles[ids[honor]], reached_on=day_of_number(day))
            for _, honor, day in models.standings.tolist()
        ],
        trainings=[record for record in trainings_of(history) if record.completed_on <= (axes.valid_at or date.max)],
    )


def _late_minutes(known: Known, axes: Axes) -> dict[int, tuple[int, int]]:
    """Return the credited minutes of late entries, scanned and attested, by year; year 0 is all years."""
    tables, timeline = known.tables, known.timeline
    pieces = tables.pieces(known.volunteer)
    pieces = pieces[pieces[:, DAY] <= axes.valid_until]
    pieces = pieces[late(tables.columns.columns, timeline)[tables.table.shift[pieces[:, ROW]]]]
    years = pieces[:, DAY].astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    scanned = tables.table.scanned[pieces[:, ROW]] == 1
    found: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for year in {0, *years.tolist()}:
        chosen = (years == year) | (year == 0)
        credited = [int(pieces[chosen & of_grade, CREDITED].sum(dtype=np.int64)) for of_grade in (scanned, ~scanned)]
        found[year] = credited[0], credited[1]
    return found


def hours_row(row: Sequence[int], late_minutes: tuple[int, int]) -> answers.HoursRow:
    """Return a row of hours as an answer.

    Args:
        row: the year (0 for all years), then `HOURS_COLUMNS`.
        late_minutes: scanned and attested.
    """
    year, shifts, raw, counted, credited, scanned, attested = row
    return answers.HoursRow(
        year=year or None,
        shifts=shifts,
        raw_minutes=raw,
        counted_minutes=counted,
        credited_minutes=credited,
        scanned_minutes=scanned,
        attested_minutes=attested,
        late_scanned_minutes=late_minutes[0],
        late_attested_minutes=late_minutes[1],
    )


# --- shifts ---------------------------------------------------------------------------------------------------------


def shifts_of(log: LogQueries, known: Known, axes: Axes, period: Period) -> answers.VolunteerShifts:
    """Return shifts, the latest first, each with its trace and the positions of its events."""
    tables, timeline = known.tables, known.timeline
    last = min(period.last or date.max, axes.valid_at or date.max)
    alone = scans_alone(log, known)
    numbers, more = chosen_shifts(known, period._replace(last=last), alone)
    pieces = tables.pieces(known.volunteer)
    pieces = pieces[pieces[:, DAY] <= axes.valid_until]
    of_shift = tables.table.shift[pieces[:, ROW]] if len(pieces) else np.empty(0, np.int32)
    chosen = np.isin(of_shift, numbers)
    by_shift: dict[int, list[list[int]]] = {}
    for number, piece in zip(of_shift[chosen].tolist(), pieces[chosen].tolist(), strict=True):
        by_shift.setdefault(number, []).append(piece)
    shifts = [tables.columns.shift(number) for number in numbers.tolist()]
    positions = positions_of(log, tables, shifts, known.position)
    are_late = late(tables.columns.columns, timeline)
    return answers.VolunteerShifts(
        **known.person_fields(),
        shifts=[
            shift_trace(
                as_scanned(shift, alone.get(number)),
                by_shift.get(number, []),
                found,
                known.recorded_under(shift.volunteer),
                late=bool(are_late[number]),
            )
            for number, shift, found in zip(numbers.tolist(), shifts, positions, strict=True)
        ],
        next_after=_mark(known, int(numbers[-1]), alone) if more else None,
    )


def chosen_shifts(known: Known, period: Period, alone: ScansAlone) -> tuple[Ints, bool]:
    """Return the rows of the shifts of a period, the latest first, and whether there are more of them.

    A punch that ended a shift is part of that one. A shift begins at its check-in, a check-out or a punch out without
    one at its instant, and anything else without a check-in when it was first recorded. Two numbers of a person may
    each have a shift with the same id, so the volunteer number is the last sort key.
    """
    shifts, zone = known.tables.columns, known.timeline.time_zone
    began, number = _began(known, alone), shifts.names.volunteers.ranks()[shifts.columns.volunteer]
    order = np.lexsort((number, shifts.low, shifts.high, began))[::-1]
    order = order[known.tables.are_shifts[order]]
    last = period.last or date.max
    if last < date.max:
        order = order[began[order] < first_instant(last + timedelta(days=1), zone)]
    if period.first is not None:
        order = order[began[order] >= first_instant(period.first, zone)]
    if period.after is not None:
        instant, shift, volunteer = read_mark(period.after)
        high, low = np.uint64(shift.int >> 64), np.uint64(shift.int & (1 << 64) - 1)
        same = (shifts.high == high) & (shifts.low == low)
        smaller = sum(name < volunteer for name in shifts.names.volunteers.texts())
        earlier = (shifts.high < high) | ((shifts.high == high) & (shifts.low < low)) | (same & (number < smaller))
        follows = (began < instant) | ((began == instant) & earlier)
        order = order[follows[order]]
    more = period.limit is not None and len(order) > period.limit
    return order[: period.limit].astype(np.int32), more


def _began(known: Known, alone: ScansAlone) -> Longs:
    columns = known.tables.columns.columns
    ended = (columns.flags & (PUNCH | CHECK_OUT_ALONE) > 0) & (columns.check_out > 0)
    otherwise = np.where(ended, columns.check_out, columns.recorded_at)
    began = np.where(columns.check_in > 0, columns.check_in, otherwise).astype(np.int64)
    for row, scan in alone.items():
        began[row] = scan.instant
    return began


def _mark(known: Known, number: int, alone: ScansAlone) -> str:
    """Return the mark of a shift that ends a page: "instant/shift", and "/number" if the person has several."""
    shift = known.tables.columns.shift(number)
    under = known.recorded_under(shift.volunteer)
    return f"{instant_text(int(_began(known, alone)[number]))}/{shift.shift}" + (f"/{under}" if under else "")


def read_mark(text: str) -> tuple[int, UUID, str]:
    """Parse the mark of a shift: instant (epoch seconds), shift, and volunteer number ("" if the mark has none).

    Raises:
        MarkError: it is not a mark.
    """
    instant, _, rest = text.partition("/")
    shift, _, volunteer = rest.partition("/")
    try:
        return (
            int(datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()),
            UUID(shift),
            volunteer,
        )
    except ValueError:
        raise MarkError(text) from None
