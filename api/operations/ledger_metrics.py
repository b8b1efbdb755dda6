"""Metrics of the ledger, measured at each scrape: the log, read models, archive, queue, pool and disk.

While the database does not answer, `hours_database_up` is 0 and the metrics that need it are omitted.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from api.operations.jobs import ENDED
from api.operations.service import Service
from api.operations.version import version
from replay.generations.store import NoGenerationError
from replay.queries.health import LedgerHealth, measure


class LedgerCollector(Collector):
    """Measures the ledger at each scrape."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @classmethod
    def registry(cls, service: Service) -> CollectorRegistry:
        """Return a registry that holds only the metrics of a service's ledger."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(cls(service))
        return registry

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the ledger, its read models, its archive, and this process's queue, pool and jobs."""
        build = {"version": version(), "python": platform.python_version()}
        yield InfoMetricFamily("hours_build", "The version of the program.", build)
        states = self._service.job_states()
        yield from self._of_ledger(computes=states is not None)
        yield from self._of_process(states)

    def _of_ledger(self, *, computes: bool) -> Iterator[Metric]:
        ledger = self._service.ledger
        alerts = len(self._service.alerts) + (not computes)
        try:
            health = measure(ledger.database, lambda: ledger.archive, self._service.notary.log)
        except psycopg.Error:
            yield _gauge("hours_database_up", "Whether the database answers.", 0)
            return
        except NoGenerationError:
            yield _gauge("hours_database_up", "Whether the database answers.", 1)
            return
        yield _gauge("hours_database_up", "Whether the database answers.", 1)
        yield from _of_health(health)
        yield _gauge("hours_problems", "Problems that /v1/status lists.", len(health.problems) + alerts)

    def _of_process(self, states: Sequence[str] | None) -> Iterator[Metric]:
        service = self._service
        follower, archivist = bool(service.follower.alert), bool(service.archivist.alert)
        yield _gauge("hours_follower_alert", "1 while the follower is stopped by an error.", follower)
        yield _gauge("hours_archivist_alert", "1 while the archive cannot grow.", archivist)
        disagrees = service.ledger.archive.disagreement() is not None
        yield _gauge("hours_archive_disagrees", "1 while the archive disagrees with the log.", disagrees)
        yield _gauge("hours_notary_alert", "1 while no checkpoint can be signed.", bool(service.notary.alert))
        disagrees = service.notary.log.disagreement() is not None
        yield _gauge("hours_tree_disagrees", "1 while the log is not the one that was signed.", disagrees)
        yield _gauge("hours_queue_commands", "Commands waiting to be committed.", service.commits.waiting)
        yield _gauge(
            "hours_queue_commands_max", "The maximum number of waiting commands.", service.commits.queue_orders_max
        )
        pool = service.ledger.database.pool
        stats = pool.get_stats()
        total, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        connections = GaugeMetricFamily("hours_pool_connections", "Connections to the database.", labels=["state"])
        connections.add_metric(["used"], total - idle)
        connections.add_metric(["idle"], idle)
        yield connections
        yield _gauge("hours_pool_connections_max", "The maximum number of connections.", pool.max_size)
        yield _gauge("hours_pool_waiting", "Requests waiting for a connection.", stats.get("requests_waiting", 0))
        free = shutil.disk_usage(service.ledger.data).free
        yield _gauge("hours_disk_free_bytes", "Free space of the data directory's file system.", free)
        yield _gauge("hours_computing_up", "Whether the computing process answers.", states is not None)
        jobs = GaugeMetricFamily("hours_jobs", "Jobs by state; only the latest ended ones.", labels=["state"])
        for state in ("waiting", "running", *sorted(ENDED)):
            jobs.add_metric([state], (states or ()).count(state))
        yield jobs


def _of_health(health: LedgerHealth) -> Iterator[Metric]:
    generation, archive = health.generation, health.archive
    yield _gauge("hours_log_head_position", "The log's last position.", health.head)
    yield _gauge("hours_read_models_position", "The last position included in the read models.", health.seen)
    yield _gauge("hours_read_models_lag_events", "Events missing from the read models.", health.lag)
    yield _gauge("hours_read_models_lag_seconds", "Age of the oldest event missing from them.", health.lag_seconds)
    yield _gauge("hours_log_holes", "Positions of the log without an event.", health.holes)
    yield _gauge("hours_generation_age_seconds", "Time since the generation was built.", generation.age_seconds)
    yield InfoMetricFamily(
        "hours_generation",
        "The current generation.",
        {
            "generation": str(generation.generation),
            "rules_version": str(generation.rules.version),
            "rules_digest": generation.rules.digest,
            "checksum": generation.checksum,
        },
    )
    yield _gauge("hours_archive_position", "The archive's last position.", archive.position)
    yield _gauge("hours_archive_lag_events", "Events missing from the archive.", archive.lag)
    yield _gauge("hours_archive_lag_seconds", "Age of the oldest event missing from it.", archive.lag_seconds)
    yield _gauge("hours_archive_segments", "Segments of the archive.", archive.segments)
    yield _gauge("hours_tree_position", "The last position that a signed checkpoint covers.", health.tree.position)
    yield _gauge("hours_tree_lag_events", "Events after that position.", health.tree.lag)
    if health.tree.signed_at is not None:
        age = (datetime.now(UTC) - health.tree.signed_at).total_seconds()
        yield _gauge("hours_checkpoint_age_seconds", "Time since the last checkpoint was signed.", age)
    yield _gauge("hours_archive_size_bytes", "Size of the archive on disk.", archive.size_bytes)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value)
