"""What `hours served` shows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from api.cli.output import day, more, print_json, print_table
from api.cli.readers.queries import AxisTexts, print_basis, reading, today
from api.messages.periods import DAYS_BY_DEFAULT
from api.operations.usage_errors import UsageError
from replay.organisations.people_served import PeopleServedQuery, people_served
from replay.organisations.people_served_answers import ServedDay


def served(
    data: Path,
    whose: tuple[str | None, str | None, str | None],
    span: tuple[str | None, str | None],
    page: tuple[int, str | None],
    texts: AxisTexts,
    *,
    as_json: bool,
) -> None:
    """Show the people served in a period.

    Args:
        whose: station, project and organisation.
    """
    first, last = day(span[0], "--from"), day(span[1], "--to")
    limit, after = page
    with reading(data, texts) as (ledger, axes):
        end = last or today(ledger, axes)
        begin = first or end - timedelta(days=DAYS_BY_DEFAULT - 1)
        if end < begin:
            raise UsageError(f"--from {begin} lies after --to {end}; swap them")
        asked = PeopleServedQuery(begin, end, *whose)
        found = people_served(ledger.queries, ledger.database, asked, axes, limit=limit, after=after)
    if as_json:
        print_json(found)
        return
    rows: list[tuple[object, ...]] = [(one.day, one.station, one.project, one.people, _said(one)) for one in found.days]
    rows.append(("all", None, None, found.people, ""))
    title = f"People served, {found.first_day} to {found.last_day}"
    print_table(title, ("day", "station", "project", "people", "counted"), rows, more(found.next_after))
    print_basis(found)


def _said(one: ServedDay) -> str:
    return ", then ".join(f"{each.people} ({each.reason})" if each.reason else f"{each.people}" for each in one.counts)
