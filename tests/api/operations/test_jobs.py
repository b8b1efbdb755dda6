"""Long work over HTTP: told as it goes, stopped on request and with the service, bounded in number and in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response

from api.access.roles import Role
from api.messages.problems import problem
from api.operations.jobs import Job, Jobs, Task, TooManyJobsError, UnknownJobError, Work
from replay.generations.rebuild import VerificationError
from replay.progress import Meter, Progress, checkpoint
from tests.support.api.serving import Listening, Served, listening
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """A registry with room for two jobs at once, one waiting, and two that have ended."""
    found = Jobs(running_max=2, waiting_max=1, ended_max=2)
    yield found
    found.close()


class Endless:
    """Work that goes on until it is stopped, and says when it has begun and when it has left."""

    def __init__(self) -> None:
        self.begun, self.left = threading.Event(), threading.Event()

    def __call__(self, progress: Progress) -> dict[str, Any]:
        try:
            done = 0
            while True:
                progress("counting", done, 0)
                self.begun.set()
                done += 1
                time.sleep(0.001)
        finally:
            self.left.set()


def wait(job: Job) -> Job:
    """Wait until a job has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not job.ended:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return job


def test_a_job_tells_its_stages_and_keeps_its_result(jobs: Jobs) -> None:
    gate = threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        progress("reading", 5, 10)
        assert gate.wait(PATIENCE_SECONDS)
        progress("writing", 10, 10)
        return {"rows": 7}

    job = jobs.start(Task("rebuild", work), "person:li.wei")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while job.status().progress.stage != "reading" and time.monotonic() < deadline:
        time.sleep(0.002)
    status = job.status()
    assert (status.state, status.progress.stage, status.progress.done, status.progress.in_all) == (
        "running",
        "reading",
        5,
        10,
    )
    assert (status.ended_at, status.result, status.problem) == (None, None, None)
    gate.set()
    status = wait(job).status()
    assert (status.state, status.result, status.problem, status.by) == ("done", {"rows": 7}, None, "person:li.wei")
    assert status.ended_at is not None
    assert status.ended_at >= status.started_at
    assert job.status(with_result=False).result is None
    assert jobs.find(job.id) is job


@pytest.mark.parametrize(
    ("error", "rejection"),
    [
        (VerificationError("the counts differ"), "not-verified"),
        (problem("unknown-volunteer", "nobody has that number"), "unknown-volunteer"),
        (ZeroDivisionError("secret"), "failed"),
    ],
)
def test_a_job_that_fails_says_which_problem_it_met(jobs: Jobs, error: Exception, rejection: str) -> None:
    def work(_progress: Progress) -> dict[str, Any]:
        raise error

    status = wait(jobs.start(Task("rebuild", work))).status()
    assert (status.state, status.result) == ("failed", None)
    assert status.problem is not None
    assert status.problem.rejection == rejection
    assert ("secret" in status.problem.detail) is False
    assert (str(error) in status.problem.detail) is (rejection == "not-verified")


def test_only_so_many_run_wait_and_are_remembered(jobs: Jobs) -> None:
    works = [Endless() for _ in range(3)]
    running = [jobs.start(Task("endless", work)) for work in works]
    assert works[0].begun.wait(PATIENCE_SECONDS)
    assert works[1].begun.wait(PATIENCE_SECONDS)
    assert [job.state for job in running] == ["running", "running", "waiting"]
    with pytest.raises(TooManyJobsError):
        jobs.start(Task("endless", Endless()))
    running[2].stop()  # it waits: it ends at once, and never begins
    assert running[2].state == "stopped"
    running[0].stop()
    wait(running[0])
    assert works[0].left.is_set()
    assert not works[2].begun.is_set()
    assert not running[1].ended
    later = [wait(jobs.start(Task("short", lambda _: {}))) for _ in range(3)]
    assert jobs.list() == [later[2], later[1], running[1]]
    with pytest.raises(UnknownJobError):
        jobs.find(running[0].id)


def test_closing_stops_what_runs_and_takes_nothing_more(jobs: Jobs) -> None:
    works = [Endless() for _ in range(3)]
    running = [jobs.start(Task("endless", work)) for work in works]
    assert works[0].begun.wait(PATIENCE_SECONDS)
    jobs.close()
    assert {job.state for job in running} == {"stopped"}
    assert works[0].left.is_set()
    with pytest.raises(TooManyJobsError):
        jobs.start(Task("endless", Endless()))


