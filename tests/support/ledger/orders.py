"""Orders of tests: most are of a person without a key, and no old records."""

from __future__ import annotations

from ledger.aggregates import Command, Order


def order_of(
    command: Command,
    source: str,
    id: str,  # noqa: A002 - the field
    by: str,
    imported: bool = False,  # noqa: FBT001, FBT002 - by position too, as the fields of an order
    key: int | None = None,
    by_volunteer: str | None = None,
) -> Order:
    """Return an order; what is left out is the usual."""
    return Order(command, source, id, by, imported, key, by_volunteer)
