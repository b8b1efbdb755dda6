"""A data set of partitions: its description and its files.

    dataset.json            what it rests on, the names of stations and projects, and every file with its digest
    shifts-0007.parquet     the resolved shifts of partition 7, by volunteer and check-in
    events-0007.parquet     the other events of its volunteers, and those of stations
    names-0007.parquet      its volunteers' numbers; their surrogates are the rows
    rules.toml              the rules in force at its position, if there were any

A person's numbers are all in one partition, so partitions are replayed independently of one another. Each file says in
its metadata to which data set it belongs, so a file of an older one is not read as one of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from projections.bounds import event_out_of_range, out_of_range
from projections.kernels.facts import Facts
from projections.schema import DTYPES, NONE, STATION_OPENED, Array, Flags, Ints, OtherEvents, ResolvedShifts, Words
from projections.surrogates import Names
from replay.archive.folder import digest_of
from replay.archive.manifest import FileDigest
from replay.federation.definition import LedgerName
from replay.federation.heads import Head
from replay.partitions.errors import DatasetError, NoDatasetError

DATASET, RULES = "dataset.json", "rules.toml"
KINDS: Final = ("shifts", "events", "names")
_OWN_FILES = re.compile(rf"{re.escape(DATASET)}|{re.escape(RULES)}|({'|'.join(KINDS)})-[0-9]{{4}}\.parquet")
FORMAT: Final = 1
PARTITIONS_MAX = 4096
_ID = b"dataset"
_KEYS = ("high", "low")
_TYPES = {**DTYPES, "flags": np.uint16, **dict.fromkeys(_KEYS, np.uint64)}
"""The dtypes of columns; all others are int32."""
_SPLIT = ["volunteer", "station", "project", "check_in", "check_out", "recorded_at"]
"""Columns whose bytes are stored apart: measured to be read in half the time of delta and dictionary encodings."""
_T = TypeVar("_T")


class Dataset(BaseModel):
    """What a data set rests on.

    Attributes:
        id: names this data set; all its files carry it.
        federation: the name of the federation; null for one ledger, whose names then stand alone.
        heads: the position of each ledger.
        missing, unknown_numbers: as of a federation's answer (`replay.federation.heads.Federated`).
        partitions: their number, a power of two.
        rules_version: of the rules in force at its position; null if there were none.
        files: by name.
    """

    model_config = ConfigDict(frozen=True)

    format: int
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    federation: LedgerName | None
    heads: Annotated[list[Head], Field(min_length=1)]
    missing: list[LedgerName]
    unknown_numbers: list[str]
    partitions: Annotated[int, Field(ge=1, le=PARTITIONS_MAX)]
    volunteers: int
    shifts: int
    rules_version: int | None
    stations: list[str]
    projects: list[str]
    files: dict[str, FileDigest]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.partitions & (self.partitions - 1):
            raise ValueError("partitions is no power of two")
        if self.federation is None and len(self.heads) > 1:
            raise ValueError("heads of several ledgers belong to a federation")
        if any(len(set(names)) < len(names) for names in (self.stations, self.projects)):
            raise ValueError("two stations or projects have the same name")
        if set(self.files) != files_of(self.partitions, with_rules=self.rules_version is not None):
            raise ValueError("files are not those of its partitions")
        return self

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files.values())


def files_of(partitions: int, *, with_rules: bool) -> set[str]:
    """Return the names of all files that a data set describes."""
    names = {file_of(kind, partition) for partition in range(partitions) for kind in KINDS}
    return names | {RULES} if with_rules else names


def file_of(kind: str, partition: int) -> str:
    """Return the name of a partition's file: of `shifts`, `events` or `names`."""
    return f"{kind}-{partition:04}.parquet"


def read_dataset(folder: Path) -> Dataset:
    """Read what a data set rests on.

    Raises:
        NoDatasetError: the folder holds none. DatasetError: it is damaged, or one that this program does not read.
    """
    path = folder / DATASET
    try:
        found = Dataset.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NoDatasetError(f"{folder} holds no facts; `hours facts build {folder}` makes them") from None
    except (OSError, ValidationError) as error:
        raise damaged(path, error) from None
    if found.format != FORMAT:
        raise DatasetError(
            f"{path} has format {found.format}, but this program reads {FORMAT}; build the facts again with "
            "`hours facts build`"
        )
    return found


def holds_facts_alone(folder: Path) -> bool:
    """Return whether a folder has no files but those of a data set, whatever their state."""
    return all(_OWN_FILES.fullmatch(path.name) and path.is_file() for path in folder.iterdir())


def read_rules_text(folder: Path, dataset: Dataset) -> str:
    """Return the rules that were in force when the facts were built.

    Raises:
        DatasetError: the file is missing, or differs from what was written.
    """
    path = folder / RULES

    def read() -> str:
        if digest_of(path) != dataset.files[RULES]:
            raise ValueError("it differs from what was written")
        return path.read_text("utf-8")

    return guarded(path, read)


def damaged(path: Path, error: object) -> DatasetError:
    """Return the error for a file that is missing or damaged."""
    what = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DatasetError(f"{path} is missing or damaged ({what}); build the facts again with `hours facts build`")


# --- writing --------------------------------------------------------------------------------------------------------


def shifts_schema(dataset_id: str) -> Any:
    """Return the columns of a partition's shifts."""
    columns = {name: np.dtype(_TYPES.get(name, np.int32)) for name in ResolvedShifts._fields}
    keys = [pa.field(name, pa.uint64(), nullable=False) for name in _KEYS]
    fields = [pa.field(name, pa.from_numpy_dtype(dtype), nullable=False) for name, dtype in columns.items()]
    return pa.schema([*fields, *keys], metadata={_ID: dataset_id})


