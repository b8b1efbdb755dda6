"""Answers about organisations: the tree, the service in each one, and the service of its members.

The rolled-up rows of an organisation are the sums of its own shifts, minutes and people served and of those below it.
Volunteers are not summed:
a volunteer who served in two organisations counts once in the organisation above both.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from replay.axes.answers import Basis, Linked, NameOf, NameOfEntry, OrganisationName, omit_none

By = Literal["year", "month"]
Of = Literal["places", "projects"]
"""`places`: each shift counts in its station's organisation, or in its project's if the station has none. `projects`:
each shift counts in the organisation that leads its project, at any station.
"""


ParentName = Annotated[str | None, NameOf("organisation", "parent")]


class Organisation(Linked):
    """An organisation on a day, with its parent and children. `ended_on`: the day on which it ended, null before.
    `name`: null if it has none. `version`: of its record.
    """

    organisation: str
    name: OrganisationName = None
    kind: str
    parent: str | None
    parent_name: ParentName = omit_none()
    children: list[str]
    children_names: Annotated[dict[str, str] | None, NameOf("organisation", "children")] = omit_none()
    ended_on: date | None
    version: int


class Organisations(Basis):
    """Organisations on a day, by id. Those without a parent are the top of the tree.

    `next_after` continues the list.
    """

    day: date
    organisations: list[Organisation]
    next_after: str | None = None


class OrganisationChange(Linked):
    """A change of an organisation. `day`: the first day on which it holds; null for the first founding, and for names.

    `name`: the name that it got.
    """

    what: Literal["founded", "renamed", "moved", "ended"]
    day: date | None
    parent: str | None
    parent_name: ParentName = omit_none()
    reason: str | None
    name: str | None = omit_none()
    by: str
    position: int


class Led(Linked):
    """A station or project that the organisation leads on the day."""

    name: str
    place_name: NameOfEntry = omit_none()
    open: bool


class OrganisationAnswer(Basis):
    """An organisation on a day, with its stations, projects and members, and its history.

    `path`: the organisations from the top of the tree down to this one. `members`: the number of its members on the
    day. `members_with_below`: the same including all organisations below it, each person counted once.
    """

    day: date
    organisation: Organisation
    path: list[str]
    path_names: Annotated[dict[str, str] | None, NameOf("organisation", "path")] = omit_none()
    stations: list[Led]
    projects: list[Led]
    members: int
    members_with_below: int
    history: list[OrganisationChange]


class ServiceRow(Linked):
    """The service in a year, or in a month of it. `volunteers`: how many had a shift that began in it."""

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
    """A service row with the people served (服务人次): people helped, never volunteers."""

    people_served: int


class ActivityPart(Linked):
    """The part of one organisation, including all below it, in the rows of the organisation above it."""

    organisation: str
    organisation_name: OrganisationName = omit_none()
    rows: list[ActivityRow]


class OrganisationActivity(Basis):
    """The service in an organisation. `rows`: with all below it. `own`: without them. `parts`: each one below it."""

    organisation: str
    organisation_name: OrganisationName = omit_none()
    by: By
    of: Of
    rows: list[ActivityRow]
    own: list[ActivityRow]
    parts: list[ActivityPart]


class DistrictActivity(Basis):
    """The service in the whole district: the organisations at the top in `parts`, and service that belongs to none."""

    by: By
    of: Of
    rows: list[ActivityRow]
    no_organisation: list[ActivityRow]
    parts: list[ActivityPart]


class MembersPart(Linked):
    """The service of the members of an organisation and of all below it."""

    organisation: str
    organisation_name: OrganisationName = omit_none()
    rows: list[ServiceRow]


class Member(Linked):
    """A membership of the organisation, or of one below it, and the member's service during it."""

    volunteer: str
    organisation: str
    organisation_name: OrganisationName = omit_none()
    since: date
    until: date | None
    shifts: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    scanned_minutes: int
    attested_minutes: int


class OrganisationMembers(Basis):
    """The service of members during their membership, at any station. `rows` cover the organisation and all below it
    and count a person's service once, even for a member of several organisations; `parts` count it in each of them.

    `members`: the memberships of the period, by volunteer number. `next_after` continues the list.
    """

    organisation: str
    organisation_name: OrganisationName = omit_none()
    by: By
    rows: list[ServiceRow]
    own: list[ServiceRow]
    parts: list[MembersPart]
    members: list[Member]
    next_after: str | None
