"""Signals that arrive while a process is started wait until it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.interrupts import interrupts_deferred
from tests.support.patience import PATIENCE_SECONDS


class EndedError(Exception):
    """What the handler of this test raises."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal whose handler raises an error."""

    def end(_number: int, _frame: object) -> None:
        raise EndedError

    before = signal.signal(request.param, end)
    yield request.param
    signal.signal(request.param, before)


def send_to_another_thread(number: signal.Signals) -> None:
    """Have a thread receive the signal that does not block it, as the kernel may choose."""

    def receive() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        signal.pthread_kill(threading.get_ident(), number)

    thread = threading.Thread(target=receive)
    thread.start()
    thread.join()


def test_a_signal_is_handled_after_the_block(number: signal.Signals) -> None:
    steps = []

    def start() -> None:
        with interrupts_deferred():
            send_to_another_thread(number)
            signal.raise_signal(number)
            steps.append("the block goes on")

    with pytest.raises(EndedError):
        start()
    assert steps == ["the block goes on"]
    with pytest.raises(EndedError):
        signal.raise_signal(number)


def test_handlers_and_mask_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with interrupts_deferred():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == before


def test_a_process_that_is_started_never_receives_an_interrupt() -> None:
    code = "import os, signal, sys; os.kill(os.getpid(), signal.SIGINT); print('alive')"
    with interrupts_deferred():
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.communicate()[0] == "alive\n"


TRACKED = """
import multiprocessing, signal, threading
from replay.interrupts import interrupts_deferred

def tell(sender):
    sender.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))

receiver, sender = multiprocessing.Pipe(duplex=False)
process = multiprocessing.get_context("spawn").Process(target=tell, args=(sender,))
if __name__ == "__main__":
    with interrupts_deferred():
        process.start()
    print(receiver.recv())
"""


def test_the_first_process_of_a_program_never_receives_one_either(tmp_path: Path) -> None:
    """With it Python starts another process, the resource tracker, and unblocks SIGINT."""
    (tmp_path / "program.py").write_text(TRACKED)
    command = [sys.executable, str(tmp_path / "program.py")]
    root = str(Path(__file__).parents[2])
    told = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert told.stdout == "True\n"


def test_other_threads_start_processes_too(number: signal.Signals) -> None:
    handlers = []

    def use() -> None:
        with interrupts_deferred():
            handlers.append(signal.getsignal(number))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(number)]
