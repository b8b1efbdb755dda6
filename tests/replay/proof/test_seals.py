"""Sealed hours: every proof leads to the root in the checkpoint, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.store.database import Database
from replay.archive.archive import Archive
from replay.generations import sealing as sealing_module
from replay.generations.rebuild import rebuild
from replay.generations.sealing import HoursSealing, seal_folder, seal_hours
from replay.proof.seals import (
    KEEP,
    SealedEntry,
    SealedYear,
    SealError,
    SealFolder,
    SealLine,
    entry_of,
    read_entry,
    root_of,
)
from replay.proof.tree import HASH_BYTES, ProofError, hashes_of, leaf_hash, root_hash
from tests.support.replay.generations import HISTORY, OLD_RULES, current, follow_more, stored, written
from tests.support.replay.replaying import empty

SECRET = b"s" * 32
DIGEST = "ab" * 32


def table(hours: list[SealedYear]) -> pa.Table:
    return pa.table({name: [row[at] for row in hours] for at, name in enumerate(SealedYear._fields)})


def some_hours(volunteers: int) -> list[SealedYear]:
    rows = [SealedYear(f"V{n:04}", year, n * 60, year % 7) for n in range(volunteers) for year in (0, 2018, 2019)]
    return sorted(rows)


@pytest.mark.parametrize("volunteers", [0, 1, 2, 85, 86, 171, 900])
def test_every_proof_leads_to_the_root(tmp_path: Path, volunteers: int) -> None:
    hours = some_hours(volunteers)
    folder = SealFolder(tmp_path, SECRET)
    line = folder.make(table(hours), 7, DIGEST)
    seal = folder.read(7)
    assert SealLine.find([line.text]) == line == seal.line
    leaves = [leaf_hash(entry_of(row, SECRET)) for row in hours]
    assert line.root == root_hash(hashes_of(leaves), len(leaves)) == root_of(b"".join(leaves))
    assert (line.entries, line.position, line.rules_digest) == (len(hours), 7, DIGEST)
    assert list(seal.rows()) == hours
    assert list(seal.entries()) == [entry_of(row, SECRET) for row in hours]
    proved = [proof.verify(line) for n in range(volunteers) for proof in seal.prove(f"V{n:04}")]
    assert proved == hours
    assert seal.prove("V9999") == seal.prove("V") == seal.prove("") == []


def test_every_bit_of_a_proof_counts(tmp_path: Path) -> None:
    folder = SealFolder(tmp_path, SECRET)
    line = folder.make(table(some_hours(5)), 7, DIGEST)
    proof = folder.read(7).prove("V0003")[1]
    proof.verify(line)
    for at in range(8 * len(proof.entry)):
        with pytest.raises(ProofError):
            SealedEntry(_flipped(proof.entry, at), proof.index, proof.proof).verify(line)
    for number, each in enumerate(proof.proof):
        for at in range(8 * HASH_BYTES):
            changed = (*proof.proof[:number], _flipped(each, at), *proof.proof[number + 1 :])
            with pytest.raises(ProofError):
                SealedEntry(proof.entry, proof.index, changed).verify(line)
    for index in {*range(-2, 40)} - {proof.index}:
        with pytest.raises(ProofError):
            SealedEntry(proof.entry, index, proof.proof).verify(line)
    for longer in (proof.proof[:-1], (*proof.proof, bytes(HASH_BYTES)), (*proof.proof, b"")):
        with pytest.raises(ProofError):
            SealedEntry(proof.entry, proof.index, longer).verify(line)


def _flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_proof_has_one_form_as_json(tmp_path: Path) -> None:
    folder = SealFolder(tmp_path, SECRET)
    line = folder.make(table(some_hours(3)), 7, DIGEST)
    proof = folder.read(7).prove("V0001")[0]
    value = json.loads(json.dumps(proof.as_json()))
    assert SealedEntry.from_json(value).verify(line) == SealedYear("V0001", 0, 60, 0)
    wrong: list[object] = [
        None,
        [],
        {**value, "more": 1},
        {**value, "index": True},
        {**value, "index": "1"},
        {**value, "entry": 5},
        {**value, "proof": "x"},
        {**value, "proof": [1]},
        {**value, "proof": [*value["proof"], "?"]},
        {**value, "proof": [f"{value['proof'][0]}\n"]},
    ]
    for each in wrong:
        with pytest.raises(SealError):
            SealedEntry.from_json(each)


@given(st.binary(max_size=200))
def test_an_entry_has_one_form(raw: bytes) -> None:
    entry = entry_of(SealedYear("V1", 2018, 60, 0), SECRET)
    for each in (raw, entry + raw, raw + entry, entry.replace(b":", b": ") + raw, entry.replace(b"60", b"60.0")):
        if each != entry:
            with pytest.raises(SealError):
                read_entry(each)


@pytest.mark.parametrize(
    "text",
    [
        "hours",
        "hours 1 2 3 4",
        f"hours 01 7 {DIGEST} {'A' * 43}=",
        f"hours 1 7 {DIGEST.upper()} {'A' * 43}=",
        f"hours 1 7 {DIGEST} {'A' * 44}",
        f"hours 1 7 {DIGEST} {'A' * 42}B=",
        f"hours 1 7 {DIGEST} {'A' * 43}= ",
    ],
)
def test_a_malformed_line_is_refused(text: str) -> None:
    with pytest.raises(SealError):
        SealLine.find([text])


def test_a_checkpoint_seals_the_hours_once() -> None:
    line = SealLine(1, 7, DIGEST, bytes(HASH_BYTES)).text
    assert SealLine.find(["other line", line]) == SealLine.parse(line)
    assert SealLine.find(["hoursx 1"]) is None
    with pytest.raises(SealError, match="twice"):
        SealLine.find([line, line])


def test_salts_hide_the_hours_of_neighbours() -> None:
    one, other = (entry_of(SealedYear("V1", 2018, 60, 0), secret) for secret in (SECRET, b"t" * 32))
    assert one != other
    salts = {json.loads(entry_of(SealedYear("V1", year, 60, 0), SECRET))["salt"] for year in range(50)}
    assert len(salts) == 50


def test_the_newest_seals_are_kept(tmp_path: Path) -> None:
    folder = SealFolder(tmp_path, SECRET)
    assert folder.newest() is None
    for position in (3, 4, 5, 9, 20):
        folder.make(table(some_hours(position)), position, DIGEST)
    assert folder.positions() == [5, 9, 20]
    assert len(folder.positions()) == KEEP
    newest, earlier = folder.newest(), folder.newest(until=19)
    assert newest
    assert newest.line.position == 20
    assert earlier
    assert earlier.line.position == 9
    assert folder.newest(until=4) is None
    assert {path.stat().st_mode & 0o777 for path in folder.folder.rglob("*") if path.is_file()} == {0o600}


@pytest.mark.parametrize("name", ["hours.arrow", "hashes", "seal"])
def test_a_damaged_seal_is_named(tmp_path: Path, name: str) -> None:
    folder = SealFolder(tmp_path, SECRET)
    folder.make(table(some_hours(5)), 7, DIGEST)
    path = folder.folder / f"{7:012}" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SealError):
        folder.read(7)
    path.unlink()
    with pytest.raises(SealError):
        folder.newest()


def test_the_hours_of_the_current_generation_are_sealed(database: Database, tmp_path: Path) -> None:
    archive: Archive = empty(database, tmp_path / "archive")
    folder = seal_folder(tmp_path)
    assert seal_hours(database, folder) is None
    written(database, HISTORY)
    rebuild(database, archive, OLD_RULES)
    clock = Clock()
    sealing = HoursSealing(database, folder, 60.0, clock)
    (text,) = sealing(len(HISTORY))
    line = SealLine.parse(text)
    assert (line.position, line.rules_digest) == (len(HISTORY), OLD_RULES.digest)
    sealed(database, folder)
    follow_more(database)
    position = current(database).position
    assert sealing(position) == (text,)  # within the minute
    clock.seconds = 61.0
    assert sealing(position - 1) == (text,)  # a checkpoint never seals hours of a later position
    assert SealLine.parse(sealing(position)[0]).position == position
    sealed(database, folder)


def test_many_hours_are_sealed_by_a_process_of_its_own(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = empty(database, tmp_path / "archive")
    written(database, HISTORY)
    rebuild(database, archive, OLD_RULES)
    folder = seal_folder(tmp_path)
    monkeypatch.setattr(sealing_module, "ROWS_HERE_MAX", 0)
    monkeypatch.setattr(sealing_module, "seal_hours", None)  # not in this one
    (text,) = HoursSealing(database, folder, apart=tmp_path)(len(HISTORY))
    assert SealLine.parse(text).position == len(HISTORY)
    sealed(database, folder)


def sealed(database: Database, folder: SealFolder) -> None:
    """Assert that the newest seal holds the hours that the generation holds."""
    rows = stored(database, current(database))
    seal = folder.newest()
    assert seal
    found = {(row.volunteer, row.year): row[2:] for row in seal.rows()}
    assert found == {
        (volunteer, int(year)): (int(scanned), int(attested))
        for volunteer, (year, *_, scanned, attested) in zip(rows.hours_volunteer, rows.hours, strict=True)
    }
    assert found


class Clock:
    """A clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds
