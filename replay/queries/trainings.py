"""Training records of a volunteer: the valid ones, and those that were voided as errors.

Pure: computed from a volunteer's events in log order.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger.aggregates import Event
from ledger.aggregates.volunteer import TrainingCompleted, TrainingVoided
from ledger.names import Position
from replay.axes.answers import TrainingRecord


def trainings_of(events: Iterable[tuple[Position, Event]]) -> list[TrainingRecord]:
    """Return the training records by date. A void applies to the first valid record with the same content."""
    records: list[TrainingRecord] = []
    owners: list[str] = []  # a person may have several numbers
    for position, event in events:
        match event:
            case TrainingCompleted():
                records.append(_record(position, event))
                owners.append(event.volunteer)
            case TrainingVoided():
                content = event.volunteer, event.tier, event.content, event.provider, event.completed_on
                place = next(
                    number
                    for number, record in enumerate(records)
                    if record.voided is None and (owners[number], *_content(record)) == content
                )
                records[place] = records[place].model_copy(update={"voided": event.reason})
            case _:
                pass
    return sorted(records, key=lambda record: (record.completed_on, record.position))


def _content(record: TrainingRecord) -> tuple[object, ...]:
    return record.tier, record.content, record.provider, record.completed_on


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
