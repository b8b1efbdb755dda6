"""Events as stored bytes: topics and bytes are frozen, events come back as they went, old shapes are still read."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

import msgspec
import pydantic_core
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ledger.aggregates import COMMANDS, EVENTS, Event
from ledger.aggregates.request import ActRequested
from ledger.aggregates.rules import RulesPublished
from ledger.aggregates.shift import CheckedIn
from ledger.instants import EARLIEST_INSTANT, LATEST_INSTANT
from ledger.intake.prepare import content_digest
from ledger.store.mapper import UnknownTopicError, decode, encode
from tests.support.examples import examples
from tests.support.ledger.helpers import older_topics

FIXTURES = Path(__file__).parent.parent / "fixtures"

TOPICS = {
    "VolunteerRegistered": "volunteer-registered.v1",
    "VolunteerWithdrawn": "volunteer-withdrawn.v1",
    "VolunteerMerged": "volunteer-merged.v1",
    "VolunteerMergeUndone": "volunteer-merge-undone.v1",
    "TrainingCompleted": "training-completed.v1",
    "TrainingVoided": "training-voided.v1",
    "OrganisationJoined": "organisation-joined.v1",
    "OrganisationLeft": "organisation-left.v1",
    "OrganisationFounded": "organisation-founded.v1",
    "OrganisationRenamed": "organisation-renamed.v1",
    "OrganisationMoved": "organisation-moved.v1",
    "OrganisationEnded": "organisation-ended.v1",
    "StationOpened": "station-opened.v1",
    "StationRenamed": "station-renamed.v1",
    "StationClosed": "station-closed.v1",
    "ProjectLaunched": "project-launched.v1",
    "ProjectRenamed": "project-renamed.v1",
    "ProjectEnded": "project-ended.v1",
    "CheckedIn": "checked-in.v1",
    "CheckedOut": "checked-out.v1",
    "Punched": "punched.v1",
    "ShiftCorrected": "shift-corrected.v1",
    "ShiftVoided": "shift-voided.v1",
    "ShiftReinstated": "shift-reinstated.v1",
    "ShiftDisputed": "shift-disputed.v1",
    "DisputeAnswered": "dispute-answered.v1",
    "DisputeSettled": "dispute-settled.v1",
    "OpeningBalanceRecorded": "opening-balance-recorded.v1",
    "OpeningBalanceVoided": "opening-balance-voided.v1",
    "DayCapRaised": "day-cap-raised.v1",
    "DayCapRaiseWithdrawn": "day-cap-raise-withdrawn.v1",
    "PeopleServedCounted": "people-served-counted.v1",
    "ActRequested": "act-requested.v1",
    "ActApproved": "act-approved.v1",
    "ActDeclined": "act-declined.v1",
    "ActWithdrawn": "act-withdrawn.v1",
    "RulesPublished": "rules-published.v1",
    "RulesPutInForce": "rules-put-in-force.v1",
    "HonorAnnounced": "honor-announced.v1",
    "HonorObjected": "honor-objected.v1",
    "HonorObjectionSettled": "honor-objection-settled.v1",
    "HonorAwarded": "honor-awarded.v1",
    "HonorRevoked": "honor-revoked.v1",
    "CertificateIssued": "certificate-issued.v1",
    "CertificateRevoked": "certificate-revoked.v1",
}
"""Storage formats. A line may be added here; none may ever change."""


def test_topics_are_frozen() -> None:
    assert {event.__name__: topic for topic, event in EVENTS.items()} == TOPICS
    assert all(topic == event.TOPIC for topic, event in EVENTS.items())


# --- frozen bytes ---------------------------------------------------------------------------------------------------


def _frozen() -> list[tuple[str, bytes]]:
    """Return topics and states as ledgers hold them, written when events were pydantic's models: of each kind one event
    that says what it must and one that says all it can.
    """
    lines = (FIXTURES / "events.txt").read_bytes().split(b"\n")[:-1]
    return [(topic.decode(), state) for topic, _, state in (line.partition(b" ") for line in lines)]


FROZEN = _frozen()
FROZEN_CHECK_IN = dict(FROZEN[::2])["checked-in.v1"]


@pytest.mark.parametrize(("topic", "state"), FROZEN, ids=lambda value: value if isinstance(value, str) else "")
def test_the_bytes_of_an_event_are_frozen(topic: str, state: bytes) -> None:
    assert encode(decode(topic, state)) == (topic, state)


def test_of_every_kind_the_bytes_are_frozen_with_all_its_fields_in_their_order() -> None:
    assert [topic for topic, _ in FROZEN[::2]] == [topic for topic, _ in FROZEN[1::2]]
    assert {topic for topic, _ in FROZEN} == set(EVENTS)
    for (topic, least), (_, most) in zip(FROZEN[::2], FROZEN[1::2], strict=True):
        fields = msgspec.structs.fields(EVENTS[topic])
        assert list(json.loads(least)) == [field.name for field in fields if field.required]
        assert list(json.loads(most)) == [field.name for field in fields]


def test_bytes_are_compact_in_field_order_and_leave_defaults_out() -> None:
    event = CheckedIn(
        occurred_at=1_543_888_800, recorded_at=1_543_888_860, by="station:S1", command="urn:kiosk:1#7",
        volunteer="V0000001", shift=UUID("0167768d-5480-7f49-8f2c-1de6ee3ce2cc"), station="S1",
    )  # fmt: skip
    assert encode(event)[1] == (
        b'{"occurred_at":1543888800,"recorded_at":1543888860,"by":"station:S1","command":"urn:kiosk:1#7",'
        b'"volunteer":"V0000001","shift":"0167768d-5480-7f49-8f2c-1de6ee3ce2cc","station":"S1"}'
    )


def test_of_every_kind_of_command_the_digest_of_its_content_is_frozen() -> None:
    """An old order that is sent again is compared with it; the text is left out, as it is erasable."""
    kinds = []
    for line in (FIXTURES / "contents.txt").read_text("utf-8").splitlines():
        kind, digest, said = line.split(" ", 2)
        kinds.append(kind)
        assert content_digest(COMMANDS[kind].model_validate_json(said)).hex() == digest, kind
    assert sorted(kinds) == sorted(COMMANDS)


# --- there and back -------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,31}", fullmatch=True)
CODES = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)
INSTANTS = st.integers(EARLIEST_INSTANT, LATEST_INSTANT)
DIGESTS = st.from_regex(r"[0-9a-f]{32,64}", fullmatch=True)
FIELDS = {
    "occurred_at": INSTANTS,
    "recorded_at": INSTANTS,
    "by": st.sampled_from(["station:S1", "person:p-1", "system:import"]),
    "approved_by": st.sampled_from(["person:p-2", None]),
    "fields": st.dictionaries(NAMES, st.none() | st.integers(0, 1 << 31) | st.text() | st.lists(NAMES, max_size=2)),
    "command": st.from_regex(r"[!-\[\]-~]{1,60}", fullmatch=True),
    "check_in": INSTANTS,
    "check_out": INSTANTS,
    "minutes": st.integers(1, 1440),
    "reason": CODES,
    "name": st.sampled_from(["罗湖图书馆", 'East "gate"', "a" * 80]),
    "evidence": CODES,
    "content": CODES,
    "theme": CODES,
    "digest": DIGESTS,
    "note": DIGESTS,
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "imported": st.booleans(),
    "key": st.integers(1, (1 << 31) - 1),
    "shift": st.uuids(),
    "year": st.integers(2000, 2099),
    "certificate": st.sampled_from(["2018-000001", "2099-999999"]),
    "rank": st.integers(1, 10_000),
    "rules_version": st.integers(1, 1_000_000),
    "evidence_position": st.integers(1, 1_000_000),
    "credited_minutes": st.integers(1, 1_000_000),
}
"""Values for the fields whose types hypothesis cannot see into: patterns and ranges are in pydantic's annotations."""


