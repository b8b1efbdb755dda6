"""Read models and sealed hours: computed again from the rebuilt archive, and compared with those that were served."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from replay.archive.open_archive import OpenArchive
from replay.auditing.findings import Check, Finding, altered, notice
from replay.bundles.layout import read_models_folder
from replay.generations.named_rows import KEYS, Rows
from replay.generations.rebuild import replay
from replay.on_demand.files import REPLAY, RULES, Replayed
from replay.progress import Progress, ignore
from replay.proof.seals import SealedYear, SealError, SealLine, read_entry, root_of
from replay.proof.tree import leaf_hash
from replay.published import NoRulesError, Rules

REPLAYING, SEALED = "computing the read models", "computing the sealed hours"
ROWS_MORE_MAX = 100_000
"""How many more rows than the events give are still compared one by one."""
ROWS_MAX = 20
"""Rows of a table that are named one by one."""


def check_read_models(folder: Path, name: str, archive: OpenArchive, progress: Progress = ignore) -> list[Finding]:
    """Compare the read models in a folder of a bundle with those computed from an archive of the same events."""
    try:
        served = Replayed.model_validate(json.loads((folder / name / REPLAY).read_text("utf-8")))
    except (OSError, ValueError) as error:
        what = "the description of the read models cannot be read"
        return [altered(Check.READ_MODELS, what, where=f"{name}/{REPLAY}", evidence=str(error)[:200])]
    if served.ledger != archive.manifest.ledger or name != read_models_folder(served.known_at):
        what = "the read models are of another ledger or position than the table of contents says"
        return [altered(Check.READ_MODELS, what, where=f"{name}/{REPLAY}")]
    if served.known_at > archive.position:
        what = f"the read models are of position {served.known_at:,}, which the checkpoint does not cover"
        return [altered(Check.READ_MODELS, what, where=f"{name}/{REPLAY}")]
    progress(REPLAYING, 0, 3)
    rules, findings = _rules(folder / name, served, archive, name)
    if rules is None:
        return findings
    facts = archive.facts(until=served.known_at)
    progress(REPLAYING, 1, 3)
    rows = replay(facts, rules)
    progress(REPLAYING, 2, 3)
    for table, computed in rows.tables().items():
        findings += _compare_table(folder, f"{name}/{table}.parquet", computed, KEYS[table])
    findings += _compare_checksum(served, rows, name)
    progress(REPLAYING, 3, 3)
    return findings


def _rules(folder: Path, served: Replayed, archive: OpenArchive, name: str) -> tuple[Rules | None, list[Finding]]:
    """Return the rules that the read models name, as the log has them."""
    where = f"{name}/{RULES}"
    try:
        rules = archive.rules(served.rules.version)
    except NoRulesError:
        what = f"the read models are of version {served.rules.version} of the rules, which was never published"
        return None, [altered(Check.READ_MODELS, what, where=where)]
    findings = []
    try:
        text = (folder / RULES).read_text("utf-8")
    except (OSError, ValueError):
        text = None
    if rules.digest != served.rules.digest or text != rules.text:
        what = f"the rules of the read models are not those that were published as version {rules.version}"
        evidence = f"published {rules.digest[:16]}…, served {served.rules.digest[:16]}…"
        findings.append(altered(Check.READ_MODELS, what, where=where, evidence=evidence))
    in_force = archive.rules(known_at=served.known_at)
    if in_force.digest != rules.digest:
        what = f"version {in_force.version} of the rules was in force, the read models are of version {rules.version}"
        findings.append(notice(Check.READ_MODELS, what, served.known_at, where=where))
    return rules, findings


def _compare_checksum(served: Replayed, rows: Rows, name: str) -> list[Finding]:
    checksum = f"{rows.checksum():016x}"
    if checksum == served.checksum:
        return []
    what = "the checksum of the read models is not the one that was served"
    evidence = f"computed {checksum}, served {served.checksum}"
    return [altered(Check.READ_MODELS, what, where=f"{name}/{REPLAY}", evidence=evidence)]


def _compare_table(folder: Path, where: str, computed: Any, key: tuple[str, ...]) -> Iterator[Finding]:
    try:
        rows_served = pq.read_metadata(folder / where).num_rows
        if rows_served > computed.num_rows + ROWS_MORE_MAX:  # a small file may hold very many
            evidence = f"{rows_served:,} rows, the events give {computed.num_rows:,}"
            yield altered(Check.READ_MODELS, "a table that was served has other rows", where=where, evidence=evidence)
            return
        served = pq.read_table(folder / where).replace_schema_metadata(None).cast(computed.schema)
    except (OSError, ValueError, pa.ArrowException) as error:
        what = "a table of the read models cannot be read"
        yield altered(Check.READ_MODELS, what, where=where, evidence=str(error)[:200])
        return
    order = [(name, "ascending") for name in key]
    served, computed = served.sort_by(order), computed.sort_by(order)
    if served.equals(computed):
        return
    rows, expected = (_by_key(table, key) for table in (served, computed))
    differing = [each for each in sorted({*rows, *expected}, key=str) if rows.get(each) != expected.get(each)]
    for each in differing[:ROWS_MAX]:
        what = "a number that was served does not follow from the events"
        place = f"{where}: {', '.join(map(str, each))}"
        yield altered(
            Check.READ_MODELS, what, where=place, evidence=_evidence(rows.get(each, []), expected.get(each, []))
        )
    if len(differing) > ROWS_MAX:
        yield altered(Check.READ_MODELS, f"{len(differing) - ROWS_MAX:,} more rows differ", where=where)


def _by_key(table: Any, key: tuple[str, ...]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        found.setdefault(tuple(row[name] for name in key), []).append(row)
    return found


def _evidence(served: list[dict[str, Any]], computed: list[dict[str, Any]]) -> str:
    if not served:
        return "computed, but not served"
    if not computed:
        return "served, but nothing gives it"
    if len(served) > 1:
        return f"served {len(served)} times"
    differing = [name for name, value in computed[0].items() if served[0][name] != value]
    return "; ".join(f"{name} served {served[0][name]}, computed {computed[0][name]}" for name in differing[:4])


# --- sealed hours ---------------------------------------------------------------------------------------------------


def check_sealed_hours(
    path: Path, extensions: Sequence[str], archive: OpenArchive, progress: Progress = ignore
) -> list[Finding]:
    """Compare the hours that a checkpoint seals with those computed from an archive of the same events.

    Args:
        path: the entries of the sealed tree, one in each line.
        extensions: the extension lines of the checkpoint, as far as an Ed25519 signature covers them.
    """
    try:
        line = SealLine.find(extensions)
    except SealError as error:
        return [altered(Check.SEALED_HOURS, str(error))]
    if line is None:
        return []  # the report says so
    progress(SEALED, 0, 2)
    try:
        entries = path.read_bytes().split(b"\n")[:-1]
        sealed = [read_entry(entry) for entry in entries]
    except (OSError, SealError) as error:
        what = "the entries of the sealed hours cannot be read"
        return [altered(Check.SEALED_HOURS, what, where=path.name, evidence=str(error)[:200])]
    findings: list[Finding] = []
    root = root_of(b"".join([leaf_hash(entry) for entry in entries]))
    if root != line.root or len(entries) != line.entries:
        what = "the entries of the sealed hours do not give the root in the checkpoint"
        evidence = (
            f"it states {line.entries:,} entries and {line.root.hex()}, they are {len(entries):,} with {root.hex()}"
        )
        findings.append(altered(Check.SEALED_HOURS, what, line.position, where=path.name, evidence=evidence))
    rules = next((each for each in archive.published() if each.digest == line.rules_digest), None)
    if rules is None or line.position > archive.position:
        what = "the hours are sealed under rules, or at a position, that the log does not have"
        evidence = f"rules {line.rules_digest}, position {line.position:,}"
        return [*findings, altered(Check.SEALED_HOURS, what, where=path.name, evidence=evidence)]
    progress(SEALED, 1, 2)
    rows = replay(archive.facts(until=line.position), Rules(rules.version, rules.digest, rules.text))
    findings += _compare_hours(sealed, _hours_of(rows), path.name)
    progress(SEALED, 2, 2)
    return findings


def _hours_of(rows: Rows) -> list[SealedYear]:
    table = rows.tables()["volunteer_hours"].select(SealedYear._fields)
    found = map(SealedYear._make, zip(*(column.to_pylist() for column in table.columns), strict=True))
    return sorted(found, key=_order)


def _order(hours: SealedYear) -> tuple[bytes, int]:
    return hours.volunteer.encode(), hours.year


def _compare_hours(sealed: Sequence[SealedYear], computed: Sequence[SealedYear], where: str) -> Iterator[Finding]:
    if sealed == computed:
        return
    ours = {_order(each): each for each in computed}
    theirs = {_order(each): each for each in sealed}
    differing = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    for volunteer, year in differing[:ROWS_MAX]:
        what = "hours that are sealed do not follow from the events"
        mine, other = ours.get((volunteer, year)), theirs.get((volunteer, year))
        evidence = "; ".join(
            f"{name} {'none' if each is None else f'{each.scanned_minutes} scanned, {each.attested_minutes} attested'}"
            for name, each in (("sealed", other), ("computed", mine))
        )
        place = f"{where}: {volunteer.decode(errors='replace')}, {year or 'all years'}"
        yield altered(Check.SEALED_HOURS, what, where=place, evidence=evidence)
    if not differing:
        yield altered(Check.SEALED_HOURS, "the sealed hours are not in order, or repeated", where=where)
    elif len(differing) > ROWS_MAX:
        yield altered(Check.SEALED_HOURS, f"{len(differing) - ROWS_MAX:,} more rows differ", where=where)
