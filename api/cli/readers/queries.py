"""The readers of the command line: `hours volunteer`, `station`, `standings` and `log`.

Where no server follows the log, they first bring the read models up to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from api.axes.written import candidate, names_rules, position_of, read_axes
from api.cli.output import Hours, day, more, out, print_json, print_line, print_table
from api.http.routes.reads.log import events_of
from api.messages.periods import DAYS_BY_DEFAULT, local_day
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from projections.rules.timeline import RuleTimeline
from replay.axes import answers
from replay.queries.overview_answers import Overview
from replay.queries.queries import NOW, Axes, Period

B = TypeVar("B", bound=answers.OpeningBalance)

AxisTexts = tuple[str | None, str | None, str | None]
"""`--valid-at`, `--known-at` and `--rules` as they were written."""


@contextmanager
def reading(data: Path, texts: AxisTexts) -> Iterator[tuple[OpenLedger, Axes]]:
    """Open a ledger for reading, with the axes as written."""
    day(texts[0], "--valid-at")  # before anything is opened
    with open_ledger(data) as ledger:
        ledger.catch_up()
        yield ledger, axes_of(ledger, texts)


def axes_of(ledger: OpenLedger, texts: AxisTexts) -> Axes:
    """Return the axes as written."""
    valid_text, known_text, rules_text = texts
    valid_at = day(valid_text, "--valid-at")
    known_at = position_of(ledger.log, known_text) if known_text is not None else None
    if rules_text is None or names_rules(rules_text):
        return read_axes(ledger.log, valid_at, known_at, rules_text, ledger.candidates)
    return Axes(valid_at, known_at, candidate(read_rules(Path(rules_text))))


def timeline_used(ledger: OpenLedger, axes: Axes) -> RuleTimeline:
    """Return the rules that are asked for, or else those that answer."""
    return axes.rules.timeline() if axes.rules else ledger.current_generation().timeline()


def today(ledger: OpenLedger, axes: Axes = NOW) -> date:
    """Return the day it is in the time zone of the rules used."""
    return local_day(ledger.clock(), timeline_used(ledger, axes))


def read_rules(path: Path) -> str:
    """Return the text of a file of rules."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path} is neither a version nor a file that is there; check the path") from None
    except ValueError:
        raise UsageError(f"{path} is not text in UTF-8; save it so") from None


# --- volunteers -----------------------------------------------------------------------------------------------------


def volunteer(
    data: Path, number: str, period: tuple[str | None, str | None] | None, texts: AxisTexts, *, as_json: bool
) -> None:
    """Show a volunteer's hours; with a period (whose ends may be open) the shifts that begin in it."""
    with reading(data, texts) as (ledger, axes):
        if period:
            chosen = Period(day(period[0], "--from"), day(period[1], "--to"))
            found = ledger.queries.volunteer_shifts(number, axes, chosen)
        else:
            hours = ledger.queries.volunteer_hours(number, axes)
        timeline = timeline_used(ledger, axes)
    if as_json:
        print_json(found if period else hours)
    elif period:
        _print_shifts(found, timeline)
    else:
        _print_hours(hours)


def _print_hours(hours: answers.VolunteerHours) -> None:
    rows: list[tuple[object, ...]] = [("all", *_hours_cells(hours.total))]
    rows += [(str(year.year), *_hours_cells(year)) for year in hours.years]
    said = opening_balances(hours)
    late = (("scanned", hours.total.late_scanned_minutes), ("attested", hours.total.late_attested_minutes))
    said += [f"{Hours(minutes)} {grade}, recorded late" for grade, minutes in late if minutes]
    caption = f"of which {'; '.join(said)}" if said else ""
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
    """Say how much of a person's hours comes from before there were events."""
    return [
        f"{Hours(one.minutes)} from before {one.as_of} (opening balance{_under(one.volunteer)})"
        for one in balances_of(found.opening_balance, found.more_opening_balances)
    ]


def balances_of(first: B | None, more: Sequence[B] | None) -> list[B]:
    """Return the opening balances that an answer tells: as a rule one or none, and more where numbers were merged."""
    return [*([first] if first else []), *(more or [])]


def _under(number: str | None) -> str:
    return f" of number {number}" if number else ""


