"""Intake: batches are decided as if one by one, recorded exactly once, and survive what goes wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from hashlib import blake2b
from struct import pack
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import example
from hypothesis import given as holding
from hypothesis import strategies as st
from psycopg import Connection
from pydantic import ValidationError

from ledger.aggregates import Case, Command, Decision, Order, Sender, decide
from ledger.aggregates.project import LaunchProject
from ledger.aggregates.scans import CheckIn, CheckOut, Scan
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.shift_acts import AttestShift, VoidShift
from ledger.aggregates.station import OpenStation
from ledger.aggregates.volunteer import RegisterVolunteer
from ledger.intake import intake as intake_module
from ledger.intake import memory
from ledger.intake.answers import Accepted, Answer, Terms
from ledger.intake.intake import Intake
from ledger.intake.memory import Recent
from ledger.intake.prepare import name_digest, prepare
from ledger.names import Position, shift_id_for, shift_stream
from ledger.rejections import Refused, Rejection
from ledger.store.append import Append
from ledger.store.copy_format import command_row, event_row
from ledger.store.database import Database
from ledger.store.mapper import decode, encode
from tests.ledger.decisions import test_decide as given
from tests.support.ledger.helpers import NOW, Memory
from tests.support.ledger.orders import order_of

CHECK_IN = CheckIn(volunteer="V1", station="S1", occurred_at=NOW - 7200, shift=given.SHIFT)
CHECK_OUT = CheckOut(volunteer="V1", station="S1", occurred_at=NOW - 60, shift=given.SHIFT)


def order(command: Command, name: str, by: str = "station:S1") -> Order:
    return order_of(command=command, source="test", id=name, by=by)


@pytest.fixture
def intake(database: Database) -> Intake:
    """An intake of a ledger with one volunteer and one station."""
    intake = Intake(database, clock=lambda: NOW)
    accepted(intake.execute([order(given.V1, "v1"), order(given.STATION, "s1")]))
    return intake


def accepted(answers: Sequence[Answer]) -> list[Accepted]:
    found = [answer for answer in answers if isinstance(answer, Accepted)]
    assert len(found) == len(answers), answers
    return found


def refused(answers: Sequence[Answer]) -> list[Rejection]:
    found = [answer.rejection for answer in answers if isinstance(answer, Refused)]
    assert len(found) == len(answers), answers
    return found


def topics(database: Database) -> list[str]:
    return [event.topic for event in database.log.read(Position(0), 10_000)]


# --- one order, answered once ---------------------------------------------------------------------------------------


def test_an_order_is_recorded_and_answered_with_its_position_and_shift(database: Database, intake: Intake) -> None:
    (answer,) = accepted(intake.execute([order(CHECK_IN, "1")]))
    (stored,) = database.log.read(Position((answer.position or 0) - 1), 1)
    event = decode(stored.topic, stored.state)
    assert (stored.position, stored.version, event.by, event.command) == (3, 1, "station:S1", "test#1")
    assert isinstance(event, ShiftEvent)
    assert answer.shift == event.shift


def test_the_same_order_again_is_answered_as_the_first_time_and_appends_nothing(
    database: Database, intake: Intake
) -> None:
    orders = [order(CHECK_IN, "1"), order(CHECK_OUT, "2")]
    first = accepted(intake.execute(orders))
    again = accepted(intake.execute(orders))
    within = accepted(intake.execute([*orders, *orders]))
    assert [answer.duplicate for answer in first] == [False, False]
    assert again == [answer._replace(duplicate=True) for answer in first]
    assert within == again + again
    assert topics(database)[2:] == ["checked-in.v1", "checked-out.v1"]


def test_an_order_repeated_within_a_batch_is_recorded_once(database: Database, intake: Intake) -> None:
    first, again = accepted(intake.execute([order(CHECK_IN, "1"), order(CHECK_IN, "1")]))
    assert again == first._replace(duplicate=True)
    assert topics(database)[2:] == ["checked-in.v1"]


def test_a_name_used_for_other_content_is_refused(database: Database, intake: Intake) -> None:
    accepted(intake.execute([order(CHECK_IN, "1")]))
    other = CHECK_IN.model_copy(update={"occurred_at": NOW - 1, "volunteer": "nobody"})
    same_fields = CheckOut(volunteer="V1", station="S1", occurred_at=CHECK_IN.occurred_at)
    assert refused(intake.execute([order(other, "1"), order(same_fields, "1")])) == [Rejection.NAME_TAKEN] * 2
    assert refused(intake.execute([order(CHECK_OUT, "2"), order(other, "2")])[1:]) == [Rejection.NAME_TAKEN]
    assert topics(database)[2:] == ["checked-in.v1", "checked-out.v1"]


def test_a_refusal_is_not_remembered(intake: Intake) -> None:
    late = CHECK_IN.model_copy(update={"volunteer": "V2"})
    assert refused(intake.execute([order(late, "1")])) == [Rejection.UNKNOWN_VOLUNTEER]
    accepted(intake.execute([order(given.V2, "v2"), order(late, "1")]))


@pytest.mark.parametrize("again", ["the same process", "another process"])
def test_an_order_that_would_now_be_refused_is_answered_as_the_first_time(
    database: Database, intake: Intake, again: str
) -> None:
    """A volunteer is registered already the second time."""
    orders = [order(given.V2, "v2"), order(CHECK_IN, "1"), order(CHECK_OUT, "2")]
    first = accepted(intake.execute(orders))
    process = intake if again == "the same process" else Intake(database, clock=lambda: NOW)
    assert accepted(process.execute([orders[2]])) == [first[2]._replace(duplicate=True)]
    assert accepted(process.execute(orders)) == [answer._replace(duplicate=True) for answer in first]
    assert database.log.head() == 5


def test_a_taken_name_comes_first_also_where_nobody_remembers_it(database: Database, intake: Intake) -> None:
    accepted(intake.execute([order(CHECK_IN, "1")]))
    unknown = CHECK_IN.model_copy(update={"volunteer": "nobody"})
    another = Intake(database, clock=lambda: NOW)
    new = order(given.V2, "v2")
    assert refused(another.execute([order(unknown, "1"), order(unknown, "9"), new])[:2]) == [
        Rejection.NAME_TAKEN,
        Rejection.UNKNOWN_VOLUNTEER,
    ]
    assert topics(database)[2:] == ["checked-in.v1", "volunteer-registered.v1"]


def test_nothing_is_written_when_all_is_refused(database: Database, intake: Intake) -> None:
    refused(intake.execute([order(given.V1, "again")]))
    assert database.log.head() == 2
    assert intake.execute([]) == []


# --- a batch is decided as if one by one ----------------------------------------------------------------------------


def test_later_orders_of_a_batch_see_the_earlier_ones(intake: Intake) -> None:
    scans = [order(CHECK_IN.model_copy(update={"volunteer": "V2"}), "1"), order(given.V2, "v2")]
    unknown, *rest = intake.execute([*scans, order(scans[0].command, "2"), order(CHECK_OUT, "3")])
    assert refused([unknown]) == [Rejection.UNKNOWN_VOLUNTEER]
    accepted(rest)


WORLD = [one for one in given.WORLD if isinstance(one, Command)]
COMMANDS = [*(command for *_, command in given.REFUSED), *(command for _, command, _ in given.GRANTED), *WORLD]


@pytest.mark.parametrize("seed", range(4))
def test_batches_of_any_size_give_what_deciding_one_by_one_gives(database: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seeded shuffle
    commands = [*WORLD, *chance.choices(COMMANDS, k=400), *chance.choices([CHECK_IN, CHECK_OUT], k=50)]
    memory, intake = Memory(), Intake(database, clock=lambda: NOW)
    expected = [memory.decide(command) for command in commands]
    orders = [
        order(command, str(number), by=f"station:{command.station}" if isinstance(command, Scan) else "person:p1")
        for number, command in enumerate(commands, 1)
    ]
    answers: list[Answer] = []
    while orders:
        size = chance.choice([1, 2, 7, 60])
        answers += intake.execute(orders[:size])
        orders = orders[size:]
    assert [_outcome(answer) for answer in answers] == [
        _outcome(decision) if isinstance(decision, Refused) else None for decision in expected
    ]
    recorded = [decode(stored.topic, stored.state) for stored in database.log.read(Position(0), 10_000)]
    assert recorded == [event for decision in expected if not isinstance(decision, Refused) for event in decision]
    for stream_id, events in database.log.read_streams(memory.streams).items():
        assert [event.version for event in events] == list(range(1, len(memory.streams[stream_id]) + 1))


def _outcome(answer: Answer) -> tuple[Rejection, str, str] | None:
    if isinstance(answer, Accepted):
        return None
    return answer.rejection, answer.field, answer.detail


def test_more_orders_than_a_batch_may_hold_are_split(
    database: Database, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "BATCH_ORDERS_MAX", 3)
    answers = accepted(intake.execute([order(CHECK_IN, str(number)) for number in range(10)]))
    assert [answer.position for answer in answers] == list(range(3, 13))
    with database.pool.connection() as connection:
        query = "SELECT count(DISTINCT xmin::text) FROM ledger.stored_events WHERE notification_id > 2"
        assert connection.execute(query).fetchone() == (4,)


def test_several_writers_record_each_order_once_and_in_one_order(database: Database, intake: Intake) -> None:
    orders = [order(CHECK_IN, str(number)) for number in range(200)]
    with ThreadPoolExecutor(4) as executor:
        answers = list(executor.map(intake.execute, [orders[:150], orders[50:], orders[::-1], orders]))
    position_of: dict[str, set[int]] = {}
    for names, batch in zip([orders[:150], orders[50:], orders[::-1], orders], answers, strict=True):
        for one, answer in zip(names, accepted(batch), strict=True):
            position_of.setdefault(one.name, set()).add(answer.position or 0)
    assert sorted(position for positions in position_of.values() for position in positions) == list(range(3, 203))
    assert database.log.head() == 202


# --- the clock ------------------------------------------------------------------------------------------------------


def test_recorded_at_never_goes_back_when_the_clock_does(database: Database) -> None:
    clock = iter([NOW, NOW - 600, NOW + 5, NOW - 1])
    intake = Intake(database, clock=lambda: next(clock))
    for number in range(4):
        volunteer = RegisterVolunteer(volunteer=f"V{number}", registered_on=date(2018, 1, 1))
        accepted(intake.execute([order(volunteer, str(number))]))
    recorded = [decode(event.topic, event.state).recorded_at for event in database.log.read(Position(0), 9)]
    assert recorded == [NOW, NOW, NOW + 5, NOW + 5]


# --- what goes wrong ------------------------------------------------------------------------------------------------


Decide = Callable[[CheckIn, Case], Decision]


def _failing_on(bad: set[str], decide: Decide) -> Decide:
    def patched(command: CheckIn, case: Case) -> Decision:
        if case.order.id in bad:
            raise ZeroDivisionError(case.order.id)
        return decide(command, case)

    return patched


@pytest.mark.parametrize("bad", ["0", "4", "9", "237"])
def test_one_bad_order_of_a_batch_fails_alone(
    database: Database,
    intake: Intake,
    bad: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(CheckIn, "decide", _failing_on(set(bad), CheckIn.decide))
    late = CHECK_IN.model_copy(update={"occurred_at": NOW + 7200})
    orders = [order(late if str(number) in bad else CHECK_IN, str(number)) for number in range(10)]
    answers = intake.execute(orders)
    failed = [one for one, answer in zip(orders, answers, strict=True) if isinstance(answer, Refused)]
    assert {one.id for one in failed} == set(bad)
    assert refused([answer for answer in answers if isinstance(answer, Refused)]) == [Rejection.FAILED] * len(bad)
    assert database.log.head() == 2 + 10 - len(bad)
    told = {vars(record)["fields"]["command"] for record in caplog.records}
    assert told == {name_digest(f"station:S1 test#{name}").hex() for name in bad}
    monkeypatch.undo()
    assert refused([answer for answer in intake.execute(orders) if isinstance(answer, Refused)]) == (
        [Rejection.FUTURE] * len(bad)
    )


Last = Callable[[Connection[Any]], None]


@pytest.fixture
def at_the_end(monkeypatch: pytest.MonkeyPatch) -> Callable[[Last], None]:
    """Do something, once, when a transaction has written all it has to write and is about to commit."""

    def arrange(act: Last) -> None:
        acts = iter([act])

        def notify(append: Append, head: Position) -> None:
            usual(append, head)
            for one in acts:
                one(append.connection)

        usual = Append.notify
        monkeypatch.setattr(Append, "notify", notify)

    return arrange


def _terminate(connection: Connection[Any], database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))


def test_a_connection_lost_before_the_commit_costs_nothing(
    database: Database, intake: Intake, at_the_end: Callable[[Last], None]
) -> None:
    at_the_end(lambda connection: _terminate(connection, database))
    answers = accepted(intake.execute([order(CHECK_IN, "1"), order(CHECK_OUT, "2")]))
    assert [(answer.position, answer.duplicate) for answer in answers] == [(3, False), (4, False)]
    assert topics(database)[2:] == ["checked-in.v1", "checked-out.v1"]


def test_a_connection_lost_after_the_commit_is_answered_from_the_log(
    database: Database, intake: Intake, at_the_end: Callable[[Last], None]
) -> None:
    def commit_then_die(connection: Connection[Any]) -> None:
        connection.execute("COMMIT")
        _terminate(connection, database)

    at_the_end(commit_then_die)
    answers = accepted(intake.execute([order(CHECK_IN, "1"), order(CHECK_OUT, "2")]))
    assert [(answer.position, answer.duplicate) for answer in answers] == [(3, True), (4, True)]
    assert answers[0].shift == answers[1].shift
    assert topics(database)[2:] == ["checked-in.v1", "checked-out.v1"]


def test_a_database_that_stays_away_is_an_error_and_not_an_answer(
    database: Database, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(append: Append, _: Position) -> None:
        _terminate(append.connection, database)

    monkeypatch.setattr(Append, "notify", die)
    with pytest.raises(psycopg.OperationalError):
        intake.execute([order(CHECK_IN, "1"), order(CHECK_OUT, "2")])
    assert database.log.head() == 2


# --- texts ----------------------------------------------------------------------------------------------------------


def test_a_free_text_is_kept_apart_from_its_event(database: Database, intake: Intake) -> None:
    (begun,) = accepted(intake.execute([order(CHECK_IN, "1")]))
    assert begun.shift
    void = VoidShift(volunteer="V1", shift=begun.shift, reason="test-scan", text="his mother is ill")
    accepted(intake.execute([order(void, "2"), order(void, "2")]))
    assert refused(intake.execute([order(void, "3")])) == [Rejection.ALREADY_VOID]
    with database.pool.connection() as connection:
        texts = connection.execute("SELECT text, volunteer FROM ledger.texts").fetchall()
    assert texts == [("his mother is ill", "V1")]
    assert b"mother" not in database.log.read(Position(3), 1)[0].state


# --- terms ----------------------------------------------------------------------------------------------------------

ATOMIC, DRY_RUN = Terms(atomic=True), Terms(dry_run=True)
UNKNOWN = CheckIn(volunteer="V9", station="S1", occurred_at=NOW - 7200)


def test_an_atomic_submission_is_recorded_whole_or_not_at_all(database: Database, intake: Intake) -> None:
    answers = intake.execute([order(given.V1, "v1"), order(CHECK_IN, "1"), order(UNKNOWN, "2")], ATOMIC)
    assert isinstance(answers[0], Accepted)
    assert (answers[0].duplicate, answers[0].position) == (True, 1)
    assert refused(answers[1:]) == [Rejection.NOT_ALONE, Rejection.UNKNOWN_VOLUNTEER]
    assert database.log.head() == 2
    whole = accepted(intake.execute([order(CHECK_IN, "1"), order(CHECK_OUT, "2")], ATOMIC))
    assert [answer.position for answer in whole] == [3, 4]
    assert database.log.head() == 4


def test_a_dry_run_answers_what_would_be_and_records_nothing(database: Database, intake: Intake) -> None:
    orders = [order(CHECK_IN, "1"), order(CHECK_IN, "1"), order(CHECK_OUT, "2"), order(UNKNOWN, "3")]
    foreseen = intake.execute([*orders, order(given.V1, "v1")], DRY_RUN)
    assert database.log.head() == 2
    real = intake.execute([*orders, order(given.V1, "v1")])
    assert [answer.position for answer in accepted(foreseen[:3])] == [None, None, None]
    assert [answer._replace(position=None) for answer in accepted(real[:3])] == foreseen[:3]
    assert foreseen[3:] == real[3:]


def test_a_dry_run_of_an_atomic_submission_answers_what_that_would_answer(database: Database, intake: Intake) -> None:
    orders = [order(given.V1, "v1"), order(CHECK_IN, "1"), order(UNKNOWN, "2")]
    foreseen = intake.execute(orders, Terms(atomic=True, dry_run=True))
    assert refused(foreseen[1:]) == [Rejection.NOT_ALONE, Rejection.UNKNOWN_VOLUNTEER]
    assert foreseen == intake.execute(orders, ATOMIC)
    assert database.log.head() == 2


@pytest.mark.parametrize("terms", [ATOMIC, DRY_RUN])
def test_what_goes_wrong_on_terms_writes_nothing(
    database: Database, intake: Intake, monkeypatch: pytest.MonkeyPatch, terms: Terms
) -> None:
    def bug(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(CheckOut, "decide", bug)
    answers = intake.execute([order(CHECK_IN, "1"), order(CHECK_OUT, "2")], terms)
    assert refused(answers) == [Rejection.FAILED] * 2
    assert database.log.head() == 2


def test_terms_are_for_what_is_executed_together(intake: Intake) -> None:
    with pytest.raises(ValueError, match="1001 orders are more than the 1000"):
        intake.execute([order(CHECK_IN, str(number)) for number in range(1001)], ATOMIC)


# --- what is stored of a scan ---------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,31}", fullmatch=True)
SHIFTS = st.one_of(st.uuids(), st.integers(NOW - 10**8, NOW).map(lambda at: shift_id_for(at, str(at))))
SCANS = st.builds(
    Order,
    command=st.one_of(
        st.builds(
            CheckIn,
            volunteer=NAMES,
            station=NAMES,
            occurred_at=st.integers(1_000_000_000, NOW),
            shift=st.none() | SHIFTS,
            project=st.none() | NAMES,
        ),
        st.builds(CheckOut, volunteer=NAMES, station=NAMES, occurred_at=st.integers(1_000_000_000, NOW), shift=SHIFTS),
    ),
    source=st.from_regex(r"[!#$-\[\]-~]{1,120}", fullmatch=True).filter(lambda text: "#" not in text),
    id=st.from_regex(r"[!#-\[\]-~]{1,120}", fullmatch=True),
    by=st.sampled_from(["station:S1", "person:p-1", "system:import"]),
    imported=st.booleans(),
    key=st.none() | st.integers(1, (1 << 31) - 1),
)


LONG = "a" * 32
LONGEST = order_of(
    command=CheckIn(volunteer=LONG, station=LONG, occurred_at=NOW, shift=UUID(int=1), project=LONG),
    source="s" * 120,
    id="i" * 120,
    by=f"station:{'b' * 48}",
    imported=True,
    key=(1 << 31) - 1,
)


def json_of(fields: dict[str, object]) -> bytes:
    """Return fields as JSON without spaces; those that say nothing are left out."""
    said = {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items() if value}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def digest_of(said: bytes) -> bytes:
    return blake2b(said, digest_size=16).digest()


@holding(one=SCANS)
@example(LONGEST)
def test_a_scan_is_stored_as_json_of_its_fields_in_order_without_defaults(one: Order) -> None:
    streams = Memory()
    command = one.command
    assert isinstance(command, CheckIn | CheckOut)
    streams.given(RegisterVolunteer(volunteer=command.volunteer, registered_on=date(2018, 1, 1)))
    streams.given(OpenStation(station=command.station, kind="city"))
    project = command.project if isinstance(command, CheckIn) else None
    if project:
        streams.given(LaunchProject(project=project, content="x"))
    decision = decide(Case(one, streams, NOW))
    assert not isinstance(decision, Refused)
    (event,) = decision
    assert isinstance(event, ShiftEvent)
    shift = command.shift or shift_id_for(command.occurred_at, f"{one.source}#{one.id}")
    state = json_of(
        {
            "occurred_at": command.occurred_at,
            "recorded_at": NOW,
            "by": one.by,
            "command": f"{one.source}#{one.id}",
            "imported": one.imported,
            "key": one.key,
            "volunteer": command.volunteer,
            "shift": shift,
            "station": command.station,
            "direction": None if command.shift else "in" if isinstance(command, CheckIn) else "out",
            "project": project,
            "evidence": None if one.by.startswith("station:") else "typed",
        }
    )
    topic = "checked-in.v1" if isinstance(command, CheckIn) else "checked-out.v1"
    topic = topic if command.shift else "punched.v1"
    assert encode(event) == (topic, state)
    prepared = prepare(one)
    stream = shift_stream(command.volunteer, shift)
    assert event.stream_id == stream
    assert event.stream_key == prepared.shift == stream.bytes
    assert event_row(stream.bytes, 1, topic, state, 42) == b"".join(
        (
            pack(">hi16siq", 5, 16, stream.bytes, 8, 1),
            pack(">i", len(topic)) + topic.encode(),
            pack(">i", len(state)) + state,
            pack(">iq", 8, 42),
        )
    )
    said = {
        "volunteer": command.volunteer,
        "station": command.station,
        "occurred_at": command.occurred_at,
        "shift": command.shift,
        "project": project,
    }
    assert prepared.name == digest_of(f"{one.by} {one.source}#{one.id}".encode())
    assert prepared.former_name == digest_of(f"{one.source}#{one.id}".encode())
    assert prepared.content == digest_of(command.TYPE.encode() + b" " + json_of(said))
    names = pack(">hi16si16siq", 3, 16, prepared.name, 16, prepared.content, 8, 42)
    assert command_row(prepared.name, prepared.content, 42) == names


QUOTED = 'say-"when"'


def test_a_name_that_json_escapes_is_one_name(database: Database, intake: Intake) -> None:
    """Whoever gives it is answered as others are, and it is stored as JSON writes it."""
    one = order_of(CHECK_IN, source=QUOTED, id='"1"', by="station:S1")
    (first,) = accepted(intake.execute([one]))
    assert accepted(intake.execute([one])) == [first._replace(duplicate=True)]
    (stored,) = database.log.read(Position(2), 1)
    assert b'"command":"say-\\"when\\"#\\"1\\""' in stored.state
    assert decode(stored.topic, stored.state).command == f'{QUOTED}#"1"'


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "a#b"),
        ("source", ""),
        ("id", "a b"),
        ("id", "x" * 121),
        ("by", "nobody"),
        ("by", "person:13800138000"),
    ],
)
def test_an_envelope_from_outside_is_checked(field: str, value: str) -> None:
    envelope = {"source": "s", "id": "1", "by": "person:p", field: value}
    with pytest.raises(ValidationError, match=field):
        Sender.of_operator(envelope["by"]).order(CHECK_IN, source=envelope["source"], id=envelope["id"], imported=False)


# --- what is remembered ---------------------------------------------------------------------------------------------


def test_another_process_that_wrote_meanwhile_is_noticed(database: Database, intake: Intake) -> None:
    """Each has learned of the shift's stream what the other then makes untrue."""
    other = Intake(database, clock=lambda: NOW)
    shift = UUID(int=7)
    said = {"volunteer": "V1", "station": "S1", "shift": shift}
    accepted(intake.execute([order(CheckIn(**said, occurred_at=NOW - 7200), "1")]))
    accepted(other.execute([order(CheckOut(**said, occurred_at=NOW - 60), "2")]))
    accepted(intake.execute([order(CheckOut(**said, occurred_at=NOW - 50), "3"), order(CHECK_IN, "4")]))
    accepted(other.execute([order(CheckIn(**said, occurred_at=NOW - 7100), "5")]))
    (stream,) = database.log.read_streams([shift_stream("V1", shift)]).values()
    assert [event.version for event in stream] == [1, 2, 3, 4]
    assert [event.position for event in stream] == [3, 4, 5, 7]
    again = accepted(intake.execute([order(CheckOut(**said, occurred_at=NOW - 60), "2")]))
    assert (again[0].duplicate, again[0].position) == (True, 4)


