"""Punch logs: what the rules in force make of the punches of a file, for a dry run.

The punches are paired with what the ledger has of the same volunteers, whose numbers may have been merged. Nothing is
recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from api.importing.running import Outcome
from api.operations.service import OpenLedger
from ledger.aggregates import Order
from ledger.aggregates.scans import Punch
from ledger.aggregates.shift import Punched
from ledger.names import Position, instant_text, shift_id_for
from projections.schema import CHECK_OUT_ALONE, DOUBLE_TAP, PAIRED
from replay.cohorts.cohort import Cohort, ShiftKey, read_cohort, resolve_events
from replay.cohorts.shift_columns import ShiftNames, Shifts
from replay.generations.store import NoGenerationError

EXAMPLES_MAX = 10
VOLUNTEERS_AT_ONCE = 1000


class PairingSummary(NamedTuple):
    """How many shifts the rules make of a file's punches, their raw minutes, and how many punches are left over, by
    reason; with a few of each as examples.
    """

    shifts: int
    minutes: int
    left_over: dict[str, int]
    examples: list[dict[str, object]]


class PunchLog:
    """The punches of a file that the ledger would accept."""

    def __init__(self) -> None:
        self._punches: dict[str, list[Punched]] = {}

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Add the accepted punches of a slice; duplicates are in the ledger already."""
        for outcome in outcomes:
            order = outcome.line.order
            if outcome.word == "accepted" and isinstance(order, Order) and isinstance(order.command, Punch):
                event = _event(order, order.command)
                self._punches.setdefault(event.volunteer, []).append(event)

    def __bool__(self) -> bool:
        return bool(self._punches)

    def paired(self, ledger: OpenLedger) -> PairingSummary | None:
        """Pair the punches; None if the ledger has no read models yet, and so no rules in force."""
        shifts = minutes = 0
        left_over: Counter[str] = Counter()
        examples: list[dict[str, object]] = []
        names = sorted(self._punches)
        for start in range(0, len(names), VOLUNTEERS_AT_ONCE):
            try:
                found = self._outcomes(ledger, names[start : start + VOLUNTEERS_AT_ONCE])
            except NoGenerationError:
                return None
            for outcome, raw, example in found:
                if outcome == "shift":
                    shifts += 1
                    minutes += raw
                else:
                    left_over[outcome] += 1
                if sum(one["outcome"] == outcome for one in examples) < EXAMPLES_MAX:
                    examples.append({"outcome": outcome, **example})
        return PairingSummary(shifts, minutes, dict(left_over), examples)

    def _outcomes(self, ledger: OpenLedger, volunteers: Sequence[str]) -> list[tuple[str, int, dict[str, object]]]:
        """Return the outcome of each punch that is no end of a shift, with its raw minutes and what to show of it."""
        timeline = ledger.current_generation().timeline()
        with ledger.database.pool.connection() as connection:
            known = read_cohort(connection, volunteers)
        own = [event for name in volunteers for event in self._punches[name]]
        new = resolve_events((Position(number), event) for number, event in enumerate(own, 1))
        recorded = known.shifts if isinstance(known.shifts, Shifts) else Shifts.of(known.shifts.values())
        shifts = Shifts.joined(ShiftNames.starting_with(known.persons, known.kinds), [recorded.without(new), new])
        tables = Cohort(known.persons, shifts, known.kinds, merges=known.merges).tables.paired(timeline)
        found: list[tuple[str, int, dict[str, object]]] = []
        for event in own:
            key: ShiftKey = event.volunteer, event.shift
            punch, end = tables.columns[key], tables.partner_of(key)
            if punch.check_in is None and punch.flags & PAIRED:
                continue  # it is the end of a shift
            raw = 0 if not punch.check_in or not punch.check_out else punch.check_out // 60 - punch.check_in // 60
            outcome = _outcome(punch.flags, ended=end is not None)
            shown: dict[str, object] = {
                "volunteer": event.volunteer,
                "station": event.station,
                "at": instant_text(event.occurred_at),
                "until": instant_text(punch.check_out) if end is not None and punch.check_out else None,
                "minutes": raw if outcome == "shift" else None,
            }
            found.append((outcome, raw, shown))
        return found


def _outcome(flags: int, *, ended: bool) -> str:
    if flags & DOUBLE_TAP:
        return "between-first-and-last" if flags & PAIRED else "double-tap"
    if ended:
        return "shift"
    return "check-out-without-check-in" if flags & CHECK_OUT_ALONE else "no-check-out"


def _event(order: Order, command: Punch) -> Punched:
    """Return the event that the ledger would record."""
    return Punched(
        occurred_at=command.occurred_at,
        recorded_at=command.occurred_at,
        by=order.by,
        command=order.name,
        imported=True,
        volunteer=command.volunteer,
        shift=shift_id_for(command.occurred_at, order.name),
        station=command.station,
        direction=command.direction,
        project=command.project,
        evidence="typed",
    )
