"""The ledger against a plain one: whatever clients do, in whatever order, both give the same answers and the same log.

Two processes take orders on one database, each with a group commit and a clock of its own. Hypothesis chooses what is
submitted where, which submissions share a batch, when the clocks jump and when a process starts anew. Batches are made
to wait at a gate, so nothing is left to chance; the last test lets real threads race.

`STATEFUL_EXAMPLES=5000` looks for longer, and `STATEFUL_SHRINK=1` makes what was found small, which takes minutes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, count, cycle
from queue import SimpleQueue
from random import Random
from threading import Semaphore
from typing import NamedTuple, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ledger.aggregates import COMMANDS, Command, Order
from ledger.aggregates.scans import CheckIn
from ledger.intake.answers import Accepted, Answer, Terms
from ledger.intake.group_commit import COUNTER_ORDERS_MAX, COUNTERS_SHARE, GroupCommit, QueueFull
from ledger.intake.intake import Intake
from ledger.intake.prepare import Prepared, prepare_all
from ledger.names import shift_id_for
from ledger.store.database import Database
from tests.support.examples import examples
from tests.support.ledger.comparing_logs import assert_same, recorded
from tests.support.ledger.ordering import ACTORS, DAY, HOUR, VOLUNTEERS, orders, scripts
from tests.support.ledger.orders import order_of
from tests.support.ledger.plain_ledger import PlainLedger
from tests.support.ledger.plain_log import PlainAnswer
from tests.support.patience import PATIENCE_SECONDS

NOW = 1_543_888_800  # 2018-12-04T10:00:00+08:00
EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", examples(60)))
STEPS = 40

TOGETHER, QUEUE = 3, 14
"""Orders of a submission on terms of its own, and orders that wait: small, so that a few meet the limit."""

TERMS = (*[Terms()] * 5, Terms(atomic=True), Terms(dry_run=True), Terms(atomic=True, dry_run=True))
JUMPS = (1, 60, 600, 5 * 3600, 86_400, -1, -3600, -86_400)
WAIT_SECONDS = PATIENCE_SECONDS
"""What does not come in that time never comes."""

pytestmark = pytest.mark.slow


class Gate:
    """An intake whose batches wait until they are let through, one at a time."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._let_through = Semaphore(0)
        self.came: SimpleQueue[tuple[Sequence[Prepared], Terms]] = SimpleQueue()
        self.gave: SimpleQueue[list[Answer] | Exception] = SimpleQueue()

    def execute_prepared(self, prepared: Sequence[Prepared], terms: Terms) -> list[Answer]:
        self.came.put((prepared, terms))
        assert self._let_through.acquire(timeout=WAIT_SECONDS)
        try:
            answers = self._intake.execute_prepared(prepared, terms)
        except Exception as error:
            self.gave.put(error)
            raise
        self.gave.put(answers)
        return answers

    def give_up(self) -> None:
        """Let everything through: a test has failed, and threads must end."""
        for _ in range(1000):
            self._let_through.release()

    def let_through(self) -> list[Answer]:
        self._let_through.release()
        answers = self.gave.get(timeout=WAIT_SECONDS)
        if isinstance(answers, Exception):
            raise answers
        return answers


class Submission(NamedTuple):
    """What a client submitted."""

    orders: list[Order]
    terms: Terms
    future: Future[list[Answer]]


