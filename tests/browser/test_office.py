"""The office: a dispute becomes an approved correction, two officers at once, forgotten check-outs, late entries."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Page, expect

from api.access.roles import Role
from tests.support.api.serving import STATION, Served
from tests.support.browser.site import Site, bytes_of, violations

pytest_plugins = ["tests.support.browser.fixtures"]

VOLUNTEER = "V0000001"
DISPUTED = str(UUID(int=1))
"""A shift of 2018-12-01, from 09:00 to 12:00."""


@pytest.fixture
def shift(site: Site) -> tuple[str, str]:
    """A volunteer of one's own, and a shift of 2018-11-20, from 09:00 to 11:00."""
    number = site.served.volunteer()
    made, _ = site.served.served_shift(number, "2018-11-20T09:00:00+08:00", "2018-11-20T11:00:00+08:00")
    caught_up(site.served)
    return number, str(made)


def caught_up(served: Served) -> None:
    """Wait until the read models hold everything."""
    assert served.get("/v1/honors", at_least=served.ledger.log.head()).status_code == 200


def acts_of(served: Served, number: str) -> list[Any]:
    """Return the acts on a volunteer's record, the last one first."""
    answer = served.get(f"/v1/volunteers/{number}/history", role=Role.STAFF, at_least=served.ledger.log.head())
    return list(reversed(answer.json()["acts"]))


def approve(page: Page) -> None:
    """Approve the first request of the list."""
    page.get_by_role("button", name="Approve").first.click()
    expect(page.get_by_role("status").first).to_contain_text("Recorded at position")


def test_a_dispute_becomes_a_correction_that_another_approves(site: Site) -> None:
    said = {"volunteer": VOLUNTEER, "shift": DISPUTED, "reason": "too-few-minutes", "text": "I stayed until one."}
    assert site.served.command("dispute-shift", role=Role.VOLUNTEER, **said).status_code == 201
    caught_up(site.served)

    page = site.page("/office", Role.CORRECTOR)
    case = page.locator("article", has_text=VOLUNTEER)
    expect(case).to_contain_text("Too few hours")
    expect(case.locator("blockquote")).to_have_text("I stayed until one.")
    expect(case.locator(".stands")).to_contain_text("2018-12-01 12:00")
    case.get_by_role("button", name="Correct the shift").click()
    expect(page.get_by_text("The correction settles the dispute")).to_be_visible()
    page.locator("main [name=check_out]").fill("2018-12-01T13:00")
    expect(page.locator("[data-change]")).to_contain_text("+1:00")
    page.get_by_role("button", name="Send for approval").click()
    expect(page.get_by_role("status")).to_contain_text("Sent for approval")

    officer = site.page("/office?kind=request", Role.APPROVER)
    expect(officer.locator("article")).to_contain_text("settlement of a dispute", ignore_case=True)
    approve(officer)
    expect(officer.get_by_role("link", name=VOLUNTEER)).to_have_attribute("href", f"/volunteers/{VOLUNTEER}")

    corrected = next(act for act in acts_of(site.served, VOLUNTEER) if act["topic"] == "shift-corrected.v1")
    assert (corrected["by"], corrected["approved_by"]) == ("person:corrector", "person:approver")
    assert corrected["before"]["check_out"] == "2018-12-01T12:00:00+08:00"
    assert corrected["after"]["check_out"] == "2018-12-01T13:00:00+08:00"
    assert corrected["minutes"]["change"] == 60


def test_ones_own_request_is_shown_and_cannot_be_approved(site: Site, shift: tuple[str, str]) -> None:
    number, made = shift
    page = site.page(f"/office/shifts/{number}/{made}", Role.STAFF)
    page.locator("main [name=check_out]").fill("2018-11-20T12:00")
    page.get_by_role("button", name="Send for approval").click()
    expect(page.locator("table")).to_contain_text("12:00")
    page.goto("/office?kind=request")
    case = page.locator("article", has_text=number)
    expect(case).to_contain_text("You asked for this, so another person decides it.")
    expect(case.get_by_role("button", name="Approve")).to_have_count(0)
    case.get_by_role("button", name="Withdraw it").click()
    expect(page.get_by_role("status")).to_contain_text("Recorded at position")
    assert acts_of(site.served, number)[0]["topic"] == "act-withdrawn.v1"


