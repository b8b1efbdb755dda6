"""The archive: rebuilt from the bytes of the events, part by part, and compared with the one that was served.

The rebuilt archive is written to the audit's own folder, and read models are computed from it. The served one is only
compared: the digests of its parts with the bytes, its files with the digests in its manifest, its columns with those
derived from the bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from uuid import UUID

from replay.archive.checking import check_columns, check_files
from replay.archive.growth import PART_EVENTS, SEGMENT_EVENTS, cut, span_of
from replay.archive.log_columns import Dictionaries, columns_of
from replay.archive.log_reader import LogRange
from replay.archive.manifest import (
    MANIFEST,
    ArchiveError,
    Manifest,
    PartDigest,
    Segment,
    folder_name,
    joined,
    write_manifest,
)
from replay.archive.open_archive import OpenArchive
from replay.archive.segments import Part, writing_segment
from replay.auditing.findings import Check, Finding, altered, notice
from replay.bundles.layout import ARCHIVE, entries_path
from replay.bundles.reading import split_entries
from replay.progress import Progress, StoppedError, ignore
from replay.proof.tree import TILE_WIDTH

REBUILDING = "rebuilding the archive"


def served_archive(folder: Path, ledger: UUID) -> tuple[OpenArchive | None, list[Finding]]:
    """Open the archive in a bundle, and check its files against its manifest."""
    path = folder / ARCHIVE
    if not (path / MANIFEST).exists():
        return None, [altered(Check.ARCHIVE, "the archive has no manifest", where=f"{ARCHIVE}/{MANIFEST}")]
    try:
        archive = OpenArchive.open_copy(path)
        found = check_files(archive)
    except (StoppedError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - anything may be in a bundle
        what = "the archive cannot be read"
        return None, [altered(Check.ARCHIVE, what, where=ARCHIVE, evidence=str(error)[:300])]
    findings = [
        altered(Check.ARCHIVE, "a file of the archive was changed", each.first, each.last, where=each.what)
        for each in found
    ]
    if archive.manifest.ledger != ledger:
        what = "the archive belongs to another ledger"
        findings.append(altered(Check.ARCHIVE, what, where=f"{ARCHIVE}/{MANIFEST}"))
        return None, findings
    return archive, findings


def rebuild(
    folder: Path, size: int, target: Path, served: OpenArchive | None, ledger: UUID, progress: Progress = ignore
) -> tuple[OpenArchive, list[Finding]]:
    """Build an archive of the events in a bundle, and compare the served one with it; return both results.

    Raises:
        ValueError, LookupError: an event cannot be read. The chunks name it.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    findings: list[Finding] = []
    ranges = _ranges(served, size, findings)
    digests = {last: digest for _, last, digest in ranges if digest is not None}
    names = Dictionaries.empty()
    segments: list[Segment] = []
    sound = True
    for _, span in groupby(ranges, key=lambda each: span_of(each[1])):
        segment, compared = [], []
        parts = list(span)
        name = folder_name(parts[0][0] + 1, parts[-1][1], 1)
        (target / name).mkdir()
        with writing_segment(target / name) as writer:
            for low, high, _ in parts:
                read, part = _read_part(folder, size, low, high, names)
                writer.add(part)
                if high in digests:
                    compared.append(part)
                    if read.digest != digests[high].digest:
                        what = "the archive was made of other events"
                        findings.append(altered(Check.ARCHIVE, what, low + 1, high, where=f"{ARCHIVE}/{MANIFEST}"))
                segment.append(_segment_of(low, high, part))
                progress(REBUILDING, high, size)
        segments.append(joined(segment, tuple(part for each in segment for part in each.parts), name))
        if served is not None and compared and sound:
            last = max(last for _, last, digest in parts if digest is not None)
            found = _compare(served, compared, parts[0][0] + 1, last)
            findings += found
            sound = not found  # the numbers of names may differ from here on
    write_manifest(target, Manifest(ledger, tuple(segments)))
    if served is not None and served.position < size:
        what = f"the archive is {size - served.position:,} events behind the checkpoint"
        findings.append(notice(Check.ARCHIVE, what, served.position + 1, size))
    return OpenArchive.open_copy(target), findings


_Range = tuple[int, int, PartDigest | None]


def _ranges(served: OpenArchive | None, size: int, findings: list[Finding]) -> list[_Range]:
    """Return the parts to read: those of the served archive, as far as the checkpoint covers them, then others."""
    ranges: list[_Range] = []
    reached = 0
    for segment in served.segments if served else ():
        for low, part in segment.ranges():
            if part.last > size:
                break
            if low != reached or not low < part.last <= min(
                low + PART_EVENTS, (low // SEGMENT_EVENTS + 1) * SEGMENT_EVENTS
            ):
                what = "the archive does not hold the events one after the other"
                findings.append(altered(Check.ARCHIVE, what, reached + 1, size, where=f"{ARCHIVE}/{MANIFEST}"))
                return ranges + [(first, last, None) for first, last in cut(reached, size)]
            ranges.append((low, part.last, part))
            reached = part.last
    return ranges + [(first, last, None) for first, last in cut(reached, size)]


def _read_part(folder: Path, size: int, low: int, high: int, names: Dictionaries) -> tuple[LogRange, Part]:
    states: list[bytes] = []
    topics: list[str] = []
    for entry in entries_between(folder, size, low, high):
        end = 33 + entry[32]
        topics.append(entry[33:end].decode())
        states.append(entry[end:])
    lines = b"\n".join(states)
    del states
    part = columns_of(lines, topics, low + 1, names)
    return LogRange(low, high, lines, ",".join(topics)), part


def entries_between(folder: Path, size: int, low: int, high: int) -> Iterator[bytes]:
    """Yield the entries after a position, up to and including another."""
    for number in range(low // TILE_WIDTH, -(-high // TILE_WIDTH)):
        before = number * TILE_WIDTH
        content = (folder / entries_path(number, size)).read_bytes()
        entries = split_entries(content, min(TILE_WIDTH, size - before))
        yield from entries[max(low - before, 0) : high - before]


def _segment_of(low: int, high: int, part: Part) -> Segment:
    return Segment(
        "",
        low + 1,
        high,
        *part.recorded_at(),
        shift_events=len(part.shift_events.code),
        other_events=len(part.other_events.code),
        shifts=len(part.new.shift_low),
        files={},
        parts=(PartDigest(high, "", ""),),
    )


def _compare(served: OpenArchive, parts: Sequence[Part], first: int, last: int) -> list[Finding]:
    try:
        found = check_columns(served, parts, first, last)
    except (ArchiveError, ValueError, KeyError) as error:
        return [altered(Check.ARCHIVE, "the archive cannot be read", first, last, evidence=str(error)[:200])]
    return [
        altered(
            Check.ARCHIVE,
            "a column of the archive differs from the bytes of the events",
            each.first,
            each.last,
            where=ARCHIVE,
            evidence=each.what.replace("the log gives", "the bytes give"),
        )
        for each in found
    ]
