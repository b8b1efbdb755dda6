"""What auditors get: odd records with what is behind them, current and under the axes; and samples to check."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from api.access.roles import Role
from api.files.spot_checks import COLUMNS, TO_FILL_IN
from api.operations.service import DEFAULT_RULES, OpenLedger
from ledger.aggregates import Order
from ledger.aggregates.scans import CheckIn
from ledger.intake import batch
from ledger.intake.answers import Accepted, Terms
from ledger.rejections import Refused, Rejection
from ledger.store import append
from ledger.store.database import Database
from ledger.store.persons import Person, Persons
from projections.anomalies.findings import Finding
from projections.local_time import day_number
from projections.rules.timeline import parse_timeline
from replay.audit.anomalies import AnomalyFilter
from replay.audit.sentences import reason
from replay.audit.spot_checks import Draw
from replay.queries.queries import NOW, Axes
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import OTHER_STATION, STATION, Served, give, take
from tests.support.ledger.orders import order_of

pytest_plugins = ["tests.support.api.fixtures"]

CLERK = "person:clerk-9"
YEAR = 2017
ZONE = ZoneInfo("Asia/Shanghai")
Told = list[dict[str, Any]]


@pytest.fixture(scope="module")
def served(served_alone: Served) -> Served:
    """A ledger of these tests' own: samples and shared phones are looked for in all of it."""
    return served_alone


def enter(ledger: OpenLedger, volunteer: str, day: date, by: str = CLERK, *, imported: bool = False) -> UUID:
    """Enter five hours of service; return the shift."""
    shift = uuid4()
    body = {
        "volunteer": volunteer,
        "shift": str(shift),
        "station": STATION,
        "check_in": f"{day}T09:00:00+08:00",
        "check_out": f"{day}T14:00:00+08:00",
        "evidence": "sign-in-sheet",
    }
    answer = take(ledger, "attest-shift", body, by, imported=imported)
    assert isinstance(answer, Accepted), answer
    return shift


