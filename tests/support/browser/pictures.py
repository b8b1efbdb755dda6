"""Pictures of every page, light and dark, wide and on a phone, from the demonstration: docs/pages/.

    python -m tests.support.browser.pictures [PAGE ...]

It starts `hours run` on a history of its own, records what a few days at the counter and in the office bring, and
takes the pictures. Look at each of them: no test does.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser.site import LOCALES, SIZES
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, ROOT, Program, run
from tests.support.processes.shared import sharing

PICTURES = ROOT / "docs" / "pages"


class Picture(NamedTuple):
    """A page: the name of its pictures, its address, the role of its reader (None for anybody), and its language."""

    name: str
    path: str
    role: str | None = None
    language: str = "en"


SETTLED_MS = 2_000
"""What a page loads after it is shown is there by then."""
VOLUNTEER = "V0000462"
PAGES = (
    Picture("overview", "/"),
    Picture("overview-zh", "/", None, "zh"),
    Picture("sign-in", "/sign-in", None, "zh"),
    Picture("counter", "/counter", "station", "zh"),
    Picture("my-hours", "/me", "volunteer", "zh"),
    Picture("volunteer", f"/volunteers/{VOLUNTEER}", "staff"),
    Picture("stations", "/stations", "staff"),
    Picture("station", "/stations/C01?year=2018", "staff"),
    Picture("office", "/office", "approver", "zh"),
    Picture("honors", "/honors", "honors-officer", "zh"),
    Picture("wall", "/honors/wall?year=2018", "honors-officer", "zh"),
    Picture("what-if", "/what-if", "analyst"),
    Picture("audit", "/audit", "auditor"),
)


def main(names: list[str]) -> None:
    """Take the pictures of the pages with these names, of all if there are none."""
    os.environ.pop("DATABASE_URL", None)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("no Chromium: install Debian's package `chromium`, or name an executable in CHROMIUM")
    PICTURES.mkdir(exist_ok=True)
    with sharing(), tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with Program(*HOURS, "--data", data, "run", "--port", "0", "--json") as server:
            try:
                _take_all(server.read_object(), data, chromium, names)
            finally:
                server.terminate()
                server.wait(PATIENCE_SECONDS)


def _take_all(said: dict[str, Any], data: Path, chromium: str, names: list[str]) -> None:
    keys = _keys(data, said["keys"])
    _record(said["address"], keys)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for page in PAGES:
            if not names or page.name in names:
                _take(browser, said["address"], page, keys)
        browser.close()


def _keys(data: Path, known: dict[str, str]) -> dict[str, str]:
    """Return a key for each role that a page needs."""
    holders = {"volunteer": VOLUNTEER, "honors-officer": "wu", "analyst": "zhao", "auditor": "qian", "staff": "lin"}
    keys = dict(known)
    for role, name in holders.items():
        made = run(
            *HOURS, "--data", data, "keys", "make", "--role", role, "--name", name, "--json", timeout=PATIENCE_SECONDS
        )
        keys[role] = httpx2.Response(200, text=made.stdout).json()["key"]
    return keys


def _record(address: str, keys: dict[str, str]) -> None:
    """Record a morning at the counter, a dispute, a request and an announcement."""
    now = datetime.now(UTC).replace(microsecond=0)

    def send(kind: str, role: str, **body: Any) -> None:
        headers = {"Authorization": f"Bearer {keys[role]}"}
        answer = httpx2.post(f"{address}/v1/commands/{kind}", json=body, headers=headers, timeout=PATIENCE_SECONDS)
        assert answer.status_code < 300, answer.text

    station = keys["station_id"]
    for number in range(9):
        began = now - timedelta(hours=3, minutes=7 * number)
        scan = {"volunteer": f"V0000{400 + 7 * number}", "station": station, "shift": str(uuid4())}
        send("check-in", "station", occurred_at=began.isoformat(), **scan)
        if number % 3 == 0:
            send("check-out", "station", occurred_at=(began + timedelta(hours=2, minutes=11)).isoformat(), **scan)
    days = httpx2.get(
        f"{address}/v1/volunteers/{VOLUNTEER}/shifts",
        params={"from": "2017-11-01"},
        headers={"Authorization": f"Bearer {keys['staff']}"},
        timeout=PATIENCE_SECONDS,
    ).json()["shifts"]
    first, second = days[-1], days[-2]
    send("dispute-shift", "volunteer", volunteer=VOLUNTEER, shift=first["shift"], reason="too-short")
    send(
        "request-act",
        "staff",
        request="left-early-1",
        act="correct-shift",
        fields={
            "volunteer": VOLUNTEER,
            "shift": second["shift"],
            "changes": ["check_out"],
            "check_out": (datetime.fromisoformat(second["check_in"]) + timedelta(minutes=90)).isoformat(),
            "reason": "left-early",
        },
    )


def _take(browser: Browser, address: str, page: Picture, keys: dict[str, str]) -> None:
    for theme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            context = browser.new_context(
                base_url=address,
                viewport={"width": width, "height": height},
                color_scheme="dark" if theme == "dark" else "light",
                locale=LOCALES[page.language],
            )
            shown = context.new_page()
            if page.role:
                shown.goto(f"/sign-in?next=/#{keys[page.role]}")
                shown.wait_for_url(lambda url: "/sign-in" not in url)
            shown.goto(page.path)
            shown.wait_for_timeout(SETTLED_MS)
            shown.screenshot(path=PICTURES / f"{page.name}-{theme}-{size}.png")
            wider = shown.evaluate("document.documentElement.scrollWidth") - width
            print(f"{page.name}-{theme}-{size}.png" + (f": {wider} pixels too wide" if wider > 0 else ""))
            context.close()


if __name__ == "__main__":
    main(sys.argv[1:])
