"""A volunteer's pages: the record, why a day counted as it did, disputes, papers, and the search for volunteers."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from api.access.roles import Role
from ledger.store.persons import Person, Persons
from tests.support.api.serving import KEY_NAMES, Served
from tests.support.browser.site import Site, bytes_of, violations

pytest_plugins = ["tests.support.browser.fixtures"]

OWN, OTHER = KEY_NAMES[Role.VOLUNTEER], "V0000002"
LONG_DAY = "2018-11-20"


@pytest.fixture(scope="module")
def shifts(site_ledger: tuple[Served, str]) -> dict[str, str]:
    """Shifts of the volunteer: over the day's limit and within another one, without a check-out, too short."""
    served, _ = site_ledger
    long, _ = served.served_shift(OWN, f"{LONG_DAY}T07:00:00+08:00", f"{LONG_DAY}T19:40:00+08:00")
    within, _ = served.served_shift(OWN, f"{LONG_DAY}T09:00:00+08:00", f"{LONG_DAY}T10:00:00+08:00")
    short, position = served.served_shift(OWN, "2018-11-22T09:00:00+08:00", "2018-11-22T09:06:00+08:00")
    served.command("check-in", volunteer=OWN, station="C01", occurred_at="2018-11-24T09:00:00+08:00")
    while served.get(f"/v1/volunteers/{OWN}", at_least=position + 1).status_code == 503:
        pass  # it waits itself, but not for long
    return {"long": str(long), "within": str(within), "short": str(short)}


def without(site: Site, *words: str) -> None:
    """Forget the errors in the console which say that an answer was refused, as it was to be."""
    site.errors = [error for error in site.errors if not any(word in error for word in words)]


def minutes(text: str) -> int:
    """Return the minutes of hours as they are written."""
    hours, _, rest = text.replace(",", "").partition(":")
    return int(hours) * 60 + int(rest)


def test_a_shift_is_disputed_on_a_phone_in_three_taps(site: Site) -> None:
    page = site.page("/me", Role.VOLUNTEER, size="phone", has_touch=True)
    first = page.locator(".shifts li").first
    expect(first).to_contain_text("Dec 2, 2018")
    first.get_by_role("link", name="This is wrong").tap()
    page.get_by_text("The times are wrong").tap()
    page.get_by_role("button", name="Send").tap()
    expect(page.locator(".done")).to_contain_text("recorded")
    expect(page.locator(".notice")).to_contain_text("The times are wrong")
    page.goto("/me")
    expect(page.locator(".shifts li").first.locator(".badge.warn")).to_have_text("in dispute")
    (dispute,) = site.served.get("/v1/disputes", volunteer=OWN).json()["disputes"]
    assert (dispute["opened"]["by"], dispute["opened"]["reason"]) == (f"person:{OWN}", "times-wrong")


def test_a_dispute_that_is_sent_twice_is_one_and_one_without_a_reason_loses_nothing(
    site: Site, shifts: dict[str, str]
) -> None:
    page = site.page(f"/volunteers/{OWN}/shifts/{shifts['short']}/dispute", Role.VOLUNTEER)
    form: dict[str, str | float | bool] = {
        "name": page.locator("[name=name]").get_attribute("value") or "",
        "reason": "too-few-minutes",
    }
    for _ in range(2):
        answer = page.request.post(page.url, form=form, headers={"Origin": site.address})
        assert answer.status == 200, answer.text()
    events = site.served.get(f"/v1/volunteers/{OWN}/shifts/{shifts['short']}/events").json()["events"]
    assert [each["topic"] for each in events].count("shift-disputed.v1") == 1
    answer = page.request.post(page.url, form={"text": "Until noon <b>"}, headers={"Origin": site.address})
    assert answer.status == 422
    assert "Until noon &lt;b&gt;" in answer.text()
    assert "Choose what is wrong." in answer.text()


