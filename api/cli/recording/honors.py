"""`hours honors`: commands through the intake of this process, and reports as tables or JSON.

The operator names the acting person or system with --by; the ledger applies the same rejections as over HTTP.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import typer
from pydantic import TypeAdapter, ValidationError

from api.cli.options import OPERATOR, Json, data_of, refuse_idle
from api.cli.output import day, out, print_json, print_table
from api.cli.readers import awards
from api.cli.readers.queries import print_basis, today
from api.cli.recording.wrong_fields import usage_error
from api.http.routes.writes.conferring import Conferred, conferred
from api.messages.problems import fault_of_refusal
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.aggregates import COMMANDS, Sender
from ledger.intake.answers import Accepted, Terms
from ledger.names import CallingActor
from ledger.rejections import Refused
from replay.awards.plans import Plan, PlanRequest, plan_announcements, plan_awards

app = typer.Typer(
    help="Announce, object to, settle, award and revoke honours; report on them.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("list")(awards.list_awards)
app.command("show")(awards.show)
app.command("notices")(awards.notices)
app.command("eligible")(awards.eligible)
app.command("undercut")(awards.undercut)

By = Annotated[str, typer.Option(help="Who acts: person:NAME or system:NAME.")]
Honor = Annotated[str, typer.Argument(help="A threshold's or a ranking's id.")]
Award = Annotated[str, typer.Argument(help="The award's id.", metavar="AWARD")]
Year = Annotated[int | None, typer.Option(min=2000, max=2099, help="The year of a ranking.")]
Volunteer = Annotated[str | None, typer.Option(help="This volunteer alone.")]
Project = Annotated[str | None, typer.Option(help="This project alone.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Record nothing; show what would happen.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Recipients at most.")]
Text = Annotated[str | None, typer.Option(help="More about it; stored apart from the event and erasable.")]
Reason = Annotated[str, typer.Option(help="A code such as hours-doubted.")]
ExpectedVersion = Annotated[
    int | None,
    typer.Option(min=0, max=1_000_000, help="The version of the award this is based on; refused if it has another."),
]
After = Annotated[str | None, typer.Option(help="Continue after this entry.")]
OfHonor = Annotated[str | None, typer.Option(help="Only of this honour.")]
For = Annotated[str | None, typer.Option("--for", help="Only for this volunteer or project.")]

_actor: TypeAdapter[str] = TypeAdapter(CallingActor)


class Recipients(NamedTuple):
    """An honour and its recipients: one volunteer, one project, or everybody."""

    honor: str
    volunteer: str | None
    project: str | None
    everybody: bool
    year: int | None
    limit: int

    def plan_request(self, option: str) -> PlanRequest:
        """Return the request; raise UsageError unless exactly one of the three is named."""
        if (self.volunteer is not None) + (self.project is not None) + self.everybody != 1:
            raise UsageError(f"name exactly one of --volunteer, --project and {option}")
        return PlanRequest(self.honor, self.year, self.volunteer or self.project, self.limit)


# --- commands --------------------------------------------------------------------------------------------------------


@app.command()
def announce(
    context: typer.Context,
    honor: Honor,
    *,
    volunteer: Volunteer = None,
    project: Project = None,
    all_eligible: Annotated[
        bool, typer.Option("--all-eligible", help="All who have reached it and for whom it was never announced.")
    ] = False,
    year: Year = None,
    limit: Limit = 1000,
    by: By = OPERATOR,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Give public notice of an honour, with its evidence."""
    if not all_eligible:
        refuse_idle(context, "without --all-eligible", "limit")
    recipients = Recipients(honor, volunteer, project, all_eligible, year, limit)
    plan_request = recipients.plan_request("--all-eligible")
    with open_ledger(data_of(context)) as ledger:
        ledger.catch_up()
        plan = plan_announcements(ledger.queries, plan_request, today(ledger))
        return _execute(ledger, plan, plan_request.honor, by, "announced", dry_run=dry_run, as_json=as_json)


