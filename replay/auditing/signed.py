"""Checkpoints of a bundle, and those that the auditor kept: who signed them, and whether the log has only grown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from replay.auditing.findings import Check, Finding, altered, notice
from replay.auditing.roots import Roots
from replay.bundles.layout import CHECKPOINT, CHECKPOINTS, KEYS, Contents, checkpoint_file, entries_path
from replay.proof.checkpoints import Checkpoint, read_checkpoint, signed_by
from replay.proof.keys import PublishedKeys
from replay.proof.notes import NoteError
from replay.proof.policies import CheckpointError, Policy, VerifiedCheckpoint
from replay.proof.tree import TILE_WIDTH

_ROTATED = (
    "if the log's keys were rotated, give --key the published list of keys (`hours signing-keys list --json`), after "
    "comparing it over another way"
)


class KeptCheckpoint(NamedTuple):
    """A checkpoint of before: where it comes from, and whether the auditor kept it."""

    where: str
    checkpoint: Checkpoint
    own: bool


class Newest(NamedTuple):
    """The newest checkpoint: as read, and as accepted by the policy, None if it is not."""

    checkpoint: Checkpoint
    verified: VerifiedCheckpoint | None
    findings: list[Finding]


class UnusableCheckpointError(ValueError):
    """The newest checkpoint cannot be read, so there is nothing to compare with."""


def newest(folder: Path, contents: Contents, policy: Policy, published: PublishedKeys | None = None) -> Newest:
    """Read the newest checkpoint, and verify it.

    Args:
        published: the keys that the auditor trusts with the sizes that each signs, if the auditor has that list.

    Raises:
        UnusableCheckpointError
    """
    where = checkpoint_file(contents.size)
    try:
        content = (folder / where).read_bytes()
        checkpoint = read_checkpoint(content)
    except (OSError, NoteError) as error:
        raise UnusableCheckpointError(f"{folder / where} cannot be read: {error}") from None
    findings: list[Finding] = []
    verified: VerifiedCheckpoint | None = None
    try:
        verified = policy.verify(content)
    except CheckpointError as error:
        what = f"the newest checkpoint is not one that you trust; {_ROTATED}"
        findings.append(altered(Check.CHECKPOINT, what, where=where, evidence=str(error)))
    if verified and published and not signed_by(checkpoint, published):
        verified = None
        what = "the newest checkpoint is signed by keys that do not sign checkpoints of this size, or not any more"
        findings.append(altered(Check.CHECKPOINT, what, where=where))
    if checkpoint.size != contents.size:
        what = "the table of contents states another number of events than the checkpoint"
        evidence = f"{contents.size:,}, the checkpoint covers {checkpoint.size:,}"
        findings.append(altered(Check.CHECKPOINT, what, where=where, evidence=evidence))
    findings += [*_check_copy(folder, contents.size, content), *_check_keys(folder, checkpoint)]
    return Newest(checkpoint, verified, findings)


def _check_copy(folder: Path, newest: int, content: bytes) -> Iterator[Finding]:
    """Check that the file that auditors keep is the newest checkpoint, byte by byte. It is written last, so if the
    making of the bundle was stopped, it is an earlier one.
    """
    try:
        where = checkpoint_file(newest)
        kept = (folder / CHECKPOINT).read_bytes()
        if kept == content:
            return
        if any(
            kept == (folder / checkpoint_file(size)).read_bytes() for size in _stored_sizes(folder) if size < newest
        ):
            what = f"the file that auditors keep is an earlier checkpoint: keep {where}, or have the bundle made again"
            yield notice(Check.CHECKPOINT, what, where=CHECKPOINT)
            return
        evidence = f"it is not the same as {where}"
    except OSError as error:
        evidence = f"it cannot be read: {error.strerror}"
    what = (
        "the file that auditors keep is not the newest checkpoint: keep another, "
        "or have the bundle made again if its making was stopped"
    )
    yield altered(Check.CHECKPOINT, what, where=CHECKPOINT, evidence=evidence)


def _check_keys(folder: Path, checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say if the checkpoint does not count under the list of keys in the bundle, which nothing here trusts."""
    try:
        listed = PublishedKeys.from_json((folder / KEYS).read_bytes())
        if listed.origin == checkpoint.origin and signed_by(checkpoint, listed):
            return
        evidence = "the newest checkpoint is not signed by the keys that it lists"
    except (OSError, NoteError) as error:
        evidence = str(error)
    what = "the list of keys in the bundle is not the one of this log; take it from nowhere but where you trust it"
    yield notice(Check.CHECKPOINT, what, where=KEYS, evidence=evidence)


