"""Rows: read models as rows with names, and a checksum that does not depend on their order.

A generation's checksum is the sum, modulo 2^64, of the hashes of all rows. The follower updates it by subtracting the
hashes of the rows it removes and adding those of the rows it writes. Two replays of the same facts under the same rules
have the same checksum.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from projections.kernels.read_models import ReadModels
from projections.schema import HOURS_COLUMNS, PROJECT_COLUMNS, STATION_COLUMNS, Ints, Longs, Words

HOURS_FIELDS = ("volunteer", "year", "shifts", *(f"{name}_minutes" for name in HOURS_COLUMNS[1:]))
STATION_FIELDS = (
    "station",
    "day",
    "shifts",
    "volunteers",
    "raw_minutes",
    "counted_minutes",
    "credited_minutes",
    "people_served",
)
PROJECT_FIELDS = ("project", "year", "month", *STATION_FIELDS[2:])
STANDING_FIELDS = ("volunteer", "honor", "reached_on")
KEYS = {
    "volunteer_hours": ("volunteer", "year"),
    "station_activity": ("station", "day"),
    "honor_standings": ("volunteer", "honor"),
    "project_activity": ("project", "year", "month"),
}
"""The key columns of each table."""
_HOURS, _STATIONS, _STANDINGS, _PROJECTS = 1, 2, 3, 4
_SUMMED = [STATION_COLUMNS.index(name) for name in ("shifts", "raw", "counted", "credited")]
_WORD = (1 << 64) - 1


NameColumn = Sequence[str] | npt.NDArray[np.object_]


class Rows(NamedTuple):
    """Rows of the read models: columns of names, each with int64 columns.

    hours: year, then `HOURS_COLUMNS`. stations: day, then `STATION_COLUMNS`. standings: day; `honor` is a second name.
    projects: year, month (0 for the whole year), then `PROJECT_COLUMNS`. without_station: shifts, raw, counted and
    credited minutes of all shifts without a station, which have no row; zero if the rows were not just computed.
    """

    hours_volunteer: NameColumn
    hours: Longs
    station: NameColumn
    stations: Longs
    standing_volunteer: NameColumn
    standing_honor: NameColumn
    standings: Longs
    project: NameColumn
    projects: Longs
    without_station: Longs = np.zeros(4, np.int64)

    def checksum(self) -> int:
        """Return the sum of the hashes of all rows, modulo 2^64."""
        return sum(int(hashes.sum(dtype=np.uint64)) for hashes in self.hashes().values()) & _WORD

    def hashes(self) -> dict[str, Words]:
        """Return the hash of each row, by the name of its table; in the order of `tables`."""
        honors = _hashes(self.standing_honor).astype(np.int64)[:, None]
        standings = np.concatenate([honors, self.standings], axis=1)
        return {
            "volunteer_hours": _hash_rows(_HOURS, _hashes(self.hours_volunteer), self.hours),
            "station_activity": _hash_rows(_STATIONS, _hashes(self.station), self.stations),
            "honor_standings": _hash_rows(_STANDINGS, _hashes(self.standing_volunteer), standings),
            "project_activity": _hash_rows(_PROJECTS, _hashes(self.project), self.projects),
        }

    def tables(self) -> dict[str, Any]:
        """Return the rows as Arrow tables, by the name of their table."""
        return {
            "volunteer_hours": pa.table([_texts(self.hours_volunteer), *_columns(self.hours)], names=HOURS_FIELDS),
            "station_activity": pa.table(
                [_texts(self.station), _dates(self.stations[:, 0]), *_columns(self.stations[:, 1:])],
                names=STATION_FIELDS,
            ),
            "honor_standings": pa.table(
                [_texts(self.standing_volunteer), _texts(self.standing_honor), _dates(self.standings[:, 0])],
                names=STANDING_FIELDS,
            ),
            "project_activity": pa.table([_texts(self.project), *_columns(self.projects)], names=PROJECT_FIELDS),
        }


NO_ROWS = Rows(
    hours_volunteer=(),
    hours=np.empty((0, 1 + len(HOURS_COLUMNS)), np.int64),
    station=(),
    stations=np.empty((0, 1 + len(STATION_COLUMNS)), np.int64),
    standing_volunteer=(),
    standing_honor=(),
    standings=np.empty((0, 1), np.int64),
    project=(),
    projects=np.empty((0, 2 + len(PROJECT_COLUMNS)), np.int64),
)
"""Empty rows, a starting point where only some read models are needed."""


def rows_of(
    models: ReadModels,
    volunteers: Sequence[str],
    stations: Sequence[str],
    honors: Sequence[str],
    projects: Sequence[str],
) -> Rows:
    """Return read models as rows with names. A station and day, or a project and month, is a row if any of its columns
    is not zero.
    """
    station, day = np.nonzero(models.stations.any(axis=2))
    project, year, month = np.nonzero(models.projects.any(axis=3))
    volunteer_names, station_names, honor_names, project_names = (
        np.array([*names], object) for names in (volunteers, stations, honors, projects)
    )
    return Rows(
        hours_volunteer=volunteer_names[models.hours[:, 0]],
        hours=models.hours[:, 1:],
        station=station_names[station],
        stations=np.concatenate([(day + models.first_day)[:, None], models.stations[station, day]], axis=1),
        standing_volunteer=volunteer_names[models.standings[:, 0]],
        standing_honor=honor_names[models.standings[:, 1]],
        standings=models.standings[:, 2:].astype(np.int64),
        project=project_names[project],
        projects=np.concatenate(
            [np.stack([year + models.first_year, month], axis=1), models.projects[project, year, month]], axis=1
        ),
        without_station=models.without_station[:, _SUMMED].sum(axis=0),
    )


@lru_cache(maxsize=1 << 18)
def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def _hashes(names: NameColumn) -> Words:
    return np.fromiter((_hash(name) for name in names), np.uint64, len(names))


def _hash_rows(kind: int, keys: Words, columns: Longs) -> Words:
    """Hash each row. The hash depends on the value and the position of each column."""
    mixed = _mix(keys + np.uint64(kind))
    for column in range(columns.shape[1]):
        mixed = _mix(mixed + columns[:, column].astype(np.uint64))
    return mixed


def _mix(words: Words) -> Words:
    """Apply the finalizer of splitmix64 (Steele, Lea and Flood, 2014): each bit of the result depends on all bits of
    the word.
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _texts(names: NameColumn) -> Any:
    return pa.array(names, pa.string())


def _columns(columns: Longs) -> list[Any]:
    return [pa.array(columns[:, at]) for at in range(columns.shape[1])]


def _dates(days: Longs | Ints) -> Any:
    return pa.array(days.astype(np.int32), pa.date32())
