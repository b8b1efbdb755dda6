"""Names: what enters an event is short, printable and not personal; stream ids are stable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ledger.aggregates import COMMANDS, Command
from ledger.names import (
    Actor,
    CallingActor,
    CommandId,
    CommandName,
    Day,
    Instant,
    People,
    ReasonCode,
    Source,
    VolunteerNumber,
    command_name,
    instant_text,
    shift_id_for,
    shift_stream,
    shift_stream_ranges,
    stream,
    writing_of,
)
from ledger.sentences import form_of, what_is_wrong

NOON = 1_543_896_000  # 2018-12-04T12:00:00+08:00
DAY = NOON // 86400


@pytest.mark.parametrize("number", ["13800138000", "19912345678", "440303199001011234", "44030319900101123X"])
def test_a_phone_or_identity_number_is_no_volunteer_number(number: str) -> None:
    with pytest.raises(ValidationError, match="phone or identity number"):
        TypeAdapter(VolunteerNumber).validate_python(number)


def test_nobody_gives_orders_under_a_phone_number() -> None:
    assert TypeAdapter(CallingActor).validate_python("person:lin.wei") == "person:lin.wei"
    with pytest.raises(ValidationError, match="phone or identity number"):
        TypeAdapter(CallingActor).validate_python("person:13800138000")


@pytest.mark.parametrize("number", ["V0000001", "12345678901", "138001380001", "a.b_c-d"])
def test_a_number_that_the_federation_issued_is_taken(number: str) -> None:
    assert TypeAdapter(VolunteerNumber).validate_python(number) == number


@pytest.mark.parametrize("number", ["", "-1", "张三", "a b", "x" * 33, "a\n", "a\t"])
def test_a_name_is_short_printable_ascii(number: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(VolunteerNumber).validate_python(number)


@pytest.mark.parametrize("actor", ["S1", "robot:x", "station:", "person:张三"])
def test_an_actor_says_what_it_is(actor: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Actor).validate_python(actor)


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        (NOON, NOON),
        ("2018-12-04T12:00:00+08:00", NOON),
        ("2018-12-04T04:00:00Z", NOON),
        ("2018-12-04T04:00:00.9Z", NOON),
        ("2018-12-04t04:00:00z", NOON),
        ("2018-12-04T12:00:00.123456789+08:00", NOON),
        (NOON + 0.75, NOON),
        (float(NOON), NOON),
        ("2016-12-31T23:59:60Z", 1483228799),
        ("2016-12-31t23:59:60.5z", 1483228799),
        ("2017-01-01T07:59:60+08:00", 1483228799),
        ("2016-12-31T20:29:60-03:30", 1483228799),
        ("2019-02-28T23:59:60Z", 1551398399),  # nobody knows which months will have one
        ("2000-01-01T00:00:00+14:00", 946634400),  # the years 2000 to 2099 of any time zone
        ("2099-12-31T23:59:59-12:00", 4102487999),
    ],
)
def test_an_instant_is_epoch_seconds_or_iso_text_with_a_zone(written: object, instant: int) -> None:
    assert TypeAdapter(Instant).validate_python(written) == instant


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("2018-12-04T12:00:00", "has no zone"),
        ("noon", "not an ISO 8601 instant"),
        ("2100-01-01T12:00:00Z", "outside of the years 2000 to 2099"),  # nowhere in 2099 any more
        ("1999-12-31T09:59:59Z", "outside of the years 2000 to 2099"),  # nowhere in 2000 yet
        (1.5, "is 1.5, which lies outside of the years"),
        (NOON * 1000, f"is {NOON * 1000}, which looks like milliseconds; write seconds since 1970, here {NOON}"),
        (NOON * 1000 + 0.5, "milliseconds"),
        (NOON * 10**6, "microseconds"),
        (NOON * 10**9, "nanoseconds"),
        (10**400, "a number of more than 40 digits"),
        (float("inf"), "is not an instant"),
        (str(NOON), f"is the text '{NOON}'; write a number without quotation marks"),
        ("2018-12-04T12:00:61Z", "not an ISO 8601 instant"),
        *(
            (text, "only 23:59:60 UTC on the last day of a month can be a leap second")
            for text in (
                "2018-12-04T12:00:60Z",  # no end of a day
                "2018-12-04T23:59:60Z",  # no end of a month
                "2016-12-31T23:58:60Z",
                "2016-12-31T23:59:60+08:00",  # its end of a day, not that of UTC
                "2017-01-01T00:00:60Z",
                "9999-12-31T23:59:60-12:00",
            )
        ),
        ("2018-12-04T12:60:00Z", "not an ISO 8601 instant"),
        (True, "is not an instant"),
        ([NOON], "is not an instant"),
    ],
)
def test_any_other_instant_is_refused_with_the_way_out(written: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Instant).validate_python(written)


def test_an_instant_is_printed_in_utc() -> None:
    assert instant_text(NOON) == "2018-12-04T04:00:00Z"


def test_a_command_is_named_by_its_source_and_id() -> None:
    assert TypeAdapter(CommandName).validate_python(command_name("urn:kiosk:1", "7")) == "urn:kiosk:1#7"


# Stream ids are storage formats: these values may never change.
def test_stream_ids_are_frozen() -> None:
    shift = shift_id_for(NOON, "urn:kiosk:1#7")
    assert str(shift) == "0167775f-6600-7f0e-bdc3-42a1eaa5a709"
    assert str(shift_stream("V0000001", shift)) == "45cd3e71-22b2-bb13-ac50-c45db9689521"
    assert str(shift_stream("V0000001", UUID(int=7))) == "ffff3e71-22b2-bb13-cb43-f1f4d13aea83"
    assert str(stream("volunteer", "V0000001")) == "0a35dd66-e9e5-f9b6-3a7b-5cbeca3f825d"


@given(st.integers(946634400, 4102487999), st.text())
def test_a_shift_id_is_a_uuid_that_holds_its_instant(instant: int, name: str) -> None:
    shift = shift_id_for(instant, name)
    assert (shift.version, shift.variant) == (7, "specified in RFC 4122")
    assert shift.int >> 80 == instant * 1000


@given(st.integers(946634400, 4102487999), st.text(max_size=5), st.text(max_size=5))
def test_a_stream_is_in_the_range_of_its_volunteer_and_day_only(instant: int, volunteer: str, other: str) -> None:
    shift = shift_id_for(instant, "x#1")
    day = instant // 86400

    def found(whose: str, first: int, last: int) -> bool:
        stream_id = shift_stream(volunteer, shift)
        return any(low <= stream_id <= high for low, high in shift_stream_ranges(whose, first, last))

    assert found(volunteer, day, day)
    assert found(volunteer, day - 2, day + 2)
    assert not found(volunteer, day + 1, day + 2)
    assert found(other, day, day) == (other == volunteer)


@given(st.uuids(version=4))
def test_a_shift_id_without_a_time_is_found_on_any_day(shift: UUID) -> None:
    stream_id = shift_stream("V1", shift)
    assert any(low <= stream_id <= high for low, high in shift_stream_ranges("V1", DAY, DAY))


@pytest.mark.parametrize(
    "name", ["tel-13800138000", "x/138-0013-8000", "a:zhang@example.org", "+8613800138000", "id_13912345678"]
)
def test_a_name_with_a_phone_number_or_a_mail_address_in_it_is_refused(name: str) -> None:
    for kind in (CommandId, Source):
        with pytest.raises(ValidationError, match="without personal data"):
            TypeAdapter(kind).validate_python(name)


@pytest.mark.parametrize(
    "name", ["01677c00-0000-7000-8000-138001380001", "a13800138000b", "1543888800123", "x@y", "20181204T090000"]
)
def test_a_uuid_or_a_time_is_not_taken_for_a_phone_number(name: str) -> None:
    assert TypeAdapter(CommandId).validate_python(name) == name


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("person:Li.Wei", "person:li.wei", True),
        ("person:li-wei", "person:li_wei", True),
        ("person:V0000001", "person:VOOOOOOl", True),
        ("person:li.wei", "person:li.wen", False),
        ("person:officer-01", "person:officer-02", False),
        ("person:C01", "station:C01", False),
    ],
)
def test_actors_that_look_the_same_are_one_person(one: str, other: str, alike: bool) -> None:  # noqa: FBT001 - a column
    assert (writing_of(one) == writing_of(other)) == alike


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (Day, "1800-01-01", "is '1800-01-01', but must be at least 1900-01-01; correct it"),
        (People, -1, "is -1, but must be at least 0; correct it"),
        (People, 10**50, "is a number of more than 40 digits, but must be at most 100000000; correct it"),
        (VolunteerNumber, "V 1", "'V 1' is not allowed here: it is written with 1 to 32 letters A to Z, digits, "),
        (ReasonCode, "No!", "'No!' is not allowed here: it is a code of 1 to 40 small letters, digits and '-', "),
        (Actor, "me", "'me' is not allowed here: it is station:, person: or system: and a name of 1 to 48 "),
    ],
)
def test_a_value_is_refused_in_words(kind: Any, value: object, sentence: str) -> None:
    """No regular expression and no notation of Python is shown."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert str(what_is_wrong(caught.value.errors()[0])).startswith(sentence)


def _patterns(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            yield pattern
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from _patterns(inner)


@pytest.mark.parametrize("command", COMMANDS.values())
def test_every_pattern_of_a_command_is_described(command: type[Command]) -> None:
    described = {pattern: form_of(pattern) for pattern in _patterns(command.model_json_schema())}
    assert not any("another form" in form for form in described.values()), described
