"""Jobs: long-running work started over HTTP, its progress, and its result.

One job runs at a time, in its own thread: a replay at full scale takes gigabytes. A few more may wait; further ones are
refused, so that callers cannot pile up work. The latest ended jobs are retained, in memory only: a restarted service
has none. To stop a job, or the service, its `Progress` raises `StoppedError`, so the job leaves nothing half done.

The routes are in api/http/routes/operations/jobs.py; this module does not depend on HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

import psycopg
from pydantic import BaseModel

from api.axes.written import AxisError
from api.messages.database_faults import fault_of_database
from api.messages.problems import Fault, Problem, ProblemDetails, details_of, fault
from projections.rules.timeline import RulesError
from replay.archive.manifest import ArchiveDisagreesError
from replay.generations.rebuild import NotPublishedError, OvertakenError, VerificationError
from replay.generations.retention import UnknownGenerationError
from replay.generations.store import NoGenerationError
from replay.generations.switching import NotSwitchableError
from replay.progress import Meter, Pace, Progress, StoppedError
from replay.published import NoRulesError
from replay.queries.queries import UnknownNameError

RUNNING_MAX = 1
"""Jobs that run at once: each may be a replay, which uses all cores and, at full scale, gigabytes of memory."""
WAITING_MAX = 8
"""Jobs that may wait to run."""
ENDED_MAX = 32
"""Ended jobs that are retained, so that their results can be fetched."""

logger = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "stopped"]
ENDED: frozenset[State] = frozenset({"done", "failed", "stopped"})
Work: TypeAlias = Callable[[Progress], BaseModel | dict[str, Any]]
"""The work of a job: reports its progress, lets `StoppedError` propagate, and returns the job's result."""


class JobProgress(BaseModel):
    """The progress of a job. `in_all`: the total, 0 while it is unknown; `rate`: per second, in this stage."""

    stage: str
    done: int
    in_all: int
    rate: float | None
    remaining_seconds: float | None


class JobStatus(BaseModel):
    """A job: its kind, who started it, its progress, and after its end the result or the problem."""

    id: UUID
    kind: str
    by: str
    state: State
    started_at: datetime
    ended_at: datetime | None
    progress: JobProgress
    result: Any = None
    problem: ProblemDetails | None = None


class UnknownJobError(LookupError):
    """No job has this id; it may have ended long ago and been discarded."""


class TooManyJobsError(Exception):
    """The maximum number of jobs is waiting, or the service is stopping."""


class Job:
    """A job. Its own thread updates it; any thread may read it."""

    def __init__(self, kind: str, by: str) -> None:
        self.id = uuid4()
        self.kind = kind
        self.by = by
        self.state: State = "waiting"
        self.started_at = datetime.now(UTC)
        self.ended_at: datetime | None = None
        self._result: Any = None
        self._fault: Fault | None = None
        self._meter = Meter(time.monotonic)
        self._stop = threading.Event()
        self.future: Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the job has ended, so that nothing changes any more."""
        return self.state in ENDED

    def status(self, *, with_result: bool = True) -> JobStatus:
        """Return the job's status; results can be long, so lists omit them."""
        state = self.state  # read first, because `_end` writes it last
        pace: Pace = self._meter.pace
        return JobStatus(
            id=self.id,
            kind=self.kind,
            by=self.by,
            state=state,
            started_at=self.started_at,
            ended_at=self.ended_at,
            progress=JobProgress(**pace._asdict()),
            result=self._result if with_result else None,
            problem=details_of(self._fault) if self._fault else None,
        )

    def stop(self) -> None:
        """Request the job to stop: a waiting job ends at once, a running one at its next report of progress."""
        self._stop.set()
        if self.future is not None and self.future.cancel():
            self._end("stopped", fault("stopped"))

    def run(self, work: Work) -> None:
        """Do the work, and store its result or problem."""
        self.state = "running"
        try:
            answer = work(self._progress)
            self._result = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
            self._end("done")
        except StoppedError:
            self._end("stopped", fault("stopped"))
        except Exception as error:
            cause = fault_of_error(error)
            if cause.rejection == "failed":
                logger.exception("the job %s %s failed", self.kind, self.id)
            self._end("failed", cause)

    def _progress(self, stage: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise StoppedError
        self._meter(stage, done, total)

    def _end(self, state: State, cause: Fault | None = None) -> None:
        self._fault = cause
        self.ended_at = datetime.now(UTC)
        self.state = state


class Jobs:
    """The jobs of one service."""

    def __init__(
        self, *, running_max: int = RUNNING_MAX, waiting_max: int = WAITING_MAX, ended_max: int = ENDED_MAX
    ) -> None:
        self._open_max = running_max + waiting_max
        self._ended_max = ended_max
        self._lock = threading.Lock()
        self._jobs: dict[UUID, Job] = {}
        self._closing = False
        self._threads = ThreadPoolExecutor(running_max, thread_name_prefix="job")

    def start(self, kind: str, work: Work, by: str = "person:keeper") -> Job:
        """Start a job, or queue it behind others.

        Raises:
            TooManyJobsError: the maximum number of jobs is waiting, or the service is stopping.
        """
        with self._lock:
            if self._closing or sum(not job.ended for job in self._jobs.values()) >= self._open_max:
                raise TooManyJobsError
            self._discard_oldest()
            job = Job(kind, by)
            self._jobs[job.id] = job
            job.future = self._threads.submit(job.run, work)
            return job

    def list(self) -> list[Job]:
        """Return all jobs, the latest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def find(self, job: UUID) -> Job:
        """Return a job by its id.

        Raises:
            UnknownJobError: no job has this id, or it was discarded.
        """
        with self._lock:
            if job not in self._jobs:
                raise UnknownJobError(f"no job has the id {job}, or it was discarded after its end; see /v1/jobs")
            return self._jobs[job]

    def stop_all(self) -> None:
        """Refuse new jobs, and request all others to stop; do not wait for them."""
        with self._lock:
            self._closing = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()

    def close(self) -> None:
        """Stop all jobs and wait until they have stopped."""
        self.stop_all()
        self._threads.shutdown(wait=True)

    def _discard_oldest(self) -> None:
        ended = [job for job in self._jobs.values() if job.ended]
        for job in ended[: max(len(ended) - self._ended_max + 1, 0)]:
            del self._jobs[job.id]


_NAMES: dict[type[Exception], str] = {
    RulesError: "invalid",
    NoGenerationError: "no-read-models",
    NoRulesError: "no-read-models",
    VerificationError: "not-verified",
    ArchiveDisagreesError: "archive-disagrees",
    OvertakenError: "overtaken",
    UnknownGenerationError: "unknown-generation",
    NotPublishedError: "not-switchable",
    NotSwitchableError: "not-switchable",
}
"""Errors whose message is meant for the caller, and the name of each problem."""


def fault_of_error(error: Exception) -> Fault:
    """Return an error that ended a job as a fault: `failed` for an error that the caller cannot correct."""
    if isinstance(error, Problem):
        return error.fault
    if isinstance(error, AxisError):
        return fault("invalid", str(error), field=error.axis)
    if isinstance(error, UnknownNameError):
        return fault(f"unknown-{error.kind}", str(error), field=error.kind)
    if isinstance(error, psycopg.OperationalError):
        return fault_of_database(error)
    named = next((name for kind, name in _NAMES.items() if isinstance(error, kind)), None)
    return fault(named, str(error)) if named else fault("failed")
