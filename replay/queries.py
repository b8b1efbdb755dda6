"""Queries: the answers to readers, under any three axes of time.

With no axis given they read the current generation's rows. With `known_at` or `rules` a volunteer is computed from
the log's streams, and a whole station or honour by a replay of the archive: the same kernels, so the same numbers.
Nothing here writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from psycopg import Connection, sql

from ledger.codec import decode
from ledger.database import Database
from ledger.events import StationOpened
from ledger.log import RecordedEvent
from ledger.names import Position, shift_stream, stream
from projections.calendar import day_number, day_of_number
from projections.rule_table import honor_ids
from projections.rules import RuleTimeline
from projections.schema import DAY, NO_DAY, ROW
from replay import answers, store
from replay.archive import Archive
from replay.published import Rules, published_rules
from replay.rows import Rows, rows_of
from replay.touched import Circle, Person, in_log_order, kind_of, read_circle, resolve_streams
from replay.traces import shift_day, shift_trace


class UnknownNameError(LookupError):
    """A volunteer, station, honour or shift the ledger does not know (as of the position asked for)."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} is not known to the ledger; check the number")
        self.kind = kind
        self.name = name


@dataclass(frozen=True)
class Axes:
    """The three axes of time. None means: all results, all events, the rules of the current generation."""

    valid_at: date | None = None
    known_at: Position | None = None
    rules: Rules | None = None

    @property
    def valid_until(self) -> int:
        """The last day whose results count, as a day number."""
        return NO_DAY if self.valid_at is None else day_number(self.valid_at)

    @property
    def current(self) -> bool:
        """Whether the current generation's rows answer."""
        return self.known_at is None and self.rules is None


NOW = Axes()


