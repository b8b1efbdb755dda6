"""What events look like, for the service's description: a schema for each type, whose data is its command's.

Description only: what is taken is decided by the models (`api/messages/cloud_events.py`).
"""

from __future__ import annotations

from typing import Any

from api.messages.cloud_events import COMMAND_OF_TYPE, CloudEvent
from api.messages.examples import EVENT_EXAMPLE, EXAMPLES

_PLACE = "#/components/schemas/"
SCHEMA = {"$ref": f"{_PLACE}CloudEvent"}
"""Any event."""


def event_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by their names: `CloudEvent`, which is one of the others, and one for each type of event."""
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
        properties["time"] = {**properties["time"], "description": "Stands for `data.occurred_at` where data lacks it."}
    return {**schema, "title": f"{command.__name__}Event", "properties": properties}
