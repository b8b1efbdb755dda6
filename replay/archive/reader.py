"""Reading an archive: from segments on disk to facts in memory, the first half of every replay.

Row groups are decoded on all cores and folded into shifts one after the other while the next ones are decoded, so the
events of a whole history are never in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from projections.bounds import event_out_of_range, out_of_range
from projections.kernels.facts import Facts
from projections.kernels.order import ShiftKeys
from projections.kernels.resolve import Resolver
from projections.schema import DTYPES, NONE, Array, Corrections, Ints, OtherEvents, ResolvedShifts, ShiftEvents, Words
from replay.archive.log_columns import Dictionaries, names_by_kind
from replay.archive.manifest import Segment, damaged
from replay.archive.segments import (
    CORRECTIONS,
    NAMES,
    OTHER_EVENTS,
    RULES,
    SHIFT_EVENTS,
    SHIFTS,
    RulesRow,
    read_columns,
    read_names,
    read_part,
    read_rules,
    read_shifts,
    row_groups,
)
from replay.progress import checkpoint

_T = TypeVar("_T")
_Events = TypeVar("_Events", ShiftEvents, Corrections, OtherEvents)


def read_facts(folder: Path, segments: Sequence[Segment], known: int, threads: int, shift_keys: ShiftKeys) -> Facts:
    """Read the events of segments up to the position `known`. `shift_keys` looks up the ids of shifts on demand.

    Raises:
        replay.archive.manifest.ArchiveDamagedError: a file is missing or damaged.
    """
    with ThreadPoolExecutor(threads) as pool:
        chunks, corrections, others, shifts = [], [], [], []
        for segment in segments:
            path = folder / segment.folder
            until = known if segment.last > known else None
            groups = range(guarded(path / SHIFT_EVENTS, row_groups))
            chunks += [pool.submit(_read_chunk, path / SHIFT_EVENTS, group, until) for group in groups]
            corrections.append(pool.submit(_read_events, path / CORRECTIONS, Corrections, until))
            others.append(pool.submit(_read_events, path / OTHER_EVENTS, OtherEvents, until))
            shifts.append(pool.submit(_read_shift_columns, path))
        try:
            names = read_all_names(folder, segments)
            volunteer, recorded_at = _joined([future.result() for future in shifts], (np.int32, np.uint32))
            ends = _ends(names, len(volunteer))
            _require_in_range(folder, out_of_range({"volunteer": volunteer, "recorded_at": recorded_at}, ends))
            if np.any(volunteer == NONE):
                _require_in_range(folder, "volunteer")
            resolver = Resolver(volunteer, recorded_at, names.stations.ranks(), names.projects.ranks())
            for events in _results(chunks):
                checkpoint()
                _require_of_shifts(folder, events, ends)
                resolver.take(events)
            corrected = _joined_events([future.result() for future in corrections], Corrections)
            _require_of_shifts(folder, corrected, ends)
            resolved = resolver.finish(corrected)
            other_events = _joined_events([future.result() for future in others], OtherEvents)
            _require_in_range(folder, event_out_of_range(other_events, ends))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Facts(
        shifts=resolved,
        other_events=other_events,
        volunteers=names.volunteers,
        stations=names.stations,
        projects=names.projects,
        raise_ids=names.keys,
        shift_keys=shift_keys,
    )


def read_other_facts(folder: Path, segments: Sequence[Segment], known: int) -> Facts:
    """Read all names, and the events up to the position `known` that are of no shift; the facts have no shifts."""
    names = read_all_names(folder, segments)
    none = [np.empty(0, dtype) for dtype in (*[np.int32] * 3, *[np.uint32] * 3, np.uint16)]
    others = [
        _read_events(folder / segment.folder / OTHER_EVENTS, OtherEvents, known if segment.last > known else None)
        for segment in segments
    ]
    other_events = _joined_events(others, OtherEvents)
    _require_in_range(folder, event_out_of_range(other_events, _ends(names, 0)))
    return Facts(
        shifts=ResolvedShifts(*none),
        other_events=other_events,
        volunteers=names.volunteers,
        stations=names.stations,
        projects=names.projects,
        raise_ids=names.keys,
        shift_keys=lambda shifts: (shifts.astype(np.uint64), shifts.astype(np.uint64)),
    )


def _ends(names: Dictionaries, shifts: int) -> dict[str, int]:
    """Return how many names there are, by the columns that hold their surrogates."""
    volunteers = len(names.volunteers)
    return {
        "volunteer": volunteers,
        "into": volunteers,
        "station": len(names.stations),
        "project": len(names.projects),
        "key": len(names.keys),
        "shift": shifts,
    }


def _require_of_shifts(folder: Path, events: ShiftEvents | Corrections, ends: dict[str, int]) -> None:
    _require_in_range(folder, out_of_range(events._asdict(), ends))
    if len(events.shift) and int(events.shift.min()) == NONE:
        _require_in_range(folder, "shift")


def _require_in_range(folder: Path, wrong: str | None) -> None:
    """Refuse columns that would lead kernels astray: an archive may be a copy from anywhere."""
    if wrong is not None:
        raise damaged(folder, ValueError(f"the column {wrong} is out of range"))


def _joined(parts: Sequence[Sequence[Array]], dtypes: Sequence[Any]) -> list[Array]:
    """Join the columns of all segments; without segments, the columns are empty."""
    none = [np.empty(0, dtype) for dtype in dtypes]
    return [np.concatenate(columns) for columns in zip(*(parts or [none]), strict=True)]


def _joined_events(parts: Sequence[_Events], table: type[_Events]) -> _Events:
    return table._make(_joined(parts, [DTYPES.get(name, np.int32) for name in table._fields]))


def _results(futures: list[Future[_T]]) -> Iterator[_T]:
    """Yield results in order, keeping no reference to them."""
    futures.reverse()
    while futures:
        yield futures.pop().result()


def _read_chunk(path: Path, group: int, known: int | None) -> ShiftEvents:
    """Read one row group of shift events, up to a position if one is given."""
    events = guarded(path, lambda path: read_part(path, group, ShiftEvents))
    return events if known is None else _first(events, _rows_known(path, group, known))


def _read_events(path: Path, table: type[_Events], known: int | None) -> _Events:
    """Read a whole file, which holds few events."""
    columns = guarded(path, lambda path: read_columns(path, list(table._fields)))
    events = table._make(columns[name] for name in table._fields)
    return events if known is None else _first(events, _rows_known(path, None, known))


def _read_shift_columns(folder: Path) -> tuple[Array, Array]:
    found = guarded(folder / SHIFTS, lambda path: read_columns(path, ["volunteer", "recorded_at"]))
    return found["volunteer"], found["recorded_at"]


def _rows_known(path: Path, group: int | None, known: int) -> int:
    """Return how many rows, which are in log order, are known at a position."""
    columns = guarded(path, lambda path: read_columns(path, ["position"], group))
    return int(np.searchsorted(columns["position"], known, side="right"))


def _first(events: _Events, rows: int) -> _Events:
    return type(events)._make(column[:rows] for column in events)


def read_all_names(folder: Path, segments: Sequence[Segment]) -> Dictionaries:
    """Read all dictionaries except that of shifts."""
    names = Dictionaries.empty()
    by_kind = names_by_kind(names)
    for segment in segments:
        for kind, texts in guarded(folder / segment.folder / NAMES, read_names).items():
            by_kind[kind].extend(texts)
    return names


def read_dictionaries(folder: Path, segments: Sequence[Segment]) -> Dictionaries:
    """Read all dictionaries, which appending events needs."""
    names = read_all_names(folder, segments)
    for segment in segments:
        names.shifts.add(*guarded(folder / segment.folder / SHIFTS, read_shifts))
    return names


def read_shift_keys(folder: Path, segments: Sequence[Segment], shifts: Ints) -> tuple[Words, Words]:
    """Return the ids of shifts as uint64 halves, high and low."""
    parts = [guarded(folder / segment.folder / SHIFTS, read_shifts)[1:] for segment in segments]
    high = np.concatenate([part[0] for part in parts])
    low = np.concatenate([part[1] for part in parts])
    return high[shifts], low[shifts]


def read_rules_rows(folder: Path, segments: Sequence[Segment]) -> list[RulesRow]:
    """Read the rule timelines published or put in force in segments, in log order."""
    return [rules for segment in segments for rules in guarded(folder / segment.folder / RULES, read_rules)]


def count_recorded(folder: Path, segment: Segment, instant: int) -> int:
    """Return how many events of a segment were recorded at or before an instant (epoch seconds)."""
    columns = [
        guarded(folder / segment.folder / file, lambda path: read_columns(path, ["recorded_at"]))["recorded_at"]
        for file in (SHIFT_EVENTS, OTHER_EVENTS)
    ]
    return sum(int(np.searchsorted(column, instant, side="right")) for column in columns)


def guarded(path: Path, read: Callable[[Path], _T]) -> _T:
    """Read a file of the archive.

    Raises:
        replay.archive.manifest.ArchiveDamagedError: the file is missing or damaged.
    """
    try:
        return read(path)
    except (OSError, ValueError, pa.ArrowException) as error:  # a damaged footer can raise any of these
        raise damaged(path, error) from error
