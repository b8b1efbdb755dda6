"""What a comparison found, in words: bands of changes, and why a volunteer's minutes change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from api.pages.languages import Gettext
from api.pages.languages import marked as _

_STEPS = {
    "raw": _("served time"),
    "superseded": _("superseded"),
    "too_short": _("too short"),
    "clipped": _("longest shift"),
    "overlapped": _("overlap"),
    "capped": _("day cap"),
    "factor_change": _("factor"),
    "rounding": _("rounding"),
    "opening_balance": _("opening balance of old records"),
}


class Band(NamedTuple):
    """How many volunteers gain or lose about so much: `words` for the table, `short` for the axis."""

    words: str
    short: str
    gains: bool
    volunteers: int


def bands(distribution: Sequence[Mapping[str, Any]], gettext: Gettext) -> list[Band]:
    """Return the bands of a distribution in words."""
    return [_band(one, gettext) for one in distribution]


def _band(one: Mapping[str, Any], gettext: Gettext) -> Band:
    gains, first, last = one["direction"] == "gain", one["from_minutes"], one["to_minutes"]
    numbers = {"first": first // 60, "last": (last or 0) // 60}
    if first < 60:
        text = gettext(_("gains less than 1 h")) if gains else gettext(_("loses less than 1 h"))
        short = "0–1"
    elif last is None:
        text = gettext(_("gains %(first)s h or more")) if gains else gettext(_("loses %(first)s h or more"))
        short = f"≥{numbers['first']}"
    else:
        text = gettext(_("gains %(first)s to %(last)s h")) if gains else gettext(_("loses %(first)s to %(last)s h"))
        short = f"{numbers['first']}–{numbers['last']}"
    return Band(text % numbers, ("+" if gains else "−") + short, gains, one["volunteers"])


def reason_words(gettext: Gettext) -> Callable[[Sequence[Mapping[str, Any]]], str]:
    """Return the function that says why minutes change, the largest reason first."""

    def words(reasons: Sequence[Mapping[str, Any]]) -> str:
        ordered = sorted(reasons, key=lambda each: -abs(each["minutes"]))
        return gettext(_(", ")).join(f"{_name(each, gettext)} {_signed(each['minutes'])}" for each in ordered)

    return words


def _name(reason: Mapping[str, Any], gettext: Gettext) -> str:
    step = gettext(_STEPS.get(reason["step"], reason["step"]))
    return f"{step} {reason['factor']}" if reason["factor"] else step


def _signed(minutes: int) -> str:
    sign = "+" if minutes > 0 else "−"
    return f"{sign}{abs(minutes) // 60:,}:{abs(minutes) % 60:02}"
