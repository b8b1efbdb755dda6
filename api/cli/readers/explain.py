"""`hours explain`: every minute of a volunteer's day, with the rule that decides it and the events behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from api.cli.options import AxesTexts, Json, data_of, refuse_idle, with_axes
from api.cli.output import Hours, out, place, print_json, print_table, wall
from api.cli.output import day as read_day
from api.cli.readers.queries import balances_of, print_basis, print_person, reading
from replay.axes.answers import Trace
from replay.explain.explanations import (
    DayExplanation,
    EventBehind,
    ExplainedShift,
    ExplainedStretch,
    RuleCited,
    VolunteerDays,
)

_STYLES = {
    "counted": ("█", "green"),
    "capped": ("▒", "yellow"),
    "clipped": ("▒", "magenta"),
    "overlapped": ("░", "blue"),
    "superseded": ("░", "cyan"),
    "too-short": ("░", "red"),
}
"""Character and style of minutes, by precedence within a cell. Counted minutes under a factor have their own."""
_CELL_MINUTES = 15
_ENDED = {
    "missing-check-out": "no check-out: ended by",
    "next-check-in": "no check-out: ended at the next check-in, by",
}


@with_axes
def explain(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    day: Annotated[str | None, typer.Option(help="The day to explain; without it, list the days.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Days to list at most.")] = 30,
    before: Annotated[str | None, typer.Option(help="List days before this one.")] = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Explain every minute of a volunteer's day: the rule that granted or denied it, and the events behind it."""
    if day is not None:
        refuse_idle(context, "with --day", "limit", "before")
    chosen_day, until = read_day(day, "--day"), read_day(before, "--before")
    with reading(data_of(context), texts) as (ledger, axes):
        if chosen_day is None:
            found: VolunteerDays | DayExplanation = ledger.queries.volunteer_days(number, axes, limit, until)
        else:
            found = ledger.named(ledger.queries.explanation(number, chosen_day, axes))
    if as_json:
        print_json(found)
    elif isinstance(found, DayExplanation):
        _print_day(found)
    else:
        _print_days(found)


# --- the list of days -----------------------------------------------------------------------------------------------


def _print_days(found: VolunteerDays) -> None:
    rows = [
        (
            row.day,
            f"{row.day:%a}",
            row.shifts,
            *map(Hours, (row.raw, row.counted, row.factor_change, -row.rounding, row.credited)),
            _losses(row),
        )
        for row in found.days
    ]
    columns = ("day", "", "shifts", "raw", "counted", "factor", "rounded", "credited", "lost")
    print_person(found)
    caption = f"earlier days: --before {found.next_before};  every minute of a day: --day DAY"
    print_table(
        f"Days of service of volunteer {found.volunteer}, the latest first",
        columns,
        rows,
        caption if found.next_before else "every minute of a day: --day DAY",
    )
    print_basis(found)


def _losses(trace: Trace) -> str:
    lost = {name: getattr(trace, name) for name in ("superseded", "too_short", "clipped", "overlapped", "capped")}
    return ", ".join(f"{name.replace('_', ' ')} {Hours(minutes)}" for name, minutes in lost.items() if minutes)


# --- one day --------------------------------------------------------------------------------------------------------


def _print_day(found: DayExplanation) -> None:
    console, trace = out(), found.trace
    console.print(
        f"[bold]Volunteer {escape(found.volunteer)}, {found.day:%A} {found.day}[/bold]  [dim]{found.time_zone}[/dim]"
    )
    print_person(found)
    if not found.shifts and not found.without_minutes:
        console.print("No service is known of this day.")
    if found.shifts:
        console.print(_sum(trace))
        console.print()
        console.print(_strip(found))
    for shift in found.shifts:
        _print_shift(console, shift, found)
    for idle in found.without_minutes:
        console.print(f"\n[bold]Shift {idle.shift}[/bold]{_under(idle.volunteer)} holds no time: {idle.because}.")
        console.print(_events(idle.events, found))
    console.print()
    for balance in balances_of(found.opening_balance, found.more_opening_balances):
        console.print(
            f"Opening balance{_under(balance.volunteer)}: {Hours(balance.minutes)} as of {balance.as_of}, "
            f"position {balance.event.position}"
        )
    _print_rules(console, found)
    print_basis(found)


def _under(number: str | None) -> str:
    return f" of number {escape(number)}" if number else ""


def _sum(trace: Trace) -> Text:
    """Return the sum of the day's minutes as an equation."""
    parts = [("counted", trace.counted)]
    parts += [
        (name.replace("_", " "), getattr(trace, name))
        for name in ("superseded", "too_short", "clipped", "overlapped", "capped")
    ]
    text = Text(f"served {trace.raw} min = ")
    text.append(" + ".join(f"{name} {minutes}" for name, minutes in parts if minutes or name == "counted"))
    text.append(f"\ncredited {trace.credited} min", "bold green")
    text.append(f" ({Hours(trace.credited)}) = counted {trace.counted}")
    if trace.factor_change:
        text.append(f" {trace.factor_change:+d} by factors")
    if trace.rounding:
        text.append(f" {-trace.rounding:+d} by rounding")
    return text


