"""Bars: one value for each of some names, upright for a series in time, lying for a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from api.pages.charts.svg import markup, nice_ceiling, short, text

HEIGHT, WIDTH, LEFT, BOTTOM, TOP = 180, 640, 44, 22, 10


class Bar(NamedTuple):
    """A bar: its name below, its value, the value in words, and whether it stands out."""

    name: str
    value: float
    words: str
    strong: bool = False


def bars(items: Sequence[Bar], label: str, unit: str = "") -> Markup:
    """Return upright bars with a scale of two lines."""
    top = nice_ceiling(max((item.value for item in items), default=0))
    room = (WIDTH - LEFT) / max(len(items), 1)
    thick = min(room * 0.7, 48)
    inner = HEIGHT - BOTTOM - TOP
    parts = []
    for share in (0.5, 1.0):
        y = TOP + inner * (1 - share)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{short(y)}" y2="{short(y)}"/>'
            f'<text x="{LEFT - 6}" y="{short(y + 4)}" text-anchor="end">{_scale(top * share)}{unit}</text>'
        )
    step = max(1, round(len(items) / 14))
    for number, item in enumerate(items):
        x = LEFT + number * room + (room - thick) / 2
        tall = inner * item.value / top
        y = TOP + inner - tall
        kind = "bar strong" if item.strong else "bar"
        parts.append(
            f'<g class="{kind}"><title>{text(item.name)}: {text(item.words)}</title>'
            f'<rect x="{short(x)}" y="{short(y)}" width="{short(thick)}" height="{short(tall)}" rx="2"/></g>'
        )
        if number % step == 0:
            parts.append(
                f'<text x="{short(x + thick / 2)}" y="{HEIGHT - 6}" text-anchor="middle">{text(item.name)}</text>'
            )
    return markup(
        f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">{"".join(parts)}</svg>'
    )


def _scale(value: float) -> str:
    for limit, name in ((1_000_000, "M"), (1_000, "k")):
        if value >= limit:
            return f"{short(value / limit)}{name}"
    return short(value)
