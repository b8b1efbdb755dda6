"""Loading a synthetic history into a ledger, past the commands, by COPY.

A process of its own plans and encodes while PostgreSQL copies. Each chunk is one transaction under the writers' lock.
A load that was stopped, or killed, goes on where it stood: the same scale, seed and rules give the same bytes, so the
ledger's last event tells whether it holds the beginning of this history. A ledger that holds anything else is
refused, and nothing is written.

The opening balances come last, all in one transaction, because they depend on what is credited until then.
"""

from __future__ import annotations

import multiprocessing
import signal
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
from replay.synthetic.events.opening import Openings
from replay.synthetic.events.sources import Chunk
from replay.synthetic.history import CHUNK_EVENTS, History

_T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Told how many events of the history the ledger holds, and how many there are in all."""


class HistoryConflictError(RuntimeError):
    """The ledger holds something else than the beginning of this history."""


class HistoryWriterError(RuntimeError):
    """The process that writes the history failed; its traceback is in the message."""


class Loaded(NamedTuple):
    """What a load did. `complete` is false when it was stopped: load the same history again to go on."""

    head: int
    written: int
    complete: bool


class _Order(NamedTuple):
    """What the writing process is to write."""

    scale: float
    seed: int
    rules_text: str
    head: int
    chunk_events: int
    labels: Path | None


class _Contents(NamedTuple):
    """What the writing process says first: how the history begins, stands at the ledger's head, and ends."""

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
    progress: Progress = lambda _done, _all: None,
    stop: Callable[[], bool] = lambda: False,
) -> Loaded:
    """Load a history into an empty ledger, or go on with a load of the same history.

    A script that calls this needs the usual `if __name__ == "__main__"`: the writing process imports it once more.

    Args:
        credited_minutes: called when all shifts are in the ledger; returns what is credited for them under the
        default rules, in
            minutes. The opening balances bring it to `history.minutes`.
        labels: where to write the ground truth of the faults, as Parquet.
        chunk_events: how many events make a transaction; a load may be continued with another number.
        stop: asked between chunks; a load that is stopped leaves whole chunks and can be continued.

    Raises:
        HistoryConflictError: the ledger holds something else.
        replay.synthetic.events.opening.OpeningError: more is credited than the whole history holds.
    """
    head = found = int(database.log.head())
    order = _Order(history.scale, history.seed, history.rules_text, head, chunk_events, labels)
    with _writing(order) as messages:
        contents = messages.next(_Contents)
        openings = contents.openings
        total = openings.after + len(openings)
        _check_contents(database, contents, head)
        while head < openings.after:
            if stop():
                return Loaded(head, head - found, complete=False)
            head = _append(database, messages.next(Chunk))
            progress(head, total)
        messages.next(_Done)
    if head == openings.after:
        if stop():
            return Loaded(head, head - found, complete=False)
        head = _append(database, openings.chunk(credited_minutes()))
        progress(head, total)
    return Loaded(head, head - found, complete=True)


def _append(database: Database, chunk: Chunk) -> int:
    try:
        return database.recorder.append_history([chunk.lines])
    except (UniqueViolation, ValueError) as error:
        raise HistoryConflictError(
            f"another writer appended events while the history was being loaded ({error}); "
            "load into a ledger of its own"
        ) from error


def _check_contents(database: Database, contents: _Contents, head: int) -> None:
    """Refuse a ledger that does not hold a beginning of the history, or all of it and perhaps more."""
    if head == 0:
        return
    openings = contents.openings
    expected = {1: contents.first_line, min(head, openings.after): contents.head_line}
    for position, line in expected.items():
        if _line_at(database, position) != line:
            raise HistoryConflictError(
                f"the ledger holds other events than this history at position {position}; "
                "choose an empty data directory, or the scale, seed and rules with which it was begun"
            )
    if head > openings.after and not _openings_stand(database, openings):
        raise HistoryConflictError(
            f"the ledger goes on after position {openings.after} with other events than the opening balances; "
            "choose an empty data directory"
        )


def _line_at(database: Database, position: int) -> bytes:
    (event,) = database.log.read(Position(position - 1), 1)
    row = (event.stream_id, event.version, event.topic, event.state)
    return text_rows([row], position).encode()


def _openings_stand(database: Database, openings: Openings) -> bool:
    """Tell whether the last opening balance is where it belongs; they were written all together or not at all."""
    found = database.log.read(Position(openings.after + len(openings) - 1), 1)
    last = decode(found[0].topic, found[0].state) if found else None
    return isinstance(last, OpeningBalanceRecorded) and last.volunteer == openings.last_volunteer()


# --- the writing process ----------------------------------------------------------------------------------------------


class _Done(NamedTuple):
    """All is written, labels too."""


class _Failed(NamedTuple):
    """The writing process raised an error."""

    report: str


class _Messages:
    """What the writing process sends. It is one chunk ahead: it waits with the next until this one has been taken."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next(self, kind: type[_T]) -> _T:
        try:
            message = self._connection.recv()
        except EOFError:
            raise HistoryWriterError("the process that writes the history was killed; load again to go on") from None
        if isinstance(message, _Failed):
            raise HistoryWriterError(message.report)
        if not isinstance(message, kind):
            raise HistoryWriterError(f"the process that writes the history sent {type(message).__name__} out of turn")
        return message


@contextmanager
def _writing(order: _Order) -> Iterator[_Messages]:
    """Start the writing process behind the ledger's head; it is stopped at the end, finished or not."""
    context = multiprocessing.get_context("spawn")  # a fork would copy the pool's threads' locks
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_write, args=(sender, order), daemon=True, name="history")
    # Ctrl-C goes to the whole terminal; the child leaves it to us, who stop it, and starts undisturbed.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sender.close()
    try:
        yield _Messages(receiver)
    finally:
        receiver.close()
        process.terminate()
        process.join()
        process.close()


def _write(sender: Connection, order: _Order) -> None:
    """Send the contents, the chunks behind the head, and the end."""
    with suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            history = History(order.scale, order.seed, order.rules_text)
            at = max(1, min(order.head, history.electronic_events))
            sender.send(_Contents(history.line(1), history.line(at), history.openings))
            for chunk in history.chunks(order.head, order.chunk_events):
                sender.send(chunk)
            if order.labels is not None:
                history.write_labels(order.labels)
            sender.send(_Done())
        except Exception:  # noqa: BLE001 - whatever went wrong is told to the process that can report it
            sender.send(_Failed(traceback.format_exc()))
