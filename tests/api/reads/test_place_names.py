"""Stations, projects and organisations carry a name, which stands beside the id wherever one is shown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from api.access.roles import Role
from api.operations.service import OpenLedger
from ledger.store.database import Database
from replay.axes.answers import Answer, NameOf
from replay.axes.place_names import models_in
from replay.certificates.register import CertificateRecord
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served, give

pytest_plugins = ["tests.support.api.fixtures"]

STATION, PROJECT, ORGANISATION, PARENT = "N1", "named-project", "named", "named-above"
MORNING, NOON, DAY = "2018-11-05T09:00:00+08:00", "2018-11-05T12:00:00+08:00", "2018-11-05"
SERVICE = {"station": STATION, "project": PROJECT, "check_in": MORNING, "check_out": NOON, "evidence": "paper"}
NAMES = {
    ("station", STATION): "罗湖图书馆",
    ("project", PROJECT): "星星学堂",
    ("organisation", ORGANISATION): "桂园街道义工联",
    ("organisation", PARENT): "Luohu volunteers' federation",
}


@pytest.fixture(scope="module")
def place(served: Served) -> dict[str, Any]:
    """A station, a project and an organisation with names, and a volunteer who served there."""
    volunteer, shift, positions = served.volunteer(), str(uuid4()), dict[str, int]()
    above = {"organisation": PARENT, "kind": "district", "name": NAMES["organisation", PARENT]}
    project = {"project": PROJECT, "content": "teaching", "organisation": ORGANISATION, "in_charge": volunteer}
    joined = {"volunteer": volunteer, "organisation": ORGANISATION, "joined_on": "2018-01-01"}
    training = {"tier": "basic", "content": "first-aid", "learning_minutes": 90, "completed_on": "2018-11-01"}
    scan = {"volunteer": volunteer, "station": STATION, "occurred_at": "2018-11-07T09:00:00+08:00"}
    commands: tuple[tuple[str, dict[str, Any]], ...] = (
        ("found-organisation", above),
        ("found-organisation", {"organisation": ORGANISATION, "kind": "ngo", "parent": PARENT}),
        ("rename-organisation", {"organisation": ORGANISATION, "name": "桂园街道义工联"}),
        ("open-station", {"station": STATION, "kind": "city", "organisation": ORGANISATION, "name": "罗湖图书馆"}),
        ("launch-project", {**project, "name": "星星学堂"}),
        ("join-organisation", joined),
        ("record-training", {"volunteer": volunteer, "provider": ORGANISATION, **training}),
        ("check-in", scan),
        ("attest-shift", {"volunteer": volunteer, "shift": shift, **SERVICE}),
        ("dispute-shift", {"volunteer": volunteer, "shift": shift, "reason": "too-short"}),
        ("count-people-served", {"station": STATION, "project": PROJECT, "day": DAY, "people": 40}),
    )
    for command, body in commands:
        answer = (served.approved if command == "attest-shift" else served.command)(command, **body)
        assert answer.status_code in {200, 201}, answer.text
        positions[command] = answer.json()["position"]
    head = served.ledger.log.head()
    while served.get("/v1/stations", at_least=head).status_code == 503:  # it waits itself, but not for long
        pass
    return {"volunteer": volunteer, "renamed": positions["rename-organisation"], "position": max(positions.values())}


PERIOD: dict[str, Any] = {"from": "2018-11-01", "to": "2018-11-30"}
SHOWN: dict[str, tuple[Callable[[str], str], dict[str, Any], set[str]]] = {
    "stations": (lambda _: "/v1/stations", {}, {"station", "organisation"}),
    "projects": (lambda _: "/v1/projects", {}, {"project", "organisation"}),
    "organisations": (lambda _: "/v1/organisations", {}, {"organisation", "parent", "children"}),
    "organisation": (
        lambda _: f"/v1/organisations/{ORGANISATION}",
        {},
        {"organisation", "parent", "path", "name"},
    ),
    "organisation-activity": (lambda _: f"/v1/organisations/{PARENT}/activity", {}, {"organisation"}),
    "organisation-members": (lambda _: f"/v1/organisations/{ORGANISATION}/members", {}, {"organisation"}),
    "district": (lambda _: "/v1/district/activity", {}, {"organisation"}),
    "station-activity": (lambda _: f"/v1/stations/{STATION}/activity", PERIOD, {"station"}),
    "station-shifts": (lambda _: f"/v1/stations/{STATION}/shifts", {"day": DAY}, {"station", "project"}),
    "project-activity": (lambda _: f"/v1/projects/{PROJECT}/activity", {}, {"project"}),
    "volunteer": (lambda number: f"/v1/volunteers/{number}", {}, {"provider"}),
    "shifts": (lambda number: f"/v1/volunteers/{number}/shifts", {}, {"station", "project"}),
    "overview": (lambda number: f"/v1/volunteers/{number}/overview", {}, {"name", "station", "organisation"}),
    "explanation": (lambda number: f"/v1/volunteers/{number}/explanation", {"day": DAY}, {"station", "project"}),
    "disputes": (lambda _: "/v1/disputes", {"station": STATION}, {"station"}),
    "worklist": (lambda _: "/v1/worklist", {"station": STATION}, {"station"}),
    "people-served": (
        lambda _: "/v1/people-served",
        {**PERIOD, "station": STATION, "project": PROJECT, "organisation": ORGANISATION},
        {"station", "project", "organisation", "name"},
    ),
    "anomalies": (lambda _: "/v1/anomalies", {"station": STATION}, {"station"}),
    "spot-check": (lambda _: "/v1/spot-check", {"seed": "7", "size": 3, "station": STATION}, {"station", "project"}),
}
_LISTS = {"path": "organisation", "children": "organisation", "parent": "organisation", "provider": "organisation"}
_OTHER = {"parent_name", "children_names", "path_names", "provider_name", "place_name", "other_station_name"}


def beside(found: Any, inside: str = "") -> set[tuple[str, str, str | None]]:
    """Return each field of an answer that holds the id of a named place: the field, the id, and the name beside it."""
    seen: set[tuple[str, str, str | None]] = set()
    known = {identity for _, identity in NAMES}
    if isinstance(found, list):
        for each in found:
            seen |= beside(each, inside)
    if isinstance(found, dict):
        for field, value in found.items():
            if field in {"links", "rules", "candidates"}:
                continue
            for identity in value if isinstance(value, list) else [value]:
                if isinstance(identity, str) and identity in known:
                    names = found.get(f"{field}_names", {}) if isinstance(value, list) else None
                    beside_it = found.get("place_name") if field == "name" else found.get(f"{field}_name")
                    resource = found.get("name") if field == inside.removesuffix("s") or field == inside else None
                    seen.add((field, identity, names.get(identity) if names is not None else beside_it or resource))
            seen |= beside(value, field)
    return seen


@pytest.mark.parametrize("name", SHOWN)
def test_the_name_stands_beside_the_id(name: str, served: Served, place: dict[str, Any]) -> None:
    address, parameters, fields = SHOWN[name]
    role = Role.AUDITOR if name in {"anomalies", "spot-check"} else Role.READER
    response = served.get(address(place["volunteer"]), role=role, at_least=place["position"], **parameters)
    assert response.status_code == 200, response.text
    seen = beside(response.json())
    assert {field for field, *_ in seen} >= fields, seen
    by_id = {identity: shown for (_, identity), shown in NAMES.items()}
    assert {(field, identity, by_id[identity]) for field, identity, _ in seen} == seen


def test_the_names_in_the_fields_of_an_act_stand_beside_them(served: Served, place: dict[str, Any]) -> None:
    history = served.get(f"/v1/volunteers/{place['volunteer']}/history", at_least=place["position"]).json()["acts"]
    by_topic = {act["topic"]: act for act in history}
    assert by_topic["organisation-joined.v1"]["names"] == {"organisation": {ORGANISATION: "桂园街道义工联"}}
    assert by_topic["training-completed.v1"]["names"] == {"provider": {ORGANISATION: "桂园街道义工联"}}
    assert "names" not in by_topic["volunteer-registered.v1"]
    requests = served.get("/v1/requests", volunteer=place["volunteer"]).json()["requests"]
    (asked,) = (request for request in requests if request["act"] == "attest-shift")
    assert asked["names"] == {"station": {STATION: "罗湖图书馆"}, "project": {PROJECT: "星星学堂"}}


def test_a_name_is_as_it_was_known(served: Served, place: dict[str, Any]) -> None:
    new = f"S{uuid4().hex[:8]}"
    opened = served.command("open-station", station=new, kind="city", name="East gate").json()["position"]
    named = served.command("rename-station", station=new, name="West gate").json()["position"]
    assert served.command("rename-station", station=new, name=" West gate ").json()["type"] == "/problems/already-named"
    address = f"/v1/stations/{new}/activity"
    assert served.get(address, at_least=named, **PERIOD).json()["station_name"] == "West gate"
    assert served.get(address, known_at=opened, **PERIOD).json()["station_name"] == "East gate"
    listed = served.get("/v1/stations", at_least=named, limit=1000).json()["stations"]
    assert [(one["name"], one["open"], one["version"]) for one in listed if one["station"] == new] == [
        ("West gate", True, 2)
    ]
    history = served.get(f"/v1/organisations/{ORGANISATION}", at_least=place["position"]).json()
    assert [(one["what"], one.get("name")) for one in history["history"]] == [
        ("founded", None),
        ("renamed", "桂园街道义工联"),
    ]
    assert history["organisation"]["version"] == 2
    before = served.get(f"/v1/organisations/{ORGANISATION}", known_at=place["renamed"] - 1).json()
    assert before["organisation"]["name"] is None


def test_no_place_of_an_answer_lacks_a_field_for_its_name() -> None:
    places, seen = {"station", "project", "organisation"}, set[type[BaseModel]]()
    pending: list[type[BaseModel]] = list(Answer.__subclasses__())
    while pending:
        model = pending.pop()
        if model in seen or model is CertificateRecord:  # it holds the name that was issued
            continue
        seen.add(model)
        pending += model.__subclasses__()
        pending += [inner for info in model.model_fields.values() for inner in models_in(info.annotation)]
        marked = {
            mark.field or mark.kind
            for info in model.model_fields.values()
            for mark in info.metadata
            if isinstance(mark, NameOf)
        }
        ids = {one for one, info in model.model_fields.items() if one in places and not any(models_in(info.annotation))}
        assert ids <= marked, model
    assert len(seen) > 50


def test_a_table_for_field_work_has_the_names(served: Served, place: dict[str, Any]) -> None:
    parameters = {"seed": "7", "size": 3, "station": STATION, "known_at": place["position"]}
    headers = served.headers(Role.AUDITOR) | {"Accept": "text/csv"}
    response = served.client.get("/v1/spot-check", params=parameters, headers=headers)
    assert response.status_code == 200, response.text
    (row, *_) = csv.DictReader(io.StringIO(response.text.lstrip("\ufeff")))
    assert (row["station"], row["station_name"]) == (STATION, "罗湖图书馆")


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("open-station", {"station": "bad-1", "kind": "city", "name": "a\u200bb"}),
        ("rename-station", {"station": STATION, "name": ""}),
        ("launch-project", {"project": "bad-1", "content": "x", "name": "x" * 81}),
        ("rename-project", {"project": PROJECT, "name": "Ring 13800138000"}),
        ("found-organisation", {"organisation": "bad-1", "kind": "ngo", "name": "a\nb"}),
        ("rename-organisation", {"organisation": ORGANISATION, "name": None}),
    ],
)
def test_a_bad_name_is_refused_under_its_field(
    command: str, body: dict[str, Any], served: Served, place: dict[str, Any]
) -> None:
    answer = served.command(command, **body)
    assert place
    assert answer.status_code == 422
    assert answer.json()["field"].endswith("name"), answer.text


COMMANDS: dict[str, list[object]] = {
    "shifts": ["volunteer", "V1", "--shifts"],
    "explain": ["explain", "V1", "--day", DAY],
    "overview": ["overview", "V1"],
    "station": ["station", "C01", "--from", "2018-11-01", "--to", "2018-11-30"],
    "organisations": ["organisation", "list"],
    "organisation": ["organisation", "show", "fed-01"],
    "activity": ["organisation", "activity"],
    "members": ["organisation", "members", "fed-01"],
    "served": ["served", "--from", "2018-11-01", "--to", "2018-11-30"],
    "spot-check": ["spot-check", "--seed", "7", "--size", 3],
    "project": ["project", "reading"],
}


@pytest.fixture
def named(hours: CommandLine, database: Database) -> CommandLine:
    """The command line on a ledger whose places have names."""
    rows: tuple[tuple[str, dict[str, Any]], ...] = (
        ("found-organisation", {"organisation": "fed-01", "kind": "subdistrict", "name": "桂园街道义工联"}),
        ("open-station", {"station": "C01", "kind": "city", "organisation": "fed-01", "name": "罗湖图书馆"}),
        ("launch-project", {"project": "reading", "content": "reading", "organisation": "fed-01", "name": "悦读会"}),
        ("register-volunteer", {"volunteer": "V1", "registered_on": "2018-01-01", "organisation": "fed-01"}),
        ("attest-shift", {"volunteer": "V1", **SERVICE, "station": "C01", "project": "reading"}),
        ("count-people-served", {"station": "C01", "project": "reading", "day": DAY, "people": 4}),
    )
    ledger = OpenLedger(database, hours.data)
    for command, body in rows:
        give(ledger, command, **body)
    ledger.make_ready()
    return hours


def test_tables_and_files_show_names(named: CommandLine, tmp_path: Any) -> None:
    for name, arguments in COMMANDS.items():
        shown = named(*arguments)
        assert shown.code == 0, shown.err
        assert any(known in shown.out for known in ("罗湖图书馆", "悦读会", "桂园街道义工联")), (name, shown.out)
        assert named(*arguments, "--json").answer
    pieces = tmp_path / "credits.csv"
    assert named("export", "credits", "--output", pieces).code == 0
    (row,) = csv.DictReader(io.StringIO(pieces.read_text("utf-8")))
    assert (row["station"], row["station_name"], row["project_name"]) == ("C01", "罗湖图书馆", "悦读会")
    table = tmp_path / "sample.csv"
    assert named("spot-check", "--seed", "7", "--size", 3, "--output", table).code == 0
    (row,) = csv.DictReader(io.StringIO(table.read_text("utf-8-sig")))
    assert (row["station_name"], row["project_name"]) == ("罗湖图书馆", "悦读会")


STATIONS = """
command = "open-station"
source = "/imports/stations"
key = ["no"]

[fields]
station = { column = "no", prefix = "OLD-" }
kind = { constant = "city" }
name = { column = "name" }
"""


def test_names_are_imported_as_they_are_written(named: CommandLine, database: Database, tmp_path: Any) -> None:
    table, mapping = tmp_path / "stations.csv", tmp_path / "stations.toml"
    mapping.write_text(STATIONS)
    table.write_text(f"no,name\n1,東門（Ａ座）\n2,\n3,{'x' * 81}\n4,+86\n", "utf-8")  # noqa: RUF001 - the widths are kept
    answer = named("import", table, "--mapping", mapping, "--json")
    assert answer.code == 1, answer.err
    name = OpenLedger(database, named.data).names_at(database.log.head())
    found = [name("station", f"OLD-{number}") for number in range(1, 5)]
    assert found == ["東門（Ａ座）", None, None, None]  # noqa: RUF001 - as above
    refusals = json.loads(answer.out)["refusals"]
    assert [(one["line"], one["field"]) for one in refusals] == [(4, "name"), (5, "name")]
