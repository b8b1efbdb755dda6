"""`hours rebuild`, `publish` and `generations`: choose which read models answer, and under which rules.

A command stopped with Ctrl-C changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import ValidationError

from api.axes.written import SHOWN_DIGITS, candidate
from api.cli.options import OPERATOR, Json, data_of, refuse_idle
from api.cli.output import err, notify, out, print_json, print_table, stages
from api.cli.readers.queries import local_zone, read_rules
from api.http.routes.operations.generations import SWITCHED, listed, ready, version_to_record
from api.messages.periods import local_day
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.aggregates import Sender
from projections.compare.header_changes import TIME_ZONE
from replay.generations import retention
from replay.generations.obeying import changing_rules
from replay.generations.rebuild import READING, Rebuilt, rebuild
from replay.generations.store import NoGenerationError
from replay.generations.switching import switch
from replay.progress import Progress
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import NOW, Axes
from replay.what_if.answers import HeaderChanged, headers_changed
from replay.what_if.comparison import points, what_if
from replay.what_if.day_spans import past_days
from replay.what_if.past_changes import PastChange, past_change

app = typer.Typer(help="List, switch and drop generations of the read models.")

Generation = Annotated[int, typer.Argument(min=1, help="The generation's id.")]

ChangeTimeZone = Annotated[
    bool,
    typer.Option(
        "--change-time-zone", help="The rules may have another time zone than those in force: every local day moves."
    ),
]

FOLLOW_EVENTS_MAX = 50_000
"""Read models that are further behind than this are rebuilt, which is faster than following event by event."""


def rebuild_models(
    context: typer.Context,
    *,
    rules: Annotated[Path | None, typer.Option(help="Publish this rule timeline first, if it is new.")] = None,
    change_time_zone: ChangeTimeZone = False,
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
    if rules is None:
        refuse_idle(context, "without --rules", "change_time_zone")
    text = read_rules(rules) if rules else None
    new_archive, new_facts = new_archive or archive_anew, new_facts or facts_anew
    asked = _Asked(change_time_zone, new_archive, new_facts, as_json)
    _rebuild(data_of(context), text, asked)


def publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The rule timeline, as TOML.")],
    *,
    later: Annotated[
        bool, typer.Option("--later", help="Only publish; `hours rules put-in-force` puts the rules in force.")
    ] = False,
    change_time_zone: ChangeTimeZone = False,
    as_json: Json = False,
) -> None:
    """Publish rules, replay the whole history under them, and switch to the result."""
    text = read_rules(file)
    if not later:
        _rebuild(data_of(context), text, _Asked(change_time_zone, as_json=as_json))
        return
    with open_ledger(data_of(context)) as ledger:
        before = ledger.published_before(text)
        headers: list[HeaderChanged] = []
        if before is None:
            headers = tell_header_changes(ledger, candidate(text), change_time_zone=change_time_zone)
            tell_past_change(ledger, candidate(text))
        rules = before or ledger.publish(text, in_force=False, change_time_zone=change_time_zone)
        in_force = published_rules(ledger.log).version == rules.version
    if as_json:
        known = {
            "published_before": before is not None,
            "in_force": in_force,
            "header_changes": [one.model_dump() for one in headers],
        }
        print_json({"rules_version": rules.version, "digest": rules.digest, **known})
        return
    told = f"published as version {rules.version}" if before is None else _known_before(rules)
    if in_force:
        out().print(f"{told}; it is not published again, and it is in force")
    else:
        way = f"`hours rules put-in-force {rules.version} --reason CODE` puts it in force"
        out().print(f"{told}, not in force: {way}")


def _known_before(rules: Rules) -> str:
    return f"this text is version {rules.version} of the rules already (digest {rules.digest[:SHOWN_DIGITS]}…)"


class _Asked(NamedTuple):
    """The options of a rebuild."""

    change_time_zone: bool = False
    new_archive: bool = False
    new_facts: bool = False
    as_json: bool = False


def _rebuild(data: Path, text: str | None, asked: _Asked) -> None:
    with open_ledger(data) as ledger, changing_rules(ledger.database):
        before = past = None
        headers: list[HeaderChanged] = []
        if text is not None:
            before = ledger.published_before(text)
            new = before or candidate(text)
            headers = tell_header_changes(ledger, new, change_time_zone=asked.change_time_zone)
            past = None if asked.new_archive else tell_past_change(ledger, new)
        if before is not None:
            then = ", and it is in force" if published_rules(ledger.log) == before else " but put in force"
            notify(f"{_known_before(before)}; it is not published again{then}")
        if text is None:
            rules = published_rules(ledger.log)
        else:
            rules = ledger.publish(text, change_time_zone=asked.change_time_zone)
        warm(notify)
        rebuilt = build(ledger, rules, new_archive=asked.new_archive, new_facts=asked.new_facts)
    more: dict[str, Any] = {}
    if text is not None:
        more = {"published_before": before is not None, "header_changes": [one.model_dump() for one in headers]}
    if past is not None:
        more["past_change"] = past.model_dump(mode="json")
    _print_rebuilt(rebuilt, rules, more, as_json=asked.as_json)


def published_or_none(ledger: OpenLedger) -> Rules | None:
    """Return the rules in force, None before any."""
    try:
        return published_rules(ledger.log)
    except NoRulesError:
        return None


def tell_header_changes(ledger: OpenLedger, rules: Rules, *, change_time_zone: bool) -> list[HeaderChanged]:
    """Tell what rules change outside their rule sets before they are published or put in force, each on a line.

    Raises:
        UsageError: they have another time zone than those in force, and that was not asked for.
    """
    now = published_or_none(ledger)
    found = [] if now is None else headers_changed(now.timeline(), rules.timeline())
    for one in found:
        if one.key == TIME_ZONE and not change_time_zone:
            raise UsageError(
                f"{one.sentence}, so nothing was changed; begin from the rules in force (`hours rules show > "
                "mine.toml`), or add --change-time-zone if it is meant"
            )
        err().print(f"warning: outside the rule sets, {one.sentence}", markup=False, soft_wrap=True)
    return found


def tell_past_change(ledger: OpenLedger, rules: Rules) -> PastChange | None:
    """Warn before rules are published or put in force that change hours of days that have passed."""
    try:
        generation = ledger.current_generation()
    except NoGenerationError:
        return None
    today = local_day(ledger.clock(), generation.timeline())
    if not generation.readable or not past_days(generation.timeline(), rules.timeline(), today):
        return None
    ledger.catch_up()
    warm(notify)
    with stages("Comparing") as progress:
        both = points(ledger.database, ledger.archive, (NOW, Axes(rules=rules)), progress)
        found = past_change(what_if(*both, progress=progress))
    if found is not None:
        err().print(f"warning: {found.sentence()}; `hours diff` shows whose", markup=False, soft_wrap=True)
    return found


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


def _print_rebuilt(rebuilt: Rebuilt, rules: Rules, more: dict[str, Any], *, as_json: bool) -> None:
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
                **more,
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


def record_in_force(
    ledger: OpenLedger, version: int, reason: str, by: str, text: str | None = None, *, change_time_zone: bool = False
) -> None:
    """Put a published version of the rules in force, unless it is. The read models do not change yet."""
    try:
        ledger.put_in_force(version, reason, Sender.of_operator(by), text, change_time_zone=change_time_zone)
    except ValidationError as error:
        (first, *_) = error.errors()
        raise UsageError(f"--{first['loc'][0]} {first['input']}: {first['msg']}") from None


# --- generations ----------------------------------------------------------------------------------------------------


@app.callback(invoke_without_command=True)
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """List all generations, each with the reason why it is retained; switch to another one; drop one."""
    if context.invoked_subcommand is not None:
        return
    with open_ledger(data_of(context)) as ledger:
        found, zone = listed(ledger), local_zone(ledger)
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
            "" if one.made_at is None else f"{one.made_at.astimezone(zone):%Y-%m-%d %H:%M}",
            "" if one.switched_at is None else f"{one.switched_at.astimezone(zone):%Y-%m-%d %H:%M}",
            f"{sum(one.rows.values()):,}",
            f"{one.size_bytes / 2**20:,.1f} MiB",
        )
        for one in found.generations
    ]
    columns = ("id", "kept", "rules", "position", "checksum", "made", "switched to", "rows", "size")
    print_table(f"Generations (times in {zone})", columns, rows, f"Policy: {found.policy}.")


@app.command("switch")
def switch_to(
    context: typer.Context,
    generation: Generation,
    *,
    reason: Annotated[str, typer.Option(help="Why, as a code, if its rules are not in force yet.")] = SWITCHED,
    by: Annotated[str, typer.Option(help="Who decides it, as person:NAME.")] = OPERATOR,
    change_time_zone: ChangeTimeZone = False,
    as_json: Json = False,
) -> None:
    """Switch to another generation, which first catches up and is verified. Its rules are put in force."""
    with open_ledger(data_of(context)) as ledger, changing_rules(ledger.database):
        if version := version_to_record(ledger, generation):
            new = published_rules(ledger.log, version=version)
            tell_header_changes(ledger, new, change_time_zone=change_time_zone)
            record_in_force(ledger, version, reason, by, change_time_zone=change_time_zone)
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
    """Drop a generation that is not the current one."""
    with open_ledger(data_of(context)) as ledger:
        retention.drop(ledger.database, generation)
    if as_json:
        print_json({"generation": generation, "dropped": True})
    else:
        out().print(f"generation {generation} is dropped; a rebuild under the same rules creates it again")
