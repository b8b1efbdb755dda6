"""Stations: the list, and what happened at one: its days, its hours of the day, its people, and the shifts of a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Annotated, Any, NamedTuple

from babel.dates import get_day_names, get_month_names
from fastapi import Depends, Query, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from api.access.roles import Caller, Role
from api.pages.charts.calendar import calendar, thresholds
from api.pages.charts.day_bar import Stretch, day_bar
from api.pages.charts.shares import share_bar
from api.pages.charts.weekdays import hours_by_weekday
from api.pages.languages import language_of, texts_of
from api.pages.ledger_client import LedgerClient, address
from api.pages.page_routes import needs, page_router
from api.pages.rendering import render, text_for
from api.pages.shift_words import ShiftWords, shift_words

router = page_router()

RECENT_DAYS = 28
"""The days of the table of hours and of the list of people: four of each weekday."""
SUM_DAYS = 30
PEOPLE_MAX = 10
YEARS_AT_ONCE = 10
Reader = Annotated[Caller, Depends(needs(*(role for role in Role if role is not Role.VOLUNTEER)))]
Day = dict[str, Any]


class Run(NamedTuple):
    """Consecutive days on which a station was open."""

    days: int
    first: date
    last: date


@router.get("/stations")
async def stations(request: Request, _caller: Reader) -> Response:
    """The stations by kind, those that are open first, with their hours in the newest thirty days with service."""
    figures = await request.app.state.figures.current()
    if figures is None:
        return await render(request, "empty.html")
    until = max((each.day for each in figures.days if each.shifts), default=figures.today)
    first = until - timedelta(SUM_DAYS - 1)
    found = await _all_stations(LedgerClient(request), from_=first, to=until)
    kinds = sorted({each["kind"] for each in found}, key=["city", "community", "special"].index)
    groups = {
        kind: sorted((each for each in found if each["kind"] == kind), key=lambda each: not each["open"])
        for kind in kinds
    }
    most = max((each["sums"]["credited_minutes"] for each in found), default=0)
    return await render(
        request, "stations.html", groups=groups, period=(first, until), days=SUM_DAYS, most=most, share_bar=share_bar
    )


@router.get("/stations/{station}")
async def station_page(
    request: Request, _caller: Reader, station: str, year: int | None = None, month: int | None = None
) -> Response:
    """A year of a station, by default the newest one in which somebody served there."""
    client, figures = LedgerClient(request), await request.app.state.figures.current()
    if figures is None:
        return await render(request, "empty.html")
    known = next((each for each in await _all_stations(client) if each["station"] == station), None)
    if known is None:
        raise HTTPException(404)
    today = figures.today
    days = await _days_of(client, station, min((each.day.year for each in figures.days), default=today.year), today)
    open_days = [each for each in days if each["shifts"]]
    years = sorted({each["day"].year for each in open_days}, reverse=True)
    newest: int = years[0] if years else today.year
    shown = newest if year is None or year not in years else year
    of_year = [each for each in days if each["day"].year == shown]
    months = _months(of_year)
    chosen = month if month in months else max((number for number, each in months.items() if each["shifts"]), default=0)
    return await render(
        request,
        "station.html",
        station=known,
        year=shown,
        years=years,
        chart=_calendar(request, of_year, shown, min(date(shown, 12, 31), today)),
        totals=_totals(of_year),
        run=_longest_run(open_days),
        months=months,
        month_names=get_month_names("abbreviated" if _language(request) == "en" else "wide", locale=_locale(request)),
        month=chosen,
        days=[each for each in reversed(of_year) if each["day"].month == chosen],
        until=max((each["day"] for each in of_year if each["shifts"]), default=today),
        share_bar=share_bar,
    )


@router.get("/stations/{station}/recent")
async def recent(request: Request, _caller: Reader, station: str, until: date) -> Response:
    """Hours of the day by weekday, and who keeps the station running, over four weeks. A script loads it as a part."""
    shifts = [each async for each in _shifts(LedgerClient(request), station, until, RECENT_DAYS)]
    zone = await request.app.state.figures.zone()
    rows = hours_by_weekday(stay for each in shifts if (stay := _stay(each, zone)))
    used = [hour for hour in range(24) if any(row[hour].minutes for row in rows)]
    minutes: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for each in shifts:
        number = each.get("goes_on_as", each["volunteer"])
        minutes[number] += each["trace"]["credited"]
        times[number] += each["begins"]
    is_part = "hx-request" in request.headers
    return await render(
        request,
        "parts/station_recent.html" if is_part else "station_recent.html",
        station=station,
        first=until - timedelta(RECENT_DAYS - 1),
        until=until,
        rows=rows,
        hours=range(min(used), max(used) + 1) if used else range(0),
        weekdays=get_day_names("abbreviated", locale=_locale(request)),
        people=[(number, each, times[number]) for number, each in minutes.most_common(PEOPLE_MAX)],
        count=len(minutes),
        half=_who_hold_half(minutes),
        share_bar=share_bar,
    )


@router.get("/stations/{station}/days/{day}")
async def station_day(
    request: Request,
    _caller: Reader,
    station: str,
    day: date,
    after: Annotated[str | None, Query()] = None,
) -> Response:
    """The shifts behind a day's number, each with its stay, and what was counted as people served."""
    client, words, zone = LedgerClient(request), await shift_words(request), await request.app.state.figures.zone()
    path = address("/v1/stations/{station}", station=station)
    activity = await client.get(f"{path}/activity", from_=day, to=day)
    found = await client.get(f"{path}/shifts", day=day, after=after)
    served = await client.get("/v1/people-served", station=station, from_=day, to=day)
    return await render(
        request,
        "station_day.html",
        station=station,
        name=found.get("station_name"),
        day=day,
        activity=activity,
        shifts=[(each, _bar(each, zone, words)) for each in found["shifts"]],
        next_after=found["next_after"],
        served=served["days"],
        before=day - timedelta(1),
        later=day + timedelta(1),
    )


