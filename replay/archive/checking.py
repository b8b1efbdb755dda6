"""Checking an archive against the log and against its own checksums. Findings are returned, not raised.

    check         both checks, or the files alone without a log
    check_files   compares every file with the SHA-256 in the manifest; needs no log
    check_log     compares every part with the log by digest, and every column with the columns derived from the log

Deriving the columns again and comparing them cell by cell also finds what a faulty program wrote, not only flipped
bits. The checks proceed span by span (a million events) and may run while the archive grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledger.store.database import Database
from replay.archive.folder import digest_of
from replay.archive.growth import span_of, spans
from replay.archive.log_columns import Dictionaries
from replay.archive.log_reader import HoleError, LogRange, read_ahead, read_range
from replay.archive.manifest import ArchiveDamagedError, PartDigest, Segment
from replay.archive.open_archive import OpenArchive
from replay.archive.reader import guarded
from replay.archive.segments import NAME_KINDS, NAMES, SCHEMAS, Part, read_table, tables_of
from replay.progress import Progress, ignore

COMPARING, CHECKING = "comparing with the log", "reading files"


class Finding(NamedTuple):
    """An error found in the archive, with the first and last position it concerns."""

    first: int
    last: int
    what: str

    def __str__(self) -> str:
        return f"positions {self.first} to {self.last}: {self.what}"


def check(archive: OpenArchive, database: Database | None, progress: Progress = ignore) -> list[Finding]:
    """Check a whole archive; without a database (a copy of an archive), check its files only."""
    findings = check_files(archive, progress)
    return findings + (check_log(archive, database, progress) if database else [])


def check_span(
    archive: OpenArchive, database: Database, number: int, progress: Progress = ignore
) -> list[Finding] | None:
    """Check the files of one span, numbered from 0, and its parts by digest. Return None after the last span."""
    checked = spans(archive.segments)
    if number >= len(checked):
        return None
    span = checked[number]
    return [*_check_span_files(archive, span[0].first), *_differing(database, span, progress, archive.position)]


def check_files(archive: OpenArchive, progress: Progress = ignore) -> list[Finding]:
    """Read every file and compare its SHA-256 with the manifest. Progress counts bytes.

    Raises:
        ArchiveError: the manifest cannot be read.
    """
    archive.refresh()
    findings: list[Finding] = []
    done, total = 0, archive.bytes_on_disk()
    for span in spans(archive.segments):
        findings += _check_span_files(archive, span[0].first)
        done += sum(digest.bytes for segment in span for digest in segment.files.values())
        progress(CHECKING, min(done, total), total)
    return findings


def _check_span_files(archive: OpenArchive, first: int) -> list[Finding]:
    """Check the files of a span; if its segments were merged meanwhile, check again."""

    def differing(segments: Sequence[Segment]) -> list[Finding]:
        found = []
        for segment in segments:
            for name, digest in segment.files.items():
                path = archive.folder / segment.folder / name
                try:
                    what = "" if digest_of(path) == digest else f"{path} fails its SHA-256 checksum"
                except OSError as error:
                    what = f"{path} cannot be read: {error.strerror}"
                if what:
                    found.append(Finding(segment.first, segment.last, what))
        return found

    while True:
        segments = _span(archive, first)
        findings = differing(segments)
        archive.refresh()
        if not findings or _span(archive, first) == segments:
            return findings


def _span(archive: OpenArchive, first: int) -> list[Segment]:
    return [segment for segment in archive.segments if span_of(segment.first) == span_of(first)]


def check_log(archive: OpenArchive, database: Database, progress: Progress = ignore) -> list[Finding]:
    """Compare every part of the archive with the log. Progress counts positions.

    Raises:
        ArchiveError: the manifest cannot be read.
    """
    archive.refresh()
    checked = spans(archive.segments)
    ranges = [(low, part) for span in checked for segment in span for low, part in segment.ranges()]
    findings: list[Finding] = []
    names, position = Dictionaries.empty(), archive.position
    derived = read_ahead(database, [(low, part.last) for low, part in ranges], names)
    for span in checked:
        if findings:  # the surrogates of names may differ from here on, so only digests are compared
            findings += _differing(database, span, progress, position)
            continue
        parts: list[Part] = []
        try:
            for low, digest in (each for segment in span for each in segment.ranges()):
                read, part = next(derived)
                parts.append(part)
                findings += _compared(read, low, digest)
                progress(COMPARING, digest.last, position)
        except (HoleError, ValueError, LookupError) as error:
            unread = Finding(span[0].first, span[-1].last, f"the log cannot be read: {error}")
            findings += list(_differing(database, span, progress, position)) or [unread]
        if not findings:
            findings += check_columns(archive, parts, span[0].first, span[-1].last)
    return findings


def _differing(database: Database, span: Sequence[Segment], progress: Progress, position: int) -> Iterator[Finding]:
    """Yield the parts of a span that differ from the log."""
    for low, part in (each for segment in span for each in segment.ranges()):
        try:
            yield from _compared(read_range(database, low, part.last), low, part)
        except HoleError as error:
            yield Finding(low + 1, part.last, str(error))
        progress(COMPARING, part.last, position)


def _compared(read: LogRange, low: int, part: PartDigest) -> list[Finding]:
    same = read.digest == part.digest
    return [] if same else [Finding(low + 1, part.last, "these events differ from the log")]


# --- columns --------------------------------------------------------------------------------------------------------


def check_columns(archive: OpenArchive, parts: Sequence[Part], first: int, last: int) -> list[Finding]:
    """Compare the files of a span with the tables derived from its parts, which end at position `last`."""
    derived = [tables_of(part) for part in parts]
    findings = []
    for file in SCHEMAS:
        expected = pa.concat_tables([tables[file] for tables in derived])
        try:
            found, end = archive.retried(partial(_read_span, archive, first, file))
        except ArchiveDamagedError as error:
            findings.append(Finding(first, last, str(error)))
            continue
        for kind, rows in _split(file, expected).items():
            stored = _split(file, found).get(kind, found.slice(0, 0))
            if end > last:  # the span has grown meanwhile
                stored = _until(stored, last, len(rows))
            differences = _differences(file, stored, rows)
            findings += [Finding(*_where(rows, row, first, last), what) for what, row in differences]
    return findings


def first_row(archive: OpenArchive, parts: Sequence[Part], first: int) -> tuple[int, str] | None:
    """Return the first position at which the columns of a span differ from those derived from its parts, and how; None
    if no column differs.
    """
    derived = [tables_of(part) for part in parts]
    found: list[tuple[int, str]] = []
    for file in (file for file, schema in SCHEMAS.items() if "position" in schema.names):
        expected = pa.concat_tables([tables[file] for tables in derived])
        stored, _ = archive.retried(partial(_read_span, archive, first, file))
        rows = min(len(stored), len(expected))
        both = [table.slice(0, rows) for table in (stored, expected)]
        for what, row in _differences(file, *both):
            positions = [table["position"][row].as_py() for table in both]
            found.append((min(positions), what))
        if len(stored) != len(expected):
            longer = max(stored, expected, key=len)
            what = f"{file} has {len(stored)} rows, but the log gives {len(expected)}"
            found.append((longer["position"][rows].as_py(), what))
    return min(found, default=None)


def compare_columns(copy: OpenArchive, archive: OpenArchive) -> Finding | None:
    """Compare the columns of a copy with those of an archive, up to the copy's position; return a difference.

    Raises:
        ArchiveDamagedError: a file cannot be read.
    """
    last = copy.position
    for file in SCHEMAS:
        held, found = (_split(file, each.retried(partial(_read_all, each, file))) for each in (copy, archive))
        for kind, rows in held.items():
            for what, row in _differences(file, _until(found[kind], last, len(rows)), rows):
                return Finding(*_where(rows, row, 1, last), what.replace("the log gives", "the copy has"))
    return None


def _read_all(archive: OpenArchive, file: str) -> Any:
    paths = [archive.folder / segment.folder / file for segment in archive.segments]
    return pa.concat_tables([guarded(path, read_table).cast(SCHEMAS[file]) for path in paths])


def _read_span(archive: OpenArchive, first: int, file: str) -> tuple[Any, int]:
    """Read one file of all segments of a span; return it with the span's last position."""
    segments = _span(archive, first)
    paths = [archive.folder / segment.folder / file for segment in segments]
    return pa.concat_tables([guarded(path, read_table).cast(SCHEMAS[file]) for path in paths]), segments[-1].last