def found(served: Served, role: Role = Role.AUDITOR, **parameters: Any) -> dict[str, Any]:
    """Return what an auditor is told, of what the log holds by now."""
    asked = {"at_least": served.ledger.log.head(), **parameters}
    answer = served.get("/v1/anomalies", role=role, **asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def kinds(told: dict[str, Any]) -> set[str]:
    return {one["kind"] for one in told["anomalies"]}


@pytest.fixture(scope="module")
def sold(served: Served) -> dict[str, Any]:
    """A volunteer for whom one person entered ten shifts of five round hours in one go; and what was known before."""
    volunteer, before = served.volunteer(), served.ledger.log.head()
    shifts = [enter(served.ledger, volunteer, date(YEAR, 3, 1) + timedelta(days=day)) for day in range(10)]
    return {"volunteer": volunteer, "before": before, "shifts": shifts, "known_at": served.ledger.log.head()}


def test_hours_typed_in_one_go_are_found_in_four_ways(served: Served, sold: dict[str, Any]) -> None:
    told = found(served, volunteer=sold["volunteer"])
    assert kinds(told) == {"entry-burst", "same-person", "round-numbers", "late-entry"}
    (burst,) = (one for one in told["anomalies"] if one["kind"] == "entry-burst")
    assert burst["actor"] == CLERK
    assert burst["reason"].startswith(f"{CLERK} entered 10 shifts of 1 volunteer within ")
    assert {UUID(shift["shift"]) for shift in burst["shifts"]} == set(sold["shifts"])
    for one in told["anomalies"]:
        assert (one["shift_count"], one["event_count"]) == (len(one["shifts"]), len(one["events"]))
        for behind in one["shifts"] + one["events"]:
            (link,) = (address for name, address in behind["links"].items() if name.startswith("event"))
            assert served.get(link).status_code == 200, link
    assert told["counts"] | {"late-entry": 10, "entry-burst": 1, "same-person": 1, "round-numbers": 1} == told["counts"]
    assert told["counts"]["two-stations"] == 0
    assert told["thresholds"]["burst_entries_min"] == 5


def test_who_enters_most_of_a_person_s_shifts_is_found_whatever_numbers_they_name(served: Served) -> None:
    old, new = served.volunteer(), served.volunteer()
    for number, volunteer in enumerate((old, new) * 5):
        enter(served.ledger, volunteer, date(YEAR, 6, 1) + timedelta(days=number), "person:clerk-8")
    before = served.ledger.log.head()
    said: dict[str, Any] = {"volunteer": old, "into": new, "reason": "two-cards"}
    assert served.approved("merge-volunteer", Role.CORRECTOR, **said).status_code == 201
    for volunteer in (old, new):
        (one,) = found(served, volunteer=volunteer, kind="same-person")["anomalies"]
        assert (one["volunteer"], one["actor"], one["shift_count"]) == (new, "person:clerk-8", 10)
        assert {shift["volunteer"] for shift in one["shifts"]} == {old, new}
        assert found(served, volunteer=volunteer)["counts"]["late-entry"] == 10
        then = found(served, volunteer=volunteer, known_at=before)["counts"]
        assert (then["same-person"], then["late-entry"]) == (0, 5)


def test_what_was_imported_is_nobody_s_burst_and_never_late(served: Served) -> None:
    volunteer = served.volunteer()
    for day in range(10):
        enter(served.ledger, volunteer, date(YEAR, 4, 1) + timedelta(days=day), "person:keeper", imported=True)
    assert kinds(found(served, volunteer=volunteer)) == {"round-numbers"}


def test_findings_follow_the_three_axes(served: Served, sold: dict[str, Any]) -> None:
    volunteer = sold["volunteer"]
    served.get("/v1/anomalies", role=Role.AUDITOR)
    enough = found(served, volunteer=volunteer, known_at=sold["before"] + 20)  # four events each
    assert kinds(enough) == {"entry-burst", "round-numbers", "late-entry"}
    until = found(served, volunteer=volunteer, valid_at=f"{YEAR}-03-02")
    assert (kinds(until), until["counts"]["late-entry"]) == ({"late-entry"}, 2)
    text = DEFAULT_RULES.read_text("utf-8").replace("burst_entries_min = 5 ", "burst_entries_min = 11 ")
    assert text != DEFAULT_RULES.read_text("utf-8")
    posted = served.client.post(
        "/v1/rules/candidates",
        content=text.encode(),
        headers=served.headers(Role.ANALYST) | {"Content-Type": "application/toml"},
    )
    assert posted.status_code in {200, 201}, posted.text
    strict = found(served, Role.ADMIN, volunteer=volunteer, rules=posted.json()["digest"])
    assert "entry-burst" not in kinds(strict)
    assert strict["thresholds"]["burst_entries_min"] == 11


def test_a_correction_takes_a_finding_away_at_once(served: Served) -> None:
    volunteer = served.volunteer()
    here, _ = served.served_shift(volunteer, f"{YEAR}-05-06T09:00:00+08:00", f"{YEAR}-05-06T12:00:00+08:00")
    there, _ = served.served_shift(
        volunteer, f"{YEAR}-05-06T11:00:00+08:00", f"{YEAR}-05-06T13:00:00+08:00", OTHER_STATION
    )
    told = found(served, volunteer=volunteer, kind="two-stations")
    (one,) = told["anomalies"]
    assert (one["reason"], one["figures"]) == (
        f"at {STATION} and {OTHER_STATION} at the same time for 1 h 00 min",
        {"minutes": 60},
    )
    assert [UUID(shift["shift"]) for shift in one["shifts"]] == [here, there]
    assert len(one["events"]) == 4
    answer = served.approved("void-shift", volunteer=volunteer, shift=str(there), reason="double")
    assert answer.status_code == 201
    now = found(served, volunteer=volunteer, kind="two-stations")
    assert now["anomalies"] == []
    assert now["known_at"] > told["known_at"]
    again = found(served, volunteer=volunteer, kind="two-stations", known_at=told["known_at"])
    assert again["anomalies"] == [
        {**one, "links": again["anomalies"][0]["links"], "shifts": again["anomalies"][0]["shifts"]}
    ]


def test_all_pages_together_are_the_whole_and_filters_choose(served: Served, sold: dict[str, Any]) -> None:
    asked = {"volunteer": sold["volunteer"], "known_at": sold["known_at"]}
    whole = found(served, **asked)["anomalies"]
    pages: Told = []
    after: dict[str, Any] = {}
    while True:
        page = found(served, **asked, limit=4, **after)
        pages += page["anomalies"]
        if page["next_after"] is None:
            break
        after = {"after": page["next_after"]}
    assert pages == whole
    assert len({one["anomaly"] for one in whole}) == len(whole) == 13
    assert [one["day"] for one in whole] == sorted((one["day"] for one in whole), reverse=True)
    days: dict[str, Any] = {"from": f"{YEAR}-03-03", "to": f"{YEAR}-03-05"}
    some = found(served, **asked, kind="late-entry", **days)
    assert [one["day"] for one in some["anomalies"]] == [f"{YEAR}-03-0{day}" for day in (5, 4, 3)]
    assert found(served, **asked, station=OTHER_STATION)["anomalies"] == []
    assert {one["actor"] for one in found(served, **asked, actor=CLERK)["anomalies"]} == {CLERK}
    assert found(served, **asked, actor="person:nobody")["anomalies"] == []


@pytest.mark.parametrize(
    ("parameters", "status", "field"),
    [
        ({"kind": "murder"}, 422, "kind"),
        ({"station": "C99"}, 404, "station"),
        ({"volunteer": "V9999999"}, 404, "volunteer"),
        ({"after": "2018-12-04"}, 422, "after"),
        ({"after": "2018-13-04/late-entry/0123456789abcdef"}, 422, "after"),
        ({"from": "2018-12-05", "to": "2018-12-04"}, 422, "from"),
        ({"limit": 0}, 422, "limit"),
    ],
)
def test_what_cannot_be_asked_is_told_by_field(
    served: Served, parameters: dict[str, Any], status: int, field: str
) -> None:
    answer = served.get("/v1/anomalies", role=Role.AUDITOR, **parameters)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text


def test_late_minutes_are_told_of_each_grade_and_listed_by_who_entered_them(served: Served) -> None:
    volunteer = served.volunteer()
    served.served_shift(volunteer, f"{YEAR}-06-01T09:00:00+08:00", f"{YEAR}-06-01T12:00:00+08:00")
    enter(served.ledger, volunteer, date(YEAR, 6, 2))
    now = datetime.fromtimestamp(served.ledger.clock(), UTC) - timedelta(hours=4)
    served.served_shift(volunteer, now.isoformat(), (now + timedelta(hours=2)).isoformat())
    position = served.ledger.log.head()
    hours = served.get(f"/v1/volunteers/{volunteer}", at_least=position).json()
    late = {row["year"]: (row["late_scanned_minutes"], row["late_attested_minutes"]) for row in hours["years"]}
    assert late == {YEAR: (180, 300), now.astimezone(ZONE).year: (0, 0)}
    assert (hours["total"]["late_scanned_minutes"], hours["total"]["late_attested_minutes"]) == (180, 300)
    assert hours["total"]["scanned_minutes"] >= 300
    answer = found(served, volunteer=volunteer, kind="late-entry")
    assert answer["late_minutes"] == {"attested": 300, "scanned": 180}
    told = answer["anomalies"]
    assert [(one["actor"], one["figures"]["minutes"], one["figures"]["scanned"]) for one in told] == [
        (CLERK, 300, 0),
        (f"station:{STATION}", 180, 1),
    ]
    assert "10 working days are allowed" in told[0]["reason"]
    explained = served.get(f"/v1/volunteers/{volunteer}/explanation", day=f"{YEAR}-06-02").json()["shifts"]
    assert [shift["late"] for shift in explained] == [True]
    today = served.get(f"/v1/stations/{STATION}/shifts", day=now.astimezone(ZONE).date(), limit=1000).json()["shifts"]
    assert [shift["late"] for shift in today if shift["volunteer"] == volunteer] == [False]
    june = served.get(f"/v1/stations/{STATION}/shifts", day=f"{YEAR}-06-01", limit=1000).json()["shifts"]
    assert [shift["late"] for shift in june if shift["volunteer"] == volunteer] == [True]
    early = served.get(f"/v1/volunteers/{volunteer}", valid_at=f"{YEAR}-06-01").json()["total"]
    assert (early["late_scanned_minutes"], early["late_attested_minutes"]) == (180, 0)


def test_a_late_record_without_minutes_does_not_state_any() -> None:
    """A shift without a check-out."""
    finding, name = Finding("late-entry", day_number(date(2018, 3, 1)), (0, 44, 0), (0,), (), 0, 0), lambda _kind: "?"
    said = reason(finding, name, parse_timeline(DEFAULT_RULES.read_text("utf-8")))
    assert said.startswith("a shift of 2018-03-01 that has no minutes, because it has no check-out")
    assert "recorded on 2018-04-14, 44 days later" in said


# --- spot checks ----------------------------------------------------------------------------------------------------


def sample(served: Served, **parameters: Any) -> dict[str, Any]:
    answer = served.get("/v1/spot-check", role=Role.AUDITOR, at_least=served.ledger.log.head(), **parameters)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_anybody_can_draw_a_sample_again(served: Served, sold: dict[str, Any]) -> None:
    asked = {"seed": "die-3-5", "size": 4, "known_at": sold["known_at"], "from": f"{YEAR}-03-01", "to": f"{YEAR}-03-31"}
    told = sample(served, **asked)
    assert (told["seed"], told["size"], told["known_at"]) == ("die-3-5", 4, sold["known_at"])
    assert told["population"] >= 10
    assert [one["number"] for one in told["shifts"]] == [1, 2, 3, 4]
    assert sample(served, **asked) == told
    enter(served.ledger, sold["volunteer"], date(YEAR, 3, 20))
    assert sample(served, **asked)["shifts"] == told["shifts"], "what came later is not known then"
    for one in told["shifts"]:
        assert one["hash"] == sha256(f"die-3-5/{one['volunteer']}/{one['shift']}".encode()).hexdigest()
        assert served.get(one["links"]["events"]).status_code == 200
        assert len(one["positions"]) == 2
    larger = sample(served, **{**asked, "size": 8})["shifts"]
    assert (
        [one["hash"] for one in larger][:4]
        == [one["hash"] for one in told["shifts"]]
        == sorted(one["hash"] for one in told["shifts"])
    )
    assert sample(served, **{**asked, "seed": "die-3-6"})["shifts"] != told["shifts"]


def test_strata_give_each_grade_its_share(served: Served, sold: dict[str, Any]) -> None:
    served.served_shift(sold["volunteer"], f"{YEAR}-07-01T09:00:00+08:00", f"{YEAR}-07-01T12:00:00+08:00")
    told = sample(served, seed="1", size=5, strata="grade")
    parts = {one["stratum"]: one for one in told["parts"]}
    assert set(parts) == {"attested", "scanned"}
    assert sum(one["population"] for one in parts.values()) == told["population"]
    assert sum(one["drawn"] for one in parts.values()) == 5
    assert all(one["drawn"] for one in parts.values())
    assert {one["grade"] for one in told["shifts"]} == {"attested", "scanned"}
    assert {one["grade"] for one in sample(served, seed="1", size=50, grade="scanned")["shifts"]} == {"scanned"}
    kinds_of = sample(served, seed="1", size=5, strata="station-kind")
    assert {one["stratum"] for one in kinds_of["parts"]} <= {"city", "community"}
    assert all(one["stratum"] == one["station_kind"] for one in kinds_of["shifts"])


def test_a_sample_for_the_field_is_a_table_with_columns_to_fill_in(served: Served, sold: dict[str, Any]) -> None:
    asked = {"seed": "s", "size": 3, "known_at": sold["known_at"], "station": STATION}
    accept = served.headers(Role.AUDITOR) | {"Accept": "text/csv"}
    answer = served.client.get("/v1/spot-check", params=asked, headers=accept)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    told = sample(served, **asked)
    assert tuple(rows[0]) == COLUMNS
    assert [row["shift"] for row in rows] == [one["shift"] for one in told["shifts"]]
    assert all(row[name] == "" for row in rows for name in TO_FILL_IN)
    assert f"known at position {sold['known_at']}, seed=s size=3" in rows[0]["drawn"]


@pytest.mark.parametrize(
    ("parameters", "status", "field"),
    [
        ({"size": 3}, 422, "seed"),
        ({"seed": "a b", "size": 3}, 422, "seed"),
        ({"seed": "a", "size": 0}, 422, "size"),
        ({"seed": "a", "size": 3, "station": "C99"}, 404, "station"),
        ({"seed": "a", "size": 3, "strata": "luck"}, 422, "strata"),
        ({"seed": "a", "size": 1, "strata": "grade"}, 422, "size"),
    ],
)
def test_a_sample_that_cannot_be_drawn_is_told_by_field(
    served: Served, parameters: dict[str, Any], status: int, field: str
) -> None:
    answer = served.get("/v1/spot-check", role=Role.AUDITOR, **parameters)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text


def test_a_scan_of_a_fast_clock_that_is_accepted_later_is_found(database: Database, tmp_path: Path) -> None:
    """It is refused at first, and nothing about the event itself shows it once its time has come."""
    noon = int(datetime(2018, 12, 1, 12, tzinfo=ZONE).timestamp())
    now = [noon]
    ledger = OpenLedger(database, tmp_path, lambda: now[0])
    give(ledger, "open-station", station=STATION, kind="city", occurred_at="2016-01-01T09:00:00+08:00")
    give(ledger, "register-volunteer", volunteer="V1", registered_on="2016-03-05")

    def scan(name: str, seconds_ahead: int, by: str = f"station:{STATION}") -> Order:
        body = {"volunteer": "V1", "station": STATION, "occurred_at": noon + seconds_ahead, "shift": str(uuid4())}
        return order_of(CheckIn.model_validate(body), f"/stations/{STATION}", name, by)

    scans = [scan("fast", 3600), scan("faster", 7200), scan("corrected", 5000), scan("within", 200)]
    typed = scan("typed", 3700, "person:li.wei")
    fast, faster, _, _ = scans
    for _ in range(2):  # a station tries again and again
        answers = ledger.intake.execute([*scans, typed])
        assert [getattr(one, "rejection", None) for one in answers] == [Rejection.FUTURE] * 3 + [None, Rejection.FUTURE]
    ledger.intake.execute([scan("dry", 9000)], Terms(dry_run=True))
    with database.pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM ledger.early_scans").fetchone() == (3,)
    now[0] += 10_000
    assert isinstance(ledger.intake.execute([fast])[0], Accepted)
    early = ledger.log.head()
    ledger.intake.execute([faster, scan("corrected", 60), typed])
    ledger.make_ready()
    clocks = AnomalyFilter(kind="wrong-clock")
    (finding,) = ledger.queries.anomalies.anomalies(NOW, clocks).anomalies
    assert (finding.figures["scans_ahead"], finding.figures["seconds_ahead"]) == (3, 7200)
    assert finding.reason == f"the clock of {STATION} seems wrong: 3 scans from the future, by up to 2 h 00 min"
    (finding,) = ledger.queries.anomalies.anomalies(
        Axes(known_at=early, rules=ledger.current_generation().rules), clocks
    ).anomalies
    assert (finding.figures["scans_ahead"], finding.figures["seconds_ahead"]) == (2, 3600)


def test_only_the_latest_early_scans_are_kept(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append, "EARLY_SCANS_MAX", 5)
    monkeypatch.setattr(batch, "FORGET_EARLY_EVERY", 10)
    ledger = OpenLedger(database, tmp_path)
    give(ledger, "open-station", station=STATION, kind="city")
    give(ledger, "register-volunteer", volunteer="V1", registered_on="2016-03-05")
    body = {"volunteer": "V1", "station": STATION, "occurred_at": "2099-01-01T09:00:00+08:00"}
    for number in range(40):
        order = order_of(CheckIn.model_validate(body), "/stations/C01", str(number), f"station:{STATION}")
        assert isinstance(ledger.intake.execute([order])[0], Refused)
    with database.pool.connection() as connection:
        (kept,) = connection.execute("SELECT count(*) FROM ledger.early_scans").fetchone() or (0,)
    assert 5 <= kept <= 16


def test_the_order_of_uploading_changes_no_sample_and_no_shift_of_a_finding(
    new_database_url: Callable[[], str], tmp_path: Path
) -> None:
    told = []
    for turn in (0, 1):
        with Database.open(new_database_url()) as database:
            ledger = OpenLedger(database, tmp_path / str(turn))
            for station in (STATION, OTHER_STATION):
                give(ledger, "open-station", station=station, kind="city")
            give(ledger, "register-volunteer", volunteer="V1", registered_on="2016-03-05")
            for number in sorted(range(1, 10), reverse=bool(turn)):
                day, hour = f"2018-12-{number % 5 + 1:02d}", 9 + number // 5
                scan = {
                    "volunteer": "V1",
                    "shift": str(UUID(int=number)),
                    "station": STATION if number % 2 else OTHER_STATION,
                }
                give(ledger, "check-in", occurred_at=f"{day}T{hour:02d}:00:00+08:00", **scan)
                give(ledger, "check-out", occurred_at=f"{day}T{hour + 3:02d}:00:00+08:00", **scan)
            ledger.make_ready()
            ledger.catch_up()
            drawn = ledger.queries.spot_checks.draw(Draw("x", 4), NOW)
            odd = ledger.queries.anomalies.anomalies(NOW, AnomalyFilter(kind="two-stations"))
            told.append(
                (
                    [one.shift for one in drawn.shifts],
                    [([shift.shift for shift in one.shifts], one.reason) for one in odd.anomalies],
                )
            )
    assert told[0] == told[1]
    assert told[0][1]


def test_service_before_the_registration_or_the_opening_is_accepted_and_found(served: Served) -> None:
    volunteer = served.volunteer()  # registered on 2016-03-05
    opened = served.command("open-station", station="LATE", kind="community", occurred_at="2018-06-01T09:00:00+08:00")
    assert opened.status_code == 201, opened.text
    early = [
        served.served_shift(volunteer, f"{day}T09:00:00+08:00", f"{day}T11:00:00+08:00", "LATE")[0]
        for day in ("2016-03-01", "2016-03-04", "2018-05-31")
    ]
    served.served_shift(volunteer, "2018-06-01T07:00:00+08:00", "2018-06-01T08:00:00+08:00", "LATE")  # its first day
    (registered,) = found(served, volunteer=volunteer, kind="before-registration")["anomalies"]
    assert (registered["volunteer"], registered["day"], registered["figures"]) == (
        volunteer, "2016-03-04", {"shifts": 2, "days": 4},
    )  # fmt: skip
    assert registered["reason"] == f"2 shifts of {volunteer} before the registration, by up to 4 days"
    assert [UUID(one["shift"]) for one in registered["shifts"]] == early[:2]
    (opening,) = found(served, station="LATE", kind="before-opening")["anomalies"]
    assert (opening["station"], opening["volunteer"]) == ("LATE", None)
    assert opening["reason"] == "3 shifts of 1 volunteer at LATE before it was opened, by up to 822 days"
    assert [UUID(one["shift"]) for one in opening["shifts"]] == early
    assert served.get(f"/v1/volunteers/{volunteer}").json()["total"]["credited_minutes"] == 420  # nothing is lost
    until = found(served, station="LATE", kind="before-opening", valid_at="2016-03-02")["anomalies"]
    assert [one["figures"] for one in until] == [{"shifts": 1, "volunteers": 1, "days": 822}]


def test_service_after_a_withdrawal_or_a_closing_is_accepted_and_found(served: Served) -> None:
    one, other = served.volunteer(), served.volunteer()  # registered on 2016-03-05
    opened = served.command("open-station", station="GONE", kind="community", occurred_at="2016-01-01T09:00:00+08:00")
    assert opened.status_code == 201, opened.text
    before = served.ledger.log.head()
    closed = served.command("close-station", station="GONE", reason="moved", occurred_at="2017-06-01T18:00:00+08:00")
    assert closed.status_code == 201, closed.text
    assert (
        served.command("withdraw-volunteer", volunteer=one, withdrawn_on="2017-03-31", reason="moved-away").status_code
        == 201
    )
    late = [
        served.served_shift(one, f"{day}T19:00:00+08:00", f"{day}T21:00:00+08:00", "GONE")[0]
        for day in ("2017-03-31", "2017-04-01", "2017-06-01", "2017-06-03")
    ]
    (withdrawn,) = found(served, volunteer=one, kind="after-withdrawal")["anomalies"]
    assert (withdrawn["day"], withdrawn["figures"]) == ("2017-06-03", {"shifts": 3, "days": 64})
    assert withdrawn["reason"] == f"3 shifts of {one} after the withdrawal, by up to 64 days"
    assert [UUID(shift["shift"]) for shift in withdrawn["shifts"]] == late[1:]
    (closing,) = found(served, station="GONE", kind="after-closing")["anomalies"]
    assert closing["reason"] == "1 shift of 1 volunteer at GONE after it was closed, by up to 2 days"
    assert [UUID(shift["shift"]) for shift in closing["shifts"]] == late[3:]
    assert found(served, station="GONE", kind="after-closing", known_at=before)["anomalies"] == []
    assert served.get(f"/v1/volunteers/{one}").json()["total"]["credited_minutes"] == 480  # nothing is lost

    again = served.command("register-volunteer", volunteer=one, registered_on="2017-06-01")
    assert again.status_code == 201, again.text
    (withdrawn,) = found(served, volunteer=one, kind="after-withdrawal")["anomalies"]
    assert withdrawn["figures"] == {"shifts": 1, "days": 1}
    merge: dict[str, Any] = {"volunteer": one, "into": other, "reason": "two-cards"}
    assert served.approved("merge-volunteer", Role.CORRECTOR, **merge).status_code == 201
    assert found(served, volunteer=one, kind="after-withdrawal")["anomalies"] == []  # the other number is in use
    reopened = served.command("open-station", station="GONE", kind="city", occurred_at="2017-06-02T09:00:00+08:00")
    assert reopened.status_code == 201, reopened.text
    assert found(served, station="GONE", kind="after-closing")["anomalies"] == []


def test_one_phone_under_several_numbers_is_found_unless_they_are_one_person(served: Served) -> None:
    one, two, three, other = (served.volunteer() for _ in range(4))
    persons = Persons(served.ledger.database.pool)
    phones = {one: "0755-2550 1234", two: "0755 25501234", three: "+86 138 0013 8000", other: "86-13800138000"}
    persons.save_all([Person(number, "张三", phone) for number, phone in phones.items()])

    def shared(volunteer: str, **axes: Any) -> list[tuple[str, list[str]]]:
        told = found(served, volunteer=volunteer, kind="shared-phone", **axes)
        return [(each["volunteer"], each["others"]) for each in told["anomalies"]]

    assert shared(one) == shared(two) == [(one, [two])]
    assert shared(other) == [(three, [other])]
    told = found(served, volunteer=two, kind="shared-phone")
    (phone,) = told["anomalies"]
    assert (phone["reason"], phone["day"]) == (f"2 persons have the same phone: {one}, {two}", "2016-03-05")
    assert "2550" not in json.dumps(told)
    topics = [served.get(each["links"]["event"]).json()["event"]["topic"] for each in phone["events"]]
    assert topics == ["volunteer-registered.v1"] * 2
    assert shared(one, valid_at="2016-03-04") == []
    merge: dict[str, Any] = {"volunteer": three, "into": other, "reason": "two-cards"}
    assert served.approved("merge-volunteer", Role.CORRECTOR, **merge).status_code == 201
    assert shared(other) == []
    assert persons.erase(one) > 0  # what was erased is found no more, although it was found before
    assert shared(two) == []


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_command_line_shows_findings_and_where_to_go_on(reads: CommandLine) -> None:
    told = reads("anomalies", "--limit", 2)
    assert told.code == 0
    assert "late-entry 3" in told.out
    assert "recorded late: 2:00 attested, 6:00 scanned" in told.out
    after = told.out.partition("more: --after ")[2].split()[0]
    rest = reads("anomalies", "--after", after, "--json").answer["anomalies"]
    whole = reads("anomalies", "--json").answer["anomalies"]
    assert rest == whole[2:]
    answer = reads("anomalies", "--kind", "late-entry", "--volunteer", "V0000001", "--json").answer
    assert [one["day"] for one in answer["anomalies"]] == ["2018-12-02", "2018-12-01"]


def test_the_command_line_draws_and_writes_samples(reads: CommandLine, tmp_path: Path) -> None:
    told = reads("spot-check", "--seed", "7", "--size", 2, "--json").answer
    assert (told["population"], len(told["shifts"])) == (3, 2)
    path = tmp_path / "field.csv"
    written = reads("spot-check", "--seed", "7", "--size", 2, "--output", path)
    assert written.code == 0
    assert "2 of 3 shifts (all)" in written.out
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    assert [row["shift"] for row in rows] == [one["shift"] for one in told["shifts"]]
    assert "Spot check" in reads("spot-check", "--seed", "7", "--size", 2, "--strata", "grade").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("anomalies", "--kind", "murder"), "--kind murder is not known; use one of two-stations,"),
        (("anomalies", "--station", "C99"), "station C99 is not known to the ledger; check the id"),
        (("anomalies", "--after", "x"), "after 'x' is not the next_after of a page; omit it for the first page"),
        (("anomalies", "--from", "2018-12-05", "--to", "2018-12-04"), "is after --to 2018-12-04; swap them"),
        (("spot-check", "--seed", "a b", "--size", "3"), "--seed 'a b' is not a valid seed; use up to 64 letters"),
        (
            ("spot-check", "--seed", "a", "--size", "3", "--grade", "A"),
            "--grade A is not known; use scanned or attested",
        ),
        (
            ("spot-check", "--seed", "a", "--size", "3", "--strata", "luck"),
            "--strata luck is not known; use station-kind",
        ),
        (("spot-check", "--seed", "a", "--size", "0"), "Invalid value for '--size'"),
        (
            ("spot-check", "--seed", "a", "--size", "1", "--strata", "grade"),
            "--size 1 is too small for the 2 grades of these shifts (attested, scanned)",
        ),
    ],
)
def test_a_mistake_is_told_in_a_sentence(reads: CommandLine, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in reads(*words).sentence
