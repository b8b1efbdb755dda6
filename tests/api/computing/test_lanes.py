"""Lanes: keys take turns, each holds a few places, and work that takes too long is given up by whoever asked for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response

from api.access.roles import COMMANDS_OF_ROLE, ROLES_OF_RIGHT, Caller, Right, Role
from api.http.requests import lanes
from api.http.requests.lanes import ConcurrencyLimits, Lane, compute
from api.messages.problems import Problem
from replay.progress import StoppedError, checkpoint
from tests.support.api.serving import PROJECT, STATION, Served
from tests.support.oversized_rules import rule_sets

pytest_plugins = ["tests.support.api.fixtures"]

SECONDS_MAX = 20.0


def caller(key: int) -> Caller:
    return Caller(Role.ANALYST, f"analyst-{key}", key)


# --- turns ----------------------------------------------------------------------------------------------------------


async def waiting(lane: Lane, share: str, served: list[str]) -> None:
    async with lane.permit(share):
        served.append(share)


async def in_order(lane: Lane, shares: str) -> str:
    """Return the order in which shares that wait at once are served."""
    served: list[str] = []
    async with lane.permit("before"):
        tasks = [asyncio.create_task(waiting(lane, share, served)) for share in shares]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return "".join(served)


@pytest.mark.parametrize(
    ("came", "served"), [("aaab", "abaa"), ("aaabbc", "abcaba"), ("abc", "abc"), ("aaaaaaaaab", "abaaaaaaaa")]
)
def test_keys_that_wait_take_turns(came: str, served: str) -> None:
    assert asyncio.run(in_order(Lane(1, SECONDS_MAX), came)) == served


def test_a_key_runs_a_part_of_a_lane_while_others_wait_and_while_none_do() -> None:
    async def attempt() -> None:
        lane = Lane(3, 0.0, of_share_at_once=2)
        held = [await lane.acquire("a") for _ in range(2)]
        with pytest.raises(Problem) as refused:
            await lane.acquire("a")
        assert refused.value.fault.rejection == "busy"
        (await lane.acquire("b")).release()
        held[0].release()
        (await lane.acquire("a")).release()
        held[1].release()
        assert (lane._running, lane._running_of, lane._held) == (0, {}, {})

    asyncio.run(attempt())


def test_a_permit_that_was_handed_over_is_released_once() -> None:
    async def attempt() -> None:
        lane = Lane(1, 0.0)
        first = await lane.acquire("a")
        second = first.handed_over()
        first.release()
        assert lane._running == 1
        second.release()
        assert lane._running == 0

    asyncio.run(attempt())


def test_a_key_holds_a_few_places_and_others_get_theirs() -> None:
    async def attempt() -> None:
        lane = Lane(1, SECONDS_MAX, held_max=2)
        async with lane.permit("a"):
            second = asyncio.create_task(lane.acquire("a"))
            await asyncio.sleep(0)
            with pytest.raises(Problem) as refused:
                await lane.acquire("a")
            assert refused.value.fault.rejection == "busy"
            other = asyncio.create_task(lane.acquire("b"))
            await asyncio.sleep(0)
        (await second).release()
        (await other).release()
        (await lane.acquire("a")).release()

    asyncio.run(attempt())


@pytest.mark.parametrize("how", ["waited too long", "cancelled"])
def test_who_stops_waiting_leaves_no_place_behind(how: str) -> None:
    async def attempt() -> None:
        lane = Lane(1, 0.0 if how == "waited too long" else SECONDS_MAX, held_max=2)
        held = await lane.acquire("a")
        task = asyncio.create_task(lane.acquire("a"))
        await asyncio.sleep(0)
        if how == "cancelled":
            task.cancel()
        with pytest.raises(Problem if how == "waited too long" else asyncio.CancelledError):
            await task
        held.release()
        held.release()  # once more changes nothing
        first = await lane.acquire("a")
        first.release()
        assert (await lane.acquire("b")).granted.is_set()

    asyncio.run(attempt())


# --- deadlines ------------------------------------------------------------------------------------------------------


def test_work_that_takes_too_long_is_answered_and_stops_at_its_next_checkpoint() -> None:
    left = threading.Event()

    def endless() -> None:
        try:
            while True:
                checkpoint()
        finally:
            left.set()

    async def attempt() -> None:
        lane = Lane(1, SECONDS_MAX)
        with pytest.raises(Problem) as refused:
            await compute(lane, caller(1), endless, seconds_max=0.01)
        assert refused.value.fault.rejection == "timed-out"
        assert await compute(lane, caller(2), lambda: 42) == 42  # once the work has left

    asyncio.run(attempt())
    assert left.is_set()


def test_a_lane_is_occupied_until_the_work_has_left() -> None:
    go_on = threading.Event()

    async def attempt() -> None:
        lane = Lane(1, 0.0)
        with pytest.raises(Problem) as refused:
            await compute(lane, caller(1), lambda: go_on.wait(SECONDS_MAX), seconds_max=0.01)
        assert refused.value.fault.rejection == "timed-out"
        with pytest.raises(Problem) as refused:
            await compute(lane, caller(2), lambda: 42)
        assert refused.value.fault.rejection == "busy"
        lane.seconds_max = SECONDS_MAX
        go_on.set()
        assert await compute(lane, caller(2), lambda: 42) == 42

    asyncio.run(attempt())


def test_work_whose_request_is_cancelled_is_stopped() -> None:
    begun, left = threading.Event(), threading.Event()

    def endless() -> None:
        try:
            while True:
                begun.set()
                checkpoint()
        finally:
            left.set()

    async def attempt() -> None:
        task = asyncio.create_task(compute(Lane(1, SECONDS_MAX), caller(1), endless))
        assert await asyncio.to_thread(begun.wait, SECONDS_MAX)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(attempt())
    assert left.wait(SECONDS_MAX)


def test_what_work_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(compute(Lane(1, SECONDS_MAX), caller(1), fail))


# --- every address that computes ------------------------------------------------------------------------------------

Ask = Callable[[Served, Role], Response]
READ = ROLES_OF_RIGHT[Right.READ]
TRY_RULES = ROLES_OF_RIGHT[Right.TRY_RULES]
AUDIT = ROLES_OF_RIGHT[Right.AUDIT]


def get(address: str, **parameters: Any) -> Ask:
    return lambda served, role: served.get(address, role=role, **parameters)


def post(address: str, body: dict[str, Any], **headers: str) -> Ask:
    return lambda served, role: served.client.post(address, json=body, headers=served.headers(role) | headers)


def roles_that_send(command: str) -> set[Role]:
    return {role for role in Role if command in COMMANDS_OF_ROLE[role]}


THEN = {"valid_at": "2018-06-30"}
REPLAYS: dict[str, tuple[Ask, Any]] = {
    "anomalies": (get("/v1/anomalies"), AUDIT),
    "spot check": (get("/v1/spot-check", seed="2018-12", size=3), AUDIT),
    "spot check as CSV": (get("/v1/spot-check", seed="2018-12", size=10_000, strata="grade"), AUDIT),
    "organisation": (get("/v1/organisations/luohu/activity"), READ),
    "members": (get("/v1/organisations/luohu/members"), READ),
    "district": (get("/v1/district/activity"), READ),
    "as given": (get("/v1/awards/a1/as-given"), READ),
    "eligible then": (get("/v1/honors/star-1/eligible", known_at=1, rules=1), READ),
    "undercut then": (get("/v1/undercut-awards", known_at=1, rules=1), READ),
    "standings then": (get("/v1/honors/star-1/standings", known_at=3, rules=1), READ),
    "station then": (get(f"/v1/stations/{STATION}/activity", known_at=3, rules=1), READ),
    "ranking then": (get("/v1/rankings/top-hundred", year=2018, **THEN), READ),
    "ranks of a volunteer then": (get("/v1/volunteers/V0000001/ranks", year=2018, **THEN), READ),
    "project then": (get(f"/v1/projects/{PROJECT}/ranks", year=2018, **THEN), READ),
    "people served then": (get("/v1/people-served", known_at=1, rules=1), READ),
    "what-if": (post("/v1/what-ifs", {}), TRY_RULES),
    "what-if as CSV": (post("/v1/what-ifs", {}, Accept="text/csv"), TRY_RULES),
    "what-if as Parquet": (post("/v1/what-ifs", {}, Accept="application/vnd.apache.parquet"), TRY_RULES),
}
STAR = "/v1/honors/star-1"
PLANS: dict[str, tuple[Ask, Any]] = {
    "announcements": (
        post("/v1/honors/star-1/announcements", {"all_eligible": True}),
        roles_that_send("announce-honor"),
    ),
    "awards": (post("/v1/honors/star-1/awards", {"all_due": True}), roles_that_send("award-honor")),
}
TABLE = {
    "name": "stations.csv",
    "content": "aWQKVTk5Cg==",
    "mapping": 'command = "open-station"\nsource = "/imports/old"\nkey = "id"\n[fields]\nstation = "id"\n'
    'kind = { constant = "community" }\noccurred_at = { constant = "2011-01-01T09:00:00+08:00" }\n',
}
CHECKS: dict[str, tuple[Ask, Any]] = {
    "candidate": (post("/v1/rules/candidates", {"text": rule_sets(1)}), TRY_RULES),
    "lines of a table": (post("/v1/imports/lines", TABLE), ROLES_OF_RIGHT[Right.IMPORT]),
    "what-if of rules": (post("/v1/what-ifs", {"after": {"rules": rule_sets(1)}}), TRY_RULES),
    "job of rules": (post("/v1/what-ifs", {"after": {"rules": rule_sets(1)}}, Prefer="respond-async"), TRY_RULES),
}


class Abandoned:
    """Threads that are started only when the test says so, and what their work raised."""

    def __init__(self, context: pytest.MonkeyPatch) -> None:
        self.works: list[Callable[[], None]] = []
        self.errors: list[BaseException] = []
        context.setattr(lanes, "Thread", self)
        context.setattr(lanes, "_fail", lambda _answer, error: self.errors.append(error))
        context.setattr(lanes, "COMPUTE_SECONDS_MAX", 0.01)
        context.setattr(lanes, "READ_SECONDS_MAX", 0.01)

    def __call__(self, target: Callable[..., None], args: tuple[Any, ...], **_: object) -> Abandoned:
        self.works.append(lambda: target(*args))
        return self

    def start(self) -> None:
        """Do not start the thread."""

    def go_on(self) -> None:
        while self.works:
            self.works.pop()()


@pytest.fixture
def abandoned(served: Served) -> Iterator[Abandoned]:
    served.ledger.make_ready()
    with pytest.MonkeyPatch.context() as context:
        found = Abandoned(context)
        yield found
        found.go_on()
    assert served.get("/readyz").status_code == 200


def idle(lane: Lane, served: Served) -> bool:
    """Return whether nothing occupies a lane or waits for it, after the event loop has done what it was told."""
    served.client.get("/healthz")
    return (lane._running, lane._held, lane._waiting) == (0, {}, {})


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", [*REPLAYS, *PLANS, *CHECKS])
def test_whatever_computes_is_given_up_after_its_deadline_and_stops(
    served: Served, abandoned: Abandoned, name: str, role: Role
) -> None:
    ask, may = (REPLAYS | PLANS | CHECKS)[name]
    answer = ask(served, role)
    if role not in may:
        assert (answer.status_code, abandoned.works) == (403, [])
        return
    problem = answer.json()
    assert (answer.status_code, problem["rejection"], problem["retry"]) == (503, "timed-out", False)
    assert problem["remedy"]
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    lane = limits.replays if name in REPLAYS else limits.plans if name in PLANS else limits.checks
    assert lane._running == 1
    abandoned.go_on()
    assert idle(lane, served)
    if name not in CHECKS:  # their duration is bounded by the limits of rules
        assert [type(error) for error in abandoned.errors] == [StoppedError]


@pytest.mark.parametrize("name", [*REPLAYS, *PLANS])
def test_a_key_that_holds_its_places_is_refused_and_others_are_not(served: Served, name: str) -> None:
    ask, may = (REPLAYS | PLANS)[name]
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    lane = limits.replays if name in REPLAYS else limits.plans
    first, other = sorted(may)[:2]
    held = served.service.keys.caller(served.tokens[first])
    assert held is not None
    lane._held[held.key] = lanes.HELD_PER_KEY_MAX
    try:
        answer = ask(served, first)
        assert (answer.status_code, answer.json()["rejection"]) == (503, "busy")
        assert "Retry-After" in answer.headers
        assert ask(served, other).status_code not in {500, 503}
    finally:
        del lane._held[held.key]


# --- every address that is read -------------------------------------------------------------------------------------

NAMES = {
    "number": "V0000001",
    "shift": str(UUID(int=1)),
    "station": STATION,
    "organisation": "luohu",
    "project": PROJECT,
    "award": "a1",
    "certificate": "2018-000001",
    "form": "json",
    "honor": "star-1",
    "index": "000",
    "level": "0",
    "ranking": "top-hundred",
    "position": "1",
    "rules": "current",
    "volunteer": "V0000001",
}
PARAMETERS = {
    "/v1/stations/{station}/shifts": {"day": "2018-12-04"},
    "/v1/spot-check": {"seed": "1", "size": "1"},
    "/v1/persons": {"text": "V0000001"},
    "/v1/certificates": {"year": "2018"},
}
OF_PERSONS = ("/v1/persons", "/v1/persons/{volunteer}")
"""The addresses that an auditor may not read."""
WITHOUT_LANE = {
    "/healthz": "reads nothing",
    "/readyz": "goes the way of a read itself",
    "/problems/{rejection}": "reads a table of this program",
    "/v1/certificates/{certificate}/state": "takes the turn that all without a key share",
    "/v1/log/checkpoint": "the same",
    "/v1/log/tile/{level}/{index}": "the same",
    "/.well-known/service-hours-keys": "the same",
    "/v1/jobs": "reads the memory of this process",
    "/v1/jobs/{job}": "the same",
    "/v1/jobs/{job}/events": "the same; it waits without a thread",
}
WITHOUT_DEADLINE = {
    "/v1/status": "its statements are bounded by the database alone",
    "/metrics": "the same",
    "/v1/generations": "the same",
    "/v1/rules": "the same",
    "/v1/rules/history": "the same",
    "/v1/rules/{rules}": "the same",
    "/v1/honors": "reads the rules, which are bounded",
    "/v1/rankings": "the same",
}


def addresses(served: Served) -> list[str]:
    """Return every address that is read and has a lane."""
    paths: dict[str, dict[str, Any]] = served.client.get("/openapi.json").json()["paths"]
    found = [path for path, methods in paths.items() if "get" in methods]
    assert {*WITHOUT_LANE, *WITHOUT_DEADLINE} <= {*found}
    return [path for path in found if path not in WITHOUT_LANE]


def read(served: Served, path: str, role: Role | None = None) -> Response:
    usual = Role.STAFF if path in OF_PERSONS else Role.AUDITOR
    return served.get(path.format(**NAMES), role=role or usual, **PARAMETERS.get(path, {}))


@pytest.mark.parametrize("role", list(Role))
def test_whoever_is_refused_leaves_no_lane_occupied(served: Served, role: Role) -> None:
    """In lanes without a place left, a refusal that held one would be the last answer of this test."""
    served.ledger.make_ready()
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    refused = 0
    for path in addresses(served):
        answers = {read(served, path, role).status_code for _ in range(2)}
        assert len(answers) == 1, path
        assert answers <= {200, 403, 404}, path
        refused += answers == {403}
        assert idle(limits.queries, served), path
        assert idle(limits.replays, served), path
    rights = {
        Right.READ_TEXTS: 1,
        Right.LOOK_UP_PERSONS: 2,
        Right.READ_LOOKUPS: 1,
        Right.AUDIT: 3,
    }  # and how many addresses need them
    expected = sum(count for right, count in rights.items() if role not in ROLES_OF_RIGHT[right])
    assert refused > 20 if role is Role.VOLUNTEER else refused == expected


def test_a_refusal_needs_no_turn(served: Served) -> None:
    """A key without the right is refused at once, however many requests it has in progress."""
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    held, portal = served.service.keys.caller(served.tokens[Role.READER]), served.client.portal
    assert held is not None
    assert portal is not None
    permits = [portal.call(limits.queries.acquire, held.key) for _ in range(lanes.QUERIES_OF_KEY_AT_ONCE)]
    for path in (*OF_PERSONS, "/v1/person-look-ups"):
        assert read(served, path, Role.READER).status_code == 403, path
    for permit in permits:
        portal.call(permit.release)
    assert idle(limits.queries, served)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.STAFF])
def test_whatever_is_read_waits_for_the_turn_of_its_key(served: Served, role: Role) -> None:
    served.ledger.make_ready()
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    held = served.service.keys.caller(served.tokens[role])
    assert held is not None
    portal = served.client.portal
    assert portal is not None
    paths = [path for path in addresses(served) if (path in OF_PERSONS) == (role is Role.STAFF)]
    permits = [portal.call(limits.queries.acquire, held.key) for _ in range(lanes.QUERIES_OF_KEY_AT_ONCE)]
    try:
        with pytest.MonkeyPatch.context() as context:
            context.setattr(limits.queries, "seconds_max", 0.0)
            for path in paths:
                answer = read(served, path)
                assert (answer.status_code, answer.json()["rejection"]) == (503, "busy"), path
            for path in paths:  # another key is served meanwhile
                assert read(served, path, Role.ADMIN).status_code in {200, 404}, path
    finally:  # the tests that follow share the lane
        for permit in permits:
            portal.call(permit.release)
    assert idle(limits.queries, served)


def test_whatever_is_read_is_given_up_after_its_deadline(served: Served, abandoned: Abandoned) -> None:
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    for path in addresses(served):
        answer = read(served, path)
        if path in WITHOUT_DEADLINE:
            assert (answer.status_code, abandoned.works) == (200, []), path
            continue
        assert (answer.status_code, answer.json()["rejection"]) == (503, "timed-out"), path
        assert limits.queries._running + limits.replays._running == 1, path
        abandoned.go_on()
        assert idle(limits.queries, served), path
        assert idle(limits.replays, served), path


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_key_streams_the_log_twice_at_once_and_leaves_nothing_behind(served: Served) -> None:
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    headers = served.headers(Role.READER) | {"Accept": "application/x-ndjson"}
    portal = served.client.portal
    reader = served.service.keys.caller(served.tokens[Role.READER])
    assert portal is not None
    assert reader is not None
    held = [portal.call(limits.exports.acquire, lanes.share_of(reader)) for _ in range(lanes.EXPORTS_PER_KEY_MAX)]
    refused = served.client.get("/v1/log", headers=headers)
    assert (refused.status_code, refused.json()["rejection"]) == (503, "busy")
    other = served.client.get("/v1/log", headers=served.headers(Role.AUDITOR) | {"Accept": "application/x-ndjson"})
    assert len(other.text.splitlines()) == served.ledger.log.head()
    for permit in held:
        portal.call(permit.release)
    assert served.client.get("/v1/log", headers=headers).status_code == 200
    assert idle(limits.exports, served)
