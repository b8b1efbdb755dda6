"""Jobs over HTTP: the list of jobs, the state of one, its progress as server-sent events, and stopping it.

Any role that may read may see jobs, and those that may try out rules may see what a what-if finds. The caller who
started a job, or an admin key, may stop it. The jobs themselves are in api/operations/jobs.py.
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

from api.access.refusals import require
from api.access.roles import Caller, Right, forbids_right
from api.http.requests.dependencies import CallerDep, ServiceDep, handed_over
from api.http.requests.json_routes import JsonRoute
from api.http.requests.lanes import share_of
from api.messages.problems import problem
from api.operations.jobs import Job, JobStatus, Task, TooManyJobsError, UnknownJobError
from api.operations.service import Service

WHAT_IF = "what-if"
"""The kind of jobs that compare rules, published or not."""
POLL_SECONDS = 0.1
"""The interval at which an open stream checks for changes: people do not notice a shorter one."""

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(handed_over)], route_class=JsonRoute)


class JobList(BaseModel):
    """All jobs, the latest first, without their results."""

    jobs: list[JobStatus]


def start(service: Service, caller: Caller, task: Task) -> JSONResponse:
    """Start a job for a request; return the answer: 202 with the job's status and its address in `Location`."""
    try:
        job = service.jobs.start(task, caller.by, share_of(caller))
    except TooManyJobsError as error:
        raise problem("too-many-jobs", str(error)) from None
    return JSONResponse(job.status().model_dump(mode="json"), 202, headers={"Location": f"/v1/jobs/{job.id}"})


def get_job(service: ServiceDep, caller: CallerDep, job: Annotated[UUID, Path(description="The job's id.")]) -> Job:
    """Return the job that the path names, if the caller may see what it finds."""
    try:
        found = service.jobs.find(job)
    except UnknownJobError as error:
        raise problem("unknown-job", str(error), field="job") from None
    if found.kind == WHAT_IF:
        require(caller, Right.TRY_RULES)
    return found


JobDep = Annotated[Job, Depends(get_job)]


@router.get("", summary="The jobs that run, wait, or ended recently")
async def jobs(service: ServiceDep, _caller: CallerDep) -> JobList:
    """The latest first. Jobs are not stored: after a restart of the service the list is empty."""
    return JobList(jobs=[job.status(with_result=False) for job in service.jobs.list()])


@router.get("/{job}", summary="The state of a job")
async def job(found: JobDep) -> JobStatus:
    """Its progress, and after its end its result or its problem."""
    return found.status()


@router.get("/{job}/events", summary="A job's progress as server-sent events", response_class=EventSourceResponse)
async def events(found: JobDep) -> AsyncIterator[ServerSentEvent]:
    """A `progress` event at each change; at the end one `result`, or one `problem` (also if the job was stopped)."""
    sent = None
    while True:
        ended = found.ended  # read before the status, so that the last progress is not missed
        status = found.status()
        if status.progress != sent:
            sent = status.progress
            yield ServerSentEvent(event="progress", data=sent)
        if ended:
            break
        await asyncio.sleep(POLL_SECONDS)
    if status.problem:
        yield ServerSentEvent(event="problem", data=status.problem)
    else:
        yield ServerSentEvent(event="result", data=status.result)


@router.delete("/{job}", summary="Stop a job", responses={202: {"description": "The job is stopping."}})
async def stop(found: JobDep, caller: CallerDep, response: Response) -> JobStatus:
    """A stopped job leaves nothing half done. Stopping a job that has ended changes nothing."""
    if forbids_right(caller, Right.STOP_ANY_JOB) and caller.by != found.by:
        detail = f"{found.by} started this job; only {found.by} or an admin key may stop it"
        raise problem("forbidden", detail, field="job")
    found.stop()
    response.status_code = 200 if found.ended else 202
    return found.status()
