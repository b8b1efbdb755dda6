"""Dividing: the facts of one ledger or of several, written as partitions.

Ledgers are read one after the other, so no more than one of them is in memory at once. A first pass reads names and the
other events, of which merges and links say which numbers are one person; then each volunteer's partition is known.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4
from zlib import crc32

import numpy as np
import pyarrow as pa

from projections.schema import (
    MERGED,
    NONE,
    PEOPLE_SERVED,
    STATION_OPENED,
    Ints,
    OtherEvents,
    ResolvedShifts,
)
from replay.archive.folder import digest_of
from replay.archive.open_archive import OpenArchive
from replay.durable import atomic_folder
from replay.federation.heads import Head
from replay.federation.joining import (
    Dictionaries,
    Member,
    last_numbers,
    merges_of,
    rename,
)
from replay.partitions.dataset import (
    DATASET,
    FORMAT,
    PARTITIONS_MAX,
    RULES,
    Dataset,
    events_columns,
    file_of,
    shifts_batch,
    shifts_schema,
    shifts_writer,
    write_columns,
)
from replay.progress import Progress, checkpoint, ignore
from replay.published import Rules

READING_NAMES, DIVIDING = "reading names", "dividing"
SHIFTS_EACH = 1 << 19
"""About how many shifts a partition has: a replay of it takes tens of megabytes and a tenth of a second."""


FILES_BESIDE = 256
"""How many files are open beside those of partitions."""


class Division(NamedTuple):
    """What is divided.

    federation: its name; None for one ledger, which stands under any name in `archives`, and whose names stand alone.
    archives, heads: the ledgers by name, and how far each is read; the federation's own ledger comes last.
    rules: those in force at the heads, if there are any.
    """

    federation: str | None
    archives: Mapping[str, OpenArchive]
    heads: Sequence[Head]
    missing: Sequence[str]
    rules: Rules | None

    def member_name(self, head: Head) -> str | None:
        """Return the name that comes before those of a ledger."""
        return None if self.federation is None else head.member

    def members(self) -> set[str]:
        """Return the names of the member ledgers of a federation."""
        return {name for head in self.heads if (name := self.member_name(head)) is not None}


class _Volunteers(NamedTuple):
    """Where each volunteer is: the partition, and the surrogate in it; and how many volunteers each partition has."""

    partition: Ints
    number: Ints
    counts: Ints


def divide(division: Division, folder: Path, partitions: int | None = None, progress: Progress = ignore) -> Dataset:
    """Write the facts of ledgers as partitions to a folder, in place of a data set that is there.

    Args:
        partitions: how many, a power of two; by default so many that each has about `SHIFTS_EACH` shifts.
        progress: counts ledgers' events.

    Raises:
        replay.archive.manifest.ArchiveError: a ledger cannot be read up to its head.
        OSError: the files cannot be written. replay.progress.StoppedError: from `progress`.
        No error leaves anything behind.
    """
    count = _partitions(division) if partitions is None else partitions
    heads = division.heads
    names, ledgers, events, unknown = _names_and_events(division, heads, progress)
    volunteers = _placed(names, ledgers, events, count)
    identity = uuid4().hex  # not of the heads: files of two builds from the same heads may divide them otherwise
    _allow_files(count)
    with atomic_folder(folder) as temporary:
        shifts = _write_shifts(division, heads, names, volunteers, temporary, identity, progress)
        _write_events(events, volunteers, count, temporary, identity)
        _write_names(names, volunteers, count, temporary, identity)
        if division.rules is not None:
            (temporary / RULES).write_text(division.rules.text, "utf-8")
        dataset = Dataset(
            format=FORMAT,
            id=identity,
            federation=division.federation,
            heads=list(division.heads),
            missing=list(division.missing),
            unknown_numbers=unknown,
            partitions=count,
            volunteers=len(names.volunteers),
            shifts=shifts,
            rules_version=None if division.rules is None else division.rules.version,
            stations=names.stations.texts(),
            projects=names.projects.texts(),
            files={path.name: digest_of(path) for path in sorted(temporary.iterdir())},
        )
        (temporary / DATASET).write_text(dataset.model_dump_json(indent=1) + "\n", "utf-8")
    return dataset


def _partitions(division: Division) -> int:
    shifts = sum(segment.shifts for head in division.heads for segment in division.archives[head.name].segments)
    return min(PARTITIONS_MAX, 1 << max(shifts // SHIFTS_EACH, 1).bit_length() - 1)


def _allow_files(partitions: int) -> None:
    """Raise the limit of open files: a file of each partition is open while shifts are written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = partitions + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _names_and_events(
    division: Division, heads: Sequence[Head], progress: Progress
) -> tuple[Dictionaries, list[int], OtherEvents, list[str]]:
    """Read all names, how many volunteers there are after each ledger, and the other events; merges and links are
    replaced by those of the last numbers.
    """
    names, tables, links, unknown = Dictionaries.empty(), [], list[tuple[int, int]](), list[str]()
    ends = []
    for done, head in enumerate(heads):
        checkpoint()
        progress(READING_NAMES, done, len(heads))
        member = Member(division.member_name(head), division.archives[head.name].other_facts(head.position))
        renamed = rename(member, names, division.members())
        tables.append(renamed.other_events)
        links += renamed.links
        ends.append(len(names.volunteers))
        unknown += renamed.unknown
    tables.append(merges_of(last_numbers(links)))
    return names, ends, OtherEvents(*map(np.concatenate, zip(*tables, strict=True))), unknown


