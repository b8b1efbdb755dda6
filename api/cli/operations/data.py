"""`hours simulate` and `export credits`: what works on the whole history."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from api.cli.operations.demonstration_honors import give_honors
from api.cli.operations.generations import build, counts, say, sentence
from api.cli.output import out, print_json, progress, stages
from api.cli.readers.queries import AxisTexts, reading
from api.files.credits import Format, write_credits
from api.operations.service import DEFAULT_RULES, OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from replay.generations.rebuild import Rebuilt
from replay.published import published_rules
from replay.synthetic import simulate as simulated
from replay.synthetic.loading import write_history

_CREDITED = 5
"""The column of credited minutes in a replay's hours: volunteer, year, shifts, raw, counted, credited."""
MARK = "simulation.json"
"""In the data directory: which synthetic history it holds, and whether the whole of it."""


# --- simulate -------------------------------------------------------------------------------------------------------


def simulate(data: Path, scale: float, seed: int, *, as_json: bool) -> None:
    """Fill an empty ledger with a synthetic history, and replay it."""
    with open_ledger(data) as ledger:
        rebuilt = fill(ledger, scale, seed)
    told = {"scale": scale, "seed": seed, "events": rebuilt.events, **counts(rebuilt)}
    if as_json:
        print_json(told)
    else:
        out().print(f"{rebuilt.events:,} events of a history at scale {scale}, seed {seed}; {sentence(rebuilt)}")


def fill(ledger: OpenLedger, scale: float, seed: int) -> Rebuilt:
    """Write a synthetic history, or the rest of one, and build its read models."""
    warm(say)
    try:
        history = simulated(scale, seed, DEFAULT_RULES.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"--scale {scale} or --seed {seed} cannot be: {error}") from None
    mark = ledger.data / MARK
    begun: dict[str, Any] = {"scale": scale, "seed": seed}
    if ledger.log.head() == 0:
        mark.write_text(json.dumps({**begun, "complete": False}))
    with progress("Writing a synthetic history") as advance:
        write_history(ledger.database, history, lambda: _credited_minutes(ledger), progress=advance)
    rebuilt = build(ledger, published_rules(ledger.log))
    if not _is_complete(mark):
        give_honors(ledger)
        rebuilt = replace(rebuilt, events=ledger.log.head(), generation=ledger.current_generation())
    mark.write_text(json.dumps({**begun, "complete": True}))
    return rebuilt


def _is_complete(mark: Path) -> bool:
    return mark.exists() and json.loads(mark.read_text())["complete"]


def _credited_minutes(ledger: OpenLedger) -> int:
    """Return what all shifts in the ledger earn, under its rules."""
    ledger.archive.bring_up_to_date(ledger.database)
    hours = ledger.archive.facts().read_models(published_rules(ledger.log).timeline(), threads=2).hours
    return int(hours[hours[:, 1] == 0, _CREDITED].sum())


# --- export ---------------------------------------------------------------------------------------------------------


def export_credits(data: Path, output: Path, kind: str, texts: AxisTexts, *, as_json: bool) -> None:
    """Write every piece of every shift to a file."""
    if kind not in get_args(Format):
        raise UsageError(f"--format {kind} is not written; choose csv or parquet")
    if not output.parent.is_dir():
        raise UsageError(f"--output {output} lies in no directory that is there; make it first")
    with reading(data, texts) as (ledger, axes):
        warm(say)
        rules = axes.rules or published_rules(ledger.log)
        with stages("Reading the log into the archive") as tell:
            ledger.archive.bring_up_to_date(ledger.database, tell)
        known_at = ledger.archive.position if axes.known_at is None else axes.known_at
        with progress("Writing pieces") as advance:
            written = write_credits(
                output,
                "parquet" if kind == "parquet" else "csv",
                ledger.archive.facts_from(ledger.database, known_at),
                rules.timeline(),
                valid_until=axes.valid_until,
                metadata={"known_at": str(known_at), "rules_version": str(rules.version), "rules": rules.digest},
                progress=advance,
            )
    if as_json:
        print_json({"output": str(output), "pieces": written, "known_at": known_at, "rules_version": rules.version})
    else:
        version = f"version {rules.version} of the rules" if rules.version else "rules that are not published"
        out().print(f"{written:,} pieces in {output}, known at position {known_at}, under {version}")
