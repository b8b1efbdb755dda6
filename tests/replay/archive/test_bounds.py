"""An archive with columns that would lead kernels astray is refused: kernels check no bounds, and copies travel."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.store.database import Database
from replay.archive.manifest import ArchiveDamagedError
from replay.archive.open_archive import OpenArchive
from replay.archive.segments import CORRECTIONS, OTHER_EVENTS, SHIFT_EVENTS, SHIFTS
from tests.support.oracle.histories import train
from tests.support.replay.archives import EVENTS, Growing

BIG = 1 << 30
HARMED: list[tuple[str, str, int]] = [
    (SHIFT_EVENTS, "shift", BIG),
    (SHIFT_EVENTS, "shift", -1),
    (SHIFT_EVENTS, "station", BIG),
    (SHIFT_EVENTS, "project", -7),
    (SHIFT_EVENTS, "occurred_at", (1 << 32) - 1),
    (CORRECTIONS, "shift", BIG),
    (CORRECTIONS, "shift", -1),
    (CORRECTIONS, "station", BIG),
    (CORRECTIONS, "project", BIG),
    (CORRECTIONS, "check_in", (1 << 32) - 1),
    (SHIFTS, "volunteer", BIG),
    (SHIFTS, "volunteer", -1),
    (SHIFTS, "recorded_at", (1 << 32) - 1),
    (OTHER_EVENTS, "volunteer", BIG),
    (OTHER_EVENTS, "station", -2),
    (OTHER_EVENTS, "project", BIG),
    (OTHER_EVENTS, "key", BIG),
    (OTHER_EVENTS, "into", BIG),
    (OTHER_EVENTS, "day", BIG),
    (OTHER_EVENTS, "amount", BIG),
    (OTHER_EVENTS, "opened_at", (1 << 32) - 1),
]


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> OpenArchive:
    """A copy of an archive that has events of all kinds."""
    growing = Growing(database, tmp_path / "archive", [*EVENTS, train("V1", "basic", date(2018, 12, 9))])
    growing.write()
    growing.archive.catch_up(database)
    return OpenArchive.open_copy(tmp_path / "archive")


@pytest.mark.parametrize(("file", "column", "value"), HARMED)
def test_columns_that_would_lead_kernels_astray_are_refused(
    archive: OpenArchive, file: str, column: str, value: int
) -> None:
    archive.facts()
    (path,) = archive.folder.glob(f"*/{file}")
    _put(path, column, value)
    with pytest.raises(ArchiveDamagedError, match=f"the column {column} is out of range"):
        archive.facts()
    if file == OTHER_EVENTS:
        with pytest.raises(ArchiveDamagedError, match=f"the column {column} is out of range"):
            archive.other_facts()


def _put(path: Path, column: str, value: int) -> None:
    """Put a value into all rows of a column, which keep their type."""
    table = pq.read_table(path)
    assert len(table), path
    field = table.schema.field(column)
    values: Any = pa.array(np.full(len(table), value), field.type)
    pq.write_table(table.set_column(table.column_names.index(column), field, values), path, write_page_checksum=True)
