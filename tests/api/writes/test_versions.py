"""No lost update: answers carry the versions of records, and acts that are based on an earlier one are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.access.roles import Role
from ledger.aggregates import COMMANDS
from ledger.names import shift_stream, stream
from tests.api.access.test_senders import WAYS, WITH_SOURCE, Key, Way, event_of
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, Served, give

pytest_plugins = ["tests.support.api.fixtures"]

MORNING, NOON, ONE = (f"2018-12-04T{hour}:00:00+08:00" for hour in ("09", "12", "13"))


def dispute(volunteer: str, shift: UUID, **more: Any) -> dict[str, Any]:
    return {"volunteer": volunteer, "shift": str(shift), "reason": "too-few", **more}


def scanned(served: Served) -> tuple[str, UUID, int]:
    volunteer = served.volunteer()
    return volunteer, *served.served_shift(volunteer, MORNING, NOON)


def post(served: Served, command: str, body: dict[str, Any], *if_match: str, role: Role = Role.STAFF) -> Any:
    headers = [(name, value) for name, value in served.headers(role).items()]
    return served.client.post(
        f"/v1/commands/{command}", json=body, headers=headers + [("If-Match", one) for one in if_match]
    )


# --- what answers carry ---------------------------------------------------------------------------------------------


def test_every_answer_about_one_record_has_its_version_as_an_entity_tag(served: Served) -> None:
    volunteer, shift, last = scanned(served)
    events = served.get(f"/v1/volunteers/{volunteer}/shifts/{shift}/events", at_least=last)
    assert (events.json()["version"], events.headers["ETag"]) == (2, '"2"')
    then = served.get(f"/v1/volunteers/{volunteer}/shifts/{shift}/events", known_at=last - 1)
    assert (then.json()["version"], then.headers["ETag"]) == (1, '"1"')
    hours = served.get(f"/v1/volunteers/{volunteer}")
    assert (hours.json()["version"], hours.headers["ETag"]) == (1, '"1"')
    organisation = served.get("/v1/organisations/luohu")
    found = organisation.json()["organisation"]["version"]
    assert (found, organisation.headers["ETag"]) == (_version(served, "organisation", "luohu"), f'"{found}"')


def _version(served: Served, kind: str, *key: str) -> int:
    return served.ledger.log.versions([stream(kind, *key).bytes])[stream(kind, *key).bytes]


def test_every_record_in_a_list_has_its_version(served: Served) -> None:
    volunteer, shift, _ = scanned(served)
    balance = {"volunteer": volunteer, "minutes": 60, "as_of": "2010-01-01", "evidence": "paper-list"}
    give(served.ledger, "record-opening-balance", **balance)
    raised = {"volunteer": volunteer, "day": "2018-12-04", "raise_id": "flood", "minutes": 600, "reason": "flood"}
    give(served.ledger, "raise-day-cap", **raised)
    about = dispute(volunteer, shift)
    asked: dict[str, Any] = {"request": uuid4().hex, "act": "void-shift", "fields": about}
    assert served.command("request-act", **asked).status_code == 201
    last = served.command("dispute-shift", **about).json()["position"]
    (one,) = served.get(f"/v1/volunteers/{volunteer}/shifts", at_least=last).json()["shifts"]
    assert one["version"] == len(one["positions"]) == 3
    assert served.get(f"/v1/volunteers/{volunteer}").json()["opening_balance"]["version"] == 1
    (disputed,) = served.get("/v1/disputes", volunteer=volunteer).json()["disputes"]
    assert disputed["version"] == 3
    requests = served.get("/v1/requests", volunteer=volunteer).json()["requests"]
    (request,) = [each for each in requests if each["request"] == asked["request"]]
    assert (request["version"], request["record_version"]) == (1, 2)
    acts = served.get(f"/v1/volunteers/{volunteer}/history", role=Role.STAFF).json()["acts"]
    versions = {act["topic"]: act["version"] for act in acts}
    assert versions["day-cap-raised.v1"] == versions["opening-balance-recorded.v1"] == 1
    assert (versions["act-approved.v1"], versions["shift-disputed.v1"]) == (2, 3)
    for kind, address in (("station", "stations"), ("project", "projects"), ("organisation", "organisations")):
        for record in served.get(f"/v1/{address}").json()[address]:
            assert record["version"] == _version(served, kind, record[kind])


def test_an_award_has_the_version_of_its_life(served: Served) -> None:
    volunteer, award = served.volunteer(), f"a{uuid4().hex[:8]}"
    evidence: dict[str, Any] = {
        "award": award,
        "honor": "star-1",
        "volunteer": volunteer,
        "evidence_position": 1,
        "rules_version": 1,
    }
    announced = served.command("announce-honor", Role.HONORS_OFFICER, **evidence, credited_minutes=6_000)
    assert announced.status_code == 201, announced.text
    position = announced.json()["position"]
    for version in (1, 2):
        life = served.get(f"/v1/awards/{award}", at_least=position)
        assert (life.json()["award"]["version"], life.headers["ETag"]) == (version, f'"{version}"')
        assert len(life.json()["events"]) == version
        listed = served.client.get(f"/v1/awards?for={volunteer}", headers=served.headers(Role.READER)).json()["awards"]
        assert [one["version"] for one in listed] == [version]
        objected = post(served, "object-to-honor", {"award": award, "reason": "x"}, f'"{version}"')
        assert objected.status_code == 201, objected.text
        position = objected.json()["position"]
    stale = post(served, "revoke-honor", {"award": award, "reason": "x"}, '"1"', role=Role.HONORS_OFFICER)
    assert (stale.status_code, stale.json()["actual_version"]) == (412, 3)


# --- what acts may be based on --------------------------------------------------------------------------------------


def test_the_tag_of_an_answer_is_what_a_command_is_based_on(served: Served) -> None:
    volunteer, shift, last = scanned(served)
    read = served.get(f"/v1/volunteers/{volunteer}/shifts/{shift}/events", at_least=last).headers["ETag"]
    assert post(served, "dispute-shift", dispute(volunteer, shift), read).status_code == 201
    late = post(served, "dispute-shift", dispute(volunteer, shift), read)
    told = late.json()
    assert (late.status_code, told["rejection"], told["field"], told["retry"]) == (412, "changed-since", "shift", False)
    assert (told["expected_version"], told["actual_version"]) == (2, 3)
    assert told["remedy"] == "read it again"
    again = served.get(f"/v1/volunteers/{volunteer}/shifts/{shift}/events", at_least=served.ledger.log.head())
    assert post(served, "dispute-shift", dispute(volunteer, shift), again.headers["ETag"]).status_code == 201


def test_a_command_sent_again_under_its_name_is_answered_as_the_first_time(served: Served) -> None:
    volunteer, shift, _ = scanned(served)
    headers = served.headers(Role.STAFF) | {"Idempotency-Key": uuid4().hex, "If-Match": '"2"'}
    body = dispute(volunteer, shift)
    first, again = (served.client.post("/v1/commands/dispute-shift", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()["duplicate"]) == (201, 200, True)
    other = served.client.post("/v1/commands/dispute-shift", json=body, headers=headers | {"If-Match": '"3"'})
    assert (other.status_code, other.json()["rejection"]) == (422, "name-taken")


@pytest.mark.parametrize("way", WAYS)
def test_an_event_names_the_version_in_its_data(served: Served, way: Way) -> None:
    volunteer, shift, _ = scanned(served)
    key = Key(served, served.tokens[Role.STAFF])
    stale = way(key, event_of("dispute-shift", "/desk", dispute(volunteer, shift, expected_version=1)))
    assert (stale["outcome"], stale["rejection"]) == ("refused", "changed-since")
    assert (stale["expected_version"], stale["actual_version"], stale["retry"]) == (1, 2, False)
    told = way(key, event_of("dispute-shift", "/desk", dispute(volunteer, shift, expected_version=2)))
    assert told["outcome"] == "accepted"


def test_a_batch_sees_the_versions_that_it_makes_itself(served: Served) -> None:
    volunteer, shift, _ = scanned(served)
    versions = (2, 2, 3)
    events = [event_of("dispute-shift", "/desk", dispute(volunteer, shift, expected_version=one)) for one in versions]
    answers = served.send(events, Role.STAFF).json()["answers"]
    assert [answer["outcome"] for answer in answers] == ["accepted", "refused", "accepted"]
    assert "expected_version" not in answers[0]


def test_other_problems_name_no_versions(served: Served) -> None:
    told = served.command("dispute-shift", **dispute("V9999999", uuid4()))
    assert "expected_version" not in told.json()
    assert "actual_version" not in told.json()


@pytest.mark.parametrize(
    "values",
    [("3",), ('W/"3"',), ("*",), ('"3", "4"',), ('"-1"',), ('"03"',), ('"x"',), ("",), ('"2"', '"2"')],
    ids=str,
)
def test_a_precondition_that_is_not_one_version_is_refused(served: Served, values: tuple[str, ...]) -> None:
    volunteer, shift, _ = scanned(served)
    told = post(served, "dispute-shift", dispute(volunteer, shift), *values)
    assert (told.status_code, told.json()["rejection"], told.json()["field"]) == (422, "invalid", "If-Match")
    assert 'such as "3"' in told.json()["remedy"]


@pytest.mark.parametrize("command", ["check-in", "check-out", "attest-shift"])
def test_what_is_based_on_nothing_takes_no_precondition(served: Served, command: str) -> None:
    scan = {"volunteer": "V1", "station": STATION, "occurred_at": MORNING}
    entry = {"volunteer": "V1", "station": STATION, "check_in": MORNING, "check_out": NOON, "evidence": "paper-list"}
    role = Role.STAFF if command == "attest-shift" else Role.STATION
    told = post(served, command, entry if command == "attest-shift" else scan, '"1"', role=role)
    assert (told.status_code, told.json()["field"]) == (422, "If-Match")
    assert told.json()["remedy"] == "leave it out"


def test_a_header_and_a_body_that_differ_are_refused(served: Served) -> None:
    volunteer, shift, _ = scanned(served)
    told = post(served, "dispute-shift", dispute(volunteer, shift, expected_version=3), '"2"')
    assert (told.status_code, told.json()["field"]) == (422, "If-Match")
    assert post(served, "dispute-shift", dispute(volunteer, shift, expected_version=2), '"2"').status_code == 201


@pytest.mark.parametrize("way", WITH_SOURCE)
def test_events_take_no_precondition_in_a_header(served: Served, way: Way) -> None:
    """It would be ignored, or hold for a whole batch."""
    volunteer, shift, _ = scanned(served)

    class Conditional(Key):
        def headers(self, media_type: str = "application/json", **more: str) -> dict[str, str]:
            return super().headers(media_type, **more) | {"If-Match": '"2"'}

    answer: list[Any] = []
    key = Conditional(served, served.tokens[Role.STAFF])
    sent = served.client.post

    def keeping(*arguments: Any, **more: Any) -> Any:
        answer.append(sent(*arguments, **more))
        return answer[0]

    served.client.post = keeping  # type: ignore[method-assign]
    try:
        way(key, event_of("dispute-shift", "/desk", dispute(volunteer, shift)))
    finally:
        served.client.post = sent  # type: ignore[method-assign]
    assert (answer[0].status_code, answer[0].json()["field"]) == (422, "If-Match")
    assert "expected_version in data" in answer[0].json()["remedy"]


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_request_on_an_old_version_is_not_approved(served: Served, way: Way) -> None:
    volunteer, shift, _ = scanned(served)
    request = uuid4().hex
    correction = dispute(volunteer, shift, changes=["check_out"], check_out=ONE)
    asked = {"request": request, "act": "correct-shift", "fields": correction}
    assert way(Key(served, served.tokens[Role.STAFF]), event_of("request-act", "/desk", asked))["outcome"] == "accepted"
    assert served.command("dispute-shift", **dispute(volunteer, shift)).status_code == 201
    approver = Key(served, served.tokens[Role.APPROVER])
    told = way(approver, event_of("approve-act", "/desk", {"request": request}))
    assert (told["outcome"], told["rejection"], told["field"]) == ("refused", "changed-since", "shift")
    assert (told["expected_version"], told["actual_version"]) == (2, 3)
    assert served.ledger.log.versions([shift_stream(volunteer, shift).bytes]) == {
        shift_stream(volunteer, shift).bytes: 3
    }
    (one,) = served.get("/v1/requests", volunteer=volunteer, state="open", at_least=served.ledger.log.head()).json()[
        "requests"
    ]
    assert (one["request"], one["record_version"]) == (request, 2)


def test_a_request_may_itself_be_based_on_what_was_read(served: Served) -> None:
    volunteer, shift, _ = scanned(served)
    asked = {"request": uuid4().hex, "act": "void-shift", "fields": dispute(volunteer, shift)}
    assert post(served, "request-act", asked, '"1"').json()["actual_version"] == 2
    assert post(served, "request-act", asked, '"2"').status_code == 201


# --- the command line and the description ---------------------------------------------------------------------------


def test_the_command_line_takes_a_version_and_names_both(reads: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "dispute.jsonl"
    about = {"volunteer": "V0000001", "shift": str(UUID(int=1)), "reason": "x", "expected_version": 7}
    file.write_text(json.dumps(event_of("dispute-shift", "/desk", about)))
    told = reads("post", file, "--json")
    assert told.code == 1
    (refusal,) = json.loads(told.out)["refusals"]
    assert (refusal["rejection"], refusal["expected_version"], refusal["actual_version"]) == ("changed-since", 7, 2)


def test_the_description_names_the_header_the_field_and_the_tag(served: Served) -> None:
    described = served.client.get("/openapi.json").json()
    for name, kind in COMMANDS.items():
        operation = described["paths"][f"/v1/commands/{name}"]["post"]
        headers = {one["name"] for one in operation["parameters"]}
        schema = described["components"]["schemas"][
            operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
        ]
        takes = "expected_version" in kind.model_fields
        assert ("If-Match" in headers, "expected_version" in schema["properties"]) == (takes, takes), name
    for address in (
        "/v1/volunteers/{number}",
        "/v1/volunteers/{number}/shifts/{shift}/events",
        "/v1/awards/{award}",
        "/v1/organisations/{organisation}",
    ):
        assert "ETag" in described["paths"][address]["get"]["responses"]["200"]["headers"]
