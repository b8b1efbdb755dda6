"""Punches over HTTP: scans without a shift id in every mode, and the shifts that the rules make of them."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from api.access.roles import Role
from api.messages.cloud_events import BATCH, EVENT
from tests.support.api.serving import OTHER_STATION, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

DAY, EVENING = "2018-12-04", "2018-12-03"

# Command, station, instant, what else the data say
Scan = tuple[str, str, str, dict[str, Any]]
# name, scans of one volunteer, raw minutes of each shift that holds time, whether each is scanned, and flags that occur
TABLE: list[tuple[str, list[Scan], list[int], list[str], set[str]]] = [
    (
        "double tap",
        [
            ("check-in", STATION, f"{DAY}T09:00:00+08:00", {}),
            ("check-in", STATION, f"{DAY}T09:00:02+08:00", {}),
            ("check-out", STATION, f"{DAY}T11:00:00+08:00", {}),
        ],
        [120],
        ["scanned"],
        {"double-tap", "paired-by-rule", "punched"},
    ),
    (
        "forgotten evening",
        [
            ("check-in", STATION, f"{EVENING}T20:00:00+08:00", {}),
            ("check-in", STATION, f"{DAY}T08:00:00+08:00", {}),
            ("check-out", STATION, f"{DAY}T10:00:00+08:00", {}),
        ],
        [0, 120],
        ["attested", "scanned"],
        {"no-check-out", "paired-by-rule"},
    ),
    (
        "id stamped a day later",
        [
            ("check-in", STATION, f"{DAY}T09:00:00+08:00", {"shift": "0167cd9e-6000-7000-8000-000000000001"}),
            ("check-out", STATION, f"{DAY}T11:00:00+08:00", {}),
        ],
        [120],
        ["scanned"],
        {"paired-by-rule"},
    ),
    (
        "without direction",
        [
            ("punch", STATION, f"{DAY}T08:58:00+08:00", {}),
            ("punch", STATION, f"{DAY}T12:01:00+08:00", {}),
            ("punch", STATION, f"{DAY}T13:00:00+08:00", {}),
            ("punch", STATION, f"{DAY}T17:30:00+08:00", {}),
        ],
        [183, 270],
        ["scanned", "scanned"],
        {"punched", "paired-by-rule"},
    ),
    (
        "at another station",
        [
            ("punch", STATION, f"{DAY}T09:00:00+08:00", {"direction": "in"}),
            ("punch", OTHER_STATION, f"{DAY}T10:00:00+08:00", {"direction": "out"}),
        ],
        [60],
        ["scanned"],
        {"paired-by-rule"},
    ),
    (
        "nothing to end",
        [("check-out", STATION, f"{DAY}T11:00:00+08:00", {})],
        [],
        [],
        {"check-out-without-check-in", "punched"},
    ),
]


def structured(served: Served, station: str, event: dict[str, Any]) -> dict[str, Any]:
    headers = served.station_headers(station) | {"Content-Type": EVENT}
    told: dict[str, Any] = served.client.post("/v1/events?wait=projected", json=event, headers=headers).json()
    return told


def batch(served: Served, station: str, event: dict[str, Any]) -> dict[str, Any]:
    headers = served.station_headers(station) | {"Content-Type": BATCH}
    answer = served.client.post("/v1/events?wait=projected", json=[event], headers=headers)
    told: dict[str, Any] = answer.json()["answers"][0] | {"projected": answer.json()["projected"]}
    return told


def stream(served: Served, station: str, event: dict[str, Any]) -> dict[str, Any]:
    headers = served.station_headers(station) | {"Content-Type": "application/x-ndjson"}
    answer = served.client.post("/v1/events?wait=projected", content=json.dumps(event), headers=headers)
    told: dict[str, Any] = json.loads(answer.text)
    return told


def rest(served: Served, station: str, event: dict[str, Any]) -> dict[str, Any]:
    command = event["type"].removeprefix("org.service-hours.").removesuffix(".v1")
    headers = served.station_headers(station) | {"Idempotency-Key": event["id"]}
    address = f"/v1/commands/{command}?wait=projected"
    told: dict[str, Any] = served.client.post(address, json=event["data"], headers=headers).json()
    return told


WAYS = [structured, batch, stream, rest]


def sent(served: Served, volunteer: str, scan: Scan, way: Any = structured) -> dict[str, Any]:
    command, station, at, more = scan
    data = {"volunteer": volunteer, "station": station, "occurred_at": at, **more}
    event = served.event(command, source=f"/stations/{station}", **data)
    told: dict[str, Any] = way(served, station, event)
    assert told.get("projected") is True, told
    return told


def shifts_of(served: Served, volunteer: str) -> list[dict[str, Any]]:
    shifts: list[dict[str, Any]] = served.get(f"/v1/volunteers/{volunteer}/shifts").json()["shifts"]
    return sorted(shifts, key=lambda shift: shift["check_in"] or "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("scans", "minutes", "grades", "flags"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_scans_without_a_shift_id_become_shifts_by_the_rules(
    served: Served, scans: list[Scan], minutes: list[int], grades: list[str], flags: set[str], way: Any
) -> None:
    for order in (1, -1):
        volunteer = served.volunteer()
        for scan in scans[::order]:
            sent(served, volunteer, scan, way)
        shifts = shifts_of(served, volunteer)
        holding = [shift for shift in shifts if shift["pieces"]]
        assert [shift["trace"]["raw"] for shift in holding] == minutes
        assert [shift["grade"] for shift in holding] == grades
        assert flags <= {flag for shift in shifts for flag in shift["flags"]}
        hours = served.get(f"/v1/volunteers/{volunteer}").json()
        assert hours["total"]["raw_minutes"] == sum(minutes)


@pytest.mark.parametrize("way", WAYS)
def test_the_answer_names_the_punch_and_the_shift_that_it_came_to(served: Served, way: Any) -> None:
    volunteer = served.volunteer()
    begun = sent(served, volunteer, ("check-in", STATION, f"{DAY}T09:00:00+08:00", {}), way)
    ended = sent(served, volunteer, ("check-out", STATION, f"{DAY}T11:00:00+08:00", {}), way)
    alone = sent(served, volunteer, ("check-out", STATION, f"{DAY}T15:00:00+08:00", {}), way)
    assert begun["punch"] == begun["shift"] == ended["shift"]
    assert ended["punch"] not in {None, begun["punch"]}
    assert (alone["shift"], alone["punch"] is None) == (None, False)
    named = sent(served, volunteer, ("check-in", STATION, f"{DAY}T16:00:00+08:00", {"shift": str(uuid4())}), way)
    assert "punch" not in named


@pytest.mark.parametrize("more", [{}, {"shift": True}], ids=["a punch", "with a shift id"])
def test_a_check_out_without_a_check_in_is_shown_as_it_was_scanned(served: Served, more: dict[str, Any]) -> None:
    volunteer, at = served.volunteer(), f"{DAY}T15:00:00+08:00"
    more = {"shift": str(uuid4())} if more else {}
    scan = sent(served, volunteer, ("check-out", STATION, at, more))
    (shift,) = shifts_of(served, volunteer)
    assert (shift["station"], shift["check_in"], shift["check_out"]) == (STATION, None, f"{DAY}T07:00:00Z")
    assert "check-out-without-check-in" in shift["flags"]
    listed = served.get(f"/v1/volunteers/{volunteer}/shifts?from={DAY}&to={DAY}").json()["shifts"]
    assert listed == [shift]
    (idle,) = served.get(f"/v1/volunteers/{volunteer}/explanation", day=DAY).json()["without_minutes"]
    assert [(event["position"], event["occurred_at"]) for event in idle["events"]] == [(scan["position"], at)]
    (line,) = served.get(f"/v1/volunteers/{volunteer}/statement?from={DAY}&to={DAY}").json()["lines"]
    assert (line["station"], line["check_out"], line["without_minutes"]) == (STATION, at, "it has no check-in")


def test_the_minutes_lead_back_to_both_punches_and_to_the_rule(served: Served) -> None:
    volunteer = served.volunteer()
    begun = sent(served, volunteer, ("check-in", STATION, f"{DAY}T09:00:00+08:00", {}))
    tapped = sent(served, volunteer, ("check-in", STATION, f"{DAY}T09:00:10+08:00", {}))
    ended = sent(served, volunteer, ("check-out", STATION, f"{DAY}T11:00:00+08:00", {}))
    shift = next(one for one in shifts_of(served, volunteer) if one["shift"] == begun["shift"])
    assert shift["positions"] == [begun["position"], ended["position"]]
    behind = served.get(shift["links"]["events"]).json()
    assert [event["position"] for event in behind["events"]] == [begun["position"], ended["position"]]
    assert (behind["version"], shift["version"]) == (1, 1)  # the other event is the punch's own
    told = served.get(f"/v1/volunteers/{volunteer}/explanation", day=DAY).json()
    (explained,) = told["shifts"]
    assert (explained["ended_by"], explained["end_rule"]["key"], explained["end_rule"]["value"]) == (
        "paired-punch",
        "open_hours_max",
        24,
    )
    assert [(event["position"], event["topic"], event["decides"]) for event in explained["events"]] == [
        (begun["position"], "punched.v1", ["check_in", "station"]),
        (ended["position"], "punched.v1", ["check_out"]),
    ]
    assert all(set(part["positions"]) >= {begun["position"], ended["position"]} for part in explained["stretches"])
    (double,) = told["without_minutes"]
    assert (double["shift"], "60 s (double_tap_seconds)" in double["because"]) == (tapped["punch"], True)
    day = served.get(f"/v1/stations/{STATION}/shifts", day=DAY, limit=500).json()["shifts"]
    assert [one["positions"] for one in day if one["volunteer"] == volunteer] == [
        [begun["position"], ended["position"]]
    ]


@pytest.mark.parametrize("merged", ["before", "afterwards"])
def test_cards_of_one_person_are_paired_whenever_the_merge_is_recorded(served: Served, merged: str) -> None:
    one, other = served.volunteer(), served.volunteer()

    def scans() -> None:
        sent(served, one, ("check-in", STATION, f"{DAY}T09:00:00+08:00", {}))
        sent(served, other, ("check-out", STATION, f"{DAY}T11:00:00+08:00", {}))

    def total(volunteer: str) -> int:
        minutes: int = served.get(f"/v1/volunteers/{volunteer}").json()["total"]["raw_minutes"]
        return minutes

    def act(command: str) -> None:
        answer = served.approved(command, volunteer=other, into=one, reason="two-cards")
        assert answer.status_code == 201, answer.text
        served.get("/v1/stations", at_least=answer.json()["position"])

    if merged == "afterwards":
        scans()
        assert total(one) == 0
        act("merge-volunteer")
    else:
        act("merge-volunteer")
        scans()
    assert (total(one), total(other)) == (120, 120)
    act("undo-merge")
    assert (total(one), total(other)) == (0, 0)


def test_a_correction_decides_over_pairing(served: Served) -> None:
    volunteer = served.volunteer()
    begun = sent(served, volunteer, ("check-in", STATION, f"{DAY}T09:00:00+08:00", {}))
    sent(served, volunteer, ("check-out", STATION, f"{DAY}T11:00:00+08:00", {}))
    changes: dict[str, Any] = {"changes": ["check_out"], "check_out": f"{DAY}T10:30:00+08:00"}
    answer = served.approved("correct-shift", volunteer=volunteer, shift=begun["shift"], reason="left-early", **changes)
    served.get("/v1/stations", at_least=answer.json()["position"])
    holding = [shift for shift in shifts_of(served, volunteer) if shift["pieces"]]
    assert [(shift["trace"]["raw"], shift["grade"]) for shift in holding] == [(90, "attested")]


def test_an_act_on_a_paired_shift_shows_the_check_out_that_held_before(served: Served) -> None:
    volunteer = served.volunteer()
    begun = sent(served, volunteer, ("check-in", STATION, f"{DAY}T09:00:00+08:00", {"shift": str(uuid4())}))
    sent(served, volunteer, ("check-out", STATION, f"{DAY}T11:30:00+08:00", {}))
    about = {"volunteer": volunteer, "shift": begun["shift"], "reason": "checked"}
    acts: list[tuple[str, dict[str, Any]]] = [
        ("correct-shift", {"changes": ["check_in"], "check_in": f"{DAY}T08:30:00+08:00"}),
        ("void-shift", {}),
        ("reinstate-shift", {}),
        ("correct-shift", {"changes": ["check_out"], "check_out": f"{DAY}T11:00:00+08:00"}),
        ("correct-shift", {"changes": ["check_out"]}),
    ]
    for act, more in acts:
        answer = served.approved(act, **about, **more)
        assert answer.status_code == 201, answer.text
    last = answer.json()["position"]
    expected = [
        f"{DAY}: check-in 09:00 → 08:30, +30 min",
        f"{DAY}: void no → yes, \u2212180 min",
        f"{DAY}: void yes → no, +180 min",
        f"{DAY}: check-out 11:30 → 11:00, \u221230 min",
        f"{DAY}: check-out 11:00 → none, \u2212150 min",
    ]
    requests = served.get("/v1/requests", role=Role.APPROVER, volunteer=volunteer, at_least=last).json()["requests"]
    assert [one["sentence"] for one in requests] == expected
    history = served.get(f"/v1/volunteers/{volunteer}/history", role=Role.AUDITOR, at_least=last).json()["acts"]
    about_shift = [one for one in history if one["topic"].startswith("shift-")]
    assert [one["sentence"] for one in about_shift] == expected
    assert [one["minutes"]["change"] for one in about_shift[:4]] == [30, -180, 180, -30]


def test_staff_types_in_and_out_and_it_is_attested(served: Served) -> None:
    volunteer, shift = served.volunteer(), str(uuid4())
    for command, at in (("check-in", f"{DAY}T09:00:00+08:00"), ("check-out", f"{DAY}T11:00:00+08:00")):
        data = {"volunteer": volunteer, "station": STATION, "occurred_at": at, "shift": shift}
        answer = served.command(command, role=Role.STAFF, **data)
        assert answer.status_code == 201, answer.text
    served.get("/v1/stations", at_least=answer.json()["position"])
    (told,) = shifts_of(served, volunteer)
    assert (told["trace"]["raw"], told["grade"]) == (120, "attested")


def test_a_shift_whose_punches_came_late_is_one_anomaly_with_both(served: Served) -> None:
    volunteer = served.volunteer()
    begun = sent(served, volunteer, ("check-in", STATION, f"{DAY}T09:00:00+08:00", {}))
    ended = sent(served, volunteer, ("check-out", STATION, f"{DAY}T11:00:00+08:00", {}))
    answer = served.get("/v1/anomalies", role=Role.AUDITOR, kind="late-upload", volunteer=volunteer).json()
    (late,) = answer["anomalies"]
    assert [event["position"] for event in late["events"]] == [begun["position"], ended["position"]]
    assert [each["shift"] for each in late["shifts"]] == [begun["shift"]]
