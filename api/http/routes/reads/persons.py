"""Routes to the directory of persons: names, phone numbers and mail addresses, for roles that need them.

Every look-up is recorded, and the records are read at an address of their own. A role without the right gets the same
answer whoever is in the directory.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from api.access.roles import Caller, Right
from api.http.requests.dependencies import PermitDep, ServiceDep, allowed_to, run_read
from api.http.requests.json_routes import JsonRoute
from api.messages.problems import problem
from ledger.names import NAME_PATTERN
from ledger.store.persons import PERSONAL_LENGTH_MAX, LookedUpBy, PersonField, Persons, Search, SearchBy
from ledger.store.persons import Person as Entry
from replay.axes.answers import Linked
from replay.queries.queries import UnknownNameError

router = APIRouter(tags=["persons"], route_class=JsonRoute)

FOUND_MAX = 100
TEXT_LENGTH_MAX = 200
LOOKUPS_MAX = 1000
SeesPersons = Annotated[Caller, Depends(allowed_to(Right.LOOK_UP_PERSONS))]
Text = Annotated[str | None, Query(min_length=1, max_length=TEXT_LENGTH_MAX)]


class Person(Linked):
    """A volunteer's personal data in the directory."""

    volunteer: str
    name: str
    phone: str | None
    email: str | None


class PersonsFound(Linked):
    """The persons that a search found, exact matches first, then by name. `more`: whether others match as well."""

    persons: list[Person]
    more: bool


class LookupShown(Linked):
    """A look-up: who, when, which kind of text was searched for (or `show`, or `set` if data were changed), and the
    volunteers who were shown. The text itself is not recorded.
    """

    lookup: int
    looked_up_at: datetime
    actor: str
    key: int | None
    by: str
    volunteers: list[str]


class Lookups(Linked):
    """Look-ups, the latest first; `next_before` continues the list."""

    lookups: list[LookupShown]
    next_before: int | None


@router.get("/v1/persons", summary="Look up persons by name, phone or number")
async def find_persons(
    request: Request,
    caller: SeesPersons,
    service: ServiceDep,
    _permit: PermitDep,
    text: Annotated[Text, Query(description="The beginning of a name, a phone number or a volunteer number.")] = None,
    name: Annotated[Text, Query(description="The beginning of a name.")] = None,
    phone: Annotated[Text, Query(description="The beginning of a phone number: at least four digits.")] = None,
    number: Annotated[Text, Query(description="The beginning of a volunteer number.")] = None,
    exact: Annotated[bool, Query(description="Only whole names and numbers, no beginnings.")] = False,  # noqa: FBT002
    limit: Annotated[int, Query(ge=1, le=FOUND_MAX, description="The maximum number of persons.")] = 20,
) -> PersonsFound:
    """One of `text`, `name`, `phone` and `number` says what to look for. Case, blanks and the width of
    characters do not matter, nor do separators in a phone number, 86 before it, or the letters and zeros of a volunteer
    number: 462 finds V0000462. The look-up is recorded.
    """
    given: dict[SearchBy, str | None] = {"any": text, "name": name, "phone": phone, "number": number}
    sought = [(by, value) for by, value in given.items() if value is not None]
    if len(sought) != 1:
        raise problem("invalid", "give one of text, name, phone and number", field="text", remedy="give one of them")
    ((by, value),) = sought
    directory, who = Persons(service.ledger.database.pool), LookedUpBy(caller.by, caller.key)
    search = Search(value, by, exact, limit)
    try:
        found, more = await run_read(request, lambda: directory.search(search, who))
    except ValueError as error:
        field = "text" if by == "any" else by
        raise problem("invalid", f"{field} {error}", field=field, remedy=str(error).partition("; ")[2]) from None
    return PersonsFound(persons=[_person(entry) for entry in found], more=more)


@router.get("/v1/persons/{volunteer}", summary="A volunteer's name, phone number and mail address")
async def show_person(
    request: Request,
    caller: SeesPersons,
    volunteer: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    service: ServiceDep,
    _permit: PermitDep,
) -> Person:
    """As last registered or imported; nothing once they were erased. The look-up is recorded."""
    directory, who = Persons(service.ledger.database.pool), LookedUpBy(caller.by, caller.key)
    found = await run_read(request, lambda: directory.show(volunteer, who))
    if found is None:
        raise UnknownNameError("person", volunteer)
    return _person(found)


class PersonChange(BaseModel):
    """What is added or changed; what is left out stays as it is, and null removes a phone number or mail address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=PERSONAL_LENGTH_MAX)] | None = None
    phone: Annotated[str, StringConstraints(min_length=1, max_length=PERSONAL_LENGTH_MAX)] | None = None
    email: Annotated[str, StringConstraints(min_length=1, max_length=PERSONAL_LENGTH_MAX)] | None = None


@router.post("/v1/persons/{volunteer}", summary="Add or change a volunteer's name, phone number or mail address")
async def change_person(
    request: Request,
    caller: SeesPersons,
    volunteer: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    wanted: PersonChange,
    service: ServiceDep,
    _permit: PermitDep,
) -> Person:
    """Personal data enter no event: they are kept in the directory, from which they can be erased. That they were
    changed is recorded among the look-ups, as `set`; the earlier data are not kept.
    """
    changes: dict[PersonField, str | None] = wanted.model_dump(exclude_unset=True)  # type: ignore[assignment]
    if not changes:
        raise problem("invalid", "give one of name, phone and email", field="name", remedy="give one of them")
    ledger, who = service.ledger, LookedUpBy(caller.by, caller.key)

    def change() -> Entry | None:
        known = ledger.knows("volunteer", volunteer)
        return Persons(ledger.database.pool).change(volunteer, changes, who) if known else None

    try:
        found = await run_read(request, change)
    except ValueError as error:
        field, _, said = str(error).partition(" ")
        raise problem("invalid", f"{field} {said}", field=field, remedy=said.partition("; ")[2]) from None
    if found is None:
        raise UnknownNameError("volunteer", volunteer)
    return _person(found)


@router.get("/v1/person-look-ups", summary="Who looked up which persons")
async def lookups(
    request: Request,
    _caller: Annotated[Caller, Depends(allowed_to(Right.READ_LOOKUPS))],
    service: ServiceDep,
    _permit: PermitDep,
    volunteer: Annotated[
        str | None, Query(description="Only look-ups that showed this volunteer.", pattern=NAME_PATTERN)
    ] = None,
    actor: Annotated[
        str | None, Query(description="Only this actor's look-ups.", max_length=60, pattern=r"^[!-~]*$")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LOOKUPS_MAX, description="The maximum number of look-ups.")] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_before` of the page before.")] = None,
) -> Lookups:
    """The latest first. They are kept when a person is erased, and hold numbers only."""
    directory = Persons(service.ledger.database.pool)
    found = await run_read(request, lambda: directory.lookups(limit + 1, before, volunteer, actor))
    page = found[:limit]
    return Lookups(
        lookups=[LookupShown(**each._asdict()) for each in page],
        next_before=page[-1].lookup if len(found) > limit else None,
    )


def _person(entry: Entry) -> Person:
    return Person(**entry._asdict(), links={"hours": f"/v1/volunteers/{entry.volunteer}"})
