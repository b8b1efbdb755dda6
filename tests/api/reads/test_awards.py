"""The whole life of an award over HTTP, and the reports about it, live and under the three axes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from api.access.roles import Role
from ledger.aggregates.honor import HonorEvent
from ledger.names import Position
from ledger.store.mapper import decode
from replay.records.awards import AwardBook, fold
from tests.support.api.conferring import (
    ANNOUNCED,
    BUSY,
    FAR,
    GIVEN,
    IDLE,
    NEAR,
    NOTICE_UNTIL,
    Clock,
    caught_up,
    conferring,
    get,
    post,
    shift_id,
)
from tests.support.api.serving import PROJECT, Served

pytest_plugins = ["tests.support.api.fixtures"]

STAR = "/v1/honors/star-1"


def names(entries: list[dict[str, Any]], key: str = "award") -> list[str]:
    return [entry[key] for entry in entries]


def test_an_honour_is_announced_objected_to_awarded_undercut_and_revoked(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    eligible = get(served, f"{STAR}/eligible")
    assert [(one["name"], one["credited_minutes"], one["award"]) for one in eligible["eligible"]] == [
        (FAR, 20_180, None),
        (BUSY, 6_240, None),
        (NEAR, 6_080, None),
    ]
    said = post(served, f"{STAR}/announcements", all_eligible=True)
    assert (said["status_code"], said["accepted"], said["refused"], said["left"]) == (200, 3, 0, 0)
    notices = get(served, "/v1/public-notices")
    assert (notices["on"], notices["count"], notices["open_objections"]) == (str(ANNOUNCED), 3, 0)
    (near,) = [one for one in notices["notices"] if one["volunteer"] == NEAR]
    assert (near["notice_until"], near["running"], near["awardable"]) == (str(NOTICE_UNTIL), True, False)
    evidence = {"rules_version": 1, "position": said["known_at"], "credited_minutes": 6_080, "rank": None}
    assert near["announced"] == evidence | {"reached_on": "2018-11-20"}

    # Too early: nobody is due, and who is named is refused by the ledger.
    assert post(served, f"{STAR}/awards", all_due=True)["outcomes"] == []
    (early,) = post(served, f"{STAR}/awards", volunteer=NEAR)["outcomes"]
    assert early["problem"]["rejection"] == "notice-runs"

    award = near["award"]
    objected = served.command("object-to-honor", Role.STAFF, award=award, reason="hours-doubted", text="He was ill.")
    assert objected.status_code == 201, objected.text
    assert get(served, "/v1/public-notices")["open_objections"] == 1
    clock.move_to(GIVEN)
    done = post(served, f"{STAR}/awards", all_due=True)
    assert sorted(names(done["outcomes"], "recipient")) == [FAR, BUSY]
    (refused,) = post(served, f"{STAR}/awards", volunteer=NEAR)["outcomes"]
    assert refused["problem"]["rejection"] == "objection-open"
    settle: dict[str, Any] = {"award": award, "objection": 1, "outcome": "rejected", "reason": "seen-by-others"}
    for role in (Role.HONORS_OFFICER, Role.STAFF):  # who announced, and who objected
        told = served.command("settle-honor-objection", role, **settle)
        assert (told.status_code, told.json()["rejection"]) == (403, "same-hands")
    assert served.command("settle-honor-objection", Role.ADMIN, **settle).status_code == 201
    (granted,) = post(served, f"{STAR}/awards", volunteer=NEAR)["outcomes"]
    assert granted["problem"] is None
    position = granted["position"]

    life = get(served, f"/v1/awards/{award}")
    assert [one["topic"] for one in life["events"]] == [
        "honor-announced.v1",
        "honor-objected.v1",
        "honor-objection-settled.v1",
        "honor-awarded.v1",
    ]
    assert (life["award"]["state"], life["award"]["awarded_on"]) == ("awarded", str(GIVEN))
    assert life["award"]["objections"][0] | {"objected_at": ""} == {
        "number": 1,
        "by": "person:staff",
        "objected_at": "",
        "reason": "hours-doubted",
        "outcome": "rejected",
        "settled_by": "person:admin",
    }
    assert get(served, f"{STAR}/eligible")["count"] == 0
    assert get(served, "/v1/undercut-awards")["count"] == 0

    # A correction after the award: two hours less, and the honour was never reached.
    correction: dict[str, Any] = {
        "volunteer": NEAR,
        "shift": shift_id(1),
        "changes": ["check_out"],
        "reason": "left-early",
    }
    corrected = served.approved("correct-shift", **correction, check_out="2018-11-20T10:00:00+08:00").json()["position"]
    undercut = get(served, "/v1/undercut-awards")
    assert (undercut["awards_in_all"], undercut["count"]) == (3, 1)
    (one,) = undercut["undercut"]
    assert (one["award"], one["kind"], one["reached_on_now"]) == (award, "lost", None)
    assert (one["credited_minutes_now"], one["difference"]) == (5_960, -120)
    why = one["causes"]
    assert (why["minutes_then"], why["by_events"], why["by_rules"], why["minutes_now"]) == (6_080, -120, 0, 5_960)
    (shift,) = why["shifts"]
    assert (shift["shift"], shift["minutes_then"], shift["minutes_now"]) == (shift_id(1), 180, 60)
    assert shift["positions"] == [corrected]
    assert served.get(shift["links"]["events"]).status_code == 200

    (waiting,) = get(served, "/v1/worklist", kind="undercut-award")["items"]
    assert (waiting["award"], waiting["volunteer"], waiting["due"]) == (award, NEAR, None)
    assert waiting["roles"] == ["honors-officer", "staff", "admin"]
    assert "is no longer reached" in waiting["what"] or "is reached only on" in waiting["what"]
    assert get(served, waiting["links"]["award"])["award"]["award"] == award
    replayed = get(served, "/v1/undercut-awards", rules=1)  # not from rows
    assert [(entry["award"], entry["causes"]["by_events"]) for entry in replayed["undercut"]] == [(award, -120)]

    # The ledger still knows what it looked like on the day.
    given = get(served, f"/v1/awards/{award}/as-given")
    assert given["agrees"] is True
    assert given["found"] == given["evidence"]
    assert (given["known_at"], given["hours"]["total"]["credited_minutes"]) == (given["evidence"]["position"], 6_080)
    assert f"known_at={given['known_at']}" in given["hours"]["total"]["links"]["shifts"]
    assert get(served, "/v1/undercut-awards", known_at=position)["count"] == 0
    assert get(served, "/v1/worklist", known_at=position)["counts"]["undercut-award"] == 0

    assert served.command("revoke-honor", Role.HONORS_OFFICER, award=award, reason="hours-voided").status_code == 201
    assert get(served, "/v1/undercut-awards")["count"] == 0
    assert names(get(served, "/v1/awards", state="revoked")["awards"]) == [award]
    assert get(served, "/v1/awards", known_at=position, state="revoked")["awards"] == []
    assert names(get(served, "/v1/awards", awarded_in=GIVEN.year, state="revoked")["awards"]) == [award]
    assert get(served, "/v1/awards", awarded_in=GIVEN.year - 1)["count"] == 0


def test_a_ranking_s_honour_has_its_year_and_rank_and_is_undercut_when_it_falls_out(
    conferred: tuple[Served, Clock],
) -> None:
    served, clock = conferred
    said = post(served, "/v1/honors/top-hundred/announcements", all_eligible=True, year=2018)
    assert [(one["award"], one["recipient"]) for one in said["outcomes"]] == [(f"top-hundred-2018-{BUSY}", BUSY)]
    best = post(served, "/v1/honors/ten-best/announcements", project=PROJECT, year=2018)
    assert names(best["outcomes"]) == [f"ten-best-2018-{PROJECT}"]
    clock.move_to(GIVEN)
    for honor in ("top-hundred", "ten-best"):
        assert post(served, f"/v1/honors/{honor}/awards", all_due=True, year=2018)["accepted"] == 1
    (award,) = get(served, "/v1/awards", honor="top-hundred", year=2018)["awards"]
    assert (award["awarded"]["rank"], award["awarded"]["credited_minutes"]) == (1, 6_240)
    given = get(served, f"/v1/awards/{award['award']}/as-given")
    assert (given["agrees"], given["place"]["rank"], given["place"]["ranked"]) == (True, 1, 1)
    assert get(served, "/v1/honors/top-hundred/eligible", year=2018)["eligible"] == []
    for number in range(3, 10):
        void: dict[str, Any] = {"volunteer": BUSY, "shift": shift_id(number), "reason": "spot-check"}
        assert served.approved("void-shift", **void).status_code == 201
    undercut = get(served, "/v1/undercut-awards")
    assert {(one["award"], one["kind"], one["credited_minutes_now"]) for one in undercut["undercut"]} == {
        (f"top-hundred-2018-{BUSY}", "lost", 2_880),
        (f"ten-best-2018-{PROJECT}", "lost", 2_880),
    }
    replayed = get(served, "/v1/undercut-awards", rules=1)
    assert [(one["award"], one["kind"], one["difference"]) for one in replayed["undercut"]] == [
        (one["award"], one["kind"], one["difference"]) for one in undercut["undercut"]
    ]
    for one in undercut["undercut"]:
        assert (one["causes"]["minutes_then"], one["causes"]["by_events"], one["causes"]["by_rules"]) == (
            6_240,
            -3_360,
            0,
        )
        assert len(one["causes"]["shifts"]) == (7 if one["volunteer"] else 0)


def test_other_rules_undercut_as_corrections_do_and_say_so(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    post(served, f"{STAR}/announcements", volunteer=BUSY)
    clock.move_to(GIVEN)
    assert post(served, f"{STAR}/awards", volunteer=BUSY)["accepted"] == 1
    text = served.get("/v1/rules/1").json()["text"].replace("day_minutes_max = 480", "day_minutes_max = 420")
    candidate = served.client.post("/v1/rules/candidates", json={"text": text}, headers=served.headers(Role.ANALYST))
    found = get(served, "/v1/undercut-awards", role=Role.ANALYST, rules=candidate.json()["digest"])
    (one,) = found["undercut"]
    why = one["causes"]
    assert (why["by_events"], why["by_rules"], why["minutes_now"], why["rules_differ"]) == (0, -780, 5_460, True)
    assert get(served, "/v1/undercut-awards")["count"] == 0
    same = get(served, "/v1/undercut-awards", rules=1)  # replayed, and not read from rows
    assert (same["awards_in_all"], same["count"]) == (1, 0)
    eligible = get(served, f"{STAR}/eligible", role=Role.ANALYST, rules=candidate.json()["digest"])
    assert names(eligible["eligible"], "name") == [FAR, NEAR]


def test_who_was_rejected_or_revoked_is_announced_anew_only_by_name(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    post(served, f"{STAR}/announcements", all_eligible=True)
    caught_up(served)
    standing = post(served, f"{STAR}/announcements", volunteer=NEAR)
    assert (standing["status_code"], standing["rejection"]) == (409, "not-eligible")
    assert "was already announced for V0000001" in standing["detail"]
    award = f"star-1-{NEAR}"
    served.command("object-to-honor", Role.STAFF, award=award, reason="hours-doubted")
    settle: dict[str, Any] = {"award": award, "objection": 1, "outcome": "upheld", "reason": "nobody-saw-him"}
    assert served.command("settle-honor-objection", Role.ADMIN, **settle).status_code == 201
    assert get(served, f"/v1/awards/{award}")["award"]["state"] == "rejected"
    clock.move_to(GIVEN)
    (refused,) = post(served, f"{STAR}/awards", volunteer=NEAR)["outcomes"]
    assert refused["problem"]["rejection"] == "objection-upheld"
    again = post(served, f"{STAR}/announcements", all_eligible=True)
    assert (again["accepted"], again["passed_by"]) == (
        0,
        [{"recipient": NEAR, "award": award, "why": f"was rejected; to announce it again, name {NEAR}"}],
    )
    (anew,) = post(served, f"{STAR}/announcements", volunteer=NEAR)["outcomes"]
    assert (anew["award"], anew["problem"]) == (f"{award}-2", None)
    assert get(served, "/v1/public-notices")["count"] == 3


def test_who_has_not_reached_it_any_more_is_passed_by_at_the_award(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    post(served, f"{STAR}/announcements", all_eligible=True)
    served.approved("void-shift", volunteer=NEAR, shift=shift_id(1), reason="spot-check")
    caught_up(served)
    clock.move_to(GIVEN)
    said = post(served, f"{STAR}/awards", all_due=True, limit=1)
    assert (said["accepted"], said["left"]) == (1, 1)
    assert [(one["recipient"], one["why"]) for one in said["passed_by"]] == [(NEAR, "no longer reaches it; revoke it")]
    told = post(served, f"{STAR}/awards", volunteer=NEAR)
    assert (told["status_code"], told["rejection"]) == (409, "not-eligible")


def test_lists_are_read_by_the_page_and_as_of_a_day(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    post(served, f"{STAR}/announcements", all_eligible=True)
    for address, key in (("/v1/awards", "awards"), ("/v1/public-notices", "notices"), (f"{STAR}/eligible", "eligible")):
        whole = get(served, address)
        first = get(served, address, limit=2)
        second = get(served, address, limit=2, after=first["next_after"])
        assert first[key] + second[key] == whole[key]
        assert (whole["next_after"], second["next_after"], whole["count"]) == (None, None, 3)
    late = get(served, "/v1/public-notices", valid_at=str(GIVEN))
    assert [one["running"] for one in late["notices"]] == [False, False, False]
    assert all(one["awardable"] for one in late["notices"])
    clock.move_to(GIVEN)
    assert post(served, f"{STAR}/awards", all_due=True)["accepted"] == 3
    assert get(served, "/v1/awards", valid_at=str(ANNOUNCED))["count"] == 0
    assert get(served, "/v1/undercut-awards", valid_at=str(ANNOUNCED))["awards_in_all"] == 0
    before = get(served, f"{STAR}/eligible", valid_at="2018-11-15", known_at=1 + served.ledger.log.head() - 3 - 3)
    assert names(before["eligible"], "name") == [FAR, BUSY]


def test_awards_are_known_as_of_every_position(conferred: tuple[Served, Clock]) -> None:
    served, clock = conferred
    post(served, f"{STAR}/announcements", all_eligible=True)
    served.command("object-to-honor", Role.STAFF, award=f"star-1-{FAR}", reason="hours-doubted")
    clock.move_to(GIVEN)
    post(served, f"{STAR}/awards", all_due=True)
    served.command("revoke-honor", Role.STAFF, award=f"star-1-{NEAR}", reason="hours-voided")
    log, book = served.ledger.log, AwardBook(served.ledger.log)
    head = log.head()
    events = [(one.position, decode(one.topic, one.state)) for one in log.read(Position(0), head)]
    for position in [*range(head - 12, head + 1), head - 3, head, 5]:  # on from what was kept, and back behind it
        expected = fold({}, [event for at, event in events if at <= position and isinstance(event, HonorEvent)])
        assert book.at(Position(position)) == expected
    assert {award.state for award in book.now().values()} == {"objected", "awarded", "revoked"}


def test_what_honours_ask_for_is_told_with_their_years_and_the_length_of_the_notice(shared: Served) -> None:
    told = get(shared, "/v1/honors")
    (ivy,) = [one for one in told["honors"] if one["honor"] == "ivy-5"]
    terms = [(one["active_years_min"], one["active_year_minutes_min"]) for one in ivy["conditions"]]
    assert (told["notice_working_days"], terms) == (5, [(5, 3_000), (5, 3_000)])


MISTAKES: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("star-9/announcements", {"all_eligible": True}, 404, "unknown-honor", "honor"),
    ("star-1/announcements", {"volunteer": IDLE}, 409, "not-eligible", "honor"),
    ("star-1/announcements", {"volunteer": NEAR, "all_eligible": True}, 422, "invalid", None),
    ("star-1/announcements", {}, 422, "invalid", None),
    ("star-1/announcements", {"all_eligible": True, "year": 2018}, 422, "invalid", "year"),
    ("top-hundred/announcements", {"all_eligible": True}, 422, "invalid", "year"),
    ("star-1/awards", {"volunteer": NEAR}, 409, "not-eligible", "honor"),
]


@pytest.fixture(scope="module")
def shared(new_database_url: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served ledger that these tests only read."""
    with conferring(new_database_url(), tmp_path_factory.mktemp("data")) as (served, _):
        caught_up(served)
        yield served


