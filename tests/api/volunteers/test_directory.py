"""The directory of persons: who may look up whom, what is found, and what remains of a look-up."""

from __future__ import annotations

from typing import Any

import pytest

from api.access.roles import ROLES_OF_RIGHT, Right, Role
from ledger.store.database import Database
from ledger.store.persons import LookedUpBy, Person, Persons, Search
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served

pytest_plugins = ["tests.support.api.fixtures"]

ZHANG = Person("V1", "章三", "+86 136-0013-8000", "zhang@example.org")
ZHANG_WEI = Person("V2", "章三丰", "13600138001", None)
ANNA = Person("V10", "Anna Müller", "0086 139 1234 5678", None)
ODD = Person("W_1", "100% Li_Na\\", None, None)
OUYANG = Person("V0000462", "欧阳\u3000小明", "13700137009\uff0f0755-25551234  13500135000", None)
PEOPLE = (ZHANG, ZHANG_WEI, ANNA, ODD, OUYANG)
SOUGHT: list[tuple[dict[str, Any], list[str]]] = [
    ({"text": "章三"}, ["V1", "V2"]),  # who is called so, then who begins so
    ({"text": "章三", "exact": True}, ["V1"]),
    ({"text": "三丰"}, []),  # the beginning, not any part
    ({"name": "anna"}, ["V10"]),
    ({"name": "ANNA MÜLLER", "exact": True}, ["V10"]),
    ({"name": "anna mu\u0308ller", "exact": True}, ["V10"]),  # composed otherwise
    ({"phone": "13600138000"}, ["V1"]),
    ({"phone": "136 0013 8"}, ["V1", "V2"]),
    ({"phone": "+8613600138001"}, ["V2"]),
    ({"phone": "0086 136 0013 8001"}, ["V2"]),
    ({"phone": "13912345678", "exact": True}, ["V10"]),
    ({"text": "1391234"}, ["V10"]),
    ({"number": "V1"}, ["V1", "V10"]),
    ({"number": "V1", "exact": True}, ["V1"]),
    ({"text": "V1"}, ["V1", "V10"]),
    ({"number": "v1"}, ["V1", "V10"]),
    ({"number": "\uff36\uff11", "exact": True}, ["V1"]),  # full-width
    ({"text": "462"}, ["V0000462"]),  # without its zeros
    ({"number": "V462"}, ["V0000462"]),
    ({"number": "62"}, []),
    ({"number": "462", "exact": True}, []),
    ({"name": "章\u3000三", "exact": True}, ["V1"]),
    ({"text": "章 三丰"}, ["V2"]),
    ({"name": "annamüller"}, ["V10"]),
    ({"name": "欧阳小明", "exact": True}, ["V0000462"]),
    ({"name": "\uff21nna"}, ["V10"]),
    ({"phone": "\uff11\uff13\uff16\uff10\uff10\uff11\uff13\uff18\uff10\uff10\uff10"}, ["V1"]),
    ({"phone": "075525551234", "exact": True}, ["V0000462"]),  # the second of two
    ({"phone": "13700137009", "exact": True}, ["V0000462"]),
    ({"phone": "13500135000"}, ["V0000462"]),
    ({"phone": "70090755"}, []),  # not across two
    ({"name": "100%"}, ["W_1"]),
    ({"name": "%"}, []),
    ({"name": "_"}, []),
    ({"number": "W_"}, ["W_1"]),
    ({"name": "100% li_na\\"}, ["W_1"]),
    ({"name": "' OR true --"}, []),
    ({"name": "V1"}, []),
    ({"text": "章", "limit": 1}, ["V1"]),
]


@pytest.fixture(scope="module")
def served(served_alone: Served) -> Served:
    """A ledger of these tests' own: everybody in the directory is searched."""
    return served_alone


@pytest.fixture(scope="module")
def directory(served: Served) -> Persons:
    persons = Persons(served.ledger.database.pool)
    persons.save_all(PEOPLE)
    return persons


@pytest.mark.parametrize(("sought", "numbers"), SOUGHT, ids=str)
def test_persons_are_found_by_name_phone_and_number(
    served: Served, directory: Persons, sought: dict[str, Any], numbers: list[str]
) -> None:
    answer = served.get("/v1/persons", role=Role.STAFF, **sought)
    assert answer.status_code == 200, answer.text
    assert [person["volunteer"] for person in answer.json()["persons"]] == numbers
    assert answer.json()["more"] == ("limit" in sought)
    (last, *_) = directory.lookups(1)
    by = next(name for name in ("text", "name", "phone", "number") if name in sought)
    assert (last.actor, last.by, last.volunteers) == (
        "person:staff",
        "any" if by == "text" else by,
        numbers,
    )


