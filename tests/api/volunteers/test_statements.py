"""Statements: their sums are those of the volunteer's hours for every period, and they print as they should."""

from __future__ import annotations

import csv
import io
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from api.access.roles import ROLES_OF_RIGHT, Right, Role
from api.operations.service import OpenLedger
from ledger.intake.answers import Accepted
from ledger.store.database import Database
from ledger.store.persons import Person, Persons
from replay.axes.as_known import Axes
from replay.live.follower import Follower
from replay.queries import statements
from replay.queries.statement_answers import Statement
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import Served, give, take
from tests.support.examples import examples

pytest_plugins = ["tests.support.api.fixtures"]

TODAY = date(2018, 12, 4)
ZONE = ZoneInfo("Asia/Shanghai")
VOLUNTEERS = ("V1", "V2", "V3")
NASTY = "<script>alert('x')</script> & \"馆\""


def filled(ledger: OpenLedger) -> OpenLedger:
    """Enter a history of everything a statement has to say: nights, New Year's Eve, overlaps, caps, voids, merges."""
    give(ledger, "found-organisation", organisation="O1", kind="ngo", name="桂园街道义工联")
    give(ledger, "open-station", station="S1", kind="city", organisation="O1", name=NASTY)
    give(ledger, "open-station", station="S2", kind="community")
    give(ledger, "launch-project", project="P1", content="teaching", organisation="O1", name="悦读会")
    ledger.make_ready()
    for number in VOLUNTEERS:
        give(ledger, "register-volunteer", volunteer=number, registered_on="2016-03-05")
    balance = {"volunteer": "V2", "minutes": 600, "as_of": "2017-06-01", "evidence": "paper-list"}
    assert isinstance(take(ledger, "record-opening-balance", balance, imported=True), Accepted)
    draw = Random(7)  # noqa: S311 - the same history each time
    for serial in range(120):
        volunteer, station = draw.choice(VOLUNTEERS), draw.choice(("S1", "S2"))
        day = date(2017, 12, 20) + timedelta(days=draw.randrange(30))
        begin = datetime.combine(day, datetime.min.time(), ZONE) + timedelta(minutes=draw.randrange(24 * 60))
        end = begin + timedelta(minutes=draw.choice((3, 45, 179, 400, 700, 1500)))
        scan = {"volunteer": volunteer, "station": station, "shift": str(UUID(int=serial + 1))}
        project = draw.choice((None, "P1"))
        give(ledger, "check-in", occurred_at=begin.isoformat(), project=project, **scan)
        kind = draw.randrange(10)
        if kind:
            give(ledger, "check-out", occurred_at=end.isoformat(), **scan)
        about = {"volunteer": volunteer, "shift": scan["shift"]}
        if kind == 1:
            take(ledger, "void-shift", {**about, "reason": "entered-twice"})
        if kind == 2:
            give(ledger, "dispute-shift", reason="too-short", **about)
    give(ledger, "punch", volunteer="V1", station="S1", occurred_at="2018-02-01T09:00:00+08:00", direction="out")
    take(ledger, "merge-volunteer", {"volunteer": "V3", "into": "V2", "reason": "two-cards"})
    ledger.catch_up()
    return ledger


@pytest.fixture(scope="module")
def stated(new_database_url: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLedger]:
    with Database.open(new_database_url()) as database:
        yield filled(OpenLedger(database, tmp_path_factory.mktemp("data")))


def statement(ledger: OpenLedger, volunteer: str, first: date | None, last: date | None, **axes: Any) -> Statement:
    return statements.statement(ledger.database, volunteer, (first, last), TODAY, Axes(**axes))


@pytest.mark.parametrize("volunteer", VOLUNTEERS)
@pytest.mark.parametrize("valid_at", [None, date(2018, 1, 1), date(2017, 5, 1)])
def test_the_sums_are_those_of_the_volunteers_hours(stated: OpenLedger, volunteer: str, valid_at: date | None) -> None:
    hours = stated.queries.volunteer_hours(volunteer, Axes(valid_at=valid_at))
    columns = ("shifts", "raw_minutes", "counted_minutes", "credited_minutes", "scanned_minutes", "attested_minutes")
    found = statement(stated, volunteer, None, None, valid_at=valid_at).total
    assert [getattr(found, name) for name in columns] == [getattr(hours.total, name) for name in columns]
    for year in hours.years:
        assert year.year
        found = statement(stated, volunteer, date(year.year, 1, 1), date(year.year, 12, 31), valid_at=valid_at).total
        opening = found.opening_minutes  # which belongs to no year
        assert [found.shifts, found.raw_minutes, found.counted_minutes] == [getattr(year, one) for one in columns[:3]]
        assert found.credited_minutes - opening == year.credited_minutes
        assert found.attested_minutes - opening == year.attested_minutes
    assert valid_at is not None or {year.year for year in hours.years} == {2017, 2018}


