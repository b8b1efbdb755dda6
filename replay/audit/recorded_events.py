"""Recorded events: what an archive and the log say of how records came about: when they were recorded, and by whom.

A replay needs neither, so resolved shifts do not carry them. Events are read row group by row group, and only those
that some anomaly may rest on are kept: a whole history of scans never lies in memory. Who entered something stands in
no archive: of the few events that people entered or decided it is read from the log, in one query (measured: a
twentieth of a second for the 10,000 of a history of 1.2 million events, where one more column of names in the archive
would cost every replay). Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ledger.store.database import Database
from projections.anomalies.findings import APPROVED, CORRECTED, ENTERED, RAISED, REINSTATED, SETTLED, Acts, Recorded
from projections.anomalies.recording import are_scans, count_scans, delays
from projections.schema import (
    ATTESTED,
    CAP_RAISED,
    CHECKED_IN,
    CHECKED_OUT,
    DAYS,
    DTYPES,
    IMPORTED,
    NONE,
    REPLACES,
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
    """Raises of a day's cap, in log order."""

    position: Longs
    recorded_at: Array
    volunteer: Ints
    day: Ints


class Records(NamedTuple):
    """Events of shifts that people entered or decided, and scans whose instant is off by more than was asked; how many
    scans of each station and local day arrived at once, int32[stations, DAYS]; and raises of the cap.
    """

    events: Recorded
    prompt: Ints
    raises: Raises


def read_records(archive: OpenArchive, known: int, stations: int, seconds_off: int, zone: str) -> Records:
    """Read what the archive holds up to a position.

    Raises:
        replay.archive.manifest.ArchiveDamagedError: a file is missing or damaged.
    """
    return archive.retried(lambda: _read(archive, known, stations, seconds_off, zone))


def _read(archive: OpenArchive, known: int, stations: int, seconds_off: int, zone: str) -> Records:
    prompt = np.zeros((stations, DAYS), np.int32)  # what is not touched takes no memory
    events, raises = [_none(Recorded._fields)], [_none(("position", "recorded_at", "code", "volunteer", "day"))]
    for segment in (segment for segment in archive.segments if segment.first <= known):
        place = archive.folder / segment.folder
        for group in range(guarded(place / SHIFT_EVENTS, row_groups)):
            chunk = Recorded(**_first(guarded(place / SHIFT_EVENTS, partial(_columns, Recorded._fields, group)), known))
            count_scans(chunk, zone, prompt)
            kept = ~are_scans(chunk) | (np.abs(delays(chunk)) > seconds_off)
            events.append({name: column[kept] for name, column in chunk._asdict().items()})
        others = _first(guarded(place / OTHER_EVENTS, partial(_columns, tuple(raises[0]), None)), known)
        raises.append({name: column[others["code"] == CAP_RAISED] for name, column in others.items()})
    raised = _joined(raises)
    del raised["code"]
    return Records(Recorded(**_joined(events)), prompt, Raises(**raised))


def _columns(names: Sequence[str], group: int | None, path: Path) -> dict[str, Array]:
    return read_columns(path, list(names), group)


def _none(names: Sequence[str]) -> dict[str, Array]:
    return {name: np.empty(0, _DTYPES.get(name, np.int32)) for name in names}


def _first(columns: dict[str, Array], known: int) -> dict[str, Array]:
    """Return what was recorded up to a position; rows stand in log order."""
    count = int(np.searchsorted(columns["position"], known, side="right"))
    return {name: column[:count] for name, column in columns.items()}


def _joined(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


# --- who ------------------------------------------------------------------------------------------------------------


def read_acts(
    database: Database, events: Recorded, raises: Raises, volunteer: Ints, valid_until: int
) -> tuple[Acts, Names]:
    """Return what people entered or decided, and who they are. What was imported is left out.

    Args:
        volunteer: whose each shift is.
        valid_until: the last day of which raises are looked at.
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
    both = Acts._make(np.concatenate([one, other]) for one, other in zip(acts, approved, strict=True))
    both = both.where(both.actor != NONE)
    return both.where(np.argsort(both.position, kind="stable")), names


def _act_codes(events: Recorded) -> Bytes:
    """Return what each event is as an act, 0 if it is none: a scan, say."""
    codes = np.zeros(len(events.code), np.uint8)
    typed = np.isin(events.code, (CHECKED_IN, CHECKED_OUT)) & (events.marks & (ATTESTED | REPLACES) != 0)
    codes[typed] = ENTERED
    for event, act in _ACTS.items():
        codes[events.code == event] = act
    codes[events.marks & IMPORTED != 0] = 0
    return codes


def first_positions(events: Recorded, shifts: Array) -> Longs:
    """Return the position of the first event of each of these shifts that was kept, 0 where none was."""
    known, first = np.unique(events.shift, return_index=True)
    if not len(known):
        return np.zeros(len(shifts), np.int64)
    place = np.minimum(np.searchsorted(known, shifts), len(known) - 1)
    found: Longs = np.where(known[place] == shifts, events.position[first[place]], 0)
    return found


class Actors(NamedTuple):
    """Who is behind events, as surrogates: `NONE` for what was imported, and where nobody had to approve."""

    by: Ints
    approved_by: Ints


def actors(database: Database, positions: Longs, names: Names) -> Actors:
    """Return who is behind each of these events, whose positions ascend. `names` grows."""
    columns = database.log.actors(positions.tolist())
    for column in columns:
        if len(column) != len(positions):
            found = len(column)
            raise LookupError(f"the log holds {found} of {len(positions)} events that the archive names; check it")
    return Actors(*(np.array([names.add(name) if name else NONE for name in column], np.int32) for column in columns))
