"""`hours keys`: make, list and revoke API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from api.access.keys import Key
from api.access.roles import Caller, Role
from api.cli.output import out, print_json, print_table
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from ledger.names import Actor

_actor: TypeAdapter[str] = TypeAdapter(Actor)


def make(
    data: Path,
    role_text: str,
    name: str,
    days: int | None,
    per_second: int | None,
    volunteer: str | None = None,
    *,
    as_json: bool,
) -> None:
    """Make a key and show it, once."""
    try:
        role = Role(role_text)
    except ValueError:
        raise UsageError(f"--role {role_text} is not a role; write one of {', '.join(Role)}") from None
    try:
        _actor.validate_python(Caller(role, name).by)
    except ValidationError:
        raise UsageError(
            f"--name {name} cannot stand in an event; use up to 48 letters, digits, dots, dashes and underscores"
        ) from None
    with open_ledger(data) as ledger:
        if role is Role.STATION and not ledger.knows("station", name):
            raise UsageError(f"--name {name} is no station the ledger knows; open the station first")
        if role is Role.VOLUNTEER and not ledger.knows("volunteer", name):
            raise UsageError(f"--name {name} is no volunteer number the ledger knows; register the volunteer first")
        if volunteer is not None and role in {Role.STATION, Role.VOLUNTEER}:
            raise UsageError("--volunteer is for keys of staff; a volunteer's own key has the number as its --name")
        if volunteer is not None and not ledger.knows("volunteer", volunteer):
            raise UsageError(f"--volunteer {volunteer} is no volunteer the ledger knows; register the volunteer first")
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        key, token = ledger.keys.make(role, name, expires_at, per_second, volunteer)
    if as_json:
        print_json({**_shown(key), "key": token})
    else:
        out().print(f"Key {key.id}, {key.role} {key.name}; it is not shown again:\n{token}", soft_wrap=True)


def show(data: Path, *, as_json: bool) -> None:
    """List all keys."""
    with open_ledger(data) as ledger:
        found = ledger.keys.list()
    if as_json:
        print_json([_shown(key) for key in found])
    else:
        columns = ("id", "role", "name", "made", "expires", "revoked", "last used", "per second", "signs", "volunteer")
        print_table("Keys", columns, [tuple(_shown(key).values()) for key in found])


def revoke(data: Path, key: int, *, as_json: bool) -> None:
    """Refuse a key from now on."""
    with open_ledger(data) as ledger:
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
