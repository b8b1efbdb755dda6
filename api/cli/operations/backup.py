"""`hours backup` and `hours restore`: copy what cannot be computed, and create a ledger from the copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Json, data_of
from api.cli.output import out, print_json, stages
from api.operations.schema_parts import PARTS
from api.operations.service import open_ledger
from replay.backup import backup as backups
from replay.backup.backup import Manifest


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Write nothing: verify the backup in this folder.")] = False,
    as_json: Json = False,
) -> None:
    """Back up everything that cannot be computed again: the log, commands, persons, texts and keys.

    The ledger may be in use.
    """
    if verify:
        with stages("Backup") as progress:
            manifest = backups.verify(folder, progress)
        _print_manifest(manifest, f"{folder} is sound", as_json=as_json)
        return
    with open_ledger(data_of(context)) as ledger, stages("Backup") as progress:
        manifest = backups.back_up(ledger.database, folder, progress)
    _print_manifest(manifest, f"Backed up to {folder}", as_json=as_json)


def restore(
    context: typer.Context, folder: Annotated[Path, typer.Argument(help="A backup.")], *, as_json: Json = False
) -> None:
    """Restore a ledger from a backup, in a data directory or database without one, and rebuild its read models."""
    backups.read_manifest(folder)  # before a database is started
    with open_ledger(data_of(context)) as ledger:
        with stages("Restore") as progress:
            manifest = backups.restore(folder, ledger.database, PARTS, progress)
        if manifest.head:
            ledger.make_ready()
    _print_manifest(manifest, f"Restored from {folder}, read models rebuilt", as_json=as_json)


def _print_manifest(manifest: Manifest, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(manifest.model_dump(mode="json"))
        return
    out().print(
        f"{what}: {manifest.head:,} events of ledger {manifest.ledger}, as of {manifest.made_at}\n"
        f"log {manifest.log_sha256}",
        soft_wrap=True,
        highlight=False,
    )