def test_the_second_of_two_officers_sees_what_the_first_changed(site: Site, shift: tuple[str, str]) -> None:
    number, made = shift
    page = site.page(f"/office/shifts/{number}/{made}", Role.CORRECTOR)
    change: dict[str, Any] = {
        "changes": ["check_out"],
        "check_out": "2018-11-20T10:30:00+08:00",
        "reason": "left-early",
    }
    approved = site.served.approved("correct-shift", volunteer=number, shift=made, **change)
    assert approved.status_code == 201
    caught_up(site.served)

    page.locator("main [name=check_out]").fill("2018-11-20T12:00")
    page.get_by_role("button", name="Send for approval").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody changed this record meanwhile")
    changed = page.locator(".changed")
    expect(changed).to_contain_text("2018-11-20 11:00")
    expect(changed).to_contain_text("2018-11-20 10:30")
    expect(changed).to_contain_text("Left earlier")
    expect(page.locator("main [name=check_out]")).to_have_value("2018-11-20T12:00")
    page.get_by_role("button", name="Send for approval").click()
    expect(page.get_by_role("status")).to_contain_text("Sent for approval")
    site.errors = [error for error in site.errors if "412" not in error]


def test_a_forgotten_check_out_is_entered_in_place(site: Site) -> None:
    number = site.served.volunteer()
    scan: dict[str, Any] = {"volunteer": number, "station": STATION, "shift": str(uuid4())}
    site.served.command("check-in", occurred_at="2018-11-22T09:00:00+08:00", **scan)
    caught_up(site.served)
    page = site.page("/office?kind=open-shift", Role.CORRECTOR, size="phone")
    row = page.locator("details", has_text=number)
    row.locator("summary").click()
    row.locator("[name=check_out]").fill("2018-11-22T08:00")
    row.get_by_role("button", name="Send for approval").click()
    expect(row.get_by_role("alert")).to_contain_text("lies before the check-in")
    expect(row.locator("[name=check_out]")).to_have_value("2018-11-22T08:00")
    row.locator("[name=check_out]").fill("2018-11-22T11:30")
    row.get_by_role("button", name="Send for approval").click()
    expect(row.get_by_role("status")).to_contain_text("Sent for approval")
    expect(row.get_by_role("status")).to_contain_text("+2:30")
    site.errors = [error for error in site.errors if "422" not in error]


def test_a_late_entry_that_is_refused_loses_nothing(site: Site) -> None:
    page = site.page("/office/late", Role.STAFF)
    page.locator("main [name=volunteer]").fill(VOLUNTEER)
    page.locator("main [name=station]").select_option(STATION)
    page.locator("main [name=check_in]").fill("2018-12-03T09:00")
    page.locator("main [name=check_out]").fill("2018-12-03T08:00")
    page.locator("main [name=text]").fill("Her badge was at home.")
    send = page.get_by_role("button", name="Send for approval")
    send.click()
    expect(page.get_by_role("alert")).to_contain_text("check-out must be after the check-in")
    expect(page.locator("main [name=text]")).to_have_value("Her badge was at home.")
    page.locator("main [name=check_out]").fill("2018-12-03T10:00")
    send.click()
    expect(page.get_by_role("status")).to_contain_text("+1:00")
    site.errors = [error for error in site.errors if "422" not in error]


@pytest.mark.parametrize(("language", "theme", "size"), [("en", "light", "wide"), ("zh", "dark", "phone")])
def test_axe_finds_nothing_and_pages_are_light(
    site: Site,
    shift: tuple[str, str],
    language: Literal["en", "zh"],
    theme: Literal["light", "dark"],
    size: Literal["wide", "phone"],
) -> None:
    number, made = shift
    said = {"volunteer": number, "shift": made, "reason": "wrong-station"}
    site.served.command("dispute-shift", role=Role.ADMIN, **said)
    for minute in (30, 45):
        change: dict[str, Any] = {
            "changes": ["check_out"],
            "check_out": f"2018-11-20T11:{minute}:00+08:00",
            "reason": "left-early",
        }
        fields = {"volunteer": number, "shift": made, **change}
        asked: dict[str, Any] = {"request": f"{number}-{minute}", "act": "correct-shift", "fields": fields}
        assert site.served.command("request-act", role=Role.CORRECTOR, **asked).status_code == 201
    caught_up(site.served)
    page = site.page("/office", Role.STAFF, language=language, theme=theme, size=size)
    addresses = [f"/office?kind={kind}" for kind in ("request", "dispute", "open-shift", "undercut-award")]
    for address in (*addresses, "/office/late", f"/office/shifts/{number}/{made}"):
        sizes = bytes_of(page, address)
        assert sum(sizes.values()) < 150_000, (address, sizes)
        assert violations(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    if language == "zh":
        expect(page.locator("h1")).to_contain_text("的服务记录")
