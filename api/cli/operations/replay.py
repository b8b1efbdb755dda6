"""`hours replay`: replay the whole history under any axes, to Parquet files or to a new generation.

With `--archive`, a copy of a ledger's archive, or `--federation`, several of them, it needs no database.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from api.axes.written import AmbiguousDigestError, AxisError, candidate, choose_rules, names_rules, position_of
from api.cli.archive_places import open_place
from api.cli.operations.generations import row_counts
from api.cli.options import AxesTexts, Json, data_of, refuse_idle, with_axes
from api.cli.output import day, notify, out, print_json, stages
from api.cli.readers.queries import axes_of, read_rules
from api.cli.scaling.facts import FactsReplay, replay_facts
from api.cli.scaling.federated_replay import FederatedReplay, replay_federation
from api.cli.scaling.printing import print_replayed
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.names import Position
from projections.local_time import day_number
from projections.schema import NO_DAY
from replay.archive.open_archive import OpenArchive
from replay.generations.rebuild import READING, REPLAYING, Rebuilt, build, replay
from replay.generations.store import NoGenerationError
from replay.on_demand.files import Replayed, TargetError, check_target, described, write_replay
from replay.progress import Progress
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Axes


@dataclass(frozen=True)
class _Source:
    """An archive, and the axes of its replay."""

    archive: OpenArchive
    rules: Rules
    known_at: int
    valid_at: date | None


@with_axes
def replay_history(
    context: typer.Context,
    *,
    to: Annotated[Path | None, typer.Option(help="Write Parquet files to this new folder.")] = None,
    generation: Annotated[
        bool, typer.Option("--generation", help="Build a generation beside the current one instead.")
    ] = False,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Replay this archive, such as a copy, without a database: a folder, or s3://BUCKET/PREFIX.",
        ),
    ] = None,
    federation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Replay the ledgers of a federation as one, without a database."),
    ] = None,
    facts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Replay facts that `hours facts build` divided.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="With --facts: how many threads; by default all processors.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="With --facts: a Dask scheduler, such as tcp://host:8786."),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --federation: know what the earlier answer in this replay.json knew."),
    ] = None,
    without_unreachable: Annotated[
        bool, typer.Option("--without-unreachable", help="With --federation: leave out ledgers that cannot be read.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "--force", help="Replace the replay in the folder.")
    ] = False,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Replay the whole history under any axes, to Parquet or to a new generation."""
    if generation:
        refuse_idle(context, "with --generation", "overwrite")
    if federation is None:
        refuse_idle(context, "without --federation", "heads", "without_unreachable")
    if facts is None:
        refuse_idle(context, "without --facts", "workers", "cluster")
    sources = {"--archive": archive, "--federation": federation, "--facts": facts}
    _check(
        to, [name for name, source in sources.items() if source is not None], overwrite=overwrite, generation=generation
    )
    if facts is not None and to is not None:
        if workers is not None and cluster is not None:
            raise UsageError("--workers are threads of this machine, --cluster has its own; leave one of them out")
        replay_facts(FactsReplay(facts, to, texts, workers, cluster, overwrite), as_json=as_json)
        return
    if federation is not None and to is not None:
        replay_federation(
            FederatedReplay(federation, to, texts, heads, without_unreachable, overwrite), as_json=as_json
        )
        return
    if archive is not None and to is not None:
        with stages("Fetching") as progress:
            opened = open_place(archive, "--archive", progress)
        source = _archive_source(opened, texts)
        warm(notify)
        with stages("Replaying") as progress:
            replayed = _write(source, to, progress, overwrite=overwrite)
        print_replayed(replayed, to, as_json=as_json)
        return
    with open_ledger(data_of(context)) as ledger:
        axes = axes_of(ledger, texts)
        warm(notify)
        if to is not None:
            with stages("Replaying") as progress:
                replayed = _write(_ledger_source(ledger, axes, progress), to, progress, overwrite=overwrite)
            print_replayed(replayed, to, as_json=as_json)
            return
        ledger.catch_up()
        with stages("Building") as progress:
            built = _build(ledger, axes, progress)
        _print_generation(built, as_json=as_json)


def _check(to: Path | None, sources: list[str], *, overwrite: bool, generation: bool) -> None:
    """Check the options before anything is read. `sources`: the options that name what to replay."""
    if generation == (to is not None):
        raise UsageError("name one target: --to FOLDER writes Parquet, --generation builds a generation")
    if generation and sources:
        raise UsageError(
            f"--generation builds from the ledger's own archive, not from {sources[0]}; leave one of them out"
        )
    if len(sources) > 1:
        raise UsageError(f"{' and '.join(sources)} both name what to replay; leave one of them out")
    if to is not None:
        try:
            check_target(to, overwrite=overwrite)
        except TargetError as error:
            raise UsageError(f"--to {error}") from None


