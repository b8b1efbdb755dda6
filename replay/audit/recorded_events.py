"""Recorded events: when records were recorded, from the archive, and by whom, from the log.

A replay needs neither, so resolved shifts do not include them. Events are read row group by row group, and only those
that an anomaly may rest on are retained, so a whole history of scans is never in memory. The archive does not hold who
entered an event. For the few events that people entered or decided, it is read from the log in one query (measured:
0.05 s for the 10,000 such events in a history of 1.2 million; a column of names in the archive would slow every
replay). Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ledger.names import Position
from ledger.store.database import Database
from projections.anomalies.findings import APPROVED, CORRECTED, ENTERED, RAISED, REINSTATED, SETTLED, Acts, Recorded
from projections.anomalies.recording import are_scans, count_scans, delays
from projections.schema import (
    ATTESTED,
    CAP_RAISED,
    DAYS,
    DTYPES,
    IMPORTED,
    NONE,
    REPLACES,
    SCAN_CODES,
    Array,
    Bytes,
    Ints,
    Longs,
)
from projections.schema import CORRECTED as CORRECTION
from projections.schema import REINSTATED as REINSTATEMENT
from projections.schema import SETTLED as SETTLEMENT
from projections.surrogates import Names
from replay.archive.open_archive import OpenArchive
from replay.archive.reader import guarded
from replay.archive.segments import OTHER_EVENTS, SHIFT_EVENTS, read_columns, row_groups

_ACTS = {CORRECTION: CORRECTED, REINSTATEMENT: REINSTATED, SETTLEMENT: SETTLED}
_DTYPES = {**DTYPES, "position": np.int64}


class Raises(NamedTuple):
    """Raises of the day cap, in log order."""

    position: Longs
    recorded_at: Array
    volunteer: Ints
    day: Ints


class Records(NamedTuple):
    """Events about how shifts were recorded.

    events: what people entered or decided, scans that were recorded more than `seconds_off` before or after their own
    instant, and early scans. prompt: how many scans of each station and local day arrived at once, int32[stations,
    DAYS]. raises: raises of the day cap.
    """

    events: Recorded
    prompt: Ints
    raises: Raises


class EarlyScans(NamedTuple):
    """Recorded scans that had been refused before because they lay in the future, and by how many seconds."""

    positions: Longs
    seconds_ahead: dict[tuple[int, int], int]
    """By position and instant: one that was sent again with another instant is not the scan that was refused."""

    def ahead(self, events: Recorded) -> Longs:
        """Return by how many seconds each event was ahead when it was refused, 0 if it was not."""
        found = np.zeros(len(events.position), np.int64)
        for row in np.flatnonzero(np.isin(events.position, self.positions)):
            found[row] = self.seconds_ahead.get((int(events.position[row]), int(events.occurred_at[row])), 0)
        return found


def read_early_scans(database: Database, known: Position) -> EarlyScans:
    """Read the early scans up to a position."""
    rows = database.log.early_scans(known)
    return EarlyScans(
        np.array([row.position for row in rows], np.int64),
        {(row.position, row.occurred_at): row.seconds_ahead for row in rows},
    )


def read_records(
    archive: OpenArchive, known: int, stations: int, seconds_off: int, zone: str, early: EarlyScans
) -> Records:
    """Read the records that the archive holds up to a position.

    Raises:
        replay.archive.manifest.ArchiveDamagedError: a file is missing or damaged.
    """
    return archive.retried(lambda: _read(archive, known, stations, seconds_off, zone, early))


def _read(archive: OpenArchive, known: int, stations: int, seconds_off: int, zone: str, early: EarlyScans) -> Records:
    prompt = np.zeros((stations, DAYS), np.int32)  # pages that are never written take no memory
    events, raises = (
        [_empty_columns(Recorded._fields)],
        [_empty_columns(("position", "recorded_at", "code", "volunteer", "day"))],
    )
    for segment in (segment for segment in archive.segments if segment.first <= known):
        place = archive.folder / segment.folder
        for group in range(guarded(place / SHIFT_EVENTS, row_groups)):
            chunk = Recorded(**_up_to(guarded(place / SHIFT_EVENTS, partial(_columns, Recorded._fields, group)), known))
            count_scans(chunk, zone, prompt)
            relevant = ~are_scans(chunk) | (np.abs(delays(chunk)) > seconds_off)
            relevant |= np.isin(chunk.position, early.positions)
            events.append({name: column[relevant] for name, column in chunk._asdict().items()})
        others = _up_to(guarded(place / OTHER_EVENTS, partial(_columns, tuple(raises[0]), None)), known)
        raises.append({name: column[others["code"] == CAP_RAISED] for name, column in others.items()})
    raised = _joined(raises)
    del raised["code"]
    return Records(Recorded(**_joined(events)), prompt, Raises(**raised))


def _columns(names: Sequence[str], group: int | None, path: Path) -> dict[str, Array]:
    return read_columns(path, list(names), group)


def _empty_columns(names: Sequence[str]) -> dict[str, Array]:
    return {name: np.empty(0, _DTYPES.get(name, np.int32)) for name in names}


def _up_to(columns: dict[str, Array], known: int) -> dict[str, Array]:
    """Return the rows up to a position; rows are in log order."""
    count = int(np.searchsorted(columns["position"], known, side="right"))
    return {name: column[:count] for name, column in columns.items()}


def _joined(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


# --- who ------------------------------------------------------------------------------------------------------------


def read_acts(
    database: Database, events: Recorded, raises: Raises, volunteer: Ints, valid_until: int
) -> tuple[Acts, Names]:
    """Return what people entered or decided, except imports, and the names of the actors.

    Args:
        volunteer: the volunteer of each shift.
        valid_until: the last day whose raises are included.
    """
    code = _act_codes(events)
    rows = np.flatnonzero(code > 0)
    days = np.flatnonzero(raises.day <= valid_until)
    position = np.concatenate([events.position[rows], raises.position[days]])
    order = np.argsort(position)
    names = Names()
    who = actors(database, position[order], names)
    acts = Acts(
        position=position[order],
        recorded_at=np.concatenate([events.recorded_at[rows], raises.recorded_at[days]])[order],
        code=np.concatenate([code[rows], np.full(len(days), RAISED, np.uint8)])[order],
        actor=who.by,
        volunteer=np.concatenate([volunteer[events.shift[rows]], raises.volunteer[days]])[order],
        shift=np.concatenate([events.shift[rows], np.full(len(days), NONE, np.int32)])[order],
    )
    approved = acts.where(who.approved_by != NONE)
    approved = approved._replace(
        code=np.full(len(approved.code), APPROVED, np.uint8), actor=who.approved_by[who.approved_by != NONE]
    )
    both = Acts._make(np.concatenate([own, approval]) for own, approval in zip(acts, approved, strict=True))
    both = both.where(both.actor != NONE)
    return both.where(np.argsort(both.position, kind="stable")), names


def _act_codes(events: Recorded) -> Bytes:
    """Return the act code of each event, 0 if it is not an act (a scan, for example)."""
    codes = np.zeros(len(events.code), np.uint8)
    typed = np.isin(events.code, SCAN_CODES) & (events.marks & (ATTESTED | REPLACES) != 0)
    codes[typed] = ENTERED
    for event, act in _ACTS.items():
        codes[events.code == event] = act
    codes[events.marks & IMPORTED != 0] = 0
    return codes


def first_positions(events: Recorded, shifts: Array) -> Longs:
    """Return the position of the first retained event of each of these shifts, 0 if there is none."""
    known, first = np.unique(events.shift, return_index=True)
    if not len(known):
        return np.zeros(len(shifts), np.int64)
    place = np.minimum(np.searchsorted(known, shifts), len(known) - 1)
    found: Longs = np.where(known[place] == shifts, events.position[first[place]], 0)
    return found


class Actors(NamedTuple):
    """Who recorded and who approved events, as surrogates; `NONE` for imports, and without an approval."""

    by: Ints
    approved_by: Ints


def actors(database: Database, positions: Longs, names: Names) -> Actors:
    """Return who recorded and who approved events, given ascending positions. New names are added to `names`."""
    columns = database.log.actors(positions.tolist())
    for column in columns:
        if len(column) != len(positions):
            found = len(column)
            raise LookupError(
                f"the log holds {found} of {len(positions)} events that the archive names; run `hours archive verify`"
            )
    return Actors(*(np.array([names.add(name) if name else NONE for name in column], np.int32) for column in columns))
