"""Pages of lists by name: every list in an answer has a greatest length, whatever callers record."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from ledger.names import NAME_PATTERN

PAGE_MAX = 1000
PageLimit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="The maximum number of entries.")]
PageAfter = Annotated[str | None, Query(description="`next_after` of the page before.", pattern=NAME_PATTERN)]


def page_of(names: Sequence[str], limit: int, after: str | None) -> tuple[Sequence[str], str | None]:
    """Return the names of a page, and the `after` of the next page if there is one.

    Args:
        names: all names, sorted.
    """
    begin = 0 if after is None else bisect_right(names, after)
    page = names[begin : begin + limit]
    return page, page[-1] if begin + limit < len(names) else None
