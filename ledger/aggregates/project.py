"""Projects: launched, renamed and ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from ledger.aggregates.organisation import has_ended
from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import OrganisationId, PlaceName, ProjectId, ReasonCode, VolunteerNumber, stream
from ledger.rejections import Rejection, refuse


@dataclass(frozen=True, slots=True)
class Project(Aggregate):
    """A project's last launch, its name, and whether it is running."""

    launched: ProjectLaunched | None = None
    is_running: bool = False
    name: str | None = None

    def after(self, event: Event) -> Project:
        project = replace(self, version=self.version + 1)
        match event:
            case ProjectLaunched():
                return replace(project, launched=event, is_running=True, name=event.name or self.name)
            case ProjectRenamed():
                return replace(project, name=event.name)
            case ProjectEnded():
                return replace(project, is_running=False)
            case _:
                return project


class ProjectEvent(Event):
    AGGREGATE = Project
    STREAM_FIELD = "project"
    project: ProjectId

    @property
    def stream_id(self) -> UUID:
        return stream("project", self.project)


class ProjectLaunched(ProjectEvent):
    TOPIC = "project-launched.v1"
    content: ReasonCode
    in_charge: VolunteerNumber | None = None
    organisation: OrganisationId | None = None
    name: PlaceName | None = None


class ProjectRenamed(ProjectEvent):
    TOPIC = "project-renamed.v1"
    EVENTS_MAX = 900
    name: PlaceName


class ProjectEnded(ProjectEvent):
    TOPIC = "project-ended.v1"
    reason: ReasonCode


class LaunchProject(Act):
    """Launch a project, or launch an ended one again with new details. Without a new name it keeps the one it had."""

    TYPE = "launch-project"
    project: ProjectId
    content: ReasonCode
    in_charge: VolunteerNumber | None = None
    organisation: OrganisationId | None = None
    name: PlaceName | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, in_charge="volunteer", organisation="organisation") or case.future(
            self, "occurred_at"
        ):
            return refused
        if self.organisation is not None and has_ended(case, self.organisation, case.day_of(self.occurred_at)):
            return refuse(Rejection.ORGANISATION_ENDED, "organisation", self.organisation)
        if case.stream(Project, "project", self.project).is_running:
            return refuse(Rejection.ALREADY_LAUNCHED, "project", self.project)
        return [case.event(ProjectLaunched, self)]


class RenameProject(Act):
    """Give a project a name, or another one."""

    TYPE = "rename-project"
    project: ProjectId
    name: PlaceName

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, project="project") or case.future(self, "occurred_at"):
            return refused
        if case.stream(Project, "project", self.project).name == self.name:
            return refuse(Rejection.ALREADY_NAMED, "name", self.name)
        return [case.event(ProjectRenamed, self)]


class EndProject(Act):
    """End a project."""

    TYPE = "end-project"
    project: ProjectId
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, project="project") or case.future(self, "occurred_at"):
            return refused
        if not case.stream(Project, "project", self.project).is_running:
            return refuse(Rejection.ALREADY_ENDED, "project", self.project)
        return [case.event(ProjectEnded, self)]
