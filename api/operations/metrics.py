"""Metrics of this process: what it counts and times as it goes, in the manner of Prometheus.

Requests and commits are noted as they pass. All else is measured when it is asked for
(`api/operations/ledger_metrics.py`), so that a number is never older than the answer it stands in. There are no names
in here: routes are templates, and whoever looks up a volunteer leaves no trace but a count.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from ledger.intake.answers import Tally

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COMMANDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Counted:
    """What one process counts; `registry` holds it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._of: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "http_requests_total", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._request_seconds = Histogram(
            "http_request_duration_seconds",
            "How long it took until an answer began.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._problems = Counter(
            "http_problems_total",
            "Requests answered with a problem, by its name.",
            ("problem",),
            registry=self.registry,
        )
        self._commands = Counter(
            "hours_commands_total", "Commands answered by the ledger.", ("outcome",), registry=self.registry
        )
        self._refused = Counter(
            "hours_commands_refused_total",
            "Commands refused, by the rule that was broken: by the ledger, or within a batch before they came to it.",
            ("rejection",),
            registry=self.registry,
        )
        self._commit_seconds = Histogram(
            "hours_commit_duration_seconds",
            "How long it took to decide, write and commit a batch of commands.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._commit_commands = Histogram(
            "hours_commit_commands", "Commands in a batch.", buckets=_COMMANDS, registry=self.registry
        )
        self._by_outcome = {name: self._commands.labels(name) for name in ("accepted", "repeated", "refused")}

    def request(self, method: str, route: str, status: int, seconds: float, problem: str | None) -> None:
        """Note one more request."""
        found = self._of.get((method, route, status))
        if found is None:  # looking labels up takes longer than counting
            named = method if method in _METHODS else "other"
            found = self._requests.labels(named, route, status), self._request_seconds.labels(named, route)
            self._of[named, route, status] = found
        count, histogram = found
        count.inc()
        histogram.observe(seconds)
        if problem is not None:
            self._problems.labels(problem).inc()

    def commit(self, tally: Tally, seconds: float) -> None:
        """Note a batch of commands that was committed."""
        self._commit_seconds.observe(seconds)
        self._commit_commands.observe(tally.commands)
        refused = len(tally.refused)
        self._by_outcome["accepted"].inc(tally.commands - refused - tally.repeated)
        self._by_outcome["repeated"].inc(tally.repeated)
        self._by_outcome["refused"].inc(refused)
        self.refusals(tally.refused)

    def refusals(self, rejections: Sequence[str]) -> None:
        """Note commands that were refused, by their rejections."""
        for rejection in rejections:
            self._refused.labels(rejection).inc()
