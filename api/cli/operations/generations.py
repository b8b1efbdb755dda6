"""`hours rebuild`, `publish` and `generations`: choose which read models answer, and under which rules.

A command stopped with Ctrl-C changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from api.cli.options import OPERATOR, Json, data_of
from api.cli.output import err, out, print_json, print_table, stages
from api.cli.readers.queries import read_rules
from api.http.routes.operations.generations import SWITCHED, listed, ready, version_to_record
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.aggregates import Sender
from replay.generations import retention
from replay.generations.obeying import changing_rules
from replay.generations.rebuild import READING, Rebuilt, rebuild
from replay.generations.store import NoGenerationError
from replay.generations.switching import switch
from replay.progress import Progress
from replay.published import Rules, published_rules

app = typer.Typer(help="List, switch and drop generations of the read models.")

Generation = Annotated[int, typer.Argument(min=1, help="The generation's id.")]

FOLLOW_EVENTS_MAX = 50_000
"""Read models that are further behind than this are rebuilt, which is faster than following event by event."""


def rebuild_models(
    context: typer.Context,
    *,
    rules: Annotated[Path | None, typer.Option(help="Publish this rule timeline first, if it is new.")] = None,
    new_archive: Annotated[bool, typer.Option("--new-archive", help="Read the whole log into a new archive.")] = False,
    new_facts: Annotated[bool, typer.Option("--new-facts", help="Resolve all shifts again.")] = False,
    archive_anew: Annotated[bool, typer.Option("--archive-anew", hidden=True)] = False,
    facts_anew: Annotated[bool, typer.Option("--facts-anew", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Replay the whole history and switch to the result."""
    for given, old, new in (
        (archive_anew, "--archive-anew", "--new-archive"),
        (facts_anew, "--facts-anew", "--new-facts"),
    ):
        if given:
            notify(f"{old} is now called {new}; the old name ends with version 0.2")
    text = read_rules(rules) if rules else None
    new_archive, new_facts = new_archive or archive_anew, new_facts or facts_anew
    _rebuild(data_of(context), text, new_archive=new_archive, new_facts=new_facts, as_json=as_json)


def publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The rule timeline, as TOML.")],
    *,
    later: Annotated[
        bool, typer.Option("--later", help="Only publish; `hours rules put-in-force` puts the rules in force.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish rules, replay the whole history under them, and switch to the result."""
    text = read_rules(file)
    if not later:
        _rebuild(data_of(context), text, new_archive=False, new_facts=False, as_json=as_json)
        return
    with open_ledger(data_of(context)) as ledger:
        rules = ledger.publish(text, in_force=False)
    if as_json:
        print_json({"rules_version": rules.version, "digest": rules.digest})
    else:
        out().print(
            f"published as version {rules.version}, not in force: "
            f"`hours rules put-in-force {rules.version} --reason CODE` puts it in force"
        )


def _rebuild(data: Path, text: str | None, *, new_archive: bool, new_facts: bool, as_json: bool) -> None:
    with open_ledger(data) as ledger, changing_rules(ledger.database):
        rules = ledger.publish(text) if text is not None else published_rules(ledger.log)
        warm(notify)
        rebuilt = build(ledger, rules, new_archive=new_archive, new_facts=new_facts)
    _print_rebuilt(rebuilt, rules, as_json=as_json)


def build(ledger: OpenLedger, rules: Rules, *, new_archive: bool = False, new_facts: bool = False) -> Rebuilt:
    """Bring the archive up to date, build a generation, and switch to it."""
    with stages("Rebuilding") as progress:
        progress(READING, 0, 0)
        _bring_archive_up_to_date(ledger, new=new_archive, progress=progress)
        progress("following new events", 0, 0)
        behind = ledger.archive.position - _position(ledger)
        if behind <= FOLLOW_EVENTS_MAX:
            ledger.catch_up()
        new_facts = new_facts or behind > FOLLOW_EVENTS_MAX
        return rebuild(ledger.database, ledger.archive, rules, new_facts=new_facts, progress=progress)


def _position(ledger: OpenLedger) -> int:
    """Return the position of the read models: 0 if there are none, far below 0 if this version cannot read them."""
    try:
        generation = ledger.current_generation()
    except NoGenerationError:
        return 0
    return generation.position if generation.readable else -FOLLOW_EVENTS_MAX - 1


def _bring_archive_up_to_date(ledger: OpenLedger, *, new: bool, progress: Progress) -> None:
    if new:
        ledger.archive.rebuild(ledger.database, progress)
    else:
        ledger.archive.bring_up_to_date(ledger.database, progress)
        ledger.archive.verify_log(ledger.database, progress)


def _print_rebuilt(rebuilt: Rebuilt, rules: Rules, *, as_json: bool) -> None:
    if as_json:
        generation = rebuilt.generation
        print_json(
            {
                "generation": generation.id,
                "position": generation.position,
                "rules_version": rules.version,
                "checksum": f"{generation.checksum:016x}",
                "events": rebuilt.events,
                **row_counts(rebuilt),
            }
        )
    else:
        out().print(
            f"{rebuilt.events:,} events replayed under version {rules.version} of the rules; {describe(rebuilt)}"
        )


def row_counts(rebuilt: Rebuilt) -> dict[str, int]:
    """Return the number of rows by read model."""
    return {"hours": rebuilt.hours, "station_days": rebuilt.station_days, "standings": rebuilt.standings}


def describe(rebuilt: Rebuilt) -> str:
    """Return a sentence with the row counts and checksum of a generation that now answers."""
    return (
        f"{rebuilt.hours:,} rows of hours, {rebuilt.station_days:,} station days, {rebuilt.standings:,} honours; "
        f"generation {rebuilt.generation.id} answers, checksum {rebuilt.generation.checksum:016x}"
    )


def record_in_force(ledger: OpenLedger, version: int, reason: str, by: str, text: str | None = None) -> None:
    """Put a published version of the rules in force, unless it is. The read models do not change yet."""
    try:
        ledger.put_in_force(version, reason, Sender.of_operator(by), text)
    except ValidationError as error:
        (first, *_) = error.errors()
        raise UsageError(f"--{first['loc'][0]} {first['input']}: {first['msg']}") from None


def notify(message: str) -> None:
    """Print a progress message on standard error."""
    err().print(message)


# --- generations ----------------------------------------------------------------------------------------------------


@app.callback(invoke_without_command=True)
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """List all generations, each with the reason why it is retained; switch to another one; drop one."""
    if context.invoked_subcommand is not None:
        return
    with open_ledger(data_of(context)) as ledger:
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


@app.command("switch")
def switch_to(
    context: typer.Context,
    generation: Generation,
    *,
    reason: Annotated[str, typer.Option(help="Why, as a code, if its rules are not in force yet.")] = SWITCHED,
    by: Annotated[str, typer.Option(help="Who decides it, as person:NAME.")] = OPERATOR,
    as_json: Json = False,
) -> None:
    """Switch to another generation, which first catches up and is verified. Its rules are put in force."""
    with open_ledger(data_of(context)) as ledger, changing_rules(ledger.database):
        if version := version_to_record(ledger, generation):
            record_in_force(ledger, version, reason, by)
        warm(notify)
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


@app.command("drop")
def drop(context: typer.Context, generation: Generation, *, as_json: Json = False) -> None:
    """Drop a generation that does not answer."""
    with open_ledger(data_of(context)) as ledger:
        retention.drop(ledger.database, generation)
    if as_json:
        print_json({"generation": generation, "dropped": True})
    else:
        out().print(f"generation {generation} is dropped; a rebuild under the same rules creates it again")