def test_old_orders_sent_again_are_answered_as_the_first_time_by_a_new_process(
    database: Database, intake: Intake
) -> None:
    orders = [order(CHECK_IN, str(number)) for number in range(6)]
    first = accepted(intake.execute(orders[:4]))
    restarted = Intake(database, clock=lambda: NOW)
    for _ in range(2):
        again = accepted(restarted.execute(orders[:4]))
        assert [(answer.position, answer.shift, answer.duplicate) for answer in again] == [
            (answer.position, answer.shift, True) for answer in first
        ]
    mixed = accepted(Intake(database, clock=lambda: NOW).execute(orders))
    assert [answer.duplicate for answer in mixed] == [True] * 4 + [False] * 2
    assert refused(restarted.execute([order(CHECK_OUT, "0")])) == [Rejection.NAME_TAKEN]
    assert database.log.head() == 2 + 6


def test_old_orders_that_would_now_be_refused_are_answered_as_the_first_time_by_a_new_process(
    database: Database, intake: Intake
) -> None:
    """A registration is there: to register again is refused, but to send the same order again is no new one."""
    attested = AttestShift(volunteer="V1", station="S1", check_in=NOW - 9000, check_out=NOW - 8000, evidence="list")
    first = [order(given.V2, "v2"), order(OpenStation(station="S2", kind="city"), "s2"), order(attested, "attested")]
    told = accepted(intake.execute(first))
    events = len(topics(database))
    other = Intake(database, clock=lambda: NOW)
    assert other.execute(first[:1]) == [told[0]._replace(duplicate=True)]
    other = Intake(database, clock=lambda: NOW)
    new = order(CHECK_IN, "new")
    strange = order(given.V2, "another-name")
    changed = order(given.V1, "s2")
    answers = other.execute([first[2], new, first[0], strange, changed, first[1]])
    assert [answers[place] for place in (0, 2, 5)] == [told[place]._replace(duplicate=True) for place in (2, 0, 1)]
    assert refused(answers[3:5]) == [Rejection.ALREADY_REGISTERED, Rejection.NAME_TAKEN]
    assert not accepted(answers[1:2])[0].duplicate
    assert len(topics(database)) == events + 1