class Process:
    """A process that takes orders, and what waits there: batches are expected as the queue makes them."""

    def __init__(self, database: Database) -> None:
        self.clock = NOW
        self.small: deque[Submission] = deque()
        self.large: deque[Submission] = deque()
        self.deferred = False
        self.under_way: list[Submission] = []
        self.gate = Gate(Intake(database, clock=lambda: self.clock))
        self.group = GroupCommit(cast("Intake", self.gate), queue_orders_max=QUEUE)

    def submit(self, submitted: list[Order], terms: Terms) -> None:
        is_small = len(submitted) <= COUNTER_ORDERS_MAX and terms == Terms()
        room = QUEUE if is_small else QUEUE - QUEUE // COUNTERS_SHARE
        if sum(len(one.orders) for one in (*self.small, *self.large)) + len(submitted) > room:
            with pytest.raises(QueueFull):
                self.group.submit(prepare_all(submitted), terms)
            return
        queue = self.small if is_small else self.large
        queue.append(Submission(submitted, terms, self.group.submit(prepare_all(submitted), terms)))
        if not self.under_way:
            self._begin()

    def _begin(self) -> None:
        """Expect the next batch: all that waits, small submissions first; but one with terms of its own alone, once
        small ones have gone before it.
        """
        is_alone = bool(self.large) and self.large[0].terms != Terms()
        if is_alone and (self.deferred or not self.small):
            self.deferred = False
            self.under_way = [self.large.popleft()]
        else:
            self.deferred = is_alone
            self.under_way = [*self.small]
            self.small.clear()
            while self.large and self.large[0].terms == Terms():
                self.under_way.append(self.large.popleft())
        if self.under_way:
            prepared, terms = self.gate.came.get(timeout=WAIT_SECONDS)
            expected = [order for one in self.under_way for order in one.orders]
            assert [one.order for one in prepared] == expected
            assert terms == self.under_way[0].terms

    def commit(self, plain: PlainLedger) -> None:
        """Let a batch through, and hold its answers to those of the plain ledger."""
        begun, self.under_way = self.under_way, []
        asked, terms = [order for one in begun for order in one.orders], begun[0].terms
        answers = self.gate.let_through()
        expected = plain.take(asked, self.clock, atomic=terms.atomic, dry_run=terms.dry_run)
        assert [told(answer) for answer in answers] == expected, asked
        rest = iter(answers)
        for one in begun:
            assert one.future.result(timeout=WAIT_SECONDS) == [next(rest) for _ in one.orders]
        self._begin()


def told(answer: Answer) -> PlainAnswer:
    """Return an answer of the ledger as the plain ledger gives it."""
    if isinstance(answer, Accepted):
        outcome = "duplicate" if answer.duplicate else "accepted"
        return PlainAnswer(outcome, answer.position, answer.shift, punch=answer.punch)
    assert answer.detail.startswith(f"{answer.field} ")
    return PlainAnswer(answer.rejection.code, field=answer.field)


def check_ins_of(given: Sequence[Order]) -> list[tuple[str, UUID | None, int]]:
    commands = (one.command for one in given)
    return [(one.volunteer, one.shift, one.occurred_at) for one in commands if isinstance(one, CheckIn)]


