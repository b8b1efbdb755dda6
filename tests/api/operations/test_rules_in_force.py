"""Which rules are in force is recorded and lasts: through switches, rebuilds, restarts, restores and copies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.roles import Role
from api.http.app import create_app
from api.operations.rules_watch import KIND
from api.operations.schema_parts import PARTS
from api.operations.service import DEFAULT_RULES, OpenLedger, running
from ledger.aggregates import Sender
from ledger.names import Position
from ledger.rejections import RefusedError
from ledger.store.database import Database
from replay.archive.copying import copy_archive
from replay.archive.open_archive import OpenArchive
from replay.backup.backup import back_up, restore
from replay.generations.obeying import changing_rules, due, obey
from replay.generations.rebuild import rebuild, replay
from replay.generations.switching import switch
from replay.published import published_rules
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served, found, give, stock

pytest_plugins = ["tests.support.api.fixtures"]

TEXT = DEFAULT_RULES.read_text("utf-8")
KEEPER = Sender.of_operator("person:keeper")


def star_at(minutes: int, more: str = "") -> str:
    """Return the shipped rules with the first star at so many minutes, and other kinds that need approval."""
    text = TEXT.replace("credited_minutes_min = 6_000", f"credited_minutes_min = {minutes}", 1)
    assert text != TEXT
    if more:
        text = text.replace('"attest-shift", "correct-shift"', f'{more}"attest-shift", "correct-shift"', 1)
        assert more in text
    return text


EASY = star_at(120)
TWO_PERSONS = star_at(240, '"put-rules-in-force", ')


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    """A served ledger of this test's own, whose watch is asked by the test."""
    ledger = OpenLedger(database, tmp_path)
    ledger.make_ready()
    found(ledger)
    roles = (Role.STAFF, Role.READER, Role.ADMIN, Role.APPROVER)
    tokens = {role: ledger.keys.make(role, role.value)[1] for role in roles}
    with running(ledger) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Served(service, client, tokens)


def post(served: Served, address: str, role: Role = Role.ADMIN, **body: Any) -> Response:
    return served.client.post(address, json=body or None, headers=served.headers(role))


def ended(served: Served, accepted: Response) -> dict[str, Any]:
    """Wait for a job's end; return its status."""
    assert accepted.status_code == 202, accepted.text
    served.get(f"{accepted.headers['location']}/events")
    status: dict[str, Any] = served.get(accepted.headers["location"]).json()
    assert status["state"] == "done", status
    return status


def watched(served: Served) -> dict[str, Any] | None:
    """Let the watch look once; return the result of its job, if it started one."""
    job = served.service.rules_watch.check()
    if job is None:
        return None
    served.get(f"/v1/jobs/{job.id}/events")
    status: dict[str, Any] = served.get(f"/v1/jobs/{job.id}").json()
    assert (status["kind"], status["state"], status["by"]) == (KIND, "done", "system:rules")
    result: dict[str, Any] = status["result"]
    return result


def has_star(served: Served, volunteer: str, position: int) -> bool:
    answer = served.get(f"/v1/volunteers/{volunteer}", at_least=position).json()
    return "star-1" in {honor["honor"] for honor in answer["honors"]}


def history(served: Served) -> list[tuple[Any, ...]]:
    keys = ("act", "version", "by", "reason", "approved_by", "in_force_from", "until_position")
    return [tuple(act[key] for key in keys) for act in served.get("/v1/rules/history").json()["acts"]]


def test_a_star_that_a_switch_took_back_stays_away_after_new_events_a_rebuild_and_a_restart(
    served: Served, tmp_path: Path
) -> None:
    volunteer = served.volunteer()
    served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    first = served.get("/v1/status").json()["generation"]
    published = served.command("publish-rules", Role.ADMIN, text=EASY).json()["position"]
    ended(served, post(served, "/v1/generations"))
    assert has_star(served, volunteer, published)
    ended(served, post(served, f"/v1/generations/{first}/switch", reason="star-too-cheap"))
    taken_back = served.ledger.log.head()
    assert history(served) == [
        ("put-in-force", 1, "person:admin", "star-too-cheap", None, taken_back, None),
        ("published", 2, "person:admin", None, None, published, taken_back),
        ("published", 1, "person:keeper", None, None, 1, published),
    ]
    assert not has_star(served, volunteer, taken_back)
    _, position = served.served_shift(volunteer, "2018-12-05T09:00:00+08:00", "2018-12-05T12:00:00+08:00")
    assert not has_star(served, volunteer, position)
    assert watched(served) is None
    ended(served, post(served, "/v1/generations"))  # a rebuild
    assert not has_star(served, volunteer, position)
    assert served.get("/v1/status").json()["rules"]["version"] == 1
    restarted = OpenLedger(served.ledger.database, tmp_path)
    restarted.make_ready()
    assert due(restarted.database) is None
    assert restarted.current_generation().rules_version == 1
    for known_at, version in ((published - 1, 1), (published, 2), (taken_back - 1, 2), (taken_back, 1)):
        answer = served.get(f"/v1/volunteers/{volunteer}", known_at=known_at).json()
        assert answer["rules"]["version"] == version, known_at
    assert [one["version"] for one in served.get("/v1/rules").json()["published"] if one["in_force"]] == [1]


