"""The counter: scans with and without a network, each recorded once; what is refused; keyboard, camera, both themes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from playwright.sync_api import BrowserContext, Page, Route, expect

from api.access.roles import Role
from tests.support.api.serving import STATION
from tests.support.browser.site import Site, bytes_of, violations
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.browser.fixtures"]

SCANS = ("checked-in.v1", "checked-out.v1", "punched.v1")
CAMERA = """
navigator.mediaDevices.getUserMedia = async () => {
  const rows = ROWS, canvas = document.createElement("canvas"), size = 8;
  canvas.width = canvas.height = rows.length * size;
  const pen = canvas.getContext("2d");
  const draw = () => rows.forEach((row, y) => [...row].forEach((dark, x) => {
    pen.fillStyle = dark === "1" ? "#000" : "#fff";
    pen.fillRect(x * size, y * size, size, size);
  }));
  draw();
  setInterval(draw, 100);
  return canvas.captureStream(10);
};
"""
"""A camera that looks at a code."""

KEPT = """
async () => {
  const done = (request) => new Promise((resolve, reject) => {
    Object.assign(request, { onsuccess: () => resolve(request.result), onerror: reject });
  });
  const database = await done(indexedDB.open("counter"));
  const store = (name) => database.transaction(name).objectStore(name);
  const here = (await done(store("settings").getAllKeys())).filter((key) => String(key).startsWith("here:"));
  const scans = (await done(store("scans").getAll())).map(({ volunteer }) => volunteer);
  const pages = [];
  for (const name of await caches.keys())
    for (const { url } of await (await caches.open(name)).keys()) pages.push(new URL(url).pathname);
  database.close();
  return { here, scans, pages: pages.filter((path) => path === "/counter" || path === "/counter/camera") };
}
"""
"""What the browser holds of the counter: who is here, the volunteers of scans, and pages."""


def ready(page: Page) -> Page:
    """Wait until the counter works, also without a network."""
    expect(page.locator("#network .ready")).to_be_visible()
    expect(page.locator("#network")).to_have_class(re.compile("online"))
    return page


def counter(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/counter")
    return page


def scan(page: Page, number: str) -> None:
    """Scan as a keyboard scanner does: characters, then Enter; wait until the counter says what it did."""
    page.keyboard.type(number)
    page.keyboard.press("Enter")
    expect(page.locator("#result .whom")).to_have_text(number)


UNTIL_WAITING = """
async ([number, seconds]) => {
  const done = (request) => new Promise((resolve, reject) => {
    Object.assign(request, { onsuccess: () => resolve(request.result), onerror: reject });
  });
  const database = await done(indexedDB.open("counter"));
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await new Promise((go) => setTimeout(go, 20))) {
    const states = database.transaction("scans").objectStore("scans").index("state");
    if ((await done(states.count("waiting"))) === number) return database.close();
  }
  throw new Error("another number of scans waits");
}
"""


def waiting(page: Page, number: int) -> None:
    """Wait until so many scans wait in the browser's database, which the page shows a moment later."""
    page.evaluate(UNTIL_WAITING, [number, PATIENCE_SECONDS])
    expect(page.locator("#network")).to_have_attribute("data-waiting", str(number))


def recorded(site: Site, after: int) -> list[tuple[str, dict[str, Any]]]:
    """Return the scans in the log after a position: topic and content."""
    found = site.served.get("/v1/log", after=after, limit=1000).json()
    return [(event["topic"], event["event"]) for event in found["events"] if event["topic"] in SCANS]


@pytest.fixture
def position(site: Site) -> int:
    """The last position of the log before a test."""
    return int(site.served.ledger.log.head())