class Stations(RuleBasedStateMachine):
    """Clients of two processes."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        with database.pool.connection() as connection:
            connection.execute("TRUNCATE ledger.stored_events, ledger.commands, ledger.texts")
        self.plain = PlainLedger(shift_id_for)
        self.given: list[Order] = []
        self.names = count(1)
        self.processes = [Process(database), Process(database)]

    @initialize(known=st.sets(st.sampled_from(VOLUNTEERS), min_size=1))
    def found(self, known: set[str]) -> None:
        """Begin with a few volunteers, a station and a project."""
        bodies = [("register-volunteer", {"volunteer": one, "registered_on": "2018-01-01"}) for one in sorted(known)]
        bodies += [("open-station", {"station": "S1", "kind": "city"})]
        bodies += [("launch-project", {"project": "P1", "content": "teaching"})]
        commands = [COMMANDS[command_type].model_validate(body) for command_type, body in bodies]
        founding = [
            order_of(command=command, source="/founding", id=f"{number}", by="system:founding")
            for number, command in enumerate(commands)
        ]
        self._submit(0, founding)
        self.processes[0].commit(self.plain)

    @rule(data=st.data(), process=st.integers(0, 1), size=st.integers(1, 7), terms=st.sampled_from(TERMS))
    def submit(self, data: st.DataObject, process: int, size: int, terms: Terms) -> None:
        clock, recorded_check_ins = self.processes[process].clock, self.plain.check_ins()
        submitted: list[Order] = []
        for _ in range(size if terms == Terms() else min(size, TOGETHER)):
            earlier = self.given + submitted
            seen = recorded_check_ins + check_ins_of(earlier[-8:])
            submitted.append(data.draw(orders(clock, seen, earlier, f"{next(self.names)}")))
        self._submit(process, submitted, terms)

    @rule(
        process=st.integers(0, 1),
        volunteer=st.sampled_from(VOLUNTEERS),
        seconds=st.sampled_from([0, 1, HOUR, DAY, DAY + 1]),
        names_shift=st.booleans(),
    )
    def stay(self, process: int, volunteer: str, seconds: int, *, names_shift: bool) -> None:
        """A shift as most are, but that some are as short or as long as they can be: a check-in, and a check-out."""
        begun = self.processes[process].clock - seconds
        said = {"volunteer": volunteer, "station": "S1"}
        shift = {"shift": str(shift_id_for(begun, f"{len(self.given)}"))} if names_shift else {}
        bodies: list[tuple[str, dict[str, object]]] = [
            ("check-in", {"occurred_at": begun, **said, **shift}),
            ("check-out", {"occurred_at": begun + seconds, **said, **shift}),
            ("check-out", {"occurred_at": begun + seconds + 60, **said}),  # the shift is open if it has no length yet
        ]
        self._give(process, [COMMANDS[command_type].model_validate(body) for command_type, body in bodies])

    @rule(data=st.data(), process=st.integers(0, 1))
    def follow_a_script(self, data: st.DataObject, process: int) -> None:
        seen = self.plain.check_ins() + check_ins_of(self.given[-8:])
        self._give(process, data.draw(scripts(self.processes[process].clock, seen)))

    @rule(
        data=st.data(),
        process=st.integers(0, 1),
        volunteer=st.sampled_from(VOLUNTEERS),
        act=st.sampled_from(["void-shift", "correct-shift", "raise-day-cap", "settle-dispute", "settle-dispute"]),
    )
    def ask_and_decide(self, data: st.DataObject, process: int, volunteer: str, act: str) -> None:
        """A shift is entered, perhaps disputed, and an act on it asked for; then whoever decides about that, twice."""
        begun = self.processes[process].clock - HOUR
        request, shift = f"ask{len(self.given)}", str(shift_id_for(begun, f"ask{len(self.given)}"))
        about: dict[str, object] = {"volunteer": volunteer, "shift": shift, "reason": "paper-list"}
        correction: dict[str, object] = {"changes": ["station"], "station": "S1"}
        fields: dict[str, dict[str, object]] = {
            "void-shift": about,
            "correct-shift": about | correction,
            "raise-day-cap": {
                "volunteer": volunteer,
                "day": "2018-12-01",
                "raise_id": request,
                "minutes": 600,
                "reason": "typhoon",
            },
            "settle-dispute": about | {"outcome": "upheld", "act": "correct-shift", "fields": correction},
        }
        text = data.draw(st.sampled_from([None, "her mother is ill"]))
        entry = {"volunteer": volunteer, "shift": shift, "station": "S1", "check_in": begun, "check_out": begun + 60}
        bodies: list[tuple[str, dict[str, object]]] = [
            ("attest-shift", {**entry, "evidence": "paper-list"}),
            ("dispute-shift", about),
            ("request-act", {"request": request, "act": act, "fields": fields[act], "text": text}),
        ]
        decided = st.sampled_from(["approve-act", "approve-act", "decline-act", "withdraw-request"])
        for command_type in data.draw(st.lists(decided, min_size=2, max_size=2)):
            reason: dict[str, object] = {} if command_type == "approve-act" else {"reason": "paper-list"}
            bodies.append((command_type, {"request": request, "text": text, **reason}))
        if act == "settle-dispute" and data.draw(st.booleans()):
            bodies.append(("settle-dispute", fields[act] | {"text": text}))
        orders = [
            order_of(
                command=COMMANDS[command_type].model_validate(body),
                source="/stations/S1",
                id=f"{next(self.names)}",
                **data.draw(st.sampled_from(ACTORS)),
            )
            for command_type, body in bodies
        ]
        self._submit(process, orders)

    def _give(self, process: int, commands: list[Command]) -> None:
        """Two people take turns: one asks or disputes, another approves or settles."""
        who = cycle(["person:anna", "person:li.wei"])
        self._submit(
            process,
            [order_of(command=one, source="/stations/S1", id=f"{next(self.names)}", by=next(who)) for one in commands],
        )

    def _submit(self, process: int, submitted: list[Order], terms: Terms = Terms()) -> None:  # noqa: B008 - it is frozen
        self.given += submitted
        self.processes[process].submit(submitted, terms)

    @precondition(lambda self: any(one.under_way for one in self.processes))
    @rule(process=st.integers(0, 1), batches=st.integers(1, 3))
    def commit(self, process: int, batches: int) -> None:
        for _ in range(batches):
            if self.processes[process].under_way:
                self.processes[process].commit(self.plain)

    @rule(process=st.integers(0, 1), seconds=st.sampled_from(JUMPS))
    def set_a_clock(self, process: int, seconds: int) -> None:
        self.processes[process].clock += seconds

    @rule(process=st.integers(0, 1))
    def begin_anew(self, process: int) -> None:
        """A process ends, having drained its queue, and another takes its place: it remembers nothing."""
        clock = self._drain(process)
        self.processes[process] = Process(self.database)
        self.processes[process].clock = clock

    def _drain(self, process: int) -> int:
        ending = self.processes[process]
        while ending.under_way:
            ending.commit(self.plain)
        ending.group.close()
        return ending.clock

    def teardown(self) -> None:
        try:
            for process in range(2):
                self._drain(process)
            assert_same(recorded(self.database), self.plain.log)
        finally:
            for one in self.processes:
                one.gate.give_up()
                one.group.close()


def test_the_ledger_answers_and_records_as_a_plain_one_does(database: Database) -> None:
    run_state_machine_as_test(
        cast("type[Stations]", partial(Stations, database)),  # it is called, without arguments, for each example
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            phases=[Phase.explicit, Phase.generate] + [Phase.shrink] * bool(os.environ.get("STATEFUL_SHRINK")),
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- a race ---------------------------------------------------------------------------------------------------------


def test_whatever_threads_do_the_log_is_one_that_the_plain_ledger_would_write(database: Database) -> None:
    """Six clients of two processes send the same orders, in orders of their own, some of them more than once.

    Which of two orders comes first is left to chance. Whatever the log says came first, it must be the log of a ledger
    that takes one order at a time; and whoever asks must get one and the same answer.
    """
    chance = Random(1)  # noqa: S311 - a seeded shuffle
    given = _orders_of_a_day(chance)
    clients = [chance.sample(given, len(given)) + chance.choices(given, k=30) for _ in range(6)]
    groups = [GroupCommit(Intake(database, clock=lambda: NOW)) for _ in range(2)]

    def send(client: int) -> list[tuple[Order, Answer]]:
        answered: list[tuple[Order, Answer]] = []
        waiting = deque(clients[client])
        while waiting:
            some = [waiting.popleft() for _ in range(min(7, len(waiting)))]
            answered += zip(
                some, groups[client % 2].submit(prepare_all(some)).result(timeout=WAIT_SECONDS), strict=True
            )
        return answered

    try:
        with ThreadPoolExecutor(len(clients)) as executor:
            answers = list(executor.map(send, range(len(clients))))
    finally:
        for group in groups:
            group.close()
    log = recorded(database)
    plain, by_name = PlainLedger(shift_id_for), {(order.by, order.name): order for order in given}
    for name in dict.fromkeys((event.get("approved_by") or event["by"], event["command"]) for event in log):
        assert plain.take([by_name[name]], NOW)[0].outcome == "accepted"
    assert_same(log, [{**event, "recorded_at": NOW} for event in plain.log])
    firsts = [order.name for order, answer in chain(*answers) if isinstance(answer, Accepted) and not answer.duplicate]
    assert sorted(firsts) == sorted({event["command"] for event in log})
    for answered in answers:
        seen: set[str] = set()
        for order, answer in answered:
            if isinstance(answer, Accepted):
                seen.add(order.name)
                assert told(answer._replace(duplicate=True)) == plain.take([order], NOW)[0]
            assert isinstance(answer, Accepted) or order.name not in seen, "what was accepted once stays so"


def _orders_of_a_day(chance: Random) -> list[Order]:
    """Return what three volunteers do in a day: their registration, stays with and without a shift id, a move."""
    bodies: list[tuple[str, dict[str, object]]] = [("open-station", {"station": "S1", "kind": "city"})]
    for number, volunteer in enumerate(VOLUNTEERS):
        bodies += [("register-volunteer", {"volunteer": volunteer, "registered_on": "2018-01-01"})]
        for stay in range(12):
            scan: dict[str, object] = {
                "volunteer": volunteer,
                "station": "S1",
                "occurred_at": NOW - 80_000 + 6000 * stay,
            }
            named: dict[str, object] = {"shift": str(UUID(int=100 * number + stay))} if chance.randrange(3) else {}
            bodies += [
                ("check-in", scan | named),
                ("check-out", scan | named | {"occurred_at": NOW - 77_000 + 6000 * stay}),
            ]
        act: dict[str, object] = {
            "volunteer": volunteer,
            "shift": str(UUID(int=100 * number + 1)),
            "reason": "not-hers",
        }
        bodies += [("void-shift", act), ("reinstate-shift", act), ("move-shift", act | {"to_volunteer": "V1"})]
    return [
        order_of(
            command=COMMANDS[command_type].model_validate(body),
            source="/stations/S1",
            id=f"{number}",
            by=ACTORS[0]["by"],
        )
        for number, (command_type, body) in enumerate(bodies)
    ]