def shifts_batch(shifts: ResolvedShifts, keys: Sequence[Words], schema: Any) -> Any:
    """Return shifts, with the halves of their ids, as a batch of rows."""
    return pa.record_batch([*map(pa.array, shifts), *map(pa.array, keys)], schema=schema)


def shifts_writer(path: Path, schema: Any) -> Any:
    """Return a writer of a partition's shifts."""
    return pq.ParquetWriter(
        path, schema, compression="lz4", use_dictionary=False, use_byte_stream_split=_SPLIT, write_page_checksum=True
    )


def write_columns(path: Path, columns: dict[str, Any], dataset_id: str) -> None:
    """Write columns of a partition to a file."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    pq.write_table(table.replace_schema_metadata({_ID: dataset_id}), path, compression="lz4", write_page_checksum=True)


# --- reading --------------------------------------------------------------------------------------------------------


def read_partition(folder: Path, dataset: Dataset, partition: int) -> Facts:
    """Read the facts of a partition, with surrogates of its own: no station or project that it has nothing of.

    Raises:
        DatasetError: a file is missing, damaged, or of another data set.
    """
    path, events_path = folder / file_of("shifts", partition), folder / file_of("events", partition)
    columns = _columns(path, dataset.id, ResolvedShifts._fields)
    events = _columns(events_path, dataset.id, OtherEvents._fields)
    names = _names(folder / file_of("names", partition), dataset.id)
    ends = {"volunteer": len(names), "into": len(names)}
    ends |= {"station": len(dataset.stations), "project": len(dataset.projects)}
    if wrong := out_of_range(columns, ends):
        raise damaged(path, f"{wrong} is out of range")
    if np.any(columns["volunteer"] == NONE):
        raise damaged(path, "a shift has no volunteer")
    if wrong := event_out_of_range(OtherEvents(**events), ends):
        raise damaged(events_path, f"{wrong} is out of range")

    def shift_keys(shifts: Ints) -> tuple[Words, Words]:
        found = _columns(path, dataset.id, _KEYS)
        return found["high"][shifts], found["low"][shifts]

    stations, station_of = _used(dataset.stations, columns["station"], _stations_of(events))
    projects, project_of = _used(dataset.projects, columns["project"], events["project"])
    opened = (events["code"] != STATION_OPENED) | (station_of[events["station"]] != NONE)
    events = {name: column[opened] for name, column in events.items()}
    return Facts(
        shifts=ResolvedShifts(
            **{**columns, "station": station_of[columns["station"]], "project": project_of[columns["project"]]}
        ),
        other_events=OtherEvents(
            **{**events, "station": station_of[events["station"]], "project": project_of[events["project"]]}
        ),
        volunteers=names,
        stations=stations,
        projects=projects,
        raise_ids=Names(),
        shift_keys=shift_keys,
    )


def _names(path: Path, dataset_id: str) -> Names:
    column = _table(path, dataset_id, ["name"])["name"]
    names = Names(column.to_pylist()) if column.type == pa.string() and not column.null_count else Names()
    if len(names) != len(column):
        raise damaged(path, "it holds other things than different names")
    return names


def _stations_of(events: dict[str, Any]) -> Ints:
    """Return the stations of other events but openings, which are in every partition."""
    stations: Ints = events["station"][events["code"] != STATION_OPENED]
    return stations


def _used(names: Sequence[str], *columns: Ints) -> tuple[Names, Ints]:
    """Return the names that columns use, and the surrogate of each among them; `NONE` for others and at the end."""
    used = np.zeros(len(names) + 1, np.bool_)
    for column in columns:
        used[column] = True
    used[-1] = False
    chosen = np.flatnonzero(used).tolist()
    number = np.full(len(names) + 1, NONE, np.int32)
    number[chosen] = np.arange(len(chosen), dtype=np.int32)
    return Names(names[at] for at in chosen), number


def _columns(path: Path, dataset_id: str, names: Sequence[str]) -> dict[str, Any]:
    table = _table(path, dataset_id, list(names))
    columns = {name: _numpy(table[name]) for name in names}
    for name, column in columns.items():
        if column.dtype != np.dtype(_TYPES.get(name, np.int32)):
            raise damaged(path, f"{name} has the type {column.dtype}")
    return columns


def _numpy(column: Any) -> Array | Flags:
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    found: Array = whole.to_numpy(zero_copy_only=False)
    return found


def _table(path: Path, dataset_id: str, columns: list[str]) -> Any:
    def read() -> Any:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.schema_arrow.metadata, file.read(columns=columns, use_threads=False)

    metadata, table = guarded(path, read)
    if (metadata or {}).get(_ID) != dataset_id.encode():
        raise damaged(path, "it belongs to other facts")
    return table


def guarded(path: Path, read: Callable[[], _T]) -> _T:
    """Read a file.

    Raises:
        DatasetError: it is missing or damaged.
    """
    try:
        return read()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise damaged(path, error) from None


def verify_files(folder: Path, dataset: Dataset) -> list[str]:
    """Return the names of the files that are missing or differ from what was written."""
    return [name for name, file in dataset.files.items() if not _is_unchanged(folder / name, file)]


def _is_unchanged(path: Path, file: FileDigest) -> bool:
    try:
        return digest_of(path) == file
    except OSError:
        return False


def events_columns(events: OtherEvents) -> dict[str, Any]:
    """Return the columns of other events, with the types that they have in memory."""
    return {name: column.astype(_TYPES.get(name, np.int32)) for name, column in events._asdict().items()}
