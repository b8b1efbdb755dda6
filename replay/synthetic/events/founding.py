"""Events of rules, organisations, stations, projects and members, which precede all service."""

from __future__ import annotations

import numpy as np

from ledger.aggregates import Event
from ledger.aggregates.organisation import OrganisationFounded
from ledger.aggregates.project import ProjectLaunched
from ledger.aggregates.rules import RulesPublished
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import (
    OrganisationJoined,
    OrganisationLeft,
    TrainingCompleted,
    TrainingTier,
    VolunteerRegistered,
)
from projections.rules.timeline import rules_digest
from replay.synthetic.events.sources import Make, Models
from replay.synthetic.planning.days import DAY, date_of, midnight
from replay.synthetic.planning.places import DISTRICT, federation, group_member, organisations
from replay.synthetic.planning.plan import Plan
from replay.synthetic.planning.randomness import Array, generator

BOARD = "person:board"
REGISTRATION = "system:registration"
HOUR = 3_600
RULES_AT = midnight(-6) + 9 * HOUR
ORGANISATIONS_AT = midnight(-5) + 9 * HOUR
TIERS: tuple[TrainingTier, ...] = ("basic", "professional", "leader")
TRAINING_CONTENTS = ("orientation", "first-aid", "team-leading")  # [config]
TRAINING_MINUTES = (120, 480, 960)  # [config]


def founding_sources(plan: Plan, rules_text: str, volunteer_stream: int, other_stream: int) -> list[Models]:
    """Return the sources of the founding events.

    Streams of volunteers are numbered from `volunteer_stream`, all others from `other_stream`.
    """
    sources = []
    for recorded_at, make in (_rules(rules_text), _organisations(), _stations(plan), _projects(plan)):
        sources.append(Models(recorded_at, other_stream + np.arange(len(recorded_at)), make))
        other_stream += len(recorded_at)
    for volunteer, recorded_at, make in (_registered(plan), _joined(plan), _left(plan), _trained(plan)):
        sources.append(Models(recorded_at, volunteer_stream + volunteer, make))
    return sources


def _rules(text: str) -> tuple[Array, Make]:
    digest = rules_digest(text)

    def make(_: int, at: int, command: str) -> Event:
        return RulesPublished(
            occurred_at=at, recorded_at=at, by=BOARD, command=command, version=1, digest=digest, text=text
        )

    return np.array([RULES_AT]), make


def _organisations() -> tuple[Array, Make]:
    founded = organisations()

    def make(number: int, at: int, command: str) -> Event:
        one = founded[number]
        return OrganisationFounded(
            occurred_at=at,
            recorded_at=at,
            by=BOARD,
            command=command,
            organisation=one.id,
            kind=one.kind,
            parent=one.parent,
            name=one.name,
        )

    return ORGANISATIONS_AT + np.arange(len(founded)), make


def _stations(plan: Plan) -> tuple[Array, Make]:
    stations = plan.places.stations

    def make(number: int, at: int, command: str) -> Event:
        station = stations[number]
        return StationOpened(
            occurred_at=at,
            recorded_at=at,
            by=BOARD,
            command=command,
            station=station.id,
            kind=station.kind,
            theme=station.theme,
            organisation=station.organisation,
            name=station.name,
        )

    opened = np.array([midnight(station.opens - 1) + 10 * HOUR for station in stations])
    return opened + np.arange(len(stations)), make


def _projects(plan: Plan) -> tuple[Array, Make]:
    """Launch each project with a person in charge who registered before 2011."""
    projects, numbers = plan.places.projects, plan.members.number_texts()
    old = np.flatnonzero(plan.members.registered < 0)
    in_charge = generator(plan.seed, "in charge").choice(old, len(projects)).tolist() if len(old) else []

    def make(number: int, at: int, command: str) -> Event:
        project = projects[number]
        return ProjectLaunched(
            occurred_at=at,
            recorded_at=at,
            by=BOARD,
            command=command,
            project=project.id,
            content=project.content,
            in_charge=numbers[in_charge[number]] if in_charge else None,
            organisation=project.organisation,
            name=project.name,
        )

    launched = np.array([midnight(project.launched - 1) + 14 * HOUR for project in projects])
    return launched + np.arange(len(projects)), make


def _registered(plan: Plan) -> tuple[Array, Array, Make]:
    members, homes, numbers = plan.members, plan.people.home, plan.members.number_texts()

    def make(volunteer: int, at: int, command: str) -> Event:
        day = int(members.registered[volunteer])
        return VolunteerRegistered(
            occurred_at=at if day >= 0 else midnight(day) + 12 * HOUR,
            recorded_at=at,
            by=REGISTRATION,
            command=command,
            imported=day < 0,
            volunteer=numbers[volunteer],
            registered_on=date_of(day),
            organisation=federation(int(homes[volunteer])),
        )

    return np.arange(plan.people.count), members.recorded_at, make


def _joined(plan: Plan) -> tuple[Array, Array, Make]:
    """Members join their group when they register; old memberships are imported half a day after the registration."""
    members, group, numbers = plan.members, plan.people.group, plan.members.number_texts()
    joined = np.flatnonzero(group >= 0)
    recorded_at = members.recorded_at[joined] + np.where(members.registered[joined] < 0, DAY // 2, 60)

    def make(number: int, at: int, command: str) -> Event:
        volunteer = int(joined[number])
        day = int(members.registered[volunteer])
        return OrganisationJoined(
            occurred_at=at if day >= 0 else midnight(day) + 12 * HOUR,
            recorded_at=at,
            by=REGISTRATION,
            command=command,
            imported=day < 0,
            volunteer=numbers[volunteer],
            organisation=group_member(int(group[volunteer])),
            joined_on=date_of(day),
        )

    return joined, recorded_at, make


def _left(plan: Plan) -> tuple[Array, Array, Make]:
    members, group, numbers = plan.members, plan.people.group, plan.members.number_texts()

    def make(number: int, at: int, command: str) -> Event:
        volunteer = int(members.left[number])
        return OrganisationLeft(
            occurred_at=at,
            recorded_at=at,
            by=REGISTRATION,
            command=command,
            volunteer=numbers[volunteer],
            organisation=group_member(int(group[volunteer])),
            left_on=date_of(int(members.left_day[number])),
        )

    return members.left, midnight(0) + members.left_day * DAY + 17 * HOUR, make


def _trained(plan: Plan) -> tuple[Array, Array, Make]:
    members, numbers = plan.members, plan.members.number_texts()

    def make(number: int, at: int, command: str) -> Event:
        tier, day = int(members.tier[number]), int(members.trained_day[number])
        return TrainingCompleted(
            occurred_at=at if day >= 0 else midnight(day) + 12 * HOUR,
            recorded_at=at,
            by="system:training",
            command=command,
            imported=day < 0,
            volunteer=numbers[members.trained[number]],
            tier=TIERS[tier],
            content=TRAINING_CONTENTS[tier],
            learning_minutes=TRAINING_MINUTES[tier],
            provider=DISTRICT,
            completed_on=date_of(day),
        )

    return members.trained, members.trained_at, make
