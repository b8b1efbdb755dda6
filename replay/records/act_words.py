"""Acts in words: the values before and after, such as "check-out 12:00 → 12:30, +30 min".

All times are local. An approver reads this before deciding, and anybody who looks at a record reads it afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import JsonValue

from ledger.aggregates.dispute import SettleDispute
from ledger.aggregates.request import ActRequested
from ledger.aggregates.shift import Shift, ShiftCorrected, ShiftReinstated, ShiftVoided
from ledger.aggregates.shift_acts import AttestShift, CorrectShift, MoveShift, ReinstateShift, ShiftAct, VoidShift
from ledger.deciding.base import Command
from ledger.instants import EARLIEST_INSTANT, LATEST_INSTANT
from ledger.names import shift_stream

Fields = dict[str, JsonValue]

_INSTANTS = ("check_in", "check_out", "occurred_at")
_SILENT = {"volunteer", "shift", "reason", "occurred_at", "record_version"}
"""Fields that are shown elsewhere, or say nothing about what an act changes."""


class Words(NamedTuple):
    """What an act changes: the values before and after it, the change of the shift's raw minutes, and a sentence."""

    before: Fields
    after: Fields
    minutes: int | None
    sentence: str


def shift_command(command: Command) -> ShiftAct | AttestShift | None:
    """Return the command on a shift that a command executes, if any."""
    if isinstance(command, SettleDispute):
        return command.resulting_command()
    return command if isinstance(command, ShiftAct | AttestShift) else None


def words_of_request(requested: ActRequested, shift: Shift, zone: tzinfo) -> Words:
    """Return what a requested act changes.

    Args:
        shift: the state of the shift that it is about, when it was requested.
        zone: the time zone of local times.
    """
    command = requested.requested_command()
    on_shift = shift_command(command)
    if on_shift is None:
        fields: Fields = {name: with_local_times(name, value, zone) for name, value in requested.fields.items()}
        return Words({}, fields, None, in_words({}, fields))
    if isinstance(on_shift, AttestShift):
        entered = {"check_in": on_shift.check_in, "check_out": on_shift.check_out, "station": on_shift.station}
        after = {name: with_local_times(name, value, zone) for name, value in entered.items()}
        after |= {} if on_shift.project is None else {"project": on_shift.project}
        minutes = on_shift.check_out // 60 - on_shift.check_in // 60
        return Words({}, after, minutes, in_words({}, after, minutes))
    changed, more = _after(requested, on_shift, shift)
    before, after = shift_fields(shift, zone), shift_fields(changed, zone) | more
    before |= {"volunteer": on_shift.volunteer} if more else {}
    minutes = raw_minutes(changed) - raw_minutes(shift)
    before, after = differing(before, after)
    settled = f"dispute {command.outcome}: " if isinstance(command, SettleDispute) else ""
    return Words(before, after, minutes, settled + in_words(before, after, minutes, of_day(shift, changed, zone)))


def stream_of(requested: ActRequested) -> UUID | None:
    """Return the stream of the shift that a requested act is about; None for other acts, and for a new shift."""
    command = shift_command(requested.requested_command())
    return shift_stream(command.volunteer, command.shift) if isinstance(command, ShiftAct) else None


def _after(requested: ActRequested, command: ShiftAct, shift: Shift) -> tuple[Shift, Fields]:
    """Return the shift after a command, and the volunteer if it moves."""
    common: dict[str, Any] = {
        "occurred_at": requested.occurred_at,
        "recorded_at": requested.recorded_at,
        "by": requested.by,
        "command": requested.command,
        "volunteer": command.volunteer,
        "shift": command.shift,
        "reason": command.reason,
    }
    match command:
        case CorrectShift():
            values = {name: getattr(command, name) for name in command.changes}
            return shift.after(ShiftCorrected(**common, changes=command.changes, **values)), {}
        case VoidShift():
            return shift.after(ShiftVoided(**common)), {}
        case ReinstateShift():
            return shift.after(ShiftReinstated(**common)), {}
        case MoveShift():
            return shift, {"volunteer": command.to_volunteer}
        case _:
            return shift, {}


