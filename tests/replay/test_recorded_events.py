"""Who recorded what, and when: read from the archive and the log, for whoever looks for anomalies."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from ledger.store.database import Database
from ledger.store.mapper import encode
from projections.anomalies.findings import APPROVED, CORRECTED, ENTERED, RAISED, REINSTATED, SETTLED
from projections.anomalies.recording import delays
from projections.schema import NO_DAY, NONE
from projections.surrogates import Names
from replay.audit.recorded_events import (
    Raises,
    Records,
    actors,
    first_positions,
    read_acts,
    read_early_scans,
    read_records,
)
from tests.support.ledger.helpers import append_rows
from tests.support.oracle.histories import SHANGHAI, history, raise_cap
from tests.support.replay.replaying import append, empty

HISTORY = """\
2018-12-01 09:00 in  V1 U1 #1
2018-12-01 12:00 out V1 U1 #1
2018-12-02 10:00 correct V1 #1 check_out=2018-12-01T11:30
2018-12-03 10:00 attest V1 U1 #2 2018-12-02T09:00 2018-12-02T12:00
2018-12-04 10:00 void V1 #1
2018-12-05 10:00 reinstate V1 #1
2018-12-06 10:00 dispute V1 #1
2018-12-07 10:00 settle V1 #1 upheld
"""


@pytest.fixture
def records(database: Database, tmp_path: Path) -> Records:
    archive = empty(database, tmp_path / "archive")
    events = [*history(HISTORY), raise_cap("V1", date(2018, 12, 8), 600)]
    append(database, events, Counter())
    archive.bring_up_to_date(database)
    return read_records(
        archive,
        database.log.head(),
        len(archive.facts().stations),
        60,
        SHANGHAI,
        read_early_scans(database, database.log.head()),
    )


def test_scans_that_arrive_at_once_are_counted_and_not_kept(records: Records) -> None:
    assert int(records.prompt.sum()) == 2
    assert set(delays(records.events).tolist()) >= {0}
    kept = len(records.events.position)
    assert kept == 7  # a correction, two halves of an entry, a void, a reinstatement, a dispute and its settlement
    assert len(records.raises.position) == 1


def test_what_people_did_is_told_with_who_did_it(database: Database, records: Records) -> None:
    volunteers = np.zeros(2, np.int32)
    acts, names = read_acts(database, records.events, records.raises, volunteers, NO_DAY)
    assert acts.code.tolist() == [CORRECTED, ENTERED, ENTERED, REINSTATED, SETTLED, RAISED]
    assert {names.texts()[actor] for actor in acts.actor.tolist()} == {"person:tester"}
    assert acts.shift.tolist() == [0, 1, 1, 0, 0, NONE]
    assert (np.diff(acts.position) > 0).all()
    early, _ = read_acts(database, records.events, records.raises, volunteers, 0)
    assert RAISED not in early.code.tolist()


def test_whoever_approved_it_did_it_as_well(database: Database, records: Records) -> None:
    settled = history(HISTORY)[-1]
    state = encode(settled)[1].decode()[:-1] + ',"approved_by":"person:second"}'
    head = database.log.head()
    append_rows(database, [(settled.stream_id, 99, settled.TOPIC, state)])
    names = Names()
    who = actors(database, np.array([head, head + 1], np.int64), names)
    assert [names.texts()[number] for number in who.by.tolist()] == ["person:tester"] * 2
    assert who.approved_by.tolist() == [NONE, names.number["person:second"]]
    last = records.events.where(np.array([-1]))
    approved = last._replace(position=np.array([head + 1]))
    nothing = Raises._make(column[:0] for column in records.raises)
    acts, names = read_acts(database, approved, nothing, np.zeros(2, np.int32), NO_DAY)
    assert acts.code.tolist() == [SETTLED, APPROVED]
    assert [names.texts()[number] for number in acts.actor.tolist()] == ["person:tester", "person:second"]
    with pytest.raises(LookupError, match="holds 1 of 2 events that the archive names; run `hours archive verify`"):
        actors(database, np.array([head, head + 9], np.int64), names)


def test_a_shift_s_first_event_is_found_among_those_that_were_kept(records: Records) -> None:
    events = records.events
    first = first_positions(events, np.array([1, 0, 5]))
    assert first.tolist() == [int(events.position[events.shift == shift].min()) for shift in (1, 0)] + [0]
    assert first_positions(events.where(np.empty(0, np.int64)), np.array([1])).tolist() == [0]