def _strip(found: DayExplanation) -> Text:
    """Draw the day from midnight to midnight, one character for each quarter of an hour."""
    cells = int((found.until - found.begin) / timedelta(minutes=_CELL_MINUTES))
    text = Text("".join(f"{hour:02d}{' ' * (4 * 3 - 2)}" for hour in range(0, 24, 3)) + "24\n", "dim")
    stretches = [stretch for shift in found.shifts for stretch in shift.stretches]
    seen: dict[str, str] = {}
    for cell in range(cells):
        begin = found.begin + timedelta(minutes=cell * _CELL_MINUTES)
        inside = [
            stretch
            for stretch in stretches
            if stretch.begin < begin + timedelta(minutes=_CELL_MINUTES) and stretch.until > begin
        ]
        if not inside:
            text.append("·", "dim")
            continue
        shown = min(inside, key=lambda stretch: (list(_STYLES).index(stretch.fate), stretch.percent == 100))
        mark, style = _style(shown)
        seen[_name(shown)] = f"[{style}]{mark}[/]"
        text.append(mark, style)
    legend = "  ".join(f"{mark} {name}" for name, mark in seen.items())
    return text.append("\n").append_text(Text.from_markup(legend))


def _style(stretch: ExplainedStretch) -> tuple[str, str]:
    mark, style = _STYLES[stretch.fate]
    return ("▓", "bold bright_green") if stretch.fate == "counted" and stretch.percent != 100 else (mark, style)


def _name(stretch: ExplainedStretch) -> str:
    return f"counted at {stretch.percent} %" if stretch.fate == "counted" and stretch.percent != 100 else stretch.fate


def _print_shift(console: Console, shift: ExplainedShift, found: DayExplanation) -> None:
    where = f"at {escape(str(place(shift.station, shift.station_name)))}" if shift.station else "no station"
    kind = f", {shift.station_kind} station" if shift.station_kind else ""
    project = f", project {place(shift.project, shift.project_name)}" if shift.project else ""
    span = f"{_clock(shift.begin, found)} to {_clock(shift.end, found)}"
    console.print(
        f"\n[bold]{span}  {where}[/bold]{kind}{escape(project)}, {shift.grade}"
        f"  [dim]shift {shift.shift}{_under(shift.volunteer)}[/dim]"
    )
    if shift.end_rule:
        console.print(f"{_ENDED[shift.ended_by]} {_rule(shift.end_rule)}", style="yellow")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("from", "until"):
        table.add_column(column)
    for column in ("minutes", "earns"):
        table.add_column(column, justify="right")
    for column in ("", "why", "rule", "events"):
        table.add_column(column)
    for stretch in shift.stretches:
        mark, style = _style(stretch)
        earned = f"{stretch.percent} %" if stretch.fate == "counted" else "-"
        table.add_row(
            _clock(stretch.begin, found),
            _clock(stretch.until, found),
            str(stretch.minutes),
            earned,
            Text(f"{mark} {stretch.fate}", style),
            stretch.because,
            _rule(stretch.rule) if stretch.rule else "",
            ", ".join(map(str, stretch.positions)),
        )
    console.print(table)
    console.print(_rounding(shift))
    console.print(_events(shift.events, found))


def _rounding(shift: ExplainedShift) -> str:
    """Return how counted minutes were rounded to credited ones."""
    rounding = shift.rounding
    sentence = f"minutes x percent = {rounding.percentages:,} %, in whole minutes {rounding.share}"
    running, unit = rounding.shares_before + rounding.share, rounding.unit.value
    if rounding.shares_before or rounding.credited_before:
        sentence += f"; with {rounding.shares_before} of the shift's earlier days {running}"
    if unit > 1:
        sentence += f", rounded down to a multiple of {unit} minutes {running // unit * unit}"
    if rounding.credited_before:
        sentence += f", of which {rounding.credited_before} were credited on earlier days"
    return f"{sentence}: [bold green]credited {rounding.credited}[/]"


def _events(events: Sequence[EventBehind], found: DayExplanation) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for event in events:
        decides = f"decides {', '.join(event.decides)}" if event.decides else "decides nothing"
        reason = event.reason or (f"evidence {event.evidence}" if event.evidence else "")
        cells = (
            f"position {event.position}",
            event.topic,
            _clock(event.occurred_at, found, seconds=True),
            f"recorded {_clock(event.recorded_at, found, seconds=True)}",
            event.by,
            decides,
            reason,
        )
        table.add_row(*map(escape, cells), style="" if event.decides else "dim")
    return table


def _print_rules(console: Console, found: DayExplanation) -> None:
    cap = found.cap
    sentence = f"Day's cap: {cap.minutes} minutes, {_rule(cap.rule)}"
    if cap.raised_by:
        raised = f"raised at position {cap.raised_by.position}; otherwise {_rule(cap.rule)}"
        sentence = f"Day's cap: {cap.minutes} minutes, {raised}"
    console.print(sentence)
    if found.rules_published:
        position = found.rules_published.position
        console.print(f"Rules {found.rules.name}, version {found.rules.version}: published at position {position}")


def _rule(rule: RuleCited) -> str:
    named = f'"{rule.name}" ' if rule.name else ""
    return f"{named}{rule.key} = {rule.value} (from {rule.holds_from})"


def _clock(instant: datetime, found: DayExplanation, *, seconds: bool = False) -> str:
    """Return the time of day, with the date if that is not the explained one; the midnight after that is 24:00."""
    of, clock = found.day, wall(instant, ZoneInfo(found.time_zone), "%H:%M:%S" if seconds else "%H:%M")
    if instant.date() == of:
        return clock
    if instant.date() == of + timedelta(days=1) and clock.startswith("00:00") and not seconds:
        return "24:00"
    return f"{instant:%Y-%m-%d} {clock}"
