"""Reading texts by a format, such as `%d%m%Y`, in which digits follow each other without a separator.

`datetime.strptime` reads 1122014 by `%d%m%Y` as the eleventh of February. But a spreadsheet drops the first zero of
01122014, and people leave out others. So zeros are put back where a text has fewer digits than its format: in every way
that gives a day or time. Only if there is one such way is the text read.

A format with a point between digits, such as `%H.%M`, is that of a number, from which a spreadsheet drops the last
zeros: 9.30 becomes 9.3, and 11.00 becomes 11. They are put back by the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import NamedTuple

_WIDTHS = {"Y": 4, "G": 4, "j": 3} | dict.fromkeys("mdHIMSyVUW", 2) | dict.fromkeys("uw", 1)
"""The directives that are digits, and how many."""
_FRACTION = "f"
_SHORT_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_WORD = ".+?"
_WORDS_MAX = 2
"""Names of days, months or zones in a format whose texts are completed: each one more multiplies the time to match."""
_TOKEN = re.compile(r"%(?P<directive>.)|(?P<blank>\s+)|(?P<literal>[^%\s]+)", re.DOTALL)


class AmbiguousDigitsError(ValueError):
    """A text with too few digits that can be completed in several ways; `completed` shows them."""

    def __init__(self, completed: Sequence[str]) -> None:
        super().__init__(" or ".join(completed))
        self.completed = tuple(completed)


def read_by_format(text: str, form: str) -> datetime:
    """Return a text as a moment by a format of `strptime`.

    Raises:
        AmbiguousDigitsError: it has fewer digits than the format, and can be completed in several ways.
        ValueError: it does not have this format.
    """
    shape = _shape(form)
    if shape.places and (short := _SHORT_NUMBER.fullmatch(text)) and len(short[2] or "") < shape.places:
        fractions = {(short[2] or "").ljust(shape.places, "0")} | {
            each.zfill(shape.places) for each in short.groups()[1:] if each
        }
        return _only_reading((f"{short[1]}.{fraction}" for fraction in fractions), form)
    if not shape.runs:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the format may hold a zone
    found = shape.pattern.fullmatch(text)
    if not found:
        raise ValueError("another format")
    if all(len(run) == sum(widths) for run, widths in zip(found.groups(), shape.runs, strict=True)):
        return datetime.strptime(text, form)  # noqa: DTZ007 - the same
    return _only_reading(_completions(text, found, shape.runs), form)


def _only_reading(texts: Iterable[str], form: str) -> datetime:
    """Return the moment of those of some texts that have a format, if it is one."""
    readings: dict[datetime, str] = {}
    for completed in texts:
        try:
            readings.setdefault(datetime.strptime(completed, form), completed)  # noqa: DTZ007 - the same
        except ValueError:
            continue
    if len(readings) > 1:
        raise AmbiguousDigitsError(sorted(readings.values()))
    if not readings:
        raise ValueError("no such moment")
    return next(iter(readings))


class _Shape(NamedTuple):
    """A format: a pattern with a group for each run of adjacent digits, and the widths of the directives of each.

    `places`: the digits behind the point if it is the format of a number, else 0.
    """

    pattern: re.Pattern[str]
    runs: tuple[tuple[int, ...], ...]
    places: int


@lru_cache(maxsize=256)
def _shape(form: str) -> _Shape:
    parts: list[str] = []
    runs: list[tuple[int, ...]] = []
    widths: list[int] = []

    def end_run(*, exact: bool = False) -> None:
        if len(widths) > 1 or (widths and exact):
            runs.append(tuple(widths))
            parts.append(rf"([0-9]{{{sum(widths) if exact else 1},{sum(widths)}}})")
        elif widths:
            parts.append(rf"[0-9]{{1,{widths[0]}}}")
        widths.clear()

    for token in _TOKEN.finditer(form):
        directive = token["directive"]
        if directive in _WIDTHS:
            widths.append(_WIDTHS[directive])
            continue
        end_run(exact=directive == _FRACTION)
        if directive == _FRACTION:
            parts.append("[0-9]{1,6}")
        elif token["blank"]:
            parts.append(r"\s+")
        elif directive and directive != "%":
            parts.append(_WORD)
        else:
            parts.append(re.escape(token["literal"] or "%"))
    end_run()
    if parts.count(_WORD) > _WORDS_MAX:
        runs.clear()
    return _Shape(re.compile("".join(parts), re.IGNORECASE | re.DOTALL), tuple(runs), _places(form))


def _places(form: str) -> int:
    """Return how many digits a format has behind its point, if it is one of digits and one point; else 0."""
    whole, _, fraction = form.partition(".")
    directives = [re.findall("%(.)", part) for part in (whole, fraction)]
    plain = all(
        "".join(f"%{each}" for each in found) == part for found, part in zip(directives, (whole, fraction), strict=True)
    )
    if not plain or not all(directives) or not {*directives[0], *directives[1]} <= _WIDTHS.keys():
        return 0
    return sum(_WIDTHS[each] for each in directives[1])


def _completions(text: str, found: re.Match[str], runs: Sequence[Sequence[int]]) -> Iterator[str]:
    """Yield the texts in which every run has all its digits."""
    ways = [list(_completed(run, widths, first=True)) for run, widths in zip(found.groups(), runs, strict=True)]
    for chosen in product(*ways):
        parts, end = [], 0
        for number, run in enumerate(chosen, 1):
            parts += [text[end : found.start(number)], run]
            end = found.end(number)
        yield "".join(parts) + text[end:]


def _completed(digits: str, widths: Sequence[int], *, first: bool) -> Iterator[str]:
    """Yield the ways to put back zeros at the beginning of each directive; years of four digits have lost none.

    The first directives may have lost all their digits, as the hour of 0005 has in a cell with the number 5.
    """
    if not widths:
        if not digits:
            yield ""
        return
    width, rest = widths[0], widths[1:]
    shortest = width if width == 4 else (0 if first else 1)
    for length in range(shortest, min(width, len(digits)) + 1):
        for end in _completed(digits[length:], rest, first=first and not length):
            yield digits[:length].zfill(width) + end
