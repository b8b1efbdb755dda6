"""What a sender says of itself: no request is exempt by its own word, what a person types is attested, names have
owners.

Each test goes through a table of the ways in, not through one example.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response

from api.access.keys import Import
from api.access.roles import COMMANDS_OF_ROLE, IMPORTED_COMMANDS, ROLES_OF_RIGHT, Right, Role
from api.messages.cloud_events import EVENT, event_type
from api.messages.examples import EXAMPLES
from ledger.aggregates import COMMANDS, Order, Sender
from ledger.aggregates.scans import SCANS
from ledger.intake.answers import Accepted
from tests.support.api.conferring import GIVEN, Clock
from tests.support.api.serving import STATION, Served, take
from tests.support.ledger.orders import order_of

pytest_plugins = ["tests.support.api.fixtures"]

NDJSON = "application/x-ndjson"
LISTS = "/imports/lists"
AN_HOUR = timedelta(hours=1)


@dataclass
class Key:
    """A key of its own, and the ways in which it sends one event."""

    served: Served
    token: str

    def headers(self, media_type: str = "application/json", **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": media_type} | more

    def structured(self, event: dict[str, Any]) -> dict[str, Any]:
        return self._told(self._post(json.dumps(event), EVENT))

    def batch(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self._post(json.dumps([event]), "application/cloudevents-batch+json")
        told: dict[str, Any] = answer.json()["answers"][0] if answer.status_code == 200 else self._told(answer)
        return told

    def stream(self, event: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._post(json.dumps(event) + "\n", NDJSON).text.splitlines()[0])
        return told

    def binary(self, event: dict[str, Any]) -> dict[str, Any]:
        attributes = {f"ce-{name}": json.dumps(value).strip('"') for name, value in event.items() if name != "data"}
        headers = self.headers() | attributes
        return self._told(self.served.client.post("/v1/events", content=json.dumps(event["data"]), headers=headers))

    def rest(self, event: dict[str, Any]) -> dict[str, Any]:
        command = event["type"].removeprefix("org.service-hours.").removesuffix(".v1")
        headers = self.headers(**{"Idempotency-Key": event["id"]})
        return self._told(self.served.client.post(f"/v1/commands/{command}", json=event["data"], headers=headers))

    def _post(self, body: str, media_type: str) -> Response:
        return self.served.client.post("/v1/events", content=body, headers=self.headers(media_type))

    def _told(self, answer: Response) -> dict[str, Any]:
        return dict(answer.json()) | {"outcome": "accepted" if answer.status_code in {200, 201} else "refused"}


Way = Callable[[Key, dict[str, Any]], dict[str, Any]]
WITH_SOURCE: list[Way] = [Key.structured, Key.batch, Key.stream, Key.binary]
WAYS: list[Way] = [*WITH_SOURCE, Key.rest]


def key_of(served: Served, role: Role, name: str | None = None, **more: Any) -> Key:
    name = name or f"n{uuid4().hex[:10]}"
    return Key(served, served.ledger.keys.make(role, name, per_second=10_000, **more)[1])


def event_of(command: str, source: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an event with a name that was not used before."""
    return {"specversion": "1.0", "id": uuid4().hex, "source": source, "type": event_type(command), "data": data} | more


def balance(served: Served) -> dict[str, Any]:
    return {"volunteer": served.volunteer(), "minutes": 200_000, "as_of": "2016-06-01", "evidence": "paper-list"}


# --- importing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WITH_SOURCE)
@pytest.mark.parametrize("role", list(Role))
def test_no_key_calls_its_records_old_that_was_not_given_an_import(served: Served, role: Role, way: Way) -> None:
    name = {Role.STATION: STATION, Role.VOLUNTEER: "V0000001"}.get(role)
    head = served.ledger.log.head()
    for command in sorted(COMMANDS_OF_ROLE[role] - SCANS):
        told = way(key_of(served, role, name), event_of(command, LISTS, EXAMPLES[command], imported=True))
        assert (told["outcome"], told["rejection"]) == ("refused", "forbidden"), command
    assert served.ledger.log.head() == head


