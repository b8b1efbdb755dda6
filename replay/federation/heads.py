"""Heads: how far each ledger of a federation is known, which is the position of an answer.

A ledger's position is one number, because its events have one order. Events of two ledgers have none, so the position
of a federation is a vector: the position of each of its ledgers. `seal` is one digest of it, with which two people
compare what their answers rest on. What a position means is proved by the ledger's own checkpoints: it is the size of a
tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, computed_field

from replay.archive.manifest import ArchiveError
from replay.archive.open_archive import OpenArchive
from replay.federation.definition import LedgerName
from replay.federation.joining import Joined, Member, join
from replay.on_demand.files import Description
from replay.progress import Progress, checkpoint, ignore

OWN = "(own)"
"""The name of the federation's own ledger among the heads; no other ledger can have it."""
READING = "reading the ledgers"
CLOCK_SECONDS_AHEAD_MAX = 60
"""How far a ledger's clock may be ahead of this machine's before an answer says so."""


class Head(BaseModel):
    """How far one ledger is known: to a position, of an archive that was `recorded_until` then; null if it is empty."""

    model_config = ConfigDict(frozen=True)

    name: LedgerName | Literal[OWN]  # type: ignore[valid-type] # a constant
    ledger: UUID
    position: Annotated[int, Field(ge=0)]
    recorded_until: datetime | None

    @property
    def member(self) -> str | None:
        """The name of the member ledger; None for the federation's own."""
        return None if self.name == OWN else self.name


class Federated(Description):
    """The basis and the result of a federation's replay.

    Attributes:
        heads: the position of each ledger, by name; the federation's own ledger comes last.
        missing: the ledgers that could not be read and were left out.
        unknown_numbers: numbers that the federation's own ledger names and that their ledgers do not have.
    """

    federation: str
    heads: list[Head]
    missing: list[str]
    unknown_numbers: list[str]

    @computed_field  # type: ignore[prop-decorator] # as pydantic documents it
    @property
    def seal(self) -> str:
        """Of the heads, SHA-256 as 64 hex digits."""
        return seal(self.federation, self.heads, self.missing)

    def metadata(self) -> dict[str, str]:
        """Return what the Parquet files say of themselves."""
        return {
            "federation": self.federation,
            "heads": " ".join(f"{head.name}@{head.position}" for head in self.heads),
            "seal": self.seal,
            "missing": " ".join(self.missing),
            **super().metadata(),
        }


class HeadError(ArchiveError):
    """A ledger cannot be read at the position of an earlier answer; the message names it and what to do."""


def heads_at(archives: Mapping[str, OpenArchive], instant: int | None = None) -> list[Head]:
    """Return the head of each ledger: as it is, or as it was known at an instant (epoch seconds) by its own clock.

    Raises:
        replay.archive.manifest.ArchiveDamagedError: a file is missing or damaged.
    """
    return [
        _head(name, archive, archive.position if instant is None else archive.position_at(instant))
        for name, archive in archives.items()
    ]


def heads_again(archives: Mapping[str, OpenArchive], federation: str, earlier: Federated) -> list[Head]:
    """Return the heads of an earlier answer, for ledgers that still have them.

    Raises:
        HeadError: the earlier answer is another federation's, or had other ledgers; or a ledger has another id or fewer
            events now.
    """
    if earlier.federation != federation:
        raise HeadError(f"the earlier answer is one of the federation {earlier.federation}, and this is {federation}")
    positions = {head.name: head for head in earlier.heads}
    for name in sorted(positions.keys() - archives.keys()):
        raise HeadError(f"the earlier answer had the ledger {name}; add it to the federation's file")
    for name in sorted(archives.keys() - positions.keys()):
        raise HeadError(f"the earlier answer did not have the ledger {name}; take it out of the federation's file")
    for name, archive in archives.items():
        head = positions[name]
        if head.ledger != archive.manifest.ledger:
            raise HeadError(f"{name} is ledger {archive.manifest.ledger} now, and was {head.ledger} before")
        if head.position > archive.position:
            raise HeadError(
                f"the archive of {name} ends at position {archive.position}, before {head.position}; fetch a newer copy"
            )
    return [_head(name, archive, positions[name].position) for name, archive in archives.items()]


def _head(name: str, archive: OpenArchive, position: int) -> Head:
    until = archive.recorded_until
    return Head(
        name=name,
        ledger=archive.manifest.ledger,
        position=position,
        recorded_until=None if until is None else datetime.fromtimestamp(until, UTC),
    )


def seal(federation: str, heads: Sequence[Head], missing: Sequence[str] = ()) -> str:
    """Return the digest of what an answer rests on: SHA-256 of these lines, each ended by a line feed.

    service-hours federation NAME
    LEDGER UUID POSITION          for each ledger, by name
    LEDGER missing                for each that is left out, by name
    """
    lines = [f"service-hours federation {federation}"]
    lines += [f"{head.name} {head.ledger} {head.position}" for head in sorted(heads, key=lambda head: head.name)]
    lines += [f"{name} missing" for name in sorted(missing)]
    return sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def read_heads(
    archives: Mapping[str, OpenArchive], heads: Sequence[Head], threads: int = 2, progress: Progress = ignore
) -> Joined:
    """Read all ledgers up to their heads and join them. Progress counts events.

    Args:
        heads: the federation's own ledger comes last.

    Raises:
        replay.archive.manifest.ArchiveDamagedError: a file is missing or damaged.
        replay.progress.StoppedError: from `progress`.
    """
    total, done = sum(head.position for head in heads), 0
    members = []
    for head in heads:
        checkpoint()
        progress(READING, done, total)
        members.append(Member(head.member, archives[head.name].facts(until=head.position, threads=threads)))
        done += head.position
    progress(READING, done, total)
    return join(members)


def doubts(heads: Sequence[Head], now: datetime, instant: int | None = None) -> list[str]:
    """Return a sentence for each ledger whose clock, or whose archive's age, makes an answer doubtful.

    Args:
        now: the time of this machine.
        instant: as of which the ledgers are known; None for all they have.
    """
    found = []
    for head in heads:
        until = head.recorded_until
        if until is None:
            continue
        ahead = (until - now).total_seconds()
        if ahead > CLOCK_SECONDS_AHEAD_MAX:
            found.append(
                f"the clock of {head.name} is ahead: its last event was recorded at {_shown(until)}, "
                f"{ahead / 60:,.0f} minutes from now"
            )
        if instant is not None and until.timestamp() < instant:
            found.append(f"the archive of {head.name} ends at {_shown(until)}, before the time asked for")
    return found


def _shown(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")
