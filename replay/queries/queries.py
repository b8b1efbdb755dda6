"""Queries: all answers to readers, under any three axes of time.

    replay/axes/as_known.py           the axes, one snapshot per answer, a volunteer as known at a position
    replay/queries/volunteers.py      hours and shifts of a volunteer
    replay/explain/day.py             a volunteer's day, minute by minute
    replay/records/history.py         the acts on a volunteer's record
    replay/records/cases.py           disputes and requests
    replay/queries/district.py        stations and honours
    replay/queries/station_shifts.py  the shifts behind a station's day
    replay/audit/anomalies.py         anomalies for auditors
    replay/audit/spot_checks.py       random samples for auditors

The same kernels answer under all axes, so the numbers agree. Nothing here writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection

from ledger.names import Position, shift_stream, stream_key
from ledger.store.database import Database
from ledger.store.log_queries import RecordedEvent
from ledger.store.persons import Persons
from projections.kernels.facts import Facts
from replay.archive.archive import Archive
from replay.audit.anomalies import AnomalyReader
from replay.audit.spot_checks import SpotChecks
from replay.axes import answers, as_known
from replay.axes.as_known import NOW, Axes, UnknownNameError, basis_of, rules_used, snapshot, titles_of
from replay.cohorts.cohort import in_log_order, read_cohort
from replay.explain import explanations
from replay.explain.day import explain_day, volunteer_days
from replay.generations import store
from replay.generations.named_rows import Rows
from replay.on_demand.organisation_sums import OrganisationSums
from replay.on_demand.replays import Replays
from replay.published import Rules
from replay.queries.district import District
from replay.queries.station_shifts import StationShifts
from replay.queries.volunteers import WHOLE, Period, hours_of, shifts_of
from replay.records import case_answers
from replay.records.awards import AwardBook
from replay.records.cases import CaseReader, DisputeFilter, RequestFilter, read_disputes, read_requests
from replay.records.history import volunteer_acts
from replay.records.paired_ends import paired_ends

__all__ = ["NOW", "WHOLE", "Axes", "Period", "Queries", "UnknownNameError", "logged_event"]


class Queries:
    """Queries of one ledger. `archive` answers what the rows of the current generation cannot."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._replays = Replays(database, archive)
        self._district = District(database, self._replays)
        self._station_shifts = StationShifts(database, self._replays)
        self.awards = AwardBook(database.log)
        """The state of each announced honour (see replay/awards/reports.py)."""
        self.organisation_sums = OrganisationSums(database, self._replays)
        self.anomalies = AnomalyReader(database, archive)
        self.spot_checks = SpotChecks(database, archive)

    # --- volunteers -------------------------------------------------------------------------------------------------

    def volunteer_hours(self, volunteer: str, axes: Axes = NOW) -> answers.VolunteerHours:
        """Return a volunteer's hours per year and in total.

        Raises:
            UnknownNameError, store.NoGenerationError
        """
        known = as_known.read_volunteer(self._database, volunteer, axes)
        log = self._database.log
        balances = {stream_key("opening-balance", name): name for name, _ in known.balances}
        versions = log.versions(balances, until=known.position)
        balance_versions = {name: versions[key] for key, name in balances.items()}
        return hours_of(known, axes, as_known.history_of(log, known), balance_versions)

    def volunteer_shifts(self, volunteer: str, axes: Axes = NOW, period: Period = WHOLE) -> answers.VolunteerShifts:
        """Return a volunteer's shifts that begin in a period, each with its trace, the latest first."""
        return shifts_of(self._database.log, as_known.read_volunteer(self._database, volunteer, axes), axes, period)

    def explanation(self, volunteer: str, day: date, axes: Axes = NOW) -> explanations.DayExplanation:
        """Explain every minute of a volunteer's local day.

        Raises:
            replay.explain.stretches.ExplanationError: the explanation would differ from the numbers it explains.
        """
        known = as_known.read_volunteer(self._database, volunteer, axes)
        return explain_day(self._database.log, known, day, axes)

    def volunteer_days(
        self, volunteer: str, axes: Axes = NOW, limit: int = 100, before: date | None = None
    ) -> explanations.VolunteerDays:
        """Return a summary of each day of service of a volunteer, the latest first."""
        return volunteer_days(as_known.read_volunteer(self._database, volunteer, axes), axes, limit, before)

    def shift_events(
        self, volunteer: str, shift: UUID, until: Position, axes: Axes = NOW
    ) -> tuple[list[answers.LoggedEvent], int]:
        """Return the events behind a shift up to a position, in log order, with those of the punch that ends it.

        Returns:
            The events, and the version of the shift: the number of those in its own stream.
        """
        own = shift_stream(volunteer, shift)
        events = in_log_order(self._database.log, [own], until)
        if not events:
            raise UnknownNameError("shift", str(shift))
        tables = as_known.read_volunteer(self._database, volunteer, axes).tables
        end = tables.partner_of((volunteer, shift)) if (volunteer, shift) in tables.columns else None
        if end is not None:
            events = in_log_order(self._database.log, [own, shift_stream(end.volunteer, end.shift)], until)
        return [logged_event(event) for event in events], sum(event.stream_id == own for event in events)

    def volunteer_history(
        self, volunteer: str, axes: Axes = NOW, after: int = 0, limit: int = 100, *, texts: case_answers.Texts = "all"
    ) -> case_answers.VolunteerHistory:
        """Return every act on a volunteer's record except scans, in log order.

        Args:
            texts: the free texts that the reader may see: all, none, or those of disputes and of the answers to them.
        """
        known = as_known.read_volunteer(self._database, volunteer, axes)
        reader = self._reader(known.position, known.rules, texts=texts != "none")
        acts, next_after = volunteer_acts(reader, known, axes, after, limit, of_disputes_only=texts == "disputes")
        return case_answers.VolunteerHistory(**dict(known.basis), volunteer=volunteer, acts=acts, next_after=next_after)

    # --- disputes and requests --------------------------------------------------------------------------------------

    def disputes(
        self, query: DisputeFilter, axes: Axes = NOW, after: int = 0, limit: int = 100, *, texts: bool = True
    ) -> case_answers.Disputes:
        """Return disputes in the order in which they were opened."""
        basis, rules = self._basis_of_cases(axes)
        reader = self._reader(Position(basis.known_at), rules, texts=texts)
        found, next_after = read_disputes(reader, query, after, limit)
        return case_answers.Disputes(**dict(basis), today=query.today, disputes=found, next_after=next_after)

    def requests(
        self, query: RequestFilter, axes: Axes = NOW, after: int = 0, limit: int = 100, *, texts: bool = True
    ) -> case_answers.ActRequests:
        """Return requests for approval in the order in which they were made."""
        basis, rules = self._basis_of_cases(axes)
        reader = self._reader(Position(basis.known_at), rules, texts=texts)
        found, next_after = read_requests(reader, query, after, limit)
        return case_answers.ActRequests(**dict(basis), requests=found, next_after=next_after)

    def _basis_of_cases(self, axes: Axes) -> tuple[answers.Basis, Rules]:
        with self.snapshot() as (_, generation):
            rules = as_known.rules_used(self._database.log, axes, generation)
            return basis_of(axes, rules, generation), rules

    def _reader(self, known_at: Position, rules: Rules, *, texts: bool) -> CaseReader:
        persons = Persons(self._database.pool) if texts else None
        zone, end_of = rules.timeline().time_zone, paired_ends(self._database, rules)
        return CaseReader(self._database.log, known_at, zone, persons, end_of)

    def shifts_of_punches(self, punches: Sequence[tuple[str, UUID]]) -> dict[UUID, UUID | None]:
        """Return the shift that each punch came to by the rules of the current generation; None if it came to none.

        Args:
            punches: volunteer numbers and ids of punches that the read models include.
        """
        with self.snapshot() as (connection, generation):
            cohort = read_cohort(connection, {volunteer for volunteer, _ in punches})
        tables = cohort.tables.paired(generation.timeline())
        return {punch: tables.shift_of((volunteer, punch)) for volunteer, punch in punches}

    # --- stations and honours ---------------------------------------------------------------------------------------

    def stations(self) -> list[str]:
        """Return the names of all known stations, sorted."""
        return self._district.stations()

    def station_activity(
        self, station: str, first_day: date, last_day: date, axes: Axes = NOW
    ) -> answers.StationActivity:
        """Return a station's days in a period, both ends included, and their sums."""
        return self._district.station_activity(station, first_day, last_day, axes)

    def station_sums(self, first_day: date, last_day: date, axes: Axes = NOW) -> dict[str, answers.StationSums]:
        """Return the sums of each station that has a day in a period, both ends included."""
        return self._district.station_sums(first_day, last_day, axes)

    def station_shifts(
        self, station: str, day: date, axes: Axes = NOW, limit: int = 100, after: str | None = None, days: int = 1
    ) -> answers.StationDayShifts:
        """Return the shifts behind a station's day, or so many days up to it, by volunteer number; no volunteer is
        split between two pages.
        """
        first = day - timedelta(days=days - 1)
        return self._station_shifts.of_days(station, first, day, axes, limit, after)

    def standings(
        self, honor: str, today: date, axes: Axes = NOW, limit: int = 100, after: str | None = None
    ) -> answers.Standings:
        """Return who has reached an honour up to `valid_at` (by default `today`), by date and volunteer number.

        Args:
            after: `next_after` of the page before: "date/volunteer".
        """
        return self._district.standings(honor, today, axes, limit, after)

    def honors(self) -> dict[str, str]:
        """Return ids and titles of the honours of the current rules."""
        with self.snapshot() as (_, generation):
            return titles_of(generation.timeline())

    # --- the log ----------------------------------------------------------------------------------------------------

    def log(self, after: int, limit: int) -> list[answers.LoggedEvent]:
        """Return a page of the log."""
        return [logged_event(event) for event in self._database.log.read(Position(after), limit)]

    def event(self, position: int) -> answers.LoggedEvent:
        """Return the event at a position.

        Raises:
            UnknownNameError: the log holds no such position.
        """
        for event in self._database.log.read(Position(position - 1), 1, Position(position)):
            return logged_event(event)
        raise UnknownNameError("event", str(position))

    def position(self) -> int:
        """Return the position of the read models."""
        with self.snapshot() as (_, generation):
            return generation.position

    # --- for queries in other modules (replay/rankings/rankings.py) -------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Connection[Any], store.Generation]]:
        """Open one snapshot of the store; yield the connection and the current generation."""
        with snapshot(self._database) as opened:
            yield opened

    def basis_and_rules(self, axes: Axes) -> tuple[answers.Basis, Rules]:
        """Return the basis of an answer that needs no read models, and the rules that the axes select."""
        with self.snapshot() as (_, generation):
            rules = rules_used(self._database.log, axes, generation)
            return basis_of(axes, rules, generation), rules

    def replayed(self, generation: store.Generation, axes: Axes) -> tuple[Rules, Rows]:
        """Replay the archive in memory; return the rules used, and the rows of all read models."""
        return self._district.replayed(generation, axes)

    def facts(self, known_at: Position) -> Facts:
        """Return the facts as known at a position. The whole archive is read for that."""
        return self._replays.facts(known_at)

    def person_number(self, volunteer: str, known_at: Position) -> str:
        """Return the person's number of a volunteer number, as known at a position; it holds the rows."""
        return as_known.final_number_known_at(self._database, volunteer, known_at)

    def merged(self, known_at: Position) -> dict[str, str]:
        """Return the person's number of every number that was merged into another, as known at a position."""
        return as_known.merged_known_at(self._database, known_at)

    def basis(self, axes: Axes, rules: Rules, generation: store.Generation) -> answers.Basis:
        """Return the axes and the position that every answer repeats."""
        return basis_of(axes, rules, generation)


def logged_event(event: RecordedEvent) -> answers.LoggedEvent:
    """Return an event of the log as an answer, with its stored bytes parsed as JSON."""
    return answers.LoggedEvent(
        position=event.position,
        stream=event.stream_id,
        version=event.version,
        topic=event.topic,
        event=json.loads(event.state),
    )
