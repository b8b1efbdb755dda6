"""Reports of `hours honors`: awards, public notices, eligible volunteers, awards that are undercut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from pydantic import TypeAdapter, ValidationError

from api.cli.options import AxesTexts, Json, KnownAt, ValidAt, data_of, refuse_idle, with_axes
from api.cli.output import Hours, more, place, print_json, print_table, wall
from api.cli.readers.queries import print_basis, reading, today
from api.operations.usage_errors import UsageError
from replay.awards import reports
from replay.awards.answers import AsGiven, AwardAnswer, Causes, EvidenceNamed, Undercut
from replay.awards.eligibility import eligible as eligible_for
from replay.awards.paging import Page
from replay.awards.reports import AwardFilter
from replay.records.awards import State

Award = Annotated[str, typer.Argument(help="The award's id.", metavar="AWARD")]
Honor = Annotated[str, typer.Argument(help="A threshold's or a ranking's id.")]
Year = Annotated[int | None, typer.Option(min=2000, max=2099, help="The year of a ranking.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Entries at most.")]
After = Annotated[str | None, typer.Option(help="Continue after this entry.")]
OfHonor = Annotated[str | None, typer.Option(help="Only of this honour.")]
For = Annotated[str | None, typer.Option("--for", help="Only for this volunteer or project.")]

_state: TypeAdapter[State] = TypeAdapter(State)


def _award_filter(honor: str | None, year: int | None, recipient: str | None, state: str | None) -> AwardFilter:
    try:
        return AwardFilter(honor, year, recipient, None if state is None else _state.validate_python(state))
    except ValidationError:
        raise UsageError(
            f"--state {state} is not a state of an award; use announced, objected, rejected, awarded or revoked"
        ) from None


@with_axes
def list_awards(
    context: typer.Context,
    *,
    honor: OfHonor = None,
    year: Year = None,
    recipient: For = None,
    state: Annotated[
        str | None, typer.Option(help="Only announced, objected, rejected, awarded or revoked ones.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """List awards with their states."""
    refuse_idle(context, "on what was announced and awarded", "rules")
    award_filter = _award_filter(honor, year, recipient, state)
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(reports.awards(ledger.queries, axes, award_filter, Page(limit, after)))
    if as_json:
        print_json(found)
        return
    rows = [(*_award_cells(one), one.state, one.notice_until, one.awarded_on) for one in found.awards]
    columns = ("award", "honour", "for", "year", "state", "notice until", "awarded on")
    print_table(f"{found.count} awards", columns, rows, more(found.next_after))
    print_basis(found)


def _award_cells(award: AwardAnswer) -> tuple[object, ...]:
    return award.award, award.honor, _recipient(award), str(award.year or "")


def _recipient(award: AwardAnswer) -> str | None:
    named = award.volunteer or place(award.project, award.project_name)
    return f"{named}, now {award.goes_on_as}" if award.goes_on_as else named


def notices(
    context: typer.Context,
    *,
    limit: Limit = 100,
    after: After = None,
    valid_at: ValidAt = None,
    known_at: KnownAt = None,
    as_json: Json = False,
) -> None:
    """Show the public notice list: what is announced, until when, and open objections."""
    with reading(data_of(context), (valid_at, known_at, None)) as (ledger, axes):
        found = ledger.named(reports.public_notices(ledger.queries, axes, today(ledger, axes), Page(limit, after)))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *_award_cells(one),
            one.notice_until,
            "runs" if one.running else "has ended",
            ", ".join(f"{each.number}: {each.reason}" for each in one.objections if each.outcome is None),
        )
        for one in found.notices
    ]
    columns = ("award", "honour", "for", "year", "notice until", "notice", "open objections")
    print_table(f"Public notices on {found.on}: {found.count}", columns, rows, more(found.next_after))
    print_basis(found)


@with_axes
def eligible(
    context: typer.Context,
    honor: Honor,
    *,
    year: Year = None,
    limit: Limit = 100,
    after: After = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show who has reached an honour and was not awarded it."""
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(eligible_for(ledger.queries, honor, year, today(ledger, axes), axes, Page(limit, after)))
    if found.year is None:
        refuse_idle(context, "on an honour that is no ranking", "year")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            place(one.name, one.project_name),
            one.reached_on or one.rank,
            Hours(one.credited_minutes),
            one.state,
            one.award,
        )
        for one in found.eligible
    ]
    reached = "reached on" if found.year is None else "rank"
    when = f"up to {found.reached_up_to}" if found.year is None else f"of {found.year}"
    title = f"{found.title} ({honor}) {when}: {found.count} eligible and not awarded"
    columns = (found.of.removesuffix("s"), reached, "credited", "state", "award")
    print_table(title, columns, rows, more(found.next_after))
    print_basis(found)


