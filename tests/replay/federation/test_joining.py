"""A federation of ledgers gives what one ledger gives that holds all their events: on random histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.volunteer import VolunteerMerged, VolunteerMergeUndone
from projections.kernels.facts import facts_of
from projections.schema import OtherEvents
from replay.federation.joining import Member, join, last_numbers
from tests.support.oracle.histories import (
    check_in,
    check_out,
    history,
    make,
    opening,
    patiently,
    raise_cap,
    register,
    rules,
    train,
    void_opening,
    void_training,
    withdraw_raise,
)
from tests.support.replay.federations import MERGES, Federated, federations, replayed
from tests.support.replay.replaying import as_sets


@settings(patiently)
@given(federation=federations())
def test_a_federation_equals_one_ledger_that_holds_all_events(federation: Federated) -> None:
    expected = replayed(facts_of(federation.split.one), federation.timeline)
    joined = join(federation.split.members())
    assert joined.unknown == []
    found = replayed(joined.facts, federation.timeline)
    assert as_sets(found) == as_sets(expected)
    assert found.checksum() == expected.checksum()


@settings(patiently)
@given(federation=federations(), data=st.data())
def test_a_link_that_is_undone_leaves_nothing_behind(federation: Federated, data: st.DataObject) -> None:
    whole, timeline, ledger_of = federation
    first, second = data.draw(st.permutations(sorted(ledger_of)), label="linked")[:2]
    last = max(event.recorded_at for event in whole.one)
    said = {"volunteer": f"{ledger_of[first]}.{first}", "into": f"{ledger_of[second]}.{second}"}
    linked = [make(kind, last, **said) for kind in MERGES]
    assume(not any(isinstance(event, MERGES) and event.into == said["into"] for event in whole.own))
    before = join(whole.members())
    after = join(whole._replace(own=[*whole.own, *linked]).members())
    assert as_sets(replayed(after.facts, timeline)) == as_sets(replayed(before.facts, timeline))


def test_the_names_of_ledgers_are_their_own() -> None:
    """Equal numbers, stations and shift ids of two ledgers are different ones."""
    east = [register("V1"), *history("2018-12-04 09:00 in V1 U1 #1\n2018-12-04 12:00 out V1 U1 #1")]
    west = [register("V1"), *history("2018-12-04 09:00 in V1 U1 #1\n2018-12-04 11:00 out V1 U1 #1")]
    rows = replayed(join([Member("east", facts_of(east)), Member("west", facts_of(west))]).facts, rules())
    tables = rows.tables()
    hours = {
        row["volunteer"]: row["credited_minutes"] for row in tables["volunteer_hours"].to_pylist() if not row["year"]
    }
    assert hours == {"east.V1": 180, "west.V1": 120}
    assert set(tables["station_activity"]["station"].to_pylist()) == {"east.U1", "west.U1"}


def test_linked_numbers_have_one_day_s_cap_and_count_no_minute_twice() -> None:
    east = [register("V1"), *history("2018-12-04 08:00 in V1 U1 #1\n2018-12-04 13:00 out V1 U1 #1")]
    west = [register("V7"), *history("2018-12-04 12:00 in V7 U9 #2\n2018-12-04 18:00 out V7 U9 #2")]
    link = make(VolunteerMerged, "2019-01-01T00:00+08:00", volunteer="east.V1", into="west.V7")
    members = [Member("east", facts_of(east)), Member("west", facts_of(west))]
    timeline = rules(day_minutes_max=480)

    def credited(members: list[Member]) -> dict[str, int]:
        hours = replayed(join(members).facts, timeline).tables()["volunteer_hours"].to_pylist()
        return {row["volunteer"]: row["credited_minutes"] for row in hours if not row["year"]}

    assert credited(members) == {"east.V1": 300, "west.V7": 360}
    assert credited([*members, Member(None, facts_of([link]))]) == {"west.V7": 480}


def test_a_registration_in_the_federation_s_ledger_does_not_replace_the_member_s() -> None:
    east = [register("V1", date(2012, 5, 1))]
    own = [register("east.V1", date(2011, 1, 1)), register("east.V9", date(2013, 1, 1))]
    joined = join([Member("east", facts_of(east)), Member(None, facts_of(own))])
    table = joined.facts.number_table()
    days = dict(zip(joined.facts.volunteers.texts(), table.registered.tolist(), strict=True))
    assert days["east.V1"] == (date(2012, 5, 1) - date(1970, 1, 1)).days
    assert joined.unknown == ["east.V9"]


def test_a_raise_of_the_federation_stands_beside_the_member_s() -> None:
    day = date(2018, 12, 4)
    east = [register("V1"), raise_cap("V1", day, 500)]
    own = [raise_cap("east.V1", day, 600), withdraw_raise("east.V1", day)]
    joined = join([Member("east", facts_of(east)), Member(None, facts_of(own))]).facts
    assert [*joined.raises_in_force().values()] == [500]


def test_the_federation_s_ledger_replaces_no_opening_balance_of_a_member() -> None:
    east = [register("V1"), opening("V1", 600, date(2015, 1, 1)), train("V1", "basic", date(2016, 1, 1))]
    own = [
        *(opening("east.V1", 60, date(2015, 1, 1)), void_opening("east.V1", 1_600_000_000)),
        *(void_training("east.V1", "basic", date(2016, 1, 1)), opening("W1", 30, date(2015, 1, 1))),
    ]
    table = join([Member("east", facts_of(east)), Member(None, facts_of(own))]).facts.number_table()
    assert table.opening_minutes.tolist() == [600, 30]
    assert table.trained[0, 0] < 20_000


def test_a_link_that_is_recorded_again_is_the_last_one() -> None:
    east = [register("x"), register("y"), make(VolunteerMerged, 0, volunteer="x", into="y")]
    west = [register("f1"), register("f2")]
    links = [
        make(VolunteerMerged, 1, volunteer="east.x", into="west.f1"),
        make(VolunteerMergeUndone, 2, volunteer="east.x", into="west.f1"),
        make(VolunteerMerged, 3, volunteer="east.y", into="west.f2"),
        make(VolunteerMerged, 4, volunteer="east.x", into="west.f1"),
    ]
    facts = join([Member("east", facts_of(east)), Member("west", facts_of(west)), Member(None, facts_of(links))]).facts
    persons = facts.person_of()
    assert persons is not None
    names = facts.volunteers.texts()
    assert {names[persons[names.index(name)]] for name in ("east.x", "east.y", "west.f1", "west.f2")} == {"west.f1"}


def test_what_events_say_decides_and_not_which_names_are_there() -> None:
    """A file of an archive may have names of later events than the head."""
    own = [register("east.V1", date(2012, 1, 1))]
    later = facts_of([register("V1", date(2013, 1, 1))])
    nothing = OtherEvents._make(column[:0] for column in later.other_events)
    joined = join([Member("east", replace(later, other_events=nothing)), Member(None, facts_of(own))])
    without = join([Member("east", facts_of([])), Member(None, facts_of(own))])
    assert joined.unknown == without.unknown == ["east.V1"]
    assert joined.facts.number_table().registered.tolist() == without.facts.number_table().registered.tolist()


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([], {}),
        ([(1, 2)], {1: 2}),
        ([(1, 2), (2, 3)], {1: 3, 2: 3}),
        ([(1, 2), (1, 3)], {1: 3, 2: 3}),
        ([(1, 2), (3, 1)], {1: 2, 3: 2}),
        ([(1, 2), (2, 1)], {1: 2}),
        ([(1, 2), (3, 4), (2, 3), (4, 1)], {1: 4, 2: 4, 3: 4}),
    ],
)
def test_links_and_merges_together_give_each_person_one_last_number(
    links: list[tuple[int, int]], expected: dict[int, int]
) -> None:
    """Also where they name two targets for one number, or a ring, which no single ledger records."""
    assert last_numbers(links) == expected


def test_ids_of_shifts_are_looked_up_in_their_own_ledger() -> None:
    events: dict[str, list[Event]] = {
        "east": [check_in("V1", "U1", 0, 5), check_out("V1", "U1", 60, 5), check_in("V1", "U1", 120, 6)],
        "west": [check_in("V1", "U1", 0, 7)],
    }
    joined = join([Member(name, facts_of(found)) for name, found in events.items()]).facts
    high, low = joined.shift_keys(np.array([2, 0, 1], np.int32))
    assert (high.tolist(), low.tolist()) == ([0, 0, 0], [7, 5, 6])
