"""Routes about projects: the list, the activity of one, and its ranks in the rankings of a year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Request

from api.http.requests.dependencies import ServiceDep, run_read
from api.http.requests.links import linked
from api.http.requests.paging import PAGE_MAX, PageAfter, PageLimit, page_of
from api.http.requests.readings import AxesDep
from api.http.routes.reads.rankings import Around, RankedAddresses, Year, of_year
from api.operations.service import OpenLedger
from ledger.aggregates.project import Project as ProjectState
from ledger.names import NAME_PATTERN, Position, stream
from ledger.store.mapper import decode
from replay.axes import answers
from replay.rankings import projects, rankings
from replay.rankings.answers import Places, ProjectActivity

router = APIRouter(prefix="/v1/projects", tags=["readers"])

ProjectDep = Annotated[
    str, Path(description="The project's id.", pattern=NAME_PATTERN, examples=["star-school"], max_length=32)
]


class Project(answers.Answer):
    """A project as it was last launched, and whether it has ended. `name`: null if it has none.

    `version`: of its record.
    """

    project: str
    name: answers.ProjectName = None
    content: str
    organisation: str | None
    organisation_name: answers.OrganisationName = answers.omit_none()
    in_charge: str | None
    ended: bool
    version: int


class Projects(answers.Basis):
    """Projects with any activity, by id; `next_after` continues the list."""

    projects: list[Project]
    next_after: str | None


@router.get("", summary="The projects")
async def all_projects(
    request: Request, service: ServiceDep, reading: AxesDep, limit: PageLimit = PAGE_MAX, after: PageAfter = None
) -> Projects:
    """Projects with any activity, as known at `known_at`; the other axes have no effect here."""

    def read() -> Projects:
        names, next_after = page_of(projects.projects(service.ledger.queries), limit, after)
        found = projects_known(service.ledger, names, reading.known_at)
        return Projects(**dict(reading.basis()), projects=found, next_after=next_after)

    return await run_read(request, read)


def projects_known(ledger: OpenLedger, names: Sequence[str], known_at: Position) -> list[Project]:
    """Return those of the projects that were known at a position."""
    streams = {stream("project", name): name for name in names}
    found = []
    for stream_id, events in ledger.log.read_streams(list(streams), until=known_at).items():
        state = ProjectState.of(decode(event.topic, event.state) for event in events)
        if (last := state.launched) is not None:
            found.append(
                Project(
                    project=streams[stream_id],
                    content=last.content,
                    organisation=last.organisation,
                    in_charge=last.in_charge,
                    ended=not state.is_running,
                    version=state.version,
                )
            )
    return sorted(found, key=lambda project: project.project)


@router.get("/{project}/activity", summary="A project, by year and month")
async def project_activity(
    request: Request, project: ProjectDep, service: ServiceDep, reading: AxesDep, year: Year = None
) -> ProjectActivity:
    """Shifts, volunteers, minutes and people served, of one year or, without `year`, of all years."""
    queries, log, axes = service.ledger.queries, service.ledger.log, reading.axes
    found = await of_year(request, reading, year, lambda: projects.project_activity(queries, log, project, year, axes))
    addresses = RankedAddresses(axes)
    years = [linked(row, months=addresses.project(project, row.year)) for row in found.years]
    return found.model_copy(update={"years": years})


@router.get("/{project}/ranks", summary="A project's ranks in the rankings of a year")
async def project_ranks(
    request: Request,
    project: ProjectDep,
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    around: Around = 1,
) -> Places:
    """The rank, the projects next to it, and its figures; or what is missing to be ranked."""
    queries, log, axes = service.ledger.queries, service.ledger.log, reading.axes
    found = await of_year(
        request,
        reading,
        year,
        lambda: rankings.places(queries, log, "projects", project, year, axes, around=around),
    )
    return RankedAddresses(axes).places(found)
