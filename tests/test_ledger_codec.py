"""Events as stored bytes: topics are frozen, bytes come back as they went, old shapes are still read."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ledger.store.mapper import EVENT_BY_TOPIC, UPCASTERS, UnknownTopicError, decode, encode
from ledger.aggregates import EVENTS, Event
from ledger.aggregates.shift import CheckedIn
from ledger.names import EARLIEST_INSTANT, LATEST_INSTANT

FIXTURES = Path(__file__).with_name("fixtures")

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
    "OrganisationMoved": "organisation-moved.v1",
    "OrganisationEnded": "organisation-ended.v1",
    "StationOpened": "station-opened.v1",
    "StationClosed": "station-closed.v1",
    "ProjectLaunched": "project-launched.v1",
    "ProjectEnded": "project-ended.v1",
    "CheckedIn": "checked-in.v1",
    "CheckedOut": "checked-out.v1",
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
    "HonorAnnounced": "honor-announced.v1",
    "HonorObjected": "honor-objected.v1",
    "HonorObjectionSettled": "honor-objection-settled.v1",
    "HonorAwarded": "honor-awarded.v1",
    "HonorRevoked": "honor-revoked.v1",
}
"""Storage formats. A line may be added here; none may ever change."""


def test_topics_are_frozen() -> None:
    assert {event.__name__: event.TOPIC for event in EVENTS} == TOPICS


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
    "rank": st.integers(1, 10_000),
    "rules_version": st.integers(1, 1_000_000),
    "evidence_position": st.integers(1, 1_000_000),
    "credited_minutes": st.integers(1, 1_000_000),
}
"""Values for the fields whose types hypothesis cannot see into: patterns and ranges are in pydantic's annotations."""


def events(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Return a strategy for events of one kind, its optional fields given or left out."""
    required = {
        name: _values(name, field.annotation) for name, field in kind.model_fields.items() if field.is_required()
    }
    optional = {
        name: _values(name, field.annotation) for name, field in kind.model_fields.items() if not field.is_required()
    }
    return st.fixed_dictionaries(required, optional=optional).map(kind.model_validate)


def _values(name: str, annotation: object) -> st.SearchStrategy[object]:
    if name in FIELDS:
        return FIELDS[name]
    schema = str(annotation)
    if "date" in schema:
        return st.dates(date(2000, 1, 1), date(2099, 12, 31))
    if "Literal" in schema:
        return st.from_type(cast("type[object]", annotation))
    return st.integers(1, 1_000_000) if annotation is int else NAMES


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_event_comes_back_as_it_was_stored(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events(kind))
    topic, state = encode(event)
    assert decode(topic, state) == event
    assert encode(decode(topic, state)) == (topic, state)


def test_bytes_are_compact_in_field_order_and_leave_defaults_out() -> None:
    event = CheckedIn(
        occurred_at=1_543_888_800, recorded_at=1_543_888_860, by="station:S1", command="urn:kiosk:1#7",
        volunteer="V0000001", shift="0167768d-5480-7f49-8f2c-1de6ee3ce2cc", station="S1",
    )  # fmt: skip
    assert encode(event)[1] == (
        b'{"occurred_at":1543888800,"recorded_at":1543888860,"by":"station:S1","command":"urn:kiosk:1#7",'
        b'"volunteer":"V0000001","shift":"0167768d-5480-7f49-8f2c-1de6ee3ce2cc","station":"S1"}'
    )


def test_a_check_in_of_the_pilot_is_read_in_its_present_shape() -> None:
    old = decode("checked-in.v0", (FIXTURES / "checked-in.v0.json").read_bytes())
    assert old == decode("checked-in.v1", (FIXTURES / "checked-in.v0.upcast.json").read_bytes())


def test_every_upcaster_leads_to_a_topic_in_use_and_has_a_fixture() -> None:
    for old, (new, _) in UPCASTERS.items():
        assert old not in EVENT_BY_TOPIC
        assert new in EVENT_BY_TOPIC or new in UPCASTERS
        assert (FIXTURES / f"{old}.json").exists()


def test_an_unknown_topic_says_so() -> None:
    with pytest.raises(UnknownTopicError, match="v99"):
        decode("checked-in.v99", b"{}")


@pytest.mark.parametrize("state", [b"", b"{}", b'{"volunteer":"V1"}', b"[]"])
def test_bytes_that_do_not_fit_their_topic_are_refused(state: bytes) -> None:
    with pytest.raises(ValidationError):
        decode("checked-in.v1", state)
