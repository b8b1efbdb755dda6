"""The parts that charts share: escaping, and numbers as short as a picture needs them."""

from __future__ import annotations

from html import escape

from markupsafe import Markup


def markup(text: str) -> Markup:
    """Return SVG that templates must not escape. Every text within it was escaped by `text`."""
    return Markup(text)  # noqa: S704 - it is made here, and texts in it are escaped


def text(content: object) -> str:
    """Return a text for SVG, escaped."""
    return escape(str(content), quote=True)


def short(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def nice_ceiling(value: float) -> float:
    """Return a round number that is not below a value: the end of an axis."""
    if value <= 0:
        return 1
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)