@pytest.mark.parametrize(("address", "body", "status", "rejection", "field"), MISTAKES)
def test_a_mistake_is_told_with_its_field_and_changes_nothing(
    shared: Served, address: str, body: dict[str, Any], status: int, rejection: str, field: str | None
) -> None:
    head = shared.ledger.log.head()
    told = post(shared, f"/v1/honors/{address}", **body)
    assert (told["status_code"], told["rejection"], told["field"]) == (status, rejection, field), told
    assert told["remedy"]
    assert shared.ledger.log.head() == head


@pytest.mark.parametrize("address", ["/v1/awards/nothing", "/v1/awards/nothing/as-given"])
def test_an_award_that_nobody_announced_is_not_known(shared: Served, address: str) -> None:
    told = shared.get(address)
    assert (told.status_code, told.json()["rejection"], told.json()["field"]) == (404, "unknown-award", "award")


def test_a_plan_can_be_tried_without_recording_anything(shared: Served) -> None:
    head = shared.ledger.log.head()
    answer = shared.client.post(
        f"{STAR}/announcements",
        params={"dry_run": True},
        json={"all_eligible": True},
        headers=shared.headers(Role.STAFF),
    ).json()
    assert (answer["accepted"], [one["position"] for one in answer["outcomes"]]) == (3, [None, None, None])
    assert shared.ledger.log.head() == head
    assert date.fromisoformat(get(shared, "/v1/public-notices")["on"]) == ANNOUNCED
