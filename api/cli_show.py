"""How the command line shows things: JSON for machines, tables for people, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.mistakes import Mistake

Advance = Callable[[int, int], None]
"""Told how much is done, and of how much."""


def print_json(answer: BaseModel | dict[str, Any] | list[Any]) -> None:
    """Print an answer as JSON."""
    if isinstance(answer, BaseModel):
        sys.stdout.write(answer.model_dump_json(indent=2) + "\n")
    else:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False, default=str) + "\n")


def print_line(answer: BaseModel) -> None:
    """Print an answer as one line of JSON."""
    sys.stdout.write(answer.model_dump_json() + "\n")


def out() -> Console:
    """Return where answers go; as wide as it takes when that is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def err() -> Console:
    """Return where progress goes."""
    return Console(stderr=True, highlight=False)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> None:
    """Print a table. Numbers stand at the right, other things at the left."""
    shown = [[("" if cell is None else cell) for cell in row] for row in rows]
    table = Table()
    for number, column in enumerate(columns):
        numeric = bool(shown) and all(isinstance(row[number], int | float) for row in shown)
        table.add_column(column, justify="right" if numeric else "left")
    for row in shown:
        table.add_row(*map(str, row))
    console = out()
    console.print(f"[bold]{escape(title)}[/bold]")
    console.print(table)
    if caption:
        console.print(caption, markup=False)


class Hours(int):
    """Minutes, shown as hours and minutes."""

    def __str__(self) -> str:
        """Return hours:minutes."""
        sign, minutes = ("-" if self < 0 else ""), abs(int(self))
        return f"{sign}{minutes // 60}:{minutes % 60:02d}"


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """Show how far something is, on standard error; nothing moves where that is not a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    console = err()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)

        def advance(done: int, of: int) -> None:
            bars.update(task, completed=done, total=of)

        yield advance


def day(text: str | None, option: str) -> date | None:
    """Read a day that was given as an option."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Mistake(f"{option} {text} is not a day; write one such as 2018-12-04") from None