def test_a_person_is_shown_and_the_look_up_recorded(served: Served, directory: Persons) -> None:
    found = served.get("/v1/persons/V1", role=Role.CORRECTOR).json()
    assert found == {**ZHANG._asdict(), "links": {"hours": "/v1/volunteers/V1"}}
    unknown = served.get("/v1/persons/V99", role=Role.CORRECTOR)
    assert (unknown.status_code, unknown.json()["rejection"]) == (404, "unknown-person")
    assert [(one.by, one.volunteers, one.actor) for one in directory.lookups(2)] == [
        ("show", [], "person:corrector"),
        ("show", ["V1"], "person:corrector"),
    ]
    listed = served.get("/v1/person-look-ups", role=Role.AUDITOR, volunteer="V1", limit=1).json()
    (record,) = listed["lookups"]
    assert (record["by"], record["volunteers"], record["actor"]) == ("show", ["V1"], "person:corrector")
    assert record["key"] == served.service.keys.caller(served.tokens[Role.CORRECTOR]).key  # type: ignore[union-attr]
    rest = served.get("/v1/person-look-ups", role=Role.AUDITOR, before=listed["next_before"] or 1).json()
    assert all(each["lookup"] < record["lookup"] for each in rest["lookups"])
    of_actor = served.get("/v1/person-look-ups", role=Role.ADMIN, actor="person:corrector").json()["lookups"]
    assert {each["actor"] for each in of_actor} == {"person:corrector"}


CHANGES: list[tuple[dict[str, Any], dict[str, Any] | tuple[int, str]]] = [
    ({"name": "李伟", "phone": "13800138009"}, {"name": "李伟", "phone": "13800138009", "email": None}),
    ({"email": "li@example.org"}, {"name": "李伟", "phone": "13800138009", "email": "li@example.org"}),
    ({"phone": None, "name": "李薇"}, {"name": "李薇", "phone": None, "email": "li@example.org"}),
    ({"email": None}, {"name": "李薇", "phone": None, "email": None}),
    ({}, (422, "name")),
    ({"name": " "}, (422, "name")),
    ({"phone": "44030119900101123X"}, (422, "phone")),
    ({"phone": "440301 19900101 1234"}, (422, "phone")),
    ({"nickname": "Wei"}, (422, "nickname")),
]


def test_a_registered_volunteer_gets_a_name_and_keeps_what_is_not_named(served: Served, directory: Persons) -> None:
    number, address = served.volunteer(), ""
    address = f"/v1/persons/{number}"
    headers = served.headers(Role.STAFF)
    told = served.client.post(address, json={"phone": "13800138009"}, headers=headers)
    assert (told.status_code, told.json()["field"]) == (422, "name")
    head = served.ledger.log.head()
    for body, expected in CHANGES:
        answer = served.client.post(address, json=body, headers=headers)
        if isinstance(expected, tuple):
            assert (answer.status_code, answer.json()["field"]) == expected, answer.text
            continue
        assert answer.status_code == 200, answer.text
        assert {name: answer.json()[name] for name in expected} == expected
        (last,) = directory.lookups(1)
        assert (last.actor, last.by, last.volunteers) == ("person:staff", "set", [number])
    assert served.ledger.log.head() == head, "personal data enter no event"
    assert served.ledger.erase(number) == 1
    assert served.get(address, role=Role.STAFF).status_code == 404
    unknown = served.client.post("/v1/persons/V9999999", json={"name": "Nobody"}, headers=headers)
    assert (unknown.status_code, unknown.json()["rejection"]) == (404, "unknown-volunteer")
    assert served.client.post(address, json={"name": "X"}, headers=served.headers(Role.READER)).status_code == 403


def test_phones_that_several_have_are_found_in_any_notation(directory: Persons) -> None:
    directory.save(Person("V77", "Twin", "0755-25551234"))
    assert ["V0000462", "V77"] in directory.numbers_by_phone()
    directory.remove(["V77"])


