"""A process whose children follow, and kill themselves in the middle of the batch they are told to.

`python -m tests.support.replay.following URL` reads orders as lines of JSON: the step (a function of
replay/live/batch.py, "commit" or "nothing") and at which of its calls to die. Each order runs in a fork, which has the
kernels and imports already; the answer is the signal it died of, or 0 if it caught up.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from ledger.aggregates import Event
from ledger.store.database import Database
from projections.kernels.facts import facts_of
from replay.generations.rebuild import replay
from replay.live import batch, follower
from replay.live.follower import Follower
from tests.support.oracle.histories import history, rule_set, rules
from tests.support.replay.replaying import as_rules

BATCH_EVENTS = 7
STAR = {"id": "star", "title": "Star", "credited_minutes_min": 600}
RULES = as_rules(rules(rule_set(day_minutes_max=300, shift_minutes_max=720, honors=[STAR])))
COMMIT, NOTHING = "commit", "nothing"


def _lines() -> list[str]:
    """Three volunteers on twelve days of two years, with second thoughts, late events and people served."""
    lines = []
    for number in range(1, 13):
        day, volunteer = f"201{7 + number // 7}-1{number % 3}-{number + 9}", f"V{number % 3 + 1}"
        lines += [f"{day} 09:00 in {volunteer} U1 #{number} project=P1", f"{day} 13:00 out {volunteer} U1 #{number}"]
        if number % 4 == 0:
            lines += [f"{day} 14:00 correct {volunteer} #{number - 3} check_out={day}T12:30"]
        if number % 5 == 0:
            lines += [f"{day} 15:00 served U1 {day} {number} project=P1", f"{day} 15:00 void {volunteer} #{number}"]
    return [*lines, "2018-12-24 10:00 opening V1 600 2017-06-01", "2018-12-24 11:00 raise V2 2018-11-19 600 R1"]


EVENTS: list[Event] = history("\n".join(_lines()))


def follow(url: str, step: str, call: int) -> None:
    """Follow in small batches; die before the given call of a step."""
    with Database.open(url) as database, patch.object(follower, "BATCH_EVENTS", BATCH_EVENTS):
        if step == NOTHING:
            Follower(database).catch_up()
        elif step == COMMIT:
            for _ in range(call):
                Follower(database).process_batch()
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            with patch.object(batch, step, _dying(getattr(batch, step), call)):
                Follower(database).catch_up()


def _dying(step: Callable[..., Any], call: int) -> Callable[..., Any]:
    left = call

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)  # as a power cut would
        return step(*arguments, **more)

    return counted


def main() -> None:
    """Take orders until there are no more."""
    replay(facts_of(EVENTS), RULES)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            follow(sys.argv[1], order["step"], order["call"])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    main()
