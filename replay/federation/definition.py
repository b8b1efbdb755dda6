"""The file that defines a federation: its ledgers by name, and where the archive of each is.

    name = "shenzhen"
    own = "archive"              # the federation's own ledger: its links between persons, its rules (may be left out)
    rules = "shenzhen.toml"      # instead of the rules in force in its own ledger (may be left out)

    [ledgers]
    luohu = "s3://districts/luohu"
    futian = "/srv/futian/archive"

Relative paths begin at the file's folder.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from replay.locations.object_store import is_address

LEDGERS_MAX = 500
BYTES_MAX = 1 << 20
_FORM = "a lower-case letter, then at most 15 lower-case letters, digits and hyphens"
LedgerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,15}$")]
Place = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class DefinitionError(ValueError):
    """The file defines no federation; the message names the file, the field and what to write."""


class Definition(BaseModel):
    """A federation as its file defines it, with absolute paths. `own` and `rules`: None if the file names none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: LedgerName
    own: Place | None = None
    rules: Place | None = None
    ledgers: Annotated[dict[LedgerName, Place], Field(min_length=1, max_length=LEDGERS_MAX)]

    @field_validator("ledgers")
    @classmethod
    def _are_different(cls, ledgers: dict[str, str]) -> dict[str, str]:
        if len(set(ledgers.values())) < len(ledgers):
            raise ValueError("two ledgers have the same archive; name each ledger once")
        return ledgers


def read_definition(path: Path) -> Definition:
    """Read the file of a federation.

    Raises:
        DefinitionError: the file cannot be read, or a field is missing, unknown or malformed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise DefinitionError(f"{path} has more than {BYTES_MAX >> 20} MiB; name the file of a federation")
        found = Definition.model_validate(tomllib.loads(content.decode()))
    except OSError as error:
        raise DefinitionError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise DefinitionError(f"{path}: {_sentence(error)}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, DefinitionError):
            raise
        raise DefinitionError(f"{path} is no TOML: {error}") from None
    return found.model_copy(
        update={
            "own": found.own and _from(path, found.own),
            "rules": found.rules and str(path.parent / found.rules),
            "ledgers": {name: _from(path, place) for name, place in found.ledgers.items()},
        }
    )


def _from(path: Path, place: str) -> str:
    return place if is_address(place) else str(path.parent / place)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if part != "[key]")
    match first["type"]:
        case "missing":
            what = "is missing; add it"
        case "extra_forbidden":
            what = "is unknown; a federation has name, own, rules and ledgers"
        case "string_pattern_mismatch":
            what = f"is no name of a ledger; write {_FORM}"
        case "value_error":
            what = re.sub("^Value error, ", "", first["msg"])
        case _:
            what = f"is wrong: {first['msg']}"
    return f"{field}: {what}"
