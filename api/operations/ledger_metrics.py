"""Metrics of the ledger, measured each time they are asked for: the log, read models, archive, queue, pool and disk.

What the database is needed for is left out while it is away, and `hours_database_up` is 0 then.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator

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
    """Measures the ledger each time it is asked."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @classmethod
    def registry(cls, service: Service) -> CollectorRegistry:
        """Return a registry of nothing but the measurements of a service's ledger."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(cls(service))
        return registry

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the ledger, its read models, its archive, and of what this process has under way."""
        build = {"version": version(), "python": platform.python_version()}
        yield InfoMetricFamily("hours_build", "Which program this is.", build)
        yield from self._of_ledger()
        yield from self._of_process()

    def _of_ledger(self) -> Iterator[Metric]:
        ledger = self._service.ledger
        alerts = [said for said in (self._service.follower.alert, self._service.archivist.alert) if said]
        try:
            health = measure(ledger.database, lambda: ledger.archive)
        except psycopg.Error:
            yield _gauge("hours_database_up", "Whether the database answers.", 0)
            return
        except NoGenerationError:
            yield _gauge("hours_database_up", "Whether the database answers.", 1)
            return
        yield _gauge("hours_database_up", "Whether the database answers.", 1)
        yield from _of_health(health)
        yield _gauge("hours_problems", "What is wrong, as /v1/status says it.", len(health.problems) + len(alerts))

    def _of_process(self) -> Iterator[Metric]:
        service = self._service
        follower, archivist = bool(service.follower.alert), bool(service.archivist.alert)
        yield _gauge("hours_follower_alert", "1 while the follower has stopped with an alert.", follower)
        yield _gauge("hours_archivist_alert", "1 while the archive cannot grow.", archivist)
        yield _gauge("hours_queue_commands", "Commands that wait to be committed.", service.commits.waiting)
        yield _gauge("hours_queue_commands_max", "So many may wait.", service.commits.queue_orders_max)
        pool = service.ledger.database.pool
        stats = pool.get_stats()
        held, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        connections = GaugeMetricFamily("hours_pool_connections", "Connections to the database.", labels=["state"])
        connections.add_metric(["used"], held - idle)
        connections.add_metric(["idle"], idle)
        yield connections
        yield _gauge("hours_pool_connections_max", "So many may be made.", pool.max_size)
        yield _gauge("hours_pool_waiting", "Who waits for a connection.", stats.get("requests_waiting", 0))
        free = shutil.disk_usage(service.ledger.data).free
        yield _gauge("hours_disk_free_bytes", "Free space of the data directory's file system.", free)
        states = [job.state for job in self._service.jobs.list()]
        jobs = GaugeMetricFamily("hours_jobs", "Jobs by state; ended ones as long as they are kept.", labels=["state"])
        for state in ("waiting", "running", *sorted(ENDED)):
            jobs.add_metric([state], states.count(state))
        yield jobs


def _of_health(health: LedgerHealth) -> Iterator[Metric]:
    generation, archive = health.generation, health.archive
    yield _gauge("hours_log_head_position", "The log's last position.", health.head)
    yield _gauge("hours_read_models_position", "The last position the read models have taken in.", health.seen)
    yield _gauge("hours_read_models_lag_events", "Events the read models lack.", health.lag)
    yield _gauge("hours_read_models_lag_seconds", "How long the oldest event they lack is known.", health.lag_seconds)
    yield _gauge("hours_log_holes", "Positions that should hold an event and do not.", health.holes)
    yield _gauge("hours_generation_age_seconds", "How long ago the generation was built.", generation.age_seconds)
    yield InfoMetricFamily(
        "hours_generation",
        "The generation that answers.",
        {
            "generation": str(generation.generation),
            "rules_version": str(generation.rules.version),
            "rules_digest": generation.rules.digest,
            "checksum": generation.checksum,
        },
    )
    yield _gauge("hours_archive_position", "The archive's last position.", archive.position)
    yield _gauge("hours_archive_lag_events", "Events the archive lacks.", archive.lag)
    yield _gauge("hours_archive_lag_seconds", "How long the oldest event it lacks is known.", archive.lag_seconds)
    yield _gauge("hours_archive_segments", "Segments of the archive.", archive.segments)
    yield _gauge("hours_archive_size_bytes", "Size of the archive on disk.", archive.size_bytes)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value)
