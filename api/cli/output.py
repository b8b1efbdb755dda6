"""Output of the command line: JSON, tables, and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from api.operations.interrupts import stop_if_interrupted
from api.operations.usage_errors import UsageError
from ledger.names import FIRST_QUERY_DAY, LAST_QUERY_DAY
from replay.durable import atomic_file
from replay.progress import Progress

Advance = Callable[[int, int], None]
"""Called with the amount done and the total."""


def print_json(answer: BaseModel | dict[str, Any] | list[Any]) -> None:
    """Print an answer as JSON, at once: a program may wait for it while this one goes on serving."""
    if isinstance(answer, BaseModel):
        sys.stdout.write(answer.model_dump_json(indent=2) + "\n")
    else:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_line(answer: BaseModel) -> None:
    """Print an answer as one line of JSON."""
    sys.stdout.write(answer.model_dump_json() + "\n")


def out() -> Console:
    """Return a console for standard output; 200 columns wide if that is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def err() -> Console:
    """Return a console for standard error, where progress is shown."""
    return Console(stderr=True, highlight=False)


def notify(message: str) -> None:
    """Print a progress message on standard error."""
    err().print(message)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> None:
    """Print a table. Columns of numbers are aligned right, all others left."""
    shown = [[("" if cell is None else cell) for cell in row] for row in rows]
    table = Table()
    for number, column in enumerate(columns):
        numeric = bool(shown) and all(isinstance(row[number], int | float) for row in shown)
        table.add_column(column, justify="right" if numeric else "left")
    for row in shown:
        table.add_row(*(escape(str(cell)) for cell in row))
    console = out()
    console.print(f"[bold]{escape(title)}[/bold]")
    console.print(table)
    if caption:
        console.print(caption, markup=False)


def place(identity: str | None, name: str | None) -> str | None:
    """Return a station, project or organisation for a table: its id and its name."""
    return f"{identity} {name}" if identity is not None and name is not None else identity


def more(next_after: object) -> str:
    """Return how to get the next page; an empty text after the last one."""
    return f"more: --after {next_after}" if next_after else ""


def check_output(path: Path, option: str, *, force: bool) -> None:
    """Refuse a file that cannot be written, before anything is computed.

    Raises:
        UsageError: it exists and is not to be replaced, is a folder, or lies in no folder that exists.
    """
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: the folder {path.absolute().parent} does not exist; create it first")
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file")
    if path.exists() and not force:
        raise UsageError(f"{option} {path} exists; name another file, or replace it with --force")


def write_output(path: Path, content: bytes) -> None:
    """Write a file that was checked, completely or not at all."""
    with atomic_file(path, export=True) as temporary:
        temporary.write_bytes(content)


class Hours(int):
    """Minutes, shown as hours and minutes."""

    def __str__(self) -> str:
        """Return hours:minutes."""
        sign, minutes = ("-" if self < 0 else ""), abs(int(self))
        return f"{sign}{minutes // 60}:{minutes % 60:02d}"


class _Rate(ProgressColumn):
    """The rate per second, once it is known."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


@contextmanager
def stages(title: str) -> Iterator[Progress]:
    """Show the stages of a long task on standard error, each with a bar, its rate and the remaining time.

    Nothing is shown if standard error is not a terminal. The yielded callback raises KeyboardInterrupt after Ctrl-C.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    console = err()
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        shown: list[tuple[str, Any]] = []

        def report(stage: str, done: int, total: int) -> None:
            stop_if_interrupted()
            if not shown or shown[-1][0] != stage:
                if shown:
                    _finish(bars, shown[-1][1])
                shown.append((stage, bars.add_task(f"{title}: {stage}" if stage else title, total=None)))
            bars.update(shown[-1][1], completed=done, total=total or None)

        yield report


def _finish(bars: Bars, task: Any) -> None:
    """Show a stage as done, even if its total was never known."""
    completed = bars.tasks[task].completed or 1
    bars.update(task, completed=completed, total=completed)


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """Show the progress of a task with one stage; see `stages`."""
    with stages(title) as report:
        yield lambda done, total: report("", done, total)


def wall(instant: datetime, zone: tzinfo, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return an instant as local time, with its offset from UTC if the clocks of that day show this time twice."""
    local = instant.astimezone(zone)
    is_twice = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
    return local.strftime(form) + (f" {local.isoformat()[-6:]}" if is_twice else "")


def day(text: str | None, option: str) -> date | None:
    """Read an option's date; raise UsageError if it is not one."""
    if text is None:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text[:80]} is not a day; write one such as 2018-12-04") from None
    if not FIRST_QUERY_DAY <= found <= LAST_QUERY_DAY:
        sentence = f"{option} {found} is not between {FIRST_QUERY_DAY} and {LAST_QUERY_DAY}; use a day that is"
        raise UsageError(sentence)
    return found


def period(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """Read the options --from and --to; raise UsageError if one is not a day, or if they are not in order."""
    begin, end = day(first, "--from"), day(last, "--to")
    check_period(begin, end)
    return begin, end


def check_period(begin: date | None, end: date | None) -> None:
    """Refuse a period that ends before it begins."""
    if begin and end and end < begin:
        raise UsageError(f"--from {begin} is after --to {end}; swap them")
