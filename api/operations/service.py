"""One process's hold on a ledger: the database, the archive, and what runs while requests are served.

    OpenLedger   what a command line needs: the log, the archive, queries, keys; nothing runs
    Service      what a server needs beside it: the intake, grouping commits, the follower, the archivist and jobs,
                 each with its thread

Wiring only: nothing here decides or derives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from api.access.key_memory import KeyMemory
from api.access.keys import Keys
from api.access.rate_limits import RateLimits
from api.access.signatures import Signatures
from api.access.signed_requests import CREATED_SECONDS_MAX
from api.axes.candidates import Candidates
from api.operations.jobs import Jobs
from api.operations.metrics import Counted
from ledger.aggregates import Order
from ledger.aggregates.rules import PublishRules
from ledger.intake.answers import Accepted
from ledger.intake.batch import Clock
from ledger.intake.group_commit import GroupCommit
from ledger.intake.intake import Intake, system_clock
from ledger.names import stream
from ledger.rejections import Refused, Rejection
from ledger.store.database import Database
from ledger.store.embedded import serving
from projections.rules.checking import require_sound
from replay.archive.archive import Archive
from replay.archive.archivist import Archivist
from replay.generations import store
from replay.generations.rebuild import rebuild
from replay.live.follower import Follower
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Queries

DEFAULT_RULES = Path(__file__).parents[2] / "rules" / "luohu.toml"
OPERATOR = "person:keeper"
"""Who acts when the person at the command line gives no name."""


class OpenLedger:
    """A ledger's database and its data directory."""

    def __init__(self, database: Database, data: Path, clock: Clock = system_clock) -> None:
        self.database = database
        self.data = data
        self.clock = clock
        self.log = database.log
        self.keys = Keys(database.reserved)
        self.intake = Intake(database, clock)
        store.create_tables(database)
        self.keys.create_table()
        self.signatures = Signatures(database.reserved)
        self.signatures.create_table()
        self.candidates = Candidates(database.pool)
        self.candidates.create_table()

    @cached_property
    def archive(self) -> Archive:
        """The archive; what is wrong with it is told when it is used."""
        return Archive(self.data / "archive", self.log.identity())

    @cached_property
    def queries(self) -> Queries:
        """Answers to readers."""
        return Queries(self.database, self.archive)

    def knows(self, kind: str, name: str) -> bool:
        """Return whether the log has ever heard of this station, volunteer, project or organisation."""
        return bool(self.log.read_streams([stream(kind, name)]))

    def current_generation(self) -> store.Generation:
        """Return the generation that answers.

        Raises:
            replay.generations.store.NoGenerationError
        """
        with self.database.pool.connection() as connection:
            generation = store.current_generation(connection)
        if generation is None:
            raise store.NoGenerationError
        return generation

    def reached(self) -> int:
        """Return the position of the read models, to whoever has written: no reader keeps them waiting."""
        with self.database.reserved.connection() as connection:
            generation = store.current_generation(connection)
        return generation.position if generation else 0

    def catch_up(self) -> None:
        """Bring the read models to the head of the log, where no server does it."""
        Follower(self.database).catch_up()

    def publish(self, text: str, by: str = OPERATOR) -> Rules:
        """Publish a rule timeline, unless it is the one in force already; return it as published.

        Raises:
            projections.rules.timeline.RulesError: the text is no rule timeline, or says what no new one may say.
        """
        require_sound(text)
        order = Order.checked(command=PublishRules(text=text), source="/rules", id=str(uuid4()), by=by)
        (answer,) = self.intake.execute([order])
        match answer:
            case Accepted():
                return published_rules(self.log)
            case Refused(rejection=Rejection.ALREADY_PUBLISHED):
                return published_rules(self.log)
            case Refused():
                raise RuntimeError(answer.detail)

    def make_ready(self) -> None:
        """See to it that there are rules, and read models that this program can read: a ledger without rules gets the
        default ones.
        """
        try:
            if self.current_generation().readable:
                return
        except store.NoGenerationError:
            pass
        try:
            rules = published_rules(self.log)
        except NoRulesError:
            rules = self.publish(DEFAULT_RULES.read_text("utf-8"))
        rebuild(self.database, self.archive, rules)


@contextmanager
def open_ledger(data: Path, url: str | None = None, *, kept: bool = False) -> Iterator[OpenLedger]:
    """Open a ledger: the server DATABASE_URL names, or the embedded one in the data directory, which is kept running
    where that is wanted: a service outlives a crash of it, a command ends with it.
    """
    data.mkdir(parents=True, exist_ok=True)
    with serving(data, url, kept=kept) as found, Database.open(found) as database:
        yield OpenLedger(database, data)


class Service:
    """An open ledger with what runs while requests are served."""

    def __init__(self, ledger: OpenLedger, limits: RateLimits | None = None) -> None:
        self.ledger = ledger
        self.counted = Counted()
        self.commits = GroupCommit(ledger.intake, observer=self.counted.commit)
        self.follower = Follower(ledger.database, lambda: self.commits.is_busy)
        self.archivist = Archivist(ledger.database, ledger.archive)
        self.jobs = Jobs()
        self.keys = KeyMemory(ledger.keys, ledger.database.url)
        self.limits = limits or RateLimits()
        self.signatures = ledger.signatures
        self.signed_within = CREATED_SECONDS_MAX
        """How many seconds old a signature may be."""
        self.logs_all_requests = False

    def start(self) -> None:
        """Follow the log, and let the archive grow."""
        self.follower.start()
        self.archivist.start()
        self.keys.start()

    def close(self) -> None:
        """Stop long work, finish what was accepted, then stop following."""
        self.jobs.close()
        self.commits.close()
        self.follower.close()
        self.archivist.close()
        self.keys.close()


@contextmanager
def running(ledger: OpenLedger, limits: RateLimits | None = None) -> Iterator[Service]:
    """Run the parts that serve requests; at the end finish what is waiting."""
    ledger.make_ready()
    service = Service(ledger, limits)
    service.start()
    try:
        yield service
    finally:
        service.close()
