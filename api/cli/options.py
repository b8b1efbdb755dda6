"""Options that several commands of `hours` share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from api.operations.usage_errors import UsageError
from replay.durable import keep_private, require_owner

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ValidAt = Annotated[str | None, typer.Option(help="Only results dated up to this day.")]
KnownAt = Annotated[
    str | None,
    typer.Option(help="Only what was known then: a position, an instant with a zone, or a day, which means its end."),
]
RulesUsed = Annotated[
    str | None,
    typer.Option(
        "--rules", help="A published version, a digest (its first 8 digits are enough), or a TOML file to try out."
    ),
]
First = Annotated[str | None, typer.Option("--from", help="The first day.")]
Last = Annotated[str | None, typer.Option("--to", help="The last day.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
Year = Annotated[int | None, typer.Option(min=2000, max=2100, help="Only this year, by month.")]


OPERATOR = "person:keeper"
"""The actor of commands given on the command line, unless `--by` names another."""

AxesTexts = tuple[str | None, str | None, str | None]
"""The texts of `--valid-at`, `--known-at` and `--rules`."""


def with_axes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the three axes, passed together as `texts`."""

    @wraps(command)
    def with_texts(
        *arguments: Any, valid_at: str | None = None, known_at: str | None = None, rules: str | None = None, **more: Any
    ) -> Any:
        return command(*arguments, texts=(valid_at, known_at, rules), **more)

    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (("valid_at", ValidAt), ("known_at", KnownAt), ("rules", RulesUsed))
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += options if parameter.name == "texts" else [parameter]
    with_texts.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_texts.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_texts


def refuse_idle(context: typer.Context, why: str, *names: str) -> None:
    """Refuse options that were given and that the command does not read as it was called.

    Args:
        why: completes "--from has no effect ...".
        names: the parameters' names.

    Raises:
        UsageError
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name != "DEFAULT":
            raise UsageError(f"{parameter.opts[0]} has no effect {why}; leave it out")


def data_of(context: typer.Context) -> Path:
    """Return the data directory. From now on what the command writes is for its user alone, except exports.

    Raises:
        replay.durable.OwnerError: root would write in a data directory of another user.
    """
    keep_private()
    data: Path = context.obj
    require_owner(data)
    return data
