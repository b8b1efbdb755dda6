"""`hours erase`: the right to erasure (PIPL, Art. 47). Personal data is deleted; the log and all totals stay."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from api.cli.options import Json, data_of
from api.cli.output import out, print_json
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from ledger.names import Position
from ledger.store.mapper import decode
from ledger.store.persons import Persons


def erase(
    context: typer.Context,
    number: Annotated[str | None, typer.Argument(help="The volunteer number.")] = None,
    *,
    event: Annotated[int | None, typer.Option(min=1, help="Erase only the text of the event at this position.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a volunteer's personal data: the directory entry, and the free texts about the number. The hours stay.

    In a terminal the number has to be typed again, because nothing brings the data back. With --event, erase a single
    text, such as one that names somebody whom it is not about.
    """
    if (number is None) == (event is None):
        raise UsageError("name a volunteer number, or an event with --event")
    with open_ledger(data_of(context)) as ledger:
        if event is not None:
            _erase_text(ledger, event, yes=yes, as_json=as_json)
            return
        number = number or ""
        if not ledger.knows("volunteer", number):
            raise UsageError(f"volunteer {number} is not known to the ledger; check the number")
        if not yes:
            _confirm(number, f"the name, phone number and mail address of volunteer {number}, and the texts about it,")
        rows = ledger.erase(number)
    if as_json:
        print_json({"volunteer": number, "erased": rows})
        return
    out().print(f"{rows} entries and texts about {number} erased; earlier backups still hold them", highlight=False)


def _confirm(name: str, what: str) -> None:
    """Have a person type again what is to be erased.

    Raises:
        UsageError: something else was typed, or nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"nobody can be asked here whether {what} are to be erased for ever; add --yes")
    typed = typer.prompt(f"This erases {what} for ever. Type {name} to go on", default="", show_default=False, err=True)
    if typed.strip() != name:
        raise UsageError(f"nothing was erased: that is not {name}")


def _erase_text(ledger: OpenLedger, position: int, *, yes: bool, as_json: bool) -> None:
    found = ledger.log.read(Position(position - 1), 1, Position(position))
    if not found:
        raise UsageError(f"the log has no event at position {position}; check the position")
    note = getattr(decode(found[0].topic, found[0].state), "note", None)
    if note and not yes:
        _confirm(str(position), f"the words of the event at position {position}")
    rows = Persons(ledger.database.pool).erase_text(note) if note else 0
    if as_json:
        print_json({"event": position, "erased": rows})
        return
    said = "erased; earlier backups still hold it" if rows else "has none, or it was erased before"
    out().print(f"text of the event at position {position} {said}", highlight=False)
