"""`hours replay`: the whole history once more, under any axes, to Parquet or to a new generation.

It needs no database where it is given an archive: a folder that was copied from a ledger's data directory.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

from api.axes.written import candidate, position_of
from api.cli.operations.generations import counts, say
from api.cli.output import day, out, print_json, print_table, stages
from api.cli.readers.queries import AxisTexts, axes_of, read_rules
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.names import Position
from projections.local_time import day_number
from projections.schema import NO_DAY
from replay.archive.manifest import MANIFEST
from replay.archive.open_archive import OpenArchive
from replay.axes.answers import RulesUsed
from replay.generations.rebuild import READING, REPLAYING, Rebuilt, build, replay
from replay.generations.store import NoGenerationError
from replay.on_demand.files import Replayed, TargetError, check_target, write_replay
from replay.progress import Progress
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Axes


@dataclass(frozen=True)
class _Source:
    """An archive with the axes to replay it under."""

    archive: OpenArchive
    rules: Rules
    known_at: int
    valid_at: date | None


def replay_history(
    data: Path,
    to: Path | None,
    archive: Path | None,
    texts: AxisTexts,
    *,
    overwrite: bool,
    generation: bool,
    as_json: bool,
) -> None:
    """Replay, and tell what came of it."""
    _check(to, archive, overwrite=overwrite, generation=generation)
    if archive is not None and to is not None:
        source = _copied(archive, texts)
        warm(say)
        with stages("Replaying") as progress:
            said = _write(source, to, progress, overwrite=overwrite)
        _tell_files(said, to, as_json=as_json)
        return
    with open_ledger(data) as ledger:
        axes = axes_of(ledger, texts)
        warm(say)
        if to is not None:
            with stages("Replaying") as progress:
                said = _write(_own(ledger, axes, progress), to, progress, overwrite=overwrite)
            _tell_files(said, to, as_json=as_json)
            return
        ledger.catch_up()
        with stages("Building") as progress:
            built = _build(ledger, axes, progress)
        _tell_generation(built, as_json=as_json)


def _check(to: Path | None, archive: Path | None, *, overwrite: bool, generation: bool) -> None:
    """Refuse what cannot be done before anything is read."""
    if generation == (to is not None):
        raise UsageError("say where the replay goes: --to FOLDER writes Parquet, --generation builds a generation")
    if generation and archive:
        raise UsageError("--generation is built in the ledger's database, not from --archive; leave one of them out")
    if to is not None:
        try:
            check_target(to, overwrite=overwrite)
        except TargetError as error:
            raise UsageError(f"--to {error}") from None


# --- where it comes from --------------------------------------------------------------------------------------------


def _own(ledger: OpenLedger, axes: Axes, progress: Progress) -> _Source:
    """Return the ledger's own archive, brought up to the log."""
    progress(READING, 0, 0)
    reached = ledger.archive.bring_up_to_date(ledger.database, progress)
    known_at = reached if axes.known_at is None else axes.known_at
    return _Source(ledger.archive, _rules(ledger, axes), known_at, axes.valid_at)


def _rules(ledger: OpenLedger, axes: Axes) -> Rules:
    """Return the rules asked for; else those that answer, or with `known_at` those known then."""
    if axes.rules is None and axes.known_at is None:
        with suppress(NoGenerationError):
            generation = ledger.current_generation()
            return Rules(generation.rules_version, generation.rules_digest, generation.rules_text)
    return axes.rules or published_rules(ledger.log, known_at=axes.known_at)


class _End(NamedTuple):
    """An archive as something that tells positions."""

    archive: OpenArchive

    def head(self) -> Position:
        return Position(self.archive.position)

    def position_at(self, instant: int) -> Position:
        return self.archive.position_at(instant)


def _copied(folder: Path, texts: AxisTexts) -> _Source:
    """Return an archive that lies somewhere without its ledger: it knows positions, and the rules published so far."""
    valid_text, known_text, rules_text = texts
    valid_at = day(valid_text, "--valid-at")
    if not (folder / MANIFEST).is_file():
        raise UsageError(
            f"--archive {folder} holds no archive; name the folder `archive` of a data directory or a copy of it"
        )
    archive = OpenArchive.open_copy(folder)
    known_at = archive.position if known_text is None else position_of(_End(archive), known_text)
    if rules_text is not None and not rules_text.isdecimal():
        return _Source(archive, candidate(read_rules(Path(rules_text))), known_at, valid_at)
    version = int(rules_text) if rules_text else None
    try:
        rules = archive.rules(version, None if version else known_at)
    except NoRulesError:
        which = f"version {version} of the rules" if version else f"rules known at position {known_at}"
        raise UsageError(f"the archive holds no {which}; name a file with --rules FILE") from None
    return _Source(archive, rules, known_at, valid_at)


# --- where it goes --------------------------------------------------------------------------------------------------


def _write(source: _Source, to: Path, progress: Progress, *, overwrite: bool) -> Replayed:
    progress(READING, 0, 0)
    facts = source.archive.facts(until=source.known_at)
    progress(REPLAYING, 0, 0)
    valid_until = NO_DAY if source.valid_at is None else day_number(source.valid_at)
    rows = replay(facts, source.rules, valid_until=valid_until)
    rules = source.rules
    said = Replayed(
        ledger=source.archive.manifest.ledger,
        valid_at=source.valid_at,
        known_at=source.known_at,
        rules=RulesUsed(name=rules.timeline().name, version=rules.version, digest=rules.digest),
        rows={name: len(table) for name, table in rows.tables().items()},
        checksum=f"{rows.checksum():016x}",
    )
    write_replay(to, rows, said, rules.text, overwrite=overwrite, progress=progress)
    return said


def _build(ledger: OpenLedger, axes: Axes, progress: Progress) -> Rebuilt:
    """Build a generation beside the live one, which goes on answering."""
    rules = _rules(ledger, axes)
    return build(
        ledger.database, ledger.archive, rules, known_at=axes.known_at, valid_at=axes.valid_at, progress=progress
    )


def _tell_files(said: Replayed, to: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(to), **said.model_dump(mode="json")})
        return
    names = {f"{name}.parquet": count for name, count in said.rows.items()}
    rows = [(name, count, (to / name).stat().st_size // 1024) for name, count in names.items()]
    print_table(f"Replayed to {to}", ("file", "rows", "KiB"), rows)
    valid = f", valid at {said.valid_at}" if said.valid_at else ""
    version = f"version {said.rules.version}" if said.rules.version else "not published"
    out().print(
        f"known at position {said.known_at}{valid}, rules {said.rules.name} ({version}), checksum {said.checksum}",
        style="dim",
    )


def _tell_generation(built: Rebuilt, *, as_json: bool) -> None:
    made = built.generation
    if as_json:
        print_json(
            {
                "generation": made.id,
                "position": made.position,
                "valid_at": made.valid_at and made.valid_at.isoformat(),
                "rules_version": made.rules_version,
                "checksum": f"{made.checksum:016x}",
                **counts(built),
            }
        )
        return
    out().print(
        f"Generation {made.id} stands at position {made.position}: {built.hours:,} rows of hours, checksum "
        f"{made.checksum:016x}. It does not answer; `hours generations switch {made.id}` lets it."
    )
