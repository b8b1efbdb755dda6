"""Whether an archive and the log agree, and the record of a disagreement.

The manifest holds a digest of every part of the log, taken when the part was archived. An event that was changed,
removed, inserted or moved in the database since then changes the digest of its part. Which of the two is right cannot
be computed, so nothing here repairs anything: both are kept, the first differing position is named, and the archive
stops growing until an operator decides.

    compare             compares every part with the log; returns the first difference
    record, recorded    a disagreement, kept in the archive's folder: every process reports it until it is cleared
    refuse_other_prefix refuses to let a copy become another history

PostgreSQL computes the digests, so only they are transferred: a million events take two to four seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from ledger.store.database import Database
from replay.archive.checking import COMPARING, Finding, compare_columns, first_row
from replay.archive.folder import write_error
from replay.archive.log_reader import HoleError, read_ahead
from replay.archive.manifest import ArchiveDamagedError, ArchiveDisagreesError, Manifest, Segment
from replay.archive.open_archive import OpenArchive
from replay.archive.reader import read_dictionaries
from replay.durable import atomic_file
from replay.progress import Progress, ignore

DISAGREEMENT = "disagreement.json"
"""The file in the archive's folder that records a disagreement."""

Row = tuple[str, bytes]
"""The topic and the state of an event."""


def compare(
    archive: OpenArchive, manifest: Manifest, database: Database, progress: Progress = ignore
) -> Finding | None:
    """Compare every part of a manifest with the log; return the first difference, None if they agree. The files of the
    archive serve to name the position.
    """
    head = int(database.log.head())
    found = differing_part(manifest, database, min(head, manifest.position), progress)
    if found is not None:
        return _located(archive, database, *found)
    if head < manifest.position:
        what = f"from position {head + 1} on, it holds {manifest.position} events, the log only {head}"
        return Finding(head + 1, manifest.position, what)
    return None


def differing_part(
    manifest: Manifest, database: Database, until: int, progress: Progress = ignore
) -> tuple[Segment, int, int] | None:
    """Return the first part up to a position that differs from the log: its segment, the position before it, and its
    last position.
    """
    for segment in manifest.segments:
        for low, part in segment.ranges():
            last = min(part.last, until)
            if last <= low:
                return None
            if last < part.last:  # the log has lost the end of this part, so its digest cannot be compared
                return (segment, low, last) if database.log.first_missing(low, last) else None
            if database.log.digest(low, last) != part.digest:
                return segment, low, last
            progress(COMPARING, part.last, manifest.position)
    return None


def _located(archive: OpenArchive, database: Database, segment: Segment, low: int, last: int) -> Finding:
    """Name the first position at which a part differs, as closely as the archive's columns allow."""
    if missing := database.log.first_missing(low, last):
        return Finding(missing, missing, f"position {missing} of the log holds no event")
    earlier = [each for each in archive.segments if each.last < segment.first]
    try:
        names = read_dictionaries(archive.folder, earlier)
        ranges = [(after, part.last) for after, part in segment.ranges() if part.last <= last]
        parts = [part for _, part in read_ahead(database, ranges, names)]
        exact = first_row(archive, parts, segment.first)
    except (HoleError, ArchiveDamagedError, ValueError, LookupError):  # not readable: the part is all that is known
        exact = None
    if exact is not None and exact[0] > low:
        return Finding(exact[0], exact[0], f"event {exact[0]} differs: {exact[1]}")
    several = ", in a field that is no column of the archive" if last > low + 1 else ""
    return Finding(low + 1, last, _differ(low, last) + several)


def _differ(low: int, last: int) -> str:
    return f"event {last} differs" if last == low + 1 else f"events {low + 1} to {last} differ"


def compare_rows(manifest: Manifest, rows: Iterable[Row]) -> tuple[Finding | None, int]:
    """Compare the events of a log (of a backup, for example), in order, with the digests of an archive. Return the
    first difference, and the position up to which both were compared.
    """
    events = iter(rows)
    compared = 0
    for segment in manifest.segments:
        for low, part in segment.ranges():
            digest = _digest_of(events, part.last - low)
            if digest is None:
                return None, compared
            if digest != part.digest:
                return Finding(low + 1, part.last, _differ(low, part.last)), compared
            compared = part.last
    return None, compared


