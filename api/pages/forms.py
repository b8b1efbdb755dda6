"""The fields of a form that a page posted. Files are not among them: those pages read the body themselves."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from ledger.names import POSITION_MAX

FIELDS_MAX = 1000


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields by name, without the spaces around them; the last of those with one name."""
    content = (await request.body()).decode("utf-8", errors="replace")
    try:
        pairs = parse_qsl(content, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:  # too many fields
        return {}
    return {name: value.strip() for name, value in pairs}


def whole_number(text: str, most: int = POSITION_MAX) -> int | None:
    """Return the number that a field holds; None if it holds none, or one that is greater than `most`."""
    written = text.strip()
    if not (written.isascii() and written.isdigit()) or len(written) > len(str(most)):
        return None
    number = int(written)
    return number if number <= most else None


Fields = Annotated[dict[str, str], Depends(form_of)]
"""A parameter of a page that takes a form."""
