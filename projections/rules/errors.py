"""Rule errors: what is wrong with a rule timeline, with the line, the key and the way out.

The models of `projections.rules.timeline` say what they refuse; here it is turned into findings that people can act on.
Each message is a sentence and, behind a semicolon, a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from projections.rules.toml_places import Place, line_of


@dataclass(frozen=True)
class Finding:
    """Something about a rule timeline: on which line of its text, by which key, what it is and what to do.

    An error makes the timeline unusable; a warning is something hardly meant.
    """

    line: int
    key: str
    severity: Literal["error", "warning"]
    sentence: str
    remedy: str

    def __str__(self) -> str:
        """Return it as one sentence."""
        return f"line {self.line}: {self.key}: {self.sentence}; {self.remedy}"


class RulesError(ValueError):
    """A rule timeline that cannot be used; the message names the lines, the keys and the remedies."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(". ".join(map(str, findings)))
        self.findings = tuple(findings)


def error_at(sentence: str, *place: str | int) -> PydanticCustomError:
    """Return an error to raise within a model, about a place within it; the remedy stands behind a semicolon."""
    return PydanticCustomError("rules", "{sentence}", {"sentence": sentence, "place": place})


def not_toml(text: str, message: str) -> Finding:
    """Say where the text stops being TOML."""
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(found.group(1)) if found else len(text.splitlines())
    return Finding(line, "timeline", "error", f"the rules are not TOML: {message}", "correct the line")


def findings_of(error: ValidationError, known: Mapping[Place, int]) -> list[Finding]:
    """Say what is wrong, a misspelt key once: with the key that is missing beside it, which is what was meant."""
    problems = _told(error.errors())
    missing = {problem["loc"] for problem in problems if problem["type"] == "missing"}
    said: list[tuple[Place, str, str]] = []
    for problem in problems:
        kind, place = problem["type"], problem["loc"]
        if kind == "extra_forbidden":
            siblings = [str(other[-1]) for other in missing if other[:-1] == place[:-1]]
            meant = get_close_matches(str(place[-1]), siblings, n=1)
            missing -= {(*place[:-1], name) for name in meant}
            said.append(
                (place, "unknown key", f"did you mean {meant[0]}?" if meant else "check its spelling or remove it")
            )
        elif kind != "missing":
            said.append(_said(place, problem, known))
    said += [(place, "is missing", "write it down") for place in sorted(missing, key=str)]
    findings = [
        Finding(line_of(known, place), ".".join(map(str, place)) or "timeline", "error", sentence, remedy)
        for place, sentence, remedy in said
    ]
    return sorted(findings, key=lambda finding: finding.line)


def _told(problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a list is empty where it only seems so because what stands in it is wrong."""
    places = [problem["loc"] for problem in problems]
    return [
        problem
        for place, problem in zip(places, problems, strict=True)
        if problem["type"] != "too_short" or not any(other[:-1][: len(place)] == place for other in places)
    ]


def _said(place: Place, problem: ErrorDetails, known: Mapping[Place, int]) -> tuple[Place, str, str]:
    """Return the place, what is wrong there, and the remedy."""
    message, context = problem["msg"].removeprefix("Value error, "), problem.get("ctx", {})
    sentence, _, remedy = message.partition("; ")
    if problem["type"] == "rules":
        return (*place, *context["place"]), sentence, remedy
    begins = (*place, message.partition(" ")[0])  # a sentence about one key of a table begins with it
    return (begins if begins in known else place), sentence, remedy or _REMEDIES.get(problem["type"], "correct it")


_REMEDIES = {
    "int_type": "write a whole number, without quotation marks",
    "int_from_float": "write a whole number",
    "string_type": "write it in quotation marks",
    "date_type": "write a day such as 2018-12-04",
    "date_from_datetime_parsing": "write a day such as 2018-12-04",
    "less_than_equal": "write less",
    "greater_than_equal": "write more",
    "literal_error": "write one of these",
    "too_short": "add one",
}
