"""Options that many commands of `hours` take alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ValidAt = Annotated[str | None, typer.Option(help="Only results dated up to this day.")]
KnownAt = Annotated[str | None, typer.Option(help="Only what was known then: a position, or an instant with a zone.")]
RulesUsed = Annotated[
    str | None, typer.Option("--rules", help="A published version, a digest, or a TOML file to try out.")
]
First = Annotated[str | None, typer.Option("--from", help="The first day.")]
Last = Annotated[str | None, typer.Option("--to", help="The last day.")]
Year = Annotated[int | None, typer.Option(min=2000, max=2100, help="Only this year, by month.")]


def data_of(context: typer.Context) -> Path:
    """Return the data directory."""
    data: Path = context.obj
    return data
