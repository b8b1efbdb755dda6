"""The import of a table: a dry run line by line, and then the record; who was given no import is told so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from api.access.keys import Import
from api.access.roles import Role
from tests.support.api.serving import STATION
from tests.support.browser.site import Site, bytes_of, violations

pytest_plugins = ["tests.support.browser.fixtures"]

LINES = 600
MAPPING = f"""
command = "attest-shift"
source = "/imports/lists"
key = "no"
time_zone = "Asia/Shanghai"

[fields]
volunteer = "volunteer"
station = {{ constant = "{STATION}" }}
check_in = {{ date = "day", time = "from" }}
check_out = {{ date = "day", time = "until" }}
evidence = {{ constant = "list" }}
"""


@pytest.fixture
def table(site: Site, tmp_path: Path) -> Path:
    """A list of shifts of one volunteer, of which one has a number that nobody has, and one no day."""
    number = site.served.volunteer()
    first = datetime(2013, 1, 1, tzinfo=UTC)
    rows = [f"{number}-{day},{number},{first + timedelta(day):%Y-%m-%d},09:00,11:00" for day in range(LINES)]
    rows[1] = "x1,V7777777,2013-01-02,09:00,11:00"
    rows[2] = f"x2,{number},,09:00,11:00"
    path = tmp_path / "list.csv"
    path.write_text("no,volunteer,day,from,until\n" + "\n".join(rows), "utf-8")
    return path


def test_a_table_is_rehearsed_line_by_line_and_then_recorded(site: Site, table: Path) -> None:
    given = Import("/imports/lists", datetime.now(UTC) + timedelta(1))
    _, token = site.served.ledger.keys.make(Role.CORRECTOR, "importer", imports=given)
    page = site.page("/office/import", token=token)
    expect(page.get_by_text("Your key was given the import /imports/lists.")).to_be_visible()
    page.locator("[name=file]").set_input_files(table)
    page.locator("[name=mapping]").fill(MAPPING)
    head = site.served.ledger.log.head()
    page.get_by_role("button", name="Dry run").click()
    summary = page.locator(".summary")
    expect(summary).to_have_text(f"{LINES - 2} accepted · 0 recorded before · 2 refused Nothing is recorded yet.")
    assert site.served.ledger.log.head() == head
    page.get_by_role("button", name="Only refused").click()
    rows = page.locator("#outcome tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("no volunteer has this number")
    expect(rows.last).to_contain_text("check_in")
    page.get_by_role("button", name="All lines").click()
    page.get_by_role("button", name="Later lines").click()
    expect(page.locator(".pager")).to_contain_text("2 / 6")
    expect(rows.first).to_contain_text("102")

    page.get_by_role("button", name="Record the accepted lines").click()
    expect(summary).to_contain_text("Recorded.")
    assert site.served.ledger.log.head() == head + 2 * (LINES - 2)
    page.get_by_role("button", name="Dry run").click()
    expect(summary).to_contain_text(f"0 accepted · {LINES - 2} recorded before")
    assert violations(page) == []


def test_hours_without_clock_times_are_laid_in_their_day(site: Site, tmp_path: Path) -> None:
    number = site.served.volunteer()
    path = tmp_path / "list.csv"
    path.write_text(f"no,volunteer,place,day,hours\n{number}a,{number},东门,2013-03-05,1.5\n", "utf-8")
    given = Import("/imports/service-lists", datetime.now(UTC) + timedelta(1))
    _, token = site.served.ledger.keys.make(Role.CORRECTOR, "lists", imports=given)
    page = site.page("/office/import", token=token, language="zh")
    page.locator("[name=file]").set_input_files(path)
    page.locator("[data-examples]").select_option("durations")
    mapping = page.locator("[name=mapping]")
    mapping.fill(mapping.input_value().replace("U01", STATION))
    page.get_by_role("button", name="试运行").click()
    row = page.locator("#outcome tbody tr")
    expect(row).to_contain_text("2013-03-05 09:00 · 2013-03-05 10:30")
    expect(row).to_contain_text("没有钟点，由系统排入当天")
    page.get_by_role("button", name="正式导入通过的行").click()
    expect(page.locator(".summary")).to_contain_text("1 通过")


def test_without_an_import_nothing_can_be_recorded(site: Site, table: Path) -> None:
    page = site.page("/office/import", Role.STAFF, language="zh", theme="dark", size="phone")
    assert sum(bytes_of(page, "/office/import").values()) < 150_000
    assert violations(page) == []
    expect(page.get_by_text("您的密钥未获导入授权")).to_be_visible()
    page.locator("[name=file]").set_input_files(table)
    page.locator("[data-examples]").select_option("shifts")
    page.get_by_role("button", name="试运行").click()
    expect(page.get_by_role("alert")).to_contain_text("mapping does not fit the file")
    page.locator("[name=mapping]").fill(MAPPING)
    page.get_by_role("button", name="试运行").click()
    expect(page.locator(".summary")).to_contain_text(f"{LINES} 被拒绝")
    expect(page.locator("#outcome tbody tr").first).to_contain_text("您的密钥")
    expect(page.get_by_role("button", name="正式导入通过的行")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    site.errors = [error for error in site.errors if "422" not in error]
