"""Checks after every crash: of the log, independent followers, read models, generations, and the archive.

Each finding is one loss. Nothing is repaired.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from api.operations.service import OpenLedger
from bench.crash.network import Seen
from bench.crash.reader import digest, events_after
from bench.support.common import print_status
from ledger.store.database import Database
from replay.archive.checking import check
from replay.generations import store
from replay.generations.rebuild import rebuild

_NAMED = "SELECT position, count(*) FROM ledger.commands GROUP BY position"
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'generation\\_%'"


class Checks:
    """The losses found so far, and the digests of the log."""

    def __init__(self, seen: Seen, readers: list[Path]) -> None:
        self.losses: dict[str, None] = {}
        """Descriptions of losses, in order; each is counted once."""
        self.digests: list[str] = []
        """The digest of each event, by position."""
        self._seen = seen
        self._positions: dict[str, int] = {}
        self._readers = dict.fromkeys(readers, 0)
        self._read = dict.fromkeys(readers, 0)
        """The part of each reader's file that was compared, in bytes and in positions."""

    def report(self, lost: bool, what: str) -> None:  # noqa: FBT001 - a condition and its description
        """Count a loss if the condition is true."""
        if lost and what not in self.losses:
            self.losses[what] = None
            print_status(f"LOSS: {what}")

    def run(self, ledger: OpenLedger) -> None:
        """Run all checks."""
        self._check_log(ledger.database)
        self._check_answers()
        self.check_readers()
        self._check_generations(ledger.database)
        findings = check(ledger.archive, ledger.database)
        self.report(bool(findings), f"the archive differs from the log: {findings[:1]}")
        self._check_read_models(ledger)

    def _check_log(self, database: Database) -> None:
        """Compare the log with that of the previous round, byte by byte, and new events with those sent."""
        known, position, twice = len(self.digests), 0, 0
        with database.pool.connection() as connection:
            for event in events_after(connection, 0):
                self.report(event[0] != position + 1, f"position {position + 1} holds no event")
                position = event[0]
                if position <= known:
                    self.report(digest(event) != self.digests[position - 1], f"event {position} has changed")
                    continue
                self.digests.append(digest(event))
                fields = json.loads(event[4])
                twice += fields["command"] in self._positions
                self._positions[fields["command"]] = position
                self._check_event(event[3], fields)
            named: dict[int, int] = dict(connection.execute(_NAMED).fetchall())
        self.report(position < known, f"the log ends at {position}, but reached {known} before")
        self.report(twice > 0, f"{twice} commands are in the log twice")
        nameless = [number for number in range(1, position + 1) if named.get(number) != 1]
        self.report(bool(nameless), f"{len(nameless)} events have no command name, for example {nameless[:1]}")

    def _check_event(self, topic: str, fields: dict[str, Any]) -> None:
        """Compare a new event with the one sent under its name."""
        if topic.startswith("checked-"):
            name = fields["command"]
            fact = fields["volunteer"], str(UUID(fields["shift"])), fields["occurred_at"]
            self.report(self._seen.sent.get(name) != fact, f"{name} differs from what was sent")

    def _check_answers(self) -> None:
        for name, answered in self._seen.accepted.items():
            position = self._positions.get(name)
            self.report(position != answered, f"{name} was answered with position {answered}, but is at {position}")
        refused = self._seen.refused & self._positions.keys()
        self.report(bool(refused), f"{len(refused)} refused events are in the log")
        self.report(self._seen.contradictions > 0, "an event got two different answers")

    def check_readers(self) -> None:
        """Compare each independent follower with the log: the same events at the same positions, in order."""
        for path, offset in self._readers.items():
            with path.open("rb") as file:
                file.seek(offset)
                lines = file.read().rpartition(b"\n")[0]
            for line in lines.decode().splitlines():
                self._read[path] += 1
                position, _, seen = line.partition(" ")
                expected = self.digests[int(position) - 1] if int(position) <= len(self.digests) else None
                same = (int(position), seen) == (self._read[path], expected)
                self.report(
                    not same, f"{path.name} saw another event at position {position}, as its number {self._read[path]}"
                )
            self._readers[path] += len(lines) + bool(lines)

    def unread(self) -> bool:
        """Return whether a reader has not reached the end of the log."""
        return any(read < len(self.digests) for read in self._read.values())

    def _check_generations(self, database: Database) -> None:
        """Verify that exactly one generation answers, and that schemas and generations match."""
        with database.pool.connection() as connection:
            pointers = connection.execute("SELECT count(*) FROM replay.pointer").fetchall()[0][0]
            self.report(pointers != 1, f"{pointers} generations answer")
            current = store.current_generation(connection)
            self.report(current is None, "no generation answers")
            schemas = connection.execute(_SCHEMAS).fetchall()
            listed = {one.schema for one in store.list_generations(connection)}
            self.report({row[0] for row in schemas} != listed, "schemas and generations do not match")
            if current is not None:
                found = store.read_rows(connection, current).checksum()
                self.report(found != current.checksum, "the current generation's rows do not match its checksum")
                self.report(current.position > len(self.digests), "read models are ahead of the log")

    def _check_read_models(self, ledger: OpenLedger) -> None:
        """Catch up, and compare the read models with a rebuild under the same rules."""
        ledger.catch_up()
        followed = ledger.current_generation()
        rebuilt = rebuild(ledger.database, ledger.archive, followed.rules, new_facts=True).generation
        same = (followed.position, followed.checksum) == (rebuilt.position, rebuilt.checksum)
        self.report(rebuilt.position != len(self.digests), f"read models end at {rebuilt.position}")
        self.report(not same, "followed read models differ from a rebuild")