def test_the_server_obeys_what_nobody_has_built(served: Served) -> None:
    assert watched(served) is None
    served.command("publish-rules", Role.ADMIN, text=EASY)
    with changing_rules(served.ledger.database):
        assert watched(served) is None  # another program is at it
    obeyed = watched(served)
    assert obeyed is not None
    assert obeyed["rules_version"] == 2
    later = served.command("publish-rules", Role.ADMIN, text=TWO_PERSONS, in_force=False)
    assert later.status_code == 201
    assert watched(served) is None
    put = served.command(
        "put-rules-in-force", Role.ADMIN, rules_version=1, reason="star-too-cheap", text="The board said so."
    )
    assert put.status_code == 201, put.text
    first = served.service.ledger.current_generation().id - 1
    assert watched(served) == {"generation": first, "rules_version": 1}  # it was there: nothing is built
    assert watched(served) is None


def test_a_second_person_approves_where_the_rules_in_force_say_so(served: Served) -> None:
    first = served.get("/v1/status").json()["generation"]
    assert served.command("publish-rules", Role.ADMIN, text=TWO_PERSONS).status_code == 201
    assert watched(served) is not None
    refused = [
        post(served, f"/v1/generations/{first}/switch"),
        post(served, "/v1/generations", rules=1),
        served.command("put-rules-in-force", Role.ADMIN, rules_version=1, reason="star-too-cheap"),
        served.command("publish-rules", Role.ADMIN, text=EASY),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json()["rejection"]) == (409, "needs-approval"), answer.text
    assert served.service.jobs.list()[0].kind == KIND  # no job was started since
    with pytest.raises(RefusedError, match="publish with in_force false"):
        served.ledger.publish(EASY)
    fields = {"rules_version": 1, "reason": "star-too-cheap"}
    staff = served.command("request-act", request="R0", act="put-rules-in-force", fields=fields)
    assert (staff.status_code, staff.json()["rejection"]) == (403, "forbidden")
    approved = served.approved("put-rules-in-force", Role.ADMIN, **fields)
    assert approved.status_code == 201, approved.text
    assert watched(served) == {"generation": first, "rules_version": 1}
    assert history(served)[0][:5] == ("put-in-force", 1, "person:admin", "star-too-cheap", "person:approver")


def test_only_an_admin_puts_rules_in_force_and_every_reader_sees_who_did(served: Served) -> None:
    refused = served.command("put-rules-in-force", Role.STAFF, rules_version=1, reason="why")
    assert (refused.status_code, refused.json()["rejection"]) == (403, "forbidden")
    for body, field in (({"rules_version": 7, "reason": "why"}, "rules_version"), ({"rules_version": 1}, "reason")):
        answer = served.command("put-rules-in-force", Role.ADMIN, **body)
        assert (answer.status_code, answer.json()["field"]) == (404 if "reason" in body else 422, field), answer.text
    for role, status in ((Role.READER, 200), (None, 401)):
        assert served.get("/v1/rules/history", role=role).status_code == status


def test_a_switch_back_of_an_older_program_is_left_alone_until_somebody_decides(served: Served) -> None:
    ledger = served.ledger
    first = ledger.current_generation().id
    ledger.publish(EASY)
    newer = rebuild(ledger.database, ledger.archive, published_rules(ledger.log)).generation.id
    switch(ledger.database, ledger.archive, first)
    with psycopg.connect(ledger.database.url, autocommit=True) as connection:
        connection.execute("UPDATE replay.pointer SET recorded = false")  # it recorded nothing
    assert watched(served) is None
    with psycopg.connect(ledger.database.url, autocommit=True) as connection:
        connection.execute("UPDATE replay.generations SET layout = 'older'")
    ledger.ensure_read_models()  # the upgrade needs new tables: they hold the rules that answered
    assert ledger.current_generation().rules_version == 1
    with psycopg.connect(ledger.database.url, autocommit=True) as connection:
        connection.execute("UPDATE replay.pointer SET recorded = false")
    ledger.put_in_force(1, "as-it-was", KEEPER)
    assert due(ledger.database) is None
    ledger.put_in_force(2, "star-at-two-hours", KEEPER)
    assert watched(served) is not None
    assert (ledger.current_generation().rules_version, ledger.current_generation().id > newer) == (2, True)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_acts_gives_the_same_live_rebuilt_restored_and_in_a_copy(
    seed: int, database: Database, new_database_url: Callable[[], str], tmp_path: Path
) -> None:
    draw = random.Random(seed)  # noqa: S311 - an order of acts
    ledger = OpenLedger(database, tmp_path / "ledger")
    ledger.make_ready()
    stock(ledger)
    texts = [star_at(minutes) for minutes in (60, 180, 300, 600)]
    for number in range(8):
        match draw.choice(["publish", "later", "put", "put", "scan"]):
            case "publish":
                ledger.publish(draw.choice(texts))
            case "later":
                ledger.publish(draw.choice(texts), in_force=False)
            case "put":
                versions = [one.version for one in ledger_versions(ledger)]
                ledger.put_in_force(draw.choice(versions), "drawn", KEEPER)
            case _:
                give(ledger, "register-volunteer", volunteer=f"V9{seed}{number:05d}", registered_on="2016-03-05")
        if draw.random() < 0.5:
            obey(database, ledger.archive)
    obey(database, ledger.archive)
    ledger.catch_up()
    live = ledger.current_generation()
    in_force = published_rules(ledger.log)
    assert live.rules == in_force

    rebuilt = rebuild(database, ledger.archive, published_rules(ledger.log), new_facts=True).generation
    assert (rebuilt.rules, rebuilt.position, rebuilt.checksum) == (live.rules, live.position, live.checksum)

    back_up(database, tmp_path / "backup")
    with Database.open(new_database_url()) as other:
        restored = OpenLedger(other, tmp_path / "restored")
        restore(tmp_path / "backup", other, PARTS)
        restored.make_ready()
        again = restored.current_generation()
        assert (again.rules, again.position, again.checksum) == (live.rules, live.position, live.checksum)

    ledger.archive.bring_up_to_date(database)
    copy_archive(ledger.archive, tmp_path / "copy")
    copy = OpenArchive.open_copy(tmp_path / "copy")
    assert copy.rules() == in_force
    assert replay(copy.facts(), copy.rules()).checksum() == live.checksum
    for position in range(1, int(ledger.log.head()) + 1):
        assert copy.rules(known_at=position) == published_rules(ledger.log, known_at=Position(position))


