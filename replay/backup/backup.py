"""Backups: everything that cannot be computed again, from one snapshot, in a folder that can be verified by itself.

    <folder>/manifest.json        written last: the ledger's id, its head, rows and SHA-256 of each table
    <folder>/manifest.mac         the MAC of the manifest (`replay/backup/authentication.py`)
    <folder>/<table>.copy.zst     PostgreSQL's COPY text, compressed
    <folder>/proof.json           the public keys and the checkpoints of the proof (`replay/backup/proof.py`)

All tables are read in one snapshot while writers continue: a log without holes up to its head, with the commands,
persons and their look-ups, texts, keys and signatures at that moment. Read models and the archive are not included,
because they are computed from the log.

A backup does not depend on the server's version or location. The digest of the log's rows (`log_sha256`) is the same
for all ledgers with the same events, so a restored ledger can be verified by backing it up again.

The names of tables and columns in SQL are this program's. Those in a manifest only say which of them it has.

Errors: `BackupError`, which says what to do. A backup or restore that is stopped leaves no partial result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pyarrow as pa
from psycopg import Connection, Cursor, IsolationLevel
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ledger.store.append import take_lock
from ledger.store.database import Database
from ledger.store.log_queries import LOG_TABLE, LogReader
from ledger.store.upgrading import Part, run_steps, upgrade_tables
from replay.backup.authentication import BackupError, BackupKey, authenticate, sign
from replay.backup.proof import bring_back, public_files
from replay.durable import atomic_folder
from replay.progress import Progress, ignore
from replay.proof.growth import TransparencyLog

FORMAT = 3
"""Format 2 added `parts`, format 3 `proof_sha256`. All formats can be read."""
MANIFEST = "manifest.json"
PROOF = "proof.json"
CHUNK_BYTES = 1 << 20

LOG = LOG_TABLE
TABLES: dict[str, tuple[str, ...]] = {
    LOG: ("originator_id", "originator_version", "topic", "state", "notification_id"),
    "ledger.commands": ("name", "content", "position"),
    "ledger.persons": ("volunteer", "name", "phone", "email"),
    "ledger.texts": ("digest", "salt", "text", "volunteer", "others"),
    "ledger.person_lookups": ("lookup", "looked_up_at", "actor", "key", "by", "volunteers"),
    "ledger.early_scans": ("name", "occurred_at", "seconds_ahead", "refused_at"),
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
        "import_source",
        "import_until",
    ),
    "api.signatures": ("digest", "key", "public_key", "base", "signature", "body", "names", "kept_at", "about"),
}
"""The columns in a backup, by table. The log is written in the order of its positions."""


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(strict=True, ge=0)]


class Table(BaseModel):
    """One table of a backup. `content_sha256`: of the rows; `file_sha256`: of the compressed file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...]
    rows: Count
    content_sha256: Sha256
    file_sha256: Sha256


class Manifest(BaseModel):
    """The contents of a backup. `head`: the position of the log's last event; `made_at`: an ISO 8601 instant; `parts`:
    the versions of its tables (`ledger/store/upgrading.py`), 1 for a part that is not listed; `proof_sha256`: of the
    file with public keys and checkpoints, null if the ledger had no keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    ledger: UUID
    head: Count
    made_at: Annotated[str, StringConstraints(pattern=r"^[0-9T:+.-]{10,40}$")]
    tables: dict[str, Table]
    parts: dict[str, Annotated[int, Field(strict=True, ge=1)]] = {}
    proof_sha256: Sha256 | None = None

    @property
    def log_sha256(self) -> str:
        """The digest of the log's rows, equal for all ledgers with the same events."""
        return self.tables[LOG].content_sha256


def back_up(
    database: Database,
    target: Path,
    progress: Progress = ignore,
    *,
    key: BackupKey | None = None,
    tree: TransparencyLog | None = None,
) -> Manifest:
    """Write a backup of a ledger to a new folder.

    Args:
        tree: whose public keys and checkpoints are backed up too.
        key: the key of its MAC; without one, anybody who can write to the folder can change the backup.

    Raises:
        BackupError: the target exists, the log has holes, or the checkpoints cannot be read.
    """
    if target.exists():
        raise BackupError(f"{target} already exists; name a folder that does not exist")
    with atomic_folder(target, target.with_name(target.name + ".unfinished"), mode=0o700) as unfinished:
        proof = public_files(tree) if tree else b""  # before the log, so that the log has what was signed
        manifest = _write(database, unfinished, progress)
        if proof:
            (unfinished / PROOF).write_bytes(proof)
            manifest = manifest.model_copy(update={"proof_sha256": hashlib.sha256(proof).hexdigest()})
        written = manifest.model_dump_json(indent=2).encode() + b"\n"
        if key is not None:
            sign(unfinished, written, key)
        (unfinished / MANIFEST).write_bytes(written)
    return manifest


