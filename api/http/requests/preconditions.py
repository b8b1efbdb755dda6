"""Preconditions: the versions of records, as `ETag` in answers and `If-Match` in requests (RFC 9110, 8.8.3, 13.1.1).

The version of a record is the number of its events (`ledger/deciding/versions.py`). Answers about one record carry it
as a strong entity tag, such as `"3"`. A command takes it back in `If-Match`, or as `expected_version` in its body.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import Response

from api.messages.problems import Problem, problem
from ledger.aggregates import Command

IF_MATCH_FORM = r'^"(0|[1-9][0-9]{0,6})"$'
_IF_MATCH = re.compile(IF_MATCH_FORM.removesuffix("$") + r"\Z")
_REMEDY = 'send the version of the record in quotation marks, as its ETag has it, such as "3"'

TAGGED: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"description": "The version of the record.", "schema": {"type": "string"}}}}
}
"""How the description of an address names the header."""


def tag(response: Response, version: int) -> None:
    """Set the `ETag` of an answer about one record."""
    response.headers["ETag"] = f'"{version}"'


def based_on(command: Command, if_match: Sequence[str]) -> Command:
    """Return a command that expects the version of `If-Match`, if there is one.

    Raises:
        Problem: the header is not one version, the command changes no record that has one, or its body names another.
    """
    if not if_match:
        return command
    if len(if_match) > 1 or not (written := _IF_MATCH.match(if_match[0])):
        raise _invalid(f"If-Match is not one version of a record; {_REMEDY}", _REMEDY)
    if "expected_version" not in type(command).model_fields:
        remedy = "leave it out"
        raise _invalid(f"If-Match is not for {command.TYPE}, which is based on no earlier version; {remedy}", remedy)
    version = int(written[1])
    expected = getattr(command, "expected_version", None)
    if expected not in {None, version}:
        remedy = "leave one of them out"
        raise _invalid(f"If-Match {version} and expected_version {expected} differ; {remedy}", remedy)
    return command.model_copy(update={"expected_version": version})


def _invalid(detail: str, remedy: str) -> Problem:
    return problem("invalid", detail, field="If-Match", remedy=remedy)
