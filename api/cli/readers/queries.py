"""`hours volunteer`, `station`, `standings` and `log`, and what all readers share.

If no server follows the log, readers bring the read models up to date first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

from api.axes.written import candidate, known_until, names_rules, position_in, read_axes
from api.cli.options import AxesTexts, First, Json, KnownAt, Last, data_of, refuse_idle, with_axes
from api.cli.output import Hours, day, more, out, period, place, print_json, print_line, print_table, wall
from api.http.routes.reads.log import events_of
from api.messages.periods import DAYS_BY_DEFAULT, local_day
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from projections.rules.timeline import RuleTimeline
from replay.axes import answers
from replay.published import NoRulesError, published_rules
from replay.queries.overview_answers import Overview
from replay.queries.queries import NOW, Axes, Period

B = TypeVar("B", bound=answers.OpeningBalance)


@contextmanager
def reading(data: Path, texts: AxesTexts) -> Iterator[tuple[OpenLedger, Axes]]:
    """Open a ledger, bring its read models up to date, and read the axes."""
    day(texts[0], "--valid-at")  # a usage error must not start a database
    with open_ledger(data) as ledger:
        ledger.catch_up()
        yield ledger, axes_of(ledger, texts)


def axes_of(ledger: OpenLedger, texts: AxesTexts) -> Axes:
    """Read the axes from their texts."""
    valid_text, known_text, rules_text = texts
    valid_at = day(valid_text, "--valid-at")
    known_at = until = None
    if known_text is not None:
        known_at = position_in(ledger.log, known_text)
        until = known_until(ledger.log, known_text, known_at)
    if rules_text is None or names_rules(rules_text):
        return read_axes(ledger.log, valid_at, known_at, rules_text, ledger.candidates, known_until=until)
    return Axes(valid_at, known_at, candidate(read_rules(Path(rules_text))), until)


def timeline_used(ledger: OpenLedger, axes: Axes) -> RuleTimeline:
    """Return the requested rules; by default those of the current generation."""
    return axes.rules.timeline() if axes.rules else ledger.current_generation().timeline()


def today(ledger: OpenLedger, axes: Axes = NOW) -> date:
    """Return today's date in the time zone of the rules used; with `known_at` the day of that."""
    return local_day(axes.instant(ledger.clock()), timeline_used(ledger, axes))


def local_zone(ledger: OpenLedger) -> ZoneInfo:
    """Return the time zone of the rules in force, UTC before any."""
    try:
        return ZoneInfo(published_rules(ledger.log).timeline().time_zone)
    except NoRulesError:
        return ZoneInfo("UTC")


def read_rules(path: Path) -> str:
    """Return the text of a file of rules; raise UsageError if it is missing or not UTF-8."""
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path} is neither a version nor an existing file; check the path") from None
    except ValueError:
        raise UsageError(f"{path} is not UTF-8; save it as UTF-8") from None


# --- volunteers -----------------------------------------------------------------------------------------------------


