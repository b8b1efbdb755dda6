"""Progress: what long work tells whoever waits for it, and how it is stopped.

Long work calls its `Progress` often. To stop it, let the callback raise `StoppedError`: the work passes it on and
leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told the stage (a phrase such as "reading the archive"), how much is done, and of how much; 0 of 0 if unknown."""


class StoppedError(Exception):
    """Whoever waited asked to stop."""

    def __init__(self) -> None:
        super().__init__("stopped; nothing was changed")


def ignore(_stage: str, _done: int, _in_all: int) -> None:
    """Tell nobody."""
