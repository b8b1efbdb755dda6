"""The commands that can be imported, and the kind of each of their fields."""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "day", "number", "minutes", "instant", "end"]
"""`text`: names and codes; `end`: an instant that can also be given as a duration."""

KINDS: dict[str, Kind] = {
    "check_in": "instant",
    "check_out": "end",
    "occurred_at": "instant",
    "registered_on": "day",
    "withdrawn_on": "day",
    "joined_on": "day",
    "left_on": "day",
    "completed_on": "day",
    "founded_on": "day",
    "moved_on": "day",
    "ended_on": "day",
    "as_of": "day",
    "day": "day",
    "minutes": "minutes",
    "learning_minutes": "minutes",
    "people": "number",
    "volunteer": "text",
    "station": "text",
    "project": "text",
    "organisation": "text",
    "parent": "text",
    "provider": "text",
    "in_charge": "text",
    "shift": "text",
    "direction": "text",
    "raise_id": "text",
    "kind": "text",
    "theme": "text",
    "tier": "text",
    "content": "text",
    "evidence": "text",
    "reason": "text",
    "text": "text",
}
"""The kind of every field of these commands."""
