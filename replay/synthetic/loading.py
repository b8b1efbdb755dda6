"""Loading a synthetic history into a ledger by COPY, without commands.

A separate process plans and encodes while PostgreSQL copies. Each chunk is one transaction under the writers' lock. A
load that was stopped or killed can be continued: the same scale, seed and rules give the same bytes, so the ledger's
last event shows whether the ledger holds the beginning of this history. Any other ledger is refused, and nothing is
written.

The opening balances are written last, in one transaction, because they depend on the minutes credited until then.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, TypeVar

from psycopg.errors import UniqueViolation

from ledger.aggregates.opening_balance import OpeningBalanceRecorded
from ledger.names import Position
from ledger.store.copy_format import text_rows
from ledger.store.database import Database
from ledger.store.mapper import decode
from replay.interrupts import interrupts_deferred
from replay.synthetic.events.opening import Openings
from replay.synthetic.events.sources import Chunk
from replay.synthetic.history import CHUNK_EVENTS, History

_T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Callback with the number of the history's events in the ledger, and their total number."""


class HistoryConflictError(RuntimeError):
    """The ledger holds other events than the beginning of this history."""


class HistoryWriterError(RuntimeError):
    """The process that writes the history failed; its traceback is in the message."""


class Loaded(NamedTuple):
    """The result of a load. `complete` is false if it was stopped: load the same history again to continue."""

    head: int
    written: int
    complete: bool


class _Job(NamedTuple):
    """What the writing process has to write."""

    scale: float
    seed: int
    rules_text: str
    head: int
    chunk_events: int
    labels: Path | None


class _Contents(NamedTuple):
    """The first message of the writing process: the history's first event, its event at the ledger's head, and its
    opening balances.
    """

    first_line: bytes
    head_line: bytes
    openings: Openings


def write_history(
    database: Database,
    history: History,
    credited_minutes: Callable[[], int],
    *,
    labels: Path | None = None,
    chunk_events: int = CHUNK_EVENTS,
    progress: Progress = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Loaded:
    """Load a history into an empty ledger, or continue a load of the same history.

    A script that calls this needs the usual `if __name__ == "__main__"`, because the writing process imports it again.

    Args:
        credited_minutes: called when all shifts are in the ledger; returns the minutes credited for them under the
            default rules. The opening balances bring the total to `history.minutes`.
        labels: the Parquet file to write the labels of faults to.
        chunk_events: the number of events per transaction; a load may be continued with another number.
        stop: called between chunks; returns whether to stop. A stopped load leaves complete chunks and can be
            continued.

    Raises:
        HistoryConflictError: the ledger holds other events.
        HistoryWriterError: the writing process failed.
        replay.synthetic.events.opening.OpeningError: more minutes are credited than the whole history has.
    """
    head = before = int(database.log.head())
    job = _Job(history.scale, history.seed, history.rules_text, head, chunk_events, labels)
    with _writing(job) as messages:
        contents = messages.next(_Contents)
        openings = contents.openings
        total = openings.after + len(openings)
        _check_contents(database, contents, head)
        while head < openings.after:
            if stop():
                return Loaded(head, head - before, complete=False)
            head = _append(database, messages.next(Chunk))
            progress(head, total)
        messages.next(_Done)
    if head == openings.after:
        if stop():
            return Loaded(head, head - before, complete=False)
        head = _append(database, openings.chunk(credited_minutes()))
        progress(head, total)
    return Loaded(head, head - before, complete=True)


def _append(database: Database, chunk: Chunk) -> int:
    try:
        return database.recorder.append_history([chunk.lines])
    except (UniqueViolation, ValueError) as error:
        raise HistoryConflictError(
            f"another writer appended events while the history was being loaded ({error}); load into a separate ledger"
        ) from error


def _check_contents(database: Database, contents: _Contents, head: int) -> None:
    """Refuse a ledger that holds neither a beginning of the history nor all of it (possibly with later events)."""
    if head == 0:
        return
    openings = contents.openings
    expected = {1: contents.first_line, min(head, openings.after): contents.head_line}
    for position, line in expected.items():
        if _line_at(database, position) != line:
            raise HistoryConflictError(
                f"the ledger holds other events than this history at position {position}; "
                "choose another folder, with a ledger of `hours init --no-rules`, or the scale, seed and rules of the "
                "earlier load"
            )
    if head > openings.after and not _has_openings(database, openings):
        raise HistoryConflictError(
            f"after position {openings.after} the ledger holds other events than the opening balances; "
            "choose another folder, with a ledger of `hours init --no-rules`"
        )


def _line_at(database: Database, position: int) -> bytes:
    (event,) = database.log.read(Position(position - 1), 1)
    row = (event.stream_id, event.version, event.topic, event.state)
    return text_rows([row], position).encode()


def _has_openings(database: Database, openings: Openings) -> bool:
    """Return whether the last opening balance is at its position. They are written all together or not at all."""
    found = database.log.read(Position(openings.after + len(openings) - 1), 1)
    last = decode(found[0].topic, found[0].state) if found else None
    return isinstance(last, OpeningBalanceRecorded) and last.volunteer == openings.last_volunteer()


# --- the writing process ----------------------------------------------------------------------------------------------


class _Done(NamedTuple):
    """Everything is written, including labels."""


class _Failed(NamedTuple):
    """The writing process raised an error."""

    report: str


class _Messages:
    """The messages of the writing process, which is at most one chunk ahead of the receiver."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next(self, kind: type[_T]) -> _T:
        try:
            message = self._connection.recv()
        except EOFError:
            raise HistoryWriterError("the process that writes the history was killed; load again to continue") from None
        if isinstance(message, _Failed):
            raise HistoryWriterError(message.report)
        if not isinstance(message, kind):
            raise HistoryWriterError(f"the process that writes the history sent an unexpected {type(message).__name__}")
        return message


@contextmanager
def _writing(job: _Job) -> Iterator[_Messages]:
    """Start the writing process, and terminate it at the end of the block."""
    context = multiprocessing.get_context("spawn")  # a fork would copy locks held by threads of the pool
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_write, args=(sender, job), daemon=True, name="history")
    with interrupts_deferred():
        process.start()
    sender.close()
    try:
        yield _Messages(receiver)
    finally:
        receiver.close()
        process.terminate()
        process.join()
        process.close()


def _write(sender: Connection, job: _Job) -> None:
    """Send the contents, the chunks after the head, and the end."""
    with suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            history = History(job.scale, job.seed, job.rules_text)
            at = max(1, min(job.head, history.electronic_events))
            sender.send(_Contents(history.line(1), history.line(at), history.openings))
            for chunk in history.chunks(job.head, job.chunk_events):
                sender.send(chunk)
            if job.labels is not None:
                history.write_labels(job.labels)
            sender.send(_Done())
        except Exception:  # noqa: BLE001 - every error is sent to the parent, which reports it
            sender.send(_Failed(traceback.format_exc()))
