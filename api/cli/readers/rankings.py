"""`hours ranking` and `hours project`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.options import AxesTexts, Json, data_of, with_axes
from api.cli.output import Hours, print_json, print_table
from api.cli.output import place as place_of
from api.cli.readers.queries import print_basis, reading
from replay.rankings import projects, rankings
from replay.rankings.answers import ProjectMonth, RankingOfYear


@with_axes
def ranking(
    context: typer.Context,
    ranking: Annotated[str, typer.Argument(help="The ranking's id.")],
    *,
    year: Annotated[int | None, typer.Option(min=2000, max=2100, help="By default the latest.")] = None,
    place: Annotated[int, typer.Option(min=1, help="The first rank to show.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, max=100_000, help="Rows at most; by default all places.")] = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show a year's ranking of volunteers or projects."""
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(rankings.ranking(ledger.queries, ranking, year, axes, place=place, limit=limit))
    if as_json:
        print_json(found)
        return
    # The figures that decide the order come first.
    keys = [*found.order, *(key for key in _keys(found) if key not in found.order and key != "score")]
    rows = [
        (entry.rank, place_of(entry.name, entry.project_name), *(_cell(key, entry.figures[key]) for key in keys))
        for entry in found.entries
    ]
    title = f"{found.title} ({ranking}) of {found.year}: {found.places} places, {found.ranked} {found.of} ranked"
    caption = f"more: --place {found.next_place}" if found.next_place else ""
    columns = ("rank", found.of.removesuffix("s"), *(key.removesuffix("_minutes").replace("_", " ") for key in keys))
    print_table(title, columns, rows, caption)
    print_basis(found)


def _keys(found: RankingOfYear) -> list[str]:
    return list(found.entries[0].figures) if found.entries else []


def _cell(key: str, value: int) -> object:
    return Hours(value) if key.endswith("_minutes") else value


@with_axes
def project(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="The project's id.")],
    *,
    year: Annotated[int | None, typer.Option(min=2000, max=2100, help="Show the months of this year.")] = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show a project's activity by year or by month."""
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(projects.project_activity(ledger.queries, ledger.log, project, year, axes))
    if as_json:
        print_json(found)
        return
    rows = [_row(str(month.month), month) for month in found.months] if year else []
    rows += [_row("all" if year else str(total.year), total) for total in found.years]
    columns = ("month" if year else "year", "shifts", "volunteers", "raw", "counted", "credited", "people served")
    print_table(f"Project {place_of(project, found.project_name)}" + (f", {year}" if year else ""), columns, rows)
    print_basis(found)


def _row(label: str, activity: ProjectMonth) -> tuple[object, ...]:
    minutes = (activity.raw_minutes, activity.counted_minutes, activity.credited_minutes)
    return (label, activity.shifts, activity.volunteers, *map(Hours, minutes), activity.people_served)
