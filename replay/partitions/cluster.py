"""Workers on other machines, through dask.distributed: its scheduler gives them the tasks of a replay.

A worker that ends is replaced by others, which compute its partitions again; that changes nothing but the time. Workers
need this program in the same version, and the folder of the data set under the same path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from distributed import Client, Future, KilledWorker

from replay.partitions.errors import ClusterError, DatasetError, NoClusterError, VersionError

CONNECT_SECONDS_MAX = 10
WORKERLESS_SECONDS_MAX = 60
"""How long a replay waits while there is no worker: a supervisor starts one again."""
ASK_SECONDS = 1.0
"""How often the scheduler is asked for its workers."""


class Cluster:
    """Runs tasks on the workers of a scheduler."""

    def __init__(self, address: str) -> None:
        """Connect to a scheduler at an address such as `tcp://host:8786`.

        Raises:
            NoClusterError: nobody answers there, or it has no workers.
        """
        self.address = address
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it reports lost connections; so do our errors
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS_MAX, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise NoClusterError(
                f"no scheduler answers at {address}: {error}; start one with `dask scheduler`, and check the address"
            ) from None
        self._asked_at = self._workers_at = time.monotonic()
        if not self.workers():
            self._client.close()
            raise NoClusterError(f"the scheduler at {address} has no workers; start some with `dask worker {address}`")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close(timeout=CONNECT_SECONDS_MAX)

    def workers(self) -> int:
        """Return how many threads of workers there are."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return sum(int(worker["nthreads"]) for worker in workers.values())

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        """Run a function on a worker, once the results among its arguments are there."""
        return self._client.submit(function, *arguments, pure=False)

    def check(self) -> None:
        """Raise an error if the scheduler is lost, or if there have been no workers for a while.

        Raises:
            ClusterError
        """
        if self._client.status != "running":
            raise self._lost()
        now = time.monotonic()
        if now - self._asked_at < ASK_SECONDS:
            return
        self._asked_at = now
        try:
            workers = self.workers()
        except OSError:
            raise self._lost() from None
        if workers:
            self._workers_at = now
        elif now - self._workers_at > WORKERLESS_SECONDS_MAX:
            raise ClusterError(
                f"the scheduler at {self.address} has had no workers for {WORKERLESS_SECONDS_MAX} seconds; nothing was "
                "written"
            )

    def explained(self, error: Exception) -> Exception:
        """Return an error of a task as one of this program."""
        match error:
            case VersionError():
                return ClusterError(f"a worker at {self.address} is of another version than this program: {error}")
            case DatasetError():
                return ClusterError(f"a worker at {self.address} cannot read the facts: {error}")
            case KilledWorker():
                return ClusterError(
                    f"workers at {self.address} ended again and again while they replayed one partition; give them "
                    "more memory, or build the facts with more partitions"
                )
            case ImportError() | AttributeError():
                return ClusterError(f"a worker at {self.address} lacks this program: {error}; install it there")
            case _ if self._client.status != "running" or type(error).__name__.endswith("CancelledError"):
                return self._lost()
            case _:
                return error

    def _lost(self) -> ClusterError:
        return ClusterError(f"the scheduler at {self.address} was lost; nothing was written, so start the replay again")
