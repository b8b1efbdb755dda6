"""Disputes, requests and the history of a record, over HTTP: who may see what, under the axes of time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from api.access.roles import Role
from api.messages.examples import EXAMPLES
from ledger.store.persons import Persons
from tests.support.api.serving import OTHER_STATION, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

MORNING, NOON, ONE = (f"2018-12-04T{hour}:00:00+08:00" for hour in ("09", "12", "13"))


def follow(served: Served, part: dict[str, Any], link: str) -> dict[str, Any]:
    """Return what a link leads to."""
    answer = served.get(part["links"][link])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def about(volunteer: str, shift: UUID, **more: Any) -> dict[str, Any]:
    return {"volunteer": volunteer, "shift": str(shift), "reason": "checked", **more}


def position_of(answer: Any) -> int:
    assert answer.status_code == 201, answer.text
    position: int = answer.json()["position"]
    return position


@pytest.fixture(scope="module")
def record(served: Served) -> tuple[str, int]:
    """A volunteer to whose record everything has happened, and the last position."""
    volunteer, other = served.volunteer(), served.volunteer()
    shift, _ = served.served_shift(volunteer, MORNING, NOON)
    correction = about(volunteer, shift, changes=["check_out"], check_out=ONE, text="She locked up.")
    position_of(served.approved("correct-shift", Role.CORRECTOR, **correction))
    position_of(served.approved("correct-shift", **about(volunteer, shift, changes=["station"], station=OTHER_STATION)))
    position_of(served.approved("void-shift", **about(volunteer, shift)))
    position_of(served.approved("reinstate-shift", **about(volunteer, shift)))
    second, _ = served.served_shift(volunteer, "2018-12-05T09:00:00+08:00", "2018-12-05T20:00:00+08:00")
    day: dict[str, Any] = {"volunteer": volunteer, "day": "2018-12-05", "raise_id": "flood"}
    position_of(served.approved("raise-day-cap", **day, minutes=600, reason="flood"))
    balance: dict[str, Any] = {"volunteer": volunteer, "minutes": 6000, "as_of": "2016-06-01", "evidence": "paper-book"}
    position_of(served.approved("record-opening-balance", **balance))
    position_of(served.command("dispute-shift", **about(volunteer, second, text="It was 21:00.")))
    position_of(served.command("answer-dispute", Role.CORRECTOR, **about(volunteer, second, text="Ask the guard.")))
    fields = {"changes": ["check_out"], "check_out": "2018-12-05T18:00:00+08:00"}
    settled = about(volunteer, second, outcome="upheld", act="correct-shift", fields=fields)
    position_of(served.approved("settle-dispute", Role.CORRECTOR, **settled))
    award = {**EXAMPLES["announce-honor"], "award": f"a-{volunteer}", "volunteer": volunteer, "evidence_position": 1}
    position_of(served.command("announce-honor", **award))
    return volunteer, position_of(served.approved("move-shift", **about(volunteer, second, to_volunteer=other)))


def history(served: Served, volunteer: str, role: Role = Role.AUDITOR, **axes: Any) -> list[dict[str, Any]]:
    answer = served.get(f"/v1/volunteers/{volunteer}/history", role=role, **axes)
    assert answer.status_code == 200, answer.text
    acts: list[dict[str, Any]] = answer.json()["acts"]
    return acts


def test_a_history_tells_every_act_in_log_order_with_before_and_after(served: Served, record: tuple[str, int]) -> None:
    volunteer, last = record
    acts = history(served, volunteer, at_least=last)
    assert [act["topic"].removesuffix(".v1") for act in acts] == [
        "volunteer-registered",
        *("act-requested", "act-approved", "shift-corrected"),
        *("act-requested", "act-approved", "shift-corrected"),
        *("act-requested", "act-approved", "shift-voided"),
        *("act-requested", "act-approved", "shift-reinstated"),
        *("act-requested", "act-approved", "day-cap-raised"),
        *("act-requested", "act-approved", "opening-balance-recorded"),
        "shift-disputed",
        "dispute-answered",
        *("act-requested", "act-approved", "dispute-settled", "shift-corrected"),
        "honor-announced",
        *("act-requested", "act-approved", "shift-voided"),
    ]
    assert [act["position"] for act in acts] == sorted(act["position"] for act in acts)
    longer, elsewhere, voided = acts[3:10:3]
    assert (longer["before"], longer["after"]) == ({"check_out": NOON}, {"check_out": ONE})
    assert (longer["by"], longer["reason"], longer["text"]) == ("person:corrector", "checked", "She locked up.")
    assert longer["minutes"] == {
        "first_day": "2018-12-04", "last_day": "2018-12-04", "before": 180, "after": 240, "change": 60,
    }  # fmt: skip
    assert (elsewhere["before"], elsewhere["after"]) == ({"station": STATION}, {"station": OTHER_STATION})
    assert elsewhere["minutes"]["change"] == 0
    assert (voided["before"], voided["after"], voided["minutes"]["change"]) == ({"void": False}, {"void": True}, -240)
    reinstated = acts[12]
    assert (reinstated["by"], reinstated["approved_by"]) == ("person:staff", "person:approver")
    raised = acts[15]
    assert (raised["before"]["raised_to"], raised["after"]["raised_to"]) == (None, 600)
    assert (raised["minutes"]["before"], raised["minutes"]["after"]) == (480, 600)
    balance = acts[18]
    assert (balance["after"], balance["minutes"]["change"]) == ({"minutes": 6000, "as_of": "2016-06-01"}, 6000)
    disputed, answered, _, _, settled, corrected = acts[19:25]
    assert (disputed["after"], answered["after"]) == ({"disputed": True}, {"answered": True})
    assert settled["after"] == {"disputed": False, "answered": False}
    assert (disputed["minutes"], corrected["minutes"]["change"]) == (None, 540 - 600)
    moved = acts[-1]
    assert (moved["before"]["volunteer"], moved["after"]["void"]) == (volunteer, True)


def test_the_minutes_of_an_act_are_the_difference_of_the_hours_known_around_it(
    served: Served, record: tuple[str, int]
) -> None:
    volunteer, last = record

    def credited(position: int) -> int:
        hours = served.get(f"/v1/volunteers/{volunteer}", known_at=position, at_least=last).json()
        minutes: int = hours["total"]["credited_minutes"]
        return minutes

    changes = [act for act in history(served, volunteer, at_least=last) if act["minutes"]]
    assert len(changes) >= 8
    for act in changes:
        position = act["position"]
        assert act["minutes"]["change"] == credited(position) - credited(position - 1), act


def test_a_history_is_cut_by_known_at_and_goes_on_page_by_page(served: Served, record: tuple[str, int]) -> None:
    volunteer, last = record
    acts = history(served, volunteer, at_least=last)
    known_at = acts[5]["position"]
    then = history(served, volunteer, known_at=known_at)
    assert [{**act, "links": None} for act in then] == [{**act, "links": None} for act in acts[:6]]
    assert all(f"known_at={known_at}" in act["links"]["explanation"] for act in then if act["minutes"])
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = served.get(f"/v1/volunteers/{volunteer}/history", role=Role.AUDITOR, limit=4, after=after).json()
        found, after = found + page["acts"], page["next_after"]
    assert found == acts
    not_yet = served.get(f"/v1/volunteers/{volunteer}/history", role=Role.AUDITOR, valid_at="2018-12-03").json()["acts"]
    assert [act["minutes"]["change"] for act in not_yet if act["minutes"]] == [0, 0, 0, 0, 0, 6000, 0, 0]


def test_links_of_an_act_lead_to_its_event_and_to_the_day(served: Served, record: tuple[str, int]) -> None:
    volunteer, last = record
    longer = history(served, volunteer, at_least=last)[3]
    assert follow(served, longer, "event")["event"]["topic"] == "shift-corrected.v1"
    assert follow(served, longer, "explanation")["day"] == "2018-12-04"


def test_a_day_of_a_disputed_shift_is_explained_by_the_acts_on_it(served: Served, record: tuple[str, int]) -> None:
    volunteer, last = record
    address = f"/v1/volunteers/{volunteer}/explanation"
    then = history(served, volunteer, at_least=last)[-4]["position"]  # before it moved to another
    explained = served.get(address, day="2018-12-05", known_at=then)
    assert explained.status_code == 200, explained.text
    (shift,) = explained.json()["shifts"]
    assert shift["trace"]["credited"] == 540
    assert "dispute-answered.v1" in [event["topic"] for event in shift["events"]]


def test_what_people_wrote_is_for_those_who_may_read_it_and_gone_when_it_is_erased(
    served: Served, record: tuple[str, int]
) -> None:
    volunteer, last = record
    for role in (Role.READER, Role.ANALYST, Role.STATION):
        assert {act["text"] for act in history(served, volunteer, role, at_least=last)} == {None}
    _, token = served.ledger.keys.make(Role.VOLUNTEER, volunteer)
    own = served.client.get(f"/v1/volunteers/{volunteer}/history", headers={"Authorization": f"Bearer {token}"})
    assert "She locked up." not in own.text
    assert [act["text"] for act in own.json()["acts"] if act["text"]] == ["It was 21:00.", "Ask the guard."]
    of_other = served.volunteer()
    shift, _ = served.served_shift(of_other, MORNING, NOON)
    fields = about(of_other, shift)
    position_of(
        served.command("request-act", request="erase-1", act="void-shift", fields=fields, text="Asked by phone.")
    )
    last = position_of(served.command("approve-act", Role.APPROVER, request="erase-1", text="His mother confirms it."))
    texts = [act["text"] for act in history(served, of_other, at_least=last)]
    assert texts == [None, "Asked by phone.", "His mother confirms it.", "Asked by phone."]
    _, token = served.ledger.keys.make(Role.VOLUNTEER, of_other)
    own = served.client.get(f"/v1/volunteers/{of_other}/history", headers={"Authorization": f"Bearer {token}"})
    assert [act["text"] for act in own.json()["acts"]] == [None] * 4  # what staff wrote for each other
    Persons(served.ledger.database.pool).erase(of_other)
    assert {act["text"] for act in history(served, of_other, at_least=last)} == {None}


def test_an_unknown_volunteer_has_no_history(served: Served) -> None:
    told = served.get("/v1/volunteers/V9999999/history")
    assert (told.status_code, told.json()["rejection"]) == (404, "unknown-volunteer")


# --- disputes -------------------------------------------------------------------------------------------------------


def test_disputes_are_listed_with_their_state_and_what_is_overdue(served: Served) -> None:
    volunteer = served.volunteer()
    shifts = [
        served.served_shift(volunteer, f"2018-02-{day}T09:00:00+08:00", f"2018-02-{day}T12:00:00+08:00")[0]
        for day in ("01", "02", "03")
    ]
    for shift in shifts:
        opened = about(volunteer, shift, occurred_at="2018-02-14T10:00:00+08:00", text="Too few.")
        position_of(served.command("dispute-shift", Role.CORRECTOR, **opened))
    more = about(volunteer, shifts[0], occurred_at="2018-03-01T10:00:00+08:00", text="And the break.")
    position_of(served.command("dispute-shift", Role.CORRECTOR, **more))  # of the one that is open
    position_of(served.command("answer-dispute", **about(volunteer, shifts[1])))
    last = position_of(served.command("settle-dispute", Role.APPROVER, **about(volunteer, shifts[2], outcome="upheld")))

    def told(role: Role = Role.STAFF, **asked: Any) -> list[dict[str, Any]]:
        answer = served.get("/v1/disputes", role=role, volunteer=volunteer, at_least=last, **asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["disputes"]
        return found

    everything = told()
    assert [one["shift"] for one in everything] == [str(shift) for shift in shifts]
    assert [one["state"] for one in everything] == ["open", "answered", "settled"]
    assert {(one["answer_due"], one["settle_due"]) for one in everything} == {("2018-02-27", "2018-03-13")}
    assert [one["outcome"] for one in everything] == [None, None, "upheld"]
    assert everything[0]["opened"]["text"] == "Too few."
    assert told(Role.READER)[0]["opened"]["text"] is None
    assert [[step["text"] for step in one["additions"]] for one in everything] == [["And the break."], [], []]
    assert follow(served, everything[0]["additions"][0], "event")["event"]["topic"] == "shift-disputed.v1"
    added = [act["sentence"] for act in history(served, volunteer, at_least=last) if act["shift"] == str(shifts[0])]
    assert added[1:] == ["added to the dispute that is open"]
    assert added[0] != added[1]
    assert [one["overdue"] for one in told()] == ["settlement", "settlement", None]
    for day, late in (
        ("2018-02-27", [None, None, None]),
        ("2018-02-28", ["answer", None, None]),
        ("2018-03-14", ["settlement", "settlement", None]),
    ):
        assert [one["overdue"] for one in told(valid_at=day)] == late
        assert len(told(valid_at=day, overdue=True)) == len([one for one in late if one])
    for state in ("open", "answered", "settled"):
        assert [one["state"] for one in told(state=state)] == [state]
    assert told(station=OTHER_STATION) == []
    assert len(told(station=STATION, state="settled")) == 1
    assert [one["state"] for one in told(known_at=last - 1)] == ["open", "answered", "open"]
    page = served.get("/v1/disputes", volunteer=volunteer, limit=2).json()
    rest = served.get("/v1/disputes", volunteer=volunteer, limit=2, after=page["next_after"]).json()
    assert ([one["shift"] for one in rest["disputes"]], rest["next_after"]) == ([str(shifts[2])], None)
    assert follow(served, everything[0]["opened"], "event")["event"]["topic"] == "shift-disputed.v1"
    assert len(follow(served, everything[0], "events")["events"]) == 4


# --- requests -------------------------------------------------------------------------------------------------------


def test_requests_are_listed_with_their_state_and_who_decided(served: Served) -> None:
    volunteer = served.volunteer()
    shift, _ = served.served_shift(volunteer, MORNING, NOON)
    last = 0
    for number, (command, role, more) in enumerate(
        [
            (None, Role.STAFF, {}),
            ("withdraw-request", Role.CORRECTOR, {"reason": "mistaken"}),
            ("decline-act", Role.APPROVER, {"reason": "was-real", "text": "I saw her."}),
            ("approve-act", Role.APPROVER, {}),
        ]
    ):
        request = f"{volunteer}-{number}"
        asked: dict[str, Any] = {"request": request, "act": "void-shift", "fields": about(volunteer, shift)}
        last = position_of(served.command("request-act", Role.CORRECTOR, text="Twice.", **asked))
        if command:
            last = position_of(served.command(command, role, request=request, **more))

    def told(role: Role = Role.APPROVER, **asked: Any) -> list[dict[str, Any]]:
        answer = served.get("/v1/requests", role=role, volunteer=volunteer, at_least=last, **asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["requests"]
        return found

    everything = told()
    assert [one["state"] for one in everything] == ["open", "withdrawn", "declined", "approved"]
    assert [one["decided"] and one["decided"]["by"] for one in everything] == [
        None, "person:corrector", "person:approver", "person:approver",
    ]  # fmt: skip
    assert (everything[0]["asked"]["text"], everything[2]["decided"]["text"]) == ("Twice.", "I saw her.")
    assert told(Role.READER)[2]["decided"]["text"] is None
    assert everything[0]["fields"]["shift"] == str(shift)
    for one in everything:
        assert told(state=one["state"]) == [one]
    assert told(act="move-shift") == []
    assert [one["state"] for one in told(known_at=last - 2)] == ["open", "withdrawn", "declined", "open"]
    assert follow(served, everything[3]["decided"], "event")["event"]["topic"] == "act-approved.v1"


def test_a_role_asks_for_what_it_may_do_itself_and_approving_is_another_s(served: Served) -> None:
    volunteer = served.volunteer()
    shift, _ = served.served_shift(volunteer, MORNING, NOON)
    asked: dict[str, Any] = {"request": f"of-{volunteer}", "act": "void-shift", "fields": about(volunteer, shift)}
    told = served.command("request-act", Role.HONORS_OFFICER, **asked)
    assert (told.status_code, told.json()["field"]) == (403, "act")
    assert "may not request to void shift" in told.json()["detail"]
    assert served.command("request-act", Role.CORRECTOR, **asked).status_code == 201
    told = served.command("approve-act", Role.CORRECTOR, request=asked["request"])
    assert (told.status_code, told.json()["field"]) == (403, "command")
    assert served.command("approve-act", Role.STAFF, request=asked["request"]).status_code == 201


def test_who_holds_a_key_as_a_volunteer_does_not_act_on_those_hours(served: Served) -> None:
    volunteer = served.volunteer()
    shift, _ = served.served_shift(volunteer, MORNING, NOON)
    _, token = served.ledger.keys.make(Role.STAFF, "chen", volunteer=volunteer)
    headers = {"Authorization": f"Bearer {token}"}
    told = served.client.post("/v1/commands/void-shift", json=about(volunteer, shift), headers=headers)
    assert (told.status_code, told.json()["rejection"], told.json()["field"]) == (409, "own-hours", "volunteer")
    event = served.event("void-shift", source="/staff/chen", **about(volunteer, shift))
    sent = served.client.post(
        "/v1/events", json=event, headers=headers | {"Content-Type": "application/cloudevents+json"}
    )
    assert (sent.status_code, sent.json()["rejection"]) == (409, "own-hours")
    another, _ = served.served_shift(served.volunteer(), MORNING, NOON)
    own = served.client.post("/v1/commands/dispute-shift", json=about(volunteer, shift), headers=headers)
    logged = served.get(f"/v1/log/{position_of(own)}").json()["event"]["event"]
    assert (logged["by"], logged["by_volunteer"]) == ("person:chen", volunteer)
    assert another != shift


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/v1/disputes?state=late", "state"),
        ("/v1/disputes?overdue=perhaps", "overdue"),
        ("/v1/requests?act=check-in", "act"),
        ("/v1/requests?limit=0", "limit"),
    ],
)
def test_a_question_that_cannot_be_names_its_field(served: Served, address: str, field: str) -> None:
    told = served.get(address)
    assert (told.status_code, told.json()["field"]) == (422, field)
