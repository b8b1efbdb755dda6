"""An archive in an object store that speaks the protocol of S3.

    PREFIX/manifest.json    the manifest, as in a folder; only who read the one before replaces it (compare and swap)
    PREFIX/files/SHA-256    a file of a segment, named after its content; it is put once and never changed

A put is atomic: nobody reads half of an object. A manifest is written after the files that it lists, so readers see an
archive before or after a change. Two writers may put the same files; one of their manifests wins, and the other writer
looks again.

Credentials and the endpoint are those of other S3 clients: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
`AWS_ENDPOINT_URL`, and `AWS_ALLOW_HTTP=true` for an endpoint without TLS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from replay.archive.manifest import (
    MANIFEST,
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
"""What no manifest lists is removed after this time: until then another writer may be about to list it."""
_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/=-]*)?")
_BLOCK_BYTES = 4 << 20
RETRIES = 3
_RETRY_SECONDS_MAX = timedelta(seconds=30)


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
    return text.startswith(SCHEME)


class ObjectStore:
    """An archive in the store at an address `s3://BUCKET/PREFIX`."""

    def __init__(self, address: str) -> None:
        """Name a store; nothing is read yet.

        Raises:
            AddressError: the address is malformed.
        """
        if not _ADDRESS.fullmatch(address):
            raise AddressError(f"{address} is not an address of a store; write s3://BUCKET/PREFIX")
        self.address = address.rstrip("/")
        bucket, _, prefix = self.address.removeprefix(SCHEME).partition("/")
        with self._speaking():
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                config={"checksum_algorithm": "sha256"},  # the store refuses what arrives otherwise
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
                found = obstore.get(self._store, MANIFEST)
                content, tag = bytes(found.bytes()), found.meta["e_tag"]
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
                    obstore.put(self._store, MANIFEST, content, mode="create")
                else:
                    obstore.put(self._store, MANIFEST, content, mode={"e_tag": before.tag})
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    # --- files ------------------------------------------------------------------------------------------------------

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file that the store holds, by SHA-256."""
        return {name: size for name, size, _ in self._listed()}

    def put(self, digest: FileDigest, path: Path) -> None:
        """Put a file, unless the store has it.

        Raises:
            ArchiveDamagedError: the file has another content. StoreError
        """
        content = path.read_bytes()  # a segment's file has some tens of megabytes
        if (len(content), sha256(content).hexdigest()) != digest:
            raise ArchiveDamagedError(
                f"{path} fails its SHA-256 checksum; `hours archive rebuild` builds a new archive"
            )
        with self._speaking(), suppress(AlreadyExistsError):
            obstore.put(self._store, _path_of(digest), content, mode="create")

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
                    for block in obstore.get(self._store, _path_of(digest)).stream(min_chunk_size=_BLOCK_BYTES):
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
        with self._speaking():
            for name in obsolete:
                obstore.delete(self._store, f"{FILES}/{name}")
        return len(obsolete)

    def _listed(self) -> Iterator[tuple[str, int, datetime]]:
        with self._speaking():
            for page in obstore.list(self._store, prefix=FILES):
                for each in page:
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
            remedy = "check the address, AWS_ENDPOINT_URL, AWS_REGION and the access key"
            raise StoreError(f"{self.address} cannot be used: {what[:300]}; {remedy}") from None


def _path_of(digest: FileDigest) -> str:
    return f"{FILES}/{digest.sha256}"
