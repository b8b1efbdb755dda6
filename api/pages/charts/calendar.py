"""A calendar heat map: a year as columns of weeks, a square for each day, five shades by its value.

All days of one shade are one path, whose squares are points drawn with a square pen, so a year takes three kilobytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from markupsafe import Markup

from api.pages.charts.svg import markup, text

CELL, LEFT, TOP = 13, 30, 18
SHADES = 4


def thresholds(values: Sequence[int]) -> tuple[int, ...]:
    """Return the least values of the shades 2 to 4: quartiles of the values that are not zero."""
    ordered = sorted(value for value in values if value > 0)
    if not ordered:
        return (1, 1, 1)
    return tuple(ordered[len(ordered) * quarter // SHADES] for quarter in range(1, SHADES))


def calendar(
    year: int,
    values: Mapping[date, int],
    limits: Sequence[int],
    months: Sequence[str],
    weekdays: Sequence[str],
    label: str,
    until: date,
) -> Markup:
    """Return the heat map of a year.

    Args:
        values: of each day; a day without one counts as zero.
        limits: from `thresholds`.
        months: twelve short names; weekdays: seven, Monday first, of which every second is shown.
        label: what a screen reader says instead.
        until: the last day that has happened; later days are not drawn.
    """
    first = date(year, 1, 1)
    offset = first.weekday()
    points: list[list[str]] = [[] for _ in range(SHADES + 1)]
    labels: list[str] = []
    day = first
    while day.year == year and day <= until:
        week, weekday = divmod((day - first).days + offset, 7)
        x, y = LEFT + week * CELL, TOP + weekday * CELL
        value = values.get(day, 0)
        points[0 if value <= 0 else 1 + sum(value >= limit for limit in limits)].append(f"M{x + 5.5:g} {y + 5.5:g}h0")
        day += timedelta(1)
    for number, name in enumerate(months, 1):
        week = ((date(year, number, 1) - first).days + offset) // 7
        labels.append(f'<text x="{LEFT + week * CELL}" y="11">{text(name)}</text>')
    labels += [f'<text x="0" y="{TOP + row * CELL + 9}">{text(weekdays[row])}</text>' for row in (0, 2, 4)]
    paths = "".join(
        f'<path class="shade-{shade}" d="{"".join(found)}"/>' for shade, found in enumerate(points) if found
    )
    width, height = LEFT + 53 * CELL + 12, TOP + 7 * CELL
    return markup(
        f'<svg class="calendar" viewBox="0 0 {width} {height}" role="img" aria-label="{text(label)}">'
        f"{paths}{''.join(labels)}</svg>"
    )