@pytest.mark.parametrize("way", WITH_SOURCE)
@pytest.mark.parametrize("role", sorted(ROLES_OF_RIGHT[Right.IMPORT]))
def test_an_import_is_for_one_source_and_what_tables_hold_and_a_time(served: Served, role: Role, way: Way) -> None:
    until = datetime.now(UTC) + AN_HOUR
    key, ended = (key_of(served, role, imports=Import(LISTS, end)) for end in (until, until - 2 * AN_HOUR))
    told = way(ended, event_of("record-opening-balance", LISTS, balance(served), imported=True))
    assert (told["rejection"], told["field"]) == ("forbidden", "imported")
    told = way(key, event_of("record-opening-balance", "/imports/other", balance(served), imported=True))
    assert (told["rejection"], told["field"]) == ("forbidden", "source")
    told = way(key, event_of("record-opening-balance", LISTS, balance(served)))
    assert told["rejection"] == "needs-approval"  # what does not call itself old is no part of the import
    told = way(key, event_of("record-opening-balance", LISTS, balance(served), imported=True))
    assert told["outcome"] == "accepted"
    for command in sorted(COMMANDS_OF_ROLE[role] - set(IMPORTED_COMMANDS)):
        told = way(key, event_of(command, LISTS, EXAMPLES[command], imported=True))
        assert (told["rejection"], told["field"]) == ("forbidden", "imported"), command


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", [Role.STAFF, Role.ADMIN, Role.HONORS_OFFICER])
def test_no_honour_is_announced_without_evidence_or_awarded_before_its_notice_ends(
    served: Served, role: Role, way: Way
) -> None:
    key, volunteer, award = key_of(served, role), served.volunteer(), f"star-1-{uuid4().hex[:8]}"
    bare = {"award": award, "honor": "star-1", "volunteer": volunteer, "occurred_at": "2018-01-02T09:00:00+08:00"}
    assert way(key, event_of("announce-honor", "/books", bare))["rejection"] == "no-evidence"
    head = served.ledger.log.head()
    evidence = {"rules_version": 1, "evidence_position": head, "credited_minutes": 6_000_000}
    assert way(key, event_of("announce-honor", "/books", bare | evidence))["outcome"] == "accepted"
    conferred = {"award": award, "awarded_on": "2018-12-01", **evidence}
    assert way(key, event_of("award-honor", "/books", conferred))["rejection"] == "notice-runs"


# --- scans ----------------------------------------------------------------------------------------------------------


TYPING = {role for role, commands in COMMANDS_OF_ROLE.items() if commands & SCANS and role is not Role.STATION}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", sorted(SCANS))
@pytest.mark.parametrize("role", sorted(TYPING))
def test_what_a_person_types_is_attested(served: Served, role: Role, command: str, way: Way) -> None:
    served.volunteer()  # of the example
    told = way(key_of(served, role), event_of(command, "/desk", EXAMPLES[command] | {"volunteer": served.volunteer()}))
    assert told["outcome"] == "accepted", told
    assert served.ledger.queries.event(told["position"]).event["evidence"] == "typed"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", sorted(SCANS))
@pytest.mark.parametrize("role", sorted(set(Role) - TYPING - {Role.STATION, Role.VOLUNTEER}))
def test_who_enters_no_shifts_types_no_scan(served: Served, role: Role, command: str, way: Way) -> None:
    told = way(key_of(served, role), event_of(command, "/desk", EXAMPLES[command]))
    assert (told["outcome"], told["rejection"]) == ("refused", "forbidden")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", sorted(SCANS))
def test_nobody_types_scans_of_their_own(served: Served, command: str, way: Way) -> None:
    volunteer = served.volunteer()
    key = key_of(served, Role.STAFF, volunteer=volunteer)
    told = way(key, event_of(command, "/desk", EXAMPLES[command] | {"volunteer": volunteer}))
    assert (told["outcome"], told["rejection"]) == ("refused", "own-hours")


# --- orders ---------------------------------------------------------------------------------------------------------


def test_neither_a_sender_nor_an_order_has_a_field_that_may_be_left_out() -> None:
    for made in (Sender, Order):
        assert not made._field_defaults
        assert all(one.default is one.empty for one in inspect.signature(made).parameters.values())


@pytest.mark.parametrize("way", WAYS)
def test_the_volunteer_who_holds_a_key_is_known_whatever_way_it_is_used(served: Served, way: Way) -> None:
    """An act on one's own hours is refused in each way, so each says whose key it was."""
    volunteer = served.volunteer()
    shift, _ = served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T10:00:00+08:00")
    key = key_of(served, Role.STAFF, volunteer=volunteer)
    about = {"volunteer": volunteer, "shift": str(shift), "reason": "mine"}
    told = way(key, event_of("void-shift", "/desk", about))
    assert (told["outcome"], told["rejection"]) == ("refused", "own-hours")