@settings(max_examples=examples(40), deadline=None)
@given(
    volunteer=st.sampled_from(VOLUNTEERS),
    first=st.dates(date(2017, 5, 20), date(2018, 2, 10)),
    days=st.lists(st.integers(1, 60), min_size=1, max_size=4),
)
def test_the_parts_of_a_period_sum_to_the_whole(
    stated: OpenLedger, volunteer: str, first: date, days: list[int]
) -> None:
    edges = [first]
    for more in days:
        edges.append(edges[-1] + timedelta(days=more))
    whole = statement(stated, volunteer, first, edges[-1] - timedelta(days=1))
    parts = [statement(stated, volunteer, low, high - timedelta(days=1)) for low, high in pairwise(edges)]
    assert [line for part in parts for line in part.lines] == whole.lines
    for name in ("raw_minutes", "counted_minutes", "opening_minutes", "credited_minutes", "scanned_minutes"):
        assert sum(getattr(part.total, name) for part in parts) == getattr(whole.total, name), name


@pytest.mark.parametrize("volunteer", VOLUNTEERS)
def test_every_minute_that_is_not_credited_is_explained(stated: OpenLedger, volunteer: str) -> None:
    found = statement(stated, volunteer, None, None)
    for line in found.lines:
        lost = sum(part.minutes for part in line.uncredited)
        assert line.raw_minutes - lost == line.credited_minutes, line
        assert line.raw_minutes or line.without_minutes, line
        assert line.organisation == ("O1" if line.station == "S1" or line.project == "P1" else None)
    assert found.total.raw_minutes + found.total.opening_minutes - found.total.credited_minutes == sum(
        part.minutes for part in found.total.uncredited
    )
    shown = {line.shift for line in found.lines}
    assert shown == {shift.shift for shift in stated.queries.volunteer_shifts(volunteer).shifts}


def test_what_happens_here_is_all_that_a_statement_can_say(stated: OpenLedger) -> None:
    lines = [line for volunteer in VOLUNTEERS for line in statement(stated, volunteer, None, None).lines]
    assert {part.why for line in lines for part in line.uncredited} >= {"overlapped", "capped", "clipped", "too-short"}
    assert {line.without_minutes for line in lines} >= {None, "it is void", "it has no check-in", "it has no check-out"}
    assert any(line.in_dispute for line in lines)
    assert any(line.check_in and line.check_in.date() != line.day for line in lines), "none goes on after midnight"


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def office(database: Database, hours: CommandLine) -> CommandLine:
    """The command line on a ledger with that history."""
    filled(OpenLedger(database, hours.data))
    Follower(database).catch_up()
    return hours


