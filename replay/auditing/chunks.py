"""One chunk of the log, 65,536 events: what can be checked without the events before it. Runs in every process.

Each entry is hashed, compared with the tile of level 0, taken apart, and decoded by its schema. A scan of a station is
decided here as well, because such a decision reads nothing but which volunteers, stations and projects exist: the first
use of each name goes into the result, and is compared with its first event once all chunks are done. All other events
go into the result as they are.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np

from ledger.aggregates import Event
from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched
from ledger.deciding.case import CLOCK_SKEW_SECONDS_MAX
from ledger.instants import EARLIEST_INSTANT, LATEST_INSTANT
from ledger.names import ACTOR_PATTERN, shift_number_for, shift_stream_key
from ledger.store.mapper import decode
from replay.auditing.findings import Check, Finding, altered, bounded, refusable
from replay.auditing.scans.checking import ScansOfChunk
from replay.auditing.scans.reading import SIMULATED
from replay.auditing.streams import ranges_of
from replay.bundles.reading import CHUNK_EVENTS, CHUNK_LEVEL, CHUNK_TILES, entry_files
from replay.proof.entries import EntryError, hashed_entries
from replay.proof.tree import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, Tile, leaf_hash, level_above, subtree_root, subtrees

_HEAD_BYTES = 33
_ACTOR = re.compile(ACTOR_PATTERN)
_SCANS = frozenset(event.TOPIC.encode() for event in (CheckedIn, CheckedOut, Punched))


class Job(msgspec.Struct, frozen=True):
    """What every process knows. `sizes`: the sizes whose roots are asked for; `signed_keys`: the numbers of the API
    keys under which signatures are stored.
    """

    folder: str
    size: int
    sizes: tuple[int, ...]
    signed_keys: frozenset[int] = frozenset()


class Recorded(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event that is decided later."""

    position: int
    stream: bytes
    version: int
    topic: str
    state: bytes


class Sent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event under a key that signs: the digest of its command's name, and its position."""

    name: bytes
    position: int
    key: int


class Chunk(msgspec.Struct):
    """What one chunk gives. `hashes`: its nodes by level and index, for the roots asked for; `streams` and `versions`:
    of each event, 16 and 8 bytes; `first_uses`: of names, by kind and name.
    """

    number: int
    files: tuple[tuple[int, int], ...]
    job: str = ""
    findings: list[Finding] = []
    hashes: list[tuple[int, int, bytes]] = []
    streams: bytes = b""
    versions: bytes = b""
    events: list[Recorded] = []
    first_uses: dict[str, dict[str, int]] = {}
    first_recorded_at: int = 0
    last_recorded_at: int = 0
    topics: dict[str, int] = {}
    simulated: list[tuple[int, int]] = []
    sent: list[Sent] = []
    bytes_read: int = 0