@app.command()
def award(
    context: typer.Context,
    honor: Honor,
    *,
    volunteer: Volunteer = None,
    project: Project = None,
    all_due: Annotated[bool, typer.Option("--all-due", help="All whose notice ended without objection.")] = False,
    year: Year = None,
    awarded_on: Annotated[str | None, typer.Option(help="The day of the award; by default today.")] = None,
    limit: Limit = 1000,
    by: By = OPERATOR,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Award an announced honour, with its evidence computed again."""
    if not all_due:
        refuse_idle(context, "without --all-due", "limit")
    recipients = Recipients(honor, volunteer, project, all_due, year, limit)
    plan_request, on = recipients.plan_request("--all-due"), day(awarded_on, "--awarded-on")
    with open_ledger(data_of(context)) as ledger:
        ledger.catch_up()
        plan = plan_awards(ledger.queries, plan_request, today(ledger), on)
        return _execute(ledger, plan, plan_request.honor, by, "awarded", dry_run=dry_run, as_json=as_json)


def _execute(ledger: OpenLedger, plan: Plan, honor: str, by: str, done: str, *, dry_run: bool, as_json: bool) -> int:
    sender = Sender.of_operator(checked_actor(by))
    orders = [
        sender.order(step.command, source=f"/honors/{sender.by}", id=str(uuid4()), imported=False)
        for step in plan.steps
    ]
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
    rows += [(one.recipient, one.award, f"skipped: {one.why}", None) for one in found.passed_by]
    caption = f"{found.left} more: run it again" if found.left else ""
    title = f"{found.honor}: {found.accepted} {done}, {found.refused} refused, {len(found.passed_by)} skipped"
    print_table(title, ("recipient", "award", "outcome", "position"), rows, caption)
    print_basis(found)


@app.command("object")
def object_to(
    context: typer.Context,
    award: Award,
    *,
    reason: Reason,
    text: Text = None,
    expected_version: ExpectedVersion = None,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Object to an announced honour."""
    fields = {"award": award, "reason": reason, "text": text, "expected_version": expected_version}
    _record(data_of(context), "object-to-honor", fields, by, as_json=as_json)


@app.command()
def settle(
    context: typer.Context,
    award: Award,
    *,
    objection: Annotated[int, typer.Option(min=1, help="The objection's number within the award.")] = 1,
    outcome: Annotated[str, typer.Option(help="upheld or rejected.")],
    reason: Reason,
    text: Text = None,
    expected_version: ExpectedVersion = None,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Settle an objection. Neither the person who announced the honour nor the objector may do so."""
    fields = {"award": award, "objection": objection, "outcome": outcome, "reason": reason, "text": text}
    fields["expected_version"] = expected_version
    _record(data_of(context), "settle-honor-objection", fields, by, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    award: Award,
    *,
    reason: Reason,
    expected_version: ExpectedVersion = None,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Revoke an honour that was announced or awarded."""
    fields = {"award": award, "reason": reason, "expected_version": expected_version}
    _record(data_of(context), "revoke-honor", fields, by, as_json=as_json)


def _record(data: Path, command_type: str, body: dict[str, Any], by: str, *, as_json: bool) -> None:
    """Record one command and print its position; raise UsageError if it is rejected."""
    fields = {name: value for name, value in body.items() if value is not None}
    try:
        command = COMMANDS[command_type].model_validate(fields)
    except ValidationError as error:
        raise usage_error(error, fields, "award") from None
    sender = Sender.of_operator(checked_actor(by))
    order = sender.order(command, source=f"/honors/{sender.by}", id=str(uuid4()), imported=False)
    with open_ledger(data) as ledger:
        (answer,) = ledger.intake.execute([order])
        if isinstance(answer, Refused):
            raise UsageError(fault_of_refusal(answer).detail)
        ledger.catch_up()
    position = answer.position if isinstance(answer, Accepted) else None
    if as_json:
        print_json({"award": fields["award"], "position": position})
    else:
        out().print(f"{command_type} {fields['award']}: recorded at position {position}", markup=False)


def checked_actor(by: str) -> str:
    """Return an actor given on the command line; raise UsageError if it is not one."""
    try:
        return _actor.validate_python(by)
    except ValidationError:
        raise UsageError(f"--by {by} is not an actor; write person:NAME or system:NAME") from None
