"""Partials: the read models of some partitions, and how they are added to those of others.

Sums of stations and projects are added; hours and standings are put one after the other, because no person is in two
partitions. Any order and any grouping give the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """The read models of some partitions, and the numbers of their volunteers."""

    models: ReadModels
    volunteers: list[str]


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
    return Partial(models, facts.volunteers.texts())


def merge(first: Partial, second: Partial) -> Partial:
    """Return the read models of the partitions of both."""
    shift = len(first.volunteers)
    a, b = _with_sums(first.models, second.models), _with_sums(second.models, first.models)
    models = ReadModels(
        hours=_appended(first.models.hours, second.models.hours, shift),
        stations=_added(a.stations, b.stations, 1, a.first_day, b.first_day),
        without_station=_added(a.without_station, b.without_station, 0, a.first_day, b.first_day),
        first_day=min(a.first_day, b.first_day),
        standings=_appended(first.models.standings, second.models.standings, shift),
        projects=_added(a.projects, b.projects, 1, a.first_year, b.first_year),
        first_year=min(a.first_year, b.first_year),
    )
    return Partial(models, first.volunteers + second.volunteers)


def _with_sums(models: ReadModels, other: ReadModels) -> ReadModels:
    """Return read models, or zeros in the place of another's if their sums are empty: their days then say nothing."""
    if models.stations.any() or models.without_station.any() or models.projects.any():
        return models
    return other._replace(
        stations=np.zeros_like(other.stations),
        without_station=np.zeros_like(other.without_station),
        projects=np.zeros_like(other.projects),
    )


def _appended(first: Array, second: Array, shift: int) -> Array:
    """Return the rows of both; the first column holds volunteers, whose numbers in `second` are shifted."""
    whole = np.concatenate([first, second])
    whole[len(first) :, 0] += shift
    return whole


def _added(a: Longs, b: Longs, axis: int, first_of_a: int, first_of_b: int) -> Longs:
    """Return the sum of two arrays, along an axis of days or years that begins at another one in each."""
    first = min(first_of_a, first_of_b)
    shape = [*a.shape]
    shape[axis] = max(first_of_a + a.shape[axis], first_of_b + b.shape[axis]) - first
    whole = np.zeros(shape, np.int64)
    for part, begins in ((a, first_of_a), (b, first_of_b)):
        place = [slice(None)] * part.ndim
        place[axis] = slice(begins - first, begins - first + part.shape[axis])
        whole[tuple(place)] += part
    return whole


def rows_of_partial(partial: Partial, rules: str, stations: Sequence[str], projects: Sequence[str]) -> Rows:
    """Return read models as rows with names."""
    return rows_of(partial.models, partial.volunteers, stations, honor_ids(parse_timeline(rules)), projects)
