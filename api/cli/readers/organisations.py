"""`hours organisation`: the tree of organisations, their activity and their members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from api.cli.options import AxesTexts, Json, Year, data_of, refuse_idle, with_axes
from api.cli.output import Hours, more, place, print_json, print_table
from api.cli.readers.queries import print_basis, reading, today
from replay.organisations import organisations
from replay.organisations.answers import (
    ActivityPart,
    ActivityRow,
    DistrictActivity,
    Led,
    Organisation,
    OrganisationActivity,
    OrganisationChange,
    ServiceRow,
)
from replay.organisations.organisations import RowFilter

app = typer.Typer(
    help="The organisation tree, its activity and its members.",
    no_args_is_help=True,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(help="The organisation's id.")]

_SERVICE = ("shifts", "volunteers", "raw", "counted", "credited", "scanned", "attested")


@app.command("list")
@with_axes
def tree(
    context: typer.Context,
    *,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """List the tree as of --valid-at or today."""
    refuse_idle(context, "on the tree", "rules")
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(organisations.organisations(ledger.queries, ledger.database, today(ledger, axes), axes))
    if as_json:
        print_json(found)
        return
    by_name = {organisation.organisation: organisation for organisation in found.organisations}
    top = [organisation for organisation in found.organisations if organisation.parent is None]
    rows = [
        (
            "  " * depth + organisation.organisation,
            organisation.name,
            organisation.kind,
            len(organisation.children),
            organisation.ended_on,
        )
        for depth, organisation in _depth_first(top, by_name, 0)
    ]
    print_table(f"Organisations on {found.day}", ("organisation", "name", "kind", "below", "ended"), rows)
    print_basis(found)


def _depth_first(
    level: Iterable[Organisation], by_name: dict[str, Organisation], depth: int
) -> Iterable[tuple[int, Organisation]]:
    for organisation in level:
        yield depth, organisation
        yield from _depth_first((by_name[child] for child in organisation.children), by_name, depth + 1)


@app.command()
@with_axes
def show(
    context: typer.Context,
    name: Name,
    *,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show one organisation: its place, what belongs to it, and its history."""
    refuse_idle(context, "on the tree", "rules")
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(
            organisations.organisation(ledger.queries, ledger.database, name, today(ledger, axes), axes)
        )
    if as_json:
        print_json(found)
        return
    organisation = found.organisation
    rows = [
        ("path", " > ".join(_places(found.path, found.path_names))),
        ("below it", ", ".join(_places(organisation.children, organisation.children_names))),
        ("stations", ", ".join(_led(led, " (closed)") for led in found.stations)),
        ("projects", ", ".join(_led(led, " (ended)") for led in found.projects)),
        ("members", f"{found.members:,}, with those below it {found.members_with_below:,}"),
    ]
    ended = f", ended on {organisation.ended_on}" if organisation.ended_on else ""
    print_table(
        f"Organisation {place(name, organisation.name)} ({organisation.kind}) on {found.day}{ended}", ("", ""), rows
    )
    history = [
        (
            change.day or "from the beginning",
            _what(change),
            place(change.parent, change.parent_name),
            change.reason,
            change.by,
            change.position,
        )
        for change in found.history
    ]
    print_table("History", ("since", "", "under", "reason", "by", "position"), history)
    print_basis(found)


def _places(ids: Sequence[str], names: dict[str, str] | None) -> list[str]:
    return [f"{each} {names[each]}" if names and each in names else each for each in ids]


def _led(led: Led, ended: str) -> str:
    return f"{place(led.name, led.place_name)}{'' if led.open else ended}"


def _what(change: OrganisationChange) -> str:
    return f"{change.what} ({change.name})" if change.name else change.what


@app.command()
@with_axes
def activity(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The organisation's id; without it, the whole district.")] = None,
    *,
    year: Year = None,
    projects: Annotated[
        bool, typer.Option("--projects", help="Activity of the projects it leads, at any station, instead.")
    ] = False,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show activity in an organisation and each of its parts, by year or by month."""
    row_filter = RowFilter(year, "month" if year else "year", "projects" if projects else "places")
    found: DistrictActivity | OrganisationActivity
    with reading(data_of(context), texts) as (ledger, axes):
        if name is None:
            found = ledger.named(organisations.district(ledger.queries, ledger.database, row_filter, axes))
        else:
            found = ledger.named(organisations.activity(ledger.queries, ledger.database, name, row_filter, axes))
    if as_json:
        print_json(found)
    elif isinstance(found, DistrictActivity):
        _print_activity("The district", found.rows, ("no organisation", found.no_organisation), found.parts)
        print_basis(found)
    else:
        _print_activity(
            f"Organisation {place(name, found.organisation_name)}", found.rows, ("its own", found.own), found.parts
        )
        print_basis(found)


def _print_activity(
    title: str, rows: list[ActivityRow], own: tuple[str, list[ActivityRow]], parts: list[ActivityPart]
) -> None:
    shown: list[tuple[object, ...]] = [("all", *_activity(row)) for row in rows]
    shown += [(own[0], *_activity(row)) for row in own[1]]
    shown += [
        (place(part.organisation, part.organisation_name), *_activity(row)) for part in parts for row in part.rows
    ]
    print_table(title, ("part", "when", *_SERVICE, "people served"), shown)


def _activity(row: ActivityRow) -> tuple[object, ...]:
    return (*_service(row), row.people_served)


def _service(row: ServiceRow) -> tuple[object, ...]:
    when = f"{row.year}-{row.month:02d}" if row.month else str(row.year)
    minutes = (row.raw_minutes, row.counted_minutes, row.credited_minutes, row.scanned_minutes, row.attested_minutes)
    return (when, row.shifts, row.volunteers, *map(Hours, minutes))


@app.command()
@with_axes
def members(
    context: typer.Context,
    name: Name,
    *,
    year: Year = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Volunteers at most.")] = 20,
    after: Annotated[str | None, typer.Option(help="Continue after this volunteer number.")] = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Show the service of members on the days of their membership, by year or by month."""
    row_filter = RowFilter(year, "month" if year else "year")
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(
            organisations.members(ledger.queries, ledger.database, name, row_filter, axes, limit=limit, after=after)
        )
    if as_json:
        print_json(found)
        return
    rows: list[Sequence[object]] = [("all", *_service(row)) for row in found.rows]
    rows += [("its own", *_service(row)) for row in found.own]
    rows += [
        (place(part.organisation, part.organisation_name), *_service(row)) for part in found.parts for row in part.rows
    ]
    print_table(
        f"Members of {place(name, found.organisation_name)}, on the days of their membership",
        ("part", "when", *_SERVICE),
        rows,
    )
    listed = [
        (
            member.volunteer,
            place(member.organisation, member.organisation_name),
            member.since,
            member.until,
            member.shifts,
            Hours(member.credited_minutes),
            Hours(member.scanned_minutes),
            Hours(member.attested_minutes),
        )
        for member in found.members
    ]
    columns = ("volunteer", "organisation", "since", "until", "shifts", "credited", "scanned", "attested")
    print_table("Members", columns, listed, more(found.next_after))
    print_basis(found)