def test_a_meter_measures_each_stage_by_itself() -> None:
    now = [100.0]
    meter = Meter(lambda: now[0])
    meter("reading", 1000, 5000)
    assert (meter.pace.rate, meter.pace.remaining_seconds) == (None, None)
    now[0] += 2
    meter("reading", 2000, 5000)
    assert (meter.pace.rate, meter.pace.remaining_seconds) == (500, 6)
    meter("writing", 0, 0)
    now[0] += 1
    meter("writing", 10, 0)
    assert (meter.pace.rate, meter.pace.remaining_seconds) == (10, None)


# --- over HTTP ------------------------------------------------------------------------------------------------------


def stream(answer: Response) -> list[tuple[str, Any]]:
    """Read server-sent events: the name of each, and its data."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            told.append((fields["event"], json.loads(fields["data"])))
    return told


def served_job(served: Served, work: Work, by: str = "person:reader") -> tuple[Job, str]:
    """Start a job in the service; return it and its address."""
    job = served.service.jobs.start(Task("test", work), by)
    return job, f"/v1/jobs/{job.id}"


def heard(served: Served, server: Listening, address: str) -> Iterator[tuple[str, Any]]:
    """Listen to server-sent events over a connection; yield each as it comes."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("GET", address, headers=served.headers(Role.READER))
        with connection.getresponse() as answer:
            fields: dict[str, str] = {}
            while line := answer.readline().decode():
                name, _, value = line.strip().partition(": ")
                if name:
                    fields[name] = value
                elif not line.startswith(":") and fields:
                    yield fields["event"], json.loads(fields["data"])
                    fields = {}


def test_a_job_s_events_are_streamed_until_its_result(served: Served) -> None:
    """The work goes on to its next step when the listener has heard of the one before."""
    known = [threading.Event() for _ in range(4)]

    def work(progress: Progress) -> dict[str, Any]:
        for done, step in enumerate(known):
            progress("counting", done, 3)
            assert step.wait(PATIENCE_SECONDS)
        return {"answer": 42}

    with listening(served) as server:
        job, address = served_job(served, work)
        steps: list[dict[str, Any]] = []
        told = heard(served, server, f"{address}/events")
        for name, data in told:
            if name != "progress":
                break
            if data["stage"]:
                steps.append(data)
                known[data["done"]].set()
        assert (name, data) == ("result", {"answer": 42})
        assert list(told) == []
    assert {step["stage"] for step in steps} == {"counting"}
    assert [(step["done"], step["in_all"]) for step in steps] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert (steps[0]["rate"], steps[-1]["remaining_seconds"]) == (None, 0)
    assert all(step["rate"] > 0 for step in steps[1:])
    found = served.get(address).json()
    assert (found["state"], found["result"], found["id"]) == ("done", {"answer": 42}, str(job.id))
    listed = served.get("/v1/jobs").json()["jobs"]
    assert [(one["id"], one["result"]) for one in listed][:1] == [(str(job.id), None)]
    assert stream(served.get(f"{address}/events"))[-1] == ("result", {"answer": 42})  # once more, to a late listener


def test_deleting_a_job_stops_it_and_its_listeners_hear_it(served: Served) -> None:
    work = Endless()
    job, address = served_job(served, work)
    assert work.begun.wait(PATIENCE_SECONDS)
    heard: list[list[tuple[str, Any]]] = []
    listener = threading.Thread(target=lambda: heard.append(stream(served.get(f"{address}/events"))))
    listener.start()

    def delete(role: Role) -> Response:
        return served.client.delete(address, headers=served.headers(role))

    refused = delete(Role.STAFF)
    assert (refused.status_code, refused.json()["rejection"]) == (403, "forbidden")
    assert not job.ended
    assert delete(Role.READER).status_code in {200, 202}
    wait(job)
    listener.join(PATIENCE_SECONDS)
    assert heard[0][-1][0] == "problem"
    assert heard[0][-1][1]["rejection"] == "stopped"
    assert work.left.is_set()
    again = delete(Role.ADMIN)
    assert (again.status_code, again.json()["state"], again.json()["problem"]["status"]) == (200, "stopped", 409)


def test_unknown_jobs_and_callers_are_refused(served: Served) -> None:
    missing = "/v1/jobs/01890c5e-7a00-7000-8000-000000000001"
    for address in (missing, f"{missing}/events"):
        refused = served.get(address)
        assert (refused.status_code, refused.json()["rejection"]) == (404, "unknown-job")
        assert served.get(address, role=None).status_code == 401
    assert served.get("/v1/jobs/x").json()["field"] == "job"
    assert served.get("/v1/jobs", role=None).status_code == 401


# --- turns, shares, deadlines ---------------------------------------------------------------------------------------


@pytest.fixture
def one_at_a_time() -> Iterator[Jobs]:
    """The jobs of a service, with its own limits."""
    found = Jobs()
    yield found
    found.close()


