"""An archive in an object store that speaks the protocol of S3.

    PREFIX/manifest.json    the manifest, as in a folder; only who read the one before replaces it (compare and swap)
    PREFIX/files/SHA-256    a file of a segment, named after its content, which never changes

A put is atomic: nobody reads half of an object. A manifest is written after the files that it lists, so readers see an
archive before or after a change. Two writers may put the same files; one of their manifests wins, and the other writer
looks again.

Credentials and the endpoint are those of other S3 clients: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
`AWS_ENDPOINT_URL`, and `AWS_ALLOW_HTTP=true` for an endpoint without TLS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from replay.archive.manifest import (
    MANIFEST,
    REMEDY,
    ArchiveDamagedError,
    ArchiveError,
    FileDigest,
    Manifest,
    manifest_text,
    parse_manifest,
)

SCHEME = "s3://"
FILES = "files"
SWEEP_AFTER = timedelta(days=1)
"""What no manifest lists is removed this long after it was put: until then another writer may be about to list it."""
_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[A-Za-z0-9!_.*'()=-]+)*/*")
_MEANT_AS_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|s3:/", re.IGNORECASE)
_ENDPOINT = re.compile(r"https?://[!-~]+")
_FILE = re.compile(rf"{FILES}/[0-9a-f]{{64}}")
_BLOCK_BYTES = 4 << 20
RETRIES = 3
_RETRY_SECONDS_MAX = timedelta(seconds=30)
REQUEST_SECONDS_MAX = 300
"""For a file of some tens of megabytes over a slow line; the library's own limit is 30 seconds."""


_T = TypeVar("_T")


class StoreError(ArchiveError):
    """The store cannot be used; the message names it and what to do."""


class AddressError(ArchiveError):
    """The text is not the address of a store."""


class Version(NamedTuple):
    """A manifest as it was read, with the tag that a replacement of it names; both are None if there is none."""

    manifest: Manifest | None
    tag: str | None


def is_address(text: str) -> bool:
    """Return whether a text is meant as the address of a store, not as a folder."""
    return _MEANT_AS_ADDRESS.match(text) is not None


