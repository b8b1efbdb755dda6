"""`hours facts`: what no rule changes, divided by person on disk; and replays of it (`hours replay --facts`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from api.axes.written import candidate, names_rules
from api.cli.archive_places import open_place
from api.cli.options import AxesTexts, Json, data_of, refuse_idle
from api.cli.output import day, notify, out, print_json, stages
from api.cli.readers.federations import open_federation, print_heads
from api.cli.readers.queries import read_rules
from api.cli.scaling.printing import print_replayed
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from projections.local_time import day_number
from projections.rules.timeline import rules_digest
from projections.schema import NO_DAY
from replay.archive.open_archive import OpenArchive
from replay.federation.heads import Federated, heads_at
from replay.generations.named_rows import Rows
from replay.on_demand.files import Replayed, TargetError, described, is_occupied, write_replay
from replay.partitions.dataset import (
    PARTITIONS_MAX,
    Dataset,
    holds_facts_alone,
    read_dataset,
    read_rules_text,
    verify_files,
)
from replay.partitions.dividing import Division, divide
from replay.partitions.engine import Pool, Threads, replay_partitions
from replay.progress import Progress
from replay.published import NoRulesError, Rules

LEDGER = "ledger"
"""The name of a single ledger among the heads of its facts."""

app = typer.Typer(
    help="What no rule changes, divided by person on disk, for replays by many workers.",
    no_args_is_help=True,
    add_completion=False,
)

Folder = Annotated[Path, typer.Argument(help="The folder of the facts.")]


# --- building -------------------------------------------------------------------------------------------------------


@app.command("build")
def build(
    context: typer.Context,
    folder: Folder,
    *,
    archive: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Read this archive: a folder, or s3://BUCKET/PREFIX.")
    ] = None,
    federation: Annotated[Path | None, typer.Option(metavar="FILE", help="Read the ledgers of a federation.")] = None,
    known_at: Annotated[
        str | None, typer.Option(help="With --federation: only what was known then: an instant with a zone, or a day.")
    ] = None,
    without_unreachable: Annotated[
        bool, typer.Option("--without-unreachable", help="With --federation: leave out ledgers that cannot be read.")
    ] = False,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=PARTITIONS_MAX, help="How many, a power of two; by default by size.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Divide the facts of the ledger, of an archive or of a federation, in place of those in the folder."""
    if federation is None:
        refuse_idle(context, "without --federation", "known_at", "without_unreachable")
    elif archive is not None:
        raise UsageError("--archive and --federation both say what to read; leave one of them out")
    if partitions is not None and partitions & (partitions - 1):
        raise UsageError(f"--partitions {partitions} is no power of two; write {1 << partitions.bit_length() - 1}")
    _check_target(folder)
    with (
        stages("Building") as progress,
        _division(
            context, archive, federation, known_at, progress, without_unreachable=without_unreachable
        ) as division,
    ):
        dataset = divide(division, folder, partitions, progress)
    _print(folder, dataset, as_json=as_json)


def _check_target(folder: Path) -> None:
    try:
        if is_occupied(folder) and not holds_facts_alone(folder):
            raise UsageError(f"{folder} contains files that are not facts; name another folder")
    except TargetError as error:
        raise UsageError(str(error)) from None


@contextmanager
def _division(
    context: typer.Context,
    archive: str | None,
    federation: Path | None,
    known_at: str | None,
    progress: Progress,
    *,
    without_unreachable: bool,
) -> Iterator[Division]:
    if federation is not None:
        found = open_federation(federation, progress, without_unreachable=without_unreachable)
        heads = found.heads(known_at, None)
        try:
            rules = found.rules(None, heads)
        except UsageError:
            if found.definition.rules is not None:
                raise
            rules = None  # a replay names them
        yield Division(found.definition.name, found.archives, heads, list(found.missing), rules)
        return
    if archive is not None:
        yield _of_one(open_place(archive, "--archive", progress))
        return
    with open_ledger(data_of(context)) as ledger:
        ledger.archive.bring_up_to_date(ledger.database, progress)
        yield _of_one(ledger.archive)


def _of_one(archive: OpenArchive) -> Division:
    archives = {LEDGER: archive}
    try:
        rules = archive.rules()
    except NoRulesError:
        rules = None
    return Division(None, archives, heads_at(archives), [], rules)


# --- looking --------------------------------------------------------------------------------------------------------