class InOrder:
    """Works that note the order in which they run, behind one that waits for the test."""

    def __init__(self, jobs: Jobs) -> None:
        self.ran: list[str] = []
        self._jobs, self._gate, begun = jobs, threading.Event(), threading.Event()

        def hold(_progress: Progress) -> dict[str, Any]:
            begun.set()
            assert self._gate.wait(PATIENCE_SECONDS)
            return {}

        self._started = [jobs.start(Task("hold", hold), share="holder")]
        assert begun.wait(PATIENCE_SECONDS)

    def start(self, name: str, share: str, *, first: bool = False) -> Job:
        def work(_progress: Progress) -> dict[str, Any]:
            self.ran.append(name)
            return {}

        job = self._jobs.start(Task(name, work, first=first), share=share)
        self._started.append(job)
        return job

    def go_on(self) -> list[str]:
        self._gate.set()
        for job in self._started:
            wait(job)
        return self.ran


def test_what_changes_generations_runs_first_and_keys_take_turns(one_at_a_time: Jobs) -> None:
    order = InOrder(one_at_a_time)
    for name in ("a1", "a2", "a3"):
        order.start(name, "a")
    order.start("b1", "b")
    order.start("c1", "c")
    order.start("rebuild", "admin", first=True)
    assert order.go_on() == ["rebuild", "a1", "b1", "c1", "a2", "a3"]


def test_a_key_starts_a_few_jobs_and_leaves_room_for_others(one_at_a_time: Jobs) -> None:
    order = InOrder(one_at_a_time)
    for number in range(3):
        order.start(f"a{number}", "a")
    with pytest.raises(TooManyJobsError, match="of this key"):
        order.start("a3", "a")
    for share in ("b", "c"):
        for number in range(3):
            with suppress(TooManyJobsError):
                order.start(f"{share}{number}", share)
    with pytest.raises(TooManyJobsError, match="too many jobs"):
        order.start("d0", "d")
    rebuild = order.start("rebuild", "admin", first=True)  # which has room of its own
    order.start("switch", "a", first=True)
    assert order.go_on()[:2] == ["rebuild", "switch"]
    assert rebuild.state == "done"
    assert wait(one_at_a_time.start(Task("later", lambda _: {}), share="a")).state == "done"


@pytest.mark.parametrize("how", ["progress", "checkpoint"])
def test_a_job_that_takes_too_long_fails_and_says_so(one_at_a_time: Jobs, how: str) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        while True:
            progress("counting", 0, 0) if how == "progress" else checkpoint()

    job = wait(one_at_a_time.start(Task("what-if", work, seconds_max=0.01)))
    status = job.status()
    assert (status.state, status.problem and status.problem.rejection) == ("failed", "timed-out")
    assert wait(one_at_a_time.start(Task("later", lambda _: {}, seconds_max=60))).state == "done"


def test_a_job_that_does_not_stop_is_not_waited_for(one_at_a_time: Jobs) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def deaf(_progress: Progress) -> dict[str, Any]:
        begun.set()
        go_on.wait(PATIENCE_SECONDS)
        return {}

    job = one_at_a_time.start(Task("deaf", deaf))
    waits = one_at_a_time.start(Task("behind it", lambda _: {}))
    assert begun.wait(PATIENCE_SECONDS)
    one_at_a_time.close(seconds_max=0.01)
    assert (job.state, waits.state) == ("running", "stopped")
    go_on.set()
    wait(job)


def test_many_what_ifs_of_one_key_leave_room_for_a_rebuild(served: Served) -> None:
    work = Endless()
    blocker = served.service.jobs.start(Task("what-if", work), "person:other")
    assert work.begun.wait(PATIENCE_SECONDS)
    headers = served.headers(Role.ANALYST) | {"Prefer": "respond-async"}
    answers = [served.client.post("/v1/what-ifs", json={}, headers=headers) for _ in range(9)]
    assert [answer.status_code for answer in answers] == [202] * 3 + [503] * 6
    assert {answer.json()["rejection"] for answer in answers[3:]} == {"too-many-jobs"}
    assert "of this key" in answers[3].json()["detail"]
    rebuild = served.client.post("/v1/generations", headers=served.headers(Role.ADMIN))
    assert rebuild.status_code == 202
    blocker.stop()
    jobs = [served.service.jobs.find(UUID(answer.json()["id"])) for answer in (rebuild, *answers[:3])]
    for job in jobs:
        wait(job)
    assert jobs[0].ended_at is not None
    assert all(job.ended_at is not None and job.ended_at >= jobs[0].ended_at for job in jobs)
