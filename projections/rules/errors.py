"""Rule errors: what is wrong with a rule timeline, with the line, the key and a remedy.

The validation errors of the models in `projections.rules.timeline` are converted to findings here. Each message is a
sentence and, after a semicolon, a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from ledger.sentences import message_of
from projections.rules.toml_places import Place, line_of

FINDINGS_MAX: Final = 200
"""The maximum number of findings about one timeline; the others are found when these are corrected."""


@dataclass(frozen=True)
class Finding:
    """A problem of a rule timeline: the line of the text, the key, a sentence and a remedy.

    A timeline with an error must not be used; a warning is about something that is probably not intended.
    """

    line: int
    key: str
    severity: Literal["error", "warning"]
    sentence: str
    remedy: str

    def __str__(self) -> str:
        """Return the finding as one sentence."""
        return f"line {self.line}: {self.key}: {self.sentence}; {self.remedy}"


class RulesError(ValueError):
    """A rule timeline is not valid; the message names the lines, the keys and the remedies."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(". ".join(map(str, findings)))
        self.findings = tuple(findings)


def error_at(sentence: str, *place: str | int) -> PydanticCustomError:
    """Return an error to raise in a model's validator, about a place in the model; the remedy follows a semicolon."""
    return PydanticCustomError("rules", "{sentence}", {"sentence": sentence, "place": place})


def not_toml(text: str, message: str) -> Finding:
    """Return the finding for a text that is not TOML, from the parser's message."""
    if text.startswith("\ufeff"):
        return Finding(1, "timeline", "error", "the text begins with a byte order mark", "remove it")
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(found.group(1)) if found else len(text.splitlines())
    return Finding(line, "timeline", "error", f"the rules are not TOML: {message}", "correct the line")


def findings_of(error: ValidationError, lines: Mapping[Place, int]) -> list[Finding]:
    """Return the findings of a validation error. A misspelt key and the missing key that was meant are one finding."""
    problems = _without_consequences(error.errors(include_url=False))[:FINDINGS_MAX]
    missing = {problem["loc"] for problem in problems if problem["type"] == "missing"}
    entries: list[tuple[Place, str, str]] = []
    for problem in problems:
        kind, place = problem["type"], problem["loc"]
        if kind == "extra_forbidden":
            siblings = [str(other[-1]) for other in missing if other[:-1] == place[:-1]]
            meant = get_close_matches(str(place[-1]), siblings, n=1)
            missing -= {(*place[:-1], name) for name in meant}
            entries.append(
                (place, "unknown key", f"did you mean {meant[0]}?" if meant else "check its spelling or remove it")
            )
        elif kind != "missing":
            entries.append(_entry(place, problem, lines))
    entries += [(place, "is missing", "add it") for place in sorted(missing, key=str)]
    findings = [
        Finding(line_of(lines, place), ".".join(map(str, place)) or "timeline", "error", sentence, remedy)
        for place, sentence, remedy in entries
    ]
    return sorted(findings, key=lambda finding: finding.line)


def _without_consequences(problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return the problems without those about an empty list that is empty only because its elements are invalid."""
    places = [problem["loc"] for problem in problems]
    return [
        problem
        for place, problem in zip(places, problems, strict=True)
        if problem["type"] != "too_short" or not any(other[:-1][: len(place)] == place for other in places)
    ]


def _entry(place: Place, problem: ErrorDetails, lines: Mapping[Place, int]) -> tuple[Place, str, str]:
    """Return the place, the sentence and the remedy of a problem."""
    message, context = message_of(problem), problem.get("ctx", {})
    sentence, _, remedy = message.partition("; ")
    if problem["type"] == "rules":
        return (*place, *context["place"]), sentence, remedy
    named = (*place, message.partition(" ")[0])  # a sentence about one key of a table begins with the key
    return (named if named in lines else place), sentence, remedy or _REMEDIES.get(problem["type"], "correct it")


_REMEDIES = {
    "bool_type": "write true or false, without quotation marks",
    "int_type": "write a whole number, without quotation marks",
    "int_from_float": "write a whole number",
    "string_type": "write it in quotation marks",
    "date_type": "write a day such as 2018-12-04",
    "date_from_datetime_parsing": "write a day such as 2018-12-04",
    "less_than_equal": "use a smaller number",
    "greater_than_equal": "use a larger number",
    "literal_error": "use one of these",
    "too_short": "add one",
}
