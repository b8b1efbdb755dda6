"""`hours backup` and `hours restore`: copy what cannot be computed, and create a ledger from the copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.options import Json, data_of
from api.cli.output import out, print_json, stages
from api.operations.schema_parts import PARTS
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from replay.backup import backup as backups
from replay.backup.authentication import BackupKey, keep_key, key_file, make_key, read_key
from replay.backup.backup import Manifest

KeyFile = Annotated[
    Path | None,
    typer.Option("--key", help="The file with the secret key of the MAC; by default DATA.backup-key."),
]
Unauthenticated = Annotated[
    bool, typer.Option("--unauthenticated", help="Accept a backup without a valid MAC: anybody may have written it.")
]


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Write nothing: verify the backup in this folder.")] = False,
    key: KeyFile = None,
    unauthenticated: Unauthenticated = False,
    as_json: Json = False,
) -> None:
    """Back up everything that cannot be computed again: the log, commands, persons, texts and keys.

    The ledger may be in use. Keep a copy of the key's file apart from the backups: it proves that they are unchanged.
    """
    if verify:
        used = _key_for(context, key, unauthenticated=unauthenticated)
        with stages("Backup") as progress:
            manifest = backups.verify(folder, progress, key=used)
        _print_manifest(manifest, f"{folder} is sound", used, as_json=as_json)
        return
    if unauthenticated:
        raise UsageError("every backup gets a MAC; --unauthenticated belongs to --verify and `hours restore`")
    with open_ledger(data_of(context)) as ledger, stages("Backup") as progress:
        made = make_key(key or key_file(data_of(context)))
        manifest = backups.back_up(ledger.database, folder, progress, key=made)
    _print_manifest(manifest, f"Backed up to {folder}", made, as_json=as_json)


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A backup.")],
    *,
    key: KeyFile = None,
    unauthenticated: Unauthenticated = False,
    as_json: Json = False,
) -> None:
    """Restore a ledger from a backup, in a data directory or database without one, and rebuild its read models.

    Its MAC is checked with the key that `hours backup` named.
    """
    used = _key_for(context, key, unauthenticated=unauthenticated)
    backups.read_manifest(folder, used)  # before a database is started
    with open_ledger(data_of(context)) as ledger:
        with stages("Restore") as progress:
            manifest = backups.restore(folder, ledger.database, PARTS, progress, key=used)
        if used is not None:
            keep_key(used, key_file(data_of(context)))  # for the next backups
        if manifest.head:
            ledger.make_ready()
    _print_manifest(manifest, f"Restored from {folder}, read models rebuilt", used, as_json=as_json)


def _key_for(context: typer.Context, file: Path | None, *, unauthenticated: bool) -> BackupKey | None:
    """Return the key with which to check a MAC; None if the operator wants no check."""
    return None if unauthenticated else read_key(file or key_file(data_of(context)))


def _print_manifest(manifest: Manifest, what: str, key: BackupKey | None, *, as_json: bool) -> None:
    if as_json:
        shown: dict[str, Any] = manifest.model_dump(mode="json")
        print_json(shown | {"key": key and {"id": key.id, "file": str(key.file)}})
        return
    authentic = f"key {key.file}: keep a copy apart from the backups" if key else "its MAC was not checked"
    out().print(
        f"{what}: {manifest.head:,} events of ledger {manifest.ledger}, as of {manifest.made_at}\n"
        f"log {manifest.log_sha256}\n{authentic}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
