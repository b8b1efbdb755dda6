"""The columnar schema: what the kernels read and write, with dtypes, units and sentinels.

Names are represented by dense int32 numbers ("surrogates"), in order of first appearance; `-1` means none. Instants are
epoch seconds in uint32; `0` means none. Minutes are UTC minutes since 1970, days are local days since 1970-01-01 in the
time zone of the rules; both are int32. `NO_DAY` means never.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Instants = npt.NDArray[np.uint32]
Words = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]

NONE: Final = -1
NO_INSTANT: Final = 0
NO_DAY: Final = 1 << 30
LASTS_MINUTES_MAX: Final = 92 * 1440
"""What lies further behind a check-in is no part of the shift. It exceeds every `shift_minutes_max`, so it changes no
credit; and a shift that lasts decades by mistake or malice does not cost as much as all shifts of a district."""
PAIRING: Final = 2
"""The version of what pairing makes of the same scans under the same rules. Read models of another one are rebuilt."""
DAYS: Final = 48_000
"""The length of tables indexed by day: they end in 2101, and the ledger refuses instants from 2100 on."""

# --- events of shifts -----------------------------------------------------------------------------------------------

CHECKED_IN: Final = 1
CHECKED_OUT: Final = 2
CORRECTED: Final = 3
VOIDED: Final = 4
REINSTATED: Final = 5
DISPUTED: Final = 6
SETTLED: Final = 7
ANSWERED: Final = 8
"""No kernel reads it: an answer to a dispute changes no shift."""
PUNCHED: Final = 9
"""A scan without a shift id; what it belongs to is a rule (`projections/kernels/pairing.py`)."""

SCAN_CODES: Final = (CHECKED_IN, CHECKED_OUT, PUNCHED)

SHIFT_CODES: Final = {
    "checked-in.v1": CHECKED_IN,
    "checked-out.v1": CHECKED_OUT,
    "shift-corrected.v1": CORRECTED,
    "shift-voided.v1": VOIDED,
    "shift-reinstated.v1": REINSTATED,
    "shift-disputed.v1": DISPUTED,
    "dispute-settled.v1": SETTLED,
    "dispute-answered.v1": ANSWERED,
    "punched.v1": PUNCHED,
}

# The fields that a correction sets, as bits of `changes`, in the order of ledger.names.CorrectedField.
CHANGES_CHECK_IN: Final = 1
CHANGES_CHECK_OUT: Final = 2
CHANGES_STATION: Final = 4
CHANGES_PROJECT: Final = 8
CHANGE_BITS: Final = {
    "check_in": CHANGES_CHECK_IN,
    "check_out": CHANGES_CHECK_OUT,
    "station": CHANGES_STATION,
    "project": CHANGES_PROJECT,
}

# Properties of events of shifts, as bits of `marks`. A check-in replaces the shift of another volunteer; a void has
# this mark if another volunteer's shift replaced the voided one. A punch without direction has neither direction.
ATTESTED: Final = 1
REPLACES: Final = 2
IMPORTED: Final = 4
GOING_IN: Final = 8
GOING_OUT: Final = 16
DIRECTIONS: Final = {"in": GOING_IN, "out": GOING_OUT}


class ShiftEvents(NamedTuple):
    """Events of shifts in log order, one row each, all columns of length n. The values of a correction are in
    `Corrections`.
    """

    code: Bytes
    shift: Ints
    station: Ints
    project: Ints
    occurred_at: Instants
    marks: Bytes


class Corrections(NamedTuple):
    """Corrections in log order: the fields of a shift that they set (`CHANGE_BITS`), and the values."""

    shift: Ints
    changes: Bytes
    station: Ints
    project: Ints
    check_in: Instants
    check_out: Instants


# --- other events ---------------------------------------------------------------------------------------------------

REGISTERED: Final = 32
TRAINED: Final = 33
OPENING_RECORDED: Final = 34
OPENING_VOIDED: Final = 35
CAP_RAISED: Final = 36
CAP_RAISE_WITHDRAWN: Final = 37
PEOPLE_SERVED: Final = 38
STATION_OPENED: Final = 39
MERGED: Final = 40
MERGE_UNDONE: Final = 41
TRAINING_VOIDED: Final = 48
OTHER: Final = 255
"""An event that no kernel reads. It has a row, so that every position has one."""

OTHER_CODES: Final = {
    "volunteer-registered.v1": REGISTERED,
    "training-completed.v1": TRAINED,
    "opening-balance-recorded.v1": OPENING_RECORDED,
    "opening-balance-voided.v1": OPENING_VOIDED,
    "day-cap-raised.v1": CAP_RAISED,
    "day-cap-raise-withdrawn.v1": CAP_RAISE_WITHDRAWN,
    "people-served-counted.v1": PEOPLE_SERVED,
    "station-opened.v1": STATION_OPENED,
    "volunteer-merged.v1": MERGED,
    "volunteer-merge-undone.v1": MERGE_UNDONE,
    "training-voided.v1": TRAINING_VOIDED,
}
TIERS: Final = {"basic": 1, "professional": 2, "leader": 3}
STATION_KINDS: Final = {"city": 1, "community": 2, "special": 4}
UNKNOWN_KIND: Final = 8
"""The kind of no station, and of a station whose opening is not among the facts. No window names it."""


class OtherEvents(NamedTuple):
    """All other events in log order, one row each; the meaning of a column depends on the code.

    `day`: registered_on, completed_on, as_of, or the day of a raise or of people served. `amount`: minutes of a
    balance or raise, people served, a training tier (`TIERS`) or a station's kind (`STATION_KINDS`). `key`: the
    surrogate of a raise. `into`: the target of a merge. `opened_at`: the instant of a station's opening.
    """

    code: Bytes
    volunteer: Ints
    station: Ints
    project: Ints
    key: Ints
    day: Ints
    amount: Ints
    into: Ints
    opened_at: Instants


DTYPES = {
    "code": np.uint8,
    "changes": np.uint8,
    "marks": np.uint8,
    "occurred_at": np.uint32,
    "recorded_at": np.uint32,
    "check_in": np.uint32,
    "check_out": np.uint32,
    "opened_at": np.uint32,
}
"""The dtypes of columns of events; all others are int32."""


# --- resolved shifts ------------------------------------------------------------------------------------------------

# Flags of a resolved shift. None depends on the order in which scans were uploaded.
SCANNED_IN: Final = 1
SCANNED_OUT: Final = 2
MOVED: Final = 4
VOID: Final = 8
CORRECTED_IN: Final = 16
CORRECTED_OUT: Final = 32
IN_DISPUTE: Final = 64
TWO_CHECK_INS: Final = 128
TWO_CHECK_OUTS: Final = 256
CHECK_OUT_BEFORE_CHECK_IN: Final = 512
CHECK_OUT_ALONE: Final = 1024
FROM_IMPORT: Final = 2048
PUNCHED_IN: Final = 4096
PUNCHED_OUT: Final = 8192
"""A punch in that direction; both bits: without direction. The instant of a punch out that ends no shift yet stands in
both `check_in` and `check_out`."""
PUNCH: Final = PUNCHED_IN | PUNCHED_OUT

# Flags that depend on rules; pairing sets them.
PAIRED: Final = 16384
"""A shift that a punch ended, or the punch that ended it."""
DOUBLE_TAP: Final = 32768
"""The same scan as another one. With PAIRED: a punch between the first and the last of its day."""


class ResolvedShifts(NamedTuple):
    """The state of each shift and punch by all known events, indexed by its surrogate; independent of rules until they
    are paired.
    """

    volunteer: Ints
    station: Ints
    project: Ints
    check_in: Instants
    check_out: Instants
    recorded_at: Instants  # of the shift's first event
    flags: Flags


# Columns of the int32 array of shifts in a ShiftTable.
SHIFT: Final = 0
START: Final = 1
END: Final = 2
STATION: Final = 3
PROJECT: Final = 4
SCANNED: Final = 5
TIE: Final = 6
NUMBER: Final = 7
SHIFT_COLUMNS: Final = 8


class ShiftTable(NamedTuple):
    """Shifts that can earn something, by person and check-in minute.

    `rows[first[v]]` to `rows[first[v + 1]]`, int32[n, SHIFT_COLUMNS], are those of the person with number v; a number
    that was merged into another has none. NUMBER is the number under which a shift was recorded. TIE orders shifts with
    the same check-in minute by shift id. The END (minute; `NONE` without a check-out) is not part of the order here,
    because it may depend on rules.

    The columns of a shift are adjacent in memory, so that inserting it writes one cache line instead of eight (measured
    for six million shifts: 0.2 instead of 0.43 s).
    """

    first: Longs
    rows: Ints

    @property
    def shift(self) -> Ints:
        """The surrogate of each shift."""
        return self.rows[:, SHIFT]

    @property
    def start(self) -> Ints:
        """The minute of each check-in."""
        return self.rows[:, START]

    @property
    def end(self) -> Ints:
        """The minute of each check-out, `NONE` without one."""
        return self.rows[:, END]

    @property
    def station(self) -> Ints:
        """The station of each shift, `NONE` without one."""
        return self.rows[:, STATION]

    @property
    def project(self) -> Ints:
        """The project of each shift, `NONE` without one."""
        return self.rows[:, PROJECT]

    @property
    def scanned(self) -> Ints:
        """Whether each shift was scanned, 1 or 0."""
        return self.rows[:, SCANNED]

    @property
    def number(self) -> Ints:
        """The volunteer number under which each shift was recorded."""
        return self.rows[:, NUMBER]


class VolunteerTable(NamedTuple):
    """Facts of persons, indexed by the surrogate of the person's number. A number that was merged into another has no
    facts except `superseded_until`. `several`: whether the person has several numbers.

    `trained[v, t]` is the first day on which v had completed a tier of at least t + 1. `superseded_until`, by number:
    the day of that number's own opening balance. `balances[v]` to `balances[v + 1]` are the rows of v in `balance_day`
    (ascending) and `balance_minutes` (the total of v's balances up to this one). `raises[v]` to `raises[v + 1]` are the
    rows of v in `raise_day` (ascending) and `raise_minutes` (the greatest in force).
    """

    several: npt.NDArray[np.bool_]
    registered: Ints
    superseded_until: Ints
    balances: Longs
    balance_day: Ints
    balance_minutes: Ints
    trained: Ints
    raises: Longs
    raise_day: Ints
    raise_minutes: Ints


# --- pieces ---------------------------------------------------------------------------------------------------------

# Columns of the int32 array of pieces, one row per shift and local day. ROW is the row in the ShiftTable.
ROW: Final = 0
DAY: Final = 1
FIRST: Final = 2
RAW: Final = 3
SUPERSEDED: Final = 4
TOO_SHORT: Final = 5
CLIPPED: Final = 6
OVERLAPPED: Final = 7
CAPPED: Final = 8
COUNTED: Final = 9
SHARE: Final = 10
CREDITED: Final = 11
PIECE_COLUMNS: Final = 12

# Columns of a volunteer's hours, a station's day and a project's month: minutes, except the counts of shifts,
# volunteers and people.
HOURS_COLUMNS: Final = ("shifts", "raw", "counted", "credited", "scanned", "attested")
STATION_COLUMNS: Final = ("shifts", "volunteers", "raw", "counted", "credited", "people_served")
PROJECT_COLUMNS: Final = STATION_COLUMNS

# Columns of the int32 array of people served.
SERVED_STATION: Final = 0
SERVED_PROJECT: Final = 1
SERVED_DAY: Final = 2
SERVED_PEOPLE: Final = 3
