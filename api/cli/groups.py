"""Groups of commands of `hours`: generations, archive, rules, keys, signatures. What each takes."""

# ruff: noqa: PLC0415 - each command imports what it needs when it runs: `hours --help` must not wait for numba

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Json, data_of

generations = typer.Typer(help="List generations of the read models; switch to another one; drop one.")
archive = typer.Typer(help="The log as Parquet: look at it, check it, make it anew, copy it.", no_args_is_help=True)
rules = typer.Typer(help="Check a file of rules; list and show those that are known.", no_args_is_help=True)
keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
signatures = typer.Typer(help="Check who signed an event.", no_args_is_help=True)

# --- generations ------------------------------------------------------------------------------------------------------

Generation = Annotated[int, typer.Argument(min=1, help="The generation's id.")]


@generations.callback(invoke_without_command=True)
def generations_list(context: typer.Context, *, json: Json = False) -> None:
    """All generations, which of them answers, and which are kept."""
    if context.invoked_subcommand is None:
        from api.cli.operations.generations import show

        show(data_of(context), as_json=json)


@generations.command("switch")
def generations_switch(context: typer.Context, generation: Generation, *, json: Json = False) -> None:
    """Let another generation answer: it catches up with the one that does, and is verified, first."""
    from api.cli.operations.generations import switch_to

    switch_to(data_of(context), generation, as_json=json)


@generations.command("drop")
def generations_drop(context: typer.Context, generation: Generation, *, json: Json = False) -> None:
    """Drop a generation that does not answer."""
    from api.cli.operations.generations import drop

    drop(data_of(context), generation, as_json=json)


# --- archive ----------------------------------------------------------------------------------------------------------

ArchiveFolder = Annotated[
    Path | None, typer.Argument(help="A copied archive, which needs no database; by default the ledger's own.")
]


@archive.command("status")
def archive_status(context: typer.Context, folder: ArchiveFolder = None, *, json: Json = False) -> None:
    """What the archive holds, and how far behind the log it is."""
    from api.cli.operations.archive import show

    show(data_of(context), folder, as_json=json)


@archive.command("verify")
def archive_verify(context: typer.Context, folder: ArchiveFolder = None, *, json: Json = False) -> int:
    """Compare every part with the log, and every file with its checksum; exit code 1 if anything differs."""
    from api.cli.operations.archive import verify

    return verify(data_of(context), folder, as_json=json)


@archive.command("rebuild")
def archive_rebuild(context: typer.Context, *, json: Json = False) -> None:
    """Make the archive anew from the log; the old one serves until the new one takes its place."""
    from api.cli.operations.archive import rebuild_archive

    rebuild_archive(data_of(context), as_json=json)


@archive.command("copy")
def archive_copy(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to: a folder that is empty, not there yet, or an older copy.")],
    *,
    json: Json = False,
) -> None:
    """Copy the archive, enough for `hours replay --archive FOLDER` without the database; the archive may grow."""
    from api.cli.operations.archive import copy

    copy(data_of(context), folder, as_json=json)


# --- rules ------------------------------------------------------------------------------------------------------------


@rules.command("check")
def rules_check(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="The TOML file.")], *, json: Json = False
) -> int:
    """Check a file of rules: each finding with its line and what to do. Exit code 2 if it cannot be used."""
    from api.cli.operations.rules import check

    return check(data_of(context), file, as_json=json)


@rules.command("list")
def rules_list(context: typer.Context, *, json: Json = False) -> None:
    """What was published, and candidates."""
    from api.cli.operations.rules import show_list

    show_list(data_of(context), as_json=json)


@rules.command("show")
def rules_show(
    context: typer.Context,
    rules: Annotated[str, typer.Argument(help="A version, a digest, or current.")],
    *,
    json: Json = False,
) -> None:
    """The text of some rules."""
    from api.cli.operations.rules import show_one

    show_one(data_of(context), rules, as_json=json)


# --- keys and signatures ----------------------------------------------------------------------------------------------


@keys.command("make")
def keys_make(
    context: typer.Context,
    *,
    role: Annotated[str, typer.Option(help="What it is for: see docs/access.md.")],
    name: Annotated[str, typer.Option(help="The person's name, or for a station its id.")],
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="It ends after so many days.")] = None,
    per_second: Annotated[int | None, typer.Option(min=1, max=100_000, help="Requests a second it may make.")] = None,
    volunteer: Annotated[
        str | None, typer.Option(help="The person's volunteer number: nobody acts on their own hours.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown this once."""
    from api.cli.operations.keys import make

    make(data_of(context), role, name, days, per_second, volunteer, as_json=json)


@keys.command("list")
def keys_list(context: typer.Context, *, json: Json = False) -> None:
    """All keys, without their tokens."""
    from api.cli.operations.keys import show

    show(data_of(context), as_json=json)


@keys.command("revoke")
def keys_revoke(
    context: typer.Context, key: Annotated[int, typer.Argument(help="The key's id.")], *, json: Json = False
) -> None:
    """Refuse a key from now on."""
    from api.cli.operations.keys import revoke

    revoke(data_of(context), key, as_json=json)


@keys.command("sign-with")
def keys_sign_with(
    context: typer.Context,
    key: Annotated[int, typer.Argument(help="The id of a station's key.")],
    public_key: Annotated[Path, typer.Argument(help="The station's Ed25519 public key, a PEM file.")],
    *,
    required: Annotated[bool, typer.Option("--required", help="Refuse what is not signed.")] = False,
    json: Json = False,
) -> None:
    """Let a station sign its requests with a key of its own."""
    from api.cli.operations.signatures import sign_with

    sign_with(data_of(context), key, public_key, required=required, as_json=json)


@signatures.command("check")
def signatures_check(
    context: typer.Context,
    position: Annotated[int, typer.Argument(min=1, help="The event's position in the log.")],
    *,
    json: Json = False,
) -> int:
    """Whether the station signed the event: computed again from what is kept. If not, the exit code is 1."""
    from api.cli.operations.signatures import check

    return check(data_of(context), position, as_json=json)
