"""Compile the kernels before they are needed: this takes up to a minute, once for each version of them.

A tiny history is processed as requests and replays would, so that every kernel is compiled for the types of its arrays
and cached on disk. A marker file beside the cache says that this was done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from uuid import UUID

import msgspec
import numpy as np

from api.operations.service import DEFAULT_RULES
from ledger.aggregates import Event
from ledger.aggregates.opening_balance import OpeningBalanceRecorded
from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import VolunteerRegistered
from ledger.names import Position, shift_id_for
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import encode
from projections.compiled import announce, cache_directory
from projections.kernels.facts import Facts, facts_of
from projections.kernels.station_kinds import kinds_on
from projections.local_time import months_later
from projections.rules.timeline import RuleTimeline, parse_timeline, rules_digest
from projections.schema import NO_DAY
from projections.surrogates import ShiftNumbers
from replay.archive.log_columns import Dictionaries, columns_of
from replay.auditing.scans.checking import ScansOfChunk
from replay.cohorts.cohort import Cohort, Person, Shift
from replay.durable import umask_of_user
from replay.on_demand.organisation_sums import WHAT, sums_of
from replay.proof.entries import entry_of
from replay.published import Rules
from replay.records.belonging import places_of
from replay.what_if.comparison import Point, what_if

_MARKER = "warm"
_MORNING = 1543885200  # 2018-12-04T09:00+08:00
_VOLUNTEER, _STATION = "V0000001", "C01"


def warm(step: Callable[[str], None] = lambda _: None) -> bool:
    """Compile the kernels unless they are cached; return whether anything was compiled.

    Args:
        step: called with a message before the compilation begins.
    """
    marker = cache_directory() / _MARKER
    if marker.exists():
        return False
    announce(step)
    with umask_of_user():  # kernels are part of the program, for all who may run it
        compile_all(parse_timeline(DEFAULT_RULES.read_text("utf-8")))
        with suppress(OSError):  # a read-only installation compiles in each process
            marker.touch()
    return True


def compile_all(timeline: RuleTimeline) -> None:
    """Run every kernel once."""
    events = _history()
    facts = facts_of(events)
    facts.read_models(timeline)  # a rebuild
    _compare(facts)
    for what in WHAT:  # organisations
        sums_of(facts, places_of(()), {}, timeline, NO_DAY, what)
    columns_of(_lines(events), [event.TOPIC for event in events], 1, Dictionaries.empty())  # the archive
    ScansOfChunk([entry_of(_recorded(at, event)) for at, event in enumerate(events, 1)], 1)  # an audit
    _grow(ShiftNumbers())
    cohort = _cohort()
    cohort.read_models(timeline)  # the follower
    cohort.tables.pieces(_VOLUNTEER, timeline)  # the trace of a shift
    months_later(17_000, 12)  # an overview
    stations = facts.shifts.station
    kinds_on(stations, np.full(len(stations), 17_000, np.int32), facts.station_kinds(timeline))  # a spot check


def _compare(facts: Facts) -> None:
    """Compare two timelines."""
    text = DEFAULT_RULES.read_text("utf-8")
    one, other = (Rules(0, rules_digest(each), each) for each in (text, text.replace("= 150", "= 151")))
    what_if(Point(facts, one, Position(1)), Point(facts, other, Position(1)), threads=1)


def _grow(numbers: ShiftNumbers) -> None:
    """Number more shifts than the initial capacity."""
    shifts = 1 << 14
    words = np.arange(shifts, dtype=np.uint64)
    numbers.add(np.zeros(shifts, np.int32), words, words)


def _recorded(position: int, event: Event) -> RecordedEvent:
    topic, state = encode(event)
    return RecordedEvent(Position(position), UUID(bytes=event.stream_key), 1, topic, state)


def _history() -> Sequence[Event]:
    common = {"recorded_at": _MORNING, "by": "person:keeper", "command": "/warm#1"}
    shift = shift_id_for(_MORNING, "/warm#1")
    scan = {**common, "volunteer": _VOLUNTEER, "station": _STATION, "shift": shift}
    return [
        msgspec.convert({**common, "occurred_at": _MORNING, "station": _STATION, "kind": "city"}, StationOpened),
        msgspec.convert(
            {**common, "occurred_at": _MORNING, "volunteer": _VOLUNTEER, "registered_on": date(2016, 3, 5)},
            VolunteerRegistered,
        ),
        msgspec.convert(
            {
                **common,
                "occurred_at": _MORNING,
                "volunteer": _VOLUNTEER,
                "minutes": 60,
                "as_of": date(2010, 12, 31),
                "evidence": "paper-record",
            },
            OpeningBalanceRecorded,
        ),
        msgspec.convert({**scan, "occurred_at": _MORNING}, CheckedIn),
        msgspec.convert({**scan, "occurred_at": _MORNING + 3 * 3600}, CheckedOut),
        msgspec.convert({**scan, "occurred_at": _MORNING + 4 * 3600, "evidence": "forgotten"}, CheckedOut),
        *(
            msgspec.convert(
                {**scan, "occurred_at": at, "shift": shift_id_for(at, "/warm#2"), "direction": way}, Punched
            )
            for at, way in ((_MORNING + 5 * 3600, "in"), (_MORNING + 6 * 3600, "out"), (_MORNING + 7 * 3600, None))
        ),
    ]


def _punch(scan: Mapping[str, object], hours: int, direction: str | None) -> Event:
    at = _MORNING + hours * 3600
    own = {"occurred_at": at, "shift": shift_id_for(at, "/warm#2"), "direction": direction}
    return msgspec.convert({**scan, **own}, Punched)


def _lines(events: Sequence[Event]) -> bytes:
    """Return events as the archive reads them from PostgreSQL: one per line."""
    return b"\n".join(encode(event)[1] for event in events)


def _cohort() -> Cohort:
    shift = Shift(
        volunteer=_VOLUNTEER,
        shift=shift_id_for(_MORNING, "/warm#1"),
        station=_STATION,
        project=None,
        check_in=_MORNING,
        check_out=_MORNING + 3 * 3600,
        recorded_at=_MORNING,
        flags=3,
    )
    return Cohort(
        {_VOLUNTEER: Person(registered=17_000)}, {(_VOLUNTEER, shift.shift): shift}, {_STATION: {_MORNING: 1}}
    )


if __name__ == "__main__":
    if warm(lambda message: print(message, file=sys.stderr, flush=True)):
        print(f"compiled into {Path(cache_directory())}", file=sys.stderr)
