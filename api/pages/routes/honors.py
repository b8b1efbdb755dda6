"""Honours: who has reached one and on what evidence, their public notice, and their year on the wall."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from api.access.roles import Caller, Role
from api.pages import words
from api.pages.charts.bars import Bar, bars
from api.pages.forms import form_of, whole_number
from api.pages.ledger_client import LedgerClient, RefusedByApiError, address
from api.pages.office.acting import Act, Recorded, give, may
from api.pages.office.honours import Book, all_pages, awards_by_year, book_of, holders_of, reached_by_year
from api.pages.office.inputs import new_name, version_of
from api.pages.page_routes import needs, needs_command, page_router
from api.pages.rendering import render, text_for

router = page_router()
Reader = Annotated[Caller, Depends(needs(*(set(Role) - {Role.VOLUNTEER, Role.STATION})))]
HonorsOfficer = Annotated[Caller, Depends(needs_command("award-honor"))]
YEAR_MAX = 2100
Year = Annotated[int | None, Query(ge=2000, le=YEAR_MAX)]
Mark = Annotated[str | None, Query(max_length=200)]
_ACTS = {"object-to-honor", "settle-honor-objection", "revoke-honor"}
_CLIENT_ERRORS = range(400, 500)
ENTRIES = 50


@router.get("/honors")
async def honors(request: Request, caller: Reader) -> Response:
    """All honours, the notices that run, and the awards that their evidence no longer supports."""
    client = LedgerClient(request)
    book = await book_of(client, eligible=True)
    notices = await client.get("/v1/public-notices", limit=1000)
    years = await awards_by_year(client, notices["on"])
    counts = {honor: one["eligible"] for honor, one in book.thresholds.items()}
    chart = [Bar(str(year), count, str(count)) for year, count in sorted(years.items())]
    return await render(
        request,
        "honors/overview.html",
        book=book,
        notices=notices,
        undercut=await client.get("/v1/undercut-awards", limit=100),
        years=years,
        counts=counts,
        chart=bars(chart, text_for(request, "Honours awarded by year")) if len(chart) > 1 else "",
        confers=may(caller, "award-honor"),
    )


@router.get("/honors/wall")
async def wall(request: Request, _caller: Reader, year: Year = None) -> Response:
    """The honours of a year, to be printed for the wall."""
    client = LedgerClient(request)
    book = await book_of(client)
    on = (await client.get("/v1/public-notices", limit=1))["on"]
    years = await awards_by_year(client, on)
    chosen = year or max((each for each, count in years.items() if count), default=int(on[:4]))
    awards = await all_pages(client, "/v1/awards", "awards", state="awarded", awarded_in=chosen, limit=1000)
    groups = {honor: [one for one in awards if one["honor"] == honor] for honor in book.in_order_of_rank()}
    return await render(
        request,
        "honors/wall.html",
        book=book,
        year=chosen,
        years=[each for each, count in sorted(years.items(), reverse=True) if count],
        groups={honor: found for honor, found in groups.items() if found},
        count=len(awards),
    )


@router.get("/honors/awards/{award}")
async def award_page(request: Request, caller: Reader, award: str) -> Response:
    """One award: its evidence, its notice, objections, and every event."""
    return await _award_page(request, caller, award)


@router.get("/honors/awards/{award}/as-given")
async def as_given(request: Request, _caller: Reader, award: str) -> Response:
    """The evidence of an award, computed again by what was known then."""
    found = await LedgerClient(request).get(address("/v1/awards/{award}/as-given", award=award))
    return await render(request, "honors/as_given.html", found=found)


@router.post("/honors/awards/{award}")
async def act_on_award(request: Request, caller: HonorsOfficer, award: str) -> Response:
    """Object to an award, settle an objection, or revoke it."""
    form = await form_of(request)
    command = form.get("act", "")
    if command not in _ACTS:
        command = "object-to-honor"
    fields: dict[str, Any] = {"award": award, "reason": form.get("reason", "")}
    if command == "settle-honor-objection":
        fields |= {"objection": whole_number(form.get("objection", "")) or 0}
        fields["outcome"] = "upheld" if form.get("outcome") == "upheld" else "rejected"
    text = form.get("text") if command != "revoke-honor" else None
    act = Act(command, fields, form.get("name") or new_name(), text, version_of(form))
    try:
        recorded = await give(LedgerClient(request), act)
    except RefusedByApiError as error:
        if error.status not in _CLIENT_ERRORS:
            raise
        return await _award_page(request, caller, award, problem=error)
    return await _award_page(request, caller, award, recorded=recorded)


async def _award_page(
    request: Request,
    caller: Caller,
    award: str,
    problem: RefusedByApiError | None = None,
    recorded: Recorded | None = None,
) -> Response:
    client = LedgerClient(request)
    found = await client.get(address("/v1/awards/{award}", award=award))
    one = found["award"]
    undercut = await client.get("/v1/undercut-awards", honor=one["honor"], limit=100)
    return await render(
        request,
        "honors/award.html",
        problem.status if problem else 200,
        award=one,
        events=found["events"],
        undercut=next((each for each in undercut["undercut"] if each["award"] == award), None),
        book=await book_of(client),
        problem=problem,
        recorded=recorded,
        name=new_name(),
        confers=may(caller, "award-honor"),
        objection_reasons=words.OBJECTION_REASONS,
        upheld_reasons=words.UPHELD_REASONS | words.REJECTED_REASONS,
        revocation_reasons=words.REVOCATION_REASONS,
    )


@router.get("/honors/{honor}")
async def honor_page(
    request: Request, caller: Reader, honor: str, year: Year = None, after: Mark = None, eligible_after: Mark = None
) -> Response:
    """One honour or ranking: its conditions, who is eligible now, and who stands in it."""
    client = LedgerClient(request)
    return await _honor_page(request, caller, await book_of(client), honor, year, (after, eligible_after))


async def _honor_page(
    request: Request,
    caller: Caller,
    book: Book,
    honor: str,
    year: int | None,
    marks: tuple[str | None, str | None] = (None, None),
    outcome: Any = None,
    problem: RefusedByApiError | None = None,
) -> Response:
    client = LedgerClient(request)
    after, eligible_after = (mark or None for mark in marks)
    path = address("/v1/honors/{honor}", honor=honor)
    eligible = await client.get(f"{path}/eligible", year=year, limit=ENTRIES, after=eligible_after)
    values: dict[str, Any] = {"standings": None, "ranking": None, "chart": "", "years": {}, "holders": []}
    if honor in book.rankings:
        ranking = address("/v1/rankings/{ranking}", ranking=honor)
        values["ranking"] = await client.get(ranking, year=eligible["year"])
    else:
        values["standings"] = await client.get(f"{path}/standings", limit=ENTRIES, after=after)
        values["holders"] = await holders_of(client, honor, values["standings"]["standings"])
        values["years"] = await reached_by_year(client, honor, values["standings"]["reached_up_to"])
        chart = [Bar(str(each), count, str(count)) for each, count in values["years"].items()]
        values["chart"] = bars(chart, text_for(request, "Reached by year")) if len(chart) > 1 else ""
    return await render(
        request,
        "honors/honor.html",
        problem.status if problem else 200,
        honor=honor,
        book=book,
        eligible=eligible,
        outcome=outcome,
        problem=problem,
        confers=may(caller, "award-honor"),
        **values,
    )


@router.post("/honors/{honor}/announcements")
async def announce(request: Request, caller: HonorsOfficer, honor: str) -> Response:
    """Announce an honour for one recipient, or for all who are eligible."""
    return await _confer(request, caller, honor, "announcements", "all_eligible")


@router.post("/honors/{honor}/awards")
async def award(request: Request, caller: HonorsOfficer, honor: str) -> Response:
    """Award an honour to one recipient, or to all whose notice has ended without objection."""
    return await _confer(request, caller, honor, "awards", "all_due")


async def _confer(request: Request, caller: Caller, honor: str, step: str, all_of_them: str) -> Response:
    form = await form_of(request)
    client = LedgerClient(request)
    book = await book_of(client)
    year = whole_number(form.get("year", ""), YEAR_MAX)
    body: dict[str, Any] = {"year": year} if honor in book.rankings else {}
    if recipient := form.get("recipient"):
        body[book.recipient_of(honor)] = recipient
    else:
        body[all_of_them] = True
    try:
        outcome = await client.post(address(f"/v1/honors/{{honor}}/{step}", honor=honor), body, wait="projected")
    except RefusedByApiError as error:
        if error.status not in _CLIENT_ERRORS:
            raise
        return await _honor_page(request, caller, book, honor, year, problem=error)
    return await _honor_page(request, caller, book, honor, year, outcome={**outcome, "step": step})
