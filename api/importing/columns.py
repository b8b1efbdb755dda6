"""Columns: the positions of a mapping's columns in a file.

Names are compared after removing surrounding blanks and invisible characters and normalising full-width ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice

from api.importing.cells import quoted, shortened
from api.importing.identifiers import without_invisible
from api.importing.mapping import Mapping, MappingError
from api.importing.sources import COLUMN_KEYS
from api.importing.tables import Row
from projections.rules.errors import Finding
from projections.rules.toml_places import Place, line_of

HEADER_ROWS = 20
"""How many lines are searched for the names of the columns, if they are not where the mapping expects them."""
SIMILAR_MAX = 1000
"""How many columns are compared with a name that is missing."""
LISTED_MAX = 30
"""How many columns a message lists."""


class Columns:
    """The positions of a file's columns, by name."""

    def __init__(self, header: Sequence[str]) -> None:
        self.names = [_plain(name) for name in header]
        self._undivided = len(header) == 1 and any(mark in header[0] for mark in ",;\t|")
        self._places: dict[str, int] = {}
        self._duplicates: set[str] = set()
        for place, name in enumerate(self.names):
            if name in self._places:
                self._duplicates.add(name)
            self._places.setdefault(name, place)

    def place(self, name: str) -> int:
        """Return the index, from 0, of a column whose existence `require` has verified."""
        return self._places[_plain(name)]

    def require(self, mapping: Mapping) -> None:
        """Require that the file has each column of a mapping exactly once.

        Raises:
            MappingError: a column is missing or not unique.
        """
        findings: list[Finding] = []
        for place, name in _columns_of(mapping):
            if found := self._missing(_plain(name), listed=not findings):
                key = ".".join(str(part) for part in place)
                findings.append(Finding(line_of(mapping.lines, place), key, "error", *found))
        if findings:
            raise MappingError(findings)

    def listed(self) -> str:
        """Return the names for a message."""
        more = f", and {len(self.names) - LISTED_MAX} more" if len(self.names) > LISTED_MAX else ""
        return ", ".join(map(shortened, self.names[:LISTED_MAX])) + more

    def _missing(self, name: str, *, listed: bool) -> tuple[str, str] | None:
        if name in self._duplicates:
            return f"the file has several columns {quoted(name)}", "rename all but one"
        if name in self._places:
            return None
        similar = get_close_matches(name, islice(self._places, SIMILAR_MAX), n=1)
        missing = f"the file has no column {quoted(name)}"
        if self._undivided:
            return missing, "set file.delimiter: its header is one column" + (f", {self.listed()}" if listed else "")
        hint = f"did you mean {shortened(similar[0])}? " if similar else ""
        return missing, hint + (f"its columns are: {self.listed()}" if listed else "its columns are listed above")


def header_line_of(mapping: Mapping, rows: Iterable[Row]) -> int | None:
    """Return the line of the first row that has the names of all columns of a mapping, or None."""
    names = {_plain(name) for _, name in _columns_of(mapping)}
    for row in rows:
        if names <= {_plain(cell) for cell in row.cells if isinstance(cell, str)}:
            return row.line
    return None


def _columns_of(mapping: Mapping) -> Iterator[tuple[Place, str]]:
    for number, name in enumerate(mapping.key):
        yield ("key", number), name
    for field, source in mapping.fields.items():
        for key in COLUMN_KEYS:
            if (name := getattr(source, key)) is not None:
                yield ("fields", field, key), name
    if mapping.check:
        for name in mapping.check.source.columns:
            yield ("check",), name
    if mapping.person:
        for key in ("name", "phone", "email"):
            if (name := getattr(mapping.person, key)) is not None:
                yield ("person", key), name


def _plain(name: str) -> str:
    return without_invisible(" ".join(unicodedata.normalize("NFKC", name).split()))
