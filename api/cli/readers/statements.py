"""`hours statement`: what a volunteer served in a period, where, under whom, what counted, and why not the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from api.cli.options import OPERATOR, AxesTexts, First, Force, Json, Last, data_of, refuse_idle, with_axes
from api.cli.output import Hours, check_output, out, period, place, print_json, print_table, wall, write_output
from api.cli.readers.persons import looker, show_person
from api.cli.readers.queries import print_basis, print_person, reading, today
from api.files.statement_page import as_page
from api.files.statements import as_csv, as_excel, why_words
from api.operations.usage_errors import UsageError
from replay.queries.statement_answers import Statement, StatementLine, named_person
from replay.queries.statements import statement as statement_of

_FILES: dict[str, Callable[[Statement], bytes]] = {
    ".csv": lambda found: as_csv(found).encode(),
    ".xlsx": as_excel,
    ".html": lambda found: as_page(found).encode(),
}


@with_axes
def statement(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    first: First = None,
    last: Last = None,
    output: Annotated[
        Path | None, typer.Option(help="Write a file: FILE.csv, FILE.xlsx, or FILE.html to print.")
    ] = None,
    force: Force = False,
    with_name: Annotated[
        bool, typer.Option("--with-name", help="With the person's name, from the directory; this is recorded.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who looks up the name: person:NAME.")] = OPERATOR,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show what a volunteer served in a period, where, under which organisation, what counted, and why not the rest."""
    begin, end = period(first, last)
    if output is not None:
        if output.suffix not in _FILES:
            raise UsageError(f"--output {output} has an unknown suffix; use one of {', '.join(_FILES)}")
        check_output(output, "--output", force=force)
    else:
        refuse_idle(context, "without --output", "force")
    if not with_name:
        refuse_idle(context, "without --with-name", "by")
    who = looker(by)
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(statement_of(ledger.database, number, (begin, end), today(ledger), axes))
        if with_name:
            found = named_person(found, show_person(ledger, number, who))
    if output is not None:
        write_output(output, _FILES[output.suffix](found))
    if as_json:
        print_json(found)
        return
    if output is not None:
        credited = Hours(found.total.credited_minutes)
        out().print(f"{output}: {len(found.lines)} lines, {credited} credited", markup=False)
        return
    _print(found)


def _print(found: Statement) -> None:
    rows: list[tuple[object, ...]] = [
        (balance.as_of, "", "", "", "", "", "", Hours(balance.minutes), "opening balance")
        for balance in found.opening_balances
    ]
    rows += [_row(line, ZoneInfo(found.time_zone)) for line in found.lines]
    total = found.total
    sums = (Hours(total.raw_minutes), Hours(total.counted_minutes), Hours(total.credited_minutes))
    rows.append(("all", "", "", "", "", *sums, why_words(total.uncredited)))
    span = f"{found.first_day or 'the beginning'} to {found.last_day or found.valid_at or found.today}"
    print_person(found)
    columns = ("day", "time", "station", "project", "under", "raw", "counted", "credited", "why not the rest")
    caption = f"{found.left_out} later lines are not listed; the sums include them" if found.left_out else ""
    who = f"{found.person_name}, {found.volunteer}" if found.person_name else found.volunteer
    print_table(f"Statement of volunteer {who}, {span}: hours:minutes", columns, rows, caption)
    print_basis(found)


def _row(line: StatementLine, zone: ZoneInfo) -> tuple[object, ...]:
    return (
        line.day,
        " to ".join(_clock(one, line, zone) for one in (line.check_in, line.check_out)),
        place(line.station, line.station_name),
        place(line.project, line.project_name),
        place(line.organisation, line.organisation_name),
        Hours(line.raw_minutes),
        Hours(line.counted_minutes),
        Hours(line.credited_minutes),
        line.without_minutes or why_words(line.uncredited),
    )


def _clock(instant: datetime | None, line: StatementLine, zone: ZoneInfo) -> str:
    """Return a local time, with its date if that is not the line's, as at the second day of a night."""
    if instant is None:
        return "…"
    return wall(instant, zone, "%H:%M" if instant.astimezone(zone).date() == line.day else "%m-%d %H:%M")