def earlier(
    folder: Path, contents: Contents, since: Sequence[tuple[str, bytes]], policy: Policy
) -> tuple[list[KeptCheckpoint], list[Finding]]:
    """Read the earlier checkpoints of a bundle, and those that the auditor kept, with their file's names.

    Those of the auditor have to be signed by the same keys; no witness is asked for, because they may be older.
    """
    found: list[KeptCheckpoint] = []
    findings: list[Finding] = []
    lenient = Policy.of_keys([each.key for each in policy.logs])
    for name, content in since:
        try:
            lenient.verify(content)
            found.append(KeptCheckpoint(name, read_checkpoint(content), own=True))
        except (CheckpointError, NoteError) as error:
            what = f"the checkpoint that you kept is not signed by a key that you named; {_ROTATED}"
            findings.append(altered(Check.GROWTH, what, where=name, evidence=str(error)))
    unfinished = extending(folder, contents)
    for size in sorted({*contents.checkpoints, *_stored_sizes(folder)}):
        where = checkpoint_file(size)
        if size == contents.size:
            continue
        if size in unfinished:
            what = f"the bundle was being extended to {size:,} events when its making was stopped: make it again"
            findings.append(notice(Check.GROWTH, what, where=where))
            continue
        try:
            content = (folder / where).read_bytes()
            found.append(KeptCheckpoint(where, read_checkpoint(content), own=False))
        except (OSError, NoteError) as error:
            what = "an earlier checkpoint of the log cannot be read"
            findings.append(altered(Check.GROWTH, what, where=where, evidence=str(error)))
            continue
        try:
            lenient.verify(content)
        except CheckpointError as error:
            what = f"an earlier checkpoint of the log is not signed by a key that you named; {_ROTATED}"
            findings.append(notice(Check.GROWTH, what, where=where, evidence=str(error)))
    return found, findings


def _stored_sizes(folder: Path) -> Iterator[int]:
    """Yield the sizes of the checkpoints that are there, whether the table of contents names them or not."""
    for path in (folder / CHECKPOINTS).glob("*"):
        if path.name.isdecimal() and checkpoint_file(int(path.name)) == f"{CHECKPOINTS}/{path.name}":
            yield int(path.name)


def extending(folder: Path, contents: Contents) -> set[int]:
    """Return the sizes to which a bundle was being extended when its making was stopped: their checkpoints are there,
    and the events before them, but not the table of contents.
    """
    return {size for size in _stored_sizes(folder) if size > contents.size and _has_entries(folder, size)}


def _has_entries(folder: Path, size: int) -> bool:
    return all((folder / entries_path(number, size)).exists() for number in range(-(-size // TILE_WIDTH)))


def check_growth(checkpoint: Checkpoint, kept: Sequence[KeptCheckpoint], roots: Roots, events: int) -> list[Finding]:
    """Compare the events with the roots that were signed: that of the newest checkpoint, and those of before.

    Args:
        events: the number of events in the bundle.
    """
    findings: list[Finding] = []
    agreed = 0
    for each in sorted(kept, key=lambda each: each.checkpoint.size):
        size = each.checkpoint.size
        whose = "the checkpoint that you kept" if each.own else "an earlier checkpoint"
        if each.checkpoint.origin != checkpoint.origin:
            what = f"{whose} is of another log"
            findings.append(altered(Check.GROWTH, what, where=each.where, evidence=each.checkpoint.origin))
        elif size > events:
            what = f"{whose} covers {size:,} events, and this log only {events:,}: its end was cut off, or it is old"
            findings.append(altered(Check.GROWTH, what, events + 1, size, where=each.where))
        elif roots.of(size) == each.checkpoint.root:
            agreed = max(agreed, size)
        else:
            what = f"the first {size:,} events are not those that {whose} covers: the history was rewritten"
            evidence = f"it states the root {each.checkpoint.root.hex()}, the events give {roots.of(size).hex()}"
            findings.append(altered(Check.GROWTH, what, agreed + 1, size, where=each.where, evidence=evidence))
    if checkpoint.size == events and roots.of(events) != checkpoint.root:
        what = "the events do not give the root that the newest checkpoint states"
        evidence = f"it states {checkpoint.root.hex()}, the events give {roots.of(events).hex()}"
        where = checkpoint_file(checkpoint.size)
        findings.append(
            altered(Check.CHECKPOINT, what, min(agreed + 1, events), events, where=where, evidence=evidence)
        )
    return findings


def sizes_of(kept: Sequence[KeptCheckpoint], events: int) -> tuple[int, ...]:
    """Return the sizes whose roots are asked for."""
    return tuple(sorted({each.checkpoint.size for each in kept if each.checkpoint.size <= events} | {events}))
