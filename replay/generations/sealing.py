"""Sealing: the credited hours of the current generation become a tree that checkpoints carry (`replay/proof/seals.py`).

The hours are read in one snapshot with the generation's position, so a seal is exact at that position. `HoursSealing`
is the `growth.Seal` of a ledger: it makes a new seal when the newest is older than an hour and hours may have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from psycopg import sql

from ledger.store.database import Database
from replay.apart import run_apart, run_main
from replay.generations.store import AnyConnection, Generation, current_generation
from replay.proof.keys import SigningKeyError, data_keys
from replay.proof.seals import SECRET, SealedYear, SealFolder, SealLine

SEAL_SECONDS = 3600.0
ROWS_HERE_MAX = 50_000
"""More rows than that are sealed by a process of its own: a second of computing for a hundred thousand."""
_HOURS = """
SELECT volunteer, year, scanned_minutes, attested_minutes FROM {}.volunteer_hours
ORDER BY volunteer COLLATE "C", year
"""


def seal_folder(data: Path) -> SealFolder:
    """Return the seals of the ledger with this data directory.

    Raises:
        replay.proof.keys.SigningKeyError: the secret cannot be read.
    """
    return SealFolder(data, data_keys(data).secret(SECRET))


def seal_hours(database: Database, folder: SealFolder) -> SealLine | None:
    """Seal the hours of the current generation; return None if there is no generation that this program can read.

    Raises:
        OSError: the seal cannot be written.
    """
    with database.connection() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        generation = current_generation(connection)
        if generation is None or not generation.readable:
            return None
        hours = read_hours(connection, generation)
    return folder.make(hours, generation.position, generation.rules_digest)


def read_hours(connection: AnyConnection, generation: Generation) -> pa.Table:
    """Return the credited hours of a generation, in the order in which they are sealed."""
    rows = connection.execute(sql.SQL(_HOURS).format(sql.Identifier(generation.schema))).fetchall()
    columns = zip(*rows, strict=True) if rows else ((),) * len(SealedYear._fields)
    types = (pa.string(), pa.int32(), pa.int64(), pa.int64())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(dict(zip(SealedYear._fields, arrays, strict=True)))


class HoursSealing:
    """Returns the extension lines of a checkpoint: the newest seal, a new one if it is due.

    Args:
        seconds: the age from which a seal is replaced, if the position has changed.
        clock: returns monotonic seconds.
        apart: the data directory, if a process of its own may seal many rows.
    """

    def __init__(
        self,
        database: Database,
        folder: SealFolder,
        seconds: float = SEAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        apart: Path | None = None,
    ) -> None:
        self._database = database
        self._folder = folder
        self._seconds = seconds
        self._clock = clock
        self._apart = apart
        self._made_at: float | None = None

    def __call__(self, size: int) -> tuple[str, ...]:
        """Return the lines for the checkpoint of a size; a seal of a later position waits for the next one."""
        newest = max(self._folder.positions(), default=-1)
        due = self._made_at is None or self._clock() - self._made_at >= self._seconds
        if due and newest < size:
            self._seal()
            self._made_at = self._clock()
        seal = self._folder.newest(until=size)
        return (seal.line.text,) if seal else ()

    def _seal(self) -> None:
        if self._apart is not None and count_hours(self._database) > ROWS_HERE_MAX:
            run_apart("replay.generations.sealing", self._apart, self._database.url)
        else:
            seal_hours(self._database, self._folder)


def count_hours(database: Database) -> int:
    """Return the number of rows that a seal would have."""
    with database.pool.connection() as connection:
        generation = current_generation(connection)
        if generation is None or not generation.readable:
            return 0
        counted = sql.SQL("SELECT count(*) FROM {}.volunteer_hours").format(sql.Identifier(generation.schema))
        row = connection.execute(counted).fetchone()
    return int(row[0]) if row else 0


def main(data: Path, url: str) -> None:
    """Seal the hours, in a process of its own."""
    with Database.open(url) as database:
        seal_hours(database, seal_folder(data))


if __name__ == "__main__":
    run_main(main, SigningKeyError)
