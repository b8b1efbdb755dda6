"""A process whose children rebuild and switch, and kill themselves at the step they are told to.

`python -m tests.support.replay.killing URL FOLDER` reads orders as lines of JSON: the work, the stage, and at which of
its calls to die. Each order runs in a fork, which has the kernels and imports already; the answer is the signal it died
of, or 0.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

from ledger.store.database import Database
from projections.kernels.facts import facts_of
from replay.archive.archive import Archive
from replay.generations import retention
from replay.generations.rebuild import rebuild, replay
from replay.generations.switching import switch
from replay.progress import Progress
from tests.support.replay.generations import HISTORY, MORE, NEW_RULES, OLD_RULES, follow_more

AFTER_COMMIT = "after the commit"


def die(*_: object) -> NoReturn:
    """End as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def work(url: str, folder: Path, order: dict[str, Any]) -> None:
    """Do what is ordered, up to the step at which to die."""
    calls: Counter[str] = Counter()
    with Database.open(url) as database:
        archive = Archive(folder, database.log.identity())

        def progress(stage: str, _done: int, _in_all: int) -> None:
            calls[stage] += 1
            if stage == "catching up" and calls[stage] == 1 and order["overtaken"]:
                follow_more(database)
            if (stage, calls[stage]) == (order["stage"], order["call"]):
                die()

        after = die if order["stage"] == AFTER_COMMIT else retention.drop_surplus
        with patch.object(retention, "drop_surplus", after):
            WORKS[order["work"]](database, archive, progress)


WORKS: dict[str, Callable[[Database, Archive, Progress], object]] = {
    "rebuild": lambda database, archive, progress: rebuild(database, archive, NEW_RULES, progress=progress),
    "rebuild facts anew": lambda database, archive, progress: rebuild(
        database, archive, NEW_RULES, new_facts=True, progress=progress
    ),
    "switch": lambda database, archive, progress: switch(database, archive, 1, progress=progress),
}


def main() -> None:
    """Take orders until there are no more."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    replay(facts_of([*HISTORY, *MORE]), OLD_RULES)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(url, folder, json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    main()
