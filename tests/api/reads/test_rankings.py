"""What readers get of rankings and projects: current with the last event, under the three axes, and traceable."""

from __future__ import annotations

from typing import Any

import pytest

from api.access.roles import Role
from api.operations.service import DEFAULT_RULES
from tests.support.api.serving import PROJECT, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

YEAR = 2014
"""A year that no other test of the shared ledger touches."""
BASIS = {"valid_at", "known_at", "rules", "position"}


def serve(served: Served, volunteer: str, days: int, month: int = 3, hours: int = 8) -> int:
    """Serve at the project on the first days of a month; return the last position."""
    batch = []
    for day in range(1, days + 1):
        shift = f"{volunteer[1:].zfill(8)}-{month:04d}-7000-8000-{day:012d}"
        said = {"volunteer": volunteer, "station": STATION, "shift": shift}
        for scan, hour in (("check-in", 9), ("check-out", 9 + hours)):
            instant = f"{YEAR}-{month:02d}-{day:02d}T{hour:02d}:00:00+08:00"
            project = {"project": PROJECT} if scan == "check-in" else {}
            batch.append(served.event(scan, **said, **project, occurred_at=instant))
    answer = served.send(batch, Role.STATION).json()
    assert (answer["accepted"], answer["refused"]) == (2 * days, 0), answer
    return int(answer["position"])


@pytest.fixture(scope="module")
def ranked(served: Served) -> dict[str, Any]:
    """Volunteers of whom two reach fifty hours in the year, and a project of a hundred hours."""
    first, second, third, idle = (served.volunteer() for _ in range(4))
    serve(served, first, 8)
    serve(served, second, 7)
    position = serve(served, third, 3, month=5)
    return {"first": first, "second": second, "third": third, "idle": idle, "position": position}


def test_the_rules_rankings_are_listed_with_their_terms(served: Served) -> None:
    answer = served.get("/v1/rankings").json()
    assert answer.keys() == BASIS | {"rankings"}
    kinds = {one["ranking"]: (one["of"], one["terms"][0]["places"]) for one in answer["rankings"]}
    assert kinds == {"top-hundred": ("volunteers", 100), "ten-best": ("projects", 10)}
    assert [terms["holds_from"] for terms in answer["rankings"][0]["terms"]] == ["2000-01-01", "2017-01-01"]


def test_a_year_s_ranking_is_current_with_the_last_event(served: Served, ranked: dict[str, Any]) -> None:
    def names(**parameters: Any) -> list[str]:
        answer = served.get("/v1/rankings/top-hundred", year=YEAR, **parameters).json()
        assert [entry["rank"] for entry in answer["entries"]] == [*range(1, len(answer["entries"]) + 1)]
        return [entry["name"] for entry in answer["entries"]]

    first, second, third = ranked["first"], ranked["second"], ranked["third"]
    assert names(at_least=ranked["position"]) == [first, second]
    position = serve(served, third, 9, month=6)  # with three days of May the most of all
    assert names(at_least=position) == [third, first, second]
    assert names(known_at=ranked["position"]) == [first, second]
    assert names(valid_at=f"{YEAR}-06-05") == [first, third, second]  # 8 days each: the smaller number stands before
    assert names(valid_at=f"{YEAR}-12-31") == [third, first, second]
    assert names(rules=1) == [third, first, second]
    page = served.get("/v1/rankings/top-hundred", year=YEAR, place=2, limit=1).json()
    behind = served.get(page["entries"][0]["links"]["shifts"]).json()["shifts"]
    assert sum(shift["trace"]["credited"] for shift in behind) == page["entries"][0]["figures"]["credited_minutes"]
    assert ([entry["name"] for entry in page["entries"]], page["next_place"], page["ranked"]) == ([first], 3, 3)