def _digest_of(events: Iterator[Row], count: int) -> str | None:
    """Return the digest of the next events as `LogRange.digest` computes it, None if there are fewer."""
    digest, topics = sha256(), []
    for number in range(count):
        row = next(events, None)
        if row is None:
            return None
        topics.append(row[0])
        digest.update(row[1] if number == 0 else b"\n" + row[1])
    digest.update(b"\n\n" + ",".join(topics).encode())
    return digest.hexdigest()


# --- copies ---------------------------------------------------------------------------------------------------------


class CopyDisagreesError(ArchiveDisagreesError):
    """A copy holds other events than the archive it was copied from; it is left as it is."""

    REMEDY = "the copy is left as it is: it is evidence of an earlier log; name another folder for a new copy"
    SUBJECT = "the copy in {folder} disagrees with the ledger"


def refuse_other_prefix(archive: OpenArchive, folder: Path, database: Database | None) -> None:
    """Refuse to replace the copy in a folder by an archive that does not begin with the same events.

    Args:
        database: the log, to compare parts that the archive has digested with others as one. Without it, the columns
            of the copy and of the archive are compared.

    Raises:
        CopyDisagreesError: the copy holds other events, or more of them.
    """
    copy = OpenArchive.open_copy(folder)
    compared = refuse_other_beginning(archive.manifest, copy.manifest, folder, database)
    if not compared and (finding := compare_columns(copy, archive)):
        raise CopyDisagreesError(folder, finding.what, finding.first, finding.last)


def refuse_other_beginning(archive: Manifest, copy: Manifest, where: Path | str, database: Database | None) -> bool:
    """Compare the digests of a copy with those of an archive; return whether all of them could be compared.

    Args:
        where: the copy's folder or address, for messages.
        database: as for `refuse_other_prefix`.

    Raises:
        CopyDisagreesError: as `refuse_other_prefix`.
    """
    digests = {(low, part.last): part.digest for segment in archive.segments for low, part in segment.ranges()}
    compared = True
    for low, part in (each for segment in copy.segments for each in segment.ranges()):
        if part.last > archive.position:
            why = f"the copy holds {copy.position} events, the archive only {archive.position}"
            raise CopyDisagreesError(where, why, archive.position + 1, copy.position)
        digest = digests.get((low, part.last))
        if digest is None:
            digest = database.log.digest(low, part.last) if database else part.digest
            compared = compared and database is not None
        if digest != part.digest:
            raise CopyDisagreesError(where, _differ(low, part.last), low + 1, part.last)
    return compared


# --- the record -----------------------------------------------------------------------------------------------------


def record(folder: Path, finding: Finding) -> None:
    """Record a disagreement, unless an earlier one is recorded.

    Raises:
        ArchiveError: it could not be written.
    """
    if recorded(folder) is not None:
        return
    try:
        with atomic_file(folder / DISAGREEMENT) as temporary:
            temporary.write_text(json.dumps(finding._asdict(), indent=1) + "\n", "utf-8")
    except OSError as error:
        raise write_error(folder, error) from error


def recorded(folder: Path) -> Finding | None:
    """Return the recorded disagreement, None if there is none."""
    try:
        fields = json.loads((folder / DISAGREEMENT).read_bytes())
        return Finding(int(fields["first"]), int(fields["last"]), str(fields["what"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Finding(1, 1, f"{folder / DISAGREEMENT} cannot be read")


def clear(folder: Path) -> None:
    """Remove the record, after an operator has decided or a full comparison found no difference."""
    (folder / DISAGREEMENT).unlink(missing_ok=True)


def require_agreement(folder: Path) -> None:
    """Refuse an archive with a recorded disagreement.

    Raises:
        ArchiveDisagreesError
    """
    finding = recorded(folder)
    if finding is not None:
        raise ArchiveDisagreesError(folder, finding.what, finding.first, finding.last)
