"""An event is at most as large as an entry of the transparency log may be: a larger one is refused by name."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from ledger.aggregates import COMMANDS
from ledger.aggregates.rules import PublishRules
from ledger.deciding.base import Noted
from ledger.deciding.policies import ApprovableAct
from ledger.intake.answers import Accepted
from ledger.intake.intake import Intake
from ledger.intake.rehearsal import Rehearsal
from ledger.names import Position
from ledger.rejections import Refused, Rejection
from ledger.store.database import Database
from ledger.store.log_queries import ENTRY_BYTES_MAX
from replay.proof.entries import entry_of
from tests.support.ledger.orders import order_of

NOW = 1_544_000_000


def publish(length: int) -> PublishRules:
    """A timeline, as far as the ledger reads it, of this many characters."""
    head = 'name = "x"\ntime_zone = "Asia/Shanghai"\n# '
    return PublishRules(text=head + "x" * (length - len(head)), occurred_at=NOW)


def largest(database: Database) -> int:
    return max((len(entry_of(event)) for event in database.log.read(Position(0), 1000)), default=0)


def room(intake: Intake, database: Database) -> int:
    """Return how many characters of text make the largest entry that is allowed."""
    (answer,) = intake.execute([order_of(publish(1000), "/t", "a", "person:p1")])
    assert isinstance(answer, Accepted)
    return ENTRY_BYTES_MAX - largest(database) + 1000


def test_the_largest_event_that_an_entry_holds_is_recorded_and_a_byte_more_is_refused(database: Database) -> None:
    intake = Intake(database, lambda: NOW)
    length = room(intake, database)
    (larger, largest_one) = intake.execute(
        [
            order_of(publish(length + 1), "/t", "b", "person:p1"),
            order_of(publish(length), "/t", "c", "person:p1"),
        ]
    )
    assert isinstance(larger, Refused)
    assert (larger.rejection, larger.field, larger.retry) == (Rejection.EVENT_TOO_LARGE, "text", False)
    assert "65,535 bytes" in larger.detail
    assert isinstance(largest_one, Accepted)
    assert largest(database) == ENTRY_BYTES_MAX
    assert database.log.entries(0, 2).longest == ENTRY_BYTES_MAX


def test_what_is_refused_leaves_nothing_and_its_name_is_free(database: Database) -> None:
    intake = Intake(database, lambda: NOW)
    large = order_of(publish(70_000), "/t", "a", "person:p1")
    assert isinstance(intake.execute([large])[0], Refused)
    assert database.log.head() == 0
    small = order_of(publish(1000), "/t", "a", "person:p1")
    assert isinstance(intake.execute([small])[0], Accepted)


def test_a_rehearsal_refuses_it_too(database: Database) -> None:
    order = order_of(publish(70_000), "/t", "a", "person:p1")
    (answer,) = Rehearsal(database, lambda: NOW).execute([order])
    assert isinstance(answer, Refused)
    assert answer.rejection is Rejection.EVENT_TOO_LARGE


# --- every kind of command ------------------------------------------------------------------------------------------

UNBOUNDED = 10**6
_AT_MOST = re.compile(r"\{(?:[0-9]+,)?([0-9]+)\}")


def longest(schema: dict[str, Any], defs: dict[str, Any]) -> int:  # noqa: PLR0911 - one for each kind of schema
    """Return how many bytes the JSON of a schema takes at most; UNBOUNDED and more if nothing bounds it."""
    if reference := schema.get("$ref"):
        return longest(defs[reference.rpartition("/")[2]], defs)
    if options := [each for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())]:
        return max(longest(each, defs) for each in options)
    match schema.get("type"):
        case "string":
            if "enum" in schema:
                return max(len(each) for each in schema["enum"]) + 2
            if schema.get("format") in {"date", "date-time", "uuid"}:
                return 40
            if "maxLength" in schema:
                return 12 * int(schema["maxLength"]) + 2  # a character is at most two escapes of six bytes
            numbers = [int(found) for found in _AT_MOST.findall(schema.get("pattern", ""))]
            return sum(numbers) + 3 if numbers else UNBOUNDED
        case "array":
            items = schema.get("items", {})  # of an enumeration, each is named once
            number = schema.get("maxItems", len(items["enum"]) if "enum" in items else UNBOUNDED)
            return int(number) * (1 + longest(items, defs))
        case "object":
            fields = schema.get("properties", {})
            return 2 + sum(len(name) + 4 + longest(each, defs) for name, each in fields.items())
        case _:
            return 25


def longest_of(command_type: str) -> int:
    """Return how many bytes the fields of a command take at most in an event, which holds no free text."""
    schema = COMMANDS[command_type].model_json_schema()
    if issubclass(COMMANDS[command_type], Noted):
        del schema["properties"]["text"]
    return longest(schema, schema.get("$defs", {}))


COMMON_BYTES_MAX = 2_000
"""What an event holds besides: instants, actors, the name of the command."""


@pytest.mark.parametrize("command_type", sorted(COMMANDS))
def test_the_largest_command_of_each_kind_makes_an_event_that_fits(command_type: str) -> None:
    if command_type == "publish-rules":
        assert longest_of(command_type) > ENTRY_BYTES_MAX  # see above
    else:  # a request holds the fields of the act that is asked for
        requested = max(longest_of(other) for other in COMMANDS if other != "publish-rules")
        of_request = requested if command_type == "request-act" else 0
        assert longest_of(command_type) + of_request + COMMON_BYTES_MAX < ENTRY_BYTES_MAX


def test_no_request_asks_for_the_one_command_of_any_size() -> None:
    assert PublishRules not in get_args(ApprovableAct)
