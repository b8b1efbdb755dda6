"""A bundle whose making was stopped, or that was extended: no audit takes an unfinished one for whole, and in the end
it equals one made at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest

from api.access.signatures import why_unproved
from api.operations.service import OpenLedger
from ledger.aggregates.volunteer import RegisterVolunteer
from ledger.intake.answers import Accepted
from ledger.store.database import Database
from replay.auditing.audit import Request, audit
from replay.auditing.report import text_of
from replay.bundles.layout import CONTENTS, FORMAT, BundleError, Contents, entries_path
from replay.bundles.making import Sources, _copy_tiles, _sweep, make_bundle
from replay.bundles.snapshot import write
from replay.progress import Progress, StoppedError, ignore
from replay.proof.policies import Policy
from replay.proof.tiles import TileFolder
from replay.proof.tree import TILE_WIDTH, tiles
from tests.support.api.serving import give, stock
from tests.support.ledger.orders import order_of
from tests.support.replay.proving import VERIFIER_KEYS, prove

PROGRAM = "test"


@pytest.fixture
def make(
    new_database_url: Callable[[], str], tmp_path: Path
) -> Iterator[tuple[OpenLedger, Callable[[str, Progress], Path]]]:
    with Database.open(new_database_url()) as database:
        ledger = OpenLedger(database, tmp_path / "data")
        stock(ledger)
        ledger.catch_up()
        ledger.archive.bring_up_to_date(database)

        proved: dict[int, Sources] = {}

        def sources() -> Sources:
            head = int(ledger.log.head())
            if head not in proved:
                earlier = {size: each.checkpoint.encode() for size, each in proved.items()}
                proved[head] = prove(database, tmp_path / "tiles", earlier=earlier)
            return proved[head]

        def made(name: str, progress: Progress) -> Path:
            make_bundle(tmp_path / name, database, ledger.archive, sources, PROGRAM, progress)
            return tmp_path / name

        yield ledger, made


def stopping_at(number: int) -> Progress:
    """Return a progress that stops the work at its call with this number."""
    calls = count()

    def report(stage: str, done: int, total: int) -> None:
        if next(calls) == number:
            raise StoppedError

    return report


def stop_before(name: str, made: Callable[[str, Progress], Path]) -> None:
    """Make a bundle, and stop before a file with this name is written."""

    def stopping(path: Path, content: bytes, *, durable: bool = True) -> None:
        if path.name == name:
            raise StoppedError
        write(path, content, durable=durable)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("replay.bundles.making.write", stopping)
        with pytest.raises(StoppedError):
            made("stick", ignore)


def files_of(bundle: Path) -> dict[str, bytes]:
    """Return every file of a bundle by its path; of the table of contents, all but when it was made."""
    files = {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    contents = {**json.loads(files[CONTENTS]), "made_at": ""}
    return {**files, CONTENTS: json.dumps(contents).encode()}


def register(ledger: OpenLedger, first: int, count: int) -> None:
    """Record as many events as that."""
    orders = [
        order_of(
            command=RegisterVolunteer(volunteer=f"V{number:07}", registered_on=date(2016, 3, 5)),
            source="/test",
            id=str(number),
            by="person:test",
            imported=False,
        )
        for number in range(first, first + count)
    ]
    assert all(isinstance(answer, Accepted) for answer in ledger.intake.execute(orders))


def is_sound(bundle: Path, work: Path) -> bool:
    trusted = Policy.of_keys(VERIFIER_KEYS)
    return audit(Request(bundle, trusted, why_unproved, PROGRAM, processes=1, work=work)).sound


def test_a_bundle_stopped_anywhere_is_no_bundle_and_is_continued(
    make: tuple[OpenLedger, Callable[[str, Progress], Path]], tmp_path: Path
) -> None:
    _, made = make
    whole = files_of(made("whole", ignore))
    for number in count():
        name = f"stopped-{number}"
        try:
            made(name, stopping_at(number))
        except StoppedError:
            with pytest.raises(BundleError):
                is_sound(tmp_path / name, tmp_path / "work")
        else:
            break
        assert files_of(made(name, ignore)) == whole
    assert number > 4, "it was stopped in every stage"
    assert is_sound(tmp_path / "stopped-0", tmp_path / "work")


@pytest.mark.parametrize("name", ["keys.json", "checkpoint", CONTENTS])
def test_a_new_bundle_stopped_before_one_of_its_last_files_is_no_bundle_and_is_continued(
    make: tuple[OpenLedger, Callable[[str, Progress], Path]],
    tmp_path: Path,
    name: str,
) -> None:
    _, made = make
    stop_before(name, made)
    with pytest.raises(BundleError):
        is_sound(tmp_path / "stick", tmp_path / "work")
    assert is_sound(made("stick", ignore), tmp_path / "work")


def test_a_bundle_whose_extension_was_stopped_is_still_sound(
    make: tuple[OpenLedger, Callable[[str, Progress], Path]], tmp_path: Path
) -> None:
    ledger, made = make
    for number in count():
        made("stick", ignore)
        give(ledger, "register-volunteer", volunteer=f"V{number + 1000:07}", registered_on="2016-03-05")
        ledger.catch_up()
        try:
            made("stick", stopping_at(number))
        except StoppedError:
            assert is_sound(tmp_path / "stick", tmp_path / f"work-{number}")
        else:
            break
    assert number > 4, "it was stopped in every stage"
    assert is_sound(tmp_path / "stick", tmp_path / "work")


@pytest.mark.parametrize("name", ["keys.json", CONTENTS, "checkpoint"])
def test_a_bundle_whose_extension_was_stopped_before_one_of_its_last_files_is_still_sound(
    make: tuple[OpenLedger, Callable[[str, Progress], Path]],
    tmp_path: Path,
    name: str,
) -> None:
    ledger, made = make
    bundle = made("stick", ignore)
    keys = bundle / "keys.json"
    keys.write_bytes(keys.read_bytes() + b"\n")  # another list, as before a rotation
    contents = json.loads((bundle / CONTENTS).read_bytes())
    contents["files"]["keys.json"] += 1
    (bundle / CONTENTS).write_text(json.dumps(contents))
    give(ledger, "register-volunteer", volunteer="V0001000", registered_on="2016-03-05")
    ledger.catch_up()
    stop_before(name, made)
    trusted = Policy.of_keys(VERIFIER_KEYS)
    report = audit(Request(bundle, trusted, why_unproved, PROGRAM, processes=1, work=tmp_path / "work"))
    assert report.sound, text_of(report)
    assert "made again" in text_of(report).replace("make it again", "made again")
    assert is_sound(made("stick", ignore), tmp_path / "again")


def test_a_bundle_that_is_extended_equals_one_made_at_once(
    make: tuple[OpenLedger, Callable[[str, Progress], Path]], tmp_path: Path
) -> None:
    ledger, made = make
    registered = 1000
    for events in (0, 1, 255, 256, 300, 2):
        register(ledger, registered, events)
        registered += events
        ledger.catch_up()
        extended, whole = made("stick", ignore), made(f"whole-{registered}", ignore)
        assert files_of(extended) == files_of(whole)
        assert is_sound(extended, tmp_path / "work")


@pytest.mark.parametrize("size", [1, 255, 256, 300, 512, 65_536, 65_800, 131_072])
@pytest.mark.parametrize("events", [0, 1, 255, 256, 300, 65_536])
def test_an_extension_has_the_tiles_of_its_size_and_no_others(size: int, events: int, tmp_path: Path) -> None:
    def paths(count: int) -> set[str]:
        entries = {entries_path(number, count) for number in range(-(-count // TILE_WIDTH))}
        return {tile.path for tile in tiles(count)} | entries

    for path in paths(size):
        write(tmp_path / path, b"", durable=False)
    new = size + events
    source = cast("TileFolder", SimpleNamespace(read=lambda _tile: b""))
    _copy_tiles(source, tmp_path, new, size, ignore)
    for path in paths(new) - paths(size):  # the entries
        write(tmp_path / path, b"", durable=False)
    _sweep(tmp_path, contents_of(new), contents_of(size))
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == paths(new)


def contents_of(size: int) -> Contents:
    """Return a table of contents of nothing but tiles and entries."""
    return Contents(
        format=FORMAT,
        ledger=UUID(int=0),
        made_at="",
        program=PROGRAM,
        size=size,
        checkpoints=(size,),
        read_models=None,
        archive=None,
        without_texts=0,
        files={},
    )


@pytest.mark.parametrize("name", ["checkpoint", "keys.json", "archive", "checkpoints"])
def test_a_folder_with_a_file_of_the_user_s_is_left_as_it_is(
    make: tuple[OpenLedger, Callable[[str, Progress], Path]], tmp_path: Path, name: str
) -> None:
    """An auditor keeps the checkpoint and the keys, perhaps on the very stick; a bundle does not overwrite them."""
    _, made = make
    kept = tmp_path / "stick" / name
    file = kept / "photo" if name in {"archive", "checkpoints"} else kept
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(BundleError, match=name):
        made("stick", ignore)
    assert [path for path in (tmp_path / "stick").rglob("*") if path.is_file()] == [file]
    assert file.read_text() == "mine"
