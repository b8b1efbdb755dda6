"""Jobs: long-running work started over HTTP, its progress, and its result.

One job runs at a time, in its own thread: a replay at full scale takes gigabytes. A few more may wait, and of each key
only some of them; further ones are refused, so that callers cannot pile up work. Jobs that run first, which are changes
of generations, have room of their own and precede the others. The others run in turn of their keys. The latest ended
jobs are retained, in memory only: a restarted service has none. To stop a job, or the service, its `Progress` raises
`StoppedError`, so the job leaves nothing half done.

The routes are in api/http/routes/operations/jobs.py; this module does not depend on HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from threading import Thread
from typing import Any, Literal, NamedTuple, TypeAlias
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
from replay.progress import Meter, OutOfTimeError, Pace, Progress, Stop, StoppedError, stopped_by
from replay.published import NoRulesError
from replay.queries.queries import UnknownNameError

RUNNING_MAX = 1
"""Jobs that run at once: each may be a replay, which uses all cores and, at full scale, gigabytes of memory."""
WAITING_MAX = 8
"""Jobs that may wait to run; as many that run first may wait besides."""
OPEN_PER_KEY_MAX = 3
"""Jobs of one key that run or wait."""
CLOSE_SECONDS_MAX = 5.0
"""How long the end of the service waits for running jobs. A job changes nothing before its commit, so one that does not
stop in time is abandoned."""
OVERRUN_SECONDS = 5.0
"""How long a computation may go on after its time was over before `on_overrun` is called."""
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
    """The maximum number of jobs is waiting, of all keys or of this one, or the service is stopping."""


class Task(NamedTuple):
    """What a job is to do. `first`: before jobs that are not; `seconds_max`: how long it may run."""

    kind: str
    work: Work
    first: bool = False
    seconds_max: float | None = None


class Job:
    """A job. Its own thread updates it; any thread may read it."""

    def __init__(self, task: Task, by: str, share: Hashable, on_overrun: Callable[[], None]) -> None:
        self._on_overrun = on_overrun
        self.id = uuid4()
        self.kind = task.kind
        self.by = by
        self.share = share
        self.first = task.first
        self.taken = False
        """Whether a thread has taken the job from the queue."""
        self._task = task
        self._lock = threading.Lock()
        self.state: State = "waiting"
        self.started_at = datetime.now(UTC)
        self.ended_at: datetime | None = None
        self._result: Any = None
        self._fault: Fault | None = None
        self._meter = Meter(time.monotonic)
        self._stop = Stop()

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
        self._stop.request()
        with self._lock:
            if self.state == "waiting":
                self._end("stopped", fault("stopped"))

    def run(self) -> None:
        """Do the work, unless the job was stopped while it waited, and store its result or problem."""
        with self._lock:
            if self.ended:
                return
            self.state = "running"
        deadlines = self._deadlines()
        try:
            with stopped_by(self._stop):
                answer = self._task.work(self._progress)
            self._result = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
            self._end("done")
        except OutOfTimeError as error:
            self._end("failed", fault("timed-out", str(error)))
        except StoppedError:
            self._end("stopped", fault("stopped"))
        except Exception as error:
            cause = fault_of_error(error)
            if cause.rejection == "failed":
                logger.exception("the job %s %s failed", self.kind, self.id)
            self._end("failed", cause)
        finally:
            for deadline in deadlines:
                deadline.cancel()

    def _deadlines(self) -> list[threading.Timer]:
        """Start the timers that stop the job, and report one that goes on, if its time is limited."""
        seconds = self._task.seconds_max
        if seconds is None:
            return []
        timers = [
            threading.Timer(seconds, self._stop.request, [OutOfTimeError(seconds)]),
            threading.Timer(seconds + OVERRUN_SECONDS, self._on_overrun),
        ]
        for timer in timers:
            timer.daemon = True
            timer.start()
        return timers

    def _progress(self, stage: str, done: int, total: int) -> None:
        self._stop.check()
        self._meter(stage, done, total)

    def _end(self, state: State, cause: Fault | None = None) -> None:
        self._fault = cause
        self.ended_at = datetime.now(UTC)
        self.state = state


class Jobs:
    """The jobs of one service."""

    def __init__(
        self,
        *,
        running_max: int = RUNNING_MAX,
        waiting_max: int = WAITING_MAX,
        ended_max: int = ENDED_MAX,
        open_per_key_max: int = OPEN_PER_KEY_MAX,
        on_overrun: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_overrun = on_overrun
        self._open_max = running_max + waiting_max
        self._ended_max = ended_max
        self._open_per_key_max = open_per_key_max
        self._changed = threading.Condition()
        self._jobs: dict[UUID, Job] = {}
        self._begun = 0
        self._last_begun: dict[Hashable, int] = {}
        """When a share last began a job, counted in jobs."""
        self._closing = False
        # Daemons, because a process that ends must not wait for a job that does not stop.
        self._threads = [Thread(target=self._run, name="job", daemon=True) for _ in range(running_max)]
        for thread in self._threads:
            thread.start()

    def start(self, task: Task, by: str = "person:keeper", share: Hashable = None) -> Job:
        """Start a job, or queue it behind others.

        Args:
            task: what it is to do.
            by: the actor who starts it.
            share: whose share of the jobs it takes; by default the actor's.

        Raises:
            TooManyJobsError: the maximum number of jobs is waiting, or the service is stopping.
        """
        share = by if share is None else share
        with self._changed:
            unended = [job for job in self._jobs.values() if not job.ended and job.first == task.first]
            if self._closing or len(unended) >= self._open_max:
                raise TooManyJobsError("too many jobs are waiting; start it later")
            if sum(job.share == share for job in unended) >= self._open_per_key_max:
                sentence = f"{self._open_per_key_max} jobs of this key run or wait; start it when one has ended"
                raise TooManyJobsError(sentence)
            self._discard_oldest()
            job = Job(task, by, share, self._on_overrun)
            self._jobs[job.id] = job
            self._changed.notify()
            return job

    def _run(self) -> None:
        """Run jobs until the service ends."""
        while (job := self._next()) is not None:
            job.run()

    def _next(self) -> Job | None:
        """Wait for the job that is to run next; return None when the service ends."""
        with self._changed:
            while True:
                waiting = [job for job in self._jobs.values() if job.state == "waiting" and not job.taken]
                if waiting:
                    job = min(waiting, key=lambda job: (not job.first, self._last_begun.get(job.share, 0)))
                    job.taken = True
                    self._begun += 1
                    self._last_begun[job.share] = self._begun
                    return job
                if self._closing:
                    return None
                self._changed.wait()

    def list(self) -> list[Job]:
        """Return all jobs, the latest first."""
        with self._changed:
            return list(reversed(self._jobs.values()))

    def find(self, job: UUID) -> Job:
        """Return a job by its id.

        Raises:
            UnknownJobError: no job has this id, or it was discarded.
        """
        with self._changed:
            if job not in self._jobs:
                raise UnknownJobError(f"no job has the id {job}, or it was discarded after its end; see /v1/jobs")
            return self._jobs[job]

    def stop_all(self) -> None:
        """Refuse new jobs, and request all others to stop; do not wait for them."""
        with self._changed:
            self._closing = True
            jobs = list(self._jobs.values())
            self._changed.notify_all()
        for job in jobs:
            job.stop()

    def close(self, seconds_max: float = CLOSE_SECONDS_MAX) -> None:
        """Stop all jobs and wait until they have stopped, for a bounded time."""
        self.stop_all()
        deadline = time.monotonic() + seconds_max
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

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
