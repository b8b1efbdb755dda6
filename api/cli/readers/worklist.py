"""`hours worklist`: what waits for somebody, by its deadline."""

from __future__ import annotations

from typing import Annotated, get_args
from zoneinfo import ZoneInfo

import typer

from api.access.roles import roles_of_commands
from api.cli.options import AxesTexts, Json, data_of, with_axes
from api.cli.output import more, place, print_json, print_table, wall
from api.cli.readers.queries import print_basis, reading, timeline_used
from api.operations.usage_errors import UsageError
from replay.worklist.answers import WorkItem, WorkKind
from replay.worklist.worklist import WorkFilter, instant_of


@with_axes
def worklist(
    context: typer.Context,
    *,
    kind: Annotated[str | None, typer.Option(help="open-shift, request, dispute or undercut-award.")] = None,
    station: Annotated[str | None, typer.Option(help="Only at this station.")] = None,
    organisation: Annotated[str | None, typer.Option(help="Only of this organisation and those below it.")] = None,
    volunteer: Annotated[str | None, typer.Option(help="Only about this volunteer.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is overdue.")] = False,
    after: Annotated[str | None, typer.Option(help="Continue after this entry.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries at most.")] = 50,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """List shifts without a check-out, requests, disputes and undercut awards: who must act, and by when."""
    chosen = next((known for known in get_args(WorkKind) if known == kind), None)
    if kind is not None and chosen is None:
        raise UsageError(f"--kind {kind} is not a kind of entry; use one of {', '.join(get_args(WorkKind))}")
    query = WorkFilter(chosen, station, organisation, volunteer, overdue or None)
    with reading(data_of(context), texts) as (ledger, axes):
        timeline = timeline_used(ledger, axes)
        now, zone = instant_of(axes, timeline, ledger.clock()), ZoneInfo(timeline.time_zone)
        found = ledger.named(ledger.worklist.worklist(axes, now, query, limit, after))
    items = [item.model_copy(update={"roles": roles_of_commands(item.commands)}) for item in found.items]
    if as_json:
        print_json(found.model_copy(update={"items": items}))
        return
    rows = [
        (
            "none" if item.due is None else f"{item.due}{' overdue' if item.overdue else ''}",
            item.what,
            wall(item.since, zone),
            item.volunteer or place(item.project, item.project_name),
            place(item.station, item.station_name),
            _who(item),
            item.shift or item.request or item.award,
        )
        for item in items
    ]
    counts = ", ".join(f"{count:,} {name}" for name, count in found.counts.items() if count)
    caption = "; ".join(part for part in (counts, more(found.next_after)) if part)
    columns = ("due", "what", "since", "volunteer", "station", "who", "record")
    print_table(f"Worklist on {found.today}: {found.count:,}, {found.overdue:,} overdue", columns, rows, caption)
    print_basis(found)


def _who(item: WorkItem) -> str:
    """Return who is to act, in words."""
    roles = ", ".join(role for role in item.roles if role != "admin")
    return f"{roles}; not {item.not_by}" if item.not_by else roles
