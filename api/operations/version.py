"""The version of the program."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@cache
def version() -> str:
    """Return the version of the installed program, "unknown" if it is not installed as a package."""
    try:
        return installed("service-hours-ledger")
    except PackageNotFoundError:
        return "unknown"
