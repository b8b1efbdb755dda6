"""The overview, and signing in and out."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect

from api.access.roles import Role
from tests.support.api.serving import STATION
from tests.support.browser.site import Site, bytes_of, violations

pytest_plugins = ["tests.support.browser.fixtures"]


def test_figures_change_while_one_looks(site: Site) -> None:
    page = site.page("/")
    shown = page.locator("[data-live=volunteers]")
    before = int(shown.inner_text())
    site.served.volunteer()
    expect(shown).to_have_text(str(before + 1))


@pytest.mark.parametrize(("language", "words"), [("en", "hours of voluntary service"), ("zh", "小时志愿服务")])
def test_both_languages(site: Site, language: Literal["en", "zh"], words: str) -> None:
    page = site.page("/", language=language)
    expect(page.locator("h1")).to_contain_text(words)
    page.locator(".tools a").first.click()
    expect(page.locator("html")).to_have_attribute("lang", {"en": "zh-CN", "zh": "en"}[language])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/sign-in", "/no-such-page"])
def test_axe_finds_nothing(site: Site, path: str, theme: Literal["light", "dark"]) -> None:
    page = site.page(path, theme=theme)
    assert violations(page) == []
    site.errors = [error for error in site.errors if "404" not in error]


def test_the_theme_that_was_chosen_stays(site: Site) -> None:
    page = site.page("/")
    page.locator("[data-theme-toggle]").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_signing_in_by_a_link_and_out(site: Site) -> None:
    page = site.page("/", Role.STATION)
    expect(page.locator(".who")).to_have_text(STATION)
    (cookie,) = [each for each in page.context.cookies() if "session" in each["name"]]
    assert cookie["httpOnly"]
    assert cookie["secure"]
    assert cookie["sameSite"] == "Lax"
    page.locator("header form button").click()
    expect(page.locator(".sign-in")).to_be_visible()


def test_a_link_takes_no_session_unasked(site: Site) -> None:
    page, token = site.page("/", Role.STATION), site.served.tokens[Role.STAFF]
    page.goto(f"/sign-in#{token}")
    expect(page.locator("[data-other]")).to_be_visible()
    assert token not in page.url
    page.reload()
    expect(page.locator(".who")).to_have_text(STATION)
    page.evaluate("key => { location.hash = key }", token)  # the link, opened where this page is shown
    expect(page.locator("[data-other]")).to_be_visible()
    page.locator("main button").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    expect(page.locator(".who")).not_to_have_text(STATION)


def test_a_key_that_is_not_known_is_refused_in_words(site: Site) -> None:
    page = site.page("/sign-in")
    page.get_by_label("Key").fill("hours_unknown")
    page.locator("main button").click()
    expect(page.locator(".error")).to_contain_text("unknown")
    site.errors = [error for error in site.errors if "401" not in error]


def test_a_page_is_light(site: Site) -> None:
    sizes = bytes_of(site.page("/"), "/")
    assert sum(sizes.values()) < 150_000, sizes
