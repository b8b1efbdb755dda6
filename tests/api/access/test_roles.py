"""Who may do what: every address and every role, as docs/access.md tells it.

`python -m tests.api.access.test_roles` writes the tables of roles and of addresses into that page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.rate_limits import BURST_SECONDS
from api.access.roles import COMMANDS_OF_ROLE, ROLES_OF_RIGHT, Right, Role
from api.http.app import create_app
from api.http.routes.operations.jobs import WHAT_IF
from api.messages.cloud_events import EVENT
from api.messages.examples import EXAMPLES
from api.operations.jobs import Task
from api.operations.service import DEFAULT_RULES, OpenLedger, running
from api.pages.assets import PREFIX as ASSETS
from api.pages.page_routes import PageRoute
from ledger.aggregates import COMMANDS, Sender
from ledger.store.database import Database
from projections.rules.timeline import rules_digest
from tests.support.api.serving import KEY_NAMES, STATION, Served, stock

pytest_plugins = ["tests.support.api.fixtures"]

PAGE = Path(__file__).parents[3] / "docs" / "access.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"

ADDRESSES_BEGIN, ADDRESSES_END = "<!-- addresses -->\n", "<!-- end of addresses -->\n"

OPEN = "no key"
OF_COMMAND = "the command's right"
OF_EACH_EVENT = "each event: its command's right"
OF_ANNOUNCING, OF_AWARDING = "`announce-honor`", "`award-honor`"
OWN_WORK = f"{Right.READ}; another's: {Right.STOP_ANY_JOB}"
OF_WHAT_IFS = f"{Right.READ}; a what-if: {Right.TRY_RULES}"
OF_ONESELF = f"{Right.READ}; of oneself: {Right.READ_OWN}"
OF_OWN_EVENT = f"{Right.READ}; of one's own event: {Right.READ_OWN}"
OF_ISSUING = "`issue-certificate`"
TEXTS_OF_ONESELF = f"{Right.READ_TEXTS}; of oneself: {Right.READ_OWN}"
ONES_OWN = (Role.STATION, Role.VOLUNTEER)
NEEDS: dict[str, str] = {
    **dict.fromkeys(("GET /healthz", "GET /readyz", "GET /problems/{rejection}"), OPEN),
    **dict.fromkeys(("GET /v1/log/checkpoint", "GET /v1/log/tile/{level}/{index}"), OPEN),
    "GET /.well-known/service-hours-keys": OPEN,
    "GET /v1/log/tile/entries/{index}": Right.AUDIT,
    "GET /v1/events/{position}/proof": OF_OWN_EVENT,  # tests/api/proof/test_proofs.py
    **{f"POST /v1/commands/{command}": OF_COMMAND for command in COMMANDS},
    "POST /v1/events": OF_EACH_EVENT,
    "POST /v1/honors/{honor}/announcements": OF_ANNOUNCING,
    "POST /v1/honors/{honor}/awards": OF_AWARDING,
    "POST /v1/certificates": OF_ISSUING,
    "GET /v1/certificates/{certificate}/state": OPEN,
    "GET /v1/certificates/{certificate}.{form}": TEXTS_OF_ONESELF,
    "POST /v1/imports/lines": Right.IMPORT,
    "POST /v1/rules/candidates": Right.TRY_RULES,
    "POST /v1/what-ifs": Right.TRY_RULES,
    "GET /v1/anomalies": Right.AUDIT,
    "GET /v1/spot-check": Right.AUDIT,
    "GET /v1/persons": Right.LOOK_UP_PERSONS,
    "GET /v1/persons/{volunteer}": Right.LOOK_UP_PERSONS,
    "POST /v1/persons/{volunteer}": Right.LOOK_UP_PERSONS,
    "GET /v1/person-look-ups": Right.READ_LOOKUPS,
    "POST /v1/generations": Right.CHANGE_GENERATIONS,
    "POST /v1/generations/{generation}/switch": Right.CHANGE_GENERATIONS,
    "DELETE /v1/generations/{generation}": Right.CHANGE_GENERATIONS,
    "DELETE /v1/jobs/{job}": OWN_WORK,  # tests/api/operations/test_jobs.py
    "GET /v1/jobs/{job}": OF_WHAT_IFS,
    "GET /v1/jobs/{job}/events": OF_WHAT_IFS,
    **dict.fromkeys(
        (
            "GET /metrics",
            "GET /v1/awards",
            "GET /v1/awards/{award}",
            "GET /v1/awards/{award}/as-given",
            "GET /v1/certificates",
            "GET /v1/disputes",
            "GET /v1/generations",
            "GET /v1/honors",
            "GET /v1/honors/{honor}/eligible",
            "GET /v1/honors/{honor}/standings",
            "GET /v1/district/activity",
            "GET /v1/jobs",
            "GET /v1/log",
            "GET /v1/log/{position}",
            "GET /v1/organisations",
            "GET /v1/organisations/{organisation}",
            "GET /v1/organisations/{organisation}/activity",
            "GET /v1/organisations/{organisation}/members",
            "GET /v1/people-served",
            "GET /v1/projects",
            "GET /v1/projects/{project}/activity",
            "GET /v1/projects/{project}/ranks",
            "GET /v1/public-notices",
            "GET /v1/rankings",
            "GET /v1/rankings/{ranking}",
            "GET /v1/requests",
            "GET /v1/rules",
            "GET /v1/rules/history",
            "GET /v1/rules/{rules}",
            "GET /v1/stations",
            "GET /v1/stations/{station}/activity",
            "GET /v1/stations/{station}/shifts",
            "GET /v1/status",
            "GET /v1/undercut-awards",
            "GET /v1/volunteers/{number}/ranks",
            "GET /v1/worklist",
        ),
        Right.READ,
    ),
    **dict.fromkeys(
        (
            "GET /v1/certificates/{certificate}",
            "GET /v1/volunteers/{number}",
            "GET /v1/volunteers/{number}/certificates",
            "GET /v1/volunteers/{number}/explanation",
            "GET /v1/volunteers/{number}/history",
            "GET /v1/volunteers/{number}/overview",
            "GET /v1/volunteers/{number}/shifts",
            "GET /v1/volunteers/{number}/shifts/{shift}/events",
            "GET /v1/volunteers/{number}/statement",
        ),
        OF_ONESELF,
    ),
}
"""What every address needs. One that is not here fails the tests below: whoever adds it says who may."""

NOT_DESCRIBED = {"GET /docs", "GET /openapi.json", "GET /static-offline-docs/{name}"}
"""Without a key: they hold nothing of the ledger. The pages for people: tests/api/access/test_page_walls.py."""


def table() -> str:
    """Return the table of roles as Markdown."""
    rows = [("", *Role), ("---", *("---" for _ in Role))]
    rows += [(right.value, *("yes" if role in ROLES_OF_RIGHT[right] else "" for role in Role)) for right in Right]
    for command in COMMANDS:
        marks = ("" if command not in COMMANDS_OF_ROLE[role] else "*" if role in ONES_OWN else "yes" for role in Role)
        rows.append((f"`{command}`", *marks))
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def test_the_page_shows_the_table_in_force() -> None:
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == table()


def addresses_table() -> str:
    """Return what addresses need as Markdown, the commands in one line."""
    rows = [("", "needs"), ("---", "---")]
    commands = ("`POST /v1/commands/…`", OF_COMMAND)
    rows += [commands, *((f"`{address}`", need) for address, need in NEEDS.items() if need != OF_COMMAND)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def test_the_page_shows_what_every_address_needs() -> None:
    text = PAGE.read_text()
    assert text[text.index(ADDRESSES_BEGIN) + len(ADDRESSES_BEGIN) : text.index(ADDRESSES_END)] == addresses_table()


# --- every address and every role -----------------------------------------------------------------------------------


def own_routes(routes: Iterable[Any]) -> Iterator[str]:
    """Yield the addresses of an application's own routes, whether it describes them or not."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from own_routes(included.routes)
        if isinstance(route, PageRoute) or getattr(route, "path", "").startswith(ASSETS):
            continue
        for method in set(getattr(route, "methods", None) or ()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {route.path.replace(':path}', '}')}"


def test_every_route_of_the_application_says_what_it_needs(served: Served) -> None:
    assert isinstance(served.client.app, FastAPI)
    assert set(own_routes(served.client.app.routes)) == set(NEEDS) | NOT_DESCRIBED
    described = served.client.get("/openapi.json").json()["paths"]
    assert {f"{method.upper()} {path}" for path in described for method in described[path]} == set(NEEDS)
    for path, operations in described.items():
        for method, operation in operations.items():
            walled = NEEDS[f"{method.upper()} {path}"] != OPEN
            assert bool(operation.get("security")) == walled, (method, path)


OWN: dict[str, dict[str, str]] = {"dispute-shift": {"volunteer": "V0000001"}}
"""What the key of a volunteer needs besides the example of a command."""


FORMS = {"certificate": "2018-000001", "form": "json", "index": "000"}
"""A value for each parameter of a path that 7 is none of."""


def ask(served: Served, address: str, headers: dict[str, str]) -> Response:
    """Ask for an address with nothing sensible in it, but for commands, which are asked whether they would be taken."""
    method, _, path = address.partition(" ")
    while "{" in path:
        head, _, rest = path.partition("{")
        name, _, rest = rest.partition("}")
        path = f"{head}{FORMS.get(name, '7')}{rest}"
    asked: dict[str, Any] = {} if method in {"GET", "DELETE"} else {"json": {}}
    if command := COMMANDS.get(path.removeprefix("/v1/commands/")):
        asked = {"json": EXAMPLES[command.TYPE] | OWN.get(command.TYPE, {}), "params": {"dry_run": True}}
    more = {"Content-Type": EVENT} if path == "/v1/events" else {}
    return served.client.request(method, path, headers=headers | more, **asked)


WALLED = [address for address, need in NEEDS.items() if need != OPEN]


@pytest.mark.parametrize("address", WALLED)
def test_every_address_needs_a_key_of_the_right_role(served: Served, address: str) -> None:
    assert ask(served, address, {}).status_code == 401
    need = NEEDS[address]
    for role in Role:
        if need == OF_COMMAND:
            command = address.rpartition("/")[2]
            asked_for = EXAMPLES[command].get("act", command) if command == "request-act" else command
            may = {command, asked_for} <= COMMANDS_OF_ROLE[role]
        elif need in {OF_ANNOUNCING, OF_AWARDING, OF_ISSUING}:
            may = need.strip("`") in COMMANDS_OF_ROLE[role]
        elif "{certificate}" in address:  # whose it is, the route finds out: tests/api/proof/test_certificates.py
            least = Right.READ_TEXTS if need == TEXTS_OF_ONESELF else Right.READ
            may = role in {*ROLES_OF_RIGHT[least], Role.VOLUNTEER}
        else:
            least = Right.READ_OWN if need == OF_EACH_EVENT else Right.READ
            may = role in ROLES_OF_RIGHT[Right(need) if need in set(Right) else least]
        told = ask(served, address, served.headers(role))
        assert told.status_code not in {401, 429}, (role, told.text)
        assert (told.status_code == 403) == (not may), (role, told.text)


@pytest.mark.parametrize("address", [address for address, need in NEEDS.items() if need == OPEN])
def test_what_is_open_is_open(served: Served, address: str) -> None:
    assert ask(served, address, {}).status_code in {200, 404, 422}  # 422: without what a document alone knows


def test_a_key_that_has_ended_or_was_revoked_opens_nothing(served: Served) -> None:
    keys = served.ledger.keys
    _, ended = keys.make(Role.ADMIN, "ended", datetime.now(UTC) - timedelta(seconds=1))
    revoked, token = keys.make(Role.ADMIN, "revoked")
    keys.revoke(revoked.id)
    for address in WALLED:
        for wrong in (ended, token, f"{token}x", ""):
            told = ask(served, address, {"Authorization": f"Bearer {wrong}"})
            assert (told.status_code, told.json()["rejection"]) == (401, "no-key"), address


def test_a_key_that_made_too_many_requests_waits_at_every_address(served: Served) -> None:
    _, token = served.ledger.keys.make(Role.ADMIN, "eager", per_second=1)
    headers = {"Authorization": f"Bearer {token}"}
    statuses = [served.client.get("/v1/jobs", headers=headers).status_code for _ in range(BURST_SECONDS + 1)]
    assert statuses[-1] == 429
    told = [ask(served, address, headers) for address in WALLED]
    refused = [one for one in told if one.status_code == 429]
    assert len(refused) >= len(WALLED) - 5  # the bucket fills while they are asked: one a second
    assert all(int(one.headers["Retry-After"]) >= 1 for one in refused)


def test_a_station_that_signs_changes_nothing_without_its_signature(served: Served) -> None:
    key, token = served.ledger.keys.make(Role.STATION, STATION)
    served.ledger.keys.sign_with(key.id, bytes(32), required=True)
    headers = {"Authorization": f"Bearer {token}"}
    head = served.ledger.log.head()
    for address in WALLED:
        told = ask(served, address, headers)
        unsigned = (
            (told.status_code, told.json()["rejection"]) == (401, "not-signed") if told.status_code == 401 else False
        )
        assert unsigned == (not address.startswith("GET ")), (address, told.text)
    assert served.ledger.log.head() == head


def test_another_station_s_key_records_nothing_here(served: Served) -> None:
    _, token = served.ledger.keys.make(Role.STATION, "C99")
    headers = {"Authorization": f"Bearer {token}"}
    for command in COMMANDS_OF_ROLE[Role.STATION]:
        told = ask(served, f"POST /v1/commands/{command}", headers)
        assert (told.status_code, told.json()["field"]) == (403, "station"), command
        event = served.event(command, source="/stations/C99", **EXAMPLES[command])
        sent = served.client.post("/v1/events", json=event, headers=headers | {"Content-Type": EVENT})
        assert (sent.status_code, sent.json()["field"]) == (403, "station"), command


OWN_PATHS = [need.partition("{number}")[2] for need, right in NEEDS.items() if right == OF_ONESELF]


def test_a_volunteer_reads_what_is_about_one_number_and_nothing_else(served: Served) -> None:
    own, other = served.volunteer(), served.volunteer()
    shift, _ = served.served_shift(own, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    others_shift, position = served.served_shift(other, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    _, token = served.ledger.keys.make(Role.VOLUNTEER, own)
    headers = {"Authorization": f"Bearer {token}"}

    def get(path: str) -> Response:
        return served.client.get(path, headers=headers)

    assert served.get("/v1/stations", at_least=position).status_code == 200
    for path in OWN_PATHS:
        mine = get(f"/v1/volunteers/{own}{path}".replace("{shift}", str(shift)))
        assert mine.status_code == 200, (path, mine.text)
        assert other not in mine.text
        theirs = get(f"/v1/volunteers/{other}{path}".replace("{shift}", str(others_shift)))
        assert (theirs.status_code, theirs.json()["rejection"]) == (403, "forbidden"), path
        assert f"use /v1/volunteers/{own}/overview" in theirs.json()["detail"]
    for path in (f"/v1/volunteers/{own}/ranks", f"/v1/volunteers/{own}/../{other}", "/v1/log", "/v1/organisations"):
        assert get(path).status_code == 403, path


def test_a_volunteer_disputes_own_shifts_under_own_names(served: Served) -> None:
    own, other = served.volunteer(), served.volunteer()
    shifts = {
        number: served.served_shift(number, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")[0]
        for number in (own, other)
    }
    _, token = served.ledger.keys.make(Role.VOLUNTEER, own)
    headers = {"Authorization": f"Bearer {token}"}

    def dispute(number: str, source: str) -> Response:
        event = served.event(
            "dispute-shift", source=source, volunteer=number, shift=str(shifts[number]), reason="too-few-minutes"
        )
        return served.client.post("/v1/events", json=event, headers=headers | {"Content-Type": EVENT})

    told = dispute(other, f"/volunteers/{own}")
    assert (told.status_code, told.json()["field"]) == (403, "volunteer")
    told = dispute(own, f"/volunteers/{other}")
    assert (told.status_code, told.json()["field"]) == (403, "source")
    assert dispute(own, f"/volunteers/{own}").status_code == 201
    body = {"volunteer": own, "shift": str(shifts[own]), "reason": "left-early"}
    told = served.client.post("/v1/commands/void-shift", json=body, headers=headers)
    assert (told.status_code, told.json()["field"]) == (403, "command")


# --- under which rules -----------------------------------------------------------------------------------------------

LATER = DEFAULT_RULES.read_text("utf-8") + "# published, and not in force\n"
DRAFT = DEFAULT_RULES.read_text("utf-8") + "# a draft\n"


@pytest.fixture(scope="module")
def with_rules(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served ledger with two published versions, of which the first is in force, and a candidate."""
    with Database.open(new_database_url()) as database:
        ledger = OpenLedger(database, tmp_path_factory.mktemp("data"))
        stock(ledger)
        ledger.publish(LATER, in_force=False)
        ledger.candidates.store(DRAFT, "person:analyst", ())
        tokens = {role: ledger.keys.make(role, KEY_NAMES.get(role, role.value), per_second=9999)[1] for role in Role}
        with running(ledger) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
            yield Served(service, client, tokens)


def under_rules(served: Served) -> Iterator[str]:
    """Yield each address that is read under rules."""
    for path, operations in served.client.get("/openapi.json").json()["paths"].items():
        if any(
            one["name"] == "rules" and one["in"] == "query" for one in operations.get("get", {}).get("parameters", ())
        ):
            yield path


def test_who_may_read_under_which_rules(with_rules: Served) -> None:
    """Under the rules in force whoever may read, under published rules all but volunteers, under a draft few."""
    draft, unknown = rules_digest(DRAFT), "0" * 64
    addresses = list(under_rules(with_rules))
    assert len(addresses) > 30
    for path in addresses:
        address = path.replace("{number}", "V0000001")
        while "{" in address:
            address = f"{address.partition('{')[0]}7{address.partition('}')[2]}"
        for role in Role:
            if with_rules.get(address, role=role).status_code == 403:
                continue  # under any rules
            for rules, right in (
                ("1", Right.READ_OWN),
                ("2", Right.CHOOSE_RULES),
                (rules_digest(LATER), Right.CHOOSE_RULES),
                (draft, Right.TRY_RULES),
                (unknown, Right.TRY_RULES),
            ):
                answer = with_rules.get(address, role=role, rules=rules)
                may = role in ROLES_OF_RIGHT[right]
                assert (answer.status_code == 403) == (not may), (address, role, rules, answer.text)
                assert may or f"may not {right}" in answer.json()["detail"]


def test_a_volunteer_follows_links_under_the_rules_of_then(with_rules: Served) -> None:
    """The links of an answer about the past name the rules that were in force then."""
    ledger = with_rules.ledger
    then = ledger.log.head()
    address = "/v1/volunteers/V0000001"
    assert with_rules.get(address, role=Role.VOLUNTEER, known_at=then, rules="2").status_code == 403
    ledger.put_in_force(2, "tried", Sender.of_operator("person:board"))
    assert with_rules.get(address, role=Role.VOLUNTEER, known_at=then, rules="1").status_code == 200
    assert with_rules.get(address, role=Role.VOLUNTEER, known_at=then, rules="2").status_code == 403
    ledger.put_in_force(1, "tried", Sender.of_operator("person:board"))


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.VOLUNTEER])
def test_a_draft_of_rules_is_shown_to_those_who_may_try_it_out(with_rules: Served, role: Role) -> None:
    may = role in ROLES_OF_RIGHT[Right.TRY_RULES]
    known = with_rules.get("/v1/rules", role=role).json()
    assert len(known["published"]) == 2
    assert bool(known["candidates"]) == may
    assert with_rules.get(f"/v1/rules/{rules_digest(DRAFT)}", role=role).status_code == (200 if may else 403)
    assert with_rules.get(f"/v1/rules/{'0' * 64}", role=role).status_code == (422 if may else 403)
    assert with_rules.get("/v1/rules/2", role=role).status_code == 200
    job = with_rules.service.jobs.start(Task(WHAT_IF, lambda _progress: {"found": DRAFT}), "person:analyst", "share")
    for address in (f"/v1/jobs/{job.id}", f"/v1/jobs/{job.id}/events"):
        answer = with_rules.get(address, role=role)
        assert answer.status_code == (200 if may else 403)
        assert may or DRAFT not in answer.text
    assert str(job.id) in with_rules.get("/v1/jobs", role=role).text


@pytest.mark.parametrize("role", Role)
def test_every_role_has_the_article_of_its_sound(role: Role) -> None:
    an = {Role.APPROVER, Role.HONORS_OFFICER, Role.ANALYST, Role.AUDITOR, Role.ADMIN}
    assert role.a_key == f"{'an' if role in an else 'a'} {role} key"


if __name__ == "__main__":
    for begin, shown, end in ((BEGIN, table(), END), (ADDRESSES_BEGIN, addresses_table(), ADDRESSES_END)):
        before, _, rest = PAGE.read_text().partition(begin)
        PAGE.write_text(before + begin + shown + end + rest.partition(end)[2])
