"""`hours overview`: a volunteer's own view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from api.cli.options import AxesTexts, Json, data_of, with_axes
from api.cli.output import Hours, place, print_json, print_table
from api.cli.readers.queries import local, opening_balances, print_basis, reading, timeline_used, today
from replay.axes.answers import HoursRow
from replay.queries.overview import overview as overview_of
from replay.queries.overview_answers import Overview, PendingDispute, PendingShift, PlaceHours, Progress

_MINUTES = ("shifts", "raw", "counted", "credited", "scanned", "attested")


@with_axes
def overview(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show what a volunteer sees: hours, progress to the next honours, what is pending, memberships, trainings."""
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(overview_of(ledger.database, number, today(ledger, axes), axes))
        zone = ZoneInfo(timeline_used(ledger, axes).time_zone)
    if as_json:
        print_json(found)
        return
    rows: list[Sequence[object]] = [("all", "", *_cells(found.total))]
    rows += [("year", str(row.year), *_cells(row)) for row in found.years]
    rows += [("station", place(one.name, one.place_name), *_cells(one)) for one in found.stations]
    rows += [("project", place(one.name, one.place_name) or "none", *_cells(one)) for one in found.projects]
    balances = opening_balances(found)
    caption = f"of which {'; '.join(balances)}" if balances else ""
    title = f"Volunteer {number} on {found.day}, registered {found.registered_on}: hours:minutes"
    print_table(title, ("", "", *_MINUTES), rows, caption)
    honors = [(one.title, f"reached on {one.reached_on}") for one in found.honors]
    honors += [(one.title, _missing(one)) for one in found.progress]
    print_table("Honours", ("honour", ""), honors)
    _print_rest(found, zone)
    print_basis(found)


def _print_rest(found: Overview, zone: ZoneInfo) -> None:
    pending: list[tuple[str, PendingShift]] = [("no check-out", one) for one in found.pending.open_shifts]
    pending += [(_disputed(one), one) for one in found.pending.disputes]
    if pending:
        shown = [
            (what, local(one.check_in, zone), place(one.station, one.station_name), one.shift) for what, one in pending
        ]
        print_table("Pending", ("", "check-in", "station", "shift"), shown)
    if found.pending.requests:
        requests = [(one.act, local(one.asked_at, zone), one.request) for one in found.pending.requests]
        print_table("Waiting for approval", ("act", "requested", "request"), requests)
    if found.pending.honors:
        announced = [
            (one.honor, str(one.year or ""), one.notice_until, one.open_objections, one.award)
            for one in found.pending.honors
        ]
        print_table("Announced", ("honour", "year", "notice until", "open objections", "award"), announced)
    if found.memberships:
        rows = [(place(one.organisation, one.organisation_name), one.since, one.until) for one in found.memberships]
        print_table("Member of", ("organisation", "since", "until"), rows)
    if found.trainings:
        trainings = [
            (
                one.completed_on,
                one.tier,
                one.content,
                Hours(one.learning_minutes),
                place(one.provider, one.provider_name),
                one.voided,
            )
            for one in found.trainings
        ]
        print_table("Trainings", ("day", "tier", "content", "learning", "provider", "voided"), trainings)


def _disputed(dispute: PendingDispute) -> str:
    """Say why a shift is in dispute, and what is due next."""
    why = f"in dispute ({dispute.reason})" if dispute.reason else "in dispute"
    due = dispute.settle_due if dispute.answered_at else dispute.answer_due
    step = "settlement" if dispute.answered_at else "answer"
    return f"{why}, {step} due on {due}" if due else why


def _cells(row: HoursRow | PlaceHours) -> tuple[object, ...]:
    minutes = (row.raw_minutes, row.counted_minutes, row.credited_minutes, row.scanned_minutes, row.attested_minutes)
    return (row.shifts, *map(Hours, minutes))


def _missing(progress: Progress) -> str:
    """Return what is missing for an honour: hours, years, training, tenure."""
    scanned = "scanned " if progress.grade == "scanned" else ""
    missing = [f"{Hours(progress.minutes_missing)} more {scanned}hours"] if progress.minutes_missing else []
    missing += [f"{progress.active_years_missing} more active years"] if progress.active_years_missing else []
    missing += [f"training: {progress.training_tier_min}"] if progress.training_missing else []
    missing += [f"time, until {progress.tenure_on}"] if progress.tenure_missing else []
    return ", ".join(missing) or "nothing"
