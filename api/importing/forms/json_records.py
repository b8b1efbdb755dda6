"""JSON: the objects of an array, or of lines, as a stream of records.

Members of objects inside a record are named with dots: volunteer.number. Numbers keep their digits, lists are text.
Memory use does not depend on the length of the file. What is no record costs its line, except where it leaves open
where the next record begins.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, TextIO

from api.importing.cells import Number, Unreadable, quoted

RECORD_LENGTH_MAX = 1 << 20
COLUMNS_MAX = 1000
NAME_LENGTH_MAX = 1000
"""Characters of a member's name with those of the objects around it; a mapping names columns of up to 200."""
_BLOCK_CHARS = 1 << 16
_BLANKS = " \t\r\n\ufeff"

Record = dict[str, str | bool | None]


class JsonError(ValueError):
    """Text that is not the JSON of records; the message says where, and what to do."""


def records(file: TextIO, member: str | None, *, lines: bool) -> Iterator[Record | Unreadable]:
    """Yield the records of a file, and what is wrong with those that are none.

    Args:
        member: the name of the array, if the file is an object; by default its first array.
        lines: whether the file has an object after the other, instead of an array.

    Raises:
        JsonError: the file has another form.
    """
    if lines:
        found = _values_of_lines(file)
    else:
        text = _Text(file)
        _find_array(text, member)
        found = _elements(text)
    yield from map(_record, found)


def column_names(file: TextIO, member: str | None, *, lines: bool) -> list[str]:
    """Return the names of all members of all records, in the order of their first use."""
    names: dict[str, None] = {}
    first_defect: Unreadable | None = None
    for record in records(file, member, lines=lines):
        if isinstance(record, Unreadable):
            first_defect = first_defect or record
            continue
        names.update(dict.fromkeys(record))
        if len(names) > COLUMNS_MAX:
            raise JsonError(f"the records have more than {COLUMNS_MAX} members; keep those that are needed")
    if first_defect and not names:
        raise JsonError(f"the file has no record: the first {first_defect.sentence}; {first_defect.remedy}")
    return list(names)


def _record(value: Any) -> Record | Unreadable:
    if isinstance(value, Unreadable):
        return value
    if not isinstance(value, dict):
        return Unreadable("is not an object", "write each record as an object with named members")
    record: Record = {}
    try:
        _flatten(value, "", record)
    except _MemberTwiceError as error:
        return Unreadable(f"has the member {quoted(str(error))} twice", "keep one")
    except _LongNameError as error:
        sentence = f"has the member {quoted(str(error))}, whose name has more than {NAME_LENGTH_MAX:,} characters"
        return Unreadable(sentence, "flatten the record, or shorten the name")
    return record


class _MemberTwiceError(ValueError):
    """An object has a member twice."""


class _LongNameError(ValueError):
    """A member's name, with those of the objects around it, is too long."""


class _Ambiguous(dict[str, Any]):
    """An object that has a member twice."""

    name: str


def _flatten(value: dict[str, Any], prefix: str, record: Record) -> None:
    if isinstance(value, _Ambiguous):
        raise _MemberTwiceError(prefix + value.name)
    for name, member in value.items():
        if len(prefix) + len(name) > NAME_LENGTH_MAX:
            raise _LongNameError(prefix + name)
        if isinstance(member, dict):
            _flatten(member, f"{prefix}{name}.", record)
        elif isinstance(member, list):
            record[prefix + name] = json.dumps(member, ensure_ascii=False)
        else:
            record[prefix + name] = member


def _find_array(text: _Text, member: str | None) -> None:
    """Go to the array of records."""
    if text.peek() == "[" and member is None:
        return
    if text.peek() != "{":
        expected = f'an object with an array "{member}"' if member else "an array of records"
        remedy = "remove records under [file]" if member else "save the records as an array of objects"
        raise JsonError(f"the file is not {expected}; {remedy}")
    names = []
    text.take("{")
    while text.peek() != "}":
        name = text.value()
        text.take(":")
        if text.peek() == "[" and member in {None, name}:
            return
        names.append(str(name))
        text.value()
        if text.peek() != "}":
            text.take(",")
    remedy = (
        f"name one of its members that is an array under [file]: records = …; they are {', '.join(names[:20])}"
        if member
        else "save the records as an array of objects, or name the file .ndjson if each line is a record"
    )
    raise JsonError(f"the file has no array {quoted(member) if member else 'of records'}; {remedy}")


def _elements(text: _Text) -> Iterator[Any]:
    text.take("[")
    while text.peek() != "]":
        yield text.value()
        if text.peek() != "]":
            text.take(",")


def _values_of_lines(file: TextIO) -> Iterator[Any]:
    """Yield the value of each line, or what is wrong with it."""
    while line := file.readline(RECORD_LENGTH_MAX):
        text = line.strip(_BLANKS)
        if len(line) == RECORD_LENGTH_MAX and not line.endswith("\n"):
            while (rest := file.readline(RECORD_LENGTH_MAX)) and not rest.endswith("\n"):
                pass
            yield Unreadable(f"has more than {RECORD_LENGTH_MAX:,} characters", "shorten it")
        elif text:
            try:
                yield _DECODER.decode(text)
            except RecursionError:
                yield Unreadable("has too many objects inside each other", "flatten them")
            except json.JSONDecodeError as error:
                yield Unreadable(f"is not JSON: {error.msg}", "write each record as one line")


class _Text:
    """The text of a file from some place on, of which only a part is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._line = 1

    def peek(self) -> str:
        """Return the next character that is not blank, without taking it; "" at the end."""
        while True:
            while self._at < len(self._text):
                char = self._text[self._at]
                if char not in _BLANKS:
                    return char
                self._line += char == "\n"
                self._at += 1
            if not self._read():
                return ""

    def take(self, char: str) -> None:
        """Take a character, which must be the next one."""
        found = self.peek()
        if found != char:
            what = f"{quoted(found)} stands there" if found else "the file ends there"
            raise JsonError(f'line {self._line} has no "{char}" where it must be: {what}; save the file again as JSON')
        self._at += 1

    def value(self) -> Any:
        """Take a value."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise JsonError(f"line {self._line} has too many objects inside each other; flatten them") from None
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > RECORD_LENGTH_MAX:
                    raise JsonError(
                        f"line {self._line} begins a value of more than {RECORD_LENGTH_MAX:,} characters, "
                        "or one that is never closed; remove it"
                    ) from None
                line = self._line + self._text.count("\n", self._at, error.pos)
                if not self._read():
                    raise JsonError(f"line {line} is not JSON: {error.msg}; save the file again as JSON") from None
            else:
                if end < len(self._text) or not self._read():
                    self._line += self._text.count("\n", self._at, end)
                    self._at = end
                    return value

    def _read(self) -> bool:
        """Read on; drop what was taken. Return whether there was more."""
        block = self._file.read(_BLOCK_CHARS)
        self._text = self._text[self._at :] + block
        self._at = 0
        return bool(block)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        members = _Ambiguous(members)
        members.name = next(name for name, count in Counter(names).items() if count > 1)
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=Number, parse_int=Number, parse_constant=str)
