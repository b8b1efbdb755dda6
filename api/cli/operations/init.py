"""`hours init` and `hours warm`: what is done once, before a ledger is used.

`hours init`: make a ledger, with its rules, its read models and the key of its first administrator.

No other command makes one, except `hours run`, whose demonstration is a ledger of its own, and `hours restore`.
A second `init` continues one that was stopped before it published the rules.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from pydantic import TypeAdapter, ValidationError

from api.access.keys import Key
from api.access.roles import Caller, Role
from api.cli.options import Json, data_of
from api.cli.output import notify, out, print_json
from api.cli.readers.queries import read_rules
from api.operations.service import DEFAULT_RULES, OpenLedger, create_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.names import CallingActor
from ledger.store.database import is_ledger, without_password
from ledger.store.embedded import has_data, named_url
from projections.compiled import Compilations, cache_directory
from projections.rules.checking import require_sound
from replay.archive.manifest import read_manifest
from replay.proof.keys import check_origin
from replay.proof.notary import make_missing_keys
from replay.published import Rules

_actor: TypeAdapter[str] = TypeAdapter(CallingActor)
_TIME_ZONE = re.compile(r"^(?P<key>[ \t]*time_zone[ \t]*=[ \t]*)(?P<quote>[\"'])[^\"'\n]*(?P=quote)", re.MULTILINE)


class _Made(NamedTuple):
    """The ledger that was made: its id, where it is, its rules, the key that is shown once, and the origin of its
    checkpoints.
    """

    ledger: str
    place: str
    rules: Rules | None
    key: Key
    token: str
    origin: str


def init(
    context: typer.Context,
    *,
    rules: Annotated[
        Path | None, typer.Option(help="The rule timeline to publish; by default the included one of Luohu.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="The time zone of local days, such as Europe/Berlin, in place of the rules' own.")
    ] = None,
    no_rules: Annotated[
        bool, typer.Option("--no-rules", help="Publish none: `hours simulate` brings its own, `hours publish` others.")
    ] = False,
    admin: Annotated[str, typer.Option(help="The name of the person who gets the first key.")] = "admin",
    origin: Annotated[
        str | None,
        typer.Option(
            help="The name of the ledger's checkpoints: an address without a scheme, such as hours.example.org/log."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a ledger in the data directory, or in the database that DATABASE_URL names: rules, and an admin's key."""
    if no_rules and (rules is not None or time_zone is not None):
        raise UsageError("--no-rules publishes none; leave out --rules and --time-zone, or --no-rules")
    _check_admin(admin)
    if origin is not None:
        check_origin(origin)
    text = None if no_rules else _rules_text(rules, time_zone)
    data = data_of(context)
    _require_free_folder(data)
    with create_ledger(data) as ledger:
        _require_unused(ledger)
        made = _make(ledger, text, admin, origin)
    if as_json:
        _print_json(made, data)
    else:
        _print(made, data, included=rules is None)


def _check_admin(name: str) -> None:
    try:
        _actor.validate_python(Caller(Role.ADMIN, name).by)
    except ValidationError:
        raise UsageError(
            f"--admin {name} is not valid in an event; use up to 48 letters, digits, dots, dashes and underscores, and "
            "no phone or identity number or mail address"
        ) from None


def _rules_text(file: Path | None, time_zone: str | None) -> str:
    """Return the checked text of the rules, with the time zone that was asked for."""
    text = read_rules(file or DEFAULT_RULES)
    if time_zone is not None:
        _check_zone(time_zone)
        if not _TIME_ZONE.search(text):
            raise UsageError(f'--time-zone: {file} has no line `time_zone = "…"` to change; write the zone there')
        text = _TIME_ZONE.sub(lambda found: f"{found['key']}{found['quote']}{time_zone}{found['quote']}", text, count=1)
    require_sound(text)
    return text


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"--time-zone {name} is not a time zone; use a name such as Asia/Shanghai") from None


def _require_free_folder(data: Path) -> None:
    """Refuse a data directory that belongs to another ledger than the one to be made; nothing was created yet."""
    url = named_url()
    if url is None:
        return
    if has_data(data):
        raise UsageError(
            f"{data.absolute()} holds a ledger with its own database; name another folder with --data, or unset "
            "DATABASE_URL"
        )
    if not is_ledger(url) and read_manifest(data / "archive") is not None:
        raise UsageError(f"{data.absolute()} holds the archive of another ledger; name another folder with --data")


