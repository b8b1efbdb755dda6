"""TOML places: the line of each key and table of a TOML text.

Neither the standard parser nor any maintained Python library reports the lines of parsed values. So this module scans
the text again, for keys and headers only. It may assume a valid text, because `tomllib` has accepted it before, and it
returns only line numbers.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

Place = tuple[str | int, ...]
"""The path to a value, by keys and array indices: ("rule_sets", 0, "factors", 2, "percent")."""

# No part of the pattern backtracks, so that any text is scanned in time proportional to its length.
_TOKEN = re.compile(
    r"(?P<blank>[ \t\r]+|\#[^\n]*)"
    r"|(?P<newline>\n)"
    r'|(?P<text>"""(?:[^"\\]+|\\.|"{1,2}(?!"))*+"{3,5}|' + r"'''(?:[^']+|'{1,2}(?!'))*+'{3,5}"
    r'|"(?!"")(?:[^"\\\n]+|\\.)*+"|' + r"'(?!'')[^'\n]*+')"
    r"|(?P<bare>[A-Za-z0-9_-]+)"
    r"|(?P<sign>.)",
    re.DOTALL,
)


def places(text: str) -> dict[Place, int]:
    """Return the line, from 1, of each key, table and array element of a valid TOML text."""
    return _Scanner(text).scan()


def line_of(lines: Mapping[Place, int], place: Sequence[str | int]) -> int:
    """Return the line of a place, or of the innermost place around it that has one; 1 if none has."""
    candidates = (lines.get(tuple(place[:length])) for length in range(len(place), 0, -1))
    return next((line for line in candidates if line is not None), 1)


class Token(NamedTuple):
    """A token: its kind (newline, text, bare or sign), its text, and its line, from 1."""

    kind: str
    text: str
    line: int


_END = Token("end", "", 0)


def tokens_of(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, which need not be TOML, without blanks and comments."""
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "blank":
            yield Token(str(match.lastgroup), match.group(), line)
        line += match.group().count("\n")


class _Scanner:
    """Scans the tokens. `_table` is the current table, to which keys at the start of a line belong."""

    def __init__(self, text: str) -> None:
        self._tokens = [*tokens_of(text), _END]
        self._at = 0
        self._table: Place = ()
        self._elements: dict[Place, int] = {}  # of arrays of tables
        self._lines: dict[Place, int] = {}

    def scan(self) -> dict[Place, int]:
        while self._skip_lines().kind != "end":
            token = self._token
            if token.text == "[" and token.kind == "sign":
                self._header()
            else:
                self._pair(self._table)
        return self._lines

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return self._tokens[self._at - 1]

    def _skip_lines(self) -> Token:
        while self._token.kind == "newline":
            self._take()
        return self._token

    def _note(self, place: Place, line: int) -> None:
        self._lines.setdefault(place, line)

    def _keys(self) -> list[str]:
        """Read a key, dotted or not, up to the sign after it."""
        keys = []
        while self._token.kind in {"bare", "text"} or self._token.text == ".":
            token = self._take()
            if token.kind == "text":
                keys.append(str(tomllib.loads(f"key = {token.text}")["key"]))
            elif token.kind == "bare":
                keys.append(token.text)
        return keys

    def _header(self) -> None:
        line = self._take().line
        of_array = self._token.text == "["
        if of_array:
            self._take()
        *parents, last = self._keys()
        place: Place = ()
        for key in parents:
            place = (*place, key)
            self._note(place, line)
            if place in self._elements:
                place = (*place, self._elements[place] - 1)
        place = (*place, last)
        self._note(place, line)
        if of_array:
            self._elements[place] = self._elements.get(place, 0) + 1
            place = (*place, self._elements[place] - 1)
            self._note(place, line)
            self._take()
        self._take()
        self._table = place

    def _pair(self, table: Place) -> None:
        line = self._token.line
        keys = self._keys()
        for length in range(1, len(keys) + 1):
            self._note((*table, *keys[:length]), line)
        self._take()  # the equals sign
        self._value((*table, *keys))

    def _value(self, place: Place) -> None:
        opened = self._token.text if self._token.kind == "sign" else ""
        if opened in {"[", "{"}:
            self._take()
            number = 0
            while self._skip_lines().kind != "end" and self._token.text not in {"]", "}"}:
                if opened == "[":
                    self._note((*place, number), self._token.line)
                    self._value((*place, number))
                else:
                    self._pair(place)
                number += 1
                if self._skip_lines().text == ",":
                    self._take()
            self._take()
            return
        while not (self._token.kind in {"newline", "end"} or self._is_sign(",]}")):
            self._take()

    def _is_sign(self, signs: str) -> bool:
        return self._token.kind == "sign" and self._token.text in signs
