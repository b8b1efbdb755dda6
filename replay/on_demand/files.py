"""Replay files: one replay as a folder of Parquet files, for analysts and for checking it elsewhere.

    <table>.parquet   the rows of each read model, with the axes in the file's metadata
    rules.toml        the rule timeline
    replay.json       ledger, axes, position, counts, checksum

The files are written to a temporary folder, which is renamed when it is complete; if writing fails, nothing is left
behind. This module only writes; `replay.generations.rebuild.replay` computes the rows.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from replay.axes.answers import RulesUsed
from replay.durable import atomic_folder
from replay.generations.named_rows import KEYS, Rows
from replay.progress import Progress, ignore
from replay.published import Rules

REPLAY, RULES = "replay.json", "rules.toml"
WRITING = "writing Parquet"


class TargetError(ValueError):
    """The target folder cannot be used; the message says what to do."""


class Description(BaseModel):
    """What a replay is of, and its result; a subclass adds the position it rests on.

    Attributes:
        valid_at: null if all results are included.
        rows: the number of rows of each table.
        checksum: of all rows, as for generations, 16 hex digits.
    """

    model_config = ConfigDict(frozen=True)

    valid_at: date | None
    rules: RulesUsed
    rows: dict[str, int]
    checksum: str

    def metadata(self) -> dict[str, str]:
        """Return what the Parquet files say of themselves."""
        return {
            "valid_at": str(self.valid_at or ""),
            "rules": self.rules.digest,
            "rules_version": str(self.rules.version),
            "checksum": self.checksum,
        }


def described(rows: Rows, rules: Rules, valid_at: date | None) -> dict[str, Any]:
    """Return the fields of a `Description` of rows that were just computed."""
    return {
        "valid_at": valid_at,
        "rules": RulesUsed.of(rules),
        "rows": {name: len(table) for name, table in rows.tables().items()},
        "checksum": f"{rows.checksum():016x}",
    }


class Replayed(Description):
    """The basis and the result of a replay of one ledger."""

    ledger: UUID
    known_at: int

    def metadata(self) -> dict[str, str]:
        """Return what the Parquet files say of themselves."""
        return {"ledger": str(self.ledger), "known_at": str(self.known_at), **super().metadata()}


def write_replay(
    folder: Path,
    rows: Rows,
    description: Description,
    rules_text: str,
    *,
    overwrite: bool = False,
    progress: Progress = ignore,
) -> None:
    """Write a replay to a new folder.

    Args:
        overwrite: replace an existing replay in the folder; a folder with other files is never replaced.

    Raises:
        TargetError: the folder is not empty. OSError: the folder cannot be written; an existing replay is unchanged.
        replay.progress.StoppedError: from `progress`; nothing is left behind.
    """
    check_target(folder, overwrite=overwrite)
    metadata = description.metadata()
    tables = rows.tables()
    total, done = sum(map(len, tables.values())), 0
    with atomic_folder(folder, export=True) as temporary:
        for name, table in tables.items():
            progress(WRITING, done, total)
            pq.write_table(table.replace_schema_metadata(metadata), temporary / f"{name}.parquet", compression="zstd")
            done += len(table)
        progress(WRITING, done, total)
        (temporary / RULES).write_text(rules_text, "utf-8")
        (temporary / REPLAY).write_text(description.model_dump_json(indent=2) + "\n", "utf-8")


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a replay cannot be written to, before anything is computed.

    Raises:
        TargetError
    """
    if is_occupied(folder):
        if not overwrite:
            raise TargetError(
                f"{folder} is not empty; name another folder, or replace the replay in it with --overwrite"
            )
        if not _is_replay(folder):
            raise TargetError(f"{folder} contains files that are not part of a replay; name another folder")


def is_occupied(folder: Path) -> bool:
    """Return whether something is in a folder that is to be written to.

    Raises:
        TargetError: it is a file, or the folder for it does not exist.
    """
    if not folder.absolute().parent.is_dir():
        raise TargetError(f"{folder}: the folder {folder.absolute().parent} does not exist; create it first")
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise TargetError(f"{folder} is a file; name a folder")
    return any(folder.iterdir())


def _is_replay(folder: Path) -> bool:
    try:
        found = Description.model_validate(json.loads((folder / REPLAY).read_text("utf-8")))
    except (OSError, ValueError):
        return False
    known = {REPLAY, RULES, *(f"{name}.parquet" for name in (*KEYS, *found.rows))}
    return all(path.name in known for path in folder.iterdir())
