"""Values of options that do not fit a command, told with the names of the options."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import ValidationError

from api.messages.problems import fault_of_validation
from api.operations.usage_errors import UsageError


def usage_error(error: ValidationError, fields: Iterable[str], *arguments: str) -> UsageError:
    """Return the error for values that do not fit a command, with the options' names in place of the fields'.

    Args:
        fields: the fields that options gave. arguments: those of them that are no options.
    """
    detail = fault_of_validation(error.errors()).detail.removeprefix("the body ")
    for name in sorted(set(fields) - set(arguments), key=len, reverse=True):
        place = "" if "_" in name else "^"  # a name of one word is a word of sentences as well
        detail = re.sub(rf"{place}(?<![\w-]){name}\b", f"--{name.replace('_', '-')}", detail)
    return UsageError(detail)
