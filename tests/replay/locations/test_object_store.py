"""An archive in an object store: what a reader finds there at any moment, and what writers do to each other."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import obstore
import pytest

from ledger.store.database import Database
from projections.kernels.facts import facts_of
from replay.archive import copying, folder, growth
from replay.archive.agreement import CopyDisagreesError
from replay.archive.archive import Archive
from replay.archive.copying import EmptyArchiveError, TargetError
from replay.archive.manifest import ArchiveDamagedError, FileDigest, Manifest, manifest_text
from replay.locations import object_store
from replay.locations.fetching import NoArchiveError, damaged_files, fetch_archive
from replay.locations.object_store import AddressError, ObjectStore, StoreError, is_address
from replay.locations.sending import send_archive
from replay.progress import Progress, StoppedError
from tests.support.replay.archives import EVENTS, Growing, assert_same_facts

pytest_plugins = ["tests.support.replay.object_store"]


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(growth, "SEGMENT_EVENTS", 8)


@pytest.fixture
def growing(database: Database, tmp_path: Path) -> Growing:
    """An archive of a full segment, which is never rewritten, and a small one, which will be merged."""
    found = Growing(database, tmp_path / "archive")
    found.write(10)
    found.archive.catch_up(database)
    assert [segment.events for segment in found.archive.segments] == [8, 2]
    return found


@pytest.fixture
def store(new_bucket: Callable[[], str]) -> ObjectStore:
    return ObjectStore(f"s3://{new_bucket()}/luohu/archive/")


def grow(growing: Growing, count: int | None = None) -> None:
    growing.write(count)
    growing.archive.catch_up(growing.database)


def objects(store: ObjectStore) -> set[str]:
    return set(store.sizes())


def test_a_copy_in_a_store_is_enough_without_the_ledger(growing: Growing, store: ObjectStore, tmp_path: Path) -> None:
    assert send_archive(growing.archive, store).position == 10
    copy = fetch_archive(store, tmp_path / "cache")
    assert copy.folder == tmp_path / "cache" / str(growing.database.log.identity())
    assert_same_facts(copy.facts(), facts_of(growing.events[:10]))
    assert damaged_files(store) == (copy.manifest, [])


def test_a_later_copy_takes_only_what_is_new(
    growing: Growing, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []
    fetched: list[str] = []

    def noted(way: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
        def move(self: ObjectStore, digest: FileDigest, path: Path) -> Any:
            names.append(digest.sha256)
            return way(self, digest, path)

        return move

    monkeypatch.setattr(ObjectStore, "put", noted(ObjectStore.put, put))
    monkeypatch.setattr(ObjectStore, "fetch", noted(ObjectStore.fetch, fetched))
    known: set[str] = set()
    for count in (0, 0, 2, 5, None):
        if count != 0:
            grow(growing, count)
        put.clear()
        fetched.clear()
        send_archive(growing.archive, store, database=growing.database)
        copy = fetch_archive(store, tmp_path / "cache")
        assert_same_facts(copy.facts(), facts_of(growing.events[: growing.written]))
        new = [segment for segment in copy.segments if segment.folder not in known]
        files = {digest.sha256 for segment in new for digest in segment.files.values()}
        assert set(fetched) == files
        assert set(put) <= files
        known = {segment.folder for segment in copy.segments}
    assert not (copy.folder / "unfinished").exists()


def test_a_reader_sees_the_archive_before_or_after_a_copy_and_never_between(
    growing: Growing, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_archive(growing.archive, store)
    grow(growing)
    seen: list[int] = []
    way = ObjectStore.put

    def put(*each: Any) -> None:
        way(*each)
        seen.append(fetch_archive(store, tmp_path / f"cache-{len(seen)}").position)

    monkeypatch.setattr(ObjectStore, "put", put)
    send_archive(growing.archive, store, database=growing.database)
    assert set(seen) == {10}
    assert fetch_archive(store, tmp_path / "cache").position == len(EVENTS)


def test_a_copy_that_is_stopped_changes_nothing_and_goes_on(
    growing: Growing, store: ObjectStore, tmp_path: Path
) -> None:
    def stop(_stage: str, done: int, _total: int) -> None:
        if done:
            raise StoppedError

    with pytest.raises(StoppedError):
        send_archive(growing.archive, store, stop)
    assert len(objects(store)) == 1
    with pytest.raises(NoArchiveError, match=r"luohu/archive holds no archive; `hours archive copy s3://"):
        fetch_archive(store, tmp_path / "cache")
    send_archive(growing.archive, store)
    assert fetch_archive(store, tmp_path / "cache").position == 10


@pytest.mark.parametrize("first", [True, False], ids=["the first manifest", "a later manifest"])
def test_of_two_writers_one_wins_and_the_other_looks_again(
    growing: Growing, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    """The other writer replaces the manifest between this one's reading it and replacing it."""
    if not first:
        send_archive(growing.archive, store)
        grow(growing, 1)
    replaced: list[bool] = []
    way = ObjectStore.replace

    def replace(self: ObjectStore, *each: Any) -> bool:
        if not replaced:
            replaced.append(True)
            grow(growing)
            send_archive(growing.another(), ObjectStore(store.address), database=growing.database)
        replaced.append(way(self, *each))
        return replaced[-1]

    stale = growing.another()
    monkeypatch.setattr(ObjectStore, "replace", replace)
    monkeypatch.setattr(stale, "refresh", lambda: None)  # it has not seen that the archive grew
    with pytest.raises(CopyDisagreesError, match=f"the copy holds {len(EVENTS)} events, the archive only 1"):
        send_archive(stale, store, database=growing.database)
    assert replaced == [True, True, False]
    assert fetch_archive(store, tmp_path / "cache").position == len(EVENTS)


