"""Columns: the positions of a mapping's columns in a file.

Names are compared after removing surrounding blanks and normalising full-width characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from api.importing.cells import printable
from api.importing.mapping import Mapping, MappingError
from projections.rules.errors import Finding
from projections.rules.toml_places import Place, line_of


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
        findings = []
        for place, name in _columns_of(mapping):
            if found := self._missing(_plain(name)):
                key = ".".join(str(part) for part in place)
                findings.append(Finding(line_of(mapping.lines, place), key, "error", *found))
        if findings:
            raise MappingError(findings)

    def _missing(self, name: str) -> tuple[str, str] | None:
        if name in self._duplicates:
            return f'the file has several columns "{name}"', "rename all but one"
        if name in self._places:
            return None
        similar = get_close_matches(name, self._places, n=1)
        listed = ", ".join(self.names)
        if len(self.names) == 1 and any(mark in self.names[0] for mark in ",;\t|"):
            return f'the file has no column "{name}"', f"set file.delimiter: its header is one column, {listed}"
        hint = f"did you mean {similar[0]}? " if similar else ""
        return f'the file has no column "{name}"', f"{hint}its columns are: {listed}"


def _columns_of(mapping: Mapping) -> Iterator[tuple[Place, str]]:
    for number, name in enumerate(mapping.key):
        yield ("key", number), name
    for field, source in mapping.fields.items():
        for key in ("column", "date", "time", "hours", "minutes"):
            if (name := getattr(source, key)) is not None:
                yield ("fields", field, key), name
    if mapping.person:
        for key in ("name", "phone", "email"):
            if (name := getattr(mapping.person, key)) is not None:
                yield ("person", key), name


def _plain(name: str) -> str:
    return printable(" ".join(unicodedata.normalize("NFKC", name).split()))
