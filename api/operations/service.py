"""A ledger opened in one process: the database, the archive, and the threads that run while requests are served.

    OpenLedger   for the command line: the log, the archive, queries, keys; no threads
    Service      for a server: an open ledger with group commits, the follower, the archivist, the notary and jobs, each
                 with its own thread

Wiring only: no decisions and no computation.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from api.access.key_memory import KeyMemory
from api.access.keys import Keys
from api.access.rate_limits import RateLimits
from api.access.signatures import Signatures, erase_signatures
from api.access.signed_requests import CREATED_SECONDS_MAX
from api.axes.candidates import Candidates
from api.operations.jobs import Jobs
from api.operations.metrics import ProcessMetrics
from api.operations.rules_watch import RulesWatch
from ledger.aggregates import Command, Sender
from ledger.aggregates.rules import PublishRules, PutRulesInForce
from ledger.intake.batch import Clock
from ledger.intake.group_commit import GroupCommit
from ledger.intake.intake import Intake, system_clock
from ledger.names import PlaceKind, Position, stream
from ledger.rejections import Refused, RefusedError, Rejection
from ledger.store.database import Database, is_ledger, without_password
from ledger.store.durability import weaknesses
from ledger.store.embedded import has_data, named_url, serving
from ledger.store.persons import erase_person
from ledger.store.tables import NoLedgerError
from projections.rules.checking import require_sound
from projections.rules.timeline import rules_digest
from replay.archive.archive import Archive
from replay.archive.archivist import Archivist
from replay.axes.place_names import PlaceNames, add_names
from replay.certificates.certificate import Certificate
from replay.certificates.credential_keys import SECRET, CredentialKey
from replay.certificates.documents import Documents
from replay.certificates.proving import proof_of
from replay.certificates.register import CertificateRegister
from replay.generations import store
from replay.generations.obeying import rules_to_rebuild
from replay.generations.rebuild import rebuild
from replay.generations.sealing import HoursSealing, seal_folder
from replay.live.follower import Follower
from replay.proof.growth import TransparencyLog
from replay.proof.keys import data_keys
from replay.proof.notary import POLICY as NOTARY_POLICY
from replay.proof.notary import Notary
from replay.proof.notary import Policy as NotaryPolicy
from replay.published import NoRulesError, Rules, latest_published, published_rules
from replay.queries.queries import Queries
from replay.worklist.worklist import WorklistReader

logger = logging.getLogger(__name__)
T = TypeVar("T")

DEFAULT_RULES = Path(__file__).parents[2] / "rules" / "luohu.toml"
STATEMENT_SECONDS_MAX = 60
"""How long one statement of a reader may take in a service, after which its request has been answered anyway."""
PUBLISHED_BEFORE = "published-before"
"""Why rules are put in force whose text was published before and is given to be published again."""
OPERATOR = "person:keeper"
"""The actor at the command line if none is named."""


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
        """The archive; errors in it are raised when it is used."""
        return Archive(self.data / "archive", self.log.identity())

    @cached_property
    def tree(self) -> TransparencyLog:
        """The transparency log: the tree over the events, and its signed checkpoints, which seal the hours."""
        return TransparencyLog(self.data, self.log, seal=self._seal)

    @cached_property
    def _sealing(self) -> HoursSealing:
        return HoursSealing(self.database, seal_folder(self.data), apart=self.data)

    def _seal(self, size: int) -> tuple[str, ...]:
        return self._sealing(size)

    @cached_property
    def queries(self) -> Queries:
        """The queries of this ledger."""
        return Queries(self.database, self.archive)

    @cached_property
    def worklist(self) -> WorklistReader:
        """What waits for somebody in this ledger."""
        return WorklistReader(self.database, self.queries)

    @property
    def certificates(self) -> CertificateRegister:
        """The certificates of this ledger, and their state."""
        return CertificateRegister(self.database, self.queries)

    @cached_property
    def address(self) -> str | None:
        """Where this ledger answers over HTTP, as documents show it: the environment names it in HOURS_ADDRESS."""
        return os.environ.get("HOURS_ADDRESS", "").rstrip("/") or None

    @cached_property
    def credential_key(self) -> CredentialKey:
        """The key that signs the credentials of certificates; it is made when it is first used."""
        return CredentialKey(data_keys(self.data).secret(SECRET))

    def documents(self, certificate: Certificate) -> Documents:
        """Return the documents of a certificate, with its tlog-proof if there is one."""
        return Documents(certificate, self.credential_key, *proof_of(self.data, self.tree, certificate))

    @cached_property
    def place_names(self) -> PlaceNames:
        """The names of stations, projects and organisations."""
        return PlaceNames(self.log)

    def names_at(self, position: Position) -> Callable[[PlaceKind, str], str | None]:
        """Return a function to the name that a station, project or organisation had at a position."""
        self.place_names.read_until(position)
        return lambda kind, place: self.place_names.name(kind, place, position)

    def named(self, answer: T) -> T:
        """Return an answer with the names of its stations, projects and organisations beside their ids."""
        return add_names(answer, self.place_names)

    def knows(self, kind: str, name: str) -> bool:
        """Return whether the log has any event of this station, volunteer, project or organisation."""
        return bool(self.log.read_streams([stream(kind, name)]))

    def current_generation(self) -> store.Generation:
        """Return the current generation: the one that answers queries.

        Raises:
            replay.generations.store.NoGenerationError: there is none yet.
        """
        with self.database.pool.connection() as connection:
            generation = store.current_generation(connection)
        if generation is None:
            raise store.NoGenerationError
        return generation

    def read_model_position(self) -> int:
        """Return the position of the read models, 0 if there are none.

        It is read on a reserved connection, so that callers who wait for their writes do not wait for readers.
        """
        with self.database.reserved.connection() as connection:
            generation = store.current_generation(connection)
        return generation.position if generation else 0

    def catch_up(self) -> None:
        """Bring the read models to the head of the log; for commands, where no server's follower does it."""
        Follower(self.database).catch_up()

    def erase(self, volunteer: str) -> int:
        """Erase a person, the texts about them, and the signatures with such texts; return the number of rows."""
        with self.database.pool.connection() as connection, connection.transaction():
            return erase_person(connection, volunteer) + erase_signatures(connection, volunteer)

    def publish(self, text: str, by: str = OPERATOR, *, in_force: bool = True, change_time_zone: bool = False) -> Rules:
        """Publish a rule timeline, unless it is already published; return it as published.

        A text that was published before is not published again: its version is put in force.

        Args:
            in_force: whether it is in force from now on; else `put_in_force` does that later.
            change_time_zone: it may have another time zone than the rules in force.

        Raises:
            projections.rules.timeline.RulesError: the text is not a valid rule timeline.
            RefusedError: the rules in force ask another person's approval, or have another time zone.
        """
        require_sound(text)
        sender = Sender.of_operator(by)
        if in_force and (known := self.published_before(text)) is not None:
            return self.put_in_force(known.version, PUBLISHED_BEFORE, sender, change_time_zone=change_time_zone)
        command = PublishRules(text=text, in_force=in_force, change_time_zone=change_time_zone)
        self._order_about_rules(command, sender, Rejection.ALREADY_PUBLISHED)
        return published_rules(self.log) if in_force else latest_published(self.log, rules_digest(text))

    def published_before(self, text: str) -> Rules | None:
        """Return the rules with this text, those in force before earlier ones; None if it was never published."""
        digest = rules_digest(text)
        try:
            now = published_rules(self.log)
            return now if now.digest == digest else latest_published(self.log, digest)
        except NoRulesError:
            return None

    def put_in_force(
        self, version: int, reason: str, sender: Sender, text: str | None = None, *, change_time_zone: bool = False
    ) -> Rules:
        """Put a published version of the rules in force, unless it is; return it. The read models do not change yet.

        Raises:
            RefusedError: the version is unknown, or the rules in force ask another person's approval, or have another
                time zone.
        """
        command = PutRulesInForce(rules_version=version, reason=reason, text=text, change_time_zone=change_time_zone)
        self._order_about_rules(command, sender, Rejection.ALREADY_IN_FORCE)
        return published_rules(self.log, version=version)

    def _order_about_rules(self, command: Command, sender: Sender, needless: Rejection) -> None:
        order = sender.order(command, source="/rules", id=str(uuid4()), imported=False)
        (answer,) = self.intake.execute([order])
        if isinstance(answer, Refused) and answer.rejection is not needless:
            raise RefusedError(answer)

    def make_ready(self, text: str | None = None) -> None:
        """Publish rules if none are published yet, by default DEFAULT_RULES; then ensure read models."""
        try:
            published_rules(self.log)
        except NoRulesError:
            self.publish(DEFAULT_RULES.read_text("utf-8") if text is None else text)
        self.ensure_read_models()

    def ensure_read_models(self) -> None:
        """Rebuild the read models if there are none, or none that this version of the program can read.

        Raises:
            replay.published.NoRulesError: no rules are published.
        """
        with suppress(store.NoGenerationError):
            if self.current_generation().readable:
                return
        rebuild(self.database, self.archive, rules_to_rebuild(self.database))


