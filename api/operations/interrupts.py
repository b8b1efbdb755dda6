"""Interrupts that cannot get lost, so that pressing Ctrl-C once is enough.

Python raises KeyboardInterrupt wherever the main thread happens to be; in a library's callback or in a destructor it is
printed and dropped. So the interrupt is also remembered, and whatever would run forever checks for it first.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

_interrupted = threading.Event()


def remember_interrupts() -> None:
    """Remember every SIGINT from now on; KeyboardInterrupt is raised as before."""
    signal.signal(signal.SIGINT, _on_interrupt)


def stop_if_interrupted() -> None:
    """Raise KeyboardInterrupt if there was a SIGINT, even if its exception was dropped."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    signal.default_int_handler(number, frame)