def test_a_copy_of_other_events_is_left_as_it_is(growing: Growing, store: ObjectStore, tmp_path: Path) -> None:
    grow(growing)
    send_archive(growing.archive, store)
    before = store.manifest()
    with growing.database.pool.connection() as connection:
        connection.execute("DELETE FROM ledger.stored_events WHERE notification_id > 12")
    shorter = Archive(tmp_path / "shorter", growing.database.log.identity())
    shorter.catch_up(growing.database)
    with pytest.raises(CopyDisagreesError, match=f"the copy holds {len(EVENTS)} events, the archive only 12"):
        send_archive(shorter, store, database=growing.database)
    with growing.database.pool.connection() as connection:
        connection.execute(
            "UPDATE ledger.stored_events SET state = replace(convert_from(state, 'UTF8'), 'V2', 'V9')::bytea "
            "WHERE notification_id = 4"
        )
    altered = Archive(tmp_path / "altered", growing.database.log.identity())
    altered.catch_up(growing.database)
    altered_manifest = altered.manifest
    with pytest.raises(CopyDisagreesError, match=rf"the copy in {store.address} disagrees with the ledger"):
        send_archive(altered, store, database=growing.database)
    assert store.manifest() == before

    cache = tmp_path / "cache"
    fetch_archive(store, cache)
    assert store.replace(before, altered_manifest)  # somebody who does not use this program
    with pytest.raises(CopyDisagreesError, match="disagrees with the ledger"):
        fetch_archive(store, cache)


