"""What-if: from the form of the rules to their publication by two persons, and the three axes of time."""

from __future__ import annotations

from threading import Event
from typing import Literal, NoReturn

import pytest
from playwright.sync_api import Page, expect

from api.access.roles import Role
from api.http.routes.operations import what_ifs
from api.operations.service import DEFAULT_RULES
from api.pages.assets import asset_address
from replay.progress import Progress
from tests.support.browser.site import SECONDS_MAX, Site, violations

pytest_plugins = ["tests.support.browser.fixtures"]

CAP = '[data-path="rule_sets.1.day_minutes_max"]'
TEXT = DEFAULT_RULES.read_text("utf-8")


def tried(page: Page, cap: int) -> Page:
    """Change the cap of the day in the form, and try the rules."""
    page.locator(CAP).fill(str(cap))
    page.locator(CAP).press("Tab")
    expect(page.get_by_role("textbox", name="The whole text")).to_have_value(
        TEXT[: TEXT.index("holds_from = 2017")]
        + TEXT[TEXT.index("holds_from = 2017") :].replace("day_minutes_max = 480", f"day_minutes_max = {cap}", 1)
    )
    expect(page.locator("[data-place=findings] .done")).to_be_visible()
    page.get_by_role("button", name="Try").click()
    page.locator("[data-bands]").wait_for()
    return page


def test_problems_stand_beside_the_text_while_one_types(site: Site) -> None:
    page = site.page("/what-if", Role.STAFF)
    text = page.get_by_role("textbox", name="The whole text")
    text.fill(TEXT.replace("shift_minutes_min = 10 ", "shift_minutes_min = 1000 ", 1))
    expect(page.locator(".findings .error").first).to_contain_text("shift_minutes")
    page.locator(".findings .error [data-line]").first.click()
    selected = text.evaluate("each => each.value.slice(each.selectionStart, each.selectionEnd)")
    assert "shift_minutes" in selected
    page.get_by_role("button", name="Try").click()  # refused, and nothing of it is lost
    expect(page.locator(".findings .error").first).to_be_visible()
    expect(text).to_have_value(TEXT.replace("shift_minutes_min = 10 ", "shift_minutes_min = 1000 ", 1))
    text.fill(TEXT.replace("day_minutes_max = 480", "day_minutes_max = 300"))
    expect(page.locator(CAP)).to_have_value("300")
    site.errors = [error for error in site.errors if "422" not in error]


def test_a_value_is_written_into_the_text_and_nothing_else_changes(site: Site) -> None:
    page = site.page("/what-if", Role.ANALYST)
    made = page.evaluate(
        """async ([module, text]) => {
        const { withValue, valueIn } = await import(module);
        const changed = withValue(text, "rule_sets.1.factors.2.percent", "130");
        const added = withValue(changed, "rule_sets.1.honors.0.tenure_months_min", "12");
        return {
            changed, removed: withValue(added, "rule_sets.1.honors.0.tenure_months_min", null) === changed,
            added: valueIn(added, "rule_sets.1.honors.0.tenure_months_min"),
            kinds: valueIn(text, "approvals.kinds"), score: valueIn(text, "rule_sets.0.rankings.1.score"),
            title: valueIn(text, "rule_sets.0.honors.4.title"), later: valueIn(text, "approvals.imported"),
        };
        }""",
        [asset_address("rules_text.js"), TEXT],
    )
    assert made["changed"] == TEXT.replace("percent = 120", "percent = 130")
    assert (made["added"], made["removed"]) == ("12", True)
    assert made["kinds"].endswith('"withdraw-day-cap-raise",\n]')
    assert made["score"].startswith("{ credited_hours = 10")
    assert (made["title"], made["later"]) == ('"五星级义工"', "false")


