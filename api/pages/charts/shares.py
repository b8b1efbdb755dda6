"""A share of a whole as a thin bar, for the rows of tables. It repeats a number beside it, so readers are not told."""

from __future__ import annotations

from markupsafe import Markup

from api.pages.charts.svg import markup, short


def share_bar(value: float, whole: float) -> Markup:
    """Return the bar of a value; `whole` fills it."""
    part = 100 * min(max(value / whole, 0), 1) if whole > 0 else 0
    return markup(
        '<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="ground" width="100" height="6"/><rect width="{short(part)}" height="6"/></svg>'
    )
