"""What became of a shift's minutes, in words: why it counts, or why it earns nothing or less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request

from api.pages.formats import Formats
from api.pages.languages import Texts, texts_for


class ShiftWords:
    """The words of one reader's language."""

    def __init__(self, texts: Texts, formats: Formats) -> None:
        self._texts = texts
        self._formats = formats

    def fates(self) -> dict[str, str]:
        """Return what can become of a minute, in the order of a legend."""
        _ = self._texts.gettext
        return {
            "counted": _("counted"),
            "capped": _("over the day's limit"),
            "overlapped": _("already counted in another shift"),
            "clipped": _("beyond the longest shift"),
            "too-short": _("too short to count"),
            "superseded": _("part of the opening balance"),
            "void": _("void"),
            "open": _("without minutes"),
        }

    @staticmethod
    def span(begin: int, minutes: int) -> str:
        """Return minutes of a day as times of the clock."""
        return "–".join(f"{each // 60:02}:{each % 60:02}" for each in (begin, begin + minutes))

    def losses(self, trace: Mapping[str, int]) -> list[tuple[str, str]]:
        """Return the fates for which minutes of a trace do not count: the fate, and how many, in words."""
        names = self.fates()
        return [
            (fate, f"{self._formats.hours(trace[column])} {names[fate]}")
            for fate, column in _COLUMNS.items()
            if fate != "counted" and trace[column]
        ]

    def sentence(self, trace: Mapping[str, int], flags: list[str]) -> str:
        """Return in a sentence why a shift earns what it earns."""
        _ = self._texts.gettext
        raw, counted, credited = trace["raw"], trace["counted"], trace["credited"]
        if not raw:
            return self._without_minutes(flags)
        if counted == raw:
            text = _("All %(hours)s h count.") % {"hours": self._formats.hours(raw)}
        elif counted:
            text = _("%(counted)s of %(hours)s h count.") % {
                "counted": self._formats.hours(counted),
                "hours": self._formats.hours(raw),
            }
        else:
            text = self._nothing(trace)
        if counted and credited != counted:
            text += " " + _("Factors and rounding make it %(hours)s h.") % {"hours": self._formats.hours(credited)}
        return text

    def _without_minutes(self, flags: list[str]) -> str:
        _ = self._texts.gettext
        if "void" in flags:
            return _("It was voided, so it earns nothing.")
        if "double-tap" in flags or "between-first-and-last" in flags:
            return _("It is the same scan as another one, so it earns nothing of its own.")
        if "no-check-in" in flags or "check-out-without-check-in" in flags:
            return _("There is no check-in, so nobody knows when it began. It earns nothing until it is corrected.")
        if "no-check-out" in flags:
            return _("There is no check-out, so nobody knows when it ended. It earns nothing until it is corrected.")
        return _("Check-in and check-out are in the same minute, so it earns nothing.")

    def _nothing(self, trace: Mapping[str, int]) -> str:
        _ = self._texts.gettext
        raw = trace["raw"]
        if trace["too_short"] == raw:
            return _("It lasted %(minutes)s min, which is too short to count.") % {"minutes": raw}
        if trace["superseded"] == raw:
            return _("The opening balance already holds it, so it earns nothing more.")
        if trace["overlapped"] == raw:
            return _("Another shift already holds the same minutes, so it earns nothing more.")
        if trace["capped"] == raw:
            return _("The day's limit was reached by other shifts, so it earns nothing more.")
        return _("None of its %(hours)s h count.") % {"hours": self._formats.hours(raw)}

    def because(self, stretch: Mapping[str, Any], day_limit: int) -> str:
        """Return why a stretch of minutes has its fate, from the fields of an explanation."""
        _ = self._texts.gettext
        rule = stretch["rule"] or {}
        named = {
            "percent": stretch["percent"],
            "name": rule.get("name"),
            "minutes": rule.get("value"),
            "limit": self._formats.hours(day_limit if stretch["fate"] == "capped" else rule.get("value")),
        }
        if stretch["fate"] == "counted" and stretch["percent"] != 100:
            return _("Each minute counts %(percent)s %% (%(name)s).") % named
        return {
            "counted": _("Counted in full."),
            "capped": _("A day holds at most %(limit)s h."),
            "overlapped": _("The same person was already in another shift."),
            "clipped": _("A shift holds at most %(limit)s h."),
            "too-short": _("A shift counts from %(minutes)s min on."),
            "superseded": _("The opening balance already holds these minutes."),
        }[stretch["fate"]] % named


async def shift_words(request: Request) -> ShiftWords:
    """Return the words for a request's reader."""
    texts = texts_for(request.headers)
    return ShiftWords(texts, Formats(texts.locale, await request.app.state.figures.zone()))


_COLUMNS = {
    "counted": "counted",
    "capped": "capped",
    "overlapped": "overlapped",
    "clipped": "clipped",
    "too-short": "too_short",
    "superseded": "superseded",
}


def whole_fate(trace: Mapping[str, int]) -> str | None:
    """Return the fate that all minutes of a trace share; None if they differ, or if there are none."""
    found = [fate for fate, column in _COLUMNS.items() if trace[column]]
    return found[0] if len(found) == 1 else None
