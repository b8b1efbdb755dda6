"""`hours rebuild`, `publish` and `generations`: which read models answer, and under which rules.

What a person stops with Ctrl-C leaves everything as it was.
"""

from __future__ import annotations

from pathlib import Path

from api.cli.output import err, out, print_json, print_table, stages
from api.cli.readers.queries import read_rules
from api.http.routes.operations.generations import listed, ready
from api.operations.service import OpenLedger, open_ledger
from api.operations.warming import warm
from replay.generations import retention
from replay.generations.rebuild import READING, Rebuilt, rebuild
from replay.generations.store import NoGenerationError
from replay.generations.switching import switch
from replay.progress import Progress
from replay.published import Rules, published_rules

FOLLOW_EVENTS_MAX = 50_000
"""Read models that are further behind than this are made anew: that is faster than following event by event."""


def rebuild_models(data: Path, rules_file: Path | None, *, archive_anew: bool, facts_anew: bool, as_json: bool) -> None:
    """Replay the history under the latest rules, or under those of a file, which are published first."""
    text = read_rules(rules_file) if rules_file else None
    with open_ledger(data) as ledger:
        rules = ledger.publish(text) if text is not None else published_rules(ledger.log)
        warm(say)
        rebuilt = build(ledger, rules, archive_anew=archive_anew, facts_anew=facts_anew)
    tell(rebuilt, rules, as_json=as_json)


def publish(data: Path, rules_file: Path, *, as_json: bool) -> None:
    """Publish a rule timeline, build a generation under it, and let that answer."""
    rebuild_models(data, rules_file, archive_anew=False, facts_anew=False, as_json=as_json)


def build(ledger: OpenLedger, rules: Rules, *, archive_anew: bool = False, facts_anew: bool = False) -> Rebuilt:
    """Bring the archive up to date and build a generation that answers."""
    with stages("Rebuilding") as progress:
        progress(READING, 0, 0)
        _archive(ledger, anew=archive_anew, progress=progress)
        progress("taking in what is new", 0, 0)
        behind = ledger.archive.position - _position(ledger)
        if behind <= FOLLOW_EVENTS_MAX:
            ledger.catch_up()
        anew = facts_anew or behind > FOLLOW_EVENTS_MAX
        return rebuild(ledger.database, ledger.archive, rules, facts_anew=anew, progress=progress)


def _position(ledger: OpenLedger) -> int:
    """Return the position of the read models that this program can read; long ago if there are none."""
    try:
        generation = ledger.current_generation()
    except NoGenerationError:
        return 0
    return generation.position if generation.readable else -FOLLOW_EVENTS_MAX - 1


def _archive(ledger: OpenLedger, *, anew: bool, progress: Progress) -> None:
    if anew:
        ledger.archive.rebuild(ledger.database, progress)
    else:
        ledger.archive.bring_up_to_date(ledger.database, progress)


def tell(rebuilt: Rebuilt, rules: Rules, *, as_json: bool) -> None:
    """Tell what a rebuild did."""
    if as_json:
        generation = rebuilt.generation
        print_json(
            {
                "generation": generation.id,
                "position": generation.position,
                "rules_version": rules.version,
                "checksum": f"{generation.checksum:016x}",
                "events": rebuilt.events,
                **counts(rebuilt),
            }
        )
    else:
        out().print(
            f"{rebuilt.events:,} events replayed under version {rules.version} of the rules; {sentence(rebuilt)}"
        )


def counts(rebuilt: Rebuilt) -> dict[str, int]:
    """Return how many rows were made."""
    return {"hours": rebuilt.hours, "station_days": rebuilt.station_days, "standings": rebuilt.standings}


def sentence(rebuilt: Rebuilt) -> str:
    """Say what was made, and that it answers."""
    return (
        f"{rebuilt.hours:,} rows of hours, {rebuilt.station_days:,} station days, {rebuilt.standings:,} honours; "
        f"generation {rebuilt.generation.id} answers, checksum {rebuilt.generation.checksum:016x}"
    )


def say(message: str) -> None:
    """Tell what is going on, on standard error."""
    err().print(message)


# --- generations ----------------------------------------------------------------------------------------------------


def show(data: Path, *, as_json: bool) -> None:
    """List all generations, and say which are kept."""
    with open_ledger(data) as ledger:
        found = listed(ledger)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.id,
            one.kept,
            f"{one.rules.name}, version {one.rules.version}" if one.rules.version else "not published",
            one.position,
            one.checksum,
            "" if one.made_at is None else f"{one.made_at:%Y-%m-%d %H:%M}",
            "" if one.switched_at is None else f"{one.switched_at:%Y-%m-%d %H:%M}",
            f"{sum(one.rows.values()):,}",
            f"{one.size_bytes / 2**20:,.1f} MiB",
        )
        for one in found.generations
    ]
    columns = ("id", "kept", "rules", "position", "checksum", "made", "switched to", "rows", "size")
    print_table("Generations", columns, rows, f"Policy: {found.policy}.")


def switch_to(data: Path, generation: int, *, as_json: bool) -> None:
    """Let another generation answer, once it has caught up and is verified."""
    with open_ledger(data) as ledger:
        warm(say)
        if _position(ledger) >= 0:
            ledger.catch_up()
        with stages("Switching") as progress:
            found = switch(ledger.database, ledger.archive, generation, progress=progress)
    if as_json:
        print_json(ready(found, answering=True))
    else:
        out().print(
            f"generation {found.id} answers: version {found.rules_version} of the rules, position {found.position}, "
            f"checksum {found.checksum:016x}"
        )


def drop(data: Path, generation: int, *, as_json: bool) -> None:
    """Drop a generation that does not answer."""
    with open_ledger(data) as ledger:
        retention.drop(ledger.database, generation)
    if as_json:
        print_json({"generation": generation, "dropped": True})
    else:
        out().print(f"generation {generation} is dropped; the same rules make the same one again")
