"""What-ifs and candidates over HTTP: sides compared at once, as a job or as a file; rules checked and then named."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from httpx2 import Response

from api.access.roles import Role
from api.messages.problems import MEDIA_TYPE
from tests.support.api.serving import STATION, Served
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]

LUOHU = (Path(__file__).parents[3] / "rules" / "luohu.toml").read_text("utf-8")
STRICT = LUOHU.replace("day_minutes_max = 480", "day_minutes_max = 120")
TOML = {"Content-Type": "application/toml"}


@pytest.fixture(scope="module")
def shift(served: Served) -> tuple[str, int, int]:
    """A volunteer with three hours on a day, and the positions before and after them."""
    volunteer = served.volunteer()
    before = served.ledger.log.head()
    _, position = served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    served.get(f"/v1/volunteers/{volunteer}", at_least=position)
    return volunteer, before, position


def ask(
    served: Served, role: Role | None = Role.ANALYST, headers: dict[str, str] | None = None, **body: Any
) -> Response:
    return served.client.post("/v1/what-ifs", json=body, headers=served.headers(role) | (headers or {}))


def post(served: Served, text: str, role: Role | None = Role.ANALYST) -> Response:
    return served.client.post("/v1/rules/candidates", content=text.encode(), headers=served.headers(role) | TOML)


def of(answer: dict[str, Any], volunteer: str) -> dict[str, Any]:
    (found,) = [one for one in answer["volunteers"] if one["volunteer"] == volunteer]
    return dict(found)


# --- what-ifs -------------------------------------------------------------------------------------------------------


def test_a_candidate_is_held_against_what_is_in_force(served: Served, shift: tuple[str, int, int]) -> None:
    volunteer, _, _ = shift
    answer = ask(served, after={"rules": STRICT}, limit=1000).json()
    found = of(answer, volunteer)
    assert found["credited"] == {"before": 180, "after": 120, "change": -60}
    assert found["reason"] == "day cap -60"
    assert found["reasons"] == [{"step": "capped", "factor": None, "minutes": -60}]
    assert found["years"] == [{"year": 2018, "credited": {"before": 180, "after": 120, "change": -60}}]
    assert (answer["before"]["rules"]["version"], answer["after"]["rules"]["version"]) == (1, 0)
    assert answer["volunteers_losing"] == answer["volunteers_differing"] == len(answer["volunteers"])
    assert answer["totals"]["credited"]["change"] == sum(one["credited"]["change"] for one in answer["volunteers"])
    assert sum(band["volunteers"] for band in answer["distribution"]) == answer["volunteers_differing"]
    assert {band["direction"] for band in answer["distribution"]} == {"lose"}
    (station,) = [one for one in answer["stations"] if one["station"] == STATION]
    assert station["activity"]["capped"]["change"] > 0


def test_another_time_zone_is_a_reason_of_its_own_and_not_put_in_force_unasked(served: Served) -> None:
    volunteer = served.volunteer()
    served.served_shift(volunteer, "2018-12-04T20:00:00+08:00", "2018-12-05T06:00:00+08:00")
    position = served.ledger.log.head()
    berlin = LUOHU.replace("Asia/Shanghai", "Europe/Berlin")
    moved = [("time_zone", "Asia/Shanghai", "Europe/Berlin")]

    def told(answer: dict[str, Any]) -> list[tuple[str, ...]]:
        return [(one["key"], one["before"], one["after"]) for one in answer["header_changes"]]

    before = {"rules": 1, "known_at": position}
    both = berlin.replace("day_minutes_max = 480", "day_minutes_max = 60")
    for text, reason in ((berlin, "time zone -216"), (both, "day cap -420, time zone -216")):
        answer = ask(served, after={"rules": text, "known_at": position}, before=before, limit=1000).json()
        assert (told(answer), of(answer, volunteer)["reason"]) == (moved, reason)
    kept = post(served, berlin).json()
    assert told(kept) == moved
    assert [one["key"] for one in kept["findings"] if one["sentence"].startswith("the rules in force have")] == [
        "time_zone"
    ]
    refused = served.command("publish-rules", role=Role.ADMIN, text=berlin)
    assert (refused.status_code, refused.json()["rejection"]) == (409, "changes-time-zone")


LATER = """
[[rule_sets]]
holds_from = 2090-01-01
day_minutes_max = 120
shift_minutes_min = 10
shift_minutes_max = 720
honors_go_on = true
"""


def test_rules_of_the_future_are_tried_on_the_past(served: Served, shift: tuple[str, int, int]) -> None:
    volunteer, _, _ = shift
    rules = {"rules": LUOHU.replace("\n[approvals]", LATER + "\n[approvals]")}
    answer = ask(served, after=rules).json()
    assert (answer["volunteers"], answer["rules_differ_from"]) == ([], "2090-01-01")
    assert "so they change no hours yet; as_if_from tries them on past service" in answer["note"]
    tried = ask(served, after=rules, as_if_from="2018-01-01", limit=1000).json()
    assert of(tried, volunteer)["reason"] == "day cap -60"
    assert "note" not in tried
    file = ask(served, headers={"Accept": "text/csv"}, after=rules, as_if_from="2018-01-01")
    assert f'"{volunteer}",-60' in file.text
    same = ask(served, as_if_from="2018-01-01")
    assert (same.status_code, same.json()["rejection"], same.json()["field"]) == (422, "invalid", "as_if_from")
    assert "the same on every day of service; name rules that differ" in same.json()["detail"]
    for wrong in ("2018-13-01", 20180101, "1899-12-31"):
        refused = ask(served, after=rules, as_if_from=wrong)
        assert (refused.status_code, refused.json()["field"]) == (422, "as_if_from")


def test_two_moments_are_held_against_one_another(served: Served, shift: tuple[str, int, int]) -> None:
    volunteer, before, after = shift
    answer = ask(served, before={"known_at": before}, after={"known_at": after}).json()
    assert [one["volunteer"] for one in answer["volunteers"]] == [volunteer]
    assert of(answer, volunteer)["reason"] == "raw +180"
    assert (answer["before"]["known_at"], answer["after"]["known_at"]) == (before, after)
    instant = ask(served, before={"known_at": "2011-01-01T00:00:00+08:00", "rules": "current"}).json()
    assert instant["before"]["known_at"] == 0
    assert of(instant, volunteer)["credited"]["before"] == 0
    early = ask(served, before={"known_at": before}, after={"known_at": after}, valid_at="2018-12-03").json()
    assert early["volunteers"] == []


def test_nothing_differs_from_itself(served: Served, shift: tuple[str, int, int]) -> None:
    answer = ask(served, before={"rules": 1}, after={"rules": "current"}).json()
    assert answer["totals"]["credited"]["before"] >= 180
    assert answer["volunteers"] == answer["stations"] == answer["honors"] == answer["rank_changes"] == []


def test_lists_are_cut_and_counts_are_not(served: Served, shift: tuple[str, int, int]) -> None:
    answer = ask(served, before={"rules": "current", "known_at": 1}, limit=0).json()
    assert answer["volunteers"] == []
    assert answer["volunteers_gaining"] >= 1


def test_everybody_who_differs_comes_as_a_file(served: Served, shift: tuple[str, int, int]) -> None:
    volunteer, before, after = shift
    sides: dict[str, Any] = {"before": {"known_at": before, "rules": 1}, "after": {"known_at": after, "rules": STRICT}}
    csv = ask(served, headers={"Accept": "text/csv"}, **sides)
    assert csv.headers["content-type"].startswith("text/csv")
    parquet = ask(served, headers={"Accept": "application/vnd.apache.parquet"}, **sides)
    table = pq.read_table(io.BytesIO(parquet.content))
    assert table.schema.metadata[b"after_known_at"] == str(after).encode()
    rows = table.to_pylist()
    told = [(row["volunteer"], row["change_minutes"], row["reason"]) for row in rows]
    assert (volunteer, 120, "raw +180, day cap -60") in told  # other tests' volunteers may differ as well
    lines = pa_csv.read_csv(io.BytesIO(csv.content)).to_pylist()
    assert [(line["volunteer"], line["change_minutes"], line["reason"]) for line in lines] == told


def test_a_what_if_can_be_a_job(served: Served, shift: tuple[str, int, int]) -> None:
    volunteer, _, _ = shift
    begun = ask(served, headers={"Prefer": "respond-async"}, after={"rules": STRICT}, limit=1000)
    assert (begun.status_code, begun.headers["preference-applied"]) == (202, "respond-async")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (job := served.get(begun.headers["location"], role=Role.ANALYST).json())["state"] in {"waiting", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert job["state"] == "done", job
    assert of(job["result"], volunteer)["reason"] == "day cap -60"
    assert job["kind"] == "what-if"


@pytest.mark.parametrize(
    ("body", "status", "field", "words"),
    [
        ({"after": {"rules": 99}}, 422, "rules", "version 99 of the rules has not been published"),
        ({"after": {"rules": "f" * 64}}, 422, "rules", "post the candidate to /v1/rules/candidates first"),
        ({"after": {"rules": "new"}}, 422, "rules", "neither a version nor a digest"),
        ({"after": {"rules": "name = 1"}}, 422, "after.rules", "line 1: name: "),
        ({"before": {"known_at": "99999999"}}, 422, "known_at", "is beyond the log's last position"),
        ({"before": {"known_at": "yesterday"}}, 422, "known_at", "known_at yesterday"),
        ({"before": {"rule": 1}}, 422, "before.rule", "is not a known field"),
        ({"valid_at": "soon"}, 422, "valid_at", "is not a day"),
        ({"limit": -1}, 422, "limit", "limit is -1, but must be at least 0"),
    ],
)
def test_a_side_that_points_at_nothing_is_refused(
    served: Served, body: dict[str, Any], status: int, field: str, words: str
) -> None:
    refused = ask(served, **body)
    assert refused.headers["content-type"] == MEDIA_TYPE
    told = refused.json()
    assert (refused.status_code, told["field"]) == (status, field)
    assert words in told["detail"]
    assert told["remedy"]


def test_a_what_if_needs_a_key(served: Served) -> None:
    assert ask(served, role=None).status_code == 401


# --- candidates -----------------------------------------------------------------------------------------------------


def test_a_candidate_can_be_checked_without_being_kept(served: Served) -> None:
    text = STRICT.replace("day_minutes_max = 120", "day_minutes_max = 121")
    address, headers = "/v1/rules/candidates", served.headers(Role.ANALYST)
    checked = served.client.post(address, json={"text": text, "keep": False}, headers=headers)
    assert checked.status_code == 200
    known = {one["digest"] for one in served.get("/v1/rules", role=Role.ANALYST).json()["candidates"]}
    assert checked.json()["digest"] not in known
    refused = served.client.post(address, json={"text": "name = 1", "keep": False}, headers=headers)
    assert (refused.status_code, refused.json()["rejection"]) == (422, "unsound-rules")


def test_a_candidate_is_kept_and_then_named_by_its_digest(served: Served, shift: tuple[str, int, int]) -> None:
    volunteer, _, _ = shift
    kept = post(served, STRICT)
    assert kept.status_code == 201, kept.text
    digest = kept.json()["digest"]
    assert post(served, STRICT).json()["digest"] == digest
    again = served.client.post("/v1/rules/candidates", json={"text": STRICT}, headers=served.headers(Role.STAFF))
    assert again.json()["digest"] == digest
    assert {finding["severity"] for finding in kept.json()["findings"]} == {"warning"}
    for address in (f"/v1/volunteers/{volunteer}", f"/v1/volunteers/{volunteer}/shifts", "/v1/honors", "/v1/rankings"):
        rules = served.get(address, role=Role.APPROVER, rules=digest).json()["rules"]
        assert rules == {"name": "luohu", "version": 0, "digest": digest}, address
    hours = served.get(f"/v1/volunteers/{volunteer}", role=Role.APPROVER, rules=digest).json()
    assert hours["total"]["credited_minutes"] == 120
    activity = served.get(f"/v1/stations/{STATION}/activity", role=Role.STAFF, rules=digest, to="2018-12-31").json()
    assert activity["rules"]["digest"] == digest
    assert of(ask(served, after={"rules": digest}, limit=1000).json(), volunteer)["credited"]["after"] == 120
    assert served.get("/v1/rules", role=Role.ANALYST).json()["candidates"][0]["digest"] == digest


def test_published_rules_are_listed_shown_and_named_by_digest(served: Served) -> None:
    (published,) = served.get("/v1/rules").json()["published"]
    assert (published["version"], published["in_force"], published["name"]) == (1, True, "luohu")
    assert published["holds_from"] == ["2000-01-01", "2017-01-01"]
    for name in ("1", "current", published["digest"]):
        shown = served.get(f"/v1/rules/{name}").json()
        assert (shown["version"], shown["text"]) == (1, LUOHU)
    plain = served.client.get("/v1/rules/1", headers=served.headers(Role.READER) | {"Accept": "application/toml"})
    assert plain.text == LUOHU
    assert served.get("/v1/rules/7").status_code == 422
    assert served.get("/v1/honors", rules=published["digest"]).json()["rules"]["version"] == 1


def test_a_candidate_that_cannot_be_used_is_refused_with_all_findings(served: Served) -> None:
    refused = post(served, LUOHU.replace("day_minutes_max = 480", "day_minutes_max = 5"))
    told = refused.json()
    assert (refused.status_code, told["rejection"], told["type"]) == (422, "unsound-rules", "/problems/unsound-rules")
    errors = [finding for finding in told["findings"] if finding["severity"] == "error"]
    lines = [number for number, line in enumerate(LUOHU.splitlines(), 1) if line.startswith("day_minutes_max")]
    assert [finding["line"] for finding in errors] == lines
    assert told["detail"].startswith(f"line {lines[0]}: rule_sets.0.day_minutes_max: the day cap of 5")
    assert served.get("/v1/honors", role=Role.ANALYST, rules="0" * 64).status_code == 422


def test_projects_are_looked_up_in_the_ledger(served: Served) -> None:
    window = '\n[[rule_sets.factors]]\nname = "p"\npercent = 110\nprojects = ["star-school", "star-scool"]\n'
    findings = post(served, LUOHU.replace("\n[[rule_sets.factors]]", window + "\n[[rule_sets.factors]]", 1)).json()[
        "findings"
    ]
    assert [finding["sentence"] for finding in findings if "project" in finding["sentence"]] == [
        "no project is called star-scool"
    ]


def test_who_and_what_may_be_a_candidate(served: Served) -> None:
    assert post(served, STRICT, role=None).status_code == 401
    assert post(served, STRICT, role=Role.STATION).status_code == 403
    assert post(served, STRICT, role=Role.READER).status_code == 403
    headers = served.headers(Role.ANALYST)
    other = served.client.post("/v1/rules/candidates", content=b"x", headers=headers | {"Content-Type": "image/png"})
    assert (other.status_code, other.json()["rejection"]) == (415, "wrong-media-type")
    garbled = served.client.post("/v1/rules/candidates", content=b"\xff\xfe", headers=headers | TOML)
    assert (garbled.status_code, garbled.json()["rejection"]) == (400, "malformed")
    assert post(served, "x = " + "[" * 5000).status_code == 422


def test_new_rules_that_cannot_be_meant_are_not_published(served: Served) -> None:
    text = LUOHU.replace("day_minutes_max = 480", "day_minutes_max = 5")
    refused = served.command("publish-rules", role=Role.ADMIN, text=text)
    assert (refused.status_code, refused.json()["field"]) == (422, "text")
    assert "is below the shortest shift" in refused.json()["detail"]