def test_a_volunteer_s_rank_comes_with_neighbours_and_what_is_lacking(served: Served, ranked: dict[str, Any]) -> None:
    def rank(volunteer: str, **parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = served.get(f"/v1/volunteers/{volunteer}/ranks", year=YEAR, **parameters).json()
        (only,) = found["ranks"]
        assert only["ranking"] == "top-hundred"
        return dict(only)

    known = {"known_at": ranked["position"]}
    second = rank(ranked["second"], **known)
    assert (second["rank"], second["ranked"], second["honored"], second["lacking"]) == (2, 2, True, {})
    assert [entry["name"] for entry in second["before"]] == [ranked["first"]]
    assert f"known_at={ranked['position']}" in second["before"][0]["links"]["shifts"]
    assert second["after"] == []
    third = rank(ranked["third"], **known)
    assert (third["rank"], third["honored"], third["lacking"]) == (None, False, {"credited_minutes": 3000 - 3 * 480})
    idle = rank(ranked["idle"])
    assert (idle["rank"], idle["lacking"]) == (None, {"credited_minutes": 3000})
    stored, replayed = rank(ranked["first"], around=5), rank(ranked["first"], around=5, rules=1)
    assert (stored["rank"], stored["figures"]) == (replayed["rank"], replayed["figures"])
    assert [entry["name"] for entry in stored["after"]] == [entry["name"] for entry in replayed["after"]]
    assert len(stored["before"]) + len(stored["after"]) == stored["ranked"] - 1


def test_a_project_is_told_by_year_and_month_and_ranked(served: Served, ranked: dict[str, Any]) -> None:
    counted = served.command(
        "count-people-served", station=STATION, day=f"{YEAR}-03-09", people=40, project=PROJECT
    ).json()
    address = f"/v1/projects/{PROJECT}/activity"
    answer = served.get(address, year=YEAR, at_least=counted["position"]).json()
    (whole,) = answer["years"]
    months = {row["month"]: row for row in answer["months"]}
    assert (whole["month"], whole["volunteers"], whole["people_served"]) == (None, 3, 40)
    assert (months[3]["volunteers"], months[3]["shifts"], months[3]["people_served"]) == (2, 15, 40)
    assert (months[5]["volunteers"], months[5]["credited_minutes"]) == (1, 3 * 480)
    assert whole["credited_minutes"] == sum(month["credited_minutes"] for month in months.values())
    again = served.get(address, year=YEAR, rules=1).json()
    (whole_again,) = again["years"]
    assert whole_again.pop("links") != whole["links"]  # a link keeps the axes of the request
    assert (whole_again, again["months"]) == (
        {name: value for name, value in whole.items() if name != "links"},
        answer["months"],
    )
    spring = served.get(address, year=YEAR, valid_at=f"{YEAR}-04-30").json()
    assert [row["month"] for row in spring["months"]] == [3]
    assert served.get(address, valid_at="2013-12-31").json()["years"] == []
    assert served.get(whole["links"]["months"]).json()["months"] == answer["months"]
    (place,) = served.get(f"/v1/projects/{PROJECT}/ranks", year=YEAR).json()["ranks"]
    assert (place["ranking"], place["rank"], place["figures"]["volunteers"]) == ("ten-best", 1, 3)
    hours, active = whole["credited_minutes"] // 60, len(months)
    assert place["figures"]["score"] == 10 * hours + 100 * 3 + 40 + 1000 * active
    listed = served.get("/v1/projects").json()["projects"]
    assert PROJECT in [one["project"] for one in listed]


@pytest.mark.parametrize(
    ("address", "rejection"),
    [
        ("/v1/rankings/top-ten", "unknown-ranking"),
        ("/v1/volunteers/V9999999/ranks", "unknown-volunteer"),
        ("/v1/projects/nothing/activity", "unknown-project"),
        ("/v1/projects/nothing/ranks", "unknown-project"),
        ("/v1/rankings/top-hundred?year=20144", "invalid"),
        ("/v1/rankings/top-hundred?place=0", "invalid"),
    ],
)
def test_what_is_not_there_is_refused_by_name(served: Served, address: str, rejection: str) -> None:
    refused = served.get(address)
    assert refused.json()["rejection"] == rejection
    assert refused.status_code == (422 if rejection == "invalid" else 404)
    assert served.client.get(address).status_code == 401


def test_honours_can_accept_scanned_minutes_alone_and_say_so(served: Served) -> None:
    text = DEFAULT_RULES.read_text("utf-8")
    for old, new in (
        ('order = ["credited_minutes", "scanned_minutes", "shifts"]', 'order = ["scanned_minutes"]'),
        ("credited_minutes_min = 3_000 ", "credited_minutes_min = 0\nscanned_minutes_min = 300 "),
        (
            'title = "一星级义工"\ncredited_minutes_min = 6_000',
            'title = "一星级义工"\ncredited_minutes_min = 300\ngrade = "scanned"',
        ),
    ):
        assert old in text
        text = text.replace(old, new)
    headers = served.headers(Role.ANALYST) | {"Content-Type": "application/toml"}
    rules = served.client.post("/v1/rules/candidates", content=text.encode(), headers=headers).json()["digest"]
    year, scanned, typed = 2004, served.volunteer(), served.volunteer()
    for volunteer, hours in ((scanned, 6), (typed, 1)):
        served.served_shift(volunteer, f"{year}-03-01T09:00:00+08:00", f"{year}-03-01T{9 + hours:02d}:00:00+08:00")
    for day in range(2, 5):
        entry: dict[str, Any] = {"volunteer": typed, "station": STATION, "evidence": "sign-in-sheet"}
        span: dict[str, Any] = {
            "check_in": f"{year}-03-{day:02d}T09:00:00+08:00",
            "check_out": f"{year}-03-{day:02d}T16:00:00+08:00",
        }
        assert served.approved("attest-shift", **entry, **span).status_code == 201
    asked = {"role": Role.ANALYST, "rules": rules, "at_least": served.ledger.log.head()}
    entries = served.get("/v1/rankings/top-hundred", year=year, **asked).json()["entries"]
    assert [(entry["name"], entry["figures"]["scanned_minutes"]) for entry in entries] == [(scanned, 360)]
    (lacking,) = served.get(f"/v1/volunteers/{typed}/ranks", year=year, **asked).json()["ranks"]
    assert (lacking["rank"], lacking["lacking"]) == (None, {"scanned_minutes": 240})
    assert lacking["figures"]["attested_minutes"] == 3 * 420
    (top, _) = served.get("/v1/rankings", **asked).json()["rankings"]
    assert {(*terms["order"], *terms["minimums"]) for terms in top["terms"]} == {("scanned_minutes", "scanned_minutes")}
    honors = {one["honor"]: one["conditions"] for one in served.get("/v1/honors", **asked).json()["honors"]}
    assert {condition["grade"] for condition in honors["star-1"]} == {"scanned"}
    assert {condition["grade"] for condition in honors["star-2"]} == {"any"}
    reached = served.get("/v1/honors/star-1/standings", limit=1000, **asked).json()["standings"]
    names = {one["volunteer"] for one in reached}
    assert (scanned in names, typed in names) == (True, False)
