"""Entries: the bytes of an event that the tree binds, and their bundles as C2SP tlog-tiles defines them.

An entry is, without separators:

    position          8 bytes, big-endian; the index of the leaf plus one
    stream            16 bytes, the UUID
    version           8 bytes, big-endian
    length of topic   1 byte
    topic             UTF-8
    state             the stored bytes, as they are, to the end

Every field but the state has a length that is known before it is read, so two different events cannot have the same
entry. A bundle holds 256 entries, each with its length before it in two bytes: an entry is at most 65,535 bytes long.
docs/decisions/0025.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from uuid import UUID

from ledger.names import Position
from ledger.store.log_queries import ENTRY_BYTES_MAX, RecordedEvent
from replay.proof.tree import new_leaf

_HEAD = struct.Struct(">Q16sQB")
_LENGTH = struct.Struct(">H")


class EntryError(ValueError):
    """Bytes are not those of an entry or of a bundle of entries."""


def entry_of(event: RecordedEvent) -> bytes:
    """Return the entry of an event.

    Raises:
        EntryError: the event is larger than an entry may be, which the ledger refuses to record.
    """
    topic = event.topic.encode()
    if len(topic) > 255 or _HEAD.size + len(topic) + len(event.state) > ENTRY_BYTES_MAX:
        raise EntryError(f"event {event.position} is larger than the {ENTRY_BYTES_MAX:,} bytes of an entry")
    head = _HEAD.pack(event.position, event.stream_id.bytes, event.version, len(topic))
    return head + topic + event.state


def event_of(entry: bytes) -> RecordedEvent:
    """Return the event of an entry.

    Raises:
        EntryError: the bytes are not an entry.
    """
    if len(entry) < _HEAD.size:
        raise EntryError(f"an entry has at least {_HEAD.size} bytes; this one has {len(entry)}")
    position, stream, version, length = _HEAD.unpack_from(entry)
    end = _HEAD.size + length
    if len(entry) < end:
        raise EntryError(f"the entry of position {position} ends within its topic")
    try:
        topic = entry[_HEAD.size : end].decode()
    except UnicodeDecodeError:
        raise EntryError(f"the topic in the entry of position {position} is not UTF-8") from None
    return RecordedEvent(Position(position), UUID(bytes=stream), version, topic, entry[end:])


def bundle_of(entries: Iterable[bytes]) -> bytes:
    """Return the bundle of up to 256 entries."""
    return b"".join([part for entry in entries for part in (_LENGTH.pack(len(entry)), entry)])


def hashed_entries(bundle: bytes, expected: int) -> tuple[list[bytes], list[bytes]]:
    """Return the entries of a bundle and their leaf hashes, in one pass: an audit does this for every event.

    Raises:
        EntryError: it does not hold the expected number of entries.
    """
    entries: list[bytes] = []
    hashes: list[bytes] = []
    add, add_hash, at, end = entries.append, hashes.append, 0, len(bundle)
    while at + 2 <= end:
        first = at + 2
        at = first + (bundle[at] << 8 | bundle[at + 1])
        entry = bundle[first:at]
        add(entry)
        leaf = new_leaf()
        leaf.update(entry)
        add_hash(leaf.digest())
    if at != end or len(entries) != expected:
        raise EntryError(f"the file holds {len(entries)} entries, of {expected}, and ends within or after one")
    return entries, hashes


def entries_in(bundle: bytes) -> Iterator[bytes]:
    """Yield the entries of a bundle.

    Raises:
        EntryError: the bundle ends within an entry.
    """
    at = 0
    while at < len(bundle):
        if at + 2 > len(bundle):
            raise EntryError("the bundle ends within the length of an entry")
        first = at + 2
        at = first + (bundle[at] << 8 | bundle[at + 1])
        if at > len(bundle):
            raise EntryError("the bundle ends within an entry")
        yield bundle[first:at]
