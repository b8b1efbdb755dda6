"""Cases: disputes and requests, read from the log's own streams as known at any position.

They are few beside scans, so no table is kept of them: an index of the log finds their openings
(`ledger/store/log_queries.py`), and the stream of each tells the rest. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from ledger.aggregates import Event
from ledger.aggregates.request import ActApproved, ActDeclined, ActRequested, ActWithdrawn, RequestEvent
from ledger.aggregates.shift import DisputeAnswered, DisputeSettled, Shift, ShiftDisputed
from ledger.names import Position
from ledger.store.log_queries import LogQueries, RecordedEvent
from ledger.store.mapper import decode
from ledger.store.persons import Persons
from replay.records.case_answers import ActRequest, CaseStep, Dispute, DisputeState, RequestState

PAGE = 500
"""So many openings are looked at together."""

STATES_OF_REQUESTS: dict[type[Event], RequestState] = {
    ActApproved: "approved",
    ActDeclined: "declined",
    ActWithdrawn: "withdrawn",
}
T = TypeVar("T", Dispute, ActRequest)
History = list[tuple[Position, Event]]
"""A stream: positions and events, in order."""


@dataclass(frozen=True)
class CaseReader:
    """Reads cases as known at a position. `zone`: the ledger's; `persons`: where texts are, for who may see them."""

    log: LogQueries
    known_at: Position
    zone: str
    persons: Persons | None = None

    def said(self, position: Position, event: Event, texts: Mapping[str, str]) -> CaseStep:
        """Return a step for people."""
        return CaseStep(
            position=position,
            at=self.local(event.occurred_at),
            by=event.by,
            reason=getattr(event, "reason", None),
            text=texts.get(getattr(event, "note", None) or ""),
        )

    def local(self, instant: int) -> datetime:
        """Return an instant with the ledger's zone."""
        return datetime.fromtimestamp(instant, UTC).astimezone(ZoneInfo(self.zone))

    def texts(self, events: Iterable[Event]) -> dict[str, str]:
        """Return what people wrote about events, where the reader may see it."""
        if self.persons is None:
            return {}
        return self.persons.texts({note for event in events if (note := getattr(event, "note", None))})

    def histories(self, streams: Iterable[UUID]) -> dict[UUID, History]:
        """Return streams as known."""
        found = self.log.read_streams(list(streams), until=self.known_at)
        return {one: [(event.position, decode(event.topic, event.state)) for event in found[one]] for one in found}


class DisputeFilter(NamedTuple):
    """Which disputes; None asks for all. `today`: against which due dates are held."""

    today: date
    state: DisputeState | None = None
    overdue: bool | None = None
    station: str | None = None
    volunteer: str | None = None


class RequestFilter(NamedTuple):
    """Which requests; None asks for all."""

    state: RequestState | None = None
    act: str | None = None
    volunteer: str | None = None


def read_disputes(reader: CaseReader, asked: DisputeFilter, after: int, limit: int) -> tuple[list[Dispute], int | None]:
    """Return disputes opened behind a position, and where to go on if there are more."""
    unsettled = asked.state in {"open", "answered"} or asked.overdue is True
    ends = [DisputeSettled.TOPIC] if unsettled else None

    def disputes_of(opening: RecordedEvent, history: History, texts: Mapping[str, str]) -> Dispute | None:
        found = _dispute(reader, opening.position, history, texts, asked.today)
        return found if found and _matches(found, asked) else None

    return _pages(reader, ShiftDisputed.TOPIC, ends, after, limit, disputes_of)


def _matches(found: Dispute, asked: DisputeFilter) -> bool:
    wanted = {"state": asked.state, "station": asked.station, "volunteer": asked.volunteer}
    if any(value is not None and getattr(found, name) != value for name, value in wanted.items()):
        return False
    return asked.overdue is None or (found.overdue is not None) == asked.overdue


