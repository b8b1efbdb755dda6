"""Scans that are checked in columns: whatever bytes are altered, the same is found as by the general path alone."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched
from ledger.names import Position, shift_id_for, shift_stream_key, volunteer_prefix
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import encode
from replay.archive.scan_lines import Slices
from replay.auditing.chunks import Chunk, Job, check_chunk
from replay.auditing.findings import Finding
from replay.auditing.scans import checking
from replay.auditing.scans.checking import ScansOfChunk
from replay.auditing.scans.reading import Entries, Scans, read_scans
from replay.auditing.scans.stream_ids import VOLUNTEER_BYTES_MAX, in_their_streams
from replay.bundles.layout import entries_path
from replay.proof.entries import bundle_of, entry_of
from tests.support.examples import examples

AT = 1_543_885_200
KEYS = frozenset({7})


def scan(kind: type[Event], number: int, **more: Any) -> Event:
    """Return a scan of a station that holds at a position."""
    instant = AT + 60 * number
    command = f"/stations/C0{number % 3}#{number}"
    shift = (
        shift_id_for(instant, command)
        if kind is Punched
        else UUID(int=(instant * 1000) << 80 | 7 << 76 | 2 << 62 | number)
    )
    given = {
        "occurred_at": instant,
        "recorded_at": instant + 5,
        "by": f"station:C0{number % 3}",
        "command": command,
        "volunteer": f"V{number % 5:07}",
        "shift": shift,
        "station": f"C0{number % 3}",
    }
    return msgspec.convert({**given, **more}, kind)


def entry(position: int, event: Event, state: bytes | None = None, stream: bytes | None = None) -> bytes:
    """Return the entry of an event, perhaps with another state or stream than its own."""
    topic, own = encode(event)
    stream = event.stream_key if stream is None else stream
    recorded = RecordedEvent(Position(position), UUID(bytes=stream), 1, topic, own if state is None else state)
    return entry_of(recorded)


class Found(NamedTuple):
    """What is found in entries: in columns as far as possible, and by the general path alone."""

    in_columns: Chunk
    one_by_one: Chunk


def nothing(entries: Entries, first: int) -> Scans:
    """Read no scan."""
    scans = read_scans(entries, first)
    scans.holds[:] = 0
    return scans


def check(entries: list[bytes], folder: Path) -> Found:
    """Check entries as a whole log, in both ways."""
    path = folder / entries_path(0, len(entries))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bundle_of(entries))
    job = Job(str(folder), len(entries), (len(entries),), KEYS)
    in_columns = check_chunk(job, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "read_scans", nothing)
        one_by_one = check_chunk(job, 0)
    return Found(in_columns, one_by_one)


def of_events(chunk: Chunk) -> list[Finding]:
    return [finding for finding in chunk.findings if "tile" not in finding.what]


VARIANTS: list[dict[str, Any]] = [
    {},
    {"key": 7},
    {"key": 8, "imported": True},
    {"project": "star-classroom"},
    {"direction": "in"},
    {"direction": "out", "project": "p"},
    {"evidence": "typed"},
    {"by": "person:clerk-1"},
    {"station": "Ü1"},
    {"station": 'a"b'},
    {"volunteer": "V" * 70},
    {"command": "simulation#4"},
    {"command": "simulation#x"},
    {"approved_by": "person:li"},
    {"note": "ab" * 16},
]


def variant(kind: type[Event], number: int, more: dict[str, Any]) -> Event:
    return scan(kind, number, **{name: value for name, value in more.items() if name in kind.__struct_fields__})


@st.composite
def altered_logs(draw: st.DrawFn) -> list[bytes]:
    """Scans of which some were altered: bytes changed, cut, inserted or repeated, entries exchanged or left out."""
    kinds: st.SearchStrategy[type[Event]] = st.sampled_from([CheckedIn, CheckedOut, Punched])
    chosen = draw(st.lists(st.tuples(kinds, st.sampled_from(VARIANTS)), min_size=1, max_size=12))
    entries = [entry(at, variant(kind, at, more)) for at, (kind, more) in enumerate(chosen, 1)]
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.integers(0, len(entries) - 1))
        bytes_ = entries[row]
        at = draw(st.integers(0, len(bytes_)))
        piece = draw(
            st.binary(max_size=2)
            | st.sampled_from([b'"', b"\\", b",", b"0", b"1", b"9", b" ", b"\n", b"}", b"A", b"-"])
        )
        until = draw(st.integers(at, min(at + 3, len(bytes_))) | st.just(len(bytes_)))
        other = draw(st.integers(0, len(entries) - 1))
        match draw(st.sampled_from(["replace", "exchange", "copy", "empty"])):
            case "replace":
                entries[row] = bytes_[:at] + piece + bytes_[until:]
            case "exchange":
                entries[row], entries[other] = entries[other], bytes_
            case "copy":
                entries[row] = bytes_[:8] + entries[other][8:]
            case _:
                entries[row] = b""
    return entries


@settings(max_examples=examples(600), deadline=None)
@given(entries=altered_logs())
def test_the_same_is_found_in_columns_as_one_by_one(
    entries: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = check(entries, tmp_path_factory.mktemp("bundle"))
    assert found.in_columns == found.one_by_one
    assert [list(found.in_columns.first_uses[kind]) for kind in ("volunteer", "station", "project")] == [
        list(found.one_by_one.first_uses[kind]) for kind in ("volunteer", "station", "project")
    ]


def test_what_a_station_scans_is_checked_in_columns() -> None:
    kinds: tuple[type[Event], ...] = (CheckedIn, CheckedOut, Punched)
    plain = [
        variant(kind, at, more)
        for at, (kind, more) in enumerate([(kind, more) for kind in kinds for more in VARIANTS[:6]], 1)
    ]
    scans = ScansOfChunk([entry(at, event) for at, event in enumerate(plain, 1)], 1)
    assert scans.rows.tolist() == list(range(len(plain)))
    assert sum(count for _, count in scans.counts()) == len(plain)


def changed(old: bytes, new: bytes) -> Any:
    def alter(event: Event) -> bytes:
        state = encode(event)[1]
        assert old in state
        return entry(2, event, state.replace(old, new, 1))

    return alter


ALTERED: dict[str, tuple[Any, str]] = {
    "the instant": (
        changed(b'"occurred_at":1543885320', b'"occurred_at":1543885920'),
        "a scan from the future was accepted",
    ),
    "recorded earlier": (
        changed(b'"recorded_at":1543885325', b'"recorded_at":1543885200'),
        "earlier instant of recording",
    ),
    "out of bounds": (changed(b'"occurred_at":1543885320', b'"occurred_at":1'), "out of bounds"),
    "a zero before the instant": (changed(b'":15', b'":015'), "not valid for its topic"),
    "a letter in the instant": (changed(b'":15', b'":x5'), "not valid for its topic"),
    "the volunteer": (changed(b"V0000002", b"V0000003"), "in a stream that is not its shift's"),
    "the shift": (changed(b'000002"', b'000003"'), "in a stream that is not its shift's"),
    "the actor": (changed(b"station:C02", b"station:C 2"), "its actor has no valid name"),
    "the command": (changed(b"#2", b"# 2"), "out of bounds"),
    "a field more": (changed(b'"}', b'","more":1}'), "not valid for its topic"),
    "a field less": (changed(b',"station":"C02"', b""), "not valid for its topic"),
    "cut": (changed(b'"}', b""), "not valid for its topic"),
    "a line feed": (changed(b'":15', b'":\n15'), "not valid for its topic"),
    "no UTF-8": (changed(b'"station":"C02"', b'"station":"\xff"'), "not valid for its topic"),
    "another position": (lambda event: entry(9, event), "has another position"),
    "another stream": (lambda event: entry(2, event, stream=bytes(16)), "in a stream that is not its shift's"),
    "an unknown topic": (lambda event: entry(2, event).replace(b".v1", b".v9", 1), "not valid for its topic"),
    "an empty entry": (lambda _event: b"", "there is no event at this position"),
    "a short entry": (lambda event: entry(2, event)[:30], "are not an entry"),
}


@pytest.mark.parametrize("kind", [CheckedIn, CheckedOut, Punched], ids=lambda kind: kind.TOPIC)
@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_scan_is_found(name: str, kind: type[Event], tmp_path: Path) -> None:
    alter, what = ALTERED[name]
    given = (
        scan(kind, 2)
        if kind is not Punched or name != "the shift"
        else scan(kind, 2, command="simulation#2", shift=UUID(int=2))
    )
    entries = [entry(1, scan(kind, 1)), alter(given), entry(3, scan(kind, 3))]
    found = check(entries, tmp_path)
    assert found.in_columns == found.one_by_one
    assert what in of_events(found.in_columns)[0].what
    assert {each.first for each in of_events(found.in_columns)} == {2}


def test_a_scan_that_is_recorded_far_ahead_makes_the_later_ones_early(tmp_path: Path) -> None:
    events = [scan(CheckedIn, number) for number in range(1, 6)]
    ahead = scan(CheckedIn, 2, recorded_at=AT + 250)
    by_person = scan(CheckedIn, 2, recorded_at=AT + 250, by="person:clerk")
    for second in (ahead, by_person):
        found = check(
            [entry(1, events[0]), entry(2, second), *(entry(at, events[at - 1]) for at in (3, 4, 5))], tmp_path
        )
        assert found.in_columns == found.one_by_one
        assert [(each.first, "earlier instant" in each.what) for each in of_events(found.in_columns)] == [
            (3, True),
            (4, True),
        ]


def test_a_punch_of_another_command_is_found(tmp_path: Path) -> None:
    other = scan(Punched, 2, command="/stations/C02#other", shift=shift_id_for(AT + 120, "/stations/C02#2"))
    found = check([entry(1, scan(Punched, 1)), entry(2, other)], tmp_path)
    assert found.in_columns == found.one_by_one
    assert [each.what for each in of_events(found.in_columns)] == [
        "the id of the punch does not follow from its command"
    ]


NAMES = st.text(min_size=1, max_size=40).filter(lambda name: len(name.encode()) <= VOLUNTEER_BYTES_MAX)
OF_A_DAY = st.integers(0, 2**62 - 1).map(lambda low: UUID(int=(AT * 1000) << 80 | 7 << 76 | 2 << 62 | low))
SHIFTS = st.uuids() | st.uuids(version=4) | OF_A_DAY


@settings(max_examples=examples(300))
@given(volunteer=NAMES, shift=SHIFTS, place=st.integers(0, 127))
def test_streams_are_those_of_the_ledger(volunteer: str, shift: UUID, place: int) -> None:
    name = volunteer.encode()
    head = np.frombuffer(shift_stream_key(volunteer, shift) + bytes(8), np.uint8).copy()
    wrong = head.copy()
    wrong[place // 8] ^= 1 << (place % 8)
    halves = [np.array([half] * 2, np.uint64) for half in divmod(shift.int, 1 << 64)]
    slices = Slices(np.zeros(2, np.int64), np.full(2, len(name), np.int32))
    prefix = np.array([int.from_bytes(volunteer_prefix(volunteer), "big")] * 2, np.uint64)
    text, rows = np.frombuffer(name, np.uint8), np.arange(2)
    found = in_their_streams(text, np.stack([head, wrong]), rows, (halves[0], halves[1]), slices, prefix)
    assert found.tolist() == [True, False]
    assert volunteer_prefix(volunteer) == blake2b(name, digest_size=6).digest()