def print_person(found: answers.OfPerson) -> None:
    """Say that a number was merged into another, and which numbers the answer includes, where there are several."""
    if found.numbers:
        going_on = f"{found.volunteer} goes on as {found.goes_on_as}; " if found.goes_on_as else ""
        positions = ", ".join(str(merge.position) for merge in found.merges or ())
        out().print(f"{going_on}one person with the numbers {', '.join(found.numbers)}, by position {positions}")


def _print_shifts(found: answers.VolunteerShifts, timeline: RuleTimeline) -> None:
    zone = ZoneInfo(timeline.time_zone)
    rows = [
        (
            *([shift.volunteer] if found.numbers else []),
            local(shift.check_in, zone),
            local(shift.check_out, zone),
            shift.station,
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
    """Return an instant as people write it."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M") if instant else ""


# --- stations and honours -------------------------------------------------------------------------------------------


def station(data: Path, name: str, span: tuple[str | None, str | None], texts: AxisTexts, *, as_json: bool) -> None:
    """Show a station's days."""
    first, last = day(span[0], "--from"), day(span[1], "--to")
    if first and last and last < first:
        raise UsageError(f"--from {first} lies after --to {last}; swap them")
    with reading(data, texts) as (ledger, axes):
        end = last or _last_day(ledger, name)
        begin = first or end - timedelta(days=DAYS_BY_DEFAULT - 1)
        found = ledger.queries.station_activity(name, min(begin, end), end, axes)
    if as_json:
        print_json(found)
        return
    columns = ("day", "shifts", "volunteers", "raw", "counted", "credited", "people served")
    rows: list[tuple[object, ...]] = [
        (one.day, one.shifts, one.volunteers, *_minutes(one), one.people_served) for one in found.days
    ]
    rows.append(("all", found.shifts, found.person_times, *_minutes(found), found.people_served))
    title = f"Station {name}, {found.first_day} to {found.last_day}: open on {found.days_open} days"
    print_table(title, columns, rows)
    print_basis(found)


def _minutes(row: answers.StationDay | answers.StationActivity) -> tuple[Hours, Hours, Hours]:
    return Hours(row.raw_minutes), Hours(row.counted_minutes), Hours(row.credited_minutes)


def _last_day(ledger: OpenLedger, station: str) -> date:
    """Return the last day on which anything went on at a station, or today."""
    whole = ledger.queries.station_activity(station, date(2000, 1, 1), date(2100, 1, 1))
    return whole.days[-1].day if whole.days else today(ledger)


def standings(data: Path, honor: str, limit: int, after: str | None, texts: AxisTexts, *, as_json: bool) -> None:
    """Show who has reached an honour."""
    if after is not None:
        day(after.partition("/")[0], "--after")
    with reading(data, texts) as (ledger, axes):
        found = ledger.queries.standings(honor, today(ledger, axes), axes, limit, after)
    if as_json:
        print_json(found)
        return
    title = f"{found.title} ({honor}): {found.count} up to {found.reached_up_to}"
    rows = [(one.volunteer, one.reached_on) for one in found.standings]
    print_table(title, ("volunteer", "reached on"), rows, more(found.next_after))
    print_basis(found)


# --- the log --------------------------------------------------------------------------------------------------------


def log(data: Path, after: int, limit: int, known_at: str | None = None, *, as_json: bool) -> None:
    """Show events."""
    with open_ledger(data) as ledger:
        until = ledger.log.head() if known_at is None else position_of(ledger.log, known_at)
        events = events_of(ledger, after, until, limit)
        if as_json:
            for event in events:
                print_line(event)
            return
        rows = [(event.position, event.topic, *_said(event)) for event in events]
    print_table("The log", ("position", "event", "recorded (UTC)", "by", "about"), rows)


def _said(event: answers.LoggedEvent) -> tuple[str, str, str]:
    said = dict(event.event)
    recorded = datetime.fromtimestamp(int(str(said.pop("recorded_at"))), ZoneInfo("UTC"))
    by = str(said.pop("by"))
    for name in ("command", "occurred_at", "imported", "text", "digest"):
        said.pop(name, None)
    about = " ".join(f"{name}={value}" for name, value in said.items())
    return recorded.strftime("%Y-%m-%d %H:%M:%S"), by, about


def print_basis(basis: answers.Basis) -> None:
    """Say what an answer rests on."""
    valid = f", valid at {basis.valid_at}" if basis.valid_at else ""
    version = f"version {basis.rules.version}" if basis.rules.version else "not published"
    out().print(f"known at position {basis.known_at}{valid}, rules {basis.rules.name} ({version})", style="dim")
