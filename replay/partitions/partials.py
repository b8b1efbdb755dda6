"""Partials: the read models of some partitions, and how they are added to those of others.

Sums of stations and projects are added; hours and standings are put one after the other, because no person is in two
partitions. Any order and any grouping give the same rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from projections.compiled import cache_directory
from projections.kernels.read_models import ReadModels
from projections.rules.table import honor_ids
from projections.rules.timeline import parse_timeline
from projections.schema import Array, Longs
from replay.generations.named_rows import Rows, rows_of
from replay.partitions.dataset import read_dataset, read_partition
from replay.partitions.errors import DatasetError, VersionError


class Task(NamedTuple):
    """What is to be computed of each partition.

    folder: where the worker finds the data set. dataset: its id. rules: their text. valid_until: the last local day
    with results. code: which kernels the asker has (`code_version`).
    """

    folder: str
    dataset: str
    rules: str
    valid_until: int
    code: str


class Partial(NamedTuple):
    """The read models of some partitions, and the names of what they are of."""

    models: ReadModels
    volunteers: list[str]
    stations: list[str]
    projects: list[str]


def code_version() -> str:
    """Return what names the kernels of this program: a digest of their sources, of numba and of the processor."""
    return cache_directory().name


def compute_partition(task: Task, partition: int) -> Partial:
    """Replay one partition.

    Raises:
        VersionError: this process has other kernels than the asker.
        DatasetError: the data set is not there, damaged, or another one.
    """
    if code_version() != task.code:
        raise VersionError(f"it has version {code_version()} of the kernels, and {task.code} is needed")
    folder = Path(task.folder)
    dataset = read_dataset(folder)
    if dataset.id != task.dataset:
        raise DatasetError(f"the facts in {folder} were built again meanwhile; replay them again")
    facts = read_partition(folder, dataset, partition)
    models = facts.read_models(parse_timeline(task.rules), valid_until=task.valid_until)
    return Partial(models, facts.volunteers.texts(), facts.stations.texts(), facts.projects.texts())


def merge(first: Partial, second: Partial) -> Partial:
    """Return the read models of the partitions of both."""
    shift = len(first.volunteers)
    a, b = _with_sums(first.models, second.models), _with_sums(second.models, first.models)
    stations, projects = _union(first.stations, second.stations), _union(first.projects, second.projects)
    models = ReadModels(
        hours=_appended(first.models.hours, second.models.hours, shift),
        stations=_added(
            _Sums(a.stations, _places(first.stations, stations), a.first_day),
            _Sums(b.stations, _places(second.stations, stations), b.first_day),
            len(stations),
        ),
        without_station=_added(
            _Sums(a.without_station[None], [0], a.first_day), _Sums(b.without_station[None], [0], b.first_day), 1
        )[0],
        first_day=min(a.first_day, b.first_day),
        standings=_appended(first.models.standings, second.models.standings, shift),
        projects=_added(
            _Sums(a.projects, _places(first.projects, projects), a.first_year),
            _Sums(b.projects, _places(second.projects, projects), b.first_year),
            len(projects),
        ),
        first_year=min(a.first_year, b.first_year),
    )
    return Partial(models, first.volunteers + second.volunteers, [*stations], [*projects])


class _Sums(NamedTuple):
    """Sums by name and day or year. `places`: the rows of the names in a sum; `first`: the first day or year."""

    sums: Longs
    places: list[int]
    first: int


def _union(first: list[str], second: list[str]) -> dict[str, int]:
    """Return the names of both, each with its row."""
    return {name: at for at, name in enumerate(dict.fromkeys([*first, *second]))}


def _places(names: list[str], rows: dict[str, int]) -> list[int]:
    return [rows[name] for name in names]


def _with_sums(models: ReadModels, other: ReadModels) -> ReadModels:
    """Return read models; empty sums begin on the first day and in the first year of another's, as their own mean
    nothing.
    """
    if models.stations.any() or models.without_station.any() or models.projects.any():
        return models
    return models._replace(
        stations=models.stations[:, :1],
        without_station=models.without_station[:1],
        first_day=other.first_day,
        projects=models.projects[:, :1],
        first_year=other.first_year,
    )


def _appended(first: Array, second: Array, shift: int) -> Array:
    """Return the rows of both; the first column holds volunteers, whose numbers in `second` are shifted."""
    whole = np.concatenate([first, second])
    whole[len(first) :, 0] += shift
    return whole


def _added(a: _Sums, b: _Sums, rows: int) -> Longs:
    """Return the sum of two, with so many rows."""
    first = min(a.first, b.first)
    end = max(part.first + part.sums.shape[1] for part in (a, b))
    whole = np.zeros((rows, end - first, *a.sums.shape[2:]), np.int64)
    for part in (a, b):
        begin = part.first - first
        whole[part.places, begin : begin + part.sums.shape[1]] += part.sums
    return whole


def rows_of_partial(partial: Partial, rules: str) -> Rows:
    """Return read models as rows with names."""
    honors = honor_ids(parse_timeline(rules))
    return rows_of(partial.models, partial.volunteers, partial.stations, honors, partial.projects)
