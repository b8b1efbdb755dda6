"""Where archives are: in folders of this machine, or in object stores at `s3://BUCKET/PREFIX`.

What is read of a store is kept in the folder that HOURS_CACHE names, by default `service-hours` in the user's cache, so
that the next command reads only what is new.
"""

from __future__ import annotations

import os
from pathlib import Path

from api.operations.usage_errors import UsageError
from replay.archive.manifest import MANIFEST
from replay.archive.open_archive import OpenArchive
from replay.locations.fetching import fetch_archive
from replay.locations.object_store import ObjectStore, is_address
from replay.progress import Progress, ignore


def open_place(place: str, option: str = "", progress: Progress = ignore) -> OpenArchive:
    """Open the archive in a folder or a store. Progress counts the bytes that are fetched.

    Args:
        option: the option with which it was named, for messages.

    Raises:
        UsageError: the folder holds no archive. replay.archive.manifest.ArchiveError: as `fetch_archive`.
    """
    if is_address(place):
        return fetch_archive(ObjectStore(place), cache_folder(), progress)
    folder = Path(place)
    if not (folder / MANIFEST).is_file():
        named = f"{option} {folder}".strip()
        raise UsageError(
            f"{named} holds no archive; name the folder `archive` of a data directory, or a copy of it, which may be "
            "at s3://BUCKET/PREFIX"
        )
    return OpenArchive.open_copy(folder)


def cache_folder() -> Path:
    """Return the folder of what is kept of stores."""
    named = os.environ.get("HOURS_CACHE")
    if named:
        return Path(named) / "archives"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:
        raise UsageError("there is no home directory to keep archives in; name a folder in HOURS_CACHE") from None
    return cache / "service-hours" / "archives"