@with_axes
def undercut(
    context: typer.Context,
    *,
    honor: OfHonor = None,
    year: Year = None,
    recipient: For = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    after: After = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show awards that a later correction or rule has undercut, and why."""
    award_filter = _award_filter(honor, year, recipient, None)
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(reports.undercut(ledger.queries, ledger.log, axes, award_filter, Page(limit, after)))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *_award_cells(one)[:1],
            _recipient(one),
            one.awarded_on,
            Hours(one.awarded.credited_minutes) if one.awarded else None,
            Hours(one.credited_minutes_now),
            _kind(one),
            _causes(one.causes),
        )
        for one in found.undercut
    ]
    columns = ("award", "for", "awarded on", "evidence", "holds now", "finding", "because of")
    title = f"{found.count} of {found.awards_in_all} awards are undercut"
    print_table(title, columns, rows, more(found.next_after))
    print_basis(found)


def _kind(one: Undercut) -> str:
    if one.kind == "later":
        return f"reached only on {one.reached_on_now}"
    return f"rank {one.rank_now}" if one.kind == "behind" else "lost"


def _causes(causes: Causes) -> str:
    events = sorted({position for shift in causes.shifts for position in shift.positions} | {*causes.positions})
    phrases = []
    if causes.by_events or events:
        named = f" ({', '.join(map(str, events[:5]))}{' …' if len(events) > 5 else ''})" if events else ""
        phrases.append(f"events{named} {Hours(causes.by_events)}")
    if causes.by_rules:
        phrases.append(f"rules {Hours(causes.by_rules)}")
    elif causes.rules_differ:
        phrases.append("other rules")
    if causes.overtaken_by:
        phrases.append(f"overtaken by {', '.join(one.name for one in causes.overtaken_by[:3])}")
    return "; ".join(phrases)


def show(
    context: typer.Context,
    award: Award,
    *,
    as_given: Annotated[
        bool, typer.Option("--as-given", help="Show its evidence beside what the ledger computes for that day.")
    ] = False,
    known_at: KnownAt = None,
    as_json: Json = False,
) -> None:
    """Show an award with its events, or with its evidence."""
    shown = _show_as_given if as_given else _show_life
    shown(data_of(context), award, (None, known_at, None), as_json=as_json)


def _show_life(data: Path, name: str, texts: AxesTexts, *, as_json: bool) -> None:
    """Show one award with its events."""
    with reading(data, texts) as (ledger, axes):
        found = ledger.named(reports.award_life(ledger.queries, ledger.log, name, axes))
        zone = ZoneInfo(ledger.current_generation().timeline().time_zone)
    if as_json:
        print_json(found)
        return
    rows = []
    for event in found.events:
        fields = dict(event.event)
        recorded = wall(datetime.fromtimestamp(int(str(fields.pop("recorded_at"))), UTC), zone)
        by = fields.pop("by")
        about = [f"{field}={value}" for field, value in fields.items() if field not in _EVERY_EVENT]
        rows.append((event.position, event.topic, recorded, by, " ".join(about)))
    award = found.award
    title = f"{award.award}: {award.honor} for {_recipient(award)}, {award.state}"
    print_table(title, ("position", "event", "recorded", "by", ""), rows)
    print_basis(found)


_EVERY_EVENT = {"award", "honor", "volunteer", "project", "command", "occurred_at", "imported", "key", "note"}


def _show_as_given(data: Path, name: str, texts: AxesTexts, *, as_json: bool) -> None:
    """Show an award's evidence beside what the ledger computes for the same rules and position."""
    with reading(data, texts) as (ledger, axes):
        found = ledger.named(reports.as_given(ledger.queries, ledger.log, name, axes))
    if as_json:
        print_json(found)
        return
    sides = [("the evidence said", found.evidence), ("the ledger finds", found.found)]
    rows = [(label, *_evidence_cells(one)) for label, one in sides if one is not None]
    columns = ("", "rules", "position", "credited", "reached on", "rank")
    agrees = {True: "they agree", False: "they do not agree", None: "the record names no evidence"}
    title = f"{found.award.award}: {found.award.honor} for {_recipient(found.award)}, as given"
    print_table(title, columns, rows, agrees[found.agrees])
    _print_hours(found)
    print_basis(found)


def _evidence_cells(one: EvidenceNamed) -> Sequence[object]:
    return (
        f"version {one.rules_version}",
        one.position,
        Hours(one.credited_minutes),
        one.reached_on,
        str(one.rank or ""),
    )


def _print_hours(found: AsGiven) -> None:
    """Show the recipient's hours and honours at that time."""
    if found.hours is None:
        return
    total = found.hours.total
    cells = (total.shifts, *map(Hours, (total.credited_minutes, total.scanned_minutes, total.attested_minutes)))
    honors = ", ".join(f"{one.honor} ({one.reached_on})" for one in found.hours.honors)
    print_table("Known then", ("shifts", "credited", "scanned", "attested", "honours"), [(*cells, honors)])