def test_the_command_line_shows_and_writes_a_statement(office: CommandLine, tmp_path: Path) -> None:
    period = ("--from", "2018-01-01", "--to", "2018-12-31")
    answer = office("statement", "V2", *period, "--json").answer
    total = answer["total"]
    hours = {row["year"]: row for row in office("volunteer", "V2", "--json").answer["years"]}
    assert total["credited_minutes"] == hours[2018]["credited_minutes"] > 0
    assert {line["organisation_name"] for line in answer["lines"] if line["station"] == "S1"} == {"桂园街道义工联"}
    table = office("statement", "V2", *period)
    assert table.code == 0, table.err
    assert f"{total['credited_minutes'] // 60}:{total['credited_minutes'] % 60:02d}" in table.out
    files = {suffix: tmp_path / f"statement{suffix}" for suffix in (".csv", ".xlsx", ".html")}
    for path in files.values():
        assert office("statement", "V2", *period, "--output", path).code == 0
        assert office("statement", "V2", *period, "--output", path).sentence == (
            f"--output {path} exists; name another file, or replace it with --force"
        )
        assert office("statement", "V2", *period, "--output", path, "--force").code == 0
    rows = list(csv.DictReader(io.StringIO(files[".csv"].read_text("utf-8-sig"))))
    assert int(rows[-1]["credited_minutes"]) == total["credited_minutes"]
    assert sum(int(row["credited_minutes"]) for row in rows[:-1]) == total["credited_minutes"]
    assert {row["station_name"] for row in rows if row["station"] == "S1"} == {NASTY}
    sheet = load_workbook(files[".xlsx"]).worksheets[0]
    values = list(sheet.iter_rows(values_only=True))
    assert [*values[0]] == [*rows[0]]
    assert len(values) == len(rows) + 1
    column = values[0].index("credited_minutes")
    assert values[-1][column] == total["credited_minutes"]
    assert "V2" in files[".html"].read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("V2", "--from", "2018-12-31", "--to", "2018-01-01"), "--from 2018-12-31 is after --to 2018-01-01; swap them"),
        (("V2", "--output", "statement.pdf"), "has an unknown suffix; use one of .csv, .xlsx, .html"),
        (("V2", "--output", "nowhere/statement.csv"), "does not exist; create it first"),
        (("V9",), "volunteer V9 is not known to the ledger; check the number"),
    ],
)
def test_a_statement_that_cannot_be_made_says_why(
    arguments: tuple[str, ...], sentence: str, office: CommandLine
) -> None:
    assert sentence in office("statement", *arguments).sentence


# --- over HTTP ------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Reads a page strictly: every tag that begins ends, and nothing can run or be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.style = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in {"src", "href", "style"} for name, _ in attributes)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        self.text.append(data)


