"""What all chunks together say."""

from __future__ import annotations

from hashlib import sha256

from replay.auditing.chunks import Chunk, Sent
from replay.auditing.findings import Check, Finding, altered
from replay.bundles.reading import CHUNK_EVENTS

UNREADABLE = frozenset({Check.POSITIONS, Check.EVENTS})
"""The checks of which a finding says that an event is missing or cannot be read."""


class Summary:
    """What all chunks together say."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.nodes: list[tuple[int, int, bytes]] = []
        self.first_uses: dict[str, dict[str, int]] = {}
        self.simulated: list[tuple[int, int]] = []
        self.sent: list[Sent] = []
        self.bytes = self.events = 0
        self.others: list[int] = []
        """The number of events of each chunk that are decided later."""
        self._files = sha256()
        self.unreadable = False
        self._recorded_at = 0

    def add(self, chunk: Chunk) -> None:
        """Add the next chunk."""
        self.findings += chunk.findings
        self.nodes += chunk.hashes
        for kind, names in chunk.first_uses.items():
            known = self.first_uses.setdefault(kind, {})
            for name, position in names.items():
                known.setdefault(name, position)
        for first, last in chunk.simulated:
            if self.simulated and self.simulated[-1][1] == first - 1:
                self.simulated[-1] = self.simulated[-1][0], last
            else:
                self.simulated.append((first, last))
        self.sent += chunk.sent
        self.bytes += chunk.bytes_read
        self.events += sum(chunk.topics.values())
        self.others.append(len(chunk.events))
        self._files.update(repr((chunk.job, chunk.files)).encode())
        self.unreadable = self.unreadable or any(finding.check in UNREADABLE for finding in chunk.findings)
        if chunk.first_recorded_at and chunk.first_recorded_at < self._recorded_at:
            position = chunk.number * CHUNK_EVENTS + 1
            what = "it states an earlier instant of recording than the event before it"
            self.findings.append(altered(Check.EVENTS, what, position))
        self._recorded_at = max(self._recorded_at, chunk.last_recorded_at)

    def basis(self, *more: object) -> str:
        """Return a digest of the files of all chunks, and of what else a result rests on."""
        digest = self._files.copy()
        digest.update(repr(more).encode())
        return digest.hexdigest()
