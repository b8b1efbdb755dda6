"""The audit's own folder: results of what was finished, so that an audit that was stopped goes on where it ended.

    RESULTS/chunk-000012        the result of a chunk, with size and time of each file that it was computed from
    RESULTS/archive/            the archive, rebuilt from the bytes
    RESULTS/streams-…, positions.npy   the index of the streams
    RESULTS/decisions-000000-000012   the decisions of the chunks from one number to before another, repeated
    RESULTS/later               the findings about archive and read models
    RESULTS/progress            how far another process is

It is private, never in the bundle, and removed once the audit is finished. In a folder that the user names it is a
folder of its own, so nothing else that lies there is ever touched. A result is used again only for files that
have not changed since, and by the same version of the program.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec

from replay.auditing.chunks import Chunk, Job, check_chunk
from replay.auditing.deciding.decisions import Repeated
from replay.auditing.deciding.parts import Deciding, Part
from replay.auditing.findings import Finding
from replay.progress import Progress

ARCHIVE, LATER, PROGRESS = "archive", "later", "progress"

_chunks = msgspec.msgpack.Decoder(Chunk)
_repeated = msgspec.msgpack.Decoder(tuple[str, Repeated])
_findings = msgspec.msgpack.Decoder(tuple[str, list[Finding]])


class LostProcessError(RuntimeError):
    """A process of the audit was killed."""

    def __init__(self) -> None:
        super().__init__("a process of the audit was killed, perhaps for want of memory; run the audit again to go on")


class WorkError(OSError):
    """The folder of an audit cannot be used."""


def work_folder(bundle: Path, program: str, chosen: Path | None = None) -> Path:
    """Return the folder of the audit of a bundle, after making it: below the one that was chosen, or below the system's
    temporary one.

    Raises:
        WorkError: it, or the one that was chosen, belongs to somebody else, or others may write to it.
    """
    name = sha256(f"{bundle.resolve()}\n{program}".encode()).hexdigest()[:16]
    if chosen is None:
        return _own(Path(tempfile.gettempdir()) / f"hours-audit-{os.getuid()}-{name}")
    return _own(_own(chosen) / f"hours-audit-{name}")


def _own(folder: Path) -> Path:
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WorkError(f"{folder} cannot be made: {error.strerror}; name another with --work") from None
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise WorkError(f"{folder} is not a folder that only you can write to; name another with --work")
    return folder


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"chunk-{number:06d}"


def save_chunk(folder: Path, chunk: Chunk) -> None:
    """Store the result of a chunk."""
    _replace(_chunk_path(folder, chunk.number), msgspec.msgpack.encode(chunk))


def check_and_save(job: Job, folder: str, number: int) -> int:
    """Check a chunk and store the result; the task of every process, which therefore imports little."""
    chunk = check_chunk(job, number)
    chunk.job = repr(job)
    save_chunk(Path(folder), chunk)
    return number


def load_chunk(folder: Path, number: int) -> Chunk | None:
    """Return a stored result; None if there is none."""
    try:
        return _chunks.decode(_chunk_path(folder, number).read_bytes())
    except (OSError, ValueError):
        return None


def require_chunk(folder: Path, number: int) -> Chunk:
    """Return a stored result, which a process has just stored.

    Raises:
        LostProcessError: it is not there.
    """
    chunk = load_chunk(folder, number)
    if chunk is None:
        raise LostProcessError
    return chunk


def save_findings(folder: Path, name: str, basis: str, findings: list[Finding]) -> None:
    """Store the findings of a later stage with a digest of what they rest on."""
    _replace(folder / name, msgspec.msgpack.encode((basis, findings)))


def load_findings(folder: Path, name: str, basis: str) -> list[Finding] | None:
    """Return the stored findings of a stage; None if there are none for this basis."""
    try:
        of_basis, findings = _findings.decode((folder / name).read_bytes())
    except (OSError, ValueError):
        return None
    return findings if of_basis == basis else None


def save_repeated(folder: Path, part: Part, basis: str, repeated: Repeated) -> None:
    """Store what the repetition of the decisions of a part gave, with a digest of what it rests on."""
    _replace(folder / part_name(part), msgspec.msgpack.encode((basis, repeated)))


def load_repeated(folder: Path, part: Part, basis: str) -> Repeated | None:
    """Return the stored result of a part; None if there is none for this basis."""
    try:
        of_basis, repeated = _repeated.decode((folder / part_name(part)).read_bytes())
    except (OSError, ValueError):
        return None
    return repeated if of_basis == basis else None


def part_name(part: Part) -> str:
    """Return the name of the file of a part's decisions."""
    return f"decisions-{part.first:06d}-{part.last:06d}"


def repeat_and_save(deciding: Deciding, part: Part, folder: str, basis: str) -> None:
    """Repeat the decisions of a part and store the result: the task of a process."""
    path = Path(folder)
    progress = written_progress(path, f"{part_name(part)}.at")
    save_repeated(path, part, basis, deciding.repeat(part, partial(require_chunk, path), progress))


def written_progress(folder: Path, name: str = PROGRESS) -> Progress:
    """Return a `Progress` that another process reads with `read_progress`."""

    def report(stage: str, done: int, total: int) -> None:
        _replace(folder / name, msgspec.msgpack.encode((stage, done, total)))

    return report


def read_progress(folder: Path, name: str = PROGRESS) -> tuple[str, int, int] | None:
    """Return what another process reported last."""
    try:
        return msgspec.msgpack.decode((folder / name).read_bytes(), type=tuple[str, int, int])
    except (OSError, ValueError):
        return None


def files_of(bundle: Path) -> str:
    """Return a digest of size and time of every file of a bundle that is not an entry's or a tile's."""
    digest = sha256()
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and path.relative_to(bundle).parts[0] != "tile":
            status = path.stat()
            digest.update(f"{path.relative_to(bundle)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def discard(folder: Path) -> None:
    """Remove the audit's own folder once it is finished; what lies beside it stays."""
    shutil.rmtree(folder, ignore_errors=True)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
