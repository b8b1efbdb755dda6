"""The readers `hours ranking` and `hours project` of the command line."""

from __future__ import annotations

from pathlib import Path

from api.cli.output import Hours, print_json, print_table
from api.cli.readers.queries import AxisTexts, print_basis, reading
from replay.rankings import projects, rankings
from replay.rankings.answers import ProjectMonth, RankingOfYear


def ranking(
    data: Path, name: str, year: int | None, span: tuple[int, int | None], texts: AxisTexts, *, as_json: bool
) -> None:
    """Show a year's ranking, from a rank on."""
    place, limit = span
    with reading(data, texts) as (ledger, axes):
        found = rankings.ranking(ledger.queries, name, year, axes, place=place, limit=limit)
    if as_json:
        print_json(found)
        return
    # What decides comes first; then what else is known.
    keys = [*found.order, *(key for key in _keys(found) if key not in found.order and key != "score")]
    rows = [(entry.rank, entry.name, *(_cell(key, entry.figures[key]) for key in keys)) for entry in found.entries]
    title = f"{found.title} ({name}) of {found.year}: {found.places} places, {found.ranked} {found.of} ranked"
    caption = f"more: --place {found.next_place}" if found.next_place else ""
    columns = ("rank", found.of.removesuffix("s"), *(key.removesuffix("_minutes").replace("_", " ") for key in keys))
    print_table(title, columns, rows, caption)
    print_basis(found)


def _keys(found: RankingOfYear) -> list[str]:
    return list(found.entries[0].figures) if found.entries else []


def _cell(key: str, value: int) -> object:
    return Hours(value) if key.endswith("_minutes") else value


def project(data: Path, name: str, year: int | None, texts: AxisTexts, *, as_json: bool) -> None:
    """Show a project's years, or the months of one."""
    with reading(data, texts) as (ledger, axes):
        found = projects.project_activity(ledger.queries, ledger.log, name, year, axes)
    if as_json:
        print_json(found)
        return
    rows = [_row(str(one.month), one) for one in found.months] if year else []
    rows += [_row("all" if year else str(one.year), one) for one in found.years]
    columns = ("month" if year else "year", "shifts", "volunteers", "raw", "counted", "credited", "people served")
    print_table(f"Project {name}" + (f", {year}" if year else ""), columns, rows)
    print_basis(found)


def _row(label: str, one: ProjectMonth) -> tuple[object, ...]:
    minutes = (one.raw_minutes, one.counted_minutes, one.credited_minutes)
    return (label, one.shifts, one.volunteers, *map(Hours, minutes), one.people_served)