def test_the_picture_of_a_day_agrees_with_its_words_and_numbers(site: Site, shifts: dict[str, str]) -> None:
    page = site.page(f"/volunteers/{OWN}/days/{LONG_DAY}", Role.VOLUNTEER)
    drawn: dict[str, int] = {}
    for rect in page.locator("rect[data-minutes]").all():
        fate = (rect.get_attribute("class") or "").removeprefix("fate-")
        wide = int(rect.get_attribute("data-minutes") or 0)
        assert rect.get_attribute("width") == str(wide)
        drawn[fate] = drawn.get(fate, 0) + wide
    told: dict[str, int] = {}
    for row in page.locator(".stretches tbody tr").all():
        fate = row.get_attribute("data-fate") or ""
        told[fate] = told.get(fate, 0) + minutes(row.locator("td.n").inner_text())
    explained = site.served.get(f"/v1/volunteers/{OWN}/explanation", day=LONG_DAY).json()["trace"]
    assert drawn == told == {"counted": 480, "capped": 240, "clipped": 40, "overlapped": 60}
    assert drawn == {fate: explained[fate] for fate in drawn}
    expect(page.locator("[data-total=counted]")).to_have_text("8:00")
    bar = page.locator(".day-bar").first
    assert "07:00–15:00 counted" in (bar.get_attribute("aria-label") or "")
    expect(page.locator("main")).to_contain_text("A day holds at most 8:00 h.")
    expect(page.locator("main")).to_contain_text("Another shift already holds the same minutes")
    page.get_by_role("link", name="That shift").click()
    expect(page.locator(".events li")).to_have_count(2)
    assert page.url.endswith(shifts["long"])


@pytest.mark.parametrize(
    ("language", "short", "open_ended", "corrected"),
    [
        ("en", "It lasted 6 min, which is too short to count.", "There is no check-out", "Left earlier"),
        ("zh", "仅服务 6 分钟，时间过短，不计时数。", "缺少签退", "提前离开"),
    ],
    ids=["en", "zh"],
)
def test_every_shift_says_why_it_earns_what_it_earns(
    site: Site, shifts: dict[str, str], language: Literal["en", "zh"], short: str, open_ended: str, corrected: str
) -> None:
    page = site.page(f"/volunteers/{OWN}/shifts", Role.VOLUNTEER, language=language, size="phone")
    assert shifts["short"] in page.content()
    expect(page.locator(".shifts")).to_contain_text(short)
    expect(page.locator(".shifts")).to_contain_text(open_ended)
    page.goto(f"/volunteers/{OWN}/shifts/00000000-0000-0000-0000-000000000002")
    row = page.locator(".changes tbody tr")
    expect(row.locator("del")).to_contain_text("12:00")
    expect(row.locator("ins")).to_contain_text("11:00")
    expect(page.locator(".events")).to_contain_text(corrected)


