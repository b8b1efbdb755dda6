"""What a backup holds of the proof: the public keys, the checkpoints and the policy of witnesses, never a private key.

A backup is not encrypted, so private keys have backups of their own (`hours signing-keys backup`). A restored ledger
must not forget what it has signed, so the checkpoints are here; the tiles are computed again from the log.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from replay.backup.authentication import BackupError
from replay.durable import make_private_folder, way_out, write_private
from replay.proof.checkpoints import CheckpointFolder, read_checkpoint
from replay.proof.growth import TransparencyLog
from replay.proof.keys import PUBLISHED, PublishedKeys, check_origin
from replay.proof.notes import NoteError
from replay.proof.policies import Policy
from replay.proof.witnesses import POLICY_NAME

_KEYS = f"keys/{PUBLISHED}"
_CHECKPOINT = re.compile(r"checkpoints/[0-9]{12,19}-[0-9]{4}-[0-9]{2}-[0-9]{2}")


def public_files(tree: TransparencyLog) -> bytes:
    """Return the public keys, the checkpoints and the policy of a ledger as JSON, by their names below its proof's
    folder; empty if it has no keys.

    Raises:
        BackupError: they cannot be read.
    """
    if not tree.keys.exist():
        return b""
    paths = [tree.folder / _KEYS, *sorted(tree.checkpoints.folder.glob("*"))]
    if tree.witnesses.path.exists():
        paths.append(tree.witnesses.path)
    try:
        files = {path.relative_to(tree.folder).as_posix(): path.read_text("utf-8") for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(
            f"the checkpoints in {tree.folder} cannot be read: {error}; {way_out(error, 'repair them first')}"
        ) from None
    return json.dumps({name: text for name, text in files.items() if _is_known(name)}).encode()


def require_not_beyond(checkpoints: CheckpointFolder, head: int) -> None:
    """Require that no checkpoint beside which a backup is restored covers events that the backup lacks.

    A log that had lost signed events could sign nothing any more, and events recorded in their place would contradict
    what others hold.

    Args:
        head: the position of the backup's last event.

    Raises:
        BackupError: one does, or the checkpoints cannot be read.
    """
    proof, tiles = checkpoints.folder.parent, checkpoints.published_path.parent
    try:
        newest = checkpoints.newest()
    except (NoteError, OSError) as error:
        advice = way_out(error, "repair them, or move both folders away")
        raise BackupError(
            f"the checkpoints in {proof} and {tiles} cannot be read: {error}; nothing was restored: {advice}"
        ) from None
    if newest is None or newest.size <= head:
        return
    raise BackupError(
        f"{newest.size:,} events were signed (the checkpoints in {proof} and {tiles}), and the backup has only the "
        f"first {head:,}, so nothing was restored: a log that lost signed events cannot go on. Restore a backup that "
        "holds them. If they are lost for good, keep both folders for auditors, move them away, and restore with "
        "--new-log ORIGIN, which begins another log (docs/deploy.md, Upgrade, and go back)"
    )


def require_another_log(tree: TransparencyLog, origin: str, content: bytes) -> None:
    """Require that another log can begin in a data directory, without what the log before signed after its backup.

    Args:
        content: what `public_files` returned of the log before.

    Raises:
        BackupError: the origin is that of the log before, or keys and checkpoints of it are still there.
        replay.proof.keys.SigningKeyError: the origin cannot be one.
    """
    check_origin(origin)
    before = str(json.loads(json.loads(content)[_KEYS])["origin"]) if content else None
    if origin == before:
        raise BackupError(
            f"--new-log {origin} is the origin of the log before; give the new one another, such as /log-2"
        )
    proof, tiles = tree.folder, tree.checkpoints.published_path.parent
    if tree.keys.exist() or tiles.exists() or tree.checkpoints.folder.exists():
        raise BackupError(f"{proof} and {tiles} hold the log before; keep them for auditors, and move both away first")


def bring_back(tree: TransparencyLog, content: bytes, head: int) -> None:
    """Write the files that `public_files` returned where they are missing.

    Args:
        head: the position of the backup's last event.

    Raises:
        BackupError: they are not such files, or the data directory holds the keys of another log, or checkpoints of
            more events.
        OSError: they cannot be written.
    """
    require_not_beyond(tree.checkpoints, head)
    if not content:
        return
    try:
        files: dict[str, str] = json.loads(content)
        keys = PublishedKeys.from_json(files[_KEYS])
        for name, text in files.items():
            if not _is_known(name):
                raise BackupError(f"the backup holds a file that is none of its proof: {name[:80]!r}")
            if name == POLICY_NAME:
                Policy.parse(text.encode())
            elif name != _KEYS:
                read_checkpoint(text.encode())
    except (NoteError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"the backup's checkpoints are damaged: {error}; use another backup") from None
    if tree.keys.exist() and (held := tree.keys.published()).origin != keys.origin:
        raise BackupError(f"{tree.folder} holds the keys of another log, {held.origin}; restore elsewhere")
    for name, text in files.items():
        path: Path = tree.folder / name
        if not path.exists():
            make_private_folder(path.parent)
            write_private(path, text.encode())


def _is_known(name: str) -> bool:
    return name in {_KEYS, POLICY_NAME} or _CHECKPOINT.fullmatch(name) is not None