def ledger_versions(ledger: OpenLedger) -> list[Any]:
    ledger.archive.bring_up_to_date(ledger.database)
    return ledger.archive.published()


def test_the_command_line_puts_in_force_tells_the_history_and_says_what_is_wrong(
    hours: CommandLine, tmp_path: Path
) -> None:
    easy = tmp_path / "easy.toml"
    easy.write_text(EASY, "utf-8")
    hours("publish", DEFAULT_RULES)
    published = hours("publish", easy, "--later", "--json").answer
    assert published["rules_version"] == 2
    built = hours("rebuild", "--json").answer
    first = built["generation"]
    assert built["rules_version"] == 1
    told = hours(
        "rules", "put-in-force", published["digest"], "--reason", "cheaper-star", "--by", "person:li", "--json"
    )
    assert (told.answer["rules_version"], told.answer["answers"]) == (2, True)
    assert hours("rebuild", "--json").answer["rules_version"] == 2
    back = hours("generations", "switch", first, "--reason", "star-too-cheap", "--json").answer
    assert (back["generation"], back["rules_version"]) == (first, 1)
    assert hours("rebuild", "--json").answer["rules_version"] == 1
    acts = hours("rules", "history", "--json").answer["acts"]
    assert [(act["act"], act["version"], act["by"], act["reason"]) for act in acts] == [
        ("put-in-force", 1, "person:keeper", "star-too-cheap"),
        ("put-in-force", 2, "person:li", "cheaper-star"),
        ("published", 2, "person:keeper", None),
        ("published", 1, "person:keeper", None),
    ]
    shown = hours("rules", "history").out
    assert "star-too-cheap" in shown
    assert "now" in shown
    assert "version 7" in hours("rules", "put-in-force", "7", "--reason", "why").sentence
    assert "--reason NO WAY" in hours("rules", "put-in-force", "2", "--reason", "NO WAY").sentence
    assert hours("rules", "put-in-force", "2").code == 2


def test_putting_in_force_says_who_when_which_and_until_when(hours: CommandLine, tmp_path: Path) -> None:
    easy = tmp_path / "easy.toml"
    easy.write_text(EASY, "utf-8")
    hours("publish", DEFAULT_RULES)
    digest = hours("publish", easy, "--later", "--json").answer["digest"]
    act = ("rules", "put-in-force", digest[:8], "--reason", "cheaper-star", "--by", "person:li")
    told = hours(*act, "--text", "The board met on Monday.").out.splitlines()
    assert told[0].startswith(f"version 2 of the rules (luohu, digest {digest[:12]}…) is in force from 20")
    assert told[0].endswith("(position 3) until others are put in force")
    assert told[1] == "put in force by person:li, because: cheaper-star (The board met on Monday.)"
    assert told[2].startswith("before, version 1 (digest ")
    assert told[3].startswith("generation 2 answers")
    assert "The board met on Monday." in hours("rules", "history", "--json").answer["acts"][0]["text"]
    again = hours(*act)
    assert "was in force already, from 20" in again.out
    assert "nothing was recorded" in again.out
    answer = hours(*act, "--json").answer
    assert (answer["recorded"], answer["in_force"]["by"], answer["in_force"]["digest"]) == (False, "person:li", digest)
    assert "not the text of the rules" in " ".join(
        hours("rules", "put-in-force", "--help").out.replace("│", " ").split()
    )
