"""Cases: disputes and requests, read from the log's own streams as known at any position.

They are few compared with scans, so they have no table: an index of the log finds their openings
(`ledger/store/log_queries.py`), and the rest is read from the stream of each. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from ledger.aggregates import Event
from ledger.aggregates.request import ActApproved, ActDeclined, ActRequested, ActWithdrawn, RequestEvent
from ledger.aggregates.shift import DisputeAnswered, DisputeSettled, Shift, ShiftDisputed
from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries, RecordedEvent
from ledger.store.mapper import decode
from ledger.store.persons import Persons
from replay.progress import checkpoint
from replay.records.act_words import shift_command, stream_of, words_of_request
from replay.records.case_answers import ActRequest, CaseStep, Dispute, DisputeState, RequestState
from replay.records.paired_ends import EndOf, no_end, with_end

PAGE = 500
"""How many openings are read at once."""

STATES_OF_REQUESTS: dict[type[Event], RequestState] = {
    ActApproved: "approved",
    ActDeclined: "declined",
    ActWithdrawn: "withdrawn",
}
T = TypeVar("T", Dispute, ActRequest)
History = list[tuple[Position, Event]]
"""A stream: positions and events, in log order."""


@dataclass(frozen=True)
class CaseReader:
    """Reads cases as known at a position.

    `zone`: the ledger's; `persons`: the free texts, None to hide them; `end_of`: the check-outs that rules pair.
    """

    log: LogQueries
    known_at: Position
    zone: str
    persons: Persons | None = None
    end_of: EndOf = no_end

    def step(self, position: Position, event: Event, texts: Mapping[str, str]) -> CaseStep:
        """Return an event as a step of a case."""
        return CaseStep(
            position=position,
            at=self.local(event.occurred_at),
            by=event.by,
            reason=getattr(event, "reason", None),
            text=texts.get(getattr(event, "note", None) or ""),
        )

    def local(self, instant: int) -> datetime:
        """Return epoch seconds as local time in the ledger's time zone."""
        return datetime.fromtimestamp(instant, UTC).astimezone(ZoneInfo(self.zone))

    def texts(self, events: Iterable[Event]) -> dict[str, str]:
        """Return the free texts of events by note, if the reader may see them."""
        if self.persons is None:
            return {}
        return self.persons.texts({note for event in events if (note := getattr(event, "note", None))})

    def histories(self, streams: Iterable[UUID]) -> dict[UUID, History]:
        """Return streams as known at the position."""
        found = self.log.read_streams(list(streams), until=self.known_at)
        return {
            stream: [(recorded.position, decode(recorded.topic, recorded.state)) for recorded in history]
            for stream, history in found.items()
        }


class DisputeFilter(NamedTuple):
    """A filter of disputes; None matches all. `today`: the day that due dates are compared with."""

    today: date
    state: DisputeState | None = None
    overdue: bool | None = None
    station: str | None = None
    volunteer: str | None = None


class RequestFilter(NamedTuple):
    """A filter of requests; None matches all."""

    state: RequestState | None = None
    act: str | None = None
    volunteer: str | None = None


def read_disputes(reader: CaseReader, query: DisputeFilter, after: int, limit: int) -> tuple[list[Dispute], int | None]:
    """Return disputes opened after a position, and the `after` of the next page if there is one."""
    unsettled = query.state in {"open", "answered"} or query.overdue is True
    ends = [DisputeSettled.TOPIC] if unsettled else None

    def disputes_of(opening: RecordedEvent, history: History, texts: Mapping[str, str]) -> Dispute | None:
        found = _dispute(reader, opening.position, history, texts, query.today)
        return found if found and _matches(found, query) else None

    return _pages(reader, ShiftDisputed.TOPIC, ends, after, limit, disputes_of)


def _matches(found: Dispute, query: DisputeFilter) -> bool:
    conditions = {"state": query.state, "station": query.station, "volunteer": query.volunteer}
    if any(value is not None and getattr(found, name) != value for name, value in conditions.items()):
        return False
    return query.overdue is None or (found.overdue is not None) == query.overdue


def _dispute(
    reader: CaseReader, position: Position, history: History, texts: Mapping[str, str], today: date
) -> Dispute | None:
    """Return the dispute that an event opened; None if another was already open, which the event then continues."""
    before = [event for at, event in history if at < position]
    opened = next(event for at, event in history if at == position)
    if not isinstance(opened, ShiftDisputed) or Shift.of(before).disputed:
        return None
    additions: list[CaseStep] = []
    answered: CaseStep | None = None
    settled: tuple[CaseStep, DisputeSettled] | None = None
    for at, event in history:
        if at > position and settled is None:
            if isinstance(event, DisputeAnswered) and answered is None:
                answered = reader.step(at, event, texts)
            elif isinstance(event, ShiftDisputed):
                additions.append(reader.step(at, event, texts))
            elif isinstance(event, DisputeSettled):
                settled = reader.step(at, event, texts), event
    return Dispute(
        volunteer=opened.volunteer,
        shift=opened.shift,
        version=len(history),
        station=Shift.of(event for _, event in history).station,
        state="settled" if settled else "answered" if answered else "open",
        opened=reader.step(position, opened, texts),
        additions=additions,
        answer_due=opened.answer_due,
        settle_due=opened.settle_due,
        overdue=None if settled else _overdue(opened, today, is_answered=answered is not None),
        answered=answered,
        settled=settled[0] if settled else None,
        outcome=settled[1].outcome if settled else None,
    )


