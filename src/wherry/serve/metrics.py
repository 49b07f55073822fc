"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from wherry.domain import TenantId

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the latency histogram, in seconds."""


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "wherry_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "wherry_request_seconds",
            "Seconds from a request's head to its answer.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._fallbacks = Counter(
            "wherry_fallbacks",
            "Answers that were filled from a list of what is popular.",
            ["tenant", "fallback"],
            registry=self.registry,
        )
        self._champion = Gauge(
            "wherry_champion_info",
            "The release that answers for a tenant.",
            ["tenant", "name", "version"],
            registry=self.registry,
        )
        self._reloads = Counter(
            "wherry_champion_reloads",
            "Releases that were taken into service, or could not be.",
            ["tenant", "outcome"],
            registry=self.registry,
        )
        self._polls_failed = Counter(
            "wherry_champion_polls_failed",
            "Looks for new champions that failed.",
            registry=self.registry,
        )
        # labels() takes a lock and builds a key: the hot route asks for the same few again.
        self._hot: dict[tuple[str, int], Counter] = {}
        self._hot_seconds: dict[str, Histogram] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request by its route and status, and how long it took."""
        counter = self._hot.get((route, status))
        if counter is None:
            counter = self._hot[route, status] = self._requests.labels(route, str(status))
            self._hot_seconds[route] = self._seconds.labels(route)
        counter.inc()
        self._hot_seconds[route].observe(seconds)

    def fell_back(self, tenant: TenantId, fallback: str) -> None:
        """Count an answer that was filled from a fallback."""
        self._fallbacks.labels(tenant, fallback).inc()

    def swapped(self, tenant: TenantId, name: str, version: int) -> None:
        """Note the release that answers for a tenant from now on."""
        self._champion.remove_by_labels({"tenant": tenant})
        self._champion.labels(tenant, name, str(version)).set(1)
        self._reloads.labels(tenant, "swapped").inc()

    def withdrew(self, tenant: TenantId) -> None:
        """Note that nothing answers for a tenant any more."""
        self._champion.remove_by_labels({"tenant": tenant})

    def failed(self, tenant: TenantId) -> None:
        """Count a release that could not be taken into service."""
        self._reloads.labels(tenant, "failed").inc()

    def poll_failed(self) -> None:
        """Count a look for new champions that failed."""
        self._polls_failed.inc()

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
