"""An award names one number for ever; merged later, it is held against the person, under every axis."""

from __future__ import annotations

from typing import Any

from api.access.roles import Role
from tests.support.api.conferring import BUSY, FAR, GIVEN, IDLE, NEAR, NOTICE_UNTIL, Clock, caught_up, get, post
from tests.support.api.serving import STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

STAR = "/v1/honors/star-1"
RANKING = "top-hundred"


def merge(served: Served, volunteer: str, into: str, command_type: str = "merge-volunteer") -> int:
    answer = served.approved(command_type, Role.CORRECTOR, volunteer=volunteer, into=into, reason="two-cards")
    assert answer.status_code == 201, answer.text
    return int(answer.json()["position"])


def recipients(entries: list[dict[str, Any]], key: str = "volunteer") -> list[str]:
    return sorted(entry[key] for entry in entries)


def test_an_award_to_a_number_that_was_merged_later_is_the_person_s(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    post(served, f"{STAR}/announcements", all_eligible=True)
    clock.move_to(GIVEN)
    given = post(served, f"{STAR}/awards", all_due=True)
    assert recipients(given["outcomes"], "recipient") == [NEAR, FAR, BUSY]
    caught_up(served)
    merged_at = merge(served, NEAR, IDLE)

    assert get(served, "/v1/undercut-awards")["undercut"] == []
    assert get(served, f"{STAR}/eligible")["eligible"] == []
    (award,) = get(served, "/v1/awards", **{"for": IDLE})["awards"]
    assert (award["volunteer"], award["goes_on_as"]) == (NEAR, IDLE)
    for number in (NEAR, IDLE):
        refused = post(served, f"{STAR}/announcements", volunteer=number)
        assert (refused["rejection"], award["award"] in refused["detail"]) == ("not-eligible", True)

    for axes in ({"known_at": merged_at - 1}, {"known_at": merged_at - 1, "rules": 1}):
        assert get(served, "/v1/awards", **{"for": IDLE}, **axes)["awards"] == []
        (before,) = get(served, "/v1/awards", **{"for": NEAR}, **axes)["awards"]
        assert "goes_on_as" not in before
        assert get(served, "/v1/undercut-awards", **axes)["count"] == 0
        assert get(served, f"{STAR}/eligible", **axes)["count"] == 0
    assert get(served, "/v1/undercut-awards", known_at=merged_at)["count"] == 0
    as_given = get(served, f"/v1/awards/{award['award']}/as-given")
    assert (as_given["agrees"], as_given["hours"]["volunteer"]) == (True, NEAR)
    assert "goes_on_as" not in as_given["hours"]


def test_of_two_announcements_for_one_person_one_is_awarded(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    post(served, f"{STAR}/announcements", all_eligible=True)
    merge(served, NEAR, FAR)
    clock.move_to(GIVEN)
    caught_up(served)
    given = post(served, f"{STAR}/awards", all_due=True)
    assert recipients(given["outcomes"], "recipient") == [FAR, BUSY]
    (passed,) = given["passed_by"]
    assert (passed["recipient"], passed["why"]) == (NEAR, f"is for the same person as star-1-{FAR}; revoke it")
    assert get(served, f"{STAR}/eligible")["eligible"] == []


def test_what_a_merge_that_was_taken_back_took_from_an_award_is_told(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    merge(served, BUSY, IDLE)
    caught_up(served)
    post(served, f"{STAR}/announcements", volunteer=BUSY)  # goes to the number that goes on
    clock.move_to(GIVEN)
    (given,) = post(served, f"{STAR}/awards", volunteer=BUSY)["outcomes"]
    assert (given["recipient"], given["problem"]) == (IDLE, None)
    undone_at = merge(served, BUSY, IDLE, "undo-merge")
    (undercut,) = get(served, "/v1/undercut-awards")["undercut"]
    causes = undercut["causes"]
    assert (undercut["kind"], causes["minutes_then"], causes["minutes_now"]) == ("lost", 6_240, 0)
    assert (len(causes["shifts"]), {one["volunteer"] for one in causes["shifts"]}) == (13, {BUSY})
    assert causes["positions"] == [undone_at]
    assert served.get(causes["shifts"][0]["links"]["events"]).json()["events"]


def test_a_ranking_s_honour_is_held_by_the_person(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    announced = post(served, f"/v1/honors/{RANKING}/announcements", year=2018, all_eligible=True)
    assert recipients(announced["outcomes"], "recipient") == [BUSY]
    clock.move_to(GIVEN)
    caught_up(served)
    post(served, f"/v1/honors/{RANKING}/awards", year=2018, all_due=True)
    merge(served, BUSY, IDLE)
    assert get(served, "/v1/undercut-awards")["undercut"] == []
    assert get(served, f"/v1/honors/{RANKING}/eligible", year=2018)["eligible"] == []


def test_what_waits_for_approval_and_what_is_announced_is_pending_for_the_person(
    conferred: tuple[Served, Clock],
) -> None:
    served, clock = conferred
    fields = {"volunteer": NEAR, "station": STATION, "check_in": "2018-12-01T09:00:00+08:00"}
    fields |= {"check_out": "2018-12-01T12:00:00+08:00", "evidence": "sign-in-sheet"}
    asked = served.command("request-act", request="r-1", act="attest-shift", fields=fields)
    assert asked.status_code == 201, asked.text
    served.command("request-act", request="r-2", act="attest-shift", fields=fields | {"volunteer": FAR})
    scan: dict[str, Any] = {"volunteer": NEAR, "station": STATION, "occurred_at": "2018-12-03T09:00:00+08:00"}
    open_shift = served.command("check-in", **scan).json()["shift"]
    (announced,) = post(served, f"{STAR}/announcements", volunteer=NEAR)["outcomes"]
    before = served.ledger.log.head()
    merge(served, NEAR, IDLE)

    pending = get(served, f"/v1/volunteers/{IDLE}/overview")["pending"]
    (request,), (honor,), (shift,) = (pending[part] for part in ("requests", "honors", "open_shifts"))
    assert (request["request"], request["volunteer"], request["act"]) == ("r-1", NEAR, "attest-shift")
    assert request["position"] == asked.json()["position"]
    assert (honor["award"], honor["volunteer"]) == (announced["award"], NEAR)
    assert (honor["running"], honor["notice_until"], honor["open_objections"]) == (True, str(NOTICE_UNTIL), 0)
    assert (shift["shift"], shift["volunteer"]) == (open_shift, NEAR)
    for one in (request, honor, shift):
        (link,) = one["links"].values()
        assert served.get(link).status_code == 200
    then = get(served, f"/v1/volunteers/{IDLE}/overview", known_at=before)["pending"]
    assert (then["requests"], then["honors"], then["open_shifts"]) == ([], [], [])

    clock.move_to(GIVEN)
    assert not get(served, f"/v1/volunteers/{IDLE}/overview")["pending"]["honors"][0]["running"]
    assert served.command("approve-act", Role.APPROVER, request="r-1").status_code == 201
    assert post(served, f"{STAR}/awards", volunteer=IDLE)["accepted"] == 1
    pending = get(served, f"/v1/volunteers/{IDLE}/overview")["pending"]
    assert (pending["requests"], pending["honors"]) == ([], [])
    then = get(served, f"/v1/volunteers/{NEAR}/overview", known_at=before)["pending"]
    assert (len(then["requests"]), len(then["honors"])) == (1, 1)
