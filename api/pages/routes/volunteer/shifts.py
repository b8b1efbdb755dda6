"""A volunteer's shifts: the list, a day as a picture, and the events behind a shift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.responses import Response
from markupsafe import Markup

from api.access.roles import Caller
from api.pages.charts.day_bar import Stretch, day_bar
from api.pages.ledger_client import LedgerClient, address
from api.pages.page_routes import needs, needs_command, page_router
from api.pages.rendering import render
from api.pages.shift_words import ShiftWords, shift_words, whole_fate

router = page_router()

SHIFTS_AT_ONCE = 25
PAGES_READ_MAX = 8
"""Of the API, for one page of those shifts that a station or a project has."""
ACTS_AT_ONCE = 200
MAY_DISPUTE = needs_command("dispute-shift")
SCANS = {"checked-in.v1", "checked-out.v1", "punched.v1"}
Reader = Annotated[Caller, Depends(needs())]


class ShiftRow(NamedTuple):
    """A shift as a list shows it: the API's answer, its local day, why it earns what it earns, and its picture."""

    shift: dict[str, Any]
    day: date | None
    sentence: str
    losses: list[tuple[str, str]]
    bars: list[tuple[date, Markup]]


@router.get("/volunteers/{number}/shifts")
async def shifts(
    request: Request,
    _caller: Reader,
    number: str,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    station: str | None = None,
    project: str | None = None,
    after: str | None = None,
) -> Response:
    """The shifts behind a number: of a period, a station, or a project (`none`: of no project)."""
    client = LedgerClient(request)
    path = address("/v1/volunteers/{number}/shifts", number=number)
    shown: list[dict[str, Any]] = []
    for _ in range(PAGES_READ_MAX):
        found = await client.get(path, from_=first, to=last, limit=SHIFTS_AT_ONCE, after=after)
        after = found["next_after"]
        shown += [each for each in found["shifts"] if _is_of(each, station, project)]
        if after is None or len(shown) >= SHIFTS_AT_ONCE:
            break
    return await render(
        request,
        "volunteer_shifts.html",
        number=number,
        rows=await rows_of_shifts(request, client, number, shown),
        period=(first, last),
        filters={"from": first, "to": last, "station": station, "project": project},
        next_after=after,
    )


@router.get("/volunteers/{number}/days/{day}")
async def day_of_volunteer(request: Request, _caller: Reader, number: str, day: date) -> Response:
    """A day: a bar of its 24 hours, and the same in words and numbers."""
    client, words = LedgerClient(request), await shift_words(request)
    found = await client.get(address("/v1/volunteers/{number}/explanation", number=number), day=day)
    limit = found["cap"]["minutes"]
    shifts = [
        {**shift, "bar": _bar_of(shift, found, words), "why": words.sentence(shift["trace"], [])}
        for shift in found["shifts"]
    ]
    for shift in shifts:
        shift["stretches"] = [{**each, "why": words.because(each, limit)} for each in shift["stretches"]]
    without = await _without_minutes(request, client, number, found) if found["without_minutes"] else []
    return await render(
        request,
        "volunteer_day.html",
        number=number,
        day=day,
        explanation=found,
        shifts=shifts,
        without=without,
        fates=words.fates(),
    )


@router.get("/volunteers/{number}/shifts/{shift}")
async def shift_page(request: Request, caller: Reader, number: str, shift: UUID, sent: str = "") -> Response:
    """A shift with every event behind it: who recorded it, and what a correction changed."""
    client = LedgerClient(request)
    events, found = await shift_with_events(request, client, number, shift)
    acts = await _acts_on(client, number, shift) if any(each["topic"] not in SCANS for each in events) else {}
    rows = await rows_of_shifts(request, client, number, [found] if found else [])
    return await render(
        request,
        "volunteer_shift.html",
        number=number,
        shift=shift,
        row=rows[0] if rows else None,
        events=[(each, acts.get(each["position"])) for each in events],
        dispute=_open_dispute(events),
        may_dispute=caller.role in MAY_DISPUTE.roles,
        sent=sent == "dispute",
    )