def planned(step: str, **recipients: Any) -> Way:
    """Return the way by which an honour is conferred by its name."""

    def ask(key: Key, event: dict[str, Any]) -> dict[str, Any]:
        body = recipients or {"volunteer": event["data"]["volunteer"]}
        answer = key.served.client.post(f"/v1/honors/star-1/{step}", json=body, headers=key.headers()).json()
        refused = [one["problem"] for one in answer["outcomes"] if one["problem"]]
        return refused[0] if refused else {"rejection": None}

    return ask


def asked_for(key: Key, event: dict[str, Any]) -> dict[str, Any]:
    """Ask for the act, for another person to approve."""
    act = event["type"].removeprefix("org.service-hours.").removesuffix(".v1")
    fields = {name: value for name, value in event["data"].items() if name != "volunteer"}
    return key.rest(event_of("request-act", "", {"request": uuid4().hex, "act": act, "fields": fields}))


def approved(key: Key, event: dict[str, Any]) -> dict[str, Any]:
    """Approve the act that another officer asked for."""
    asked = key_of(key.served, Role.HONORS_OFFICER)
    request, act = uuid4().hex, event["type"].removeprefix("org.service-hours.").removesuffix(".v1")
    fields = {name: value for name, value in event["data"].items() if name != "volunteer"}
    told = asked.rest(event_of("request-act", "", {"request": request, "act": act, "fields": fields}))
    assert told["outcome"] == "accepted", told
    return key.rest(event_of("approve-act", "", {"request": request}))


CONFERRING: dict[str, list[tuple[Way, str]]] = {
    "announce-honor": [
        *((way, "own-honor") for way in WAYS),
        (planned("announcements"), "own-honor"),
        (planned("announcements", all_eligible=True), "own-honor"),
    ],
    "settle-honor-objection": [(way, "own-honor") for way in WAYS],
    "award-honor": [
        *((way, "own-honor") for way in WAYS),
        (planned("awards"), "own-honor"),
        (planned("awards", all_due=True), "own-honor"),
        (asked_for, "own-honor"),
        (approved, "own-hours"),
    ],
}
"""Each step by which an honour is conferred: the ways in, and the refusal of one's own honour."""


@pytest.mark.parametrize("role", [Role.HONORS_OFFICER, Role.STAFF, Role.ADMIN])
def test_an_officer_does_not_confer_an_honour_on_themselves_by_any_address(
    conferred: tuple[Served, Clock], role: Role
) -> None:
    served, clock = conferred
    own = served.get("/v1/honors/star-1/eligible").json()["eligible"][0]["name"]
    key, other, third = key_of(served, role, volunteer=own), key_of(served, role), key_of(served, role)
    evidence = {"rules_version": 1, "evidence_position": served.ledger.log.head(), "credited_minutes": 6_000}
    award = {"award": "star-1-own", "volunteer": own}
    announcement = {**award, "honor": "star-1", **evidence}

    def refused(step: str, fields: dict[str, Any]) -> None:
        for way, of_own in CONFERRING[step]:
            rejection = (
                "forbidden" if way is approved and role is Role.HONORS_OFFICER else of_own
            )  # it approves nothing
            sent = fields if way not in WAYS or step == "announce-honor" else _without_volunteer(fields)
            told = way(key, event_of(step, "/desk", sent))
            assert told["rejection"] == rejection, (step, way, told)

    refused("announce-honor", announcement)
    assert other.rest(event_of("announce-honor", "", announcement))["outcome"] == "accepted"
    objection = {"award": "star-1-own", "reason": "too-early"}
    assert third.rest(event_of("object-to-honor", "", objection))["outcome"] == "accepted"
    settlement = {"award": "star-1-own", "objection": 1, "outcome": "rejected", "reason": "looked-into"}
    refused("settle-honor-objection", settlement)
    told = third.rest(event_of("settle-honor-objection", "", settlement))
    assert told["rejection"] == "same-hands"  # nor does who objected, or who announced
    assert other.rest(event_of("settle-honor-objection", "", settlement))["rejection"] == "same-hands"
    fourth = key_of(served, role)
    assert fourth.rest(event_of("settle-honor-objection", "", settlement))["outcome"] == "accepted"
    clock.move_to(GIVEN)
    refused("award-honor", {**award, "awarded_on": GIVEN.isoformat(), **evidence})
    conferral = _without_volunteer({**award, "awarded_on": GIVEN.isoformat(), **evidence})
    assert other.rest(event_of("award-honor", "", conferral))["outcome"] == "accepted"