ADDRESSES: dict[str, Right] = {
    "/v1/persons?text=V1": Right.LOOK_UP_PERSONS,
    "/v1/persons?text=V98": Right.LOOK_UP_PERSONS,
    "/v1/persons?phone=1": Right.LOOK_UP_PERSONS,
    "/v1/persons": Right.LOOK_UP_PERSONS,
    "/v1/persons/V1": Right.LOOK_UP_PERSONS,
    "/v1/persons/V98": Right.LOOK_UP_PERSONS,
    "/v1/person-look-ups": Right.READ_LOOKUPS,
    "/v1/person-look-ups?volunteer=V1": Right.READ_LOOKUPS,
}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_without_the_right_learns_nothing(served: Served, directory: Persons, role: Role) -> None:
    before = directory.lookups(1)
    answers: dict[Right, set[str]] = {}
    for address, right in ADDRESSES.items():
        answer = served.get(address, role=role)
        if role in ROLES_OF_RIGHT[right]:
            assert answer.status_code in {200, 404, 422}, address
            continue
        assert answer.status_code == 403, address
        answers.setdefault(right, set()).add(answer.text)
    assert all(len(texts) == 1 for texts in answers.values()), "the same answer whoever is in the directory"
    if role not in ROLES_OF_RIGHT[Right.LOOK_UP_PERSONS]:
        assert directory.lookups(1) == before, "who sees nothing looked nobody up"
    assert served.get("/v1/persons/V1", role=None).status_code == 401


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "text"),
        ("?text=V1&name=Anna", "text"),
        ("?phone=138", "phone"),
        ("?phone=anna", "phone"),
        ("?text=%20", "text"),
        ("?text=", "text"),
        ("?name=a%00b", "name"),
        ("?text=V1&limit=101", "limit"),
        ("?text=" + "x" * 201, "text"),
    ],
)
def test_a_search_that_cannot_be_made_says_why(served: Served, directory: Persons, query: str, field: str) -> None:
    before = directory.lookups(1)
    answer = served.get(f"/v1/persons{query}", role=Role.STAFF)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert directory.lookups(1) == before


def test_after_an_erasure_nothing_is_found_and_no_record_is_personal(served: Served) -> None:
    persons = Persons(served.ledger.database.pool)
    wang = Person("V77", "王小明", "13700137000", "wang@example.org")
    persons.save(wang)
    for query in ("name=王小明", "phone=13700137000", "text=V77"):
        (found,) = served.get(f"/v1/persons?{query}", role=Role.STAFF).json()["persons"]
        assert found["name"] == "王小明"
    assert served.ledger.erase("V77") == 1
    for query in ("name=王小明", "phone=13700137000", "text=V77"):
        assert served.get(f"/v1/persons?{query}", role=Role.STAFF).json()["persons"] == []
    assert served.get("/v1/persons/V77", role=Role.STAFF).status_code == 404
    records = served.get("/v1/person-look-ups", role=Role.AUDITOR, volunteer="V77")
    assert len(records.json()["lookups"]) == 3
    with served.ledger.database.pool.connection() as connection:
        rows = str(connection.execute("SELECT * FROM ledger.person_lookups").fetchall())
    assert not any(text in rows + records.text for text in (wang.name, "13700137000", "wang@example.org"))


def test_the_operator_looks_persons_up(hours: CommandLine, database: Database) -> None:
    Persons(database.pool).save_all(PEOPLE)
    found = hours("persons", "find", "章三", "--by", "person:li", "--json").answer
    assert [person["volunteer"] for person in found["persons"]] == ["V1", "V2"]
    assert "Anna Müller" in hours("persons", "find", "anna").out
    assert hours("persons", "find", "Anna", "--in", "number", "--json").answer == {"persons": [], "more": False}
    assert "more match" in hours("persons", "find", "V", "--limit", 1).out
    assert "zhang@example.org" in hours("persons", "show", "V1").out
    assert "the directory has no data of volunteer V9" in hours("persons", "show", "V9").sentence
    rows = hours("persons", "look-ups", "--json").answer["lookups"]
    assert [(row["actor"], row["by"], row["volunteers"]) for row in rows] == [
        ("person:keeper", "show", []),
        ("person:keeper", "show", ["V1"]),
        ("person:keeper", "any", ["V10"]),
        ("person:keeper", "number", []),
        ("person:keeper", "any", ["V10"]),
        ("person:li", "any", ["V1", "V2"]),
    ]
    page = hours("persons", "look-ups", "--volunteer", "V1", "--limit", 1, "--json").answer
    assert [row["by"] for row in page["lookups"]] == ["show"]
    assert f"--before {page['next_before']}" in hours("persons", "look-ups", "--volunteer", "V1", "--limit", 1).out
    assert "is not a person" in hours("persons", "show", "V1", "--by", "keeper").sentence
    assert "write at least 4 digits" in hours("persons", "find", "138", "--in", "phone").sentence
    assert "--in mail is not known" in hours("persons", "find", "x", "--in", "mail").sentence


def test_a_look_up_and_its_record_are_one(database: Database) -> None:
    """A look-up that cannot be recorded shows nothing."""
    persons = Persons(database.pool)
    persons.save(ZHANG)
    with database.pool.connection() as connection:
        connection.execute("ALTER TABLE ledger.person_lookups ADD CHECK (actor <> 'person:x')")
    for look in (
        lambda who: persons.search(Search("章三"), who),
        lambda who: persons.show("V1", who),
    ):
        with pytest.raises(Exception, match="check constraint"):
            look(LookedUpBy("person:x"))
    assert persons.show("V1", LookedUpBy("person:y")) == ZHANG
