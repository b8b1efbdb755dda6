"""Columns: the positions of a mapping's columns in a file.

Names are compared after removing surrounding blanks and invisible characters and normalising full-width ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from api.importing.cells import quoted, shortened
from api.importing.identifiers import without_invisible
from api.importing.mapping import Mapping, MappingError
from api.importing.sources import COLUMN_KEYS
from projections.rules.errors import Finding
from projections.rules.toml_places import Place, line_of

LISTED_MAX = 30
"""How many columns a message lists."""


class Columns:
    """The positions of a file's columns, by name."""

    def __init__(self, header: Sequence[str]) -> None:
        self.names = [_plain(name) for name in header]
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
        similar = get_close_matches(name, self._places, n=1)
        missing = f"the file has no column {quoted(name)}"
        if len(self.names) == 1 and any(mark in self.names[0] for mark in ",;\t|"):
            return missing, "set file.delimiter: its header is one column" + (f", {self.listed()}" if listed else "")
        hint = f"did you mean {shortened(similar[0])}? " if similar else ""
        return missing, hint + (f"its columns are: {self.listed()}" if listed else "its columns are listed above")


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