class ObjectStore:
    """An archive in the store at an address `s3://BUCKET/PREFIX`."""

    def __init__(self, address: str) -> None:
        """Name a store; nothing is read yet.

        Raises:
            AddressError: the address is malformed.
        """
        if not _ADDRESS.fullmatch(address):
            raise AddressError(f"{address} is not an address of a store; write s3://BUCKET/PREFIX")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        if endpoint and not _ENDPOINT.fullmatch(endpoint):
            raise AddressError(f"AWS_ENDPOINT_URL={endpoint} is not an address; write https://HOST or http://HOST:PORT")
        self.address = address.rstrip("/")
        bucket, _, prefix = self.address.removeprefix(SCHEME).partition("/")
        config: Any = {  # the library's types lack the limit, and with `client_options` it ignores AWS_ALLOW_HTTP
            "checksum_algorithm": "sha256",  # the store refuses what arrives otherwise
            "timeout": f"{REQUEST_SECONDS_MAX}s",
        }
        with self._speaking():
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                config=config,
                retry_config={"max_retries": RETRIES, "retry_timeout": _RETRY_SECONDS_MAX},
            )

    # --- the manifest -----------------------------------------------------------------------------------------------

    def manifest(self) -> Version:
        """Return the manifest.

        Raises:
            ArchiveDamagedError: it cannot be read. StoreError: the store cannot be reached, or refuses.
        """
        with self._speaking():
            try:
                found = _waited(obstore.get, self._store, MANIFEST)
                content, tag = bytes(_waited(found.bytes)), found.meta["e_tag"]
            except FileNotFoundError:
                return Version(None, None)
        return Version(parse_manifest(content, f"{self.address}/{MANIFEST}"), tag)

    def replace(self, before: Version, manifest: Manifest) -> bool:
        """Replace the manifest that was read before; return whether it was still that one, and nothing if it was not.

        Raises:
            StoreError
        """
        content = manifest_text(manifest).encode()
        with self._speaking():
            try:
                if before.manifest is None:
                    _waited(obstore.put, self._store, MANIFEST, content, mode="create")
                else:
                    _waited(obstore.put, self._store, MANIFEST, content, mode={"e_tag": before.tag})
            except (AlreadyExistsError, PreconditionError, FileNotFoundError):
                return False
        return True

    # --- files ------------------------------------------------------------------------------------------------------

    def sizes(self, listed: Collection[str] | None = None, now: datetime | None = None) -> dict[str, int]:
        """Return the bytes of each file that the store holds, by SHA-256.

        Args:
            listed: the files of the manifest; others that may be removed soon are left out.
        """
        after = (now or datetime.now(UTC)) - SWEEP_AFTER / 2
        held = self._listed()
        return {name: size for name, size, put_at in held if listed is None or name in listed or put_at > after}

    def put(self, digest: FileDigest, path: Path) -> None:
        """Put a file. If the store has it, it is put again: nobody sees a difference, unless it was damaged.

        Raises:
            ArchiveDamagedError: the file is missing, or has another content. StoreError
        """
        try:
            content = path.read_bytes()  # a segment's file has some tens of megabytes
        except FileNotFoundError:
            raise ArchiveDamagedError(f"{path} is missing; {REMEDY}") from None
        if (len(content), sha256(content).hexdigest()) != digest:
            raise ArchiveDamagedError(f"{path} fails its SHA-256 checksum; {REMEDY}")
        with self._speaking():
            try:
                _waited(obstore.put, self._store, _path_of(digest), content, use_multipart=False)
            except FileNotFoundError:
                raise self._error("the bucket does not exist") from None

    def fetch(self, digest: FileDigest, target: Path | None) -> FileDigest:
        """Write a file to a path, flushed to disk, if there is one; return the digest of what was read.

        Raises:
            ArchiveDamagedError: the store does not have it. StoreError
            OSError: the target cannot be written.
        """
        found, size = sha256(), 0
        with open(target or os.devnull, "wb") as written:  # noqa: PTH123 - it may be the null device
            try:
                with self._speaking():
                    stream = iter(_waited(obstore.get, self._store, _path_of(digest)).stream(_BLOCK_BYTES))
                    while (block := _waited(next, stream, None)) is not None:
                        found.update(block)
                        size += written.write(block)
            except FileNotFoundError:
                missing = f"{self.address}/{_path_of(digest)} is missing"
                raise ArchiveDamagedError(f"{missing}; copy the archive there again from its ledger") from None
            if target is not None:
                written.flush()
                os.fsync(written.fileno())
        return FileDigest(size, found.hexdigest())

    def sweep(self, listed: Collection[str], now: datetime | None = None) -> int:
        """Remove files that no manifest lists and that were put more than a day ago; return their number."""
        before = (now or datetime.now(UTC)) - SWEEP_AFTER
        obsolete = [name for name, _, put_at in self._listed() if name not in listed and put_at < before]
        removed = 0
        for path in (f"{FILES}/{name}" for name in obsolete):
            with self._speaking(), suppress(FileNotFoundError):
                if _waited(obstore.head, self._store, path)["last_modified"] < before:  # nobody put it again meanwhile
                    _waited(obstore.delete, self._store, path)
                    removed += 1
        return removed

    def _listed(self) -> Iterator[tuple[str, int, datetime]]:
        with self._speaking():
            pages = iter(obstore.list(self._store, prefix=FILES))
            while (page := _waited(next, pages, None)) is not None:
                for each in page:
                    if _FILE.fullmatch(each["path"]):  # a bucket may hold files of others
                        yield each["path"].rpartition("/")[2], each["size"], each["last_modified"]

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Name the store in an error of the library, whose messages go on for pages."""
        try:
            yield
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            raise
        except (BaseError, PermissionError, ValueError) as error:
            (what, *_) = str(error).strip().splitlines() or [type(error).__name__]
            raise self._error(what) from None

    def _error(self, what: str) -> StoreError:
        remedy = "check the address, AWS_ENDPOINT_URL, AWS_ALLOW_HTTP, AWS_REGION and the access key"
        return StoreError(f"{self.address} cannot be used: {what[:300]}; {remedy}")


def _waited(call: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
    """Call in a thread: Ctrl-C ends the waiting at once, while the library returns only after its time limits."""
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(call(*arguments, **options))
        except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
            answer.set_exception(error)

    Thread(target=run, name="object store", daemon=True).start()
    return answer.result()


def _path_of(digest: FileDigest) -> str:
    return f"{FILES}/{digest.sha256}"