def test_ten_scans_arrive_once_though_the_network_fails_and_the_page_is_closed(site: Site) -> None:
    volunteers = [site.served.volunteer() for _ in range(10)]
    context = site.context(Role.STATION)
    page = ready(counter(context))
    position = site.served.ledger.log.head()
    for volunteer in volunteers[:4]:
        scan(page, volunteer)
    context.set_offline(True)
    for volunteer in volunteers[4:]:
        scan(page, volunteer)
    expect(page.locator("#result")).to_contain_text("Kept on this tablet")
    page.close()
    page = counter(context)  # from the service worker
    expect(page.locator("#network")).to_contain_text("No network")
    for volunteer in volunteers:
        expect(page.locator("#here")).to_contain_text(volunteer)
    left = int(page.locator("#network").get_attribute("data-waiting") or 0)
    assert left >= 6
    context.set_offline(False)
    waiting(page, 0)
    events = recorded(site, position)
    assert sorted(event["volunteer"] for _, event in events) == volunteers
    assert {topic for topic, _ in events} == {"checked-in.v1"}
    assert len({event["shift"] for _, event in events}) == 10
    site.errors = [error for error in site.errors if "ERR_INTERNET_DISCONNECTED" not in error]


def test_scans_whose_answer_was_lost_are_sent_again_and_recorded_once(site: Site, position: int) -> None:
    volunteer = site.served.volunteer()
    page = ready(counter(site.context(Role.STATION)))

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/counter/send", lose, times=1)
    page.locator("#number").fill(volunteer)
    page.get_by_role("button", name="Check in").click()
    expect(page.locator("#network")).to_contain_text("No network")
    waiting(page, 1)
    waiting(page, 0)
    assert [(topic, event["volunteer"]) for topic, event in recorded(site, position)] == [("checked-in.v1", volunteer)]
    site.errors = [error for error in site.errors if "ERR_FAILED" not in error]


def test_a_refused_scan_is_shown_with_its_reason_and_blocks_no_other(site: Site, position: int) -> None:
    known, unknown = site.served.volunteer(), "V7777777"
    page = ready(counter(site.context(Role.STATION)))
    for number in (unknown, known):
        page.locator("#number").fill(number)
        page.get_by_role("button", name="Check in").click()
    expect(page.locator("#refused li")).to_contain_text("No volunteer has this number")
    expect(page.locator("#here")).to_contain_text(known)
    expect(page.locator("#here")).not_to_contain_text(unknown)
    page.reload()
    expect(page.locator("#refused li")).to_contain_text(unknown)
    site.served.command("register-volunteer", volunteer=unknown, registered_on="2016-03-05")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#refused")).to_be_hidden()
    waiting(page, 0)
    assert sorted(event["volunteer"] for _, event in recorded(site, position)) == sorted([known, unknown])


def test_a_card_checks_in_and_out_and_a_scan_can_be_turned(site: Site, position: int) -> None:
    volunteer = site.served.volunteer()
    context = site.context(Role.STATION)
    page = context.new_page()
    page.clock.install()
    page.goto("/counter")
    ready(page)
    result = page.locator("#result")
    scan(page, volunteer)
    expect(result).to_contain_text("Checked in")
    scan(page, volunteer)
    expect(result).to_contain_text("Just checked in")  # the same card twice is one scan
    page.clock.fast_forward(125_000)
    expect(page.locator("#here")).to_contain_text("2 min")
    waiting(page, 0)
    scan(page, volunteer)
    expect(result).to_contain_text("Checked out")
    expect(result).to_contain_text("2 min")
    expect(result).to_contain_text("counted before this shift")
    page.clock.fast_forward(10_000)
    expect(result).to_contain_text("counted so far")
    expect(page.locator("#here")).not_to_contain_text(volunteer)
    scanned = [(topic, event["shift"]) for topic, event in recorded(site, position)]
    assert [topic for topic, _ in scanned] == ["checked-in.v1", "checked-out.v1"]
    assert len({shift for _, shift in scanned}) == 1

    other = site.served.volunteer()
    scan(page, other)
    page.get_by_role("button", name="Check out instead").click()
    expect(result).to_contain_text("Checked out")
    waiting(page, 0)
    (event,) = [event for topic, event in recorded(site, position) if topic == "punched.v1"]
    assert (event["volunteer"], event["direction"]) == (other, "out")


