"""Jobs: long work that was started over HTTP, how far it is, and what came of it.

Work runs in a thread of its own, one piece at a time: a replay at full scale takes gigabytes. A few more may wait;
what is beyond them is refused, so that no caller can pile work up. Ended jobs are kept for a while, the latest only,
in memory: a service that was restarted knows none. To stop a job, or the service, is to let its `Progress` raise
`StoppedError`, so it leaves nothing half done.

The routes stand in api/http/routes/operations/jobs.py; nothing here speaks HTTP.
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
from replay.generations.rebuild import NotPublishedError, OvertakenError, VerificationError
from replay.generations.retention import UnknownGenerationError
from replay.generations.store import NoGenerationError
from replay.generations.switching import NotSwitchableError
from replay.progress import Meter, Pace, Progress, StoppedError
from replay.published import NoRulesError
from replay.queries.queries import UnknownNameError

RUNNING_MAX = 1
"""Jobs at once: each may be a replay, which uses all cores and, at full scale, gigabytes of memory."""
WAITING_MAX = 8
"""Jobs that may wait for their turn."""
KEPT_MAX = 32
"""Ended jobs whose results can still be fetched."""

logger = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "stopped"]
ENDED: frozenset[State] = frozenset({"done", "failed", "stopped"})
Work: TypeAlias = Callable[[Progress], BaseModel | dict[str, Any]]
"""Long work: it tells its progress, passes `StoppedError` on, and returns what is told as the job's result."""


class JobProgress(BaseModel):
    """How far a job is. `in_all` is 0 while nobody knows; `rate` is per second, of this stage."""

    stage: str
    done: int
    in_all: int
    rate: float | None
    remaining_seconds: float | None


class JobStatus(BaseModel):
    """A job: what it is, who asked for it, how far it is, and in the end its result or the problem it met."""

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
    """No job has this id, or it ended so long ago that it was forgotten."""


class TooManyJobsError(Exception):
    """As many jobs wait as may wait; later there is room again."""


class Job:
    """One piece of long work. Its thread writes, any thread reads."""

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
        """Whether nothing will change any more."""
        return self.state in ENDED

    def status(self, *, with_result: bool = True) -> JobStatus:
        """Return what is known of it now; results can be long, so lists leave them out."""
        state = self.state  # read first: it is written last
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
        """Ask it to stop: one that waits ends at once, one that runs at its next word."""
        self._stop.set()
        if self.future is not None and self.future.cancel():
            self._end("stopped", fault("stopped"))

    def run(self, work: Work) -> None:
        """Do the work, and keep what comes of it."""
        self.state = "running"
        try:
            answer = work(self._progress)
            self._result = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
            self._end("done")
        except StoppedError:
            self._end("stopped", fault("stopped"))
        except Exception as error:
            found = fault_of_error(error)
            if found.rejection == "failed":
                logger.exception("the job %s %s failed", self.kind, self.id)
            self._end("failed", found)

    def _progress(self, stage: str, done: int, in_all: int) -> None:
        if self._stop.is_set():
            raise StoppedError
        self._meter(stage, done, in_all)

    def _end(self, state: State, found: Fault | None = None) -> None:
        self._fault = found
        self.ended_at = datetime.now(UTC)
        self.state = state


class Jobs:
    """The jobs of one service."""

    def __init__(
        self, *, running_max: int = RUNNING_MAX, waiting_max: int = WAITING_MAX, kept_max: int = KEPT_MAX
    ) -> None:
        self._open_max = running_max + waiting_max
        self._kept_max = kept_max
        self._lock = threading.Lock()
        self._jobs: dict[UUID, Job] = {}
        self._closing = False
        self._threads = ThreadPoolExecutor(running_max, thread_name_prefix="job")

    def start(self, kind: str, work: Work, by: str = "person:keeper") -> Job:
        """Let work begin as soon as its turn comes.

        Raises:
            TooManyJobsError: as many wait as may wait, or the service is stopping.
        """
        with self._lock:
            if self._closing or sum(not job.ended for job in self._jobs.values()) >= self._open_max:
                raise TooManyJobsError
            self._forget()
            job = Job(kind, by)
            self._jobs[job.id] = job
            job.future = self._threads.submit(job.run, work)
            return job

    def list(self) -> list[Job]:
        """Return the jobs that are known, the latest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def find(self, job: UUID) -> Job:
        """Return a job by its id.

        Raises:
            UnknownJobError
        """
        with self._lock:
            if job not in self._jobs:
                raise UnknownJobError(f"no job has the id {job}: it never had, or it was forgotten; see /v1/jobs")
            return self._jobs[job]

    def stop_all(self) -> None:
        """Take no more work, and ask what runs to stop; wait for nothing."""
        with self._lock:
            self._closing = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()

    def close(self) -> None:
        """Stop everything and wait until it has stopped."""
        self.stop_all()
        self._threads.shutdown(wait=True)

    def _forget(self) -> None:
        ended = [job for job in self._jobs.values() if job.ended]
        for job in ended[: max(len(ended) - self._kept_max + 1, 0)]:
            del self._jobs[job.id]


_NAMES: dict[type[Exception], str] = {
    RulesError: "invalid",
    NoGenerationError: "no-read-models",
    NoRulesError: "no-read-models",
    VerificationError: "not-verified",
    OvertakenError: "overtaken",
    UnknownGenerationError: "unknown-generation",
    NotPublishedError: "not-switchable",
    NotSwitchableError: "not-switchable",
}
"""Errors whose sentence is meant for the caller, and the problem each is."""


def fault_of_error(error: Exception) -> Fault:
    """Return what is told of an error that ended a job; what the caller cannot mend is told as `failed`."""
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