def _dispute(
    reader: CaseReader, position: Position, history: History, texts: Mapping[str, str], today: date
) -> Dispute | None:
    """Return the dispute that an event opened; none if it goes on with one that was open."""
    before = [event for at, event in history if at < position]
    opened = next(event for at, event in history if at == position)
    if not isinstance(opened, ShiftDisputed) or Shift.of(before).disputed:
        return None
    answered: CaseStep | None = None
    settled: tuple[CaseStep, DisputeSettled] | None = None
    for at, event in history:
        if at > position and settled is None:
            if isinstance(event, DisputeAnswered) and answered is None:
                answered = reader.said(at, event, texts)
            elif isinstance(event, DisputeSettled):
                settled = reader.said(at, event, texts), event
    return Dispute(
        volunteer=opened.volunteer,
        shift=opened.shift,
        station=Shift.of(event for _, event in history).station,
        state="settled" if settled else "answered" if answered else "open",
        opened=reader.said(position, opened, texts),
        answer_due=opened.answer_due,
        settle_due=opened.settle_due,
        overdue=None if settled else _overdue(opened, today, is_answered=answered is not None),
        answered=answered,
        settled=settled[0] if settled else None,
        outcome=settled[1].outcome if settled else None,
    )


def _overdue(opened: ShiftDisputed, today: date, *, is_answered: bool) -> str | None:
    if opened.settle_due and today > opened.settle_due:
        return "settlement"
    return "answer" if opened.answer_due and today > opened.answer_due and not is_answered else None


def read_requests(
    reader: CaseReader, asked: RequestFilter, after: int, limit: int
) -> tuple[list[ActRequest], int | None]:
    """Return requests made behind a position, and where to go on if there are more."""
    ends = [event.TOPIC for event in STATES_OF_REQUESTS] if asked.state == "open" else None

    def request_of(_opening: RecordedEvent, history: History, texts: Mapping[str, str]) -> ActRequest | None:
        found = _request(reader, history, texts)
        wanted = asked._asdict()
        return found if all(value is None or getattr(found, name) == value for name, value in wanted.items()) else None

    return _pages(reader, ActRequested.TOPIC, ends, after, limit, request_of)


def requests_of(reader: CaseReader, histories: Iterable[History]) -> list[ActRequest]:
    """Return the requests among some streams, in the order in which they were made; without what people wrote."""
    found = [_request(reader, history, {}) for history in histories if isinstance(history[0][1], ActRequested)]
    return sorted(found, key=lambda request: request.asked.position)


def _request(reader: CaseReader, history: History, texts: Mapping[str, str]) -> ActRequest:
    (position, asked), *rest = history
    if not isinstance(asked, ActRequested):
        raise TypeError(f"the request at position {position} begins with {asked.TOPIC}")
    decided = next(((at, event) for at, event in rest if isinstance(event, RequestEvent)), None)
    return ActRequest(
        request=asked.request,
        volunteer=asked.volunteer,
        act=asked.act,
        fields=asked.fields,
        state=STATES_OF_REQUESTS[type(decided[1])] if decided else "open",
        asked=reader.said(position, asked, texts),
        decided=reader.said(*decided, texts) if decided else None,
    )


def _pages(
    reader: CaseReader,
    opens: str,
    ends: list[str] | None,
    after: int,
    limit: int,
    case_of: Callable[[RecordedEvent, History, Mapping[str, str]], T | None],
) -> tuple[list[T], int | None]:
    """Return the cases that are asked for, at most so many, and the position of the last one if there are more."""
    found: list[tuple[int, T]] = []
    while openings := reader.log.openings(opens, Position(after), reader.known_at, PAGE, ends):
        histories = reader.histories({one.stream_id for one in openings})
        texts = reader.texts(event for history in histories.values() for _, event in history)
        for opening in openings:
            after = opening.position
            if case := case_of(opening, histories[opening.stream_id], texts):
                if len(found) == limit:
                    return [one for _, one in found], found[-1][0]
                found.append((after, case))
    return [one for _, one in found], None