def events(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Return a strategy for events of one kind, its optional fields given or left out."""
    fields = msgspec.structs.fields(kind)
    required = {field.name: _values(field.name, field.type) for field in fields if field.required}
    optional = {field.name: _values(field.name, field.type) for field in fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda said: msgspec.convert(said, kind))


def _values(name: str, annotation: object) -> st.SearchStrategy[object]:
    if name in FIELDS:
        return FIELDS[name]
    kind = _bare(annotation)
    if kind is date:
        return st.dates(date(2000, 1, 1), date(2099, 12, 31))
    if kind is int:
        return st.integers(1, 1_000_000)
    return NAMES if kind is str else st.from_type(kind)


def _bare(annotation: Any) -> Any:
    """Return a type without what may be left out and without its constraints."""
    while get_origin(annotation) is Annotated or NoneType in get_args(annotation):
        annotation = next(one for one in get_args(annotation) if one is not NoneType)
    return annotation


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.TOPIC)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_event_comes_back_as_it_was_stored(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events(kind))
    topic, state = encode(event)
    assert decode(topic, state) == event
    assert encode(decode(topic, state)) == (topic, state)


SAID: dict[str, Any] = {"occurred_at": 1_543_888_800, "recorded_at": 1_543_888_860, "by": "person:p", "command": "t#1"}
AWKWARD = "".join(
    map(chr, (*range(0x20), 0x22, 0x5C, 0x7F, 0x80, 0x85, 0x2028, 0x2029, 0xD7FF, 0xE000, 0xFFFF, 0x10FFFF))
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(EARLIEST_INSTANT, LATEST_INSTANT) | st.integers(EARLIEST_INSTANT, LATEST_INSTANT).map(float)
ASKED = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
"""What JSON may say in the fields of a command: numbers as instants are written."""


def hold_as_json(event: Event, fields: dict[str, Any]) -> None:
    """Hold an event to the JSON that says these fields: as Python writes it, and as pydantic wrote older ledgers."""
    topic, state = encode(event)
    assert state == json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    assert state == pydantic_core.to_json(fields)
    assert decode(topic, state) == event


@given(text=TEXT)
@example(text=AWKWARD)
def test_a_rule_file_is_stored_as_json_whatever_is_in_it(text: str) -> None:
    fields = {**SAID, "version": 1, "digest": "0" * 64, "text": text}
    hold_as_json(RulesPublished(**fields), fields)


@given(asked=st.dictionaries(TEXT, ASKED, max_size=4))
@example(asked={AWKWARD: [AWKWARD, {AWKWARD: None}]})
def test_what_was_asked_for_is_stored_as_json_whatever_it_says(asked: dict[str, Any]) -> None:
    fields = {**SAID, "request": "r1", "act": "settle-dispute", "fields": asked}
    hold_as_json(ActRequested(**fields), fields)


# --- older shapes, and what nobody knows ----------------------------------------------------------------------------


def test_a_check_in_of_the_pilot_is_read_in_its_present_shape() -> None:
    old = decode("checked-in.v0", (FIXTURES / "checked-in.v0.json").read_bytes())
    assert old == decode("checked-in.v1", (FIXTURES / "checked-in.v0.upcast.json").read_bytes())


def test_every_older_topic_is_out_of_use_and_has_a_fixture_that_is_read_as_its_present_kind() -> None:
    assert older_topics() == {"checked-in.v0": CheckedIn}
    for old, kind in older_topics().items():
        assert old not in EVENTS
        assert type(decode(old, (FIXTURES / f"{old}.json").read_bytes())) is kind


@pytest.mark.parametrize("topic", ["checked-in.v99", "checked-in.v00", "checked-in.v", "checked-in", "x.v0", ""])
def test_an_unknown_topic_says_so(topic: str) -> None:
    with pytest.raises(UnknownTopicError, match=f"topic '{topic}' is not known"):
        decode(topic, b"{}")


@pytest.mark.parametrize(
    "state",
    [
        b"{}",
        b'{"volunteer":"V1"}',
        b"[]",
        FROZEN_CHECK_IN.replace(b"1543888800", b'"1543888800"'),
        FROZEN_CHECK_IN.replace(b"1543888800", b"1543888800.5"),
        FROZEN_CHECK_IN.replace(b'"C01"', b"null"),
        FROZEN_CHECK_IN.replace(b'"station"', b'"sation"'),
        FROZEN_CHECK_IN.replace(b"}", b',"more":1}'),
        FROZEN_CHECK_IN.replace(b"-7f49-", b"-7f4-"),
    ],
)
def test_bytes_that_do_not_fit_their_topic_are_refused(state: bytes) -> None:
    assert issubclass(msgspec.ValidationError, ValueError)
    with pytest.raises(msgspec.ValidationError):
        decode("checked-in.v1", state)


@pytest.mark.parametrize("state", [b"", b"{", b"\xff", FROZEN_CHECK_IN[:-1], FROZEN_CHECK_IN + b"x"])
def test_bytes_that_are_no_json_are_refused(state: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode("checked-in.v1", state)
