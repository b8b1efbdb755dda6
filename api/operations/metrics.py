"""Metrics of this process for Prometheus: counters and histograms of requests and commits.

They are updated as requests and commits happen. All other metrics are measured at each scrape
(`api/operations/ledger_metrics.py`), so that they are never stale. Routes are recorded
as templates (`/v1/volunteers/{volunteer}`), so no metric contains a volunteer number.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from ledger.intake.answers import Tally

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COMMANDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class ProcessMetrics:
    """The counters and histograms of one process, in `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._by_labels: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "http_requests_total", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time until an answer began.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._problems = Counter(
            "http_problems_total",
            "Requests answered with a problem, by the problem's name.",
            ("problem",),
            registry=self.registry,
        )
        self._commands = Counter(
            "hours_commands_total", "Commands answered by the ledger.", ("outcome",), registry=self.registry
        )
        self._refused = Counter(
            "hours_commands_refused_total",
            "Refused commands, by rejection; includes commands of a batch that never reached the ledger.",
            ("rejection",),
            registry=self.registry,
        )
        self._commit_seconds = Histogram(
            "hours_commit_duration_seconds",
            "Time to decide, write and commit a batch of commands.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._commit_commands = Histogram(
            "hours_commit_commands", "Commands in a batch.", buckets=_COMMANDS, registry=self.registry
        )
        self._by_outcome = {name: self._commands.labels(name) for name in ("accepted", "repeated", "refused")}

    def request(self, method: str, route: str, status: int, seconds: float, problem: str | None) -> None:
        """Count a request."""
        # Looking up labels takes longer than counting, so they are cached. Unknown methods share one entry.
        found = self._by_labels.get((method, route, status))
        if found is None:
            label = method if method in _METHODS else "other"
            found = self._requests.labels(label, route, status), self._request_seconds.labels(label, route)
            self._by_labels[label, route, status] = found
        count, histogram = found
        count.inc()
        histogram.observe(seconds)
        if problem is not None:
            self._problems.labels(problem).inc()

    def refused_connection(self, problem: str) -> None:
        """Count a connection that was refused before there was a request."""
        self._problems.labels(problem).inc()

    def commit(self, tally: Tally, seconds: float) -> None:
        """Count a committed batch of commands."""
        self._commit_seconds.observe(seconds)
        self._commit_commands.observe(tally.commands)
        refused = len(tally.refused)
        self._by_outcome["accepted"].inc(tally.commands - refused - tally.repeated)
        self._by_outcome["repeated"].inc(tally.repeated)
        self._by_outcome["refused"].inc(refused)
        self.refusals(tally.refused)

    def refusals(self, rejections: Sequence[str]) -> None:
        """Count refused commands, by their rejections."""
        for rejection in rejections:
            self._refused.labels(rejection).inc()
