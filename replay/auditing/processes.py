"""The processes of an audit."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from replay.interrupts import interrupts_deferred


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor | None]:
    """Start processes, and end them with the block, also after Ctrl-C; None for one process alone."""
    if count == 1:
        yield None
        return
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_ignore_interrupts)
    try:
        with interrupts_deferred():
            list(pool.map(int, range(count)))  # a process begins with a task
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
            process.join()


def _ignore_interrupts() -> None:
    """Ctrl-C goes to all processes of a terminal; the one that started the others ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
