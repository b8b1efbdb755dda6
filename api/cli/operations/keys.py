"""`hours keys`: create, list and revoke API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from api.access.keys import Key
from api.access.roles import Caller, Role
from api.cli.operations.signatures import sign_with
from api.cli.options import Json, data_of
from api.cli.output import out, print_json, print_table
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from ledger.names import CallingActor

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
app.command("sign-with")(sign_with)

_actor: TypeAdapter[str] = TypeAdapter(CallingActor)


@app.command("make")
def make(
    context: typer.Context,
    *,
    role: Annotated[str, typer.Option(help="The role of the key's holder; see docs/access.md.")],
    name: Annotated[str, typer.Option(help="The person's name, or for a station its id.")],
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires.")] = None,
    per_second: Annotated[int | None, typer.Option(min=1, max=100_000, help="Requests per second it may make.")] = None,
    volunteer: Annotated[
        str | None, typer.Option(help="The person's volunteer number; nobody may act on their own hours.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown only once."""
    try:
        key_role = Role(role)
    except ValueError:
        raise UsageError(f"--role {role} is not a role; write one of {', '.join(Role)}") from None
    try:
        _actor.validate_python(Caller(key_role, name).by)
    except ValidationError:
        raise UsageError(
            f"--name {name} is not valid in an event; use up to 48 letters, digits, dots, dashes and underscores, "
            "and no phone or identity number"
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
        key, token = ledger.keys.make(key_role, name, expires_at, per_second, volunteer)
    if as_json:
        print_json({**_shown(key), "key": token})
    else:
        out().print(f"Key {key.id}, {key.role} {key.name}; it is not shown again:\n{token}", soft_wrap=True)


@app.command("list")
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """List all keys, without their tokens."""
    with open_ledger(data_of(context)) as ledger:
        found = ledger.keys.list()
    if as_json:
        print_json([_shown(key) for key in found])
    else:
        columns = ("id", "role", "name", "made", "expires", "revoked", "last used", "per second", "signs", "volunteer")
        print_table("Keys", columns, [tuple(_shown(key).values()) for key in found])


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
    }