def _require_unused(ledger: OpenLedger) -> None:
    """Refuse a ledger that is in use. One without events and keys was left by an `init` that was stopped."""
    head = ledger.log.head()
    if head or ledger.keys.list():
        raise UsageError(
            f"{_place(ledger.data)} holds a ledger already, with {head:,} events; use it, or name another folder with "
            "--data or another database with DATABASE_URL. `hours keys make --role admin` makes a key for it"
        )


def _make(ledger: OpenLedger, text: str | None, admin: str, origin: str | None) -> _Made:
    rules = None
    if text is not None:
        warm(notify)
        rules = ledger.publish(text)
        ledger.ensure_read_models()
    key, token = ledger.keys.make(Role.ADMIN, admin)
    make_missing_keys(ledger.tree, ledger.database, origin)
    origin = ledger.tree.keys.published().origin
    return _Made(str(ledger.log.identity()), _place(ledger.data), rules, key, token, origin)


def _place(data: Path) -> str:
    url = named_url()
    return f"the database {without_password(url)}" if url else str(data.absolute())


# --- kernels --------------------------------------------------------------------------------------------------------


def warm_up(*, as_json: Json = False) -> None:
    """Compile the kernels after an installation or an upgrade, so that no command or request has to wait for it.

    They are kept in HOURS_KERNELS, or else in the Python environment.
    """
    compilations = Compilations(lambda _done, _compiling: None)
    warm(notify)
    compilations.close()
    folder = cache_directory()
    if as_json:
        print_json({"folder": str(folder), "compiled": compilations.compiled})
    elif compilations.compiled:
        out().print(f"{compilations.compiled} kernels compiled into {folder}", soft_wrap=True, markup=False)
    else:
        out().print(f"all kernels are compiled, in {folder}", soft_wrap=True, markup=False)


# --- output ---------------------------------------------------------------------------------------------------------


def _next_steps(made: _Made, data: Path) -> list[tuple[str, str]]:
    """Return what to do next, as pairs of a purpose and a command."""
    hours = "hours" if data == Path("data") else f"hours --data {shlex.quote(str(data))}"
    rules = [] if made.rules else [("publish rules", f"{hours} publish FILE")]
    station = (
        'curl http://127.0.0.1:8000/v1/commands/open-station -H "Authorization: Bearer KEY" '
        """-H 'Content-Type: application/json' -d '{"station": "C01", "kind": "city"}'"""
    )
    return [
        *rules,
        ("serve it", f"{hours} serve"),
        ("begin rules of your own", f"{hours} rules show > mine.toml"),
        ("put them in force, once edited", f"{hours} publish mine.toml"),
        ("open a station, while it is served", station),
        ("make a key for the station", f"{hours} keys make --role station --name C01"),
        ("import old records", f"{hours} import FILE --mapping MAPPING"),
        ("back it up", f"{hours} backup FOLDER"),
    ]


def _print_json(made: _Made, data: Path) -> None:
    rules = made.rules and {
        "version": made.rules.version,
        "name": made.rules.timeline().name,
        "digest": made.rules.digest,
        "time_zone": made.rules.timeline().time_zone,
    }
    print_json(
        {
            "ledger": made.ledger,
            "place": made.place,
            "data": str(data.absolute()),
            "rules": rules,
            "origin": made.origin,
            "key": {"id": made.key.id, "role": made.key.role, "name": made.key.name, "key": made.token},
            "next": [{"what": what, "command": command} for what, command in _next_steps(made, data)],
        }
    )


def _print(made: _Made, data: Path, *, included: bool) -> None:
    lines = [f"A ledger was made in {made.place}."]
    if made.rules is None:
        lines.append("It has no rules yet.")
    else:
        timeline = made.rules.timeline()
        source = "the included example; --rules FILE publishes others" if included else "version 1"
        lines.append(f"Rules: {timeline.name} ({source}). Time zone of local days: {timeline.time_zone}.")
    lines.append(
        f"Its checkpoints are signed as {made.origin}; `hours signing-keys backup FILE` keeps their keys safe."
    )
    lines += [f"Key {made.key.id}, {made.key.role} {made.key.name}; it is not shown again:", made.token, "", "Next:"]
    steps = _next_steps(made, data)
    width = max(len(what) for what, _ in steps)
    lines += [f"  {what:<{width}}  {command}" for what, command in steps]
    out().print("\n".join(lines), soft_wrap=True, markup=False)
