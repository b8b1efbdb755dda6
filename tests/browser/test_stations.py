"""A station's pages: the list, a year, its hours of the day, and from a number down to the events behind it."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect

from api.access.roles import Role
from tests.support.api.serving import KEY_NAMES, STATION, Served
from tests.support.browser.site import Site, bytes_of, violations

pytest_plugins = ["tests.support.browser.fixtures"]

OWN = KEY_NAMES[Role.VOLUNTEER]
PATHS = ("/stations", f"/stations/{STATION}", f"/stations/{STATION}/days/2018-12-02")


@pytest.fixture(scope="module", autouse=True)
def history(site_ledger: tuple[Served, str]) -> None:
    """Four days in a row in 2017, and one shift that goes on after midnight."""
    served, _ = site_ledger
    for day in range(1, 5):
        served.served_shift(OWN, f"2017-05-0{day}T14:00:00+08:00", f"2017-05-0{day}T16:30:00+08:00")
    _, position = served.served_shift(OWN, "2018-12-03T23:00:00+08:00", "2018-12-04T01:00:00+08:00")
    while served.get(f"/v1/volunteers/{OWN}", at_least=position).status_code == 503:
        pass  # it waits itself, but not for long


def test_a_number_is_clicked_down_to_the_events_behind_it(site: Site) -> None:
    page = site.page("/stations", Role.STATION)
    expect(page.locator("main > .note")).to_have_text("Hours from November 4, 2018 to December 3, 2018")
    expect(page.locator(".tile-list li", has_text=STATION)).to_contain_text("9 h 3 of 30 days open")
    page.get_by_role("link", name=STATION).click()
    expect(page.locator("#year")).to_contain_text("2018")  # the newest year with service, not the empty one of today
    row = page.locator("#days ~ .wide tbody tr", has_text="Dec 2, 2018")
    hours, shifts, people = row.locator("td").all_inner_texts()
    assert (hours, shifts, people) == ("5:00", "2", "40")
    row.get_by_role("link").click()
    expect(page.locator(".tiles")).to_contain_text("5:00")
    rows = page.locator(".stays tbody tr")
    expect(rows).to_have_count(2)
    assert sorted(each.locator("td.n").first.inner_text() for each in rows.all()) == ["2:00", "3:00"]
    page.get_by_role("link", name=OWN, exact=True).click()
    expect(page.locator("[data-total=counted]")).to_have_text("2:00")
    page.get_by_role("link", name="events").click()
    expect(page.locator(".events li")).to_have_count(3)


def test_a_year_has_its_days_and_a_square_of_the_calendar_opens_one(site: Site) -> None:
    page = site.page(f"/stations/{STATION}?year=2017", Role.READER)
    expect(page.locator(".tiles").first).to_contain_text("4")
    tiles = page.locator(".tiles > div")
    expect(tiles.filter(has_text="Days open in 2017").locator("dd")).to_have_text("4")
    expect(tiles.filter(has_text="without a break")).to_contain_text("May 1, 2017 – May 4, 2017")
    expect(page.locator("#hours")).to_contain_text("Apr 7, 2017 to May 4, 2017")
    cells = page.locator(".heat tbody tr").nth(1).locator("td")  # Tuesday, 2017-05-02
    assert cells.all_inner_texts() == ["1", "1", "1"]
    expect(page.locator("#people ~ .places")).to_contain_text("10:00")
    box = page.locator("svg.calendar").bounding_box()
    assert box is not None
    scale = box["width"] / float((page.locator("svg.calendar").get_attribute("viewBox") or "").split()[2])
    week, weekday = divmod(121 + 6, 7)  # 2017-05-02 is 121 days after 2017-01-01, a Sunday
    page.mouse.click(box["x"] + (30 + week * 13 + 6) * scale, box["y"] + (18 + weekday * 13 + 6) * scale)
    page.wait_for_url("**/days/2017-05-02")
    expect(page.locator("h1")).to_have_text("May 2, 2017")


def test_a_shift_after_midnight_is_part_of_both_days(site: Site) -> None:
    page = site.page(f"/stations/{STATION}/days/2018-12-04", Role.STATION)
    expect(page.locator(".stays tbody tr")).to_contain_text("since the day before")
    rect = page.locator("rect[data-minutes]")
    assert (rect.get_attribute("x"), rect.get_attribute("width")) == ("0", "60")
    page.locator("[rel=prev]").click()
    expect(page.locator("h1")).to_have_text("December 3, 2018")
    assert (rect.get_attribute("x"), rect.get_attribute("width")) == ("1380", "60")


@pytest.mark.parametrize(("theme", "language", "size"), [("light", "en", "phone"), ("dark", "zh", "wide")])
def test_axe_finds_nothing(
    site: Site, theme: Literal["light", "dark"], language: Literal["en", "zh"], size: Literal["wide", "phone"]
) -> None:
    page = site.page("/stations", Role.STAFF, theme=theme, language=language, size=size)
    for path in PATHS:
        page.goto(path)
        if path.endswith(STATION):
            expect(page.locator(".heat")).to_be_visible()
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    if language == "zh":
        expect(page.locator("h1")).to_have_text("2018年12月2日")


def test_a_page_is_light(site: Site) -> None:
    page = site.page("/stations", Role.STAFF)
    for path in PATHS:
        sizes = bytes_of(page, path)
        assert sum(sizes.values()) < 150_000, sizes


def test_an_unknown_station_is_said(site: Site) -> None:
    page = site.page("/stations/X99", Role.STAFF)
    expect(page.locator("h1")).to_have_text("This does not exist")
    site.errors = [error for error in site.errors if "404" not in error]