def fingerprint(folder: Path, number: int, size: int) -> tuple[tuple[int, int], ...]:
    """Return size and time of the last change of the files of a chunk: a result of an earlier run is valid for them."""
    found = []
    for path in entry_files(number, size):
        try:
            status = (folder / path).stat()
            found.append((status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def check_chunk(job: Job, number: int) -> Chunk:
    """Check one chunk."""
    folder = Path(job.folder)
    chunk = Chunk(number, fingerprint(folder, number, job.size))
    entries, leaves = read_entries(folder, number, job.size, chunk.findings)
    chunk.bytes_read = sum(map(len, entries))
    tops = hash_tree(leaves)
    chunk.findings += compare_tiles(folder, number, job.size, leaves, tops)
    chunk.hashes = _asked_hashes(job, number, leaves, tops, len(entries))
    _check_events(job, chunk, entries)
    chunk.findings = bounded(chunk.findings)
    return chunk


def read_entries(folder: Path, number: int, size: int, findings: list[Finding]) -> tuple[list[bytes], bytes]:
    """Return the entries of a chunk, and their leaf hashes, concatenated.

    A file that cannot be read gives entries of no bytes, and a finding.
    """
    entries: list[bytes] = []
    hashes: list[bytes] = []
    position = number * CHUNK_EVENTS + 1
    for path in entry_files(number, size):
        expected = min(TILE_WIDTH, size - position + 1)
        try:
            read, hashed = hashed_entries((folder / path).read_bytes(), expected)
        except (OSError, EntryError) as error:
            what, last = "a file of events is damaged or missing", position + expected - 1
            evidence = str(error) if isinstance(error, EntryError) else f"it cannot be read: {error.strerror}"
            findings.append(altered(Check.LEAVES, what, position, last, where=path, evidence=evidence))
            read, hashed = [b""] * expected, [leaf_hash(b"")] * expected
        entries += read
        hashes += hashed
        position += expected
    return entries, b"".join(hashes)


# --- hashes ---------------------------------------------------------------------------------------------------------


def hash_tree(leaves: bytes) -> bytes:
    """Return the hashes of the full tiles of level 0, concatenated."""
    width = TILE_WIDTH * HASH_BYTES
    level = leaves[: len(leaves) // width * width]
    for _ in range(TILE_HEIGHT):
        level = level_above(level)
    return level


def compare_tiles(folder: Path, number: int, size: int, leaves: bytes, tops: bytes) -> list[Finding]:
    """Compare the leaves and the hashes above them with the tiles of levels 0 and 1."""
    findings: list[Finding] = []
    width = TILE_WIDTH * HASH_BYTES
    for within, at in enumerate(range(0, len(leaves), width)):
        tile = number * CHUNK_TILES + within
        expected = leaves[at : at + width]
        path = Tile(0, tile, len(expected) // HASH_BYTES).path
        stored = _read(folder, path)
        if stored != expected:
            findings += _different_leaves(path, stored, expected, tile * TILE_WIDTH)
    count = len(tops) // HASH_BYTES
    if count:
        path = Tile(1, number, count).path
        stored = _read(folder, path)
        if stored != tops:
            first = number * CHUNK_EVENTS + _first_different(stored or b"", tops) * TILE_WIDTH + 1
            what = "a tile of the tree does not follow from the events" if stored is not None else "a tile is missing"
            findings.append(altered(Check.TILES, what, first, min(first + TILE_WIDTH - 1, size), where=path))
    return findings


def _different_leaves(path: str, stored: bytes | None, expected: bytes, before: int) -> list[Finding]:
    if stored is None or len(stored) != len(expected):
        last = before + len(expected) // HASH_BYTES
        return [altered(Check.TILES, "a tile is missing or has another length", before + 1, last, where=path)]
    places = [
        at // HASH_BYTES
        for at in range(0, len(expected), HASH_BYTES)
        if stored[at : at + HASH_BYTES] != expected[at : at + HASH_BYTES]
    ]
    findings = []
    for place in places[:8]:
        at = place * HASH_BYTES
        hashes = [content[at : at + HASH_BYTES].hex() for content in (stored, expected)]
        what = "this event is not the one that the tree was grown over"
        evidence = f"the tree has the hash {hashes[0]}, the bytes give {hashes[1]}"
        findings.append(altered(Check.LEAVES, what, before + place + 1, where=path, evidence=evidence))
    if len(places) > 8:
        what = f"{len(places) - 8} more events of this tile are not those that the tree was grown over"
        findings.append(altered(Check.LEAVES, what, before + places[8] + 1, before + places[-1] + 1, where=path))
    return findings


def _first_different(stored: bytes, expected: bytes) -> int:
    for at in range(0, len(expected), HASH_BYTES):
        if stored[at : at + HASH_BYTES] != expected[at : at + HASH_BYTES]:
            return at // HASH_BYTES
    return 0


def _read(folder: Path, path: str) -> bytes | None:
    try:
        return (folder / path).read_bytes()
    except OSError:
        return None


def _asked_hashes(job: Job, number: int, leaves: bytes, tops: bytes, count: int) -> list[tuple[int, int, bytes]]:
    """Return the complete subtrees of this chunk that the roots asked for are made of."""
    first, last = number * CHUNK_EVENTS, number * CHUNK_EVENTS + count
    found: dict[tuple[int, int], bytes] = {}
    if count == CHUNK_EVENTS:
        found[CHUNK_LEVEL, number] = subtree_root(tops)
    for size in {size for size in job.sizes if first < size <= last} - {first + CHUNK_EVENTS}:
        for level, index in subtrees(first, size):
            begin, hashes = (index << level) - first, leaves
            width = 1 << level
            if level >= 8:
                begin, width, hashes = begin >> 8, width >> 8, tops
            found[level, index] = subtree_root(hashes[begin * HASH_BYTES : (begin + width) * HASH_BYTES])
    return [(level, index, digest) for (level, index), digest in found.items()]


# --- events ---------------------------------------------------------------------------------------------------------


def _check_events(job: Job, chunk: Chunk, entries: list[bytes]) -> None:
    """Check the scans of stations that hold in columns; take the other entries apart, decode them, and decide the scans
    among them.
    """
    first = chunk.number * CHUNK_EVENTS + 1
    scans = ScansOfChunk(entries, first)
    events = _Events(job, chunk)
    rows = scans.rows
    recorded_at = scans.recorded_at(rows)
    others = np.setdiff1d(np.arange(len(entries)), rows, assume_unique=True)
    done = 0
    places = np.searchsorted(rows, others).tolist()
    for other, place in zip([*others.tolist(), len(entries)], [*places, len(rows)], strict=True):
        while done < place and recorded_at[done] < events.recorded_at:
            row = int(rows[done])
            scans.leave(row)
            events.check(first + row, entries[row])
            done += 1
        if done < place:
            events.pass_over(recorded_at[done], recorded_at[place - 1])
        done = place
        if other < len(entries):
            events.check(first + other, entries[other])
    events.finish(scans)


class _Events:
    """The events of one chunk."""

    def __init__(self, job: Job, chunk: Chunk) -> None:
        self._chunk = chunk
        self._findings = chunk.findings
        self._signed_keys = job.signed_keys
        self._unread: list[tuple[int, bytes]] = []
        self._shifts: dict[bytes, tuple[str, int]] = {}
        self._uses: dict[str, dict[str, int]] = {"volunteer": {}, "station": {}, "project": {}}
        self._actors: set[str] = set()
        self.recorded_at = 0
        """The latest instant of recording so far."""
        self._simulated: list[int] = []
        self._topics: dict[str, int] = {}

    def pass_over(self, first_recorded_at: int, last_recorded_at: int) -> None:
        """Pass over scans that hold."""
        self._chunk.first_recorded_at = self._chunk.first_recorded_at or first_recorded_at
        self.recorded_at = last_recorded_at

    def finish(self, scans: ScansOfChunk) -> None:
        """Put what was gathered into the chunk, with the scans that hold."""
        chunk = self._chunk
        heads = scans.heads
        for position, head in self._unread:
            heads[position - 1 - chunk.number * CHUNK_EVENTS] = np.frombuffer(head, np.uint8)
        chunk.streams, chunk.versions = heads[:, :16].tobytes(), heads[:, 16:].tobytes()
        for kind, names in scans.first_uses().items():
            known = self._uses[kind]
            for name, position in names.items():
                known[name] = min(position, known.get(name, position))
            chunk.first_uses[kind] = dict(sorted(known.items(), key=lambda each: each[1]))
        chunk.last_recorded_at = self.recorded_at
        for topic, count in scans.counts():
            self._topics[topic] = self._topics.get(topic, 0) + count
        chunk.topics = {topic: count for topic, count in self._topics.items() if count}
        chunk.simulated = ranges_of(sorted([*self._simulated, *scans.simulated()]))
        for name, position, key in scans.sent(self._signed_keys):
            self._sent(name, position, key)
        chunk.sent.sort(key=lambda each: each.position)

    def _sent(self, name: str, position: int, key: int) -> None:
        self._chunk.sent.append(Sent(blake2b(name.encode(), digest_size=16).digest(), position, key))

    def check(self, position: int, entry: bytes) -> None:
        """Check one entry."""
        end = _HEAD_BYTES + entry[32] if len(entry) >= _HEAD_BYTES else 0
        if not end or len(entry) < end:
            self._no_event(position, entry)
            return
        stated, topic, state = int.from_bytes(entry[:8], "big"), entry[_HEAD_BYTES:end], entry[end:]
        if stated != position:
            what = "the event at this place has another position"
            self._findings.append(altered(Check.POSITIONS, what, position, evidence=f"it states position {stated:,}"))
        event = self._decoded(position, topic, state)
        if event is None:
            self._unread.append((position, entry[8:24] + bytes(8)))  # no stream is read with version 0
            return
        name = topic.decode()
        self._topics[name] = self._topics.get(name, 0) + 1
        self._check_recorded(position, event)
        if event.command.startswith(SIMULATED) and event.command == f"{SIMULATED}{position}":
            self._simulated.append(position)
        if event.key in self._signed_keys and event.key is not None:
            self._sent(event.command, position, event.key)
        if topic in _SCANS and isinstance(event, CheckedIn | CheckedOut | Punched) and _is_station_s(event):
            self._check_scan(position, entry[8:24], event)
        else:
            version = int.from_bytes(entry[24:32], "big")
            self._chunk.events.append(Recorded(position, entry[8:24], version, name, state))

    def _no_event(self, position: int, entry: bytes) -> None:
        self._unread.append((position, bytes(24)))
        what = "there is no event at this position" if not entry else "the bytes of this event are not an entry"
        self._findings.append(altered(Check.POSITIONS, what, position))

    def _decoded(self, position: int, topic: bytes, state: bytes) -> Event | None:
        try:
            if b"\n" in state:
                raise ValueError("it holds a line feed, which the ledger never writes")  # noqa: TRY301
            return decode(topic.decode(), state)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            name = topic.decode(errors="replace")[:80]
            what = f"the event is not valid for its topic {name}"
            self._findings.append(altered(Check.EVENTS, what, position, evidence=str(error)[:200]))
            return None

    def _check_recorded(self, position: int, event: Event) -> None:
        recorded_at = event.recorded_at
        if recorded_at < self.recorded_at:
            what = "it states an earlier instant of recording than the event before it"
            evidence = f"{recorded_at} after {self.recorded_at}"
            self._findings.append(altered(Check.EVENTS, what, position, evidence=evidence))
        else:
            self.recorded_at = recorded_at
        if not self._chunk.first_recorded_at:
            self._chunk.first_recorded_at = recorded_at
        if event.by not in self._actors:
            self._actors.add(event.by)
            if not _ACTOR.match(event.by):
                self._findings.append(altered(Check.EVENTS, "its actor has no valid name", position))
        if not EARLIEST_INSTANT <= event.occurred_at <= LATEST_INSTANT or not _is_command_name(event.command):
            what = "its instant or the name of its command is out of bounds"
            self._findings.append(altered(Check.EVENTS, what, position))

    def _check_scan(self, position: int, stream: bytes, event: CheckedIn | CheckedOut | Punched) -> None:
        """Decide a scan of a station: what it names exists, it is not in the future, and it is in the right stream."""
        shift = event.volunteer, event.shift.int
        if self._shifts.get(stream) != shift:  # a check-out follows the check-in of its shift, whose digest is known
            if shift_stream_key(event.volunteer, event.shift) != stream:
                what = "the event is in a stream that is not its shift's"
                self._findings.append(altered(Check.STREAMS, what, position, where=f"stream {stream.hex()}"))
            else:
                self._shifts[stream] = shift
        if event.occurred_at > event.recorded_at + CLOCK_SKEW_SECONDS_MAX:
            what = "a scan from the future was accepted"
            evidence = f"it occurred {event.occurred_at - event.recorded_at} s after it was recorded"
            self._findings.append(refusable(Check.DECISIONS, what, position, evidence=evidence))
        if isinstance(event, Punched):
            follows = event.shift.int == shift_number_for(event.occurred_at, event.command)
            if not follows and not event.command.startswith(SIMULATED):
                what = "the id of the punch does not follow from its command"
                self._findings.append(refusable(Check.DECISIONS, what, position, evidence=str(event.shift)))
        elif not shift[1]:
            self._findings.append(refusable(Check.DECISIONS, "a shift with the nil UUID was accepted", position))
        self._uses["volunteer"].setdefault(event.volunteer, position)
        self._uses["station"].setdefault(event.station, position)
        project = None if isinstance(event, CheckedOut) else event.project
        if project is not None:
            self._uses["project"].setdefault(project, position)


def _is_command_name(name: str) -> bool:
    """Return whether a name has 1 to 241 visible ASCII characters without a backslash. (A pattern takes longer.)"""
    return 0 < len(name) <= 241 and name.isascii() and name.isprintable() and " " not in name and "\\" not in name


def _is_station_s(event: CheckedIn | CheckedOut | Punched) -> bool:
    """Return whether an event is what a station's reader saw, and nothing more."""
    return (
        event.evidence is None
        and event.by.startswith("station:")
        and event.approved_by is None
        and event.by_volunteer is None
        and (isinstance(event, Punched) or event.note is None)
        and (not isinstance(event, CheckedIn) or event.replaces is None)
    )
