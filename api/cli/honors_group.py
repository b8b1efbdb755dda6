"""`hours honors`: what each of its commands takes. What they do stands in `api/cli/recording/honors.py`."""

# ruff: noqa: PLC0415 - each command imports what it needs when it runs: `hours --help` must not wait for numba

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.options import AxesTexts, Json, KnownAt, ValidAt, data_of, with_axes

app = typer.Typer(help="Announce, object, settle, award and revoke honours; reports about them.", no_args_is_help=True)

By = Annotated[str, typer.Option(help="Who acts: person:NAME or system:NAME.")]
Honor = Annotated[str, typer.Argument(help="A threshold's or a ranking's id.")]
Award = Annotated[str, typer.Argument(help="The award's id.", metavar="AWARD")]
Year = Annotated[int | None, typer.Option(min=2000, max=2099, help="The year of a ranking.")]
Volunteer = Annotated[str | None, typer.Option(help="This volunteer alone.")]
Project = Annotated[str | None, typer.Option(help="This project alone.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Record nothing: say what would become of it.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]
Reason = Annotated[str, typer.Option(help="A code such as hours-doubted.")]
Text = Annotated[str | None, typer.Option(help="More about it; kept apart from the event, and erasable.")]
After = Annotated[str | None, typer.Option(help="Go on behind this one.")]
OfHonor = Annotated[str | None, typer.Option(help="Only of this honour.")]
For = Annotated[str | None, typer.Option("--for", help="Only for this volunteer or project.")]
OPERATOR = "person:keeper"


# --- acts -----------------------------------------------------------------------------------------------------------


@app.command()
def announce(
    context: typer.Context,
    honor: Honor,
    *,
    volunteer: Volunteer = None,
    project: Project = None,
    all_eligible: Annotated[
        bool, typer.Option("--all-eligible", help="All who have reached it and for whom it never was announced.")
    ] = False,
    year: Year = None,
    limit: Limit = 1000,
    by: By = OPERATOR,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Give public notice of an honour, with its evidence."""
    from api.cli.recording.honors import Recipients, announce

    recipients = Recipients(honor, volunteer, project, all_eligible, year, limit)
    return announce(data_of(context), recipients, by, dry_run=dry_run, as_json=json)


@app.command()
def award(
    context: typer.Context,
    honor: Honor,
    *,
    volunteer: Volunteer = None,
    project: Project = None,
    all_due: Annotated[bool, typer.Option("--all-due", help="All whose notice has ended with no objection.")] = False,
    year: Year = None,
    awarded_on: Annotated[str | None, typer.Option(help="The day of the award; by default today.")] = None,
    limit: Limit = 1000,
    by: By = OPERATOR,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Award an announced honour, with its evidence found anew."""
    from api.cli.recording.honors import Recipients, award

    recipients = Recipients(honor, volunteer, project, all_due, year, limit)
    return award(data_of(context), recipients, awarded_on, by, dry_run=dry_run, as_json=json)


@app.command("object")
def object_(
    context: typer.Context, award: Award, *, reason: Reason, text: Text = None, by: By = OPERATOR, json: Json = False
) -> None:
    """Object to an announced honour."""
    from api.cli.recording.honors import act

    body = {"award": award, "reason": reason, "text": text}
    act(data_of(context), "object-to-honor", body, by, as_json=json)


@app.command()
def settle(
    context: typer.Context,
    award: Award,
    *,
    objection: Annotated[int, typer.Option(min=1, help="The objection's number within the award.")] = 1,
    outcome: Annotated[str, typer.Option(help="upheld or rejected.")],
    reason: Reason,
    text: Text = None,
    by: By = OPERATOR,
    json: Json = False,
) -> None:
    """Settle an objection; neither who announced the honour may do it nor who objected."""
    from api.cli.recording.honors import act

    body = {"award": award, "objection": objection, "outcome": outcome, "reason": reason, "text": text}
    act(data_of(context), "settle-honor-objection", body, by, as_json=json)


@app.command()
def revoke(context: typer.Context, award: Award, *, reason: Reason, by: By = OPERATOR, json: Json = False) -> None:
    """Take an honour back, whether it was awarded or only announced."""
    from api.cli.recording.honors import act

    act(data_of(context), "revoke-honor", {"award": award, "reason": reason}, by, as_json=json)


# --- reports --------------------------------------------------------------------------------------------------------


@app.command("list")
@with_axes
def list_(
    context: typer.Context,
    *,
    honor: OfHonor = None,
    year: Year = None,
    recipient: For = None,
    state: Annotated[
        str | None, typer.Option(help="Only announced, objected, rejected, awarded or revoked ones.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """List awards, and how far each is."""
    from api.cli.recording.honors import show_awards

    show_awards(data_of(context), (honor, year, recipient, state), (limit, after), axes, as_json=json)


@app.command()
def show(
    context: typer.Context,
    award: Award,
    *,
    as_given: Annotated[
        bool, typer.Option("--as-given", help="What it looked like by its evidence, on the day it was given.")
    ] = False,
    known_at: KnownAt = None,
    json: Json = False,
) -> None:
    """Show one award's whole life."""
    from api.cli.recording.honors import show_as_given, show_life

    shown = show_as_given if as_given else show_life
    shown(data_of(context), award, (None, known_at, None), as_json=json)


@app.command()
def notices(
    context: typer.Context,
    *,
    limit: Limit = 100,
    after: After = None,
    valid_at: ValidAt = None,
    known_at: KnownAt = None,
    json: Json = False,
) -> None:
    """Show the public notice list: what is announced, until when, and open objections."""
    from api.cli.recording.honors import show_notices

    show_notices(data_of(context), (limit, after), (valid_at, known_at, None), as_json=json)


@app.command()
@with_axes
def eligible(
    context: typer.Context,
    honor: Honor,
    *,
    year: Year = None,
    limit: Limit = 100,
    after: After = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """Show who has reached an honour and was not awarded it."""
    from api.cli.recording.honors import show_eligible

    show_eligible(data_of(context), honor, year, (limit, after), axes, as_json=json)


@app.command()
@with_axes
def undercut(
    context: typer.Context,
    *,
    honor: OfHonor = None,
    year: Year = None,
    recipient: For = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    after: After = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """Show awards that a later correction or rule has undercut, and why."""
    from api.cli.recording.honors import show_undercut

    show_undercut(data_of(context), (honor, year, recipient, None), (limit, after), axes, as_json=json)
