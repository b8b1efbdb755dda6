"""What has to hold after every crash: of the log, of those who followed it, of read models, generations, the archive.

Each finding is one loss. Nothing here is repaired: a ledger that does not hold goes on not holding.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from api.operations.service import OpenLedger
from bench.crash.network import Seen
from bench.crash.reader import digest, events_behind
from bench.support.common import say
from ledger.store.database import Database
from replay.archive.checking import check
from replay.generations import store
from replay.generations.rebuild import rebuild

_NAMED = "SELECT position, count(*) FROM ledger.commands GROUP BY position"
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'generation\\_%'"


class Checks:
    """What was found so far, and how the log began."""

    def __init__(self, seen: Seen, readers: list[Path]) -> None:
        self.losses: dict[str, None] = {}
        """Each is counted once, however often it is seen again."""
        self.digests: list[str] = []
        """Of each event, by position."""
        self._seen = seen
        self._positions: dict[str, int] = {}
        self._readers = dict.fromkeys(readers, 0)
        self._read = dict.fromkeys(readers, 0)
        """How far each reader's file was compared: in bytes, and in positions."""

    def lose(self, lost: bool, what: str) -> None:  # noqa: FBT001 - a finding, and what it is
        """Count a loss, if it is one."""
        if lost and what not in self.losses:
            self.losses[what] = None
            say(f"LOSS: {what}")

    def look(self, ledger: OpenLedger) -> None:
        """Look at everything."""
        self._look_at_the_log(ledger.database)
        self._look_at_answers()
        self.look_at_readers()
        self._look_at_generations(ledger.database)
        findings = check(ledger.archive, ledger.database)
        self.lose(bool(findings), f"the archive differs from the log: {findings[:1]}")
        self._look_at_read_models(ledger)

    def _look_at_the_log(self, database: Database) -> None:
        """Hold the log to how it began in the round before, to the byte, and to what was sent."""
        known, position, twice = len(self.digests), 0, 0
        with database.pool.connection() as connection:
            for event in events_behind(connection, 0):
                self.lose(event[0] != position + 1, f"position {position + 1} holds no event")
                position = event[0]
                if position <= known:
                    self.lose(digest(event) != self.digests[position - 1], f"event {position} is another than it was")
                    continue
                self.digests.append(digest(event))
                said = json.loads(event[4])
                twice += said["command"] in self._positions
                self._positions[said["command"]] = position
                self._look_at_the_event(event[3], said)
            named: dict[int, int] = dict(connection.execute(_NAMED).fetchall())
        self.lose(position < known, f"the log ends at {position} and reached to {known}")
        self.lose(twice > 0, f"{twice} commands are in the log twice")
        nameless = [one for one in range(1, position + 1) if named.get(one) != 1]
        self.lose(bool(nameless), f"{len(nameless)} events lack their command's name, as {nameless[:1]}")

    def _look_at_the_event(self, topic: str, said: dict[str, Any]) -> None:
        """Hold a new event to what was sent under its name."""
        if topic.startswith("checked-"):
            name = said["command"]
            fact = said["volunteer"], str(UUID(said["shift"])), said["occurred_at"]
            self.lose(self._seen.sent.get(name) != fact, f"{name} is not what was sent")

    def _look_at_answers(self) -> None:
        for name, answered in self._seen.accepted.items():
            there = self._positions.get(name)
            self.lose(there != answered, f"{name} was answered with {answered}, and is at {there}")
        refused = self._seen.refused & self._positions.keys()
        self.lose(bool(refused), f"{len(refused)} refused events are there")
        self.lose(self._seen.contradictions > 0, "an event was answered in two ways")

    def look_at_readers(self) -> None:
        """Hold what each independent follower saw to the log: the same events at the same positions, in order."""
        for path, offset in self._readers.items():
            with path.open("rb") as file:
                file.seek(offset)
                whole = file.read().rpartition(b"\n")[0]
            for line in whole.decode().splitlines():
                self._read[path] += 1
                position, _, there = line.partition(" ")
                expected = self.digests[int(position) - 1] if int(position) <= len(self.digests) else None
                same = (int(position), there) == (self._read[path], expected)
                self.lose(not same, f"{path.name} saw another event at {position}, as its number {self._read[path]}")
            self._readers[path] += len(whole) + bool(whole)

    def unread(self) -> bool:
        """Whether a reader has not seen all."""
        return any(read < len(self.digests) for read in self._read.values())

    def _look_at_generations(self, database: Database) -> None:
        """Exactly one generation answers; each has its tables, and there are no others."""
        with database.pool.connection() as connection:
            pointers = connection.execute("SELECT count(*) FROM replay.pointer").fetchall()[0][0]
            self.lose(pointers != 1, f"{pointers} generations answer")
            current = store.current_generation(connection)
            self.lose(current is None, "no generation answers")
            schemas = connection.execute(_SCHEMAS).fetchall()
            listed = {one.schema for one in store.list_generations(connection)}
            self.lose({row[0] for row in schemas} != listed, "a generation is there by half")
            if current is not None:
                found = store.read_rows(connection, current).checksum()
                self.lose(
                    found != current.checksum, "the generation that answers has other rows than its checksum says"
                )
                self.lose(current.position > len(self.digests), "read models are ahead of the log")

    def _look_at_read_models(self, ledger: OpenLedger) -> None:
        """Let the follower take in the rest, and hold what it made to a rebuild under the same rules."""
        ledger.catch_up()
        followed = ledger.current_generation()
        anew = rebuild(ledger.database, ledger.archive, followed.rules, facts_anew=True).generation
        same = (followed.position, followed.checksum) == (anew.position, anew.checksum)
        self.lose(anew.position != len(self.digests), f"read models end at {anew.position}")
        self.lose(not same, "read models that followed differ from a rebuild")