@app.command("status")
def show(folder: Folder, *, as_json: Json = False) -> None:
    """Show what facts rest on."""
    _print(folder, read_dataset(folder), as_json=as_json)


@app.command("verify")
def verify(folder: Folder, *, as_json: Json = False) -> int:
    """Compare each file with its digest. The exit code is 1 if one differs or is missing."""
    dataset = read_dataset(folder)
    wrong = verify_files(folder, dataset)
    if as_json:
        print_json({"folder": str(folder), "files": len(dataset.files), "wrong": wrong})
    elif wrong:
        out().print(
            f"{len(wrong)} of {len(dataset.files)} files are missing or differ: {', '.join(wrong)}; build again"
        )
    else:
        out().print(f"All {len(dataset.files)} files are as they were written")
    return 1 if wrong else 0


def _print(folder: Path, dataset: Dataset, *, as_json: bool) -> None:
    if as_json:
        shown = dataset.model_dump(mode="json", exclude={"files", "stations", "projects", "format"})
        print_json({"folder": str(folder), **shown, "bytes": dataset.bytes})
        return
    if dataset.federation is not None:
        print_heads(dataset.federation, dataset.heads, dataset.missing)
    of = "" if dataset.federation else f" of ledger {dataset.heads[0].ledger} at position {dataset.heads[0].position:,}"
    out().print(
        f"Facts{of} in {folder}: {dataset.shifts:,} shifts of {dataset.volunteers:,} volunteer numbers, "
        f"{dataset.partitions} partitions, {dataset.bytes / (1 << 20):,.1f} MiB",
        markup=False,
        soft_wrap=True,
    )


# --- replaying ------------------------------------------------------------------------------------------------------


class FactsReplay(NamedTuple):
    """What `hours replay --facts` was called with."""

    folder: Path
    to: Path
    texts: AxesTexts
    workers: int | None
    cluster: str | None
    overwrite: bool


def replay_facts(asked: FactsReplay, *, as_json: bool) -> None:
    """Replay facts to Parquet files with threads of this process, or on a cluster."""
    valid_text, known_at, rules_text = asked.texts
    valid_at = day(valid_text, "--valid-at")
    if known_at is not None:
        raise UsageError("--known-at: facts are known as of when they were built; see `hours facts build --known-at`")
    dataset = read_dataset(asked.folder)
    rules = _rules(asked.folder, dataset, rules_text)
    with _pool(asked) as pool, stages("Replaying") as progress:
        valid_until = NO_DAY if valid_at is None else day_number(valid_at)
        folder = asked.folder.absolute()
        rows = replay_partitions(folder, dataset, rules, pool, valid_until=valid_until, progress=progress)
        found = _described(dataset, rules, rows, valid_at)
        write_replay(asked.to, rows, found, rules.text, overwrite=asked.overwrite, progress=progress)
    print_replayed(found, asked.to, as_json=as_json)


@contextmanager
def _pool(asked: FactsReplay) -> Iterator[Pool]:
    if asked.cluster is not None:
        from replay.partitions.cluster import Cluster  # noqa: PLC0415 - takes a second, for this alone

        with Cluster(asked.cluster) as cluster:
            yield cluster
        return
    warm(notify)
    with Threads(asked.workers or os.cpu_count() or 1) as threads:
        yield threads


def _rules(folder: Path, dataset: Dataset, text: str | None) -> Rules:
    """Return the rules of a file, or those in force when the facts were built."""
    if text is not None:
        if names_rules(text):
            raise UsageError(f"--rules {text}: facts hold no published rules but those in force; name a file")
        return candidate(read_rules(Path(text)))
    if dataset.rules_version is None:
        raise UsageError(f"no rules were in force where {folder} was built from; name a file with --rules FILE")
    of_dataset = read_rules_text(folder, dataset)
    return Rules(dataset.rules_version, rules_digest(of_dataset), of_dataset)


def _described(dataset: Dataset, rules: Rules, rows: Rows, valid_at: date | None) -> Replayed | Federated:
    common = described(rows, rules, valid_at)
    if dataset.federation is None:
        (head,) = dataset.heads
        return Replayed(ledger=head.ledger, known_at=head.position, **common)
    return Federated(
        federation=dataset.federation,
        heads=dataset.heads,
        missing=dataset.missing,
        unknown_numbers=dataset.unknown_numbers,
        **common,
    )
