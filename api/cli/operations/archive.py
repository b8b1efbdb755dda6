"""`hours archive`: the log as Parquet: what it holds, whether it is sound, making it anew, copying it elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api.cli.operations.generations import say
from api.cli.output import out, print_json, print_table, stages
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from replay.archive.checking import Finding, check
from replay.archive.copying import TargetError, copy_archive
from replay.archive.manifest import FORMAT, MANIFEST, Segment
from replay.archive.open_archive import OpenArchive

_MIB = 1 << 20


def show(data: Path, folder: Path | None, *, as_json: bool) -> None:
    """Show what an archive holds."""
    if folder:
        archive, head = _copied(folder), None
        archive.refresh()
        said = _said(archive, None)
    else:
        with open_ledger(data) as ledger:
            archive, head = ledger.archive, ledger.log.head()
            archive.refresh()
            said = _said(archive, head)
    if as_json:
        print_json(said)
        return
    rows = [
        (_positions(one), one.events, _when(one.last_recorded_at), len(one.parts), _size(one))
        for one in archive.segments
    ]
    behind = "a copy" if head is None else f"{said['behind']:,} events behind the log"
    versions = ", ".join(str(version) for version in said["rules"]) or "none"
    print_table(
        f"The archive in {archive.folder}: {archive.position:,} events, {behind}",
        ("positions", "events", "recorded until (UTC)", "parts", "MiB"),
        rows,
        f"edition {archive.manifest.edition} of ledger {archive.manifest.ledger}, {said['bytes'] / _MIB:,.1f} MiB; "
        f"versions of the rules: {versions}",
    )


def _said(archive: OpenArchive, head: int | None) -> dict[str, Any]:
    segments = archive.segments
    return {
        "folder": str(archive.folder),
        "ledger": str(archive.manifest.ledger),
        "format": FORMAT,
        "edition": archive.manifest.edition,
        "position": archive.position,
        "head": head,
        "behind": None if head is None else head - archive.position,
        "recorded_until": _when(segments[-1].last_recorded_at) if segments else None,
        "bytes": archive.bytes_on_disk(),
        "rules": [rules.version for rules in archive.published()],
        "segments": [
            {"folder": one.folder, "first": one.first, "last": one.last, "parts": len(one.parts)} for one in segments
        ],
    }


def _positions(segment: Segment) -> str:
    return f"{segment.first:,} to {segment.last:,}"


def _when(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _size(segment: Segment) -> float:
    return round(sum(digest.bytes for digest in segment.files.values()) / _MIB, 1)


def verify(data: Path, folder: Path | None, *, as_json: bool) -> int:
    """Check an archive; return the exit code."""
    if folder:
        archive = _copied(folder)
        with stages("Verifying") as progress:
            findings = check(archive, None, progress)
        against = "its own checksums"
    else:
        with open_ledger(data) as ledger:
            warm(say)
            archive = ledger.archive
            with stages("Verifying") as progress:
                findings = check(archive, ledger.database, progress)
        against = "the log, and with its own checksums"
    _tell(archive, findings, against, as_json=as_json)
    return 1 if findings else 0


def _tell(archive: OpenArchive, findings: list[Finding], against: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"position": archive.position, "findings": [finding._asdict() for finding in findings]})
    elif findings:
        rows = [(f"{finding.first:,} to {finding.last:,}", finding.what) for finding in findings]
        title = f"The archive in {archive.folder} is not sound"
        print_table(title, ("positions", "what is wrong"), rows, "`hours archive rebuild` makes a new one from the log")
    else:
        files = sum(len(segment.files) for segment in archive.segments)
        out().print(f"{archive.position:,} events in {files} files agree with {against}")


def rebuild_archive(data: Path, *, as_json: bool) -> None:
    """Read the whole log into a new archive."""
    with open_ledger(data) as ledger:
        warm(say)
        with stages("Making the archive anew") as progress:
            position = ledger.archive.rebuild(ledger.database, progress)
        size = ledger.archive.bytes_on_disk()
    if as_json:
        print_json({"position": position, "bytes": size, "edition": ledger.archive.manifest.edition})
    else:
        out().print(f"the archive holds {position:,} events in {size / _MIB:,.1f} MiB")


def copy(data: Path, folder: Path, *, as_json: bool) -> None:
    """Bring the archive up to the log, and copy it."""
    with open_ledger(data) as ledger:
        warm(say)
        with stages("Copying the archive") as progress:
            ledger.archive.bring_up_to_date(ledger.database, progress)
            try:
                copied = copy_archive(ledger.archive, folder, progress)
            except TargetError as error:
                raise UsageError(str(error)) from None
    size = copied.bytes_on_disk()
    if as_json:
        print_json({"folder": str(folder), "position": copied.position, "bytes": size})
    else:
        out().print(f"{copied.position:,} events in {size / _MIB:,.1f} MiB copied to {folder}, and verified")


def _copied(folder: Path) -> OpenArchive:
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} holds no archive; name a data directory's folder `archive`, or a copy of it")
    return OpenArchive.open_copy(folder)
