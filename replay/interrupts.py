"""Interrupts that wait until a process has been started.

A process that is started reads its task from a pipe. If Ctrl-C stops the parent before it has written the task, the
child prints a traceback. Blocking the signal in the main thread is not enough: the kernel gives it to another thread,
and Python runs the handler in the main thread.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Handle SIGINT, SIGTERM and SIGHUP after the block; processes that are started in it never receive SIGINT.

    Ctrl-C goes to all processes of a terminal, and the parent ends its children. Signals without a handler of Python's
    act at once. Threads other than the main one are not interrupted anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    handlers = {number: handler for number in _ENDING if callable(handler := signal.getsignal(number))}
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        for number in handlers:
            signal.signal(number, note)
        resource_tracker.ensure_running()  # its start, with the first process, would unblock the signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the child inherits it
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(arrived):
            signal.raise_signal(late)
