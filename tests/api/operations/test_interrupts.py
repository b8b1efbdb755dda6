"""An interrupt that a library dropped still stops what would go on for ever."""

from __future__ import annotations

import subprocess
import sys

from tests.support.patience import PATIENCE_SECONDS

DROPPED = """
import os, signal
from api.operations.interrupts import remember_interrupts, stop_if_interrupted
remember_interrupts()
stop_if_interrupted()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("dropped")
try:
    stop_if_interrupted()
except KeyboardInterrupt:
    print("remembered")
"""


def test_an_interrupt_that_was_dropped_is_remembered() -> None:
    told = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    assert told.stdout.split() == ["dropped", "remembered"]
