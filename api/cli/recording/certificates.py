"""`hours certificates`: issue and revoke certificates of service, list and show them, write them as files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from pydantic import ValidationError

from api.cli.options import OPERATOR, Force, Json, data_of
from api.cli.output import Hours, check_output, more, notify, out, place, print_json, print_table, write_output
from api.cli.recording.honors import checked_actor
from api.cli.recording.wrong_fields import usage_error
from api.files.certificate_page import as_page
from api.messages.problems import fault_of_refusal
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.aggregates import COMMANDS, Sender
from ledger.aggregates.honor import HonorRevoked
from ledger.deciding.base import Command
from ledger.intake.answers import Accepted
from ledger.names import CERTIFICATE_PATTERN, Position, stream
from ledger.rejections import Refused
from ledger.store.persons import LookedUpBy
from replay.certificates.badges import badge_in
from replay.certificates.certificate import Certificate
from replay.certificates.documents import Documents, badge_json, badge_jwt
from replay.certificates.issuing import CertificateRequest, IssueError, plan_certificate
from replay.certificates.register import CertificateRecord, number_of_event
from replay.proof.checkpoints import signed_by

app = typer.Typer(
    help="Issue, list, show, revoke and export certificates of volunteer service.",
    no_args_is_help=True,
    add_completion=False,
)

By = Annotated[str, typer.Option(help="Who acts: person:NAME or system:NAME.")]
Number = Annotated[str, typer.Argument(help="The certificate's number, such as 2026-000001.", metavar="NUMBER")]
_FILES: dict[str, Callable[[Documents], bytes]] = {
    ".pdf": Documents.pdf,
    ".json": lambda documents: documents.json().encode(),
    ".jwt": lambda documents: documents.jwt().encode(),
    ".html": lambda documents: as_page(documents.certificate).encode(),
}


@app.command()
def issue(
    context: typer.Context,
    volunteer: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    from_year: Annotated[int, typer.Option(min=2000, max=2099, help="The first calendar year.")],
    to_year: Annotated[
        int | None, typer.Option(min=2000, max=2099, help="The last year; by default the first.")
    ] = None,
    organisation: Annotated[str, typer.Option(help="The recording organisation, by its id.")],
    with_name: Annotated[
        bool, typer.Option("--with-name", help="Show the name from the directory; the holder agrees.")
    ] = False,
    id_type: Annotated[str | None, typer.Option(help="The kind of identity document, if it is to be shown.")] = None,
    id_number: Annotated[str | None, typer.Option(help="The number of the identity document.")] = None,
    content: Annotated[str | None, typer.Option(help="What the service was.")] = None,
    in_charge: Annotated[str | None, typer.Option(help="The person in charge of the organisation.")] = None,
    handler: Annotated[str | None, typer.Option(help="Who handles the certificate.")] = None,
    contact: Annotated[str | None, typer.Option(help="How to reach the handler.")] = None,
    remarks: Annotated[str | None, typer.Option(help="Remarks.")] = None,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Issue a certificate of the minutes credited in whole calendar years; print its number."""
    actor = checked_actor(by)
    fields = {
        "volunteer": volunteer,
        "from_year": from_year,
        "to_year": from_year if to_year is None else to_year,
        "organisation": organisation,
        "with_name": with_name,
        "id_type": id_type,
        "id_number": id_number,
        "content": content,
        "in_charge": in_charge,
        "handler": handler,
        "contact": contact,
        "remarks": remarks,
    }
    with open_ledger(data_of(context)) as ledger:
        ledger.catch_up()
        try:
            request = CertificateRequest.model_validate(fields)
            command = plan_certificate(ledger.database, ledger.queries, request, LookedUpBy(actor))
        except ValidationError as error:
            raise usage_error(error, fields, "volunteer") from None
        except IssueError as error:
            raise UsageError(str(error)) from None
        position = _execute(ledger, command, actor)
        number = _issued_at(ledger, position)
        ledger.catch_up()
        seal_now(ledger, position)  # at once: a later checkpoint might seal other hours
        record = ledger.certificates.record(number, texts=True)
    if as_json:
        print_json(record)
    else:
        _print(record)


