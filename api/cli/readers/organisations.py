"""What `hours organisation` shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from api.cli.output import Hours, more, print_json, print_table
from api.cli.readers.queries import AxisTexts, print_basis, reading, today
from replay.organisations import organisations
from replay.organisations.answers import (
    ActivityPart,
    ActivityRow,
    DistrictActivity,
    Organisation,
    OrganisationActivity,
    ServiceRow,
)
from replay.organisations.organisations import RowFilter

_SERVICE = ("shifts", "volunteers", "raw", "counted", "credited", "scanned", "attested")


def tree(data: Path, texts: AxisTexts, *, as_json: bool) -> None:
    """Show the tree, each organisation below what it stands under."""
    with reading(data, texts) as (ledger, axes):
        found = organisations.organisations(ledger.queries, ledger.database, today(ledger, axes), axes)
    if as_json:
        print_json(found)
        return
    by_name = {one.organisation: one for one in found.organisations}
    top = [one for one in found.organisations if one.parent is None]
    rows = [
        ("  " * depth + one.organisation, one.kind, len(one.children), one.ended_on)
        for depth, one in _downwards(top, by_name, 0)
    ]
    print_table(f"Organisations on {found.day}", ("organisation", "kind", "below", "ended"), rows)
    print_basis(found)


def _downwards(
    level: Iterable[Organisation], by_name: dict[str, Organisation], depth: int
) -> Iterable[tuple[int, Organisation]]:
    for one in level:
        yield depth, one
        yield from _downwards((by_name[child] for child in one.children), by_name, depth + 1)


def show(data: Path, name: str, texts: AxisTexts, *, as_json: bool) -> None:
    """Show one organisation."""
    with reading(data, texts) as (ledger, axes):
        found = organisations.organisation(ledger.queries, ledger.database, name, today(ledger, axes), axes)
    if as_json:
        print_json(found)
        return
    one = found.organisation
    rows = [
        ("path", " > ".join(found.path)),
        ("below it", ", ".join(one.children)),
        ("stations", ", ".join(led.name + ("" if led.open else " (closed)") for led in found.stations)),
        ("projects", ", ".join(led.name + ("" if led.open else " (ended)") for led in found.projects)),
        ("members", f"{found.members:,}, with those below it {found.members_with_below:,}"),
    ]
    ended = f", ended on {one.ended_on}" if one.ended_on else ""
    print_table(f"Organisation {name} ({one.kind}) on {found.day}{ended}", ("", ""), rows)
    history = [
        (each.day or "from the beginning", each.what, each.parent, each.reason, each.by, each.position)
        for each in found.history
    ]
    print_table("History", ("since", "", "under", "reason", "by", "position"), history)
    print_basis(found)


def activity(
    data: Path, name: str | None, year: int | None, texts: AxisTexts, *, by_projects: bool, as_json: bool
) -> None:
    """Show what is done in an organisation, or in the whole district: its rows, its own, and each part's."""
    wanted = RowFilter(year, "month" if year else "year", "projects" if by_projects else "places")
    found: DistrictActivity | OrganisationActivity
    with reading(data, texts) as (ledger, axes):
        if name is None:
            found = organisations.district(ledger.queries, ledger.database, wanted, axes)
        else:
            found = organisations.activity(ledger.queries, ledger.database, name, wanted, axes)
    if as_json:
        print_json(found)
    elif isinstance(found, DistrictActivity):
        _print_activity("The district", found.rows, ("no organisation", found.no_organisation), found.parts)
        print_basis(found)
    else:
        _print_activity(f"Organisation {name}", found.rows, ("its own", found.own), found.parts)
        print_basis(found)


def _print_activity(
    title: str, rows: list[ActivityRow], own: tuple[str, list[ActivityRow]], parts: list[ActivityPart]
) -> None:
    shown: list[tuple[object, ...]] = [("all", *_activity(row)) for row in rows]
    shown += [(own[0], *_activity(row)) for row in own[1]]
    shown += [(part.organisation, *_activity(row)) for part in parts for row in part.rows]
    print_table(title, ("part", "when", *_SERVICE, "people served"), shown)


def _activity(row: ActivityRow) -> tuple[object, ...]:
    return (*_service(row), row.people_served)


def _service(row: ServiceRow) -> tuple[object, ...]:
    when = f"{row.year}-{row.month:02d}" if row.month else str(row.year)
    minutes = (row.raw_minutes, row.counted_minutes, row.credited_minutes, row.scanned_minutes, row.attested_minutes)
    return (when, row.shifts, row.volunteers, *map(Hours, minutes))


def members(
    data: Path, name: str, year: int | None, page: tuple[int, str | None], texts: AxisTexts, *, as_json: bool
) -> None:
    """Show what members did, in sum and each."""
    limit, after = page
    wanted = RowFilter(year, "month" if year else "year")
    with reading(data, texts) as (ledger, axes):
        found = organisations.members(ledger.queries, ledger.database, name, wanted, axes, limit=limit, after=after)
    if as_json:
        print_json(found)
        return
    rows: list[Sequence[object]] = [("all", *_service(row)) for row in found.rows]
    rows += [("its own", *_service(row)) for row in found.own]
    rows += [(part.organisation, *_service(row)) for part in found.parts for row in part.rows]
    print_table(f"Members of {name}, on the days of their membership", ("part", "when", *_SERVICE), rows)
    listed = [
        (
            one.volunteer,
            one.organisation,
            one.since,
            one.until,
            one.shifts,
            Hours(one.credited_minutes),
            Hours(one.scanned_minutes),
            Hours(one.attested_minutes),
        )
        for one in found.members
    ]
    columns = ("volunteer", "organisation", "since", "until", "shifts", "credited", "scanned", "attested")
    print_table("Members", columns, listed, more(found.next_after))
    print_basis(found)