def test_a_page_to_print_is_escaped_and_needs_no_scripts(served: Served) -> None:
    volunteer = served.volunteer()
    served.command("open-station", station="NASTY", kind="city", name=NASTY)
    shift, _ = served.served_shift(volunteer, "2018-11-05T23:00:00+08:00", "2018-11-06T01:30:00+08:00", "NASTY")
    address = f"/v1/volunteers/{volunteer}/statement"
    parameters: dict[str, Any] = {"from": "2018-01-01", "to": "2018-12-31", "at_least": served.ledger.log.head()}
    found = served.get(address, **parameters).json()
    assert [line["station_name"] for line in found["lines"]] == [NASTY, NASTY]
    assert found["lines"][0]["check_in"] == "2018-11-05T23:00:00+08:00"
    assert found["total"]["raw_minutes"] == 150
    assert found["lines"][0]["links"]["events"].startswith(f"/v1/volunteers/{volunteer}/shifts/{shift}/events")
    headers = served.headers(Role.READER)
    page = served.client.get(address, params=parameters, headers=headers | {"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    reader = Reader()
    reader.feed(page.text)
    assert not reader.open
    assert "script" not in reader.tags
    text = "".join(reader.text)
    assert NASTY in text
    assert "23:00 to 11-06 01:30" in text
    assert "2018-01-01 to 2018-12-31" in text
    digest = b64encode(sha256(reader.style.encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert re.match(rf"default-src 'none'; style-src 'sha256-{re.escape(digest)}'; ", policy)
    table = served.client.get(address, params=parameters, headers=headers | {"Accept": "text/csv"})
    assert table.headers["content-disposition"] == f'attachment; filename="statement-{volunteer}.csv"'
    assert table.text.startswith("\ufeffday,check_in")
    excel = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    book = served.client.get(address, params=parameters, headers=headers | {"Accept": excel})
    assert load_workbook(io.BytesIO(book.content)).sheetnames == ["Statement"]


def test_a_volunteer_reads_the_own_statement_and_no_other(served: Served) -> None:
    served.command("register-volunteer", volunteer="V0000001", registered_on="2016-03-05")
    other = "V-other"
    served.command("register-volunteer", volunteer=other, registered_on="2016-03-05")
    own = served.get("/v1/volunteers/V0000001/statement", role=Role.VOLUNTEER, at_least=served.ledger.log.head())
    assert own.status_code == 200
    assert served.get(f"/v1/volunteers/{other}/statement", role=Role.VOLUNTEER).status_code == 403
    assert served.get("/v1/volunteers/V0000001/statement", role=None).status_code == 401
    swapped: dict[str, Any] = {"from": "2018-02-01", "to": "2018-01-01"}
    answer = served.get(f"/v1/volunteers/{other}/statement", **swapped)
    assert (answer.status_code, answer.json()["field"]) == (422, "from")


# --- the name -------------------------------------------------------------------------------------------------------

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.mark.parametrize("role", list(Role))
def test_a_statement_shows_the_name_to_those_who_may_look_up_persons(served: Served, role: Role) -> None:
    volunteer = "V0000001" if role is Role.VOLUNTEER else served.volunteer()
    served.command("register-volunteer", volunteer=volunteer, registered_on="2016-03-05")
    directory = Persons(served.ledger.database.pool)
    directory.save(Person(volunteer, "<b>=张三", "13800138000"))
    address, asked = f"/v1/volunteers/{volunteer}/statement", {"at_least": served.ledger.log.head()}
    without = served.get(address, role=role, **asked)
    assert "person_name" not in without.json()
    assert directory.lookups(1, None, volunteer, None) == []
    answer = served.get(address, role=role, with_name=True, **asked)
    if role not in ROLES_OF_RIGHT[Right.LOOK_UP_PERSONS]:
        assert (answer.status_code, answer.json()["rejection"]) == (403, "forbidden")
        assert directory.lookups(1, None, volunteer, None) == []
        return
    assert answer.json()["person_name"] == "<b>=张三"
    (record,) = directory.lookups(2, None, volunteer, None)
    assert (record.actor, record.by, record.volunteers) == (f"person:{role.value}", "show", [volunteer])
    files = {
        kind: served.client.get(
            address, params={"with_name": True, **asked}, headers=served.headers(role) | {"Accept": kind}
        )
        for kind in ("text/html", "text/csv", EXCEL)
    }
    assert "<dt>Name</dt><dd>&lt;b&gt;=张三</dd>" in files["text/html"].text
    header, *rows = csv.reader(io.StringIO(files["text/csv"].text.removeprefix("\ufeff")))
    assert {row[header.index("person_name")] for row in rows} == {"<b>=张三"}
    sheet = load_workbook(io.BytesIO(files[EXCEL].content)).active
    assert sheet is not None
    assert [cell.value for cell in sheet[1]][-1] == "person_name"
    assert len(directory.lookups(9, None, volunteer, None)) == 4
    directory.erase(volunteer)
    assert served.get(address, role=role, with_name=True, **asked).status_code == 404


def test_the_command_line_shows_the_name_and_who_looked(
    office: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the directory has no data of volunteer V2" in office("statement", "V2", "--with-name").sentence
    assert "--by has no effect without --with-name" in office("statement", "V2", "--by", "person:li.wei").sentence
    monkeypatch.setattr(Persons, "show", lambda _, number, who: Person(number, f"张三 {who.actor}"))
    shown = office("statement", "V2", "--with-name", "--by", "person:li.wei").out
    assert "张三 person:li.wei, V2" in shown
    page = tmp_path / "named.html"
    assert office("statement", "V2", "--with-name", "--output", page).code == 0
    assert "<dt>Name</dt><dd>张三 person:" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("address", "accept", "kind"),
    [
        ("/v1/volunteers/V0000001/statement", "application/pdf", None),
        ("/v1/volunteers/V0000001/statement", "image/*", None),
        ("/v1/volunteers/V0000001/statement", "application/json;q=0", None),
        ("/v1/volunteers/V0000001/statement", "*/*", "application/json"),
        ("/v1/volunteers/V0000001/statement", "application/pdf, application/*;q=0.1", "application/json"),
        ("/v1/volunteers/V0000001/statement", "application/json;q=0.2, text/csv", "text/csv"),
        ("/v1/volunteers/V0000001/statement", "application/json, text/csv", "application/json"),
        ("/v1/volunteers/V0000001/statement", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("/v1/log", "application/pdf", None),
        ("/v1/log?limit=1", "application/x-ndjson", "application/x-ndjson"),
        ("/v1/rules/current", "text/yaml", None),
        ("/v1/rules/current", "application/toml", "application/toml"),
        ("/v1/spot-check?seed=a&size=3", "application/pdf", None),
        ("/v1/spot-check?seed=a&size=3", "text/csv", "text/csv"),
    ],
)
def test_an_answer_has_a_media_type_that_the_caller_accepts(
    served: Served, address: str, accept: str, kind: str | None
) -> None:
    answer = served.client.get(address, headers=served.headers(Role.AUDITOR) | {"Accept": accept})
    if kind is not None:
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, kind), answer.text
        return
    assert (answer.status_code, answer.json()["rejection"]) == (406, "not-acceptable")
    assert "application/json, " in answer.json()["detail"]
