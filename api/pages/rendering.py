"""Templates: one Jinja environment for each language and time zone, and what every page is given.

Every value is escaped. What is not is markup that `charts/` made.
"""

from __future__ import annotations

from datetime import tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import cookie_parser

from api.access.roles import Caller, Role
from api.operations.version import version
from api.pages.assets import asset_address
from api.pages.formats import Formats
from api.pages.languages import language_of, texts_for, texts_of
from api.pages.refusals import refusals
from api.pages.words import actor_in_words, in_words

TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'; "
    "img-src 'self' data: blob:"
)
"""Nothing inline and nothing from elsewhere. `data:`: icons within styles; `blob:`: pictures that a page makes."""
THEMES = ("light", "dark")
HOME_OF_ROLE = {
    Role.STATION: "/counter",
    Role.VOLUNTEER: "/me",
    Role.CORRECTOR: "/office",
    Role.APPROVER: "/office",
    Role.HONORS_OFFICER: "/honors",
    Role.ANALYST: "/what-if",
    Role.AUDITOR: "/audit",
    Role.READER: "/",
    Role.STAFF: "/office",
    Role.ADMIN: "/office",
}
"""Where a reader begins after signing in."""

_PEOPLE = {Role.CORRECTOR, Role.APPROVER, Role.HONORS_OFFICER, Role.STAFF, Role.ADMIN}
_MENU: tuple[tuple[str, str, frozenset[Role]], ...] = (
    ("/counter", "Counter", frozenset({Role.STATION})),
    ("/me", "My hours", frozenset({Role.VOLUNTEER})),
    ("/office", "Office", frozenset(_PEOPLE)),
    ("/volunteers", "Volunteers", frozenset(Role) - {Role.VOLUNTEER, Role.STATION}),
    ("/stations", "Stations", frozenset(Role) - {Role.VOLUNTEER}),
    ("/honors", "Honours", frozenset(Role) - {Role.VOLUNTEER, Role.STATION}),
    ("/what-if", "What-if", frozenset({Role.ANALYST, Role.APPROVER, Role.STAFF, Role.ADMIN})),
    ("/audit", "Audit", frozenset({Role.AUDITOR, Role.ADMIN})),
)


def menu_of(caller: Caller | None) -> list[tuple[str, str]]:
    """Return the pages that a reader may use, as addresses and titles."""
    return [(path, title) for path, title, roles in _MENU if caller is not None and caller.role in roles]


@lru_cache(maxsize=8)
def _environment(language: str, zone: tzinfo) -> Environment:
    texts = texts_of(language)
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(Formats(texts.locale, zone).filters())
    made.filters.update(words=in_words(texts.gettext), actor=actor_in_words(texts.gettext))
    made.filters.update(refused=refusals(texts.gettext, language))
    made.globals.update(asset=asset_address, language=language, program_version=version())
    return made


async def render(
    request: Request, template: str, status: int = 200, headers: dict[str, str] | None = None, /, **values: Any
) -> HTMLResponse:
    """Return a page. `values`: what its template uses, besides what every page is given."""
    language = language_of(request.headers)
    zone = await request.app.state.figures.zone()
    theme = cookie_parser(request.headers.get("cookie", "")).get("theme")
    caller: Caller | None = getattr(request.state, "caller", None)
    text = (
        _environment(language, zone)
        .get_template(template)
        .render(
            caller=caller,
            menu=menu_of(caller),
            home=HOME_OF_ROLE[caller.role] if caller else "/",
            path=request.url.path,
            theme=theme if theme in THEMES else None,
            **values,
        )
    )
    return HTMLResponse(
        text, status, {"Content-Security-Policy": POLICY, "Vary": "Cookie, Accept-Language", **(headers or {})}
    )


def text_for(request: Request, text: str) -> str:
    """Return a text in the reader's language."""
    return texts_for(request.headers).gettext(text)


def menu_titles() -> list[str]:
    """Return the titles in the menu, which templates translate by name."""
    return [title for _, title, _ in _MENU]