def test_another_ledger_s_archive_and_an_empty_one_are_refused(
    growing: Growing, store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(EmptyArchiveError, match="is empty"):
        send_archive(Archive(tmp_path / "none", UUID(int=1)), store)
    assert store.replace(store.manifest(), Manifest(UUID(int=2), growing.archive.segments))
    with pytest.raises(TargetError, match="holds another ledger's archive"):
        send_archive(growing.archive, store)


def put_object(store: ObjectStore, path: str, content: bytes | None) -> None:
    """Write an object past the program, or remove it."""
    if content is None:
        obstore.delete(store._store, path)
    else:
        obstore.put(store._store, path, content)


@pytest.mark.parametrize("harm", ["a byte", "cut off", "removed"])
def test_a_damaged_file_is_found_and_never_replayed(
    growing: Growing, store: ObjectStore, tmp_path: Path, harm: str
) -> None:
    manifest = send_archive(growing.archive, store)
    digest = manifest.segments[0].files["shifts.parquet"]
    content = (growing.folder / manifest.segments[0].folder / "shifts.parquet").read_bytes()
    harmed = {"a byte": content[:-9] + b"?" + content[-8:], "cut off": content[:100], "removed": None}[harm]
    put_object(store, f"files/{digest.sha256}", harmed)
    with pytest.raises(ArchiveDamagedError, match=digest.sha256):
        fetch_archive(store, tmp_path / "cache")
    _, ((first, last, what),) = damaged_files(store)
    assert (first, last) == (1, 8)
    assert digest.sha256 in what


def change_folder(segment: dict[str, Any]) -> None:
    segment["folder"] = "../../outside"


def change_name(segment: dict[str, Any]) -> None:
    segment["files"]["../outside.parquet"] = segment["files"].pop("shifts.parquet")


def change_digest(segment: dict[str, Any]) -> None:
    segment["files"]["shifts.parquet"]["sha256"] = "../../manifest.json"


@pytest.mark.parametrize("change", [change_folder, change_name, change_digest])
def test_no_manifest_writes_outside_its_folder(
    growing: Growing, store: ObjectStore, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    send_archive(growing.archive, store)
    fields = json.loads(manifest_text(growing.archive.manifest))
    change(fields["segments"][0])
    text = json.dumps({**fields, "sha256": "0" * 64}, indent=1)
    put_object(store, "manifest.json", text.replace("0" * 64, sha256(text.encode()).hexdigest(), 1).encode())
    with pytest.raises(ArchiveDamagedError, match=r"manifest\.json is missing or damaged \(.* is no "):
        fetch_archive(store, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 10_000, b'{"format": 99}'])
def test_a_manifest_that_is_none_is_damaged(store: ObjectStore, content: bytes) -> None:
    put_object(store, "manifest.json", content)
    with pytest.raises(ArchiveDamagedError, match=r"s3://.*/manifest\.json"):
        store.manifest()


def test_what_no_manifest_lists_is_removed_after_a_day(growing: Growing, store: ObjectStore) -> None:
    send_archive(growing.archive, store)
    grow(growing)
    manifest = send_archive(growing.archive, store, database=growing.database)
    listed = {digest.sha256 for segment in manifest.segments for digest in segment.files.values()}
    merged = objects(store) - listed
    assert merged
    now = datetime.now(UTC)
    assert store.sweep(listed, now + timedelta(hours=23)) == 0
    assert store.sweep(listed, now + timedelta(hours=25)) == len(merged)
    assert objects(store) == listed


@pytest.mark.parametrize(
    "address",
    [
        *["s3://", "s3:///x", "s3://B/x", "s3://bucket/../x?y", "s3://a b", "s3://bucket/\0", "s3://bucket/../x"],
        *["s3://bucket/a//b", "s3://bucket/./x", "S3://bucket/x", "s3:/bucket/x", "gs://bucket/x", "https://host/x"],
    ],
)
def test_a_malformed_address_says_how_to_write_one(address: str) -> None:
    assert is_address(address), "it is no folder"
    with pytest.raises(AddressError, match="write s3://BUCKET/PREFIX"):
        ObjectStore(address)


@pytest.mark.parametrize("folder", ["s3:", "s3", "./s3:/x", "/srv/s3://x", "copies/luohu"])
def test_a_folder_is_no_address(folder: str) -> None:
    assert not is_address(folder)


def test_slashes_at_the_end_of_an_address_mean_nothing(new_bucket: Callable[[], str]) -> None:
    bucket = new_bucket()
    assert ObjectStore(f"s3://{bucket}/x//").address == f"s3://{bucket}/x"


@pytest.mark.parametrize("harm", ["removed", "cut off"])
def test_a_later_copy_puts_again_what_the_store_has_lost(
    growing: Growing, store: ObjectStore, tmp_path: Path, harm: str
) -> None:
    """As a lifecycle rule of the bucket does."""
    manifest = send_archive(growing.archive, store)
    digest = manifest.segments[0].files["shifts.parquet"]
    put_object(store, f"files/{digest.sha256}", None if harm == "removed" else b"PAR1")
    assert send_archive(growing.archive, store) == manifest
    assert damaged_files(store) == (manifest, [])


def test_what_another_writer_may_be_removing_is_put_again(growing: Growing, store: ObjectStore) -> None:
    """A file that no manifest lists is old enough to be removed soon; a writer does not rely on it."""
    files = {digest.sha256 for segment in growing.archive.segments for digest in segment.files.values()}
    for segment in growing.archive.segments:
        for name, digest in segment.files.items():
            store.put(digest, growing.folder / segment.folder / name)
    now = datetime.now(UTC)
    assert set(store.sizes(set(), now + timedelta(hours=11))) == files
    assert store.sizes(set(), now + timedelta(hours=13)) == {}
    assert set(store.sizes(files, now + timedelta(hours=13))) == files


def test_files_of_others_in_the_bucket_stay(growing: Growing, store: ObjectStore) -> None:
    others = {"files/report.pdf", "files/manifest.json", f"files/files/{'0' * 64}", f"other/{'0' * 64}"}
    for path in others:
        put_object(store, path, b"theirs")
    manifest = send_archive(growing.archive, store)
    listed = {digest.sha256 for segment in manifest.segments for digest in segment.files.values()}
    assert store.sweep(listed, datetime.now(UTC) + timedelta(hours=25)) == 0
    assert others <= {each["path"] for page in obstore.list(store._store) for each in page}


def test_a_writer_that_may_not_delete_copies_all_the_same(
    growing: Growing, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_archive(growing.archive, store)
    grow(growing)

    def refuse(*_: Any) -> None:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(object_store, "SWEEP_AFTER", timedelta(days=-1))
    monkeypatch.setattr(obstore, "delete", refuse)
    with pytest.raises(StoreError, match="AccessDenied"):
        store.sweep(set())
    manifest = send_archive(growing.archive, store, database=growing.database)
    assert store.manifest().manifest == manifest == growing.archive.manifest


def test_a_copy_while_a_store_is_verified_is_no_damage(
    growing: Growing, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_archive(growing.archive, store)
    grow(growing)
    way, replaced = ObjectStore.fetch, False

    def fetch(self: ObjectStore, *each: Any) -> FileDigest:
        nonlocal replaced
        if not replaced:
            replaced = True
            send_archive(growing.archive, store, database=growing.database)
            store.sweep(set(), datetime.now(UTC) + timedelta(days=2))
            for segment in growing.archive.segments:
                for name, digest in segment.files.items():
                    store.put(digest, growing.folder / segment.folder / name)
        return way(self, *each)

    monkeypatch.setattr(ObjectStore, "fetch", fetch)
    assert damaged_files(store) == (growing.archive.manifest, [])


def test_a_copy_that_another_process_updated_from_a_newer_archive_is_no_evidence(
    growing: Growing, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes share a cache: the one that read the older manifest waits for the lock of the other."""
    send_archive(growing.archive, store)
    way, waited = folder.locked, False

    @contextmanager
    def locked(target: Path, progress: Progress) -> Iterator[None]:
        nonlocal waited
        if not waited:
            waited = True
            grow(growing)
            send_archive(growing.archive, store, database=growing.database)
            fetch_archive(store, tmp_path / "cache")
        with way(target, progress):
            yield

    monkeypatch.setattr(copying, "locked", locked)
    assert fetch_archive(store, tmp_path / "cache").position == len(EVENTS)


def test_ctrl_c_does_not_wait_for_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

        waits_no_longer = threading.Event()

        def interrupt() -> None:
            with silent.accept()[0]:  # it waits for an answer
                os.kill(os.getpid(), signal.SIGINT)
                waits_no_longer.wait(object_store.REQUEST_SECONDS_MAX)

        begun, thread = time.monotonic(), threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            ObjectStore("s3://bucket/x").manifest()
        assert time.monotonic() - begun < object_store.REQUEST_SECONDS_MAX / 2
        waits_no_longer.set()
        thread.join()


@pytest.mark.parametrize("endpoint", ["not an address", "127.0.0.1:9000", "ftp://host"])
def test_an_endpoint_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(AddressError, match=f"AWS_ENDPOINT_URL={endpoint} is not an address"):
        ObjectStore("s3://bucket/x")


def test_a_manifest_that_was_removed_meanwhile_is_lost_not_replaced(
    growing: Growing, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_archive(growing.archive, store)
    before = store.manifest()

    def put(*_each: Any, **_options: Any) -> None:
        raise FileNotFoundError  # what Amazon S3 answers

    monkeypatch.setattr(obstore, "put", put)
    assert not store.replace(before, Manifest(growing.archive.manifest.ledger))
    digest = growing.archive.segments[0].files["shifts.parquet"]
    with pytest.raises(StoreError, match="the bucket does not exist"):
        store.put(digest, growing.folder / growing.archive.segments[0].folder / "shifts.parquet")


def test_a_store_that_cannot_be_used_is_named(
    growing: Growing, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=r"s3://no-such-bucket cannot be used: .*; check the address"):
        send_archive(growing.archive, ObjectStore("s3://no-such-bucket"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(object_store, "RETRIES", 0)
    with pytest.raises(StoreError, match="cannot be used"):
        ObjectStore(store.address).manifest()
