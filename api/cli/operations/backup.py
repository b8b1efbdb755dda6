"""`hours backup` and `hours restore`: a copy of what cannot be computed again, and a ledger made of it."""

from __future__ import annotations

from pathlib import Path

from api.cli.output import out, print_json, stages
from api.operations.schema_parts import PARTS
from api.operations.service import open_ledger
from replay.backup import backup
from replay.backup.backup import Manifest


def make(data: Path, target: Path, *, as_json: bool) -> None:
    """Back up the ledger; it may be in use."""
    with open_ledger(data) as ledger, stages("Backup") as progress:
        manifest = backup.back_up(ledger.database, target, progress)
    _tell(manifest, f"Backed up to {target}", as_json=as_json)


def check(folder: Path, *, as_json: bool) -> None:
    """Hold a backup to its manifest."""
    with stages("Backup") as progress:
        manifest = backup.verify(folder, progress)
    _tell(manifest, f"{folder} is sound", as_json=as_json)


def restore(data: Path, folder: Path, *, as_json: bool) -> None:
    """Make a ledger of a backup, with its read models, where there is none yet."""
    backup.read_manifest(folder)  # before a database is started for nothing
    with open_ledger(data) as ledger:
        with stages("Restore") as progress:
            manifest = backup.restore(folder, ledger.database, PARTS, progress)
        if manifest.head:
            ledger.make_ready()
    _tell(manifest, f"Restored from {folder}, read models rebuilt", as_json=as_json)


def _tell(manifest: Manifest, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(manifest.model_dump(mode="json"))
        return
    out().print(
        f"{what}: {manifest.head:,} events of ledger {manifest.ledger}, as of {manifest.made_at}\n"
        f"log {manifest.log_sha256}",
        soft_wrap=True,
        highlight=False,
    )
