"""The sources of the worklist that are few: requests, disputes, and undercut awards.

Each yields what waits, as known at a position; who asks for the list, and when, is decided later
(`replay/worklist/worklist.py`). Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from uuid import UUID

import numpy as np

from ledger.aggregates.shift import Shift
from ledger.names import shift_stream
from projections.local_days import local_days
from projections.local_time import day_of_number
from projections.rules.late_entries import entry_deadlines
from projections.rules.timeline import RuleTimeline
from projections.schema import Ints
from replay.awards.reports import Finding
from replay.progress import checkpoint
from replay.records.case_answers import ActRequest, Dispute, DisputeState
from replay.records.cases import CaseReader, DisputeFilter, RequestFilter, read_disputes, read_requests
from replay.worklist.waiting import Waiting

_PAGE = 1000
"""How many cases are read at once."""


# --- requests and disputes ------------------------------------------------------------------------------------------


def open_requests(reader: CaseReader, timeline: RuleTimeline) -> Iterator[Waiting]:
    """Yield the requests without a decision. One to enter a shift is due when the shift has to be recorded."""
    found: list[ActRequest] = []
    after: int | None = 0
    while after is not None:
        checkpoint()
        page, after = read_requests(reader, RequestFilter("open"), after, _PAGE)
        found += page
    stations = _stations_of(reader, found)
    for request in found:
        asked = int(request.asked.at.timestamp())
        yield Waiting(
            "request",
            request.request,
            request.volunteer,
            stations.get(request.request),
            f"a request to {request.act.replace('-', ' ')}",
            since=asked,
            waits_from=asked,
            due=_entry_deadline(request, timeline),
            commands=("approve-act", "decline-act"),
            not_by=request.asked.by,
            request=request.request,
        )


def _stations_of(reader: CaseReader, requests: Iterable[ActRequest]) -> dict[str, str]:
    """Return the station of each request that is about one: the one it names, or that of the shift it names."""
    stations: dict[str, str] = {}
    streams: dict[UUID, list[str]] = {}
    for request in requests:
        station, shift = request.fields.get("station"), request.fields.get("shift")
        if isinstance(station, str):
            stations[request.request] = station
        elif isinstance(shift, str) and request.volunteer:
            streams.setdefault(shift_stream(request.volunteer, UUID(shift)), []).append(request.request)
    for stream, history in reader.histories(streams).items():
        if (station := Shift.of(event for _, event in history).station) is not None:
            stations |= dict.fromkeys(streams[stream], station)
    return stations


def _entry_deadline(request: ActRequest, timeline: RuleTimeline) -> date | None:
    ended = request.fields.get("check_out")
    if request.act != "attest-shift" or ended is None:
        return None
    instant = datetime.fromisoformat(ended).timestamp() if isinstance(ended, str) else ended
    if not isinstance(instant, int | float):
        return None
    days: Ints = local_days(np.array([int(instant)], np.int64), timeline.time_zone)
    return day_of_number(int(entry_deadlines(days, timeline)[0]))


def open_disputes(reader: CaseReader, today: date) -> Iterator[Waiting]:
    """Yield the disputes that are not settled: to be answered, or to be settled."""
    states: tuple[DisputeState, ...] = ("open", "answered")
    for state in states:
        after: int | None = 0
        while after is not None:
            checkpoint()
            page, after = read_disputes(reader, DisputeFilter(today, state), after, _PAGE)
            yield from map(_dispute, page)


def _dispute(dispute: Dispute) -> Waiting:
    answered = dispute.state == "answered"
    opened = int(dispute.opened.at.timestamp())
    due = dispute.settle_due if answered else dispute.answer_due
    return Waiting(
        "dispute",
        f"{dispute.volunteer}/{dispute.shift}",
        dispute.volunteer,
        dispute.station,
        f"a dispute to be {'settled' if answered else 'answered'}",
        since=opened,
        waits_from=opened,
        due=due,
        not_by=dispute.opened.by,
        commands=("settle-dispute",) if answered else ("answer-dispute", "settle-dispute"),
        shift=dispute.shift,
    )


# --- awards ---------------------------------------------------------------------------------------------------------


def undercut_awards(findings: Iterable[Finding]) -> Iterator[Waiting]:
    """Yield the awards that their evidence no longer supports."""
    for finding in findings:
        award = finding.award
        now = {
            "lost": "is no longer reached",
            "later": f"is reached only on {finding.reached_on}",
            "behind": f"is now behind the last place, at rank {finding.rank}",
        }[finding.kind]
        yield Waiting(
            "undercut-award",
            award.award,
            award.volunteer,
            None,
            f"the honour {award.honor}, awarded on {award.awarded_on}, {now}",
            since=award.announced_at,
            waits_from=award.announced_at,
            due=None,
            commands=("revoke-honor",),
            award=award.award,
            project=award.project,
        )
