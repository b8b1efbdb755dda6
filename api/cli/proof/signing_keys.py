"""`hours signing-keys`: make, list, rotate, back up and restore the keys that sign checkpoints."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Force, Json, data_of
from api.cli.output import check_output, notify, out, print_json, print_table
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from replay.durable import write_private
from replay.proof.agreement import TreeError
from replay.proof.key_backup import decrypt, encrypt
from replay.proof.keys import Generation, PublishedKeys, default_origin

app = typer.Typer(
    help="Keys that sign checkpoints: make, list, rotate, back up. (`hours keys` are those of the HTTP interface.)",
    no_args_is_help=True,
    add_completion=False,
)

PassphraseFile = Annotated[
    Path | None, typer.Option(help="A file whose first line is the passphrase; without it the program asks.")
]


@app.command("make")
def make(
    context: typer.Context,
    *,
    origin: Annotated[
        str | None, typer.Option(help="The log's address without a scheme, such as hours.example.org/log.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the first keys of a ledger. `hours init` and the first `hours serve` do so by themselves."""
    with open_ledger(data_of(context)) as ledger:
        published = ledger.tree.make_keys(origin or default_origin(ledger.log.identity()))
    _print(published, as_json=as_json)


@app.command("list")
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """List the public keys, and the checkpoints that each generation of keys signs."""
    with open_ledger(data_of(context)) as ledger:
        published = ledger.tree.keys.published()
    _print(published, as_json=as_json)


@app.command("rotate")
def rotate(
    context: typer.Context,
    *,
    stolen: Annotated[
        bool, typer.Option("--stolen", help="The present keys were stolen: they no longer verify anything.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make new keys, which sign from now on. Checkpoints that earlier keys have signed stay valid."""
    with open_ledger(data_of(context)) as ledger:
        published = ledger.tree.rotate(stolen=stolen)
        try:
            ledger.tree.grow()
        except TreeError as error:
            notify(f"the new keys have signed nothing yet: {error}")
    notify("publish the new keys, and back them up with `hours signing-keys backup`")
    _print(published, as_json=as_json)


@app.command("backup")
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    *,
    passphrase_file: PassphraseFile = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write the keys and the other secrets of the proof to one file, encrypted with a passphrase."""
    with open_ledger(data_of(context)) as ledger:
        check_output(file, "FILE", force=force)
        files = ledger.tree.keys.private_files()
    write_private(file.absolute(), encrypt(files, _passphrase(passphrase_file, confirm=True)))
    if as_json:
        print_json({"file": str(file), "files": sorted(files)})
    else:
        out().print(f"{len(files)} files of keys were encrypted into {file}", soft_wrap=True, markup=False)


@app.command("restore")
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.")],
    *,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Restore keys from a backup. Existing files are never overwritten."""
    with open_ledger(data_of(context)) as ledger:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from None
        restored = ledger.tree.keys.restore(decrypt(content, _passphrase(passphrase_file, confirm=False)))
    if as_json:
        print_json({"restored": restored})
    else:
        what = f"restored {', '.join(restored)}" if restored else "nothing was missing"
        out().print(what, soft_wrap=True, markup=False)


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    """Return the passphrase from a file, or ask for it."""
    if file is not None:
        try:
            lines = file.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--passphrase-file {file} cannot be read: {error}") from None
        if not lines or not lines[0]:
            raise UsageError(f"--passphrase-file {file} is empty; write the passphrase into its first line")
        return lines[0]
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the passphrase; name a file with --passphrase-file")
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))


def _print(published: PublishedKeys, *, as_json: bool) -> None:
    if as_json:
        print_json(published.as_json())
        return
    rows = [(each.number, _signs(each), _made(each)) for each in published.generations]
    print_table(f"Signing keys of {published.origin}", ("generation", "signs", "made (UTC)"), rows)
    console = out()
    for key in (key for each in published.generations if not each.stolen for key in each.keys):
        console.print(str(key), soft_wrap=True, markup=False)


def _signs(generation: Generation) -> str:
    if generation.stolen:
        return "nothing: stolen"
    until = "on" if generation.last_size is None else f"to {generation.last_size:,} events"
    return f"checkpoints from {generation.first_size:,} {until}"


def _made(generation: Generation) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(generation.made_at))
