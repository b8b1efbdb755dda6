"""Which version of the program this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@cache
def version() -> str:
    """Return the version of the installed program."""
    try:
        return installed("service-hours-ledger")
    except PackageNotFoundError:  # it runs from a folder
        return "unknown"
