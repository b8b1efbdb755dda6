"""Backups: everything that cannot be computed again, as one moment has it, in a folder that proves itself.

    <folder>/manifest.json        written last: which ledger, its head, rows and SHA-256 of each table
    <folder>/<table>.copy.zst     PostgreSQL's COPY text, compressed

One snapshot is read, so writers go on and the copy is of one moment: a log without holes up to its head, with the
commands, persons, texts, keys and signatures that belong to it. Read models and the archive are left out: they are made
of the log.
The copy is independent of the server's version and of where it runs. The digest of the log's rows (`log_sha256`) is the
same for every ledger that holds the same events, so a restored ledger is shown to be equal by backing it up again.

Errors: `BackupError`, which says what to do. A backup or a restore that is stopped leaves nothing that could be taken
for one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from psycopg import Connection, Cursor, IsolationLevel
from psycopg.rows import TupleRow
from pydantic import BaseModel, ConfigDict

from ledger.store.append import take_lock
from ledger.store.database import Database
from ledger.store.log_queries import LOG_TABLE, LogReader
from ledger.store.upgrading import Part, bring_up, take_steps
from replay.progress import Progress, ignore

FORMAT = 2
"""Since format 1: `parts`. Both are read."""
MANIFEST = "manifest.json"
CHUNK_BYTES = 1 << 20

LOG = LOG_TABLE
TABLES: dict[str, tuple[str, ...]] = {
    LOG: ("originator_id", "originator_version", "topic", "state", "notification_id"),
    "ledger.commands": ("name", "content", "position"),
    "ledger.persons": ("volunteer", "name", "phone", "email"),
    "ledger.texts": ("digest", "salt", "text", "volunteer"),
    "api.keys": (
        "id",
        "role",
        "name",
        "digest",
        "made_at",
        "revoked_at",
        "expires_at",
        "per_second",
        "public_key",
        "must_sign",
        "volunteer",
    ),
    "api.signatures": ("digest", "key", "public_key", "base", "signature", "body", "names", "kept_at"),
}
"""What is kept of each table. The log is written in the order of its positions."""


class BackupError(Exception):
    """The backup cannot be made, or is not sound, or there is no place to restore it to."""


class Table(BaseModel):
    """One table of a backup. `content_sha256`: of the rows; `file_sha256`: of the compressed file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...]
    rows: int
    content_sha256: str
    file_sha256: str


class Manifest(BaseModel):
    """What a backup holds. `head`: the position of the log's last event; `made_at`: an ISO 8601 instant; `parts`: the
    versions of the tables it was made of (`ledger/store/upgrading.py`), 1 where it does not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    ledger: UUID
    head: int
    made_at: str
    tables: dict[str, Table]
    parts: dict[str, int] = {}

    @property
    def log_sha256(self) -> str:
        """The digest of the log's rows: equal for ledgers of the same events."""
        return self.tables[LOG].content_sha256