def _split(file: str, table: Any) -> dict[str, Any]:
    """Split names by kind: each kind is in order, but how kinds alternate depends on how the archive grew."""
    if file != NAMES:
        return {"": table}
    return {kind: table.filter(pc.equal(table["kind"], kind)) for kind in NAME_KINDS}


def _until(table: Any, last: int, rows: int) -> Any:
    """Return the rows up to a position; of a table without positions, the first `rows`."""
    if "position" in table.schema.names:
        return table.filter(pc.less_equal(table["position"], last))
    return table.slice(0, rows)


def _differences(file: str, found: Any, expected: Any) -> Iterator[tuple[str, int | None]]:
    """Yield the differences in a file: one for each column, with its first row; None if the number of rows differs."""
    if len(found) != len(expected):
        yield f"{file} has {len(found)} rows, but the log gives {len(expected)}", None
        return
    for name in expected.schema.names:
        if not found[name].equals(expected[name]):
            neither = pc.and_(found[name].is_null(), expected[name].is_null())
            same = pc.fill_null(pc.equal(found[name], expected[name]), neither)
            row = int(np.flatnonzero(~same.to_numpy())[0])
            yield f"{file} has {name} {found[name][row]}, but the log gives {expected[name][row]}", row


def _where(expected: Any, row: int | None, first: int, last: int) -> tuple[int, int]:
    """Return the first and last position a row concerns: its own position, if it has one, else the whole span."""
    if row is None or "position" not in expected.schema.names:
        return first, last
    position = int(expected["position"][row].as_py())
    return position, position
