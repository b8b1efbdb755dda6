"""Replay files: one replay as a folder of Parquet, for analysts and for whoever wants to check it elsewhere.

    <table>.parquet   the rows of each read model, with the axes in the file's metadata
    rules.toml        the rule timeline it was made with
    replay.json       ledger, axes, position, counts, checksum

The folder appears when it is whole: until then it has another name beside it, and whatever stops the writing leaves
nothing behind. This module writes what it is given; `replay.generations.rebuild.replay` computes it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from uuid import UUID

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from replay.axes.answers import RulesUsed
from replay.generations.named_rows import Rows
from replay.progress import Progress, ignore

REPLAY, RULES = "replay.json", "rules.toml"
WRITING = "writing Parquet"


class TargetError(ValueError):
    """The folder to write to cannot be used; the message says what to do."""


class Replayed(BaseModel):
    """What a replay rests on and what it came to. `checksum`: of all rows, as generations have it, 16 hex digits.

    `rows`: the number of rows of each table. `valid_at` is null where all results are in it.
    """

    model_config = ConfigDict(frozen=True)

    ledger: UUID
    valid_at: date | None
    known_at: int
    rules: RulesUsed
    rows: dict[str, int]
    checksum: str


def write_replay(
    folder: Path, rows: Rows, said: Replayed, rules_text: str, *, overwrite: bool = False, progress: Progress = ignore
) -> None:
    """Write a replay to a folder, which is made.

    Args:
        overwrite: replace the replay that is in the folder; anything else there is never touched.

    Raises:
        TargetError: there is something in the folder already. OSError: it cannot be written; what was there stays.
        replay.progress.StoppedError: from `progress`; nothing is left behind.
    """
    check_target(folder, overwrite=overwrite)
    metadata = {
        "ledger": str(said.ledger),
        "known_at": str(said.known_at),
        "valid_at": str(said.valid_at or ""),
        "rules": said.rules.digest,
        "rules_version": str(said.rules.version),
        "checksum": said.checksum,
    }
    tables = rows.tables()
    in_all, done = sum(map(len, tables.values())), 0
    with _atomic_folder(folder) as temporary:
        for name, table in tables.items():
            progress(WRITING, done, in_all)
            pq.write_table(table.replace_schema_metadata(metadata), temporary / f"{name}.parquet", compression="zstd")
            done += len(table)
        progress(WRITING, done, in_all)
        (temporary / RULES).write_text(rules_text, "utf-8")
        (temporary / REPLAY).write_text(said.model_dump_json(indent=2) + "\n", "utf-8")


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that cannot be written to, before anything is computed.

    Raises:
        TargetError
    """
    if not folder.absolute().parent.is_dir():
        raise TargetError(f"{folder} lies in no folder that is there; make {folder.absolute().parent} first")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise TargetError(f"{folder} is a file; name a folder")
    if not any(folder.iterdir()):
        return
    if not overwrite:
        raise TargetError(f"{folder} is not empty; name another folder, or replace the replay in it with --overwrite")
    if not _is_replay(folder):
        raise TargetError(f"{folder} holds something else than a replay, which is not overwritten; name another folder")


def _is_replay(folder: Path) -> bool:
    try:
        Replayed.model_validate(json.loads((folder / REPLAY).read_text("utf-8")))
    except (OSError, ValueError):
        return False
    known = {REPLAY, RULES}
    return all(path.name in known or path.suffix == ".parquet" for path in folder.iterdir())


@contextmanager
def _atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; at the end it takes the place of what was there."""
    temporary, old = (folder.absolute().with_name(f".{folder.name}.{os.getpid()}.{mark}") for mark in ("new", "old"))
    try:
        temporary.mkdir()
        yield temporary
        for path in [*temporary.iterdir(), temporary]:
            _flush(path)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        _flush(folder.absolute().parent)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
