"""`hours status`: the positions of log, read models and archive, and any problems found.

It changes nothing, and does not update the read models first. Exit code 1 means that there is a problem.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from api.cli.options import Json, data_of
from api.cli.output import err, out, print_json
from api.operations.service import open_ledger
from replay.queries.health import LedgerHealth, measure
from replay.queries.tree_health import TreeHealth


def show_status(
    context: typer.Context,
    *,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also compare the log with the archive's digests, and compute the checksum again."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Show how far the read models are and what is wrong; the exit code is 1 if anything is."""
    with open_ledger(data_of(context)) as ledger:
        if deep:
            err().print("comparing the log with the archive, and the generation's rows with their checksum")
        health = measure(ledger.database, lambda: ledger.archive, ledger.tree, deep=deep)
    if as_json:
        print_json(health)
    else:
        _print(health)
    return 1 if health.problems else 0


def _print(health: LedgerHealth) -> None:
    generation, archive, deep = health.generation, health.archive, health.deep
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    lag = "up to the log" if not health.lag else f"{health.lag:,} behind, for {_span(health.lag_seconds)}"
    version = f"version {generation.rules.version}" if generation.rules.version else "not published"
    rows = [
        ("log", f"{health.head:,} events", _holes(health)),
        ("read models", f"position {health.seen:,}", lag),
        (
            "generation",
            str(generation.generation),
            f"built {_when(generation.made_at)}, {_span(generation.age_seconds)} ago",
        ),
        ("rules", f"{escape(generation.rules.name)}, {version}", f"[dim]{generation.rules.digest[:16]}[/]"),
        ("checksum", generation.checksum, "" if deep is None else _held(holds=deep.checksum_holds)),
        (
            "archive",
            f"position {archive.position:,}",
            f"{archive.lag:,} behind; {archive.segments} segments, {archive.size_bytes / 2**20:,.1f} MiB",
        ),
        ("tree", f"position {health.tree.position:,}", _signed(health.tree)),
    ]
    if deep:
        rows.insert(1, ("compared", f"{deep.compared_events:,} events", "with the digests of the archive"))
    for row in rows:
        table.add_row(f"[bold]{row[0]}[/]", *row[1:])
    console = out()
    console.print(table)
    for problem in health.problems:
        console.print(f"[red]wrong:[/] {escape(problem)}")
    if not health.problems:
        console.print(f"[green]found nothing wrong[/] {_looked_at(health)}", soft_wrap=True, highlight=False)


def _holes(health: LedgerHealth) -> str:
    """Say whether there are holes, and where that was looked at."""
    where = "" if health.looked_at >= health.head else f" in the last {health.looked_at:,} positions"
    return f"[red]{health.holes:,} holes[/]{where}" if health.holes else f"no holes{where}"


def _signed(tree: TreeHealth) -> str:
    """Say how far the tree is behind, when its last checkpoint was signed, and with which keys."""
    if not tree.keys and tree.problem is not None:
        return "[red]its keys or its last checkpoint cannot be used[/]"
    if not tree.keys:
        return "no signing keys yet; `hours serve` or `hours signing-keys make` makes them"
    if tree.signed_at is None:
        return f"{tree.lag:,} behind; no checkpoint yet"
    ids = " and ".join(key.rpartition("+")[2] for key in tree.keys)
    waiting = "" if tree.published == tree.position else f"; published up to {tree.published:,}"
    return f"{tree.lag:,} behind; signed {_when(tree.signed_at)}{waiting}; keys {ids}"


def _looked_at(health: LedgerHealth) -> str:
    """Say what was looked at, and how to look deeper."""
    if health.deep is None:
        return (
            f"in the positions of the last {health.looked_at:,} events and the last event of the archive; "
            "`hours status --deep` compares every event"
        )
    later = health.head - health.deep.compared_events
    rest = f"; the last {later:,} events are not in the archive yet" if later else ""
    return f"in {health.deep.compared_events:,} events compared with the archive and in the read models' rows{rest}"


def _held(*, holds: bool) -> str:
    return "[green]holds[/]" if holds else "[red]does not hold[/]"


def _when(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S %Z}" if instant else "long ago"


def _span(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    days, rest = divmod(round(timedelta(seconds=seconds).total_seconds()), 86_400)
    hours, rest = divmod(rest, 3_600)
    parts = [(days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s")]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)
