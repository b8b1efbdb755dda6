"""The readers `hours disputes`, `hours requests` and `hours history` of the command line.

Whoever keeps the ledger may read what people wrote.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import get_args

from api.cli.output import Hours, more, print_json, print_table
from api.cli.readers.queries import AxisTexts, print_basis, reading, today
from api.operations.usage_errors import UsageError
from replay.records.case_answers import CaseStep, DisputeState, RecordAct, RequestState
from replay.records.cases import DisputeFilter, RequestFilter

Page = tuple[int, int]
"""`--after` and `--limit`."""


def disputes(
    data: Path,
    state: str | None,
    about: tuple[str | None, str | None],
    page: Page,
    texts: AxisTexts,
    *,
    overdue: bool,
    as_json: bool,
) -> None:
    """Show disputes. `about`: a station and a volunteer."""
    chosen = next((one for one in get_args(DisputeState) if one == state), None)
    if state is not None and chosen is None:
        raise UsageError(f"--state {state} is no state of a dispute; write one of {', '.join(get_args(DisputeState))}")
    with reading(data, texts) as (ledger, axes):
        asked = DisputeFilter(axes.valid_at or today(ledger, axes), chosen, overdue or None, *about)
        found = ledger.queries.disputes(asked, axes, *page)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *_step(one.opened),
            one.volunteer,
            one.station,
            one.state,
            one.answer_due,
            one.settle_due,
            f"{one.overdue} overdue" if one.overdue else one.outcome,
            one.shift,
        )
        for one in found.disputes
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
    data: Path, state: str | None, volunteer: str | None, page: Page, texts: AxisTexts, *, as_json: bool
) -> None:
    """Show requests."""
    chosen = next((one for one in get_args(RequestState) if one == state), None)
    if state is not None and chosen is None:
        raise UsageError(f"--state {state} is no state of a request; write one of {', '.join(get_args(RequestState))}")
    with reading(data, texts) as (ledger, axes):
        found = ledger.queries.requests(RequestFilter(chosen, None, volunteer), axes, *page)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.request,
            *_step(one.asked)[1:],
            one.act,
            _value(one.fields),
            one.state,
            one.decided and one.decided.by,
        )
        for one in found.requests
    ]
    columns = ("request", "asked", "by", "text", "act", "what", "state", "decided by")
    print_table("Requests", columns, rows, more(found.next_after))
    print_basis(found)


def history(data: Path, number: str, page: Page, texts: AxisTexts, *, as_json: bool) -> None:
    """Show what was done to a volunteer's record."""
    with reading(data, texts) as (ledger, axes):
        found = ledger.queries.volunteer_history(number, axes, *page)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            act.position,
            _minute(act.recorded_at),
            act.topic.partition(".")[0],
            _who(act),
            _why(act.reason, act.text),
            _changed(act),
            f"{Hours(act.minutes.before)} → {Hours(act.minutes.after)}" if act.minutes else None,
        )
        for act in found.acts
    ]
    columns = ("position", "recorded", "act", "by", "why", "what", "credited")
    print_table(f"The record of volunteer {number}", columns, rows, more(found.next_after))
    print_basis(found)


def _step(step: CaseStep) -> tuple[object, ...]:
    return step.position, _minute(step.at), step.by, _why(step.reason, step.text)


def _minute(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M")


def _who(act: RecordAct) -> str:
    return act.by + (f", approved by {act.approved_by}" if act.approved_by else "")


def _why(reason: str | None, text: str | None) -> str:
    return ": ".join(one for one in (reason, text) if one)


def _changed(act: RecordAct) -> str:
    """Return what changed, as "field: before → after"."""
    return ", ".join(
        f"{name}: {_value(act.before[name])} → {_value(value)}" if name in act.before else f"{name}: {_value(value)}"
        for name, value in act.after.items()
        if act.before.get(name, _NOTHING) != value
    )


_NOTHING = object()


def _value(value: object) -> str:
    """Return a value for people: instants to the minute, as the volunteer's day has them."""
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(one)}" for name, one in value.items())
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return value[:16].replace("T", " ")
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
