"""The files of an audit bundle.

    contents.json          the table of contents, written last: a folder without one is no bundle
    checkpoints/SIZE       the newest checkpoint, and earlier ones that the log kept, as signed notes
    checkpoint             the newest once more, where programs for C2SP tlog-tiles look for it
    keys.json              the verifier keys as the ledger publishes them: for information, no check trusts them
    tile/                  the tiles of the tree, and in tile/entries/ the bytes of every event (C2SP tlog-tiles)
    archive/               the ledger's archive as served: its manifest and segments (docs/analysts.md)
    read-models-POSITION/  the read models as served, as Parquet with their axes
    signatures-SIZE.parquet, texts-SIZE.txt, hours-SIZE   signatures of stations, digests of texts, sealed hours

A position without an event, in an altered log, has an entry of no bytes. Files of which the content depends on the size
of the log have it in their names: a bundle that is being extended stays valid until its table of contents is replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from replay.proof.tree import TILE_WIDTH, index_path

FORMAT = 1
CONTENTS, CHECKPOINT, KEYS = "contents.json", "checkpoint", "keys.json"
CHECKPOINTS, ARCHIVE = "checkpoints", "archive"

FileName = Annotated[str, Field(pattern=r"^[a-z]+(-[0-9]{12,})?(\.[a-z]+)?$")]
"""The name of a file that lies directly in the folder."""
Count = Annotated[int, Field(strict=True, ge=0)]


class BundleError(Exception):
    """A bundle cannot be made, extended or read; the message says what to do."""


class RewrittenError(BundleError):
    """The log does not continue what was seen of it before."""


class Contents(BaseModel):
    """The table of contents. `size`: the events that the newest checkpoint covers; `read_models`: their position, None
    if there are none; `files`: the sizes of the files that are neither tiles, entries nor the archive's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    ledger: UUID
    made_at: str
    program: str
    size: Count
    checkpoints: tuple[Count, ...]
    read_models: Count | None
    archive: Count | None
    without_texts: Count
    files: dict[FileName, Count]


def checkpoint_file(size: int) -> str:
    """Return the name of a checkpoint's file."""
    return f"{CHECKPOINTS}/{size:012d}"


def read_models_folder(position: int) -> str:
    """Return the name of the folder of read models."""
    return f"read-models-{position:012d}"


def sized(name: str, size: int, ending: str = "") -> str:
    """Return the name of a file whose content depends on the size of the log."""
    return f"{name}-{size:012d}{ending}"


def entries_path(number: int, size: int) -> str:
    """Return the path of the entries of a tile's leaves in a log of `size` events."""
    width = min(TILE_WIDTH, size - number * TILE_WIDTH)
    return f"tile/entries/{index_path(number, width)}"


def read_contents(folder: Path) -> Contents:
    """Read the table of contents.

    Raises:
        BundleError: the folder is not a bundle, or of another version.
    """
    try:
        content = (folder / CONTENTS).read_bytes()
    except OSError:
        raise BundleError(
            f"{folder} is not an audit bundle: it has no {CONTENTS}; `hours audit bundle FOLDER` makes one, "
            "and finishes one that was stopped"
        ) from None
    try:
        contents = Contents.model_validate_json(content)
    except ValidationError:
        raise BundleError(f"{folder / CONTENTS} is damaged, or of another version of this program") from None
    if contents.format != FORMAT:
        raise BundleError(f"{folder} has format {contents.format}, but this program reads {FORMAT}; use its version")
    return contents