class Queries:
    """Answers from one ledger. `archive` serves what no row can answer."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive

    # --- volunteers -------------------------------------------------------------------------------------------------

    def volunteer_hours(self, volunteer: str, axes: Axes = NOW) -> answers.VolunteerHours:
        """Return a volunteer's hours per year and in all.

        Raises:
            UnknownNameError, store.NoGenerationError
        """
        basis, rules, circle = self._volunteer(volunteer, axes)
        timeline = rules.timeline()
        models = circle.read_models(timeline, axes.valid_until)
        rows = [_hours_row(row[1:]) for row in models.hours.tolist()]
        person = circle.persons[volunteer]
        titles = _titles(timeline)
        ids = honor_ids(timeline)
        opening = person.opening_day <= axes.valid_until and person.opening_day != NO_DAY
        return answers.VolunteerHours(
            **basis,
            volunteer=volunteer,
            registered_on=day_of_number(person.registered) if person.registered != NO_DAY else None,
            opening_balance=answers.OpeningBalance(
                as_of=day_of_number(person.opening_day), minutes=person.opening_minutes
            )
            if opening
            else None,
            total=rows[0] if rows else _hours_row([0] * 7),
            years=rows[1:],
            honors=[
                answers.HonorReached(honor=ids[honor], title=titles[ids[honor]], reached_on=day_of_number(day))
                for _, honor, day in models.standings.tolist()
            ],
        )

    def volunteer_shifts(
        self, volunteer: str, axes: Axes = NOW, first_day: date | None = None, last_day: date | None = None
    ) -> answers.VolunteerShifts:
        """Return a volunteer's shifts with the trace of each, the latest first; those that begin in the period, if
        given.
        """
        basis, rules, circle = self._volunteer(volunteer, axes)
        timeline = rules.timeline()
        tables = circle.tables
        pieces = tables.pieces(volunteer, timeline)
        by_shift: dict[int, list[list[int]]] = {}
        for piece in pieces[pieces[:, DAY] <= axes.valid_until].tolist():
            by_shift.setdefault(int(tables.table.shift[piece[ROW]]), []).append(piece)
        first, last = first_day or date.min, last_day or date.max
        traced = [
            (shift, day, by_shift.get(number, []))
            for number, shift in enumerate(tables.shifts)
            if first <= (day := shift_day(shift, timeline)) <= last and day <= (axes.valid_at or date.max)
        ]
        traced.sort(key=lambda item: (item[0].check_in or item[0].recorded_at, item[0].shift), reverse=True)
        return answers.VolunteerShifts(
            **basis,
            volunteer=volunteer,
            shifts=[shift_trace(shift, pieces, timeline) for shift, _, pieces in traced],
        )

    def shift_events(self, volunteer: str, shift: UUID) -> list[answers.LoggedEvent]:
        """Return the events behind a shift, in log order."""
        events = in_log_order(self._database.log, [shift_stream(volunteer, shift)], Position(2**62))
        if not events:
            raise UnknownNameError("shift", str(shift))
        return [logged_event(event) for event in events]

    def _volunteer(self, volunteer: str, axes: Axes) -> tuple[dict[str, Any], Rules, Circle]:
        with self._connection() as connection:
            generation = self._generation(connection)
            circle = read_circle(connection, [volunteer])
        rules = axes.rules or _rules_of(generation)
        if not axes.current:
            known_at = _known_at(axes, generation)
            rules = axes.rules or published_rules(self._database.log, known_at=known_at)
            circle = self._circle_known_at(volunteer, circle, known_at, rules.timeline())
        if circle.persons[volunteer].registered == NO_DAY:
            raise UnknownNameError("volunteer", volunteer)
        return _basis(axes, rules, generation), rules, circle

    def _circle_known_at(self, volunteer: str, now: Circle, known_at: Position, timeline: RuleTimeline) -> Circle:
        """Read a volunteer from the log's streams, as known at a position."""
        log = self._database.log
        person = Person()
        streams = [stream("volunteer", volunteer), stream("opening-balance", volunteer)]
        for event in in_log_order(log, streams, known_at):
            person.apply(decode(event.topic, event.state))
        shifts = resolve_streams(log, list(now.shifts), known_at)
        circle = Circle({volunteer: person}, shifts, self._kinds_known_at(now, known_at))
        # Raises of the day's cap have a stream per day: those of the days on which there is anything to cap.
        days = sorted({int(day) for day in circle.tables.pieces(volunteer, timeline)[:, DAY]})
        caps = [stream("day-cap", volunteer, day_of_number(day).isoformat()) for day in days]
        for event in in_log_order(log, caps, known_at):
            person.apply(decode(event.topic, event.state))
        return Circle(circle.persons, circle.shifts, circle.kinds)  # its tables know of no raise yet

    def _kinds_known_at(self, now: Circle, known_at: Position) -> dict[str, int]:
        """Return the kinds of the stations where a volunteer served, as known at a position."""
        stations = {shift.station for shift in now.shifts.values() if shift.station}
        streams = [stream("station", station) for station in stations]
        events = [decode(one.topic, one.state) for one in in_log_order(self._database.log, streams, known_at)]
        return {event.station: kind_of(event) for event in events if isinstance(event, StationOpened)}

    # --- stations and honours ---------------------------------------------------------------------------------------

    def stations(self) -> list[str]:
        """Return the stations known, by name."""
        with self._connection() as connection:
            return [row[0] for row in connection.execute("SELECT station FROM replay.stations ORDER BY station")]

    def station_activity(
        self, station: str, first_day: date, last_day: date, axes: Axes = NOW
    ) -> answers.StationActivity:
        """Return a station's days in a period, both ends included, and their sums."""
        last = min(last_day, axes.valid_at or date.max)
        with self._connection() as connection:
            generation = self._generation(connection)
            if not connection.execute("SELECT 1 FROM replay.stations WHERE station = %s", (station,)).fetchone():
                raise UnknownNameError("station", station)
            rules = _rules_of(generation)
            if axes.current:
                statement = sql.SQL(
                    "SELECT day, shifts, volunteers, raw_minutes, counted_minutes, credited_minutes, people_served "
                    "FROM {} WHERE station = %s AND day BETWEEN %s AND %s ORDER BY day"
                ).format(sql.Identifier(generation.schema, "station_activity"))
                found: Sequence[Sequence[Any]] = connection.execute(statement, (station, first_day, last)).fetchall()
            else:
                rules, rows = self._replay(generation, axes)
                found = [
                    (day_of_number(int(day)), *map(int, sums))
                    for name, (day, *sums) in zip(rows.station, rows.stations, strict=True)
                    if name == station and first_day <= day_of_number(int(day)) <= last
                ]
        names = answers.StationDay.model_fields
        station_days = [answers.StationDay(**dict(zip(names, row, strict=True))) for row in found]
        return answers.StationActivity(
            **_basis(axes, rules, generation),
            station=station,
            first_day=first_day,
            last_day=last_day,
            days_open=sum(day.shifts > 0 for day in station_days),
            shifts=sum(day.shifts for day in station_days),
            person_times=sum(day.volunteers for day in station_days),
            raw_minutes=sum(day.raw_minutes for day in station_days),
            counted_minutes=sum(day.counted_minutes for day in station_days),
            credited_minutes=sum(day.credited_minutes for day in station_days),
            people_served=sum(day.people_served for day in station_days),
            days=station_days,
        )

    def standings(
        self, honor: str, today: date, axes: Axes = NOW, limit: int = 100, after: str | None = None
    ) -> answers.Standings:
        """Return who has reached an honour up to `valid_at` (by default `today`), by date and volunteer number.

        Args:
            after: `next_after` of the page before: "date/volunteer".
        """
        upto = axes.valid_at or today
        start = ("0001-01-01", "")
        if after:
            day_text, _, name = after.partition("/")
            start = (date.fromisoformat(day_text).isoformat(), name)
        with self._connection() as connection:
            generation = self._generation(connection)
            if axes.current:
                rules = _rules_of(generation)
                place = sql.Identifier(generation.schema, "honor_standings")
                counted = connection.execute(
                    sql.SQL("SELECT count(*) FROM {} WHERE honor = %s AND reached_on <= %s").format(place),
                    (honor, upto),
                ).fetchone()
                count = counted[0] if counted else 0
                found = connection.execute(
                    sql.SQL(
                        "SELECT volunteer, reached_on FROM {} WHERE honor = %s AND reached_on <= %s "
                        "AND (reached_on, volunteer) > (%s::date, %s) ORDER BY reached_on, volunteer LIMIT %s"
                    ).format(place),
                    (honor, upto, *start, limit),
                ).fetchall()
            else:
                rules, rows = self._replay(generation, axes)
                reached = sorted(
                    (day_of_number(int(day)), name)
                    for name, known, (day,) in zip(
                        rows.standing_volunteer, rows.standing_honor, rows.standings, strict=True
                    )
                    if known == honor and day_of_number(int(day)) <= upto
                )
                count = len(reached)
                found = [(name, day) for day, name in reached if (day.isoformat(), name) > start][:limit]
        titles = _titles(rules.timeline())
        if honor not in titles:
            raise UnknownNameError("honor", honor)
        standings = [answers.Standing(volunteer=name, reached_on=day) for name, day in found]
        return answers.Standings(
            **_basis(axes, rules, generation),
            honor=honor,
            title=titles[honor],
            reached_up_to=upto,
            count=count,
            standings=standings,
            next_after=f"{standings[-1].reached_on}/{standings[-1].volunteer}" if len(standings) == limit else None,
        )

    def honors(self) -> dict[str, str]:
        """Return ids and titles of the honours of the current rules."""
        with self._connection() as connection:
            return _titles(self._generation(connection).timeline())

    def _replay(self, generation: store.Generation, axes: Axes) -> tuple[Rules, Rows]:
        """Replay the archive in memory under other axes: seconds for a whole district."""
        self._archive.bring_up_to_date(self._database)
        known_at = _known_at(axes, generation)
        rules = axes.rules or published_rules(self._database.log, known_at=known_at)
        facts = self._archive.facts(until=known_at)
        timeline = rules.timeline()
        models = facts.read_models(timeline, threads=2, valid_until=axes.valid_until)
        return rules, rows_of(
            models, facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts()
        )

    # --- the log ----------------------------------------------------------------------------------------------------

    def log(self, after: int, limit: int) -> list[answers.LoggedEvent]:
        """Return a page of the log."""
        return [logged_event(event) for event in self._database.log.read(Position(after), limit)]

    def position(self) -> int:
        """Return the position of the read models."""
        with self._connection() as connection:
            return self._generation(connection).position

    # --- for readers in modules of their own (replay/rankings.py, replay/projects.py) ---------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Connection[Any], store.Generation]]:
        """Open one snapshot of the store, with the generation that answers in it."""
        with self._connection() as connection:
            yield connection, self._generation(connection)

    def replayed(self, generation: store.Generation, axes: Axes) -> tuple[Rules, Rows]:
        """Replay the archive in memory: the rules used, and the rows of all read models."""
        return self._replay(generation, axes)

    def basis(self, axes: Axes, rules: Rules, generation: store.Generation) -> answers.Basis:
        """Return what every answer repeats."""
        return answers.Basis(**_basis(axes, rules, generation))

    @contextmanager
    def _connection(self) -> Iterator[Connection[Any]]:
        """Read from one snapshot: an answer rests on one position, whatever the follower commits meanwhile."""
        with self._database.pool.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection

    def _generation(self, connection: Connection[Any]) -> store.Generation:
        generation = store.current_generation(connection)
        if generation is None:
            raise store.NoGenerationError
        return generation