def back_up(database: Database, target: Path, progress: Progress = ignore) -> Manifest:
    """Write a backup of a ledger to a folder that is not there yet.

    Raises:
        BackupError: there is something at the target, or the log has holes.
    """
    if target.exists():
        raise BackupError(f"{target} is there already; name a folder that is not there yet")
    unfinished = target.with_name(target.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    try:
        manifest = _write(database, unfinished, progress)
        (unfinished / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
        _flush(unfinished)
        unfinished.rename(target)
        _flush_folder(target.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return manifest


def verify(folder: Path, progress: Progress = ignore) -> Manifest:
    """Hold every file of a backup to its manifest; return it.

    Raises:
        BackupError: something is missing or was changed.
    """
    manifest = read_manifest(folder)
    for place, (name, table) in enumerate(manifest.tables.items()):
        progress("verifying", place, len(manifest.tables))
        content, rows = hashlib.sha256(), 0
        path = _path(folder, name)
        try:
            if _file_digest(path) != table.file_sha256:
                raise BackupError(f"{path} was changed since the backup was made; use another backup")
            for chunk in _chunks(path):
                content.update(chunk)
                rows += chunk.count(b"\n")
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror or error}; use another backup") from None
        if (content.hexdigest(), rows) != (table.content_sha256, table.rows):
            raise BackupError(f"{path} does not hold what the manifest says; use another backup")
    if manifest.tables[LOG].rows != manifest.head:
        raise BackupError(
            f"the log holds {manifest.tables[LOG].rows} events up to position {manifest.head}: it has holes"
        )
    return manifest


def restore(folder: Path, database: Database, parts: Sequence[Part], progress: Progress = ignore) -> Manifest:
    """Fill an empty ledger from a backup, in one transaction; its read models are to be rebuilt.

    Args:
        parts: all parts of the tables. Those of an older backup are made as they were then, filled, and brought up.

    Raises:
        BackupError: the backup is not sound, or newer than this program, or the ledger is not empty.
    """
    manifest = verify(folder, progress)
    then = {part: manifest.parts.get(part.name, 1) for part in parts}
    if newer := [part.name for part, version in then.items() if version > part.version]:
        raise BackupError(f"{folder} was made by a newer version of this program (tables {newer[0]}); upgrade this one")
    with database.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        take_lock(cursor)
        for part in parts:
            bring_up(connection, part)
        _require_empty(cursor)
        if any(version < part.version for part, version in then.items()):
            cursor.execute("DROP SCHEMA ledger, api, replay CASCADE")  # they are empty
            for part, version in then.items():
                take_steps(connection, part, 0, version)
        cursor.execute("UPDATE ledger.identity SET id = %s", (manifest.ledger,))
        for place, (name, table) in enumerate(manifest.tables.items()):
            progress(f"restoring {name}", place, len(manifest.tables))
            with cursor.copy(f"COPY {name} ({', '.join(table.columns)}) FROM STDIN") as copy:
                for chunk in _chunks(_path(folder, name)):
                    copy.write(chunk)
        log = LogReader(connection)
        head, count = log.head(), log.count(0, manifest.head)
        if (head, count) != (manifest.head, manifest.head):
            raise BackupError(f"the restored log holds {count} events up to position {head}, not {manifest.head}")
        for part, version in then.items():
            take_steps(connection, part, version, part.version)
        # Keys go on with numbers that were never used.
        cursor.execute("SELECT setval('api.keys_id_seq', greatest((SELECT max(id) FROM api.keys), 1))")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read what a backup says of itself.

    Raises:
        BackupError: it is none, or of a format this program does not know.
    """
    try:
        said: Any = json.loads((folder / MANIFEST).read_bytes())
        if said.get("format") not in range(1, FORMAT + 1):
            raise BackupError(f"{folder} has format {said.get('format')}, this program reads {FORMAT}; upgrade it")
        manifest = Manifest.model_validate(said)
    except (OSError, ValueError, AttributeError) as error:
        what = "there is no manifest.json" if isinstance(error, OSError) else "its manifest.json is damaged"
        raise BackupError(f"{folder} is no backup: {what}") from None
    if any(set(table.columns) - set(TABLES.get(name, ())) for name, table in manifest.tables.items()):
        raise BackupError(f"{folder} holds columns that this program does not know; upgrade it")
    return manifest


# --- writing --------------------------------------------------------------------------------------------------------


def _write(database: Database, folder: Path, progress: Progress) -> Manifest:
    with database.pool.connection() as connection:
        before = connection.isolation_level
        connection.isolation_level = IsolationLevel.REPEATABLE_READ  # one snapshot for all tables
        try:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                log = LogReader(connection)
                head, ledger = int(log.head()), log.identity()
                versions = cursor.execute("SELECT part, version FROM ledger.parts ORDER BY part").fetchall()
                tables = {name: _copy(connection, name, folder, head, progress) for name in TABLES}
        finally:
            connection.isolation_level = before
    if tables[LOG].rows != head:
        raise BackupError(f"the log holds {tables[LOG].rows} events up to position {head}: restore an older backup")
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(
        format=FORMAT,
        ledger=ledger,
        head=head,
        made_at=made_at,
        tables=tables,
        parts={row[0]: row[1] for row in versions},
    )


def _copy(connection: Connection[Any], name: str, folder: Path, head: int, progress: Progress) -> Table:
    order = " ORDER BY notification_id" if name == LOG else ""
    query = f"COPY (SELECT {', '.join(TABLES[name])} FROM {name}{order}) TO STDOUT"
    content, rows = hashlib.sha256(), 0
    with connection.cursor().copy(query) as copy, pa.CompressedOutputStream(str(_path(folder, name)), "zstd") as file:
        for chunk in _gathered(copy):
            content.update(chunk)
            rows += chunk.count(b"\n")  # COPY text escapes those within values
            file.write(chunk)
            if name == LOG:
                progress("copying the log", rows, head)
    return Table(
        columns=TABLES[name],
        rows=rows,
        content_sha256=content.hexdigest(),
        file_sha256=_file_digest(_path(folder, name)),
    )


def _gathered(copy: Any) -> Iterator[bytes]:
    """Yield what a COPY gives, which comes row by row, in larger pieces."""
    held: list[bytes] = []
    size = 0
    for row in copy:
        held.append(bytes(row))
        size += len(row)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _chunks(path: Path) -> Iterator[bytes]:
    with pa.CompressedInputStream(str(path), "zstd") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _require_empty(cursor: Cursor[TupleRow]) -> None:
    for name in TABLES:
        if cursor.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone():
            raise BackupError(
                f"this ledger is not empty: {name} has rows; restore to another data directory or database"
            )


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.copy.zst"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
