"""What `hours honors` does: acts through the intake of this process, reports as tables for people or JSON.

Acts at the command line are the keeper's, who says with --by for whom; the ledger refuses them as it does over HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from api.cli.output import Hours, day, more, out, print_json, print_table
from api.cli.readers.queries import AxisTexts, print_basis, reading, today
from api.http.routes.writes.conferring import Conferred, conferred, orders_of
from api.messages.problems import fault_of_refusal, fault_of_validation
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.aggregates import COMMANDS, Order
from ledger.intake.answers import Accepted, Terms
from ledger.names import Actor
from ledger.rejections import Refused
from replay.awards import reports
from replay.awards.answers import AsGiven, AwardAnswer, Causes, EvidenceNamed, Undercut
from replay.awards.plans import Plan, Wish, plan_announcements, plan_awards
from replay.awards.reports import AwardFilter, Page
from replay.records.awards import State

_actor: TypeAdapter[str] = TypeAdapter(Actor)
_state: TypeAdapter[State] = TypeAdapter(State)

AwardFilterTexts = tuple[str | None, int | None, str | None, str | None]
"""Honour, year, recipient and state, as they were written."""


class Recipients(NamedTuple):
    """For whom an honour is: one recipient, or all."""

    honor: str
    volunteer: str | None
    project: str | None
    everybody: bool
    year: int | None
    limit: int

    def wish(self, option: str) -> Wish:
        """Return what is asked for."""
        if (self.volunteer is not None) + (self.project is not None) + self.everybody != 1:
            raise UsageError(f"name --volunteer, --project or {option}: one of them, and not several")
        return Wish(self.honor, self.year, self.volunteer or self.project, self.limit)


# --- acts -----------------------------------------------------------------------------------------------------------


def announce(data: Path, recipients: Recipients, by: str, *, dry_run: bool, as_json: bool) -> int:
    """Announce an honour; exit code 1 when the ledger refused some of it."""
    wish = recipients.wish("--all-eligible")
    with open_ledger(data) as ledger:
        ledger.catch_up()
        plan = plan_announcements(ledger.queries, wish, today(ledger))
        return _give(ledger, plan, wish.honor, by, "announced", dry_run=dry_run, as_json=as_json)


def award(data: Path, recipients: Recipients, awarded_on: str | None, by: str, *, dry_run: bool, as_json: bool) -> int:
    """Award an announced honour; exit code 1 when the ledger refused some of it."""
    wish, on = recipients.wish("--all-due"), day(awarded_on, "--awarded-on")
    with open_ledger(data) as ledger:
        ledger.catch_up()
        plan = plan_awards(ledger.queries, wish, today(ledger), on)
        return _give(ledger, plan, wish.honor, by, "awarded", dry_run=dry_run, as_json=as_json)


def _give(ledger: OpenLedger, plan: Plan, honor: str, by: str, done: str, *, dry_run: bool, as_json: bool) -> int:
    orders = orders_of(plan, _checked(by))
    chunks = [orders[at : at + 1000] for at in range(0, len(orders), 1000)]
    answers = [answer for chunk in chunks for answer in ledger.intake.execute(chunk, Terms(dry_run=dry_run))]
    ledger.catch_up()
    found = conferred(plan, honor, answers)
    if as_json:
        print_json(found)
    else:
        _print_conferred(found, f"would be {done}" if dry_run else done)
    return 1 if found.refused else 0


def _print_conferred(found: Conferred, done: str) -> None:
    rows = [
        (one.recipient, one.award, one.problem.detail if one.problem else done, one.position) for one in found.outcomes
    ]
    rows += [(one.recipient, one.award, f"passed by: {one.why}", None) for one in found.passed_by]
    caption = f"{found.left} more: run it again" if found.left else ""
    title = f"{found.honor}: {found.accepted} {done}, {found.refused} refused, {len(found.passed_by)} passed by"
    print_table(title, ("recipient", "award", "outcome", "position"), rows, caption)
    print_basis(found)


def act(data: Path, command_type: str, body: dict[str, Any], by: str, *, as_json: bool) -> None:
    """Give one command about an award."""
    said = {name: value for name, value in body.items() if value is not None}
    try:
        command = COMMANDS[command_type].model_validate(said)
    except ValidationError as error:
        raise UsageError(fault_of_validation(error.errors()).detail) from None
    order = Order.checked(command=command, source="/honors", id=str(uuid4()), by=_checked(by))
    with open_ledger(data) as ledger:
        (answer,) = ledger.intake.execute([order])
        if isinstance(answer, Refused):
            raise UsageError(fault_of_refusal(answer).detail)
        ledger.catch_up()
    position = answer.position if isinstance(answer, Accepted) else None
    if as_json:
        print_json({"award": said["award"], "position": position})
    else:
        out().print(f"{command_type} {said['award']}: recorded at position {position}", markup=False)


def _checked(by: str) -> str:
    try:
        return _actor.validate_python(by)
    except ValidationError:
        raise UsageError(f"--by {by} is nobody; write person:NAME or system:NAME") from None


# --- reports --------------------------------------------------------------------------------------------------------


def _wanted(texts: AwardFilterTexts) -> AwardFilter:
    honor, year, recipient, state = texts
    try:
        return AwardFilter(honor, year, recipient, None if state is None else _state.validate_python(state))
    except ValidationError:
        raise UsageError(f"--state {state} is none; write announced, objected, rejected, awarded or revoked") from None


def show_awards(
    data: Path, wanted: AwardFilterTexts, page: tuple[int, str | None], texts: AxisTexts, *, as_json: bool
) -> None:
    """List awards."""
    asked = _wanted(wanted)
    with reading(data, texts) as (ledger, axes):
        found = reports.awards(ledger.queries, axes, asked, Page(*page))
    if as_json:
        print_json(found)
        return
    rows = [(*_award_cells(one), one.state, one.notice_until, one.awarded_on) for one in found.awards]
    columns = ("award", "honour", "for", "year", "state", "notice until", "awarded on")
    print_table(f"{found.count} awards", columns, rows, more(found.next_after))
    print_basis(found)


def _award_cells(award: AwardAnswer) -> tuple[object, ...]:
    return award.award, award.honor, _recipient(award), str(award.year or "")


def _recipient(award: AwardAnswer) -> str | None:
    named = award.volunteer or award.project
    return f"{named}, now {award.goes_on_as}" if award.goes_on_as else named


def show_notices(data: Path, page: tuple[int, str | None], texts: AxisTexts, *, as_json: bool) -> None:
    """Show the public notice list."""
    with reading(data, texts) as (ledger, axes):
        found = reports.public_notices(ledger.queries, axes, today(ledger), Page(*page))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *_award_cells(one),
            one.notice_until,
            "runs" if one.running else "has ended",
            ", ".join(f"{each.number}: {each.reason}" for each in one.objections if each.outcome is None),
        )
        for one in found.notices
    ]
    columns = ("award", "honour", "for", "year", "notice until", "notice", "open objections")
    print_table(f"Public notices on {found.on}: {found.count}", columns, rows, more(found.next_after))
    print_basis(found)


def show_eligible(
    data: Path, honor: str, year: int | None, page: tuple[int, str | None], texts: AxisTexts, *, as_json: bool
) -> None:
    """Show who has reached an honour and was not awarded it."""
    with reading(data, texts) as (ledger, axes):
        found = reports.eligible(ledger.queries, honor, year, today(ledger), axes, Page(*page))
    if as_json:
        print_json(found)
        return
    rows = [
        (one.name, one.reached_on or one.rank, Hours(one.credited_minutes), one.state, one.award)
        for one in found.eligible
    ]
    reached = "reached on" if found.year is None else "rank"
    when = f"up to {found.reached_up_to}" if found.year is None else f"of {found.year}"
    title = f"{found.title} ({honor}) {when}: {found.count} eligible and not awarded"
    columns = (found.of.removesuffix("s"), reached, "credited", "state", "award")
    print_table(title, columns, rows, more(found.next_after))
    print_basis(found)


def show_undercut(
    data: Path, wanted: AwardFilterTexts, page: tuple[int, str | None], texts: AxisTexts, *, as_json: bool
) -> None:
    """Show awards that were undercut, and why."""
    asked = _wanted(wanted)
    with reading(data, texts) as (ledger, axes):
        found = reports.undercut(ledger.queries, ledger.log, axes, asked, Page(*page))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *_award_cells(one)[:1],
            _recipient(one),
            one.awarded_on,
            Hours(one.awarded.credited_minutes) if one.awarded else None,
            Hours(one.credited_minutes_now),
            _kind(one),
            _causes(one.causes),
        )
        for one in found.undercut
    ]
    columns = ("award", "for", "awarded on", "evidence", "holds now", "finding", "because of")
    title = f"{found.count} of {found.awards_in_all} awards are undercut"
    print_table(title, columns, rows, more(found.next_after))
    print_basis(found)


def _kind(one: Undercut) -> str:
    if one.kind == "later":
        return f"reached only on {one.reached_on_now}"
    return f"rank {one.rank_now}" if one.kind == "behind" else "lost"


def _causes(causes: Causes) -> str:
    events = sorted({position for shift in causes.shifts for position in shift.positions} | {*causes.positions})
    said = []
    if causes.by_events or events:
        named = f" ({', '.join(map(str, events[:5]))}{' …' if len(events) > 5 else ''})" if events else ""
        said.append(f"events{named} {Hours(causes.by_events)}")
    if causes.by_rules:
        said.append(f"rules {Hours(causes.by_rules)}")
    elif causes.rules_differ:
        said.append("other rules")
    if causes.overtaken_by:
        said.append(f"overtaken by {', '.join(one.name for one in causes.overtaken_by[:3])}")
    return "; ".join(said)


def show_life(data: Path, name: str, texts: AxisTexts, *, as_json: bool) -> None:
    """Show one award with its events."""
    with reading(data, texts) as (ledger, axes):
        found = reports.award_life(ledger.queries, ledger.log, name, axes)
        zone = ZoneInfo(ledger.current_generation().timeline().time_zone)
    if as_json:
        print_json(found)
        return
    rows = []
    for event in found.events:
        said = dict(event.event)
        recorded = datetime.fromtimestamp(int(str(said.pop("recorded_at"))), zone).strftime("%Y-%m-%d %H:%M")
        by = said.pop("by")
        about = [f"{field}={value}" for field, value in said.items() if field not in _EVERY_EVENT]
        rows.append((event.position, event.topic, recorded, by, " ".join(about)))
    award = found.award
    title = f"{award.award}: {award.honor} for {_recipient(award)}, {award.state}"
    print_table(title, ("position", "event", "recorded", "by", ""), rows)
    print_basis(found)


_EVERY_EVENT = {"award", "honor", "volunteer", "project", "command", "occurred_at", "imported", "key", "note"}


def show_as_given(data: Path, name: str, texts: AxisTexts, *, as_json: bool) -> None:
    """Show what an honour looked like by its evidence."""
    with reading(data, texts) as (ledger, axes):
        found = reports.as_given(ledger.queries, ledger.log, name, axes)
    if as_json:
        print_json(found)
        return
    sides = [("the evidence said", found.evidence), ("the ledger finds", found.found)]
    rows = [(label, *_evidence_cells(one)) for label, one in sides if one is not None]
    columns = ("", "rules", "position", "credited", "reached on", "rank")
    agrees = {True: "they agree", False: "they do not agree", None: "the record names no evidence"}
    title = f"{found.award.award}: {found.award.honor} for {_recipient(found.award)}, as given"
    print_table(title, columns, rows, agrees[found.agrees])
    _print_then(found)
    print_basis(found)


def _evidence_cells(one: EvidenceNamed) -> Sequence[object]:
    return (
        f"version {one.rules_version}",
        one.position,
        Hours(one.credited_minutes),
        one.reached_on,
        str(one.rank or ""),
    )


def _print_then(found: AsGiven) -> None:
    """Show the recipient's hours and honours as they stood then."""
    if found.hours is None:
        return
    total = found.hours.total
    cells = (total.shifts, *map(Hours, (total.credited_minutes, total.scanned_minutes, total.attested_minutes)))
    honors = ", ".join(f"{one.honor} ({one.reached_on})" for one in found.hours.honors)
    print_table("Known then", ("shifts", "credited", "scanned", "attested", "honours"), [(*cells, honors)])
