"""Columns: where in this very file the columns of a mapping are, or what is wrong with either.

Names are compared without the blanks around them and without regard to full width, as people do.
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
    """The places of a file's columns, by name."""

    def __init__(self, header: Sequence[str]) -> None:
        self.names = [_plain(name) for name in header]
        self._places: dict[str, int] = {}
        self._twice: set[str] = set()
        for place, name in enumerate(self.names):
            if name in self._places:
                self._twice.add(name)
            self._places.setdefault(name, place)

    def place(self, name: str) -> int:
        """Return the number, from 0, of a column that `require` has found."""
        return self._places[_plain(name)]

    def require(self, mapping: Mapping) -> None:
        """Hold a mapping to this file.

        Raises:
            MappingError: a column is not there, or there twice.
        """
        findings = []
        for place, name in _columns_of(mapping):
            if found := self._missing(_plain(name)):
                key = ".".join(str(part) for part in place)
                findings.append(Finding(line_of(mapping.lines, place), key, "error", *found))
        if findings:
            raise MappingError(findings)

    def _missing(self, name: str) -> tuple[str, str] | None:
        if name in self._twice:
            return f'the file has several columns "{name}"', "rename all but one"
        if name in self._places:
            return None
        meant = get_close_matches(name, self._places, n=1)
        listed = ", ".join(self.names)
        if len(self.names) == 1 and any(mark in self.names[0] for mark in ",;\t|"):
            return f'the file has no column "{name}"', f"set file.delimiter: its header is one column, {listed}"
        hint = f"did you mean {meant[0]}? " if meant else ""
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
