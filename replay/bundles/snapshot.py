"""What a bundle takes from one snapshot of the database: read models as served, signatures, digests of texts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow

from ledger.store.database import Database
from replay.axes.answers import RulesUsed
from replay.bundles.layout import read_models_folder, sized
from replay.durable import atomic_file
from replay.generations import store
from replay.on_demand.files import Replayed, write_replay
from replay.progress import Progress

SIGNATURES = "writing signatures"
SIGNATURE_ROWS = 8192

_SIGNATURES = """
SELECT key, public_key, base, signature, body, ARRAY(SELECT uuid_send(name) FROM unnest(names) AS name), kept_at
FROM api.signatures WHERE about = '{}' ORDER BY kept_at, digest
"""
_SIGNATURE_SCHEMA = pa.schema(
    {
        "key": pa.int32(),
        "public_key": pa.binary(),
        "base": pa.binary(),
        "signature": pa.binary(),
        "body": pa.binary(),
        "names": pa.list_(pa.binary()),
        "kept_at": pa.timestamp("us", "UTC"),
    }
)


@contextmanager
def snapshot(database: Database) -> Iterator[Connection[TupleRow]]:
    """Yield a connection that sees the database as it is at its first statement."""
    with database.pool.connection() as connection:
        before = connection.isolation_level
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        try:
            with connection.transaction():
                connection.execute("SET TRANSACTION READ ONLY")
                yield connection
        finally:
            connection.isolation_level = before


def write_read_models(connection: Connection[Any], folder: Path, ledger: UUID, progress: Progress) -> int | None:
    """Write the read models that answer; return their position.

    If the log was altered, no checkpoint covers them, perhaps; the audit says so.
    """
    generation = store.current_generation(connection)
    if generation is None or not generation.readable:
        return None
    target = folder / read_models_folder(generation.position)
    shutil.rmtree(target, ignore_errors=True)
    rows = store.read_rows(connection, generation)
    description = Replayed(
        ledger=ledger,
        valid_at=None,
        known_at=generation.position,
        rules=RulesUsed(
            name=generation.timeline().name, version=generation.rules_version, digest=generation.rules_digest
        ),
        rows={name: len(table) for name, table in rows.tables().items()},
        checksum=f"{generation.checksum & (1 << 64) - 1:016x}",
    )
    write_replay(target, rows, description, generation.rules_text, progress=progress)
    return generation.position


def write_signatures(connection: Connection[Any], folder: Path, size: int, progress: Progress) -> int:
    """Write the signatures of requests without texts; return how many hold texts."""
    path = folder / sized("signatures", size, ".parquet")
    if connection.execute("SELECT to_regclass('api.signatures')").fetchall()[0][0] is None:
        with atomic_file(path) as temporary:
            pq.write_table(_SIGNATURE_SCHEMA.empty_table(), temporary)
        return 0
    (total,) = connection.execute("SELECT count(*) FROM api.signatures WHERE about = '{}'").fetchall()[0]
    (without,) = connection.execute("SELECT count(*) FROM api.signatures WHERE about <> '{}'").fetchall()[0]
    done = 0
    with (
        atomic_file(path) as temporary,
        pq.ParquetWriter(temporary, _SIGNATURE_SCHEMA, compression="zstd") as writer,
        connection.cursor("signatures", binary=True) as cursor,
    ):
        cursor.execute(_SIGNATURES)
        while rows := cursor.fetchmany(SIGNATURE_ROWS):
            columns = zip(zip(*rows, strict=True), _SIGNATURE_SCHEMA, strict=True)
            arrays = [pa.array(column, field.type) for column, field in columns]
            writer.write_table(pa.table(arrays, schema=_SIGNATURE_SCHEMA))
            done += len(rows)
            progress(SIGNATURES, done, total)
    return int(without)


def write_texts(connection: Connection[Any], folder: Path, size: int) -> None:
    """Write the digests of the texts that are stored; the texts themselves and their salts are nobody's but theirs."""
    rows = connection.execute("SELECT digest FROM ledger.texts ORDER BY digest").fetchall()
    write(folder / sized("texts", size, ".txt"), "".join(f"{digest}\n" for (digest,) in rows).encode())


def write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file completely or not at all."""
    if durable:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
    temporary.replace(path)