# --- sources --------------------------------------------------------------------------------------------------------


def _ledger_source(ledger: OpenLedger, axes: Axes, progress: Progress) -> _Source:
    """Return the ledger's own archive, brought up to date."""
    progress(READING, 0, 0)
    position = ledger.archive.bring_up_to_date(ledger.database, progress)
    known_at = position if axes.known_at is None else axes.known_at
    return _Source(ledger.archive, _rules(ledger, axes), known_at, axes.valid_at)


def _rules(ledger: OpenLedger, axes: Axes) -> Rules:
    """Return the requested rules; by default the current generation's, or with `known_at` those published by then."""
    if axes.rules is None and axes.known_at is None:
        with suppress(NoGenerationError):
            generation = ledger.current_generation()
            return Rules(generation.rules_version, generation.rules_digest, generation.rules_text)
    return axes.rules or published_rules(ledger.log, known_at=axes.known_at)


class _End(NamedTuple):
    """The positions of an archive, with the log's interface."""

    archive: OpenArchive

    def head(self) -> Position:
        return Position(self.archive.position)

    def position_at(self, instant: int) -> Position:
        return self.archive.position_at(instant)


def _archive_source(archive: OpenArchive, texts: AxesTexts) -> _Source:
    """Return an archive without its ledger. It holds positions, and the rules published up to its end."""
    valid_text, known_text, rules_text = texts
    valid_at = day(valid_text, "--valid-at")
    known_at = (
        archive.position if known_text is None else position_of(_End(archive), known_text, lambda: _zone_of(archive))
    )
    if rules_text is not None and not names_rules(rules_text):
        return _Source(archive, candidate(read_rules(Path(rules_text))), known_at, valid_at)
    try:
        if rules_text is None:
            return _Source(archive, archive.rules(None, known_at), known_at, valid_at)
        return _Source(archive, choose_rules(rules_text, archive.published()), known_at, valid_at)
    except NoRulesError:
        which = f"rules known at position {known_at}"
    except AmbiguousDigestError:
        raise
    except AxisError:
        which = (
            f"version {rules_text} of the rules"
            if rules_text and rules_text.isdecimal()
            else f"rules with digest {rules_text}"
        )
    raise UsageError(f"the archive holds no {which}; name a file with --rules FILE")


def _zone_of(archive: OpenArchive) -> str:
    """Return the time zone of the last rules in an archive, UTC if it holds none."""
    try:
        return archive.rules(None, None).timeline().time_zone
    except NoRulesError:
        return "UTC"


# --- targets --------------------------------------------------------------------------------------------------------


def _write(source: _Source, to: Path, progress: Progress, *, overwrite: bool) -> Replayed:
    progress(READING, 0, 0)
    facts = source.archive.facts(until=source.known_at)
    progress(REPLAYING, 0, 0)
    valid_until = NO_DAY if source.valid_at is None else day_number(source.valid_at)
    rows = replay(facts, source.rules, valid_until=valid_until)
    replayed = Replayed(
        ledger=source.archive.manifest.ledger,
        known_at=source.known_at,
        **described(rows, source.rules, source.valid_at),
    )
    write_replay(to, rows, replayed, source.rules.text, overwrite=overwrite, progress=progress)
    return replayed


def _build(ledger: OpenLedger, axes: Axes, progress: Progress) -> Rebuilt:
    """Build a generation beside the live one, which still answers."""
    rules = _rules(ledger, axes)
    return build(
        ledger.database, ledger.archive, rules, known_at=axes.known_at, valid_at=axes.valid_at, progress=progress
    )


def _print_generation(built: Rebuilt, *, as_json: bool) -> None:
    generation = built.generation
    if as_json:
        print_json(
            {
                "generation": generation.id,
                "position": generation.position,
                "valid_at": generation.valid_at and generation.valid_at.isoformat(),
                "rules_version": generation.rules_version,
                "checksum": f"{generation.checksum:016x}",
                **row_counts(built),
            }
        )
        return
    out().print(
        f"Generation {generation.id} is built, position {generation.position}: {built.hours:,} rows of hours, checksum "
        f"{generation.checksum:016x}. It does not answer yet; run `hours generations switch {generation.id}`."
    )
