"""A volunteer's own view, under any axes, computed by the same kernels from the same events as every other answer.

Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import numpy as np

from ledger.names import Position, shift_stream
from ledger.store.database import Database
from projections.kernels.organisations import membership_changes, memberships
from projections.local_time import day_number, day_of_number, months_later
from projections.rules.timeline import Threshold
from projections.schema import (
    COUNTED,
    CREDITED,
    DAY,
    DOUBLE_TAP,
    FIRST,
    IN_DISPUTE,
    NO_DAY,
    NO_INSTANT,
    RAW,
    ROW,
    SCANNED,
    TIERS,
    VOID,
    Array,
    Ints,
)
from replay.axes.answers import HonorReached, VolunteerHours
from replay.axes.as_known import Axes, Known, history_of, read_volunteer
from replay.cohorts.cohort import Shift, person_of
from replay.explain.stretches import rules_on
from replay.explain.traces import is_scanned
from replay.queries.overview_answers import (
    MembershipShown,
    Overview,
    Pending,
    PendingDispute,
    PendingHonor,
    PendingRequest,
    PendingShift,
    PlaceHours,
    Progress,
)
from replay.queries.volunteers import hours_of
from replay.records.awards import Award, fold
from replay.records.belonging import read_tree
from replay.records.case_answers import ActRequest
from replay.records.cases import CaseReader, open_dispute, requests_of
from replay.records.paired_ends import paired_ends

LISTED_MAX = 100
"""At most this many stations, projects, and things of each kind that are pending are listed; all are counted."""


def overview(database: Database, volunteer: str, today: date, axes: Axes) -> Overview:
    """Return a volunteer's own view on `valid_at`, by default `today`.

    Raises:
        replay.axes.as_known.UnknownNameError: no volunteer with this number was registered then.
        store.NoGenerationError
    """
    day = axes.valid_at or today
    known = read_volunteer(database, volunteer, axes)
    history = history_of(database.log, known)
    hours = hours_of(known, axes, history)
    with database.pool.connection() as connection:
        tree = read_tree(connection, Position(known.position))
    tables, names = known.tables, known.cohort.tables
    zone, end_of = known.timeline.time_zone, paired_ends(database, known.rules)
    reader = CaseReader(database.log, known.position, zone, end_of=end_of)
    pieces = tables.pieces(volunteer)
    pieces = pieces[pieces[:, DAY] <= axes.valid_until]
    rows = tables.table.rows[pieces[:, ROW]]
    reached = [honor for honor in hours.honors if honor.reached_on <= day]
    stations = _places(pieces, tables.table.station[pieces[:, ROW]], rows, names.station_names.texts())
    projects = _places(pieces, tables.table.project[pieces[:, ROW]], rows, names.project_names.texts())
    return Overview(
        **known.person_fields(),
        day=day,
        registered_on=hours.registered_on,
        opening_balance=hours.opening_balance,
        more_opening_balances=hours.more_opening_balances,
        total=hours.total,
        years=hours.years,
        stations=stations[:LISTED_MAX],
        station_count=len(stations),
        projects=projects[:LISTED_MAX],
        project_count=len(projects),
        honors=reached,
        progress=list(_progress(known, hours, reached, day)),
        pending=_pending(known, reader, day),
        memberships=[
            MembershipShown(
                organisation=membership.organisation,
                since=membership.since,
                until=None if membership.until == date.max else membership.until,
            )
            for number in known.cohort.persons
            for membership in memberships(
                tree, membership_changes(event for _, event in history if person_of(event) == number)
            )
        ],
        trainings=hours.trainings,
    )


def _places(pieces: Ints, numbers: Ints, rows: Ints, names: list[str]) -> list[PlaceHours]:
    """Sum pieces by station or project, the most credited minutes first."""
    found = [
        _place(names[number] if number >= 0 else None, pieces, rows, np.asarray(numbers == number))
        for number in set(numbers.tolist())
    ]
    return sorted(found, key=lambda place: (-place.credited_minutes, place.name or ""))


def _place(name: str | None, pieces: Ints, rows: Ints, chosen: Array) -> PlaceHours:
    pieces = pieces[chosen]
    shifts, raw, counted, credited = (int(pieces[:, column].sum()) for column in (FIRST, RAW, COUNTED, CREDITED))
    scanned = int(pieces[rows[chosen, SCANNED] == 1, CREDITED].sum())
    return PlaceHours(
        name=name,
        shifts=shifts,
        raw_minutes=raw,
        counted_minutes=counted,
        credited_minutes=credited,
        scanned_minutes=scanned,
        attested_minutes=credited - scanned,
    )


# --- progress to the honours not reached ----------------------------------------------------------------------------


def _progress(known: Known, hours: VolunteerHours, reached: list[HonorReached], day: date) -> Iterator[Progress]:
    """Yield the honours of the rules in force on a day that are not reached on it, in the order of the rules."""
    reached_ids = {each.honor for each in reached}
    dates = {each.honor: each.reached_on for each in hours.honors}
    for honor in rules_on(day, known.timeline).honors:
        if honor.id not in reached_ids:
            yield _missing(known, hours, honor, day, dates.get(honor.id))


def _missing(known: Known, hours: VolunteerHours, honor: Threshold, day: date, reached_on: date | None) -> Progress:
    minutes = hours.total.scanned_minutes if honor.grade == "scanned" else hours.total.credited_minutes
    tenure_on = None
    if honor.tenure_months_min and known.registered != NO_DAY:
        tenure_on = day_of_number(months_later(known.registered, honor.tenure_months_min))
    trained = honor.training_tier_min is None or known.trained(TIERS[honor.training_tier_min]) <= day_number(day)
    of_years = (year.scanned_minutes if honor.grade == "scanned" else year.credited_minutes for year in hours.years)
    active = sum(minutes_of_year >= honor.active_year_minutes_min for minutes_of_year in of_years)
    return Progress(
        honor=honor.id,
        title=honor.title,
        grade=honor.grade,
        credited_minutes_min=honor.credited_minutes_min,
        minutes=minutes,
        minutes_missing=max(0, honor.credited_minutes_min - minutes),
        tenure_on=tenure_on,
        tenure_missing=tenure_on is not None and tenure_on > day,
        training_tier_min=honor.training_tier_min,
        training_missing=not trained,
        active_years_missing=max(0, honor.active_years_min - active),
        reached_on=reached_on,
    )


# --- what is pending ------------------------------------------------------------------------------------------------


def _pending(known: Known, reader: CaseReader, day: date) -> Pending:
    """Return what is pending: shifts, the latest first; requests and honours in order of their positions."""
    columns = known.tables.columns.columns
    is_valid = columns.flags & (VOID | DOUBLE_TAP) == 0
    open_shifts = _latest_first(known, is_valid & (columns.check_in > 0) & (columns.check_out == NO_INSTANT))
    disputes = _latest_first(known, is_valid & (columns.flags & IN_DISPUTE > 0))
    about = {stream for number in known.cohort.persons for stream in reader.log.streams_about(number)}
    histories = sorted(filter(None, reader.histories(about).values()), key=lambda history: history[0][0])
    requests = [request for request in requests_of(reader, histories) if request.state == "open"]
    awards = fold({}, (event for history in histories for _, event in history)).values()
    honors = [award for award in awards if award.state in {"announced", "objected"}]
    return Pending(
        open_shifts=[_shift(known, shift) for shift in open_shifts[:LISTED_MAX]],
        open_shift_count=len(open_shifts),
        disputes=_disputes(known, reader, disputes[:LISTED_MAX], day),
        dispute_count=len(disputes),
        requests=[_request(request) for request in requests[:LISTED_MAX]],
        request_count=len(requests),
        honors=[_honor(award, day) for award in honors[:LISTED_MAX]],
        honor_count=len(honors),
    )


def _latest_first(known: Known, chosen: Array) -> list[Shift]:
    found = [known.tables.columns.shift(row) for row in np.flatnonzero(chosen).tolist()]
    return sorted(found, key=lambda shift: (shift.check_in or 0, shift.shift.int), reverse=True)


def _disputes(known: Known, reader: CaseReader, shifts: list[Shift], day: date) -> list[PendingDispute]:
    histories = reader.histories(shift_stream(shift.volunteer, shift.shift) for shift in shifts)
    found = []
    for shift in shifts:
        dispute = open_dispute(reader, histories.get(shift_stream(shift.volunteer, shift.shift), []), {}, day)
        if dispute is not None:
            found.append(
                PendingDispute(
                    **dict(_shift(known, shift)),
                    opened_at=dispute.opened.at.astimezone(UTC),
                    reason=dispute.opened.reason,
                    answer_due=dispute.answer_due,
                    settle_due=dispute.settle_due,
                    answered_at=dispute.answered and dispute.answered.at.astimezone(UTC),
                    overdue=dispute.overdue,
                    additions=len(dispute.additions),
                )
            )
    return found


def _request(request: ActRequest) -> PendingRequest:
    return PendingRequest(
        request=request.request,
        volunteer=request.volunteer or "",
        act=request.act,
        asked_at=request.asked.at,
        position=request.asked.position,
    )


def _honor(award: Award, day: date) -> PendingHonor:
    return PendingHonor(
        award=award.award,
        honor=award.honor,
        volunteer=award.recipient,
        year=award.year,
        notice_until=award.notice_until,
        running=award.notice_runs(day),
        open_objections=len(award.open_objections),
    )


def _shift(known: Known, shift: Shift) -> PendingShift:
    return PendingShift(
        shift=shift.shift,
        volunteer=known.recorded_under(shift.volunteer),
        station=shift.station,
        check_in=_instant(shift.check_in),
        check_out=_instant(shift.check_out),
        grade="scanned" if is_scanned(shift) else "attested",
    )


def _instant(instant: int | None) -> datetime | None:
    return datetime.fromtimestamp(instant, UTC) if instant else None
