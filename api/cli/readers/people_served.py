"""`hours served`: the people served in a period."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from api.cli.options import AxesTexts, First, Json, Last, data_of, refuse_idle, with_axes
from api.cli.output import check_period, day, more, place, print_json, print_table
from api.cli.readers.queries import print_basis, reading, today
from api.messages.periods import DAYS_BY_DEFAULT
from replay.organisations.people_served import PeopleServedQuery, people_served
from replay.organisations.people_served_answers import ServedDay


@with_axes
def served(
    context: typer.Context,
    *,
    station: Annotated[str | None, typer.Option(help="Only at this station.")] = None,
    project: Annotated[str | None, typer.Option(help="Only for this project.")] = None,
    organisation: Annotated[str | None, typer.Option(help="Only of this organisation and those below it.")] = None,
    first: First = None,
    last: Last = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Days at most.")] = 20,
    after: Annotated[str | None, typer.Option(help="Continue after this entry.")] = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show people served (the helped, not volunteers) by station, project and day; by default of thirty days."""
    refuse_idle(context, "on people served", "rules")
    begin, end = day(first, "--from"), day(last, "--to")
    with reading(data_of(context), texts) as (ledger, axes):
        end = end or today(ledger, axes)
        begin = begin or end - timedelta(days=DAYS_BY_DEFAULT - 1)
        check_period(begin, end)
        query = PeopleServedQuery(begin, end, station, project, organisation)
        found = ledger.named(people_served(ledger.queries, ledger.database, query, axes, limit=limit, after=after))
    if as_json:
        print_json(found)
        return
    rows: list[tuple[object, ...]] = [
        (
            served_day.day,
            place(served_day.station, served_day.station_name),
            place(served_day.project, served_day.project_name),
            served_day.people,
            _counts(served_day),
        )
        for served_day in found.days
    ]
    rows.append(("all", None, None, found.people, ""))
    title = f"People served, {found.first_day} to {found.last_day}"
    print_table(title, ("day", "station", "project", "people", "counted"), rows, more(found.next_after))
    print_basis(found)


def _counts(served_day: ServedDay) -> str:
    """Return the counts in order of recording, each with its reason."""
    return ", then ".join(
        f"{count.people} ({count.reason})" if count.reason else f"{count.people}" for count in served_day.counts
    )