def open_dispute(reader: CaseReader, history: History, texts: Mapping[str, str], today: date) -> Dispute | None:
    """Return the dispute about a shift that is not settled, from the shift's stream; None if there is none."""
    found = (_dispute(reader, at, history, texts, today) for at, event in history if isinstance(event, ShiftDisputed))
    return next((dispute for dispute in found if dispute and dispute.state != "settled"), None)


def _overdue(opened: ShiftDisputed, today: date, *, is_answered: bool) -> str | None:
    if opened.settle_due and today > opened.settle_due:
        return "settlement"
    return "answer" if opened.answer_due and today > opened.answer_due and not is_answered else None


def read_requests(
    reader: CaseReader, query: RequestFilter, after: int, limit: int
) -> tuple[list[ActRequest], int | None]:
    """Return requests made after a position, and the `after` of the next page if there is one."""
    ends = [event.TOPIC for event in STATES_OF_REQUESTS] if query.state == "open" else None

    def request_of(_opening: RecordedEvent, history: History, texts: Mapping[str, str]) -> ActRequest | None:
        found = _request(reader, history, texts)
        conditions = query._asdict().items()
        return found if all(value is None or getattr(found, name) == value for name, value in conditions) else None

    found, next_after = _pages(reader, ActRequested.TOPIC, ends, after, limit, request_of)
    return _explained(reader, found), next_after


def _explained(reader: CaseReader, requests: list[ActRequest]) -> list[ActRequest]:
    """Return requests with what their acts change, as the records were when they were requested."""
    zone, openings = ZoneInfo(reader.zone), {}
    for history in reader.histories({stream("request", request.request) for request in requests}).values():
        for position, event in history[:1]:
            if isinstance(event, ActRequested):
                openings[event.request] = position, event, stream_of(event)
    shifts = reader.histories({about for _, _, about in openings.values() if about})
    result = []
    for request in requests:
        position, event, about = openings[request.request]
        earlier = [(at, each) for at, each in shifts.get(about, []) if at < position] if about else []
        shift = Shift.of([each for _, each in earlier])
        command = shift_command(event.requested_command())
        if about and command and command.shift:
            # A void shift is not paired: the check-out is the one that it had when it was voided.
            known = next((at - 1 for at, each in earlier if each is shift.void), position)
            paired = with_end(
                replace(shift, void=None), command.volunteer, command.shift, Position(known), reader.end_of
            )
            shift = replace(shift, ends=paired.ends)
        result.append(request.model_copy(update=words_of_request(event, shift, zone)._asdict()))
    return result


def requests_of(reader: CaseReader, histories: Iterable[History]) -> list[ActRequest]:
    """Return the requests among some streams, in the order in which they were made, without free texts."""
    found = [_request(reader, history, {}) for history in histories if isinstance(history[0][1], ActRequested)]
    return _explained(reader, sorted(found, key=lambda request: request.asked.position))


def _request(reader: CaseReader, history: History, texts: Mapping[str, str]) -> ActRequest:
    (position, opening), *rest = history
    if not isinstance(opening, ActRequested):
        raise TypeError(f"the request at position {position} begins with {opening.TOPIC}")
    decided = next(((at, event) for at, event in rest if isinstance(event, RequestEvent)), None)
    return ActRequest(
        request=opening.request,
        version=len(history),
        record_version=opening.record_version,
        volunteer=opening.volunteer,
        act=opening.act,
        fields=opening.fields,
        state=STATES_OF_REQUESTS[type(decided[1])] if decided else "open",
        asked=reader.step(position, opening, texts),
        decided=reader.step(*decided, texts) if decided else None,
    )


def _pages(
    reader: CaseReader,
    opens: str,
    ends: list[str] | None,
    after: int,
    limit: int,
    case_of: Callable[[RecordedEvent, History, Mapping[str, str]], T | None],
) -> tuple[list[T], int | None]:
    """Return the cases that `case_of` accepts, at most `limit`, and the position of the last if there are more."""
    found: list[tuple[int, T]] = []
    while openings := reader.log.openings(opens, Position(after), reader.known_at, PAGE, ends):
        checkpoint()
        histories = reader.histories({opening.stream_id for opening in openings})
        texts = reader.texts(event for history in histories.values() for _, event in history)
        for opening in openings:
            after = opening.position
            if case := case_of(opening, histories[opening.stream_id], texts):
                if len(found) == limit:
                    return [each for _, each in found], found[-1][0]
                found.append((after, case))
    return [each for _, each in found], None
