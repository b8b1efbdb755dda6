"""What browser tests share: the site, what axe-core finds on a page, and how large a page is."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from api.access.roles import Role
from tests.support.api.serving import Served
from tests.support.patience import PATIENCE_SECONDS

SIZES = {"wide": (1280, 860), "phone": (390, 844)}
SECONDS_MAX = PATIENCE_SECONDS
LOCALES = {"en": "en-GB", "zh": "zh-CN"}


class Site:
    """A served ledger and a browser. Every page that it opened must end without an error in its console."""

    def __init__(self, served: Served, address: str, browser: Browser, stack: ExitStack) -> None:
        self.served = served
        self.address = address
        self._browser = browser
        self._stack = stack
        self.errors: list[str] = []

    def context(
        self,
        role: Role | None = None,
        *,
        language: Literal["en", "zh"] = "en",
        theme: Literal["light", "dark"] = "light",
        size: Literal["wide", "phone"] = "wide",
        token: str | None = None,
        **more: Any,
    ) -> BrowserContext:
        """Return a new browser context, signed in with the key of a role, or with a token."""
        width, height = SIZES[size]
        context = self._browser.new_context(
            base_url=self.address,
            viewport={"width": width, "height": height},
            color_scheme=theme,
            locale=LOCALES[language],
            **more,
        )
        self._stack.callback(context.close)
        context.set_default_timeout(SECONDS_MAX * 1000)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        context.on("request", self._check_origin)
        key = token or (self.served.tokens[role] if role else None)
        if key is not None:
            page = context.new_page()
            page.goto(f"/sign-in?next=/#{key}")
            page.wait_for_url(lambda url: "/sign-in" not in url)
            page.close()
        return context

    def page(self, path: str, role: Role | None = None, **more: Any) -> Page:
        """Open a page in a context of its own."""
        page = self.context(role, **more).new_page()
        page.goto(path)
        return page

    def _check_origin(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.errors.append(f"a request to another host: {request.url}")


def violations(page: Page) -> list[str]:
    """Return what axe-core finds on a page: the rule, and the first element that breaks it."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:160]}" for each in found]


def bytes_of(page: Page, path: str) -> dict[str, int]:
    """Load a page again, and return the decoded bytes of its HTML, styles and scripts, by address."""
    sizes: dict[str, int] = {}

    def count(response: Any) -> None:
        kind = response.headers.get("content-type", "")
        if kind.startswith(("text/html", "text/css", "text/javascript")) and response.status == 200:
            sizes[response.url] = len(response.body())

    page.on("response", count)
    page.goto(path)
    page.wait_for_load_state("load")
    page.remove_listener("response", count)
    return sizes
