"""`hours keys`: create, list and revoke API keys."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import segno
import typer
from pydantic import StringConstraints, TypeAdapter, ValidationError

from api.access.keys import Import, Key
from api.access.roles import ROLES_OF_RIGHT, Caller, Right, Role
from api.access.sign_in_links import is_address, sign_in_link
from api.cli.operations.signatures import sign_with
from api.cli.options import Json, data_of
from api.cli.output import out, print_json, print_table
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from ledger.names import IMPORT_PATTERN, CallingActor, Source

app = typer.Typer(
    help="Make, list and revoke API keys. (`hours signing-keys` are those that sign checkpoints.)", no_args_is_help=True
)
app.command("sign-with")(sign_with)

_actor: TypeAdapter[str] = TypeAdapter(CallingActor)
_import_source: TypeAdapter[str] = TypeAdapter(Annotated[Source, StringConstraints(pattern=IMPORT_PATTERN)])


@app.command("make")
def make(
    context: typer.Context,
    *,
    role: Annotated[str, typer.Option(help="The role of the key's holder; see docs/access.md.")],
    name: Annotated[str, typer.Option(help="The person's name, or for a station its id.")],
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires.")] = None,
    per_second: Annotated[int | None, typer.Option(min=1, max=100_000, help="Commands per second it may send.")] = None,
    volunteer: Annotated[
        str | None, typer.Option(help="The person's volunteer number; nobody may act on their own hours.")
    ] = None,
    imports: Annotated[
        str | None, typer.Option(help="The import for which it may mark events as old records: the mapping's source.")
    ] = None,
    import_until: Annotated[
        str | None, typer.Option(help="When that right ends: an ISO 8601 instant with a zone, or the last day in UTC.")
    ] = None,
    link: Annotated[
        str | None, typer.Option(help="The address of the pages: print a link that signs in, and its QR code.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown only once."""
    if link is not None and not is_address(link):
        raise UsageError(f"--link {link} is not the address of the pages; write one such as https://hours.example.org")
    given = _import(role, imports, import_until)
    try:
        key_role = Role(role)
    except ValueError:
        raise UsageError(f"--role {role} is not a role; write one of {', '.join(Role)}") from None
    try:
        _actor.validate_python(Caller(key_role, name).by)
    except ValidationError:
        raise UsageError(
            f"--name {name} is not valid in an event; use up to 48 letters, digits, dots, dashes and underscores, "
            "and no phone or identity number or mail address"
        ) from None
    with open_ledger(data_of(context)) as ledger:
        if key_role is Role.STATION and not ledger.knows("station", name):
            raise UsageError(f"--name {name} is not a known station; open the station first")
        if key_role is Role.VOLUNTEER and not ledger.knows("volunteer", name):
            raise UsageError(f"--name {name} is not a known volunteer; register the volunteer first")
        if volunteer is not None and key_role in {Role.STATION, Role.VOLUNTEER}:
            raise UsageError("--volunteer is for staff keys; a volunteer's own key has the number as its --name")
        if volunteer is not None and not ledger.knows("volunteer", volunteer):
            raise UsageError(f"--volunteer {volunteer} is not a known volunteer; register the volunteer first")
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        key, token = ledger.keys.make(key_role, name, expires_at, per_second, volunteer, given)
    if as_json:
        print_json({**_shown(key), "key": token, **({} if link is None else {"link": sign_in_link(link, token)})})
        return
    out().print(f"Key {key.id}, {key.role} {key.name}; it is not shown again:\n{token}", soft_wrap=True)
    if link is not None:
        address = sign_in_link(link, token)
        out().print(f"Whoever opens this link has the key's rights:\n{address}", soft_wrap=True)
        segno.make(address, micro=False).terminal(sys.stdout, border=2, compact=True)


@app.command("list")
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """List all keys, without their tokens."""
    with open_ledger(data_of(context)) as ledger:
        found = ledger.keys.list()
    if as_json:
        print_json([_shown(key) for key in found])
    else:
        print_table("Keys", _COLUMNS, [tuple(_shown(key).values()) for key in found])


@app.command("revoke")
def revoke(
    context: typer.Context, key: Annotated[int, typer.Argument(help="The key's id.")], *, as_json: Json = False
) -> None:
    """Revoke a key: it is refused from now on."""
    with open_ledger(data_of(context)) as ledger:
        ledger.keys.revoke(key)
    if as_json:
        print_json({"id": key, "revoked": True})
    else:
        out().print(f"Key {key} is refused from now on.")


_COLUMNS = (
    *("id", "role", "name", "made", "expires", "revoked", "last used", "per second", "signs", "volunteer"),
    *("imports", "import until"),
)


def _import(role: str, source: str | None, until: str | None) -> Import | None:
    """Return the import that a key is given, if any."""
    if source is None and until is None:
        return None
    if source is None or until is None:
        raise UsageError("--imports and --import-until go together: the right to import is for one import and a time")
    if role not in ROLES_OF_RIGHT[Right.IMPORT]:
        raise UsageError(f"--imports is for keys of role {', '.join(sorted(ROLES_OF_RIGHT[Right.IMPORT]))}")
    try:
        _import_source.validate_python(source)
    except ValidationError:
        raise UsageError(
            f"--imports {source} is not an import; write the mapping's source, such as /imports/lists"
        ) from None
    return Import(source, _end_of(until))


def _end_of(until: str) -> datetime:
    """Return the instant at which a day ends in UTC, or the instant itself."""
    try:
        found = datetime.fromisoformat(until)
    except ValueError:
        found = None
    if found is not None and len(until) == len("2026-12-31"):
        return found.replace(tzinfo=UTC) + timedelta(days=1)
    if found is None or found.tzinfo is None:
        raise UsageError(f"--import-until {until} is no day or instant; write 2026-12-31 or 2026-12-31T18:00:00+08:00")
    return found


def _instant(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="seconds") if instant else None


def _shown(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "role": key.role,
        "name": key.name,
        "made": _instant(key.made_at),
        "expires": _instant(key.expires_at),
        "revoked": _instant(key.revoked_at),
        "used": _instant(key.used_at),
        "per_second": key.per_second,
        "signs": None if key.public_key is None else "always" if key.must_sign else "sometimes",
        "volunteer": key.volunteer,
        "imports": key.import_source,
        "import_until": _instant(key.import_until),
    }