@contextmanager
def open_ledger(data: Path, url: str | None = None, *, supervised: bool = False) -> Iterator[OpenLedger]:
    """Open the ledger in the database that DATABASE_URL names, or in the embedded server of the data directory.

    Args:
        supervised: open it for a service. The embedded server is restarted if it crashes, where a command would fail;
            and no statement of a reader takes longer than STATEMENT_SECONDS_MAX.

    Raises:
        ledger.store.tables.NoLedgerError: there is none; nothing was created.
    """
    given = named_url(url)
    if not given and not has_data(data):
        raise NoLedgerError(f"{data.absolute()} holds none", _NAME_FOLDER)
    with serving(data, given, supervised=supervised) as database_url:
        if not is_ledger(database_url):
            if given:
                raise NoLedgerError(f"the database {without_password(given)} holds none", _NAME_DATABASE)
            raise NoLedgerError(f"{data.absolute()} holds none", _NAME_FOLDER)
        with create_ledger(data, database_url, supervised=supervised) as ledger:
            yield ledger


_NAME_FOLDER = "name its folder with --data, or its database with DATABASE_URL"
_NAME_DATABASE = "correct DATABASE_URL"


@contextmanager
def create_ledger(data: Path, url: str | None = None, *, supervised: bool = False) -> Iterator[OpenLedger]:
    """Open a ledger as `open_ledger` does, after creating an empty one, without rules, if there is none."""
    data.mkdir(parents=True, exist_ok=True)
    seconds_max = STATEMENT_SECONDS_MAX if supervised else None
    with (
        serving(data, url, supervised=supervised) as database_url,
        Database.open(database_url, statement_seconds_max=seconds_max) as database,
    ):
        yield OpenLedger(database, data)


