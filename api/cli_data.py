"""`hours simulate`, `rebuild` and `export credits`: what works on the whole history."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from api.cli_read import AxisTexts, read_rules, reading
from api.cli_show import Advance, err, out, print_json, progress
from api.export import Format, write_credits
from api.kernels import warm
from api.mistakes import Mistake
from api.service import DEFAULT_RULES, OpenLedger, open_ledger
from replay.archive import Archive
from replay.published import Rules, published_rules
from replay.rebuild import Rebuilt, rebuild
from replay.store import NoGenerationError
from replay.synthetic import simulate as simulated
from replay.synthetic.loading import write_history

_CREDITED = 5
"""The column of credited minutes in a replay's hours: volunteer, year, shifts, raw, counted, credited."""
FOLLOW_EVENTS_MAX = 50_000
"""Read models that are further behind than this are made anew: that is faster than following event by event."""
MARK = "simulation.json"
"""In the data directory: which synthetic history it holds, and whether the whole of it."""


def say(message: str) -> None:
    """Tell what is going on, on standard error."""
    err().print(message)


# --- simulate -------------------------------------------------------------------------------------------------------


def simulate(data: Path, scale: float, seed: int, *, as_json: bool) -> None:
    """Fill an empty ledger with a synthetic history, and replay it."""
    with open_ledger(data) as ledger:
        rebuilt = fill(ledger, scale, seed)
    told = {"scale": scale, "seed": seed, "events": rebuilt.events, **_counts(rebuilt)}
    if as_json:
        print_json(told)
    else:
        out().print(f"{rebuilt.events:,} events of a history at scale {scale}, seed {seed}; {_sentence(rebuilt)}")


def fill(ledger: OpenLedger, scale: float, seed: int) -> Rebuilt:
    """Write a synthetic history, or the rest of one, and build its read models."""
    warm(say)
    try:
        history = simulated(scale, seed, DEFAULT_RULES.read_text("utf-8"))
    except ValueError as error:
        raise Mistake(f"--scale {scale} or --seed {seed} cannot be: {error}") from None
    mark = ledger.data / MARK
    begun: dict[str, Any] = {"scale": scale, "seed": seed}
    if ledger.log.head() == 0:
        mark.write_text(json.dumps({**begun, "complete": False}))
    with progress("Writing a synthetic history") as advance:
        write_history(ledger.database, history, lambda: _credited_minutes(ledger), progress=advance)
    mark.write_text(json.dumps({**begun, "complete": True}))
    return build(ledger, published_rules(ledger.log))


def _credited_minutes(ledger: OpenLedger) -> int:
    """Return what all shifts in the ledger earn, under its rules."""
    ledger.archive.bring_up_to_date(ledger.database)
    hours = ledger.archive.facts().read_models(published_rules(ledger.log).timeline(), threads=2).hours
    return int(hours[hours[:, 1] == 0, _CREDITED].sum())


# --- rebuild --------------------------------------------------------------------------------------------------------


def rebuild_models(data: Path, rules_file: Path | None, *, archive_anew: bool, facts_anew: bool, as_json: bool) -> None:
    """Replay the history under the latest rules, or under those of a file, which are published first."""
    text = read_rules(rules_file) if rules_file else None
    with open_ledger(data) as ledger:
        rules = ledger.publish(text) if text is not None else published_rules(ledger.log)
        warm(say)
        rebuilt = build(ledger, rules, archive_anew=archive_anew, facts_anew=facts_anew)
    if as_json:
        generation = rebuilt.generation
        print_json(
            {
                "generation": generation.id,
                "position": generation.position,
                "rules_version": rules.version,
                "checksum": f"{generation.checksum:016x}",
                "events": rebuilt.events,
                **_counts(rebuilt),
            }
        )
    else:
        out().print(
            f"{rebuilt.events:,} events replayed under version {rules.version} of the rules; {_sentence(rebuilt)}"
        )


def build(ledger: OpenLedger, rules: Rules, *, archive_anew: bool = False, facts_anew: bool = False) -> Rebuilt:
    """Bring the archive up to date and build a generation."""
    with progress("Reading the log into the archive") as advance:
        _archive(ledger, anew=archive_anew, advance=advance)
    with _steps("Replaying") as step:
        step("taking in what is new")
        behind = ledger.archive.position - _position(ledger)
        if behind <= FOLLOW_EVENTS_MAX:
            ledger.catch_up()
        return rebuild(
            ledger.database, ledger.archive, rules, facts_anew=facts_anew or behind > FOLLOW_EVENTS_MAX, step=step
        )


def _position(ledger: OpenLedger) -> int:
    """Return the position of the read models, 0 before the first."""
    try:
        return ledger.current_generation().position
    except NoGenerationError:
        return 0


def _archive(ledger: OpenLedger, *, anew: bool, advance: Advance) -> None:
    if anew:
        (ledger.data / "archive" / "manifest.json").unlink(missing_ok=True)  # it may be another ledger's
        archive = Archive(ledger.data / "archive", ledger.log.identity())
        archive.rebuild(ledger.database, advance)
    else:
        ledger.archive.bring_up_to_date(ledger.database, advance)


@contextmanager
def _steps(title: str) -> Iterator[Callable[[str], None]]:
    """Show what a rebuild is doing."""
    with err().status(title) as status:
        yield lambda step: status.update(f"{title}: {step}")


def _counts(rebuilt: Rebuilt) -> dict[str, int]:
    return {"hours": rebuilt.hours, "station_days": rebuilt.station_days, "standings": rebuilt.standings}


def _sentence(rebuilt: Rebuilt) -> str:
    return (
        f"{rebuilt.hours:,} rows of hours, {rebuilt.station_days:,} station days, {rebuilt.standings:,} honours; "
        f"generation {rebuilt.generation.id} answers, checksum {rebuilt.generation.checksum:016x}"
    )


# --- export ---------------------------------------------------------------------------------------------------------


def export_credits(data: Path, output: Path, kind: str, texts: AxisTexts, *, as_json: bool) -> None:
    """Write every piece of every shift to a file."""
    if kind not in get_args(Format):
        raise Mistake(f"--format {kind} is not written; choose csv or parquet")
    if not output.parent.is_dir():
        raise Mistake(f"--output {output} lies in no directory that is there; make it first")
    with reading(data, texts) as (ledger, axes):
        warm(say)
        rules = axes.rules or published_rules(ledger.log)
        with progress("Reading the log into the archive") as advance:
            ledger.archive.bring_up_to_date(ledger.database, advance)
        known_at = ledger.archive.position if axes.known_at is None else axes.known_at
        with progress("Writing pieces") as advance:
            written = write_credits(
                output,
                "parquet" if kind == "parquet" else "csv",
                ledger.archive.facts(until=known_at),
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
