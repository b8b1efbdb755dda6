"""Training records of a volunteer, for people: those that stand, and those that were entered in error.

Pure: it takes a volunteer's events in log order.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger.aggregates import Event
from ledger.aggregates.volunteer import TrainingCompleted, TrainingVoided
from ledger.names import Position
from replay.axes.answers import TrainingRecord


def trainings_of(events: Iterable[tuple[Position, Event]]) -> list[TrainingRecord]:
    """Return the training records by date; a void takes back the earliest entered that says the same and stands."""
    found: list[TrainingRecord] = []
    owners: list[str] = []  # a person may have several numbers
    for position, event in events:
        match event:
            case TrainingCompleted():
                found.append(_record(position, event))
                owners.append(event.volunteer)
            case TrainingVoided():
                said = event.volunteer, event.tier, event.content, event.provider, event.completed_on
                place = next(
                    number
                    for number, one in enumerate(found)
                    if one.voided is None and (owners[number], *_said(one)) == said
                )
                found[place] = found[place].model_copy(update={"voided": event.reason})
            case _:
                pass
    return sorted(found, key=lambda one: (one.completed_on, one.position))


def _said(one: TrainingRecord) -> tuple[object, ...]:
    return one.tier, one.content, one.provider, one.completed_on


def _record(position: Position, event: TrainingCompleted) -> TrainingRecord:
    return TrainingRecord(
        tier=event.tier,
        content=event.content,
        learning_minutes=event.learning_minutes,
        provider=event.provider,
        completed_on=event.completed_on,
        by=event.by,
        position=position,
        voided=None,
    )