def _placed(names: Dictionaries, ledgers: Sequence[int], events: OtherEvents, partitions: int) -> _Volunteers:
    """Give each person a partition: persons by the ledger and the hash of the last of their numbers, in equal parts.

    So a partition has the stations of one ledger or two, not of all. `ledgers`: how many names are there after each.
    """
    texts = names.volunteers.texts()
    last = np.arange(len(texts))
    merged = np.flatnonzero(events.code == MERGED)  # each into its last number: no chains
    last[events.volunteer[merged]] = events.into[merged]
    hashes = np.array([crc32(text.encode()) for text in texts], np.int64)
    ledger = np.searchsorted(np.array(ledgers), np.arange(len(texts)), side="right")
    rank = np.empty(len(texts), np.int64)
    rank[np.lexsort((hashes, ledger))] = np.arange(len(texts))
    partition = (rank * partitions // max(len(texts), 1))[last]
    counts = np.bincount(partition, minlength=partitions)
    order = np.argsort(partition, kind="stable")
    number = np.empty(len(texts), np.int64)
    number[order] = np.arange(len(texts)) - np.repeat(np.cumsum(counts) - counts, counts)
    return _Volunteers(partition.astype(np.int32), number.astype(np.int32), counts.astype(np.int32))


def _write_shifts(
    division: Division,
    heads: Sequence[Head],
    names: Dictionaries,
    volunteers: _Volunteers,
    folder: Path,
    identity: str,
    progress: Progress,
) -> int:
    """Write the shifts of all ledgers, each as a row group of every partition; return their number."""
    schema, shifts = shifts_schema(identity), 0
    total, done = sum(head.position for head in heads), 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(shifts_writer(folder / file_of("shifts", partition), schema))
            for partition in range(len(volunteers.counts))
        ]
        for head in heads:
            checkpoint()
            progress(DIVIDING, done, total)
            facts = division.archives[head.name].facts(until=head.position)
            found = rename(Member(division.member_name(head), facts), names, division.members()).shifts
            keys = facts.shift_keys(np.arange(len(found.flags), dtype=np.int32))
            del facts
            order, ends = _ordered(found, volunteers)
            for partition, writer in enumerate(writers):
                rows = order[ends[partition] : ends[partition + 1]]
                if not len(rows):
                    continue
                part = ResolvedShifts._make(column[rows] for column in found)
                part = part._replace(volunteer=volunteers.number[part.volunteer])
                writer.write_batch(shifts_batch(part, [half[rows] for half in keys], schema))
            shifts += len(found.flags)
            done += head.position
        progress(DIVIDING, done, total)
    return shifts


def _ordered(shifts: ResolvedShifts, volunteers: _Volunteers) -> tuple[Ints, Ints]:
    """Return the rows of shifts by partition, volunteer and check-in, and where each partition begins and ends."""
    first = np.cumsum(volunteers.counts, dtype=np.int64) - volunteers.counts
    rank = first[volunteers.partition] + volunteers.number
    order = np.argsort((rank[shifts.volunteer] << 32) | shifts.check_in, kind="stable").astype(np.int32)
    counts = np.bincount(volunteers.partition[shifts.volunteer], minlength=len(volunteers.counts))
    return order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def _write_events(events: OtherEvents, volunteers: _Volunteers, partitions: int, folder: Path, identity: str) -> None:
    """Write the other events of each partition. Openings of stations are in all, people served in the first."""
    partition = np.append(volunteers.partition, np.int32(NONE))[events.volunteer]
    number = np.append(volunteers.number, np.int32(NONE))
    for each in range(partitions):
        rows = partition == each
        rows |= events.code == STATION_OPENED
        if each == 0:
            rows |= events.code == PEOPLE_SERVED
        chosen = OtherEvents(*(column[rows] for column in events))
        chosen = chosen._replace(volunteer=number[chosen.volunteer], into=number[chosen.into])
        write_columns(folder / file_of("events", each), events_columns(chosen), identity)


def _write_names(names: Dictionaries, volunteers: _Volunteers, partitions: int, folder: Path, identity: str) -> None:
    texts = np.array(names.volunteers.texts(), object)
    order = np.argsort(volunteers.partition, kind="stable")
    ends = np.concatenate([[0], np.cumsum(volunteers.counts)])
    for each in range(partitions):
        chosen = pa.array(texts[order[ends[each] : ends[each + 1]]], pa.string())
        write_columns(folder / file_of("names", each), {"name": chosen}, identity)
