"""`hours organisation`: what each of its commands takes; what it does stands in `api/cli/readers/organisations.py`."""

# ruff: noqa: PLC0415 - each command imports what it needs when it runs: `hours --help` must not wait for numba

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.options import AxesTexts, Json, Year, data_of, with_axes

organisation = typer.Typer(
    help="The organisation tree: what belongs where, and what is done there.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The organisation's id.")]


@organisation.command("list")
@with_axes
def all_of_them(
    context: typer.Context,
    *,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """The tree, on `--valid-at` or today."""
    from api.cli.readers.organisations import tree

    tree(data_of(context), axes, as_json=json)


@organisation.command()
@with_axes
def show(
    context: typer.Context,
    name: Name,
    *,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """One organisation: its place, what belongs to it, and its history."""
    from api.cli.readers.organisations import show

    show(data_of(context), name, axes, as_json=json)


@organisation.command()
@with_axes
def activity(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The organisation's id; without it, the whole district.")] = None,
    *,
    year: Year = None,
    projects: Annotated[
        bool, typer.Option("--projects", help="What is done in the projects it leads, wherever that is, instead.")
    ] = False,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """What is done in an organisation and in each part of it, by year or by month."""
    from api.cli.readers.organisations import activity

    activity(data_of(context), name, year, axes, by_projects=projects, as_json=json)


@organisation.command()
@with_axes
def members(
    context: typer.Context,
    name: Name,
    *,
    year: Year = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Volunteers at most.")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on behind this volunteer number.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """What its members did on the days of their membership, by year or by month."""
    from api.cli.readers.organisations import members

    members(data_of(context), name, year, (limit, after), axes, as_json=json)
