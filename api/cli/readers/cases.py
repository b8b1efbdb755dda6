"""The commands `hours disputes`, `hours requests` and `hours history`.

The operator of a ledger may read free texts, so these commands show them.
"""

from __future__ import annotations

from typing import Annotated, get_args
from zoneinfo import ZoneInfo

import typer

from api.cli.options import AxesTexts, Json, KnownAt, ValidAt, data_of, with_axes
from api.cli.output import Hours, more, place, print_json, print_table, wall
from api.cli.readers.queries import print_basis, reading, timeline_used, today
from api.operations.usage_errors import UsageError
from replay.records.case_answers import ActRequest, CaseStep, DisputeState, RecordAct, RequestState
from replay.records.cases import DisputeFilter, RequestFilter

After = Annotated[int, typer.Option(min=0, help="Continue after this position.")]

Page = tuple[int, int]
"""The values of `--after` and `--limit`."""


def disputes(
    context: typer.Context,
    *,
    state: Annotated[str | None, typer.Option(help="open, answered or settled.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only overdue ones.")] = False,
    station: Annotated[str | None, typer.Option(help="Only about shifts of this station.")] = None,
    volunteer: Annotated[str | None, typer.Option(help="Only about this volunteer.")] = None,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Disputes at most.")] = 50,
    valid_at: ValidAt = None,
    known_at: KnownAt = None,
    as_json: Json = False,
) -> None:
    """List disputes with their due dates."""
    chosen = next((known for known in get_args(DisputeState) if known == state), None)
    if state is not None and chosen is None:
        raise UsageError(f"--state {state} is not a state of a dispute; use one of {', '.join(get_args(DisputeState))}")
    with reading(data_of(context), (valid_at, known_at, None)) as (ledger, axes):
        filters = DisputeFilter(axes.valid_at or today(ledger, axes), chosen, overdue or None, station, volunteer)
        found = ledger.named(ledger.queries.disputes(filters, axes, after, limit))
        zone = ZoneInfo(timeline_used(ledger, axes).time_zone)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *_step(dispute.opened, zone),
            dispute.volunteer,
            place(dispute.station, dispute.station_name),
            dispute.state,
            dispute.answer_due,
            dispute.settle_due,
            f"{dispute.overdue} overdue" if dispute.overdue else dispute.outcome,
            dispute.shift,
        )
        for dispute in found.disputes
    ]
    columns = (
        "position",
        "opened",
        "by",
        "why",
        "volunteer",
        "station",
        "state",
        "answer due",
        "settle due",
        "outcome",
        "shift",
    )
    print_table(f"Disputes on {found.today}", columns, rows, more(found.next_after))
    print_basis(found)


def requests(
    context: typer.Context,
    *,
    state: Annotated[str | None, typer.Option(help="open, approved, declined or withdrawn.")] = None,
    volunteer: Annotated[str | None, typer.Option(help="Only about this volunteer.")] = None,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Requests at most.")] = 50,
    known_at: KnownAt = None,
    as_json: Json = False,
) -> None:
    """List acts that await another person's approval, and those decided."""
    chosen = next((known for known in get_args(RequestState) if known == state), None)
    if state is not None and chosen is None:
        raise UsageError(f"--state {state} is not a state of a request; use one of {', '.join(get_args(RequestState))}")
    with reading(data_of(context), (None, known_at, None)) as (ledger, axes):
        found = ledger.named(ledger.queries.requests(RequestFilter(chosen, None, volunteer), axes, after, limit))
        zone = ZoneInfo(timeline_used(ledger, axes).time_zone)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            request.request,
            *_step(request.asked, zone)[1:3],
            request.volunteer or "",
            _why(_reason_of(request), request.asked.text),
            request.act,
            request.sentence,
            request.state,
            request.decided and request.decided.by,
        )
        for request in found.requests
    ]
    columns = ("request", "asked", "by", "about", "why", "act", "what", "state", "decided by")
    print_table("Requests", columns, rows, more(found.next_after))
    print_basis(found)


@with_axes
def history(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Acts at most.")] = 50,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """List every act on a volunteer's record: who, when and why, with the values before and after."""
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(ledger.queries.volunteer_history(number, axes, after, limit))
        zone = ZoneInfo(timeline_used(ledger, axes).time_zone)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            act.position,
            wall(act.recorded_at, zone),
            act.topic.partition(".")[0],
            _who(act),
            _why(act.reason, act.text),
            act.sentence,
            f"{Hours(act.minutes.before)} → {Hours(act.minutes.after)}" if act.minutes else None,
        )
        for act in found.acts
    ]
    columns = ("position", "recorded", "act", "by", "why", "what", "credited")
    print_table(f"The record of volunteer {number}", columns, rows, more(found.next_after))
    print_basis(found)


def _step(step: CaseStep, zone: ZoneInfo) -> tuple[object, ...]:
    return step.position, wall(step.at, zone), step.by, _why(step.reason, step.text)


def _who(act: RecordAct) -> str:
    return act.by + (f", approved by {act.approved_by}" if act.approved_by else "")


def _reason_of(request: ActRequest) -> str | None:
    """Return the reason of the act that is requested, as a code."""
    reason = request.fields.get("reason")
    return reason if isinstance(reason, str) else request.asked.reason


def _why(reason: str | None, text: str | None) -> str:
    return ": ".join(part for part in (reason, text) if part)