def test_who_came_or_went_at_another_tablet_is_known(site: Site, position: int) -> None:
    volunteer = site.served.volunteer()
    context = site.context(Role.STATION)
    page = context.new_page()
    page.clock.install()
    page.goto("/counter")
    ready(page)
    since = datetime.now(UTC) - timedelta(seconds=1)
    for way in ("in", "out"):
        other = site.served.event(
            f"check-{way}", volunteer=volunteer, station=STATION, occurred_at=since.isoformat(), shift=str(UUID(int=77))
        )
        accepted = site.served.client.post(
            "/v1/events?wait=projected",
            json=other,
            headers=site.served.headers(Role.STATION) | {"Content-Type": "application/cloudevents+json"},
        ).json()
        assert accepted["projected"] is True
        scan(page, volunteer)
        expect(page.locator("#result")).to_contain_text("Checked out" if way == "in" else "Checked in")
        expect(page.get_by_role("button", name="instead")).to_be_visible()
        page.clock.fast_forward(20_000)
        waiting(page, 0)
    topics = [topic for topic, _ in recorded(site, position)]
    assert topics == ["checked-in.v1", "punched.v1", "checked-out.v1", "checked-in.v1"]


def test_nothing_of_the_counter_stays_in_the_browser_after_signing_out(site: Site) -> None:
    volunteer, page = site.served.volunteer(), ready(counter(site.context(Role.STATION)))
    scan(page, volunteer)
    waiting(page, 0)
    expect(page.locator("#here")).to_contain_text(volunteer)
    before = page.evaluate(KEPT)
    assert before["here"]
    assert before["scans"]
    assert "/counter" in before["pages"]
    page.locator("header form button").click()
    expect(page.locator(".sign-in")).to_be_visible()
    assert page.evaluate(KEPT) == {"here": [], "scans": [], "pages": []}


def test_a_newcomer_with_a_tablet_is_told_what_to_do_at_each_doubt(site: Site, position: int) -> None:
    volunteer, other = site.served.volunteer(), site.served.volunteer()
    page = site.context(language="zh", has_touch=True, is_mobile=True).new_page()
    page.goto("/sign-in")
    page.evaluate("key => { location.hash = key }", site.served.tokens[Role.STATION])  # the link, in the same tab
    page.wait_for_url("**/counter")
    ready(page)
    result, number = page.locator("#result"), page.locator("#number")

    def press(way: str, typed: str) -> None:
        number.fill(typed)
        page.locator(f".way[data-way={way}]").tap()

    press("check-in", "")
    expect(page.locator("#hint")).to_contain_text("请先扫码")
    press("check-in", "王芳")
    expect(result).to_contain_text("这里不按姓名查询")
    press("check-out", volunteer)
    expect(result).to_contain_text("没有签到记录")
    waiting(page, 0)
    press("check-in", other.lower())
    page.get_by_role("button", name=f"签到 {other}").tap()
    expect(page.locator("#refused")).to_be_hidden()
    expect(page.locator("#here")).to_contain_text(other)
    press("check-in", other)
    expect(result).to_contain_text("刚才已签到")
    waiting(page, 0)
    scanned = [(topic, event["volunteer"]) for topic, event in recorded(site, position)]
    assert scanned == [("punched.v1", volunteer), ("checked-in.v1", other)]