def test_a_run_is_stopped_and_leaves_nothing_behind(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Event()

    def endless(_ledger: object, _sides: object, _comparison: object, progress: Progress) -> NoReturn:
        try:
            while not ended.wait(0.01):
                progress("comparing", 30, 100)
        finally:
            ended.set()
        raise AssertionError

    monkeypatch.setattr(what_ifs, "compared", endless)
    page, head = site.page("/what-if", Role.ANALYST), site.served.ledger.log.head()
    page.locator(CAP).fill("333")
    page.locator(CAP).press("Tab")
    expect(page.locator("[data-place=findings] .done")).to_be_visible()
    page.get_by_role("button", name="Try").click()
    expect(page.locator("[data-counted]")).to_have_text("30 / 100")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("h1")).to_have_text("Stopped")
    assert ended.wait(SECONDS_MAX)
    assert site.served.ledger.log.head() == head
    assert {job["state"] for job in site.served.get("/v1/jobs").json()["jobs"]} <= {"done", "stopped"}
    page.get_by_role("link", name="Back to the draft").click()
    expect(page.locator(CAP)).to_have_value("333")


@pytest.mark.parametrize(("theme", "size"), [("light", "wide"), ("dark", "phone")])
def test_chinese_and_axe(site: Site, theme: Literal["light", "dark"], size: Literal["wide", "phone"]) -> None:
    page = site.page("/what-if", Role.ANALYST, language="zh", theme=theme, size=size)
    expect(page.locator("h1")).to_contain_text("如果规则改变会怎样")
    expect(page.locator("[data-place=findings] .done")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    page.goto("/what-if/axes?volunteer=V0000001")
    expect(page.locator("input[type=range]")).to_have_count(2)
    assert violations(page) == []


def test_the_slider_shows_what_was_known_then(site: Site) -> None:
    page = site.page("/what-if/axes?volunteer=V0000001", Role.APPROVER)
    expect(page.locator(".tiles dd").nth(2)).to_have_text("0:00")
    page.get_by_label("Service up to").first.fill("2018-12-01")
    page.get_by_label("Service up to").first.press("Tab")
    expect(page.locator(".tiles dd").first).to_contain_text("3:00")
    slider = page.locator("input[type=range]").nth(1)
    slider.focus()
    slider.press("End")
    expect(page.locator(".tiles dd").nth(2)).to_have_text("0:00")


def test_rules_from_the_form_to_their_publication_by_two_persons(site: Site) -> None:
    page = tried(site.page("/what-if", Role.ANALYST), 120)
    expect(page.locator(".changes tbody tr")).to_have_count(2)
    expect(page.locator(".changes")).to_contain_text("day cap")
    expect(page.locator("[data-bands]")).to_contain_text("loses 1 to 5 h")
    expect(page.locator("[data-chart][data-drawn] canvas")).to_be_visible()
    assert violations(page) == []
    expect(page.locator(".decide")).to_contain_text("An administrator publishes")
    draft = page.locator(".decide a").first.get_attribute("href") or ""

    admin = site.page(draft, Role.ADMIN)
    admin.get_by_role("button", name="Try").click()
    admin.locator("textarea[name=note]").fill("The board said so.")
    admin.get_by_role("button", name="Publish, and ask for approval").click()
    expect(admin.locator(".waiting")).to_contain_text("The board said so.")
    admin.get_by_role("button", name="Approve: put in force").click()
    expect(admin.get_by_role("alert")).to_be_visible()  # nobody approves what they asked for

    approver = site.page("/what-if", Role.APPROVER)
    approver.get_by_role("button", name="Approve: put in force").click()
    expect(approver.get_by_role("status").first).to_contain_text("in force")
    history = site.served.get("/v1/rules/history").json()["acts"][0]
    assert (history["act"], history["version"]) == ("put-in-force", 2)
    assert (history["by"], history["approved_by"]) == ("person:admin", "person:approver")
    expect(approver.locator(CAP)).to_have_value("120")
    site.errors = [error for error in site.errors if "status of 4" not in error]