class Service:
    """An open ledger with the threads that run while requests are served.

    Args:
        on_overrun: called for a computation that does not stop when its time is over.
    """

    def __init__(
        self,
        ledger: OpenLedger,
        limits: RateLimits | None = None,
        on_overrun: Callable[[], None] = lambda: None,
        checkpoints: NotaryPolicy = NOTARY_POLICY,
    ) -> None:
        self.on_overrun = on_overrun
        self.ledger = ledger
        self.metrics = ProcessMetrics()
        self.commits = GroupCommit(ledger.intake, observer=self.metrics.commit)
        self.follower = Follower(ledger.database, lambda: self.commits.is_busy)
        self.archivist = Archivist(ledger.database, ledger.archive)
        self.notary = Notary(ledger.data, ledger.database, ledger.tree, checkpoints)
        self.jobs = Jobs(on_overrun=on_overrun)
        self.rules_watch = RulesWatch(ledger.database, ledger.archive, self.jobs)
        self.job_states: Callable[[], Sequence[str] | None] = lambda: [job.state for job in self.jobs.list()]
        """The states of the jobs, wherever they run; None if the process that runs them does not answer."""
        self.stop_jobs: Callable[[], None] = self.jobs.stop_all
        self.keys = KeyMemory(ledger.keys, ledger.database.url)
        self.limits = limits or RateLimits()
        self.signatures = ledger.signatures
        self.signed_within = CREATED_SECONDS_MAX
        """The maximum age of a signature, in seconds."""
        self.logs_all_requests = False
        self.stopping = threading.Event()
        """Set when the server begins to stop: answers without an end then end."""

    @property
    def alerts(self) -> list[str]:
        """What is wrong with the threads, each in a sentence."""
        return [alert for alert in (self.follower.alert, self.archivist.alert, self.notary.alert) if alert]

    def start(self) -> None:
        """Start the threads: the follower, the archivist, the notary, and the listener for changes of keys."""
        self.follower.start()
        self.archivist.start()
        self.notary.start()
        self.keys.start()

    def close(self) -> None:
        """Stop jobs, commit the accepted commands, then stop the threads."""
        self.rules_watch.close()
        self.jobs.close()
        self.commits.close()
        self.follower.close()
        self.archivist.close()
        self.notary.close()
        self.keys.close()


@contextmanager
def running(
    ledger: OpenLedger, limits: RateLimits | None = None, checkpoints: NotaryPolicy = NOTARY_POLICY
) -> Iterator[Service]:
    """Run a service on a ledger; at the end, close it.

    Args:
        checkpoints: when the tree grows and checkpoints are signed.

    Raises:
        replay.published.NoRulesError: no rules are published.
    """
    ledger.ensure_read_models()
    _warn_of_weaknesses(ledger)
    service = Service(ledger, limits, checkpoints=checkpoints)
    service.start()
    try:
        yield service
    finally:
        service.close()


def _warn_of_weaknesses(ledger: OpenLedger) -> None:
    """Log the settings of the database with which recorded commands can be lost."""
    with ledger.database.pool.connection() as connection:
        for weakness in weaknesses(connection):
            fields = {"setting": weakness.setting, "accepted": weakness.accepted}
            logger.warning("%s", weakness.sentence, extra={"fields": fields})
