"""The crash test reaches its steps and finds nothing lost, and finds losses where the ledger is spoilt."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from bench.crash.run import RANDOM, plan
from bench.crash.steps import BOTH, DATABASE, SERVER, STEPS, Step, watch
from tests.support.processes.program import run


def crash(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a few rounds; return the exit code and what was reported."""
    environment = os.environ | {"DATABASE_URL": "postgresql://nobody@nowhere.invalid/"}
    found = run("-m", "bench.crash", "--data", folder, "--json", *arguments, environment=environment)
    assert found.stdout, found.stderr[-2000:]
    assert found.returncode in {0, 1}, found.stderr[-2000:]
    return found.returncode, json.loads(found.stdout.splitlines()[-1])


def test_nothing_is_lost_when_server_and_database_are_killed_at_named_steps(tmp_path: Path) -> None:
    steps = ["before the commit", "in a segment, before the manifest", "in a switch, before the pointer moves"]
    code, said = crash(tmp_path, "--rounds", "3", "--steps", *steps)
    assert said["kills_by_step"] == {steps[0]: {SERVER: 1}, steps[1]: {DATABASE: 1}, steps[2]: {SERVER: 1}}
    assert (said["rounds"], said["kills"], said["steps_missed"], said["losses"]) == (3, 3, [], 0)
    assert said["events"] > said["acknowledged"] > 100
    assert said["refused"] > 0
    assert code == 0


def test_a_ledger_that_forgets_names_is_found_out(tmp_path: Path) -> None:
    code, said = crash(tmp_path, "--rounds", "1", "--steps", "before the answer", "--sabotage", "forget-names")
    assert said["losses"] > 0
    assert code == 1


def test_fifty_rounds_go_through_every_step_with_either_victim() -> None:
    random.seed(1)
    rounds = plan(50, list(STEPS))
    planned = {(one.step, one.victim) for one in rounds}
    assert len(rounds) == 50
    assert planned >= {(step, victim) for step in STEPS for victim in (SERVER, DATABASE)}
    assert planned >= {(RANDOM, victim) for victim in (SERVER, DATABASE, BOTH)}
    assert {one.servers for one in rounds} == {1, 2}


class Watched:
    """Something that is done again and again, and fails the second time."""

    done = 0

    def work(self) -> int:
        self.done += 1
        if self.done == 2:
            raise KeyError
        return self.done


@pytest.mark.parametrize(("when", "reached_at"), [("before", 1), ("after", 3)])
def test_a_step_is_reached_once_at_the_call_that_was_named(
    monkeypatch: pytest.MonkeyPatch, when: str, reached_at: int
) -> None:
    """The second call fails: it begins, and is never over."""
    monkeypatch.setattr(Watched, "work", Watched.work)
    watched, reached = Watched(), list[int]()
    watch(Step(Watched, "work", when, 3), 2, lambda: reached.append(watched.done))
    assert watched.work() == 1
    with pytest.raises(KeyError):
        watched.work()
    assert [watched.work(), watched.work()] == [3, 4]
    assert reached == [reached_at]


def test_a_step_whose_function_is_gone_is_told_at_once() -> None:
    with pytest.raises(AttributeError, match="gone"):
        watch(Step(Watched, "gone", "before", 1), 1, lambda: None)
