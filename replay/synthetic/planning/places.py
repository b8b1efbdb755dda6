"""Organisations, stations and projects of the synthetic history.

The figures are those of docs/glossary.md; ids are invented, ASCII, and name no person. [config] marks values that no
source gives. Organisations and projects are the same at every scale. There are 105 stations from scale 0.1 up; at
smaller scales there are only as many as the shifts of a quiet day can fill, so that no station has an empty day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from ledger.aggregates.organisation import OrganisationKind
from ledger.aggregates.station import StationKind
from replay.synthetic.planning import place_names
from replay.synthetic.planning.days import day_index

FEDERATIONS = 13
NGOS = 13
GROUP_MEMBERS = 400
SCHOOLS = 60  # [config] of the group members
CITY_STATIONS = 11
COMMUNITY_STATIONS = 83
THEMES = (
    "health",
    "border-inspection",
    "legal",
    "mental-health",
    "food-safety",
    "culture-and-sports",
    "water",
    "environment",  # [config] the last four
    "fire-safety",
    "elderly-care",
    "libraries",
)
"""The themes of the special stations; the source names seven of them."""

DISTRICT = "luohu"
BORDER_OPENING = day_index(date(2017, 4, 1))
SCHOOL_MENTAL_HEALTH_LAUNCH = day_index(date(2017, 5, 1))

HOLIDAY_TRANSPORT = "holiday-transport"
BOTANICAL_GARDEN = "botanical-garden-order"
CROSS_BORDER_PUPILS = "cross-border-pupils"
SCHOOL_MENTAL_HEALTH = "school-mental-health"
MEDICAL_TEAM = "medical-team"

BRAND_PROJECTS = (
    "star-classroom",
    "porcelain-dolls",
    "home-warmth",
    HOLIDAY_TRANSPORT,
    BOTANICAL_GARDEN,
    CROSS_BORDER_PUPILS,
    SCHOOL_MENTAL_HEALTH,
    MEDICAL_TEAM,
    "blood-donation",  # [config] from here on
    "beach-cleaning",
    "reading-aloud",
    "home-repairs",
    "traffic-courtesy",
    "waste-sorting",
    "food-bank",
    "sign-language",
    "legal-advice",
    "computer-lessons",
    "hospital-guides",
    "museum-guides",
    "tree-planting",
    "winter-coats",
    "evening-patrol",
    "river-watch",
)
SERVICES_APART = (HOLIDAY_TRANSPORT, BOTANICAL_GARDEN, CROSS_BORDER_PUPILS, SCHOOL_MENTAL_HEALTH, MEDICAL_TEAM)
"""Brand projects whose shifts are planned by the day; the shifts of the others are drawn at random."""


class Organisation(NamedTuple):
    id: str
    kind: OrganisationKind
    parent: str | None
    name: str


class Station(NamedTuple):
    id: str
    kind: StationKind
    theme: str | None
    organisation: str
    opens: int  # day index
    name: str


class Project(NamedTuple):
    id: str
    content: str
    organisation: str
    launched: int  # day index
    name: str


def federation(number: int) -> str:
    """Return the id of a local federation; numbers wrap around."""
    return f"fed-{number % FEDERATIONS + 1:02d}"


def group_member(number: int) -> str:
    """Return the id of a group member, numbered from 0; the first `SCHOOLS` are schools."""
    return f"grp-{number + 1:03d}"


def organisations() -> list[Organisation]:
    """Return all organisations, parents first: district, local federations, communities, group members, NGOs."""
    return [
        Organisation(DISTRICT, "district", None, "罗湖区义工联合会"),
        *(
            Organisation(federation(i), "subdistrict", DISTRICT, f"{place_names.subdistrict(i)}街道义工联")
            for i in range(FEDERATIONS)
        ),
        *(
            Organisation(f"com-{i + 1:02d}", "community", federation(i), place_names.community(i))
            for i in range(COMMUNITY_STATIONS)
        ),
        *(
            Organisation(group_member(i), "group-member", federation(i), place_names.group(i, school=i < SCHOOLS))
            for i in range(GROUP_MEMBERS)
        ),
        *(Organisation(f"ngo-{i + 1:02d}", "ngo", DISTRICT, f"公益服务中心{i + 1}") for i in range(NGOS)),
    ]


@dataclass(frozen=True)
class Places:
    """The stations of a scale, and the projects. Shifts hold an index into `stations`; project 0 is none, 1 is
    `projects[0]`.
    """

    stations: tuple[Station, ...]
    projects: tuple[Project, ...]
    never_empty: bool  # city and special stations are open every day

    def station(self, theme: str) -> int | None:
        """Return the index of the special station with a theme, if it exists at this scale."""
        return next((i for i, station in enumerate(self.stations) if station.theme == theme), None)

    def project(self, project_id: str) -> int:
        """Return the index of a project, from 1."""
        return next(i for i, project in enumerate(self.projects, 1) if project.id == project_id)

    @property
    def always_open(self) -> list[int]:
        """The indices of city and special stations."""
        return [i for i, station in enumerate(self.stations) if station.kind != "community"]

    @property
    def hubs(self) -> list[int]:
        """The indices of the transport hubs: the first two city stations."""
        return [i for i, station in enumerate(self.stations) if station.kind == "city"][:2]


def places(scale: float) -> Places:
    """Return the stations and projects of a scale: 11 city, 11 special and 83 community stations from 0.1 up."""
    city = max(1, min(CITY_STATIONS, int(110 * scale + 1e-9)))
    special = max(1, min(len(THEMES), int(110 * scale + 1e-9)))
    community = max(1, min(COMMUNITY_STATIONS, int(830 * scale + 1e-9)))
    stations = (
        *(
            Station(f"C{i + 1:02d}", "city", None, federation(i), 0, f"{place_names.CITY[i]}城市U站")
            for i in range(city)
        ),
        *(_special(i) for i in range(special)),
        *(
            Station(f"U{i + 1:03d}", "community", None, f"com-{i + 1:02d}", 0, f"{place_names.community(i)}U站")
            for i in range(community)
        ),
    )
    projects = (
        *(
            Project(name, "brand-project", DISTRICT, _launch(name), place_names.PROJECTS[name])
            for name in BRAND_PROJECTS
        ),
        *(_group_project(i) for i in range(GROUP_MEMBERS)),
    )
    return Places(stations, projects, never_empty=scale >= 0.01)


def _special(number: int) -> Station:
    theme = THEMES[number]
    opens = BORDER_OPENING if theme == "border-inspection" else 0
    return Station(f"S{number + 1:02d}", "special", theme, DISTRICT, opens, f"{place_names.THEMES[theme]}专项U站")


def _launch(name: str) -> int:
    return {CROSS_BORDER_PUPILS: BORDER_OPENING, SCHOOL_MENTAL_HEALTH: SCHOOL_MENTAL_HEALTH_LAUNCH}.get(name, 0)


def _group_project(number: int) -> Project:
    content = "school-service" if number < SCHOOLS else "group-service"
    name = f"{place_names.group(number, school=number < SCHOOLS)}服务"
    return Project(f"service-{group_member(number)}", content, group_member(number), 0, name)
