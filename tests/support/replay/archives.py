"""A small ledger with an archive, for tests of growing, checking and copying."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from uuid import UUID

import numpy as np

from ledger.aggregates import Event
from ledger.aggregates.rules import RulesPublished
from ledger.store.database import Database
from projections.kernels.facts import Facts
from projections.rules.timeline import rules_digest
from replay.archive.archive import Archive
from tests.support.oracle.histories import history, make
from tests.support.replay.replaying import append, empty

TEXT = """
2016-03-05 09:00 open U1 city
2018-12-04 09:00 in  V1 U1 #1
2018-12-04 12:00 out V1 U1 #1
2018-12-04 10:00 in  V2 U2 #2
2018-12-05 10:00 correct V1 #1 check_out=2018-12-04T11:30
2018-12-06 09:00 in  V2 U1 #3
2018-12-06 12:00 out V2 U1 #3
2018-12-06 13:00 raise V2 2018-12-04 600 R1
2018-12-07 09:00 in  V3 U1 #4 project=P1
2018-12-07 10:00 in  V1 U1 #5
2018-12-07 11:00 out V1 U1 #5
2018-12-07 12:00 out V3 U1 #4
2018-12-08 09:00 void V2 #3
2018-12-08 10:00 in  V4 U3 #6
2018-12-08 12:00 out V4 U3 #6"""
EVENTS: list[Event] = history(TEXT)


class Growing:
    """A ledger to which a history is written event by event, and its archive."""

    def __init__(self, database: Database, folder: Path, events: list[Event] | None = None) -> None:
        self.database = database
        self.archive = empty(database, folder)
        self.events = EVENTS if events is None else events
        self.written = 0
        self._versions: Counter[UUID] = Counter()

    @property
    def folder(self) -> Path:
        return self.archive.folder

    def write(self, count: int | None = None) -> None:
        """Write the next so many events, or all that are left."""
        end = len(self.events) if count is None else self.written + count
        append(self.database, self.events[self.written : end], self._versions)
        self.written = end

    def another(self) -> Archive:
        """Return the archive as another process opens it."""
        return Archive(self.folder, self.database.log.identity())


def published(text: str, version: int, at: str) -> RulesPublished:
    """Return rules as they are published."""
    return make(RulesPublished, at, version=version, digest=rules_digest(text), text=text)


def assert_same_facts(found: Facts, expected: Facts) -> None:
    for table in ("shifts", "other_events"):
        for name, column in getattr(found, table)._asdict().items():
            np.testing.assert_array_equal(column, getattr(getattr(expected, table), name), err_msg=name)
            assert column.dtype == getattr(getattr(expected, table), name).dtype, name
    for names in ("volunteers", "stations", "projects", "raise_ids"):
        assert getattr(found, names).texts() == getattr(expected, names).texts()
    shifts = np.arange(len(expected.shifts.flags), dtype=np.int32)
    if len(shifts):
        np.testing.assert_array_equal(found.shift_keys(shifts), expected.shift_keys(shifts))
