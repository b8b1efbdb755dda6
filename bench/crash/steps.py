"""The named steps at which the crash bench kills, and sabotages of the ledger that must cause losses.

A step is a call of one of the ledger's functions, wrapped from outside without changes to the ledger. A step whose
function no longer exists fails at once; a step whose function is no longer called is not reached, which fails the run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from api.http.requests import submission
from ledger.intake import batch
from ledger.store import append
from replay.archive import archive, growth
from replay.generations import retention, store, switching
from replay.live import batch as follower_batch
from replay.live import follower

BEFORE, AFTER = "before", "after"
POSTS, REBUILD, SWITCH = "posts", "rebuild", "switch"
SERVER, DATABASE, BOTH = "server", "database", "both"


class Step(NamedTuple):
    """A moment before or after a call: its function, the most calls to wait for, and the work that reaches it."""

    owner: object
    function: str
    when: str
    calls_max: int
    work: str = POSTS


STEPS: dict[str, Step] = {
    "before the lock": Step(append, "take_lock", BEFORE, 30),
    "after the COPY of events": Step(append.Append, "commands", BEFORE, 30),
    "before the commit": Step(batch.Batch, "execute", AFTER, 30),
    "before the answer": Step(submission, "_complete", BEFORE, 30),
    "in the follower, before its rows": Step(follower_batch.Batch, "apply", BEFORE, 6),
    "in the follower, among its rows": Step(follower_batch, "add_hours", AFTER, 6),
    "in the follower, before its commit": Step(follower_batch.Batch, "apply", AFTER, 6),
    "in a segment, before its files are whole": Step(growth, "digests_of", BEFORE, 3),
    "in a segment, before it is moved to its place": Step(archive, "finish", BEFORE, 3),
    "in a segment, before the manifest": Step(archive, "write_manifest", BEFORE, 3),
    "in a segment, after the manifest": Step(archive, "write_manifest", AFTER, 3),
    "in a merge of segments": Step(growth.Growth, "merged", AFTER, 1),
    "in a rebuild, before its rows": Step(store, "write_generation", BEFORE, 1, REBUILD),
    "in a rebuild, before the pointer moves": Step(store, "point_to", BEFORE, 1, REBUILD),
    "in a rebuild, before its commit": Step(store, "point_to", AFTER, 1, REBUILD),
    "in a switch, before it catches up": Step(switching, "verify", AFTER, 1, SWITCH),
    "in a switch, before the pointer moves": Step(store, "point_to", BEFORE, 1, SWITCH),
    "in a switch, before its commit": Step(store, "point_to", AFTER, 1, SWITCH),
    "in a switch, after its commit": Step(retention, "drop_surplus", BEFORE, 1, SWITCH),
}


def watch(step: Step, call: int, reached: Callable[[], None]) -> None:
    """Call `reached` once, before the given call of the step's function or after it; after a later one if it fails."""
    watched: Callable[..., Any] = getattr(step.owner, step.function)
    calls, times = count(1), count()

    @wraps(watched)
    def watching(*arguments: Any, **more: Any) -> Any:
        due = next(calls) >= call
        if step.when == BEFORE and due and next(times) == 0:
            reached()
        result = watched(*arguments, **more)
        if step.when == AFTER and due and next(times) == 0:
            reached()
        return result

    setattr(step.owner, step.function, watching)


def replace(owner: object, name: str, other: Any) -> Any:
    """Replace an existing attribute of a module or class; return the previous value."""
    previous = getattr(owner, name)
    setattr(owner, name, other)
    return previous


def kill(victim: str, server: int, data: Path) -> None:
    """Kill a server, its PostgreSQL, or both, with SIGKILL."""
    if victim in {DATABASE, BOTH}:
        with suppress(OSError, psutil.NoSuchProcess):
            postmaster = psutil.Process(int((data / "postgres" / "postmaster.pid").read_text().split()[0]))
            for process in (postmaster, *postmaster.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
    if victim in {SERVER, BOTH}:
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)


# --- sabotages ------------------------------------------------------------------------------------------------------


def answer_before_it_is_on_disk() -> None:
    """Let the server answer before its commit is on disk."""

    def take_lock_without_sync(cursor: Any, timeout_seconds: int | None = None) -> None:
        take_lock(cursor, timeout_seconds)
        cursor.execute("SET LOCAL synchronous_commit = off")

    take_lock = replace(append, "take_lock", take_lock_without_sync)


def forget_names() -> None:
    """Let the server record commands without their names."""
    replace(append.Append, "commands", lambda *_: None)


def skip_in_the_follower() -> None:
    """Let the follower skip the first event of every batch."""

    def skipping(log: Any, connection: Any, generation: Any, recorded: Any, events: Any) -> Any:
        few = len(recorded) < 2
        return follower_batch_class(
            log, connection, generation, recorded if few else recorded[1:], events if few else events[1:]
        )

    follower_batch_class = replace(follower, "Batch", skipping)


SABOTAGES: dict[str, Callable[[], None]] = {
    "answer-before-it-is-on-disk": answer_before_it_is_on_disk,
    "forget-names": forget_names,
    "skip-in-the-follower": skip_in_the_follower,
}
