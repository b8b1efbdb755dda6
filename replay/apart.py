"""Work in a process of its own, at a lower priority, so that its computing does not delay those who serve requests.

The work is a module with a `main(data, url)`, run as `python -m MODULE DATA` with DATABASE_URL; `run_main` is its last
line. It ends with 0, or with 1 after a sentence on standard error. What it computes, it leaves in files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from replay.progress import StoppedError

NICENESS = 10
_POLL_SECONDS = 0.2


class ApartError(Exception):
    """The process failed; the message is its last sentence."""


def run_apart(module: str, data: Path, url: str, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Run a module in a process of its own, and wait for it.

    Raises:
        ApartError: it failed.
        StoppedError: `is_stopped` returned true, and the process was ended.
    """
    environment = {**os.environ, "DATABASE_URL": url}
    command = [sys.executable, "-m", module, str(data.absolute())]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        while True:
            try:
                _, errors = process.communicate(timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if is_stopped():
                    process.terminate()
                    process.wait()
                    raise StoppedError from None
    if process.returncode:
        raise ApartError((errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1])


def run_main(main: Callable[[Path, str], None], *expected: type[Exception]) -> None:
    """Run the `main` of a module, and end the process.

    Args:
        expected: errors whose message is a sentence for the operator.
    """
    os.nice(NICENESS)
    told: tuple[type[Exception], ...] = (OSError, psycopg.Error, *expected)
    try:
        main(Path(sys.argv[1]), os.environ["DATABASE_URL"])
    except told as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(1)
