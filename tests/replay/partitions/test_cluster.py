"""Replays on a cluster: equal to those in one process, whatever happens to workers; and one sentence if it is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.support.clusters import connected, scheduler, working
from ledger.aggregates import Event
from replay.partitions import cluster as clusters
from replay.partitions import engine
from replay.partitions.cluster import Cluster
from replay.partitions.dataset import Dataset, file_of
from replay.partitions.dividing import divide
from replay.partitions.engine import Threads, replay_partitions
from replay.partitions.errors import ClusterError, NoClusterError
from tests.support.oracle.histories import history, rules
from tests.support.patience import PATIENCE_SECONDS
from tests.support.replay.dividing import division
from tests.support.replay.replaying import as_rules

pytestmark = pytest.mark.slow

PARTITIONS = 32
RULES = as_rules(rules())
EVENTS: list[Event] = history(
    "\n".join(
        f"2018-12-{day:02} 09:00 in V{volunteer} U1 #{day}{volunteer:02}\n"
        f"2018-12-{day:02} 1{volunteer % 10}:00 out V{volunteer} U1 #{day}{volunteer:02}"
        for day in range(1, 20)
        for volunteer in range(10, 60)
    )
)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, int]:
    """A folder of facts, their description, and the checksum that a replay in one process gives."""
    folder = tmp_path_factory.mktemp("facts") / "facts"
    dataset = divide(division({"luohu": EVENTS}), folder, PARTITIONS)
    with Threads(2) as pool:
        return folder, dataset, replay_partitions(folder, dataset, RULES, pool).checksum()


@pytest.fixture(scope="module")
def workers() -> Iterator[str]:
    """The address of a scheduler with two workers."""
    with scheduler() as (address, _), working(address, 2):
        with connected(address, 2):
            pass
        yield address


def test_workers_give_what_one_process_gives(workers: str, facts: tuple[Path, Dataset, int]) -> None:
    folder, dataset, expected = facts
    reached: list[int] = []
    with Cluster(workers) as pool:
        rows = replay_partitions(folder, dataset, RULES, pool, progress=lambda _, done, __: reached.append(done))
    assert rows.checksum() == expected
    assert reached == sorted(reached)
    assert reached[-1] == PARTITIONS


@pytest.mark.parametrize("after", [1, 5, 20])
def test_workers_that_are_killed_change_nothing_but_the_time(
    workers: str, facts: tuple[Path, Dataset, int], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, dataset, expected = facts
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.001)
    killed: list[int] = []

    def kill(_stage: str, done: int, _total: int) -> None:
        if done >= after and not killed:
            killed.append(sorted(pool._client.run(os.getpid).values())[after % 2])
            os.kill(killed[0], signal.SIGKILL)

    with connected(workers, 2) as pool:
        assert replay_partitions(folder, dataset, RULES, pool, progress=kill).checksum() == expected
    assert killed


def test_facts_that_a_worker_cannot_read_end_in_a_sentence(
    workers: str, facts: tuple[Path, Dataset, int], tmp_path: Path
) -> None:
    _, dataset, _ = facts
    with Cluster(workers) as pool, pytest.raises(ClusterError, match=r"cannot read the facts: .*none"):
        replay_partitions(tmp_path / "none", dataset, RULES, pool)
    folder = tmp_path / "facts"
    damaged = divide(division({"luohu": EVENTS}), folder, 4)
    (folder / file_of("events", 1)).unlink()
    with Cluster(workers) as pool, pytest.raises(ClusterError, match=r"events-0001.parquet"):
        replay_partitions(folder, damaged, RULES, pool)


def test_a_worker_of_another_version_computes_nothing(
    workers: str, facts: tuple[Path, Dataset, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, dataset, _ = facts
    monkeypatch.setattr(engine, "code_version", lambda: "another")
    with Cluster(workers) as pool, pytest.raises(ClusterError, match="of another version"):
        replay_partitions(folder, dataset, RULES, pool)


def test_a_scheduler_without_workers_is_told_with_what_to_start() -> None:
    with scheduler() as (address, _), pytest.raises(NoClusterError, match=f"start some with `dask worker {address}`"):
        Cluster(address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:port"])
def test_an_address_at_which_nobody_answers_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "CONNECT_SECONDS_MAX", 1)
    with pytest.raises(NoClusterError, match=f"no scheduler answers at {address}"):
        Cluster(address)


def test_a_scheduler_that_is_lost_ends_the_replay_in_a_sentence(facts: tuple[Path, Dataset, int]) -> None:
    folder, dataset, _ = facts
    with scheduler() as (address, process), working(address, 1):

        def kill(_stage: str, _done: int, _total: int) -> None:
            process.kill()
            process.wait(PATIENCE_SECONDS)

        with connected(address, 1) as pool, pytest.raises(ClusterError, match="was lost; nothing was written"):
            replay_partitions(folder, dataset, RULES, pool, progress=kill)
