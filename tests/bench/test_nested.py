"""What a bench starts behaves alike, whether it is forked or an interpreter is started for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.nested import ForkingPopen, forking_popen, is_forked

PROGRAMS = {
    "output": "print('out'); import sys; print('err', file=sys.stderr)",
    "input": "import sys; print(sys.stdin.read().upper())",
    "arguments": "import sys; print(sys.argv)",
    "folder and environment": "import os; print(os.getcwd(), os.environ['GIVEN'])",
    "exit code": "raise SystemExit(3)",
    "exit text": "raise SystemExit('in vain')",
    "exception": "raise KeyError('no')",
    "signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_forked_program_ends_and_prints_as_a_started_one(name: str) -> None:
    command = [sys.executable, "-c", PROGRAMS[name], "an argument"]
    environment = os.environ | {"GIVEN": "a value"}

    def run() -> tuple[int, str, str]:
        done = subprocess.run(
            command,
            env=environment,
            input="a line\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        return done.returncode, done.stdout, done.stderr.splitlines()[-1] if done.stderr else ""

    started = run()
    with forking_popen():
        assert run() == started


def test_a_forked_program_is_talked_to_and_ended() -> None:
    code = "for line in iter(input, ''): print(line, flush=True)"
    with (
        forking_popen(),
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert isinstance(process, ForkingPopen)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("a line\n")
        process.stdin.flush()
        assert process.stdout.readline() == "a line\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == -15
    assert subprocess.Popen is not ForkingPopen


@pytest.mark.parametrize(
    ("arguments", "forked"),
    [
        ([sys.executable, "-m", "bench.peers.folds"], True),
        ([sys.executable, "-m", "pip"], False),
        ([sys.executable, "-I", "-c", "pass"], False),
        (["pgbench", "-c", "1"], False),
        ([sys.executable, "-c"], False),
        ("echo", False),
    ],
)
def test_programs_of_ours_are_forked(arguments: object, *, forked: bool) -> None:
    assert is_forked(arguments, None, None) == forked


def test_what_depends_on_the_start_of_an_interpreter_is_started(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "pass"]
    assert is_forked(command, None, {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0") + "1"}) is False
    assert is_forked(command, tmp_path, None) is False  # another checkout