@with_axes
def volunteer(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    shifts: Annotated[bool, typer.Option("--shifts", help="List shifts with their traces instead.")] = False,
    first: First = None,
    last: Last = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show a volunteer's hours and honours or, with --shifts, the shifts that begin in a period.

    `hours statement` adds up a period.
    """
    if not shifts:
        refuse_idle(context, "without --shifts (`hours statement` adds up a period)", "first", "last")
    with reading(data_of(context), texts) as (ledger, axes):
        if shifts:
            chosen = Period(day(first, "--from"), day(last, "--to"))
            found = ledger.named(ledger.queries.volunteer_shifts(number, axes, chosen))
        else:
            hours = ledger.named(ledger.queries.volunteer_hours(number, axes))
        timeline = timeline_used(ledger, axes)
    if as_json:
        print_json(found if shifts else hours)
    elif shifts:
        _print_shifts(found, timeline)
    else:
        _print_hours(hours)


def _print_hours(hours: answers.VolunteerHours) -> None:
    rows: list[tuple[object, ...]] = [("all", *_hours_cells(hours.total))]
    rows += [(str(year.year), *_hours_cells(year)) for year in hours.years]
    parts = opening_balances(hours)
    late = (("scanned", hours.total.late_scanned_minutes), ("attested", hours.total.late_attested_minutes))
    parts += [f"{Hours(minutes)} {grade}, recorded late" for grade, minutes in late if minutes]
    caption = f"of which {'; '.join(parts)}" if parts else ""
    print_person(hours)
    print_table(
        f"Volunteer {hours.volunteer}, registered {hours.registered_on}: hours:minutes",
        ("year", "shifts", "raw", "counted", "credited", "scanned", "attested"),
        rows,
        caption,
    )
    if hours.honors:
        rows = [(honor.honor, honor.title, honor.reached_on) for honor in hours.honors]
        print_table("Honours", ("honour", "title", "reached on"), rows)
    print_basis(hours)


def _hours_cells(row: answers.HoursRow) -> tuple[object, ...]:
    minutes = (row.raw_minutes, row.counted_minutes, row.credited_minutes, row.scanned_minutes, row.attested_minutes)
    return (row.shifts, *map(Hours, minutes))


def opening_balances(found: answers.VolunteerHours | Overview) -> list[str]:
    """Return a phrase for each opening balance in a person's hours."""
    return [
        f"{Hours(balance.minutes)} from before {balance.as_of} (opening balance{_under(balance.volunteer)})"
        for balance in balances_of(found.opening_balance, found.more_opening_balances)
    ]


def balances_of(first: B | None, more: Sequence[B] | None) -> list[B]:
    """Return the opening balances of an answer: usually none or one; merged numbers can have several."""
    return [*([first] if first else []), *(more or [])]


def _under(number: str | None) -> str:
    return f" of number {number}" if number else ""


def print_person(found: answers.OfPerson) -> None:
    """Print what a number was merged into and which numbers the answer includes, if there are several."""
    if found.numbers:
        merged = f"{found.volunteer} was merged into {found.goes_on_as}; " if found.goes_on_as else ""
        positions = ", ".join(str(merge.position) for merge in found.merges or ())
        out().print(f"{merged}one person with the numbers {', '.join(found.numbers)}, merged at position {positions}")


def _print_shifts(found: answers.VolunteerShifts, timeline: RuleTimeline) -> None:
    zone = ZoneInfo(timeline.time_zone)
    rows = [
        (
            *([shift.volunteer] if found.numbers else []),
            local(shift.check_in, zone),
            local(shift.check_out, zone),
            place(shift.station, shift.station_name),
            *map(Hours, _trace_cells(shift.trace)),
            shift.grade,
            ", ".join(shift.flags),
            shift.shift,
        )
        for shift in found.shifts
    ]
    columns: tuple[str, ...]
    columns = ("check-in", "check-out", "station", "raw", "lost", "counted", "factor", "rounded", "credited", "grade")
    print_person(found)
    columns = ("number", *columns) if found.numbers else columns
    print_table(f"Shifts of volunteer {found.volunteer}", (*columns, "flags", "shift"), rows)
    print_basis(found)


def _trace_cells(trace: answers.Trace) -> tuple[int, ...]:
    lost = trace.superseded + trace.too_short + trace.clipped + trace.overlapped + trace.capped
    return trace.raw, lost, trace.counted, trace.factor_change, -trace.rounding, trace.credited


def local(instant: datetime | None, zone: ZoneInfo) -> str:
    """Format an instant to the minute in a time zone; empty for None."""
    return wall(instant, zone) if instant else ""


# --- stations and honours -------------------------------------------------------------------------------------------


@with_axes
def station(
    context: typer.Context,
    station: Annotated[str, typer.Argument(help="The station's id.")],
    *,
    first: First = None,
    last: Last = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show a station's activity day by day; by default in the last thirty days of its service."""
    begin, end = period(first, last)
    with reading(data_of(context), texts) as (ledger, axes):
        end = end or _last_day(ledger, station)
        begin = begin or end - timedelta(days=DAYS_BY_DEFAULT - 1)
        found = ledger.named(ledger.queries.station_activity(station, min(begin, end), end, axes))
    if as_json:
        print_json(found)
        return
    columns = ("day", "shifts", "volunteers", "raw", "counted", "credited", "people served")
    rows: list[tuple[object, ...]] = [
        (row.day, row.shifts, row.volunteers, *_minutes(row), row.people_served) for row in found.days
    ]
    rows.append(("all", found.shifts, found.person_times, *_minutes(found), found.people_served))
    days = f"{found.first_day} to {found.last_day}: open on {found.days_open} days"
    title = f"Station {place(station, found.station_name)}, {days}"
    print_table(title, columns, rows)
    print_basis(found)


def _minutes(row: answers.StationDay | answers.StationActivity) -> tuple[Hours, Hours, Hours]:
    return Hours(row.raw_minutes), Hours(row.counted_minutes), Hours(row.credited_minutes)


def _last_day(ledger: OpenLedger, station: str) -> date:
    """Return the last day with activity at a station, or today."""
    whole = ledger.queries.station_activity(station, date(2000, 1, 1), date(2100, 1, 1))
    return whole.days[-1].day if whole.days else today(ledger)


@with_axes
def standings(
    context: typer.Context,
    honor: Annotated[str, typer.Argument(help="The honour's id.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 20,
    after: Annotated[str | None, typer.Option(help="Continue after this entry: DATE/VOLUNTEER.")] = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """List who has reached an honour."""
    if after is not None:
        day(after.partition("/")[0], "--after")
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.queries.standings(honor, today(ledger, axes), axes, limit, after)
    if as_json:
        print_json(found)
        return
    title = f"{found.title} ({honor}): {found.count} up to {found.reached_up_to}"
    rows = [(standing.volunteer, standing.reached_on) for standing in found.standings]
    print_table(title, ("volunteer", "reached on"), rows, more(found.next_after))
    print_basis(found)


# --- the log --------------------------------------------------------------------------------------------------------


def log(
    context: typer.Context,
    *,
    after: Annotated[int, typer.Option(min=0, help="List events after this position.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Events at most.")] = 20,
    known_at: KnownAt = None,
    as_json: Json = False,
) -> None:
    """List the events themselves; with --json, one per line."""
    with open_ledger(data_of(context)) as ledger:
        until = ledger.log.head() if known_at is None else position_in(ledger.log, known_at)
        events = events_of(ledger, after, until, limit)
        if as_json:
            for event in events:
                print_line(event)
            return
        rows = [(event.position, event.topic, *_event_cells(event)) for event in events]
    print_table("The log", ("position", "event", "recorded (UTC)", "by", "about"), rows)


def _event_cells(event: answers.LoggedEvent) -> tuple[str, str, str]:
    """Return when an event was recorded, by whom, and its other fields."""
    fields = dict(event.event)
    recorded = datetime.fromtimestamp(int(str(fields.pop("recorded_at"))), ZoneInfo("UTC"))
    by = str(fields.pop("by"))
    for name in ("command", "occurred_at", "imported", "text", "digest"):
        fields.pop(name, None)
    about = " ".join(f"{name}={value}" for name, value in fields.items())
    return recorded.strftime("%Y-%m-%d %H:%M:%S"), by, about


def print_basis(basis: answers.Basis) -> None:
    """Print the axes and the position of an answer."""
    valid = f", valid at {basis.valid_at}" if basis.valid_at else ""
    version = f"version {basis.rules.version}" if basis.rules.version else "not published"
    out().print(f"known at position {basis.known_at}{valid}, rules {basis.rules.name} ({version})", style="dim")