def verify(folder: Path, progress: Progress = ignore, *, key: BackupKey | None = None) -> Manifest:
    """Verify every file of a backup against its manifest, and that against its MAC; return the manifest.

    Args:
        key: the key of its MAC, or None if the operator knows where the backup comes from: the MAC is not checked then.

    Raises:
        BackupError: a file is missing or was changed, or the MAC is not valid.
    """
    manifest = read_manifest(folder, key)
    for done, (name, table) in enumerate(manifest.tables.items()):
        progress("verifying", done, len(manifest.tables))
        content, rows = hashlib.sha256(), 0
        path = _path(folder, name)
        if path.is_symlink() or not path.is_file():
            raise BackupError(f"{path} is missing, or is not a file; use another backup")
        try:
            if _file_digest(path) != table.file_sha256:
                raise BackupError(f"{path} was changed since the backup was made; use another backup")
            for chunk in _chunks(path):
                content.update(chunk)
                rows += chunk.count(b"\n")
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror or error}; use another backup") from None
        if (content.hexdigest(), rows) != (table.content_sha256, table.rows):
            raise BackupError(f"{path} differs from the manifest; use another backup")
    proof_of(folder, manifest)
    if manifest.tables[LOG].rows != manifest.head:
        raise BackupError(
            f"the log holds {manifest.tables[LOG].rows} events up to position {manifest.head}: it has holes"
        )
    return manifest


