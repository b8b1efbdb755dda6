"""`hours simulate` and `hours export credits`: commands on a whole history."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from api.cli.operations.demonstration_honors import confer_honors
from api.cli.operations.generations import build, describe, row_counts
from api.cli.options import AxesTexts, Force, Json, data_of, with_axes
from api.cli.output import check_output, notify, out, print_json, progress, stages
from api.cli.readers.queries import reading
from api.files.credits import Chosen, Format, Mask, write_credits
from api.operations.service import DEFAULT_RULES, OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.names import Position
from projections.kernels.facts import Facts
from projections.local_time import day_number, day_of_number
from projections.rules.timeline import RuleTimeline
from projections.schema import Ints
from replay.axes.as_known import Axes, UnknownNameError
from replay.generations.rebuild import Rebuilt
from replay.published import published_rules
from replay.records.belonging import read_places
from replay.synthetic import simulate as simulated
from replay.synthetic.loading import write_history

export = typer.Typer(help="Write computed results to a file.", no_args_is_help=True)

_CREDITED = 5
"""The column of credited minutes in a replay's hours: volunteer, year, shifts, raw, counted, credited."""
MARK = "simulation.json"
"""A file in the data directory: scale and seed of its synthetic history, and whether that is complete."""


# --- simulate -------------------------------------------------------------------------------------------------------


def simulate(
    context: typer.Context,
    *,
    scale: Annotated[float, typer.Option(help="1.0 is the size of Luohu at the end of 2018.")] = 0.01,
    seed: Annotated[int, typer.Option(help="The same seed gives the same history.")] = 1,
    as_json: Json = False,
) -> None:
    """Fill an empty ledger with a synthetic history, or continue one that was interrupted.

    `hours init --no-rules` makes the ledger: the history brings its own rules.
    """
    with open_ledger(data_of(context)) as ledger:
        rebuilt = fill(ledger, scale, seed)
    if as_json:
        print_json({"scale": scale, "seed": seed, "events": rebuilt.events, **row_counts(rebuilt)})
    else:
        out().print(f"{rebuilt.events:,} events of a history at scale {scale}, seed {seed}; {describe(rebuilt)}")


def fill(ledger: OpenLedger, scale: float, seed: int) -> Rebuilt:
    """Write a synthetic history, or the rest of one, and build its read models."""
    warm(notify)
    try:
        history = simulated(scale, seed, DEFAULT_RULES.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"--scale {scale} or --seed {seed} cannot be used: {error}") from None
    mark = ledger.data / MARK
    begun: dict[str, Any] = {"scale": scale, "seed": seed}
    if ledger.log.head() == 0:
        mark.write_text(json.dumps({**begun, "complete": False}))
    with progress("Writing a synthetic history") as advance:
        write_history(ledger.database, history, lambda: _credited_minutes(ledger), progress=advance)
    rebuilt = build(ledger, published_rules(ledger.log))
    if not _is_complete(mark):
        confer_honors(ledger)
        rebuilt = replace(rebuilt, events=ledger.log.head(), generation=ledger.current_generation())
    mark.write_text(json.dumps({**begun, "complete": True}))
    return rebuilt


def _is_complete(mark: Path) -> bool:
    return mark.exists() and json.loads(mark.read_text())["complete"]


def _credited_minutes(ledger: OpenLedger) -> int:
    """Return the credited minutes of all shifts in the ledger, under its rules."""
    ledger.archive.bring_up_to_date(ledger.database)
    hours = ledger.archive.facts().read_models(published_rules(ledger.log).timeline(), threads=2).hours
    return int(hours[hours[:, 1] == 0, _CREDITED].sum())


# --- export ---------------------------------------------------------------------------------------------------------


_FORMATS: dict[str, Format] = {"csv": "csv", "parquet": "parquet"}


def _format_of(output: Path, written: str | None) -> Format:
    """Return the format of an export, as the option or else the suffix of the file says.

    Raises:
        UsageError: neither says it, or they contradict each other.
    """
    suffix = output.suffix.lower().removeprefix(".")
    name = written or suffix or "csv"
    if suffix in _FORMATS and written not in {None, suffix}:
        raise UsageError(f"--format {written} contradicts the name of the file, {output.name}; change one of them")
    if name in _FORMATS:
        return _FORMATS[name]
    where = f"--format {written}" if written else f"--output {output.name}"
    raise UsageError(f"{where} is not supported; write .csv or .parquet, or choose --format csv or parquet")


