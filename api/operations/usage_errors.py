"""Errors that end a command of the command line: one sentence and an exit code.

2    the command cannot be run as asked, or its database cannot be reached; the sentence says what to change
1    a failure: the disk, a check that did not pass; or `post` sent events that were refused
130  interrupted (`api/cli/main.py`)
"""

from __future__ import annotations


class UsageError(Exception):
    """The command cannot be run with these arguments; the message says what to change."""


def exit_message(error: Exception) -> tuple[str, int] | None:
    """Return the sentence and the exit code for an expected error; None for a defect of the program."""
    # ruff: noqa: PLC0415 - imported only after an error, not by every command
    if isinstance(error, UsageError):
        return str(error), 2
    from api.access.keys import SigningError, UnknownKeyError
    from api.axes.written import AxisError
    from ledger.rejections import RefusedError
    from ledger.store.embedded import DatabaseUrlError, OtherPostgresError
    from ledger.store.postgres_server import DataDirectoryError
    from ledger.store.tables import NoLedgerError
    from ledger.store.upgrading import NewerDatabaseError
    from projections.rules.timeline import RulesError
    from replay.archive.manifest import ArchiveError
    from replay.awards.plans import PlanError
    from replay.axes.as_known import MarkError
    from replay.backup.authentication import BackupError
    from replay.durable import OwnerError, way_out
    from replay.explain.stretches import ExplanationError, TooManyShiftsError
    from replay.generations.rebuild import NotPublishedError, OvertakenError, VerificationError
    from replay.generations.retention import GenerationInUseError, UnknownGenerationError
    from replay.generations.store import NoGenerationError
    from replay.generations.switching import NotSwitchableError
    from replay.live.continuity import ContinuityError
    from replay.live.follower import OutdatedGenerationError
    from replay.locations.fetching import NoArchiveError
    from replay.locations.object_store import AddressError, StoreError
    from replay.partitions.errors import ClusterError, DatasetError, NoClusterError, NoDatasetError
    from replay.proof.agreement import TreeError
    from replay.proof.keys import SigningKeyError
    from replay.proof.notes import NoteError
    from replay.proof.policies import PolicyError
    from replay.published import NoRulesError
    from replay.queries.queries import UnknownNameError
    from replay.synthetic.loading import HistoryConflictError

    usage = (
        BackupError,
        NoLedgerError,
        NewerDatabaseError,
        OtherPostgresError,
        DatabaseUrlError,
        DataDirectoryError,
        AxisError,
        SigningError,
        UnknownKeyError,
        RulesError,
        MarkError,
        TooManyShiftsError,
        UnknownNameError,
        NoRulesError,
        NoGenerationError,
        PlanError,
        RefusedError,
        SigningKeyError,
        NoteError,
        PolicyError,
        OwnerError,
        AddressError,
        StoreError,
        NoArchiveError,
        NoClusterError,
        NoDatasetError,
    )
    generation = (
        OutdatedGenerationError,
        UnknownGenerationError,
        GenerationInUseError,
        NotSwitchableError,
        NotPublishedError,
    )
    if isinstance(error, (*usage, *generation, HistoryConflictError)):
        return str(error), 2
    if found := _database_error(error):
        return _of_database(found)
    failure = (ArchiveError, TreeError, ContinuityError, VerificationError, OvertakenError, ExplanationError)
    if isinstance(error, (*failure, DatasetError, ClusterError)):
        return str(error), 1
    if isinstance(error, OSError):
        advice = way_out(error, "")
        return f"{error.filename or 'a file'} cannot be used: {error.strerror}{advice and f'; {advice}'}", 1
    return None


def _database_error(error: Exception) -> Exception | None:
    """Return the error of a database that cannot be used; that of the library's own pool is the cause of the pool's."""
    import psycopg
    from eventsourcing import persistence

    if isinstance(error, persistence.OperationalError | persistence.InterfaceError):
        cause = error.__cause__ or error.__context__
        return cause if isinstance(cause, psycopg.OperationalError) else error
    return error if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else None


def _of_database(error: Exception) -> tuple[str, int]:
    from psycopg import errors

    from ledger.store.durability import UnsafeDatabaseError

    message = next(iter(str(error).splitlines()), type(error).__name__)
    match error:
        case UnsafeDatabaseError():
            return f"nothing was recorded, because the database would not keep it: {message}", 1
        case errors.LockNotAvailable():
            return f"{message}; try again in a moment", 1
        case errors.DiskFull():
            return "the database's disk is full, and nothing was changed; free some space, and try again", 1
        case errors.QueryCanceled():
            return f"the database stopped a statement: {message}; try again, or ask for less at a time", 1
        case _:
            return f"the database cannot be reached: {message}; check DATABASE_URL, and that its server runs", 2
