"""Two numbers of one person over HTTP: merged, asked for by either number, under any axes; and taken apart again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from api.access.roles import Role
from api.operations.service import open_ledger
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import PROJECT, STATION, Served, give

pytest_plugins = ["tests.support.api.fixtures"]

DAY = "2013-05-04"


class Pair(NamedTuple):
    """Two numbers with a shift each on one day, of which an hour is the same; and the position before the merge."""

    old: str
    new: str
    old_shift: str
    new_shift: str
    position: int


@pytest.fixture
def pair(served: Served) -> Pair:
    old, new = served.volunteer(), served.volunteer()
    old_shift, _ = served.served_shift(old, f"{DAY}T09:00:00+08:00", f"{DAY}T12:00:00+08:00")
    new_shift, position = served.served_shift(new, f"{DAY}T11:00:00+08:00", f"{DAY}T14:00:00+08:00")
    return Pair(old, new, str(old_shift), str(new_shift), position)


def merged(served: Served, pair: Pair, command_type: str = "merge-volunteer") -> int:
    answer = served.approved(command_type, Role.CORRECTOR, volunteer=pair.old, into=pair.new, reason="two-cards")
    assert answer.status_code == 201, answer.text
    return int(answer.json()["position"])


def test_hours_are_those_of_the_person_by_either_number_and_the_merge_can_be_taken_back(
    served: Served, pair: Pair
) -> None:
    position = merged(served, pair)
    answer = served.get(f"/v1/volunteers/{pair.old}", at_least=position).json()
    assert (answer["volunteer"], answer["goes_on_as"]) == (pair.old, pair.new)
    assert answer["numbers"] == sorted([pair.old, pair.new])
    assert (answer["total"]["shifts"], answer["total"]["raw_minutes"], answer["total"]["counted_minutes"]) == (
        2,
        360,
        300,
    )
    (merge,) = answer["merges"]
    assert (merge["volunteer"], merge["into"], merge["position"]) == (pair.old, pair.new, position)
    assert served.get(merge["links"]["event"]).json()["event"]["topic"] == "volunteer-merged.v1"
    same = served.get(f"/v1/volunteers/{pair.new}").json()
    assert "goes_on_as" not in same
    assert [same[name] for name in ("total", "numbers")] == [
        {**answer["total"], "links": same["total"]["links"]},
        answer["numbers"],
    ]
    for cut, credited in (
        ({"known_at": pair.position}, 180),
        ({"known_at": position}, 300),
        ({"valid_at": "2013-05-03"}, 0),
    ):
        found = served.get(f"/v1/volunteers/{pair.old}", **cut).json()
        assert found["total"]["credited_minutes"] == credited
        assert ("goes_on_as" in found) == (cut != {"known_at": pair.position})
    undone = merged(served, pair, "undo-merge")
    for number in (pair.old, pair.new):
        answer = served.get(f"/v1/volunteers/{number}", at_least=undone).json()
        assert (answer["total"]["credited_minutes"], "numbers" in answer) == (180, False)
    assert served.get(f"/v1/volunteers/{pair.old}", known_at=position).json()["total"]["credited_minutes"] == 300


def test_every_shift_says_under_which_number_it_was_recorded_and_leads_to_its_events(
    served: Served, pair: Pair
) -> None:
    position = merged(served, pair)
    answer = served.get(f"/v1/volunteers/{pair.old}/shifts", at_least=position).json()
    assert [(one["volunteer"], one["shift"]) for one in answer["shifts"]] == [
        (pair.new, pair.new_shift),
        (pair.old, pair.old_shift),
    ]
    for shift in answer["shifts"]:
        events = served.get(shift["links"]["events"]).json()["events"]
        assert {event["event"]["volunteer"] for event in events} == {shift["volunteer"]}
        assert [event["position"] for event in events] == shift["positions"]
    first = served.get(f"/v1/volunteers/{pair.old}/shifts", limit=1).json()
    assert first["next_after"].endswith(f"/{pair.new_shift}/{pair.new}")
    second = served.get(f"/v1/volunteers/{pair.old}/shifts", limit=1, after=first["next_after"]).json()
    assert [one["shift"] for one in first["shifts"] + second["shifts"]] == [pair.new_shift, pair.old_shift]
    assert second["next_after"] is None


def test_a_day_is_explained_over_both_numbers(served: Served, pair: Pair) -> None:
    position = merged(served, pair)
    address = f"/v1/volunteers/{pair.old}/explanation"
    answer = served.get(address, day=DAY, at_least=position).json()
    assert [(one["volunteer"], one["trace"]["overlapped"]) for one in answer["shifts"]] == [
        (pair.old, 0),
        (pair.new, 60),
    ]
    (lost,) = [one for one in answer["shifts"][1]["stretches"] if one["fate"] == "overlapped"]
    assert (lost["held_by"], lost["held_by_volunteer"]) == (pair.old_shift, pair.old)
    assert f"of number {pair.old}" in lost["because"]
    (brief,) = served.get(address).json()["days"]
    assert (brief["shifts"], brief["counted"]) == (2, 300)


def test_a_station_s_day_counts_the_person_once_and_its_shifts_say_both_numbers(served: Served, pair: Pair) -> None:
    address = f"/v1/stations/{STATION}"

    def volunteers(**axes: Any) -> int:
        period: dict[str, Any] = {"from": DAY, "to": DAY}
        days = served.get(f"{address}/activity", **period, **axes).json()["days"]
        return int(days[0]["volunteers"])

    before = volunteers(at_least=pair.position)
    position = merged(served, pair)
    assert volunteers(at_least=position) == before - 1
    assert volunteers(known_at=pair.position) == before
    asked: list[dict[str, Any]] = [{}, {"known_at": position}]
    for axes in asked:
        shifts = served.get(f"{address}/shifts", day=DAY, **axes).json()["shifts"]
        mine = [one for one in shifts if one["shift"] in {pair.old_shift, pair.new_shift}]
        assert [(one["volunteer"], one.get("goes_on_as")) for one in mine] == [(pair.old, pair.new), (pair.new, None)]
        assert all(one["positions"] for one in mine)


def test_a_merged_number_is_ranked_as_the_one_that_goes_on(served: Served, pair: Pair) -> None:
    position = merged(served, pair)
    answer = served.get(f"/v1/volunteers/{pair.old}/ranks", year=2013, at_least=position).json()
    assert (answer["name"], answer["goes_on_as"]) == (pair.old, pair.new)
    assert answer["ranks"][0]["figures"]["counted_minutes"] == 300
    before = served.get(f"/v1/volunteers/{pair.old}/ranks", year=2013, known_at=pair.position).json()
    assert (before.get("goes_on_as"), before["ranks"][0]["figures"]["counted_minutes"]) == (None, 180)


def test_a_merge_that_cannot_be_is_refused_by_name_and_no_station_may_merge(served: Served, pair: Pair) -> None:
    def refused(command_type: str, role: Role = Role.CORRECTOR, **said: Any) -> tuple[int, str, str | None]:
        reason = {} if command_type == "request-act" else {"reason": "checked"}
        answer = served.command(command_type, role, **said | reason)
        return answer.status_code, answer.json().get("rejection", ""), answer.json().get("field")

    said: dict[str, Any] = {"volunteer": pair.old, "into": pair.new}

    def not_requested(**said: Any) -> tuple[int, str, str | None]:
        fields = said | {"reason": "checked"}
        return refused("request-act", request=f"of-{pair.old}", act="undo-merge", fields=fields)

    assert not_requested(**said) == (409, "not-merged", "volunteer")
    assert refused("undo-merge", Role.STATION, **said)[0] == 403
    merged(served, pair)
    assert not_requested(volunteer=pair.new, into=pair.old) == (409, "not-merged", "volunteer")
    assert not_requested(volunteer=pair.old, into=served.volunteer()) == (409, "not-merged", "into")
    assert refused("merge-volunteer", volunteer=pair.new, into=pair.old) == (409, "already-merged", "into")


def test_two_moments_around_a_merge_are_told_apart_by_person(hours: CommandLine, tmp_path: Path) -> None:
    """And the command line says whose the numbers are."""
    with open_ledger(hours.data) as ledger:
        ledger.make_ready()
        for number, as_of, minutes in (("V1", "2012-01-01", 6_000), ("V2", "2011-01-01", 60)):
            give(ledger, "register-volunteer", volunteer=number, registered_on="2010-01-01")
            said = {"volunteer": number, "minutes": minutes, "as_of": as_of, "evidence": "paper-list"}
            give(ledger, "record-opening-balance", **said)
        give(ledger, "open-station", station=STATION, kind="city")
        give(ledger, "launch-project", project=PROJECT, content="teaching")
        for number, hour in (("V1", 9), ("V2", 11)):
            shift = {"volunteer": number, "station": STATION, "shift": str(UUID(int=hour))}
            give(ledger, "check-in", occurred_at=f"{DAY}T{hour:02}:00:00+08:00", **shift)
            position = give(ledger, "check-out", occurred_at=f"{DAY}T{hour + 3}:00:00+08:00", **shift)
        give(ledger, "merge-volunteer", volunteer="V1", into="V2", reason="two-cards")
        ledger.catch_up()
    told = hours("volunteer", "V1").out
    assert "V1 was merged into V2; one person with the numbers V1, V2" in told
    assert "of which 100:00 from before 2012-01-01 (opening balance of number V1)" in " ".join(told.split())
    seen = " ".join(hours("overview", "V1").out.split())
    assert "100:00 from before 2012-01-01 (opening balance of number V1)" in seen
    assert "1:00 from before 2011-01-01 (opening balance of number V2)" in seen
    assert "number" in hours("volunteer", "V2", "--shifts").out
    explained = hours("explain", "V1", "--day", DAY).out
    assert "of number V1" in explained
    assert "Opening balance of number V2: 1:00 as of 2011-01-01" in explained
    sides = (f"@{position}", "current")
    answer = hours("diff", *sides, "--json").answer
    assert {one["volunteer"]: (one["credited"]["change"], one.get("goes_on_as")) for one in answer["volunteers"]} == {
        "V1": (-6180, {"before": "V1", "after": "V2"}),
        "V2": (6180 - 60, None),
    }
    assert "merged into V2" in hours("diff", *sides).out
    (lost,) = [one for one in answer["honor_changes"] if one["volunteer"] == "V1"]
    assert (lost["kind"], lost["reason"]) == ("lost", "merged into V2; opening balance -6000, raw -180")
    output = tmp_path / "credits.csv"
    assert hours("export", "credits", "--output", output).code == 0
    with output.open(newline="") as file:
        rows = [(row["volunteer"], row["recorded_under"], row["credited_minutes"]) for row in csv.DictReader(file)]
    assert rows == [("V2", "V1", "180"), ("V2", "V2", "120")]
    assert hours("rebuild").code == 0  # which is held to the log's own streams
    assert hours("status", "--deep").code == 0


def test_the_history_of_a_record_holds_what_was_done_under_every_number(served: Served, pair: Pair) -> None:
    about: dict[str, Any] = {"volunteer": pair.new, "shift": pair.new_shift, "reason": "checked"}
    before = served.approved("void-shift", Role.CORRECTOR, **about).json()["position"]
    merged(served, pair)
    about = {"volunteer": pair.old, "shift": pair.old_shift, "reason": "checked"}
    last = served.approved("void-shift", Role.CORRECTOR, **about).json()["position"]
    for number in (pair.old, pair.new):
        acts = served.get(f"/v1/volunteers/{number}/history", role=Role.AUDITOR, at_least=last).json()["acts"]
        voids = [act for act in acts if act["topic"] == "shift-voided.v1"]
        assert [(act["volunteer"], act["minutes"]["change"]) for act in voids] == [(pair.new, -180), (pair.old, -180)]
        assert "volunteer-merged.v1" in {act["topic"] for act in acts}
    then = served.get(f"/v1/volunteers/{pair.old}/history", role=Role.AUDITOR, known_at=before).json()["acts"]
    assert [act["topic"] for act in then] == ["volunteer-registered.v1"]
