"""`hours federation`: how far each ledger of a federation is known, and links between the numbers of one person."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import typer
from pydantic import ValidationError

from api.cli.options import OPERATOR, Json, data_of
from api.cli.output import out, print_json, stages
from api.cli.readers.federations import OpenFederation, open_federation, print_heads
from api.cli.recording.honors import checked_actor
from api.cli.recording.wrong_fields import usage_error
from api.messages.problems import fault_of_refusal
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.aggregates import COMMANDS, Command, Sender
from ledger.intake.answers import Answer
from ledger.names import Position
from ledger.rejections import Refused, Rejection
from projections.local_time import day_of_number
from projections.schema import NO_DAY
from replay.federation.heads import OWN, heads_at, seal
from replay.federation.joining import SEPARATOR

app = typer.Typer(
    help="Several ledgers as one: show how far each is known, and link the numbers of one person.",
    no_args_is_help=True,
    add_completion=False,
)

FederationFile = Annotated[Path, typer.Argument(metavar="FILE", help="The federation's file.")]
Number = Annotated[str, typer.Argument(help="A volunteer number after its ledger's name, such as luohu.v0001.")]
Reason = Annotated[str, typer.Option(help="A code such as same-person.")]
By = Annotated[str, typer.Option(help="Who acts: person:NAME or system:NAME.")]


@app.command("status")
def show(path: FederationFile, *, as_json: Json = False) -> int:
    """Show each ledger of a federation, and how far it is known. The exit code is 1 if one cannot be read."""
    with stages("Fetching") as progress:
        federation = open_federation(path, progress, without_unreachable=True)
    heads = heads_at(federation.archives)
    name = federation.definition.name
    if as_json:
        found = [head.model_dump(mode="json") for head in heads]
        print_json(
            {
                "federation": name,
                "heads": found,
                "seal": seal(name, heads, list(federation.missing)),
                "missing": federation.missing,
            }
        )
    else:
        print_heads(name, heads, federation.missing)
    return 1 if federation.missing else 0


# --- links ----------------------------------------------------------------------------------------------------------


@app.command("link")
def link(
    context: typer.Context,
    path: FederationFile,
    number: Number,
    into: Number,
    *,
    reason: Reason,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Record in the federation's own ledger that two numbers belong to one person, who goes on as the second.

    If its rules require another person's approval, this requests it.
    """
    sender = Sender.of_operator(checked_actor(by))
    _command("merge-volunteer", volunteer=number, into=into, reason=reason)  # before anything is recorded
    members = {name.partition(SEPARATOR)[0] for name in (number, into)}
    with _own_ledger(context, path, members) as (ledger, federation):
        registered = {name: _registered_on(federation, name) for name in (number, into)}
        for name, on in registered.items():
            answer = _execute(ledger, sender, "register-volunteer", volunteer=name, registered_on=on.isoformat())
            if isinstance(answer, Refused) and answer.rejection is not Rejection.ALREADY_REGISTERED:
                raise UsageError(fault_of_refusal(answer).detail)
        done = _act(ledger, sender, "merge-volunteer", volunteer=number, into=into, reason=reason)
    _print(done, f"{number} is linked with {into}", as_json=as_json)