def test_an_atomic_submission_sent_again_to_a_new_process_is_no_refusal(database: Database, intake: Intake) -> None:
    orders = [order(given.V2, "v2"), order(CHECK_IN, "in")]
    told = accepted(intake.execute(orders, Terms(atomic=True)))
    more = [*orders, order(OpenStation(station="S2", kind="city"), "s2")]
    *again, new = accepted(Intake(database, clock=lambda: NOW).execute(more, Terms(atomic=True)))
    assert again == [answer._replace(duplicate=True) for answer in told]
    assert not new.duplicate


def test_what_was_rolled_back_is_not_remembered(database: Database, intake: Intake) -> None:
    for terms in (DRY_RUN, ATOMIC):
        intake.execute([order(CHECK_IN, "1"), order(UNKNOWN, "2")], terms)
    (answer,) = accepted(intake.execute([order(CHECK_IN, "1")]))
    assert (answer.duplicate, answer.position, database.log.head()) == (False, 3, 3)


def test_memory_forgets_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "YOUNG_MAX", 2)
    recent: Recent[int] = Recent()
    for number in range(1, 6):
        recent.update({bytes([number]): number})
    assert [recent.get(bytes([number])) for number in range(1, 6)] == [None, None, 3, 4, 5]
    recent.clear()
    assert recent.get(bytes([5])) is None
