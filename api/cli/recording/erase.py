"""`hours erase`: the right to erasure (PIPL, Art. 47). Personal data goes; the log and every total stay as they are."""

from __future__ import annotations

from pathlib import Path

from api.cli.output import out, print_json
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from ledger.store.persons import Persons


def erase(data: Path, volunteer: str, *, as_json: bool) -> None:
    """Erase what is known of a person beside the number, and the texts about them.

    Raises:
        UsageError: the ledger has never heard of this number.
    """
    with open_ledger(data) as ledger:
        if not ledger.knows("volunteer", volunteer):
            raise UsageError(f"volunteer {volunteer} is no number the ledger knows; check the number")
        rows = Persons(ledger.database.pool).erase(volunteer)
    if as_json:
        print_json({"volunteer": volunteer, "erased": rows})
        return
    out().print(
        f"{rows} entries and texts about {volunteer} erased; backups made before hold them still", highlight=False
    )