@app.command("unlink")
def unlink(
    context: typer.Context,
    path: FederationFile,
    number: Number,
    into: Number,
    *,
    reason: Reason,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Undo a link, or request that. Both numbers then count as they did before."""
    sender = Sender.of_operator(checked_actor(by))
    with _own_ledger(context, path, ()) as (ledger, _federation):
        done = _act(ledger, sender, "undo-merge", volunteer=number, into=into, reason=reason)
    _print(done, f"{number} is no longer linked with {into}", as_json=as_json)


@app.command("approve")
def approve(
    context: typer.Context,
    path: FederationFile,
    request: Annotated[str, typer.Argument(help="The request's id, as `hours requests` lists it.")],
    *,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Approve what another person requested in the federation's own ledger, such as a link."""
    sender = Sender.of_operator(checked_actor(by))
    with _own_ledger(context, path, ()) as (ledger, _federation):
        answer = _execute(ledger, sender, "approve-act", request=request)
    _print(_Done(None, _position(answer)), f"{request} is approved", as_json=as_json)


class _Done(NamedTuple):
    """What became of an act: the request that waits for approval, if that is required, and the position."""

    request: str | None
    position: Position | None


def _act(ledger: OpenLedger, sender: Sender, command_type: str, **fields: str) -> _Done:
    """Record an act, or request it if the rules require another person's approval."""
    request = None
    answer = _execute(ledger, sender, command_type, **fields)
    if isinstance(answer, Refused) and answer.rejection is Rejection.NEEDS_APPROVAL:
        request = f"link-{uuid4().hex[:12]}"
        answer = _execute(ledger, sender, "request-act", request=request, act=command_type, fields=fields)
    if isinstance(answer, Refused) and answer.rejection in {Rejection.UNKNOWN_VOLUNTEER, Rejection.NOT_MERGED}:
        raise UsageError(f"{fields['volunteer']} is not linked with {fields['into']}; there is nothing to undo")
    return _Done(request, _position(answer))


def _command(command_type: str, **fields: Any) -> Command:
    try:
        return COMMANDS[command_type].model_validate(fields)
    except ValidationError as error:
        raise usage_error(error, fields, "volunteer", "into", "request") from None


def _execute(ledger: OpenLedger, sender: Sender, command_type: str, **fields: Any) -> Answer:
    command = _command(command_type, **fields)
    order = sender.order(command, source=f"/federation/{sender.by}", id=str(uuid4()), imported=False)
    (answer,) = ledger.intake.execute([order])
    return answer


def _position(answer: Answer) -> Position | None:
    if isinstance(answer, Refused):
        raise UsageError(fault_of_refusal(answer).detail)
    return answer.position


def _print(done: _Done, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done._asdict())
        return
    if done.request is None:
        out().print(f"{sentence}: recorded at position {done.position}", markup=False)
        return
    out().print(
        f"Requested as {done.request} at position {done.position}: the rules require another person's approval, in the "
        f"office or by `hours federation approve FILE {done.request} --by person:NAME`. Then {sentence}.",
        markup=False,
        soft_wrap=True,
    )


def _registered_on(federation: OpenFederation, number: str) -> date:
    """Return the day on which a member registered one of its numbers."""
    ledger, separator, name = number.partition(SEPARATOR)
    archive = federation.archives.get(ledger)
    if not separator or archive is None or ledger == OWN:
        known = ", ".join(federation.definition.ledgers)
        raise UsageError(f"{number} begins with the name of no ledger; write LEDGER.NUMBER, with one of {known}")
    facts = archive.other_facts()
    found = facts.volunteers.number.get(name)
    on = NO_DAY if found is None else int(facts.number_table().registered[found])
    if on == NO_DAY:
        raise UsageError(f"{ledger} has no volunteer {name}, as far as its archive goes (position {archive.position})")
    return day_of_number(on)


@contextmanager
def _own_ledger(
    context: typer.Context, path: Path, members: Collection[str]
) -> Iterator[tuple[OpenLedger, OpenFederation]]:
    """Open the federation's own ledger, and the archives of some members; bring its archive up to date at the end, for
    replays of the federation.
    """
    data = data_of(context)
    with open_ledger(data) as ledger:
        with stages("Fetching") as progress:
            federation = open_federation(path, progress, only=members)
        if federation.own is None:
            raise UsageError(f'{path} names no ledger of the federation\'s own: add own = "FOLDER/archive"')
        if federation.own.manifest.ledger != ledger.archive.manifest.ledger:
            raise UsageError(f"--data {data} is not the federation's own ledger; name the one that {path} calls own")
        try:
            yield ledger, federation
        finally:
            ledger.catch_up()
            ledger.archive.bring_up_to_date(ledger.database)
