"""`hours archive`: show, verify, rebuild and copy the log as Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.operations.generations import notify
from api.cli.options import Json, data_of
from api.cli.output import out, print_json, print_table, stages
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from replay.archive.checking import Finding, check
from replay.archive.copying import TargetError, copy_archive
from replay.archive.manifest import FORMAT, MANIFEST, Segment
from replay.archive.open_archive import OpenArchive

app = typer.Typer(
    help="The log as Parquet: show it, verify it, rebuild it, copy it.", no_args_is_help=True, add_completion=False
)

ArchiveFolder = Annotated[
    Path | None, typer.Argument(help="A copied archive, which needs no database; by default the ledger's own.")
]

_MIB = 1 << 20


@app.command("status")
def show(context: typer.Context, folder: ArchiveFolder = None, *, as_json: Json = False) -> None:
    """Show what the archive holds and how far it is behind the log."""
    if folder:
        archive, head = _open_copy(folder), None
        archive.refresh()
        summary = _summary(archive, None)
    else:
        with open_ledger(data_of(context)) as ledger:
            archive, head = ledger.archive, ledger.log.head()
            archive.refresh()
            summary = _summary(archive, head)
    if as_json:
        print_json(summary)
        return
    rows = [
        (_positions(segment), segment.events, _when(segment.last_recorded_at), len(segment.parts), _size(segment))
        for segment in archive.segments
    ]
    behind = "a copy" if head is None else f"{summary['behind']:,} events behind the log"
    versions = ", ".join(str(version) for version in summary["rules"]) or "none"
    print_table(
        f"The archive in {archive.folder}: {archive.position:,} events, {behind}",
        ("positions", "events", "recorded until (UTC)", "parts", "MiB"),
        rows,
        f"edition {archive.manifest.edition} of ledger {archive.manifest.ledger}, {summary['bytes'] / _MIB:,.1f} MiB; "
        f"versions of the rules: {versions}",
    )


def _summary(archive: OpenArchive, head: int | None) -> dict[str, Any]:
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
            {"folder": segment.folder, "first": segment.first, "last": segment.last, "parts": len(segment.parts)}
            for segment in segments
        ],
    }


def _positions(segment: Segment) -> str:
    return f"{segment.first:,} to {segment.last:,}"


def _when(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _size(segment: Segment) -> float:
    return round(sum(digest.bytes for digest in segment.files.values()) / _MIB, 1)


@app.command("verify")
def verify(context: typer.Context, folder: ArchiveFolder = None, *, as_json: Json = False) -> int:
    """Compare every part with the log and every file with its checksum; the exit code is 1 if anything differs."""
    if folder:
        archive = _open_copy(folder)
        with stages("Verifying") as progress:
            findings = check(archive, None, progress)
        against = "its own checksums"
    else:
        with open_ledger(data_of(context)) as ledger:
            warm(notify)
            archive = ledger.archive
            with stages("Verifying") as progress:
                findings = check(archive, ledger.database, progress)
        against = "the log, and with its own checksums"
    _print_findings(archive, findings, against, as_json=as_json)
    return 1 if findings else 0


def _print_findings(archive: OpenArchive, findings: list[Finding], against: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"position": archive.position, "findings": [finding._asdict() for finding in findings]})
    elif findings:
        rows = [(f"{finding.first:,} to {finding.last:,}", finding.what) for finding in findings]
        title = f"The archive in {archive.folder} is not sound"
        remedy = "`hours archive rebuild` builds a new one from the log"
        print_table(title, ("positions", "what is wrong"), rows, remedy)
    else:
        files = sum(len(segment.files) for segment in archive.segments)
        out().print(f"{archive.position:,} events in {files} files agree with {against}")


@app.command("rebuild")
def rebuild_archive(context: typer.Context, *, as_json: Json = False) -> None:
    """Rebuild the archive from the log; the old one is used until the new one replaces it."""
    with open_ledger(data_of(context)) as ledger:
        warm(notify)
        with stages("Rebuilding the archive") as progress:
            position = ledger.archive.rebuild(ledger.database, progress)
        size = ledger.archive.bytes_on_disk()
    if as_json:
        print_json({"position": position, "bytes": size, "edition": ledger.archive.manifest.edition})
    else:
        out().print(f"the archive holds {position:,} events in {size / _MIB:,.1f} MiB")


@app.command("copy")
def copy(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, or an older copy.")],
    *,
    as_json: Json = False,
) -> None:
    """Copy the archive, for `hours replay --archive FOLDER` without a database."""
    with open_ledger(data_of(context)) as ledger:
        warm(notify)
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


def _open_copy(folder: Path) -> OpenArchive:
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} holds no archive; name the folder `archive` of a data directory, or a copy of it")
    return OpenArchive.open_copy(folder)