def _without_volunteer(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "volunteer"}


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WITH_SOURCE)
@pytest.mark.parametrize("role", [Role.CORRECTOR, Role.STAFF, Role.ADMIN])
def test_nobody_takes_a_name_of_another(served: Served, role: Role, way: Way) -> None:
    counts = {"station": STATION, "day": "2018-12-04", "people": 40, "reason": "counted"}
    for source in (f"/stations/{STATION}", f"/callers/station:{STATION}", "urn:x", "/imports/lists"):
        first = event_of("count-people-served", source, counts)
        told = way(key_of(served, role), first)
        assert told["outcome"] == "accepted"
        other = key_of(served, Role.STATION, STATION) if STATION in source else key_of(served, role)
        told = way(other, first | {"data": counts | {"people": 41}})
        assert (told["outcome"], told["duplicate"]) == ("accepted", False), source


def test_a_name_answered_before_names_had_realms_is_a_duplicate_for_its_sender_alone(served: Served) -> None:
    ledger, name = served.ledger, uuid4().hex
    command = COMMANDS["count-people-served"].model_validate(
        {"station": STATION, "day": "2018-12-03", "people": 4, "reason": "counted"}
    )
    orders = {who: order_of(command, "urn:old", name, f"person:{who}") for who in ("li.wei", "chen")}
    (first,) = ledger.intake.execute([orders["li.wei"]])
    assert isinstance(first, Accepted)
    with ledger.database.pool.connection() as connection:  # as earlier versions stored it: the digest without the actor
        connection.execute(
            "UPDATE ledger.commands SET name = %s::uuid WHERE position = %s",
            (_former(f"urn:old#{name}"), first.position),
        )
    ledger.intake._memory.invalidate()
    again, other = ledger.intake.execute(list(orders.values()))
    assert again == first._replace(duplicate=True)
    assert isinstance(other, Accepted)
    assert not other.duplicate


def _former(name: str) -> str:
    from hashlib import blake2b  # noqa: PLC0415 - written out here, as it is a storage format

    return blake2b(name.encode(), digest_size=16).hexdigest()


PERSONAL = ["13800138000", "tablet-138.0013.8000", "+8613800138000", "440303199001011234", "zhang@example.org"]


@pytest.mark.parametrize("name", PERSONAL)
def test_nothing_personal_names_a_command(served: Served, name: str) -> None:
    key, counts = key_of(served, Role.STAFF), {"station": STATION, "day": "2018-12-04", "people": 4, "reason": "x"}
    for way in WITH_SOURCE:
        for field in ("id", "source"):
            if field == "source" and " " in name:
                continue
            told = way(key, event_of("count-people-served", "/desk", counts) | {field: name})
            assert (told["rejection"], told["field"]) == ("invalid", field), (way, field)
    told = key.rest(event_of("count-people-served", "/desk", counts) | {"id": name})
    assert (told["rejection"], told["field"]) == ("invalid", "Idempotency-Key")


def test_li_wei_does_not_approve_what_li_wei_asked_for_however_it_is_written(served: Served) -> None:
    volunteer = served.volunteer()
    asked = {"volunteer": volunteer, "minutes": 60, "as_of": "2016-06-01", "evidence": "paper-list"}
    request = {"request": uuid4().hex, "act": "record-opening-balance", "fields": asked}
    assert isinstance(take(served.ledger, "request-act", request, "person:li.wei1"), Accepted)
    for name in ("Li.Wei1", "li-wei1", "li.weil", "LI_WEII"):
        told = key_of(served, Role.APPROVER, name).rest(event_of("approve-act", "", {"request": request["request"]}))
        assert told["rejection"] == "own-request", name
    told = key_of(served, Role.APPROVER, "li.wei2").rest(event_of("approve-act", "", {"request": request["request"]}))
    assert told["outcome"] == "accepted"
