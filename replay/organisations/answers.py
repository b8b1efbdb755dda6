"""Answers about organisations: the tree, what is done in each one, and what its members do.

Shifts, minutes and people served of an organisation and of what stands below it sum to its rolled-up rows. Volunteers
do not: whoever served in two of them counts once in what is above both.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from replay.axes.answers import Basis, Linked

By = Literal["year", "month"]
Of = Literal["places", "projects"]
"""`places`: each shift in its station's organisation, or if the station has none, in its project's. `projects`: each
shift in the organisation that leads its project, wherever it was.
"""


class Organisation(Linked):
    """An organisation as it stands on a day: under what, with what below it. `ended_on`: since when it has ended."""

    organisation: str
    kind: str
    parent: str | None
    children: list[str]
    ended_on: date | None


class Organisations(Basis):
    """All organisations on a day, by id; those without a parent are the top of the tree."""

    day: date
    organisations: list[Organisation]


class OrganisationChange(Linked):
    """What happened to an organisation. `day`: since when; null for what holds from the beginning of time."""

    what: Literal["founded", "moved", "ended"]
    day: date | None
    parent: str | None
    reason: str | None
    by: str
    position: int


class Led(Linked):
    """A station or a project that is the organisation's on the day."""

    name: str
    open: bool


class OrganisationAnswer(Basis):
    """An organisation on a day, with all that belongs to it, and its history. `path` leads from the top down to it.

    `members` counts who is a member of it on the day, `members_with_below` each person once.
    """

    day: date
    organisation: Organisation
    path: list[str]
    stations: list[Led]
    projects: list[Led]
    members: int
    members_with_below: int
    history: list[OrganisationChange]


class ServiceRow(Linked):
    """What was done in a year, or in a month of it. Volunteers are those of whom a shift began in it."""

    year: int
    month: int | None
    shifts: int
    volunteers: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    scanned_minutes: int
    attested_minutes: int


class ActivityRow(ServiceRow):
    """The same, with the people served (服务人次): people helped, never volunteers."""

    people_served: int


class ActivityPart(Linked):
    """An organisation's part, with all below it, of what the one above it has."""

    organisation: str
    rows: list[ActivityRow]


class OrganisationActivity(Basis):
    """What was done in an organisation: `rows` with all below it, of which `own` is its own and `parts` the rest."""

    organisation: str
    by: By
    of: Of
    rows: list[ActivityRow]
    own: list[ActivityRow]
    parts: list[ActivityPart]


class DistrictActivity(Basis):
    """What was done at all: the `parts` of the organisations at the top, and what belongs to none."""

    by: By
    of: Of
    rows: list[ActivityRow]
    no_organisation: list[ActivityRow]
    parts: list[ActivityPart]


class MembersPart(Linked):
    """What the members of an organisation did, and of all below it."""

    organisation: str
    rows: list[ServiceRow]


class Member(Linked):
    """A membership of the organisation, or of one below it, and what the member did on its days."""

    volunteer: str
    organisation: str
    since: date
    until: date | None
    shifts: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    scanned_minutes: int
    attested_minutes: int


class OrganisationMembers(Basis):
    """What members did on the days of their membership, wherever they served. `rows` count each person's service once,
    of the organisation and all below it; who is a member of several stands in the `parts` of each.

    `members`: those of the period, by volunteer number; `next_after` continues the list.
    """

    organisation: str
    by: By
    rows: list[ServiceRow]
    own: list[ServiceRow]
    parts: list[MembersPart]
    members: list[Member]
    next_after: str | None