def shift_fields(shift: Shift, zone: tzinfo) -> Fields:
    """Return the values in force of a shift, with local times."""
    return {
        "check_in": with_local_times("check_in", shift.check_in, zone),
        "check_out": with_local_times("check_out", shift.check_out, zone),
        "station": shift.station,
        "project": shift.project,
        "void": shift.void is not None,
        "disputed": shift.disputed is not None,
    }


def differing(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> tuple[Fields, Fields]:
    """Return the fields whose values differ."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}


def raw_minutes(shift: Shift) -> int:
    """Return the raw minutes of a shift as far as no rule decides its end."""
    if shift.void or shift.check_in is None or shift.check_out is None:
        return 0
    return max(0, shift.check_out // 60 - shift.check_in // 60)


def of_day(one: Shift, other: Shift, zone: tzinfo) -> str | None:
    """Return the local day of a shift, if it stays on one."""
    begun = [
        datetime.fromtimestamp(shift.check_in, zone).date() for shift in (one, other) if shift.check_in is not None
    ]
    return begun[0].isoformat() if begun and begun[0] == begun[-1] else None


def minutes_and_day(one: Shift, other: Shift, zone: tzinfo) -> tuple[int, str | None]:
    """Return by how many raw minutes a shift differs before and after an act, and its local day."""
    return raw_minutes(other) - raw_minutes(one), of_day(one, other, zone)


def in_words(
    before: Mapping[str, JsonValue], after: Mapping[str, JsonValue], minutes: int | None = None, day: str | None = None
) -> str:
    """Return a change as a sentence: the shift's day, each field with both values, and the minutes."""
    parts = []
    for name, value in _spread(after).items():
        if name in _SILENT and name not in before:
            continue
        differs = name in before and before[name] != value
        told = f"{value_in_words(before[name], day)} → " if differs else ""
        parts.append(f"{name.replace('_', '-')} {told}{value_in_words(value, day)}")
    if minutes:
        parts.append(f"{'+' if minutes > 0 else '−'}{abs(minutes)} min")  # noqa: RUF001 - a minus sign, as people write it
    return (f"{day}: " if day and parts else "") + ", ".join(parts)


def _spread(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields without `changes`, whose names have their values beside them; a name without one clears a field."""
    changes = fields.get("changes")
    cleared = dict.fromkeys(changes) if isinstance(changes, list | tuple) else {}
    return cleared | {name: value for name, value in fields.items() if name != "changes" or not cleared}


def value_in_words(value: object, day: str | None = None) -> str:
    """Return a value as people read it; an instant to the minute, without its date if that is the day named before."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " and ".join(value_in_words(each, day) for each in value)
    if isinstance(value, dict):
        return ", ".join(
            f"{name.replace('_', '-')} {value_in_words(each, day)}" for name, each in _spread(value).items()
        )
    return _instant_in_words(value, day) if isinstance(value, str) else str(value)


def _instant_in_words(value: str, day: str | None) -> str:
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return value
    if instant.tzinfo is None:
        return value
    return f"{instant:%H:%M}" if instant.date().isoformat() == day else f"{instant:%Y-%m-%d %H:%M}"


def with_local_times(name: str, value: Any, zone: tzinfo) -> JsonValue:
    """Return a value as answers hold it: instants as local ISO 8601 text, also inside other values."""
    if isinstance(value, dict):
        return {inner: with_local_times(inner, each, zone) for inner, each in value.items()}
    if name in _INSTANTS and isinstance(value, int) and EARLIEST_INSTANT <= value <= LATEST_INSTANT:
        return datetime.fromtimestamp(value, zone).isoformat()
    shown: JsonValue = value
    return shown
