"""Dask clusters on this machine: a scheduler, and workers with supervisors that start them again."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from replay.partitions.cluster import Cluster
from replay.partitions.errors import NoClusterError

_DASK = [sys.executable, "-m"]
_QUIET = ["--dashboard-address", "127.0.0.1:0"]


@contextmanager
def scheduler() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler in a process of its own, without workers: its address and the process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*_DASK, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), *_QUIET]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not _answers(port):
            if process.poll() is not None:
                raise RuntimeError("the scheduler has ended")
            time.sleep(0.05)
        yield f"tcp://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def working(address: str, count: int) -> Iterator[None]:
    """Run so many workers of one thread."""
    command = [*_DASK, "distributed.cli.dask_worker", address, "--nthreads", "1", "--memory-limit", "0", *_QUIET]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def connected(address: str, count: int) -> Cluster:
    """Connect as soon as all workers are there."""
    while True:
        try:
            pool = Cluster(address)
        except NoClusterError:
            time.sleep(0.2)
            continue
        if pool.workers() == count:
            return pool
        with pool:
            time.sleep(0.2)
