"""`hours erase`: the right to erasure (PIPL, Art. 47). Personal data is deleted; the log and all totals stay."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.options import Json, data_of
from api.cli.output import out, print_json
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from ledger.store.persons import Persons


def erase(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    as_json: Json = False,
) -> None:
    """Erase a volunteer's personal data: the directory entry and free texts. The hours stay."""
    with open_ledger(data_of(context)) as ledger:
        if not ledger.knows("volunteer", number):
            raise UsageError(f"volunteer {number} is not known to the ledger; check the number")
        rows = Persons(ledger.database.pool).erase(number)
    if as_json:
        print_json({"volunteer": number, "erased": rows})
        return
    out().print(f"{rows} entries and texts about {number} erased; earlier backups still hold them", highlight=False)
