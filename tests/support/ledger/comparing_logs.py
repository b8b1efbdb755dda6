"""A ledger's log held to the log it should have, event by event, and to what is true of every log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

from ledger.names import Position
from ledger.store.database import Database
from tests.support.ledger.plain_log import Event

ABOUT = {
    "checked": ("volunteer", "shift"),
    "punched.v1": ("volunteer", "shift"),
    "shift": ("volunteer", "shift"),
    "dispute": ("volunteer", "shift"),
    "act": ("request",),
    "volunteer": ("volunteer",),
    "station": ("station",),
    "project": ("project",),
    "opening": ("volunteer",),
    "day": ("volunteer", "day"),
    "people": ("station", "project", "day"),
}
"""What the events of a stream have in common, by the first word of their topics."""


def recorded(database: Database) -> list[Event]:
    """Return the log as it is stored, held to what is true of every log."""
    rows = database.log.read(Position(0), 100_000)
    events = [{"topic": row.topic, **json.loads(row.state)} for row in rows]
    assert [row.position for row in rows] == list(range(1, len(rows) + 1)), "positions are dense"
    instants = [event["recorded_at"] for event in events]
    assert instants == sorted(instants), "recorded_at never goes back"
    subject_of: dict[UUID, object] = {}
    lengths = dict.fromkeys((row.stream_id for row in rows), 0)
    for row, event in zip(rows, events, strict=True):
        lengths[row.stream_id] += 1
        assert row.version == lengths[row.stream_id], "versions are dense"
        word = row.topic.partition("-")[0]
        subject = ABOUT[word], *(event.get(name) for name in ABOUT[word]), word if word == "opening" else ""
        assert subject_of.setdefault(row.stream_id, subject) == subject, "a stream is about one thing"
    assert len(set(subject_of.values())) == len(subject_of), "a thing has one stream"
    runs = groupby(
        enumerate(events, 1), key=lambda pair: (pair[1].get("approved_by") or pair[1]["by"], pair[1]["command"])
    )
    last_of = [(command, list(run)[-1][0]) for command, run in runs]
    assert len(dict(last_of)) == len(last_of), "a command's events stand together, once"
    with database.pool.connection() as connection:
        ends = connection.execute("SELECT position FROM ledger.commands ORDER BY position").fetchall()
        texts = connection.execute("SELECT digest FROM ledger.texts ORDER BY digest").fetchall()
    assert [place for (place,) in ends] == [place for _, place in last_of], "a command is answered with its last event"
    own_texts = [event for event in events if "note" in event and "approved_by" not in event]
    notes = [event["note"] for event in own_texts]
    asked = {event["note"] for event in own_texts if event["topic"] == "act-requested.v1"}
    assert {event["note"] for event in events if "note" in event and "approved_by" in event} <= asked
    assert sorted(notes) == [digest for (digest,) in texts], "each note has its text, which no other has"
    return [{**event, "note": True} if "note" in event else event for event in events]


def _name_in_realm(event: Event) -> tuple[str, str]:
    """Return who gave the command of an event, and its name: two may use the same name."""
    return event.get("approved_by") or event["by"], event["command"]


def assert_same(found: Sequence[Event], expected: Sequence[Event]) -> None:
    for place, (one, other) in enumerate(zip(found, expected, strict=False), 1):
        assert one == other, f"at position {place}"
    assert len(found) == len(expected)
