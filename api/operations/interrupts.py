"""Interrupts that are not forgotten: Ctrl-C once is enough.

Python raises KeyboardInterrupt wherever the main thread happens to be; in a callback of a library, or in a destructor,
it is printed and dropped. So the interrupt is also remembered, and what would go on for ever asks before it begins.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

_interrupted = threading.Event()


def remember_interrupts() -> None:
    """Remember SIGINT from now on; it is raised as before."""
    signal.signal(signal.SIGINT, _on_interrupt)


def stop_if_interrupted() -> None:
    """Raise KeyboardInterrupt if there was one, even if somebody dropped it."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    signal.default_int_handler(number, frame)
