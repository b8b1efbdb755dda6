"""What is wrong with a value, in words for people: pydantic's errors as predicates and remedies.

A sentence names the field, the value that was sent, what is expected and what to do. It shows no regular expression, no
class and no long value.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any, NamedTuple

from ledger.names import (
    ACTOR_PATTERN,
    CERTIFICATE_PATTERN,
    COMMAND_ID_FORM,
    IMPORT_PATTERN,
    REASON_PATTERN,
    SOURCE_FORM,
)

QUOTED_MAX = 40
"""How many characters of a value are quoted."""

_NAME = "letters A to Z, digits, '.', '_' and '-', of which the first is a letter or digit"
_LENGTH = re.compile(r"\^\[A-Za-z0-9\]\[A-Za-z0-9\._-\]\{0,([0-9]+)\}\$")
"""The pattern of names, of some length."""
_FORMS: dict[str, str] = {
    REASON_PATTERN: "is a code of 1 to 40 small letters, digits and '-', of which the first is a letter",
    ACTOR_PATTERN: f"is station:, person: or system: and a name of 1 to 48 {_NAME}",
    SOURCE_FORM: "is written with 1 to 120 printable ASCII characters, without spaces, '#' and '\\'",
    COMMAND_ID_FORM: "is written with 1 to 120 printable ASCII characters, without spaces and '\\'",
    IMPORT_PATTERN: "is /imports/ and a name of 1 to 60 letters A to Z, digits, '.', '_' and '-'",
    r"^[0-9a-f]{64}$": "is a digest of 64 digits 0 to 9 and a to f",
    r"^[^\x00]*$": "may hold any character but NUL",
    r"^[^\x00-\x1f\x7f]+$": "has at least one character, and no control characters",
    CERTIFICATE_PATTERN: "is the number of a certificate, such as 2026-000001",
}
"""What a text must be, by its pattern."""

_KINDS = {
    "missing": ("is missing", "add it"),
    "extra_forbidden": ("is not a known field", "check its spelling or remove it"),
    "uuid_parsing": ("is not a UUID", "write one such as 01890c5e-7a00-7000-8000-000000000001"),
    "date": ("is not a day", "write one such as 2018-12-04"),
    "int": ("is not a whole number", "write one such as 42"),
    "json_invalid": ("is not JSON: {error}", "send JSON as UTF-8"),
    "model_attributes_type": ("is not a JSON object", "send the fields as one"),
    "model_type": ("is not a JSON object", "send the fields as one"),
}
"""Predicate and remedy for pydantic's error types; a type that is not listed is looked up by its first word."""

_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


_PYTHON_DAY = re.compile(r"datetime\.date\((\d+), (\d+), (\d+)\)")


class Wrong(NamedTuple):
    """What is wrong with a value: a predicate that follows the field's name, and what to do, empty if it says so."""

    predicate: str
    remedy: str

    def __str__(self) -> str:
        """Return both."""
        return f"{self.predicate}; {self.remedy}" if self.remedy else self.predicate


def what_is_wrong(error: Any) -> Wrong:
    """Return what one of pydantic's errors says, as `ValidationError.errors()` lists them."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return Wrong(message_of(error), "correct it")
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return Wrong(f"is {quoted(error['input'])}, but must be {words} {plain(context[name])}", "correct it")
    if found := _KINDS.get(kind) or _KINDS.get(kind.partition("_")[0]):
        predicate, remedy = found
        return Wrong(predicate.format_map(context) if "{" in predicate else predicate, remedy)
    return Wrong(message_of(error).removeprefix("Input "), "")


def message_of(error: Any) -> str:
    """Return the message of one of pydantic's errors without prefixes, patterns and Python's notation of days."""
    if error["type"] == "string_pattern_mismatch":
        return f"{quoted(error['input'])} is not allowed here: {form_of(error['ctx']['pattern'])}"
    message: str = error["msg"]
    return _readable(message.removeprefix("Value error, ").removeprefix("Assertion failed, "))


def _readable(text: str) -> str:
    return _PYTHON_DAY.sub(lambda found: date(*map(int, found.groups())).isoformat(), text)


def form_of(pattern: str) -> str:
    """Return in words what a text must be that a pattern describes."""
    if of_name := _LENGTH.fullmatch(pattern):
        return f"it is written with 1 to {int(of_name[1]) + 1} {_NAME}"
    return f"it {_FORMS.get(pattern, 'has another form')}"


def quoted(value: object) -> str:
    """Return a value as messages quote it."""
    if isinstance(value, str):
        return repr(value if len(value) <= QUOTED_MAX else value[:QUOTED_MAX] + "…")
    if isinstance(value, int | float | date):
        return plain(value)
    return "this value"


def plain(value: object) -> str:
    """Return a number or a day as people write it."""
    if isinstance(value, int) and abs(value) >= 10**QUOTED_MAX:
        return f"a number of more than {QUOTED_MAX} digits"
    return value.isoformat() if isinstance(value, date) else _readable(str(value))


def printable(text: str) -> str:
    """Return a text in one line, with question marks for what a terminal would obey or cannot show.

    Texts of files that somebody else wrote go through this before they are printed. Blanks of any kind become plain
    ones; the characters that join letters in some scripts stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in _JOINERS else " " if each.isspace() else "?" for each in text)


_JOINERS = "\u200c\u200d"
