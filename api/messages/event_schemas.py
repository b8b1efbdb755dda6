"""Event schemas for the OpenAPI description: one for each type of event, whose data is its command's model.

Description only: validation is done by the models (`api/messages/cloud_events.py`).
"""

from __future__ import annotations

from typing import Any

from api.messages.cloud_events import COMMAND_OF_TYPE, CloudEvent
from api.messages.examples import EVENT_EXAMPLE, EXAMPLES

_PLACE = "#/components/schemas/"
SCHEMA = {"$ref": f"{_PLACE}CloudEvent"}
"""A reference to the schema of any event."""


def event_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by name: one for each type of event, and `CloudEvent`, which is any of them."""
    names = {event_type: f"{command.__name__}Event" for event_type, command in COMMAND_OF_TYPE.items()}
    schemas = {names[event_type]: _of_type(event_type) for event_type in names}
    mapping = {event_type: f"{_PLACE}{name}" for event_type, name in names.items()}
    schemas["CloudEvent"] = {
        "oneOf": [{"$ref": place} for place in mapping.values()],
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }
    return schemas


def event_examples() -> dict[str, dict[str, Any]]:
    """Return an example of each type of event, by the name of its command."""
    return {
        command.TYPE: {
            "summary": command.TYPE.replace("-", " ").capitalize(),
            "value": {**EVENT_EXAMPLE, "id": f"{command.TYPE}-17", "type": event_type, "data": EXAMPLES[command.TYPE]},
        }
        for event_type, command in COMMAND_OF_TYPE.items()
    }


def _of_type(event_type: str) -> dict[str, Any]:
    """Return the schema of one type of event."""
    command = COMMAND_OF_TYPE[event_type]
    schema = CloudEvent.model_json_schema()
    properties = {
        **schema["properties"],
        "type": {"const": event_type, "type": "string"},
        "data": {"$ref": f"{_PLACE}{command.__name__}"},
    }
    if "occurred_at" in command.model_fields:
        properties["time"] = {**properties["time"], "description": "Used as `data.occurred_at` if data omits it."}
    return {**schema, "title": f"{command.__name__}Event", "properties": properties}