async def shift_with_events(
    request: Request, client: LedgerClient, number: str, shift: UUID
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the events behind a shift, and the shift with its trace, if it can be found among the days they name."""
    path = address("/v1/volunteers/{number}/shifts", number=number)
    events: list[dict[str, Any]] = (await client.get(f"{path}/{shift}/events"))["events"]
    zone = await request.app.state.figures.zone()
    days = sorted(
        datetime.fromtimestamp(each["event"][name], zone).date()
        for each in events
        for name in ("occurred_at", "check_in", "check_out")
        if isinstance(each["event"].get(name), int)
    )
    if not days:
        return events, None
    near = await client.get(path, from_=days[0] - timedelta(1), to=days[-1] + timedelta(1), limit=1000)
    return events, next((each for each in near["shifts"] if each["shift"] == str(shift)), None)


async def rows_of_shifts(
    request: Request, client: LedgerClient, number: str, shifts: Iterable[dict[str, Any]]
) -> list[ShiftRow]:
    """Return shifts with their words and pictures. Days on which minutes have different fates are asked for."""
    words, zone = await shift_words(request), await request.app.state.figures.zone()
    explained: dict[str, dict[str, Any]] = {}
    rows = []
    for shift in shifts:
        sentence = words.sentence(shift["trace"], shift["flags"])
        bars = []
        for piece in shift["pieces"]:
            if piece["raw"] and (whole_fate(piece) is None or shift["check_out"] is None):
                day = piece["day"]
                if day not in explained:
                    path = address("/v1/volunteers/{number}/explanation", number=number)
                    explained[day] = await client.get(path, day=day)
                (part,) = [each for each in explained[day]["shifts"] if each["shift"] == shift["shift"]]
                bar = _bar_of(part, explained[day], words)
            else:
                bar = _bar_of_one_fate(shift, piece, sentence, zone, words)
            bars.append((date.fromisoformat(piece["day"]), bar))
        if not bars and (bar_of_none := _bar_of_none(shift, sentence, zone, words)):
            bars.append(bar_of_none)
        day_of = bars[0][0] if bars else None
        rows.append(ShiftRow(shift, day_of, sentence, words.losses(shift["trace"]), bars))
    return rows


def _bar_of_one_fate(
    shift: dict[str, Any], piece: dict[str, Any], sentence: str, zone: tzinfo, words: ShiftWords
) -> Markup:
    """Return the bar of a piece whose minutes have one fate, or that has none: it follows from the check-in."""
    midnight = datetime.fromisoformat(piece["day"]).replace(tzinfo=zone)
    began = datetime.fromisoformat(shift["check_in"]).astimezone(zone).replace(second=0)
    begin = max(int((began - midnight).total_seconds()) // 60, 0)
    fate = whole_fate(piece) or "open"
    said = f"{words.span(begin, piece['raw'])} {words.fates()[fate]}" if piece["raw"] else sentence
    return day_bar([Stretch(begin, piece["raw"], fate, said)], said)


def _bar_of_none(shift: dict[str, Any], sentence: str, zone: tzinfo, words: ShiftWords) -> tuple[date, Markup] | None:
    """Return the day and the bar of a shift that holds no time: from when to when it would be; None without a time."""
    known = [shift[name] for name in ("check_in", "check_out") if shift[name]]
    if not known:
        return None
    began, ended = (datetime.fromisoformat(each).astimezone(zone).replace(second=0) for each in (known[0], known[-1]))
    begin = began.hour * 60 + began.minute
    minutes = min(max(int((ended - began).total_seconds()) // 60, 0), 1440 - begin)
    fate = "void" if "void" in shift["flags"] else "open"
    said = f"{words.span(begin, minutes)} {words.fates()[fate]}" if minutes else sentence
    return began.date(), day_bar([Stretch(begin, minutes, fate, said)], said)


def _bar_of(shift: dict[str, Any], explained: dict[str, Any], words: ShiftWords) -> Markup:
    """Return the bar of a shift's part on an explained day."""
    start = datetime.fromisoformat(explained["from"])
    whole = _minutes(start, explained["until"])
    fates = words.fates()
    stretches = []
    for each in shift["stretches"]:
        begin = _minutes(start, each["from"])
        said = f"{words.span(begin, each['minutes'])} {fates[each['fate']]}"
        stretches.append(Stretch(begin, each["minutes"], each["fate"], said))
    if not stretches:
        said = words.sentence(shift["trace"], ["no-check-out"] if shift["check_out"] is None else [])
        stretches = [Stretch(_minutes(start, shift["begin"]), 0, "open", said)]
    return day_bar(stretches, "; ".join(each.words for each in stretches), whole)


def _minutes(start: datetime, until: str) -> int:
    return int((datetime.fromisoformat(until) - start).total_seconds()) // 60


async def _without_minutes(
    request: Request, client: LedgerClient, number: str, explained: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the day's shifts that hold no time, each with the reason in the reader's words and its picture."""
    day = explained["day"]
    near = await client.get(address("/v1/volunteers/{number}/shifts", number=number), from_=day, to=day, limit=1000)
    listed = {each["shift"] for each in explained["without_minutes"]}
    rows = await rows_of_shifts(request, client, number, [each for each in near["shifts"] if each["shift"] in listed])
    known = {row.shift["shift"]: row for row in rows}
    return [{**each, "row": known.get(each["shift"])} for each in explained["without_minutes"]]


async def _acts_on(client: LedgerClient, number: str, shift: UUID) -> dict[int, dict[str, Any]]:
    """Return the acts on a shift by position, from the history of the volunteer's record."""
    acts: dict[int, dict[str, Any]] = {}
    after: int | None = 0
    while after is not None:
        path = address("/v1/volunteers/{number}/history", number=number)
        page = await client.get(path, after=after, limit=ACTS_AT_ONCE)
        acts |= {act["position"]: act for act in page["acts"] if act["shift"] == str(shift)}
        after = page["next_after"]
    return acts


def _open_dispute(events: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the event that opened the dispute which is not settled yet."""
    opened = None
    for each in events:
        if each["topic"] == "shift-disputed.v1":
            opened = opened or each["event"]
        elif each["topic"] == "dispute-settled.v1":
            opened = None
    return opened


def _is_of(shift: dict[str, Any], station: str | None, project: str | None) -> bool:
    return (station is None or shift["station"] == station) and (
        project is None or shift["project"] == (None if project == "none" else project)
    )
