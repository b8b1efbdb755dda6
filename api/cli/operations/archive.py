"""`hours archive`: show, verify, rebuild and copy the log as Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.archive_places import open_place
from api.cli.options import Json, data_of, refuse_idle
from api.cli.output import notify, out, print_json, print_table, stages
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from replay.archive.agreement import clear, compare
from replay.archive.archive import Archive
from replay.archive.checking import Finding, check
from replay.archive.copying import TargetError, copy_archive
from replay.archive.manifest import FORMAT, ArchiveDisagreesError, Manifest, Segment
from replay.archive.open_archive import OpenArchive
from replay.locations.fetching import damaged_files
from replay.locations.object_store import ObjectStore, is_address
from replay.locations.sending import send_archive
from replay.progress import Progress

app = typer.Typer(
    help="The log as Parquet: show it, verify it, rebuild it, copy it.", no_args_is_help=True, add_completion=False
)

ArchivePlace = Annotated[
    str | None,
    typer.Argument(
        metavar="[PLACE]",
        help="A copied archive, in a folder or at s3://BUCKET/PREFIX, which needs no database; by default the "
        "ledger's own.",
    ),
]

_MIB = 1 << 20


@app.command("status")
def show(context: typer.Context, place: ArchivePlace = None, *, as_json: Json = False) -> None:
    """Show what the archive holds and how far it is behind the log."""
    if place:
        with stages("Fetching") as progress:
            archive, head = open_place(place, progress=progress), None
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
def verify(
    context: typer.Context,
    place: ArchivePlace = None,
    *,
    with_log: Annotated[bool, typer.Option("--with-log", help="Also compare a copy with the ledger's log.")] = False,
    as_json: Json = False,
) -> int:
    """Compare every part with the log and every file with its checksum; the exit code is 1 if anything differs.

    If nothing differs, a disagreement that was recorded earlier ends.
    """
    if place is None:
        refuse_idle(context, "without a place: the ledger's own archive is always compared with the log", "with_log")
    if place and not with_log:
        with stages("Verifying") as progress:
            manifest, findings = _verified_copy(place, progress)
        where = place
        against = "its own checksums"
    else:
        with open_ledger(data_of(context)) as ledger:
            warm(notify)
            with stages("Verifying") as progress:
                archive = _other_copy(ledger, place, progress) if place else ledger.archive
                findings = check(archive, ledger.database, progress)
                findings = _named_first(archive, ledger, findings, progress)
            manifest, where = archive.manifest, place or str(archive.folder)
            if not findings and not place:
                clear(archive.folder)
        against = "the log, and with its own checksums"
    _print_findings(where, manifest, findings, against, as_json=as_json)
    return 1 if findings else 0


def _verified_copy(place: str, progress: Progress) -> tuple[Manifest, list[Finding]]:
    """Compare a copy with its own checksums: every file of a store, or what a folder has."""
    if is_address(place):
        manifest, damaged = damaged_files(ObjectStore(place), progress)
        if damaged:
            return manifest, [Finding(*each) for each in damaged]
    archive = open_place(place, progress=progress)
    findings = check(archive, None, progress)
    return archive.manifest, findings


def _other_copy(ledger: OpenLedger, place: str, progress: Progress) -> Archive:
    return Archive(open_place(place, progress=progress).folder, ledger.log.identity())


def _named_first(archive: Archive, ledger: OpenLedger, findings: list[Finding], progress: Progress) -> list[Finding]:
    """Return the findings, preceded by the first position at which the log differs, if it does. A difference from the
    ledger's own archive is recorded.
    """
    if archive.folder == ledger.archive.folder and findings:
        try:
            archive.verify_log(ledger.database, progress)
        except ArchiveDisagreesError as error:
            return [Finding(error.first, error.last, error.why), *findings]
        return findings
    first = compare(archive, archive.manifest, ledger.database, progress)
    return findings if first is None else [first, *findings]


def _print_findings(where: str, manifest: Manifest, findings: list[Finding], against: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"position": manifest.position, "findings": [finding._asdict() for finding in findings]})
    elif findings:
        rows = [(f"{finding.first:,} to {finding.last:,}", finding.what) for finding in findings]
        title = f"The archive in {where} is not sound"
        remedy = (
            "damaged files: `hours archive rebuild` builds a new one. Differences from the log: both are kept; restore "
            "the log, or accept it with `hours archive rebuild --replace-disagreeing`"
        )
        print_table(title, ("positions", "what is wrong"), rows, remedy)
    else:
        files = sum(len(segment.files) for segment in manifest.segments)
        out().print(f"{manifest.position:,} events in {files} files agree with {against}")


@app.command("rebuild")
def rebuild_archive(
    context: typer.Context,
    *,
    replace_disagreeing: Annotated[
        bool,
        typer.Option(
            "--replace-disagreeing", help="Accept the log as it is: also replace an archive that disagrees with it."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Rebuild the archive from the log; the old one is used until the new one replaces it.

    An archive that disagrees with the log is replaced only if you say so; it is kept beside the new one.
    """
    with open_ledger(data_of(context)) as ledger:
        warm(notify)
        with stages("Rebuilding the archive") as progress:
            position = ledger.archive.rebuild(ledger.database, progress, replace_disagreeing=replace_disagreeing)
        size, kept = ledger.archive.bytes_on_disk(), ledger.archive.kept
    if kept:
        notify(f"the archive before is kept in {kept}")
    if as_json:
        print_json({"position": position, "bytes": size, "edition": ledger.archive.manifest.edition})
    else:
        out().print(f"the archive holds {position:,} events in {size / _MIB:,.1f} MiB")


@app.command("copy")
def copy(
    context: typer.Context,
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="A new or empty folder, an older copy, or s3://BUCKET/PREFIX.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Copy the archive, for `hours replay --archive PLACE` without a database.

    A copy only grows: a place with a copy of other events is left as it is, with exit code 1.
    """
    store = ObjectStore(place) if is_address(place) else None
    with open_ledger(data_of(context)) as ledger:
        warm(notify)
        with stages("Copying the archive") as progress:
            ledger.archive.bring_up_to_date(ledger.database, progress)
            try:
                if store:
                    copied = send_archive(ledger.archive, store, progress, ledger.database)
                else:
                    copied = copy_archive(ledger.archive, Path(place), progress, ledger.database).manifest
            except TargetError as error:
                raise UsageError(str(error)) from None
    size = copied.bytes
    if as_json:
        print_json({"folder": place, "position": copied.position, "bytes": size})
    else:
        out().print(f"{copied.position:,} events in {size / _MIB:,.1f} MiB copied to {place}, and verified")
