"""What the server counts, for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from wherry.domain import TenantId

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the latency histogram, in seconds."""


class Latency(Collector):
    """How long answers took, by route: a histogram for the thread of the event loop alone.

    prometheus-client's own one takes a lock and walks over the buckets at each answer, which
    is a twentieth of the time of a recommendation.
    """

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, route: str, seconds: float) -> None:
        """Count one answer."""
        if route not in self._counts:
            self._counts[route] = [0] * (len(BUCKETS) + 1)
            self._sums[route] = 0.0
        self._counts[route][bisect_left(BUCKETS, seconds)] += 1
        self._sums[route] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram as Prometheus reads it."""
        family = HistogramMetricFamily(
            "wherry_request_seconds",
            "Seconds from a request's head to its answer.",
            labels=["route"],
        )
        bounds = [*map(str, BUCKETS), "+Inf"]
        for route, counts in self._counts.items():
            buckets = [*zip(bounds, accumulate(counts), strict=True)]
            family.add_metric([route], buckets, self._sums[route])
        yield family


class Requests(Collector):
    """How many requests were answered, by route and status; for the event loop's thread alone."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, int], int] = defaultdict(int)

    def count(self, route: str, status: int) -> None:
        """Count one answer."""
        self._counts[route, status] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts as Prometheus reads them."""
        family = CounterMetricFamily(
            "wherry_requests", "Requests answered.", labels=["route", "status"]
        )
        for (route, status), count in list(self._counts.items()):
            family.add_metric([route, str(status)], count)
        yield family


class _LiveFailures(Collector):
    """How often the live state could not be used, asked for when the figures are."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The count as Prometheus reads it."""
        yield CounterMetricFamily(
            "wherry_live_failures",
            "Times that the live state could not be read or written; requests went on without it.",
            value=self._count(),
        )


class Metrics:
    """Counters of one server, in a registry of their own.

    ``live_failures`` says how often the live state could not be used so far.
    """

    def __init__(self, live_failures: Callable[[], int] = lambda: 0) -> None:
        self.registry = CollectorRegistry()
        self._requests = Requests()
        self.registry.register(self._requests)
        self._latency = Latency()
        self.registry.register(self._latency)
        self.registry.register(_LiveFailures(live_failures))
        self._fallbacks = Counter(
            "wherry_fallbacks",
            "Answers that were filled from a list of what is popular.",
            ["tenant", "fallback"],
            registry=self.registry,
        )
        self._rules = Counter(
            "wherry_rules",
            "Places of answers that a standing rule changed; all rules of requests together.",
            ["tenant", "rule"],
            registry=self.registry,
        )
        self._champion = Gauge(
            "wherry_champion_info",
            "The release that answers for a tenant.",
            ["tenant", "name", "version"],
            registry=self.registry,
        )
        self._challenger = Gauge(
            "wherry_challenger_info",
            "The release that is tried beside a tenant's champion.",
            ["tenant", "name", "version"],
            registry=self.registry,
        )
        self._challenger_failures = Counter(
            "wherry_challenger_failures",
            "Answers that a challenger failed to give; the champion gave them.",
            ["tenant"],
            registry=self.registry,
        )
        self._shadow_dropped = Counter(
            "wherry_shadow_dropped",
            "Answers that were not computed in the shadow, since too many waited.",
            ["tenant"],
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
        self._events = Counter(
            "wherry_events",
            "Events that came in, by what became of them.",
            ["tenant", "protocol", "outcome"],
            registry=self.registry,
        )
        self._answers = Counter(
            "wherry_answers_logged",
            "Answers that were put into the inbox.",
            registry=self.registry,
        )
        self._answers_dropped = Counter(
            "wherry_answers_dropped",
            "Answers that are not in the log, by why: no room, or the inbox could not keep them.",
            ["reason"],
            registry=self.registry,
        )
        # labels() takes a lock and builds a key: the hot route asks for the same few again.
        self._hot_events: dict[tuple[TenantId, str, str], Counter] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request by its route and status, and how long it took."""
        self._requests.count(route, status)
        self._latency.observe(route, seconds)

    def collected(self, tenant: TenantId, protocol: str, **outcomes: int) -> None:
        """Count events that came in: ``taken``, ``known``, ``refused``."""
        for outcome, count in outcomes.items():
            if count:
                name = tenant, protocol, outcome
                counter = self._hot_events.get(name)
                if counter is None:
                    counter = self._hot_events[name] = self._events.labels(*name)
                counter.inc(count)

    def fell_back(self, tenant: TenantId, fallback: str) -> None:
        """Count an answer that was filled from a fallback."""
        self._fallbacks.labels(tenant, fallback).inc()

    def ruled(self, tenant: TenantId, changed: Mapping[str, int], standing: Set[str]) -> None:
        """Count the places of an answer that rules changed, by the names of standing ones."""
        for name, count in changed.items():
            self._rules.labels(tenant, name if name in standing else "request").inc(count)

    def logged_answers(self, count: int) -> None:
        """Count answers that are in the inbox."""
        self._answers.inc(count)

    def dropped_answers(self, reason: str, count: int) -> None:
        """Count answers that are not, and won't be."""
        self._answers_dropped.labels(reason).inc(count)

    def swapped(self, tenant: TenantId, name: str, version: int) -> None:
        """Note the release that answers for a tenant from now on."""
        self._champion.remove_by_labels({"tenant": tenant})
        self._champion.labels(tenant, name, str(version)).set(1)
        self._reloads.labels(tenant, "swapped").inc()

    def withdrew(self, tenant: TenantId) -> None:
        """Note that nothing answers for a tenant any more."""
        self._champion.remove_by_labels({"tenant": tenant})

    def tries(self, tenant: TenantId, name: str, version: int) -> None:
        """Note the release that is tried beside a tenant's champion from now on."""
        self._challenger.remove_by_labels({"tenant": tenant})
        self._challenger.labels(tenant, name, str(version)).set(1)

    def tries_nothing(self, tenant: TenantId) -> None:
        """Note that nothing is tried for a tenant any more."""
        self._challenger.remove_by_labels({"tenant": tenant})

    def challenger_failed(self, tenant: TenantId) -> None:
        """Count an answer that a challenger failed to give."""
        self._challenger_failures.labels(tenant).inc()

    def shadow_dropped(self, tenant: TenantId) -> None:
        """Count an answer that was not computed in the shadow."""
        self._shadow_dropped.labels(tenant).inc()

    def failed(self, tenant: TenantId) -> None:
        """Count a release that could not be taken into service."""
        self._reloads.labels(tenant, "failed").inc()

    def poll_failed(self) -> None:
        """Count a look for new champions that failed."""
        self._polls_failed.inc()

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
