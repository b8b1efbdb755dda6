"""`known_at` may be a day, which means its end in the time zone of the rules in force."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from api.axes.written import AxisError, position_of
from ledger.names import Position
from tests.support.api.serving import STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]


class Clock(NamedTuple):
    """A log of one event a second: the position is the instant."""

    def head(self) -> Position:
        return Position(10**10)

    def position_at(self, instant: int) -> Position:
        return Position(instant)


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        ("2017-06-30", "Asia/Shanghai", "2017-06-30T23:59:59+08:00"),
        ("2017-06-30", "America/New_York", "2017-06-30T23:59:59-04:00"),
        ("2018-10-28", "Europe/Berlin", "2018-10-28T23:59:59+01:00"),  # a day of 25 hours
        ("2018-11-03", "America/Sao_Paulo", "2018-11-03T23:59:59-03:00"),  # midnight does not exist
        ("2016-02-29", "UTC", "2016-02-29T23:59:59+00:00"),
    ],
)
def test_a_day_means_its_last_second(day: str, zone: str, end: str) -> None:
    assert position_of(Clock(), day, lambda: zone) == datetime.fromisoformat(end).timestamp()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2017-06-31", "known_at 2017-06-31 is not a day of the calendar; correct it"),
        ("1999-12-31", "known_at 1999-12-31 lies outside of the years 2000 to 2099; leave it out"),
        ("30.6.2017", "known_at 30.6.2017 is not a position, a day or an instant of the years 2000 to 2099; write one"),
        ("2017-06-30T12:00:00", "known_at 2017-06-30T12:00:00 has no zone; write an instant such as"),
    ],
)
def test_anything_else_is_refused_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(AxisError) as caught:
        position_of(Clock(), text, lambda: "UTC")
    assert str(caught.value).startswith(told)


def test_a_day_selects_what_was_known_at_its_end(served: Served) -> None:
    volunteer = served.volunteer()
    served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00", STATION)
    (last,) = served.ledger.log.read(Position(served.ledger.log.head() - 1), 1)
    recorded = json.loads(last.state)["recorded_at"]
    day = datetime.fromtimestamp(recorded, ZoneInfo("Asia/Shanghai")).date()
    known = served.get(f"/v1/volunteers/{volunteer}/shifts", known_at=day.isoformat())
    assert known.json()["known_at"] == last.position
    earlier: date = day - timedelta(days=30)
    refused = served.get(f"/v1/volunteers/{volunteer}/shifts", known_at=earlier.isoformat())
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "no rules were known at position 0; name a version of the rules",
    )