def test_a_second_check_in_and_a_forgotten_check_out_are_pointed_out(site: Site, position: int) -> None:
    volunteer = site.served.volunteer()
    earlier = datetime.now(UTC) - timedelta(days=3)
    about = {"volunteer": volunteer, "station": STATION, "shift": str(UUID(int=78))}
    said = site.served.command("check-in", Role.STATION, **about, occurred_at=earlier.isoformat())
    assert said.status_code == 201, said.text
    page = site.context(Role.STATION).new_page()
    page.clock.install()
    page.goto("/counter")
    ready(page)
    result = page.locator("#result")

    def press_check_in() -> None:
        page.locator("#number").fill(volunteer)
        page.get_by_role("button", name="Check in", exact=True).click()

    press_check_in()
    expect(result).to_contain_text("is missing. Tell the office")
    waiting(page, 0)
    page.clock.fast_forward(125_000)
    press_check_in()
    expect(result).to_contain_text("without a check-out")
    page.get_by_role("button", name="Check out instead").click()
    expect(result).to_contain_text("Checked out")
    waiting(page, 0)
    topics = [topic for topic, _ in recorded(site, position)]
    assert topics == ["checked-in.v1", "checked-in.v1", "checked-out.v1"]


def test_the_camera_reads_a_code(site: Site) -> None:
    volunteer = site.served.volunteer()
    code = segno.make(volunteer, error="m", micro=False)
    rows = ["".join("1" if dark else "0" for dark in row) for row in code.matrix_iter(border=6)]
    page = ready(counter(site.context(Role.STATION)))
    page.add_init_script(CAMERA.replace("ROWS", json.dumps(rows)))
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("#result .whom")).to_have_text(volunteer)
    expect(page.locator("#result")).to_contain_text("Checked in")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(site: Site, theme: Literal["light", "dark"]) -> None:
    page = ready(site.page("/counter", Role.STATION, theme=theme, language="zh", size="phone"))
    assert violations(page) == []
    volunteer = site.served.volunteer()
    page.keyboard.type(volunteer)
    expect(page.locator("#hint")).to_contain_text("不在岗")
    page.get_by_role("button", name="签到").click()
    expect(page.locator("#here")).to_contain_text(volunteer)
    page.locator("#number").fill("V8888888")
    page.get_by_role("button", name="签退").first.click()
    expect(page.locator("#refused")).to_contain_text("没有此义工号")
    assert violations(page) == []


def test_the_counter_is_light_and_can_be_installed(site: Site) -> None:
    page = ready(site.page("/counter", Role.STATION))
    sizes = bytes_of(page, "/counter")
    assert sum(sizes.values()) < 150_000, sizes
    address = page.locator("link[rel=manifest]").get_attribute("href")
    made = page.request.get(address or "").json()
    assert (made["start_url"], made["scope"]) == ("/counter", "/counter")
    for icon in made["icons"]:
        assert page.request.get(icon["src"]).body().startswith(b"\x89PNG")


def test_a_clock_that_is_wrong_is_noticed(site: Site) -> None:
    page = site.context(Role.STATION).new_page()
    page.clock.install(time=datetime.now(UTC) + timedelta(minutes=10))
    page.goto("/counter")
    expect(page.locator("#clock-off")).to_contain_text("10 min fast")


def test_a_tablet_signs_with_a_key_of_its_own(site: Site, position: int) -> None:
    volunteer = site.served.volunteer()
    keys = site.served.ledger.keys
    key, token = keys.make(Role.STATION, STATION)
    other = Ed25519PrivateKey.generate().public_key()
    keys.sign_with(key.id, other.public_bytes_raw(), required=True)
    page = site.page("/counter", token=token)
    page.locator("#number").fill(volunteer)
    page.get_by_role("button", name="Check in").click()
    expect(page.locator("#trouble")).to_contain_text("is not registered")
    page.locator("#signature summary").click()
    public = load_pem_public_key(page.locator("#signature pre").inner_text().encode())
    assert isinstance(public, Ed25519PublicKey)
    keys.sign_with(key.id, public.public_bytes_raw(), required=True)
    waiting(page, 0)
    ((topic, event),) = recorded(site, position)
    assert (topic, event["key"]) == ("checked-in.v1", key.id)
    expect(page.locator("#signature")).to_contain_text("is signed")
    expect(page.locator("#trouble")).to_be_hidden()
    scan(page, site.served.volunteer())
    expect(page.locator("#result")).to_contain_text("counted so far")  # what it asks first is signed too
    site.errors = [error for error in site.errors if "401" not in error]