async def _all_stations(client: LedgerClient, **period: date) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = await client.get("/v1/stations", after=after, **period)
        found += page["stations"]
        after = page["next_after"]
        if after is None:
            return found


async def _days_of(client: LedgerClient, station: str, first: int, today: date) -> list[Day]:
    """Return the days of a station since the first year in which the district has any."""
    path = address("/v1/stations/{station}/activity", station=station)
    days: list[Day] = []
    for begin in range(first, today.year + 1, YEARS_AT_ONCE):
        end = min(date(begin + YEARS_AT_ONCE - 1, 12, 31), date(today.year, 12, 31))
        page = await client.get(path, from_=date(begin, 1, 1), to=end)
        days += [{**each, "day": date.fromisoformat(each["day"])} for each in page["days"]]
    return days


async def _shifts(client: LedgerClient, station: str, until: date, days: int) -> Any:
    path, after = address("/v1/stations/{station}/shifts", station=station), None
    while True:
        page = await client.get(path, day=until, days=days, limit=1000, after=after)
        for each in page["shifts"]:
            yield each
        after = page["next_after"]
        if after is None:
            return


def _stay(shift: dict[str, Any], zone: tzinfo) -> tuple[datetime, datetime] | None:
    """Return the part of a shift's stay on its day, in local time; None if it is not known how long it was."""
    if not shift["trace"]["raw"] or shift["check_out"] is None:
        return None
    midnight = datetime.fromisoformat(shift["day"]).replace(tzinfo=zone)
    arrived, left = (datetime.fromisoformat(shift[name]).astimezone(zone) for name in ("check_in", "check_out"))
    return max(arrived, midnight), min(left, midnight + timedelta(1))


def _bar(shift: dict[str, Any], zone: tzinfo, words: ShiftWords) -> str:
    """Return the stay as a bar: whether it counts at all is its colour."""
    midnight = datetime.fromisoformat(shift["day"]).replace(tzinfo=zone)
    arrived = datetime.fromisoformat(shift["check_in"]).astimezone(zone)
    begin = max(int((arrived - midnight).total_seconds()) // 60, 0)
    raw, sentence = (
        shift["trace"]["raw"],
        words.sentence(shift["trace"], [] if shift["check_out"] else ["no-check-out"]),
    )
    fate = "counted" if shift["trace"]["counted"] else "too-short" if raw else "open"
    return day_bar([Stretch(begin, raw, fate, sentence)], f"{words.span(begin, raw)} {sentence}")


def _totals(days: Sequence[Day]) -> dict[str, int]:
    names = ("shifts", "volunteers", "credited_minutes", "people_served")
    return {name: sum(each[name] for each in days) for name in names} | {
        "open": sum(1 for each in days if each["shifts"])
    }


def _months(days: Sequence[Day]) -> dict[int, dict[str, int]]:
    """Return the totals of each month that has a row."""
    return {
        month: _totals([each for each in days if each["day"].month == month])
        for month in sorted({each["day"].month for each in days})
    }


def _longest_run(open_days: Sequence[Day]) -> Run | None:
    """Return the longest run of days on which somebody served, the newest of several."""
    longest: Run | None = None
    for run in _runs([each["day"] for each in open_days]):
        if longest is None or run.days >= longest.days:
            longest = run
    return longest


def _runs(days: Sequence[date]) -> Iterator[Run]:
    begin = last = None
    for day in days:
        if begin is None or last is None or day != last + timedelta(1):
            if begin is not None and last is not None:
                yield Run((last - begin).days + 1, begin, last)
            begin = day
        last = day
    if begin is not None and last is not None:
        yield Run((last - begin).days + 1, begin, last)


def _who_hold_half(minutes: Counter[str]) -> int:
    """Return how few people served half of the minutes."""
    left = sum(minutes.values()) / 2
    for number, (_, each) in enumerate(minutes.most_common(), 1):
        left -= each
        if left <= 0:
            return number
    return 0


def _calendar(request: Request, days: Sequence[Day], year: int, until: date) -> str:
    locale, minutes = _locale(request), {each["day"]: each["credited_minutes"] for each in days}
    months = get_month_names("abbreviated", locale=locale)
    weekdays = get_day_names("narrow" if _language(request) == "zh" else "abbreviated", locale=locale)
    return calendar(
        year,
        minutes,
        thresholds(list(minutes.values())),
        [months[number] for number in range(1, 13)],
        [weekdays[number] for number in range(7)],
        f"{text_for(request, 'Hours of each day')}, {year}",
        until,
    )


def _language(request: Request) -> str:
    return language_of(request.headers)


def _locale(request: Request) -> Any:
    return texts_of(_language(request)).locale