def test_a_volunteer_sees_nobody_else(site: Site) -> None:
    page = site.page("/me", Role.VOLUNTEER)
    expect(page.locator("h1")).to_contain_text(OWN)
    for path in (
        "",
        "/shifts",
        "/days/2018-12-02",
        "/statement",
        f"/shifts/{'0' * 31}3",
        f"/shifts/{'0' * 31}3/dispute",
    ):
        answer = page.goto(f"/volunteers/{OTHER}{path}")
        assert answer is not None
        assert answer.status in {403, 422}, path
        assert "6000" not in page.content()
    for path in ("/volunteers", "/stations", "/stations/C01", "/stations/C01/days/2018-12-02"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 403, path
        expect(page.locator("h1")).to_have_text("Not with this key")
    form: dict[str, str | float | bool] = {"reason": "too-few-minutes"}
    path = f"/volunteers/{OTHER}/shifts/00000000-0000-0000-0000-000000000003/dispute"
    assert page.request.post(path, form=form, headers={"Origin": site.address}).status == 403
    without(site, "403", "422")


def test_papers_are_the_api_s_documents(site: Site) -> None:
    body = {"volunteer": OWN, "from_year": 2018, "to_year": 2018, "organisation": "fed-01", "handler": "王丽"}
    answer = site.served.client.post("/v1/certificates", json=body, headers=site.served.headers(Role.STAFF))
    number = answer.json()["certificate"]
    page = site.page("/me", Role.VOLUNTEER)
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF").click()
    assert download.value.suggested_filename == f"certificate-{number}.pdf"
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    page.get_by_role("link", name="Print").click()
    expect(page.locator("h1")).to_contain_text("Statement")
    expect(page.locator("body")).to_contain_text(OWN)


def test_volunteers_are_found_by_number_and_by_those_who_may_by_name(site: Site) -> None:
    Persons(site.served.ledger.database.pool).save(Person(OTHER, "陈晓明", "13800138000"))
    page = site.page("/volunteers", Role.STAFF)
    for text in ("陈晓", "1380013"):
        page.get_by_label("Number, name or phone").fill(text)
        page.get_by_role("button", name="Find").click()
        expect(page.locator(".found")).to_contain_text(f"{OTHER}陈晓明13800138000")
        assert page.url == f"{site.address}/volunteers"
    page.locator(".found a").click()
    expect(page.locator("h1")).to_contain_text(OTHER)
    page.get_by_role("button", name="Show name and phone").click()
    expect(page.locator(".person")).to_have_text("陈晓明 · 13800138000")
    page = site.page("/volunteers", Role.READER)
    page.get_by_label("Volunteer number").fill("V7654321")
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".error")).to_contain_text("No volunteer has this number")
    expect(page.get_by_label("Volunteer number")).to_have_value("V7654321")
    page.get_by_label("Volunteer number").fill(OTHER.lower())
    page.get_by_role("button", name="Find").click()
    expect(page.locator("h1")).to_contain_text(OTHER)
    expect(page.get_by_role("button", name="Show name and phone")).to_have_count(0)
    without(site, "422")


def test_a_number_is_clicked_down_to_its_events(site: Site, shifts: dict[str, str]) -> None:
    assert shifts
    page = site.page("/me", Role.VOLUNTEER)
    page.get_by_role("link", name="2018", exact=True).click()
    rows = page.locator(".shifts > li")
    whole = site.served.get(f"/v1/volunteers/{OWN}/overview").json()["total"]
    expect(rows).to_have_count(whole["shifts"])
    assert sum(minutes(each) for each in page.locator(".shift-hours").all_inner_texts()) == whole["credited_minutes"]
    page.goto("/me")
    page.locator("#projects ~ .place a").first.click()
    expect(rows).to_have_count(1 if "project=star-school" in page.url else whole["shifts"] - 1)


@pytest.mark.parametrize(("theme", "language", "size"), [("light", "en", "wide"), ("dark", "zh", "phone")])
def test_axe_finds_nothing(
    site: Site,
    shifts: dict[str, str],
    theme: Literal["light", "dark"],
    language: Literal["en", "zh"],
    size: Literal["wide", "phone"],
) -> None:
    own = f"/volunteers/{OWN}"
    shift = f"{own}/shifts/{shifts['short']}"
    page = site.page("/me", Role.VOLUNTEER, theme=theme, language=language, size=size)
    for path in ("/me", f"{own}/shifts", f"{own}/days/{LONG_DAY}", shift, f"{shift}/dispute"):
        page.goto(path)
        assert violations(page) == [], path
        assert fits(page), path
    page = site.page("/volunteers", Role.STAFF, theme=theme, language=language, size=size)
    assert violations(page) == []


def fits(page: Page) -> bool:
    """Return whether a page is no wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_page_is_light(site: Site) -> None:
    page = site.page("/me", Role.VOLUNTEER)
    for path in ("/me", f"/volunteers/{OWN}/shifts", f"/volunteers/{OWN}/days/{LONG_DAY}"):
        sizes = bytes_of(page, path)
        assert sum(sizes.values()) < 150_000, sizes
