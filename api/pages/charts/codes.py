"""QR codes. They are dark on light in every theme, because not every reader reads them otherwise."""

from __future__ import annotations

import segno
from markupsafe import Markup

from api.pages.charts.svg import markup, text

QUIET = 4
"""Empty modules around the code, which readers need."""


def qr_code(content: str, label: str) -> Markup:
    """Return the code of a text, all dark modules as one path. `label`: what a screen reader says."""
    code = segno.make(content, error="m", micro=False)
    size = len(code.matrix) + 2 * QUIET
    path = []
    for y, row in enumerate(code.matrix):
        x = 0
        while x < len(row):
            if not row[x]:
                x += 1
                continue
            begin = x
            while x < len(row) and row[x]:
                x += 1
            path.append(f"M{begin + QUIET} {y + QUIET}h{x - begin}v1h-{x - begin}z")
    return markup(
        f'<svg class="code" viewBox="0 0 {size} {size}" role="img" aria-label="{text(label)}">'
        f'<rect width="{size}" height="{size}" fill="#fff"/><path d="{"".join(path)}" fill="#000"/></svg>'
    )
