"""Jobs over HTTP: which there are, how far each is, its progress as server-sent events, and stopping it.

Whoever may read may look at jobs; who started one, or an admin key, may stop it. The jobs themselves:
api/operations/jobs.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from api.access.roles import Caller, Right, forbids_right
from api.http.requests.dependencies import CallerDep, ServiceDep
from api.messages.problems import problem
from api.operations.jobs import Job, JobStatus, TooManyJobsError, UnknownJobError, Work
from api.operations.service import Service

POLL_SECONDS = 0.1
"""How often an open stream looks for news: a person sees no finer steps."""

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class JobList(BaseModel):
    """The jobs that are known, the latest first, without their results."""

    jobs: list[JobStatus]


def start(service: Service, caller: Caller, kind: str, work: Work) -> JSONResponse:
    """Start a job for a request; return the answer: 202 and where the job is found."""
    try:
        job = service.jobs.start(kind, work, caller.by)
    except TooManyJobsError:
        raise problem("too-many-jobs") from None
    return JSONResponse(job.status().model_dump(mode="json"), 202, headers={"Location": f"/v1/jobs/{job.id}"})


def get_job(service: ServiceDep, _caller: CallerDep, job: Annotated[UUID, Path(description="The job's id.")]) -> Job:
    """Return the job an address names."""
    try:
        return service.jobs.find(job)
    except UnknownJobError as error:
        raise problem("unknown-job", str(error), field="job") from None


JobDep = Annotated[Job, Depends(get_job)]


@router.get("", summary="Long work: what runs, waits, and ended lately")
async def jobs(service: ServiceDep, _caller: CallerDep) -> JobList:
    """The latest first. A service that was restarted knows of none before."""
    return JobList(jobs=[job.status(with_result=False) for job in service.jobs.list()])


@router.get("/{job}", summary="How far a job is, and what came of it")
async def job(found: JobDep) -> JobStatus:
    """With its result, or the problem it met, once it has ended."""
    return found.status()


@router.get("/{job}/events", summary="A job's progress as server-sent events", response_class=EventSourceResponse)
async def events(found: JobDep) -> AsyncIterator[ServerSentEvent]:
    """`progress` whenever there is news; at the end one `result`, or one `problem` (also of a job that was stopped)."""
    told = None
    while True:
        ended = found.ended  # asked before the status is read: its last word is never missed
        status = found.status()
        if status.progress != told:
            told = status.progress
            yield ServerSentEvent(event="progress", data=told)
        if ended:
            break
        await asyncio.sleep(POLL_SECONDS)
    if status.problem:
        yield ServerSentEvent(event="problem", data=status.problem)
    else:
        yield ServerSentEvent(event="result", data=status.result)


@router.delete("/{job}", summary="Stop a job", responses={202: {"description": "It stops at its next step."}})
async def stop(found: JobDep, caller: CallerDep, response: Response) -> JobStatus:
    """It leaves nothing half done. To stop one that has ended changes nothing."""
    if forbids_right(caller, Right.STOP_ANY_JOB) and caller.by != found.by:
        raise problem("forbidden", f"{found.by} started this job; an admin key may stop it, too", field="job")
    found.stop()
    response.status_code = 200 if found.ended else 202
    return found.status()