def logged_event(event: RecordedEvent) -> answers.LoggedEvent:
    """Return an event of the log for people: its bytes as JSON."""
    return answers.LoggedEvent(
        position=event.position,
        stream=event.stream_id,
        version=event.version,
        topic=event.topic,
        event=json.loads(event.state),
    )


def _rules_of(generation: store.Generation) -> Rules:
    return Rules(generation.rules_version, generation.rules_digest, generation.rules_text)


def _known_at(axes: Axes, generation: store.Generation) -> Position:
    """Return the position whose knowledge answers: never beyond what the read models have seen."""
    return Position(generation.position if axes.known_at is None else min(generation.position, axes.known_at))


def _basis(axes: Axes, rules: Rules, generation: store.Generation) -> dict[str, Any]:
    return {
        "valid_at": axes.valid_at,
        "known_at": _known_at(axes, generation),
        "rules": answers.RulesUsed(name=rules.timeline().name, version=rules.version, digest=rules.digest),
        "position": generation.position,
    }


def _titles(timeline: RuleTimeline) -> dict[str, str]:
    return {honor.id: honor.title for rule_set in timeline.rule_sets for honor in rule_set.honors}


def _hours_row(row: Sequence[int]) -> answers.HoursRow:
    year, shifts, raw, counted, credited, scanned, attested = row
    return answers.HoursRow(
        year=year or None,
        shifts=shifts,
        raw_minutes=raw,
        counted_minutes=counted,
        credited_minutes=credited,
        scanned_minutes=scanned,
        attested_minutes=attested,
    )