@export.command("credits")
@with_axes
def export_credits(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(help="The file to write.")],
    force: Force = False,
    volunteer: Annotated[str | None, typer.Option(help="Only of this volunteer, under any number.")] = None,
    year: Annotated[int | None, typer.Option(min=2000, max=2099, help="Only of this year.")] = None,
    organisation: Annotated[str | None, typer.Option(help="Only at places of this organisation or below it.")] = None,
    format: Annotated[str | None, typer.Option(help="csv or parquet, if the file's name does not say so.")] = None,  # noqa: A002 - the option's name
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Write every piece of every shift with its trace: one line per shift and local day."""
    chosen_format = _format_of(output, format)
    check_output(output, "--output", force=force)
    with reading(data_of(context), texts) as (ledger, axes):
        warm(notify)
        rules = axes.rules or published_rules(ledger.log)
        with stages("Reading the log into the archive") as report:
            ledger.archive.bring_up_to_date(ledger.database, report)
        known_at = ledger.archive.position if axes.known_at is None else axes.known_at
        facts = ledger.archive.facts_from(ledger.database, Position(known_at))
        filters = _Filters(volunteer, year, organisation)
        chosen = _chosen(ledger, facts, rules.timeline(), filters, axes, Position(known_at))
        with progress("Writing pieces") as advance:
            written = write_credits(
                output,
                chosen_format,
                facts,
                rules.timeline(),
                ledger.names_at(Position(known_at)),
                chosen=chosen,
                metadata={"known_at": str(known_at), "rules_version": str(rules.version), "rules": rules.digest},
                progress=advance,
            )
    if as_json:
        print_json({"output": str(output), "pieces": written, "known_at": known_at, "rules_version": rules.version})
    else:
        version = f"version {rules.version} of the rules" if rules.version else "rules that are not published"
        out().print(f"{written:,} pieces in {output}, known at position {known_at}, under {version}")


class _Filters(NamedTuple):
    volunteer: str | None
    year: int | None
    organisation: str | None


def _chosen(
    ledger: OpenLedger, facts: Facts, timeline: RuleTimeline, filters: _Filters, axes: Axes, known_at: Position
) -> Chosen:
    """Return which pieces to write.

    Raises:
        UnknownNameError: the ledger did not know the volunteer or the organisation then.
    """
    chosen = Chosen(last_day=axes.valid_until)
    if filters.volunteer is not None:
        person = ledger.queries.person_number(filters.volunteer, known_at)
        if (number := facts.volunteers.number.get(person)) is None:
            raise UnknownNameError("volunteer", filters.volunteer)
        chosen = chosen._replace(volunteer=number)
    if filters.year is not None:
        first, last = day_number(date(filters.year, 1, 1)), day_number(date(filters.year, 12, 31))
        chosen = chosen._replace(first_day=first, last_day=min(last, axes.valid_until))
    if filters.organisation is not None:
        chosen = chosen._replace(at=_places_of(ledger, facts, timeline, filters.organisation, known_at))
    return chosen


def _places_of(
    ledger: OpenLedger, facts: Facts, timeline: RuleTimeline, organisation: str, known_at: Position
) -> Callable[[Ints, Ints, Ints], Mask]:
    """Return the mask of pieces whose shifts belong to an organisation or one below it."""
    with ledger.database.pool.connection() as connection:
        places = read_places(connection, known_at)
    if organisation not in places.tree.histories:
        raise UnknownNameError("organisation", organisation)
    belongs = places.belongs(organisation, timeline)
    stations, projects = [*facts.stations.texts(), None], [*facts.projects.texts(), None]  # -1 is none

    @cache
    def belongs_there(station: int, project: int, day: int) -> bool:
        return belongs(stations[station], projects[project], day_of_number(day))

    def at(of_stations: Ints, of_projects: Ints, days: Ints) -> Mask:
        pieces = zip(of_stations.tolist(), of_projects.tolist(), days.tolist(), strict=True)
        return np.fromiter((belongs_there(*piece) for piece in pieces), np.bool_, len(days))

    return at
