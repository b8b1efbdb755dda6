"""Metrics: the numbers a monitoring system collects, in Prometheus' text format.

Requests are counted and timed as they pass; all else is measured when it is asked for (`replay/health.py`), so that a
number is never older than the answer it stands in. There are no names in here: routes are templates, and whoever looks
up a volunteer leaves no trace but a count.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.jobs import ENDED
from api.service import Service
from replay.health import LedgerHealth, measure

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Requests:
    """Counts and times requests. `count` is called by `RequestMetrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._of: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._count = Counter(
            "http_requests_total", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "How long it took until an answer began.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note one more request."""
        found = self._of.get((method, route, status))
        if found is None:  # looking labels up takes longer than counting
            named = method if method in _METHODS else "other"
            found = self._count.labels(named, route, status), self._seconds.labels(named, route)
            self._of[named, route, status] = found
        count, histogram = found
        count.inc()
        histogram.observe(seconds)


class RequestMetrics:
    """Lets every request pass, and notes its route, its status and how long its answer took to begin."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, told = time.perf_counter(), False

        async def timed(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                told = True
                self._note(scope, message["status"], began)
            await send(message)

        try:
            await self._app(scope, receive, timed)
        except Exception:
            if not told:  # whoever stands further out answers with 500
                self._note(scope, 500, began)
            raise

    def _note(self, scope: Scope, status: int, began: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # an address that is nowhere is not told apart
        self._requests.count(scope["method"], route, status, time.perf_counter() - began)


class LedgerCollector(Collector):
    """Measures the ledger each time it is asked."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the ledger, its read models, its archive and its jobs."""
        ledger = self._service.ledger
        health = measure(ledger.database, lambda: ledger.archive)
        yield from _of_health(health)
        alert = bool(self._service.follower.alert)
        yield _gauge("hours_follower_alert", "1 while the follower has stopped with an alert.", int(alert))
        yield _gauge("hours_problems", "What is wrong, as /v1/status says it.", len(health.problems) + alert)
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
    yield _gauge("hours_archive_segments", "Segments of the archive.", archive.segments)
    yield _gauge("hours_archive_size_bytes", "Size of the archive on disk.", archive.size_bytes)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value)


def registry_of(service: Service) -> tuple[CollectorRegistry, Requests]:
    """Return the metrics of a service, each process of which has its own."""
    registry = CollectorRegistry(auto_describe=False)
    requests = Requests(registry)
    ProcessCollector(registry=registry)
    registry.register(LedgerCollector(service))
    return registry, requests
