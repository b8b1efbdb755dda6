"""A day as a lying bar of its hours, with what became of each stretch of minutes. Its words stand beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup

from api.pages.charts.svg import markup, text

HEIGHT = 24
INSTANT_MINUTES = 10
"""How wide a shift without minutes is drawn, so that one sees it."""
HOURS_APART = 6


class Stretch(NamedTuple):
    """Minutes with one fate, from a minute of the day on; `words` say the same. None: a shift without minutes."""

    begin: int
    minutes: int
    fate: str
    words: str


def day_bar(stretches: Iterable[Stretch], label: str, minutes: int = 1440) -> Markup:
    """Return the bar. It is stretched to the width of its place; `minutes`: those of the day."""
    hours = "".join(
        f'<line x1="{at}" x2="{at}" y1="0" y2="{HEIGHT}"/>' for at in range(HOURS_APART * 60, minutes, HOURS_APART * 60)
    )
    parts = []
    for stretch in stretches:
        wide = stretch.minutes or INSTANT_MINUTES
        begin = min(max(stretch.begin, 0), minutes - wide)
        parts.append(
            f'<rect class="fate-{text(stretch.fate)}" data-minutes="{stretch.minutes}" x="{begin}" width="{wide}" '
            f'y="2" height="{HEIGHT - 4}"><title>{text(stretch.words)}</title></rect>'
        )
    return markup(
        f'<svg class="day-bar" viewBox="0 0 {minutes} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(label)}"><rect class="ground" width="{minutes}" height="{HEIGHT}"/>{hours}'
        f"{''.join(parts)}</svg>"
    )
