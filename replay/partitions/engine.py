"""The engine: a replay of partitions as tasks, a map and then a tree of merges, on whatever runs tasks.

`Pool` is what runs them: threads of this process (`Threads`), or a cluster (`replay.partitions.cluster`). Both get the
same tasks. A task's arguments may be the results of others that are not there yet, which stay where they were made.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Protocol, Self

from projections.schema import NO_DAY
from replay.generations.named_rows import Rows
from replay.partitions.dataset import Dataset
from replay.partitions.partials import Partial, Task, code_version, compute_partition, merge, rows_of_partial
from replay.progress import Progress, checkpoint, ignore
from replay.published import Rules

REPLAYING = "replaying partitions"
POLL_SECONDS = 0.1


class Result(Protocol):
    """The result of a task that may still run (`concurrent.futures.Future`, `distributed.Future`)."""

    def result(self) -> Any:
        """Return the result, or raise the task's error."""

    def add_done_callback(self, call: Callable[[Any], object], /) -> object:
        """Have a function called when the task has ended."""


class Pool(Protocol):
    """Runs tasks."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Result:
        """Run a function once the results among its arguments are there."""

    def check(self) -> None:
        """Raise an error if tasks will never end."""

    def explained(self, error: Exception) -> Exception:
        """Return an error of a task as what the user can do something about."""


class Threads:
    """Runs tasks in threads of this process; kernels hold no lock, so threads run in parallel."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="partition")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function in a thread. It waits only for tasks submitted before, so there is always one that runs."""

        def run() -> Any:
            return function(*(each.result() if isinstance(each, Future) else each for each in arguments))

        return self._pool.submit(run)

    def check(self) -> None:
        """Return: threads end with their process."""

    def explained(self, error: Exception) -> Exception:
        """Return the error."""
        return error


def replay_partitions(
    folder: Path,
    dataset: Dataset,
    rules: Rules,
    pool: Pool,
    *,
    valid_until: int = NO_DAY,
    progress: Progress = ignore,
) -> Rows:
    """Replay a data set; return the rows of all read models, the same as of one replay of all facts.

    Args:
        folder: of the data set, as workers find it.
        progress: counts partitions.

    Raises:
        DatasetError, VersionError: of `compute_partition`. replay.progress.StoppedError: from `progress`.
        What `pool.check` raises. The pool ends what is left, when it is closed.
    """
    task = Task(str(folder), dataset.id, rules.text, valid_until, code_version())
    ended, replayed = Event(), list[None]()

    def tree(first: int, end: int) -> Result:
        """Submit a range of partitions, each pair before the next, so that few results wait to be merged."""
        if end - first > 1:
            middle = (first + end) // 2
            return pool.submit(merge, tree(first, middle), tree(middle, end))
        leaf = pool.submit(compute_partition, task, first)
        leaf.add_done_callback(lambda _: replayed.append(None))  # not the result, which would stay
        return leaf

    whole = tree(0, dataset.partitions)
    whole.add_done_callback(lambda _: ended.set())
    while not ended.wait(POLL_SECONDS):
        checkpoint()
        progress(REPLAYING, len(replayed), dataset.partitions)
        pool.check()
    progress(REPLAYING, dataset.partitions, dataset.partitions)
    try:
        found: Partial = whole.result()
    except Exception as error:
        raise pool.explained(error) from error
    return rows_of_partial(found, rules.text)
