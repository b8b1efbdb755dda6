"""The scans of a person, in the order in which they are paired (`projections/kernels/pairing.py`)."""

from __future__ import annotations

from typing import Final, NamedTuple

from projections.compiled import inlined
from projections.schema import (
    CORRECTED_IN,
    CORRECTED_OUT,
    NO_INSTANT,
    PUNCH,
    PUNCHED_OUT,
    SHIFT,
    TIE,
    VOID,
    Ints,
    Longs,
    ResolvedShifts,
)

# Kinds of scans, in the order in which equal instants are paired: what was open ends, then another shift begins.
KNOWN_OUT: Final = 0
UNDIRECTED: Final = 1
VOID_UNDIRECTED: Final = 2
OUT: Final = 3
KNOWN_IN: Final = 4
"""The check-in of a shift that has its check-out."""
SETTLED_IN: Final = 5
"""The check-in of a shift that is void, or whose end a correction decides: the scan that would end it ends no other."""
IN: Final = 6
LEFT_OUT: Final = -1
"""A scan that takes no part: a void punch out."""


class Scans(NamedTuple):
    """Working memory: the scans of one person, in order of their instants."""

    instant: Longs
    kind: Ints
    row: Ints  # of the ShiftTable


@inlined
def _kind_of(check_in: int, check_out: int, flags: int) -> int:
    """Return the kind of the scan that a row begins with."""
    if flags & PUNCH == PUNCHED_OUT and not flags & CORRECTED_IN and check_in == check_out:
        return LEFT_OUT if flags & VOID else OUT
    if flags & PUNCH == PUNCH and check_out == NO_INSTANT:
        return VOID_UNDIRECTED if flags & VOID else UNDIRECTED
    if flags & CORRECTED_OUT or (flags & VOID and check_out == NO_INSTANT):
        return SETTLED_IN
    return IN if check_out == NO_INSTANT else KNOWN_IN


@inlined
def gather(begin: int, end: int, rows: Ints, shifts: ResolvedShifts, scans: Scans) -> int:
    """Write the scans of the rows from `begin` to `end` in order of time; return their number."""
    count = 0
    punched = False
    for row in range(begin, end):
        punched = punched or shifts.flags[rows[row, SHIFT]] & PUNCH
    for row in range(begin, end):
        shift = rows[row, SHIFT]
        if not punched and shifts.flags[shift] & VOID:
            continue  # the scans of void shifts matter only to punches
        check_in, check_out = int(shifts.check_in[shift]), int(shifts.check_out[shift])
        kind = _kind_of(check_in, check_out, shifts.flags[shift])
        if kind != LEFT_OUT:
            insert(count, check_in, kind, row, rows, scans)
            count += 1
        if kind == KNOWN_IN:
            insert(count, check_out, KNOWN_OUT, row, rows, scans)
            count += 1
    return count


@inlined
def insert(count: int, instant: int, kind: int, row: int, rows: Ints, scans: Scans) -> None:
    """Insert a scan among the first `count`: by instant, kind and rank."""
    at = count
    while at > 0 and (
        scans.instant[at - 1] > instant
        or (
            scans.instant[at - 1] == instant
            and (
                scans.kind[at - 1] > kind
                or (scans.kind[at - 1] == kind and rows[scans.row[at - 1], TIE] > rows[row, TIE])
            )
        )
    ):
        scans.instant[at], scans.kind[at], scans.row[at] = scans.instant[at - 1], scans.kind[at - 1], scans.row[at - 1]
        at -= 1
    scans.instant[at], scans.kind[at], scans.row[at] = instant, kind, row
