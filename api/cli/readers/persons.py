"""`hours persons`: the directory of names and phone numbers. Look-ups are recorded, and listed by `look-ups`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_args

import typer
from pydantic import TypeAdapter, ValidationError

from api.cli.options import OPERATOR, Json, data_of
from api.cli.output import out, print_json, print_table
from api.cli.readers.queries import local_zone
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.names import CallingActor
from ledger.store.persons import LookedUpBy, Person, PersonField, Persons, Search, SearchBy

app = typer.Typer(
    help="Look up and change names and phone numbers; each time is recorded.",
    no_args_is_help=True,
    add_completion=False,
)

_ACTOR: TypeAdapter[str] = TypeAdapter(CallingActor)
By = Annotated[str, typer.Option(help="Who looks them up: person:NAME.")]
_COLUMNS = ("volunteer", "name", "phone", "email")


@app.command()
def find(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="The beginning of a name or phone number, or a volunteer number.")],
    *,
    of: Annotated[str, typer.Option("--in", help="name, phone, number, or any of them.")] = "any",
    exact: Annotated[bool, typer.Option("--exact", help="Only whole names and numbers, no beginnings.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Persons at most.")] = 20,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Find persons by name, phone or number, exact matches first."""
    known = next((one for one in get_args(SearchBy) if one == of), None)
    if known is None:
        raise UsageError(f"--in {of} is not known; use one of {', '.join(get_args(SearchBy))}")
    with open_ledger(data_of(context)) as ledger:
        try:
            shown, more = Persons(ledger.database.pool).search(Search(text, known, exact, limit), looker(by))
        except ValueError as error:
            raise UsageError(f"TEXT {error}") from None
    if as_json:
        print_json({"persons": [person._asdict() for person in shown], "more": more})
        return
    print_table("Persons", _COLUMNS, shown, f"more match: write more of it, or --limit above {limit}" if more else "")


@app.command()
def show(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    by: By = OPERATOR,
    as_json: Json = False,
) -> None:
    """Show a volunteer's name, phone number and mail address."""
    with open_ledger(data_of(context)) as ledger:
        found = show_person(ledger, number, looker(by))
    if as_json:
        print_json(found._asdict())
        return
    print_table(f"Volunteer {number}", ("", ""), [(name, value) for name, value in found._asdict().items() if value])


def show_person(ledger: OpenLedger, number: str, who: LookedUpBy) -> Person:
    """Return a person's data from the directory; the look-up is recorded.

    Raises:
        UsageError: there are none.
    """
    found = Persons(ledger.database.pool).show(number, who)
    if found is None:
        raise UsageError(f"the directory has no data of volunteer {number}: none were registered, or they were erased")
    return found


@app.command("set")
def set_person(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    name: Annotated[str | None, typer.Option(help="The name.")] = None,
    phone: Annotated[str | None, typer.Option(help='The phone number; "" removes it.')] = None,
    email: Annotated[str | None, typer.Option(help='The mail address; "" removes it.')] = None,
    by: Annotated[str, typer.Option(help="Who changes it: person:NAME.")] = OPERATOR,
    as_json: Json = False,
) -> None:
    """Add or change a registered volunteer's name, phone number or mail address; that it was done is recorded."""
    given: dict[PersonField, str | None] = {"name": name, "phone": phone, "email": email}
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise UsageError("nothing is given; name one of --name, --phone and --email")
    with open_ledger(data_of(context)) as ledger:
        if not ledger.knows("volunteer", number):
            raise UsageError(f"volunteer {number} is not known to the ledger; check the number, or register it first")
        try:
            found = Persons(ledger.database.pool).change(number, or_removed(changes), looker(by))
        except ValueError as error:
            raise UsageError(f"--{error}") from None
    if as_json:
        print_json(found._asdict())
        return
    print_table(f"Volunteer {number}", ("", ""), [(field, value) for field, value in found._asdict().items() if value])


def or_removed(changes: Mapping[PersonField, str | None]) -> dict[PersonField, str | None]:
    """Return changes in which an empty phone number or mail address is none."""
    return {field: value if value or field == "name" else None for field, value in changes.items()}


@app.command("look-ups")
def lookups(
    context: typer.Context,
    *,
    volunteer: Annotated[str | None, typer.Option(help="Only those that showed this volunteer.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only those of this actor: person:NAME.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Look-ups at most.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="Only those before this one.")] = None,
    as_json: Json = False,
) -> None:
    """List who looked up whom, the latest first. What was searched for is not recorded."""
    with open_ledger(data_of(context)) as ledger:
        found = Persons(ledger.database.pool).lookups(limit + 1, before, volunteer, actor)
        zone = local_zone(ledger)
    page = found[:limit]
    next_before = page[-1].lookup if len(found) > limit else None
    if as_json:
        rows = [{**one._asdict(), "looked_up_at": one.looked_up_at.isoformat()} for one in page]
        print_json({"lookups": rows, "next_before": next_before})
        return
    rows_shown = [
        (
            str(one.lookup),
            one.looked_up_at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"),
            one.actor,
            str(one.key or ""),
            one.by,
            ", ".join(one.volunteers) or "nobody",
        )
        for one in page
    ]
    columns = ("look-up", "when", "who", "key", "searched", "shown")
    print_table(
        f"Look-ups (times in {zone})", columns, rows_shown, f"more: --before {next_before}" if next_before else ""
    )
    out().print("what was searched for is not recorded", style="dim")


def looker(by: str) -> LookedUpBy:
    """Return who looks, after checking the actor's form."""
    try:
        actor = _ACTOR.validate_python(by)
    except ValidationError:
        actor = ""
    if not actor.startswith("person:"):
        raise UsageError(f"--by {by} is not a person; write person:NAME")
    return LookedUpBy(actor)
