"""How pages write minutes, numbers, days and instants, in the reader's language. All are filters of the templates."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import Any

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal


class Formats:
    """The filters for one language and time zone."""

    def __init__(self, locale: Locale, zone: tzinfo) -> None:
        self._locale = locale
        self._zone = zone

    def filters(self) -> dict[str, Any]:
        """Return the filters by their names."""
        names = (
            "hours",
            "whole_hours",
            "signed_hours",
            "number",
            "day",
            "short_day",
            "instant",
            "clock",
            "day_and_clock",
        )
        return {name: getattr(self, name) for name in names}

    def hours(self, minutes: int | None) -> str:
        """Return minutes as hours and minutes: 1,364:45; a dash for none."""
        if minutes is None:
            return "–"
        sign = "−" if minutes < 0 else ""
        return f"{sign}{abs(minutes) // 60:,}:{abs(minutes) % 60:02}"

    def signed_hours(self, minutes: int) -> str:
        """Return a change of minutes with its sign."""
        return f"+{self.hours(minutes)}" if minutes > 0 else self.hours(minutes)

    def whole_hours(self, minutes: int) -> str:
        """Return whole hours, rounded down."""
        return self.number(minutes // 60)

    def number(self, value: float) -> str:
        """Return a number with separators."""
        return str(format_decimal(value, locale=self._locale))

    def day(self, day: date | str | None) -> str:
        """Return a local day."""
        return "–" if day is None else str(format_date(_day(day), "long", locale=self._locale))

    def short_day(self, day: date | str | None) -> str:
        """Return a local day as short as the language allows, with the year."""
        return "–" if day is None else str(format_date(_day(day), "medium", locale=self._locale))

    def instant(self, instant: datetime | str | int | None) -> str:
        """Return the local date and time of an instant."""
        return "–" if instant is None else str(format_datetime(self._local(instant), "medium", locale=self._locale))

    def clock(self, instant: datetime | str | int | None) -> str:
        """Return the local time of day of an instant, such as 09:05."""
        return "–" if instant is None else self._local(instant).strftime("%H:%M")

    def day_and_clock(self, instant: datetime | str | int | None) -> str:
        """Return the local day and time of an instant, to the minute."""
        if instant is None:
            return "–"
        local = self._local(instant)
        return f"{self.short_day(local.date())} {local:%H:%M}"

    def _local(self, instant: datetime | str | int) -> datetime:
        if isinstance(instant, int):
            return datetime.fromtimestamp(instant, UTC).astimezone(self._zone)
        found = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(self._zone)


def _day(day: date | str) -> date:
    return date.fromisoformat(day[:10]) if isinstance(day, str) else day
