"""`hours backup` and `hours restore`: copy what cannot be computed, and create a ledger from the copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from api.cli.options import Json, data_of, refuse_idle
from api.cli.output import err, out, print_json, stages
from api.operations.schema_parts import PARTS
from api.operations.service import create_ledger, open_ledger
from api.operations.usage_errors import UsageError
from replay.archive.agreement import compare_rows
from replay.archive.checking import Finding
from replay.archive.manifest import ArchiveDisagreesError, ArchiveError, read_manifest
from replay.backup import backup as backups
from replay.backup.authentication import BackupKey, keep_key, key_file, make_key, read_key
from replay.backup.backup import Manifest
from replay.backup.proof import require_another_log, require_not_beyond
from replay.proof.checkpoints import CheckpointFolder
from replay.queries.tree_health import tree_health

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
    against: Annotated[
        Path | None,
        typer.Option(
            help="With --verify: the archive to compare with; by default the data directory's, if it has one."
        ),
    ] = None,
    key: KeyFile = None,
    unauthenticated: Unauthenticated = False,
    as_json: Json = False,
) -> int:
    """Back up everything that cannot be computed again: the log, commands, persons, texts and keys.

    The ledger may be in use. Keep a copy of the key's file apart from the backups: it proves that they are unchanged.
    The exit code is 1 if the log is not what was archived.
    """
    if verify:
        used = _key_for(context, key, unauthenticated=unauthenticated)
        return _verify(folder, used, against, data_of(context) / "archive", as_json=as_json)
    if unauthenticated:
        raise UsageError("every backup gets a MAC; --unauthenticated belongs to --verify and `hours restore`")
    if against is not None:
        raise UsageError("--against compares an existing backup; add --verify")
    with open_ledger(data_of(context)) as ledger, stages("Backup") as progress:
        made = make_key(key or key_file(data_of(context)))
        manifest = backups.back_up(ledger.database, folder, progress, key=made, tree=ledger.tree)
        try:
            ledger.archive.verify_log(ledger.database, progress)
            problem = None
        except ArchiveDisagreesError as error:  # the backup is needed all the more
            problem = str(error)
    _print_manifest(manifest, f"Backed up to {folder}", made, as_json=as_json)
    if problem:
        err().print(problem, soft_wrap=True, highlight=False, markup=False)
    return 1 if problem else 0


class _Compared(NamedTuple):
    """What a backup was compared with, up to which position, and the first difference."""

    archive: Path
    position: int
    difference: Finding | None


def _verify(folder: Path, key: BackupKey | None, against: Path | None, own: Path, *, as_json: bool) -> int:
    with stages("Backup") as progress:
        manifest = backups.verify(folder, progress, key=key)
        compared = _compared(folder, manifest, against, own)
    difference = compared.difference if compared else None
    if as_json:
        answer = None if compared is None else {"archive": str(compared.archive), "position": compared.position}
        first = difference._asdict() if difference else None
        print_json(_described(manifest, key) | {"compared": answer, "difference": first})
        return 1 if difference else 0
    _print_manifest(manifest, f"{folder} is sound", key, as_json=False)
    if compared is None:
        sentence = "compared with no archive: --against FOLDER compares its log with an archive or a copy of one"
    elif difference:
        sentence = f"its log disagrees with the archive in {compared.archive}: {difference.what}; keep both"
    else:
        sentence = f"its log agrees with the archive in {compared.archive} up to position {compared.position:,}"
    out().print(sentence, soft_wrap=True, highlight=False, markup=False)
    return 1 if difference else 0


def _compared(folder: Path, manifest: Manifest, against: Path | None, own: Path) -> _Compared | None:
    """Compare the log of a backup with an archive; None if there is none to compare with."""
    archive = against or own
    try:
        archived = read_manifest(archive)
    except ArchiveError:
        if against is not None:
            raise
        archived = None
    if against is not None and archived is None:
        raise UsageError(
            f"--against {against} holds no archive; name the folder `archive` of a data directory, or a copy"
        )
    if against is not None and archived is not None and archived.ledger != manifest.ledger:
        raise UsageError(f"--against {against} is the archive of another ledger, {archived.ledger}")
    if archived is None or archived.ledger != manifest.ledger:
        return None
    difference, position = compare_rows(archived, backups.read_log(folder))
    return _Compared(archive, position, difference)


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A backup.")],
    *,
    key: KeyFile = None,
    unauthenticated: Unauthenticated = False,
    new_log: Annotated[
        str | None,
        typer.Option(
            metavar="ORIGIN",
            help="Signed events beyond the backup are lost for good: begin another log, with new keys of this origin.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore a ledger from a backup, in a data directory or database without one, and rebuild its read models.

    Its MAC is checked with the key that `hours backup` named. If the data directory holds a signed checkpoint of more
    events than the backup has, nothing is restored.
    """
    used, data = _key_for(context, key, unauthenticated=unauthenticated), data_of(context)
    known = backups.read_manifest(folder, used)  # before a database is started
    require_not_beyond(CheckpointFolder.of_data(data), known.head)
    with create_ledger(data) as ledger:
        if new_log is not None:
            require_another_log(ledger.tree, new_log, backups.proof_of(folder, known))
        tree = ledger.tree if new_log is None else None
        with stages("Restore") as progress:
            manifest = backups.restore(folder, ledger.database, PARTS, progress, key=used, tree=tree)
        if used is not None:
            keep_key(used, key_file(data))  # for the next backups
        if new_log is not None:
            ledger.tree.make_keys(new_log)
        if manifest.head:
            ledger.ensure_read_models()
        missing = tree_health(ledger.tree, manifest.head).problem
    _print_manifest(manifest, f"Restored from {folder}, read models rebuilt", used, as_json=as_json)
    if missing:
        err().print(f"nothing is signed yet: {missing}", soft_wrap=True, highlight=False, markup=False)


def _key_for(context: typer.Context, file: Path | None, *, unauthenticated: bool) -> BackupKey | None:
    """Return the key with which to check a MAC; None if the operator wants no check."""
    if unauthenticated:
        refuse_idle(context, "with --unauthenticated", "key")
    return None if unauthenticated else read_key(file or key_file(data_of(context)))


def _described(manifest: Manifest, key: BackupKey | None) -> dict[str, Any]:
    return manifest.model_dump(mode="json") | {"key": key and {"id": key.id, "file": str(key.file)}}


def _print_manifest(manifest: Manifest, what: str, key: BackupKey | None, *, as_json: bool) -> None:
    if as_json:
        print_json(_described(manifest, key))
        return
    authentic = f"key {key.file}: keep a copy apart from the backups" if key else "its MAC was not checked"
    out().print(
        f"{what}: {manifest.head:,} events of ledger {manifest.ledger}, as of {manifest.made_at}\n"
        f"log {manifest.log_sha256}\n{authentic}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