@app.command("list")
def list_certificates(
    context: typer.Context,
    *,
    volunteer: Annotated[str | None, typer.Option(help="Only of this volunteer, issued in any year.")] = None,
    year: Annotated[int | None, typer.Option(min=2000, max=2099, help="Those issued in this year.")] = None,
    after: Annotated[str | None, typer.Option(help="Continue after this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Certificates at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List the certificates of a year or of a volunteer, with their state now."""
    if (volunteer is None) == (year is None):
        raise UsageError("name one of --volunteer and --year")
    since = None if after is None else _checked(after)
    with open_ledger(data_of(context)) as ledger:
        register = ledger.certificates
        if volunteer is not None:
            found = register.of_volunteer(volunteer, since, limit)
        else:
            assert year is not None  # noqa: S101 - checked above
            found = register.of_year(year, since, limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (one.certificate, one.issued_on, one.volunteer, _years(one), _hours(one), one.organisation, _state(one))
        for one in found.certificates
    ]
    columns = ("number", "issued on", "volunteer", "years", "hours", "organisation", "state")
    print_table("Certificates", columns, rows, more(found.next_after))


@app.command()
def show(context: typer.Context, number: Number, *, as_json: Json = False) -> None:
    """Show a certificate and its state now."""
    with open_ledger(data_of(context)) as ledger:
        record = ledger.certificates.record(_checked(number), texts=True)
    if as_json:
        print_json(record)
    else:
        _print(record)


@app.command()
def revoke(
    context: typer.Context,
    number: Number,
    *,
    reason: Annotated[str, typer.Option(help="A code such as issued-in-error.")],
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Revoke a certificate. Its number is never used again."""
    actor = checked_actor(by)
    try:
        command = COMMANDS["revoke-certificate"].model_validate({"certificate": number, "reason": reason})
    except ValidationError as error:
        raise usage_error(error, ["certificate", "reason"], "certificate") from None
    with open_ledger(data_of(context)) as ledger:
        position = _execute(ledger, command, actor)
        ledger.catch_up()
    if as_json:
        print_json({"certificate": number, "position": position})
    else:
        out().print(f"certificate {number} revoked: recorded at position {position}", markup=False)


@app.command()
def export(
    context: typer.Context,
    number: Number,
    *,
    output: Annotated[Path, typer.Option(help="FILE.pdf, FILE.json, FILE.jwt, or FILE.html to print.")],
    address: Annotated[
        str | None,
        typer.Option(envvar="HOURS_ADDRESS", help="The ledger's address in the QR code, such as https://HOST."),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Withhold a text, such as id_number; repeatable.")] = None,
    force: Force = False,
) -> None:
    """Write a certificate as a file to hand over."""
    if output.suffix not in _FILES:
        raise UsageError(f"--output {output} has an unknown suffix; use one of {', '.join(_FILES)}")
    check_output(output, "--output", force=force)
    with open_ledger(data_of(context)) as ledger:
        documents = documents_of(ledger, _checked(number), address, without or [])
        content = _FILES[output.suffix](documents)
    write_output(output, content)
    if documents.proof is None and output.suffix != ".html":
        _warn_unproved(output, documents.unproved)
    out().print(f"{output}: certificate {number}", markup=False)


@app.command()
def badge(
    context: typer.Context,
    award: Annotated[str, typer.Argument(help="The award's id.", metavar="AWARD")],
    *,
    output: Annotated[Path, typer.Option(help="FILE.json or FILE.jwt.")],
    force: Force = False,
) -> None:
    """Write an awarded honour as a badge, an Open Badges 3.0 credential."""
    makers = {".json": badge_json, ".jwt": badge_jwt}
    if output.suffix not in makers:
        raise UsageError(f"--output {output} has an unknown suffix; use one of {', '.join(makers)}")
    check_output(output, "--output", force=force)
    with open_ledger(data_of(context)) as ledger:
        events = ledger.log.read_streams([stream("honor", award)]).get(stream("honor", award), [])
        found = next((one for event in events if (one := badge_in(event))), None)
        if found is None or any(event.topic == HonorRevoked.TOPIC for event in events):
            raise UsageError(f"award {award} was not awarded, or was revoked; `hours honors show` says which")
        seal_now(ledger, found.recorded.position)
        tree = ledger.tree
        proof = tree.prove(found.recorded.position).encode().decode() if tree.keys.exist() else None
        content = makers[output.suffix](found, ledger.credential_key, proof)
    write_output(output, content.encode())
    if proof is None:
        _warn_unproved(output, "the ledger has no signing keys; `hours signing-keys make` makes some")
    out().print(f"{output}: award {award}", markup=False)


@app.command()
def key(context: typer.Context, *, as_json: Json = False) -> None:
    """Show the public key with which credentials are verified, a did:key."""
    with open_ledger(data_of(context)) as ledger:
        did = ledger.credential_key.did
    if as_json:
        print_json({"did": did})
    else:
        out().print(did, markup=False, emoji=False, soft_wrap=True)


def documents_of(ledger: OpenLedger, number: str, address: str | None, without: list[str]) -> Documents:
    """Return the documents of a certificate.

    Raises:
        UsageError: the address is not one, or a text that is to be withheld has no such name.
    """
    try:
        certificate: Certificate = ledger.certificates.certificate(number, address)
        seal_now(ledger, certificate.recorded.position)
        return ledger.documents(certificate.without(*without))
    except ValueError as error:
        raise UsageError(str(error)) from None


def seal_now(ledger: OpenLedger, position: Position) -> None:
    """Bring the transparency log to an event that no checkpoint under valid keys has yet, if there are keys."""
    tree = ledger.tree
    if not tree.keys.exist():
        return
    newest = tree.newest()
    if newest is None or newest.size < position or not signed_by(newest, tree.keys.published()):
        tree.grow()


def _warn_unproved(output: Path, why: str) -> None:
    """Say on standard error that a file which was written proves nothing yet."""
    notify(f"{output} carries no proof, so `hours verify` does not accept it: {why}")


def _execute(ledger: OpenLedger, command: Command, actor: str) -> Position:
    sender = Sender.of_operator(actor)
    order = sender.order(command, source=f"/certificates/{actor}", id=str(uuid4()), imported=False)
    (answer,) = ledger.intake.execute([order])
    if isinstance(answer, Refused):
        raise UsageError(fault_of_refusal(answer).detail)
    assert isinstance(answer, Accepted) and answer.position is not None  # noqa: S101, PT018 - no dry run
    return answer.position


def _issued_at(ledger: OpenLedger, position: Position) -> str:
    """Return the number that the ledger gave to the certificate issued at a position."""
    (event,) = ledger.log.read(Position(position - 1), 1)
    return number_of_event(event)


def _checked(number: str) -> str:
    if not re.fullmatch(CERTIFICATE_PATTERN, number):
        raise UsageError(f"{number} is not the number of a certificate; write one such as 2026-000001")
    return number


def _print(record: CertificateRecord) -> None:
    issued = f"{record.issued_on} by {place(record.organisation, record.organisation_name)} ({record.issued_by})"
    rows: list[tuple[str, object]] = [
        ("state", _state(record)),
        ("volunteer", record.volunteer),
        ("years", _years(record)),
        ("hours", _hours(record)),
        ("  scanned", Hours(record.scanned_minutes)),
        ("  attested", Hours(record.attested_minutes)),
        ("issued", issued),
        ("position", record.position),
        *((name.replace("_", " "), text) for name, text in (record.texts or {}).items()),
    ]
    print_table(f"Certificate {record.certificate}", ("", ""), [(name, str(value)) for name, value in rows])


def _years(record: CertificateRecord) -> str:
    first, last = record.from_year, record.to_year
    return str(first) if first == last else f"{first} to {last}"


def _hours(record: CertificateRecord) -> Hours:
    return Hours(record.scanned_minutes + record.attested_minutes)


def _state(record: CertificateRecord) -> str:
    if record.state == "revoked":
        return f"revoked: {record.revoked_for}"
    if record.credited_now is None:
        return record.state
    now = record.credited_now
    return f"superseded: {_hours(record)} stated, {Hours(now.scanned_minutes + now.attested_minutes)} now"
