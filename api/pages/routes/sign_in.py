"""Signing in and out, and the choice of language.

A link such as https://HOST/sign-in#KEY signs in: what follows # is sent to no server and stands in no log. A script of
the page sends the key once, as the API expects it, and the answer sets the session's cookie. The link is a key: whoever
has it has its rights, until it is revoked.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from api.pages.languages import COOKIE as LANGUAGE_COOKIE
from api.pages.languages import LANGUAGES
from api.pages.page_routes import page_router
from api.pages.rendering import HOME_OF_ROLE, render
from api.pages.sessions import clear_cookie, set_cookie

router = page_router()
YEAR_SECONDS = 365 * 86_400


@router.get("/sign-in")
async def sign_in_page(request: Request, next_: Annotated[str, Query(alias="next")] = "") -> Response:
    """The page that takes a key, from its address or its field."""
    return await render(request, "sign_in.html", target=_own(next_))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Begin a session with the key in the Authorization header; the answer says where its holder begins."""
    caller = request.state.caller
    if caller is None:
        return JSONResponse({"role": None}, 401)
    answer = JSONResponse({"home": HOME_OF_ROLE[caller.role], "role": caller.role.value, "name": caller.name})
    set_cookie(answer, request.headers["authorization"].partition(" ")[2], caller.role)
    return answer


@router.post("/sign-out")
async def sign_out() -> Response:
    """End the session."""
    answer = RedirectResponse("/", 303)
    clear_cookie(answer)
    return answer


@router.get("/language/{language}")
async def choose_language(language: str, next_: Annotated[str, Query(alias="next")] = "") -> Response:
    """Choose the language of the pages, and go back."""
    answer = RedirectResponse(_own(next_) or "/", 303)
    if language in LANGUAGES:
        answer.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_SECONDS, samesite="lax")
    return answer


def _own(target: str) -> str:
    """Return an address if it is one of this site, otherwise none: a link must not lead elsewhere after signing in."""
    is_own = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_own else ""