def read_log(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the topic and the state of each event in a backup, in the order of the log.

    Raises:
        BackupError: the backup has no such columns.
    """
    columns = read_manifest(folder, None).tables[LOG].columns
    topic, state = columns.index("topic"), columns.index("state")
    rest = b""
    for chunk in _chunks(_path(folder, LOG)):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            values = line.split(b"\t")
            yield values[topic].decode(), bytes.fromhex(values[state].removeprefix(rb"\\x").decode())


def restore(
    folder: Path,
    database: Database,
    parts: Sequence[Part],
    progress: Progress = ignore,
    *,
    key: BackupKey | None = None,
    tree: TransparencyLog | None = None,
) -> Manifest:
    """Fill an empty ledger from a backup, in one transaction. Its read models have to be rebuilt afterwards.

    Args:
        parts: all parts of the tables. For an older backup, tables are created in its version, filled, and upgraded.
        key: see `verify`.
        tree: where the public keys and checkpoints are written; none of those that are there is overwritten.

    Raises:
        BackupError: the backup is damaged, not authentic, or newer than this program, or the ledger is not empty.
    """
    manifest = verify(folder, progress, key=key)
    versions = {part: manifest.parts.get(part.name, 1) for part in parts}
    if newer := [part.name for part, version in versions.items() if version > part.version]:
        raise BackupError(f"{folder} was made by a newer version of this program (tables {newer[0]}); upgrade this one")
    if tree is not None:  # first: a ledger that forgot what it signed would be worse than one without events
        bring_back(tree, proof_of(folder, manifest), manifest.head)
    with database.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        take_lock(cursor)
        for part in parts:
            upgrade_tables(connection, part)
        _require_empty(cursor)
        if any(version < part.version for part, version in versions.items()):
            cursor.execute("DROP SCHEMA ledger, api, replay CASCADE")  # they are empty
            for part, version in versions.items():
                run_steps(connection, part, 0, version)
        cursor.execute("UPDATE ledger.identity SET id = %s", (manifest.ledger,))
        for done, (name, table) in enumerate(manifest.tables.items()):
            progress(f"restoring {name}", done, len(manifest.tables))
            _load(cursor, name, table, _path(folder, name))
        log = LogReader(connection)
        head, count = log.head(), log.count(0, manifest.head)
        if (head, count) != (manifest.head, manifest.head):
            raise BackupError(f"the restored log holds {count} events up to position {head}, not {manifest.head}")
        for part, version in versions.items():
            run_steps(connection, part, version, part.version)
        # New keys must not reuse ids, nor new look-ups.
        cursor.execute("SELECT setval('api.keys_id_seq', greatest((SELECT max(id) FROM api.keys), 1))")
        lookups = "(SELECT max(lookup) FROM ledger.person_lookups)"
        cursor.execute(f"SELECT setval('ledger.person_lookups_lookup_seq', greatest({lookups}, 1))")
    return manifest


def read_manifest(folder: Path, key: BackupKey | None = None) -> Manifest:
    """Read the manifest of a backup; with a key, only if its MAC is valid.

    Raises:
        BackupError: the folder is not a backup, is not authentic, or has a format, tables or columns unknown to this
            program.
    """
    try:
        written = (folder / MANIFEST).read_bytes()
        if key is not None:
            authenticate(folder, written, key)
        fields: Any = json.loads(written)
        if fields.get("format") not in range(1, FORMAT + 1):
            raise BackupError(
                f"{folder} has format {fields.get('format')}, but this program reads {FORMAT}; upgrade the program"
            )
        manifest = Manifest.model_validate(fields)
    except (OSError, ValueError, AttributeError) as error:
        reason = "it has no manifest.json" if isinstance(error, OSError) else "its manifest.json is damaged"
        raise BackupError(f"{folder} is not a backup: {reason}") from None
    if unknown := sorted(set(manifest.tables) - set(TABLES)):
        raise BackupError(f"{folder} contains the table {unknown[0]!r}, which this program does not know; upgrade it")
    if any(set(table.columns) - set(TABLES[name]) for name, table in manifest.tables.items()):
        raise BackupError(f"{folder} contains columns that this program does not know; upgrade the program")
    if LOG not in manifest.tables or any(len(set(one.columns)) < len(one.columns) for one in manifest.tables.values()):
        raise BackupError(f"{folder} is not a backup: its manifest.json is damaged")
    return manifest


def proof_of(folder: Path, manifest: Manifest) -> bytes:
    """Return the verified file with public keys and checkpoints; empty if there is none."""
    if manifest.proof_sha256 is None:
        return b""
    path = folder / PROOF
    if path.is_symlink() or not path.is_file():
        raise BackupError(f"{path} is missing, or is not a file; use another backup")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.proof_sha256:
        raise BackupError(f"{path} was changed since the backup was made; use another backup")
    return content


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
    order = SQL(" ORDER BY notification_id" if name == LOG else "")
    query = SQL("COPY (SELECT {} FROM {}{}) TO STDOUT").format(_columns(TABLES[name]), _table(name), order)
    content, rows = hashlib.sha256(), 0
    with connection.cursor().copy(query) as copy, pa.CompressedOutputStream(str(_path(folder, name)), "zstd") as file:
        for chunk in _gathered(copy):
            content.update(chunk)
            rows += chunk.count(b"\n")  # COPY text escapes line feeds within values
            file.write(chunk)
            if name == LOG:
                progress("copying the log", rows, head)
    return Table(
        columns=TABLES[name],
        rows=rows,
        content_sha256=content.hexdigest(),
        file_sha256=_file_digest(_path(folder, name)),
    )


def _load(cursor: Cursor[TupleRow], name: str, table: Table, path: Path) -> None:
    """Copy the rows of a file into a table; they must be those that were verified."""
    content = hashlib.sha256()
    with cursor.copy(SQL("COPY {} ({}) FROM STDIN").format(_table(name), _columns(table.columns))) as copy:
        for chunk in _chunks(path):
            content.update(chunk)
            copy.write(chunk)
    if (content.hexdigest(), cursor.rowcount) != (table.content_sha256, table.rows):
        raise BackupError(f"{path} was changed while it was read; use another backup")


def _table(name: str) -> Identifier:
    """Return the name of one of `TABLES` for SQL."""
    if name not in TABLES:
        raise KeyError(name)
    return Identifier(*name.split("."))


def _columns(names: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))


def _gathered(copy: Any) -> Iterator[bytes]:
    """Yield the rows of a COPY, joined into larger chunks."""
    rows: list[bytes] = []
    size = 0
    for row in copy:
        rows.append(bytes(row))
        size += len(row)
        if size >= CHUNK_BYTES:
            yield b"".join(rows)
            rows, size = [], 0
    if rows:
        yield b"".join(rows)


def _chunks(path: Path) -> Iterator[bytes]:
    with pa.CompressedInputStream(str(path), "zstd") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _require_empty(cursor: Cursor[TupleRow]) -> None:
    for name in TABLES:
        if cursor.execute(SQL("SELECT 1 FROM {} LIMIT 1").format(_table(name))).fetchone():
            raise BackupError(
                f"this ledger is not empty: {name} has rows; restore to another data directory or database"
            )


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.copy.zst"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
