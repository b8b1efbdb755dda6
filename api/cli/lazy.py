"""A group of commands whose modules are imported when a command is run, so that `hours --help` imports none of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup


class LazyCommand(NamedTuple):
    """Where a command is declared, and what `hours --help` says about it."""

    source: str
    """Module and name, as `api.cli.readers.explain:explain`: a function, or a `typer.Typer` that groups commands."""
    panel: str
    summary: str

    def load(self) -> Callable[..., Any] | typer.Typer:
        """Import the declaration."""
        module, _, name = self.source.partition(":")
        found = getattr(import_module(module), name)
        tell_of_compiling()
        return cast("Callable[..., Any] | typer.Typer", found)


def lazy_group(commands: Mapping[str, LazyCommand]) -> type[TyperGroup]:
    """Return a class for `typer.Typer(cls=...)` whose groups hold these commands."""

    class LazyGroup(TyperGroup):
        """Lists commands by their summaries, and imports the one that is run."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            for name, command in commands.items():
                self.add_command(TyperCommand(name, help=command.summary, rich_help_panel=command.panel))

        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            """Return the command itself in place of its summary."""
            name, found, rest = super().resolve_command(ctx, args)
            return name, found if name is None else command_of(name, commands[name]), rest

    return LazyGroup


def command_of(name: str, command: LazyCommand) -> Any:
    """Import a command and return it under a name, ready to run."""
    declared = command.load()
    if isinstance(declared, typer.Typer):
        group = typer.main.get_group(declared)
        group.name = name
        return group
    app = typer.Typer(add_completion=False)
    app.command(name)(declared)
    return typer.main.get_command(app)


def tell_of_compiling() -> None:
    """Say on standard error when a command has to compile kernels first, and on a terminal how many it has compiled.

    A command that has imported no kernels compiles none.
    """
    if _told or (compiled := sys.modules.get("projections.compiled")) is None:
        return
    terminal = sys.stderr.isatty()

    def progress(done: int, compiling: bool) -> None:  # noqa: FBT001 - given by position
        compiled.announce(lambda sentence: print(sentence, file=sys.stderr, flush=True))
        if terminal:
            print(f"\r{done} kernels\x1b[K" if compiling else "\r\x1b[K", end="", file=sys.stderr, flush=True)

    _told.append(compiled.Compilations(progress))


_told: list[object] = []
