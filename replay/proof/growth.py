"""Growth: from the log's rows to tiles to a signed checkpoint.

`TransparencyLog.grow` reads the entries after the last checkpoint in chunks, hashes them, writes the tiles, and signs.
The log never signs a checkpoint that does not continue the last one it signed. Before it signs, the tiles must have the
last checkpoint's root, and the rows of the last tile, and of some earlier ones in turn, must have the hashes that the
tiles have. If they do not, an event was changed, removed or inserted, or an older log was restored: nothing is replaced
and nothing is signed, until an operator has restored the log (`agreement.py`).

Damaged or missing tiles are no alarm: they are computed again from the log, if that gives the root that was signed.

    data/proof/lock   locked by the process that grows the tree
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ledger.store.log_queries import LogQueries
from replay import locks
from replay.durable import make_private_folder, way_out
from replay.progress import Progress, ignore
from replay.proof.agreement import (
    Disagreement,
    TreeBusyError,
    TreeDisagreesError,
    TreeError,
    alarm,
    clear,
    first_difference,
    leaves_of_log,
    recorded,
)
from replay.proof.checkpoints import Checkpoint, CheckpointFolder, sign, signed_by, verify_checkpoint
from replay.proof.keys import KeyFolder, PublishedKeys, SigningKeyError, data_keys
from replay.proof.notes import NoteError
from replay.proof.proofs import Proof, make_proof
from replay.proof.tiles import Edge, TileError, TileFolder
from replay.proof.tree import TILE_WIDTH, ProofError, Tile, consistency_proof, verify_consistency
from replay.proof.witnesses import LedgerWitnesses

logger = logging.getLogger(__name__)

CHUNK_EVENTS = 1 << 16
"""Events that are read, hashed and written at once: about 25 MB, and 256 full tiles."""
INTERIM_EVENTS = 1 << 20
"""A long catch-up signs a checkpoint after each so many events, so that a process that is killed does not lose more."""
SAMPLED_TILES = 16
"""How many earlier tiles are compared with the log at each growth, in turn: 4,096 events."""
HASHING, COMPARING, WAITING = "hashing events", "comparing with the log", "waiting for another process"

Seal = Callable[[int], Sequence[str]]
"""Seals the hours at a position; returns the extension lines of the checkpoint of that size."""

Cosign = Callable[[Checkpoint, TileFolder], Checkpoint]
"""Asks witnesses to cosign a checkpoint, and returns it with their signatures; raises if it must not be published."""


class NotCoveredError(TreeError):
    """No published checkpoint covers an event yet."""

    def __init__(self, position: int, size: int) -> None:
        super().__init__(
            f"event {position} is not covered by the published checkpoint, which has {size} events; wait for the next "
            "one, or make it with `hours checkpoint`"
        )


class TransparencyLog:
    """The transparency log of one ledger: its keys, its tiles, its checkpoints, in its data directory.

    Args:
        log: the queries of the ledger's log; None to read what is there without growing.
        clock: returns epoch seconds.
    """

    def __init__(
        self,
        data: Path,
        log: LogQueries | None = None,
        *,
        seal: Seal = lambda _size: (),
        cosign: Cosign | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = data / "proof"
        self.keys: KeyFolder = data_keys(data)
        self.tiles = TileFolder(data / "tiles")
        self.checkpoints = CheckpointFolder.of_data(data)
        self.seal = seal
        self.witnesses = LedgerWitnesses(self.folder)
        self.cosign: Cosign = cosign or self.witnesses.cosign
        self._given_log = log
        self._clock = clock
        self._sampled = 0

    @property
    def _log(self) -> LogQueries:
        if self._given_log is None:
            raise TreeError("the tree cannot grow without its log")
        return self._given_log

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that was signed, None if there is none.

        Raises:
            TreeError: it cannot be read, or the keys of this log have not signed it.
        """
        try:
            checkpoint = self.checkpoints.newest()
            if checkpoint is not None:
                verify_checkpoint(checkpoint.encode(), self.keys.published().including_stolen())
        except (NoteError, SigningKeyError, OSError) as error:
            advice = way_out(error, "restore data/proof from a backup")
            raise TreeError(f"the last checkpoint cannot be used: {error}; {advice}") from error
        return checkpoint

    def prove(self, position: int, extra: bytes | None = None) -> Proof:
        """Return the proof that the event at a position is in the tree of the published checkpoint.

        Args:
            extra: bytes that the file of the proof holds besides; the proof does not cover them.

        Raises:
            NotCoveredError: the published checkpoint does not cover the event yet.
            TreeError: a tile is missing or damaged.
        """
        published = self.checkpoints.published()
        if published is None or not 1 <= position <= published.size:
            raise NotCoveredError(position, published.size if published else 0)
        try:
            return make_proof(self.tiles.hashes(published.size), position - 1, published.note, extra)
        except (TileError, ProofError) as error:
            raise TreeError(f"{error}; `hours checkpoint --verify` computes the tiles again") from error

    def disagreement(self) -> Disagreement | None:
        """Return the recorded disagreement of the log with the tree, None if there is none."""
        return recorded(self.folder)

    # --- growing ----------------------------------------------------------------------------------------------------

    def grow(self, progress: Progress = ignore) -> Checkpoint | None:
        """Bring the tree to the head of the log and publish a signed checkpoint, unless the newest one stands there
        already and is signed by the current keys. Return the newest checkpoint; None if the log is empty.

        Raises:
            TreeDisagreesError: the log is not the one whose tree was signed; the disagreement is recorded.
            TreeError: another process grows the tree, or the last checkpoint cannot be used.
            replay.proof.keys.SigningKeyError: the private keys cannot be used.
            OSError: files could not be written.
        """
        return self._grow(progress, final=True)

    def catch_up(self, progress: Progress = ignore) -> Checkpoint | None:
        """Bring the tree to the head of the log without sealing, witnesses and publishing: the checkpoints are only
        stored. Raises as `grow`.
        """
        return self._grow(progress, final=False)

    def verify(self, progress: Progress = ignore) -> int:
        """Compare every event with the tree that was signed, and return how many were compared. A difference is
        recorded; without one, an earlier record is removed. Raises as `grow`.
        """
        with self._locked(progress):
            last = self._last_of_log()
            if last is not None:
                self._compute_again(last, progress)
            clear(self.folder)
            return last.size if last else 0

    def make_keys(self, origin: str) -> PublishedKeys:
        """Make the first keys of the log.

        Raises:
            replay.proof.keys.SigningKeyError: there are keys, or the log has signed with others, or the origin is none.
            TreeError, OSError: nothing was made.
        """
        with self._locked():
            try:
                signed = None if self.keys.exist() else self.checkpoints.newest()
            except (NoteError, OSError) as error:
                advice = way_out(error, "restore data/proof from a backup")
                raise TreeError(f"the last checkpoint cannot be read: {error}; {advice}") from error
            if signed is not None:
                raise SigningKeyError(
                    "this ledger has signed checkpoints, and its keys are missing: bring them back with "
                    "`hours signing-keys restore` (docs/signing-keys.md)"
                )
            return self.keys.make(origin, int(self._clock()))

    def rotate(self, *, stolen: bool = False, progress: Progress = ignore) -> PublishedKeys:
        """Make new keys, which sign from the last checkpoint on.

        Args:
            stolen: the keys before were stolen: nothing is verified by them any more.

        Raises:
            TreeError, replay.proof.keys.SigningKeyError, OSError: the keys before go on.
        """
        with self._locked(progress):
            last = self.newest()
            return self.keys.rotate(int(self._clock()), last.size if last else 0, stolen=stolen)

    def _grow(self, progress: Progress, *, final: bool) -> Checkpoint | None:
        with self._locked(progress):
            last = self._agreed(progress)
            head = int(self._log.head())
            if head == 0:
                return None
            if last is not None and last.size == head and (not final or self._is_final(last)):
                return last
            edge = Edge() if last is None else self.tiles.edge(last.size)
            last = self._extend(edge, head, last, progress)
            return self._sign(edge, last, final=final)

    def _is_final(self, last: Checkpoint) -> bool:
        """Return whether a checkpoint is published, signed by the current keys, and cosigned as the policy asks."""
        published = self.keys.published()
        is_current = published.current.number in signed_by(last, published)
        return is_current and self.checkpoints.published() == last and self.witnesses.accept(last)

    def _extend(self, edge: Edge, head: int, last: Checkpoint | None, progress: Progress) -> Checkpoint | None:
        """Append the events up to a position to the tree; return the last checkpoint that was signed meanwhile."""
        while edge.size < head:
            until = min(head, (edge.size // CHUNK_EVENTS + 1) * CHUNK_EVENTS)
            self.tiles.write(edge.append(leaves_of_log(self.folder, self._log, edge.size, until)))
            progress(HASHING, until, head)
            if until < head and until % INTERIM_EVENTS == 0:
                last = self._sign(edge, last, final=False)
        return last

    def _sign(self, edge: Edge, last: Checkpoint | None, *, final: bool) -> Checkpoint:
        """Sign a checkpoint of the tree as it is, after comparing it with the last one.

        Args:
            final: seal the hours in it, ask witnesses, and publish it.
        """
        self.tiles.write(edge.partial())
        root = edge.root()
        if last is not None:
            proof = consistency_proof(self.tiles.hashes(edge.size), last.size, edge.size)
            verify_consistency(last.size, last.root, edge.size, root, proof)
        keys = self.keys.signing_keys()
        extensions = self.seal(edge.size) if final else ()
        now = int(self._clock())
        checkpoint = sign(keys, edge.size, root, now, extensions)
        self.checkpoints.store(checkpoint, now)
        if final:
            checkpoint = self.cosign(checkpoint, self.tiles)
            self.checkpoints.store(checkpoint, now)
            self.checkpoints.publish(checkpoint)
        return checkpoint

    # --- agreeing with what was signed ------------------------------------------------------------------------------

    def _agreed(self, progress: Progress) -> Checkpoint | None:
        """Return the last checkpoint, after comparing the log with it as far as that takes no time."""
        if found := self.disagreement():
            raise TreeDisagreesError(found)
        last = self._last_of_log()
        if last is None:
            return None
        numbers = (last.size + TILE_WIDTH - 1) // TILE_WIDTH
        sampled = {(self._sampled + step) % numbers for step in range(SAMPLED_TILES)} | {numbers - 1}
        self._sampled += SAMPLED_TILES
        if not (self._edge_holds(last) and all(self._tile_holds(number, last.size) for number in sorted(sampled))):
            self._compute_again(last, progress)
            logger.warning(
                "tiles of %d events were missing or damaged; they were computed again from the log", last.size
            )
        return last

    def _last_of_log(self) -> Checkpoint | None:
        """Return the last checkpoint, of which the log has at least the number of events."""
        last, head = self.newest(), int(self._log.head())
        if last is None or last.size == 0:
            return None
        if head < last.size:
            lost = f"it has {head:,} events, but {last.size:,} were signed: those from {head + 1} on are missing"
            alarm(self.folder, head + 1, last.size, lost)
        return last

    def _edge_holds(self, last: Checkpoint) -> bool:
        """Return whether the right edge of the tiles gives the root of a checkpoint."""
        try:
            return self.tiles.edge(last.size).root() == last.root
        except TileError as error:
            logger.warning("a tile cannot be used: %s", error)
            return False

    def _tile_holds(self, number: int, size: int) -> bool:
        """Return whether a tile of level 0 holds the hashes of the log's events."""
        after, until = number * TILE_WIDTH, min(size, (number + 1) * TILE_WIDTH)
        try:
            signed = self.tiles.read(Tile(0, number, until - after))
        except TileError as error:
            logger.warning("a tile cannot be used: %s", error)
            return False
        return signed == leaves_of_log(self.folder, self._log, after, until)

    def _compute_again(self, last: Checkpoint, progress: Progress) -> None:
        """Compute all tiles from the log. They replace those that are there, if their root is the one that was signed;
        if it is not, the log is another one, and the tiles say where it differs first.
        """
        beside = TileFolder(self.tiles.folder / ".computed")
        shutil.rmtree(beside.folder, ignore_errors=True)
        try:
            edge, differs = Edge(), None
            while edge.size < last.size:
                after, until = edge.size, min(last.size, edge.size + CHUNK_EVENTS)
                leaves = leaves_of_log(self.folder, self._log, after, until)
                differs = differs or first_difference(self.tiles, leaves, after, until)
                beside.write(edge.append(leaves))
                progress(COMPARING, until, last.size)
            if edge.root() != last.root:
                what = f"event {differs} differs" if differs else f"one of the first {last.size:,} events differs"
                alarm(self.folder, differs or 1, differs or last.size, what)
            beside.write(edge.partial())
            self.tiles.replace_by(beside)
        finally:
            shutil.rmtree(beside.folder, ignore_errors=True)

    @contextmanager
    def _locked(self, progress: Progress = ignore) -> Iterator[None]:
        """Lock the tree against all other processes and threads. The lock of a process that dies is released."""
        make_private_folder(self.folder)
        busy = TreeBusyError(f"another process grows the tree in {self.tiles.folder}; wait until it ends")
        with locks.locked(self.folder / "lock", busy, lambda: progress(WAITING, 0, 0)):
            yield
