"""Honours: announced, objected to, settled, awarded and printed; what undercuts one, and who may do what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from api.access.roles import Role
from tests.support.api.conferring import ANNOUNCED, FAR, GIVEN, NEAR, Clock, caught_up, conferring, post, shift_id
from tests.support.api.serving import Served, listening
from tests.support.browser.site import Site, bytes_of, violations

LATER = date(2018, 12, 28)

pytest_plugins = ["tests.support.browser.fixtures"]


@pytest.fixture(scope="module")
def conferred_ledger(
    new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Clock, str]]:
    """A served ledger whose clock can be moved; the tests of this file share it."""
    with conferring(new_database_url(), tmp_path_factory.mktemp("honors")) as (served, clock):
        caught_up(served)
        with listening(served) as server:
            yield served, clock, f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def awarded(conferred_ledger: tuple[Served, Clock, str]) -> str:
    """An award that was announced and given. The log's clock never goes back, so this is done once."""
    served, clock, _ = conferred_ledger
    for step, day in (("announcements", ANNOUNCED), ("awards", LATER)):
        clock.move_to(day)
        conferred = post(served, f"/v1/honors/star-1/{step}", volunteer=FAR)
        assert conferred.get("accepted") == 1, conferred
        caught_up(served)
    return f"star-1-{FAR}"


@pytest.fixture
def site(chromium: Browser, conferred_ledger: tuple[Served, Clock, str]) -> Iterator[Site]:
    """The ledger in the browser; at the end its pages are closed, and none may have had an error."""
    served, clock, address = conferred_ledger
    clock.move_to(ANNOUNCED)
    with ExitStack() as stack:
        made = Site(served, address, chromium, stack)
        yield made
    assert not made.errors


def test_an_honour_is_announced_and_awarded(site: Site, conferred_ledger: tuple[Served, Clock, str]) -> None:
    _, clock, _ = conferred_ledger
    page = site.page("/honors", Role.HONORS_OFFICER)
    page.get_by_role("link", name="一星级义工").click()
    page.get_by_role("button", name=f"Announce for {NEAR}").click()
    expect(page.get_by_role("status")).to_contain_text("1 honour announced.")
    page.get_by_role("status").get_by_role("link", name=NEAR).click()
    expect(page.locator(".facts")).to_contain_text("101:20")

    page.get_by_role("button", name="Award it").click()
    expect(page.get_by_role("status")).to_contain_text("public notice has not ended")

    page.goto(f"/honors/awards/star-1-{NEAR}")
    page.get_by_text("Enter an objection").first.click()
    page.get_by_role("button", name="Enter an objection").click()
    expect(page.get_by_role("heading", name="Objections")).to_be_visible()
    expect(page.get_by_text("another officer settles the objection")).to_be_visible()
    other = site.page(f"/honors/awards/star-1-{NEAR}", Role.STAFF)
    other.get_by_role("button", name="Reject the objection").click()
    expect(other.get_by_role("status")).to_contain_text("Recorded at position")

    clock.move_to(GIVEN)
    other.get_by_role("button", name="Award it").click()
    expect(other.get_by_role("status")).to_contain_text("1 honour awarded.")
    other.goto(f"/honors/awards/star-1-{NEAR}")
    expect(other.locator("ol")).to_contain_text("Objection settled")
    other.get_by_role("button", name="Compute the evidence again").click()
    expect(other.get_by_role("status")).to_contain_text("They agree")


def test_an_honour_that_lost_its_hours_is_found_and_revoked(
    site: Site, conferred_ledger: tuple[Served, Clock, str]
) -> None:
    served, clock, _ = conferred_ledger
    served.approved("void-shift", volunteer=NEAR, shift=shift_id(1), reason="spot-check")
    caught_up(served)
    clock.move_to(GIVEN)
    page = site.page("/honors", Role.READER)
    undercut = page.locator("section", has=page.get_by_role("heading", name="No longer supported"))
    undercut.locator("tbody a").first.click()
    expect(page.get_by_text("By what is known now, it is not reached.")).to_be_visible()
    expect(page.get_by_text("Revoke the honour")).to_have_count(0)
    officer = site.page("/office", Role.HONORS_OFFICER)
    officer.get_by_role("link", name="Open the honour").click()
    officer.get_by_text("Revoke the honour").first.click()
    officer.get_by_role("button", name="Revoke the honour").click()
    expect(officer.locator("h2 .badge")).to_have_text("revoked")


@pytest.mark.parametrize(("language", "theme", "size"), [("en", "light", "phone"), ("zh", "dark", "wide")])
def test_axe_finds_nothing_and_pages_are_light(
    site: Site,
    awarded: str,
    language: Literal["en", "zh"],
    theme: Literal["light", "dark"],
    size: Literal["wide", "phone"],
) -> None:
    page = site.page("/honors", Role.STAFF, language=language, theme=theme, size=size)
    for address in (
        "/honors",
        "/honors/star-1",
        "/honors/top-hundred",
        f"/honors/awards/{awarded}",
        "/honors/wall",
    ):
        sizes = bytes_of(page, address)
        assert sum(sizes.values()) < 150_000, (address, sizes)
        assert violations(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    expect(page.locator(".poster")).to_contain_text(FAR)
    expect(page.locator("h1")).to_have_text({"en": "Honours of 2018", "zh": "2018 年度荣誉榜"}[language])


def test_the_wall_prints_nothing_but_the_sheet(site: Site) -> None:
    page = site.page("/honors/wall?year=2018", Role.READER)
    page.emulate_media(media="print")
    for selector in (".bar", ".foot", ".sub", ".tabs"):
        expect(page.locator(selector)).to_be_hidden()
    expect(page.locator(".poster")).to_be_visible()
    assert len(page.pdf(prefer_css_page_size=True)) > 10_000
